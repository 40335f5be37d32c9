/* SPDX-License-Identifier: BSD-2-Clause
 *
 * import.c -- rows of suffixes and hosts, as other programs have them, become a policy.
 *
 *   text ──▶ rows: a suffix, a host, what is said of the rule ──sort──▶ groups: a suffix and its
 *   hosts ──▶ each set of hosts is a pool, and its suffixes are the rule fill-POOL[-NETWORK]
 *
 * Hosts, and heads (what rows say of their rule), are each kept once: a million rows are three
 * pointers each, beside the octets of their suffixes.
 */
#include "ctl/policy.h"

#include <search.h>

enum { BASE_NAME = 48 /* leaves room for "fill-" and a number */, STEP = 4096 };

/* A host, or a head: what the rows say of it, which is longer only while it is made. */
struct import_text {
    size_t row;               /* that said it first */
    struct policy_rule *rule; /* of a head, from the arena */
    char text[2 * HOST_TEXT + POLICY_RULE_NETWORKS * POLICY_NAME];
};
struct pool {
    const struct import_row *rows; /* of its first suffix */
    size_t n;
    char name[POLICY_NAME];
    size_t place,
        rule; /* among those of the policy: its own, when it has hosts; that of the head */
    const struct import_text *head; /* of the suffix before */
    const struct import_text *has[POLICY_POOL_HOSTS + 1];
};

/* Its equal in the tree; or a copy of it, which the tree then has. */
static void *kept_once(const void *key, size_t size, void **tree,
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

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct import_text *)a)->text, ((const struct import_text *)b)->text);
}

static int by_row(const void *a, const void *b)
{
    const struct import_row *x = a, *y = b;
    int c = compare_numbers(x->head->row, y->head->row);

    c = c != 0 ? c : suffix_compare(x->suffix, y->suffix);
    return c != 0 ? c : compare_numbers(x->host->row, y->host->row);
}

/* Of equal ones the pool is one: it has the same name, or the same hosts. This is the order in which
 * they get their names: those of the file come first, then those with hosts that it names earlier,
 * then those with fewer, so that the same hosts have the same name whatever their suffixes are. */
static int by_pool(const void *a, const void *b)
{
    const struct pool *x = a, *y = b;
    const char *name = x->rows->head->rule->pool;
    int c = strcmp(y->rows->head->rule->pool, name);

    for (size_t i = 0; i < x->n && i < y->n && c == 0 && name[0] == '\0'; i++)
        c = compare_numbers(x->rows[i].host->row, y->rows[i].host->row);
    return c != 0 || name[0] != '\0' ? c : compare_numbers(x->n, y->n);
}

void import_add(struct import *in, struct suffix *suffix, const struct policy_host *host,
                const struct policy_rule *said)
{
    const size_t before = offsetof(struct import_text, text) + 1;
    struct import_row row = {.suffix = suffix};
    struct import_text text, *head;
    size_t size = said->n_networks * sizeof *said->networks;
    struct policy_rule *r;
    struct str s;

    text.row = in->n;
    text.text[0] = '\0';
    if (host)
        host_print(host, text.text);
    row.host = kept_once(&text, before + strlen(text.text), &in->hosts, by_text);
    str_init(&s, text.text, sizeof text.text);
    str_addf(&s, "%s %s", said->name, said->pool);
    for (size_t i = 0; i < said->n_networks; i++)
        str_addf(&s, " %s", said->networks[i]);
    row.head = head = kept_once(&text, before + s.len, &in->heads, by_text);
    if (head->row == in->n) { /* it is new */
        head->rule = r = ctl_checked(arena_alloc(in->out->kept, sizeof *r));
        *r = *said;
        r->networks = ctl_checked(arena_alloc(in->out->kept, size));
        if (size > 0)
            memcpy(r->networks, said->networks, size);
        r->n_suffixes = 0; /* those come from the rows */
        r->suffixes = NULL;
    } else if (head->rule->comment[0] == '\0') { /* the first one of a rule stays */
        strcpy(head->rule->comment, said->comment);
    }
    if (in->n % STEP == 0)
        in->rows = ctl_alloc(in->rows, (in->n + STEP) * sizeof *in->rows);
    in->rows[in->n++] = row;
}

void import_progress(const struct import *in)
{
    if (in->c && in->at)
        ctl_progress(in->c, (size_t)(in->at - in->text), in->len);
}

void import_pool_name(const struct name *target, char out[POLICY_NAME])
{
    int len = target->data[0] < BASE_NAME ? target->data[0] : BASE_NAME;

    snprintf(out, POLICY_NAME, "%.*s", len, (const char *)target->data + 1);
    if (policy_name_check(out) != NULL)
        strcpy(out, "kms");
}

/* The name of a new pool: the one that is given, or after its first host. A name that is taken gets
 * -2, -3, ... */
static void name_pool(const void *node, VISIT order, void *names)
{
    struct pool *pool = *(struct pool *const *)node;
    struct taken {
        char name[POLICY_NAME];
        unsigned n; /* how many wanted it */
    } want = {.n = 0}, *first, *found;
    struct policy_host host;

    if (order != postorder && order != leaf)
        return;
    str_copy(want.name, POLICY_NAME, pool->rows->head->rule->pool);
    if (want.name[0] == '\0' && host_parse(&host, pool->rows->host->text) == NULL)
        import_pool_name(&host.target, want.name);
    first = found = kept_once(&want, sizeof want, names, policy_name_compare);
    while (found->n > 0) {
        snprintf(want.name, POLICY_NAME, "%.*s-%u", BASE_NAME, first->name, ++first->n);
        found = kept_once(&want, sizeof want, names, policy_name_compare);
    }
    found->n++;
    strcpy(pool->name, found->name);
}

/* A host that the pool perhaps has not; without any it is one that is there. */
static void add_host(struct policy *p, struct pool *pool, const struct import_text *host)
{
    struct policy_pool *to;
    size_t k = 0;

    while (k < ARRAY_LEN(pool->has) && pool->has[k] && pool->has[k] != host)
        k++;
    if (host->text[0] == '\0' || k == ARRAY_LEN(pool->has) /* which is refused */ || pool->has[k])
        return;
    if (k == 0) {
        pool->place = p->n_pools;
        to = ctl_checked(policy_add(p, POLICY_POOL));
        strcpy(to->name, pool->name);
        to->named_after = pool->rows->head->rule->pool[0] == '\0';
    }
    to = &p->pools[pool->place];
    to->hosts = ctl_checked(policy_list_add(to->hosts, to->n, sizeof *to->hosts));
    (void)host_parse(&to->hosts[to->n++], host->text);
    pool->has[k] = host;
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

/* Rows of the same suffix and head: each has one of the hosts. */
static size_t n_hosts(const struct import_row *row, const struct import_row *end)
{
    size_t n = 1;

    while (row + n < end && row[n].head == row->head &&
           suffix_compare(row[n].suffix, row->suffix) == 0)
        n++;
    return n;
}

static void make_policy(struct import *in)
{
    size_t all = policy_sort_unique(in->rows, in->n, sizeof *in->rows, by_row);
    void *names = NULL, *pools = NULL;
    const struct import_row *row = in->rows, *end = row + all;
    struct policy_rule *r;
    struct pool *pool;
    size_t size;

    for (; row < end; row += n_hosts(row, end))
        (void)kept_once(&(struct pool){.rows = row, .n = n_hosts(row, end)}, sizeof *pool, &pools,
                        by_pool);
    twalk_r(pools, name_pool, &names);
    for (row = in->rows; row < end; row += n_hosts(row, end)) {
        struct pool want = {.rows = row, .n = n_hosts(row, end)};

        pool = kept_once(&want, sizeof want, &pools, by_pool);
        for (size_t i = 0; i < want.n; i++)
            add_host(in->out, pool, row[i].host);
        if (pool->head != row->head) { /* a rule more */
            pool->head = row->head;
            pool->rule = in->out->n_rules;
            r = ctl_checked(policy_add(in->out, POLICY_RULE));
            *r = *row->head->rule;
            strcpy(r->pool, pool->name);
            size = r->n_networks * sizeof *r->networks;
            r->networks = size > 0 ? memcpy(ctl_alloc(NULL, size), r->networks, size) : NULL;
            if (r->name[0] == '\0' && !import_rule_name(r))
                diags_add(in->problems, in->file, r->line, 0,
                          "the rule's name would be too long: name it in the column rule");
        }
        r = &in->out->rules[pool->rule];
        r->suffixes = ctl_checked(policy_list_add(r->suffixes, r->n_suffixes, sizeof *r->suffixes));
        r->suffixes[r->n_suffixes++] = row->suffix;
    }
    tdestroy(names, free);
    tdestroy(pools, free);
}

int import_read(struct import *in, const struct policy_format *format, struct policy *out)
{
    size_t before = in->problems->all;
    unsigned line = 1;
    int rc = 0;

    *out = (struct policy){.file = ctl_text("%s", in->file), .kept = ctl_checked(arena_new())};
    in->out = out;
    in->at = in->text;
    for (const char *p = in->text; *p != '\0'; p++)
        line += *p == '\n';
    if (strlen(in->text) < in->len)
        diags_add(in->problems, in->file, line, 0,
                  "a NUL octet: this is no text in UTF-8. Save it as UTF-8 (Excel: \"CSV UTF-8\"; "
                  "LibreOffice: character set Unicode (UTF-8)), not as UTF-16");
    else if (format->read)
        format->read(in, format);
    else {
        policy_fini(out);
        rc = policy_text_read(out, in->file, in->text, in->len, in->problems);
    }
    make_policy(in);
    in->at = in->text + in->len;
    import_progress(in);
    free(in->rows);
    tdestroy(in->hosts, free);
    tdestroy(in->heads, free);
    for (size_t i = 0; i < out->n_pools; i++)
        policy_pool_check(&out->pools[i], in->problems);
    for (size_t i = 0; i < out->n_rules; i++)
        policy_rule_check(&out->rules[i], in->problems);
    if (out->n_rules > 0)
        qsort(out->rules, out->n_rules, sizeof *out->rules, policy_name_compare);
    for (struct policy_rule *r = out->rules; r + 1 < out->rules + out->n_rules; r++)
        if (strcmp(r[0].name, r[1].name) == 0)
            diags_add(in->problems, in->file, r[1].line, 0,
                      "rule %s has another pool or network here than in line %u", r->name, r->line);
    if (rc == 0 && in->problems->all > before)
        rc = -EINVAL;
    if (rc == 0)
        policy_sort(out); /* which makes equal hosts, and equal names, one */
    else
        policy_fini(out);
    return rc;
}
