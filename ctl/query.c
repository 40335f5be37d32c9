/* SPDX-License-Identifier: BSD-2-Clause
 *
 * query.c -- `query`: one question to the daemon's first listen address, and the reply as people
 * know it from dig.
 *
 * This is a stub resolver: one server, five seconds, UDP, and TCP when the reply is truncated.
 * It does not ask twice, for each question is an event of the audit. The socket is connected, so
 * the kernel drops packets from other addresses; a packet that does not match the question is ignored.
 */
#include "ctl/ctl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/random.h"
#include "ctl/table.h"
#include "wire/message.h"
#include "wire/present.h"
#include "wire/reply.h"

enum { TIMEOUT_MS = 5000, QUERY_SIZE = 512, RECORD_TEXT = 4 * DNS_MAX_MESSAGE, EDE_TEXT = 256 };

struct dns_reply {
    uint8_t wire[DNS_MAX_MESSAGE];
    size_t len;
    struct message message;
    bool tcp;    /* it came over TCP: as asked, or since UDP was too small */
    uint64_t ms; /* all in all */
};

struct asking {
    const struct addr *server;
    const struct name *name;
    uint16_t type, id;
    uint64_t deadline;             /* mono_ms */
    uint8_t query[2 + QUERY_SIZE]; /* behind the length that TCP wants */
    size_t query_len;
};

/* What is left of the time, for the next call on the socket. False: nothing is. */
static bool set_timeout(const struct asking *a, int fd)
{
    uint64_t now = clock_now().mono_ms, left = now < a->deadline ? a->deadline - now : 0;
    struct timeval t = {(time_t)(left / 1000), (suseconds_t)(left % 1000 * 1000)};

    return left > 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t) == 0 &&
           setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t) == 0;
}

/* Octets received: a datagram, or the message behind its length. 0: the end; -1 and errno. */
static ssize_t receive(int fd, bool tcp, uint8_t *wire)
{
    uint8_t length[2];
    struct cursor c;
    ssize_t n;

    if (!tcp)
        return recv(fd, wire, DNS_MAX_MESSAGE, 0);
    n = recv(fd, length, sizeof length, MSG_WAITALL);
    if (n != sizeof length)
        return n < 0 ? n : 0;
    c = cursor_make(length, sizeof length);
    return recv(fd, wire, cursor_u16(&c), MSG_WAITALL);
}

static int ask_over(struct asking *a, bool tcp, struct dns_reply *out)
{
    struct writer w = writer_make(a->query, 2);
    struct sockaddr_storage to;
    socklen_t len = addr_to_sockaddr(a->server, &to);
    int fd = socket(to.ss_family, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0), err = 0;
    struct message *m = &out->message;
    ssize_t n = 0;

    if (fd < 0)
        return -errno;
    out->tcp = tcp;
    writer_u16(&w, (uint16_t)a->query_len);
    errno = EAGAIN;
    if (!set_timeout(a, fd) || connect(fd, (const struct sockaddr *)&to, len) < 0 ||
        send(fd, a->query + (tcp ? 0 : 2), a->query_len + (tcp ? 2 : 0), MSG_NOSIGNAL) < 0)
        n = -1;
    while (n >= 0) {
        errno = EAGAIN;
        n = set_timeout(a, fd) ? receive(fd, tcp, out->wire) : -1;
        out->len = n > 0 ? (size_t)n : 0;
        if (n > 0 && message_read_reply(m, out->wire, out->len) == 0 && m->id == a->id &&
            m->qtype == a->type && m->qclass == CLASS_IN && name_equal_fold(&m->qname, a->name))
            break;
        if (tcp && n >= 0) {
            err = n == 0 ? -ECONNRESET : -EBADMSG;
            break;
        }
    }
    if (n < 0)
        err = errno == EAGAIN || errno == EINPROGRESS ? -ETIMEDOUT : -errno;
    close(fd);
    return err;
}

/* Asks once. 0; -ETIMEDOUT; -EBADMSG a TCP reply that breaks the protocol; -errno. */
static int ask(const struct addr *server, const struct name *name, uint16_t type, bool tcp,
               struct dns_reply *out)
{
    struct asking a = {.server = server, .name = name, .type = type};
    uint64_t begin = clock_now().mono_ms;
    struct query_build build = {.qname = name, .qtype = type, .qclass = CLASS_IN, .edns = true};
    struct random random;
    int err;

    random_init(&random);
    a.id = build.id = random_u16(&random);
    a.deadline = begin + TIMEOUT_MS;
    a.query_len = query_build(&build, a.query + 2, QUERY_SIZE);
    if (a.query_len == 0)
        return -EMSGSIZE;
    err = ask_over(&a, tcp, out);
    if (err == 0 && !tcp && (out->message.flags & DNS_TC))
        err = ask_over(&a, true, out);
    out->ms = clock_now().mono_ms - begin;
    return err;
}

/* --- the reply in words */

/* The extended error of the OPT record (RFC 8914), or null. */
static json_t *extended_error(const struct dns_reply *r)
{
    struct cursor c = cursor_make(r->wire, r->len), option;
    uint16_t code, len;
    const uint8_t *at, *text;
    char *clean, copy[EDE_TEXT];
    json_t *result;

    if (r->message.opt_at == 0 || !cursor_take(&c, (size_t)r->message.opt_at + 9))
        return json_null();
    len = cursor_u16(&c);
    at = cursor_take(&c, len);
    if (at == NULL)
        return json_null();
    for (c = cursor_make(at, len); cursor_left(&c) > 0;) {
        code = cursor_u16(&c);
        len = cursor_u16(&c);
        at = cursor_take(&c, len);
        if (at == NULL || code != OPTION_EDE || len < 2)
            continue;
        option = cursor_make(at, len);
        code = cursor_u16(&option);
        len = (uint16_t)(len - 2 < EDE_TEXT ? len - 2 : EDE_TEXT - 1);
        text = cursor_take(&option, len);
        memcpy(copy, text, len);
        copy[len] = '\0';
        clean = ctl_clean(copy);
        result = json_pack("{s:i, s:s}", "code", code, "text", clean);
        free(clean);
        return result;
    }
    return json_null();
}

/* The records of a section as texts; OPT is no record for people. */
static json_t *records(const struct dns_reply *r, enum section section)
{
    json_t *list = json_array();
    char *text = ctl_alloc(NULL, RECORD_TEXT);
    struct rr_walk walk;
    struct rr rr;

    rr_walk_init(&walk, r->wire, r->len);
    while (rr_walk_next(&walk, &rr))
        if (rr.section == section && rr.type != TYPE_OPT &&
            rr_print(r->wire, r->len, &rr, text, RECORD_TEXT))
            json_array_append_new(list, json_string(text));
    free(text);
    return list;
}

static json_t *reply_json(const struct dns_reply *r, const struct addr *server)
{
    static const struct {
        uint16_t bit;
        const char *name;
    } bits[] = {
        {DNS_AA, "aa"}, {DNS_TC, "tc"}, {DNS_RD, "rd"},
        {DNS_RA, "ra"}, {DNS_AD, "ad"}, {DNS_CD, "cd"},
    };
    char name[NAME_TEXT], type[TYPE_TEXT], rcode[TYPE_TEXT], address[ADDR_TEXT];
    json_t *flags = json_array();

    for (size_t i = 0; i < ARRAY_LEN(bits); i++)
        if (r->message.flags & bits[i].bit)
            json_array_append_new(flags, json_string(bits[i].name));
    return json_pack(
        "{s:{s:s,s:s}, s:s, s:o, s:o, s:o, s:o, s:o, s:s, s:s, s:I, s:I}", "question", "name",
        name_print(&r->message.qname, name), "type", type_print(r->message.qtype, type), "status",
        rcode_print(r->message.rcode, rcode), "flags", flags, "answer", records(r, SECTION_ANSWER),
        "authority", records(r, SECTION_AUTHORITY), "additional", records(r, SECTION_ADDITIONAL),
        "extended_error", extended_error(r), "server", addr_print_port(server, address),
        "transport", r->tcp ? "tcp" : "udp", "ms", (json_int_t)r->ms, "bytes", (json_int_t)r->len);
}

static void print_section(const char *label, const json_t *list)
{
    const json_t *record;
    size_t i;

    json_array_foreach(list, i, record)
        ctl_line("%-*s%s", CTL_LABEL, i ? "" : label, json_string_value(record));
}

int query_run(struct ctl *c)
{
    struct addr server;
    struct dns_reply *reply;
    struct name name;
    uint16_t type;
    char address[ADDR_TEXT];
    json_t *document;
    int err;

    if (c->format == FORMAT_CSV)
        return ctl_fail(EXIT_USAGE, "query has no CSV form; use --json");
    if (name_parse(&name, c->argv[0]) < 0)
        return ctl_fail(EXIT_USAGE, "%s is not a domain name", c->argv[0]);
    type = name_is_vlmcs(&name) ? TYPE_SRV : TYPE_A;
    if (c->argc > 1 && type_parse(&type, c->argv[1]) < 0)
        return ctl_fail(EXIT_USAGE, "%s is not a record type", c->argv[1]);
    /* Where the daemon listens: its first address, or loopback when that is "any". */
    if (c->settings->server.n_listen > 0)
        server = c->settings->server.listen[0];
    else
        addr_parse(&server, "127.0.0.1", 53);
    if (addr_is_any(&server))
        addr_parse(&server, addr_is_v4(&server) ? "127.0.0.1" : "::1", server.port);
    reply = ctl_alloc(NULL, sizeof *reply);
    err = ask(&server, &name, type, ctl_option(c, "--tcp") != NULL, reply);
    document = err == 0 ? reply_json(reply, &server) : NULL;
    free(reply);
    if (document && c->format == FORMAT_JSON) {
        table_print_json(document);
    } else if (document) {
        ctl_show("question", document, "{question.name} {question.type}");
        ctl_show("status", document, "{status}, flags {flags:list}");
        if (json_is_object(json_object_get(document, "extended_error")))
            ctl_show("", document, "extended error {extended_error.code} {extended_error.text}");
        print_section("answer", json_object_get(document, "answer"));
        print_section("authority", json_object_get(document, "authority"));
        print_section("more", json_object_get(document, "additional"));
        ctl_show("server", document, "{server}, {transport}, {ms} ms, {bytes} octets");
    }
    json_decref(document);
    addr_print_port(&server, address);
    if (err == -ETIMEDOUT)
        return ctl_fail(EXIT_NO_DAEMON,
                        "no reply from %s in %d s: see waymarkctl status, and waymarkctl upstreams",
                        address, TIMEOUT_MS / 1000);
    if (err == -EBADMSG)
        return ctl_fail(EXIT_FAILED, "the reply of %s is not one to this question", address);
    if (err)
        return ctl_fail(EXIT_NO_DAEMON,
                        "waymarkd does not answer at %s: %s; start it with systemctl start waymark",
                        address, strerror(-err));
    return EXIT_DONE;
}
