/*
 * Two IOs may have one number, after IO.for_fd(other.fileno). When one is closed
 * the host may open that number next. The other one then closes it, at the latest
 * when it is collected. So this file defines close, dup2 and dup3, and the dynamic
 * linker binds every call to them, as in signals.c. A call for a descriptor of the
 * host's fails as for one that is not open. Go makes its system calls by itself,
 * and never comes here.
 *
 * Only numbers that an IO was made of are looked at: every other close is as
 * cheap as it was.
 */
#include "bridge_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The dynamic linker finds these before libc's. */
#define EXPORTED __attribute__((visibility("default")))

enum { numbers = 1 << 16 };
static bool given[numbers]; /* atomic: an IO was made of that number; it stays so */

/* [any] */
void tasker_descriptors_given(int fd)
{
    if (fd < numbers) __atomic_store_n(&given[fd], true, __ATOMIC_RELAXED);
}

/* [any] Async-signal-safe, as all that follows. A child has descriptors of its own. */
static bool is_kept(int fd)
{
    if (fd < 0 || (fd < numbers && !__atomic_load_n(&given[fd], __ATOMIC_RELAXED))) return false;
    return tasker_in_host() && tasker_descriptors_has(fd);
}

/* [any] */
int tasker_close(int fd)
{
    return (int)syscall(SYS_close, fd);
}

/* [any] */
EXPORTED int close(int fd)
{
    if (!is_kept(fd)) return tasker_close(fd);
    errno = EBADF;
    return -1;
}

/* [any] IO#reopen calls it. */
EXPORTED int dup3(int from, int to, int flags)
{
    if (!is_kept(to)) return (int)syscall(SYS_dup3, from, to, flags);
    errno = EBADF;
    return -1;
}

/* [any] */
EXPORTED int dup2(int from, int to)
{
    if (from != to) return dup3(from, to, 0);
    return fcntl(from, F_GETFD) < 0 ? -1 : to;
}
