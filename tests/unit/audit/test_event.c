/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_event.c -- what is packed is unpacked again, field by field; the code that
 * Windows shows; and the ring: order, its end, a full one, two threads.
 */
#include <pthread.h>
#include <sched.h>

#include "tests/unit/audit/bench.h"

/* As many octets as a name may have. */
#define A61 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LONGEST A61 "aa." A61 "aa." A61 "aa." A61

/* Every field that is used has a value of its own; n: of how many hosts and networks. */
static struct audit_event full(const char *qname, uint8_t n)
{
    struct audit_event e = sample_missing("10.20.4.7:49155", qname);

    strcpy(e.rule, "merged-domains");
    e.outcome = OUTCOME_FILLED;
    e.wall_ms = 1700000000123;
    e.mono_ms = 77;
    e.transport = AUDIT_TCP;
    e.id = 0xbeef;
    e.flags = DNS_RD | DNS_CD;
    e.edns_do = e.repeat = e.counted = e.cached = true;
    e.verdict = VERDICT_UNAPPROVED;
    assert_int_equal(addr_parse(&e.server, "[2001:db8::53]:5353", 0), 0);
    e.real_rcode = RCODE_SERVFAIL;
    e.real_ms = 51;
    strcpy(e.would_rule, "kiosks-anything");
    e.would = OUTCOME_REPLACED;
    e.policy_serial = UINT64_MAX;
    e.latency_us = UINT32_MAX;
    e.lost = 5;
    e.lost_from_ms = 1700000000000;
    memset(e.text, 't', sizeof e.text - 1);
    e.n_real = e.n_networks = n;
    e.n_answer = e.n_unapproved = n / 2;
    for (int i = 0; i < n; i++) {
        e.real[i].target = e.qname;
        e.real[i].port = (uint16_t)i;
        memset(e.networks[i], 'n', AUDIT_TEXT - 1);
    }
    memcpy(e.answer, e.real, e.n_answer * sizeof *e.real);
    memcpy(e.unapproved, e.real, e.n_unapproved * sizeof *e.real);
    return e;
}

static const struct packed_row {
    const char *what, *qname;
    uint8_t n;
    size_t least, most; /* octets */
} packed[] = {
    {"a small one", "_VLMCS._tcp.Fabrikam.local", 0, 250, 320},
    {"some hosts", "_vlmcs._tcp.a", 2, 400, 600},
    {"the largest", LONGEST, AUDIT_HOSTS, 4900, AUDIT_EVENT_MAX},
};

static void check_packed(void **state)
{
    const struct packed_row *r = *state;
    const struct audit_event e = full(r->qname, r->n);
    uint8_t buf[AUDIT_EVENT_MAX], small[AUDIT_EVENT_MAX];
    size_t len = audit_event_pack(&e, buf, sizeof buf);
    struct audit_event got = {.kind = 0};

    assert_in_range(len, r->least, r->most);
    got.rule[strlen(e.rule)] = 'x'; /* a text is ended */
    audit_event_unpack(&got, buf, len);
    assert_memory_equal(&got, &e, sizeof e);
    for (size_t size = 0; size < len; size++)
        assert_int_equal(audit_event_pack(&e, small, size), 0);
    assert_int_equal(audit_event_pack(&e, small, len), len);
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
    {"REFUSED", TYPE_SRV, RCODE_REFUSED, 0, AUDIT_EVENT, 0x8007232D},
    {"NOTZONE, of an update", TYPE_SOA, 10, 0, AUDIT_EVENT, 0x80072332},
    {"BADSIG, of a secure update", TYPE_SOA, 16, 0, AUDIT_EVENT, 0x80072338},
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
    struct audit_event e = {.mono_ms = 1000 + n, .lost = n};

    memset(e.text, 'x', n * 7 % 100); /* records of many lengths */
    return audit_ring_push(r, &e);
}

/* The number of the oldest, UINT64_MAX: there is none. */
static uint64_t pop(struct audit_ring *r)
{
    struct audit_event e;
    const struct audit_record *p = audit_ring_peek(r);

    if (p == NULL)
        return UINT64_MAX;
    assert_ptr_equal(p, audit_ring_peek(r)); /* a look takes nothing */
    audit_event_unpack(&e, (const void *)&p->event, p->len);
    assert_int_equal(e.mono_ms, 1000 + e.lost);
    assert_int_equal(strlen(e.text), e.lost * 7 % 100);
    audit_ring_release(r);
    return e.lost;
}

static void in_order_over_the_end(void **state)
{
    struct audit_ring *r = audit_ring_new(4096);
    uint64_t in = 0, out = 0;

    for (int turn = 0; turn < 500; turn++) {
        assert_int_equal(pop(r), UINT64_MAX);
        for (int i = 0; i < 7; i++)
            assert_true(push(r, in++));
        while (out < in)
            assert_int_equal(pop(r), out++);
    }
    free(r);
}

static void full_ring_drops_the_newest(void **state)
{
    struct audit_ring *r = audit_ring_new(4096);
    uint64_t in = 0, out = 0;

    for (uint64_t turn = 1; turn < 50; turn++) { /* wherever it is when it is full */
        while (push(r, in))
            in++;
        assert_int_equal(audit_ring_dropped(r), turn);
        assert_true(in - out > 8);
        while (out < in)
            assert_int_equal(pop(r), out++);
    }
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

TESTS("event", ROWS(packed, check_packed), ROWS(codes, check_code), TEST(in_order_over_the_end),
      TEST(full_ring_drops_the_newest), TEST(two_threads))
