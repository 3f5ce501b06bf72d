/*
 * What differs between the Rubies that the bridge is built for. Every condition
 * about Ruby's version is here, with its reason; the other files use the names
 * that this one defines. Where a header of Ruby's has a macro that came with the
 * feature, that macro decides. A number decides only what no header says.
 *
 * A function here that calls libruby says where it may run, as in the C files.
 */
#ifndef TASKER_RUBY_VERSIONS_H
#define TASKER_RUBY_VERSIONS_H

/* It comes before any header of the system's: it defines _GNU_SOURCE. */
#include <ruby.h>

#include <errno.h>
#include <ruby/debug.h>
#include <ruby/thread.h>
#include <ruby/version.h>

#if RUBY_API_VERSION_CODE < 30100
#error "tasker-rb needs CRuby 3.1 or later: put a newer Ruby first in PATH, and run make setup"
#endif

/* The name of libruby has them. */
#define TASKER_RUBY_MAJOR RUBY_API_VERSION_MAJOR
#define TASKER_RUBY_MINOR RUBY_API_VERSION_MINOR

/* Since 3.3, errno in C code that includes ruby.h is a call of libruby: a Ruby
 * thread may go on on another native thread after it has released the GVL. No
 * function of the bridge uses errno before and after such a place. Some use it on
 * threads that are not Ruby's, in signal handlers and before libruby is open. So
 * it is the C library's own. */
#ifdef rb_orig_errno
#undef errno
#define errno (*__errno_location())
#endif

/* A function that Ruby calls between two bytecodes of the thread that computes,
 * soon after any thread has asked for it. Since 3.3 it is registered before; what
 * came before that is deprecated, and gone in later versions.
 * New is [GVL], ask is [any]. */
#ifdef POSTPONED_JOB_HANDLE_INVALID
#define TASKER_FUNCTIONS_OF_POSTPONED(F) F(rb_postponed_job_preregister) F(rb_postponed_job_trigger)
typedef rb_postponed_job_handle_t tasker_postponed;
static inline tasker_postponed tasker_postponed_new(rb_postponed_job_func_t f) { return rb_postponed_job_preregister(0, f, NULL); }
static inline void tasker_postponed_ask(tasker_postponed p) { rb_postponed_job_trigger(p); }
#else
#define TASKER_FUNCTIONS_OF_POSTPONED(F) F(rb_postponed_job_register_one)
typedef rb_postponed_job_func_t tasker_postponed;
static inline tasker_postponed tasker_postponed_new(rb_postponed_job_func_t f) { return f; }
static inline void tasker_postponed_ask(tasker_postponed p) { rb_postponed_job_register_one(0, p, NULL); }
#endif

/* What the bridge stores in a Ruby thread, and the events of the GVL. Since 3.3 a
 * thread has eight words for C code, and an event names its thread. 3.2 has the
 * events, but does not name the thread; it goes without both, as 3.1 does.
 *
 * New and hook are [GVL] and raise. Get and set are [any]. They do not check what
 * they are given: a thread that was started after the first key was made, or the
 * thread that made it. */
#ifdef RB_INTERNAL_THREAD_SPECIFIC_KEY_MAX
#define TASKER_FUNCTIONS_OF_THREADS(F) \
    F(rb_internal_thread_add_event_hook) F(rb_internal_thread_specific_key_create) F(rb_internal_thread_specific_get) \
    F(rb_internal_thread_specific_set)
enum { tasker_has_thread_keys = 1, tasker_has_gvl_events = 1 };
typedef rb_internal_thread_specific_key_t tasker_thread_key;
static inline tasker_thread_key tasker_thread_key_new(void) { return rb_internal_thread_specific_key_create(); }
static inline void *tasker_thread_get(VALUE thread, tasker_thread_key key) { return rb_internal_thread_specific_get(thread, key); }
static inline void tasker_thread_set(VALUE thread, tasker_thread_key key, void *value) { rb_internal_thread_specific_set(thread, key, value); }

enum {
    tasker_gvl_wanted_by = RUBY_INTERNAL_THREAD_EVENT_READY, /* some thread wants the GVL */
    tasker_gvl_taken_by = RUBY_INTERNAL_THREAD_EVENT_RESUMED, /* this thread has it now */
    tasker_gvl_left_by = RUBY_INTERNAL_THREAD_EVENT_SUSPENDED /* this thread gives it away */
};
typedef rb_internal_thread_event_data_t tasker_gvl_event;
static inline void tasker_gvl_hook(void (*f)(rb_event_flag_t, const tasker_gvl_event *, void *))
{
    rb_internal_thread_add_event_hook(f, (rb_event_flag_t)(tasker_gvl_wanted_by | tasker_gvl_taken_by | tasker_gvl_left_by), NULL);
}
#else
#define TASKER_FUNCTIONS_OF_THREADS(F)
enum { tasker_has_thread_keys = 0, tasker_has_gvl_events = 0 };
typedef int tasker_thread_key;
static inline tasker_thread_key tasker_thread_key_new(void) { return 0; }
static inline void *tasker_thread_get(VALUE thread, tasker_thread_key key) { return (void)thread, (void)key, NULL; }
static inline void tasker_thread_set(VALUE thread, tasker_thread_key key, void *value) { (void)thread, (void)key, (void)value; }

enum { tasker_gvl_wanted_by = 1, tasker_gvl_taken_by = 2, tasker_gvl_left_by = 4 };
typedef struct tasker_gvl_event {
    VALUE thread;
} tasker_gvl_event;
static inline void tasker_gvl_hook(void (*f)(rb_event_flag_t, const tasker_gvl_event *, void *)) { (void)f; }
#endif

/* The functions of libruby that only some versions have, for libruby.c. */
#define TASKER_FUNCTIONS_OF_THIS_RUBY(F) TASKER_FUNCTIONS_OF_POSTPONED(F) TASKER_FUNCTIONS_OF_THREADS(F)

/* The option that bounds YJIT's memory, in MiB, and our default. Before 3.4 it
 * bounds the machine code alone, since then the code together with what YJIT notes
 * about it. With 3.3 that was 2.8 bytes for each byte of code. */
#if RUBY_API_VERSION_MAJOR > 3 || (RUBY_API_VERSION_MAJOR == 3 && RUBY_API_VERSION_MINOR >= 4)
#define TASKER_YJIT_MEMORY_OPTION "--yjit-mem-size"
#define TASKER_YJIT_MEMORY_DEFAULT 64
#else
#define TASKER_YJIT_MEMORY_OPTION "--yjit-exec-mem-size"
#define TASKER_YJIT_MEMORY_DEFAULT 16
#endif

#endif
