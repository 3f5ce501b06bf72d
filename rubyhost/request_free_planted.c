//go:build planted

/*
 * The end of a request in a program that leaks on purpose, so that tests can see
 * whether a leak in the bridge is found: with TASKER_PLANT=request nothing is freed.
 */
#include "bridge_internal.h"

#include <stdlib.h>
#include <string.h>

static const char *plant;

/* [any] Before any thread of ours. */
__attribute__((constructor)) static void read_plant(void)
{
    TASKER_ANY;
    plant = getenv("TASKER_PLANT");
}

/* [any] */
void tasker_request_free(tasker_request *r)
{
    TASKER_ANY;
    if (plant && strcmp(plant, "request") == 0) return;
    tasker_free(r->reply);
    tasker_free(r);
}
