//go:build !planted

/* The end of a request. request_free_planted.c has another, for tests. */
#include "bridge_internal.h"

/* [any] */
void tasker_request_free(tasker_request *r)
{
    TASKER_ANY;
    tasker_free(r->reply);
    tasker_free(r);
}
