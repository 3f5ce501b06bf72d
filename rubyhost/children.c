/*
 * The children that a step leaves running, and where forked ones print.
 * host/children.rb knows the pids.
 */
#include "bridge_internal.h"

#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* [GVL] Tasker::Host.child_left?(pid): whether that child still runs, and
 * nobody has waited for it. If so, it is counted. The child is not touched. */
static VALUE host_child_left(VALUE self, VALUE pid)
{
    TASKER_GVL;
    (void)self;
    siginfo_t info = {.si_pid = 0};
    long number = NUM2LONG(pid);
    if (number <= 0 || !tasker_is_host()) return Qfalse;
    if (waitid(P_PID, (id_t)number, &info, WEXITED | WNOHANG | WNOWAIT) != 0) return Qfalse; /* somebody has waited for it */
    if (info.si_pid != 0) return Qfalse;                                                     /* it has ended */
    COUNT(children_left, 1);
    return Qtrue;
}

/* Descriptors 1 and 2 of forked children, or -1 for those of this process. */
static int output[2] = {-1, -1};

/* [GVL] Tasker::Host.children_print_to(out, err): in a forked child, before any
 * other of its code; -1 for this process's own. Programs that Ruby spawns get them
 * from host/all_output.rb, because a vfork tells nobody. */
static VALUE host_children_print_to(VALUE self, VALUE out, VALUE err)
{
    TASKER_GVL;
    (void)self;
    output[0] = NUM2INT(out);
    output[1] = NUM2INT(err);
    return Qnil;
}

/* [any] In the child. Async-signal-safe. */
void tasker_children_forked(void)
{
    for (int i = 0; i < 2; i++)
        if (output[i] >= 0) syscall(SYS_dup3, output[i], i + 1, 0);
}

tasker_read_so_far tasker_children_read[2];

/* [any] How many bytes children have written to a pipe so far. If Go reads all the time,
 * nobody knows, and Go takes all that is there. */
static uint64_t written(int i)
{
    TASKER_ANY;
    if (output[i] < 0) return 0; /* they write elsewhere */
    tasker_read_so_far *read = &tasker_children_read[i];
    for (int tries = 0; tries < 1000; tries++) {
        uint64_t turn = __atomic_load_n(&read->turn, __ATOMIC_SEQ_CST);
        uint64_t bytes = __atomic_load_n(&read->bytes, __ATOMIC_SEQ_CST);
        int waiting = 0;
        if (turn % 2 == 0 && ioctl(output[i], FIONREAD, &waiting) == 0 && __atomic_load_n(&read->turn, __ATOMIC_SEQ_CST) == turn)
            return bytes + (uint64_t)waiting;
    }
    return UINT64_MAX;
}

/* [GVL] What the child has printed is to be logged before what this thread logs next, and
 * what others print later is not. */
void tasker_children_waited(void)
{
    TASKER_GVL;
    if ((output[0] < 0 && output[1] < 0) || !tasker_is_host()) return;
    uint64_t until[2] = {written(0), written(1)};
    tasker_post_note(TASKER_NOTE_WAITED, 0, (const char *)until, sizeof until);
}

/* [GVL] Tasker::Host.child_waited: for what does not call Process.wait. */
static VALUE host_child_waited(VALUE self)
{
    TASKER_GVL;
    (void)self;
    tasker_children_waited();
    return Qnil;
}

/* [GVL] */
void tasker_children_init(void)
{
    TASKER_GVL;
    rb_define_module_function(tasker_ruby.module, "child_waited", host_child_waited, 0);
    rb_define_module_function(tasker_ruby.module, "children_print_to", host_children_print_to, 2);
    rb_define_module_function(tasker_ruby.module, "child_left?", host_child_left, 1);
}
