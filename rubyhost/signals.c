/*
 * Two runtimes in one process both want the signals. Go keeps them. Ruby gets
 * the few that it needs.
 *
 * libruby installs handlers without SA_ONSTACK. Go then ends with a fatal error
 * at the next signal on one of its own threads. So this file defines sigaction,
 * and the dynamic linker binds every call to it. libruby's calls are changed as
 * the table says. Every other library (a profiler) gets its handler, with
 * SA_ONSTACK. The same holds for signal, which goes around sigaction in libc.
 *
 *   VTALRM            Ruby's, with SA_ONSTACK: it makes a system call of one of
 *                     Ruby's threads return, and so must not restart it
 *   CHLD              Ruby's (Process.wait), with SA_ONSTACK and SA_RESTART
 *   SEGV BUS ILL      shared after boot: Ruby's handler on Ruby's threads
 *                     (SystemStackError, [BUG] reports), Go's on all others
 *                     (recover from a nil dereference)
 *   all others        Go's; Ruby is told that the default is in place
 *
 * A child between fork and exec is not the host. There all calls are passed on,
 * so that spawned programs start with clean handlers.
 */
#include "bridge_internal.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* CRuby's own: exported, but not in its public headers. */
int ruby_native_thread_p(void);

/* The dynamic linker finds these before libc's. */
#define EXPORTED __attribute__((visibility("default")))

typedef int (*sigaction_fn)(int, const struct sigaction *, struct sigaction *);

static sigaction_fn real_sigaction;
static void *libruby_base;
static pid_t signal_pid; /* 0 until Ruby boots */
static bool booted;

static const int shared_signals[] = {SIGSEGV, SIGBUS, SIGILL};
enum { shared_count = sizeof shared_signals / sizeof *shared_signals };
static struct sigaction rubys[shared_count], gos[shared_count];
static struct sigaction rubys_child; /* for SIGCHLD, where on_child stands before it */

/* [any] */
static sigaction_fn find_real(void)
{
    sigaction_fn f = __atomic_load_n(&real_sigaction, __ATOMIC_RELAXED);
    if (!f) {
        void *symbol = dlsym(RTLD_NEXT, "sigaction");
        memcpy(&f, &symbol, sizeof f); /* ISO C has no cast from object to function pointer */
        __atomic_store_n(&real_sigaction, f, __ATOMIC_RELAXED);
    }
    return f;
}

/* [any] Resolved before main, so that no signal handler ever calls dlsym. */
__attribute__((constructor)) static void resolve_early(void)
{
    find_real();
}

/* [any] */
static int shared_index(int number)
{
    for (int i = 0; i < shared_count; i++)
        if (shared_signals[i] == number) return i;
    return -1;
}

/* [any] */
static bool from_libruby(void *return_address)
{
    Dl_info info;
    return dladdr(return_address, &info) && info.dli_fbase == libruby_base;
}

/* [any] */
static bool is_function(const struct sigaction *s)
{
    return s->sa_flags & SA_SIGINFO ? s->sa_sigaction != NULL
                                    : s->sa_handler != SIG_DFL && s->sa_handler != SIG_IGN;
}

/* [any] Async-signal-safe. */
bool tasker_in_host(void)
{
    return signal_pid && getpid() == signal_pid;
}

/* [any] A call of a library other than libruby, or of Go's runtime. */
static int act_for_others(int number, const struct sigaction *act, struct sigaction *old)
{
    if (!act || !is_function(act)) return find_real()(number, act, old);
    struct sigaction theirs = *act;
    theirs.sa_flags |= SA_ONSTACK;
    return find_real()(number, &theirs, old);
}

/* [any] Before 3.3, CRuby notes that a child has ended, and reaps it on a thread that sleeps
 * in Ruby or waits for the GVL. If there is none, the main thread has to: CRuby expects it in
 * a sleep of Ruby's, but ours is in the bell, and nobody else would wake it. */
static void on_child(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    if (rubys_child.sa_flags & SA_SIGINFO) rubys_child.sa_sigaction(number, info, context);
    else rubys_child.sa_handler(number);
    if (tasker_in_host()) tasker_ring();
    errno = saved;
}

/* [any] Async-signal-safe outside boot. */
static int act_on_children(const struct sigaction *act, struct sigaction *old)
{
    struct sigaction mine;
    if (act) {
        mine = *act;
        mine.sa_flags |= SA_ONSTACK | SA_RESTART;
        if (is_function(act)) {
            mine.sa_flags |= SA_SIGINFO;
            mine.sa_sigaction = on_child;
        }
    }
    struct sigaction before = rubys_child;
    if (act && is_function(act)) rubys_child = *act; /* before the handler can be called */
    int err = find_real()(SIGCHLD, act ? &mine : NULL, old);
    if (!err && old && old->sa_flags & SA_SIGINFO && old->sa_sigaction == on_child) *old = before;
    return err;
}

/* [any] Async-signal-safe outside boot. */
EXPORTED int sigaction(int number, const struct sigaction *act, struct sigaction *old)
{
    sigaction_fn real = find_real();
    if (!tasker_in_host()) return real(number, act, old);
    if (!from_libruby(__builtin_return_address(0))) return act_for_others(number, act, old);
    struct sigaction before;
    memset(&before, 0, sizeof before);
    before.sa_handler = SIG_DFL;
    if (number == SIGCHLD) {
        if (act || booted) {
            int err = act_on_children(act, booted ? &before : NULL);
            if (err) return err;
        }
    } else if (number == SIGVTALRM) {
        if (act) {
            struct sigaction mine = *act;
            mine.sa_flags |= SA_ONSTACK;
            int err = real(number, &mine, booted ? &before : NULL);
            if (err) return err;
        } else if (booted) {
            real(number, NULL, &before);
        }
    } else if (act) {
        int i = shared_index(number);
        if (i >= 0) {
            if (booted) before = rubys[i];
            rubys[i] = *act;
        }
    }
    if (old) *old = before;
    return 0;
}

/* [any] Async-signal-safe. */
static sighandler_t install(int number, sighandler_t handler, int flags)
{
    struct sigaction act, old;
    memset(&act, 0, sizeof act);
    act.sa_handler = handler;
    act.sa_flags = flags;
    if (handler == SIG_ERR) {
        errno = EINVAL;
        return SIG_ERR;
    }
    int err = tasker_in_host() ? act_for_others(number, &act, &old) : find_real()(number, &act, &old);
    return err ? SIG_ERR : old.sa_handler;
}

/* [any] As libc's: the handler stays, and system calls go on. */
EXPORTED sighandler_t signal(int number, sighandler_t handler)
{
    return install(number, handler, SA_RESTART);
}

/* [any] What signal is in C that was compiled with -std=c11: for one signal only. */
EXPORTED sighandler_t __sysv_signal(int number, sighandler_t handler)
{
    return install(number, handler, (int)SA_RESETHAND | SA_NODEFER);
}

/* [any] Runs on the thread that faulted, on its alternate stack. */
static void on_fault(int number, siginfo_t *info, void *context)
{
    int i = shared_index(number);
    const struct sigaction *to = &gos[i];
    if (ruby_native_thread_p() && is_function(&rubys[i])) {
        to = &rubys[i];
    } else {
        /* Go's runtime expects its handlers to run with everything blocked.
         * The return from the signal restores the mask. */
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, NULL);
    }
    if (!is_function(to)) {
        /* Neither runtime has a handler: the kernel's default acts on return. */
        struct sigaction fallback;
        memset(&fallback, 0, sizeof fallback);
        fallback.sa_handler = SIG_DFL;
        find_real()(number, &fallback, NULL);
        return;
    }
    if (to->sa_flags & SA_SIGINFO) to->sa_sigaction(number, info, context);
    else to->sa_handler(number);
}

/* [any] */
void tasker_signals_library(const void *inside)
{
    Dl_info info;
    if (dladdr(inside, &info)) libruby_base = info.dli_fbase;
}

/* [any] On the thread that becomes Ruby's main thread. */
void tasker_signals_before_boot(void)
{
    signal_pid = getpid();
}

/* [GVL] On the main Ruby thread. */
void tasker_signals_after_boot(void)
{
    TASKER_GVL;
    booted = true;
    for (int i = 0; i < shared_count; i++) {
        struct sigaction chain;
        find_real()(shared_signals[i], NULL, &gos[i]);
        memset(&chain, 0, sizeof chain);
        chain.sa_sigaction = on_fault;
        chain.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
        /* This mask is empty: Ruby's handler leaves with a longjmp
         * (SystemStackError) and unblocks only the signal itself. Any other
         * blocked signal would stay blocked for the thread's life, and nothing
         * could interrupt its system calls any more. */
        sigemptyset(&chain.sa_mask);
        find_real()(shared_signals[i], &chain, NULL);
    }
}
