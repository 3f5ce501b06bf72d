/*
 * What the files that write JSON share: json.c (values and containers),
 * json_hash.c (Hashes and their keys), json_text.c (Strings and numbers),
 * json_bounds.c (the limits and the turns of other threads).
 *
 * Three rules keep the writer exact while other code runs:
 *   - The buffer only grows, and belongs to the worker: a raise leaks nothing.
 *   - Other Ruby code runs in tasker_json_ask and tasker_json_pause alone. It may
 *     change every String, Array and Hash. So no pointer into an object, and no
 *     length, is kept across them.
 *   - Both compare buffer->turns, which is in the heap. A Continuation restores
 *     the C stack, and so the writer, but not the heap.
 *
 * Every function here is [GVL] and may raise.
 */
#ifndef TASKER_JSON_WRITER_H
#define TASKER_JSON_WRITER_H

#include <ruby.h>
#include <ruby/encoding.h>
#include <string.h>

#include "bridge_internal.h"

enum {
    /* How deep a value may nest. JSON.parse is given the same limit. */
    tasker_json_depth = 1000,
    /* How many bytes are written, or looked at, between two pauses. */
    tasker_json_stride = 64 << 10
};

typedef struct tasker_writer {
    tasker_buffer *out;
    size_t limit; /* of out->len */
    size_t stop;  /* when out->len is here, look at the limit and pause */
    int depth;
    bool first;                    /* no comma yet in the innermost Hash */
    VALUE path[tasker_json_depth]; /* the containers around the value */
    VALUE keys[tasker_json_depth]; /* the place in each: a String, a Symbol, or an Integer */
} tasker_writer;

/* json_bounds.c */

/* Raises. Tasker::Host::Values.fail words the message from the path. */
NORETURN(void tasker_json_fail(tasker_writer *w, const char *problem, VALUE culprit));
NORETURN(void tasker_json_too_large(tasker_writer *w));
/* Calls a Ruby method. */
VALUE tasker_json_ask(tasker_writer *w, VALUE receiver, ID method, int argc, const VALUE *argv);
/* Lets interrupts act, and with them other threads. */
void tasker_json_pause(tasker_writer *w);
/* To be called when out->len has reached stop. */
void tasker_json_stopped(tasker_writer *w);
/* Fails when so many more bytes cannot fit. */
void tasker_json_need(tasker_writer *w, size_t bytes);
/* Fails for a number whose digits are beyond the limit. */
void tasker_json_check_digits(tasker_writer *w, VALUE number);
void tasker_json_bounds_init(VALUE values_module);

/* Looks at the limit and pauses when it is time to. To be called after each value. */
static inline void tasker_json_pace(tasker_writer *w)
{
    if (RB_UNLIKELY(w->out->len >= w->stop)) tasker_json_stopped(w);
}

/* json_text.c */

void tasker_json_grow(tasker_buffer *b, size_t more);
void tasker_json_string(tasker_writer *w, VALUE str);
void tasker_json_symbol(tasker_writer *w, VALUE symbol);
void tasker_json_fixnum(tasker_writer *w, long n);
void tasker_json_bignum(tasker_writer *w, VALUE number);
void tasker_json_float(tasker_writer *w, VALUE number);
/* Whether str is short, in UTF-8 or US-ASCII, and valid. */
bool tasker_json_is_plain(VALUE str);
/* Returns str, or a copy in UTF-8. A long one may still be invalid. */
VALUE tasker_json_utf8(tasker_writer *w, VALUE str);
void tasker_json_text_init(VALUE values_module);

static inline void tasker_json_put(tasker_buffer *b, const char *s, size_t n)
{
    if (b->cap - b->len < n) tasker_json_grow(b, n);
    memcpy(b->data + b->len, s, n);
    b->len += n;
}

static inline void tasker_json_put_char(tasker_buffer *b, char c)
{
    if (b->cap == b->len) tasker_json_grow(b, 1);
    b->data[b->len++] = c;
}

/* json_hash.c */

void tasker_json_hash(tasker_writer *w, VALUE hash);
void tasker_json_hash_init(void);

/* json.c */

void tasker_json_value(tasker_writer *w, VALUE value);
void tasker_json_enter(tasker_writer *w, VALUE container);

#endif
