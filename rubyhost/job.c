/*
 * One job, from the queue to its answer: the call under rb_protect, its value
 * or its exception as JSON, and the thread left as the next job wants it.
 */
#include "bridge_internal.h"

#include <ruby/fiber/scheduler.h>
#include <ruby/thread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { tag_fatal = 8 }; /* what rb_protect says of a killed thread */

static ID id_run, id_report;

/* [any] */
tasker_job *tasker_job_new(uint64_t room)
{
    tasker_job *j = malloc(sizeof *j + room);
    if (!j) return NULL;
    *j = (tasker_job){.room = room};
    j->msg.kind = TASKER_MSG_JOB;
    j->lengths = (uint64_t *)(void *)(j + 1);
    return j;
}

/* [any] */
void tasker_job_free(tasker_job *j)
{
    free(j->result);
    free(j);
}

/* [any] */
void tasker_submitted(void)
{
    bool watch = tasker_queue_announce(&tasker_the_host.queue);
    if (watch || __atomic_load_n(&tasker_the_host.ticker_asleep, __ATOMIC_SEQ_CST)) tasker_ticker_wake(watch);
}

/* [GVL] The job is Go's again, with its answer, for which the job's old buffer
 * is taken in exchange. */
static void finish(tasker_job *job, uint32_t status, tasker_buffer *result)
{
    job->status = status;
    job->result_len = 0;
    if (result && result->len) {
        tasker_buffer old = {.data = job->result, .cap = job->result_cap};
        job->result = result->data;
        job->result_len = result->len;
        job->result_cap = result->cap;
        *result = old;
    }
    COUNT_GVL(jobs, 1);
    if (__atomic_exchange_n(&job->state, TASKER_DONE, __ATOMIC_SEQ_CST) == TASKER_PARKED) tasker_post(&job->msg);
}

/* [GVL] Under rb_protect: the call itself, and its value as JSON. */
static VALUE run_job(VALUE arg)
{
    tasker_worker *w = (tasker_worker *)arg;
    tasker_job *job = w->job;
    w->segments = tasker_segments_new(job);
    VALUE value = rb_funcallv(rb_ary_entry(tasker_ruby.callables, job->target), id_run, 1, &w->segments);
    tasker_json_write(&w->out, value);
    RB_GC_GUARD(value);
    return Qnil;
}

struct report_args {
    tasker_worker *worker;
    VALUE exception;
};

/* [GVL] Under rb_protect: the exception as JSON. */
static VALUE report(VALUE arg)
{
    struct report_args *a = (struct report_args *)arg;
    VALUE hash = rb_funcall(tasker_ruby.module, id_report, 1, a->exception);
    a->worker->out.len = 0;
    tasker_json_write(&a->worker->out, hash);
    return Qnil;
}

/* [GVL] When not even the report could be made. */
static void report_poorly(tasker_buffer *out, VALUE exception)
{
    char text[512];
    const char *class = RB_SPECIAL_CONST_P(exception) ? "Object" : rb_obj_classname(exception);
    int n = snprintf(text, sizeof text,
                     "{\"class\":\"%.200s\",\"ancestors\":[],\"message\":\"(the exception could not be read)\","
                     "\"backtrace\":[],\"permanent\":false}",
                     class);
    out->len = 0;
    if (!out->data) {
        out->data = malloc(sizeof text);
        if (!out->data) return;
        out->cap = sizeof text;
    }
    memcpy(out->data, text, (size_t)n);
    out->len = (size_t)n;
}

VALUE tasker_check_interrupts(VALUE unused)
{
    (void)unused;
    rb_thread_check_ints();
    return Qnil;
}

/* [GVL] Interrupts meant for the job that has just ended must not hit the
 * next one. Returns false when the thread was told to die. */
bool tasker_flush_interrupts(void)
{
    for (int i = 0; i < 100; i++) {
        int tag = 0;
        rb_protect(tasker_check_interrupts, Qnil, &tag);
        rb_set_errinfo(Qnil);
        if (tag == 0) return true;
        if (tag == tag_fatal) return false;
    }
    return true;
}

static VALUE drop_scheduler(VALUE unused)
{
    (void)unused;
    return rb_fiber_scheduler_set(Qnil);
}

/* [GVL] What a handler may have left behind in the interpreter or on its
 * thread, and that would hurt the next one. */
static void leave_clean(void)
{
    rb_gc_enable();
    if (RB_UNLIKELY(!NIL_P(rb_fiber_scheduler_get()))) {
        int tag = 0;
        rb_protect(drop_scheduler, Qnil, &tag);
        rb_set_errinfo(Qnil);
    }
}

/* [GVL] Runs one job to its end. Returns false when the thread must exit. */
bool tasker_job_perform(tasker_worker *w, tasker_job *job)
{
    __atomic_store_n(&job->started, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&job->cancel, __ATOMIC_SEQ_CST)) {
        finish(job, TASKER_SKIPPED, NULL);
        return true;
    }
    int tag = 0;
    uint32_t status = TASKER_OK;
    w->job = job;
    w->out.len = 0;
    COUNT_GVL(busy, 1);
    rb_protect(run_job, (VALUE)w, &tag);
    if (tag != 0) {
        struct report_args a = {w, rb_errinfo()};
        rb_set_errinfo(Qnil);
        status = TASKER_RAISED;
        if (tag == tag_fatal) {
            status = TASKER_KILLED;
            w->out.len = 0;
        } else if (!RTEST(rb_obj_is_kind_of(a.exception, rb_path2class("Exception")))) {
            status = TASKER_JUMPED;
            w->out.len = 0;
        } else {
            int again = 0;
            rb_protect(report, (VALUE)&a, &again);
            rb_set_errinfo(Qnil);
            if (again) report_poorly(&w->out, a.exception);
        }
        RB_GC_GUARD(a.exception);
    }
    if (tasker_ruby.forked) _exit(tag == 0 ? 0 : 1); /* a child of this process fell through to here */
    w->job = NULL;
    if (!NIL_P(w->segments)) tasker_segments_forget(w->segments);
    w->segments = Qnil;
    leave_clean();
    COUNT_GVL(busy, -1);
    bool late = w->written_off;
    bool live = status != TASKER_KILLED && !late && tasker_flush_interrupts();
    finish(job, status, &w->out);
    return live;
}

void tasker_job_init(void)
{
    id_run = rb_intern("run");
    id_report = rb_intern("report");
}
