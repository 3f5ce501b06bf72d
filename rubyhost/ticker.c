/*
 * The fairness ticker: a C thread that never touches Ruby.
 *
 * CRuby lets a thread compute for 100 ms before another gets the GVL. While a
 * worker is awake and another thread of any kind waits for the GVL, the ticker
 * asks the running one to give way every 5 ms. An older CRuby does not say who
 * waits (gvl.c): there it asks when another thread may compute. It does so more
 * often when handlers and gems have started many threads, as long as they compete
 * for the GVL, so that a turn comes round soon. When jobs stay in the queue while every awake worker
 * waits for I/O, it wakes another worker (a rescue). With nothing to do it sleeps.
 */
#include "bridge_internal.h"

#include <ruby/thread.h>
#include <time.h>

static const int64_t tick_ns = 5 * 1000 * 1000;
/* With many threads: how long a round of turns should take, and the shortest turn. */
static const int64_t round_ns = 20 * 1000 * 1000, shortest_tick_ns = 100 * 1000;
/* A thread that gave way and then waited longer for the GVL has competitors. */
static const int64_t competed_ns = 50 * 1000;
/* How soon a rescue looks at the queue: sooner while rescues find jobs. */
static const int64_t rescue_min_ns = 200 * 1000, rescue_max_ns = 1000 * 1000;

static pthread_mutex_t tick_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t tick_cond;
static bool tick_watch; /* under tick_lock: a rescue is wanted soon */
#define tick_asleep (tasker_the_host.ticker_asleep)

static int64_t waited_ns; /* atomic: how long the last thread that gave way waited for the GVL */

/* [any] */
void tasker_ticker_competes(void)
{
    TASKER_ANY;
    __atomic_store_n(&waited_ns, competed_ns, __ATOMIC_RELAXED);
}

/* [any] Threads that handlers and gems have started, computing or not. */
static uint64_t other_threads(void)
{
    TASKER_ANY;
    return __atomic_load_n(&tasker_the_host.counters.threads, __ATOMIC_RELAXED);
}

/* [any] How long the thread that computes may go on. Threads that sleep, such as
 * those of a pool, do not make it shorter. */
static int64_t tick_length(void)
{
    TASKER_ANY;
    uint64_t others = other_threads();
    if (!others || __atomic_load_n(&waited_ns, __ATOMIC_RELAXED) < competed_ns) return tick_ns;
    int64_t ns = round_ns / (int64_t)(others + __atomic_load_n(&tasker_the_host.queue.active, __ATOMIC_RELAXED));
    if (ns > tick_ns) return tick_ns;
    return ns < shortest_tick_ns ? shortest_tick_ns : ns;
}

/* [no GVL] */
static void *give_way(void *slept_until)
{
    TASKER_NO_GVL;
    struct timespec t = {.tv_nsec = 50 * 1000};
    nanosleep(&t, NULL);
    *(int64_t *)slept_until = tasker_now();
    return NULL;
}

/* [GVL] Whether the thread that was asked to give way may go on: a worker has a
 * turn of tick_ns also while the turns of other threads are shorter. Otherwise a
 * short call would be cut in two, and wait for one more round. */
static bool may_go_on(void)
{
    TASKER_GVL;
    static VALUE asked; /* only compared: the thread that was asked last */
    static int64_t since;
    VALUE me = rb_thread_current();
    int64_t now = tasker_now();
    if (asked != me) since = now;
    asked = me;
    if (tasker_worker_here() && now - since < tick_ns - tick_length()) return true;
    asked = 0;
    return false;
}

/* Whether this thread's block is over, and it only ends. For the time of a postponed
 * job CRuby empties the thread's error, and a join that looked meanwhile would return
 * as if the thread had ended well. */
static _Thread_local bool spared;

/* [any] Says whether this thread is to be asked to yield. CRuby uses native threads
 * again, so what begins on one says so. */
void tasker_ticker_spares(bool this_thread)
{
    spared = this_thread;
}

/* [GVL] A postponed job of Ruby's: it runs between two bytecodes of the thread
 * that computes. */
static void yield_job(void *unused)
{
    TASKER_GVL;
    (void)unused;
    int64_t slept_until = 0;
    if (spared || may_go_on()) return;
    COUNT(yields, 1);
    rb_nogvl(give_way, &slept_until, NULL, NULL, RB_NOGVL_INTR_FAIL);
    if (slept_until) __atomic_store_n(&waited_ns, tasker_now() - slept_until, __ATOMIC_RELAXED);
}

static tasker_postponed yield_postponed;

/* [GVL] */
void tasker_ticker_prepare(void)
{
    TASKER_GVL;
    yield_postponed = tasker_postponed_new(yield_job);
}

/* [any] */
void tasker_after(struct timespec *t, int64_t ns)
{
    clock_gettime(CLOCK_MONOTONIC, t);
    ns = t->tv_nsec + (ns > 0 ? ns : 0);
    t->tv_sec += ns / 1000000000;
    t->tv_nsec = (long)(ns % 1000000000);
}

/* [any] */
void tasker_monotonic_cond(pthread_cond_t *cond)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

/* [any] The ticker's thread. It is not Ruby's and never touches a VALUE. */
static void *ticker(void *unused)
{
    (void)unused;
    tasker_queue *q = &tasker_the_host.queue;
    uint64_t seen = 0;
    int64_t rescue_ns = rescue_min_ns, next = tasker_now() + tick_ns;
    pthread_mutex_lock(&tick_lock);
    while (!__atomic_load_n(&q->closed, __ATOMIC_RELAXED)) {
        struct timespec t;
        if (tick_watch) {
            tick_watch = false;
            pthread_mutex_unlock(&tick_lock);
            struct timespec pause = {.tv_nsec = rescue_ns};
            nanosleep(&pause, NULL);
            rescue_ns = tasker_queue_rescue(q) ? rescue_min_ns : rescue_ns * 2;
            if (rescue_ns > rescue_max_ns) rescue_ns = rescue_max_ns;
            pthread_mutex_lock(&tick_lock);
        } else {
            tasker_after(&t, next - tasker_now());
            pthread_cond_timedwait(&tick_cond, &tick_lock, &t);
        }
        if (tasker_now() < next) continue;
        next = tasker_now() + tick_length();
        uint32_t awake = __atomic_load_n(&q->active, __ATOMIC_RELAXED);
        uint64_t jobs = __atomic_load_n(&tasker_the_host.counters.jobs, __ATOMIC_RELAXED);
        if (awake > 0 && tasker_gvl_is_wanted(awake + other_threads())) tasker_postponed_ask(yield_postponed);
        if (__atomic_load_n(&q->pending, __ATOMIC_RELAXED) > 0) {
            tasker_queue_rescue(q);
        } else if (awake == 0 && jobs == seen) {
            __atomic_store_n(&tick_asleep, 1, __ATOMIC_SEQ_CST);
            if (__atomic_load_n(&q->pending, __ATOMIC_SEQ_CST) == 0 && !tick_watch)
                pthread_cond_wait(&tick_cond, &tick_lock);
            __atomic_store_n(&tick_asleep, 0, __ATOMIC_SEQ_CST);
        }
        seen = jobs;
    }
    pthread_mutex_unlock(&tick_lock);
    return NULL;
}

/* [any] */
void tasker_ticker_wake(bool watch)
{
    pthread_mutex_lock(&tick_lock);
    if (watch) tick_watch = true;
    pthread_cond_signal(&tick_cond);
    pthread_mutex_unlock(&tick_lock);
}

/* [any] */
int tasker_ticker_start(void)
{
    tasker_monotonic_cond(&tick_cond);
    return tasker_start_thread(ticker, 256 << 10);
}
