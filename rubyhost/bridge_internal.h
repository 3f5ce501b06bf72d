/*
 * What the C files of the bridge share with each other and not with Go.
 * cbridge.c lists the files and explains [GVL], [no GVL] and [any].
 */
#ifndef TASKER_BRIDGE_INTERNAL_H
#define TASKER_BRIDGE_INTERNAL_H

#include "ruby_versions.h"

#include <time.h>

#include "cbridge.h"

/* A buffer that grows. A worker owns it and reuses it from job to job. */
typedef struct tasker_buffer {
    char *data;
    size_t len;
    size_t cap;
    uint64_t turns; /* how often json.c has let other Ruby code run; only grows */
} tasker_buffer;

/* The states of a worker, in the order of a life; worker_state.c has the table
 * of what may follow what. A worker keeps its job in all of running to abandoned. */
typedef enum tasker_worker_state {
    TASKER_WORKER_BORN,      /* its thread has not run its first line */
    TASKER_WORKER_IDLE,      /* it looks for a job or sleeps */
    TASKER_WORKER_RUNNING,   /* it runs a job */
    TASKER_WORKER_MARKED,    /* it exits when it has no job: its thread has changes that cannot be undone */
    TASKER_WORKER_KILLED,    /* the same: the host has killed its thread */
    TASKER_WORKER_ABANDONED, /* the same; another thread has its place already */
    TASKER_WORKER_GONE       /* its thread has ended, or is about to */
} tasker_worker_state;

/* A worker thread. Read and written under the GVL. */
typedef struct tasker_worker {
    struct tasker_worker *next;
    VALUE thread;     /* marked */
    VALUE group;      /* the ThreadGroup that the thread began in; marked */
    tasker_parker parker;
    tasker_buffer out;
    tasker_job *job;
    VALUE segments;   /* of the job; marked */
    tasker_worker_state state;
    bool aimed_at;    /* an interrupt is under way to the thread: it takes no other job */
    long masks;       /* blocks of Thread.handle_interrupt that the thread is in */
} tasker_worker;

/* The state of the Ruby side. Read and written under the GVL. */
typedef struct tasker_world {
    tasker_worker *workers;
    VALUE module;    /* Tasker::Host; marked */
    VALUE callables; /* an Array that Ruby code cannot reach; marked */
    VALUE exception; /* the class Exception; registered */
    tasker_thread_key worker_key;      /* in a thread that has begun: its tasker_worker */
    tasker_thread_key step_thread_key; /* in a thread that has begun: its record in step_threads.c */
    size_t max_result; /* bytes of JSON */
    uint64_t stressed_by; /* the job that has set GC.stress, or 0 */
    bool stopping;
    bool forked;     /* this process is a child, and not the host any more */
} tasker_world;

extern tasker_world tasker_ruby;

#define COUNT(field, n) __atomic_add_fetch(&tasker_the_host.counters.field, (uint64_t)(n), __ATOMIC_RELAXED)
/* The same, without a locked instruction, for counters that change under the GVL only. */
#define COUNT_GVL(field, n) \
    __atomic_store_n(&tasker_the_host.counters.field, tasker_the_host.counters.field + (uint64_t)(n), __ATOMIC_RELAXED)

/* In a debug build (-DTASKER_DEBUG) each function that is marked checks where it
 * runs, and the process ends where something is not as it should be (debug.c). */
#ifdef TASKER_DEBUG
#define TASKER_ASSERT(holds, ...) \
    do { \
        if (!(holds)) tasker_debug_failed(__FILE__, __LINE__, __func__, __VA_ARGS__); \
    } while (0)
#define TASKER_GVL TASKER_ASSERT(tasker_debug_has_gvl(), "runs without the GVL")
#define TASKER_NO_GVL TASKER_ASSERT(!tasker_debug_has_gvl(), "runs with the GVL")
NORETURN(void tasker_debug_failed(const char *file, int line, const char *function, const char *format, ...));
bool tasker_debug_has_gvl(void);
#else
#define TASKER_ASSERT(holds, ...) ((void)(0 && (holds)))
#define TASKER_GVL ((void)0)
#define TASKER_NO_GVL ((void)0)
#endif
#define TASKER_ANY ((void)0)

/* [any] The bridge's malloc and its free, which count (memory.c). */
void *tasker_alloc(size_t size);
void *tasker_realloc(void *block, size_t size);
void tasker_free(void *block);

/* Bells (bell.c). Ring is [any] and async-signal-safe, and so is interrupt, which
 * ends a wait for Ruby's sake. Wait is [no GVL]: it returns when the bell has
 * been rung or interrupted, or after ns, if that is not 0. */
void tasker_bell_ring(tasker_bell *b);
void tasker_bell_interrupt(void *bell);
void tasker_bell_wait(tasker_bell *b, int64_t ns);
bool tasker_bell_rung(const tasker_bell *b);
bool tasker_bell_must_return(const tasker_bell *b); /* rung or interrupted */
void tasker_bell_reset(tasker_bell *b);             /* not rung any more */

/* [any] Starts a detached thread (cbridge.c) and returns an errno. Stack 0 is the system's default. */
int tasker_start_thread(void *(*f)(void *), size_t stack);

/* [any] To Go (outbox.c). */
void tasker_post(tasker_message *m);
void tasker_post_note(uint32_t topic, uint64_t serial, const char *text, size_t len);

/* The ticker (ticker.c). */
void tasker_ticker_prepare(void);     /* [GVL] */
int tasker_ticker_start(void);        /* [any] Returns an errno. */
void tasker_ticker_wake(bool watch);  /* [any] */
void tasker_ticker_competes(void);    /* [any] Another thread may compute from now on. */
void tasker_ticker_spares(bool this_thread); /* [any] It is not to be asked to yield, or is again. */
/* [any] For waits with a limit: a condition that follows CLOCK_MONOTONIC, and
 * the time on that clock so many ns from now. */
void tasker_monotonic_cond(pthread_cond_t *cond);
void tasker_after(struct timespec *t, int64_t ns);

/* The GVL (gvl.c). Wanted: whether a thread waits for it, or may do so: an older
 * CRuby does not say, so there it is whenever more than one may compute. */
void tasker_gvl_init(void);                        /* [GVL] Raises. */
bool tasker_gvl_is_wanted(uint64_t may_compute);   /* [any] */

/* What rb_protect returns for an exception, and for a killed thread. */
enum { tasker_tag_raise = 6, tasker_tag_fatal = 8 };

/* CRuby's own methods, kept from before any other code could change them
 * (captured.c). Capture comes first of all, loaded after the Ruby half. The
 * functions raise, and run no Ruby code. */
VALUE tasker_capture(VALUE unused);
void tasker_captured_loaded(void);
VALUE tasker_new_interrupt(void);
bool tasker_is_interrupt(VALUE exception);
void tasker_raise_in(VALUE thread, VALUE interrupt);
void tasker_raise_again_in(VALUE thread);
bool tasker_is_alive(VALUE thread);
VALUE tasker_backtrace_of(VALUE thread); /* an Array of Strings, or nil */
VALUE tasker_own_group(VALUE thread);
void tasker_guard_main_group(VALUE group);
VALUE tasker_group_of(VALUE thread);
VALUE tasker_readable(VALUE exception);
void tasker_stop_tracing(void);
bool tasker_on_main_thread(void);
bool tasker_is_main_thread(VALUE thread);

/* One line about an exception. */
typedef struct tasker_line {
    size_t len;
    char text[4096];
} tasker_line;
void tasker_append(tasker_line *line, const char *text, size_t len); /* as far as there is room */
void tasker_append_string(tasker_line *line, VALUE string);
struct tasker_description {
    VALUE exception;
    tasker_line line;
};
VALUE tasker_describe(VALUE description); /* a struct tasker_description * */

/* [GVL] of any Ractor (host_only.c): whether this is the host's process and its
 * main Ractor. Require raises a ServiceError when it is not. */
bool tasker_is_host(void);
void tasker_require_host(void);
NORETURN(void tasker_no_memory(const char *what)); /* raises NoMemoryError */
void tasker_host_only_init(void);
void tasker_host_only_loaded(void);

void tasker_trace_init(void); /* [GVL] Tasker::Host.trace_block (trace.c). Raises. */

/* [GVL] Jobs (job.c). Perform runs one job to its end. It returns false when
 * the thread must exit. Init raises. */
void tasker_job_init(void);
bool tasker_job_perform(tasker_worker *w, tasker_job *job);

/* [GVL] A job that raised or jumped (job_error.c): writes the pending exception
 * to w->out and returns the job's status. Loaded comes after the Ruby half. */
uint32_t tasker_job_failed(tasker_worker *w, int tag);
void tasker_job_error_init(void);
void tasker_job_error_loaded(void);

/* [GVL] After a job (job_cleanup.c). */
void tasker_job_cleanup_init(void);
/* Drops the interrupts that are due: they were meant for the job that has
 * ended. Returns false when the thread was told to die. */
bool tasker_flush_interrupts(void);
VALUE tasker_check_interrupts(VALUE unused); /* raises */
void tasker_end_stress(tasker_worker *w, int tag);
/* Closes the fiber scheduler that the job has left, and returns the job's
 * status. The close may wait, be interrupted and raise, so this is part of the job. */
uint32_t tasker_drop_scheduler(tasker_worker *w, uint32_t status);
/* Ends a child of this process that fell through to the end of a job or of a
 * thread (IO.popen("-")). It is not the host, and ends as a Ruby program would. */
NORETURN(void tasker_leave_child(int tag, VALUE exception));

/* [GVL] The threads that a step's code starts (step_threads.c). End is part of
 * the job. Pursue raises: it tells the abandoned ones once more. */
void tasker_step_threads_init(void);
void tasker_step_threads_mark(void);
void tasker_step_threads_end(tasker_worker *w);
VALUE tasker_step_threads_pursue(VALUE unused);

/* The children that a step leaves, and where they print (children.c). */
void tasker_children_init(void);   /* [GVL] Raises. */
void tasker_children_waited(void); /* [GVL] */
void tasker_children_forked(void); /* [any] in the child; async-signal-safe */

/* [GVL] Workers (worker.c). start, fill_up, interrupt_abandoned and join raise. */
void tasker_workers_start(uint32_t wanted);
void tasker_workers_mark(void);
tasker_worker *tasker_worker_here(void);          /* whose thread this one is, or NULL */
tasker_worker *tasker_worker_on(VALUE thread);    /* the same for any other */
tasker_worker *tasker_worker_of(uint64_t serial); /* that runs this job now, or NULL */
void tasker_worker_becomes(tasker_worker *w, tasker_worker_state state); /* worker_state.c */
void tasker_worker_mark(tasker_worker *w); /* it exits after its job; no news for one that exits anyway */
VALUE tasker_workers_fill_up(VALUE unused);
VALUE tasker_workers_interrupt_abandoned(VALUE unused);
VALUE tasker_workers_join(VALUE unused);

/* [GVL] Ruby asks Go (request.c). Init raises. */
void tasker_request_init(void);
void tasker_request_free(tasker_request *r); /* [any] request_free.c */
uint64_t tasker_serial_here(void); /* of the job that this thread belongs to, or 0 */

/* The main Ruby thread (supervisor.c). */
void tasker_supervise(void);         /* [GVL] */
VALUE tasker_wait_for_bell(VALUE ns); /* [GVL] under rb_protect: for int64_t *ns at most */
void tasker_protect_and_note(VALUE (*f)(VALUE), VALUE arg); /* [GVL] */
void tasker_ring(void);              /* [any] */

/* [GVL] Writes value to out as JSON of at most limit bytes (json.c). Raises. */
void tasker_json_write(tasker_buffer *out, VALUE value, size_t limit);
/* [GVL] Raises the error for a Continuation that was called a second time. */
NORETURN(void tasker_json_reentered(void));
void tasker_json_init(VALUE host_module);

/* [GVL] A job's documents as a Ruby object (segments.c). It forgets the job when the job ends. */
VALUE tasker_segments_new(const tasker_job *job);
void tasker_segments_forget(VALUE segments);
void tasker_segments_init(VALUE host_module);
void tasker_segments_loaded(void); /* after the Ruby half */

/* [GVL] Defines Tasker::Context.adopt (context.c). Raises. */
void tasker_context_init(void);

/* [GVL] Returns the value of a JSON document (document.c). Its objects are
 * Hashes or Contexts. Returns Qundef when JSON.parse has to read the document.
 * Raises. */
VALUE tasker_document_read(const char *text, size_t length, bool contexts);
void tasker_document_mark(void);
void tasker_document_init(void);

/* [GVL] What handlers may not do (conduct.c). Init comes before the Ruby half,
 * loaded after it. Forbid raises a ForbiddenError. */
void tasker_conduct_init(void);
void tasker_conduct_loaded(void);
NORETURN(void tasker_forbid(const char *call, const char *instead));
void tasker_processes_init(VALUE conduct);    /* processes.c */
void tasker_descriptors_guard(VALUE conduct); /* descriptors_guard.c */

/* [any] The host's descriptors (descriptors.c). Init comes before ruby_setup.
 * Leave closes them in a forked child; it is async-signal-safe. */
void tasker_descriptors_init(void);
void tasker_descriptors_leave(void);
bool tasker_descriptors_has(int fd);
/* [any] What closes descriptors, except for the host's (descriptors_close.c). Given:
 * an IO is made of that number. tasker_close is the system's own. */
void tasker_descriptors_given(int fd);
int tasker_close(int fd);

/* Signals (signals.c). */
void tasker_signals_library(const void *inside); /* [any] first, with an address inside libruby */
bool tasker_in_host(void);                       /* [any] and not in a child */
void tasker_signals_before_boot(void);           /* before ruby_setup, on Ruby's main thread */
void tasker_signals_after_boot(void);            /* [GVL] when Ruby has booted, on the same thread */

#endif
