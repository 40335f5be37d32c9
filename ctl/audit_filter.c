/* SPDX-License-Identifier: BSD-2-Clause
 *
 * audit_filter.c -- what the options of the audit verbs ask for, as conditions
 * of SQL with bound parameters.
 */
#include "ctl/audit.h"

#include <stdlib.h>
#include <string.h>

#include "audit/event.h"
#include "base/addr.h"
#include "base/number.h"
#include "wire/present.h"

/* --- reading: one function an option, which is given each of its values --------- */

static int read_time(struct ctl *c, const char *option, uint64_t *out)
{
    const char *text = ctl_option(c, option);

    if (text != NULL && time_parse(out, text, c->now.wall_ms) != 0)
        return ctl_fail(EXIT_USAGE,
                        "%s %s: not a time (2026-11-22, \"2026-11-22 09:00\", 09:00, 7d)", option,
                        text);
    return 0;
}

static int read_client(struct audit_term *t, const char *text)
{
    struct prefix prefix;

    t->value = ctl_text("%s", text);
    return prefix_parse(&prefix, text) == 0
               ? 0
               : ctl_fail(EXIT_USAGE, "--client %s: not an address or prefix", text);
}

static int read_word(struct audit_term *t, const char *text)
{
    t->value = ctl_text("%s", text);
    return 0;
}

/* Also the whole name, as it stands in an event. */
static int read_suffix(struct audit_term *t, const char *text)
{
    bool below = strncmp(text, "*.", 2) == 0;
    struct name name, whole;
    char suffix[NAME_TEXT];

    if (name_parse(&whole, below ? text + 2 : text) != 0)
        return ctl_fail(EXIT_USAGE, "--suffix %s: not a domain name", text);
    name_fold(&whole);
    if (name_is_vlmcs(&whole))
        name_parent(&whole, 2, &name);
    else
        name = whole;
    t->value = ctl_text("%s%s", below ? "." : "", name_print(&name, suffix));
    if (below)
        t->events = t->own = "below(suffix,?)";
    return 0;
}

static int read_outcome(struct audit_term *t, const char *text)
{
    const char *nearest;

    t->value = ctl_text("%s", text);
    for (unsigned i = 1; i < OUTCOMES; i++)
        if (strcmp(text, outcome_names[i]) == 0)
            return 0;
    nearest = diag_nearest(text, outcome_names + 1);
    return ctl_fail(EXIT_USAGE, "--outcome %s: no such outcome%s%s%s", text,
                    nearest ? ", did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
}

/* As it stands between spaces in a list: " kms01.contoso.com:1688 ", or without the port. */
static int read_target(struct audit_term *t, const char *text)
{
    const char *colon = strchr(text, ':');
    char *host =
        ctl_text("%.*s", (int)(colon != NULL ? (size_t)(colon - text) : strlen(text)), text);
    char target[NAME_TEXT];
    uint64_t port = 0;
    struct name name;
    int rc = name_parse(&name, host);

    free(host);
    if (rc != 0 ||
        (colon != NULL && (number_parse(&port, colon + 1, UINT16_MAX) != 0 || port == 0)))
        return ctl_fail(EXIT_USAGE, "--target %s: not a HOST or HOST:PORT", text);
    name_fold(&name);
    t->value = colon != NULL ? ctl_text(" %s:%u ", name_print(&name, target), (unsigned)port)
                             : ctl_text(" %s:", name_print(&name, target));
    return 0;
}

static const struct reader {
    const char *name;
    enum audit_option option;
    int (*read)(struct audit_term *, const char *);
    const char *events, *own;
} readers[] = {
    {"--client", OF_CLIENT, read_client, "within(address,?)", "within(address,?)"},
    {"--network", OF_NETWORK, read_word, "instr(' '||networks||' ',' '||?||' ')>0", NULL},
    {"--suffix", OF_SUFFIX, read_suffix, "suffix=?", "suffix=?"},
    {"--outcome", OF_OUTCOME, read_outcome, "outcome=?", NULL},
    {"--rule", OF_RULE, read_word, "rule=?", "rule=?"},
    {"--target", OF_TARGET, read_target, "instr(lower(' '||real_hosts||' '||answer||' '),?)>0",
     "instr(' '||target||' ',?)>0"},
};

static int read_order(struct ctl *c, struct audit_filter *f)
{
    const char *limit = ctl_option(c, "--limit");

    f->sort = ctl_option(c, "--sort");
    if (f->sort != NULL && (f->sort[0] == '+' || f->sort[0] == '-')) {
        f->order_given = true;
        f->ascending = *f->sort++ == '+';
    }
    f->limit_given = limit != NULL;
    if (limit != NULL && number_parse(&f->limit, limit, INT32_MAX) != 0)
        return ctl_fail(EXIT_USAGE, "--limit %s: not a number", limit);
    return 0;
}

static int read_terms(struct ctl *c, struct audit_filter *f, const struct reader *r)
{
    const char *text;
    int rc;

    for (int n = 0; (text = ctl_option_at(c, r->name, n)) != NULL; n++) {
        struct audit_term *t = &f->terms[f->n_terms];

        if (n == AUDIT_FILTERS)
            return ctl_fail(EXIT_USAGE, "%s: at most %d times", r->name, AUDIT_FILTERS);
        *t = (struct audit_term){.option = r->option, .events = r->events, .own = r->own};
        f->n_terms++;
        f->given |= r->option;
        if ((rc = r->read(t, text)) != 0)
            return rc;
    }
    return 0;
}

int audit_filter_read(struct ctl *c, struct audit_filter *f)
{
    int rc;

    memset(f, 0, sizeof *f);
    if ((rc = read_time(c, "--since", &f->since_ms)) != 0 ||
        (rc = read_time(c, "--until", &f->until_ms)) != 0 || (rc = read_order(c, f)) != 0)
        return rc;
    if (f->until_ms > 0 && f->since_ms >= f->until_ms)
        return ctl_fail(EXIT_USAGE, "--since is not before --until");
    for (size_t i = 0; i < ARRAY_LEN(readers) && rc == 0; i++)
        rc = read_terms(c, f, &readers[i]);
    f->names = ctl_option(c, "--names") != NULL;
    f->no_host = ctl_option(c, "--no-host") != NULL;
    return rc;
}

void audit_filter_free(struct audit_filter *f)
{
    for (int i = 0; i < f->n_terms; i++)
        free(f->terms[i].value);
    f->n_terms = 0;
}

/* --- statements ------------------------------------------------------------------------ */

void audit_sql_begin(struct audit_sql *q, const char *text)
{
    str_init(&q->text, q->buf, sizeof q->buf);
    q->n = 0;
    str_add(&q->text, text);
}

void audit_sql_add(struct audit_sql *q, const char *text, int64_t number)
{
    str_add(&q->text, text);
    q->values[q->n++] = (struct audit_value){.number = number};
}

void audit_sql_filter(struct audit_sql *q, const struct audit_filter *f, unsigned options, bool own)
{
    unsigned open = 0;

    for (int i = 0; i < f->n_terms; i++) { /* those of one option stand together */
        const struct audit_term *t = &f->terms[i];

        if (!(options & t->option))
            continue;
        str_addf(&q->text, "%s%s",
                 open == t->option ? " OR "
                 : open != 0       ? ") AND ("
                                   : " AND (",
                 own ? t->own : t->events);
        q->values[q->n++] = (struct audit_value){.text = t->value};
        open = t->option;
    }
    if (open != 0)
        str_add(&q->text, ")");
}

void audit_sql_events(struct audit_sql *q, const struct audit_filter *f)
{
    if (f->since_ms > 0)
        audit_sql_add(q, " AND ms>=?", (int64_t)f->since_ms);
    if (f->until_ms > 0)
        audit_sql_add(q, " AND ms<?", (int64_t)f->until_ms);
    audit_sql_filter(q, f, OF_ALL, false);
}
