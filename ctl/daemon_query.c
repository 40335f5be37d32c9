/* SPDX-License-Identifier: BSD-2-Clause
 *
 * daemon_query.c -- `query`: a real question to the daemon's first listen
 * address, and the reply as people know it from dig.
 */
#include "ctl/daemon.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/dns.h"
#include "ctl/table.h"
#include "wire/present.h"
#include "wire/rr.h"

enum { LABEL = 10, RECORD_TEXT = 4 * DNS_MAX_MESSAGE, EDE_TEXT = 256 };

/* Where the daemon hears: its first address, or loopback when that is "any". */
static struct addr first_listener(const struct settings *s)
{
    struct addr a;

    if (s->server.n_listen > 0)
        a = s->server.listen[0];
    else
        addr_parse(&a, "127.0.0.1", 53);
    if (addr_is_any(&a))
        addr_parse(&a, addr_is_v4(&a) ? "127.0.0.1" : "::1", a.port);
    return a;
}

static json_t *flags_json(uint16_t flags)
{
    static const struct {
        uint16_t bit;
        const char *name;
    } names[] = {
        {DNS_AA, "aa"}, {DNS_TC, "tc"}, {DNS_RD, "rd"},
        {DNS_RA, "ra"}, {DNS_AD, "ad"}, {DNS_CD, "cd"},
    };
    json_t *list = json_array();

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (flags & names[i].bit)
            json_array_append_new(list, json_string(names[i].name));
    return list;
}

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

    rr_walk_init(&walk, &r->message, r->wire, r->len);
    while (rr_walk_next(&walk, &rr))
        if (rr.section == section && rr.type != TYPE_OPT &&
            rr_print(r->wire, r->len, &rr, text, RECORD_TEXT))
            json_array_append_new(list, json_string(text));
    free(text);
    return list;
}

static json_t *reply_json(const struct dns_reply *r, const struct addr *server)
{
    char name[NAME_TEXT], type[TYPE_TEXT], rcode[TYPE_TEXT], address[ADDR_TEXT];

    return json_pack(
        "{s:{s:s,s:s}, s:s, s:o, s:o, s:o, s:o, s:o, s:s, s:s, s:I, s:I}", "question", "name",
        name_print(&r->message.qname, name), "type", type_print(r->message.qtype, type), "status",
        rcode_print(r->message.rcode, rcode), "flags", flags_json(r->message.flags), "answer",
        records(r, SECTION_ANSWER), "authority", records(r, SECTION_AUTHORITY), "additional",
        records(r, SECTION_ADDITIONAL), "extended_error", extended_error(r), "server",
        addr_print_port(server, address), "transport", r->tcp ? "tcp" : "udp", "ms",
        (json_int_t)r->ms, "bytes", (json_int_t)r->len);
}

static void print_section(const char *label, const json_t *list)
{
    const json_t *record;
    size_t i;

    json_array_foreach(list, i, record)
        ctl_line("%-*s%s", LABEL, i ? "" : label, json_string_value(record));
}

static void print(const json_t *reply)
{
    const json_t *error = json_object_get(reply, "extended_error"),
                 *question = json_object_get(reply, "question");
    char *flags = field_joined(json_object_get(reply, "flags"), NULL, " ");

    ctl_line("%-*s%s %s", LABEL, "question", field_text(question, "name", "-"),
             field_text(question, "type", "-"));
    ctl_line("%-*s%s, flags %s", LABEL, "status", field_text(reply, "status", "-"), flags);
    if (json_is_object(error))
        ctl_line("%-*sextended error %lld %s", LABEL, "", field_number(error, "code"),
                 field_text(error, "text", ""));
    print_section("answer", json_object_get(reply, "answer"));
    print_section("authority", json_object_get(reply, "authority"));
    print_section("more", json_object_get(reply, "additional"));
    ctl_line("%-*s%s, %s, %lld ms, %lld octets", LABEL, "server", field_text(reply, "server", "-"),
             field_text(reply, "transport", "-"), field_number(reply, "ms"),
             field_number(reply, "bytes"));
    free(flags);
}

static int fail_ask(const struct addr *server, int err)
{
    char text[ADDR_TEXT];

    addr_print_port(server, text);
    if (err == -ETIMEDOUT)
        return ctl_fail(EXIT_NO_DAEMON,
                        "no reply from %s in %d s: see waymarkctl status, and waymarkctl upstreams",
                        text, DNS_TIMEOUT_MS / 1000);
    if (err == -EBADMSG)
        return ctl_fail(EXIT_FAILED, "the reply of %s is not one to this question", text);
    return ctl_fail(EXIT_NO_DAEMON,
                    "waymarkd does not answer at %s: %s; start it with systemctl start waymark",
                    text, strerror(-err));
}

int daemon_query(struct ctl *c)
{
    struct addr server = first_listener(c->settings);
    struct dns_reply *reply;
    struct name name;
    uint16_t type;
    json_t *document;
    int err;

    if (c->format == FORMAT_CSV)
        return ctl_fail(EXIT_USAGE, "query has no CSV form; use --json");
    if (name_parse(&name, c->argv[0]) < 0)
        return ctl_fail(EXIT_USAGE, "%s is not a domain name", c->argv[0]);
    type = name_is_vlmcs(&name) ? TYPE_SRV : TYPE_A;
    if (c->argc > 1 && type_parse(&type, c->argv[1]) < 0)
        return ctl_fail(EXIT_USAGE, "%s is not a record type", c->argv[1]);
    reply = ctl_alloc(NULL, sizeof *reply);
    err = dns_ask(&server, &name, type, ctl_option(c, "--tcp") != NULL, reply);
    if (err == 0) {
        document = reply_json(reply, &server);
        if (c->format == FORMAT_JSON)
            table_print_json(document);
        else
            print(document);
        json_decref(document);
    }
    free(reply);
    return err ? fail_ask(&server, err) : EXIT_DONE;
}
