/*
 * After a job: its fiber scheduler and its interrupts must not reach the next
 * job, and a thread that cannot be cleaned is marked to be replaced.
 */
#include "bridge_internal.h"

#include <ruby/fiber/scheduler.h>
#include <ruby/thread.h>
#include <unistd.h>

static ID id_status;
static VALUE set_stress; /* GC.stress=, from before other code could change it; registered */

/* [GVL] */
VALUE tasker_check_interrupts(VALUE unused)
{
    TASKER_GVL;
    (void)unused;
    rb_thread_check_ints();
    return Qnil;
}

/* [GVL] Each round takes one. A thread that gets them faster than this is
 * replaced: one more could reach the next job. */
bool tasker_flush_interrupts(void)
{
    TASKER_GVL;
    for (int i = 0; i < 100; i++) {
        int tag = 0;
        rb_protect(tasker_check_interrupts, Qnil, &tag);
        rb_set_errinfo(Qnil);
        if (tag == 0) return true;
        if (tag == tasker_tag_fatal) return false;
    }
    return false;
}

/* [GVL] Tasker::Host.stressed(on): this thread's step has set GC.stress, or
 * answers for it no more. */
static VALUE host_stressed(VALUE self, VALUE on)
{
    TASKER_GVL;
    (void)self;
    uint64_t serial = tasker_serial_here();
    if (RTEST(on)) tasker_ruby.stressed_by = serial;
    else if (tasker_ruby.stressed_by == serial) tasker_ruby.stressed_by = 0;
    return Qnil;
}

/* [GVL] Under rb_protect. */
static VALUE end_stress(VALUE unused)
{
    TASKER_GVL;
    VALUE off = Qfalse;
    rb_method_call(1, &off, set_stress);
    return unused;
}

/* [GVL] With GC.stress everything takes so long that the interrupts of a step's
 * timeout follow each other. So it is put back here, before anything else, and
 * again when an interrupt ends the attempt. The job's own exception stays pending. */
void tasker_end_stress(tasker_worker *w, int tag)
{
    TASKER_GVL;
    VALUE pending = tag == tasker_tag_raise ? rb_errinfo() : Qnil;
    if (tasker_ruby.stressed_by != w->job->serial && tasker_worker_of(tasker_ruby.stressed_by)) return;
    tasker_ruby.stressed_by = 0;
    for (int i = 0, again = 1; again && i < 100; i++) {
        rb_protect(end_stress, Qnil, &again);
        if (again == tasker_tag_fatal) tasker_worker_mark(w);
    }
    rb_set_errinfo(pending);
    RB_GC_GUARD(pending);
}

/* [GVL] Under rb_protect: runs the scheduler's close, and with it the fibers
 * that it has left. */
static VALUE close_scheduler(VALUE unused)
{
    TASKER_GVL;
    (void)unused;
    return rb_fiber_scheduler_set(Qnil);
}

/* [GVL] */
static VALUE do_nothing(VALUE self)
{
    TASKER_GVL;
    (void)self;
    return Qnil;
}

/* [GVL] Under rb_protect: replaces a close that raises. CRuby would keep the
 * scheduler for as long as its close raises. */
static VALUE disarm_scheduler(VALUE scheduler)
{
    TASKER_GVL;
    rb_define_singleton_method(scheduler, "close", do_nothing, 0);
    return rb_fiber_scheduler_set(Qnil);
}

/* [GVL] */
uint32_t tasker_drop_scheduler(tasker_worker *w, uint32_t status)
{
    TASKER_GVL;
    int tag = 0, again = 0;
    rb_protect(close_scheduler, Qnil, &tag);
    if (tag == 0) return status;
    if (tag == tasker_tag_fatal) tasker_worker_mark(w);
    if (status == TASKER_OK) status = tasker_job_failed(w, tag);
    rb_protect(disarm_scheduler, rb_fiber_scheduler_get(), &again);
    if (again) tasker_worker_mark(w);
    return status;
}

/* [GVL] Under rb_protect: raises for all but a SystemExit. */
static VALUE exit_status(VALUE exception)
{
    TASKER_GVL;
    return rb_funcall(exception, id_status, 0);
}

/* [GVL] One line on standard error: nobody else hears of the child's exception. */
static void complain(VALUE exception)
{
    TASKER_GVL;
    static struct tasker_description d;
    int ignored = 0;
    d.exception = exception;
    rb_protect(tasker_describe, (VALUE)&d, &ignored);
    tasker_append(&d.line, "\n", 1);
    if (write(STDERR_FILENO, d.line.text, d.line.len) < 0) return; /* it is closed */
}

/* [GVL] */
void tasker_leave_child(int tag, VALUE exception)
{
    TASKER_GVL;
    int status = tag == 0 ? 0 : 1, none = 0;
    if (tag == tasker_tag_raise && RTEST(rb_obj_is_kind_of(exception, tasker_ruby.exception))) {
        VALUE given = rb_protect(exit_status, exception, &none);
        if (!none && FIXNUM_P(given)) status = FIX2INT(given);
        else complain(exception);
    }
    _exit(status);
}

/* [GVL] Tasker::Host.forked? */
static VALUE host_forked(VALUE self)
{
    TASKER_GVL;
    (void)self;
    return tasker_ruby.forked ? Qtrue : Qfalse;
}

/* [GVL] Tasker::Host.replace(thread): marks a worker thread. It ends after its
 * job, and another takes its place. Other threads are left alone. */
static VALUE host_replace(VALUE self, VALUE thread)
{
    TASKER_GVL;
    (void)self;
    tasker_worker *w = tasker_is_host() ? tasker_worker_on(thread) : NULL;
    if (w) tasker_worker_mark(w);
    return Qnil;
}

/* [GVL] Tasker::Host.masked(change): counts the blocks of
 * Thread.handle_interrupt that this thread is in. */
static VALUE host_masked(VALUE self, VALUE change)
{
    TASKER_GVL;
    (void)self;
    tasker_worker *w = tasker_is_host() ? tasker_worker_here() : NULL;
    if (w) w->masks += NUM2LONG(change);
    return Qnil;
}

/* [GVL] */
void tasker_job_cleanup_init(void)
{
    TASKER_GVL;
    id_status = rb_intern("status");
    rb_define_module_function(tasker_ruby.module, "forked?", host_forked, 0);
    rb_gc_register_mark_object(set_stress = rb_obj_method(rb_path2class("GC"), ID2SYM(rb_intern("stress="))));
    rb_define_module_function(tasker_ruby.module, "stressed", host_stressed, 1);
    rb_define_module_function(tasker_ruby.module, "replace", host_replace, 1);
    rb_define_module_function(tasker_ruby.module, "masked", host_masked, 1);
}
