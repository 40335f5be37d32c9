/* SPDX-License-Identifier: BSD-2-Clause
 *
 * zone.c -- SRV lines of a zone file, in and out.
 *
 *   text ──▶ logical lines ──▶ records (suffix, host) ──sort──▶ groups: a
 *   suffix and its hosts ──sort by hosts──▶ a run of equal hosts is a pool,
 *   and its suffixes are the rule fill-POOL
 *
 * Only _vlmcs._tcp SRV records in class IN are taken; others are counted.
 */
#include "policy/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "policy/model.h"
#include "wire/present.h"
#include "wire/types.h"

enum { BASE_NAME = 48 }; /* leaves room for "fill-" and a number */

struct record {
    struct suffix suffix;
    struct policy_host host;
    unsigned line;
};
struct group {
    const struct record *at;
    size_t n;
};

struct zone {
    const char *file; /* borrowed */
    struct diags *d;  /* borrowed, may be NULL */
    struct record *records;
    size_t n, room; /* owned */
    struct group *groups;
    size_t n_groups; /* owned; at: in records */
    size_t skipped;
    bool bad;
};

/* --- lines ---------------------------------------------------------------- */

/* The next line without its comment, with what stands in parentheses joined to
 * it (RFC 1035 5.1). Moves *at behind it and counts lines. False at the end. */
static bool next_line(const char **at, const char *end, char *out, unsigned *line, unsigned *begin)
{
    bool quoted = false, comment = false;
    unsigned depth = 0;
    size_t n = 0;

    if (*at == end)
        return false;
    *begin = *line;
    while (*at < end) {
        char c = *(*at)++;

        if (c == '\n') {
            (*line)++;
            comment = quoted = false;
            if (depth == 0)
                break;
            c = ' ';
        } else if (comment) {
            continue;
        } else if (c == '\\' && *at < end && **at != '\n') {
            out[n++] = c;
            c = *(*at)++;
        } else if (c == '"') {
            quoted = !quoted;
        } else if (!quoted && c == ';') {
            comment = true;
            continue;
        } else if (!quoted && (c == '(' || c == ')')) {
            depth = c == '(' ? depth + 1 : depth > 0 ? depth - 1 : 0;
            c = ' ';
        } else if (c == '\r' || c == '\0') {
            c = ' ';
        }
        out[n++] = c;
    }
    out[n] = '\0';
    return true;
}

/* --- records -------------------------------------------------------------- */

static int add_record(struct zone *z, const struct record *r)
{
    if (z->n == z->room) {
        size_t room = z->room == 0 ? 64 : z->room * 2;
        struct record *p = realloc(z->records, room * sizeof *p);

        if (p == NULL)
            return -ENOMEM;
        z->records = p;
        z->room = room;
    }
    z->records[z->n++] = *r;
    return 0;
}

/* owner's suffix and the host of the RDATA. NULL, or why not. */
static const char *read_srv(const struct name *owner, const uint8_t *rdata, size_t len,
                            struct record *r)
{
    struct cursor c = cursor_make(rdata, len);
    const char *why;
    struct name suffix;
    char text[NAME_TEXT];

    *r = (struct record){.host = {.probe = true}};
    name_parent(owner, 2, &suffix);
    if (suffix.labels > 0 && suffix.at[0] == 1 && suffix.at[1] == '*')
        return "the name has a wildcard below _vlmcs._tcp, which matches no question";
    if (suffix_parse(&r->suffix, name_print(&suffix, text), &why) != 0)
        return why;
    r->host.priority = cursor_u16(&c);
    r->host.weight = cursor_u16(&c);
    r->host.port = cursor_u16(&c);
    name_read(&c, &r->host.target);
    if (c.bad)
        return "this is not a whole SRV record";
    if (r->host.port == 0)
        return "the record has port 0, where no client can connect";
    return host_target_check(name_print(&r->host.target, text), &r->host.target);
}

static int read_line(struct zone *z, struct zone_state *state, const char *text, unsigned line,
                     uint8_t *rdata)
{
    uint16_t type, class;
    const char *why = NULL;
    char name[NAME_TEXT];
    struct name owner;
    struct record r;
    size_t rdlen;
    uint32_t ttl;
    int rc = zone_line_parse(state, text, &owner, &type, &class, &ttl, rdata, &rdlen, &why);

    if (rc == 1)
        return 0;
    if (rc != 0) {
        diags_add(z->d, z->file, line, 0, "%s", why != NULL ? why : "is not a record");
        z->bad = true;
        return 0;
    }
    if (type != TYPE_SRV || class != CLASS_IN || !name_is_vlmcs(&owner)) {
        z->skipped++;
        return 0;
    }
    if (rdlen == 7 && rdata[6] == 0) { /* target "." says "no service here": nothing to fill */
        z->skipped++;
        return 0;
    }
    why = read_srv(&owner, rdata, rdlen, &r);
    r.line = line;
    if (why == NULL)
        return add_record(z, &r);
    diags_add(z->d, z->file, line, 0, "%s: %s", name_print(&owner, name), why);
    z->bad = true;
    return 0;
}

static int read_lines(struct zone *z, const char *text, size_t len)
{
    enum { RDATA = 65535 };
    const char *at = text;
    struct zone_state state = {0};
    unsigned line = 1, begin;
    char *buf = malloc(len + 2);
    uint8_t *rdata = malloc(RDATA);
    int rc = buf == NULL || rdata == NULL ? -ENOMEM : 0;

    while (rc == 0 && next_line(&at, text + len, buf, &line, &begin))
        rc = read_line(z, &state, buf, begin, rdata);
    free(buf);
    free(rdata);
    return rc;
}

/* --- grouping ------------------------------------------------------------- */

static int host_order(const struct policy_host *a, const struct policy_host *b)
{
    int c = policy_target_compare(&a->target, &b->target);

    if (c == 0)
        c = (int)a->port - (int)b->port;
    if (c == 0)
        c = (int)a->priority - (int)b->priority;
    return c != 0 ? c : (int)a->weight - (int)b->weight;
}

static int by_record(const void *a, const void *b)
{
    const struct record *x = a, *y = b;
    int c = suffix_compare(&x->suffix, &y->suffix);

    return c != 0 ? c : host_order(&x->host, &y->host);
}

static int by_hosts(const void *a, const void *b)
{
    const struct group *x = a, *y = b;

    for (size_t i = 0; i < x->n && i < y->n; i++) {
        int c = host_order(&x->at[i].host, &y->at[i].host);

        if (c != 0)
            return c;
    }
    return x->n < y->n ? -1 : x->n > y->n ? 1 : 0;
}

static int make_groups(struct zone *z)
{
    size_t kept = 0;

    if (z->n == 0)
        return 0;
    qsort(z->records, z->n, sizeof *z->records, by_record);
    for (size_t i = 0; i < z->n; i++)
        if (kept == 0 || by_record(&z->records[kept - 1], &z->records[i]) != 0)
            z->records[kept++] = z->records[i];
    z->n = kept;
    z->groups = calloc(z->n, sizeof *z->groups);
    if (z->groups == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < z->n; i++) {
        if (i == 0 || suffix_compare(&z->records[i - 1].suffix, &z->records[i].suffix) != 0)
            z->groups[z->n_groups++].at = &z->records[i];
        z->groups[z->n_groups - 1].n++;
    }
    qsort(z->groups, z->n_groups, sizeof *z->groups, by_hosts);
    return 0;
}

void policy_pool_name(const struct name *target, char out[POLICY_NAME])
{
    size_t n = 0;

    for (size_t i = 0; i < target->at[0] && n < BASE_NAME; i++) {
        uint8_t c = name_fold_octet(target->at[1 + i]);
        bool ok =
            (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (n > 0 && (c == '-' || c == '_'));

        if (ok)
            out[n++] = (char)c;
    }
    out[n] = '\0';
    if (n == 0 || strcmp(out, "any") == 0)
        str_copy(out, POLICY_NAME, "kms");
}

/* One pool and its rule from a run of groups with equal hosts. */
static int add_pool(struct zone *z, const struct group *g, size_t n, struct policy *out)
{
    struct policy_pool *p = &out->pools[out->n_pools];
    struct policy_rule *r = &out->rules[out->n_rules];
    struct diags own;

    p->place.line = g->at->line;
    policy_pool_name(&g->at->host.target, p->name);
    policy_rule_init(r, "");
    r->place.line = r->pool_place.line = g->at->line;
    p->hosts = calloc(g->n, sizeof *p->hosts);
    r->suffixes = calloc(n, sizeof *r->suffixes);
    out->n_pools++;
    out->n_rules++;
    if (p->hosts == NULL || r->suffixes == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < g->n; i++)
        p->hosts[p->n++] = g->at[i].host;
    for (size_t i = 0; i < n; i++)
        r->suffixes[r->n_suffixes++] = g[i].at->suffix;
    diags_init(&own);
    policy_pool_check(p, &own);
    for (size_t i = 0; i < own.n; i++)
        diags_add(z->d, z->file, p->place.line, 0, "%s", own.at[i].text);
    z->bad = z->bad || own.all > 0;
    diags_fini(&own);
    return 0;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static int by_pool_name(const void *a, const void *b)
{
    const struct policy_pool *x = *(struct policy_pool *const *)a,
                             *y = *(struct policy_pool *const *)b;
    int c = strcmp(x->name, y->name);

    return c != 0 ? c : x < y ? -1 : x > y ? 1 : 0; /* by place in the array: stable */
}

/* Pools of equal name get -2, -3, ... unless such a name is there by itself. */
static int number_names(struct policy *out)
{
    size_t n = out->n_pools;
    char(*names)[POLICY_NAME] = calloc(n + 1, sizeof *names);
    struct policy_pool **order = calloc(n + 1, sizeof *order);
    bool ok = names != NULL && order != NULL;
    char text[POLICY_NAME + 16];
    unsigned number = 1;

    for (size_t i = 0; i < n && ok; i++)
        order[i] = &out->pools[i];
    if (ok)
        qsort(order, n, sizeof *order, by_pool_name);
    for (size_t i = 0; i < n && ok; i++)
        memcpy(names[i], order[i]->name, POLICY_NAME);
    for (size_t i = 1; i < n && ok; i++) {
        if (strcmp(names[i], names[i - 1]) != 0) {
            number = 1;
            continue;
        }
        do
            snprintf(text, sizeof text, "%s-%u", names[i], ++number);
        while (bsearch(text, names, n, sizeof *names, by_text) != NULL);
        str_copy(order[i]->name, POLICY_NAME, text);
    }
    free(order);
    free(names);
    return ok ? 0 : -ENOMEM;
}

static int make_policy(struct zone *z, struct policy *out)
{
    size_t end;
    int rc = 0;

    out->pools = calloc(z->n_groups + 1, sizeof *out->pools);
    out->rules = calloc(z->n_groups + 1, sizeof *out->rules);
    if (out->pools == NULL || out->rules == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < z->n_groups && rc == 0; i = end) {
        for (end = i + 1; end < z->n_groups && by_hosts(&z->groups[i], &z->groups[end]) == 0;)
            end++;
        rc = add_pool(z, &z->groups[i], end - i, out);
    }
    if (rc == 0)
        rc = number_names(out);
    for (size_t i = 0; i < out->n_rules && rc == 0; i++) {
        struct policy_rule *r = &out->rules[i];
        struct str s;

        memcpy(r->pool, out->pools[i].name, POLICY_NAME);
        str_init(&s, r->name, sizeof r->name);
        str_addf(&s, "fill-%s", r->pool);
    }
    return rc;
}

int policy_zone_read(struct policy *out, const char *file, const char *text, size_t len,
                     size_t *skipped, struct diags *d)
{
    struct zone z = {.file = file, .d = d};
    struct policy p;
    int rc = read_lines(&z, text, len);

    policy_init(&p);
    if (rc == 0 && file != NULL && (p.file = strdup(file)) == NULL)
        rc = -ENOMEM;
    if (rc == 0)
        rc = make_groups(&z);
    if (rc == 0)
        rc = make_policy(&z, &p);
    if (rc == 0 && z.bad)
        rc = -EINVAL;
    free(z.groups);
    free(z.records);
    *skipped = z.skipped;
    if (rc != 0) {
        policy_fini(&p);
        return rc;
    }
    policy_sort(&p);
    *out = p;
    return 0;
}

/* --- out ------------------------------------------------------------------ */

/* A zone says nothing of networks, of modes or of what is withheld. NULL, or
 * why the rule cannot be a zone's lines. */
static const char *not_in_zone(const struct policy_rule *r)
{
    if (!policy_actions[r->action].has_pool)
        return "its action delivers no pool";
    if (r->mode != MODE_LIVE)
        return "its mode is not live";
    for (size_t i = 0; i < r->n_networks; i++)
        if (strcmp(r->networks[i], "any") == 0)
            return NULL;
    return r->n_networks > 0 ? "it is for some networks only" : NULL;
}

static void write_records(const struct policy_rule *r, const struct policy_pool *p, FILE *f)
{
    char name[NAME_TEXT], text[SUFFIX_TEXT];

    for (size_t i = 0; i < r->n_suffixes; i++) {
        const struct suffix *s = &r->suffixes[i];

        suffix_print(s, text);
        if (s->kind == SUFFIX_ANY || s->kind == SUFFIX_BELOW) {
            fprintf(f, "; %s of rule %s: a zone has no such line\n", text, r->name);
            continue;
        }
        for (size_t k = 0; k < p->n; k++) {
            const struct policy_host *h = &p->hosts[k];

            fprintf(f, "_vlmcs._tcp.%s%s %u IN SRV %u %u %u %s.\n",
                    s->kind == SUFFIX_BARE ? "" : text, s->kind == SUFFIX_BARE ? "" : ".", r->ttl,
                    (unsigned)h->priority, (unsigned)h->weight, (unsigned)h->port,
                    name_print(&h->target, name));
        }
    }
}

int policy_zone_write(const struct policy *p, FILE *f)
{
    for (size_t i = 0; i < p->n_rules; i++) {
        const struct policy_rule *r = &p->rules[i];
        const char *why = not_in_zone(r);
        const struct policy_pool *pool = policy_find_pool(p, r->pool);

        if (why == NULL && pool == NULL)
            why = "its pool is missing";
        if (why != NULL)
            fprintf(f, "; rule %s is left out: %s\n", r->name, why);
        else
            write_records(r, pool, f);
    }
    return ferror(f) ? -EIO : 0;
}
