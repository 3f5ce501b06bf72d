/*
 * From Ruby to Go: messages go on one stack. An eventfd wakes the goroutine
 * that takes them off (bridge_outbox.go).
 */
#include "bridge_internal.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* [any] Puts a message on the outbox and wakes the drain goroutine if it sleeps. */
void tasker_post(tasker_message *m)
{
    tasker_stack_push(&tasker_the_host.outbox, &m->node);
    if (__atomic_load_n(&tasker_the_host.go_asleep, __ATOMIC_SEQ_CST)
        && __atomic_exchange_n(&tasker_the_host.go_asleep, 0, __ATOMIC_SEQ_CST)) {
        uint64_t one = 1;
        while (write(tasker_the_host.event_fd, &one, sizeof one) < 0 && errno == EINTR) {}
    }
}

/* [any] Drops the note when memory has run out. */
void tasker_post_note(uint32_t topic, uint64_t serial, const char *text, size_t len)
{
    tasker_note *n = tasker_alloc(sizeof *n + len);
    if (!n) return;
    n->msg.kind = TASKER_MSG_NOTE;
    n->topic = topic;
    n->serial = serial;
    n->text_len = len;
    if (len) memcpy(n->text, text, len);
    COUNT(notes, 1);
    COUNT(note_bytes, sizeof *n + len);
    tasker_post(&n->msg);
}

/* [any] */
void tasker_note_free(tasker_note *n)
{
    COUNT(note_bytes, -(int64_t)(sizeof *n + n->text_len));
    tasker_free(n);
}
