/* SPDX-License-Identifier: BSD-2-Clause
 *
 * policy_words.c -- what the objects of a policy consist of, from and to text
 * (policy.h).
 */
#include "ctl/policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/present.h"

enum { SHOWN = 8 /* of a list; the rest is counted */ };

static int parse_prefix(void *out, const char *text, const char **why)
{
    int rc = prefix_parse(out, text);

    *why = rc == -ERANGE ? "has bits behind its prefix length"
                         : "is not a prefix like 10.0.0.0/8 or 2001:db8::/32";
    return rc;
}

static const char *print_prefix(const void *p, char out[HOST_TEXT])
{
    return prefix_print(p, out);
}

static bool same_prefix(const void *a, const void *b)
{
    const struct prefix *x = a, *y = b;

    return x->len == y->len && memcmp(x->ip, y->ip, sizeof x->ip) == 0;
}

static int parse_host(void *out, const char *text, const char **why)
{
    return host_parse(out, text, why);
}

static const char *print_host(const void *h, char out[HOST_TEXT])
{
    return host_print(h, out, HOST_TEXT);
}

static bool same_host(const void *a, const void *b)
{
    const struct policy_host *x = a, *y = b;

    return x->port == y->port && name_equal(&x->target, &y->target);
}

static int parse_approved(void *out, const char *text, const char **why)
{
    return policy_approved_parse(out, text, why);
}

static int parse_suffix(void *out, const char *text, const char **why)
{
    return suffix_parse(out, text, why);
}

static const char *print_suffix(const void *s, char out[HOST_TEXT])
{
    return suffix_print(s, out);
}

const struct policy_member policy_members[POLICY_KINDS] = {
    [POLICY_NETWORK] = {"prefix", "", sizeof(struct prefix), parse_prefix, print_prefix,
                        same_prefix},
    [POLICY_POOL] = {"host", "", sizeof(struct policy_host), parse_host, print_host, same_host},
    [POLICY_APPROVED] = {"host", "", sizeof(struct policy_approved), parse_approved, NULL, NULL},
    [POLICY_RULE] = {"suffix", "suffix ", sizeof(struct suffix), parse_suffix, print_suffix, NULL},
};

void *policy_take(enum policy_kind kind, const char *const *texts, size_t n, struct diags *d)
{
    const struct policy_member *m = &policy_members[kind];
    char *members = ctl_alloc(NULL, (n + 1) * m->size);
    const char *why;

    for (size_t i = 0; i < n; i++)
        if (m->parse(members + i * m->size, texts[i], &why) != 0)
            diags_add(d, NULL, 0, 0, "%s\"%s\" %s", m->before, texts[i], why);
    return members;
}

void policy_list(struct str *s, enum policy_kind kind, const void *members, size_t n)
{
    const struct policy_member *m = &policy_members[kind];
    char text[HOST_TEXT];

    for (size_t i = 0; i < n && i < SHOWN; i++)
        str_addf(s, "%s%s", i > 0 ? " " : "", m->print((const char *)members + i * m->size, text));
    if (n > SHOWN)
        str_addf(s, " and %zu more", n - SHOWN);
}

void policy_rule_words(struct str *s, const struct policy_rule *r, bool is_fill)
{
    unsigned when = policy_when(r->action, r->when);
    bool any = r->n_networks == 0;
    const char *before = "when ";
    char time[NUMBER_TEXT];

    if (!is_fill)
        str_add(s, action_names[r->action]);
    if (!is_fill && r->pool[0] != '\0')
        str_addf(s, " from pool %s", r->pool);
    str_add(s, is_fill ? "" : ", ");
    for (size_t i = 0; i < r->n_networks; i++)
        any = any || strcmp(r->networks[i], "any") == 0;
    str_add(s, any ? "any client" : "clients in");
    for (size_t i = 0; !any && i < r->n_networks; i++)
        str_addf(s, " %s", r->networks[i]);
    str_addf(s, ", %s", when == WORD_ALL ? "always" : "");
    for (unsigned i = 0; when != WORD_ALL && i < VERDICT_WORDS; i++)
        if (when & 1u << i) {
            str_addf(s, "%s%s", before, word_names[i]);
            before = " or ";
        }
    if (is_fill)
        return;
    if (r->mode != MODE_LIVE)
        str_addf(s, ", mode %s", mode_names[r->mode]);
    if (r->ttl != POLICY_TTL_DEFAULT)
        str_addf(s, ", ttl %s", duration_print(r->ttl * UINT64_C(1000), time));
    if (r->from_ms != 0)
        str_addf(s, ", from %s", policy_time_print(r->from_ms, time));
    if (r->until_ms != 0)
        str_addf(s, ", until %s", policy_time_print(r->until_ms, time));
    if (r->break_dnssec)
        str_add(s, ", breaks DNSSEC");
}
