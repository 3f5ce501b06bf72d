/*
 * A job that did not return a value: its exception as JSON, or another status.
 */
#include "bridge_internal.h"

#include <stdio.h>
#include <string.h>

static ID id_report;
static VALUE permanent_class; /* Tasker::PermanentError; registered */

/* Bytes of JSON. Tasker::Execution::ErrorReport keeps its texts well below. */
enum { max_report = 16 << 20 };

/* How often a report is begun again. Each interrupt ends it, and comes 100 ms after the
 * one before: on a busy machine the first one's report is not yet made. */
enum { most_reports = 10 };

struct report_args {
    tasker_worker *worker;
    VALUE exception;
};

/* [GVL] Under rb_protect: Tasker::Host.report describes the exception. */
static VALUE report(VALUE arg)
{
    TASKER_GVL;
    struct report_args *a = (struct report_args *)arg;
    a->worker->out.len = 0;
    VALUE hash = rb_funcall(tasker_ruby.module, id_report, 1, a->exception);
    tasker_json_write(&a->worker->out, hash, max_report);
    return Qnil;
}

/* [GVL] Reports the class alone, for an exception whose report raises. */
static void report_class(tasker_buffer *out, VALUE exception)
{
    TASKER_GVL;
    char text[512];
    const char *class = RB_SPECIAL_CONST_P(exception) ? "Object" : rb_obj_classname(exception);
    int n = snprintf(text, sizeof text,
                     "{\"class\":\"%.200s\",\"ancestors\":[],\"message\":\"(the exception could not be read)\","
                     "\"backtrace\":[],\"permanent\":%s}",
                     class, RTEST(rb_obj_is_kind_of(exception, permanent_class)) ? "true" : "false");
    out->len = 0;
    if (!out->data) {
        out->data = tasker_alloc(sizeof text);
        if (!out->data) return;
        out->cap = sizeof text;
    }
    memcpy(out->data, text, (size_t)n);
    out->len = (size_t)n;
}

/* [GVL] */
uint32_t tasker_job_failed(tasker_worker *w, int tag)
{
    TASKER_GVL;
    VALUE exception = rb_errinfo();
    rb_set_errinfo(Qnil);
    w->out.len = 0;
    if (tag == tasker_tag_fatal) {
        tasker_worker_mark(w);
        return TASKER_KILLED;
    }
    if (tag != tasker_tag_raise || !RTEST(rb_obj_is_kind_of(exception, tasker_ruby.exception))) return TASKER_JUMPED;
    struct report_args a = {w, exception};
    int again = 1;
    for (int i = 0; again && i < most_reports; i++) {
        rb_protect(report, (VALUE)&a, &again);
        bool interrupted = again == tasker_tag_raise && tasker_is_interrupt(rb_errinfo());
        rb_set_errinfo(Qnil);
        if (!interrupted) break;
    }
    if (again == tasker_tag_fatal) tasker_worker_mark(w);
    if (again) report_class(&w->out, exception);
    RB_GC_GUARD(exception);
    return TASKER_RAISED;
}

/* [GVL] */
void tasker_job_error_init(void)
{
    TASKER_GVL;
    id_report = rb_intern("report");
}

/* [GVL] */
void tasker_job_error_loaded(void)
{
    TASKER_GVL;
    rb_gc_register_mark_object(permanent_class = rb_path2class("Tasker::PermanentError"));
}
