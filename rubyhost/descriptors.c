/*
 * The host's descriptors: Go's sockets, pipes and eventfds, and what else was
 * open for this process alone before Ruby booted. A forked child closes them,
 * so that nothing of the host's stays open while the child lives: a worker that
 * dies ends its database sessions at once. In the host, Ruby makes no IO of them.
 *
 * Go registers whatever it can wait for with one epoll instance, and the kernel
 * lists that in /proc/self/fdinfo. So Go registers nothing here, and the list is
 * right at any time. It has no descriptor of Ruby's or of a C library's. It also
 * lacks what Go never waits for and has opened since: files, pidfds, and the
 * pipes of io.Copy from socket to socket.
 */
#include "bridge_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Filled before Ruby boots, and then only read. */
enum { max_epolls = 16, max_early = 256 };
static int epolls[max_epolls];
static size_t epoll_count;
static struct early {
    int fd;
    dev_t device;
    ino_t inode;
} early[max_early]; /* open at boot; the identity tells whether it still is */
static size_t early_count;

/* [any] */
static bool is_epoll(int fd)
{
    char path[40], target[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n < 0) return false;
    target[n] = 0;
    return !strcmp(target, "anon_inode:[eventpoll]");
}

/* [any] A descriptor that spawned programs get is not the host's own. */
static void note_early(int fd)
{
    struct stat s;
    int flags = fcntl(fd, F_GETFD);
    if (fd <= 2 || flags < 0 || !(flags & FD_CLOEXEC) || fstat(fd, &s)) return;
    if (is_epoll(fd)) {
        if (epoll_count < max_epolls) epolls[epoll_count++] = fd;
    } else if (early_count < max_early) {
        early[early_count++] = (struct early){fd, s.st_dev, s.st_ino};
    }
}

/* [any] Before ruby_setup. Go's poller is there: the outbox's eventfd is on it. */
void tasker_descriptors_init(void)
{
    DIR *all = opendir("/proc/self/fd");
    if (!all) return;
    struct dirent *entry;
    while ((entry = readdir(all)) != NULL) {
        int fd = atoi(entry->d_name);
        if (fd != dirfd(all)) note_early(fd);
    }
    closedir(all);
}

/* [any] Async-signal-safe, as all that follows up to tasker_descriptors_leave. */
static bool is_inode(int fd, unsigned long inode)
{
    struct stat s;
    return fstat(fd, &s) == 0 && s.st_ino == inode;
}

/* [any] Opens /proc/self/fdinfo/<fd>. */
static int open_info(int fd)
{
    char path[] = "/proc/self/fdinfo/\0\0\0\0\0\0\0\0\0\0", digits[10];
    char *to = path + sizeof "/proc/self/fdinfo/" - 1;
    size_t n = 0;
    do digits[n++] = (char)('0' + fd % 10);
    while (fd /= 10);
    while (n) *to++ = digits[--n];
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* [any] The number after key, or -1. */
static long number_after(const char *line, const char *key, unsigned base)
{
    const char *at = strstr(line, key);
    if (!at) return -1;
    unsigned long value = 0;
    for (at += strlen(key); *at == ' ' || *at == '\t'; at++) {}
    for (;; at++) {
        unsigned digit = *at >= 'a' && *at <= 'f' ? (unsigned)(*at - 'a') + 10 : (unsigned)(*at - '0');
        if (digit >= base) return (long)value;
        value = value * base + digit;
    }
}

/* [any] The descriptor that a line of an epoll's fdinfo is about, or -1:
 * "tfd:       12 events: 80002019 data: ... pos:0 ino:7597f sdev:9". The inode
 * is compared, because a child sees what the host has registered since. */
static int target_of(const char *line)
{
    if (strncmp(line, "tfd:", 4)) return -1;
    int fd = (int)number_after(line, "tfd:", 10);
    long inode = number_after(line, "ino:", 16); /* Linux before 4.13 does not say */
    return inode < 0 || is_inode(fd, (unsigned long)inode) ? fd : -1;
}

/* [any] Hands each descriptor on the epoll to visit, until that returns true. */
static bool any_target(int epoll, bool (*visit)(int fd, int wanted), int wanted)
{
    char text[2048];
    size_t have = 0;
    ssize_t n;
    bool found = false;
    int info = open_info(epoll);
    if (info < 0) return false;
    while (!found && ((n = read(info, text + have, sizeof text - 1 - have)) > 0 || (n < 0 && errno == EINTR))) {
        if (n < 0) continue;
        have += (size_t)n;
        text[have] = 0;
        char *line = text, *end;
        for (; !found && (end = strchr(line, '\n')); line = end + 1) {
            *end = 0;
            int fd = target_of(line);
            found = fd >= 0 && visit(fd, wanted);
        }
        have -= (size_t)(line - text);
        memmove(text, line, have);
    }
    tasker_close(info);
    return found;
}

/* [any] */
static bool close_it(int fd, int unused)
{
    (void)unused;
    close(fd);
    return false;
}

/* [any] */
static bool is_wanted(int fd, int wanted)
{
    return fd == wanted;
}

/* [any] */
static bool is_early(const struct early *e)
{
    struct stat s;
    return fstat(e->fd, &s) == 0 && s.st_dev == e->device && s.st_ino == e->inode;
}

/* [any] */
void tasker_descriptors_leave(void)
{
    for (size_t i = 0; i < epoll_count; i++) any_target(epolls[i], close_it, 0);
    for (size_t i = 0; i < epoll_count; i++) close(epolls[i]);
    for (size_t i = 0; i < early_count; i++)
        if (is_early(&early[i])) close(early[i].fd);
}

/* [any] */
bool tasker_descriptors_has(int fd)
{
    for (size_t i = 0; i < epoll_count; i++)
        if (fd == epolls[i] || any_target(epolls[i], is_wanted, fd)) return true;
    for (size_t i = 0; i < early_count; i++)
        if (fd == early[i].fd && is_early(&early[i])) return true;
    return false;
}
