/* SPDX-License-Identifier: BSD-2-Clause
 *
 * policy_text.c -- policies as text: the forms that are known, in and out, and which one a file is in.
 *
 * A file is read with the rights of whoever called, before anything is opened for writing. What is
 * read is cut in the text where it stands.
 */
#include "ctl/policy.h"

#include <ctype.h>
#include <fnmatch.h>
#include <search.h>
#include <strings.h>

#include "base/file.h"

enum { FILE_SIZE = 1 << 30, LOOKED_AT = 1 << 18 /* octets, to recognise it */, LINE = 512 };

/* --- csv: spreadsheets, RFC 4180 as Excel and LibreOffice write it. The first line names the columns,
 * in any order. */

enum { COLUMNS = 64, WORDS = POLICY_POOL_HOSTS + 1 };
enum { SUFFIX, POOL, HOST, NETWORK, RULE, COMMENT, KNOWN };
static const char *const column_names[KNOWN] = {"suffix",  "pool", "host",
                                                "network", "rule", "comment"};
/* Of a rule, or (hosts) of a pool: what is read from the cell of that column. */
static const char *const fields[KNOWN] = {"suffixes", "pool", "hosts", "networks", NULL, "comment"};

struct csv {
    struct import *in;
    struct form form; /* for problems */
    char separator;
    size_t n, columns; /* cells of the row; of the first one, else COLUMNS */
    struct yaml_node cells[COLUMNS];
};

/* The next cell, without blanks around and the guard of a formula; true: the row goes on. */
static bool read_cell(struct csv *t, struct yaml_node *c)
{
    char *at = t->in->at, *begin = at, *to = at;
    bool quoted = *at == '"', goes_on;
    uint32_t code;

    *c = (struct yaml_node){.line = t->in->line, .quoted = true};
    at += quoted;
    while (*at != '\0' && (quoted || (*at != t->separator && *at != '\n'))) {
        if (quoted && *at == '"' && *++at != '"') {
            quoted = false;
            continue;
        }
        t->in->line += *at == '\n';
        *to++ = *at++;
    }
    goes_on = *at == t->separator;
    t->in->line += *at == '\n';
    t->in->at = at + (*at != '\0'); /* before the end of the cell is written over it */
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

    while (empty && *t->in->at != '\0') {
        t->n = 0;
        do {
            struct yaml_node *c = t->n < t->columns ? &t->cells[t->n++] : &beyond;

            goes_on = read_cell(t, c);
            empty = empty && c->text[0] == '\0';
            if (c == &beyond && c->text[0] != '\0')
                form_problem(&t->form, c, "a cell stands beyond the last column");
        } while (goes_on);
        import_progress(t->in);
    }
    return !empty;
}

/* Which cell of a row is what (SIZE_MAX: none), and the separator: the first one of the line, or as
 * Excel says it in a line before (sep=;). */
static int read_header(struct csv *t, size_t where[KNOWN])
{
    t->in->at += strncmp(t->in->at, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    t->separator = t->in->at[strcspn(t->in->at, ",;\t")];
    if (strncasecmp(t->in->at, "sep=", 4) == 0) {
        t->separator = t->in->at[4];
        t->in->at = strchrnul(t->in->at, '\n');
    }
    t->separator = t->separator != '\0' ? t->separator : ','; /* one column */
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
                         "column \"%.60s\": known are suffix, pool, host, network, rule "
                         "and comment",
                         c->text);
    }
    if (t->form.rc == 0 && where[SUFFIX] == SIZE_MAX)
        form_problem(&t->form, t->cells,
                     "no column is named suffix: the first line names the columns");
    return t->form.rc;
}

/* A row; each of its hosts is one of the import. */
static void read_cells(struct csv *t, const size_t where[KNOWN])
{
    const char *pool = t->in->pool, *why;
    char *rest, *word;
    struct policy_pool hosts = {.n = 0};
    struct yaml_node words[WORDS];
    struct policy_rule r;

    t->form.rc = 0;
    policy_rule_init(&r, "");
    r.line = t->cells->line;
    for (int k = 0; k < KNOWN; k++) {
        struct yaml_node *c = where[k] < t->n ? &t->cells[where[k]] : NULL;
        const struct field *map = k == HOST ? &policy_pool_map : &policy_rule_map;

        if (!c || (c->text[0] == '\0' && k != SUFFIX))
            continue;
        rest = k == HOST || k == NETWORK ? (char *)(uintptr_t)c->text : NULL;
        while (rest && c->n < WORDS && (word = strtok_r(rest, " \t\r\n", &rest)) != NULL) {
            c->kind = YAML_LIST; /* of its words, cut where they stand */
            c->first = words;
            words[c->n] = (struct yaml_node){.line = c->line, .text = word};
            words[c->n > 0 ? c->n - 1 : 0].next = c->n > 0 ? &words[c->n] : NULL;
            c->n++;
        }
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

/* Without a header it is DOMAIN[, PRIORITY, WEIGHT]. */
static void csv_read(struct import *in, const struct policy_format *format)
{
    struct csv t = {.in = in,
                    .columns = COLUMNS,
                    .separator = ',',
                    .form = {.d = in->problems, .file = in->file, .kept = in->out->kept}};
    size_t where[KNOWN] = {0}, numbered = 0;
    bool has_header = !format->needs_pool;

    in->line = 1;
    for (int k = has_header ? 0 : POOL; k < KNOWN; k++)
        where[k] = SIZE_MAX;
    if (has_header && read_header(&t, where) != 0)
        return;
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
}

static int csv_write(const struct policy *p, FILE *f)
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
        ctl_close(cell, &hosts);
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

/* --- Lines with SRV records: of zone files, policy zones (RPZ), unbound and dnsmasq; out as lines of a
 * zone, or commands of PowerShell. Of a record that is no SRV of KMS only the name and the type are
 * looked at: it is counted, and whoever serves the zone checks it. A policy zone holds the names that
 * it answers for in front of its own name, which is taken off. */

#define BLANKS " \t"

struct zone {
    struct import *in;
    bool is_rpz, in_view;
    /* Of no length: none so far. apex: of a policy zone, or what domain= says. */
    struct name origin, owner, apex;
    bool is_record;          /* the line: owner is its name */
    struct policy_rule said; /* nothing */
};

/* The next line, made of it where it stands: without its comment, and with what stands in
 * parentheses joined to it (RFC 1035 5.1). Adds the lines to *n. */
static char *next_record(struct import *in, unsigned *n)
{
    char *begin = in->at, *at = begin, *to = begin;
    bool quoted = false, comment = false;
    unsigned depth = 0;

    for (char c; (c = *at) != '\0' && (c != '\n' || depth > 0); at++) {
        if (c == '\n') {
            (*n)++;
            comment = quoted = false;
        }
        comment |= c == ';' && !quoted;
        if (comment)
            continue;
        quoted ^= c == '"';
        depth += !quoted && c == '(';
        depth -= !quoted && c == ')' && depth > 0;
        if (c == '\\' && at[1] != '\n' && at[1] != '\0')
            *to++ = *at++; /* the next octet means itself */
        else if (c == '\n' || c == '\r' || (!quoted && (c == '(' || c == ')')))
            *at = ' ';
        *to++ = *at;
    }
    in->at = *at == '\n' ? at + 1 : NULL;
    *to = '\0';
    return begin;
}

/* A name as it stands in a zone file: @, relative or absolute. NULL, or what is wrong. */
static const char *read_word_name(const struct zone *z, const char *text, struct name *out)
{
    bool is_relative = true, is_origin = strcmp(text, "@") == 0;
    struct name name = z->origin;

    for (const char *p = text; *p != '\0'; p += p[0] == '\\' && p[1] != '\0' ? 2 : 1)
        is_relative = p[0] != '.' || p[1] != '\0';
    if (is_relative && z->origin.len == 0)
        return "a relative name, and no $ORIGIN: write $ORIGIN ZONE. in the first line";
    if (!is_origin && name_parse(&name, text) != 0)
        return "a name that is no domain name";
    if (!is_origin && is_relative && !name_join(&name, &z->origin, &name))
        return "a name that is too long";
    *out = name;
    return NULL;
}

/* Of an SRV record, _vlmcs._tcp.SUFFIX: priority, weight, port, target. NULL, or what is wrong. */
static const char *read_srv(const struct zone *z, const struct name *owner,
                            const char *const words[5])
{
    struct policy_host host = {.probe = true};
    struct name target, domain;
    struct suffix suffix;
    char text[NAME_TEXT];
    uint64_t numbers[3];
    const char *why;

    for (int i = 0; i < 3; i++)
        if (!words[3] || words[4] || number_parse(&numbers[i], words[i], UINT16_MAX) != 0)
            return "SRV needs priority, weight and port (0 to 65535), and a target";
    why = read_word_name(z, words[3], &target);
    if (!why && target.labels == 0) { /* "no service here" */
        z->in->left++;
        return NULL;
    }
    host.priority = (uint16_t)numbers[0];
    host.weight = (uint16_t)numbers[1];
    host.port = (uint16_t)numbers[2];
    name_parent(owner, 2, &domain);
    if (!why && host.port == 0)
        why = "it has port 0, where no client can connect";
    if (!why && domain.data[0] == 1 && domain.data[1] == '*')
        why = "the name has a wildcard below _vlmcs._tcp, which matches no question";
    if (!why)
        why = host_target_check(name_print(&target, text), &host.target);
    if (!why)
        why = suffix_parse(&suffix, name_print(&domain, text));
    if (!why)
        import_add(z->in, ctl_checked(suffix_keep(z->in->out->kept, &suffix)), &host, &z->said);
    return why;
}

/* What stands behind the name of a record: TTL and class in either order (RFC 1035 5.1), type, data.
 * NULL, or what is wrong. */
static const char *read_record(struct zone *z, char *rest)
{
    struct name name = z->owner;
    bool is_in = true, is_known = false;
    const char *words[5] = {NULL}, *word;
    uint16_t type = 0;

    for (int i = 0; i < 3 && !is_known && (word = strtok_r(NULL, BLANKS, &rest)) != NULL; i++) {
        if (isdigit((unsigned char)word[0]) || strcasecmp(word, "IN") == 0)
            continue; /* to look for a type takes long */
        is_known = type_parse(&type, word) == 0;
        is_in &= is_known;
    }
    if (!is_known)
        return "a record needs a type, like SRV";
    if (z->is_rpz && z->apex.len == 0) /* its first record is its SOA */
        z->apex = type == TYPE_SOA ? name : z->origin;
    if (z->is_rpz && !name_is_under(&name, &z->apex))
        return "is outside of the policy zone";
    if (z->is_rpz) { /* the name in front of that of the zone */
        name.len = (uint8_t)(name.len - z->apex.len + 1);
        name.labels = (uint8_t)(name.labels - z->apex.labels);
        name.data[name.len - 1] = 0;
    }
    if (type != TYPE_SRV || !is_in || !name_is_vlmcs(&name)) {
        z->in->left++;
        return NULL;
    }
    for (int i = 0; i < 5 && (i == 0 || words[i - 1]); i++)
        words[i] = strtok_r(NULL, BLANKS, &rest);
    return read_srv(z, &name, words);
}

static const char *zone_line(struct zone *z, char *line)
{
    bool goes_on = line[0] == ' ' || line[0] == '\t', is_origin;
    char *rest = line, *word = goes_on ? NULL : strtok_r(NULL, BLANKS, &rest);
    const char *why;

    if (goes_on ? line[strspn(line, BLANKS)] == '\0' : !word || strcasecmp(word, "$TTL") == 0)
        return NULL; /* a rule has a TTL of its own */
    is_origin = word && strcasecmp(word, "$ORIGIN") == 0;
    if (word && word[0] == '$' && !is_origin)
        return "only $ORIGIN and $TTL are read";
    if (goes_on && z->owner.len == 0)
        return "the first record needs a name";
    if (is_origin && (word = strtok_r(NULL, BLANKS, &rest)) == NULL)
        return "$ORIGIN needs a domain name";
    if (word && (why = read_word_name(z, word, is_origin ? &z->origin : &z->owner)) != NULL)
        return why;
    z->is_record = !is_origin;
    return is_origin ? NULL : read_record(z, rest);
}

/* Each local-data has a record; those of a view are for some clients only, and left. */
static const char *zone_line_unbound(struct zone *z, char *text)
{
    static const char key[] = "local-data:";
    char *end = text + strcspn(text, " \t#"), quote;

    if (end > text && end[-1] == ':' && strchr("#", end[strspn(end, BLANKS)]))
        z->in_view = strncmp(text, "view:", 5) == 0; /* a clause begins */
    if (strncmp(text, key, strlen(key)) != 0 || z->in_view) {
        z->in->left += text[0] != '\0' && text[0] != '#';
        return NULL;
    }
    text += strlen(key);
    text += strspn(text, BLANKS);
    quote = text[0] == '"' || text[0] == '\'' ? text[0] : '\0';
    end = quote ? strchr(++text, quote) : text + strlen(text);
    if (!end)
        return "the quotes of local-data do not end";
    *end = '\0';
    z->owner.len = 0;
    z->origin = (struct name){.len = 1};
    return zone_line(z, text);
}

/* srv-host=NAME,TARGET,PORT,PRIORITY,WEIGHT: another order than in DNS. */
static const char *zone_line_dnsmasq(struct zone *z, char *text)
{
    const char *words[6] = {".", ".", "1", "0", "0", NULL}; /* what dnsmasq takes without */
    struct import *in = z->in;
    char *rest, *to, *part;
    int n = 0, given = 0;

    (void)sscanf(text, text[0] == '-' ? "--srv-host =%n" : "srv-host =%n", &n);
    rest = to = text + n;
    for (const char *p = rest; n > 0 && *p != '\0' && *p != '#'; p++)
        if (strchr(" \t\"", *p) == NULL)
            *to++ = *p;
    *to = n > 0 ? '\0' : *to;
    for (; n > 0 && given < 6 && (part = strsep(&rest, ",")) != NULL; given++)
        words[given] = part[0] != '\0' ? part : words[given];
    if (n == 0 || name_parse(&z->owner, words[0]) != 0 || !name_is_vlmcs(&z->owner)) {
        in->left += text[0] != '\0' && text[0] != '#';
        return NULL;
    }
    z->is_record = true;
    if (z->owner.labels == 2)
        (void)name_join(&z->owner, &z->apex, &z->owner);
    if (given == 2)
        diags_add(in->remarks, in->file, in->line, 0,
                  "no port is given, which is port 1 for dnsmasq: the pool has port 1, too; KMS "
                  "hosts listen on 1688");
    return read_srv(z, &z->owner,
                    (const char *[]){words[3], words[4], words[2], words[1], words[5]});
}

static void zone_read(struct import *in, const struct policy_format *format)
{
    /* Names of a policy zone make sense without its own; other programs have no $ORIGIN. */
    struct zone z = {.in = in,
                     .origin.len = format->is_rpz || !format->joins,
                     .apex.len = !format->is_rpz,
                     .is_rpz = format->is_rpz};
    const char *why;
    char *text, name[NAME_TEXT];

    policy_rule_init(&z.said, "");
    /* domain= may stand behind what needs it, and with a comma is for some clients only. */
    for (const char *p = in->text; p && !format->joins; p = strchr(p, '\n')) {
        p += *p == '\n';
        if (strncmp(p, "domain=", 7) == 0 && p[strcspn(p, ", \t#\r\n")] != ',') {
            snprintf(name, sizeof name, "%.*s", (int)strcspn(p, " \t#\r\n") - 7, p + 7);
            (void)name_parse(&z.apex, name);
        }
    }
    for (unsigned n = 1; in->at; n = 1) {
        in->line++;
        if (format->joins) {
            text = next_record(in, &n);
        } else {
            text = strsep(&in->at, "\n");
            text[strcspn(text, "\r")] = '\0';
            text += strspn(text, BLANKS);
        }
        z.is_record = false;
        if ((why = format->line(&z, text)) != NULL)
            diags_add(in->problems, in->file, in->line, 0, "%s%s%s",
                      z.is_record ? name_print(&z.owner, name) : "", z.is_record ? ": " : "", why);
        in->line += n - 1;
        import_progress(in);
    }
}

/* A line for each suffix and host, of the first rule that has the suffix, which decides; comments say
 * what such lines cannot. Names stand in single quotes
 * of PowerShell, where nothing is special but quotes, of which it knows several: names of anything but
 * letters, digits, - and _ are left out. */
static int write_records(const struct policy *p, FILE *f, bool is_powershell)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
    char text[SUFFIX_TEXT], name[NAME_TEXT], comment = is_powershell ? '#' : ';';
    void *seen = NULL;

    for (const struct policy_rule *r = p->rules; r < p->rules + p->n_rules; r++) {
        const struct policy_pool *pool = policy_find(p, POLICY_POOL, r->pool);
        const char *why = !pool                        ? "its action delivers no pool"
                          : r->mode != MODE_LIVE       ? "its mode is not live"
                          : !policy_rule_has(r, "any") ? "it is for some networks only"
                                                       : NULL;

        if (why)
            fprintf(f, "%c rule %s is left out: %s\n", comment, r->name, why);
        for (size_t i = 0; !why && i < r->n_suffixes; i++) {
            const struct suffix *s = r->suffixes[i], **first;
            bool bare = s->name.labels == 0, is_line;

            suffix_print(s, text);
            is_line =
                !s->below && (!is_powershell || (!bare && text[strspn(text, letters)] == '\0'));
            first = is_line ? ctl_checked(tsearch(s, &seen, suffix_compare)) : NULL;
            if (!is_line || *first != s) {
                fprintf(f, "%c %s of rule %s: %s\n", comment, text, r->name,
                        is_line ? "a rule before it has it" : "a zone has no such line");
                continue;
            }
            for (const struct policy_host *h = pool->hosts; h < pool->hosts + pool->n; h++) {
                unsigned priority = h->priority, weight = h->weight, port = h->port, t = r->ttl;

                name_print(&h->target, name);
                if (!is_powershell)
                    fprintf(f, "_vlmcs._tcp.%s%s %u IN SRV %u %u %u %s.\n", bare ? "" : text,
                            bare ? "" : ".", t, priority, weight, port, name);
                else
                    fprintf(f,
                            "Add-DnsServerResourceRecord -ZoneName '%s' -Name '_vlmcs._tcp' -Srv "
                            "-DomainName '%s' -Priority %u -Weight %u -Port %u "
                            "-TimeToLive %u.%02u:%02u:%02u\n",
                            text, name, priority, weight, port, t / 86400, t / 3600 % 24,
                            t / 60 % 60, t % 60);
            }
        }
    }
    tdestroy(seen, arena_keeps);
    return ferror(f) ? -EIO : 0;
}

static int zone_write(const struct policy *p, FILE *f)
{
    return write_records(p, f, false);
}

static int zone_write_powershell(const struct policy *p, FILE *f)
{
    fputs("# For the DNS server that has these zones. A suffix that is a name within a zone needs\n"
          "# the zone as -ZoneName, and -Name '_vlmcs._tcp.REST'.\n",
          f);
    return write_records(p, f, true);
}

/* --- The forms */

/* clang-format off */
const struct policy_format policy_formats[] = {
    {.name = "yaml", .ends = ".yaml .yml ", .lines = {"waymark-policy*:*"},
     .is_whole = true, .write = policy_text_write},
    {.name = "csv", .ends = ".csv .tsv ",
     .lines = {"sep=?", "suffix", "suffix[,;\t]*", "*[,;\t\"]suffix", "*[,;\t\"]suffix[,;\t\"]*"},
     .takes_pool = true, .read = csv_read, .write = csv_write},
    {.name = "dnsmasq", .ends = "", .lines = {"*srv-host*=*"},
     .read = zone_read, .line = zone_line_dnsmasq},
    {.name = "unbound", .ends = "", .lines = {"*local-data:*", "*server:*"},
     .read = zone_read, .line = zone_line_unbound},
    {.name = "rpz", .ends = ".rpz ",
     .lines = {"*[ \t]cname*[ \t].", "*[ \t]cname*[ \t]\\*.", "*rpz-*", "*rpz*[ \t]soa[ \t]*",
               "$origin*rpz*"},
     .joins = true, .is_rpz = true, .read = zone_read, .line = zone_line},
    {.name = "zone", .ends = ".zone .db .dns ",
     .lines = {"$origin*", "$ttl*", "*[ \t]srv[ \t]*", "*[ \t]soa[ \t]*"},
     .joins = true, .read = zone_read, .line = zone_line, .write = zone_write},
    {.name = "publish-list", .ends = "", .takes_pool = true, .needs_pool = true, .read = csv_read},
    {.name = "powershell", .ends = "", .write = zone_write_powershell},
    {0},
};
/* clang-format on */

const struct policy_format *policy_format_find(const char *name, bool writes)
{
    for (const struct policy_format *f = policy_formats; f->name; f++)
        if (strcmp(f->name, name) == 0 &&
            (f->is_whole || (writes ? f->write != NULL : f->read != NULL)))
            return f;
    ctl_misused("--format %s is none that can be %s (--help lists them)", name,
                writes ? "written" : "read");
    return NULL;
}

static bool has_line(const struct policy_format *f, const char *text)
{
    const char *at = text + (strncmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0), *end;
    char line[LINE];

    for (end = at; *at != '\0' && end < text + LOOKED_AT; at = end) {
        end = at + strcspn(at, "\r\n");
        snprintf(line, sizeof line, "%.*s", (int)(end - at), at);
        for (const char *const *like = f->lines; *like; like++)
            if (fnmatch(*like, line, FNM_CASEFOLD) == 0)
                return true;
        if (f->takes_pool && line[0] != '\0') /* csv: its header */
            return false;
        end += strspn(end, "\r\n");
    }
    return false;
}

const struct policy_format *policy_format_guess(const char *path, const char *text, bool has_pool)
{
    const struct policy_format *list = policy_formats;
    char end[16] = "-";

    if (strrchr(path, '.'))
        snprintf(end, sizeof end, "%s ", strrchr(path, '.'));
    for (const struct policy_format *f = policy_formats; f->name; f++)
        if (has_line(f, text))
            return f;
    for (const struct policy_format *f = policy_formats; f->name; f++) {
        if (strstr(f->ends, end))
            return f;
        if (has_pool && f->needs_pool)
            list = f;
    }
    return list;
}

int policy_file_import(const struct ctl *c, const char *path, const struct policy_format **f,
                       enum policy_form form, struct policy *out)
{
    const char *pool = c ? ctl_option(c, "--pool") : NULL;
    struct diags problems = {0}, remarks = {0};
    struct import in = {.c = c, .pool = pool, .problems = &problems, .remarks = &remarks};
    int rc = file_read(path, FILE_SIZE, &in.text, &in.len), code = 0;

    if (rc != 0)
        return ctl_fail(rc == -ENOENT ? EXIT_NOT_FOUND : EXIT_FAILED, "cannot read %s: %s", path,
                        strerror(-rc));
    in.file = strcmp(path, "-") == 0 ? "(standard input)" : path;
    if (!*f && ((*f = policy_format_guess(path, in.text, pool)) != policy_formats ||
                !has_line(*f, in.text)))
        ctl_note("%s is read as %s (--format says otherwise)", in.file, (*f)->name);
    if (pool ? !(*f)->takes_pool : (*f)->needs_pool)
        code = ctl_misused("%s names %s", (*f)->name,
                           pool ? "its hosts: --pool is not for it" : "no hosts: give --pool POOL");
    else if (import_read(&in, *f, out) != 0)
        code = ctl_invalid(&problems);
    else if (form == POLICY_WHOLE && policy_references(out, &problems) != 0) {
        policy_fini(out);
        code = ctl_invalid(&problems);
    }
    for (size_t i = 0; code == 0 && i < remarks.n; i++)
        ctl_warn("%s", remarks.list[i]);
    if (code == 0 && remarks.all > remarks.n)
        ctl_warn("%zu more of these are not shown", remarks.all - remarks.n);
    if (code == 0 && in.left > 0)
        ctl_note("%zu other lines or records are left", in.left);
    if (code == 0 && out->n_rules == 0 && !(*f)->is_whole)
        ctl_warn("%s has no suffix and host of KMS in it", in.file);
    diags_fini(&problems);
    diags_fini(&remarks);
    free(in.text);
    return code;
}
