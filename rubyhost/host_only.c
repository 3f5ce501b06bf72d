/*
 * Who may call the functions of Tasker::Host that C defines. The GVL of the main
 * Ractor protects the bridge's state, and another Ractor has a lock of its own.
 * A child of this process has a copy of that state, and no Go half.
 */
#include "bridge_internal.h"

#include <ruby/ractor.h>

static rb_ractor_local_key_t home; /* holds a value in the main Ractor only */
static VALUE service_error, no_memory_error;

/* [GVL] Of any Ractor. */
static bool in_main_ractor(void)
{
    TASKER_GVL;
    VALUE value;
    return rb_ractor_local_storage_value_lookup(home, &value);
}

/* [GVL] Of any Ractor. */
bool tasker_is_host(void)
{
    TASKER_GVL;
    return !tasker_ruby.forked && in_main_ractor();
}

/* [GVL] Of any Ractor. */
void tasker_require_host(void)
{
    TASKER_GVL;
    if (tasker_ruby.forked)
        rb_raise(service_error, "a child process has no host to ask; use what you need before the fork, or spawn");
    if (!in_main_ractor())
        rb_raise(service_error, "a Ractor has no host to ask; ask in the step and give the Ractor the answer");
}

/* [GVL] rb_memerror is for the allocator alone: it says nothing, and ends the
 * process when a second one comes before the first has been dealt with. */
void tasker_no_memory(const char *what)
{
    TASKER_GVL;
    rb_raise(no_memory_error, "no memory for %s", what);
}

/* [GVL] On the main thread, before the Ruby half; raises. */
void tasker_host_only_init(void)
{
    TASKER_GVL;
    home = rb_ractor_local_storage_value_newkey();
    rb_ractor_local_storage_value_set(home, Qtrue);
    rb_gc_register_mark_object(no_memory_error = rb_path2class("NoMemoryError"));
}

/* [GVL] After the Ruby half; raises. */
void tasker_host_only_loaded(void)
{
    TASKER_GVL;
    rb_gc_register_mark_object(service_error = rb_path2class("Tasker::Host::ServiceError"));
}
