/*
 * The children that a step leaves running. host/children.rb knows their pids.
 */
#include "bridge_internal.h"

#include <sys/wait.h>

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

/* [GVL] */
void tasker_children_init(void)
{
    TASKER_GVL;
    rb_define_module_function(tasker_ruby.module, "child_left?", host_child_left, 1);
}
