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

static ID id_run, id_report, id_status;
static VALUE permanent_class; /* Tasker::PermanentError; registered */

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
                     "\"backtrace\":[],\"permanent\":%s}",
                     class, RTEST(rb_obj_is_kind_of(exception, permanent_class)) ? "true" : "false");
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
        if (tag == tasker_tag_fatal) return false;
    }
    return true;
}

/* [GVL] What is pending after rb_protect, as the job's answer. */
static uint32_t failed(tasker_worker *w, int tag)
{
    VALUE exception = rb_errinfo();
    rb_set_errinfo(Qnil);
    w->out.len = 0;
    if (tag == tasker_tag_fatal) {
        w->retire = true;
        return TASKER_KILLED;
    }
    if (tag != tasker_tag_raise || !RTEST(rb_obj_is_kind_of(exception, tasker_ruby.exception))) return TASKER_JUMPED;
    struct report_args a = {w, exception};
    int again = 0;
    rb_protect(report, (VALUE)&a, &again);
    rb_set_errinfo(Qnil);
    if (again == tasker_tag_fatal) w->retire = true;
    if (again) report_poorly(&w->out, exception);
    RB_GC_GUARD(exception);
    return TASKER_RAISED;
}

/* [GVL] Under rb_protect. */
static VALUE drop_scheduler(VALUE unused)
{
    (void)unused;
    return rb_fiber_scheduler_set(Qnil); /* runs its close, and so the fibers it has left */
}

static VALUE do_nothing(VALUE self)
{
    (void)self;
    return Qnil;
}

/* [GVL] Under rb_protect: one whose close raises would stay for ever. */
static VALUE disarm_scheduler(VALUE scheduler)
{
    rb_define_singleton_method(scheduler, "close", do_nothing, 0);
    return rb_fiber_scheduler_set(Qnil);
}

/* [GVL] Still within the job: the close may wait, and be interrupted, and raise. */
static uint32_t without_scheduler(tasker_worker *w, uint32_t status)
{
    int tag = 0, again = 0;
    rb_protect(drop_scheduler, Qnil, &tag);
    if (tag == 0) return status;
    if (tag == tasker_tag_fatal) w->retire = true;
    if (status == TASKER_OK) status = failed(w, tag);
    rb_protect(disarm_scheduler, rb_fiber_scheduler_get(), &again);
    if (again) w->retire = true;
    return status;
}

static VALUE exit_status(VALUE exception)
{
    return rb_funcall(exception, id_status, 0);
}

/* [GVL] A child of this process fell through to here (IO.popen("-")): it is
 * not the host, and ends as a Ruby program would. */
NORETURN(static void leave_child(int tag, VALUE exception));
static void leave_child(int tag, VALUE exception)
{
    int status = tag == 0 ? 0 : 1, none = 0;
    if (tag == tasker_tag_raise) {
        VALUE given = rb_protect(exit_status, exception, &none); /* only SystemExit has one */
        if (!none && FIXNUM_P(given)) status = FIX2INT(given);
    }
    _exit(status);
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
    w->job = job;
    w->out.len = 0;
    COUNT_GVL(busy, 1);
    rb_protect(run_job, (VALUE)w, &tag);
    if (tasker_ruby.forked) leave_child(tag, rb_errinfo());
    uint32_t status = tag ? failed(w, tag) : TASKER_OK;
    if (RB_UNLIKELY(!NIL_P(rb_fiber_scheduler_get()))) status = without_scheduler(w, status);
    rb_set_errinfo(Qnil); /* C code may have left one, and Thread#join would raise it */
    w->job = NULL;
    if (!NIL_P(w->segments)) tasker_segments_forget(w->segments);
    w->segments = Qnil;
    rb_gc_enable();
    COUNT_GVL(busy, -1);
    bool live = !w->retire && !w->written_off && w->masks == 0 && tasker_flush_interrupts();
    finish(job, status, &w->out);
    return live;
}

/* [GVL] Tasker::Host.forked? */
static VALUE host_forked(VALUE self)
{
    (void)self;
    return tasker_ruby.forked ? Qtrue : Qfalse;
}

/* [GVL] Tasker::Host.retire(thread): if it is a worker, it ends with its job,
 * and another takes its place. */
static VALUE host_retire(VALUE self, VALUE thread)
{
    (void)self;
    tasker_worker *w = tasker_worker_on(thread);
    if (w) w->retire = true;
    return Qnil;
}

/* [GVL] Tasker::Host.masked(change): of the blocks of handle_interrupt that
 * this thread is in. */
static VALUE host_masked(VALUE self, VALUE change)
{
    (void)self;
    tasker_worker *w = tasker_worker_on(rb_thread_current());
    if (w) w->masks += NUM2LONG(change);
    return Qnil;
}

void tasker_job_init(void)
{
    id_run = rb_intern("run");
    id_report = rb_intern("report");
    id_status = rb_intern("status");
    rb_gc_register_mark_object(tasker_ruby.exception = rb_path2class("Exception"));
    rb_define_module_function(tasker_ruby.module, "forked?", host_forked, 0);
    rb_define_module_function(tasker_ruby.module, "retire", host_retire, 1);
    rb_define_module_function(tasker_ruby.module, "masked", host_masked, 1);
}

void tasker_job_loaded(void)
{
    rb_gc_register_mark_object(permanent_class = rb_path2class("Tasker::PermanentError"));
}
