/*
 * The bridge boots CRuby on a thread of its own, and ends it. This file holds
 * the boot and the end; the rest is in these files.
 *
 *   queue.c        the queue of jobs between Go and the workers; no Ruby
 *   worker.c       the worker threads: Ruby threads that take jobs
 *   job.c          one job: the call of Ruby and its answer
 *   job_error.c    an exception as a job's answer
 *   job_cleanup.c  the thread after a job
 *   worker_state.c the states of a worker, and what may follow what
 *   segments.c     a job's documents as a Ruby object
 *   document.c     JSON to Ruby objects
 *   context.c      Hashes to Tasker::Context
 *   json.c         Ruby objects to JSON; json_hash.c, json_text.c, json_bounds.c
 *   request.c      a Ruby thread asks Go, or tells Go something
 *   request_free.c the end of that
 *   outbox.c       the way from Ruby to Go
 *   memory.c       what malloc has in use, and the bridge of it
 *   supervisor.c   the main Ruby thread: it waits without the GVL for what Go
 *                  asks (interrupt, kill, abandon, ping, stop)
 *   captured.c     CRuby's own methods, which the main thread calls without Ruby code
 *   trace.c        the blocks of trace points, kept off the main thread
 *   host_only.c    refuses in Ractors and in children
 *   bell.c         how one thread waits for another
 *   holder.c       where the code is that holds the GVL, for Go
 *   debug.c        the checks of a debug build
 *   step_threads.c the threads that a step's code starts; they end with it
 *   children.c     the children that a step leaves running
 *   gvl.c          how long threads wait for the GVL
 *   ticker.c       the ticker: a C thread that never touches Ruby
 *   conduct.c      what handlers may not do
 *   processes.c    what they do with processes
 *   descriptors.c  which descriptors are the host's
 *   descriptors_guard.c  no IO of those
 *   descriptors_close.c  no close of those by an IO that once had their number
 *   signals.c      which signals are Go's and which are Ruby's
 *   libruby.c      opens libruby at boot
 *   ruby_versions.h  what differs between versions of Ruby
 *
 * Go's threads only submit, control, answer and free. The comment of each
 * function, or the head of its file, says where it may run:
 *   [GVL]      on a Ruby thread that holds the GVL
 *   [no GVL]   on a Ruby thread that has released the GVL
 *   [any]      on any thread
 *
 * Every Ruby call that may raise runs under rb_protect. No function of the
 * bridge calls Go. Classes are looked up by name instead of through libruby's
 * data symbols (rb_cObject and such), which libruby.c cannot provide.
 */
#include "bridge_internal.h"
#include "libruby.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/* CRuby's own: not in its public headers, but exported for embedders. */
void ruby_sysinit(int *argc, char ***argv);

const char *const tasker_yjit_memory_option = TASKER_YJIT_MEMORY_OPTION;
const int tasker_yjit_memory_default = TASKER_YJIT_MEMORY_DEFAULT;

tasker_host tasker_the_host;
tasker_world tasker_ruby;

static const tasker_boot_options *boot_options;
static pthread_mutex_t boot_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t boot_cond = PTHREAD_COND_INITIALIZER;
static bool boot_ended;
static char *boot_error;

/* [any] Wakes tasker_boot. */
static void boot_over(char *error)
{
    pthread_mutex_lock(&boot_lock);
    boot_error = error;
    boot_ended = true;
    pthread_cond_signal(&boot_cond);
    pthread_mutex_unlock(&boot_lock);
}

/* [GVL] During a garbage collection. */
static void mark_root(void *unused)
{
    TASKER_GVL;
    (void)unused;
    tasker_workers_mark();
    rb_gc_mark(tasker_ruby.module);
    rb_gc_mark(tasker_ruby.callables);
    tasker_document_mark();
    tasker_step_threads_mark();
}

static const rb_data_type_t root_type = {
    .wrap_struct_name = "Tasker::Host::Root",
    .function = {.dmark = mark_root},
};

/* [GVL] Under rb_protect. */
static VALUE prepare(VALUE unused)
{
    TASKER_GVL;
    (void)unused;
    VALUE tasker = rb_define_module("Tasker");
    tasker_ruby.module = rb_define_module_under(tasker, "Host");
    tasker_ruby.max_result = boot_options->max_result;
    /* The data pointer is never used, but must not be NULL: the collector
     * would not call mark_root. */
    rb_gc_register_mark_object(rb_data_typed_object_wrap(0, &tasker_the_host, &root_type));
    tasker_host_only_init();
    tasker_request_init();
    tasker_job_init();
    tasker_trace_init();
    tasker_step_threads_init();
    tasker_children_init();
    tasker_ticker_prepare();
    tasker_segments_init(tasker_ruby.module);
    tasker_conduct_init();
    rb_load(rb_utf8_str_new_cstr(boot_options->main), 0);
    tasker_json_init(tasker_ruby.module);
    tasker_context_init();
    tasker_segments_loaded();
    tasker_conduct_loaded();
    tasker_job_error_loaded();
    tasker_captured_loaded();
    tasker_host_only_loaded();
    tasker_document_init();
    tasker_workers_start(boot_options->threads);
    return Qnil;
}

/* [GVL] Under rb_protect: the exception's class, message and backtrace as text, in
 * the form that bootFailure in bridge_boot.go reads. */
static VALUE describe(VALUE exception)
{
    TASKER_GVL;
    VALUE parts = rb_ary_new_from_args(3, rb_utf8_str_new_cstr(rb_obj_classname(exception)),
                                       rb_funcall(exception, rb_intern("message"), 0),
                                       rb_funcall(exception, rb_intern("backtrace"), 0));
    return rb_funcall(parts, rb_intern("join"), 1, rb_str_new_static("\x1f", 1));
}

/* [GVL] Returns the pending exception as malloc'd text. */
static char *boot_failure(void)
{
    TASKER_GVL;
    int tag = 0;
    VALUE e = rb_errinfo();
    rb_set_errinfo(Qnil);
    VALUE text = rb_protect(describe, e, &tag);
    rb_set_errinfo(Qnil);
    if (tag || !RB_TYPE_P(text, T_STRING)) return strdup(rb_obj_classname(e));
    return strndup(RSTRING_PTR(text), (size_t)RSTRING_LEN(text));
}

/* [any] In the child, after a fork, where only async-signal-safe functions may
 * be called. A child of that child has nothing of the host's. */
static void note_fork(void)
{
    if (!tasker_ruby.forked) {
        tasker_children_forked();
        tasker_descriptors_leave();
    }
    tasker_ruby.forked = true;
}

/* [any] This thread becomes Ruby's main thread, and holds the GVL from ruby_setup
 * on. It never runs Go code. */
static void *ruby_main(void *unused)
{
    (void)unused;
    int argc = boot_options->argc;
    char **argv = boot_options->argv;
    pthread_atfork(NULL, NULL, note_fork);
    tasker_signals_before_boot();
    ruby_sysinit(&argc, &argv);
    VALUE here;
    ruby_init_stack(&here);
    int failed = ruby_setup();
    if (failed) {
        boot_over(strdup("ruby_setup failed"));
        return NULL;
    }
    int tag = 0, status = 0;
    rb_protect(tasker_capture, Qnil, &tag); /* before RUBYOPT and Bundler load anything */
    if (tag) {
        boot_over(strdup("Ruby has other methods than the bridge knows"));
        return NULL;
    }
    if (!ruby_executable_node(ruby_options(argc, argv), &status)) {
        boot_over(strdup("ruby refused its options (see the message above; look at RUBYOPT)"));
        return NULL;
    }
    rb_protect(prepare, Qnil, &tag);
    if (tag) {
        char *why = boot_failure();
        boot_over(why ? why : strdup("out of memory"));
        return NULL;
    }
    tasker_signals_after_boot();
    boot_over(NULL);
    tasker_supervise();
    tasker_queue_close(&tasker_the_host.queue);
    tasker_ticker_wake(false);
    tasker_protect_and_note(tasker_workers_join, Qnil);
    ruby_cleanup(0);
    tasker_post_note(TASKER_NOTE_STOPPED, 0, NULL, 0);
    return NULL;
}

/* [any] */
int tasker_start_thread(void *(*f)(void *), size_t stack)
{
    pthread_t thread;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (stack) pthread_attr_setstacksize(&attr, stack);
    int err = pthread_create(&thread, &attr, f, NULL);
    pthread_attr_destroy(&attr);
    return err;
}

/* [any] Not on a Ruby thread. */
char *tasker_boot(const tasker_boot_options *options)
{
    /* With an arena for each thread, glibc's heaps grow without end (docs/rubyhost.md). */
    mallopt(M_ARENA_MAX, 2);
    /* What is large goes back to the system when it is freed. Without a threshold of
     * ours, glibc raises its own up to 32 MB, and keeps large results in its heaps. */
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    mallopt(M_TRIM_THRESHOLD, 2 << 20);
    void *library;
    char *missing = tasker_libruby_load(&library);
    if (missing) return missing;
    tasker_signals_library(dlsym(library, "ruby_setup"));
    boot_options = options;
    tasker_descriptors_init();
    tasker_queue_init(&tasker_the_host.queue, options->spin_ns);
    tasker_the_host.event_fd = options->event_fd;
    if (tasker_start_thread(ruby_main, 16 << 20)) return strdup("cannot create the Ruby thread");
    pthread_mutex_lock(&boot_lock);
    while (!boot_ended) pthread_cond_wait(&boot_cond, &boot_lock);
    pthread_mutex_unlock(&boot_lock);
    if (boot_error) return boot_error;
    if (tasker_ticker_start()) return strdup("cannot create the ticker thread");
    return NULL;
}
