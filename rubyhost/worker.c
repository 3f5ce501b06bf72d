/*
 * The worker threads: Ruby threads that take jobs from the queue under the GVL
 * and sleep without it when there are none. Go says how many there are. A worker
 * that ends or is abandoned is replaced.
 */
#include "bridge_internal.h"

#include <ruby/thread.h>

static uint32_t wanted_workers;

/* [no GVL] */
static void *wait_for_work(void *arg)
{
    TASKER_NO_GVL;
    tasker_queue_wait(&tasker_the_host.queue, &((tasker_worker *)arg)->parker);
    return NULL;
}

/* [any] Ruby calls it to end the wait: the thread has an interrupt. */
static void stop_waiting(void *arg)
{
    TASKER_ANY;
    tasker_parker_interrupt(&tasker_the_host.queue, &((tasker_worker *)arg)->parker);
}

/* [GVL] Takes w off the list of workers and frees it. */
static void worker_gone(tasker_worker *w)
{
    TASKER_GVL;
    tasker_worker **at = &tasker_ruby.workers;
    while (*at != w) at = &(*at)->next;
    *at = w->next;
    tasker_queue_detach(&tasker_the_host.queue, &w->parker);
    tasker_worker_becomes(w, TASKER_WORKER_GONE);
    tasker_parker_destroy(&w->parker);
    tasker_free(w->out.data);
    tasker_free(w);
}

/* [GVL] Moves the thread out of the main thread's group before any handler can
 * freeze it. Returns false when the thread was told to die. */
static bool begin(tasker_worker *w)
{
    TASKER_GVL;
    int tag = 0;
    tasker_thread_set(rb_thread_current(), tasker_ruby.worker_key, w);
    w->group = rb_protect(tasker_own_group, w->thread, &tag);
    rb_set_errinfo(Qnil);
    if (w->state == TASKER_WORKER_BORN) tasker_worker_becomes(w, TASKER_WORKER_IDLE);
    return tag != tasker_tag_fatal;
}

/* [GVL] A worker thread's whole life. */
static VALUE worker_main(void *arg)
{
    TASKER_GVL;
    tasker_worker *w = arg;
    tasker_queue *q = &tasker_the_host.queue;
    tasker_ticker_spares(false); /* the native thread may have had another block */
    bool again = begin(w);
    while (again && !tasker_ruby.stopping && w->state == TASKER_WORKER_IDLE) {
        tasker_node *n = tasker_queue_pop(q, &w->parker);
        if (n) {
            again = tasker_job_perform(w, (tasker_job *)(void *)n);
            continue;
        }
        rb_nogvl(wait_for_work, w, stop_waiting, w, RB_NOGVL_INTR_FAIL);
        again = tasker_flush_interrupts();
    }
    tasker_thread_set(rb_thread_current(), tasker_ruby.worker_key, NULL);
    worker_gone(w);
    tasker_ring(); /* the supervisor starts another worker */
    return Qnil;
}

/* [GVL] Under rb_protect. */
static VALUE create_thread(VALUE arg)
{
    TASKER_GVL;
    tasker_worker *w = (tasker_worker *)arg;
    w->thread = rb_thread_create(worker_main, w);
    return Qnil;
}

/* [GVL] Under rb_protect. */
static void start_worker(void)
{
    TASKER_GVL;
    tasker_worker *w = tasker_alloc(sizeof *w);
    if (!w) tasker_no_memory("a worker thread");
    *w = (tasker_worker){0};
    tasker_parker_init(&w->parker);
    w->thread = w->group = w->segments = Qnil;
    w->next = tasker_ruby.workers;
    tasker_ruby.workers = w;
    tasker_queue_attach(&tasker_the_host.queue);
    COUNT(workers, 1);
    int tag = 0;
    rb_protect(create_thread, (VALUE)w, &tag);
    if (tag) {
        worker_gone(w);
        rb_jump_tag(tag);
    }
}

/* [GVL] Raises. The threads of the workers in some states, as an Array: any call
 * of a Ruby method may give the GVL away, and the list of workers changes then. */
static VALUE threads(tasker_worker_state one, tasker_worker_state other)
{
    TASKER_GVL;
    VALUE list = rb_ary_new();
    for (tasker_worker *w = tasker_ruby.workers; w; w = w->next)
        if (w->state == one || w->state == other) rb_ary_push(list, w->thread);
    return list;
}

/* [GVL] Under rb_protect: frees the workers whose thread was killed before its
 * first line, and so never ran worker_main. */
static void drop_never_begun(void)
{
    TASKER_GVL;
    VALUE list = threads(TASKER_WORKER_BORN, TASKER_WORKER_MARKED);
    for (long i = 0; i < RARRAY_LEN(list); i++) {
        VALUE thread = rb_ary_entry(list, i);
        if (tasker_is_alive(thread)) continue;
        tasker_worker *w = tasker_worker_on(thread);
        if (w) worker_gone(w);
    }
    RB_GC_GUARD(list);
}

/* [GVL] During a garbage collection. */
void tasker_workers_mark(void)
{
    TASKER_GVL;
    for (tasker_worker *w = tasker_ruby.workers; w; w = w->next) {
        rb_gc_mark(w->thread);
        rb_gc_mark(w->group);
        rb_gc_mark(w->segments);
    }
}

/* [GVL] */
tasker_worker *tasker_worker_here(void)
{
    TASKER_GVL;
    VALUE me = rb_thread_current();
    return tasker_has_thread_keys ? tasker_thread_get(me, tasker_ruby.worker_key) : tasker_worker_on(me);
}

/* [GVL] Any object may be asked for, also a Thread that was never started. So it
 * does not look into the thread. */
tasker_worker *tasker_worker_on(VALUE thread)
{
    TASKER_GVL;
    for (tasker_worker *w = tasker_ruby.workers; w; w = w->next)
        if (w->thread == thread) return w;
    return NULL;
}

/* [GVL] */
tasker_worker *tasker_worker_of(uint64_t serial)
{
    TASKER_GVL;
    for (tasker_worker *w = tasker_ruby.workers; w; w = w->next)
        if (w->job && w->job->serial == serial) return w;
    return NULL;
}

/* [GVL] Under rb_protect. */
static VALUE start_protected(VALUE unused)
{
    TASKER_GVL;
    start_worker();
    return unused;
}

/* [GVL] Under rb_protect: starts the workers that are missing. When the system
 * has no thread for one, this raises once; the supervisor tries again later. */
VALUE tasker_workers_fill_up(VALUE unused)
{
    TASKER_GVL;
    (void)unused;
    drop_never_begun();
    uint64_t *short_of = &tasker_the_host.counters.short_of_threads;
    while (!tasker_ruby.stopping && __atomic_load_n(&tasker_the_host.counters.workers, __ATOMIC_RELAXED) < wanted_workers) {
        int tag = 0;
        rb_protect(start_protected, Qnil, &tag);
        if (tag && !__atomic_exchange_n(short_of, 1, __ATOMIC_RELAXED)) rb_jump_tag(tag);
        if (tag) {
            rb_set_errinfo(Qnil);
            return Qnil;
        }
        COUNT(respawns, 1);
    }
    __atomic_store_n(short_of, 0, __ATOMIC_RELAXED);
    return Qnil;
}

/* [GVL] Under rb_protect: interrupts the abandoned threads once more. They may
 * have reached code that can be interrupted. */
VALUE tasker_workers_interrupt_abandoned(VALUE unused)
{
    TASKER_GVL;
    VALUE list = threads(TASKER_WORKER_ABANDONED, TASKER_WORKER_ABANDONED);
    for (long i = 0; i < RARRAY_LEN(list); i++) tasker_raise_again_in(rb_ary_entry(list, i));
    RB_GC_GUARD(list);
    return unused;
}

/* [GVL] Under rb_protect: waits until every worker has left, except the
 * abandoned ones. A worker that leaves rings the bell. */
VALUE tasker_workers_join(VALUE unused)
{
    TASKER_GVL;
    int64_t ns = 1000 * 1000 * 1000; /* a thread that was killed before its first line rings no bell */
    for (;;) {
        drop_never_begun();
        tasker_worker *w = tasker_ruby.workers;
        while (w && w->state == TASKER_WORKER_ABANDONED) w = w->next;
        if (!w) return unused;
        tasker_wait_for_bell((VALUE)&ns);
    }
}

/* [GVL] Under rb_protect. */
void tasker_workers_start(uint32_t wanted)
{
    TASKER_GVL;
    wanted_workers = wanted;
    tasker_guard_main_group(tasker_own_group(rb_thread_current()));
    for (uint32_t i = 0; i < wanted; i++) start_worker();
}
