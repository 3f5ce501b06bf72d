/*
 * What a profiler's library does: it puts a handler of its own in front of the
 * one that is there, and says nothing of the stack to run on.
 */
#include <signal.h>
#include <string.h>

static struct sigaction before;
static volatile sig_atomic_t calls;

static void count_and_pass_on(int number, siginfo_t *info, void *context)
{
    calls++;
    if (before.sa_flags & SA_SIGINFO) before.sa_sigaction(number, info, context);
}

static void count_only(int number)
{
    (void)number;
    calls++;
}

int profiler_calls(void) { return (int)calls; }

void profiler_sigaction(int number)
{
    struct sigaction mine;
    memset(&mine, 0, sizeof mine);
    mine.sa_sigaction = count_and_pass_on;
    mine.sa_flags = SA_SIGINFO | SA_RESTART;
    sigaction(number, &mine, &before);
}

/* Puts Go's own handler back, as one does that has read only its address. */
void profiler_restore(int number)
{
    before.sa_flags &= ~SA_ONSTACK;
    sigaction(number, &before, NULL);
}

void profiler_signal(int number) { signal(number, count_only); }

int profiler_on_stack(int number)
{
    struct sigaction now;
    sigaction(number, NULL, &now);
    return now.sa_flags & SA_ONSTACK ? 1 : 0;
}
