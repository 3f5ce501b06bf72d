/*
 * Tasker::Host::Segments: the documents of a job. A document is read from the
 * job's own memory when Ruby asks for it. When the job ends, Go owns its memory
 * again, and the object forgets the job. Every function here is [GVL].
 */
#include <ruby.h>
#include <string.h>

#include "bridge_internal.h"

enum { first_result = 6 };

static const rb_data_type_t segments_type = {.wrap_struct_name = "Tasker::Host::Segments"};
static VALUE segments_class, error_class, document_module;

/* Returns the job, or raises once it has ended. */
static const tasker_job *job_of(VALUE self)
{
    TASKER_GVL;
    const tasker_job *job = RTYPEDDATA_DATA(self);
    if (!job) rb_raise(error_class, "the step has ended; read what you need before it does");
    return job;
}

/* Returns the bytes of segment i, or NULL when there is no such segment. */
static const char *segment(const tasker_job *job, uint64_t i, uint64_t *length)
{
    if (i >= job->segments) return NULL;
    const char *at = job->payload;
    for (uint64_t k = 0; k < i; k++) at += job->lengths[k];
    *length = job->lengths[i];
    return at;
}

static VALUE segments_at(VALUE self, VALUE index)
{
    TASKER_GVL;
    uint64_t length = 0, i = NUM2ULL(index); /* may run Ruby code, and the job may end meanwhile */
    const char *at = segment(job_of(self), i, &length);
    return at ? rb_utf8_str_new(at, (long)length) : Qnil;
}

/* Has JSON.parse read what document.c does not read. It also words the errors. */
static VALUE parse_in_ruby(const char *at, uint64_t length, bool contexts)
{
    VALUE text = rb_utf8_str_new(at, (long)length);
    return rb_funcall(document_module, contexts ? rb_intern("parse_indifferent") : rb_intern("parse"), 1, text);
}

static VALUE read_at(VALUE self, VALUE index, bool contexts)
{
    TASKER_GVL;
    uint64_t length = 0, i = NUM2ULL(index);
    const char *at = segment(job_of(self), i, &length);
    if (!at) return Qnil;
    VALUE value = tasker_document_read(at, length, contexts);
    return value == Qundef ? parse_in_ruby(at, length, contexts) : value;
}

static VALUE segments_read(VALUE self, VALUE index)
{
    TASKER_GVL;
    return read_at(self, index, false);
}

static VALUE segments_read_indifferent(VALUE self, VALUE index)
{
    TASKER_GVL;
    return read_at(self, index, true);
}

static VALUE segments_blank(VALUE self, VALUE index)
{
    TASKER_GVL;
    uint64_t length = 0, i = NUM2ULL(index);
    const char *at = segment(job_of(self), i, &length);
    bool blank = !at || !length || (length == 2 && !memcmp(at, "{}", 2)) || (length == 4 && !memcmp(at, "null", 4));
    return blank ? Qtrue : Qfalse;
}

/* Whether the bytes of text are in a document. */
static VALUE segments_mentions(VALUE self, VALUE index, VALUE text)
{
    TASKER_GVL;
    StringValue(text);
    uint64_t length = 0, i = NUM2ULL(index), size = (uint64_t)RSTRING_LEN(text);
    const char *at = segment(job_of(self), i, &length), *wanted = RSTRING_PTR(text);
    if (!at || !size) return Qfalse;
    while (length >= size) {
        const char *next = memchr(at, wanted[0], length - size + 1);
        if (!next) return Qfalse;
        if (!memcmp(next, wanted, size)) return Qtrue;
        length -= (uint64_t)(next + 1 - at);
        at = next + 1;
    }
    return Qfalse;
}

static VALUE segments_results_index(VALUE self, VALUE name)
{
    TASKER_GVL;
    StringValue(name);
    const tasker_job *job = job_of(self);
    const char *at = job->payload;
    for (uint32_t i = 0; i < job->segments; i++) {
        bool is_name = i >= first_result && (i - first_result) % 2 == 0;
        if (is_name && job->lengths[i] == (uint64_t)RSTRING_LEN(name) && !memcmp(at, RSTRING_PTR(name), job->lengths[i]))
            return UINT2NUM(i + 1);
        at += job->lengths[i];
    }
    return Qnil;
}

static VALUE segments_to_a(VALUE self)
{
    TASKER_GVL;
    const tasker_job *job = job_of(self);
    VALUE all = rb_ary_new_capa(job->segments);
    const char *at = job->payload;
    for (uint32_t i = 0; i < job->segments; i++) {
        rb_ary_push(all, rb_utf8_str_new(at, (long)job->lengths[i]));
        at += job->lengths[i];
    }
    return all;
}

/* The serial of the job, whichever thread asks. */
static VALUE segments_serial(VALUE self)
{
    TASKER_GVL;
    return ULL2NUM(job_of(self)->serial);
}

VALUE tasker_segments_new(const tasker_job *job)
{
    TASKER_GVL;
    return rb_data_typed_object_wrap(segments_class, (void *)(uintptr_t)job, &segments_type);
}

void tasker_segments_forget(VALUE segments)
{
    TASKER_GVL;
    RTYPEDDATA_DATA(segments) = NULL;
}

void tasker_segments_init(VALUE host_module)
{
    TASKER_GVL;
    segments_class = rb_define_class_under(host_module, "Segments", rb_path2class("Object"));
    rb_gc_register_mark_object(segments_class);
    rb_undef_alloc_func(segments_class);
    rb_define_method(segments_class, "[]", segments_at, 1);
    rb_define_method(segments_class, "read", segments_read, 1);
    rb_define_method(segments_class, "read_indifferent", segments_read_indifferent, 1);
    rb_define_method(segments_class, "blank?", segments_blank, 1);
    rb_define_method(segments_class, "mentions?", segments_mentions, 2);
    rb_define_method(segments_class, "results_index", segments_results_index, 1);
    rb_define_method(segments_class, "to_a", segments_to_a, 0);
    rb_define_method(segments_class, "serial", segments_serial, 0);
}

void tasker_segments_loaded(void)
{
    TASKER_GVL;
    rb_gc_register_mark_object(error_class = rb_path2class("Tasker::Error"));
    rb_gc_register_mark_object(document_module = rb_path2class("Tasker::Document"));
}
