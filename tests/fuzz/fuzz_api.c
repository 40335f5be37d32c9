/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fuzz_api.c -- any octets on the control socket of a daemon that has no threads: the API's own routes, with a
 * policy, something in the cache, and settings that can be read again. What answers is HTTP; its
 * body is one JSON object, in which a refusal says why; and nothing waits when the client has gone.
 */
#include "tests/fuzz/fuzz.h"

#include <event2/event.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "resolver/daemon.h"
#include "tests/unit/resolver/world.h"

static const char settings_text[] = "server: {name: fuzz, listen: [\"127.0.0.1:5353\"]}\n"
                                    "access: [{net: 0.0.0.0/0, action: allow}]\n"
                                    "forward: [{zone: nobody.asks.this, servers: [127.0.0.1]}]\n";
static const char policy[] =
    "networks: {lan: [10.0.0.0/8]}\npools: {p: [kms.x.example]}\n"
    "rules:\n  r: {suffixes: [x.example, \"*.y.example\"], networks: [lan], pool: p}\n";

static struct {
    struct world *world;
    struct daemon d;
    char path[100], settings[40];
    int ready;
} f;

static void daemon_end(void)
{
    scratch_remove(f.world->dir);
}

static void daemon_make(void)
{
    struct daemon *d = &f.d;
    struct settings *g;
    int fd = memfd_create("settings", 0);

    must(fd >= 0 && write(fd, settings_text, sizeof settings_text - 1) > 0);
    sprintf(f.settings, "/proc/self/fd/%d", fd);
    f.world = world_new(NULL, policy);
    world_cache(f.world, "x.corp.example A", "NOERROR\nx.corp.example. A 192.0.2.1\n");
    d->settings_path = f.settings;
    must(daemon_read_settings(f.settings, NULL, &d->written, NULL) == 0);
    must(settings_copy(&g, d->written) == 0);
    atomic_store(&g->users, 2);
    g->generation = 1;
    d->newest = g;
    d->cache = f.world->cache;
    d->policy = f.world->store;
    d->own = d->workers[0] = worker_new(d->cache, d->policy, NULL, NULL, g, NULL, 0, NULL, 1);
    must(d->own != NULL);
    snprintf(f.path, sizeof f.path, "%s/control.sock", f.world->dir);
    f.ready = control_open(&d->control, f.path, daemon_routes, d, NULL);
    must(f.ready >= 0 && atexit(daemon_end) == 0);
}

static void turn(int fd, struct writer *got)
{
    ssize_t n;

    for (int idle = 0; idle < 2; idle++) {
        control_run(f.d.control);
        event_base_loop(f.d.own->base, EVLOOP_NONBLOCK);
        while (fd >= 0 &&
               (n = recv(fd, got->start + got->len, got->size - got->len, MSG_DONTWAIT)) > 0) {
            got->len += (size_t)n;
            idle = 0;
        }
    }
}

/* The first answer; libmicrohttpd itself refuses what is not HTTP, in HTML. */
static void check(const char *text, size_t len)
{
    const char *head_end = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "Content-Length:");
    size_t body_len;
    json_t *body;
    int status;

    must(sscanf(text, "HTTP/1.%*d %d ", &status) == 1 && status >= 100 && status < 600);
    must(head_end != NULL);
    if (status < 200 || length == NULL || length > head_end ||
        strcasestr(text, "application/json") == NULL ||
        strcasestr(text, "application/json") > head_end)
        return;
    body_len = strtoul(length + strlen("Content-Length:"), NULL, 10);
    if (body_len == 0 || (size_t)(head_end + 4 - text) + body_len > len ||
        strncmp(head_end + 4, "HTTP/1.", 7) == 0)
        return; /* HEAD, and the next answer perhaps; or longer than what was kept of it */
    body = json_loadb(head_end + 4, body_len, JSON_REJECT_DUPLICATES, NULL);
    must(json_is_object(body));
    must(status < 400 || json_string_length(json_object_get(body, "error")) > 0);
    json_decref(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char text[1 << 18];
    struct writer got = writer_make(text, sizeof text - 1);
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t done = 0;
    int fd;

    if (f.world == NULL)
        daemon_make();
    strcpy(to.sun_path, f.path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    must(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    while (done < size) {
        ssize_t n = send(fd, data + done, size - done, MSG_NOSIGNAL);

        if (n < 0 && errno != EAGAIN)
            break;
        done += n > 0 ? (size_t)n : 0;
        turn(fd, &got);
    }
    turn(fd, &got);
    text[got.len] = '\0';
    if (got.len > 0)
        check(text, got.len);
    close(fd);
    turn(-1, &got);
    return 0;
}
