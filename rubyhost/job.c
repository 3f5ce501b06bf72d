/*
 * One job, from the queue to its answer: the worker calls the job's callable
 * under rb_protect, writes the value as JSON, and gives the job back to Go.
 *
 * job_error.c turns an exception into the answer. job_cleanup.c leaves the
 * thread in the state that the next job needs.
 */
#include "bridge_internal.h"

#include <ruby/fiber/scheduler.h>

/* A worker keeps a buffer of so many bytes for its next job. */
enum { keep_result = 64 << 10 };

static ID id_run;

/* [any] */
tasker_job *tasker_job_new(uint64_t room)
{
    TASKER_ANY;
    tasker_job *j = tasker_alloc(sizeof *j + room);
    if (!j) return NULL;
    *j = (tasker_job){.room = room};
    j->msg.kind = TASKER_MSG_JOB;
    j->lengths = (uint64_t *)(void *)(j + 1);
    return j;
}

/* [any] */
void tasker_job_free(tasker_job *j)
{
    TASKER_ANY;
    tasker_free(j->result);
    tasker_free(j);
}

/* [any] */
void tasker_submitted(void)
{
    TASKER_ANY;
    bool watch = tasker_queue_announce(&tasker_the_host.queue);
    if (watch || __atomic_load_n(&tasker_the_host.ticker_asleep, __ATOMIC_SEQ_CST)) tasker_ticker_wake(watch);
}

/* [GVL] Under rb_protect: calls the callable and writes its value as JSON. */
static VALUE run(VALUE arg)
{
    TASKER_GVL;
    tasker_worker *w = (tasker_worker *)arg;
    tasker_job *job = w->job;
    uint64_t serial = job->serial;
    w->segments = tasker_segments_new(job);
    VALUE value = rb_funcallv(rb_ary_entry(tasker_ruby.callables, job->target), id_run, 1, &w->segments);
    /* A Continuation of an earlier job brings its stack back, and this is another job. */
    if (w->job->serial != serial) tasker_json_reentered();
    tasker_json_write(&w->out, value, tasker_ruby.max_result);
    RB_GC_GUARD(value);
    return Qnil;
}

/* [GVL] Gives the job back to Go, with its answer. The worker takes the job's
 * old buffer in exchange for the result. */
static void finish(tasker_job *job, uint32_t status, tasker_buffer *result)
{
    TASKER_GVL;
    job->status = status;
    job->result_len = 0;
    if (result && result->len) {
        char *data = job->result;
        size_t cap = job->result_cap;
        job->result = result->data;
        job->result_len = result->len;
        job->result_cap = result->cap;
        result->data = data;
        result->cap = cap;
    } else if (result && result->cap > keep_result) {
        tasker_free(result->data);
        result->data = NULL;
        result->cap = 0;
    }
    COUNT_GVL(jobs, 1);
    if (__atomic_exchange_n(&job->state, TASKER_DONE, __ATOMIC_SEQ_CST) == TASKER_PARKED) tasker_post(&job->msg);
}

/* [GVL] Whether the worker may take another job. It has none now, so that no
 * further interrupt can be aimed at it. Those that have come are dropped. One that
 * is still under way cannot be: then the thread is replaced. */
static bool goes_on(tasker_worker *w)
{
    TASKER_GVL;
    if (!NIL_P(w->group) && RB_OBJ_FROZEN(w->group)) tasker_worker_mark(w); /* the next step could start no thread */
    if (RB_OBJ_FROZEN(w->thread)) tasker_worker_mark(w);                    /* ... and set none of its variables */
    if (w->aimed_at || w->masks != 0 || !tasker_flush_interrupts() || w->state != TASKER_WORKER_RUNNING) return false;
    tasker_worker_becomes(w, TASKER_WORKER_IDLE);
    return true;
}

/* [GVL] The job's answer comes first, and may be interrupted. Then the worker
 * lets go of the job. Go hears of the end last. */
bool tasker_job_perform(tasker_worker *w, tasker_job *job)
{
    TASKER_GVL;
    __atomic_store_n(&job->started, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&job->cancel, __ATOMIC_SEQ_CST)) {
        finish(job, TASKER_SKIPPED, NULL);
        return true;
    }
    int tag = 0;
    w->job = job;
    tasker_worker_becomes(w, TASKER_WORKER_RUNNING);
    w->out.len = 0;
    COUNT_GVL(busy, 1);
    rb_protect(run, (VALUE)w, &tag);
    if (tasker_ruby.forked) tasker_leave_child(tag, rb_errinfo());
    if (RB_UNLIKELY(tasker_ruby.stressed_by)) tasker_end_stress(w, tag);
    uint32_t status = tag ? tasker_job_failed(w, tag) : TASKER_OK;
    if (RB_UNLIKELY(!NIL_P(rb_fiber_scheduler_get()))) status = tasker_drop_scheduler(w, status);
    tasker_step_threads_end(w);
    rb_set_errinfo(Qnil); /* C code may have left one, and Thread#join would raise it */
    job = w->job; /* no Ruby code runs from here on; before, a Continuation may have brought an earlier job's stack back */
    w->job = NULL;
    if (!NIL_P(w->segments)) tasker_segments_forget(w->segments);
    w->segments = Qnil;
    rb_gc_enable();
    COUNT_GVL(busy, -1);
    bool again = goes_on(w);
    finish(job, status, &w->out);
    return again;
}

/* [GVL] Tasker::Host.register(callable) -> its index. A callable is never
 * removed, and the Array is out of reach. ObjectSpace shows the callables, so
 * they are frozen. */
static VALUE host_register(VALUE self, VALUE callable)
{
    TASKER_GVL;
    (void)self;
    tasker_require_host();
    rb_ary_push(tasker_ruby.callables, rb_obj_freeze(callable));
    return LONG2NUM(RARRAY_LEN(tasker_ruby.callables) - 1);
}

/* [GVL] */
void tasker_job_init(void)
{
    TASKER_GVL;
    tasker_ruby.callables = rb_obj_hide(rb_ary_new());
    rb_define_module_function(tasker_ruby.module, "register", host_register, 1);
    id_run = rb_intern("run");
    rb_gc_register_mark_object(tasker_ruby.exception = rb_path2class("Exception"));
    tasker_job_error_init();
    tasker_job_cleanup_init();
}
