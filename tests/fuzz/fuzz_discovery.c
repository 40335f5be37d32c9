/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fuzz_discovery.c -- a discovery question, a policy, any reply of a server: the answer that is made.
 *
 * CVE-2026-27853: what is made anew is never longer than the client can take. And it has the records
 * that were decided on, no others: hosts of the pool that the audit's event names, at the name that
 * was asked, with the rule's TTL; after a filter or a denial no unapproved host.
 *
 * The name that is asked is a discovery name in any case; its suffix is the octet that
 * the input has for the client, if that is one of the policy, else what the question has.
 */
#include "tests/fuzz/answers.h"

#define LABEL "a-label-of-sixty-three-octets-which-is-as-long-as-one-may-be-xy"
#define HOST(n) "{target: h" #n "." LABEL "." LABEL "." LABEL ".example, priority: " #n "}"
#define RULE(name, more) "  " name ": {suffixes: [" name ".example]" more "}\n"

static const char policy[] =
    "networks: {lan: [10.0.0.0/8], kiosks: [10.20.0.0/16], all: [\"::/0\", 0.0.0.0/0]}\n"
    "pools:\n"
    "  one: [{target: kms.x.example, addresses: [10.0.0.5, \"fd00::5\"]}]\n"
    "  long: [" HOST(0) ", " HOST(1) ", " HOST(2) ", " HOST(3) ", " HOST(4) ", " HOST(5) ", " HOST(
        6) ", " HOST(7) ", " HOST(8) "]\n"
                                     "  pinned: {hosts: [a.example, b.example:1, c.example], "
                                     "choice: pin}\n"
                                     "approved: [good.example]\n"
                                     "rules:\n" RULE("fill", ", pool: one") RULE(
                                         "long", ", pool: long, when: [missing, failed], ttl: 30")
                                         RULE("pin", ", pool: pinned, ttl: 1d") RULE(
                                             "replace",
                                             ", action: replace, pool: long, break-dnssec: yes")
                                             RULE(
                                                 "bad",
                                                 ", action: replace, when: [unapproved], "
                                                 "pool: one") RULE("filter",
                                                                   ", action: filter, networks: "
                                                                   "[lan, "
                                                                   "kiosks]") RULE("deny",
                                                                                   ", action: deny")
                                                 RULE("pass", ", action: pass") RULE(
                                                     "shadow",
                                                     ", pool: one, mode: shadow") "  rest: "
                                                                                  "{suffixes: "
                                                                                  "[\"*\", \".\"], "
                                                                                  "networks: "
                                                                                  "[kiosks], pool: "
                                                                                  "one, when: "
                                                                                  "[missing, "
                                                                                  "failed]}\n";

/* Is that host, with a space in front or behind or nothing, in the list? */
static bool is_listed(const char *list, const struct srv *srv)
{
    char host[NAME_TEXT + 8];
    const char *at = list;

    name_print(&srv->target, host);
    sprintf(host + strlen(host), ":%u", srv->port);
    while ((at = strstr(at, host)) != NULL) {
        const char *end = at + strlen(host);

        if ((at == list || at[-1] == ' ') && (*end == '\0' || *end == ' '))
            return true;
        at = end;
    }
    return strlen(list) > AUDIT_HOSTS - NAME_TEXT - 8; /* the list was full */
}

static int count_spaces(const char *list)
{
    int n = 0;

    while ((list = strchr(list, ' ')) != NULL)
        n += list++ != NULL;
    return n;
}

static void check_discovery(struct world *w, const struct message *m)
{
    const struct audit_event *e = &w->q->event;
    const bool ours = e->outcome == OUTCOME_FILLED || e->outcome == OUTCOME_REPLACED;
    struct srv srv[SRV_MAX];
    struct rr_walk walk;
    int n;

    if (!w->q->has_event || e->outcome == OUTCOME_BLOCKED || !w->q->kms)
        return;
    must((m->flags & DNS_TC) != 0 || (m->flags & 15) == (e->rcode & 15));
    rr_walk_records(&walk, m, w->out, w->q->out_len);
    while (ours && rr_walk_next(&walk)) {
        must(walk.rr.type == TYPE_OPT || (walk.rr.ttl >= 1 && walk.rr.ttl <= 86400));
        must(walk.rr.section != SECTION_AUTHORITY);
        must(walk.rr.section != SECTION_ANSWER ||
             (walk.rr.type == TYPE_SRV && walk.rr.pointer == DNS_HEADER));
    }
    n = srv_read(w->out, w->q->out_len, srv);
    must(n >= 0 && (!ours || n > 0 || (m->flags & DNS_TC) != 0));
    must(!ours || n == 0 || e->answer[0] == '\0' || n >= count_spaces(e->answer) + 1);
    if (ours || e->outcome == OUTCOME_FILTERED)
        for (int i = 0; i < n && i < SRV_MAX; i++)
            must(is_listed(e->answer, &srv[i]) && !is_listed(e->unapproved, &srv[i]));
    must(e->outcome != OUTCOME_DENIED || n == 0);
}

/* The question with that name; false: it is none, or too long then. */
static bool query_make(const struct fuzz_input *in, uint8_t *out, size_t *len)
{
    static const char *const suffixes[] = {"fill",   "long", "pin",  "replace", "bad",
                                           "filter", "deny", "pass", "shadow"};
    const unsigned which = in->client / 8;
    struct name vlmcs, name;
    struct message m;
    struct writer w = writer_make(out, 4096);
    struct cursor c = cursor_make(in->query, in->query_len);
    char text[64];

    if (in->query_len > 2048 || message_read_head(&m, in->query, in->query_len) != 0)
        return false;
    c.pos += DNS_HEADER;
    name_read(&c, &name);
    if (which < ARRAY_LEN(suffixes)) {
        snprintf(text, sizeof text, "%s.example", suffixes[which]);
        must(name_parse(&name, text) == 0);
    }
    must(name_parse(&vlmcs, "_VLMCS._tcp") == 0);
    if (!name_is_vlmcs(&name) && !name_join(&vlmcs, &name, &name))
        return false;
    writer_bytes(&w, in->query, DNS_HEADER);
    writer_bytes(&w, name.data, name.len);
    writer_u16(&w, in->came & 128 ? m.qtype : TYPE_SRV);
    writer_u16(&w, CLASS_IN);
    writer_bytes(&w, c.pos + 4, cursor_left(&c) - 4);
    *len = w.len;
    return !w.full;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const texts[FUZZ_SETTINGS] = {
        "",
        "cache: {rotate: yes}\n",
        "kms: {explain-in-edns: yes}\n",
        "kms: {mode: shadow}\n",
        "forward: [{zone: ., servers: [192.0.2.53], trust-ad: yes}]\naccess: [{net: 0.0.0.0/0, "
        "action: allow}, {net: \"::/0\", action: allow}]\n",
        "forward: [{zone: corp.example, servers: [10.0.0.53]}]\naccess: [{net: 10.0.0.0/8, action: "
        "allow}]\n",
        "kms: {mode: off}\n",
        "kms: {max-negative-ttl: 1s, explain-in-edns: yes}\n",
    };
    static struct settings *all[FUZZ_SETTINGS];
    static struct world *w;
    uint8_t query[4096];
    struct fuzz_input in;
    size_t len;

    if (w == NULL)
        w = worlds_new(policy, texts, all);
    if (!input_read(&in, data, size) || !query_make(&in, query, &len))
        return 0;
    settings_choose(w, all, in.settings);
    input_answer(w, &in, query, len, check_discovery);
    return 0;
}
