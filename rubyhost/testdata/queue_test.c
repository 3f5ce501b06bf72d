/*
 * The queue alone, under the sanitizers: producers, workers that take turns
 * under a lock that stands for the GVL, interrupts, and the end. Every job is
 * popped exactly once and none is left behind.
 *
 *   cc -fsanitize=thread -I.. queue_test.c ../queue.c -lpthread && ./a.out
 *
 * "a.out count WHAT N" does something N times in one thread, for a program that
 * counts instructions (../costs_test.go).
 */
#include "queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { producers = 4, workers = 6, per_producer = 20000 };

typedef struct job {
    tasker_node node;
    int taken;
    int blocks; /* whether the worker leaves the GVL for a while */
} job;

static tasker_queue queue;
static pthread_mutex_t gvl = PTHREAD_MUTEX_INITIALIZER;
static tasker_parker parkers[workers];
static job *jobs;
static long popped; /* atomic */

static void fail(const char *what)
{
    fprintf(stderr, "queue_test: %s\n", what);
    exit(1);
}

static void nap(long ns)
{
    struct timespec t = {.tv_nsec = ns};
    nanosleep(&t, NULL);
}

static void *produce(void *arg)
{
    job *mine = arg;
    for (int i = 0; i < per_producer; i++) {
        mine[i].blocks = i % 500 == 0;
        tasker_queue_submit(&queue, &mine[i].node);
        if (i % 1000 == 0) nap(100000); /* lets the workers go to bed */
    }
    return NULL;
}

static void *work(void *arg)
{
    tasker_parker *p = arg;
    pthread_mutex_lock(&gvl);
    for (;;) {
        tasker_node *n = tasker_queue_pop(&queue, p);
        if (n) {
            job *j = (job *)(void *)n;
            if (j->taken++) fail("a job was popped twice");
            __atomic_add_fetch(&popped, 1, __ATOMIC_SEQ_CST);
            if (j->blocks) {
                pthread_mutex_unlock(&gvl);
                nap(200000);
                pthread_mutex_lock(&gvl);
            }
            continue;
        }
        if (__atomic_load_n(&queue.closed, __ATOMIC_SEQ_CST)) break;
        pthread_mutex_unlock(&gvl);
        tasker_queue_wait(&queue, p);
        pthread_mutex_lock(&gvl);
    }
    pthread_mutex_unlock(&gvl);
    return NULL;
}

static uint32_t over; /* atomic */

/* What the ticker does, and what Ruby does to waiting threads. */
static void *disturb(void *unused)
{
    (void)unused;
    for (unsigned i = 0; !__atomic_load_n(&over, __ATOMIC_SEQ_CST); i++) {
        tasker_queue_rescue(&queue);
        tasker_parker_interrupt(&queue, &parkers[i % workers]);
        nap(300000);
    }
    return NULL;
}

/* Popped jobs come in the order in which one producer gave them. */
static void test_order(void)
{
    tasker_queue q;
    tasker_parker p;
    tasker_node n[100];
    tasker_queue_init(&q, 0);
    tasker_parker_init(&p);
    tasker_queue_attach(&q);
    for (int i = 0; i < 50; i++) tasker_queue_submit(&q, &n[i]);
    for (int i = 0; i < 25; i++)
        if (tasker_queue_pop(&q, &p) != &n[i]) fail("order, first half");
    for (int i = 50; i < 100; i++) tasker_queue_submit(&q, &n[i]);
    for (int i = 25; i < 100; i++)
        if (tasker_queue_pop(&q, &p) != &n[i]) fail("order, second half");
    if (tasker_queue_pop(&q, &p)) fail("a job that was never submitted");
    if (q.pending) fail("pending after the last job");
    tasker_parker_destroy(&p);
}

static void test_exactly_once(int64_t spin_ns)
{
    pthread_t makers[producers], takers[workers], disturber;
    tasker_queue_init(&queue, spin_ns);
    popped = 0;
    over = 0;
    jobs = calloc(producers * per_producer, sizeof *jobs);
    for (int i = 0; i < workers; i++) {
        tasker_parker_init(&parkers[i]);
        tasker_queue_attach(&queue);
        pthread_create(&takers[i], NULL, work, &parkers[i]);
    }
    pthread_create(&disturber, NULL, disturb, NULL);
    for (int i = 0; i < producers; i++) pthread_create(&makers[i], NULL, produce, jobs + i * per_producer);
    for (int i = 0; i < producers; i++) pthread_join(makers[i], NULL);
    for (int i = 0; __atomic_load_n(&popped, __ATOMIC_SEQ_CST) < (long)producers * per_producer; i++) {
        if (i > 60000) fail("jobs were left behind");
        nap(1000000);
    }
    __atomic_store_n(&over, 1, __ATOMIC_SEQ_CST);
    pthread_join(disturber, NULL);
    tasker_queue_close(&queue);
    for (int i = 0; i < workers; i++) pthread_join(takers[i], NULL);
    if (queue.idle || queue.active != workers || queue.pending || queue.idle_stack) fail("the counts do not add up");
    for (int i = 0; i < workers; i++) {
        tasker_queue_detach(&queue, &parkers[i]);
        tasker_parker_destroy(&parkers[i]);
    }
    if (queue.active || queue.attached || queue.searching) fail("a worker has not left");
    free(jobs);
}

/* A job is submitted and popped n times, while the worker is awake. */
static void count_jobs(long n)
{
    tasker_queue q;
    tasker_parker p;
    tasker_node node;
    tasker_queue_init(&q, 0);
    tasker_parker_init(&p);
    tasker_queue_attach(&q);
    for (long i = 0; i < n; i++) {
        tasker_queue_submit(&q, &node);
        if (tasker_queue_pop(&q, &p) != &node) fail("count jobs");
    }
    tasker_parker_destroy(&p);
}

/* The same, but each job finds the only worker asleep: it has to be woken. */
static void count_wakes(long n)
{
    tasker_queue q;
    tasker_parker p;
    tasker_node node;
    tasker_queue_init(&q, 0);
    tasker_parker_init(&p);
    tasker_queue_attach(&q);
    for (long i = 0; i < n; i++) {
        pthread_mutex_lock(&q.lock);
        p.parked = true;
        p.woken = false;
        p.below = q.idle_stack;
        q.idle_stack = &p;
        q.idle++;
        q.active--;
        pthread_mutex_unlock(&q.lock);
        tasker_queue_submit(&q, &node);
        if (!p.woken) fail("count wakes");
        if (tasker_queue_pop(&q, &p) != &node) fail("count wakes: the job");
    }
    tasker_parker_destroy(&p);
}

/* Eight answers are pushed on the stack of an outbox and taken, n times. */
static void count_stack(long n)
{
    tasker_node *top = NULL;
    tasker_node nodes[8];
    for (long i = 0; i < n; i++) {
        for (int k = 0; k < 8; k++) tasker_stack_push(&top, &nodes[k]);
        if (tasker_stack_take(&top) != &nodes[0]) fail("count stack");
    }
}

static int count(const char *what, long n)
{
    if (!strcmp(what, "jobs"))
        count_jobs(n);
    else if (!strcmp(what, "wakes"))
        count_wakes(n);
    else if (!strcmp(what, "stack"))
        count_stack(n);
    else
        fail("nothing has that name");
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && !strcmp(argv[1], "count")) return count(argv[2], atol(argv[3]));
    test_order();
    test_exactly_once(0);
    test_exactly_once(20000);
    puts("queue_test: 3 passed, 0 failed");
    return 0;
}
