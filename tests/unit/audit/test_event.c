/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_event.c -- what is packed is unpacked again, field by field; the code
 * that Windows shows.
 */
#include "base/compiler.h"
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

static void assert_hosts(const struct audit_host *a, const struct audit_host *b, uint8_t n)
{
    for (int i = 0; i < n; i++) {
        assert_true(name_equal(&a[i].target, &b[i].target));
        assert_int_equal(a[i].port, b[i].port);
    }
}

static void assert_same(const struct audit_event *a, const struct audit_event *b)
{
    assert_memory_equal(a, b, offsetof(struct audit_event, qname));
    assert_true(name_equal(&a->qname, &b->qname)); /* with its case */
    assert_string_equal(a->rule, b->rule);
    assert_string_equal(a->would_rule, b->would_rule);
    assert_string_equal(a->text, b->text);
    assert_hosts(a->real, b->real, a->n_real);
    assert_hosts(a->answer, b->answer, a->n_answer);
    assert_hosts(a->unapproved, b->unapproved, a->n_unapproved);
    for (int i = 0; i < a->n_networks; i++)
        assert_string_equal(a->networks[i], b->networks[i]);
}

static void round_trip(void **state)
{
    struct audit_event e = full(), got;
    uint8_t buf[AUDIT_EVENT_MAX];
    size_t len = audit_event_pack(&e, buf, sizeof buf);

    assert_in_range(len, 100, 400);
    assert_int_equal(audit_event_mono(buf), 77);
    memset(&got, 0xff, sizeof got);
    audit_event_unpack(&got, buf, len);
    assert_same(&e, &got);
}

static void largest(void **state)
{
    struct audit_event e = full(), got;
    static uint8_t buf[AUDIT_EVENT_MAX];
    size_t len;

    e.qname = sample_name("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
                          "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb."
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
    len = audit_event_pack(&e, buf, sizeof buf);
    assert_true(len > 0);
    audit_event_unpack(&got, buf, len);
    assert_same(&e, &got);
}

static void does_not_fit(void **state)
{
    struct audit_event e = full();
    uint8_t buf[AUDIT_EVENT_MAX];
    size_t len = audit_event_pack(&e, buf, sizeof buf);

    for (size_t size = 0; size < len; size++)
        assert_int_equal(audit_event_pack(&e, buf, size), 0);
    assert_int_equal(audit_event_pack(&e, buf, len), len);
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

static void names(void **state)
{
    assert_string_equal(audit_kind_names[AUDIT_PRUNE], "prune");
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
    TEST(round_trip);
    TEST(largest);
    TEST(does_not_fit);
    TEST(suffix);
    TEST(names);
    ROWS(codes, check_code);
    return RUN("event");
}
