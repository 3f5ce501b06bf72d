/*
 * Ruby asks Go: a question is posted, and its thread waits for the answer
 * without the GVL. What Ruby only tells goes as a note.
 */
#include "bridge_internal.h"

#include <limits.h>
#include <ruby/thread.h>
#include <stdlib.h>
#include <string.h>

static ID id_serial;

static void release(tasker_request *r)
{
    if (__atomic_sub_fetch(&r->refs, 1, __ATOMIC_SEQ_CST)) return;
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->cond);
    free(r->payload);
    free(r->reply);
    free(r);
}

/* [any] */
void tasker_reply(tasker_request *r, uint32_t status, const void *data, uint64_t len)
{
    char *copy = malloc(len ? len : 1);
    if (copy && len) memcpy(copy, data, len);
    pthread_mutex_lock(&r->lock);
    r->reply = copy;
    r->reply_len = copy ? len : 0;
    r->status = copy ? status : TASKER_NO_MEMORY;
    __atomic_store_n(&r->done, 1, __ATOMIC_SEQ_CST);
    pthread_cond_signal(&r->cond);
    pthread_mutex_unlock(&r->lock);
    release(r);
}

/* [any] */
void tasker_cancel_free(tasker_cancel *c)
{
    release(c->request);
    free(c);
}

/* How long a lone waiter polls before it sleeps: most answers of a database
 * come within this time, and to be woken costs as much again. */
#define REPLY_SPIN_NS 100000

/* [no GVL] Polls while this is the only worker with a job: with several of them
 * the processors have better things to do. */
static void poll_for_reply(tasker_request *r)
{
    if (tasker_the_host.queue.spin_ns <= 0) return;
    int64_t until = tasker_now() + REPLY_SPIN_NS;
    for (unsigned i = 1; __atomic_load_n(&tasker_the_host.counters.busy, __ATOMIC_RELAXED) <= 1; i++) {
        if (__atomic_load_n(&r->done, __ATOMIC_ACQUIRE) || __atomic_load_n(&r->interrupted, __ATOMIC_ACQUIRE)) return;
        tasker_relax();
        if (i % 64 == 0 && tasker_now() > until) return;
    }
}

/* [no GVL] */
static void *wait_for_reply(void *arg)
{
    tasker_request *r = arg;
    poll_for_reply(r);
    pthread_mutex_lock(&r->lock);
    while (!r->done && !r->interrupted) pthread_cond_wait(&r->cond, &r->lock);
    r->interrupted = 0;
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

/* [any] */
static void interrupt_reply(void *arg)
{
    tasker_request *r = arg;
    pthread_mutex_lock(&r->lock);
    r->interrupted = 1;
    pthread_cond_signal(&r->cond);
    pthread_mutex_unlock(&r->lock);
}

/* [GVL] With INTR_FAIL the wait may not run at all; without it, rb_nogvl
 * itself could jump out. So: look, wait, look again, let interrupts act. */
static VALUE await_reply(VALUE arg)
{
    tasker_request *r = (tasker_request *)arg;
    while (!__atomic_load_n(&r->done, __ATOMIC_SEQ_CST)) {
        rb_nogvl(wait_for_reply, r, interrupt_reply, r, RB_NOGVL_INTR_FAIL);
        if (!__atomic_load_n(&r->done, __ATOMIC_SEQ_CST)) rb_thread_check_ints();
    }
    VALUE reply = rb_utf8_str_new(r->reply, (long)r->reply_len);
    return rb_assoc_new(r->status == 0 ? Qtrue : Qfalse, reply);
}

/* [GVL] However the wait ended: if by a jump, Go is told to stop. */
static VALUE abandon(VALUE arg)
{
    tasker_request *r = (tasker_request *)arg;
    if (!__atomic_load_n(&r->done, __ATOMIC_SEQ_CST)) {
        tasker_cancel *c = malloc(sizeof *c);
        if (c) {
            c->msg.kind = TASKER_MSG_CANCEL;
            c->request = r; /* our reference goes along */
            tasker_post(&c->msg);
            return Qnil;
        }
    }
    release(r);
    return Qnil;
}

/* [GVL] Tasker::Host.job_serial -> Integer, 0 outside a job. A thread that a
 * handler has started carries the serial of that handler's job, which may be
 * over by now; host/lineage.rb put it there. */
static VALUE host_job_serial(VALUE self)
{
    (void)self;
    VALUE me = rb_thread_current();
    for (tasker_worker *w = tasker_ruby.workers; w; w = w->next)
        if (w->thread == me) return ULL2NUM(w->job ? w->job->serial : 0);
    VALUE inherited = rb_ivar_get(me, id_serial);
    return NIL_P(inherited) ? INT2FIX(0) : inherited;
}

/* [GVL] Tasker::Host.foreign?(thread): whether it is a worker that runs another
 * call than the one that this thread belongs to. */
static VALUE host_foreign(VALUE self, VALUE thread)
{
    tasker_worker *w = tasker_worker_on(thread);
    if (!w || !w->job) return Qfalse;
    uint64_t own = NUM2ULL(host_job_serial(self));
    return own != 0 && own != w->job->serial ? Qtrue : Qfalse;
}

/* [GVL] Go takes lengths as a C int. */
static void check_length(VALUE text)
{
    if (RSTRING_LEN(text) > INT_MAX) rb_raise(rb_path2class("ArgumentError"), "2 GB or more at once cannot be given to the host");
}

/* [GVL] Tasker::Host.request(service, job_serial, payload) -> [ok, reply] */
static VALUE host_request(VALUE self, VALUE service, VALUE serial, VALUE payload)
{
    (void)self;
    uint32_t number = NUM2UINT(service);
    uint64_t job = NUM2ULL(serial);
    StringValue(payload);
    check_length(payload);
    tasker_request *r = calloc(1, sizeof *r);
    size_t len = (size_t)RSTRING_LEN(payload);
    char *copy = r ? malloc(len + 1) : NULL;
    if (!copy) {
        free(r);
        rb_memerror();
    }
    memcpy(copy, RSTRING_PTR(payload), len);
    r->msg.kind = TASKER_MSG_REQUEST;
    r->serial = job;
    r->service = number;
    r->refs = 2;
    r->payload = copy;
    r->payload_len = len;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->cond, NULL);
    tasker_post(&r->msg);
    return rb_ensure(await_reply, (VALUE)r, abandon, (VALUE)r);
}

/* How many bytes of notes may wait for Go before whoever adds to them waits. */
static const uint64_t max_note_bytes = 4 << 20;

/* [no GVL] */
static void *pause_a_little(void *unused)
{
    (void)unused;
    struct timespec t = {.tv_nsec = 1000 * 1000};
    nanosleep(&t, NULL);
    return NULL;
}

/* [GVL] A handler that logs faster than Go does must not fill the memory. */
static void await_room_for_notes(void)
{
    while (__atomic_load_n(&tasker_the_host.counters.note_bytes, __ATOMIC_RELAXED) > max_note_bytes) {
        rb_nogvl(pause_a_little, NULL, NULL, NULL, RB_NOGVL_INTR_FAIL);
        rb_thread_check_ints();
    }
}

/* [GVL] Tasker::Host.log(job_serial, text): told, not awaited. In a child of
 * this process, where nobody hears it, false. */
static VALUE host_log(VALUE self, VALUE serial, VALUE text)
{
    (void)self;
    uint64_t job = NUM2ULL(serial);
    StringValue(text);
    check_length(text);
    if (tasker_ruby.forked) return Qfalse;
    await_room_for_notes();
    tasker_post_note(TASKER_NOTE_LOG, job, RSTRING_PTR(text), (size_t)RSTRING_LEN(text));
    RB_GC_GUARD(text);
    return Qtrue;
}

void tasker_request_init(void)
{
    rb_define_module_function(tasker_ruby.module, "request", host_request, 3);
    rb_define_module_function(tasker_ruby.module, "log", host_log, 2);
    rb_define_module_function(tasker_ruby.module, "job_serial", host_job_serial, 0);
    rb_define_module_function(tasker_ruby.module, "foreign?", host_foreign, 1);
    id_serial = rb_intern("@__tasker_serial");
}
