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
    void *hosts; /* tree, owned like what follows */
    struct record *records;
    size_t n, room;
    struct group *groups;
    size_t n_groups, skipped;
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

/* 0 or -ENOMEM. */
static int add_record(struct zone *z, const struct suffix *suffix, const struct policy_host *host,
                      unsigned line)
{
    const struct policy_host **known = tfind(host, &z->hosts, by_host);
    struct policy_host *made;

    if (known == NULL) {
        made = malloc(sizeof *made);
        if (made == NULL)
            return -ENOMEM;
        *made = *host;
        known = tsearch(made, &z->hosts, by_host);
        if (known == NULL) {
            free(made);
            return -ENOMEM;
        }
    }
    if (z->n == z->room) {
        size_t room = z->room == 0 ? 64 : z->room * 2;
        struct record *more = realloc(z->records, room * sizeof *more);

        if (more == NULL)
            return -ENOMEM;
        z->records = more;
        z->room = room;
    }
    z->records[z->n++] = (struct record){*suffix, *known, line};
    return 0;
}

/* NULL, or why the record of a discovery name is refused. */
static const char *read_srv(const ldns_rr *rr, const struct name *owner, struct suffix *suffix,
                            struct policy_host *host)
{
    char text[NAME_TEXT];
    struct name below;
    const char *why;

    name_parent(owner, 2, &below);
    if (below.labels > 0 && below.at[0] == 1 && below.at[1] == '*')
        return "the name has a wildcard below _vlmcs._tcp, which matches no question";
    if (suffix_parse(suffix, name_print(&below, text), &why) != 0)
        return why;
    *host = (struct policy_host){.probe = true};
    host->priority = ldns_rdf2native_int16(ldns_rr_rdf(rr, 0));
    host->weight = ldns_rdf2native_int16(ldns_rr_rdf(rr, 1));
    host->port = ldns_rdf2native_int16(ldns_rr_rdf(rr, 2));
    if (!read_name(ldns_rr_rdf(rr, 3), &host->target))
        return "this is not a whole SRV record";
    if (host->port == 0)
        return "the record has port 0, where no client can connect";
    return host_target_check(name_print(&host->target, text), &host->target);
}

/* NULL, or what is wrong; *rc is -ENOMEM if that is it. */
static const char *read_line(struct zone *z, char *text, unsigned line, int *rc)
{
    static char words[NAME_TEXT + 128];
    char name[NAME_TEXT];
    struct policy_host host;
    struct suffix suffix;
    struct name owner;
    const char *why = NULL;
    ldns_rr *rr = NULL;
    ldns_status status;

    if (text[strspn(text, " \t")] == '\0')
        return NULL;
    if (text[0] == '$')
        return read_directive(z, text);
    if ((text[0] == ' ' || text[0] == '\t') && z->previous == NULL)
        return "the first record needs a name";
    status = ldns_rr_new_frm_str(&rr, text, z->ttl, z->origin, &z->previous);
    if (status != LDNS_STATUS_OK) /* then ldns has freed it */
        return ldns_get_errorstr_by_id(status);
    if (!read_name(ldns_rr_owner(rr), &owner))
        why = "the name is none";
    else if (ldns_rr_get_type(rr) != LDNS_RR_TYPE_SRV || ldns_rr_get_class(rr) != LDNS_RR_CLASS_IN ||
             !name_is_vlmcs(&owner))
        z->skipped++;
    else if (ldns_rr_rd_count(rr) != 4)
        why = "the data of the record does not fit its type";
    else if (ldns_rdf_size(ldns_rr_rdf(rr, 3)) == 1) /* "." says "no service here" */
        z->skipped++;
    else if ((why = read_srv(rr, &owner, &suffix, &host)) == NULL)
        *rc = add_record(z, &suffix, &host, line);
    else {
        snprintf(words, sizeof words, "%s: %s", name_print(&owner, name), why);
        why = words;
    }
    ldns_rr_free(rr);
    return why;
}

static int read_lines(struct zone *z, const char *text, size_t len)
{
    const char *at = text, *why;
    unsigned line = 1, begin = 1;
    char buf[LINE];
    struct str s;
    int rc = 0;

    /* ldns allocates three times 64 KB a record, and gives them back: let them
     * stay with the process. A million records: 20 s, then 4 s. */
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    for (; rc == 0; begin = line) {
        str_init(&s, buf, sizeof buf);
        if (!next_line(&at, text + len, &s, &line))
            break;
        why = s.cut ? "the line is longer than 8,190 octets" : read_line(z, buf, begin, &rc);
        if (why == NULL)
            continue;
        diags_add(z->d, z->file, begin, 0, "%s", why);
        z->bad = true;
    }
    return rc;
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

static int make_groups(struct zone *z)
{
    size_t kept = 0;

    if (z->n > 0)
        qsort(z->records, z->n, sizeof *z->records, by_record);
    for (size_t i = 0; i < z->n; i++)
        if (kept == 0 || by_record(&z->records[kept - 1], &z->records[i]) != 0)
            z->records[kept++] = z->records[i];
    z->n = kept;
    z->groups = calloc(z->n + 1, sizeof *z->groups);
    if (z->groups == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < z->n; i++) {
        if (i == 0 || suffix_compare(&z->records[i - 1].suffix, &z->records[i].suffix) != 0)
            z->groups[z->n_groups++].records = &z->records[i];
        z->groups[z->n_groups - 1].n++;
    }
    qsort(z->groups, z->n_groups, sizeof *z->groups, by_hosts);
    return 0;
}

void zone_pool_name(const struct name *target, char out[POLICY_NAME])
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
    struct policy_pool *p = &out->pools[out->n_pools++];
    struct policy_rule *r = &out->rules[out->n_rules++];
    struct diags own;

    policy_rule_init(r, "");
    p->place.line = r->place.line = r->pool_place.line = g->records->line;
    zone_pool_name(&g->records->host->target, p->name);
    p->hosts = calloc(g->n, sizeof *p->hosts);
    r->suffixes = calloc(n, sizeof *r->suffixes);
    if (p->hosts == NULL || r->suffixes == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < g->n; i++)
        p->hosts[p->n++] = *g->records[i].host;
    for (size_t i = 0; i < n; i++)
        r->suffixes[r->n_suffixes++] = g[i].records->suffix;
    diags_init(&own);
    policy_pool_check(p, &own);
    for (size_t i = 0; i < own.n; i++)
        diags_add(z->d, z->file, p->place.line, 0, "%s", own.at[i].text);
    z->bad = z->bad || own.all > 0;
    diags_fini(&own);
    return 0;
}

/* A name that is taken, and how many pools have it. */
struct taken {
    char name[POLICY_NAME + 16];
    unsigned n;
};

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Pools of equal name get -2, -3, ... unless such a name is there by itself. */
static int name_pools(struct policy *out)
{
    struct taken *taken = calloc(out->n_pools + 1, sizeof *taken), **t, next;
    void *tree = NULL;
    bool ok = taken != NULL;

    for (size_t i = 0; ok && i < out->n_pools; i++) {
        memcpy(taken[i].name, out->pools[i].name, POLICY_NAME);
        ok = tsearch(&taken[i], &tree, by_text) != NULL;
    }
    for (size_t i = 0; ok && i < out->n_pools; i++) {
        struct policy_pool *p = &out->pools[i];
        struct policy_rule *r = &out->rules[i];
        struct str s;

        t = tfind(p->name, &tree, by_text);
        if ((*t)->n++ > 0) {
            do
                snprintf(next.name, sizeof next.name, "%s-%u", p->name, (*t)->n);
            while (tfind(&next, &tree, by_text) != NULL && (*t)->n++ > 0);
            str_copy(p->name, POLICY_NAME, next.name);
        }
        memcpy(r->pool, p->name, POLICY_NAME);
        str_init(&s, r->name, sizeof r->name);
        str_addf(&s, "fill-%s", p->name);
    }
    for (size_t i = 0; taken != NULL && i < out->n_pools; i++)
        (void)tdelete(&taken[i], &tree, by_text);
    free(taken);
    return ok ? 0 : -ENOMEM;
}

static int make_policy(struct zone *z, struct policy *out)
{
    size_t end;
    int rc = make_groups(z);

    if (rc != 0)
        return rc;
    out->pools = calloc(z->n_groups + 1, sizeof *out->pools);
    out->rules = calloc(z->n_groups + 1, sizeof *out->rules);
    if (out->pools == NULL || out->rules == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < z->n_groups && rc == 0; i = end) {
        for (end = i + 1; end < z->n_groups && by_hosts(&z->groups[i], &z->groups[end]) == 0;)
            end++;
        rc = add_pool(z, &z->groups[i], end - i, out);
    }
    return rc == 0 ? name_pools(out) : rc;
}

int zone_read(struct policy *out, const char *file, const char *text, size_t len, size_t *skipped,
              struct diags *d)
{
    struct zone z = {.file = file, .d = d, .ttl = POLICY_TTL_DEFAULT};
    int rc = read_lines(&z, text, len);

    policy_init(out);
    if (rc == 0 && file != NULL && (out->file = strdup(file)) == NULL)
        rc = -ENOMEM;
    if (rc == 0)
        rc = make_policy(&z, out);
    if (rc == 0 && z.bad)
        rc = -EINVAL;
    *skipped = z.skipped;
    free(z.groups);
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

int zone_write(const struct policy *p, FILE *f)
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
