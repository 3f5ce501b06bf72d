/*
 * A bell: one thread waits for it, any thread rings it. It is one word and a
 * futex, so that it can also be rung from a signal handler. A mutex with a
 * condition takes three times as many instructions, and often wakes the waiter
 * while the signalling thread still holds the mutex.
 */
#include "bridge_internal.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The bits of tasker_bell.state. */
enum {
    rung = 1,
    interrupted = 2, /* the waiter must check its interrupts */
    asleep = 4       /* the waiter sleeps: to set another bit, wake it */
};

/* [any] Async-signal-safe. */
static void set(tasker_bell *b, uint32_t what)
{
    TASKER_ANY;
    if (__atomic_fetch_or(&b->state, what, __ATOMIC_SEQ_CST) & asleep)
        syscall(SYS_futex, &b->state, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT_MAX, NULL, NULL, 0);
}

/* [any] Async-signal-safe. */
void tasker_bell_ring(tasker_bell *b)
{
    TASKER_ANY;
    set(b, rung);
}

/* [any] Async-signal-safe. */
void tasker_bell_interrupt(void *bell)
{
    TASKER_ANY;
    set(bell, interrupted);
}

/* [any] */
bool tasker_bell_rung(const tasker_bell *b)
{
    TASKER_ANY;
    return __atomic_load_n(&b->state, __ATOMIC_SEQ_CST) & rung;
}

/* [any] */
bool tasker_bell_must_return(const tasker_bell *b)
{
    TASKER_ANY;
    return __atomic_load_n(&b->state, __ATOMIC_SEQ_CST) & (rung | interrupted);
}

/* [any] */
void tasker_bell_reset(tasker_bell *b)
{
    TASKER_ANY;
    __atomic_and_fetch(&b->state, ~(uint32_t)rung, __ATOMIC_SEQ_CST);
}

/* [no GVL] */
void tasker_bell_wait(tasker_bell *b, int64_t ns)
{
    TASKER_NO_GVL;
    struct timespec limit = {.tv_sec = ns / 1000000000, .tv_nsec = (long)(ns % 1000000000)};
    uint32_t now = 0;
    while (!(now & (rung | interrupted))) {
        bool sleeps = __atomic_compare_exchange_n(&b->state, &now, asleep, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
        if (!sleeps && now != asleep) continue;
        long err = syscall(SYS_futex, &b->state, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, asleep, ns ? &limit : NULL, NULL, 0);
        now = __atomic_load_n(&b->state, __ATOMIC_SEQ_CST);
        if (err && ns && errno == ETIMEDOUT) break;
    }
    __atomic_and_fetch(&b->state, ~(uint32_t)(interrupted | asleep), __ATOMIC_SEQ_CST);
}
