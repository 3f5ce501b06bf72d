/*
 * The main Ruby thread after boot. It waits without the GVL for what Go asks
 * (interrupt, kill, abandon, ping, stop), and replaces the workers that are gone.
 */
#include "bridge_internal.h"

#include <ruby/thread.h>
#include <stdlib.h>
#include <string.h>

typedef struct control {
    tasker_node node;
    uint32_t what;
    uint64_t serial;
} control;

/* What Go asks is on an atomic stack. The bell wakes the main thread. */
static tasker_node *controls;
static pthread_mutex_t bell_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t bell;
static bool bell_rung, bell_interrupted;

static ID id_raise, id_kill;
static VALUE interrupt_class;

/* [any] */
void tasker_ring(void)
{
    pthread_mutex_lock(&bell_lock);
    bell_rung = true;
    pthread_cond_signal(&bell);
    pthread_mutex_unlock(&bell_lock);
}

/* [any] */
bool tasker_control(uint32_t what, uint64_t serial)
{
    control *c = malloc(sizeof *c);
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

/* [no GVL] Waits until the bell rings; if *again, for retry_ns at most. */
static void *wait_for_bell(void *again)
{
    struct timespec t;
    tasker_after(&t, retry_ns);
    int err = 0;
    pthread_mutex_lock(&bell_lock);
    while (!bell_rung && !bell_interrupted && err == 0)
        err = *(bool *)again ? pthread_cond_timedwait(&bell, &bell_lock, &t) : pthread_cond_wait(&bell, &bell_lock);
    bell_rung = bell_interrupted = false;
    pthread_mutex_unlock(&bell_lock);
    return NULL;
}

/* [any] Ruby calls it to end the wait: the thread has an interrupt. */
static void interrupt_bell(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&bell_lock);
    bell_interrupted = true;
    pthread_cond_signal(&bell);
    pthread_mutex_unlock(&bell_lock);
}

/* [GVL] Under rb_protect: does what Go asked for. */
static VALUE obey(VALUE arg)
{
    control *c = (control *)arg;
    tasker_worker *w = tasker_worker_of(c->serial);
    switch (c->what) {
    case TASKER_RAISE:
        if (w) rb_funcall(w->thread, id_raise, 1, interrupt_class);
        break;
    case TASKER_KILL:
        /* To kill a thread twice has no effect. A raise ends the wait of an
         * ensure block. */
        if (w && w->killed) {
            rb_funcall(w->thread, id_raise, 1, interrupt_class);
        } else if (w) {
            w->killed = w->replace = true;
            rb_funcall(w->thread, id_kill, 0);
        }
        break;
    case TASKER_ABANDON:
        if (w && !w->abandoned) {
            w->abandoned = true;
            COUNT(workers, -1);
            COUNT(abandoned, 1);
        }
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

/* [GVL] Under rb_protect: sends Go a one-line report. */
static VALUE note_report(VALUE exception)
{
    VALUE report = rb_funcall(tasker_ruby.module, rb_intern("stray"), 1, exception);
    StringValue(report);
    tasker_post_note(TASKER_NOTE_STRAY, 0, RSTRING_PTR(report), (size_t)RSTRING_LEN(report));
    RB_GC_GUARD(report);
    return Qnil;
}

/* [GVL] Sends Go the exception that reached the main thread. Go logs it. */
static void note_stray(int tag)
{
    VALUE e = rb_errinfo();
    rb_set_errinfo(Qnil);
    int again = 1;
    bool raised = tag == tasker_tag_raise && RTEST(rb_obj_is_kind_of(e, tasker_ruby.exception));
    if (raised) rb_protect(note_report, e, &again);
    rb_set_errinfo(Qnil);
    if (!again) return;
    const char *class = raised ? rb_obj_classname(e) : "a jump";
    tasker_post_note(TASKER_NOTE_STRAY, 0, class, strlen(class));
}

/* [GVL] */
void tasker_protect_and_note(VALUE (*f)(VALUE), VALUE arg)
{
    int tag = 0;
    rb_protect(f, arg, &tag);
    if (tag) note_stray(tag);
}

/* [GVL] Runs until Go says stop. */
void tasker_supervise(void)
{
    int64_t interrupted = 0; /* when the abandoned threads were interrupted last */
    while (!tasker_ruby.stopping) {
        tasker_node *n = tasker_stack_take(&controls);
        while (n) {
            tasker_node *next = n->next;
            tasker_protect_and_note(obey, (VALUE)n);
            free(n);
            n = next;
        }
        tasker_protect_and_note(tasker_workers_fill_up, Qnil);
        if (tasker_ruby.stopping) return;
        bool any_abandoned = __atomic_load_n(&tasker_the_host.counters.abandoned, __ATOMIC_RELAXED) > 0 ||
                             __atomic_load_n(&tasker_the_host.counters.threads_abandoned, __ATOMIC_RELAXED) > 0;
        bool again = any_abandoned || __atomic_load_n(&tasker_the_host.counters.short_of_threads, __ATOMIC_RELAXED) > 0;
        if (any_abandoned && tasker_now() - interrupted > retry_ns) {
            tasker_protect_and_note(tasker_workers_interrupt_abandoned, interrupt_class);
            tasker_protect_and_note(tasker_step_threads_pursue, Qnil);
            interrupted = tasker_now();
        }
        rb_nogvl(wait_for_bell, &again, interrupt_bell, NULL, RB_NOGVL_INTR_FAIL);
        tasker_protect_and_note(tasker_check_interrupts, Qnil);
    }
}

/* [GVL] Under rb_protect. */
void tasker_supervisor_loaded(void)
{
    id_raise = rb_intern("raise");
    id_kill = rb_intern("kill");
    rb_gc_register_mark_object(interrupt_class = rb_path2class("Tasker::Host::Interrupt"));
    tasker_monotonic_cond(&bell);
}
