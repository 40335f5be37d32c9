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
#include "ctl/zone.h"

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

enum { LINE = 8192, BASE_NAME = 48 /* leaves room for "fill-" and a number */ };

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
    struct diags *d;  /* borrowed, may be NULL */
    ldns_rdf *origin, *previous;
    uint32_t ttl;
    void *hosts;            /* tree, owned */
    struct record *records; /* owned; room for one a line */
    size_t n, skipped;
    bool bad;
};

/* --- lines ---------------------------------------------------------------- */

/* The next line without its comment, with what stands in parentheses joined to
 * it (RFC 1035 5.1). Moves *at behind it and counts lines. False at the end. */
static bool next_line(const char **at, const char *end, struct str *out, unsigned *line)
{
    bool quoted = false, comment = false;
    unsigned depth = 0;

    if (*at == end)
        return false;
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
            str_add_bytes(out, &c, 1);
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
        str_add_bytes(out, &c, 1);
    }
    return true;
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

static int by_host(const void *a, const void *b)
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

/* NULL, or why the record is refused; *rc is -ENOMEM if that is it. */
static const char *read_record(struct zone *z, const ldns_rr *rr, const struct name *owner,
                               unsigned line, int *rc)
{
    struct record *r = &z->records[z->n];
    struct policy_host *host, **known;
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
    if (ldns_rdf2native_int16(ldns_rr_rdf(rr, 2)) == 0)
        return "the record has port 0, where no client can connect";
    host = calloc(1, sizeof *host);
    if (host == NULL) {
        *rc = -ENOMEM;
        return NULL;
    }
    host->probe = true;
    host->priority = ldns_rdf2native_int16(ldns_rr_rdf(rr, 0));
    host->weight = ldns_rdf2native_int16(ldns_rr_rdf(rr, 1));
    host->port = ldns_rdf2native_int16(ldns_rr_rdf(rr, 2));
    why = host_target_check(name_print(&name, text), &host->target);
    name_parent(owner, 2, &name);
    if (name.labels > 0 && name.data[0] == 1 && name.data[1] == '*')
        why = "the name has a wildcard below _vlmcs._tcp, which matches no question";
    else if (why == NULL)
        (void)suffix_parse(&r->suffix, name_print(&name, text), &why);
    known = why == NULL ? tsearch(host, &z->hosts, by_host) : NULL;
    if (known == NULL || *known != host)
        free(host);
    if (known == NULL) {
        *rc = why == NULL ? -ENOMEM : 0;
        return why;
    }
    r->host = *known;
    r->line = line;
    z->n++;
    return NULL;
}

/* 0 or -ENOMEM; what is wrong is told. */
static int read_line(struct zone *z, char *text, unsigned line)
{
    const char *why = NULL;
    struct name owner = {.labels = 0};
    ldns_rr *rr = NULL;
    char name[NAME_TEXT];
    ldns_status status;
    int rc = 0;

    if (text[strspn(text, " \t")] == '\0')
        return 0;
    if (text[0] == '$') {
        why = read_directive(z, text);
    } else if ((text[0] == ' ' || text[0] == '\t') && z->previous == NULL) {
        why = "the first record needs a name";
    } else {
        status = ldns_rr_new_frm_str(&rr, text, z->ttl, z->origin, &z->previous);
        if (status != LDNS_STATUS_OK) { /* then ldns has freed it */
            why = ldns_get_errorstr_by_id(status);
        } else {
            why = read_name(ldns_rr_owner(rr), &owner) ? read_record(z, rr, &owner, line, &rc)
                                                       : "the name is none";
            ldns_rr_free(rr);
        }
    }
    if (why == NULL)
        return rc;
    z->bad = true;
    diags_add(z->d, z->file, line, 0, "%s%s%s", owner.labels > 0 ? name_print(&owner, name) : "",
              owner.labels > 0 ? ": " : "", why);
    return 0;
}

/* --- grouping ------------------------------------------------------------- */

static int by_record(const void *a, const void *b)
{
    const struct record *x = a, *y = b;
    int c = suffix_compare(&x->suffix, &y->suffix);

    return c != 0 || x->host == y->host ? c : by_host(x->host, y->host);
}

static int by_hosts(const void *a, const void *b)
{
    const struct group *x = a, *y = b;

    for (size_t i = 0; i < x->n && i < y->n; i++)
        if (x->records[i].host != y->records[i].host)
            return by_host(x->records[i].host, y->records[i].host);
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

/* A name that is taken, and how many pools have it. */
struct taken {
    char name[POLICY_NAME + 16];
    unsigned n;
};

/* Pools of equal name get -2, -3, ... unless such a name is there by itself. */
static int name_pools(struct policy *out)
{
    struct taken *taken = calloc(out->n_pools + 1, sizeof *taken), **t, next;
    void *tree = NULL;
    bool ok = taken != NULL;

    for (size_t i = 0; ok && i < out->n_pools; i++) {
        memcpy(taken[i].name, out->pools[i].name, POLICY_NAME);
        ok = tsearch(&taken[i], &tree, policy_name_compare) != NULL;
    }
    for (size_t i = 0; ok && i < out->n_pools; i++) {
        struct policy_pool *p = &out->pools[i];
        struct policy_rule *r = &out->rules[i];
        struct str s;

        t = tfind(p->name, &tree, policy_name_compare);
        if ((*t)->n++ > 0) {
            do
                snprintf(next.name, sizeof next.name, "%s-%u", p->name, (*t)->n);
            while (tfind(&next, &tree, policy_name_compare) != NULL && (*t)->n++ > 0);
            str_copy(p->name, POLICY_NAME, next.name);
        }
        memcpy(r->pool, p->name, POLICY_NAME);
        str_init(&s, r->name, sizeof r->name);
        str_addf(&s, "fill-%s", p->name);
    }
    for (size_t i = 0; taken != NULL && i < out->n_pools; i++)
        (void)tdelete(&taken[i], &tree, policy_name_compare);
    free(taken);
    return ok ? 0 : -ENOMEM;
}

static int make_policy(struct zone *z, struct policy *out)
{
    struct group *groups = calloc(z->n + 1, sizeof *groups), *end;
    size_t kept = 0, n_groups = 0;
    struct diags own;

    out->pools = calloc(z->n + 1, sizeof *out->pools);
    out->rules = calloc(z->n + 1, sizeof *out->rules);
    if (groups == NULL || out->pools == NULL || out->rules == NULL)
        goto no_memory;
    qsort(z->records, z->n, sizeof *z->records, by_record);
    for (size_t i = 0; i < z->n; i++) {
        const struct record *r = &z->records[i], *last = kept > 0 ? &z->records[kept - 1] : NULL;

        if (last != NULL && by_record(last, r) == 0)
            continue;
        if (last == NULL || suffix_compare(&last->suffix, &r->suffix) != 0)
            groups[n_groups++].records = &z->records[kept];
        groups[n_groups - 1].n++;
        z->records[kept++] = *r;
    }
    qsort(groups, n_groups, sizeof *groups, by_hosts);
    for (struct group *g = groups; g < groups + n_groups; g = end) { /* a run of equal hosts */
        struct policy_pool *p = &out->pools[out->n_pools++];
        struct policy_rule *r = &out->rules[out->n_rules++];

        for (end = g + 1; end < groups + n_groups && by_hosts(g, end) == 0;)
            end++;
        policy_rule_init(r, "");
        p->place.line = r->place.line = r->pool_place.line = g->records->line;
        zone_pool_name(&g->records->host->target, p->name);
        p->hosts = calloc(g->n, sizeof *p->hosts);
        r->suffixes = calloc((size_t)(end - g), sizeof *r->suffixes);
        if (p->hosts == NULL || r->suffixes == NULL)
            goto no_memory;
        while (p->n < g->n) {
            p->hosts[p->n] = *g->records[p->n].host;
            p->n++;
        }
        for (const struct group *one = g; one < end; one++)
            r->suffixes[r->n_suffixes++] = one->records->suffix;
        diags_init(&own);
        z->bad |= policy_pool_check(p, &own) != 0;
        for (size_t i = 0; i < own.n; i++)
            diags_add(z->d, z->file, p->place.line, 0, "%s", own.list[i].text);
        diags_fini(&own);
    }
    free(groups);
    return name_pools(out);

no_memory:
    free(groups);
    return -ENOMEM;
}

int zone_read(struct policy *out, const char *file, const char *text, size_t len, size_t *skipped,
              struct diags *d)
{
    struct zone z = {.file = file, .d = d, .ttl = POLICY_TTL_DEFAULT};
    unsigned line = 1, lines = 1;
    const char *pos = text;
    char buf[LINE];
    struct str s;
    int rc;

    /* ldns allocates three times 64 KB a record, and gives them back: let them
     * stay with the process. A million records: 20 s, then 4 s. */
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    *out = (struct policy){0};
    for (size_t i = 0; i < len; i++)
        lines += text[i] == '\n';
    z.records = calloc(lines, sizeof *z.records);
    rc = z.records == NULL ? -ENOMEM : 0;
    while (rc == 0) {
        unsigned begin = line;

        str_init(&s, buf, sizeof buf);
        if (!next_line(&pos, text + len, &s, &line))
            break;
        if (!s.cut) {
            rc = read_line(&z, buf, begin);
            continue;
        }
        z.bad = true;
        diags_add(d, file, begin, 0, "the line is longer than 8,190 octets");
    }
    if (rc == 0 && file != NULL && (out->file = strdup(file)) == NULL)
        rc = -ENOMEM;
    if (rc == 0)
        rc = make_policy(&z, out);
    if (rc == 0 && z.bad)
        rc = -EINVAL;
    if (skipped != NULL)
        *skipped = z.skipped;
    free(z.records);
    tdestroy(z.hosts, free);
    ldns_rdf_deep_free(z.origin);
    ldns_rdf_deep_free(z.previous);
    if (rc == 0)
        policy_sort(out);
    else
        policy_fini(out);
    return rc;
}

/* --- out ------------------------------------------------------------------ */

int zone_write(const struct policy *p, FILE *f)
{
    char name[NAME_TEXT], text[SUFFIX_TEXT];

    for (const struct policy_rule *r = p->rules; r < p->rules + p->n_rules; r++) {
        const struct policy_pool *pool = policy_find_pool(p, r->pool);
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
