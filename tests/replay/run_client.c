/* SPDX-License-Identifier: BSD-2-Clause
 *
 * run_client.c -- the clients of a scenario: ask, answer, event.
 *
 *   ask NAME TYPE [from=IP[:PORT]] [id=N] [edns] [do] [cd] [ad] [rd0] [tcp] [tsig]
 *   answer RCODE [tc] [aa] [ad] [ede=N] [to=IP] | answer whole
 *       an www.example. 60 A 192.0.2.1
 *   event OUTCOME REASON VERDICT [rule=NAME] [cached]; noevent (run.c): none that was not named
 */
#include "tests/replay/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/present.h"

static void put_head(struct writer *w, uint16_t type, uint16_t class, uint32_t ttl)
{
    writer_u8(w, 0);
    writer_u16(w, type);
    writer_u16(w, class);
    writer_u32(w, ttl);
    writer_u16(w, 0);
}

static size_t question_write(const struct command *c, uint16_t id, const struct name *name,
                             uint16_t type, uint8_t *out, size_t size)
{
    struct writer w = writer_make(out, size);
    bool with_do = command_has(c, "do"), edns = with_do || command_has(c, "edns"),
         tsig = command_has(c, "tsig");

    writer_u16(&w, id);
    writer_u16(&w, (uint16_t)((command_has(c, "rd0") ? 0 : DNS_RD) |
                              (command_has(c, "cd") ? DNS_CD : 0) |
                              (command_has(c, "ad") ? DNS_AD : 0)));
    writer_u16(&w, 1);
    writer_u32(&w, 0);
    writer_u16(&w, (uint16_t)(edns + tsig));
    writer_bytes(&w, name->at, name->len);
    writer_u16(&w, type);
    writer_u16(&w, CLASS_IN);
    if (edns)
        put_head(&w, TYPE_OPT, DNS_UDP_EDNS, with_do ? 0x8000 : 0);
    if (tsig)
        put_head(&w, TYPE_TSIG, CLASS_ANY, 0);
    return w.len;
}

bool run_ask(struct run *r, const struct command *c)
{
    const char *from = command_get(c, "from"), *id = command_get(c, "id");
    struct ask *a = &r->asks[r->n_asks];
    struct name name;
    uint16_t type;

    if (c->n < 3 || name_parse(&name, c->word[1]) != 0 || type_parse(&type, c->word[2]) != 0)
        return run_fail(r, "ask needs a name and a type");
    if (r->n_asks == RUN_ASKS)
        return run_fail(r, "a scenario has at most %d questions", RUN_ASKS);
    a->client = (struct client){.transport = command_has(c, "tcp") ? AUDIT_TCP : AUDIT_UDP};
    if (addr_parse(&a->client.addr, from != NULL ? from : "10.0.0.1", 4000) != 0)
        return run_fail(r, "from= needs an address");
    a->id = (uint16_t)(id != NULL ? atoi(id) : 100 + r->n_asks);
    a->len = question_write(c, a->id, &name, type, a->wire, sizeof a->wire);
    r->n_asks++;
    world_ask(r->world, &a->client, a->wire, a->len);
    return true;
}

/* The question that an answer belongs to: same client, same ID. */
static const struct ask *find_ask(const struct run *r, const struct answered *a)
{
    struct cursor c = cursor_make(a->wire, a->len);
    uint16_t id = cursor_u16(&c);

    for (int i = r->n_asks; i-- > 0;)
        if (r->asks[i].id == id && r->asks[i].client.transport == a->client.transport &&
            addr_same(&r->asks[i].client.addr, &a->client.addr))
            return &r->asks[i];
    return NULL;
}

static bool check_answer_flags(struct run *r, const struct command *c, uint16_t got)
{
    static const struct {
        const char *word;
        uint16_t bit;
    } flags[] = {{"tc", DNS_TC}, {"aa", DNS_AA}, {"ad", DNS_AD}};

    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        if (((got & flags[i].bit) != 0) != command_has(c, flags[i].word))
            return run_fail(r, "%s is %d", flags[i].word, (got & flags[i].bit) != 0);
    return true;
}

/* Header, question and records as the scenario says. */
static bool check_answer(struct run *r, const struct command *c, const struct ask *asked,
                         const struct answered *a)
{
    char rcode[TYPE_TEXT], want[REPLAY_TEXT], got[REPLAY_TEXT];
    const char *ede = command_get(c, "ede"), *why = "";
    uint8_t expected[REPLAY_TEXT];
    struct message m;
    size_t len;

    if (message_read_reply(&m, a->wire, a->len) != 0 ||
        !text_of_records(a->wire, a->len, got, sizeof got))
        return run_fail(r, "the answer is not a message");
    if (asked->len < (size_t)DNS_HEADER + m.question_len ||
        memcmp(a->wire + DNS_HEADER, asked->wire + DNS_HEADER, m.question_len) != 0)
        return run_fail(r, "the answer does not carry the question as it was asked");
    rcode_print(m.rcode, rcode);
    if (c->n < 2 || strcmp(rcode, c->word[1]) != 0)
        return run_fail(r, "the answer is %s, with\n%s", rcode, got);
    if (!check_answer_flags(r, c, m.flags))
        return false;
    if (text_ede(a->wire, a->len) != (ede != NULL ? atoi(ede) : -1))
        return run_fail(r, "the extended error is %d", text_ede(a->wire, a->len));
    memcpy(expected, a->wire, (size_t)DNS_HEADER + m.question_len);
    memset(expected + 6, 0, 6);
    len = text_add_records(expected, (size_t)DNS_HEADER + m.question_len, sizeof expected, c->block,
                           &why);
    if (len == 0 || !text_of_records(expected, len, want, sizeof want))
        return run_fail(r, "%s", why);
    return strcmp(want, got) == 0 || run_fail(r, "the answer has\n%sinstead of\n%s", got, want);
}

static bool check_whole(struct run *r, const struct ask *asked, const struct answered *a)
{
    return (a->len == r->given_len && memcmp(a->wire + 2, r->given + 2, a->len - 2) == 0 &&
            memcmp(a->wire, asked->wire, 2) == 0) ||
           run_fail(r, "the answer is not what the server gave, octet by octet but for the ID");
}

bool run_answer(struct run *r, const struct command *c)
{
    struct answered *a = io_memory_answered(&r->world->io);
    const char *to = command_get(c, "to");
    const struct ask *asked;
    struct addr client;
    char text[ADDR_TEXT];
    bool good;

    if (a == NULL)
        return run_fail(r, "no client was answered");
    asked = find_ask(r, a);
    if (asked == NULL)
        good = run_fail(r, "the answer belongs to no question (to %s)",
                        addr_print_port(&a->client.addr, text));
    else if (to != NULL &&
             (addr_parse(&client, to, 0) != 0 || !addr_same_ip(&client, &a->client.addr)))
        good = run_fail(r, "the answer goes to %s", addr_print(&a->client.addr, text));
    else if (command_has(c, "whole"))
        good = check_whole(r, asked, a);
    else
        good = check_answer(r, c, asked, a);
    free(a);
    return good;
}

bool run_event(struct run *r, const struct command *c)
{
    struct world *w = r->world;
    const struct audit_event *e = &w->events[w->events_taken];
    const char *rule = command_get(c, "rule");

    if (w->events_taken == w->n_events)
        return run_fail(r, "no event was recorded");
    w->events_taken++;
    if (c->n < 4 || strcmp(c->word[1], outcome_names[e->outcome]) != 0 ||
        strcmp(c->word[2], reason_names[e->reason]) != 0 ||
        strcmp(c->word[3], verdict_names[e->verdict]) != 0 ||
        strcmp(rule != NULL ? rule : "", e->rule) != 0 || command_has(c, "cached") != e->cached)
        return run_fail(r, "the event is %s %s %s%s%s%s", outcome_names[e->outcome],
                        reason_names[e->reason], verdict_names[e->verdict],
                        e->rule[0] != '\0' ? " rule=" : "", e->rule, e->cached ? " cached" : "");
    return true;
}
