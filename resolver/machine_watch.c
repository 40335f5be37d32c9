/* SPDX-License-Identifier: BSD-2-Clause
 *
 * machine_watch.c -- see machine_watch.h.
 *
 * Addresses: a netlink socket in the groups of address changes. Its messages are
 * not read: each, and the loss of some, is a sign to ask for all addresses anew.
 *
 * Files: resolv.conf is replaced by renaming, is a link to another folder, and
 * that folder may come and go. So each folder on the way to the file is watched
 * for the one name in it that leads on, through all links; and the file itself,
 * which may be mounted from elsewhere (containers) and written in place. A folder
 * is watched before its name is looked up, so that no change falls between. The
 * way is walked anew before each call of `changed`, which reads the files then.
 */
#include "resolver/machine_watch.h"

#include <errno.h>
#include <event2/event.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <limits.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "resolver/machine.h"

enum {
    STEPS_MAX = 128,
    LINKS_MAX = 40, /* as the kernel */
    FOLDER_EVENTS = IN_CREATE | IN_DELETE | IN_MOVE | IN_ATTRIB,
    FILE_EVENTS = IN_MODIFY | IN_CLOSE_WRITE,
};

struct step {
    int wd;
    char name[NAME_MAX + 1]; /* in the folder; "": the file itself */
};

struct machine_watch {
    machine_changed *changed;
    void *context;
    const char *root;
    unsigned quiet_ms, most_ms;
    uint64_t first_ms;    /* of the signs that `changed` has not seen; 0: there is none */
    int files, addresses; /* descriptors, owned; -1: there is none */
    int error, files_error;
    struct event *on_files, *on_addresses, *timer; /* owned */
    struct step steps[STEPS_MAX];
    int n_steps;
};

static void sign(struct machine_watch *w)
{
    uint64_t now_ms = clock_now().mono_ms, wait_ms = w->quiet_ms;
    struct timeval wait;

    if (w->first_ms == 0)
        w->first_ms = now_ms;
    if (now_ms + wait_ms > w->first_ms + w->most_ms)
        wait_ms = w->first_ms + w->most_ms > now_ms ? w->first_ms + w->most_ms - now_ms : 0;
    wait = (struct timeval){(time_t)(wait_ms / 1000), (suseconds_t)(wait_ms % 1000 * 1000)};
    event_add(w->timer, &wait);
}

/* ---- files ---- */

static void add_step(struct machine_watch *w, const char *path, const char *name, uint32_t events)
{
    int wd = inotify_add_watch(w->files, path, events);

    if (wd < 0 && errno != ENOENT) /* has just gone: its folder tells */
        w->files_error = errno;
    if (wd < 0 || w->n_steps == STEPS_MAX)
        return;
    w->steps[w->n_steps].wd = wd;
    snprintf(w->steps[w->n_steps++].name, sizeof w->steps[0].name, "%s", name);
}

/* Takes the first name off the path; false when there is none. */
static bool take_name(char path[PATH_MAX], char name[NAME_MAX + 1])
{
    size_t from = strspn(path, "/"), len = strcspn(path + from, "/");

    if (len == 0 || len > NAME_MAX)
        return false;
    memcpy(name, path + from, len);
    name[len] = '\0';
    memmove(path, path + from + len, strlen(path + from + len) + 1);
    return true;
}

static bool join(char out[PATH_MAX], const char *a, const char *between, const char *b)
{
    return (size_t)snprintf(out, PATH_MAX, "%s%s%s", a, between, b) < PATH_MAX;
}

/* Watches the way to the file as far as there is one. */
static void follow(struct machine_watch *w, const char *path)
{
    char rest[PATH_MAX], at[PATH_MAX] = "", next[PATH_MAX], link[PATH_MAX], name[NAME_MAX + 1];
    int links = 0;

    if (!join(rest, w->root, "", path))
        return;
    while (take_name(rest, name)) {
        ssize_t len;

        add_step(w, at[0] != '\0' ? at : "/", name, FOLDER_EVENTS);
        if (!join(next, at, "/", name))
            return;
        len = readlink(next, link, sizeof link - 1);
        if (len < 0 && errno != EINVAL)
            return; /* it is not there, or not for us: the folder tells when that changes */
        if (len < 0) {
            strcpy(at, next);
            continue;
        }
        link[len] = '\0';
        if (++links > LINKS_MAX || !join(next, link, "", rest))
            return;
        strcpy(rest, next);
        if (link[0] == '/')
            at[0] = '\0';
    }
    add_step(w, at, "", FILE_EVENTS);
}

static void follow_all(struct machine_watch *w)
{
    for (int i = 0; i < w->n_steps; i++)
        inotify_rm_watch(w->files, w->steps[i].wd);
    w->n_steps = 0;
    w->files_error = 0;
    for (const char *const *path = machine_resolv_confs; *path != NULL; path++)
        follow(w, *path);
}

/* Is this about the way as it was walked last? What is left of earlier watches has
 * other numbers; -1 is the loss of events. */
static bool is_on_the_way(const struct machine_watch *w, const struct inotify_event *e,
                          const char *name)
{
    for (int i = 0; i < w->n_steps; i++)
        if (w->steps[i].wd == e->wd && (e->len == 0 || strcmp(w->steps[i].name, name) == 0))
            return true;
    return e->wd == -1;
}

static void on_files(evutil_socket_t fd, short what, void *arg)
{
    struct machine_watch *w = arg;
    alignas(struct inotify_event) char events[8192];
    ssize_t n = read(fd, events, sizeof events);
    struct inotify_event e;

    (void)what;
    for (ssize_t at = 0; at < n; at += (ssize_t)(sizeof e + e.len)) {
        memcpy(&e, events + at, sizeof e);
        if (is_on_the_way(w, &e, events + at + sizeof e))
            sign(w);
    }
}

/* ---- addresses ---- */

static int open_addresses(void)
{
    const struct sockaddr_nl groups = {.nl_family = AF_NETLINK,
                                       .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

    if (fd >= 0 && bind(fd, (const struct sockaddr *)(const void *)&groups, sizeof groups) != 0) {
        int error = errno;

        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static void on_addresses(evutil_socket_t fd, short what, void *arg)
{
    char message[64]; /* its rest is thrown away */

    (void)what;
    (void)recv(fd, message, sizeof message, 0); /* ENOBUFS: some were lost */
    sign(arg);
}

/* ---- life ---- */

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct machine_watch *w = arg;

    (void)fd;
    (void)what;
    w->first_ms = 0;
    if (w->files >= 0)
        follow_all(w);
    w->changed(w->context);
}

static struct event *listen_to(struct machine_watch *w, struct event_base *base, int fd,
                               event_callback_fn call)
{
    struct event *e = fd >= 0 ? event_new(base, fd, EV_READ | EV_PERSIST, call, w) : NULL;

    if (e == NULL || event_add(e, NULL) != 0)
        w->error = errno;
    return e;
}

struct machine_watch *machine_watch_new(struct event_base *base, const char *root,
                                        unsigned quiet_ms, unsigned most_ms,
                                        machine_changed *changed, void *context)
{
    struct machine_watch *w = calloc(1, sizeof *w);

    if (w == NULL)
        return NULL;
    w->changed = changed;
    w->context = context;
    w->root = root;
    w->quiet_ms = quiet_ms;
    w->most_ms = most_ms;
    w->files = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    w->on_files = listen_to(w, base, w->files, on_files);
    w->addresses = open_addresses();
    w->on_addresses = listen_to(w, base, w->addresses, on_addresses);
    w->timer = evtimer_new(base, on_timer, w);
    if (w->timer == NULL) {
        machine_watch_free(w);
        return NULL;
    }
    sign(w);
    return w;
}

void machine_watch_free(struct machine_watch *w)
{
    if (w == NULL)
        return;
    if (w->on_files != NULL)
        event_free(w->on_files);
    if (w->on_addresses != NULL)
        event_free(w->on_addresses);
    if (w->timer != NULL)
        event_free(w->timer);
    if (w->files >= 0)
        close(w->files);
    if (w->addresses >= 0)
        close(w->addresses);
    free(w);
}

void machine_watch_again(struct machine_watch *w)
{
    if (w != NULL)
        sign(w);
}

int machine_watch_error(const struct machine_watch *w)
{
    return w->error != 0 ? w->error : w->files_error;
}
