/* Opens libruby at boot; see libruby.c. */
#ifndef TASKER_LIBRUBY_H
#define TASKER_LIBRUBY_H

/* [any] Opens libruby and fills the pointers. Returns NULL, or a malloc'd
 * message. *library is its handle for dlsym. It comes before any other call of
 * libruby. */
char *tasker_libruby_load(void **library);

#endif
