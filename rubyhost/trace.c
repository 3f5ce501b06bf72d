/*
 * The blocks of trace points and trace functions. A block runs in every thread,
 * also in the main thread, which must run no Ruby code; and one that raises would
 * fail every step. So a block of C stands before it: it does nothing on the main
 * thread, and turns a block that raises off. The exception goes on in the step
 * that has set the block.
 */
#include "bridge_internal.h"

#include <ruby/debug.h>

/* What a block of C carries: an Array. */
enum { traced_block, traced_serial };

struct traced {
    VALUE block;
    int argc;
    const VALUE *argv;
};

/* [GVL] Under rb_protect. */
static VALUE call_block(VALUE arg)
{
    TASKER_GVL;
    struct traced *t = (struct traced *)arg;
    return rb_proc_call_with_block(t->block, t->argc, t->argv, Qnil);
}

/* [GVL] Under rb_protect. */
static VALUE turn_off(VALUE arg)
{
    TASKER_GVL;
    struct traced *t = (struct traced *)arg;
    if (t->argc == 1) rb_tracepoint_disable(t->argv[0]);
    else tasker_stop_tracing();
    return Qnil;
}

/* [GVL] A trace point gives one argument, a trace function six. */
static VALUE fire(VALUE first, VALUE carried, int argc, const VALUE *argv, VALUE block)
{
    TASKER_GVL;
    (void)first;
    (void)block;
    if (tasker_on_main_thread()) return Qnil;
    struct traced t = {rb_ary_entry(carried, traced_block), argc, argv};
    int tag = 0, ignored = 0;
    VALUE value = rb_protect(call_block, (VALUE)&t, &tag);
    if (tag == 0) return value;
    VALUE exception = rb_errinfo();
    bool own = tag == tasker_tag_raise && RTEST(rb_obj_is_kind_of(exception, tasker_ruby.exception));
    if (own && !tasker_is_interrupt(exception)) {
        rb_protect(turn_off, (VALUE)&t, &ignored);
        if (NUM2ULL(rb_ary_entry(carried, traced_serial)) != tasker_serial_here()) {
            rb_set_errinfo(Qnil);
            return Qnil;
        }
        rb_set_errinfo(exception);
    }
    RB_GC_GUARD(exception);
    rb_jump_tag(tag);
}

/* [GVL] Tasker::Host.trace_block(block) -> Proc */
static VALUE host_trace_block(VALUE self, VALUE block)
{
    TASKER_GVL;
    (void)self;
    tasker_require_host();
    VALUE carried = rb_ary_new();
    rb_ary_push(carried, block);
    rb_ary_push(carried, ULL2NUM(tasker_serial_here()));
    return rb_proc_new(fire, carried);
}

/* [GVL] Raises. */
void tasker_trace_init(void)
{
    TASKER_GVL;
    rb_define_module_function(tasker_ruby.module, "trace_block", host_trace_block, 1);
}
