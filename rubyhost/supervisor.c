/*
 * The main Ruby thread after boot: it waits without the GVL for what Go asks
 * (interrupt, kill, give up, ping, stop), and keeps the workers complete.
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

/* What Go asks: an atomic stack, and a bell. */
static tasker_node *controls;
static pthread_mutex_t bell_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t bell = PTHREAD_COND_INITIALIZER;
static bool bell_rung, bell_interrupted;

static ID id_raise, id_kill, id_interrupt;

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

/* [no GVL] */
static void *wait_for_bell(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&bell_lock);
    while (!bell_rung && !bell_interrupted) pthread_cond_wait(&bell, &bell_lock);
    bell_rung = bell_interrupted = false;
    pthread_mutex_unlock(&bell_lock);
    return NULL;
}

/* [any] */
static void interrupt_bell(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&bell_lock);
    bell_interrupted = true;
    pthread_cond_signal(&bell);
    pthread_mutex_unlock(&bell_lock);
}

/* [GVL] Under rb_protect: does what Go asked. */
static VALUE obey(VALUE arg)
{
    control *c = (control *)arg;
    tasker_worker *w = tasker_worker_of(c->serial);
    switch (c->what) {
    case TASKER_RAISE:
        if (w) rb_funcall(w->thread, id_raise, 1, rb_const_get(tasker_ruby.module, id_interrupt));
        break;
    case TASKER_KILL:
        if (w) rb_funcall(w->thread, id_kill, 0);
        break;
    case TASKER_WRITE_OFF:
        if (w && !w->written_off) {
            w->written_off = true;
            COUNT(workers, -1);
            COUNT(written_off, 1);
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

/* [GVL] An exception has no business on the main thread; Go logs it. */
static void note_stray(void)
{
    VALUE e = rb_errinfo();
    rb_set_errinfo(Qnil);
    const char *class = RB_SPECIAL_CONST_P(e) ? "a jump" : rb_obj_classname(e);
    tasker_post_note(TASKER_NOTE_STRAY, 0, class, strlen(class));
}

void tasker_protect_and_note(VALUE (*f)(VALUE), VALUE arg)
{
    int tag = 0;
    rb_protect(f, arg, &tag);
    if (tag) note_stray();
}

/* [GVL] Until Go says stop. */
void tasker_supervise(void)
{
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
        rb_nogvl(wait_for_bell, NULL, interrupt_bell, NULL, RB_NOGVL_INTR_FAIL);
        tasker_protect_and_note(tasker_check_interrupts, Qnil);
    }
}

void tasker_supervisor_init(void)
{
    id_raise = rb_intern("raise");
    id_kill = rb_intern("kill");
    id_interrupt = rb_intern("Interrupt");
}
