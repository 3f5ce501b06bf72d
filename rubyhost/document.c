/*
 * Reads JSON documents straight from a job's memory into Ruby objects, for
 * Tasker::Host::Segments (segments.c). It reads the common parts of JSON, and
 * gives exactly the values that JSON.parse gives. It refuses a document with
 * anything unusual or wrong (integers beyond 18 digits, surrogates, comments,
 * deep nesting, any error). JSON.parse then reads the document, so there is one
 * set of rules and one wording of errors. Every function here is [GVL].
 */
#include <ruby.h>
#include <ruby/encoding.h>
#include <string.h>

#include "bridge_internal.h"

enum {
    deepest = 100,         /* nesting beyond this is refused */
    number_bytes = 64,     /* longer numbers are refused */
    key_bytes = 48,        /* longer keys are not remembered */
    key_places = 512,      /* a power of two */
};

typedef struct reader {
    const char *at;
    const char *end;
    bool contexts; /* objects become Contexts */
    int depth;
} reader;

/* Interned keys of earlier documents. cbridge.c's root object marks them. */
static VALUE keys[key_places];
static VALUE context_class;

static VALUE read_value(reader *r);

static inline void skip_space(reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r')) r->at++;
}

static inline bool take(reader *r, char c)
{
    if (r->at == r->end || *r->at != c) return false;
    r->at++;
    return true;
}

static VALUE word(reader *r, const char *text, size_t length, VALUE value)
{
    if ((size_t)(r->end - r->at) < length || memcmp(r->at, text, length) != 0) return Qundef;
    r->at += length;
    return value;
}

static inline bool is_digit(const reader *r, const char *at)
{
    return at < r->end && *at >= '0' && *at <= '9';
}

static VALUE read_number(reader *r)
{
    const char *from = r->at, *at = from;
    bool negative = *at == '-';
    if (negative) at++;
    const char *digits = at;
    long value = 0;
    for (; is_digit(r, at); at++) {
        if (at - digits == 18) return Qundef;
        value = value * 10 + (*at - '0');
    }
    if (at == digits || (*digits == '0' && at - digits > 1)) return Qundef;
    bool whole = true;
    if (at < r->end && *at == '.') {
        whole = false;
        if (!is_digit(r, ++at)) return Qundef;
        while (is_digit(r, at)) at++;
    }
    if (at < r->end && (*at == 'e' || *at == 'E')) {
        whole = false;
        at++;
        if (at < r->end && (*at == '+' || *at == '-')) at++;
        if (!is_digit(r, at)) return Qundef;
        while (is_digit(r, at)) at++;
    }
    r->at = at;
    if (whole) return LONG2NUM(negative ? -value : value);
    char text[number_bytes];
    size_t length = (size_t)(at - from);
    if (length >= sizeof text) return Qundef;
    memcpy(text, from, length);
    text[length] = 0;
    return rb_float_new(rb_cstr_to_dbl(text, 1));
}

/* Returns the closing quote of the string at r->at, or NULL, and says whether
 * the string has escapes. */
static const char *find_quote(const reader *r, bool *escapes)
{
    *escapes = false;
    for (const char *at = r->at; at < r->end; at++) {
        unsigned char c = (unsigned char)*at;
        if (c == '"') return at;
        if (c < 0x20) return NULL;
        if (c == '\\') {
            *escapes = true;
            at++;
        }
    }
    return NULL;
}

/* Four hex digits, or -1. */
static int hex4(const char *at, const char *end)
{
    if (end - at < 4) return -1;
    int value = 0;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* Writes the character of an escape to *out. `at` points behind the backslash.
 * Returns the place after the escape, or NULL. */
static const char *unescape(const char *at, const char *end, char **out)
{
    char *o = *out;
    switch (*at) {
    case '"': case '\\': case '/': *o++ = *at; break;
    case 'b': *o++ = '\b'; break;
    case 'f': *o++ = '\f'; break;
    case 'n': *o++ = '\n'; break;
    case 'r': *o++ = '\r'; break;
    case 't': *o++ = '\t'; break;
    case 'u': {
        int code = hex4(at + 1, end);
        if (code < 0 || (code >= 0xd800 && code <= 0xdfff)) return NULL;
        if (code < 0x80) {
            *o++ = (char)code;
        } else if (code < 0x800) {
            *o++ = (char)(0xc0 | code >> 6);
            *o++ = (char)(0x80 | (code & 0x3f));
        } else {
            *o++ = (char)(0xe0 | code >> 12);
            *o++ = (char)(0x80 | (code >> 6 & 0x3f));
            *o++ = (char)(0x80 | (code & 0x3f));
        }
        at += 4;
        break;
    }
    default: return NULL;
    }
    *out = o;
    return at + 1;
}

/* Returns the bytes between at and end with their escapes replaced, or Qundef. */
static VALUE unescaped(const char *at, const char *end)
{
    VALUE str = rb_utf8_str_new(at, end - at); /* never grows */
    char *out = RSTRING_PTR(str);
    const char *begin = out;
    while (at < end) {
        if (*at != '\\') {
            *out++ = *at++;
            continue;
        }
        at = unescape(at + 1, end, &out);
        if (!at) return Qundef;
    }
    rb_str_set_len(str, out - begin);
    return str;
}

static VALUE read_string(reader *r)
{
    bool escapes;
    const char *from = ++r->at, *quote = find_quote(r, &escapes);
    if (!quote) return Qundef;
    r->at = quote + 1;
    return escapes ? unescaped(from, quote) : rb_utf8_str_new(from, quote - from);
}

static VALUE interned(const char *from, long length)
{
    return rb_enc_interned_str(from, length, rb_utf8_encoding());
}

/* Returns the interned key. Documents repeat the same few keys, so it remembers them. */
static VALUE key_for(const char *from, long length)
{
    if (length > key_bytes) return interned(from, length);
    uint64_t h = 14695981039346656037ULL;
    for (long i = 0; i < length; i++) h = (h ^ (unsigned char)from[i]) * 1099511628211ULL;
    VALUE *place = &keys[(h ^ h >> 32) & (key_places - 1)];
    VALUE known = *place;
    if (known && RSTRING_LEN(known) == length && memcmp(RSTRING_PTR(known), from, (size_t)length) == 0) return known;
    return *place = interned(from, length);
}

static VALUE read_key(reader *r)
{
    bool escapes;
    const char *from = ++r->at, *quote = find_quote(r, &escapes);
    if (!quote) return Qundef;
    r->at = quote + 1;
    if (!escapes) return key_for(from, quote - from);
    VALUE str = unescaped(from, quote);
    if (str == Qundef) return Qundef;
    VALUE key = interned(RSTRING_PTR(str), RSTRING_LEN(str));
    RB_GC_GUARD(str);
    return key;
}

static bool read_pairs(reader *r, VALUE hash)
{
    skip_space(r);
    if (take(r, '}')) return true;
    for (;;) {
        if (r->at == r->end || *r->at != '"') return false;
        VALUE key = read_key(r);
        if (key == Qundef) return false;
        skip_space(r);
        if (!take(r, ':')) return false;
        VALUE value = read_value(r);
        if (value == Qundef) return false;
        rb_hash_aset(hash, key, value);
        if (take(r, '}')) return true;
        if (!take(r, ',')) return false;
        skip_space(r);
    }
}

static VALUE read_object(reader *r)
{
    r->at++;
    VALUE hash = r->contexts ? rb_obj_alloc(context_class) : rb_hash_new();
    return read_pairs(r, hash) ? hash : Qundef;
}

static VALUE read_array(reader *r)
{
    r->at++;
    VALUE array = rb_ary_new();
    skip_space(r);
    if (take(r, ']')) return array;
    for (;;) {
        VALUE value = read_value(r);
        if (value == Qundef) return Qundef;
        rb_ary_push(array, value);
        if (take(r, ']')) return array;
        if (!take(r, ',')) return Qundef;
    }
}

static VALUE read_nested(reader *r)
{
    if (r->depth == deepest) return Qundef;
    r->depth++;
    VALUE value = *r->at == '{' ? read_object(r) : read_array(r);
    r->depth--;
    return value;
}

/* Reads a value and the space around it. Returns Qundef to refuse the document. */
static VALUE read_value(reader *r)
{
    VALUE value;
    skip_space(r);
    if (r->at == r->end) return Qundef;
    switch (*r->at) {
    case '{': case '[': value = read_nested(r); break;
    case '"': value = read_string(r); break;
    case 't': value = word(r, "true", 4, Qtrue); break;
    case 'f': value = word(r, "false", 5, Qfalse); break;
    case 'n': value = word(r, "null", 4, Qnil); break;
    default: value = read_number(r);
    }
    if (value != Qundef) skip_space(r);
    return value;
}

VALUE tasker_document_read(const char *text, size_t length, bool contexts)
{
    TASKER_GVL;
    reader r = {.at = text, .end = text + length, .contexts = contexts};
    VALUE value = read_value(&r);
    return r.at == r.end ? value : Qundef;
}

void tasker_document_mark(void)
{
    TASKER_GVL;
    for (int i = 0; i < key_places; i++)
        if (keys[i]) rb_gc_mark(keys[i]);
}

void tasker_document_init(void)
{
    TASKER_GVL;
    context_class = rb_path2class("Tasker::Context");
    rb_gc_register_mark_object(context_class);
}
