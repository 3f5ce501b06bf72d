/*
 * Ruby asks Go: the thread posts a question and waits for the answer without
 * the GVL. A message that needs no answer, such as a log line, is a note.
 */
#include "bridge_internal.h"

#include <limits.h>
#include <linux/futex.h>
#include <ruby/thread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static ID id_serial;

/* The bits of tasker_request.state. */
enum {
    answered = 1,
    interrupted = 2, /* the waiter must check its interrupts */
    asleep = 4       /* the waiter sleeps: to set another bit, wake it */
};

/* [any] Drops a reference. */
static void release(tasker_request *r)
{
    if (__atomic_sub_fetch(&r->refs, 1, __ATOMIC_SEQ_CST)) return;
    free(r->reply);
    free(r);
}

/* [any] */
static uint32_t state_of(tasker_request *r)
{
    return __atomic_load_n(&r->state, __ATOMIC_SEQ_CST);
}

/* [any] */
static void futex(uint32_t *word, int what, uint32_t value)
{
    syscall(SYS_futex, word, what | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

/* [any] Sets a bit and wakes the waiter. A mutex with a condition would take
 * three times as many instructions, and often a second sleep: the waiter wakes
 * up while the signalling thread still holds the mutex. */
static void set(tasker_request *r, uint32_t what)
{
    if (__atomic_fetch_or(&r->state, what, __ATOMIC_SEQ_CST) & asleep) futex(&r->state, FUTEX_WAKE, 1);
}

/* [any] */
void tasker_reply(tasker_request *r, uint32_t status, const void *data, uint64_t len)
{
    char *copy = malloc(len ? len : 1);
    if (copy && len) memcpy(copy, data, len);
    r->reply = copy;
    r->reply_len = copy ? len : 0;
    r->status = copy ? status : TASKER_NO_MEMORY;
    set(r, answered);
    release(r);
}

/* [any] */
void tasker_cancel_free(tasker_cancel *c)
{
    release(c->request);
    free(c);
}

/* How long a lone waiter polls before it sleeps. A database gives most answers
 * within this time, and waking up costs as much again. */
#define REPLY_SPIN_NS 100000

/* [no GVL] Polls while this is the only worker with a job. With several, the
 * other jobs need the processors. */
static void poll_for_reply(tasker_request *r)
{
    if (tasker_the_host.queue.spin_ns <= 0) return;
    int64_t until = tasker_now() + REPLY_SPIN_NS;
    for (unsigned i = 1; __atomic_load_n(&tasker_the_host.counters.busy, __ATOMIC_RELAXED) <= 1; i++) {
        if (state_of(r) & (answered | interrupted)) return;
        tasker_relax();
        if (i % 64 == 0 && tasker_now() > until) return;
    }
}

/* [no GVL] */
static void *wait_for_reply(void *arg)
{
    tasker_request *r = arg;
    poll_for_reply(r);
    uint32_t now = 0;
    while (!(now & (answered | interrupted))) {
        bool sleeps = __atomic_compare_exchange_n(&r->state, &now, asleep, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
        if (!sleeps && now != asleep) continue;
        futex(&r->state, FUTEX_WAIT, asleep);
        now = state_of(r);
    }
    __atomic_and_fetch(&r->state, ~(uint32_t)(interrupted | asleep), __ATOMIC_SEQ_CST);
    return NULL;
}

/* [any] Ruby calls it to end the wait: the thread has an interrupt. */
static void interrupt_reply(void *arg)
{
    set(arg, interrupted);
}

/* [GVL] Under rb_ensure: waits for the answer. With INTR_FAIL the wait may not
 * run at all; without it, rb_nogvl itself could jump out of here. So this looks,
 * waits, looks again, and lets interrupts act. */
static VALUE await_reply(VALUE arg)
{
    tasker_request *r = (tasker_request *)arg;
    while (!(state_of(r) & answered)) {
        rb_nogvl(wait_for_reply, r, interrupt_reply, r, RB_NOGVL_INTR_FAIL);
        if (!(state_of(r) & answered)) rb_thread_check_ints();
    }
    VALUE reply = rb_utf8_str_new(r->reply, (long)r->reply_len);
    return rb_assoc_new(r->status == 0 ? Qtrue : Qfalse, reply);
}

/* [GVL] Runs when the wait has ended. If no answer has come, an exception ended
 * it: then Go is told that Ruby no longer waits. */
static VALUE cancel_request(VALUE arg)
{
    tasker_request *r = (tasker_request *)arg;
    if (!(state_of(r) & answered)) {
        tasker_cancel *c = malloc(sizeof *c);
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

/* [GVL] Tasker::Host.job_serial -> Integer, 0 outside a job. For a thread that
 * a handler has started, it is the serial of that handler's job, which may have
 * ended. host/lineage.rb has stored it in the thread. */
static VALUE host_job_serial(VALUE self)
{
    (void)self;
    VALUE me = rb_thread_current();
    for (tasker_worker *w = tasker_ruby.workers; w; w = w->next)
        if (w->thread == me) return ULL2NUM(w->job ? w->job->serial : 0);
    VALUE inherited = rb_ivar_get(me, id_serial);
    return NIL_P(inherited) ? INT2FIX(0) : inherited;
}

/* [GVL] Tasker::Host.foreign?(thread): whether the thread is a worker that runs
 * a job other than this thread's own. */
static VALUE host_foreign(VALUE self, VALUE thread)
{
    tasker_worker *w = tasker_worker_on(thread);
    if (!w || !w->job) return Qfalse;
    uint64_t own = NUM2ULL(host_job_serial(self));
    return own != 0 && own != w->job->serial ? Qtrue : Qfalse;
}

/* [GVL] Raises for a text whose length is no C int: Go copies it as one. */
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
    size_t len = (size_t)RSTRING_LEN(payload);
    tasker_request *r = malloc(sizeof *r + len);
    if (!r) rb_memerror();
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
    (void)unused;
    struct timespec t = {.tv_nsec = 1000 * 1000};
    nanosleep(&t, NULL);
    return NULL;
}

/* [GVL] A handler must not fill the memory by logging faster than Go does. */
static void await_room_for_notes(void)
{
    while (__atomic_load_n(&tasker_the_host.counters.note_bytes, __ATOMIC_RELAXED) > max_note_bytes) {
        rb_nogvl(pause_a_little, NULL, NULL, NULL, RB_NOGVL_INTR_FAIL);
        rb_thread_check_ints();
    }
}

/* [GVL] Tasker::Host.log(job_serial, text): sends Go a note. Returns false in a
 * child of this process, which has no host. */
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

/* [GVL] */
void tasker_request_init(void)
{
    rb_define_module_function(tasker_ruby.module, "request", host_request, 3);
    rb_define_module_function(tasker_ruby.module, "log", host_log, 2);
    rb_define_module_function(tasker_ruby.module, "job_serial", host_job_serial, 0);
    rb_define_module_function(tasker_ruby.module, "foreign?", host_foreign, 1);
    id_serial = rb_intern("@__tasker_serial");
}
