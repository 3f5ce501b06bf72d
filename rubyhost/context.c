/*
 * Tasker::Context.adopt in C: turns fresh Hashes from the JSON parser into
 * Contexts in place, by changing their class. context.rb has the same in Ruby
 * for tests of handlers outside the host. It copies every Hash, which costs more
 * than parsing. Every function here is [GVL].
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

/* Returns the value itself. No other code may hold its Hashes yet. The parser
 * limits how deep the value nests. */
static VALUE adopt(VALUE self, VALUE value)
{
    TASKER_GVL;
    (void)self;
    if (RB_SPECIAL_CONST_P(value)) return value;
    switch (RB_BUILTIN_TYPE(value)) {
    case T_HASH:
        rb_hash_foreach(value, adopt_pair, 0);
        /* CRuby lets an extension set a class by hiding the object and
         * revealing it. A subclass of Hash has Hash's own memory layout. */
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
    TASKER_GVL;
    context_class = rb_path2class("Tasker::Context");
    rb_gc_register_mark_object(context_class);
    rb_define_singleton_method(context_class, "adopt", adopt, 1);
}
