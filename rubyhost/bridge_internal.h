/* What the C files of the bridge share with each other and not with Go. */
#ifndef TASKER_BRIDGE_INTERNAL_H
#define TASKER_BRIDGE_INTERNAL_H

#include <ruby.h>

#include "cbridge.h"

/* Bytes that grow; owned by a worker, reused from job to job. */
typedef struct tasker_buffer {
    char *data;
    size_t len;
    size_t cap;
} tasker_buffer;

/* Writes value as JSON to out (json.c). GVL held; raises. */
void tasker_json_write(tasker_buffer *out, VALUE value);
void tasker_json_init(VALUE host_module);

/* A job's documents as a Ruby object (segments.c); forgotten when it ends. */
VALUE tasker_segments_new(const tasker_job *job);
void tasker_segments_forget(VALUE segments);
void tasker_segments_init(VALUE host_module);

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
