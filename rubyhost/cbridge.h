/*
 * What Go sees of the bridge. Go reads the structs below directly and calls
 * the functions through cgo. No function here runs Go code. No VALUE appears
 * here: VALUEs never leave the Ruby threads.
 *
 * A job is C's record of a call; Go's own record is `call` in call.go. Go owns
 * a job until it is in tasker_host.queue. C owns it until it comes back: its
 * state is TASKER_DONE, or Go has taken it off tasker_host.outbox. Then Go owns
 * it again, and uses it for another call or frees it with tasker_job_free.
 */
#ifndef TASKER_CBRIDGE_H
#define TASKER_CBRIDGE_H

#include <stddef.h>
#include <stdint.h>

#include "queue.h"

/* What a message on the outbox is. */
enum {
    TASKER_MSG_JOB = 1,     /* struct tasker_job: it has ended */
    TASKER_MSG_REQUEST = 2, /* struct tasker_request: Ruby asks Go */
    TASKER_MSG_CANCEL = 3,  /* struct tasker_cancel: Ruby no longer waits */
    TASKER_MSG_NOTE = 4     /* struct tasker_note: Ruby tells Go */
};

typedef struct tasker_message {
    tasker_node node;
    uint32_t kind;
} tasker_message;

/* How Go waits for a job; tasker_job.state, atomic. */
enum {
    TASKER_PARKED = 0,   /* put it on the outbox when it ends */
    TASKER_SPINNING = 1, /* the caller polls state: do not put it on the outbox */
    TASKER_DONE = 2
};

/* How a job ended; tasker_job.status. */
enum {
    TASKER_OK = 0,      /* result is the value as JSON */
    TASKER_RAISED = 1,  /* result is the exception as JSON */
    TASKER_KILLED = 2,  /* the thread was killed during the job; no result */
    TASKER_SKIPPED = 3, /* cancelled before it began */
    TASKER_JUMPED = 4,  /* a break, next or return left the handler */
    TASKER_NO_MEMORY = 5
};

/* C's record of a call. The segment lengths and the payload follow the struct. */
typedef struct tasker_job {
    tasker_message msg;
    uint64_t serial;   /* never reused */
    uint32_t call;     /* Go's own: the call's number in its pool */
    uint32_t state;    /* atomic */
    uint32_t cancel;   /* atomic: 1 once Go no longer wants the answer */
    uint32_t started;  /* atomic: 1 once a worker has it; set before cancel is read */
    uint32_t status;
    uint32_t target;   /* index of the callable */
    uint32_t ends_threads; /* 1: the threads that its code starts end with it (step_threads.c) */
    uint32_t segments; /* how many */
    uint64_t *lengths; /* of each segment, bytes */
    char *payload;     /* the segments, one after the other */
    char *result;      /* of tasker_alloc, or NULL; kept for the next call */
    uint64_t result_len;
    uint64_t result_cap;
    uint64_t room;     /* bytes behind the struct */
} tasker_job;

/* One thread waits, any thread rings; see bell.c. */
typedef struct tasker_bell {
    uint32_t state; /* atomic, a futex */
} tasker_bell;

/* Ruby asks Go and waits without the GVL. Each side holds a reference. */
typedef struct tasker_request {
    tasker_message msg;
    uint64_t serial; /* of the job that the asking thread belongs to */
    uint32_t service;
    uint32_t refs;   /* atomic */
    tasker_bell answered;
    uint32_t status; /* 0; 1: reply is an error as JSON; or TASKER_NO_MEMORY */
    char *payload;   /* follows the struct */
    uint64_t payload_len;
    char *reply;
    uint64_t reply_len;
} tasker_request;

typedef struct tasker_cancel {
    tasker_message msg;
    tasker_request *request; /* holds a reference */
} tasker_cancel;

/* What notes are about; tasker_note.topic. */
enum {
    TASKER_NOTE_LOG = 1,     /* text is a JSON array [level, text] */
    TASKER_NOTE_PONG = 3,    /* the main Ruby thread answers ping `serial` */
    TASKER_NOTE_STOPPED = 4, /* Ruby has been cleaned up */
    TASKER_NOTE_STRAY = 5,   /* an exception reached the main Ruby thread */
    TASKER_NOTE_STUCK = 6,   /* where the abandoned thread of job `serial` is; lines */
    TASKER_NOTE_WAITED = 7   /* a thread has waited for a child; text is how far the children's two pipes were written then */
};

/* How far Go has read one of the pipes that children print into. */
typedef struct {
    uint64_t turn;  /* odd while Go reads */
    uint64_t bytes; /* read so far */
} tasker_read_so_far;

extern tasker_read_so_far tasker_children_read[2];

typedef struct tasker_note {
    tasker_message msg;
    uint32_t topic;
    uint64_t serial;
    uint64_t text_len;
    char text[];
} tasker_note;

/* What Go asks of the main Ruby thread. */
enum {
    TASKER_RAISE = 1,     /* raise Tasker::Host::Interrupt in job `serial` */
    TASKER_KILL = 2,      /* kill the thread of job `serial` */
    TASKER_ABANDON = 3,   /* abandon that thread, start another, and say where it is */
    TASKER_PING = 4,
    TASKER_STOP = 5       /* end the workers and the interpreter */
};

typedef struct tasker_boot_options {
    uint32_t threads;
    uint64_t max_result; /* bytes of JSON of a result */
    int64_t spin_ns;
    int event_fd;
    int argc;          /* the interpreter's own command line */
    char **argv;       /* writable and contiguous; never freed */
    const char *main;  /* the Ruby file to load first */
} tasker_boot_options;

/* Counters that Go reads at any time; all atomic. */
typedef struct tasker_counters {
    uint64_t busy;     /* workers inside a job */
    uint64_t workers;  /* worker threads alive and not abandoned */
    uint64_t respawns; /* threads that replaced another */
    uint64_t abandoned; /* abandoned threads that still run */
    uint64_t short_of_threads; /* 1 while the system has no thread for a worker */
    uint64_t threads;  /* living threads that Ruby code has started */
    uint64_t threads_ended;     /* threads of steps that the host has ended */
    uint64_t threads_abandoned; /* threads of steps that did not end, and still run */
    uint64_t children_left;     /* children that steps left running */
    uint64_t jobs;     /* jobs ended */
    uint64_t yields;   /* times the fairness ticker made a thread give way */
    uint64_t notes;    /* notes posted; a job's notes are counted before it ends */
    uint64_t gvl_waits;     /* times a thread had to wait for the GVL; 0 where CRuby does not say */
    uint64_t gvl_waited_ns; /* how long in all */
    uint64_t note_bytes; /* bytes of the notes that Go has not dealt with */
} tasker_counters;

/* The one interpreter of the process. */
typedef struct tasker_host {
    tasker_queue queue;
    TASKER_APART tasker_node *outbox; /* atomic stack of tasker_message */
    TASKER_APART uint32_t go_asleep;     /* atomic: write to event_fd after a push */
    uint32_t ticker_asleep; /* atomic: 1 when a submit must call tasker_submitted */
    int event_fd;
    TASKER_APART tasker_counters counters;
} tasker_host;

extern tasker_host tasker_the_host;

/* What this Ruby calls the option that bounds YJIT's memory, and its value in MiB
 * when nobody says another. */
extern const char *const tasker_yjit_memory_option;
extern const int tasker_yjit_memory_default;

/* [any] Boots the interpreter on a thread of its own and waits until it is
 * ready. Returns NULL, or a malloc'd message. To be called once. */
char *tasker_boot(const tasker_boot_options *options);

/* [any] Returns a job with so many bytes of room, or NULL without memory. */
tasker_job *tasker_job_new(uint64_t room);
void tasker_job_free(tasker_job *job); /* [any] */
/* [any] Wakes the threads that have to see a new job. To be called when the job
 * is in the queue's inbox and counted in pending. */
void tasker_submitted(void);
/* [any] Asks the main Ruby thread for something. Returns false without memory. */
bool tasker_control(uint32_t what, uint64_t serial);

/* [any] Not on a Ruby thread, one caller at a time: asks the thread with that
 * number whether it holds the GVL, and if so, where it is. Waits for the answer, for
 * some wait_ms. Returns the length of the text, lines of at most size bytes, or 0. It
 * needs no GVL. */
uint64_t tasker_ask_holder(int thread, int wait_ms, char *text, uint64_t size);

/* [any] Answers a request and drops Go's reference. */
void tasker_reply(tasker_request *request, uint32_t status, const void *data, uint64_t len);
/* [any] Frees a cancel record and drops its reference. */
void tasker_cancel_free(tasker_cancel *cancel);
void tasker_note_free(tasker_note *note); /* [any] */

/* [any] What the C code of the bridge has allocated and not freed (memory.c). */
void tasker_outstanding(uint64_t *allocations, uint64_t *bytes);
/* [any] What the whole process has of malloc, and what malloc keeps free. Returns
 * false when this allocator does not say. */
bool tasker_malloc_use(uint64_t *in_use, uint64_t *kept);
const char *tasker_allocator_name(void); /* [any] "glibc 2.36", or "" */

#endif
