/* SPDX-License-Identifier: BSD-2-Clause
 *
 * model.c -- the words of the policy, its names and suffixes, and who frees
 * what. Hosts are in model_host.c, what entry refuses is in model_check.c.
 */
#include "policy/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/str.h"
#include "wire/present.h"
#include "wire/types.h"

const char *const action_names[ACTIONS + 1] = {"fill", "replace", "filter", "deny", "pass", NULL};

/* clang-format off */
const struct policy_action_row policy_actions[ACTIONS] = {
    /* verb, deed, outcome, has_pool, is_blind, when, least, most, when_wrong, ede */
    {"fills", "fills from", OUTCOME_FILLED, true, false, WORD_MISSING, WORD_MISSING, WORD_MISSING | WORD_FAILED,
     "when: [missing] or when: [missing, failed]", EDE_SYNTHESIZED},
    {"replaces", "replaces the real answer by", OUTCOME_REPLACED, true, true, 0, 0, WORD_UNAPPROVED,
     "no when (every verdict) or when: [unapproved]", EDE_FORGED},
    {"filters", "takes the targets away that are not approved", OUTCOME_FILTERED, false, false, WORD_UNAPPROVED, 0, WORD_UNAPPROVED,
     "no when: it always acts on unapproved targets", EDE_BLOCKED},
    {"denies", "denies that there is a host", OUTCOME_DENIED, false, true, 0, 0, 0,
     "no when: it acts on every verdict", EDE_BLOCKED},
    {"passes", "passes on what the real DNS says", 0, false, false, 0, 0, 0,
     "no when: it acts on every verdict", EDE_NONE},
};
/* clang-format on */

unsigned policy_when(enum policy_action action, unsigned when)
{
    const struct policy_action_row *a = &policy_actions[action];

    if (a->when == 0)
        return when != 0 ? when : WORD_ALL;
    return (when != 0 ? when : a->when) & a->most; /* fill never hides an answer */
}

/* --- ownership ------------------------------------------------------------ */

void policy_init(struct policy *p)
{
    *p = (struct policy){0};
}

void policy_network_fini(struct policy_network *n)
{
    free(n->prefixes);
    n->prefixes = NULL;
    n->n = 0;
}

void policy_pool_fini(struct policy_pool *p)
{
    free(p->hosts);
    p->hosts = NULL;
    p->n = 0;
}

void policy_rule_fini(struct policy_rule *r)
{
    free(r->networks);
    free(r->suffixes);
    free(r->network_places);
    r->networks = NULL;
    r->suffixes = NULL;
    r->network_places = NULL;
    r->n_networks = r->n_suffixes = 0;
}

void policy_fini(struct policy *p)
{
    for (size_t i = 0; i < p->n_networks; i++)
        policy_network_fini(&p->networks[i]);
    for (size_t i = 0; i < p->n_pools; i++)
        policy_pool_fini(&p->pools[i]);
    for (size_t i = 0; i < p->n_rules; i++)
        policy_rule_fini(&p->rules[i]);
    free(p->networks);
    free(p->pools);
    free(p->rules);
    free(p->approved);
    free(p->file);
    policy_init(p);
}

/* --- names of objects ----------------------------------------------------- */

int policy_name_check(const char *name, const char **why)
{
    size_t len = strlen(name);

    *why = NULL;
    if (len == 0)
        *why = "a name must not be empty";
    else if (len >= POLICY_NAME)
        *why = "a name has at most 63 characters";
    else if (strcmp(name, "any") == 0)
        *why = "the name \"any\" is reserved: it means every client";
    else if (strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") != len)
        *why = "a name consists of the characters a-z 0-9 . _ -";
    else if (strchr("._-", name[0]) != NULL)
        *why = "a name begins with a letter or a digit";
    return *why == NULL ? 0 : -EINVAL;
}

/* --- suffixes ------------------------------------------------------------- */

/* Are the first two labels what should have been _vlmcs._tcp? Whoever writes
 * that here took the whole name for the suffix, and the rule would match
 * _vlmcs._tcp._vlmcs._tcp.<suffix>: nothing, without a word. */
static const char *whole_name(const char *text)
{
    static const char *const service[] = {"_vlmcs", "vlmcs", "_vmlcs", "vmlcs",
                                          "_vlmsc", "vlmsc", "_vlcms", NULL};
    size_t first = strcspn(text, ".");
    const char *second = text[first] == '.' ? text + first + 1 : "";
    bool tcp = strncasecmp(second, "_tcp.", 5) == 0 || strncasecmp(second, "tcp.", 4) == 0 ||
               str_equal_nocase(second, "_tcp") || str_equal_nocase(second, "tcp");

    if (first == 6 && strncasecmp(text, "_vlmcs", 6) == 0 && tcp)
        return "is a whole name; write the suffix alone, without _vlmcs._tcp";
    if (first == 4 && strncasecmp(text, "_tcp", 4) == 0)
        return "begins with _tcp; write the suffix alone, without _vlmcs._tcp";
    for (size_t i = 0; service[i] != NULL; i++)
        if (first == strlen(service[i]) && strncasecmp(text, service[i], first) == 0 &&
            (tcp || text[0] == '_'))
            return "begins like a whole name (which would be _vlmcs._tcp.SUFFIX); write the suffix "
                   "alone";
    return NULL;
}

static const char *suffix_name(struct suffix *s, const char *text)
{
    static const char blanks[] = " \t\r\n";
    /* _vlmcs._tcp in front takes 12 octets; below the name is a label more. */
    unsigned room = NAME_MAX_WIRE - 12 - (s->kind == SUFFIX_BELOW ? 2 : 0);
    const char *why = whole_name(text);

    if (why != NULL)
        return why;
    if (strpbrk(text, blanks) != NULL)
        return "has a blank in it";
    if (strchr(text, '*') != NULL)
        return "has a * that is not the whole first label; write *.corp.example, or * alone";
    if (text[0] == '.')
        return "begins with a dot; *.corp.example is every name below corp.example";
    if (name_parse(&s->name, text) != 0)
        return "is not a domain name";
    if (s->name.labels == 0)
        return "is not a suffix; * is every suffix, . the bare _vlmcs._tcp";
    if (s->name.len > room)
        return "is too long: with _vlmcs._tcp in front a name has at most 255 octets";
    for (size_t at = 0; s->name.at[at] != 0; at += 1 + s->name.at[at])
        if (s->name.at[at] == 1 && s->name.at[at + 1] == '*')
            return "has a * that is not the whole first label";
    name_fold(&s->name);
    return NULL;
}

int suffix_parse(struct suffix *out, const char *text, const char **why)
{
    struct suffix s = {.kind = SUFFIX_EXACT, .name = {.len = 1}};

    *why = NULL;
    if (text[0] == '\0')
        *why = "is empty; . is the bare _vlmcs._tcp";
    else if (strcmp(text, "*") == 0 || strcmp(text, "*.") == 0)
        s.kind = SUFFIX_ANY;
    else if (strcmp(text, ".") == 0)
        s.kind = SUFFIX_BARE;
    else if (strncmp(text, "*.", 2) == 0)
        s.kind = SUFFIX_BELOW;
    if (*why == NULL && (s.kind == SUFFIX_EXACT || s.kind == SUFFIX_BELOW))
        *why = suffix_name(&s, s.kind == SUFFIX_BELOW ? text + 2 : text);
    if (*why != NULL)
        return -EINVAL;
    *out = s;
    return 0;
}

const char *suffix_print(const struct suffix *s, char out[SUFFIX_TEXT])
{
    char name[NAME_TEXT];
    struct str text;

    str_init(&text, out, SUFFIX_TEXT);
    switch (s->kind) {
    case SUFFIX_ANY:
        str_add(&text, "*");
        break;
    case SUFFIX_BARE:
        str_add(&text, ".");
        break;
    case SUFFIX_BELOW:
        str_add(&text, "*.");
        str_add(&text, name_print(&s->name, name));
        break;
    case SUFFIX_EXACT:
        str_add(&text, name_print(&s->name, name));
        break;
    }
    return out;
}

/* Where each label begins, in the order of the name. */
static unsigned label_offsets(const struct name *n, uint8_t at[NAME_MAX_LABELS])
{
    unsigned labels = 0;

    for (unsigned i = 0; n->at[i] != 0 && labels < NAME_MAX_LABELS; i += 1u + n->at[i])
        at[labels++] = (uint8_t)i;
    return labels;
}

int policy_target_compare(const struct name *a, const struct name *b)
{
    uint8_t at_a[NAME_MAX_LABELS], at_b[NAME_MAX_LABELS];
    unsigned n_a = label_offsets(a, at_a), n_b = label_offsets(b, at_b);

    while (n_a > 0 && n_b > 0) {
        const uint8_t *x = a->at + at_a[--n_a], *y = b->at + at_b[--n_b];
        int c = memcmp(x + 1, y + 1, *x < *y ? *x : *y);

        if (c != 0)
            return c;
        if (*x != *y)
            return *x < *y ? -1 : 1;
    }
    return n_a > 0 ? 1 : n_b > 0 ? -1 : 0;
}

int suffix_compare(const struct suffix *a, const struct suffix *b)
{
    int c = policy_target_compare(&a->name, &b->name);

    return c != 0 ? c : (int)a->kind - (int)b->kind;
}

bool suffix_is_wide(const struct suffix *s)
{
    return s->kind == SUFFIX_ANY || (s->kind == SUFFIX_BELOW && s->name.labels == 1);
}
