/*
 * The life of a worker. One function changes a worker's state. It keeps the
 * counters that Go reads, and in a debug build it ends the process at a change
 * that the table does not have.
 */
#include "bridge_internal.h"

#define TO(state) (1u << (state))

static const struct {
    const char *name;
    uint32_t to; /* the states that may follow, as bits */
} states[] = {
    [TASKER_WORKER_BORN] = {"born", TO(TASKER_WORKER_IDLE) | TO(TASKER_WORKER_MARKED) | TO(TASKER_WORKER_GONE)},
    [TASKER_WORKER_IDLE] = {"idle", TO(TASKER_WORKER_RUNNING) | TO(TASKER_WORKER_MARKED) | TO(TASKER_WORKER_GONE)},
    [TASKER_WORKER_RUNNING] = {"running", TO(TASKER_WORKER_IDLE) | TO(TASKER_WORKER_MARKED) | TO(TASKER_WORKER_KILLED) | TO(TASKER_WORKER_ABANDONED) | TO(TASKER_WORKER_GONE)},
    [TASKER_WORKER_MARKED] = {"marked", TO(TASKER_WORKER_KILLED) | TO(TASKER_WORKER_ABANDONED) | TO(TASKER_WORKER_GONE)},
    [TASKER_WORKER_KILLED] = {"killed", TO(TASKER_WORKER_ABANDONED) | TO(TASKER_WORKER_GONE)},
    [TASKER_WORKER_ABANDONED] = {"abandoned", TO(TASKER_WORKER_GONE)},
    [TASKER_WORKER_GONE] = {"gone", 0},
};

/* [GVL] */
void tasker_worker_becomes(tasker_worker *w, tasker_worker_state state)
{
    TASKER_GVL;
    TASKER_ASSERT(states[w->state].to & TO(state), "a worker that is %s cannot become %s", states[w->state].name,
                  states[state].name);
    if (state == TASKER_WORKER_ABANDONED) {
        COUNT(workers, -1);
        COUNT(abandoned, 1);
    } else if (state == TASKER_WORKER_GONE) {
        if (w->state == TASKER_WORKER_ABANDONED) COUNT(abandoned, -1);
        else COUNT(workers, -1);
    }
    w->state = state;
}

/* [GVL] */
void tasker_worker_mark(tasker_worker *w)
{
    TASKER_GVL;
    if (w->state <= TASKER_WORKER_RUNNING) tasker_worker_becomes(w, TASKER_WORKER_MARKED);
}
