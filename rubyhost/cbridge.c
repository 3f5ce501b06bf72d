/*
 * The bridge: boots CRuby on a thread of its own, runs Ruby worker threads
 * that take jobs from the queue, and carries messages back to Go.
 *
 * Threads. "main" is the C thread that booted Ruby: it waits without the GVL
 * for what Go asks (interrupt, kill, replace, stop). "workers" are Ruby
 * threads. "ticker" is a C thread that never touches Ruby. Go's threads only
 * submit, answer and free. Every function says what it needs:
 *   [GVL]      on a Ruby thread, holding the GVL
 *   [no GVL]   on a Ruby thread, having released it
 *   [any]      on any thread
 *
 * Every Ruby call that may raise runs under rb_protect. No function of this
 * file calls Go. Classes are looked up by name instead of through libruby's
 * data symbols (rb_cObject and such).
 */
#include "bridge_internal.h"
#include "libruby.h"

#include <ruby/thread.h>
#include <ruby/encoding.h>
#include <ruby/debug.h>
#include <ruby/fiber/scheduler.h>
#include <ruby/version.h>
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* CRuby's own: not in its public headers, but exported for embedders. */
void ruby_sysinit(int *argc, char ***argv);

enum { tag_fatal = 8 };                 /* what rb_protect says of a killed thread */

typedef struct worker {
    struct worker *next;
    VALUE thread;
    tasker_parker parker;
    tasker_buffer out;
    tasker_job *job;  /* under the GVL */
    VALUE segments;   /* of the job; marked */
    bool written_off; /* under the GVL: exit when the job returns */
} worker;

typedef struct control {
    tasker_node node;
    uint32_t what;
    uint64_t serial;
} control;

tasker_host tasker_the_host;

/* Under the GVL. */
static worker *workers;
static VALUE host_module, callables;
static ID id_run, id_report, id_raise, id_kill, id_join, id_alive, id_serial, id_interrupt;
static bool stopping;
static bool forked; /* in a child: this is not the host any more */

/* What Go asks of the main thread: an atomic stack, and a bell. */
static tasker_node *controls;
static pthread_mutex_t bell_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t bell = PTHREAD_COND_INITIALIZER;
static bool bell_rung, bell_interrupted;

#define hot (tasker_the_host.counters)
#define COUNT(field, n) __atomic_add_fetch(&hot.field, (uint64_t)(n), __ATOMIC_RELAXED)
/* The same for what is counted under the GVL only. */
#define COUNT_GVL(field, n) __atomic_store_n(&hot.field, hot.field + (uint64_t)(n), __ATOMIC_RELAXED)

/* ---- to Go ------------------------------------------------------------ */

/* [any] Puts a message on the outbox and wakes Go's reader if it sleeps. */
static void post(tasker_message *m)
{
    tasker_stack_push(&tasker_the_host.outbox, &m->node);
    if (__atomic_load_n(&tasker_the_host.go_asleep, __ATOMIC_SEQ_CST)
        && __atomic_exchange_n(&tasker_the_host.go_asleep, 0, __ATOMIC_SEQ_CST)) {
        uint64_t one = 1;
        while (write(tasker_the_host.event_fd, &one, sizeof one) < 0 && errno == EINTR) {}
    }
}

/* [any] A note that cannot be allocated is dropped. */
static void post_note(uint32_t topic, uint64_t serial, const char *text, size_t len)
{
    tasker_note *n = malloc(sizeof *n + len);
    if (!n) return;
    n->msg.kind = TASKER_MSG_NOTE;
    n->topic = topic;
    n->serial = serial;
    n->text_len = len;
    if (len) memcpy(n->text, text, len);
    COUNT(notes, 1);
    post(&n->msg);
}

/* [any] */
void tasker_note_free(tasker_note *n)
{
    free(n);
}

/* ---- the fairness ticker ---------------------------------------------- */

/*
 * CRuby before 3.3 lets a thread compute for 100 ms before another gets the
 * GVL. While two or more workers are awake, the ticker asks the running one
 * to give way every 5 ms. It also rescues jobs that lie in the queue while
 * every awake worker waits for I/O. With nothing to do it sleeps for ever.
 */
static const int64_t tick_ns = 5 * 1000 * 1000;
/* How soon a rescue looks: sooner while there is somebody to rescue. */
static const int64_t rescue_min_ns = 200 * 1000, rescue_max_ns = 1000 * 1000;

static pthread_mutex_t tick_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t tick_cond;
static bool tick_watch; /* under tick_lock: a rescue is wanted soon */
#define tick_asleep (tasker_the_host.ticker_asleep)

/* [no GVL] */
static void *give_way(void *unused)
{
    (void)unused;
    struct timespec t = {.tv_nsec = 50 * 1000};
    nanosleep(&t, NULL);
    return NULL;
}

/* [GVL] Runs as a postponed job, between two bytecodes of whoever computes. */
static void yield_job(void *unused)
{
    (void)unused;
    COUNT(yields, 1);
    rb_nogvl(give_way, NULL, NULL, NULL, RB_NOGVL_INTR_FAIL);
}

#if RUBY_API_VERSION_MAJOR > 3 || (RUBY_API_VERSION_MAJOR == 3 && RUBY_API_VERSION_MINOR >= 3)
static rb_postponed_job_handle_t yield_handle;
static void prepare_yield(void) { yield_handle = rb_postponed_job_preregister(0, yield_job, NULL); }
static void ask_to_yield(void) { rb_postponed_job_trigger(yield_handle); }
#else
static void prepare_yield(void) {}
static void ask_to_yield(void) { rb_postponed_job_register_one(0, yield_job, NULL); }
#endif

static void after(struct timespec *t, int64_t ns)
{
    clock_gettime(CLOCK_MONOTONIC, t);
    ns += t->tv_nsec;
    t->tv_sec += ns / 1000000000;
    t->tv_nsec = (long)(ns % 1000000000);
}

/* A thread of its own; never touches a VALUE. */
static void *ticker(void *unused)
{
    (void)unused;
    tasker_queue *q = &tasker_the_host.queue;
    uint64_t seen = 0;
    int64_t rescue_ns = rescue_min_ns;
    pthread_mutex_lock(&tick_lock);
    while (!__atomic_load_n(&q->closed, __ATOMIC_RELAXED)) {
        struct timespec t;
        if (tick_watch) {
            tick_watch = false;
            pthread_mutex_unlock(&tick_lock);
            struct timespec pause = {.tv_nsec = rescue_ns};
            nanosleep(&pause, NULL);
            rescue_ns = tasker_queue_rescue(q) ? rescue_min_ns : rescue_ns * 2;
            if (rescue_ns > rescue_max_ns) rescue_ns = rescue_max_ns;
            pthread_mutex_lock(&tick_lock);
            continue;
        }
        after(&t, tick_ns);
        if (pthread_cond_timedwait(&tick_cond, &tick_lock, &t) != ETIMEDOUT) continue;
        uint32_t awake = __atomic_load_n(&q->active, __ATOMIC_RELAXED);
        uint64_t jobs = __atomic_load_n(&hot.jobs, __ATOMIC_RELAXED);
        if (awake > 1) ask_to_yield();
        if (__atomic_load_n(&q->pending, __ATOMIC_RELAXED) > 0) {
            tasker_queue_rescue(q);
        } else if (awake == 0 && jobs == seen) {
            __atomic_store_n(&tick_asleep, 1, __ATOMIC_SEQ_CST);
            if (__atomic_load_n(&q->pending, __ATOMIC_SEQ_CST) == 0 && !tick_watch)
                pthread_cond_wait(&tick_cond, &tick_lock);
            __atomic_store_n(&tick_asleep, 0, __ATOMIC_SEQ_CST);
        }
        seen = jobs;
    }
    pthread_mutex_unlock(&tick_lock);
    return NULL;
}

/* [any] */
static void wake_ticker(bool watch)
{
    pthread_mutex_lock(&tick_lock);
    if (watch) tick_watch = true;
    pthread_cond_signal(&tick_cond);
    pthread_mutex_unlock(&tick_lock);
}

/* ---- jobs -------------------------------------------------------------- */

/* [any] */
tasker_job *tasker_job_new(uint64_t room)
{
    tasker_job *j = malloc(sizeof *j + room);
    if (!j) return NULL;
    *j = (tasker_job){.room = room};
    j->msg.kind = TASKER_MSG_JOB;
    j->lengths = (uint64_t *)(void *)(j + 1);
    return j;
}

/* [any] */
void tasker_job_free(tasker_job *j)
{
    free(j->result);
    free(j);
}

/* [any] */
void tasker_submitted(void)
{
    bool watch = tasker_queue_announce(&tasker_the_host.queue);
    if (watch || __atomic_load_n(&tick_asleep, __ATOMIC_SEQ_CST)) wake_ticker(watch);
}

/* [GVL] The job is Go's again, with its answer, for which the job's old buffer
 * is taken in exchange. */
static void finish(tasker_job *job, uint32_t status, tasker_buffer *result)
{
    job->status = status;
    job->result_len = 0;
    if (result && result->len) {
        tasker_buffer old = {.data = job->result, .cap = job->result_cap};
        job->result = result->data;
        job->result_len = result->len;
        job->result_cap = result->cap;
        *result = old;
    }
    COUNT_GVL(jobs, 1);
    if (__atomic_exchange_n(&job->state, TASKER_DONE, __ATOMIC_SEQ_CST) == TASKER_PARKED) post(&job->msg);
}

/* [GVL] Under rb_protect: the call itself, and its value as JSON. */
static VALUE run_job(VALUE arg)
{
    worker *w = (worker *)arg;
    tasker_job *job = w->job;
    w->segments = tasker_segments_new(job);
    VALUE value = rb_funcallv(rb_ary_entry(callables, job->target), id_run, 1, &w->segments);
    tasker_json_write(&w->out, value);
    RB_GC_GUARD(value);
    return Qnil;
}

struct report_args {
    worker *worker;
    VALUE exception;
};

/* [GVL] Under rb_protect: the exception as JSON. */
static VALUE report(VALUE arg)
{
    struct report_args *a = (struct report_args *)arg;
    VALUE hash = rb_funcall(host_module, id_report, 1, a->exception);
    a->worker->out.len = 0;
    tasker_json_write(&a->worker->out, hash);
    return Qnil;
}

/* [GVL] When not even the report could be made. */
static void report_poorly(tasker_buffer *out, VALUE exception)
{
    char text[512];
    const char *class = RB_SPECIAL_CONST_P(exception) ? "Object" : rb_obj_classname(exception);
    int n = snprintf(text, sizeof text,
                     "{\"class\":\"%.200s\",\"ancestors\":[],\"message\":\"(the exception could not be read)\","
                     "\"backtrace\":[],\"permanent\":false}",
                     class);
    out->len = 0;
    if (!out->data) {
        out->data = malloc(sizeof text);
        if (!out->data) return;
        out->cap = sizeof text;
    }
    memcpy(out->data, text, (size_t)n);
    out->len = (size_t)n;
}

static VALUE check_interrupts(VALUE unused)
{
    (void)unused;
    rb_thread_check_ints();
    return Qnil;
}

/* [GVL] Interrupts meant for the job that has just ended must not hit the
 * next one. Returns false when the thread was told to die. */
static bool flush_interrupts(void)
{
    for (int i = 0; i < 100; i++) {
        int tag = 0;
        rb_protect(check_interrupts, Qnil, &tag);
        rb_set_errinfo(Qnil);
        if (tag == 0) return true;
        if (tag == tag_fatal) return false;
    }
    return true;
}

static VALUE drop_scheduler(VALUE unused)
{
    (void)unused;
    return rb_fiber_scheduler_set(Qnil);
}

/* [GVL] What a handler may have left behind in the interpreter or on its
 * thread, and that would hurt the next one. */
static void leave_clean(void)
{
    rb_gc_enable();
    if (RB_UNLIKELY(!NIL_P(rb_fiber_scheduler_get()))) {
        int tag = 0;
        rb_protect(drop_scheduler, Qnil, &tag);
        rb_set_errinfo(Qnil);
    }
}

/* [GVL] Runs one job to its end. Returns false when the thread must exit. */
static bool perform(worker *w, tasker_job *job)
{
    __atomic_store_n(&job->started, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&job->cancel, __ATOMIC_SEQ_CST)) {
        finish(job, TASKER_SKIPPED, NULL);
        return true;
    }
    int tag = 0;
    uint32_t status = TASKER_OK;
    w->job = job;
    w->out.len = 0;
    COUNT_GVL(busy, 1);
    rb_protect(run_job, (VALUE)w, &tag);
    if (tag != 0) {
        struct report_args a = {w, rb_errinfo()};
        rb_set_errinfo(Qnil);
        status = TASKER_RAISED;
        if (tag == tag_fatal) {
            status = TASKER_KILLED;
            w->out.len = 0;
        } else if (!RTEST(rb_obj_is_kind_of(a.exception, rb_path2class("Exception")))) {
            status = TASKER_JUMPED;
            w->out.len = 0;
        } else {
            int again = 0;
            rb_protect(report, (VALUE)&a, &again);
            rb_set_errinfo(Qnil);
            if (again) report_poorly(&w->out, a.exception);
        }
        RB_GC_GUARD(a.exception);
    }
    if (forked) _exit(tag == 0 ? 0 : 1); /* a child of this process fell through to here */
    w->job = NULL;
    if (!NIL_P(w->segments)) tasker_segments_forget(w->segments);
    w->segments = Qnil;
    leave_clean();
    COUNT_GVL(busy, -1);
    bool late = w->written_off;
    bool live = status != TASKER_KILLED && !late && flush_interrupts();
    finish(job, status, &w->out);
    return live;
}

/* [no GVL] */
static void *wait_for_work(void *arg)
{
    tasker_queue_wait(&tasker_the_host.queue, &((worker *)arg)->parker);
    return NULL;
}

/* [any] Ruby wants the waiting worker back. */
static void stop_waiting(void *arg)
{
    tasker_parker_interrupt(&tasker_the_host.queue, &((worker *)arg)->parker);
}

static void ring(void);

/* [GVL] Takes w off the list and frees it. Whoever waits is told. */
static void worker_gone(worker *w)
{
    worker **at = &workers;
    while (*at != w) at = &(*at)->next;
    *at = w->next;
    tasker_queue_detach(&tasker_the_host.queue, &w->parker);
    if (w->written_off) COUNT(written_off, -1);
    else COUNT(workers, -1);
    tasker_parker_destroy(&w->parker);
    free(w->out.data);
    free(w);
    ring();
}

/* [GVL] A worker thread's whole life. */
static VALUE worker_main(void *arg)
{
    worker *w = arg;
    tasker_queue *q = &tasker_the_host.queue;
    while (!stopping && !w->written_off) {
        tasker_node *n = tasker_queue_pop(q, &w->parker);
        if (n) {
            if (!perform(w, (tasker_job *)(void *)n)) break;
            continue;
        }
        rb_nogvl(wait_for_work, w, stop_waiting, w, RB_NOGVL_INTR_FAIL);
        if (!flush_interrupts()) break;
    }
    worker_gone(w);
    return Qnil;
}

/* [GVL] Under rb_protect. */
static VALUE create_thread(VALUE arg)
{
    worker *w = (worker *)arg;
    w->thread = rb_thread_create(worker_main, w);
    return Qnil;
}

/* [GVL] Under rb_protect. */
static void start_worker(void)
{
    worker *w = calloc(1, sizeof *w);
    if (!w) rb_memerror();
    tasker_parker_init(&w->parker);
    w->thread = w->segments = Qnil;
    w->next = workers;
    workers = w;
    tasker_queue_attach(&tasker_the_host.queue);
    COUNT(workers, 1);
    int tag = 0;
    rb_protect(create_thread, (VALUE)w, &tag);
    if (tag) {
        worker_gone(w);
        rb_jump_tag(tag);
    }
}

/* [GVL] Under rb_protect: a thread killed before its first line never left. */
static void bury_unborn(void)
{
    for (worker *w = workers, *next; w; w = next) {
        next = w->next;
        if (!RTEST(rb_funcall(w->thread, id_alive, 0))) worker_gone(w);
    }
}

static void mark_root(void *unused)
{
    (void)unused;
    for (worker *w = workers; w; w = w->next) {
        rb_gc_mark(w->thread);
        rb_gc_mark(w->segments);
    }
    rb_gc_mark(host_module);
    rb_gc_mark(callables);
    tasker_document_mark();
}

static const rb_data_type_t root_type = {
    .wrap_struct_name = "Tasker::Host::Root",
    .function = {.dmark = mark_root},
};

/* ---- Ruby asks Go ------------------------------------------------------- */

static void release(tasker_request *r)
{
    if (__atomic_sub_fetch(&r->refs, 1, __ATOMIC_SEQ_CST)) return;
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->cond);
    free(r->payload);
    free(r->reply);
    free(r);
}

/* [any] */
void tasker_reply(tasker_request *r, uint32_t status, const void *data, uint64_t len)
{
    char *copy = malloc(len ? len : 1);
    if (copy && len) memcpy(copy, data, len);
    pthread_mutex_lock(&r->lock);
    r->reply = copy;
    r->reply_len = copy ? len : 0;
    r->status = copy ? status : TASKER_NO_MEMORY;
    __atomic_store_n(&r->done, 1, __ATOMIC_SEQ_CST);
    pthread_cond_signal(&r->cond);
    pthread_mutex_unlock(&r->lock);
    release(r);
}

/* [any] */
void tasker_cancel_free(tasker_cancel *c)
{
    release(c->request);
    free(c);
}

/* How long a lone waiter polls before it sleeps: most answers of a database
 * come within this time, and to be woken costs as much again. */
#define REPLY_SPIN_NS 100000

/* [no GVL] Polls while this is the only worker with a job: with several of them
 * the processors have better things to do. */
static void poll_for_reply(tasker_request *r)
{
    if (tasker_the_host.queue.spin_ns <= 0) return;
    int64_t until = tasker_now() + REPLY_SPIN_NS;
    for (unsigned i = 1; __atomic_load_n(&tasker_the_host.counters.busy, __ATOMIC_RELAXED) <= 1; i++) {
        if (__atomic_load_n(&r->done, __ATOMIC_ACQUIRE) || __atomic_load_n(&r->interrupted, __ATOMIC_ACQUIRE)) return;
        tasker_relax();
        if (i % 64 == 0 && tasker_now() > until) return;
    }
}

/* [no GVL] */
static void *wait_for_reply(void *arg)
{
    tasker_request *r = arg;
    poll_for_reply(r);
    pthread_mutex_lock(&r->lock);
    while (!r->done && !r->interrupted) pthread_cond_wait(&r->cond, &r->lock);
    r->interrupted = 0;
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

/* [any] */
static void interrupt_reply(void *arg)
{
    tasker_request *r = arg;
    pthread_mutex_lock(&r->lock);
    r->interrupted = 1;
    pthread_cond_signal(&r->cond);
    pthread_mutex_unlock(&r->lock);
}

/* [GVL] With INTR_FAIL the wait may not run at all; without it, rb_nogvl
 * itself could jump out. So: look, wait, look again, let interrupts act. */
static VALUE await_reply(VALUE arg)
{
    tasker_request *r = (tasker_request *)arg;
    while (!__atomic_load_n(&r->done, __ATOMIC_SEQ_CST)) {
        rb_nogvl(wait_for_reply, r, interrupt_reply, r, RB_NOGVL_INTR_FAIL);
        if (!__atomic_load_n(&r->done, __ATOMIC_SEQ_CST)) rb_thread_check_ints();
    }
    VALUE reply = rb_utf8_str_new(r->reply, (long)r->reply_len);
    return rb_assoc_new(r->status == 0 ? Qtrue : Qfalse, reply);
}

/* [GVL] However the wait ended: if by a jump, Go is told to stop. */
static VALUE abandon(VALUE arg)
{
    tasker_request *r = (tasker_request *)arg;
    if (!__atomic_load_n(&r->done, __ATOMIC_SEQ_CST)) {
        tasker_cancel *c = malloc(sizeof *c);
        if (c) {
            c->msg.kind = TASKER_MSG_CANCEL;
            c->request = r; /* our reference goes along */
            post(&c->msg);
            return Qnil;
        }
    }
    release(r);
    return Qnil;
}

/* [GVL] Tasker::Host.job_serial -> Integer, 0 outside a job. A thread that a
 * handler has started carries the serial of that handler's job, which may be
 * over by now; host/lineage.rb put it there. */
static VALUE host_job_serial(VALUE self)
{
    (void)self;
    VALUE me = rb_thread_current();
    for (worker *w = workers; w; w = w->next)
        if (w->thread == me) return ULL2NUM(w->job ? w->job->serial : 0);
    VALUE inherited = rb_ivar_get(me, id_serial);
    return NIL_P(inherited) ? INT2FIX(0) : inherited;
}

/* [GVL] Tasker::Host.request(service, job_serial, payload) -> [ok, reply] */
static VALUE host_request(VALUE self, VALUE service, VALUE serial, VALUE payload)
{
    (void)self;
    uint32_t number = NUM2UINT(service);
    uint64_t job = NUM2ULL(serial);
    StringValue(payload);
    tasker_request *r = calloc(1, sizeof *r);
    size_t len = (size_t)RSTRING_LEN(payload);
    char *copy = r ? malloc(len + 1) : NULL;
    if (!copy) {
        free(r);
        rb_memerror();
    }
    memcpy(copy, RSTRING_PTR(payload), len);
    r->msg.kind = TASKER_MSG_REQUEST;
    r->serial = job;
    r->service = number;
    r->refs = 2;
    r->payload = copy;
    r->payload_len = len;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->cond, NULL);
    post(&r->msg);
    return rb_ensure(await_reply, (VALUE)r, abandon, (VALUE)r);
}

/* [GVL] Tasker::Host.note(topic, job_serial, text): told, not awaited. */
static VALUE host_note(VALUE self, VALUE topic, VALUE serial, VALUE text)
{
    (void)self;
    uint32_t number = NUM2UINT(topic);
    uint64_t job = NUM2ULL(serial);
    StringValue(text);
    post_note(number, job, RSTRING_PTR(text), (size_t)RSTRING_LEN(text));
    RB_GC_GUARD(text);
    return Qnil;
}

/* ---- the main Ruby thread ---------------------------------------------- */

static void ring(void)
{
    pthread_mutex_lock(&bell_lock);
    bell_rung = true;
    pthread_cond_signal(&bell);
    pthread_mutex_unlock(&bell_lock);
}

/* [any] */
bool tasker_control(uint32_t what, uint64_t serial)
{
    control *c = malloc(sizeof *c);
    if (!c) return false;
    c->what = what;
    c->serial = serial;
    tasker_stack_push(&controls, &c->node);
    ring();
    return true;
}

/* [no GVL] */
static void *wait_for_bell(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&bell_lock);
    while (!bell_rung && !bell_interrupted) pthread_cond_wait(&bell, &bell_lock);
    bell_rung = bell_interrupted = false;
    pthread_mutex_unlock(&bell_lock);
    return NULL;
}

/* [any] */
static void interrupt_bell(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&bell_lock);
    bell_interrupted = true;
    pthread_cond_signal(&bell);
    pthread_mutex_unlock(&bell_lock);
}

/* [GVL] The worker that runs job `serial` at this moment, or NULL. */
static worker *worker_of(uint64_t serial)
{
    for (worker *w = workers; w; w = w->next)
        if (w->job && w->job->serial == serial) return w;
    return NULL;
}

static uint32_t wanted_workers;

/* [GVL] Under rb_protect: does what Go asked. */
static VALUE obey(VALUE arg)
{
    control *c = (control *)arg;
    worker *w = worker_of(c->serial);
    switch (c->what) {
    case TASKER_RAISE:
        if (w) rb_funcall(w->thread, id_raise, 1, rb_const_get(host_module, id_interrupt));
        break;
    case TASKER_KILL:
        if (w) rb_funcall(w->thread, id_kill, 0);
        break;
    case TASKER_WRITE_OFF:
        if (w && !w->written_off) {
            w->written_off = true;
            COUNT(workers, -1);
            COUNT(written_off, 1);
        }
        break;
    case TASKER_PING:
        post_note(TASKER_NOTE_PONG, c->serial, NULL, 0);
        break;
    case TASKER_STOP:
        stopping = true;
        break;
    }
    return Qnil;
}

/* [GVL] Under rb_protect: as many workers as there should be. */
static VALUE fill_up(VALUE unused)
{
    (void)unused;
    bury_unborn();
    while (!stopping && __atomic_load_n(&hot.workers, __ATOMIC_RELAXED) < wanted_workers) {
        start_worker();
        COUNT(respawns, 1);
    }
    return Qnil;
}

/* [GVL] An exception has no business on the main thread; Go logs it. */
static void note_stray(void)
{
    VALUE e = rb_errinfo();
    rb_set_errinfo(Qnil);
    const char *class = RB_SPECIAL_CONST_P(e) ? "a jump" : rb_obj_classname(e);
    post_note(TASKER_NOTE_STRAY, 0, class, strlen(class));
}

static void protect_and_note(VALUE (*f)(VALUE), VALUE arg)
{
    int tag = 0;
    rb_protect(f, arg, &tag);
    if (tag) note_stray();
}

/* [GVL] Until Go says stop. */
static void supervise(void)
{
    while (!stopping) {
        tasker_node *n = tasker_stack_take(&controls);
        while (n) {
            tasker_node *next = n->next;
            protect_and_note(obey, (VALUE)n);
            free(n);
            n = next;
        }
        protect_and_note(fill_up, Qnil);
        if (stopping) return;
        rb_nogvl(wait_for_bell, NULL, interrupt_bell, NULL, RB_NOGVL_INTR_FAIL);
        protect_and_note(check_interrupts, Qnil);
    }
}

/* ---- boot ---------------------------------------------------------------- */

static const tasker_boot_options *boot_options;
static pthread_mutex_t boot_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t boot_cond = PTHREAD_COND_INITIALIZER;
static bool boot_ended;
static char *boot_error;

static void boot_over(char *error)
{
    pthread_mutex_lock(&boot_lock);
    boot_error = error;
    boot_ended = true;
    pthread_cond_signal(&boot_cond);
    pthread_mutex_unlock(&boot_lock);
}

/* [GVL] Under rb_protect. */
static VALUE prepare(VALUE unused)
{
    (void)unused;
    VALUE tasker = rb_define_module("Tasker");
    host_module = rb_define_module_under(tasker, "Host");
    callables = rb_ary_new();
    rb_define_const(host_module, "CALLABLES", callables);
    /* The collector marks nothing through a NULL. */
    rb_gc_register_mark_object(rb_data_typed_object_wrap(0, &tasker_the_host, &root_type));
    rb_define_module_function(host_module, "request", host_request, 3);
    rb_define_module_function(host_module, "note", host_note, 3);
    rb_define_module_function(host_module, "job_serial", host_job_serial, 0);
    id_run = rb_intern("run");
    id_report = rb_intern("report");
    id_raise = rb_intern("raise");
    id_kill = rb_intern("kill");
    id_join = rb_intern("join");
    id_alive = rb_intern("alive?");
    id_serial = rb_intern("@__tasker_serial");
    id_interrupt = rb_intern("Interrupt");
    prepare_yield();
    tasker_segments_init(host_module);
    rb_load(rb_utf8_str_new_cstr(boot_options->main), 0);
    tasker_json_init(host_module);
    tasker_context_init();
    tasker_document_init();
    for (uint32_t i = 0; i < wanted_workers; i++) start_worker();
    return Qnil;
}

/* [GVL] Under rb_protect: "Class: message (place)". */
static VALUE describe(VALUE exception)
{
    return rb_funcall(exception, rb_intern("full_message"), 1,
                      rb_funcall(rb_path2class("Hash"), rb_intern("[]"), 2, ID2SYM(rb_intern("highlight")), Qfalse));
}

/* [GVL] The pending exception as malloc'd text. */
static char *boot_failure(void)
{
    int tag = 0;
    VALUE e = rb_errinfo();
    rb_set_errinfo(Qnil);
    VALUE text = rb_protect(describe, e, &tag);
    rb_set_errinfo(Qnil);
    if (tag || !RB_TYPE_P(text, T_STRING)) return strdup(rb_obj_classname(e));
    return strndup(RSTRING_PTR(text), (size_t)RSTRING_LEN(text));
}

/* [GVL] Under rb_protect: waits until every worker has left. */
static VALUE join_workers(VALUE unused)
{
    (void)unused;
    while (workers) rb_funcall(workers->thread, id_join, 0);
    return Qnil;
}

static void note_fork(void)
{
    forked = true;
}

/* The thread that is Ruby's main thread. It never runs Go code. */
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
    supervise();
    tasker_queue_close(&tasker_the_host.queue);
    wake_ticker(false);
    protect_and_note(join_workers, Qnil);
    ruby_cleanup(0);
    post_note(TASKER_NOTE_STOPPED, 0, NULL, 0);
    return NULL;
}

static int start_thread(void *(*f)(void *), size_t stack)
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

char *tasker_boot(const tasker_boot_options *options)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&tick_cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
    /* With one arena a thread glibc's heaps creep for ever (docs/rubyhost.md). */
    mallopt(M_ARENA_MAX, 2);
    void *library;
    char *missing = tasker_libruby_load(&library);
    if (missing) return missing;
    tasker_signals_library(dlsym(library, "ruby_setup"));
    boot_options = options;
    wanted_workers = options->threads;
    tasker_queue_init(&tasker_the_host.queue, options->spin_ns);
    tasker_the_host.event_fd = options->event_fd;
    if (start_thread(ruby_main, 16 << 20)) return strdup("cannot create the Ruby thread");
    pthread_mutex_lock(&boot_lock);
    while (!boot_ended) pthread_cond_wait(&boot_cond, &boot_lock);
    pthread_mutex_unlock(&boot_lock);
    if (boot_error) return boot_error;
    if (start_thread(ticker, 256 << 10)) return strdup("cannot create the ticker thread");
    return NULL;
}
