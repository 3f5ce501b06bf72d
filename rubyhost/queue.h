/*
 * The queue of jobs between Go callers and Ruby worker threads, and the stack
 * that the outbox is made of. It uses no Ruby, so it is tested alone, under the
 * thread and address sanitizers (testdata/queue_test.c).
 *
 * Which thread may call which function:
 *   any thread        tasker_stack_push, tasker_queue_submit, _announce, _rescue,
 *                     _close, tasker_parker_interrupt
 *   one at a time     tasker_stack_take (per stack), tasker_queue_pop
 *                     (the GVL is what makes the Ruby workers take turns)
 *   a worker          tasker_queue_wait, without the GVL
 */
#ifndef TASKER_QUEUE_H
#define TASKER_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Puts a field on a cache line of its own. Processors that write to the same
 * line slow each other down. */
#define TASKER_APART _Alignas(64)

/* A link: the first field of everything that goes through the queue or a stack. */
typedef struct tasker_node {
    struct tasker_node *next;
} tasker_node;

/* Pushes n. Returns true when the stack was empty before. Any thread. */
bool tasker_stack_push(tasker_node **top, tasker_node *n);
/* Takes everything, oldest first. One consumer at a time. */
tasker_node *tasker_stack_take(tasker_node **top);

/* Where one worker parks. tasker_parker_init clears it; it outlives its thread. */
typedef struct tasker_parker {
    struct tasker_parker *below; /* next on the idle stack, under queue.lock */
    pthread_cond_t cond;
    bool parked;       /* on the idle stack; under queue.lock */
    bool woken;        /* under queue.lock */
    bool has_token;    /* this worker is the searcher */
    uint32_t interrupted; /* atomic; set by tasker_parker_interrupt */
} tasker_parker;

/*
 * At most one worker at a time searches for work (spins, or is waking up), as
 * in Go's own scheduler. If every job woke a worker, all of them would line up
 * for the GVL behind the one that makes progress.
 */
typedef struct tasker_queue {
    /* Three cache lines: what both sides write at every job, what the workers
     * write at every job, and what seldom changes. */
    TASKER_APART tasker_node *inbox; /* atomic stack: submitted, newest first */
    int64_t pending;     /* atomic: submitted and not yet popped */
    TASKER_APART tasker_node *head;  /* FIFO of jobs taken from the inbox; under the GVL */
    int64_t last_pop;    /* atomic: CLOCK_MONOTONIC, ns */
    TASKER_APART uint32_t attached;  /* atomic: number of workers */
    uint32_t active;     /* atomic: workers that neither park nor spin */
    uint32_t searching;  /* atomic: 0 or 1, the search token */
    uint32_t idle;       /* atomic: parked workers */
    uint32_t closed;     /* atomic: wait returns at once */
    uint32_t watch;      /* atomic: a submit wants tasker_queue_rescue soon */
    int64_t spin_ns;     /* how long a searcher spins before it parks */
    pthread_mutex_t lock;
    tasker_parker *idle_stack; /* under lock */
} tasker_queue;

void tasker_queue_init(tasker_queue *q, int64_t spin_ns);
void tasker_parker_init(tasker_parker *p);
void tasker_parker_destroy(tasker_parker *p);

/* A worker joins or leaves. It must be active. */
void tasker_queue_attach(tasker_queue *q);
void tasker_queue_detach(tasker_queue *q, tasker_parker *p);

/*
 * Hands n to the workers. Returns true when the caller should have
 * tasker_queue_rescue called within a fraction of a millisecond: workers are
 * awake, but they may compute or wait, and this cannot be seen.
 */
bool tasker_queue_submit(tasker_queue *q, tasker_node *n);
/* The second half of submit: n is in the inbox and counted in pending. */
bool tasker_queue_announce(tasker_queue *q);
/* Returns the oldest job, or NULL. Also gives the search token back. */
tasker_node *tasker_queue_pop(tasker_queue *q, tasker_parker *p);
/* Spins, then parks, until there may be work, an interrupt, or the end. */
void tasker_queue_wait(tasker_queue *q, tasker_parker *p);
/* Makes p's wait return, now or next time. */
void tasker_parker_interrupt(tasker_queue *q, tasker_parker *p);
/* Wakes one more worker if jobs wait and none was popped lately. Says whether it
 * did. */
bool tasker_queue_rescue(tasker_queue *q);
/* Ends every wait, now and later. */
void tasker_queue_close(tasker_queue *q);

/* CLOCK_MONOTONIC in nanoseconds. */
int64_t tasker_now(void);

static inline void tasker_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
