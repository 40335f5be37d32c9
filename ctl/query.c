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
#include <unistd.h>

#include "base/addr.h"
#include "base/number.h"
#include "base/random.h"
#include "wire/message.h"
#include "wire/present.h"
#include "wire/reply.h"

enum { TIMEOUT_S = 5, QUERY_SIZE = 512, RECORD_TEXT = 4 * DNS_MAX_MESSAGE };

struct dns_reply {
    uint8_t wire[DNS_MAX_MESSAGE];
    size_t len;
    struct message message;
    bool tcp;    /* it came over TCP: as asked, or since UDP was too small */
    uint64_t ms; /* all in all */
};

/* Sends the query, which stands behind two octets for its length, and waits for the reply. 0;
 * -ETIMEDOUT; -EBADMSG a TCP reply that breaks the protocol; -errno. */
static int ask_over(const struct addr *server, bool tcp, uint8_t *query, size_t len,
                    struct dns_reply *out)
{
    uint64_t deadline = clock_now().mono_ms + 1000 * TIMEOUT_S;
    struct writer w = writer_make(query, 2);
    struct message asked, *m = &out->message;
    struct sockaddr_storage to;
    socklen_t to_len = addr_to_sockaddr(server, &to);
    int fd = ctl_connect((const struct sockaddr *)&to, to_len, tcp ? SOCK_STREAM : SOCK_DGRAM,
                         TIMEOUT_S);
    uint8_t length[2];
    ssize_t n;
    int err;

    if (fd < 0)
        return fd;
    writer_u16(&w, (uint16_t)len);
    message_read_query(&asked, query + 2, len);
    out->tcp = tcp;
    n = send(fd, tcp ? query : query + 2, tcp ? len + 2 : len, MSG_NOSIGNAL);
    for (err = n < 0 ? -errno : -EAGAIN; err == -EAGAIN;) {
        if (tcp)
            n = recv(fd, length, sizeof length, MSG_WAITALL);
        if (tcp && n == sizeof length)
            n = recv(fd, out->wire, bytes_u16(length), MSG_WAITALL);
        else if (!tcp)
            n = recv(fd, out->wire, sizeof out->wire, 0);
        out->len = n > 0 ? (size_t)n : 0;
        if (n < 0)
            err = errno == EAGAIN ? -ETIMEDOUT : -errno;
        else if (message_read_reply(m, out->wire, out->len) == 0 && m->id == asked.id &&
                 m->qtype == asked.qtype && m->qclass == asked.qclass &&
                 name_equal_fold(&m->qname, &asked.qname))
            err = 0;
        else if (tcp)
            err = n > 0 ? -EBADMSG : -ECONNRESET;
        else if (clock_now().mono_ms >= deadline)
            err = -ETIMEDOUT;
    }
    close(fd);
    return err;
}

/* --- the reply in words */

/* The extended error of an OPT record (RFC 8914), or null. */
static json_t *extended_error(const struct dns_reply *r, const struct rr *opt)
{
    struct cursor c = cursor_make(r->wire, r->len);
    const void *data, *text;

    (void)cursor_take(&c, opt->rdata_pos);
    for (data = cursor_take(&c, opt->rdlength), c = cursor_make(data, opt->rdlength); !c.bad;) {
        uint16_t option = cursor_u16(&c), len = cursor_u16(&c), code;
        char *clean, *raw;
        json_t *result;

        data = cursor_take(&c, len);
        if (data == NULL || option != OPTION_EDE || len < sizeof code)
            continue;
        c = cursor_make(data, len);
        code = cursor_u16(&c);
        len = (uint16_t)cursor_left(&c);
        text = cursor_take(&c, len);
        raw = ctl_text("%.*s", (int)len, (const char *)text);
        clean = ctl_clean(raw);
        result = json_pack("{s:i, s:s}", "code", code, "text", clean);
        free(clean);
        free(raw);
        return result;
    }
    return json_null();
}

/* The records are texts by section; OPT is no record for people. */
static json_t *reply_json(const struct dns_reply *r, const struct addr *server)
{
    static const char *const bits[] = {"aa", "tc", "rd", "ra", "z", "ad", "cd"}; /* from AA down */
    char name[NAME_TEXT], type[TYPE_TEXT], rcode[TYPE_TEXT], address[ADDR_TEXT];
    json_t *flags = json_array(), *sections[3], *ede = NULL;
    char *text = ctl_alloc(NULL, RECORD_TEXT);
    struct rr_walk walk;
    struct rr rr;

    for (size_t i = 0; i < ARRAY_LEN(sections); i++)
        sections[i] = json_array();
    for (size_t i = 0; i < ARRAY_LEN(bits); i++)
        if (r->message.flags & DNS_AA >> i)
            json_array_append_new(flags, json_string(bits[i]));
    rr_walk_init(&walk, r->wire, r->len);
    while (rr_walk_next(&walk, &rr))
        if (rr.type == TYPE_OPT)
            ede = extended_error(r, &rr);
        else if (rr_print(r->wire, r->len, &rr, text, RECORD_TEXT))
            json_array_append_new(sections[rr.section], json_string(text));
    free(text);
    /* clang-format off */
    return json_pack("{s:{s:s,s:s}, s:s, s:o, s:o, s:o, s:o, s:o?, s:s, s:s, s:I, s:I}",
                     "question", "name", name_print(&r->message.qname, name),
                                 "type", type_print(r->message.qtype, type),
                     "status", rcode_print(r->message.rcode, rcode),
                     "flags", flags,
                     "answer", sections[SECTION_ANSWER],
                     "authority", sections[SECTION_AUTHORITY],
                     "additional", sections[SECTION_ADDITIONAL],
                     "extended_error", ede,
                     "server", addr_print_port(server, address),
                     "transport", r->tcp ? "tcp" : "udp",
                     "ms", (json_int_t)r->ms,
                     "bytes", (json_int_t)r->len);
    /* clang-format on */
}

static const struct ctl_row rows[] = {
    {"question", "question", "{name} {type}"},
    {"status", NULL, "{status}, flags {flags}"},
    {"", "extended_error", "extended error {code}[ {text}]"},
    {"answer", "answer", "{.}"},
    {"authority", "authority", "{.}"},
    {"more", "additional", "{.}"},
    {"server", NULL, "{server}, {transport}, {ms} ms, {bytes} octets"},
    {0},
};

int query_run(struct ctl *c)
{
    struct query_build build = {.qclass = CLASS_IN, .edns = true};
    uint8_t query[2 + QUERY_SIZE];
    char address[ADDR_TEXT];
    struct dns_reply *reply;
    struct addr server = c->settings->server.listen[0];
    struct name name;
    struct random random;
    uint64_t begin = c->now.mono_ms;
    json_t *document;
    size_t len;
    int err;

    if (c->format == FORMAT_CSV)
        return ctl_fail(EXIT_USAGE, "query has no CSV form; use --json");
    if (name_parse(&name, c->argv[0]) < 0)
        return ctl_fail(EXIT_USAGE, "%s is not a domain name", c->argv[0]);
    build.qname = &name;
    build.qtype = name_is_vlmcs(&name) ? TYPE_SRV : TYPE_A;
    if (c->argv[1] && type_parse(&build.qtype, c->argv[1]) < 0)
        return ctl_fail(EXIT_USAGE, "%s is not a record type", c->argv[1]);
    random_init(&random);
    build.id = random_u16(&random);
    len = query_build(&build, query + 2, QUERY_SIZE);
    if (addr_is(&server, ADDR_ANY)) /* from here it is loopback */
        addr_parse(&server, addr_is_v4(&server) ? "127.0.0.1" : "::1", server.port);
    addr_print_port(&server, address);
    reply = ctl_alloc(NULL, sizeof *reply);
    err = ask_over(&server, ctl_option(c, "--tcp") != NULL, query, len, reply);
    if (err == 0 && !reply->tcp && (reply->message.flags & DNS_TC))
        err = ask_over(&server, true, query, len, reply);
    reply->ms = clock_now().mono_ms - begin;
    document = err == 0 ? reply_json(reply, &server) : NULL;
    free(reply);
    if (document && c->format == FORMAT_JSON)
        table_print_json(document);
    else if (document)
        ctl_show(document, rows);
    json_decref(document);
    if (err == -ETIMEDOUT)
        return ctl_fail(EXIT_NO_DAEMON,
                        "no reply from %s in %d s: see waymarkctl status, and waymarkctl upstreams",
                        address, TIMEOUT_S);
    if (err == -EBADMSG)
        return ctl_fail(EXIT_FAILED, "the reply of %s is not one to this question", address);
    if (err)
        return ctl_fail(EXIT_NO_DAEMON,
                        "waymarkd does not answer at %s: %s; start it with systemctl start waymark",
                        address, strerror(-err));
    return EXIT_DONE;
}
