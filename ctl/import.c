/* SPDX-License-Identifier: BSD-2-Clause
 *
 * import.c -- rows of suffixes and hosts, as other programs have them, become a policy.
 *
 *   text ──▶ rows: a suffix, a host, what is said of the rule ──sort──▶ groups: a suffix and its
 *   hosts ──sort──▶ each set of hosts is a pool, and its suffixes are the rule fill-POOL[-NETWORK]
 *
 * Hosts, and heads (what rows say of their rule), are each kept once: a million rows are three
 * pointers each, beside the octets of their suffixes.
 */
#include "ctl/policy.h"

#include <search.h>

#include "wire/present.h"

enum { BASE_NAME = 48 /* leaves room for "fill-" and a number */, STEP = 4096 };

/* Numbers are in the order of the text. */
struct import_host {
    struct policy_host host;
    size_t number;
};
struct import_head {
    struct policy_rule rule; /* its networks are of the arena */
    size_t number;
};
struct group { /* a suffix and its hosts */
    const struct import_row *rows;
    size_t n;
};

/* Its equal in the tree; or a copy of it, which the tree then has. */
static void *keep(const void *key, size_t size, void **tree,
                  int (*compare)(const void *, const void *))
{
    void **found = tfind(key, tree, compare);

    if (!found)
        found = ctl_checked(tsearch(memcpy(ctl_alloc(NULL, size), key, size), tree, compare));
    return *found;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_hosts(const void *a, const void *b)
{
    const struct policy_host *x = a, *y = b;
    int c = policy_approved_compare(a, b); /* it begins alike */

    c = c != 0 ? c : compare_numbers(x->priority, y->priority);
    c = c != 0 ? c : compare_numbers(x->weight, y->weight);
    c = c != 0 ? c : compare_numbers(x->probe, y->probe);
    c = c != 0 ? c : compare_numbers(x->n_addresses, y->n_addresses);
    for (unsigned i = 0; i < x->n_addresses && c == 0; i++)
        c = policy_prefix_compare(&x->addresses[i], &y->addresses[i]);
    return c;
}

static int by_head(const void *a, const void *b)
{
    const struct policy_rule *x = a, *y = b; /* a head begins with it */
    int c = strcmp(x->name, y->name);

    c = c != 0 ? c : strcmp(x->pool, y->pool);
    c = c != 0 ? c : (int)x->n_networks - (int)y->n_networks;
    for (size_t i = 0; i < x->n_networks && c == 0; i++)
        c = strcmp(x->networks[i], y->networks[i]);
    return c;
}

static int by_row(const void *a, const void *b)
{
    const struct import_row *x = a, *y = b;
    int c = compare_numbers(x->head->number, y->head->number);

    c = c != 0 ? c : suffix_compare(x->suffix, y->suffix);
    return c != 0 ? c : compare_numbers(x->host->number, y->host->number);
}

/* Of equal ones the pool is one: it has the same name, or the same hosts. Named ones come first. */
static int compare_pools(const struct group *x, const struct group *y)
{
    const char *pool = x->rows->head->rule.pool;
    int c = strcmp(y->rows->head->rule.pool, pool);

    for (size_t i = 0; i < x->n && i < y->n && c == 0 && pool[0] == '\0'; i++)
        c = compare_numbers(x->rows[i].host->number, y->rows[i].host->number);
    return c != 0 || pool[0] != '\0' ? c : compare_numbers(x->n, y->n);
}

static int by_pool(const void *a, const void *b)
{
    const struct import_row *x = ((const struct group *)a)->rows;
    const struct import_row *y = ((const struct group *)b)->rows;
    int c = compare_pools(a, b);

    return c != 0 ? c : (x > y) - (x < y); /* the order of heads, then of suffixes */
}

void import_add(struct import *in, struct suffix *suffix, const struct policy_host *host,
                const struct policy_rule *said)
{
    struct import_row row = {.suffix = suffix};
    struct import_host given = {.number = in->n_hosts};
    struct import_head head = {.number = in->n_heads}, *kept;

    if (host) /* else all zeroes */
        given.host = *host;
    row.host = keep(&given, sizeof given, &in->hosts, compare_hosts);
    in->n_hosts += row.host->number == in->n_hosts;
    policy_rule_init(&head.rule, "");
    head.rule = said ? *said : head.rule;
    head.rule.n_suffixes = 0; /* those come from the rows */
    head.rule.suffixes = NULL;
    row.head = kept = keep(&head, sizeof head, &in->heads, by_head);
    if (kept->number == in->n_heads) { /* it is new */
        size_t size = head.rule.n_networks * sizeof *head.rule.networks;

        kept->rule.networks = ctl_checked(arena_alloc(in->out->kept, size));
        if (size > 0)
            memcpy(kept->rule.networks, said->networks, size);
        in->n_heads++;
    } else if (kept->rule.comment[0] == '\0') { /* the first one of a rule stays */
        strcpy(kept->rule.comment, head.rule.comment);
    }
    if (in->n % STEP == 0)
        in->rows = ctl_alloc(in->rows, (in->n + STEP) * sizeof *in->rows);
    in->rows[in->n++] = row;
}

const char *import_record(struct import *in, const struct name *name,
                          const struct policy_host *host)
{
    struct suffix suffix;
    struct name domain;
    char text[NAME_TEXT];
    const char *why;

    name_parent(name, 2, &domain);
    if (domain.data[0] == 1 && domain.data[1] == '*')
        return "the name has a wildcard below _vlmcs._tcp, which matches no question";
    why = suffix_parse(&suffix, name_print(&domain, text));
    if (!why)
        import_add(in, ctl_checked(suffix_keep(in->out->kept, &suffix)), host, NULL);
    return why;
}

char *import_line(struct import *in, char **at, unsigned *line)
{
    char *begin = *at, *end = begin + strcspn(begin, "\n");

    if (*begin == '\0')
        return NULL;
    *at = end + (*end == '\n');
    *end = '\0';
    begin[strcspn(begin, "\r")] = '\0';
    ++*line;
    import_progress(in, *at);
    return begin + strspn(begin, " \t");
}

void import_progress(const struct import *in, const char *at)
{
    if (in->c)
        ctl_progress(in->c, "reading", (size_t)(at - in->text), in->len);
}

void import_pool_name(const struct name *target, char out[POLICY_NAME])
{
    size_t n = 0;

    for (size_t i = 0; i < target->data[0] && n < BASE_NAME; i++) {
        uint8_t c = name_fold_octet(target->data[1 + i]);
        bool ok =
            (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (n > 0 && (c == '-' || c == '_'));

        if (ok)
            out[n++] = (char)c;
    }
    out[n] = '\0';
    if (n == 0 || strcmp(out, "any") == 0)
        str_copy(out, POLICY_NAME, "kms");
}

/* The name of a new pool: the one that is given, or after its first host. A name that is taken gets
 * -2, -3, ... */
static void name_pool(const struct group *g, void **names, char out[POLICY_NAME])
{
    struct taken {
        char name[POLICY_NAME];
        unsigned n; /* how many wanted it */
    } want = {.n = 0}, *first, *found;

    str_copy(want.name, POLICY_NAME, g->rows->head->rule.pool);
    if (want.name[0] == '\0')
        import_pool_name(&g->rows->host->host.target, want.name);
    first = found = keep(&want, sizeof want, names, policy_name_compare);
    while (found->n > 0) {
        snprintf(want.name, POLICY_NAME, "%.*s-%u", BASE_NAME, first->name, ++first->n);
        found = keep(&want, sizeof want, names, policy_name_compare);
    }
    found->n++;
    strcpy(out, found->name);
}

/* The hosts that the pool has not; without any it is one that is there. */
static void add_hosts(struct policy *p, struct policy_pool **pool, const char *name,
                      const struct import_host *has[POLICY_POOL_HOSTS + 1], const struct group *g)
{
    for (size_t i = 0, k; i < g->n; i++) {
        const struct import_host *h = g->rows[i].host;

        if (h->host.port == 0)
            continue;
        if (!*pool)
            strcpy((*pool = ctl_checked(policy_add(p, POLICY_POOL)))->name, name);
        for (k = 0; k < (*pool)->n && has[k] != h;)
            k++;
        if (k < (*pool)->n || k > POLICY_POOL_HOSTS) /* which is refused */
            continue;
        (*pool)->hosts = ctl_checked(policy_list_add((*pool)->hosts, k, sizeof h->host));
        (*pool)->hosts[(*pool)->n++] = h->host;
        has[k] = h;
    }
}

bool import_rule_name(struct policy_rule *r)
{
    struct str s;

    str_init(&s, r->name, sizeof r->name);
    str_addf(&s, "fill-%s", r->pool);
    for (size_t i = 0; i < r->n_networks; i++)
        str_addf(&s, "-%s", r->networks[i]);
    return !s.cut;
}

static struct policy_rule *add_rule(struct import *in, const struct policy_rule *head,
                                    const char *pool)
{
    struct policy_rule *r = ctl_checked(policy_add(in->out, POLICY_RULE));

    *r = *head;
    str_copy(r->pool, POLICY_NAME, pool);
    r->networks = ctl_alloc(NULL, head->n_networks * sizeof *head->networks);
    for (size_t i = 0; i < head->n_networks; i++) {
        memcpy(r->networks[i], head->networks[i], POLICY_NAME);
        r->network_places[i] = head->pool_place;
    }
    if (r->name[0] == '\0' && !import_rule_name(r))
        diags_add(in->problems, in->file, head->pool_place.line, 0,
                  "the rule's name would be too long: name it in the column rule");
    return r;
}

static void make_policy(struct import *in)
{
    size_t n = policy_sort_unique(in->rows, in->n, sizeof *in->rows, by_row), n_groups = 0;
    struct group *groups = ctl_alloc(NULL, n * sizeof *groups), *g;
    const struct import_host *has[POLICY_POOL_HOSTS + 1];
    struct policy_pool *pool = NULL;
    struct policy_rule *r = NULL;
    char name[POLICY_NAME];
    void *names = NULL;

    for (size_t i = 0; i < n; i++) {
        const struct import_row *row = &in->rows[i];

        if (i == 0 || row->head != row[-1].head || suffix_compare(row->suffix, row[-1].suffix) != 0)
            groups[n_groups++] = (struct group){row, 0};
        groups[n_groups - 1].n++;
    }
    qsort(groups, n_groups, sizeof *groups, by_pool);
    for (g = groups; g < groups + n_groups; g++) {
        bool is_new = g == groups || compare_pools(g - 1, g) != 0;

        if (is_new) {
            pool = NULL;
            name_pool(g, &names, name);
        }
        add_hosts(in->out, &pool, name, has, g);
        if (is_new || g->rows->head != g[-1].rows->head)
            r = add_rule(in, &g->rows->head->rule, name);
        r->suffixes = ctl_checked(policy_list_add(r->suffixes, r->n_suffixes, sizeof *r->suffixes));
        r->suffixes[r->n_suffixes++] = g->rows->suffix;
    }
    free(groups);
    tdestroy(names, free);
}

int import_read(struct import *in, const struct policy_format *format, struct policy *out)
{
    size_t before = in->problems->all;
    unsigned line = 1;
    int rc = 0;

    *out = (struct policy){.file = ctl_text("%s", in->file), .kept = ctl_checked(arena_new())};
    in->out = out;
    for (const char *p = in->text; *p != '\0'; p++)
        line += *p == '\n';
    if (strlen(in->text) < in->len)
        diags_add(in->problems, in->file, line, 0,
                  "a NUL octet: this is no text in UTF-8. Save it as UTF-8 (Excel: \"CSV UTF-8\"; "
                  "LibreOffice: character set Unicode (UTF-8)), not as UTF-16");
    else
        rc = format->read(in);
    make_policy(in);
    import_progress(in, in->text + in->len);
    free(in->rows);
    tdestroy(in->hosts, free);
    tdestroy(in->heads, free);
    for (size_t i = 0; i < out->n_pools; i++)
        policy_pool_check(&out->pools[i], in->problems);
    for (size_t i = 0; i < out->n_rules; i++)
        policy_rule_check(&out->rules[i], in->problems);
    if (out->n_rules > 0)
        qsort(out->rules, out->n_rules, sizeof *out->rules, policy_name_compare);
    for (size_t i = 1; i < out->n_rules; i++)
        if (strcmp(out->rules[i].name, out->rules[i - 1].name) == 0)
            diags_add(in->problems, in->file, out->rules[i].pool_place.line, 0,
                      "rule %s has another pool or network here than in line %u",
                      out->rules[i].name, out->rules[i - 1].pool_place.line);
    if (rc == 0 && in->problems->all > before)
        rc = -EINVAL;
    if (rc == 0)
        policy_sort(out); /* which makes equal hosts, and equal names, one */
    else
        policy_fini(out);
    return rc;
}
