/* SPDX-License-Identifier: BSD-2-Clause
 *
 * run_server.c -- the servers of a scenario: upstream, give, fail.
 *
 *   upstream SERVER NAME TYPE [tcp] [do] [cd] [noedns] [cased | nocase] | upstream SERVER whole
 *       the next question that was sent (probes, `. NS`, are passed over unless named)
 *   tries SERVER N
 *       all that this server was asked and no line has seen: 1 to N questions
 *   give RCODE [tc] [ad] [aa] [noedns] [try=N] [WRONG...] | give whole | give silence
 *       an www.example. 60 A 192.0.2.1
 *       the reply on that question's socket, or on that of the Nth; WRONG: id case name type
 *       query noquestion header garbage cut; closed: nobody may listen any more
 *   fail refused | unreachable | reset [try=N]
 */
#include "tests/replay/run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/present.h"

static bool is_probe(const struct sent *s)
{
    struct message m;

    return message_read_query(&m, s->wire, s->len) == MESSAGE_OK && m.qname.labels == 0 &&
           m.qtype == TYPE_NS;
}

struct sent *run_next_sent(struct run *r, bool probes_too)
{
    struct sent *s = io_memory_sent(&r->world->io);

    while (s != NULL && !probes_too && is_probe(s)) {
        s->taken = true;
        s = io_memory_sent(&r->world->io);
    }
    return s;
}

static bool has_upper(const uint8_t *wire, size_t len)
{
    for (size_t i = DNS_HEADER; i < len; i++)
        if (wire[i] >= 'A' && wire[i] <= 'Z')
            return true;
    return false;
}

static bool check_flags(struct run *r, const struct command *c, const struct sent *s,
                        const struct message *m)
{
    const struct {
        const char *word;
        bool is;
    } flags[] = {
        {"tcp", s->kind == IO_TCP},
        {"do", m->edns.do_bit},
        {"cd", (m->flags & DNS_CD) != 0},
        {"noedns", !m->edns.present},
    };

    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        if (command_has(c, flags[i].word) != flags[i].is)
            return run_fail(r, "%s is %d", flags[i].word, flags[i].is);
    if (command_has(c,
                    has_upper(s->wire, (size_t)DNS_HEADER + m->question_len) ? "nocase" : "cased"))
        return run_fail(r, "the name was not sent with the case that it should have");
    return (m->flags & DNS_RD) != 0 || run_fail(r, "RD is not set");
}

static bool check_question(struct run *r, const struct command *c, const struct sent *s)
{
    const struct ask *asked = &r->asks[r->n_asks - 1];
    char got[NAME_TEXT], type_text[TYPE_TEXT];
    struct message m;
    struct name name;
    uint16_t type;

    if (command_has(c, "whole"))
        return (s->len == asked->len && memcmp(s->wire + 2, asked->wire + 2, s->len - 2) == 0) ||
               run_fail(r, "the packet is not the client's, octet by octet but for the ID");
    if (c->n < 4 || name_parse(&name, c->word[2]) != 0 || type_parse(&type, c->word[3]) != 0)
        return run_fail(r, "upstream needs a server, a name and a type");
    if (message_read_query(&m, s->wire, s->len) != MESSAGE_OK)
        return run_fail(r, "what was sent is not a question");
    if (!name_equal_fold(&name, &m.qname) || type != m.qtype)
        return run_fail(r, "asked was %s %s", name_print(&m.qname, got),
                        type_print(m.qtype, type_text));
    return check_flags(r, c, s, &m);
}

bool run_upstream(struct run *r, const struct command *c)
{
    struct sent *s = run_next_sent(r, c->n > 2 && strcmp(c->word[2], ".") == 0);
    char text[ADDR_TEXT];
    struct addr server;

    if (c->n < 2 || addr_parse(&server, c->word[1], 53) != 0)
        return run_fail(r, "upstream needs a server");
    if (s == NULL)
        return run_fail(r, "no server was asked");
    s->taken = true;
    if (r->n_tries < RUN_TRIES)
        r->tries[r->n_tries++] = s;
    if (!addr_same(&server, &s->server))
        return run_fail(r, "asked was the server %s", addr_print(&s->server, text));
    return check_question(r, c, s);
}

bool run_tries(struct run *r, const struct command *c)
{
    struct addr server;
    int n = 0;

    if (c->n != 3 || addr_parse(&server, c->word[1], 53) != 0)
        return run_fail(r, "tries needs a server, and a number");
    for (struct sent *s = r->world->io.sent; s != NULL; s = s->next) {
        if (s->taken || !addr_same(&server, &s->server))
            continue;
        s->taken = true;
        n += !is_probe(s);
    }
    return (n >= 1 && n <= atoi(c->word[2])) || run_fail(r, "the server was asked %d times", n);
}

static struct sent *choose_try(struct run *r, const struct command *c)
{
    const char *number = command_get(c, "try");
    int n = number != NULL ? atoi(number) : r->n_tries;

    if (n >= 1 && n <= r->n_tries)
        return r->tries[n - 1];
    run_fail(r, "no server was asked yet that could say this");
    return NULL;
}

/* Attributes that a forger gets wrong. */
static void spoil(const struct command *c, uint8_t *wire, size_t question_len)
{
    if (command_has(c, "id"))
        wire[0] ^= 0x40;
    if (command_has(c, "query"))
        wire[2] &= 0x7f;
    if (command_has(c, "name"))
        wire[DNS_HEADER + 1] ^= 1;
    if (command_has(c, "case"))
        for (size_t i = DNS_HEADER; i < DNS_HEADER + question_len - 4; i++)
            if ((wire[i] | 0x20) >= 'a' && (wire[i] | 0x20) <= 'z')
                wire[i] ^= 0x20;
    if (command_has(c, "type"))
        wire[DNS_HEADER + question_len - 3] ^= 1;
    if (command_has(c, "noquestion"))
        wire[5] = 0;
}

/* The reply's length; 0 with a problem. */
static size_t reply_write(struct run *r, const struct command *c, const struct sent *s,
                          uint8_t *out, size_t size)
{
    struct writer w = writer_make(out, size);
    struct message m;
    const char *why;
    uint16_t rcode;
    size_t len;

    if (c->n < 2 || rcode_parse(&rcode, c->word[1]) != 0 ||
        message_read_query(&m, s->wire, s->len) != MESSAGE_OK) {
        run_fail(r, "give needs an rcode");
        return 0;
    }
    writer_u16(&w, m.id);
    writer_u16(
        &w,
        (uint16_t)(DNS_QR | DNS_RD | DNS_RA | (rcode & 15) | (command_has(c, "tc") ? DNS_TC : 0) |
                   (command_has(c, "ad") ? DNS_AD : 0) | (command_has(c, "aa") ? DNS_AA : 0)));
    writer_u16(&w, 1);
    writer_u16(&w, 0);
    writer_u32(&w, 0);
    writer_bytes(&w, s->wire + DNS_HEADER, m.question_len);
    if ((len = text_add_records(out, w.len, size, c->block, &why)) == 0) {
        run_fail(r, "%s", why);
        return 0;
    }
    w.len = len;
    if (m.edns.present && !command_has(c, "noedns")) {
        writer_u8(&w, 0);
        writer_u16(&w, TYPE_OPT);
        writer_u16(&w, DNS_UDP_EDNS);
        writer_u32(&w, (uint32_t)(rcode >> 4) << 24 | (m.edns.do_bit ? 0x8000 : 0));
        writer_u16(&w, 0);
        writer_patch_u16(&w, 10, (uint16_t)((out[10] << 8 | out[11]) + 1));
    }
    spoil(c, out, m.question_len);
    return w.len;
}

/* What the server gives back to a packet that went whole: no message that
 * anybody could read. */
static size_t whole_write(struct run *r, const struct sent *s)
{
    memcpy(r->given, s->wire, s->len);
    r->given[2] |= 0x80;
    memcpy(r->given + s->len, "signed", 6);
    r->given_len = s->len + 6;
    return r->given_len;
}

bool run_give(struct run *r, const struct command *c)
{
    static uint8_t wire[65535];
    struct sent *s = choose_try(r, c);
    size_t len;

    if (s == NULL)
        return false;
    if (command_has(c, "whole")) {
        len = whole_write(r, s);
        memcpy(wire, r->given, len);
    } else if ((len = reply_write(r, c, s, wire, sizeof wire)) == 0) {
        return false;
    }
    if (command_has(c, "header")) {
        memset(wire + 4, 0, 8);
        len = DNS_HEADER;
    }
    if (command_has(c, "garbage"))
        wire[len - 1] ^= 0xff, len += 3;
    if (command_has(c, "cut"))
        len -= 5;
    if (io_memory_give(s, wire, len) == command_has(c, "closed"))
        return run_fail(r, s->peer != NULL ? "somebody still listens" : "nobody listens any more");
    return true;
}

bool run_fail_socket(struct run *r, const struct command *c)
{
    struct sent *s = choose_try(r, c);
    int error = command_has(c, "refused") ? ECONNREFUSED
                : command_has(c, "reset") ? ECONNRESET
                                          : EHOSTUNREACH;

    if (s == NULL)
        return false;
    return io_memory_fail(s, error) || run_fail(r, "nobody listens any more");
}
