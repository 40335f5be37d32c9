/* SPDX-License-Identifier: BSD-2-Clause
 *
 * zone.c -- SRV lines of a zone file, in and out.
 *
 *   text ──▶ logical lines ──ldns──▶ records (suffix, host) ──sort──▶ groups: a
 *   suffix and its hosts ──sort by hosts──▶ a run of equal hosts is a pool,
 *   and its suffixes are the rule fill-POOL
 *
 * Only _vlmcs._tcp SRV records in class IN are taken; others are counted. Lines
 * are joined and directives obeyed here: ldns takes a relative $ORIGIN for an
 * absolute one, a first record without a name for the root's, and does not say
 * in which line a record began.
 */
#include "ctl/policy.h"

#include <errno.h>
#include <malloc.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <ldns/ldns.h>

#include "base/str.h"
#include "wire/pack.h"
#include "wire/present.h"

enum { LINE = 8192, BASE_NAME = 48 /* leaves room for "fill-" and a number */, RECORDS = 4096 };

struct record {
    struct suffix suffix;
    const struct policy_host *host; /* in the tree, where each is once */
    unsigned line;
};
struct group {
    const struct record *records;
    size_t n;
};

struct zone {
    const char *file; /* borrowed */
    struct diags *d;
    ldns_rdf *origin, *previous;
    uint32_t ttl;
    void *hosts;            /* tree, owned */
    struct record *records; /* owned */
    size_t n, skipped;
};

/* --- lines ---------------------------------------------------------------- */

/* The next line without its comment, with what stands in parentheses joined to
 * it (RFC 1035 5.1). Moves *at behind it and counts lines. False: it is too long. */
static bool next_line(const char **at, const char *end, char out[LINE], unsigned *line)
{
    bool quoted = false, comment = false;
    unsigned depth = 0;
    struct str s;

    str_init(&s, out, LINE);
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
            str_addf(&s, "%c", c);
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
        str_addf(&s, "%c", c);
    }
    return !s.cut;
}

/* $ORIGIN or $TTL. NULL, or what is wrong. */
static const char *read_directive(struct zone *z, char *line)
{
    const char *word = strtok_r(line, " \t", &line), *value = strtok_r(line, " \t", &line), *end;
    ldns_rdf *origin;

    if (strcasecmp(word, "$TTL") == 0) {
        z->ttl = value != NULL ? ldns_str2period(value, &end) : 0;
        return value == NULL || value[0] < '0' || value[0] > '9' || *end != '\0'
                   ? "$TTL needs a number of seconds"
                   : NULL;
    }
    if (strcasecmp(word, "$ORIGIN") != 0)
        return "only $ORIGIN and $TTL are read";
    origin = value != NULL ? ldns_dname_new_frm_str(value) : NULL;
    if (origin == NULL)
        return "$ORIGIN needs a domain name";
    if (!ldns_dname_str_absolute(value) &&
        (z->origin == NULL || ldns_dname_cat(origin, z->origin) != LDNS_STATUS_OK)) {
        ldns_rdf_deep_free(origin);
        return "$ORIGIN needs a name that ends with a dot";
    }
    ldns_rdf_deep_free(z->origin);
    z->origin = origin;
    return NULL;
}

/* --- records -------------------------------------------------------------- */

static int by_target(const void *a, const void *b)
{
    const struct policy_host *x = a, *y = b;
    int c = policy_target_compare(&x->target, &y->target);

    if (c == 0)
        c = (int)x->port - (int)y->port;
    if (c == 0)
        c = (int)x->priority - (int)y->priority;
    return c != 0 ? c : (int)x->weight - (int)y->weight;
}

static bool read_name(const ldns_rdf *rdf, struct name *out)
{
    struct cursor c = cursor_make(ldns_rdf_data(rdf), ldns_rdf_size(rdf));

    name_read(&c, out);
    return !c.bad && cursor_left(&c) == 0;
}

/* NULL, or why the record is refused. */
static const char *read_record(struct zone *z, const ldns_rr *rr, const struct name *owner,
                               unsigned line)
{
    struct record r = {.line = line};
    struct policy_host host = {.probe = true}, *kept, **known;
    char text[NAME_TEXT];
    struct name name;
    const char *why;

    if (ldns_rr_get_type(rr) != LDNS_RR_TYPE_SRV || ldns_rr_get_class(rr) != LDNS_RR_CLASS_IN ||
        !name_is_vlmcs(owner) || /* "." says "no service here" */
        (ldns_rr_rd_count(rr) == 4 && ldns_rdf_size(ldns_rr_rdf(rr, 3)) == 1)) {
        z->skipped++;
        return NULL;
    }
    if (ldns_rr_rd_count(rr) != 4 || !read_name(ldns_rr_rdf(rr, 3), &name))
        return "the data of the record does not fit its type";
    host.priority = ldns_rdf2native_int16(ldns_rr_rdf(rr, 0));
    host.weight = ldns_rdf2native_int16(ldns_rr_rdf(rr, 1));
    host.port = ldns_rdf2native_int16(ldns_rr_rdf(rr, 2));
    why = host_target_check(name_print(&name, text), &host.target);
    name_parent(owner, 2, &name);
    if (name.labels > 0 && name.data[0] == 1 && name.data[1] == '*')
        why = "the name has a wildcard below _vlmcs._tcp, which matches no question";
    if (why == NULL)
        why = suffix_parse(&r.suffix, name_print(&name, text));
    if (why != NULL)
        return why;
    known = tfind(&host, &z->hosts, by_target);
    if (known == NULL) {
        kept = ctl_alloc(NULL, sizeof *kept);
        *kept = host;
        known = tsearch(kept, &z->hosts, by_target);
    }
    if (known == NULL)
        return "out of memory";
    r.host = *known;
    if (z->n % RECORDS == 0)
        z->records = ctl_alloc(z->records, (z->n + RECORDS) * sizeof *z->records);
    z->records[z->n++] = r;
    return NULL;
}

/* What is wrong is told. */
static void read_line(struct zone *z, char *text, unsigned line)
{
    struct name owner = {.labels = 0};
    const char *why = NULL;
    char name[NAME_TEXT];
    ldns_status status;
    ldns_rr *rr;

    if (text[strspn(text, " \t")] == '\0')
        return;
    if (text[0] == '$') {
        why = read_directive(z, text);
    } else if ((text[0] == ' ' || text[0] == '\t') && z->previous == NULL) {
        why = "the first record needs a name";
    } else {
        status = ldns_rr_new_frm_str(&rr, text, z->ttl, z->origin, &z->previous);
        if (status != LDNS_STATUS_OK) { /* then ldns has freed it */
            why = ldns_get_errorstr_by_id(status);
        } else {
            (void)read_name(ldns_rr_owner(rr), &owner); /* ldns made it */
            why = read_record(z, rr, &owner, line);
            ldns_rr_free(rr);
        }
    }
    if (why != NULL)
        diags_add(z->d, z->file, line, 0, "%s%s%s",
                  owner.labels > 0 ? name_print(&owner, name) : "", owner.labels > 0 ? ": " : "",
                  why);
}

/* --- grouping ------------------------------------------------------------- */

static int by_record(const void *a, const void *b)
{
    const struct record *x = a, *y = b;
    int c = suffix_compare(&x->suffix, &y->suffix);

    return c != 0 || x->host == y->host ? c : by_target(x->host, y->host);
}

static int by_hosts(const void *a, const void *b)
{
    const struct group *x = a, *y = b;

    for (size_t i = 0; i < x->n && i < y->n; i++)
        if (x->records[i].host != y->records[i].host)
            return by_target(x->records[i].host, y->records[i].host);
    return (x->n > y->n) - (x->n < y->n);
}

void zone_pool_name(const struct name *target, char out[POLICY_NAME])
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

/* Names the pools after their first hosts, and the rules after the pools. Pools of
 * equal name get -2, -3, ... unless such a name is there by itself. */
static void name_pools(struct policy *p)
{
    struct taken {
        char name[POLICY_NAME];
        struct taken *first; /* that wanted the name */
        unsigned n;          /* how many did */
    } *taken = ctl_alloc(NULL, p->n_pools * sizeof *taken), **t;
    void *tree = NULL;
    struct str s;

    for (size_t i = 0; i < p->n_pools; i++) {
        zone_pool_name(&p->pools[i].hosts->target, taken[i].name);
        t = tsearch(&taken[i], &tree, policy_name_compare);
        taken[i].first = t != NULL ? *t : &taken[i];
        taken[i].n = 1;
    }
    for (size_t i = 0; i < p->n_pools; i++) {
        struct taken *first = taken[i].first;

        for (t = &first; t != NULL && *t != &taken[i];
             t = tsearch(&taken[i], &tree, policy_name_compare)) {
            str_init(&s, taken[i].name, POLICY_NAME);
            str_addf(&s, "%s-%u", first->name, ++first->n);
        }
        memcpy(p->pools[i].name, taken[i].name, POLICY_NAME);
        memcpy(p->rules[i].pool, taken[i].name, POLICY_NAME);
        str_init(&s, p->rules[i].name, POLICY_NAME);
        str_addf(&s, "fill-%s", taken[i].name);
    }
    for (size_t i = 0; i < p->n_pools; i++)
        (void)tdelete(&taken[i], &tree, policy_name_compare);
    free(taken);
}

static void make_policy(struct zone *z, struct policy *out)
{
    struct group *groups = ctl_alloc(NULL, z->n * sizeof *groups), *end;
    size_t kept = 0, n = 0;
    struct diags own;

    out->pools = ctl_alloc(NULL, z->n * sizeof *out->pools);
    out->rules = ctl_alloc(NULL, z->n * sizeof *out->rules);
    if (z->n > 0)
        qsort(z->records, z->n, sizeof *z->records, by_record);
    for (size_t i = 0; i < z->n; i++) {
        const struct record *r = &z->records[i], *last = kept > 0 ? &z->records[kept - 1] : NULL;

        if (last != NULL && by_record(last, r) == 0)
            continue;
        if (last == NULL || suffix_compare(&last->suffix, &r->suffix) != 0)
            groups[n++] = (struct group){.records = &z->records[kept]};
        groups[n - 1].n++;
        z->records[kept++] = *r;
    }
    if (n > 0)
        qsort(groups, n, sizeof *groups, by_hosts);
    for (struct group *g = groups; g < groups + n; g = end) { /* a run of equal hosts */
        struct policy_pool *p = &out->pools[out->n_pools++];
        struct policy_rule *r = &out->rules[out->n_rules++];

        for (end = g + 1; end < groups + n && by_hosts(g, end) == 0;)
            end++;
        *p = (struct policy_pool){.hosts = ctl_alloc(NULL, g->n * sizeof *p->hosts),
                                  .place = {.line = g->records->line}};
        while (p->n < g->n) {
            p->hosts[p->n] = *g->records[p->n].host;
            p->n++;
        }
        policy_rule_init(r, "");
        r->place = r->pool_place = p->place;
        r->suffixes = ctl_alloc(NULL, (size_t)(end - g) * sizeof *r->suffixes);
        for (const struct group *one = g; one < end; one++)
            r->suffixes[r->n_suffixes++] = one->records->suffix;
    }
    free(groups);
    name_pools(out);
    for (const struct policy_pool *p = out->pools; p < out->pools + out->n_pools; p++) {
        diags_init(&own);
        policy_pool_check(p, &own);
        for (size_t i = 0; i < own.n; i++)
            diags_add(z->d, z->file, p->place.line, 0, "%s", own.list[i]);
        diags_fini(&own);
    }
}

int zone_read(struct policy *out, const char *file, const char *text, size_t len, size_t *skipped,
              struct diags *d)
{
    struct zone z = {.file = file, .d = d, .ttl = POLICY_TTL_DEFAULT};
    const char *pos = text;
    size_t before = d->all;
    char buf[LINE];

    /* ldns allocates three times 64 KB a record, and gives them back: let them
     * stay with the process. A million records: 20 s, then 4 s. */
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    for (unsigned line = 1, next = 1; pos < text + len; line = next)
        if (next_line(&pos, text + len, buf, &next))
            read_line(&z, buf, line);
        else
            diags_add(d, file, line, 0, "the line is longer than 8,190 octets");
    *out = (struct policy){.file = ctl_text("%s", file)};
    make_policy(&z, out);
    if (skipped != NULL)
        *skipped = z.skipped;
    free(z.records);
    tdestroy(z.hosts, free);
    ldns_rdf_deep_free(z.origin);
    ldns_rdf_deep_free(z.previous);
    policy_sort(out);
    if (d->all == before)
        return 0;
    policy_fini(out);
    return -EINVAL;
}

/* --- out ------------------------------------------------------------------ */

int zone_write(const struct policy *p, FILE *f)
{
    char name[NAME_TEXT], text[SUFFIX_TEXT];

    for (const struct policy_rule *r = p->rules; r < p->rules + p->n_rules; r++) {
        const struct policy_pool *pool = policy_find(p, POLICY_POOL, r->pool);
        bool any = r->n_networks == 0;
        const char *why;

        for (size_t i = 0; i < r->n_networks; i++)
            any |= strcmp(r->networks[i], "any") == 0;
        why = !policy_actions[r->action].has_pool ? "its action delivers no pool"
              : r->mode != MODE_LIVE              ? "its mode is not live"
              : !any                              ? "it is for some networks only"
              : pool == NULL                      ? "its pool is missing"
                                                  : NULL;
        if (why != NULL) {
            fprintf(f, "; rule %s is left out: %s\n", r->name, why);
            continue;
        }
        for (const struct suffix *s = r->suffixes; s < r->suffixes + r->n_suffixes; s++) {
            suffix_print(s, text);
            if (s->kind == SUFFIX_ANY || s->kind == SUFFIX_BELOW) {
                fprintf(f, "; %s of rule %s: a zone has no such line\n", text, r->name);
                continue;
            }
            for (const struct policy_host *h = pool->hosts; h < pool->hosts + pool->n; h++)
                fprintf(f, "_vlmcs._tcp.%s%s %u IN SRV %u %u %u %s.\n",
                        s->kind == SUFFIX_BARE ? "" : text, s->kind == SUFFIX_BARE ? "" : ".",
                        r->ttl, (unsigned)h->priority, (unsigned)h->weight, (unsigned)h->port,
                        name_print(&h->target, name));
        }
    }
    return ferror(f) ? -EIO : 0;
}
