/* Where libruby is found at boot; see libruby.c. */
#ifndef TASKER_LIBRUBY_H
#define TASKER_LIBRUBY_H

/* Loads libruby and fills the slots: NULL, or a malloc'd message. *library is
 * its handle for dlsym. Any thread, before any other call of libruby. */
char *tasker_libruby_load(void **library);

#endif
