/*
 * The main Ruby thread after boot. It waits without the GVL for what Go asks
 * (interrupt, kill, abandon, ping, stop), and replaces the workers that are gone.
 * It runs no Ruby code, which a handler could have changed: see captured.c.
 */
#include "bridge_internal.h"

#include <ruby/thread.h>
#include <string.h>

typedef struct control {
    tasker_node node;
    uint32_t what;
    uint64_t serial;
} control;

/* What Go asks is on an atomic stack. The bell wakes the main thread. */
static tasker_node *controls;
static tasker_bell bell;

/* [any] */
void tasker_ring(void)
{
    TASKER_ANY;
    tasker_bell_ring(&bell);
}

/* [any] */
bool tasker_control(uint32_t what, uint64_t serial)
{
    TASKER_ANY;
    control *c = tasker_alloc(sizeof *c);
    if (!c) return false;
    c->what = what;
    c->serial = serial;
    tasker_stack_push(&controls, &c->node);
    tasker_ring();
    return true;
}

/* After how long a failed start of a worker, or an interrupt of abandoned
 * threads, is repeated. */
static const int64_t retry_ns = 500 * 1000 * 1000;

struct wait {
    int64_t ns;
    bool began;
};

/* [no GVL] */
static void *wait_for_bell(void *arg)
{
    TASKER_NO_GVL;
    struct wait *wait = arg;
    wait->began = true;
    tasker_bell_wait(&bell, wait->ns);
    return NULL;
}

/* [GVL] Under rb_protect. Without RB_NOGVL_UBF_ASYNC_SAFE CRuby starts a thread
 * to end this wait whenever the main thread is the only one. CRuby does not begin
 * a wait while interrupts are due. */
VALUE tasker_wait_for_bell(VALUE arg)
{
    TASKER_GVL;
    struct wait wait = {.ns = *(int64_t *)arg};
    rb_nogvl(wait_for_bell, &wait, tasker_bell_interrupt, &bell, RB_NOGVL_INTR_FAIL | RB_NOGVL_UBF_ASYNC_SAFE);
    tasker_bell_reset(&bell);
    if (!wait.began || rb_thread_interrupted(rb_thread_current())) rb_thread_check_ints();
    return Qnil;
}

/* [GVL] Under rb_protect. To kill a thread twice has no effect. The kill is in
 * the thread's queue before the state says so, and rb_thread_kill does not give
 * the GVL away. */
static void kill_worker(tasker_worker *w)
{
    TASKER_GVL;
    rb_thread_kill(w->thread);
    tasker_worker_becomes(w, TASKER_WORKER_KILLED);
}

struct raise {
    VALUE thread, interrupt;
};

/* [GVL] Under rb_protect. */
static VALUE raise_protected(VALUE arg)
{
    TASKER_GVL;
    struct raise *r = (struct raise *)arg;
    tasker_raise_in(r->thread, r->interrupt);
    return Qnil;
}

/* [GVL] Under rb_protect. Thread#raise may give the GVL away before the interrupt
 * is in the thread's queue: CRuby looks at the interrupts of the calling thread
 * whenever a function of C returns. So the worker is aimed at meanwhile. If its
 * job ends before the interrupt has come, it takes no other job (job.c). */
static void aim(tasker_worker *w, VALUE interrupt)
{
    TASKER_GVL;
    struct raise r = {w->thread, interrupt};
    int tag = 0;
    w->aimed_at = true;
    rb_protect(raise_protected, (VALUE)&r, &tag);
    w = tasker_worker_on(r.thread); /* it may be gone */
    if (w) w->aimed_at = false;
    RB_GC_GUARD(r.thread);
    RB_GC_GUARD(r.interrupt);
    if (tag) rb_jump_tag(tag);
}

/* [GVL] Under rb_protect: raises Interrupt in the thread of a job, or kills that
 * thread. A raise after the kill ends the wait of an ensure block. */
static void stop_job(uint64_t serial, bool kill)
{
    TASKER_GVL;
    VALUE interrupt = tasker_new_interrupt(); /* comes first: it may give the GVL away */
    tasker_worker *w = tasker_worker_of(serial);
    if (!w) return;
    if (kill && w->state < TASKER_WORKER_KILLED) kill_worker(w);
    else aim(w, interrupt);
}

/* [GVL] Under rb_protect: tells Go where the thread is. */
static void note_place(VALUE thread, uint64_t serial)
{
    TASKER_GVL;
    VALUE lines = tasker_backtrace_of(thread);
    static tasker_line text; /* of this thread alone */
    text.len = 0;
    for (long i = 0; RB_TYPE_P(lines, T_ARRAY) && i < RARRAY_LEN(lines); i++) {
        tasker_append_string(&text, rb_ary_entry(lines, i));
        tasker_append(&text, "\n", 1);
    }
    tasker_post_note(TASKER_NOTE_STUCK, serial, text.text, text.len);
    RB_GC_GUARD(lines);
}

/* [GVL] Under rb_protect. The state comes first: the backtrace may give the GVL away. */
static void abandon(uint64_t serial)
{
    TASKER_GVL;
    tasker_worker *w = tasker_worker_of(serial);
    if (!w || w->state == TASKER_WORKER_ABANDONED) return;
    VALUE thread = w->thread;
    tasker_worker_becomes(w, TASKER_WORKER_ABANDONED);
    note_place(thread, serial);
    RB_GC_GUARD(thread);
}

/* [GVL] Under rb_protect: does what Go asked for. */
static VALUE obey(VALUE arg)
{
    TASKER_GVL;
    control *c = (control *)arg;
    switch (c->what) {
    case TASKER_RAISE:
    case TASKER_KILL:
        stop_job(c->serial, c->what == TASKER_KILL);
        break;
    case TASKER_ABANDON:
        abandon(c->serial);
        break;
    case TASKER_PING:
        tasker_post_note(TASKER_NOTE_PONG, c->serial, NULL, 0);
        break;
    case TASKER_STOP:
        tasker_ruby.stopping = true;
        break;
    }
    return Qnil;
}

/* [GVL] Sends Go the exception that reached the main thread. Go logs it. */
static void note_stray(int tag)
{
    TASKER_GVL;
    static struct tasker_description d; /* of this thread alone; large for its stack */
    int ignored = 0;
    VALUE exception = d.exception = rb_errinfo();
    d.line.len = 0;
    rb_set_errinfo(Qnil);
    if (tag == tasker_tag_raise && RTEST(rb_obj_is_kind_of(d.exception, tasker_ruby.exception)))
        rb_protect(tasker_describe, (VALUE)&d, &ignored);
    rb_set_errinfo(Qnil);
    if (d.line.len) tasker_post_note(TASKER_NOTE_STRAY, 0, d.line.text, d.line.len);
    else tasker_post_note(TASKER_NOTE_STRAY, 0, "a jump", strlen("a jump"));
    RB_GC_GUARD(exception);
}

/* [GVL] */
void tasker_protect_and_note(VALUE (*f)(VALUE), VALUE arg)
{
    TASKER_GVL;
    int tag = 0;
    rb_protect(f, arg, &tag);
    if (tag) note_stray(tag);
}

/* [GVL] */
static void obey_all(void)
{
    TASKER_GVL;
    tasker_node *n = tasker_stack_take(&controls);
    while (n) {
        tasker_node *next = n->next;
        tasker_protect_and_note(obey, (VALUE)n);
        tasker_free(n);
        n = next;
    }
}

/* [GVL] Runs until Go says stop. */
void tasker_supervise(void)
{
    TASKER_GVL;
    int64_t interrupted = 0; /* when the abandoned threads were interrupted last */
    while (!tasker_ruby.stopping) {
        obey_all();
        tasker_protect_and_note(tasker_workers_fill_up, Qnil);
        if (tasker_ruby.stopping) return;
        bool any_abandoned = __atomic_load_n(&tasker_the_host.counters.abandoned, __ATOMIC_RELAXED) > 0 ||
                             __atomic_load_n(&tasker_the_host.counters.threads_abandoned, __ATOMIC_RELAXED) > 0;
        bool again = any_abandoned || __atomic_load_n(&tasker_the_host.counters.short_of_threads, __ATOMIC_RELAXED) > 0;
        if (any_abandoned && tasker_now() - interrupted > retry_ns) {
            tasker_protect_and_note(tasker_workers_interrupt_abandoned, Qnil);
            tasker_protect_and_note(tasker_step_threads_pursue, Qnil);
            interrupted = tasker_now();
        }
        int64_t ns = again ? retry_ns : 0;
        tasker_protect_and_note(tasker_wait_for_bell, (VALUE)&ns);
    }
}
