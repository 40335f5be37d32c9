/* SPDX-License-Identifier: BSD-2-Clause
 *
 * kms.h -- rows of what the policy makes of a question, and the check of one.
 *
 * A row with a reply is asked at once with the reply that came, and again with what
 * the caches then hold: the decision must be the same. Who includes this says first
 * what is asked where a row does not say it: QUESTION.
 */
#ifndef TESTS_UNIT_RESOLVER_KMS_H
#define TESTS_UNIT_RESOLVER_KMS_H

#include "tests/unit/resolver/world.h"

#include "base/compiler.h"
#include "tests/unit/rows.h"

#define SOA(ttl) "ns example. " #ttl " IN SOA ns.example. root.example. 1 2 3 4 900\n"
#define ELSEWHERE                                                                                  \
    "forward: [{zone: y.example, servers: [10.0.0.53]}]\naccess: [{net: 10.0.0.0/8, action: "      \
    "allow}]\n"

struct row {
    const char *name, *policy;
    const char *reply; /* NULL: it must be answered without asking */
    const char *want;
    const char *event; /* NULL: none, as of the address of a host */
    const char *ask;   /* NULL: QUESTION */
    const char *settings;
};

/* event NULL: whatever. */
static void expect(struct world *w, enum answer a, const char *want, const char *event)
{
    char text[4000];
    const char *got = world_answer(w, a);

    assert_string_equal(got, want);
    got = world_event(w, text, sizeof text);
    if (event != NULL)
        assert_string_equal(got, event);
}

/* What the event of the first answer says beside its text. */
static void check_event(const struct world *w, const struct row *r)
{
    const struct audit_event *e = &w->q->event;
    bool no_policy =
        r->policy == NULL || strstr(r->event, " off ") != NULL || strstr(r->event, "rd0") != NULL;

    assert_memory_equal(&e->client, &w->q->client.addr, sizeof(struct addr));
    assert_memory_equal(e->qname.data, w->q->question, e->qname.len); /* as asked */
    assert_int_equal(e->qname.len, w->q->message.qname.len);
    assert_int_equal(e->policy_serial, !no_policy);
    if (r->reply != NULL && r->reply[0] != 't' && r->reply[0] != 'f')
        assert_int_equal(e->real_ms, 51);
}

static void check_row(void **state)
{
    const struct row *r = *state;
    const char *question = r->ask != NULL ? r->ask : QUESTION;
    struct world *w = world_new(r->settings, r->policy);
    enum answer a = world_ask(w, question);
    bool failed = r->event == NULL && r->reply != NULL && strncmp(r->want, "SERVFAIL", 8) == 0;
    char event[1000];

    if (r->reply != NULL) {
        assert_int_equal(a, ANSWER_FORWARD);
        if (r->event != NULL)
            assert_int_equal(w->q->key.type, TYPE_SRV);           /* also for ANY */
        assert_int_equal(world_ask(w, question), ANSWER_FORWARD); /* not known: nothing is kept */
        a = world_give(w, r->reply);
    }
    expect(w, a, r->want, r->event != NULL ? r->event : "none");
    if (r->event != NULL)
        check_event(w, r);
    /* The same again, three times: from the cached reply, then from the kept
     * decision. A failure that was cached is told in other words where the policy has no part. */
    for (int i = 0; i < 3; i++) {
        view_policy_end(&w->view);
        a = world_ask(w, question);
        snprintf(event, sizeof event, "%s%s", r->event != NULL ? r->event : "none",
                 r->event != NULL && (r->reply != NULL || w->q->event.cached) ? " cached" : "");
        expect(w, a, failed ? "SERVFAIL edns ede=13" : r->want, event);
    }
    if (r->event == NULL)
        assert_int_equal(w->stats.kms_hosts == 0, strstr(r->want, "10.") == NULL &&
                                                      strstr(r->want, "fd00") == NULL &&
                                                      strstr(r->want, "nobody") == NULL);
    world_free(w);
}

/* Damages the record: of that name; for a host, the index entry of a pool that gives it; of a
 * network, 10.0.0.0/8. */
static void damage(struct world *w, enum policy_table table, const char *name)
{
    struct name host;
    struct key_parts parts = {.owner = name,
                              .domain = &host,
                              .ip = (const uint8_t[16]){[10] = 0xff, [11] = 0xff, [12] = 10},
                              .number = 104};
    struct store_key key;

    assert_int_equal(name_parse(&host, "kms.corp.example"), 0);
    if (table == TABLE_PREFIX)
        parts.domain = NULL;
    if (table == TABLE_HOST || table == TABLE_PREFIX)
        key_make(&key, table, &parts);
    else
        key_named(&key, table, name);
    world_damage(w, &key);
}

#endif
