/* What a debug build asks and says; bridge_internal.h has the macros. */
#ifdef TASKER_DEBUG

#include "bridge_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* CRuby's own: exported, but not in its public headers. */
int ruby_thread_has_gvl_p(void);

/* [any] */
bool tasker_debug_has_gvl(void)
{
    return ruby_thread_has_gvl_p();
}

/* [any] */
void tasker_debug_failed(const char *file, int line, const char *function, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    fprintf(stderr, "tasker: %s:%d: %s: ", file, line, function);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
    va_end(values);
    abort();
}

#else

/* ISO C wants something in every file. */
typedef int tasker_no_debug_build;

#endif
