#include "queue.h"

#include <sched.h>
#include <time.h>

/* When a job has waited this long although workers are awake, they wait for
 * something other than the GVL. One more worker is woken. */
static const int64_t stale_ns = 50 * 1000;

#define LOAD(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define STORE(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define ADD(p, v) __atomic_add_fetch((p), (v), __ATOMIC_SEQ_CST)

int64_t tasker_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

bool tasker_stack_push(tasker_node **top, tasker_node *n)
{
    tasker_node *old = __atomic_load_n(top, __ATOMIC_RELAXED);
    do {
        n->next = old;
    } while (!__atomic_compare_exchange_n(top, &old, n, true, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
    return old == NULL;
}

tasker_node *tasker_stack_take(tasker_node **top)
{
    tasker_node *newest = __atomic_exchange_n(top, NULL, __ATOMIC_SEQ_CST);
    tasker_node *oldest = NULL;
    while (newest) {
        tasker_node *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

void tasker_queue_init(tasker_queue *q, int64_t spin_ns)
{
    *q = (tasker_queue){.spin_ns = spin_ns};
    pthread_mutex_init(&q->lock, NULL);
}

void tasker_parker_init(tasker_parker *p)
{
    *p = (tasker_parker){.below = NULL};
    pthread_cond_init(&p->cond, NULL);
}

void tasker_parker_destroy(tasker_parker *p)
{
    pthread_cond_destroy(&p->cond);
}

void tasker_queue_attach(tasker_queue *q)
{
    ADD(&q->attached, 1);
    ADD(&q->active, 1);
}

static bool take_token(tasker_queue *q)
{
    uint32_t none = 0;
    return __atomic_compare_exchange_n(&q->searching, &none, 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static void drop_token(tasker_queue *q, tasker_parker *p)
{
    p->has_token = false;
    STORE(&q->searching, 0);
}

void tasker_queue_detach(tasker_queue *q, tasker_parker *p)
{
    ADD(&q->active, (uint32_t)-1);
    ADD(&q->attached, (uint32_t)-1);
    if (p->has_token) drop_token(q, p);
}

/* Takes p off the idle stack if it is there. Under lock. */
static void unpark(tasker_queue *q, tasker_parker *p)
{
    if (!p->parked) return;
    tasker_parker **at = &q->idle_stack;
    while (*at != p) at = &(*at)->below;
    *at = p->below;
    p->parked = false;
    ADD(&q->idle, (uint32_t)-1);
    ADD(&q->active, 1);
}

/* Wakes the worker that parked last (its caches are warm) as the searcher. */
static void wake_one(tasker_queue *q)
{
    if (!take_token(q)) return;
    pthread_mutex_lock(&q->lock);
    tasker_parker *p = q->idle_stack;
    if (p) {
        unpark(q, p);
        p->woken = true;
        p->has_token = true;
        pthread_cond_signal(&p->cond);
    } else {
        /* A worker that is about to park checks pending once more after this. */
        STORE(&q->searching, 0);
    }
    pthread_mutex_unlock(&q->lock);
}

static bool stale(tasker_queue *q)
{
    return tasker_now() - LOAD(&q->last_pop) > stale_ns;
}

bool tasker_queue_submit(tasker_queue *q, tasker_node *n)
{
    tasker_stack_push(&q->inbox, n);
    ADD(&q->pending, 1);
    return tasker_queue_announce(q);
}

bool tasker_queue_announce(tasker_queue *q)
{
    if (LOAD(&q->searching)) return false; /* the searcher will see this job */
    uint32_t active = LOAD(&q->active);
    if (active > 0 && active >= LOAD(&q->attached)) return false; /* every worker is awake */
    if (active == 0 || stale(q)) {
        wake_one(q);
        return false;
    }
    return __atomic_exchange_n(&q->watch, 1, __ATOMIC_SEQ_CST) == 0;
}

bool tasker_queue_rescue(tasker_queue *q)
{
    STORE(&q->watch, 0);
    if (LOAD(&q->pending) <= 0 || LOAD(&q->idle) == 0 || !stale(q)) return false;
    wake_one(q);
    return true;
}

tasker_node *tasker_queue_pop(tasker_queue *q, tasker_parker *p)
{
    if (!q->head) q->head = tasker_stack_take(&q->inbox);
    tasker_node *n = q->head;
    if (n) {
        q->head = n->next;
        n->next = NULL;
        int64_t now = tasker_now();
        bool waited = now - q->last_pop > stale_ns;
        __atomic_store_n(&q->last_pop, now, __ATOMIC_RELAXED);
        int64_t left = ADD(&q->pending, -1);
        bool searched = p->has_token;
        if (searched) drop_token(q, p);
        /* This job waited although workers were awake, so the next one will
         * too: hand the search on. */
        if (searched && waited && left > 0 && LOAD(&q->idle) > 0) wake_one(q);
    } else if (p->has_token) {
        drop_token(q, p);
    }
    return n;
}

static bool must_return(tasker_queue *q, tasker_parker *p)
{
    return LOAD(&p->interrupted) || LOAD(&q->closed);
}

/* Spins as the one searcher. Returns true when there is a reason not to park. */
static bool search(tasker_queue *q, tasker_parker *p)
{
    if (q->spin_ns <= 0) return LOAD(&q->pending) > 0; /* a job may have come after the last pop */
    if (!p->has_token) {
        if (!take_token(q)) return false;
        p->has_token = true;
    }
    int64_t until = tasker_now() + q->spin_ns;
    for (uint32_t i = 1; LOAD(&q->pending) <= 0; i++) {
        if (must_return(q, p)) return true;
        if (i % 64 == 0) {
            if (tasker_now() > until) {
                drop_token(q, p);
                return LOAD(&q->pending) > 0;
            }
            sched_yield(); /* a submitting thread may need this processor */
        }
        tasker_relax();
    }
    return true; /* keeps the token until it has popped */
}

void tasker_queue_wait(tasker_queue *q, tasker_parker *p)
{
    ADD(&q->active, (uint32_t)-1);
    if (must_return(q, p) || search(q, p)) {
        ADD(&q->active, 1);
        STORE(&p->interrupted, 0);
        return;
    }
    if (p->has_token) drop_token(q, p);
    pthread_mutex_lock(&q->lock);
    p->woken = false;
    p->parked = true;
    p->below = q->idle_stack;
    q->idle_stack = p;
    ADD(&q->idle, 1);
    /* A submit that came before we parked may have counted on us. When other
     * workers are awake, they or the next rescue see to the job. */
    if (LOAD(&q->pending) > 0) {
        if (LOAD(&q->active) == 0 && !LOAD(&q->searching)) unpark(q, p);
    }
    while (p->parked && !p->woken && !must_return(q, p)) pthread_cond_wait(&p->cond, &q->lock);
    unpark(q, p);
    pthread_mutex_unlock(&q->lock);
    STORE(&p->interrupted, 0);
}

void tasker_parker_interrupt(tasker_queue *q, tasker_parker *p)
{
    STORE(&p->interrupted, 1);
    pthread_mutex_lock(&q->lock);
    pthread_cond_signal(&p->cond);
    pthread_mutex_unlock(&q->lock);
}

void tasker_queue_close(tasker_queue *q)
{
    STORE(&q->closed, 1);
    pthread_mutex_lock(&q->lock);
    for (tasker_parker *p = q->idle_stack; p; p = p->below) pthread_cond_signal(&p->cond);
    pthread_mutex_unlock(&q->lock);
}
