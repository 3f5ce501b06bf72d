/*
 * Ruby values to JSON, straight into a buffer, without making Ruby objects on
 * the common path. This file writes core types. Tasker::Host::Values.plain, in
 * Ruby, turns every other object into core types. Every function here is [GVL]
 * and may raise. The buffer belongs to the worker, so a raise leaks nothing.
 */
#include <ruby.h>
#include <ruby/encoding.h>
#include <string.h>

#include "bridge_internal.h"

/* How deep a value may nest. JSON.parse is given the same limit. */
enum { max_depth = 1000 };

typedef struct writer {
    tasker_buffer *out;
    int depth;
    bool first;            /* no comma yet in the innermost Hash */
    VALUE path[max_depth]; /* the containers around the value */
    VALUE keys[max_depth]; /* the place in each: its key, or an Integer */
} writer;

static VALUE values_module;
static ID id_plain, id_to_s, id_fail, id_utf8, id_check_keys;
static int utf8_index, ascii_index;

static void write_value(writer *w, VALUE v);

static void grow(tasker_buffer *b, size_t more)
{
    size_t cap = b->cap ? b->cap : 512;
    while (cap - b->len < more) cap *= 2;
    char *data = realloc(b->data, cap);
    if (!data) rb_memerror();
    b->data = data;
    b->cap = cap;
}

static inline void put(tasker_buffer *b, const char *s, size_t n)
{
    if (b->cap - b->len < n) grow(b, n);
    memcpy(b->data + b->len, s, n);
    b->len += n;
}

static inline void put_char(tasker_buffer *b, char c)
{
    if (b->cap == b->len) grow(b, 1);
    b->data[b->len++] = c;
}

/* Raises. Tasker::Host::Values.fail words the message from the path. */
NORETURN(static void fail(writer *w, const char *what, VALUE culprit));
static void fail(writer *w, const char *what, VALUE culprit)
{
    VALUE path = rb_ary_new_capa(w->depth);
    for (int i = 0; i < w->depth; i++) rb_ary_push(path, w->keys[i]);
    rb_funcall(values_module, id_fail, 3, rb_str_new_cstr(what), path, culprit);
    rb_raise(rb_path2class("RuntimeError"), "tasker: %s", what); /* not reached */
}

/* 1 for bytes that a JSON string must escape. */
static const unsigned char special[256] = {
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    ['"'] = 1, ['\\'] = 1,
};

static void write_bytes(writer *w, VALUE str)
{
    tasker_buffer *b = w->out;
    const char *s = RSTRING_PTR(str);
    size_t n = (size_t)RSTRING_LEN(str), from = 0;
    if (b->cap - b->len < n + 2) grow(b, n + 2);
    put_char(b, '"');
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (!special[c]) continue;
        put(b, s + from, i - from);
        from = i + 1;
        switch (c) {
        case '"': put(b, "\\\"", 2); break;
        case '\\': put(b, "\\\\", 2); break;
        case '\n': put(b, "\\n", 2); break;
        case '\r': put(b, "\\r", 2); break;
        case '\t': put(b, "\\t", 2); break;
        case 0: fail(w, "nul", str);
        default: {
            static const char hex[] = "0123456789abcdef";
            char u[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
            put(b, u, 6);
        }
        }
    }
    put(b, s + from, n - from);
    put_char(b, '"');
    RB_GC_GUARD(str);
}

static bool is_plain_utf8(VALUE str)
{
    int enc = rb_enc_get_index(str);
    if (enc != utf8_index && enc != ascii_index) return false;
    int range = rb_enc_str_coderange(str);
    return range == ENC_CODERANGE_7BIT || range == ENC_CODERANGE_VALID;
}

static void write_string(writer *w, VALUE str)
{
    if (!is_plain_utf8(str)) {
        VALUE converted = rb_funcall(values_module, id_utf8, 1, str);
        if (!RB_TYPE_P(converted, T_STRING)) fail(w, "encoding", str);
        str = converted;
    }
    write_bytes(w, str);
}

static void write_fixnum(writer *w, long n)
{
    char digits[24];
    char *p = digits + sizeof digits;
    unsigned long u = n < 0 ? 0UL - (unsigned long)n : (unsigned long)n;
    do {
        *--p = (char)('0' + u % 10);
        u /= 10;
    } while (u);
    if (n < 0) *--p = '-';
    put(w->out, p, (size_t)(digits + sizeof digits - p));
}

/* Writes a number as Ruby has formatted it. It checks the text, because a handler
 * may have reopened the number's class. */
static void write_digits(writer *w, VALUE text, VALUE number)
{
    if (!RB_TYPE_P(text, T_STRING) || RSTRING_LEN(text) == 0) fail(w, "number", number);
    const char *s = RSTRING_PTR(text);
    for (long i = 0; i < RSTRING_LEN(text); i++)
        if (!strchr("0123456789.e+-", s[i]) || !s[i]) fail(w, "number", number);
    put(w->out, s, (size_t)RSTRING_LEN(text));
    RB_GC_GUARD(text);
}

static void write_float(writer *w, VALUE v)
{
    double d = RFLOAT_VALUE(v);
    if (d != d || d - d != 0) fail(w, "float", v);
    write_digits(w, rb_funcall(v, id_to_s, 0), v);
}

static void enter(writer *w, VALUE container)
{
    if (w->depth >= max_depth) {
        for (int i = 0; i < w->depth; i++)
            if (w->path[i] == container) fail(w, "cycle", container);
        for (int i = 1; i < w->depth; i++)
            for (int j = 0; j < i; j++)
                if (w->path[i] == w->path[j]) fail(w, "cycle", w->path[i]);
        fail(w, "depth", container);
    }
    w->path[w->depth] = container;
    w->keys[w->depth] = Qnil;
    w->depth++;
}

static void write_key(writer *w, VALUE key)
{
    if (RB_SYMBOL_P(key)) {
        write_string(w, rb_sym2str(key));
    } else if (RB_TYPE_P(key, T_STRING)) {
        write_string(w, key);
    } else {
        VALUE name = rb_funcall(key, id_to_s, 0);
        if (!RB_TYPE_P(name, T_STRING)) fail(w, "key", key);
        write_string(w, name);
    }
}

/* Two keys can only be equal as JSON when they are of different kinds: Strings
 * in UTF-8 are distinct among themselves, and so are Symbols. */
static int collide_check(VALUE key, VALUE value, VALUE arg)
{
    (void)value;
    int *seen = (int *)arg;
    if (RB_SYMBOL_P(key)) *seen |= 1;
    else if (RB_TYPE_P(key, T_STRING) && is_plain_utf8(key)) *seen |= 2;
    else *seen |= 4;
    return (*seen == 1 || *seen == 2) ? ST_CONTINUE : ST_STOP;
}

static int write_pair(VALUE key, VALUE value, VALUE arg)
{
    writer *w = (writer *)arg;
    w->keys[w->depth - 1] = key;
    if (!w->first) put_char(w->out, ',');
    write_key(w, key);
    put_char(w->out, ':');
    write_value(w, value);
    w->first = false;
    return ST_CONTINUE;
}

static void write_hash(writer *w, VALUE hash)
{
    enter(w, hash);
    int seen = 0;
    rb_hash_foreach(hash, collide_check, (VALUE)&seen);
    if (seen != 0 && seen != 1 && seen != 2) {
        VALUE twice = rb_funcall(values_module, id_check_keys, 1, hash);
        if (!NIL_P(twice)) {
            w->keys[w->depth - 1] = twice;
            fail(w, "duplicate", twice);
        }
    }
    put_char(w->out, '{');
    w->first = true;
    rb_hash_foreach(hash, write_pair, (VALUE)w);
    w->first = false;
    put_char(w->out, '}');
    w->depth--;
}

static void write_array(writer *w, VALUE array)
{
    enter(w, array);
    put_char(w->out, '[');
    for (long i = 0; i < RARRAY_LEN(array); i++) {
        if (i) put_char(w->out, ',');
        w->keys[w->depth - 1] = LONG2FIX(i);
        write_value(w, rb_ary_entry(array, i));
    }
    put_char(w->out, ']');
    w->depth--;
}

/* Writes an object that is of no core type. The object is no level of nesting,
 * but the Array or Hash that it turns into is one. So an object that turns into
 * itself reaches the limit. */
static void write_other(writer *w, VALUE v)
{
    VALUE plain = rb_funcall(values_module, id_plain, 1, v);
    if (!RB_SPECIAL_CONST_P(plain)) {
        int type = RB_BUILTIN_TYPE(plain);
        if (type != T_STRING && type != T_HASH && type != T_ARRAY && type != T_BIGNUM && type != T_FLOAT)
            fail(w, "unknown", v);
    }
    write_value(w, plain);
    RB_GC_GUARD(plain);
}

static void write_value(writer *w, VALUE v)
{
    if (NIL_P(v)) {
        put(w->out, "null", 4);
    } else if (v == Qtrue) {
        put(w->out, "true", 4);
    } else if (v == Qfalse) {
        put(w->out, "false", 5);
    } else if (RB_FIXNUM_P(v)) {
        write_fixnum(w, FIX2LONG(v));
    } else if (RB_FLONUM_P(v)) {
        write_float(w, v);
    } else if (RB_STATIC_SYM_P(v)) {
        write_string(w, rb_sym2str(v));
    } else {
        switch (RB_BUILTIN_TYPE(v)) {
        case T_STRING: write_string(w, v); break;
        case T_HASH: write_hash(w, v); break;
        case T_ARRAY: write_array(w, v); break;
        case T_BIGNUM: write_digits(w, rb_big2str(v, 10), v); break;
        case T_FLOAT: write_float(w, v); break;
        case T_SYMBOL: write_string(w, rb_sym2str(v)); break;
        default: write_other(w, v);
        }
    }
}

void tasker_json_write(tasker_buffer *out, VALUE value)
{
    writer w;
    w.out = out;
    w.depth = 0;
    w.first = true;
    write_value(&w, value);
}

void tasker_json_init(VALUE host_module)
{
    values_module = rb_const_get(host_module, rb_intern("Values"));
    rb_gc_register_mark_object(values_module); /* compaction would move it */
    id_plain = rb_intern("plain");
    id_to_s = rb_intern("to_s");
    id_fail = rb_intern("fail");
    id_utf8 = rb_intern("utf8");
    id_check_keys = rb_intern("duplicate_key");
    utf8_index = rb_utf8_encindex();
    ascii_index = rb_usascii_encindex();
}
