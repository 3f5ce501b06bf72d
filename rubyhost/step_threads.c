/*
 * The threads that a step's own code starts. They end with the step: they are
 * interrupted, then killed, and waited for within a bound.
 *
 * Every thread that Ruby code starts runs its block in thread_body, so the bridge
 * knows how many there are (the ticker asks) and which ones belong to a step.
 * host/lineage.rb decides whose they are when they are created: those that code
 * in a handlers folder creates are the step's, and all others are the process's.
 */
#include "bridge_internal.h"

#include <errno.h>
#include <ruby/thread.h>

/* How long the worker waits for its step's threads after it has interrupted
 * them, and after it has killed them. A thread ends when it next gets the GVL;
 * 100 ms is the longest that CRuby lets another thread compute before that. A
 * thread that goes on longer swallows the interrupt or cannot see it. */
static const int64_t after_interrupt_ns = 100 * 1000 * 1000, after_kill_ns = 100 * 1000 * 1000;

/* A thread of a step, from its creation to the last line of its block. Read and
 * written under the GVL. */
typedef struct step_thread {
    struct step_thread *next;
    uint64_t key;    /* never reused */
    uint64_t serial; /* of the step's job */
    VALUE thread;    /* nil as long as it is not known; marked */
    VALUE place;     /* "file:line", where it was created; marked */
    bool begun;      /* it has run its first line */
    bool told;       /* its step has ended: it was interrupted, or will not begin */
    bool killed;
    bool abandoned;  /* no worker waits for it */
} step_thread;

/* The values of tasker_job.ends_threads. */
enum { keeps_threads, ends_threads, has_ended_threads };

/* The key of a thread whose step has ended before it was created. */
#define NOT_TO_BEGIN UINT64_MAX

static step_thread *threads;
static uint64_t last_key;
static ID id_serial, id_report, id_thread_returns;

/* The worker that waits for its step's threads. Each end rings. */
static pthread_mutex_t ended_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ended_cond;
static uint64_t ended_count; /* under ended_lock */
static int waiting_workers;  /* under the GVL */

/* What thread_body gets of host_thread_body, in a hidden Array. */
enum { given_block, given_lineage, given_key };

/* [GVL] Of a thread that has begun. */
static step_thread *of_thread(VALUE thread)
{
    TASKER_GVL;
    if (tasker_has_thread_keys) return tasker_thread_get(thread, tasker_ruby.step_thread_key);
    for (step_thread *t = threads; t; t = t->next)
        if (t->thread == thread) return t;
    return NULL;
}

/* [GVL] */
static step_thread *of_key(uint64_t key)
{
    TASKER_GVL;
    for (step_thread *t = threads; t; t = t->next)
        if (t->key == key) return t;
    return NULL;
}

/* [GVL] Returns the job whose step owns what this thread creates, or 0. */
static uint64_t owner_here(void)
{
    TASKER_GVL;
    tasker_worker *w = tasker_worker_here();
    if (w) return w->job && w->job->ends_threads != keeps_threads ? w->job->serial : 0;
    step_thread *t = of_thread(rb_thread_current());
    return t ? t->serial : 0;
}

/* [GVL] Notes a thread that a step creates, and returns its key. It returns 0 for
 * a thread of the process's. */
static uint64_t note_creation(VALUE thread, VALUE place)
{
    TASKER_GVL;
    uint64_t owner = NIL_P(place) ? 0 : owner_here();
    if (!owner) return 0;
    tasker_worker *w = tasker_worker_of(owner);
    if (!w || w->job->ends_threads != ends_threads) return NOT_TO_BEGIN;
    step_thread *t = tasker_alloc(sizeof *t);
    if (!t) tasker_no_memory("a thread of the step");
    *t = (step_thread){.next = threads, .key = ++last_key, .serial = owner, .thread = thread, .place = place};
    threads = t;
    return t->key;
}

/* [GVL] */
static void drop(step_thread *t)
{
    TASKER_GVL;
    step_thread **at = &threads;
    while (*at != t) at = &(*at)->next;
    *at = t->next;
    if (t->abandoned) COUNT(threads_abandoned, -1);
    tasker_free(t);
}

/* [GVL] Runs in every thread that Ruby code has started. Returns false when its
 * step has ended, and it must not run its block. */
static bool begin(uint64_t key)
{
    TASKER_GVL;
    COUNT(threads, 1);
    tasker_ticker_competes();
    if (!key) return true;
    step_thread *t = of_key(key);
    if (!t) COUNT(threads_ended, 1);
    if (!t) return false;
    t->thread = rb_thread_current();
    t->begun = true;
    tasker_thread_set(t->thread, tasker_ruby.step_thread_key, t);
    return !t->told;
}

/* [GVL] Returns whether the host has told the thread to end. */
static bool end(uint64_t key)
{
    TASKER_GVL;
    COUNT(threads, -1);
    step_thread *t = key ? of_thread(rb_thread_current()) : NULL;
    if (!t) return false;
    tasker_thread_set(t->thread, tasker_ruby.step_thread_key, NULL);
    bool told = t->told;
    if (told) COUNT(threads_ended, 1);
    drop(t);
    if (!waiting_workers) return told;
    pthread_mutex_lock(&ended_lock);
    ended_count++;
    pthread_cond_broadcast(&ended_cond);
    pthread_mutex_unlock(&ended_lock);
    return told;
}

/* [GVL] Under rb_protect: tells the Ruby half, which logs it. */
static VALUE report(VALUE lists)
{
    TASKER_GVL;
    return rb_funcall(tasker_ruby.module, id_report, 2, rb_ary_entry(lists, 0), rb_ary_entry(lists, 1));
}

/* [GVL] Reports [thread, place] pairs: those that were ended, and those that were abandoned. */
static void report_protected(VALUE ended, VALUE abandoned)
{
    TASKER_GVL;
    int tag = 0;
    VALUE lists = rb_assoc_new(ended, abandoned);
    rb_protect(report, lists, &tag);
    if (tag) rb_set_errinfo(Qnil); /* the log line is lost */
    RB_GC_GUARD(lists);
}

typedef struct block_call {
    VALUE given;
    int argc;
    const VALUE *argv;
    int keywords;
} block_call;

/* [GVL] Whose the thread is: it answers its questions, and protects it from other
 * steps (request.c). */
static void set_lineage(VALUE thread, VALUE lineage)
{
    TASKER_GVL;
    if (!NIL_P(thread) && !NIL_P(lineage) && !RB_OBJ_FROZEN(thread)) rb_ivar_set(thread, id_serial, lineage);
}

/* [GVL] Under rb_protect: the thread's block. */
static VALUE call_block(VALUE arg)
{
    TASKER_GVL;
    block_call *c = (block_call *)arg;
    set_lineage(rb_thread_current(), rb_ary_entry(c->given, given_lineage));
    VALUE value = rb_proc_call_kw(rb_ary_entry(c->given, given_block), rb_ary_new_from_values(c->argc, c->argv), c->keywords);
    rb_funcall(tasker_ruby.module, id_thread_returns, 0);
    return value;
}

/* [GVL] A thread that raised or jumped. An interrupt that told it to end is no
 * failure of its own, and is not reported as one. Without memory for a readable
 * exception the thread ends without one. */
static VALUE leave_with(int tag, bool told)
{
    TASKER_GVL;
    VALUE exception = rb_errinfo();
    int unreadable = 0;
    if (tag != tasker_tag_raise || !RTEST(rb_obj_is_kind_of(exception, tasker_ruby.exception))) rb_jump_tag(tag);
    rb_set_errinfo(Qnil);
    if (told && tasker_is_interrupt(exception)) return Qnil;
    exception = rb_protect(tasker_readable, exception, &unreadable);
    rb_set_errinfo(unreadable ? Qnil : exception);
    if (unreadable == 0) rb_jump_tag(tag);
    return Qnil;
}

/* [GVL] What a thread runs instead of its block. */
static VALUE thread_body(RB_BLOCK_CALL_FUNC_ARGLIST(first, given))
{
    TASKER_GVL;
    (void)first, (void)blockarg;
    tasker_ticker_spares(false);
    int tag = 0, keywords = rb_keyword_given_p() ? RB_PASS_KEYWORDS : RB_NO_KEYWORDS;
    block_call c = {.given = given, .argc = argc, .argv = argv, .keywords = keywords};
    uint64_t key = NUM2ULL(rb_ary_entry(given, given_key));
    VALUE value = begin(key) ? rb_protect(call_block, (VALUE)&c, &tag) : Qnil;
    if (tasker_ruby.forked) tasker_leave_child(tag, rb_errinfo()); /* else it would run the host's at_exit blocks */
    bool told = end(key);
    tasker_ticker_spares(true);
    return tag ? leave_with(tag, told) : value;
}

/* [GVL] Tasker::Host.thread_body(thread, block, lineage, place) -> [body, key]:
 * the block to start the thread with. Thread may be nil if it is not known yet.
 * Lineage is the serial for the thread's questions, or nil. Place is where a
 * step's own code creates it; nil for a thread of the process's. */
static VALUE host_thread_body(VALUE self, VALUE thread, VALUE block, VALUE lineage, VALUE place)
{
    TASKER_GVL;
    (void)self;
    if (!tasker_is_host()) return rb_assoc_new(block, INT2FIX(0));
    VALUE key = ULL2NUM(note_creation(thread, place));
    set_lineage(thread, lineage);
    VALUE given = rb_ary_new_from_args(3, block, lineage, key);
    rb_obj_hide(given);
    return rb_assoc_new(rb_proc_new(thread_body, given), key);
}

/* [GVL] Tasker::Host.thread_created(key, thread, lineage): for a thread that was
 * not known when it was created. */
static VALUE host_thread_created(VALUE self, VALUE key, VALUE thread, VALUE lineage)
{
    TASKER_GVL;
    (void)self;
    uint64_t number = NUM2ULL(key);
    if (!tasker_is_host()) return thread;
    step_thread *t = number ? of_key(number) : NULL;
    if (t) t->thread = thread;
    set_lineage(thread, lineage);
    return thread;
}

/* [GVL] Tasker::Host.thread_failed(key): for a thread that could not be started. */
static VALUE host_thread_failed(VALUE self, VALUE key)
{
    TASKER_GVL;
    (void)self;
    uint64_t number = NUM2ULL(key);
    step_thread *t = number && tasker_is_host() ? of_key(number) : NULL;
    if (t && !t->begun) drop(t);
    return Qnil;
}

/* [GVL] Returns the threads of this step that have begun, or the abandoned ones
 * for 0. It copies them to an Array, because the list may change whenever Ruby
 * code can run. */
static VALUE threads_of(uint64_t serial)
{
    TASKER_GVL;
    VALUE list = rb_ary_new();
    for (step_thread *t = threads; t; t = t->next)
        if (t->begun && (serial ? t->serial == serial && !t->abandoned : t->abandoned)) rb_ary_push(list, t->thread);
    return list;
}

/* [GVL] Under rb_protect: interrupts the thread or kills it, if it is a step's.
 * It is killed once. A raise after that ends the waits of its ensure blocks. */
static void tell(VALUE thread, bool kill)
{
    TASKER_GVL;
    step_thread *t = of_thread(thread);
    if (!t) return;
    bool first = !t->told;
    t->told = true;
    if (kill && !t->killed) {
        t->killed = true;
        rb_thread_kill(thread);
    } else if (first) {
        tasker_raise_in(thread, tasker_new_interrupt());
    } else {
        tasker_raise_again_in(thread);
    }
}

typedef struct ending {
    uint64_t serial;
    bool kill;
    VALUE told; /* pairs of [thread, place] */
} ending;

/* [GVL] Under rb_protect: sees to a thread that has not begun. It will not run
 * its block. One that was killed before that never begins. */
static void forbid_to_begin(step_thread *t)
{
    TASKER_GVL;
    uint64_t key = t->key;
    t->told = true;
    if (NIL_P(t->thread) || tasker_is_alive(t->thread)) return;
    t = of_key(key);
    if (t && !t->begun) drop(t);
}

/* [GVL] The first thread of the step that has not begun and was not told so. */
static step_thread *next_unbegun(uint64_t serial)
{
    TASKER_GVL;
    for (step_thread *t = threads; t; t = t->next)
        if (t->serial == serial && !t->begun && !t->told) return t;
    return NULL;
}

/* [GVL] Under rb_protect: interrupts the step's threads, or kills them, each once. */
static VALUE tell_all(VALUE arg)
{
    TASKER_GVL;
    ending *e = (ending *)arg;
    for (step_thread *t; (t = next_unbegun(e->serial));) {
        rb_ary_push(e->told, rb_assoc_new(t->thread, t->place));
        forbid_to_begin(t);
    }
    VALUE list = threads_of(e->serial);
    for (long i = 0; i < RARRAY_LEN(list); i++) {
        VALUE thread = rb_ary_entry(list, i);
        step_thread *t = of_thread(thread);
        if (!t) continue;
        if (!t->told) rb_ary_push(e->told, rb_assoc_new(thread, t->place));
        if (!t->told || (e->kill && !t->killed)) tell(thread, e->kill);
    }
    RB_GC_GUARD(list);
    return Qnil;
}

typedef struct wait {
    uint64_t seen;
    struct timespec until;
    bool interrupted;
} wait_for;

/* [no GVL] Waits until some thread of a step has ended. */
static void *wait_for_an_end(void *arg)
{
    TASKER_NO_GVL;
    wait_for *w = arg;
    int err = 0;
    pthread_mutex_lock(&ended_lock);
    while (ended_count == w->seen && !w->interrupted && err == 0)
        err = pthread_cond_timedwait(&ended_cond, &ended_lock, &w->until);
    pthread_mutex_unlock(&ended_lock);
    return NULL;
}

/* [any] Ruby calls it to end the wait: the worker has an interrupt. */
static void interrupt_wait(void *arg)
{
    TASKER_ANY;
    pthread_mutex_lock(&ended_lock);
    ((wait_for *)arg)->interrupted = true;
    pthread_cond_broadcast(&ended_cond);
    pthread_mutex_unlock(&ended_lock);
}

/* [GVL] Waits until a thread has ended, for so many ns at most. Returns false
 * when the worker itself was interrupted: the step's own time is up. */
static bool wait_a_little(tasker_worker *worker, uint64_t seen, int64_t ns)
{
    TASKER_GVL;
    wait_for w = {.seen = seen};
    int tag = 0;
    tasker_after(&w.until, ns);
    waiting_workers++;
    rb_nogvl(wait_for_an_end, &w, interrupt_wait, &w, RB_NOGVL_INTR_FAIL);
    waiting_workers--;
    rb_protect(tasker_check_interrupts, Qnil, &tag);
    rb_set_errinfo(Qnil);
    if (tag == tasker_tag_fatal) tasker_worker_mark(worker);
    return tag == 0;
}

/* [GVL] */
static bool has_threads(uint64_t serial)
{
    TASKER_GVL;
    for (step_thread *t = threads; t; t = t->next)
        if (t->serial == serial && !t->abandoned) return true;
    return false;
}

/* [GVL] Abandons the step's threads that still run. The supervisor pursues them.
 * Returns them as pairs. From now on, what they create does not begin. */
static VALUE abandon(tasker_job *job)
{
    TASKER_GVL;
    VALUE list = rb_ary_new();
    job->ends_threads = has_ended_threads;
    for (step_thread *t = threads, *next; t; t = next) {
        next = t->next;
        if (t->serial != job->serial || t->abandoned) continue;
        if (!t->begun) {
            drop(t); /* it will not begin */
            continue;
        }
        t->abandoned = t->told = true;
        COUNT(threads_abandoned, 1);
        rb_ary_push(list, rb_assoc_new(t->thread, t->place));
    }
    return list;
}

/* [GVL] */
static uint64_t ends_so_far(void)
{
    TASKER_GVL;
    pthread_mutex_lock(&ended_lock);
    uint64_t n = ended_count;
    pthread_mutex_unlock(&ended_lock);
    return n;
}

/* [GVL] Under rb_protect. */
static VALUE end_threads(VALUE worker)
{
    TASKER_GVL;
    tasker_worker *w = (tasker_worker *)worker;
    ending e = {.serial = w->job->serial, .told = rb_ary_new()};
    int64_t began = tasker_now();
    for (bool goes_on = true; has_threads(e.serial);) {
        int64_t spent = tasker_now() - began;
        int tag = 0;
        e.kill = spent >= after_interrupt_ns || !goes_on;
        uint64_t seen = ends_so_far();
        rb_protect(tell_all, (VALUE)&e, &tag);
        rb_set_errinfo(Qnil);
        if (!goes_on || spent >= after_interrupt_ns + after_kill_ns) break;
        goes_on = wait_a_little(w, seen, (e.kill ? after_interrupt_ns + after_kill_ns : after_interrupt_ns) - spent);
    }
    VALUE abandoned = abandon(w->job);
    if (RARRAY_LEN(abandoned)) tasker_ring();
    if (RARRAY_LEN(e.told)) report_protected(e.told, abandoned);
    RB_GC_GUARD(abandoned);
    RB_GC_GUARD(e.told);
    return Qnil;
}

/* [GVL] */
void tasker_step_threads_end(tasker_worker *w)
{
    TASKER_GVL;
    int tag = 0;
    if (RB_LIKELY(!threads) || !has_threads(w->job->serial)) return;
    rb_protect(end_threads, (VALUE)w, &tag);
    rb_set_errinfo(Qnil);
}

/* [GVL] */
VALUE tasker_step_threads_pursue(VALUE unused)
{
    TASKER_GVL;
    (void)unused;
    VALUE list = threads_of(0);
    for (long i = 0; i < RARRAY_LEN(list); i++) tell(rb_ary_entry(list, i), true);
    RB_GC_GUARD(list);
    return Qnil;
}

/* [GVL] During a garbage collection. */
void tasker_step_threads_mark(void)
{
    TASKER_GVL;
    if (tasker_ruby.forked) return;
    for (step_thread *t = threads; t; t = t->next) {
        rb_gc_mark(t->thread);
        rb_gc_mark(t->place);
    }
}

/* [GVL] */
void tasker_step_threads_init(void)
{
    TASKER_GVL;
    id_serial = rb_intern("@__tasker_serial");
    id_report = rb_intern("report_threads");
    id_thread_returns = rb_intern("thread_returns");
    tasker_monotonic_cond(&ended_cond);
    rb_define_module_function(tasker_ruby.module, "thread_body", host_thread_body, 4);
    rb_define_module_function(tasker_ruby.module, "thread_created", host_thread_created, 3);
    rb_define_module_function(tasker_ruby.module, "thread_failed", host_thread_failed, 1);
}
