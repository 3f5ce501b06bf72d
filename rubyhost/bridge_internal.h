/* What the C files of the bridge share with each other and not with Go. */
#ifndef TASKER_BRIDGE_INTERNAL_H
#define TASKER_BRIDGE_INTERNAL_H

#include <ruby.h>
#include <time.h>

#include "cbridge.h"

/* Bytes that grow; owned by a worker, reused from job to job. */
typedef struct tasker_buffer {
    char *data;
    size_t len;
    size_t cap;
} tasker_buffer;

/* A worker thread; under the GVL. */
typedef struct tasker_worker {
    struct tasker_worker *next;
    VALUE thread;     /* marked */
    tasker_parker parker;
    tasker_buffer out;
    tasker_job *job;
    VALUE segments;   /* of the job; marked */
    bool born;        /* its thread has begun */
    bool written_off; /* exit when the job returns: another has its place */
    bool retire;      /* exit when the job returns: the thread is marked by it */
    bool killed;      /* the host has killed it once */
    long masks;       /* blocks of Thread.handle_interrupt that were not left */
} tasker_worker;

/* The Ruby side's own state; under the GVL. */
typedef struct tasker_world {
    tasker_worker *workers;
    VALUE module;    /* Tasker::Host; marked */
    VALUE callables; /* Tasker::Host::CALLABLES; marked */
    VALUE exception; /* the class Exception; registered */
    bool stopping;
    bool forked;     /* in a child: this is not the host any more */
} tasker_world;

extern tasker_world tasker_ruby;

#define COUNT(field, n) __atomic_add_fetch(&tasker_the_host.counters.field, (uint64_t)(n), __ATOMIC_RELAXED)
/* The same for what is counted under the GVL only. */
#define COUNT_GVL(field, n) \
    __atomic_store_n(&tasker_the_host.counters.field, tasker_the_host.counters.field + (uint64_t)(n), __ATOMIC_RELAXED)

/* A detached thread (cbridge.c); stack 0 is the system's default. An errno. */
int tasker_start_thread(void *(*f)(void *), size_t stack);

/* To Go (outbox.c). Any thread. */
void tasker_post(tasker_message *m);
void tasker_post_note(uint32_t topic, uint64_t serial, const char *text, size_t len);

/* The ticker (ticker.c): prepared under the GVL, started by any thread. */
void tasker_ticker_prepare(void);
int tasker_ticker_start(void);
void tasker_ticker_wake(bool watch);
/* For waits with a limit: a condition that follows CLOCK_MONOTONIC, and the
 * time on it so many ns from now. */
void tasker_monotonic_cond(pthread_cond_t *cond);
void tasker_after(struct timespec *t, int64_t ns);

/* Jobs (job.c). GVL held; init raises. Perform says whether the thread may go on; so does
 * flush, which drops the interrupts that are due on this thread. */
void tasker_job_init(void);
void tasker_job_loaded(void); /* after the Ruby half */
bool tasker_job_perform(tasker_worker *w, tasker_job *job);
bool tasker_flush_interrupts(void);
enum { tasker_tag_raise = 6, tasker_tag_fatal = 8 }; /* what rb_protect says of an exception, and of a killed thread */
VALUE tasker_check_interrupts(VALUE unused); /* raises */

/* Workers (worker.c). GVL held; start, fill_up, pursue and join raise. */
void tasker_workers_start(uint32_t wanted);
void tasker_workers_mark(void);
tasker_worker *tasker_worker_on(VALUE thread); /* or NULL */
tasker_worker *tasker_worker_of(uint64_t serial);
VALUE tasker_workers_fill_up(VALUE unused);
VALUE tasker_workers_pursue(VALUE interrupt);
VALUE tasker_workers_join(VALUE unused);

/* Ruby asks Go (request.c). GVL held; raises. */
void tasker_request_init(void);

/* The main Ruby thread (supervisor.c). GVL held, but ring is for any thread. */
void tasker_supervisor_loaded(void); /* after the Ruby half; raises */
void tasker_supervise(void);
void tasker_protect_and_note(VALUE (*f)(VALUE), VALUE arg);
void tasker_ring(void);

/* Writes value as JSON to out (json.c). GVL held; raises. */
void tasker_json_write(tasker_buffer *out, VALUE value);
void tasker_json_init(VALUE host_module);

/* A job's documents as a Ruby object (segments.c); forgotten when it ends. */
VALUE tasker_segments_new(const tasker_job *job);
void tasker_segments_forget(VALUE segments);
void tasker_segments_init(VALUE host_module);
void tasker_segments_loaded(void); /* after the Ruby half */

/* Defines Tasker::Context.adopt (context.c). GVL held; raises. */
void tasker_context_init(void);

/* The value of a JSON document (document.c), its objects Hashes or Contexts;
 * Qundef when the document has to go to JSON.parse. GVL held; raises. */
VALUE tasker_document_read(const char *text, size_t length, bool contexts);
void tasker_document_mark(void);
void tasker_document_init(void);

/* Signals (signals.c). Given an address inside libruby; then before
 * ruby_setup, and after boot, on the main Ruby thread. */
void tasker_signals_library(const void *inside);
void tasker_signals_before_boot(void);
void tasker_signals_after_boot(void);

#endif
