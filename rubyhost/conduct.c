/*
 * What handlers may not do, as far as C looks at it: children.c and
 * descriptors_guard.c define the methods, host/conduct.rb prepends them. These
 * methods are in C because their frames are in no backtrace, and because a
 * conversion that is done here cannot give another result in Ruby's own method.
 */
#include "bridge_internal.h"

static VALUE forbidden_error;

/* [GVL] */
void tasker_forbid(const char *call, const char *instead)
{
    TASKER_GVL;
    rb_exc_raise(rb_funcall(forbidden_error, rb_intern("new"), 2, rb_utf8_str_new_cstr(call), rb_utf8_str_new_cstr(instead)));
}

/* [GVL] Before the Ruby half. Raises. */
void tasker_conduct_init(void)
{
    TASKER_GVL;
    VALUE conduct = rb_define_module_under(tasker_ruby.module, "Conduct");
    tasker_processes_init(conduct);
    tasker_descriptors_guard(conduct);
}

/* [GVL] After the Ruby half. Raises. */
void tasker_conduct_loaded(void)
{
    TASKER_GVL;
    forbidden_error = rb_path2class("Tasker::Host::ForbiddenError");
    rb_gc_register_mark_object(forbidden_error);
}
