/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_event.c -- what is encoded is decoded again, field by field; hostile
 * bytes are refused; the code that Windows shows.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "base/compiler.h"
#include "tests/unit/audit/sample.h"

/* Every field has a value of its own. */
static struct audit_event full(void)
{
    struct audit_event e =
        sample_filled("10.20.4.7:49155", "_VLMCS._tcp.Fabrikam.local", 0xbeef, 1700000000123);

    e.mono_ms = 77;
    e.sequence = 0x0102030405060708;
    e.transport = AUDIT_TCP;
    e.flags = DNS_RD | DNS_CD;
    e.edns_do = e.repeat = e.cached = true;
    e.verdict = AUDIT_V_UNAPPROVED;
    e.server = sample_addr("[2001:db8::53]:5353");
    e.real_rcode = RCODE_SERVFAIL;
    e.real_ms = 51;
    e.n_real = 2;
    e.real[0] = (struct audit_host){sample_name("old.contoso.com"), 1688};
    e.real[1] = (struct audit_host){sample_name("."), 0};
    strcpy(e.would_rule, "kiosks-anything");
    e.would = AUDIT_REPLACED;
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

static void assert_hosts(const struct audit_host *a, const struct audit_host *b, uint8_t n)
{
    for (int i = 0; i < n; i++) {
        assert_true(name_equal(&a[i].target, &b[i].target));
        assert_int_equal(a[i].port, b[i].port);
    }
}

static void assert_same(const struct audit_event *a, const struct audit_event *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->wall_ms, b->wall_ms);
    assert_int_equal(a->mono_ms, b->mono_ms);
    assert_int_equal(a->sequence, b->sequence);
    assert_true(addr_same(&a->client, &b->client));
    assert_int_equal(a->transport, b->transport);
    assert_true(name_equal(&a->qname, &b->qname)); /* with its case */
    assert_int_equal(a->qtype, b->qtype);
    assert_int_equal(a->id, b->id);
    assert_int_equal(a->flags, b->flags);
    assert_int_equal(a->edns_do, b->edns_do);
    assert_int_equal(a->repeat, b->repeat);
    assert_int_equal(a->cached, b->cached);
    assert_int_equal(a->verdict, b->verdict);
    assert_true(addr_same(&a->server, &b->server));
    assert_int_equal(a->real_rcode, b->real_rcode);
    assert_int_equal(a->real_ms, b->real_ms);
    assert_int_equal(a->n_real, b->n_real);
    assert_hosts(a->real, b->real, a->n_real);
    assert_int_equal(a->outcome, b->outcome);
    assert_int_equal(a->reason, b->reason);
    assert_int_equal(a->rcode, b->rcode);
    assert_string_equal(a->rule, b->rule);
    assert_string_equal(a->would_rule, b->would_rule);
    assert_int_equal(a->would, b->would);
    assert_int_equal(a->policy_serial, b->policy_serial);
    assert_int_equal(a->n_answer, b->n_answer);
    assert_hosts(a->answer, b->answer, a->n_answer);
    assert_int_equal(a->n_unapproved, b->n_unapproved);
    assert_hosts(a->unapproved, b->unapproved, a->n_unapproved);
    assert_int_equal(a->n_networks, b->n_networks);
    for (int i = 0; i < a->n_networks; i++)
        assert_string_equal(a->networks[i], b->networks[i]);
    assert_int_equal(a->latency_us, b->latency_us);
    assert_int_equal(a->lost, b->lost);
    assert_int_equal(a->lost_from_ms, b->lost_from_ms);
    assert_string_equal(a->text, b->text);
}

static void round_trip(void **state)
{
    struct audit_event e = full(), zero = {0}, got;
    uint8_t buf[AUDIT_EVENT_MAX];
    size_t len = audit_event_encode(&e, buf, sizeof buf);

    (void)state;
    assert_true(len > 0);
    assert_int_equal(audit_event_decode(&got, buf, len), 0);
    assert_same(&e, &got);
    len = audit_event_encode(&zero, buf, sizeof buf);
    assert_int_equal(audit_event_decode(&got, buf, len), 0);
    assert_int_equal(got.qname.len, 1);
}

static void largest(void **state)
{
    struct audit_event e = full(), got;
    static uint8_t buf[AUDIT_EVENT_MAX];
    size_t len;

    (void)state;
    e.qname = sample_name("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
                          "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
                          "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb."
                          "ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc."
                          "ddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd");
    assert_int_equal(e.qname.len, NAME_MAX_WIRE);
    e.n_real = e.n_answer = e.n_unapproved = AUDIT_HOSTS;
    e.n_networks = AUDIT_EVENT_NETWORKS;
    for (int i = 0; i < AUDIT_HOSTS; i++) {
        e.real[i] = e.answer[i] = e.unapproved[i] = (struct audit_host){e.qname, 1688};
        memset(e.networks[i], 'n', AUDIT_TEXT - 1);
    }
    memset(e.rule, 'r', AUDIT_TEXT - 1);
    memset(e.text, 't', sizeof e.text - 1);
    len = audit_event_encode(&e, buf, sizeof buf);
    assert_true(len > 0 && len < AUDIT_EVENT_MAX / 2);
    assert_int_equal(audit_event_decode(&got, buf, len), 0);
    assert_same(&e, &got);
}

static void does_not_fit(void **state)
{
    struct audit_event e = full();
    uint8_t buf[AUDIT_EVENT_MAX];
    size_t len = audit_event_encode(&e, buf, sizeof buf);

    (void)state;
    for (size_t size = 0; size < len; size++)
        assert_int_equal(audit_event_encode(&e, buf, size), 0);
    assert_int_equal(audit_event_encode(&e, buf, len), len);
}

/* Any prefix, any longer one, and any changed octet: refused, or a valid event. */
static void hostile(void **state)
{
    struct audit_event e = full(), got;
    uint8_t good[AUDIT_EVENT_MAX], buf[AUDIT_EVENT_MAX];
    size_t len = audit_event_encode(&e, good, sizeof good);

    (void)state;
    for (size_t n = 0; n < len; n++) {
        uint8_t *tight = malloc(n + 1); /* so that a sanitizer sees a read behind the end */

        memcpy(tight, good, n);
        assert_int_equal(audit_event_decode(&got, tight, n), -EBADMSG);
        free(tight);
    }
    memcpy(buf, good, len);
    buf[len] = 0;
    assert_int_equal(audit_event_decode(&got, buf, len + 1), -EBADMSG);
    for (size_t at = 0; at < len; at++)
        for (int v = 0; v < 256; v++) {
            memcpy(buf, good, len);
            buf[at] = (uint8_t)v;
            if (audit_event_decode(&got, buf, len) != 0)
                continue;
            assert_true(got.kind < AUDIT_KINDS && got.outcome < AUDIT_OUTCOMES &&
                        got.would < AUDIT_OUTCOMES);
            assert_true(got.reason < AUDIT_REASONS && got.verdict < AUDIT_VERDICTS);
            assert_true(got.n_real <= AUDIT_HOSTS && got.n_networks <= AUDIT_EVENT_NETWORKS);
            assert_true(got.qname.len >= 1 && got.qname.at[got.qname.len - 1] == 0);
        }
}

static void stamp(void **state)
{
    struct audit_event e = full(), got;
    uint8_t buf[AUDIT_EVENT_MAX];
    struct addr net = sample_addr("10.20.4.0");
    size_t len;

    (void)state;
    e.repeat = false;
    len = audit_event_encode(&e, buf, sizeof buf);
    audit_event_stamp(buf, len, 99, true, net.ip);
    assert_int_equal(audit_event_decode(&got, buf, len), 0);
    e.sequence = 99;
    e.repeat = true;
    memcpy(e.client.ip, net.ip, sizeof net.ip);
    assert_same(&e, &got);
}

static void suffix(void **state)
{
    struct audit_event e = full();
    struct name got, want = sample_name("fabrikam.local");

    (void)state;
    audit_event_suffix(&e, &got);
    assert_true(name_equal(&got, &want)); /* folded */
    e.qname = sample_name("_vlmcs._tcp");
    audit_event_suffix(&e, &got);
    assert_int_equal(got.len, 1);
    e.qname = want = sample_name("contoso.com");
    audit_event_suffix(&e, &got);
    assert_true(name_equal(&got, &want));
}

static void names(void **state)
{
    (void)state;
    for (int i = 0; i < AUDIT_OUTCOMES; i++)
        assert_non_null(audit_outcome_names[i]);
    assert_string_equal(audit_outcome_names[AUDIT_UPDATE], "update");
    assert_string_equal(audit_reason_names[AUDIT_BY_UPDATE], "update");
    assert_string_equal(audit_verdict_names[AUDIT_V_OTHER], "other");
    assert_string_equal(audit_kind_names[AUDIT_FORGET], "forget");
    assert_null(audit_kind_names[AUDIT_KINDS]);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip), cmocka_unit_test(largest), cmocka_unit_test(does_not_fit),
        cmocka_unit_test(hostile),    cmocka_unit_test(stamp),   cmocka_unit_test(suffix),
        cmocka_unit_test(names),
    };
    struct CMUnitTest rows[ARRAY_LEN(codes)];
    int failed;

    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        rows[i] = (struct CMUnitTest){codes[i].what, check_code, NULL, NULL,
                                      (void *)(uintptr_t)&codes[i]};
    failed = cmocka_run_group_tests_name("event", tests, NULL, NULL);
    return failed + cmocka_run_group_tests_name("client error", rows, NULL, NULL);
}
