/* SPDX-License-Identifier: BSD-2-Clause
 *
 * zone.c -- SRV lines: of zone files, in and out; of policy zones (RPZ), unbound and dnsmasq, in; as
 * commands of PowerShell, out.
 *
 * Of a record that is no SRV of KMS only the name and the type are looked at: it is counted, and
 * whoever serves the zone checks it. A policy zone holds the names that it answers for in front of
 * its own name, which is taken off.
 */
#include "ctl/policy.h"

#include <ctype.h>
#include <strings.h>

#include "wire/present.h"
#include "wire/types.h"

#define BLANKS " \t"

struct zone {
    struct import *in;
    bool is_rpz;
    /* Root with has_* false: none so far. apex: of a policy zone. */
    struct name origin, owner, apex;
    bool has_origin, has_owner, has_apex;
    bool is_record; /* the line: owner is its name */
};

/* The next line, made of it where it stands: without its comment, and with what stands in
 * parentheses joined to it (RFC 1035 5.1). Moves *at behind it and counts lines. */
static char *next_line(char **at, unsigned *line)
{
    char *begin = *at, *to = begin;
    bool quoted = false, comment = false;
    unsigned depth = 0;

    for (char c; (c = **at) != '\0' && (c != '\n' || depth > 0); (*at)++) {
        if (c == '\n') {
            (*line)++;
            comment = quoted = false;
        }
        comment |= c == ';' && !quoted;
        if (comment)
            continue;
        quoted ^= c == '"';
        depth += !quoted && c == '(';
        depth -= !quoted && c == ')' && depth > 0;
        if (c == '\\' && (*at)[1] != '\n' && (*at)[1] != '\0')
            *to++ = *(*at)++; /* the next octet means itself */
        else if (c == '\n' || c == '\r' || (!quoted && (c == '(' || c == ')')))
            **at = ' ';
        *to++ = **at;
    }
    *line += **at == '\n';
    *at += **at == '\n';
    *to = '\0';
    return begin;
}

/* A name as it stands in a zone file: @, relative or absolute. NULL, or what is wrong. */
static const char *read_word_name(const struct zone *z, const char *text, struct name *out)
{
    bool is_relative = true;

    for (const char *p = text; *p != '\0'; p += p[0] == '\\' && p[1] != '\0' ? 2 : 1)
        is_relative = p[0] != '.' || p[1] != '\0';
    if (is_relative && !z->has_origin)
        return "a relative name, and no $ORIGIN: write $ORIGIN ZONE. in the first line";
    *out = z->origin;
    if (strcmp(text, "@") == 0)
        return NULL;
    if (name_parse(out, text) != 0)
        return "a name that is no domain name";
    return !is_relative || name_join(out, &z->origin, out) ? NULL : "a name that is too long";
}

/* Of an SRV record: priority, weight, port, target. NULL, or what is wrong. */
static const char *read_srv(const struct zone *z, const struct name *owner,
                            const char *const words[4])
{
    struct policy_host host = {.probe = true};
    char text[NAME_TEXT];
    uint64_t numbers[3];
    struct name target;
    const char *why;

    for (int i = 0; i < 3; i++)
        if (!words[i] || number_parse(&numbers[i], words[i], UINT16_MAX) != 0)
            return "SRV needs priority, weight and port (0 to 65535), and a target";
    if (!words[3])
        return "SRV needs a target behind priority, weight and port";
    why = read_word_name(z, words[3], &target);
    if (!why && target.labels == 0) { /* "no service here" */
        z->in->left++;
        return NULL;
    }
    host.priority = (uint16_t)numbers[0];
    host.weight = (uint16_t)numbers[1];
    host.port = (uint16_t)numbers[2];
    if (!why)
        why = host.port == 0 ? "it has port 0, where no client can connect"
                             : host_target_check(name_print(&target, text), &host.target);
    return why ? why : import_record(z->in, owner, &host);
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
    if (z->is_rpz && !z->has_apex) /* its first record is its SOA */
        z->apex = type == TYPE_SOA ? name : z->origin;
    z->has_apex = true;
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
    return words[4] ? "SRV has something behind its target" : read_srv(z, &name, words);
}

/* A directive or a record. NULL, or what is wrong. */
static const char *read_line(struct zone *z, char *line)
{
    bool goes_on = line[0] == ' ' || line[0] == '\t', is_origin;
    char *rest = line, *word = goes_on ? NULL : strtok_r(NULL, BLANKS, &rest);
    struct name name = z->owner;
    const char *why = NULL;

    if (goes_on ? line[strspn(line, BLANKS)] == '\0' : !word || strcasecmp(word, "$TTL") == 0)
        return NULL; /* a rule has a TTL of its own */
    is_origin = word && strcasecmp(word, "$ORIGIN") == 0;
    if (word && word[0] == '$' && !is_origin)
        return "only $ORIGIN and $TTL are read";
    if (goes_on && !z->has_owner)
        return "the first record needs a name";
    if (is_origin && (word = strtok_r(NULL, BLANKS, &rest)) == NULL)
        return "$ORIGIN needs a domain name";
    if (word)
        why = read_word_name(z, word, &name);
    if (why)
        return why;
    if (is_origin) {
        z->origin = name;
        z->has_origin = true;
        return NULL;
    }
    z->owner = name;
    z->has_owner = z->is_record = true;
    return read_record(z, rest);
}

static void tell(const struct zone *z, unsigned line, const char *why)
{
    char owner[NAME_TEXT];

    if (why)
        diags_add(z->in->problems, z->in->file, line, 0, "%s%s%s",
                  z->is_record ? name_print(&z->owner, owner) : "", z->is_record ? ": " : "", why);
}

static int read_zone(struct import *in, bool is_rpz)
{
    /* The names of a policy zone make sense without its own. */
    struct zone z = {.in = in, .origin.len = 1, .has_origin = is_rpz, .is_rpz = is_rpz};
    char *at = in->text;

    for (unsigned line = 1, next = 1; *at != '\0'; line = next) {
        char *text = next_line(&at, &next);

        z.is_record = false;
        tell(&z, line, read_line(&z, text));
        import_progress(in, at);
    }
    return 0;
}

int zone_read(struct import *in)
{
    return read_zone(in, false);
}

int zone_read_rpz(struct import *in)
{
    return read_zone(in, true);
}

/* Each local-data has a record; those of a view are for some clients only, and left. */
int zone_read_unbound(struct import *in)
{
    static const char key[] = "local-data:";
    char *at = in->text, *text, *end, quote;
    bool in_view = false;
    unsigned line = 0;

    while ((text = import_line(in, &at, &line)) != NULL) {
        struct zone z = {.in = in, .origin.len = 1, .has_origin = true};

        end = text + strcspn(text, " \t#");
        if (end > text && end[-1] == ':' && strchr("#", end[strspn(end, BLANKS)]) != NULL)
            in_view = strncmp(text, "view:", 5) == 0; /* a clause begins */
        if (strncmp(text, key, strlen(key)) != 0 || in_view) {
            in->left += text[0] != '\0' && text[0] != '#';
            continue;
        }
        text += strlen(key);
        text += strspn(text, BLANKS);
        quote = text[0] == '"' || text[0] == '\'' ? text[0] : '\0';
        end = quote ? strchr(++text, quote) : text + strlen(text);
        if (end)
            *end = '\0';
        tell(&z, line, end ? read_line(&z, text) : "the quotes of local-data do not end");
    }
    return 0;
}

/* srv-host=NAME,TARGET,PORT,PRIORITY,WEIGHT: another order than in DNS. A name without a domain is
 * below that of domain=, which may stand behind it, and with a comma is for some clients only. */
int zone_read_dnsmasq(struct import *in)
{
    struct zone z = {.in = in, .origin.len = 1, .has_origin = true, .is_record = true};
    char *at = in->text, *text, *to, *rest, domain[NAME_TEXT] = ".";
    struct name below = z.origin;
    unsigned line = 0;

    for (const char *p = at, *end; p != NULL; p = end != NULL ? end + 1 : NULL) {
        end = strchr(p, '\n');
        if (strncmp(p, "domain=", 7) == 0 && p[strcspn(p, ", \t#\r\n")] != ',')
            snprintf(domain, sizeof domain, "%.*s", (int)strcspn(p, " \t#\r\n") - 7, p + 7);
    }
    (void)name_parse(&below, domain);
    while ((text = import_line(in, &at, &line)) != NULL) {
        const char *words[6] = {".", ".", "1", "0", "0", NULL}; /* what dnsmasq takes without */
        const char *srv[4], *part;
        int n = 0, given = 0;

        (void)sscanf(text, text[0] == '-' ? "--srv-host =%n" : "srv-host =%n", &n);
        rest = to = text + n;
        for (const char *p = rest; n > 0 && *p != '\0' && *p != '#'; p++)
            if (strchr(" \t\"", *p) == NULL)
                *to++ = *p;
        *to = n > 0 ? '\0' : *to;
        for (; n > 0 && given < 6 && (part = strsep(&rest, ",")) != NULL; given++)
            words[given] = part[0] != '\0' ? part : words[given];
        if (n == 0 || name_parse(&z.owner, words[0]) != 0 || !name_is_vlmcs(&z.owner)) {
            in->left += text[0] != '\0' && text[0] != '#';
            continue;
        }
        if (z.owner.labels == 2)
            (void)name_join(&z.owner, &below, &z.owner);
        memcpy(srv, (const char *[]){words[3], words[4], words[2], words[1]}, sizeof srv);
        tell(&z, line,
             words[5] ? "srv-host has more than five parts" : read_srv(&z, &z.owner, srv));
        if (given == 2)
            diags_add(
                in->remarks, in->file, line, 0,
                "no port is given, which is port 1 for dnsmasq: the pool has port 1, too; KMS "
                "hosts listen on 1688");
    }
    return 0;
}

/* A line for each suffix and host; comments say what such lines cannot. Names stand in single quotes
 * of PowerShell, where nothing is special but quotes, of which it knows several: names of anything but
 * letters, digits, - and _ are left out. */
static int write_records(const struct policy *p, FILE *f, bool is_powershell)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
    char text[SUFFIX_TEXT], name[NAME_TEXT], comment = is_powershell ? '#' : ';';

    for (const struct policy_rule *r = p->rules; r < p->rules + p->n_rules; r++) {
        const struct policy_pool *pool = policy_find(p, POLICY_POOL, r->pool);
        const char *why = !pool                        ? "its action delivers no pool"
                          : r->mode != MODE_LIVE       ? "its mode is not live"
                          : !policy_rule_has(r, "any") ? "it is for some networks only"
                                                       : NULL;

        if (why)
            fprintf(f, "%c rule %s is left out: %s\n", comment, r->name, why);
        for (size_t i = 0; !why && i < r->n_suffixes; i++) {
            bool bare = r->suffixes[i]->name.labels == 0;

            suffix_print(r->suffixes[i], text);
            if (r->suffixes[i]->below ||
                (is_powershell && (bare || text[strspn(text, letters)] != '\0'))) {
                fprintf(f, "%c %s of rule %s: a zone has no such line\n", comment, text, r->name);
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
    return ferror(f) ? -EIO : 0;
}

int zone_write(const struct policy *p, FILE *f)
{
    return write_records(p, f, false);
}

int zone_write_powershell(const struct policy *p, FILE *f)
{
    fputs("# For the DNS server that has these zones. A suffix that is a name within a zone needs\n"
          "# the zone as -ZoneName, and -Name '_vlmcs._tcp.REST'.\n",
          f);
    return write_records(p, f, true);
}
