/*
 * Who holds the GVL, when nobody gets it. A thread that is asked answers in a
 * signal handler, without the GVL and on its own stack: the names of its frames
 * are Strings that exist already. It is for a process that has to be replaced
 * anyway, so that somebody can see why.
 */
#include "bridge_internal.h"

#include <errno.h>
#include <ruby/debug.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* CRuby's own: exported, but not in its public headers. */
int ruby_thread_has_gvl_p(void);
int ruby_native_thread_p(void);

enum { max_frames = 50 };

/* Who may use the text; atomic. */
enum { unused, asked, answering, answered };
static uint32_t turn;
static tasker_line answer;

/* [GVL] In the signal handler: frame i as Ruby's backtraces name it, as far as
 * the names are Strings. A function of C has the place of its caller. */
static void write_frame(const VALUE *frames, const int *lines, int i, int n)
{
    TASKER_GVL;
    char number[32];
    int at = i;
    while (at < n && !RB_TYPE_P(rb_profile_frame_path(frames[at]), T_STRING)) at++;
    VALUE name = at == i ? rb_profile_frame_label(frames[i]) : rb_profile_frame_method_name(frames[i]);
    if (at < n) tasker_append_string(&answer, rb_profile_frame_path(frames[at]));
    int len = snprintf(number, sizeof number, ":%d:in `", at < n ? lines[at] : 0);
    tasker_append(&answer, number, (size_t)len);
    tasker_append_string(&answer, name);
    tasker_append(&answer, "'\n", 2);
}

/* [any] In the signal handler: where this thread is, if it holds the GVL. */
static void write_place(void)
{
    static VALUE frames[max_frames];
    static int lines[max_frames];
    answer.len = 0;
    if (!ruby_native_thread_p() || !ruby_thread_has_gvl_p()) return;
    int n = rb_during_gc() ? 0 : rb_profile_frames(0, max_frames, frames, lines);
    if (n == 0) tasker_append(&answer, "(the garbage collector)\n", 24);
    for (int i = 0; i < n; i++) write_frame(frames, lines, i, n);
}

/* [any] The signal handler. */
static void on_ask(int number)
{
    (void)number;
    int saved_errno = errno;
    uint32_t now = asked;
    if (__atomic_compare_exchange_n(&turn, &now, answering, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
        write_place();
        __atomic_store_n(&turn, answered, __ATOMIC_SEQ_CST);
    }
    errno = saved_errno;
}

/* [any] Waits for the answer, for some so many ms. */
static bool await_answer(int ms)
{
    for (int i = 0; i < 2 * ms; i++) {
        struct timespec t = {.tv_nsec = 500 * 1000};
        nanosleep(&t, NULL);
        if (__atomic_load_n(&turn, __ATOMIC_SEQ_CST) == answered) return true;
    }
    return false;
}

/* [any] */
uint64_t tasker_ask_holder(int thread, int wait_ms, char *text, uint64_t size)
{
    struct sigaction mine;
    int number = SIGRTMAX - 3;
    memset(&mine, 0, sizeof mine);
    mine.sa_handler = on_ask;
    mine.sa_flags = SA_ONSTACK | SA_RESTART;
    sigfillset(&mine.sa_mask);
    /* A thread may have answered after the last question was given up. */
    uint32_t now = answered;
    __atomic_compare_exchange_n(&turn, &now, unused, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    now = unused;
    if (!__atomic_compare_exchange_n(&turn, &now, asked, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) return 0;
    sigaction(number, &mine, NULL);
    uint64_t len = 0;
    if (syscall(SYS_tgkill, getpid(), thread, number) == 0 && await_answer(wait_ms)) {
        len = answer.len < size ? answer.len : size;
        memcpy(text, answer.text, len);
    }
    /* A thread that is late finds no question. The handler stays, for its signal. */
    now = asked;
    if (!__atomic_compare_exchange_n(&turn, &now, unused, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST) && now == answered)
        __atomic_store_n(&turn, unused, __ATOMIC_SEQ_CST);
    return len;
}
