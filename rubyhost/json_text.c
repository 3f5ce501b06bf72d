/*
 * Strings and numbers as JSON. A long String is written in strides, with a pause
 * after each; a shared frozen copy keeps its bytes meanwhile. Every function here
 * is [GVL].
 */
#include "json_writer.h"

static VALUE values;
static ID id_to_s, id_utf8;
static int utf8_index, ascii_index;

/* Beyond a few MB the buffer gets room for the largest result of the default
 * limit at once. The system gives the memory page by page, as it is written. To
 * double the buffer would copy it, for as long as a second, under the GVL. */
enum { small_buffer = 4 << 20, large_buffer = 65 << 20 };

void tasker_json_grow(tasker_buffer *b, size_t more)
{
    TASKER_GVL;
    size_t cap = b->cap ? b->cap : 512;
    while (cap - b->len < more) cap *= 2;
    if (cap > small_buffer && cap < large_buffer) cap = large_buffer;
    char *data = tasker_realloc(b->data, cap);
    if (!data) tasker_no_memory("the results as JSON");
    b->data = data;
    b->cap = cap;
}

/* 1 for bytes that a JSON string must escape. */
static const unsigned char special[256] = {
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    ['"'] = 1, ['\\'] = 1,
};

/* Writes a stride at most. No Ruby code runs, so s stays where it is. */
static void write_bytes(tasker_writer *w, const char *s, size_t n, VALUE str)
{
    tasker_buffer *b = w->out;
    size_t from = 0;
    if (b->cap - b->len < n + 2) tasker_json_grow(b, n + 2);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (!special[c]) continue;
        tasker_json_put(b, s + from, i - from);
        from = i + 1;
        switch (c) {
        case '"': tasker_json_put(b, "\\\"", 2); break;
        case '\\': tasker_json_put(b, "\\\\", 2); break;
        case '\n': tasker_json_put(b, "\\n", 2); break;
        case '\r': tasker_json_put(b, "\\r", 2); break;
        case '\t': tasker_json_put(b, "\\t", 2); break;
        case 0: tasker_json_fail(w, "nul", str);
        default: {
            static const char hex[] = "0123456789abcdef";
            char u[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
            tasker_json_put(b, u, 6);
        }
        }
    }
    tasker_json_put(b, s + from, n - from);
}

/* How many of the n bytes at s are whole, valid characters. Fewer than n - 3 of a
 * stride, or fewer than all of the last one, is a failure. */
static size_t valid_bytes(tasker_writer *w, const char *s, size_t n, bool last, VALUE str)
{
    int range = 0;
    size_t valid = (size_t)rb_str_coderange_scan_restartable(s, s + n, rb_enc_from_index(rb_enc_get_index(str)), &range);
    if (range == ENC_CODERANGE_BROKEN || (last ? valid < n : valid + 3 < n)) tasker_json_fail(w, "encoding", str);
    return valid;
}

/* Writes a String in UTF-8 or US-ASCII that is longer than a stride. */
static void write_long(tasker_writer *w, VALUE original)
{
    VALUE str = rb_str_new_frozen(original);
    size_t at = 0, length = (size_t)RSTRING_LEN(str);
    tasker_json_put_char(w->out, '"');
    while (at < length) {
        const char *s = RSTRING_PTR(str) + at;
        bool last = length - at <= tasker_json_stride;
        size_t n = valid_bytes(w, s, last ? length - at : tasker_json_stride, last, str);
        write_bytes(w, s, n, str);
        at += n;
        tasker_json_need(w, length - at + 1);
        tasker_json_pause(w);
    }
    tasker_json_put_char(w->out, '"');
    RB_GC_GUARD(str);
}

static bool is_long(VALUE str)
{
    return RSTRING_LEN(str) > tasker_json_stride;
}

bool tasker_json_is_plain(VALUE str)
{
    TASKER_GVL;
    int enc = rb_enc_get_index(str);
    if ((enc != utf8_index && enc != ascii_index) || is_long(str)) return false;
    int range = rb_enc_str_coderange(str);
    return range == ENC_CODERANGE_7BIT || range == ENC_CODERANGE_VALID;
}

VALUE tasker_json_utf8(tasker_writer *w, VALUE str)
{
    TASKER_GVL;
    if (tasker_json_is_plain(str)) return str;
    if (is_long(str)) tasker_json_need(w, (size_t)RSTRING_LEN(str) + 2);
    int enc = rb_enc_get_index(str);
    if ((enc == utf8_index || enc == ascii_index) && is_long(str)) return str;
    const VALUE arguments[] = {str, ULL2NUM(w->limit)};
    VALUE converted = tasker_json_ask(w, values, id_utf8, 2, arguments);
    if (!RB_TYPE_P(converted, T_STRING)) tasker_json_fail(w, "encoding", str);
    enc = rb_enc_get_index(converted);
    if (enc != utf8_index && enc != ascii_index) tasker_json_fail(w, "encoding", str);
    if (!is_long(converted) && !tasker_json_is_plain(converted)) tasker_json_fail(w, "encoding", str);
    return converted;
}

void tasker_json_string(tasker_writer *w, VALUE str)
{
    TASKER_GVL;
    if (!tasker_json_is_plain(str)) str = tasker_json_utf8(w, str);
    if (is_long(str)) {
        tasker_json_need(w, (size_t)RSTRING_LEN(str) + 2);
        write_long(w, str);
        return;
    }
    tasker_json_put_char(w->out, '"');
    write_bytes(w, RSTRING_PTR(str), (size_t)RSTRING_LEN(str), str);
    tasker_json_put_char(w->out, '"');
    RB_GC_GUARD(str);
}

void tasker_json_symbol(tasker_writer *w, VALUE symbol)
{
    TASKER_GVL;
    tasker_json_string(w, rb_sym2str(symbol));
}

void tasker_json_fixnum(tasker_writer *w, long n)
{
    TASKER_GVL;
    char digits[24];
    char *p = digits + sizeof digits;
    unsigned long u = n < 0 ? 0UL - (unsigned long)n : (unsigned long)n;
    do {
        *--p = (char)('0' + u % 10);
        u /= 10;
    } while (u);
    if (n < 0) *--p = '-';
    tasker_json_put(w->out, p, (size_t)(digits + sizeof digits - p));
}

/* Writes a number as Ruby has formatted it. It checks the text, because a handler
 * may have reopened the number's class. */
static void write_digits(tasker_writer *w, VALUE text, VALUE number)
{
    if (!RB_TYPE_P(text, T_STRING) || RSTRING_LEN(text) == 0) tasker_json_fail(w, "number", number);
    if (is_long(text)) tasker_json_need(w, (size_t)RSTRING_LEN(text));
    const char *s = RSTRING_PTR(text);
    for (long i = 0; i < RSTRING_LEN(text); i++)
        if (!strchr("0123456789.e+-", s[i]) || !s[i]) tasker_json_fail(w, "number", number);
    tasker_json_put(w->out, s, (size_t)RSTRING_LEN(text));
    RB_GC_GUARD(text);
}

void tasker_json_bignum(tasker_writer *w, VALUE number)
{
    TASKER_GVL;
    tasker_json_check_digits(w, number);
    VALUE text = rb_big2str(number, 10);
    const long max_length = 131072 + 1; /* with a sign; DIGITS in host/values.rb */
    if (RSTRING_LEN(text) > max_length || (RSTRING_LEN(text) == max_length && RSTRING_PTR(text)[0] != '-'))
        tasker_json_fail(w, "digits", Qnil);
    write_digits(w, text, number);
}

void tasker_json_float(tasker_writer *w, VALUE v)
{
    TASKER_GVL;
    double d = RFLOAT_VALUE(v);
    if (d != d || d - d != 0) tasker_json_fail(w, "float", v);
    write_digits(w, tasker_json_ask(w, v, id_to_s, 0, NULL), v);
}

void tasker_json_text_init(VALUE values_module)
{
    TASKER_GVL;
    values = values_module;
    id_to_s = rb_intern("to_s");
    id_utf8 = rb_intern("utf8");
    utf8_index = rb_utf8_encindex();
    ascii_index = rb_usascii_encindex();
}
