/*
 * What bounds the writing of JSON: the limit of bytes, the limit of digits, and
 * the pauses in which other threads run and interrupts act. Every function here
 * is [GVL].
 */
#include "json_writer.h"

/* The limit of digits, as docs/templates.md has it for contexts. 10**131072 has
 * 435412 bits, so an Integer with more bits has too many digits. */
enum { max_digit_bits = 435412 };

static VALUE values;
static ID id_fail;

void tasker_json_fail(tasker_writer *w, const char *problem, VALUE culprit)
{
    TASKER_GVL;
    VALUE path = rb_ary_new_capa(w->depth);
    for (int i = 0; i < w->depth; i++)
        if (!NIL_P(w->keys[i])) rb_ary_push(path, w->keys[i]);
    rb_funcall(values, id_fail, 3, rb_str_new_cstr(problem), path, culprit);
    rb_raise(rb_path2class("RuntimeError"), "tasker: %s", problem); /* not reached */
}

void tasker_json_too_large(tasker_writer *w)
{
    TASKER_GVL;
    tasker_json_fail(w, "size", ULL2NUM(w->limit));
}

void tasker_json_reentered(void)
{
    TASKER_GVL;
    rb_funcall(values, id_fail, 3, rb_str_new_cstr("reentered"), rb_ary_new(), Qnil);
    rb_raise(rb_path2class("RuntimeError"), "tasker: reentered"); /* not reached */
}

/* Fails when other code has used the buffer since `turn`: then this return is a
 * second one, and a Continuation has brought the thread back here. */
static void check_turn(tasker_writer *w, uint64_t turn)
{
    if (w->out->turns != turn) tasker_json_fail(w, "reentered", Qnil);
}

VALUE tasker_json_ask(tasker_writer *w, VALUE receiver, ID method, int argc, const VALUE *argv)
{
    TASKER_GVL;
    uint64_t turn = ++w->out->turns;
    VALUE answer = rb_funcallv(receiver, method, argc, argv);
    check_turn(w, turn);
    return answer;
}

void tasker_json_pause(tasker_writer *w)
{
    TASKER_GVL;
    uint64_t turn = ++w->out->turns;
    rb_thread_check_ints();
    check_turn(w, turn);
}

void tasker_json_stopped(tasker_writer *w)
{
    TASKER_GVL;
    if (w->out->len > w->limit) tasker_json_too_large(w);
    tasker_json_pause(w);
    w->stop = w->out->len + tasker_json_stride;
    if (w->stop > w->limit) w->stop = w->limit + 1;
}

void tasker_json_need(tasker_writer *w, size_t bytes)
{
    TASKER_GVL;
    size_t len = w->out->len;
    if (len > w->limit || w->limit - len < bytes) tasker_json_too_large(w);
}

void tasker_json_check_digits(tasker_writer *w, VALUE number)
{
    TASKER_GVL;
    if (RB_SPECIAL_CONST_P(number)) return;
    int unused = 0;
    switch (RB_BUILTIN_TYPE(number)) {
    case T_BIGNUM: {
        size_t bytes = rb_absint_size(number, &unused);
        if (bytes * 8 - (size_t)unused > max_digit_bits) tasker_json_fail(w, "digits", Qnil);
        break;
    }
    case T_RATIONAL:
        tasker_json_check_digits(w, rb_rational_num(number));
        tasker_json_check_digits(w, rb_rational_den(number));
        break;
    case T_COMPLEX:
        tasker_json_check_digits(w, rb_complex_real(number));
        tasker_json_check_digits(w, rb_complex_imag(number));
        break;
    default:
        break;
    }
}

void tasker_json_bounds_init(VALUE values_module)
{
    TASKER_GVL;
    values = values_module;
    id_fail = rb_intern("fail");
}
