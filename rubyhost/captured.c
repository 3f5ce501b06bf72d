/*
 * How the main Ruby thread reaches other threads without running Ruby code.
 *
 * CRuby has no C function for Thread#raise, Thread#backtrace and some others. To
 * call them by name would run what a handler or a gem has put in their place.
 * So this file keeps CRuby's own methods from before any other code was loaded.
 * Each is kept as the Method `bind_call` of its UnboundMethod: to call that runs
 * C functions alone, whatever is redefined or prepended later.
 *
 * The main thread runs no bytecode. A trace point's block would be bytecode:
 * trace.c keeps it off that thread. What is raised is complete before its worker
 * is looked for (tasker_new_interrupt), and Thread#raise asks nothing of it that
 * a handler could answer. supervisor.c says how it hits the right job.
 */
#include "bridge_internal.h"

#include <ruby/thread.h>
#include <string.h>

static VALUE thread_raise, thread_pending, thread_alive, thread_backtrace, thread_group, group_add, error_backtrace, trace_off;
static VALUE thread_aborts, all_threads_abort;
static VALUE settled_module, readable_module, interrupt_class, exit_class, group_class, main_thread;
static ID id_message, id_exception, id_backtrace;
static VALUE interrupt_message;

/* [GVL] Raises. The method bind_call of an instance method, for as long as the
 * process runs. */
static VALUE capture(VALUE module, const char *name)
{
    TASKER_GVL;
    VALUE unbound = rb_funcall(module, rb_intern("instance_method"), 1, ID2SYM(rb_intern2(name, (long)strlen(name))));
    VALUE method = rb_obj_method(unbound, ID2SYM(rb_intern("bind_call")));
    rb_gc_register_mark_object(method);
    return method;
}

/* [GVL] Settled exceptions: raise takes the object as it is, and asks nothing else of it. */
static VALUE settled_exception(int argc, VALUE *argv, VALUE self)
{
    TASKER_GVL;
    (void)argc;
    (void)argv;
    return self;
}

/* [GVL] */
static VALUE settled_respond_to(int argc, VALUE *argv, VALUE self)
{
    TASKER_GVL;
    (void)self;
    return argc > 0 && argv[0] == ID2SYM(id_exception) ? Qtrue : Qfalse;
}

/* [GVL] Readable exceptions: CRuby reads the backtrace when it raises one. */
static VALUE readable_backtrace(int argc, VALUE *argv, VALUE self)
{
    TASKER_GVL;
    (void)argc;
    (void)argv;
    return rb_method_call(1, &self, error_backtrace);
}

/* [GVL] */
static VALUE readable_respond_to(int argc, VALUE *argv, VALUE self)
{
    TASKER_GVL;
    (void)self;
    return argc > 0 && (argv[0] == ID2SYM(id_exception) || argv[0] == ID2SYM(id_backtrace)) ? Qtrue : Qfalse;
}

/* [GVL] Raises. A module whose methods answer CRuby's questions about an exception. */
static VALUE answering_module(VALUE (*respond_to)(int, VALUE *, VALUE))
{
    TASKER_GVL;
    VALUE module = rb_module_new();
    rb_gc_register_mark_object(module);
    rb_define_method(module, "exception", settled_exception, -1);
    rb_define_method(module, "respond_to?", respond_to, -1);
    return module;
}

/* [GVL] Under rb_protect. */
VALUE tasker_capture(VALUE unused)
{
    TASKER_GVL;
    tasker_gvl_init(); /* as long as this is the only thread */
    tasker_ruby.worker_key = tasker_thread_key_new();
    tasker_ruby.step_thread_key = tasker_thread_key_new();
    VALUE thread = rb_path2class("Thread");
    thread_raise = capture(thread, "raise");
    thread_pending = capture(thread, "pending_interrupt?");
    thread_alive = capture(thread, "alive?");
    thread_backtrace = capture(thread, "backtrace");
    thread_group = capture(thread, "group");
    group_class = rb_path2class("ThreadGroup");
    group_add = capture(group_class, "add");
    error_backtrace = capture(rb_path2class("Exception"), "backtrace");
    trace_off = capture(rb_path2class("Kernel"), "set_trace_func");
    id_message = rb_intern("mesg"); /* where Exception#initialize puts the message */
    thread_aborts = capture(thread, "abort_on_exception");
    all_threads_abort = rb_obj_method(thread, ID2SYM(rb_intern("abort_on_exception")));
    id_exception = rb_intern("exception");
    id_backtrace = rb_intern("backtrace");
    rb_gc_register_mark_object(all_threads_abort);
    rb_gc_register_mark_object(exit_class = rb_path2class("SystemExit"));
    rb_gc_register_mark_object(group_class);
    rb_gc_register_mark_object(main_thread = rb_thread_current());
    settled_module = answering_module(settled_respond_to);
    readable_module = answering_module(readable_respond_to);
    rb_define_method(readable_module, "backtrace", readable_backtrace, -1);
    rb_obj_freeze(settled_module); /* ObjectSpace and an interrupt's ancestors show it */
    rb_obj_freeze(readable_module);
    return unused;
}

/* [GVL] Under rb_protect, after the Ruby half. */
void tasker_captured_loaded(void)
{
    TASKER_GVL;
    rb_gc_register_mark_object(interrupt_class = rb_path2class("Tasker::Host::Interrupt"));
    VALUE one = rb_funcall(interrupt_class, rb_intern("new"), 0);
    interrupt_message = rb_funcall(one, rb_intern("message"), 0);
    StringValue(interrupt_message);
    rb_gc_register_mark_object(interrupt_message);
}

/* [GVL] Under rb_protect. Interrupt.new, without its initialize. Thread#raise
 * asks an exception for its `exception`; the module answers in C. */
VALUE tasker_new_interrupt(void)
{
    TASKER_GVL;
    VALUE e = rb_obj_alloc(interrupt_class);
    rb_ivar_set(e, id_message, rb_utf8_str_new(RSTRING_PTR(interrupt_message), RSTRING_LEN(interrupt_message)));
    rb_extend_object(e, settled_module);
    return e;
}

/* [GVL] */
bool tasker_is_interrupt(VALUE exception)
{
    TASKER_GVL;
    return RTEST(rb_obj_is_kind_of(exception, interrupt_class));
}

/* [GVL] Under rb_protect. */
void tasker_raise_in(VALUE thread, VALUE interrupt)
{
    TASKER_GVL;
    VALUE args[] = {thread, interrupt};
    rb_method_call(2, args, thread_raise);
    RB_GC_GUARD(interrupt);
}

/* [GVL] Under rb_protect: interrupts a thread that was told to end long ago. One
 * that masks its interrupts still has the last one. Further ones would fill the
 * memory, so its wait is ended without one: it may not have seen the last time. */
void tasker_raise_again_in(VALUE thread)
{
    TASKER_GVL;
    if (RTEST(rb_method_call(1, &thread, thread_pending))) rb_thread_wakeup_alive(thread);
    else tasker_raise_in(thread, tasker_new_interrupt());
}

/* [GVL] Under rb_protect. */
bool tasker_is_alive(VALUE thread)
{
    TASKER_GVL;
    return RTEST(rb_method_call(1, &thread, thread_alive));
}

/* [GVL] Under rb_protect. */
VALUE tasker_backtrace_of(VALUE thread)
{
    TASKER_GVL;
    return rb_method_call(1, &thread, thread_backtrace);
}

/* [GVL] */
bool tasker_on_main_thread(void)
{
    TASKER_GVL;
    return rb_thread_current() == main_thread && !tasker_ruby.forked;
}

/* [GVL] */
bool tasker_is_main_thread(VALUE thread)
{
    TASKER_GVL;
    return thread == main_thread && !tasker_ruby.forked;
}

/* [GVL] Under rb_protect, on a thread that ends with this exception. CRuby raises
 * some of those once more in the main thread. The class of such an exception may
 * have a backtrace of its own, which would run there. So it is made readable in
 * C, or a copy of it if it is frozen. Returns what the thread is to end with. */
VALUE tasker_readable(VALUE exception)
{
    TASKER_GVL;
    VALUE me = rb_thread_current();
    bool reaches_main = RTEST(rb_obj_is_kind_of(exception, exit_class)) || RTEST(rb_gv_get("$DEBUG")) ||
                        RTEST(rb_method_call(0, NULL, all_threads_abort)) || RTEST(rb_method_call(1, &me, thread_aborts));
    if (!reaches_main) return exception;
    if (RB_OBJ_FROZEN(exception)) exception = rb_obj_dup(exception);
    rb_prepend_module(rb_singleton_class(exception), readable_module);
    return exception;
}

/* [GVL] Under rb_protect. */
void tasker_stop_tracing(void)
{
    TASKER_GVL;
    VALUE args[] = {tasker_ruby.module, Qnil};
    rb_method_call(2, args, trace_off);
}

/* [GVL] Under rb_protect. A thread starts in the group of the thread that
 * starts it, and a frozen group starts none. So the main thread has a group of
 * its own, and so does every worker: to freeze one stops nothing of ours. */
VALUE tasker_own_group(VALUE thread)
{
    TASKER_GVL;
    VALUE args[] = {rb_obj_alloc(group_class), thread};
    rb_method_call(2, args, group_add);
    return args[0];
}

/* [GVL] The main thread's group: freeze and enclose. */
static VALUE group_refuses(VALUE self)
{
    TASKER_GVL;
    if (tasker_ruby.forked) return rb_call_super(0, NULL);
    (void)self;
    tasker_forbid("changing the group of the host's main thread", "make a ThreadGroup of your own");
}

/* [GVL] Raises. No thread leaves a frozen group or starts in one, and the main
 * thread starts the workers. So nobody may freeze its group. */
void tasker_guard_main_group(VALUE group)
{
    TASKER_GVL;
    rb_define_singleton_method(group, "freeze", group_refuses, 0);
    rb_define_singleton_method(group, "enclose", group_refuses, 0);
}

/* [GVL] Under rb_protect. The thread's group, or nil when the thread has ended. */
VALUE tasker_group_of(VALUE thread)
{
    TASKER_GVL;
    return rb_method_call(1, &thread, thread_group);
}

/* [GVL] Appends at most so many bytes. */
void tasker_append(tasker_line *line, const char *text, size_t len)
{
    TASKER_GVL;
    size_t room = sizeof line->text - line->len;
    if (len > room) len = room;
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

/* [GVL] */
void tasker_append_string(tasker_line *line, VALUE string)
{
    TASKER_GVL;
    if (RB_TYPE_P(string, T_STRING)) tasker_append(line, RSTRING_PTR(string), (size_t)RSTRING_LEN(string));
}

/* [GVL] Under rb_protect: the class, the message that initialize was given and
 * the place, without asking the exception. */
VALUE tasker_describe(VALUE arg)
{
    TASKER_GVL;
    struct tasker_description *d = (struct tasker_description *)arg;
    const char *class = rb_obj_classname(d->exception);
    if (!class) class = "(a class without a name)";
    tasker_append(&d->line, class, strlen(class));
    VALUE message = rb_ivar_get(d->exception, id_message);
    if (RB_TYPE_P(message, T_STRING)) tasker_append(&d->line, ": ", 2);
    tasker_append_string(&d->line, message);
    VALUE backtrace = rb_method_call(1, &d->exception, error_backtrace);
    if (!RB_TYPE_P(backtrace, T_ARRAY) || RARRAY_LEN(backtrace) == 0) return Qnil;
    tasker_append(&d->line, " (", 2);
    tasker_append_string(&d->line, rb_ary_entry(backtrace, 0));
    tasker_append(&d->line, ")", 1);
    RB_GC_GUARD(message);
    RB_GC_GUARD(backtrace);
    return Qnil;
}
