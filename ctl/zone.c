/* SPDX-License-Identifier: BSD-2-Clause
 *
 * zone.c -- SRV lines of a zone file, in and out.
 *
 *   text ──▶ logical lines ──▶ records (suffix, host) ──sort──▶ groups: a suffix and
 *   its hosts; each set of hosts is a pool, and its suffixes are the rule fill-POOL
 *
 * ldns reads the records; lines are joined and directives obeyed here: it takes a relative $ORIGIN
 * for an absolute one, a first record without a name for the root's, and does not say in which
 * line a record began.
 */
#include "ctl/policy.h"

#include <malloc.h>
#include <search.h>
#include <strings.h>

#include <ldns/ldns.h>

#include "wire/present.h"

enum { LINE = 8192, BASE_NAME = 48 /* leaves room for "fill-" and a number */, RECORDS = 4096 };

struct record {
    struct suffix *suffix;
    const struct policy_host *host; /* in the tree, where each is once */
};
struct group {
    const struct record *records;
    size_t n, rule; /* rule: its number, and that of its pool */
};

struct zone {
    ldns_rdf *origin, *previous; /* previous: the name of the record before */
    struct name owner;           /* of the record in this line; root: it is none */
    void *hosts;                 /* tree, owned */
    struct record *records;      /* owned */
    struct arena *kept;          /* borrowed: the suffixes, of the policy */
    size_t n, skipped;
};

/* Its equal in the tree, or itself when it is the first. */
static void *find_or_add(void *key, void **tree, int (*compare)(const void *, const void *))
{
    void **found = tsearch(key, tree, compare);

    if (!found)
        exit(ctl_fail(EXIT_FAILED, "out of memory"));
    return *found;
}

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
        }
        comment |= c == ';' && !quoted;
        if (comment)
            continue;
        quoted ^= c == '"';
        depth += !quoted && c == '(';
        depth -= !quoted && c == ')' && depth > 0;
        if (c == '\\' && *at < end && **at != '\n')
            str_addf(&s, "%c%c", c, *(*at)++);
        else if (memchr("\n\r", c, 3) != NULL || (!quoted && (c == '(' || c == ')')))
            str_add(&s, " ");
        else
            str_addf(&s, "%c", c);
    }
    return !s.cut;
}

static int by_target(const void *a, const void *b)
{
    const struct policy_host *x = a, *y = b;
    int c = policy_approved_compare(a, b); /* it begins alike */

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
static const char *read_record(struct zone *z, const ldns_rr *rr)
{
    const ldns_rdf *target = ldns_rr_rdf(rr, 3);
    struct policy_host host = {.probe = true}, *kept;
    char text[NAME_TEXT];
    struct suffix suffix;
    struct record r;
    struct name name;
    const char *why;

    (void)read_name(ldns_rr_owner(rr), &z->owner); /* ldns made it */
    if (ldns_rr_get_type(rr) != LDNS_RR_TYPE_SRV || ldns_rr_get_class(rr) != LDNS_RR_CLASS_IN ||
        !name_is_vlmcs(&z->owner) || /* "." says "no service here" */
        (target && ldns_rdf_size(target) == 1)) {
        z->skipped++;
        return NULL;
    }
    if (!target || !read_name(target, &name))
        return "the data of the record does not fit its type";
    host.priority = ldns_rdf2native_int16(ldns_rr_rdf(rr, 0));
    host.weight = ldns_rdf2native_int16(ldns_rr_rdf(rr, 1));
    host.port = ldns_rdf2native_int16(ldns_rr_rdf(rr, 2));
    why = host.port == 0 ? "it has port 0, where no client can connect"
                         : host_target_check(name_print(&name, text), &host.target);
    name_parent(&z->owner, 2, &name);
    if (name.labels > 0 && name.data[0] == 1 && name.data[1] == '*')
        why = "the name has a wildcard below _vlmcs._tcp, which matches no question";
    if (!why)
        why = suffix_parse(&suffix, name_print(&name, text));
    if (why)
        return why;
    r.suffix = suffix_keep(z->kept, &suffix);
    if (!r.suffix)
        exit(ctl_fail(EXIT_FAILED, "out of memory"));
    kept = ctl_alloc(NULL, sizeof *kept);
    *kept = host;
    r.host = find_or_add(kept, &z->hosts, by_target);
    if (r.host != kept)
        free(kept);
    if (z->n % RECORDS == 0)
        z->records = ctl_alloc(z->records, (z->n + RECORDS) * sizeof *z->records);
    z->records[z->n++] = r;
    return NULL;
}

/* A directive or a record. NULL, or what is wrong. */
static const char *read_line(struct zone *z, char *line)
{
    const char *why, *value;
    ldns_status status;
    ldns_rdf *origin;
    ldns_rr *rr;

    if (line[strspn(line, " \t")] == '\0' || strncasecmp(line, "$TTL", 4) == 0)
        return NULL; /* a rule has a TTL of its own */
    if (strncasecmp(line, "$ORIGIN", 7) == 0) {
        value = strtok_r(line + 7, " \t", &line);
        origin = value ? ldns_dname_new_frm_str(value) : NULL;
        if (!origin)
            return "$ORIGIN needs a domain name";
        if (!ldns_dname_str_absolute(value) &&
            (!z->origin || ldns_dname_cat(origin, z->origin) != LDNS_STATUS_OK)) {
            ldns_rdf_deep_free(origin);
            return "$ORIGIN needs a name that ends with a dot";
        }
        ldns_rdf_deep_free(z->origin);
        z->origin = origin;
        return NULL;
    }
    if (line[0] == '$')
        return "only $ORIGIN and $TTL are read";
    if ((line[0] == ' ' || line[0] == '\t') && !z->previous)
        return "the first record needs a name";
    status = ldns_rr_new_frm_str(&rr, line, POLICY_TTL_DEFAULT, z->origin, &z->previous);
    if (status != LDNS_STATUS_OK) /* then ldns has freed it */
        return ldns_get_errorstr_by_id(status);
    why = read_record(z, rr);
    ldns_rr_free(rr);
    return why;
}

static int by_record(const void *a, const void *b)
{
    const struct record *x = a, *y = b;
    int c = suffix_compare(x->suffix, y->suffix);

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

/* A pool with the hosts of the group, named after the first one, and its rule, named after the
 * pool. A name that is taken gets -2, -3, ... */
static void add_pool(struct policy *p, const struct group *g, void **names)
{
    struct taken {
        char name[POLICY_NAME];
        unsigned n; /* how many wanted it */
    } *mine = ctl_alloc(NULL, sizeof *mine), *first, *found;
    struct policy_pool *pool = &p->pools[p->n_pools++];
    struct policy_rule *r = &p->rules[p->n_rules++];

    *pool = (struct policy_pool){.hosts = ctl_alloc(NULL, g->n * sizeof *pool->hosts), .n = g->n};
    for (size_t i = 0; i < g->n; i++)
        pool->hosts[i] = *g->records[i].host;
    mine->n = 1;
    zone_pool_name(&pool->hosts->target, mine->name);
    first = found = find_or_add(mine, names, policy_name_compare);
    for (; found != mine; found = find_or_add(mine, names, policy_name_compare))
        snprintf(mine->name, POLICY_NAME, "%.*s-%u", BASE_NAME, first->name, ++first->n);
    policy_rule_init(r, "");
    snprintf(r->name, POLICY_NAME, "fill-%.58s", mine->name);
    str_copy(r->pool, POLICY_NAME, mine->name);
    str_copy(pool->name, POLICY_NAME, mine->name);
}

static void make_policy(struct zone *z, struct policy *out)
{
    size_t n = policy_sort_unique(z->records, z->n, sizeof *z->records, by_record), next;
    void *groups = NULL, *names = NULL;

    out->pools = ctl_alloc(NULL, n * sizeof *out->pools);
    out->rules = ctl_alloc(NULL, n * sizeof *out->rules);
    for (size_t i = 0; i < n; i = next) {
        struct group *g = ctl_alloc(NULL, sizeof *g), *known;
        struct policy_rule *r;

        for (next = i + 1;
             next < n && suffix_compare(z->records[i].suffix, z->records[next].suffix) == 0;)
            next++;
        *g = (struct group){&z->records[i], next - i, out->n_rules};
        known = find_or_add(g, &groups, by_hosts);
        if (known == g)
            add_pool(out, g, &names);
        else
            free(g);
        r = &out->rules[known->rule];
        if ((r->n_suffixes & (r->n_suffixes - 1)) == 0)
            r->suffixes = ctl_alloc(r->suffixes, 2 * (r->n_suffixes + 1) * sizeof *r->suffixes);
        r->suffixes[r->n_suffixes++] = z->records[i].suffix;
    }
    tdestroy(groups, free);
    tdestroy(names, free);
}

int zone_read(struct policy *out, const char *file, const char *text, size_t len, struct diags *d)
{
    const char *end = text + len, *why;
    char buf[LINE], owner[NAME_TEXT];
    struct zone z = {.kept = arena_new()};
    size_t before = d->all;

    /* ldns allocates three times 64 KB a record, and gives them back: let them
     * stay with the process. A million records: 20 s, then 4 s. */
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    *out = (struct policy){.file = ctl_text("%s", file), .kept = z.kept};
    for (unsigned line = 1, next = 1; text < end; line = next) {
        z.owner = (struct name){.len = 1};
        why = next_line(&text, end, buf, &next) ? read_line(&z, buf)
                                                : "the line is longer than 8,190 octets";
        if (why && z.owner.labels > 0)
            diags_add(d, file, line, 0, "%s: %s", name_print(&z.owner, owner), why);
        else if (why)
            diags_add(d, file, line, 0, "%s", why);
    }
    make_policy(&z, out);
    free(z.records);
    tdestroy(z.hosts, free);
    ldns_rdf_deep_free(z.origin);
    ldns_rdf_deep_free(z.previous);
    for (size_t i = 0; i < out->n_pools; i++) /* before hosts that are there twice are one */
        policy_pool_check(&out->pools[i], d);
    policy_sort(out);
    if (d->all == before)
        return (int)z.skipped;
    policy_fini(out);
    return -EINVAL;
}

int zone_write(const struct policy *p, FILE *f)
{
    char name[NAME_TEXT], text[SUFFIX_TEXT];

    for (const struct policy_rule *r = p->rules; r < p->rules + p->n_rules; r++) {
        const struct policy_pool *pool = policy_find(p, POLICY_POOL, r->pool);
        const char *why = !pool                        ? "its action delivers no pool"
                          : r->mode != MODE_LIVE       ? "its mode is not live"
                          : !policy_rule_has(r, "any") ? "it is for some networks only"
                                                       : NULL;

        if (why)
            fprintf(f, "; rule %s is left out: %s\n", r->name, why);
        for (size_t i = 0; !why && i < r->n_suffixes; i++) {
            const struct suffix *s = r->suffixes[i];
            bool bare = s->name.labels == 0;

            suffix_print(s, text);
            if (s->below)
                fprintf(f, "; %s of rule %s: a zone has no such line\n", text, r->name);
            else
                for (const struct policy_host *h = pool->hosts; h < pool->hosts + pool->n; h++)
                    fprintf(f, "_vlmcs._tcp.%s%s %u IN SRV %u %u %u %s.\n", bare ? "" : text,
                            bare ? "" : ".", r->ttl, (unsigned)h->priority, (unsigned)h->weight,
                            (unsigned)h->port, name_print(&h->target, name));
        }
    }
    return ferror(f) ? -EIO : 0;
}
