/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_event.c -- what is packed is unpacked again, field by field; the code that
 * Windows shows; and the ring: order, its end, a full one, two threads.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/audit/sample.h"
#include "tests/unit/rows.h"

/* Every field has a value of its own. */
static struct audit_event full(void)
{
    struct audit_event e =
        sample_filled("10.20.4.7:49155", "_VLMCS._tcp.Fabrikam.local", 0xbeef, 1700000000123);

    e.mono_ms = 77;
    e.transport = AUDIT_TCP;
    e.flags = DNS_RD | DNS_CD;
    e.edns_do = e.repeat = e.counted = e.cached = true;
    e.verdict = VERDICT_UNAPPROVED;
    e.server = sample_addr("[2001:db8::53]:5353");
    e.real_rcode = RCODE_SERVFAIL;
    e.real_ms = 51;
    e.n_real = 2;
    e.real[0] = (struct audit_host){sample_name("old.contoso.com"), 1688};
    e.real[1] = (struct audit_host){sample_name("."), 0};
    strcpy(e.would_rule, "kiosks-anything");
    e.would = OUTCOME_REPLACED;
    e.policy_serial = UINT64_MAX;
    e.n_unapproved = 1;
    e.unapproved[0] = e.real[0];
    e.n_networks = 2;
    strcpy(e.networks[0], "kiosks");
    strcpy(e.networks[1], "any");
    e.latency_us = UINT32_MAX;
    e.lost = 5;
    e.lost_from_ms = 1700000000000;
    strcpy(e.text, "serial 42, by admin");
    return e;
}

static struct audit_event largest(void)
{
    struct audit_event e = full();
    char name[256] = "";

    for (int i = 0; i < 4; i++) /* as many octets as a name may have */
        snprintf(name + strlen(name), 80, "%.*s%s", i < 3 ? 63 : 61,
                 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                 i < 3 ? "." : "");
    e.qname = sample_name(name);
    e.n_real = e.n_answer = e.n_unapproved = AUDIT_HOSTS;
    e.n_networks = AUDIT_EVENT_NETWORKS;
    for (int i = 0; i < AUDIT_HOSTS; i++) {
        e.real[i] = e.answer[i] = e.unapproved[i] = (struct audit_host){e.qname, 1688};
        memset(e.networks[i], 'n', AUDIT_TEXT - 1);
    }
    memset(e.rule, 'r', AUDIT_TEXT - 1);
    memset(e.text, 't', sizeof e.text - 1);
    return e;
}

/* Every member that is used; of the shared numbers, those up to the texts. */
static void assert_same(const struct audit_event *a, const struct audit_event *b)
{
    const struct audit_host *lists[][2] = {
        {a->real, b->real}, {a->answer, b->answer}, {a->unapproved, b->unapproved}};
    const uint8_t n[] = {a->n_real, a->n_answer, a->n_unapproved};

    assert_memory_equal(a, b, offsetof(struct audit_event, qname));
    assert_true(name_equal(&a->qname, &b->qname)); /* with its case */
    assert_memory_equal(&a->server, &b->server,
                        offsetof(struct audit_event, rule) - offsetof(struct audit_event, server));
    assert_string_equal(a->rule, b->rule);
    assert_string_equal(a->would_rule, b->would_rule);
    assert_string_equal(a->text, b->text);
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < n[k]; i++) {
            assert_true(name_equal(&lists[k][0][i].target, &lists[k][1][i].target));
            assert_int_equal(lists[k][0][i].port, lists[k][1][i].port);
        }
    for (int i = 0; i < a->n_networks; i++)
        assert_string_equal(a->networks[i], b->networks[i]);
}

static void check_packed(const struct audit_event *e, size_t least, size_t most)
{
    uint8_t buf[AUDIT_EVENT_MAX], small[AUDIT_EVENT_MAX];
    size_t len = audit_event_pack(e, buf, sizeof buf);
    struct audit_event got;

    assert_in_range(len, least, most);
    memset(&got, 0xff, sizeof got);
    audit_event_unpack(&got, buf, len);
    assert_same(e, &got);
    for (size_t size = 0; size < len; size++)
        assert_int_equal(audit_event_pack(e, small, size), 0);
    assert_int_equal(audit_event_pack(e, small, len), len);
}

static void packed(void **state)
{
    struct audit_event e = full();

    check_packed(&e, 100, 400);
    e = largest();
    assert_int_equal(e.qname.len, NAME_MAX_WIRE);
    check_packed(&e, 6000, AUDIT_EVENT_MAX);
}

static void suffix(void **state)
{
    struct audit_event e = full();
    struct name got, want = sample_name("fabrikam.local");

    audit_event_suffix(&e, &got);
    assert_true(name_equal(&got, &want)); /* folded */
    e.qname = sample_name("_vlmcs._tcp");
    audit_event_suffix(&e, &got);
    assert_int_equal(got.len, 1);
    e.qname = want = sample_name("contoso.com");
    audit_event_suffix(&e, &got);
    assert_true(name_equal(&got, &want));
}

static const struct code_row {
    const char *what;
    uint16_t qtype, rcode;
    uint8_t n_answer, kind;
    uint32_t want;
} codes[] = {
    {"a host was given", TYPE_SRV, RCODE_NOERROR, 1, AUDIT_EVENT, 0},
    {"NXDOMAIN", TYPE_SRV, RCODE_NXDOMAIN, 0, AUDIT_EVENT, 0x8007232B},
    {"NODATA", TYPE_SRV, RCODE_NOERROR, 0, AUDIT_EVENT, 0x8007251D},
    {"NODATA for ANY", TYPE_ANY, RCODE_NOERROR, 0, AUDIT_EVENT, 0x8007251D},
    {"another type's answer", TYPE_SOA, RCODE_NOERROR, 0, AUDIT_EVENT, 0},
    {"SERVFAIL", TYPE_SRV, RCODE_SERVFAIL, 0, AUDIT_EVENT, 0x8007232A},
    {"FORMERR", TYPE_SRV, RCODE_FORMERR, 0, AUDIT_EVENT, 0x80072329},
    {"NOTIMP", TYPE_SRV, RCODE_NOTIMP, 0, AUDIT_EVENT, 0x8007232C},
    {"REFUSED", TYPE_SRV, RCODE_REFUSED, 0, AUDIT_EVENT, 0x8007232D},
    {"NOTZONE, of an update", TYPE_SOA, 10, 0, AUDIT_EVENT, 0x80072332},
    {"BADTIME, of a secure update", TYPE_SOA, 18, 0, AUDIT_EVENT, 0x8007233A},
    {"no answer at all", TYPE_SRV, RCODE_TIMEOUT, 0, AUDIT_EVENT, 0x800705B4},
    {"an rcode without one", TYPE_SRV, 23, 0, AUDIT_EVENT, 0x80072520},
    {"a gap record", TYPE_SRV, RCODE_NXDOMAIN, 0, AUDIT_GAP, 0},
};

static void check_code(void **state)
{
    const struct code_row *r = *state;
    struct audit_event e = {
        .kind = r->kind, .qtype = r->qtype, .rcode = r->rcode, .n_answer = r->n_answer};

    assert_int_equal(audit_client_error(&e), r->want);
}

/* --- the ring ------------------------------------------------------------------------ */

static bool push(struct audit_ring *r, uint64_t n)
{
    struct audit_event e =
        sample_missing("10.0.0.1", "_vlmcs._tcp.corp.example", (uint16_t)n, 1000 + n);

    e.lost = n;
    memset(e.text, 'x', n * 7 % 100); /* records of many lengths */
    return audit_ring_push(r, &e);
}

/* The number of the oldest, UINT64_MAX: there is none. */
static uint64_t pop(struct audit_ring *r)
{
    struct audit_event e;
    size_t len, again;
    const struct audit_event *p = audit_ring_peek(r, &len);

    if (p == NULL)
        return UINT64_MAX;
    assert_ptr_equal(p, audit_ring_peek(r, &again)); /* a look takes nothing */
    assert_int_equal(len, again);
    assert_int_equal(p->mono_ms, 1000 + p->lost);
    audit_event_unpack(&e, (const void *)p, len);
    audit_ring_release(r);
    return e.lost;
}

static void in_order_over_the_end(void **state)
{
    struct audit_ring *r = audit_ring_new(4096);
    uint64_t in = 0, out = 0;

    assert_int_equal(pop(r), UINT64_MAX);
    for (int turn = 0; turn < 500; turn++) {
        for (int i = 0; i < 7; i++)
            assert_true(push(r, in++));
        while (out < in)
            assert_int_equal(pop(r), out++);
        assert_int_equal(pop(r), UINT64_MAX);
    }
    free(r);
    assert_null(audit_ring_new(0));
    assert_null(audit_ring_new(1000)); /* no power of two */
}

static void full_ring_drops_the_newest(void **state)
{
    struct audit_ring *r = audit_ring_new(4096);
    uint64_t n = 0;

    while (push(r, n))
        n++;
    assert_true(n > 8);
    for (int i = 0; i < 4; i++)
        push(r, n + 50);
    assert_int_equal(audit_ring_dropped(r), 5);
    for (uint64_t i = 0; i < n; i++)
        assert_int_equal(pop(r), i);
    assert_true(push(r, 7)); /* and it goes on */
    assert_int_equal(pop(r), 7);
    free(r);
}

enum { MANY = 100000 };

static void *produce(void *arg)
{
    for (uint64_t n = 0; n < MANY; n++)
        push(arg, n);
    return NULL;
}

/* What arrives is whole and in order, and with what was dropped it is all. */
static void two_threads(void **state)
{
    struct audit_ring *r = audit_ring_new(16384);
    uint64_t got = 0, last = 0, n;
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, produce, r), 0);
    while (got + audit_ring_dropped(r) < MANY) {
        if ((n = pop(r)) == UINT64_MAX) {
            sched_yield();
            continue;
        }
        assert_true(got == 0 || n > last);
        last = n;
        got++;
    }
    pthread_join(thread, NULL);
    assert_int_equal(got + audit_ring_dropped(r), MANY);
    free(r);
}

int main(void)
{
    TEST(packed);
    TEST(suffix);
    ROWS(codes, check_code);
    TEST(in_order_over_the_end);
    TEST(full_ring_drops_the_newest);
    TEST(two_threads);
    return RUN("event");
}
