/*
 * What the C files of the bridge share with each other and not with Go.
 * cbridge.c lists the files and explains [GVL], [no GVL] and [any].
 */
#ifndef TASKER_BRIDGE_INTERNAL_H
#define TASKER_BRIDGE_INTERNAL_H

#include <ruby.h>
#include <time.h>

#include "cbridge.h"

/* A buffer that grows. A worker owns it and reuses it from job to job. */
typedef struct tasker_buffer {
    char *data;
    size_t len;
    size_t cap;
} tasker_buffer;

/* A worker thread. Read and written under the GVL. */
typedef struct tasker_worker {
    struct tasker_worker *next;
    VALUE thread;     /* marked */
    tasker_parker parker;
    tasker_buffer out;
    tasker_job *job;
    VALUE segments;   /* of the job; marked */
    bool begun;       /* its thread has run its first line */
    bool abandoned; /* exit when the job returns: another thread has its place */
    bool replace;      /* exit when the job returns: the job has marked the thread */
    bool killed;      /* the host has killed it once */
    long masks;       /* blocks of Thread.handle_interrupt that the thread is in */
} tasker_worker;

/* The state of the Ruby side. Read and written under the GVL. */
typedef struct tasker_world {
    tasker_worker *workers;
    VALUE module;    /* Tasker::Host; marked */
    VALUE callables; /* Tasker::Host::CALLABLES; marked */
    VALUE exception; /* the class Exception; registered */
    bool stopping;
    bool forked;     /* this process is a child, and not the host any more */
} tasker_world;

extern tasker_world tasker_ruby;

#define COUNT(field, n) __atomic_add_fetch(&tasker_the_host.counters.field, (uint64_t)(n), __ATOMIC_RELAXED)
/* The same, without a locked instruction, for counters that change under the GVL only. */
#define COUNT_GVL(field, n) \
    __atomic_store_n(&tasker_the_host.counters.field, tasker_the_host.counters.field + (uint64_t)(n), __ATOMIC_RELAXED)

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
/* [any] For waits with a limit: a condition that follows CLOCK_MONOTONIC, and
 * the time on that clock so many ns from now. */
void tasker_monotonic_cond(pthread_cond_t *cond);
void tasker_after(struct timespec *t, int64_t ns);

/* What rb_protect returns for an exception, and for a killed thread. */
enum { tasker_tag_raise = 6, tasker_tag_fatal = 8 };

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
/* Closes the fiber scheduler that the job has left, and returns the job's
 * status. The close may wait, be interrupted and raise, so this is part of the job. */
uint32_t tasker_drop_scheduler(tasker_worker *w, uint32_t status);
/* Ends a child of this process that fell through to the end of a job
 * (IO.popen("-")). It is not the host, and ends as a Ruby program would. */
NORETURN(void tasker_leave_child(int tag, VALUE exception));

/* [GVL] An interrupt for another thread (interrupt.c). Both raise when memory
 * has run out. Loaded comes after the Ruby half, before any guest. */
VALUE tasker_new_interrupt(void);
void tasker_raise_in(VALUE thread, VALUE interrupt);
void tasker_interrupt_loaded(void);

/* [GVL] The threads that a step's code starts (step_threads.c). End is part of
 * the job. Pursue raises: it tells the abandoned ones once more. */
void tasker_step_threads_init(void);
void tasker_step_threads_loaded(void); /* after the Ruby half */
void tasker_step_threads_mark(void);
void tasker_step_threads_end(tasker_worker *w);
VALUE tasker_step_threads_pursue(VALUE unused);

/* [GVL] The children that a step leaves (children.c). Raises. */
void tasker_children_init(void);

/* [GVL] Workers (worker.c). start, fill_up, interrupt_abandoned and join raise. */
void tasker_workers_start(uint32_t wanted);
void tasker_workers_mark(void);
tasker_worker *tasker_worker_on(VALUE thread);    /* whose thread this is, or NULL */
tasker_worker *tasker_worker_of(uint64_t serial); /* that runs this job now, or NULL */
VALUE tasker_workers_fill_up(VALUE unused);
VALUE tasker_workers_interrupt_abandoned(VALUE interrupt);
VALUE tasker_workers_join(VALUE unused);

/* [GVL] Ruby asks Go (request.c). Raises. */
void tasker_request_init(void);

/* The main Ruby thread (supervisor.c). */
void tasker_supervisor_loaded(void); /* [GVL] after the Ruby half; raises */
void tasker_supervise(void);         /* [GVL] */
void tasker_protect_and_note(VALUE (*f)(VALUE), VALUE arg); /* [GVL] */
void tasker_ring(void);              /* [any] */

/* [GVL] Writes value as JSON to out (json.c). Raises. */
void tasker_json_write(tasker_buffer *out, VALUE value);
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

/* Signals (signals.c). In this order: with an address inside libruby; before
 * ruby_setup; after boot. The last two on the thread that is Ruby's main thread. */
void tasker_signals_library(const void *inside);
void tasker_signals_before_boot(void);
void tasker_signals_after_boot(void);

#endif
