/* SPDX-License-Identifier: BSD-2-Clause
 *
 * query.c -- `query`: one question to the daemon's first listen address, and the reply.
 *
 * A stub resolver: UDP, and TCP when the reply is truncated. It does not ask twice, for each
 * question is an event of the audit. The socket is connected, so the kernel drops packets from
 * other addresses; a packet that does not match the question is ignored.
 */
#include "ctl/ctl.h"

#include <errno.h>
#include <unistd.h>

#include "audit/store.h"
#include "resolver/explain.h"
#include "wire/reply.h"

enum { TIMEOUT_S = 5, QUERY_SIZE = 512, OPT_HEAD = 11 /* octets before its options */ };

/* Sends the query and waits for the reply: as dns_look(). */
static int ask_over(const struct addr *server, bool tcp, const struct query_build *query,
                    int timeout_s, struct dns_reply *out)
{
    uint64_t deadline = clock_now().mono_ms + 1000 * (uint64_t)timeout_s;
    uint8_t packet[2 + QUERY_SIZE], length[2] = {0xff, 0xff}; /* for TCP: its length first */
    size_t len = query_build(query, packet + 2, QUERY_SIZE);
    struct writer w = writer_make(packet, 2);
    struct message *m = &out->message;
    struct sockaddr_storage to;
    int fd = ctl_connect((struct sockaddr *)&to, addr_to_sockaddr(server, &to),
                         tcp ? SOCK_STREAM : SOCK_DGRAM, timeout_s);
    ssize_t n;
    int err;

    if (fd < 0)
        return fd;
    writer_u16(&w, (uint16_t)len);
    n = send(fd, tcp ? packet : packet + 2, tcp ? len + 2 : len, MSG_NOSIGNAL);
    do {
        if (tcp && n > 0)
            n = recv(fd, length, sizeof length, MSG_WAITALL);
        if (n > 0 || (n == 0 && !tcp))
            n = recv(fd, out->wire, bytes_u16(length), MSG_WAITALL);
        out->len = n > 0 ? (size_t)n : 0;
        if (n < 0)
            err = errno == EAGAIN ? -ETIMEDOUT : -errno;
        else if (tcp && n == 0)
            err = -ECONNRESET;
        else if (message_read_reply(m, out->wire, out->len) == 0 && m->id == query->id &&
                 m->qtype == query->qtype && m->qclass == query->qclass &&
                 name_equal_fold(&m->qname, query->qname))
            err = 0;
        else
            err = -EBADMSG;
    } while (err == -EBADMSG && !tcp && clock_now().mono_ms < deadline);
    close(fd);
    out->tcp = tcp;
    return err;
}

int dns_look(const struct addr *server, bool tcp, const struct name *name, uint16_t type,
             int timeout_s, struct dns_reply *out)
{
    struct query_build query = {.qname = name, .qtype = type, .qclass = CLASS_IN, .edns = true};
    struct random random = {.left = 0};
    uint64_t begun = clock_now().mono_ms;
    int err;

    query.id = random_u16(&random);
    err = ask_over(server, tcp, &query, timeout_s, out);
    if (err == 0 && !out->tcp && (out->message.flags & DNS_TC))
        err = ask_over(server, true, &query, timeout_s, out);
    out->ms = clock_now().mono_ms - begun;
    return err;
}

#define RECORDS(section) explain_records(r->wire, r->len, section, section)

/* The records are texts by section; of OPT people see the extended error (RFC 8914). */
static json_t *reply_json(const struct dns_reply *r, const char *server)
{
    static const char *const bits[] = {"aa", "tc", "rd", "ra", "z", "ad", "cd"}; /* from AA down */
    const struct message *m = &r->message;
    const size_t options = m->opt_len > OPT_HEAD ? m->opt_len - OPT_HEAD : 0;
    struct cursor c = cursor_make(r->wire + m->opt_at + OPT_HEAD, options);
    char name[NAME_TEXT], type[TYPE_TEXT], rcode[TYPE_TEXT], *raw;
    json_t *flags = json_array(), *error = NULL;

    for (size_t i = 0; i < ARRAY_LEN(bits); i++)
        if (m->flags & DNS_AA >> i)
            json_array_append_new(flags, json_string(bits[i]));
    while (error == NULL && cursor_left(&c) > 0) {
        uint16_t option = cursor_u16(&c), len = cursor_u16(&c);
        const uint8_t *data = cursor_take(&c, len);

        if (data == NULL || option != OPTION_EDE || len < 2)
            continue;
        raw = ctl_text("%.*s", len - 2, (const char *)data + 2);
        error = json_pack("{s:i, s:o}", "code", bytes_u16(data), "text", audit_json_text(raw));
        free(raw);
    }
    return json_pack("{s:{s:s,s:s}, s:s, s:o, s:o, s:o, s:o, s:o?, s:s, s:s, s:I, s:I}", "question",
                     "name", name_print(&m->qname, name), "type", type_print(m->qtype, type),
                     "status", rcode_print(m->rcode, rcode), "flags", flags, "answer",
                     RECORDS(SECTION_ANSWER), "authority", RECORDS(SECTION_AUTHORITY), "additional",
                     RECORDS(SECTION_ADDITIONAL), "extended_error", error, "server", server,
                     "transport", r->tcp ? "tcp" : "udp", "ms", (json_int_t)r->ms, "bytes",
                     (json_int_t)r->len);
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

void query_self(const struct ctl *c, struct addr *out)
{
    *out = c->settings->server.listen[0];
    if (addr_is(out, ADDR_ANY)) /* from here it is loopback */
        addr_parse(out, addr_is_v4(out) ? "127.0.0.1" : "::1", out->port);
}

int query_run(struct ctl *c)
{
    struct addr server;
    static struct dns_reply reply;
    char address[ADDR_TEXT];
    struct name name;
    uint16_t type;
    int err;

    if (ctl_no_csv(c))
        return EXIT_USAGE;
    if (name_parse(&name, c->argv[0]) < 0)
        return ctl_misused("%s is not a domain name", c->argv[0]);
    type = name_is_vlmcs(&name) ? TYPE_SRV : TYPE_A;
    if (c->argv[1] && type_parse(&type, c->argv[1]) < 0)
        return ctl_misused("%s is not a record type", c->argv[1]);
    query_self(c, &server);
    addr_print_port(&server, address);
    err = dns_look(&server, ctl_option(c, "--tcp") != NULL, &name, type, TIMEOUT_S, &reply);
    if (err == -ETIMEDOUT)
        return ctl_fail(EXIT_NO_DAEMON,
                        "no reply from %s in %d s: see waymarkctl status, and waymarkctl upstreams",
                        address, TIMEOUT_S);
    if (err == -EBADMSG)
        return ctl_fail(EXIT_FAILED, "the reply of %s is not one to this question", address);
    if (err)
        return ctl_unanswered(address, -err);
    return ctl_show_reply(c, EXIT_DONE, reply_json(&reply, address), rows);
}
