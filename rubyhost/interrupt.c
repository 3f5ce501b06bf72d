/*
 * Raising Tasker::Host::Interrupt in another thread without running any Ruby
 * code. A guest may redefine Thread#raise, Exception#exception and the rest, or
 * trace them; none of that is on this way.
 */
#include "bridge_internal.h"

/* Thread.instance_method(:raise).method(:bind_call), taken before any guest
 * code runs. It calls Thread's own C function, whatever is prepended later. */
static VALUE raise_in_thread;
static VALUE interrupt_class, interrupt_singleton;
static ID id_mesg;

/* [GVL] */
static VALUE interrupt_itself(int argc, VALUE *argv, VALUE self)
{
    (void)argc, (void)argv;
    return self;
}

/* [GVL] */
static VALUE interrupt_responds(int argc, VALUE *argv, VALUE self)
{
    (void)argc, (void)argv, (void)self;
    return Qtrue;
}

/* [GVL] Thread#raise asks an exception for two methods. These are the C functions
 * above, in a singleton class that all interrupts share. */
VALUE tasker_new_interrupt(void)
{
    static const char message[] = "the step's time is up, or it was cancelled";
    VALUE exception = rb_obj_alloc(interrupt_class);
    rb_ivar_set(exception, id_mesg, rb_utf8_str_new(message, sizeof message - 1));
    rb_obj_hide(exception);
    return rb_obj_reveal(exception, interrupt_singleton);
}

/* [GVL] */
void tasker_raise_in(VALUE thread, VALUE interrupt)
{
    VALUE arguments[2] = {thread, interrupt};
    rb_method_call(2, arguments, raise_in_thread);
    RB_GC_GUARD(interrupt);
}

/* [GVL] */
void tasker_interrupt_loaded(void)
{
    VALUE raise_method = rb_funcall(rb_path2class("Thread"), rb_intern("instance_method"), 1, ID2SYM(rb_intern("raise")));
    raise_in_thread = rb_funcall(raise_method, rb_intern("method"), 1, ID2SYM(rb_intern("bind_call")));
    rb_gc_register_mark_object(raise_in_thread);
    rb_gc_register_mark_object(interrupt_class = rb_path2class("Tasker::Host::Interrupt"));
    id_mesg = rb_intern("mesg");
    VALUE first = rb_obj_alloc(interrupt_class);
    rb_define_singleton_method(first, "exception", interrupt_itself, -1);
    rb_define_singleton_method(first, "respond_to?", interrupt_responds, -1);
    interrupt_singleton = rb_singleton_class(first);
    rb_gc_register_mark_object(first);
    rb_gc_register_mark_object(interrupt_singleton);
}
