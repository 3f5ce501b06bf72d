/*
 * What Go sees of the bridge. Go reads the structs below directly; it calls
 * the functions through cgo. No function here runs Go code, and none of them
 * may be called with a VALUE: those never leave the Ruby threads.
 *
 * Ownership: a job belongs to Go until it lies in tasker_host.queue, to C
 * until it comes back (state TASKER_DONE, or off the stack of
 * tasker_host.outbox), then to Go again, which uses it for another call or
 * frees it with tasker_job_free.
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

/* Who is waiting for a job; tasker_job.state, atomic. */
enum {
    TASKER_PARKED = 0,   /* put it on the outbox when it ends */
    TASKER_SPINNING = 1, /* the caller polls state: do not wake anybody */
    TASKER_DONE = 2
};

/* How a job ended; tasker_job.status. */
enum {
    TASKER_OK = 0,      /* result is the value as JSON */
    TASKER_RAISED = 1,  /* result is the exception as JSON */
    TASKER_KILLED = 2,  /* the thread was killed under it; no result */
    TASKER_SKIPPED = 3, /* cancelled before it began */
    TASKER_JUMPED = 4,  /* a break, next or return left the handler */
    TASKER_NO_MEMORY = 5
};

/* One call. Room for the segment lengths and the payload follows the struct. */
typedef struct tasker_job {
    tasker_message msg;
    uint64_t serial;   /* never reused */
    uint32_t slot;     /* Go's own */
    uint32_t state;    /* atomic */
    uint32_t cancel;   /* atomic: 1 once nobody wants the answer */
    uint32_t started;  /* atomic: 1 once a worker has it; set before cancel is read */
    uint32_t status;
    uint32_t target;   /* index of the callable */
    uint32_t segments; /* how many */
    uint64_t *lengths; /* of each segment, bytes */
    char *payload;     /* the segments, one after the other */
    char *result;      /* malloc'd, or NULL; kept for the next call */
    uint64_t result_len;
    uint64_t result_cap;
    uint64_t room;     /* bytes behind the struct */
} tasker_job;

/* Ruby asks Go and waits without the GVL. Two references: one each side. */
typedef struct tasker_request {
    tasker_message msg;
    uint64_t serial; /* of the job on whose behalf */
    uint32_t service;
    uint32_t refs;   /* atomic */
    uint32_t state;  /* atomic, a futex: how the wait stands; request.c */
    uint32_t status; /* 0, or 1: reply is an error as JSON */
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
    TASKER_NOTE_STRAY = 5    /* an exception reached the main Ruby thread */
};

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
    TASKER_WRITE_OFF = 3, /* give that thread up and start another */
    TASKER_PING = 4,
    TASKER_STOP = 5       /* end the workers and the interpreter */
};

typedef struct tasker_boot_options {
    uint32_t threads;
    int64_t spin_ns;
    int event_fd;
    int argc;          /* of the interpreter's own command line */
    char **argv;       /* writable and contiguous; lives for ever */
    const char *main;  /* the Ruby file to load first */
} tasker_boot_options;

/* Counters that Go reads at any time; all atomic. */
typedef struct tasker_counters {
    uint64_t busy;     /* workers inside a job */
    uint64_t workers;  /* worker threads alive and not written off */
    uint64_t respawns; /* threads replaced after a kill or a write-off */
    uint64_t written_off; /* given up and not back yet */
    uint64_t short_of_threads; /* 1 while none can be started for a worker */
    uint64_t jobs;     /* jobs ended */
    uint64_t yields;   /* times the fairness ticker made a thread give way */
    uint64_t notes;    /* posted; before the job they are of ends */
    uint64_t note_bytes; /* of those that Go has not dealt with */
} tasker_counters;

/* The one interpreter of the process. */
typedef struct tasker_host {
    tasker_queue queue;
    TASKER_APART tasker_node *outbox; /* atomic stack of tasker_message */
    TASKER_APART uint32_t go_asleep;     /* atomic: write to event_fd after a push */
    uint32_t ticker_asleep; /* atomic: tasker_submitted must be called */
    int event_fd;
    TASKER_APART tasker_counters counters;
} tasker_host;

extern tasker_host tasker_the_host;

/* Boots the interpreter on a thread of its own and waits until it is ready.
 * NULL, or a malloc'd message. Any thread that is not Ruby's; once. */
char *tasker_boot(const tasker_boot_options *options);

/* A job with so many bytes of room; NULL without memory. Any thread. */
tasker_job *tasker_job_new(uint64_t room);
void tasker_job_free(tasker_job *job);
/* To be called when a job has been put into the queue's inbox and counted in
 * pending: wakes whoever has to be awake. Any thread. */
void tasker_submitted(void);
/* Asks the main Ruby thread for something. False without memory. Any thread. */
bool tasker_control(uint32_t what, uint64_t serial);

/* Answers a request and drops Go's reference. Any thread. */
void tasker_reply(tasker_request *request, uint32_t status, const void *data, uint64_t len);
/* Frees a cancel record and its reference. Any thread. */
void tasker_cancel_free(tasker_cancel *cancel);
void tasker_note_free(tasker_note *note);

#endif
