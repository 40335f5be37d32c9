/* SPDX-License-Identifier: BSD-2-Clause
 *
 * preload.c -- for LD_PRELOAD, what the kernel tells or is told, changed:
 *
 * WAYMARK_CLOCK=FILE   the wall clock is so many seconds ahead as the 64-bit number in
 *                      that file says at the moment
 * WAYMARK_NOSYNC=1     nothing is asked to be on disk: a power cut may lose all of it
 * WAYMARK_MEMORY=FILE  two 64-bit numbers in that file: how many allocations are left until
 *                      one fails (0: none fails); how many there were
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *ahead;
static int no_sync;
static int64_t *memory;

__attribute__((constructor)) static void begin(void)
{
    static const int64_t none;
    const char *path = getenv("WAYMARK_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *ahead, PROT_READ, MAP_SHARED, fd, 0);

    ahead = map == MAP_FAILED ? &none : map;
    no_sync = getenv("WAYMARK_NOSYNC") != NULL;
    if (fd >= 0)
        close(fd);
    path = getenv("WAYMARK_MEMORY");
    fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    map = fd < 0 ? MAP_FAILED
                 : mmap(NULL, 2 * sizeof *memory, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    memory = map == MAP_FAILED ? NULL : map;
    if (fd >= 0)
        close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
    int rc = (int)syscall(SYS_clock_gettime, clock, out);

    if (rc == 0 && ahead && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        out->tv_sec += *ahead;
    return rc;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec now;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    *out = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *out)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}

static _Thread_local int calm; /* within a function of glibc that does not survive it */

#define CALM(name, parameter)                                                                      \
    struct passwd *name(parameter)                                                                 \
    {                                                                                              \
        struct passwd *(*real)(parameter) =                                                        \
            (struct passwd * (*)(parameter)) dlsym(RTLD_NEXT, #name);                              \
        struct passwd *found;                                                                      \
                                                                                                   \
        calm++;                                                                                    \
        found = real(who);                                                                         \
        calm--;                                                                                    \
        return found;                                                                              \
    }
CALM(getpwuid, uid_t who)
CALM(getpwnam, const char *who)

/* Is this the one that fails? */
static int fails(void)
{
    if (memory == NULL || calm)
        return 0;
    __atomic_add_fetch(&memory[1], 1, __ATOMIC_RELAXED);
    if (__atomic_load_n(&memory[0], __ATOMIC_RELAXED) <= 0 ||
        __atomic_sub_fetch(&memory[0], 1, __ATOMIC_RELAXED) != 0)
        return 0;
    errno = ENOMEM;
    return 1;
}

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);

void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
    return fails() ? NULL : __libc_realloc(old, size);
}

#define SYNC(name, parameters, ...)                                                                \
    int name parameters                                                                            \
    {                                                                                              \
        return no_sync ? 0 : (int)syscall(SYS_##name, __VA_ARGS__);                                \
    }
SYNC(fsync, (int fd), fd)
SYNC(fdatasync, (int fd), fd)
SYNC(msync, (void *at, size_t len, int how), at, len, how)

#define OPEN(name)                                                                                 \
    int name(const char *path, int how, ...)                                                       \
    {                                                                                              \
        va_list args;                                                                              \
        mode_t mode;                                                                               \
                                                                                                   \
        va_start(args, how);                                                                       \
        mode = (how & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(args, mode_t) : 0;                      \
        va_end(args);                                                                              \
        return (int)syscall(SYS_openat, AT_FDCWD, path, no_sync ? how & ~O_SYNC : how, mode);      \
    }
OPEN(open)
OPEN(open64)
