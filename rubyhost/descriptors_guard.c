/*
 * Ruby makes an IO of any number. One of a descriptor of the host's would close
 * it, at the latest when it is collected. So these methods stand in front of
 * Ruby's own. A socket can still be had in the moment between Go's call of socket
 * and its registration. An IO may have had its number before the host got it, and
 * descriptors_close.c sees to that. In a forked child everything is passed on: the
 * host's descriptors are closed there.
 */
#include "bridge_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

static VALUE io_class, for_class;

/* [GVL] */
static void forbid(int fd)
{
    TASKER_GVL;
    char call[60];
    snprintf(call, sizeof call, "an IO of descriptor %d", fd);
    tasker_forbid(call, "it belongs to the host; open what you need");
}

/* [GVL] Converts the argument once. Returns -1 for what is no number, such as a
 * path. Raises for a number that is not open: the host may open it next. */
static int descriptor_of(VALUE *given)
{
    TASKER_GVL;
    if (RB_TYPE_P(*given, T_STRING)) return -1;
    VALUE number = rb_check_to_int(*given);
    if (NIL_P(number)) return -1;
    int fd = NUM2INT(number);
    *given = INT2NUM(fd);
    if (fcntl(fd, F_GETFD) < 0) rb_syserr_fail(EBADF, NULL);
    if (tasker_descriptors_has(fd)) forbid(fd);
    tasker_descriptors_given(fd);
    return fd;
}

/* [GVL] The host may have opened the number between the look and the IO. */
static void look_again(VALUE io, int fd)
{
    TASKER_GVL;
    if (fd < 0 || !tasker_descriptors_has(fd)) return;
    rb_funcall(io, rb_intern("autoclose="), 1, Qfalse);
    forbid(fd);
}

/* [GVL] IO#initialize, and File's, which does not call IO's. */
static VALUE io_initialize(int argc, VALUE *argv, VALUE self)
{
    TASKER_GVL;
    if (tasker_ruby.forked || argc == 0) return rb_call_super_kw(argc, argv, RB_PASS_CALLED_KEYWORDS);
    int fd = descriptor_of(&argv[0]);
    VALUE result = rb_call_super_kw(argc, argv, RB_PASS_CALLED_KEYWORDS);
    look_again(self, fd);
    return result;
}

/* [GVL] IO.for_fd and BasicSocket.for_fd, which call no initialize. */
static VALUE io_for_fd(int argc, VALUE *argv, VALUE self)
{
    TASKER_GVL;
    (void)self;
    if (tasker_ruby.forked || argc == 0) return rb_call_super_kw(argc, argv, RB_PASS_CALLED_KEYWORDS);
    int fd = descriptor_of(&argv[0]);
    VALUE io = rb_call_super_kw(argc, argv, RB_PASS_CALLED_KEYWORDS);
    look_again(io, fd);
    return io;
}

/* [GVL] IO.inherited: a library that is loaded later may have a for_fd of its
 * own, as socket has. */
static VALUE io_inherited(VALUE self, VALUE subclass)
{
    TASKER_GVL;
    VALUE result = rb_call_super(1, &subclass);
    if (self == io_class) rb_prepend_module(rb_singleton_class(subclass), for_class);
    return result;
}

/* [GVL] */
void tasker_descriptors_guard(VALUE conduct)
{
    TASKER_GVL;
    io_class = rb_path2class("IO");
    rb_gc_register_mark_object(io_class);
    for_class = rb_define_module_under(conduct, "ForIO");
    rb_gc_register_mark_object(for_class);
    rb_define_method(for_class, "for_fd", io_for_fd, -1);
    rb_define_private_method(for_class, "inherited", io_inherited, 1);
    rb_define_method(rb_define_module_under(conduct, "ForNewIO"), "initialize", io_initialize, -1);
}
