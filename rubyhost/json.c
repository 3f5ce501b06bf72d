/*
 * Ruby values to JSON, straight into a buffer, without making Ruby objects on
 * the common path. The C files write core types. Tasker::Host::Values.plain, in
 * Ruby, turns every other object into core types. json_writer.h lists the files
 * and the rules. Every function here is [GVL].
 */
#include "json_writer.h"

static VALUE values;
static ID id_plain;

void tasker_json_enter(tasker_writer *w, VALUE container)
{
    TASKER_GVL;
    if (w->depth >= tasker_json_depth) {
        for (int i = 0; i < w->depth; i++)
            if (w->path[i] == container) tasker_json_fail(w, "cycle", container);
        for (int i = 1; i < w->depth; i++)
            for (int j = 0; j < i; j++)
                if (w->path[i] == w->path[j]) tasker_json_fail(w, "cycle", w->path[i]);
        tasker_json_fail(w, "depth", container);
    }
    w->path[w->depth] = container;
    w->keys[w->depth] = Qnil;
    w->depth++;
}

static void write_array(tasker_writer *w, VALUE array)
{
    tasker_json_enter(w, array);
    if (RARRAY_LEN(array) > tasker_json_stride) tasker_json_need(w, (size_t)RARRAY_LEN(array) * 2 + 1);
    tasker_json_put_char(w->out, '[');
    for (long i = 0; i < RARRAY_LEN(array); i++) {
        if (i) tasker_json_put_char(w->out, ',');
        w->keys[w->depth - 1] = LONG2FIX(i);
        tasker_json_value(w, rb_ary_entry(array, i));
    }
    tasker_json_put_char(w->out, ']');
    w->depth--;
}

/* Writes an object that is of no core type. The object is no level of nesting,
 * but the Array or Hash that it turns into is one. So an object that turns into
 * itself reaches the limit. A Symbol names a problem that Values.plain has found. */
static void write_other(tasker_writer *w, VALUE v)
{
    tasker_json_check_digits(w, v);
    const VALUE arguments[] = {v, ULL2NUM(w->limit)};
    VALUE plain = tasker_json_ask(w, values, id_plain, 2, arguments);
    if (RB_STATIC_SYM_P(plain)) tasker_json_fail(w, RSTRING_PTR(rb_sym2str(plain)), ULL2NUM(w->limit));
    if (!RB_SPECIAL_CONST_P(plain)) {
        int type = RB_BUILTIN_TYPE(plain);
        if (type != T_STRING && type != T_HASH && type != T_ARRAY && type != T_BIGNUM && type != T_FLOAT)
            tasker_json_fail(w, "unknown", v);
    }
    tasker_json_value(w, plain);
    RB_GC_GUARD(plain);
}

void tasker_json_value(tasker_writer *w, VALUE v)
{
    TASKER_GVL;
    if (NIL_P(v)) {
        tasker_json_put(w->out, "null", 4);
    } else if (v == Qtrue) {
        tasker_json_put(w->out, "true", 4);
    } else if (v == Qfalse) {
        tasker_json_put(w->out, "false", 5);
    } else if (RB_FIXNUM_P(v)) {
        tasker_json_fixnum(w, FIX2LONG(v));
    } else if (RB_FLONUM_P(v)) {
        tasker_json_float(w, v);
    } else if (RB_STATIC_SYM_P(v)) {
        tasker_json_symbol(w, v);
    } else {
        switch (RB_BUILTIN_TYPE(v)) {
        case T_STRING: tasker_json_string(w, v); break;
        case T_HASH: tasker_json_hash(w, v); break;
        case T_ARRAY: write_array(w, v); break;
        case T_BIGNUM: tasker_json_bignum(w, v); break;
        case T_FLOAT: tasker_json_float(w, v); break;
        case T_SYMBOL: tasker_json_symbol(w, v); break;
        default: write_other(w, v);
        }
    }
    tasker_json_pace(w);
}

void tasker_json_write(tasker_buffer *out, VALUE value, size_t limit)
{
    TASKER_GVL;
    tasker_writer w;
    w.out = out;
    w.limit = limit;
    w.stop = limit < tasker_json_stride ? limit + 1 : tasker_json_stride;
    w.depth = 0;
    w.first = true;
    out->len = 0;
    tasker_json_value(&w, value);
}

void tasker_json_init(VALUE host_module)
{
    TASKER_GVL;
    values = rb_const_get(host_module, rb_intern("Values"));
    rb_gc_register_mark_object(values); /* compaction would move it */
    id_plain = rb_intern("plain");
    tasker_json_bounds_init(values);
    tasker_json_text_init(values);
    tasker_json_hash_init();
}
