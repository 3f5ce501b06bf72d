/*
 * Ruby asks Go: the thread posts a question and waits for the answer without
 * the GVL. A message that needs no answer, such as a log line, is a note.
 */
#include "bridge_internal.h"

#include <limits.h>
#include <ruby/thread.h>
#include <string.h>

static ID id_serial;

/* [any] Drops a reference. */
static void release(tasker_request *r)
{
    TASKER_ANY;
    if (!__atomic_sub_fetch(&r->refs, 1, __ATOMIC_SEQ_CST)) tasker_request_free(r);
}

/* [any] */
void tasker_reply(tasker_request *r, uint32_t status, const void *data, uint64_t len)
{
    TASKER_ANY;
    char *copy = tasker_alloc(len ? len : 1);
    if (copy && len) memcpy(copy, data, len);
    r->reply = copy;
    r->reply_len = copy ? len : 0;
    r->status = copy ? status : TASKER_NO_MEMORY;
    tasker_bell_ring(&r->answered);
    release(r);
}

/* [any] */
void tasker_cancel_free(tasker_cancel *c)
{
    TASKER_ANY;
    release(c->request);
    tasker_free(c);
}

/* How long a lone waiter polls before it sleeps. A database gives most answers
 * within this time, and waking up costs as much again. */
#define REPLY_SPIN_NS 100000

/* [no GVL] Polls while this is the only worker with a job. With several, the
 * other jobs need the processors. */
static void poll_for_reply(tasker_request *r)
{
    TASKER_NO_GVL;
    if (tasker_the_host.queue.spin_ns <= 0) return;
    int64_t until = tasker_now() + REPLY_SPIN_NS;
    for (unsigned i = 1; __atomic_load_n(&tasker_the_host.counters.busy, __ATOMIC_RELAXED) <= 1; i++) {
        if (tasker_bell_must_return(&r->answered)) return;
        tasker_relax();
        if (i % 64 == 0 && tasker_now() > until) return;
    }
}

/* [no GVL] */
static void *wait_for_reply(void *arg)
{
    TASKER_NO_GVL;
    tasker_request *r = arg;
    poll_for_reply(r);
    tasker_bell_wait(&r->answered, 0);
    return NULL;
}

/* [GVL] Under rb_ensure: waits for the answer. With INTR_FAIL the wait may not
 * run at all; without it, rb_nogvl itself could jump out of here. So this looks,
 * waits, looks again, and lets interrupts act. */
static VALUE await_reply(VALUE arg)
{
    TASKER_GVL;
    tasker_request *r = (tasker_request *)arg;
    while (!tasker_bell_rung(&r->answered)) {
        rb_nogvl(wait_for_reply, r, tasker_bell_interrupt, &r->answered, RB_NOGVL_INTR_FAIL);
        if (!tasker_bell_rung(&r->answered)) rb_thread_check_ints();
    }
    if (r->status == TASKER_NO_MEMORY) tasker_no_memory("the answer of the host");
    VALUE reply = rb_utf8_str_new(r->reply, (long)r->reply_len);
    return rb_assoc_new(r->status == 0 ? Qtrue : Qfalse, reply);
}

/* [GVL] Runs when the wait has ended. If no answer has come, an exception ended
 * it: then Go is told that Ruby no longer waits. */
static VALUE cancel_request(VALUE arg)
{
    TASKER_GVL;
    tasker_request *r = (tasker_request *)arg;
    if (!tasker_bell_rung(&r->answered)) {
        tasker_cancel *c = tasker_alloc(sizeof *c);
        if (c) {
            c->msg.kind = TASKER_MSG_CANCEL;
            c->request = r; /* and with it our reference */
            tasker_post(&c->msg);
            return Qnil;
        }
    }
    release(r);
    return Qnil;
}

/* [GVL] For a thread that a handler has started, it is the serial of that
 * handler's job, which may have ended. step_threads.c has stored it in the thread. */
static uint64_t serial_of(VALUE thread)
{
    TASKER_GVL;
    tasker_worker *w = thread == rb_thread_current() ? tasker_worker_here() : tasker_worker_on(thread);
    if (w) return w->job ? w->job->serial : 0;
    VALUE inherited = rb_ivar_get(thread, id_serial);
    return RB_INTEGER_TYPE_P(inherited) ? NUM2ULL(inherited) : 0;
}

/* [GVL] */
uint64_t tasker_serial_here(void)
{
    TASKER_GVL;
    if (!tasker_is_host()) return 0;
    return serial_of(rb_thread_current());
}

/* [GVL] Tasker::Host.job_serial -> Integer, 0 outside a job, in a Ractor and in
 * a child of this process. */
static VALUE host_job_serial(VALUE self)
{
    TASKER_GVL;
    (void)self;
    return ULL2NUM(tasker_serial_here());
}

/* [GVL] Tasker::Host.foreign?(thread): whether the thread works for a job that
 * runs now and is not this thread's own: its worker, or a thread started in it. */
static VALUE host_foreign(VALUE self, VALUE thread)
{
    TASKER_GVL;
    (void)self;
    uint64_t own = tasker_serial_here();
    uint64_t other = own ? serial_of(thread) : 0;
    return other && other != own && tasker_worker_of(other) ? Qtrue : Qfalse;
}

/* [GVL] Tasker::Host.running?(serial): whether that job runs now. */
static VALUE host_running(VALUE self, VALUE serial)
{
    TASKER_GVL;
    (void)self;
    uint64_t number = NUM2ULL(serial);
    return tasker_is_host() && tasker_worker_of(number) ? Qtrue : Qfalse;
}

/* [GVL] Tasker::Host.main_thread?(thread): whether it is the host's main thread,
 * seen from another one. */
static VALUE host_main_thread(VALUE self, VALUE thread)
{
    TASKER_GVL;
    (void)self;
    return tasker_is_host() && tasker_is_main_thread(thread) && !tasker_on_main_thread() ? Qtrue : Qfalse;
}

/* [GVL] Raises for a text whose length is no C int: Go copies it as one. */
static void check_length(VALUE text)
{
    TASKER_GVL;
    if (RSTRING_LEN(text) > INT_MAX) rb_raise(rb_path2class("ArgumentError"), "2 GB or more at once cannot be given to the host");
}

/* [GVL] Tasker::Host.request(service, job_serial, payload) -> [ok, reply] */
static VALUE host_request(VALUE self, VALUE service, VALUE serial, VALUE payload)
{
    TASKER_GVL;
    (void)self;
    tasker_require_host();
    uint32_t number = NUM2UINT(service);
    uint64_t job = NUM2ULL(serial);
    StringValue(payload);
    check_length(payload);
    size_t len = (size_t)RSTRING_LEN(payload);
    tasker_request *r = tasker_alloc(sizeof *r + len);
    if (!r) tasker_no_memory("a question to the host");
    *r = (tasker_request){.serial = job, .service = number, .refs = 2, .payload = (char *)(r + 1), .payload_len = len};
    r->msg.kind = TASKER_MSG_REQUEST;
    memcpy(r->payload, RSTRING_PTR(payload), len);
    tasker_post(&r->msg);
    return rb_ensure(await_reply, (VALUE)r, cancel_request, (VALUE)r);
}

/* When more bytes of notes than this wait for Go, a thread that adds one waits. */
static const uint64_t max_note_bytes = 4 << 20;

/* [no GVL] */
static void *pause_a_little(void *unused)
{
    TASKER_NO_GVL;
    (void)unused;
    struct timespec t = {.tv_nsec = 1000 * 1000};
    nanosleep(&t, NULL);
    return NULL;
}

/* [GVL] A handler must not fill the memory by logging faster than Go does. */
static void await_room_for_notes(void)
{
    TASKER_GVL;
    while (__atomic_load_n(&tasker_the_host.counters.note_bytes, __ATOMIC_RELAXED) > max_note_bytes) {
        rb_nogvl(pause_a_little, NULL, NULL, NULL, RB_NOGVL_INTR_FAIL);
        rb_thread_check_ints();
    }
}

/* [GVL] Tasker::Host.log(job_serial, text): sends Go a note. Returns false in a
 * Ractor and in a child of this process. */
static VALUE host_log(VALUE self, VALUE serial, VALUE text)
{
    TASKER_GVL;
    (void)self;
    uint64_t job = NUM2ULL(serial);
    StringValue(text);
    check_length(text);
    if (!tasker_is_host()) return Qfalse;
    await_room_for_notes();
    tasker_post_note(TASKER_NOTE_LOG, job, RSTRING_PTR(text), (size_t)RSTRING_LEN(text));
    RB_GC_GUARD(text);
    return Qtrue;
}

/* [GVL] */
void tasker_request_init(void)
{
    TASKER_GVL;
    rb_define_module_function(tasker_ruby.module, "request", host_request, 3);
    rb_define_module_function(tasker_ruby.module, "log", host_log, 2);
    rb_define_module_function(tasker_ruby.module, "job_serial", host_job_serial, 0);
    rb_define_module_function(tasker_ruby.module, "foreign?", host_foreign, 1);
    rb_define_module_function(tasker_ruby.module, "running?", host_running, 1);
    rb_define_module_function(tasker_ruby.module, "main_thread?", host_main_thread, 1);
    id_serial = rb_intern("@__tasker_serial");
}
