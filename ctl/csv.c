/* SPDX-License-Identifier: BSD-2-Clause
 *
 * csv.c -- policies for spreadsheets: RFC 4180 as Excel and LibreOffice write it.
 *
 * The first line names the columns, in any order. Cells are cut in the text where they stand: a
 * cell without its quotes is never longer than with them.
 */
#include "ctl/policy.h"

#include <strings.h>

enum { COLUMNS = 64, WORDS = POLICY_POOL_HOSTS + 1 };
enum { SUFFIX, POOL, HOST, NETWORK, RULE, COMMENT, KNOWN };
static const char *const column_names[KNOWN + 1] = {"suffix", "pool",    "host", "network",
                                                    "rule",   "comment", NULL};
/* Of a rule, or (hosts) of a pool: what is read from the cell of that column. */
static const char *const fields[KNOWN] = {"suffixes", "pool", "hosts", "networks", NULL, "comment"};

struct csv {
    struct import *in;
    struct form form; /* for problems */
    char *at;
    char separator;
    unsigned line, column; /* columns count characters */
    size_t n, columns;     /* cells of the row; of the first one, else COLUMNS */
    struct yaml_node cells[COLUMNS];
};

/* Moves on by an octet. */
static void step(struct csv *t)
{
    t->column += ((unsigned char)*t->at & 0xc0) != 0x80;
    if (*t->at++ != '\n')
        return;
    t->line++;
    t->column = 1;
}

/* The cell at t->at, without blanks around and the guard of a formula; true: the row goes on. */
static bool read_cell(struct csv *t, struct yaml_node *c)
{
    bool quoted = *t->at == '"', goes_on;
    char *begin = t->at, *to = begin;
    uint32_t code;

    *c = (struct yaml_node){.line = t->line, .column = t->column, .quoted = true};
    if (quoted)
        step(t);
    while (*t->at != '\0' && (quoted || (*t->at != t->separator && *t->at != '\n'))) {
        if (quoted && *t->at == '"') {
            step(t);
            quoted = *t->at == '"';
            if (!quoted)
                continue;
        }
        *to++ = *t->at;
        step(t);
    }
    goes_on = *t->at == t->separator;
    if (*t->at != '\0')
        step(t); /* before the end of the cell is written over it */
    do
        *to = '\0';
    while (to > begin && strchr(" \t\r\n", *--to) != NULL);
    begin += strspn(begin, " \t\r\n");
    c->text = begin + (*begin == '\'' && ctl_is_formula(begin));
    if (quoted)
        form_problem(&t->form, c, "a cell has quotes that do not end");
    for (size_t n = 1; *begin != '\0' && n > 0; begin += n) {
        n = (unsigned char)*begin < 0x80 ? 1 : str_utf8((unsigned char *)begin, &code);
        if (n == 0)
            form_problem(&t->form, c, "a cell is not UTF-8; save the table as \"CSV UTF-8\"");
    }
    return goes_on;
}

/* The next row that is not empty; false: there is none. */
static bool read_row(struct csv *t)
{
    bool empty = true, goes_on;
    struct yaml_node beyond = {.n = 0};

    while (empty && *t->at != '\0') {
        t->n = 0;
        do {
            struct yaml_node *c = t->n < t->columns ? &t->cells[t->n++] : &beyond;

            goes_on = read_cell(t, c);
            empty = empty && c->text[0] == '\0';
            if (c == &beyond && c->text[0] != '\0')
                form_problem(&t->form, c, "a cell stands beyond the last column");
        } while (goes_on);
        import_progress(t->in, t->at);
    }
    return !empty;
}

/* Which cell of a row is what (SIZE_MAX: none), and the separator: the first one of the line, or as
 * Excel says it in a line before (sep=;). */
static int read_header(struct csv *t, size_t where[KNOWN])
{
    char meant[DIAG_MEANT];

    t->at += strncmp(t->at, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    t->separator = t->at[strcspn(t->at, ",;\t")];
    if (strncasecmp(t->at, "sep=", 4) == 0) {
        t->separator = t->at[4];
        while (*t->at != '\0' && t->line == 1)
            step(t);
    }
    if (t->separator == '\0') /* one column */
        t->separator = ',';
    if (!read_row(t))
        return diags_add(t->in->problems, t->in->file, 1, 0,
                         "the file is empty: its first line names the columns");
    for (size_t i = 0; i < t->n; i++) {
        const struct yaml_node *c = &t->cells[i];
        int k = 0;

        while (k < KNOWN && strcasecmp(c->text, column_names[k]) != 0)
            k++;
        if (k < KNOWN && where[k] != SIZE_MAX)
            form_problem(&t->form, c, "the column %s is there twice", column_names[k]);
        else if (k < KNOWN)
            where[k] = i;
        else if (c->text[0] != '\0')
            form_problem(&t->form, c,
                         "column \"%.60s\": known are suffix, pool, host, network, "
                         "rule and comment%s",
                         c->text, diag_meant(c->text, column_names, meant));
    }
    if (t->form.rc == 0 && where[SUFFIX] == SIZE_MAX)
        form_problem(&t->form, t->cells,
                     "no column is named suffix: the first line names the columns");
    return t->form.rc;
}

/* The words of a cell, cut where they stand, as a list. */
static void split_cell(struct yaml_node *c, struct yaml_node words[WORDS])
{
    char *rest = (char *)(uintptr_t)c->text, *word;

    for (c->n = 0; c->n < WORDS && (word = strtok_r(NULL, " \t\r\n", &rest)) != NULL; c->n++) {
        words[c->n] = (struct yaml_node){.line = c->line, .column = c->column, .text = word};
        words[c->n > 0 ? c->n - 1 : 0].next = c->n > 0 ? &words[c->n] : NULL;
    }
    c->kind = YAML_LIST;
    c->first = words;
}

/* A row; each of its hosts is one of the import. */
static void read_cells(struct csv *t, const size_t where[KNOWN])
{
    const char *pool = t->in->pool, *why;
    struct policy_pool hosts = {.n = 0};
    struct yaml_node words[WORDS];
    struct policy_rule r;

    t->form.rc = 0;
    policy_rule_init(&r, "");
    r.pool_place = (struct policy_place){t->cells->line, 0};
    for (int k = 0; k < KNOWN; k++) {
        struct yaml_node *c = where[k] < t->n ? &t->cells[where[k]] : NULL;
        const struct field *map = k == HOST ? &policy_pool_map : &policy_rule_map;

        if (!c || (c->text[0] == '\0' && k != SUFFIX))
            continue;
        if (k == HOST || k == NETWORK)
            split_cell(c, words);
        if (fields[k])
            field_read(&t->form, field_find(map, fields[k]), c, k == HOST ? (void *)&hosts : &r);
        else if ((why = policy_name_check(c->text)) != NULL)
            form_problem(&t->form, c, "rule \"%.60s\" %s", c->text, why);
        else
            strcpy(r.name, c->text);
    }
    if (r.pool[0] == '\0' && hosts.n == 0 && pool)
        str_copy(r.pool, POLICY_NAME, pool);
    if (t->form.rc == 0 && r.n_suffixes == 0)
        form_problem(&t->form, t->cells, "a row has no suffix");
    else if (t->form.rc == 0 && r.pool[0] == '\0' && hosts.n == 0)
        form_problem(&t->form, t->cells, "a row has neither pool nor host (--pool is for all)");
    policy_object_sort(POLICY_RULE, &r);
    for (size_t i = 0; t->form.rc == 0 && i < (hosts.n > 0 ? hosts.n : 1); i++)
        import_add(t->in, r.suffixes[0], hosts.n > 0 ? &hosts.hosts[i] : NULL, &r);
    policy_object_fini(POLICY_POOL, &hosts);
    policy_object_fini(POLICY_RULE, &r);
}

static int read_table(struct import *in, bool has_header)
{
    struct csv t = {.in = in,
                    .at = in->text,
                    .line = 1,
                    .column = 1,
                    .columns = COLUMNS,
                    .separator = ',',
                    .form = {.d = in->problems, .file = in->file, .kept = in->out->kept}};
    size_t where[KNOWN] = {0}, numbered = 0;

    for (int k = has_header ? 0 : POOL; k < KNOWN; k++)
        where[k] = SIZE_MAX;
    if (has_header && read_header(&t, where) != 0)
        return 0;
    t.columns = has_header ? t.n : 3;
    while (read_row(&t)) {
        read_cells(&t, where);
        numbered += !has_header && t.n > 1;
    }
    if (numbered > 0)
        diags_tell(in->remarks,
                   "priority and weight of %zu domains are left: the hosts of pool %s "
                   "have their own",
                   numbered, in->pool);
    return 0;
}

int csv_read(struct import *in)
{
    return read_table(in, true);
}

/* DOMAIN[, PRIORITY, WEIGHT]: a table without header. */
int csv_read_publish_list(struct import *in)
{
    return read_table(in, false);
}

int csv_write(const struct policy *p, FILE *f)
{
    char text[HOST_TEXT], *hosts;
    FILE *cell;

    fputs("suffix,pool,host,network,rule,comment\r\n", f);
    for (const struct policy_rule *r = p->rules; r < p->rules + p->n_rules; r++) {
        const struct policy_pool *pool = policy_find(p, POLICY_POOL, r->pool);
        const struct field *row = field_find(&policy_rule_map, "action");

        while (row->key && (!policy_rule_says(r, row) || strcmp(row->key, "pool") == 0 ||
                            strcmp(row->key, "comment") == 0))
            row++;
        if (row->key)
            ctl_warn("rule %s is left out: a table has no column for its %s", r->name, row->key);
        if (row->key || !pool)
            continue;
        cell = ctl_open(&hosts);
        for (size_t i = 0; i < pool->n; i++)
            fprintf(cell, "%s%s", i > 0 ? " " : "", host_print(&pool->hosts[i], text));
        ctl_close(cell);
        for (size_t i = 0; i < r->n_suffixes; i++) {
            ctl_cell(f, suffix_print(r->suffixes[i], text), true);
            fprintf(f, ",%s,", pool->name);
            ctl_cell(f, hosts, true);
            for (size_t k = 0; k < r->n_networks; k++)
                fprintf(f, "%s%s", k > 0 ? " " : ",", r->networks[k]);
            fprintf(f, "%s,%s,", r->n_networks == 0 ? "," : "", r->name);
            ctl_cell(f, r->comment, true);
            fputs("\r\n", f);
        }
        free(hosts);
    }
    return ferror(f) ? -EIO : 0;
}
