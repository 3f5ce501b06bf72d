/*
 * How long threads wait for the GVL, and whether one waits now. CRuby says so
 * since 3.3 (ruby_versions.h); before, the counters stay 0, and the ticker takes
 * every awake thread for one that may want to compute.
 *
 * CRuby calls the listener at each release and take of the GVL, while it holds a
 * lock of its own, on any native thread, and also in forked children. So it only
 * changes words, and reads the clock when a thread has to wait.
 */
#include "bridge_internal.h"

static tasker_thread_key since_key; /* since when the thread has waited, ns; or free */
static uint32_t waiting;            /* atomic: threads that want the GVL and have not got it */
static uint32_t held;               /* atomic: some thread has the GVL */

/* The thread wants the GVL while nobody has it, or wants it. */
static char free_gvl;

/* [any] Under CRuby's lock: the events of the GVL come one after the other. The
 * main Ractor's, that is: each other Ractor has a lock of its own, so while some
 * run, the counters are not exact. A thread waits once, whatever comes when. */
static void on_event(rb_event_flag_t event, const tasker_gvl_event *e, void *unused)
{
    (void)unused;
    if (event == tasker_gvl_left_by) {
        __atomic_store_n(&held, 0, __ATOMIC_RELAXED);
        return;
    }
    char *since = tasker_thread_get(e->thread, since_key);
    if (event == tasker_gvl_wanted_by) {
        if (since) return;
        bool waits = __atomic_fetch_add(&waiting, 1, __ATOMIC_RELAXED) > 0 || __atomic_load_n(&held, __ATOMIC_RELAXED);
        tasker_thread_set(e->thread, since_key, waits ? (char *)(intptr_t)tasker_now() : &free_gvl);
        return;
    }
    __atomic_store_n(&held, 1, __ATOMIC_RELAXED);
    if (!since) return;
    tasker_thread_set(e->thread, since_key, NULL);
    __atomic_fetch_sub(&waiting, 1, __ATOMIC_RELAXED);
    if (since == &free_gvl) return;
    COUNT(gvl_waits, 1);
    COUNT(gvl_waited_ns, tasker_now() - (int64_t)(intptr_t)since);
}

/* [any] */
bool tasker_gvl_is_wanted(uint64_t may_compute)
{
    TASKER_ANY;
    return tasker_has_gvl_events ? __atomic_load_n(&waiting, __ATOMIC_RELAXED) > 0 : may_compute > 1;
}

/* [GVL] Raises. On the main thread, as long as it is the only one. */
void tasker_gvl_init(void)
{
    TASKER_GVL;
    since_key = tasker_thread_key_new();
    held = 1; /* by this thread */
    tasker_gvl_hook(on_event);
}
