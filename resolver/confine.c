/* SPDX-License-Identifier: BSD-2-Clause
 *
 * confine.c -- the order is: capabilities, cores, files, system calls. Each thread inherits it.
 *
 * Landlock rules hold for a folder and all below it, as it was when the rule was made: so whole
 * folders are named, since files are replaced by others of their name. Reading is kept where
 * settings, resolv.conf (a link to somewhere below /run), certificates and time zones lie.
 *
 * What is no system call of the list gets ENOSYS, upon which libc takes an older way: a newer libc
 * than this list knows goes on. Sanitizers need more of both, and have neither.
 */
#include "resolver/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"

#ifndef __has_feature /* clang's; gcc has macros */
#define __has_feature(x) 0
#endif
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
enum { SANITIZED = 1 };
#else
enum { SANITIZED = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) };
#endif

enum {
    FOLDERS_MAX = 24,
    READING = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
};

static const char *const may_read[] = {"/etc", "/run", "/usr", "/dev/urandom",
                                       "/sys/devices/system/cpu"};

/* Where files are written; resolved, owned for life. None: all may be. */
static struct {
    char *folder[FOLDERS_MAX];
    int n;
} may_write;

void confine_bounds(void)
{
    for (unsigned long cap = 0; cap < 64; cap++)
        (void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
}

/* --- files */

static void allow(int rules, const char *path, uint64_t rights)
{
    struct landlock_path_beneath_attr rule = {.allowed_access = rights};

    /* A folder that is not there cannot be used; a file has fewer rights. */
    if ((rule.parent_fd = open(path, O_PATH | O_CLOEXEC)) < 0)
        return;
    if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0) {
        rule.allowed_access &= LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE;
        (void)syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    }
    close(rule.parent_fd);
}

/* The folder of a file, as it is called; if that is a link, as it lies, too. "": none. */
static void allow_beside(int rules, const char *file)
{
    char name[PATH_MAX];

    for (int lies = 0; file[0] != '\0' && lies < 2; lies++)
        if (lies ? realpath(file, name) != NULL : str_copy(name, sizeof name, file))
            allow(rules, dirname(name), READING);
}

/* Of a file (also of a name that has none yet) or of what an output writes. NULL: it has no folder,
 * or is no file. From malloc. */
static char *folder_of(const char *file)
{
    char name[PATH_MAX];
    struct endpoint at;

    if (endpoint_parse(&at, file) == NULL)
        file = at.kind == ENDPOINT_FILE ? at.path : "";
    return file[0] != '\0' && str_copy(name, sizeof name, file) ? realpath(dirname(name), NULL)
                                                                : NULL;
}

static void list_writable(const struct settings *s)
{
    char *found[FOLDERS_MAX] = {realpath(s->server.state_dir, NULL),
                                realpath(s->server.run_dir, NULL), folder_of(s->control.socket)};
    int n = 3;

    for (int i = 0; i < s->audit.n_outputs && n < FOLDERS_MAX; i++)
        found[n++] = folder_of(s->audit.outputs[i].to);
    for (int i = 0; i < n; i++)
        if (found[i])
            may_write.folder[may_write.n++] = found[i];
}

/* As much as this kernel can do. */
static void confine_files(const struct settings *s)
{
    const long version =
        syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    /* How many rights each version knows; 5: ioctl(2) of devices. */
    static const uint8_t bits[] = {0, 13, 14, 15, 15, 16};
    struct landlock_ruleset_attr all = {0};
    const uint64_t not_even_there = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                                    LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;
    int rules = -1;

    if (version > 0) {
        all.handled_access_fs = (1ULL << bits[version < 5 ? version : 5]) - 1;
        rules = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);
    }
    if (rules < 0) {
        log_info("no Landlock in this kernel (%s): rights of files alone keep the daemon in",
                 strerror(errno));
        return;
    }
    list_writable(s);
    for (size_t i = 0; i < ARRAY_LEN(may_read); i++)
        allow(rules, may_read[i], READING);
    for (const struct settings_file *f = s->files; f; f = f->next)
        allow_beside(rules, f->path);
    for (int i = 0; i < s->n_routes; i++)
        allow_beside(rules, s->routes[i].tls_ca);
    allow_beside(rules, s->limits.cookie_secret_file);
    for (int i = 0; i < may_write.n; i++)
        allow(rules, may_write.folder[i], all.handled_access_fs & ~not_even_there);
    if (syscall(SYS_landlock_restrict_self, rules, 0) != 0) {
        log_warning("Landlock cannot be used: %s", strerror(errno));
        may_write.n = 0;
    }
    close(rules);
}

int confine_check(const struct settings *s, struct diags *d)
{
    int rc = 0;

    for (int i = 0; may_write.n > 0 && i < s->audit.n_outputs; i++) {
        char *folder = folder_of(s->audit.outputs[i].to);
        bool found = folder == NULL; /* nothing can be written there anyway */

        for (int k = 0; k < may_write.n && !found; k++) {
            size_t len = strlen(may_write.folder[k]);

            found = strncmp(folder, may_write.folder[k], len) == 0 &&
                    (folder[len] == '/' || folder[len] == '\0');
        }
        free(folder);
        if (!found)
            rc = diags_tell(d,
                            "audit.outputs: %s: this process has given up to write in that folder; "
                            "restart waymarkd, or name a file in a folder that it had at its start",
                            s->audit.outputs[i].to);
    }
    return rc;
}

/* --- system calls */

/* clang-format off */
/* Files; sockets, of the families below, and waiting; memory, threads, signals, time. */
static const int calls[] = {
    SCMP_SYS(access), SCMP_SYS(chmod), SCMP_SYS(close), SCMP_SYS(faccessat), SCMP_SYS(faccessat2),
    SCMP_SYS(fallocate), SCMP_SYS(fchmod), SCMP_SYS(fchmodat), SCMP_SYS(fchown), SCMP_SYS(fcntl),
    SCMP_SYS(fdatasync), SCMP_SYS(flock), SCMP_SYS(fstat), SCMP_SYS(fstatfs), SCMP_SYS(fsync),
    SCMP_SYS(ftruncate), SCMP_SYS(getcwd), SCMP_SYS(getdents64), SCMP_SYS(ioctl), SCMP_SYS(link),
    SCMP_SYS(linkat), SCMP_SYS(lseek), SCMP_SYS(lstat), SCMP_SYS(mkdir), SCMP_SYS(mkdirat),
    SCMP_SYS(newfstatat), SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(pread64), SCMP_SYS(preadv),
    SCMP_SYS(pwrite64), SCMP_SYS(pwritev), SCMP_SYS(read), SCMP_SYS(readlink), SCMP_SYS(readlinkat),
    SCMP_SYS(readv), SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(rmdir),
    SCMP_SYS(stat), SCMP_SYS(statfs), SCMP_SYS(statx), SCMP_SYS(sync_file_range), SCMP_SYS(umask),
    SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(utimensat), SCMP_SYS(write), SCMP_SYS(writev),
    SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(bind), SCMP_SYS(connect), SCMP_SYS(epoll_create),
    SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2),
    SCMP_SYS(epoll_wait), SCMP_SYS(eventfd2), SCMP_SYS(getpeername), SCMP_SYS(getsockname),
    SCMP_SYS(getsockopt), SCMP_SYS(listen), SCMP_SYS(pipe), SCMP_SYS(pipe2), SCMP_SYS(poll),
    SCMP_SYS(ppoll), SCMP_SYS(pselect6), SCMP_SYS(recvfrom), SCMP_SYS(recvmmsg), SCMP_SYS(recvmsg),
    SCMP_SYS(select), SCMP_SYS(sendmmsg), SCMP_SYS(sendmsg), SCMP_SYS(sendto), SCMP_SYS(setsockopt),
    SCMP_SYS(shutdown), SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime), SCMP_SYS(dup),
    SCMP_SYS(dup2), SCMP_SYS(dup3),
    SCMP_SYS(brk), SCMP_SYS(clock_getres), SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep),
    SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(futex), SCMP_SYS(getcpu), SCMP_SYS(getegid),
    SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getpid), SCMP_SYS(getrandom), SCMP_SYS(getrusage),
    SCMP_SYS(gettid), SCMP_SYS(gettimeofday), SCMP_SYS(getuid), SCMP_SYS(madvise), SCMP_SYS(mremap),
    SCMP_SYS(msync), SCMP_SYS(munmap), SCMP_SYS(nanosleep), SCMP_SYS(restart_syscall),
    SCMP_SYS(rseq), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigtimedwait), SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_yield),
    SCMP_SYS(set_robust_list), SCMP_SYS(sigaltstack), SCMP_SYS(sysinfo), SCMP_SYS(tgkill),
    SCMP_SYS(time), SCMP_SYS(uname),
    -1, /* what a tracer has made of a call that is to fail, strace(1) --inject */
};

/* Only with this argument. */
static const struct { int call; struct scmp_arg_cmp only; } bounded[] = {
    {SCMP_SYS(socket), {0, SCMP_CMP_EQ, AF_INET, 0}},
    {SCMP_SYS(socket), {0, SCMP_CMP_EQ, AF_INET6, 0}},
    {SCMP_SYS(socket), {0, SCMP_CMP_EQ, AF_UNIX, 0}},
    {SCMP_SYS(socket), {0, SCMP_CMP_EQ, AF_NETLINK, 0}}, /* getifaddrs(3) */
    {SCMP_SYS(socketpair), {0, SCMP_CMP_EQ, AF_UNIX, 0}},
    {SCMP_SYS(mmap), {2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0}}, /* no code comes any more */
    {SCMP_SYS(mprotect), {2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0}},
    {SCMP_SYS(prctl), {0, SCMP_CMP_EQ, PR_SET_NAME, 0}},
    {SCMP_SYS(prlimit64), {2, SCMP_CMP_EQ, 0, 0}}, /* it asks */
    {SCMP_SYS(clone), {0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD}}, /* no process */
};
/* clang-format on */

static int fill_filter(scmp_filter_ctx filter, uint32_t otherwise)
{
    const uint32_t absent = SCMP_ACT_ERRNO(ENOSYS);
    int rc = seccomp_attr_set(filter, SCMP_FLTATR_API_TSKIP, 1);

    (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree; of libseccomp 2.5 */
    for (size_t i = 0; i < ARRAY_LEN(calls) && rc == 0; i++)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
    for (size_t i = 0; i < ARRAY_LEN(bounded) && rc == 0; i++)
        rc = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, bounded[i].call, 1, &bounded[i].only);
    /* Its flags are behind a pointer, which a filter cannot follow; libc takes clone() then. */
    if (rc == 0 && otherwise != absent)
        rc = seccomp_rule_add(filter, absent, SCMP_SYS(clone3), 0);
    return rc;
}

static int confine_calls(uint32_t how, struct diags *d)
{
    const uint32_t otherwise = how == SECCOMP_KILL ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ERRNO(ENOSYS);
    scmp_filter_ctx filter;
    int rc = -ENOMEM;

    if (how == SECCOMP_NO)
        return 0;
    if ((filter = seccomp_init(otherwise)) && (rc = fill_filter(filter, otherwise)) == 0)
        rc = seccomp_load(filter);
    seccomp_release(filter);
    if (rc != 0)
        diags_tell(d, "server.seccomp: the kernel does not take the filter: %s; set it to no",
                   strerror(-rc));
    return rc;
}

int confine(const struct settings *s, struct diags *d)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    const struct rlimit no_core = {0, 0}; /* of questions of clients, and keys */

    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    setrlimit(RLIMIT_CORE, &no_core);
    /* systemd's filter may forbid capset(2) itself: then the one for ports below 1024 stays. */
    if (syscall(SYS_capset, &head, none) != 0)
        log_debug("capabilities stay: %s", strerror(errno));
    /* A user may be of the group root, as in some containers. */
    if (geteuid() != 0 &&
        (setuid(0) == 0 || seteuid(0) == 0 || (getegid() != 0 && setgid(0) == 0))) {
        diags_tell(d, "server.user: the process could become root again; it does not go on so");
        return -EPERM;
    }
    if (SANITIZED)
        return 0;
    if (s->server.landlock)
        confine_files(s);
    return confine_calls(s->server.seccomp, d);
}
