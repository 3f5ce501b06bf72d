/*
 * What handlers do with processes. The methods below stand in front of
 * Process's own. Each converts an argument once, as Ruby's own method does,
 * looks at the result, and passes that result on. So what is looked at is what
 * is done: an object with to_int or to_str has no second say.
 *
 * In a forked child everything is passed on: it is not the host.
 */
#include "bridge_internal.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* [GVL] The signal as Ruby reads it: an Integer, or the name as a String of
 * ours. Returns Qnil for what is neither; Ruby then words the error. Raises. */
static VALUE signal_of(VALUE given)
{
    TASKER_GVL;
    if (FIXNUM_P(given)) return given;
    VALUE name = SYMBOL_P(given) ? rb_sym2str(given) : rb_check_string_type(given);
    return NIL_P(name) ? Qnil : rb_utf8_str_new(RSTRING_PTR(name), RSTRING_LEN(name));
}

/* [GVL] Tasker::Host::Conduct.signal_of(signal): what Signal.trap will see. */
static VALUE conduct_signal_of(VALUE self, VALUE given)
{
    TASKER_GVL;
    (void)self;
    VALUE signal = signal_of(given);
    return NIL_P(signal) ? given : signal;
}

/* [GVL] Whether it is for groups: Ruby then calls killpg. */
static bool is_for_groups(VALUE signal)
{
    TASKER_GVL;
    if (FIXNUM_P(signal)) return FIX2LONG(signal) < 0;
    return RSTRING_LEN(signal) > 0 && *RSTRING_PTR(signal) == '-';
}

/* [any] The kernel takes the number of a thread for its process. */
static bool is_thread_of_ours(int number)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/self/task/%d", number);
    return access(path, F_OK) == 0;
}

/* [any] Whether a signal to this pid reaches the host, alone or with others. */
static bool reaches_host(int pid, bool group)
{
    if (group) return pid == 0 || pid == 1 || pid == getpgrp();
    return pid == 0 || pid == -1 || pid == -getpgrp() || is_thread_of_ours(pid);
}

/* [GVL] Process.kill(signal, *pids) */
static VALUE process_kill(int argc, VALUE *argv, VALUE self)
{
    TASKER_GVL;
    (void)self;
    if (tasker_ruby.forked || argc < 2) return rb_call_super(argc, argv);
    VALUE signal = signal_of(argv[0]);
    if (NIL_P(signal)) return rb_call_super(argc, argv);
    argv[0] = signal;
    bool only_asks = signal == INT2FIX(0), group = is_for_groups(signal), reaches = false;
    for (int i = 1; i < argc; i++) {
        int pid = NUM2INT(argv[i]);
        argv[i] = INT2FIX(pid);
        reaches = reaches || (!only_asks && reaches_host(pid, group));
    }
    if (reaches) tasker_forbid("Process.kill of the host", "raise an error to fail the step, or name another process");
    return rb_call_super(argc, argv);
}

/* [GVL] Process.wait and its like, Process.detach, Process::Status.wait: one
 * child each. To wait for any child would also take the children of the Go half. */
static VALUE process_wait(int argc, VALUE *argv, VALUE self)
{
    TASKER_GVL;
    (void)self;
    if (tasker_ruby.forked) return rb_call_super(argc, argv);
    int pid = argc ? NUM2INT(argv[0]) : -1;
    if (pid <= 0) {
        char call[60];
        snprintf(call, sizeof call, "waiting for any child (%d)", pid);
        tasker_forbid(call, "give the pid that spawn returned");
    }
    argv[0] = INT2FIX(pid);
    VALUE status = rb_call_super(argc, argv);
    tasker_children_waited();
    return status;
}

/* [GVL] Process.detach(pid) */
static VALUE process_detach(VALUE self, VALUE pid)
{
    TASKER_GVL;
    return process_wait(1, &pid, self);
}

/* [GVL] Process.waitall */
static VALUE process_waitall(VALUE self)
{
    TASKER_GVL;
    return process_wait(0, NULL, self);
}

/* [GVL] host/conduct.rb prepends the modules. */
void tasker_processes_init(VALUE conduct)
{
    TASKER_GVL;
    rb_define_singleton_method(conduct, "signal_of", conduct_signal_of, 1);
    VALUE process = rb_define_module_under(conduct, "ForProcess");
    rb_define_method(process, "kill", process_kill, -1);
    static const char *const waits[] = {"wait", "wait2", "waitpid", "waitpid2"};
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) rb_define_method(process, waits[i], process_wait, -1);
    rb_define_method(process, "waitall", process_waitall, 0);
    rb_define_method(process, "detach", process_detach, 1);
    rb_define_method(rb_define_module_under(conduct, "ForStatus"), "wait", process_wait, -1);
}
