/*
 * Tasker::Context.adopt in C: what the JSON parser has just made becomes
 * Contexts in place, by giving each fresh Hash its subclass. context.rb has
 * the same in Ruby, for tests of handlers outside the host; there every Hash
 * is copied, which costs more than parsing it.
 */
#include <ruby.h>

#include "bridge_internal.h"

static VALUE context_class;

static VALUE adopt(VALUE self, VALUE value);

static int adopt_pair(VALUE key, VALUE value, VALUE unused)
{
    (void)key;
    (void)unused;
    adopt(Qnil, value);
    return ST_CONTINUE;
}

/* [GVL] The value itself; nothing else may know its hashes yet. The parser has
 * bounded how deep it nests. */
static VALUE adopt(VALUE self, VALUE value)
{
    (void)self;
    if (RB_SPECIAL_CONST_P(value)) return value;
    switch (RB_BUILTIN_TYPE(value)) {
    case T_HASH:
        rb_hash_foreach(value, adopt_pair, 0);
        /* Hidden and shown again is how CRuby lets an extension set a class;
         * a subclass of Hash without allocator has Hash's own layout. */
        rb_obj_reveal(rb_obj_hide(value), context_class);
        break;
    case T_ARRAY:
        for (long i = 0; i < RARRAY_LEN(value); i++) adopt(Qnil, rb_ary_entry(value, i));
        break;
    default:
        break;
    }
    return value;
}

void tasker_context_init(void)
{
    context_class = rb_path2class("Tasker::Context");
    rb_gc_register_mark_object(context_class);
    rb_define_singleton_method(context_class, "adopt", adopt, 1);
}
