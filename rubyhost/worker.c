/*
 * The worker threads: Ruby threads that take jobs from the queue under the GVL
 * and sleep without it when there are none. There are as many as Go wants; one
 * that is lost or given up is replaced.
 */
#include "bridge_internal.h"

#include <ruby/thread.h>
#include <stdlib.h>

static uint32_t wanted_workers;
static ID id_alive, id_join;

/* [no GVL] */
static void *wait_for_work(void *arg)
{
    tasker_queue_wait(&tasker_the_host.queue, &((tasker_worker *)arg)->parker);
    return NULL;
}

/* [any] Ruby wants the waiting worker back. */
static void stop_waiting(void *arg)
{
    tasker_parker_interrupt(&tasker_the_host.queue, &((tasker_worker *)arg)->parker);
}

/* [GVL] Takes w off the list and frees it. Whoever waits is told. */
void tasker_worker_gone(tasker_worker *w)
{
    tasker_worker **at = &tasker_ruby.workers;
    while (*at != w) at = &(*at)->next;
    *at = w->next;
    tasker_queue_detach(&tasker_the_host.queue, &w->parker);
    if (w->written_off) COUNT(written_off, -1);
    else COUNT(workers, -1);
    tasker_parker_destroy(&w->parker);
    free(w->out.data);
    free(w);
    tasker_ring();
}

/* [GVL] A worker thread's whole life. */
static VALUE worker_main(void *arg)
{
    tasker_worker *w = arg;
    tasker_queue *q = &tasker_the_host.queue;
    while (!tasker_ruby.stopping && !w->written_off) {
        tasker_node *n = tasker_queue_pop(q, &w->parker);
        if (n) {
            if (!tasker_job_perform(w, (tasker_job *)(void *)n)) break;
            continue;
        }
        rb_nogvl(wait_for_work, w, stop_waiting, w, RB_NOGVL_INTR_FAIL);
        if (!tasker_flush_interrupts()) break;
    }
    tasker_worker_gone(w);
    return Qnil;
}

/* [GVL] Under rb_protect. */
static VALUE create_thread(VALUE arg)
{
    tasker_worker *w = (tasker_worker *)arg;
    w->thread = rb_thread_create(worker_main, w);
    return Qnil;
}

/* [GVL] Under rb_protect. */
static void start_worker(void)
{
    tasker_worker *w = calloc(1, sizeof *w);
    if (!w) rb_memerror();
    tasker_parker_init(&w->parker);
    w->thread = w->segments = Qnil;
    w->next = tasker_ruby.workers;
    tasker_ruby.workers = w;
    tasker_queue_attach(&tasker_the_host.queue);
    COUNT(workers, 1);
    int tag = 0;
    rb_protect(create_thread, (VALUE)w, &tag);
    if (tag) {
        tasker_worker_gone(w);
        rb_jump_tag(tag);
    }
}

/* [GVL] Under rb_protect: a thread killed before its first line never left. */
static void bury_unborn(void)
{
    for (tasker_worker *w = tasker_ruby.workers, *next; w; w = next) {
        next = w->next;
        if (!RTEST(rb_funcall(w->thread, id_alive, 0))) tasker_worker_gone(w);
    }
}

void tasker_workers_mark(void)
{
    for (tasker_worker *w = tasker_ruby.workers; w; w = w->next) {
        rb_gc_mark(w->thread);
        rb_gc_mark(w->segments);
    }
}

/* [GVL] The worker that runs job `serial` at this moment, or NULL. */
tasker_worker *tasker_worker_of(uint64_t serial)
{
    for (tasker_worker *w = tasker_ruby.workers; w; w = w->next)
        if (w->job && w->job->serial == serial) return w;
    return NULL;
}

/* [GVL] Under rb_protect: as many workers as there should be. */
VALUE tasker_workers_fill_up(VALUE unused)
{
    (void)unused;
    bury_unborn();
    while (!tasker_ruby.stopping && __atomic_load_n(&tasker_the_host.counters.workers, __ATOMIC_RELAXED) < wanted_workers) {
        start_worker();
        COUNT(respawns, 1);
    }
    return Qnil;
}

/* [GVL] Under rb_protect: waits until every worker has left. */
VALUE tasker_workers_join(VALUE unused)
{
    (void)unused;
    while (tasker_ruby.workers) rb_funcall(tasker_ruby.workers->thread, id_join, 0);
    return Qnil;
}

void tasker_workers_start(uint32_t wanted)
{
    id_alive = rb_intern("alive?");
    id_join = rb_intern("join");
    wanted_workers = wanted;
    for (uint32_t i = 0; i < wanted; i++) start_worker();
}
