/* SPDX-License-Identifier: BSD-2-Clause
 *
 * present.c -- text and wire form.
 *
 * Names, types, classes and rcodes have code of their own: they are used in
 * tables and logs, where nothing may be allocated. ldns reads zone lines and
 * prints records, both of which need the formats of dozens of types.
 *
 * What ldns is given to print was walked by rr_walk_next(), is written out
 * again without compression, has a type of a fixed list, and is short: its
 * parser allocates RDLENGTH octets for each character-string. Everything else
 * is printed in the generic form of RFC 3597.
 *
 * A zone line is cleaned before ldns sees it: comments go, and so do
 * parentheses that close on the line that opens them. The record that comes
 * back is taken apart again, so that nothing of ldns is seen outside.
 */
#include "wire/present.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <ldns/ldns.h>

#include "wire/rewrite.h"

enum { PRINT_MAX_RDATA = 1024, LINE_MAX_LEN = 8192 };

struct word {
    const char *text;
    uint16_t value;
};

static const struct word types[] = {
    {"A", 1},           {"NS", 2},      {"MD", 3},      {"MF", 4},        {"CNAME", 5},
    {"SOA", 6},         {"MB", 7},      {"MG", 8},      {"MR", 9},        {"NULL", 10},
    {"WKS", 11},        {"PTR", 12},    {"HINFO", 13},  {"MINFO", 14},    {"MX", 15},
    {"TXT", 16},        {"RP", 17},     {"AFSDB", 18},  {"X25", 19},      {"ISDN", 20},
    {"RT", 21},         {"NSAP", 22},   {"SIG", 24},    {"KEY", 25},      {"PX", 26},
    {"GPOS", 27},       {"AAAA", 28},   {"LOC", 29},    {"NXT", 30},      {"EID", 31},
    {"NIMLOC", 32},     {"SRV", 33},    {"ATMA", 34},   {"NAPTR", 35},    {"KX", 36},
    {"CERT", 37},       {"A6", 38},     {"DNAME", 39},  {"SINK", 40},     {"OPT", 41},
    {"APL", 42},        {"DS", 43},     {"SSHFP", 44},  {"IPSECKEY", 45}, {"RRSIG", 46},
    {"NSEC", 47},       {"DNSKEY", 48}, {"DHCID", 49},  {"NSEC3", 50},    {"NSEC3PARAM", 51},
    {"TLSA", 52},       {"SMIMEA", 53}, {"HIP", 55},    {"CDS", 59},      {"CDNSKEY", 60},
    {"OPENPGPKEY", 61}, {"CSYNC", 62},  {"ZONEMD", 63}, {"SVCB", 64},     {"HTTPS", 65},
    {"SPF", 99},        {"NID", 104},   {"L32", 105},   {"L64", 106},     {"LP", 107},
    {"EUI48", 108},     {"EUI64", 109}, {"TKEY", 249},  {"TSIG", 250},    {"IXFR", 251},
    {"AXFR", 252},      {"MAILB", 253}, {"MAILA", 254}, {"ANY", 255},     {"URI", 256},
    {"CAA", 257},       {"AVC", 258},   {"DLV", 32769},
};

static const struct word classes[] = {
    {"IN", 1}, {"CH", 3}, {"HS", 4}, {"NONE", 254}, {"ANY", 255},
};

static const struct word rcodes[] = {
    {"NOERROR", 0},
    {"FORMERR", 1},
    {"SERVFAIL", 2},
    {"NXDOMAIN", 3},
    {"NOTIMP", 4},
    {"REFUSED", 5},
    {"YXDOMAIN", 6},
    {"YXRRSET", 7},
    {"NXRRSET", 8},
    {"NOTAUTH", 9},
    {"NOTZONE", 10},
    {"DSOTYPENI", 11},
    {"BADVERS", 16},
    {"BADKEY", 17},
    {"BADTIME", 18},
    {"BADMODE", 19},
    {"BADNAME", 20},
    {"BADALG", 21},
    {"BADTRUNC", 22},
    {"BADCOOKIE", 23},
    {"UNUSABLE", RCODE_UNUSABLE},
    {"TIMEOUT", RCODE_TIMEOUT},
};

static const char *word_print(const struct word *words, size_t n, const char *prefix,
                              uint16_t value, char out[TYPE_TEXT])
{
    for (size_t i = 0; i < n; i++)
        if (words[i].value == value) {
            snprintf(out, TYPE_TEXT, "%s", words[i].text);
            return out;
        }
    snprintf(out, TYPE_TEXT, "%s%u", prefix, value);
    return out;
}

static int word_parse(const struct word *words, size_t n, const char *prefix, const char *text,
                      uint16_t *out)
{
    size_t skip = strlen(prefix);
    unsigned value = 0;
    const char *p;

    for (size_t i = 0; i < n; i++)
        if (strcasecmp(words[i].text, text) == 0) {
            *out = words[i].value;
            return 0;
        }
    if (strncasecmp(text, prefix, skip) != 0 || text[skip] == '\0')
        return -EINVAL;
    for (p = text + skip; *p >= '0' && *p <= '9' && value <= UINT16_MAX; p++)
        value = 10 * value + (unsigned)(*p - '0');
    if (*p != '\0' || value > UINT16_MAX)
        return -EINVAL;
    *out = (uint16_t)value;
    return 0;
}

int type_parse(uint16_t *out, const char *text)
{
    return word_parse(types, ARRAY_LEN(types), "TYPE", text, out);
}

const char *type_print(uint16_t type, char out[TYPE_TEXT])
{
    return word_print(types, ARRAY_LEN(types), "TYPE", type, out);
}

const char *class_print(uint16_t class, char out[TYPE_TEXT])
{
    return word_print(classes, ARRAY_LEN(classes), "CLASS", class, out);
}

const char *rcode_print(uint16_t rcode, char out[TYPE_TEXT])
{
    return word_print(rcodes, ARRAY_LEN(rcodes), "RCODE", rcode, out);
}

int rcode_parse(uint16_t *out, const char *text)
{
    return word_parse(rcodes, ARRAY_LEN(rcodes), "RCODE", text, out);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* What stands behind a backslash: \DDD or \X. The octet, or -1. */
static int escape_read(const char **text)
{
    const char *p = *text;
    int value;

    if (!is_digit(p[0])) {
        *text = p + (*p != '\0');
        return *p != '\0' ? (uint8_t)*p : -1;
    }
    if (!is_digit(p[1]) || !is_digit(p[2]))
        return -1;
    value = 100 * (p[0] - '0') + 10 * (p[1] - '0') + (p[2] - '0');
    *text = p + 3;
    return value <= 255 ? value : -1;
}

/* The next octet of a label; -1 on a fault. */
static int octet_read(const char **text)
{
    uint8_t c = (uint8_t) * (*text)++;

    if (c == '\\')
        return escape_read(text);
    return c <= ' ' || c == 0x7f ? -1 : c; /* white space and controls only escaped */
}

int name_parse(struct name *out, const char *text)
{
    struct name made = {.len = 0};
    size_t len = 0;

    if (strcmp(text, ".") == 0)
        text++;
    else if (*text == '\0')
        return -EINVAL;
    while (*text != '\0') {
        size_t label = len++;

        while (*text != '\0' && *text != '.') {
            int c = octet_read(&text);

            /* One octet must be left for the root. */
            if (c < 0 || len - label > 63 || len >= NAME_MAX_WIRE - 1)
                return -EINVAL;
            made.at[len++] = (uint8_t)c;
        }
        if (len - label == 1)
            return -EINVAL;
        made.at[label] = (uint8_t)(len - label - 1);
        made.labels++;
        if (*text == '.')
            text++;
    }
    made.at[len++] = 0;
    made.len = (uint8_t)len;
    *out = made;
    return 0;
}

static char *octet_print(char *p, uint8_t c)
{
    if (c <= ' ' || c >= 0x7f) {
        *p++ = '\\';
        *p++ = (char)('0' + c / 100);
        *p++ = (char)('0' + c / 10 % 10);
        *p++ = (char)('0' + c % 10);
        return p;
    }
    if (strchr(".\\\"();@$", c) != NULL)
        *p++ = '\\';
    *p++ = (char)c;
    return p;
}

const char *name_print(const struct name *name, char out[NAME_TEXT])
{
    size_t at = 0;
    char *p = out;

    if (name->labels == 0)
        *p++ = '.';
    while (name->at[at] != 0) {
        size_t end = at + 1 + name->at[at];

        if (at > 0)
            *p++ = '.';
        while (++at < end)
            p = octet_print(p, name->at[at]);
    }
    *p = '\0';
    return out;
}

/* Types whose format ldns knows well; the others are printed as octets. */
static bool ldns_may_print(const struct rr *rr)
{
    /* The numbers are RP AFSDB SSHFP NSEC3PARAM TLSA CDS CDNSKEY SPF CAA. */
    static const uint16_t known[] = {
        TYPE_A,    TYPE_NS,     TYPE_CNAME, TYPE_SOA,   TYPE_PTR,   TYPE_HINFO, TYPE_MX,
        TYPE_TXT,  TYPE_AAAA,   TYPE_SRV,   TYPE_NAPTR, TYPE_DNAME, TYPE_DS,    TYPE_RRSIG,
        TYPE_NSEC, TYPE_DNSKEY, TYPE_NSEC3, 17,         18,         44,         51,
        52,        59,          60,         99,         257};

    if (rr->class != CLASS_IN || rr->rdlength > PRINT_MAX_RDATA || rr->rdlength == 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (known[i] == rr->type)
            return true;
    return false;
}

/* The record alone, nothing compressed; its length, or 0. */
static size_t rr_alone(const uint8_t *wire, size_t len, const struct rr *rr, uint8_t *out,
                       size_t size, size_t *rdata_at)
{
    struct rewrite r = {.w = writer_make(out, size)};

    rewrite_uncompressed(&r);
    if (!rewrite_put(&r, wire, len, rr, rr->ttl))
        return 0;
    *rdata_at = (size_t)rr->owner->len + 10;
    return r.w.len;
}

static bool print_by_ldns(const uint8_t *alone, size_t len, char *out, size_t size)
{
    ldns_rr *rr = NULL;
    size_t pos = 0;
    char *text = NULL;
    bool done = false;

    if (ldns_wire2rr(&rr, alone, len, &pos, LDNS_SECTION_ANSWER) == LDNS_STATUS_OK && pos == len)
        text = ldns_rr2str_fmt(ldns_output_format_nocomments, rr);
    if (text != NULL) {
        size_t n = strcspn(text, "\n");

        /* More than one line: nothing that we asked for. */
        if (n > 0 && n < size && (text[n] == '\0' || text[n + 1] == '\0')) {
            for (size_t i = 0; i < n; i++) /* one blank between fields: safe in any table */
                out[i] = text[i] == '\t' ? ' ' : text[i];
            out[n] = '\0';
            done = true;
        }
    }
    free(text);
    ldns_rr_free(rr);
    return done;
}

/* RFC 3597 5. */
static bool print_generic(const struct rr *rr, const uint8_t *rdata, size_t rdlength, char *out,
                          size_t size)
{
    char owner[NAME_TEXT], class[TYPE_TEXT], type[TYPE_TEXT];
    int n;

    n = snprintf(out, size, "%s%s %u %s %s \\# %zu%s", name_print(rr->owner, owner),
                 rr->owner->labels > 0 ? "." : "", rr->ttl, class_print(rr->class, class),
                 type_print(rr->type, type), rdlength, rdlength > 0 ? " " : "");
    if (n < 0 || (size_t)n + 2 * rdlength >= size)
        return false;
    for (size_t i = 0; i < rdlength; i++)
        snprintf(out + n + 2 * i, 3, "%02x", rdata[i]);
    return true;
}

bool rr_print(const uint8_t *wire, size_t len, const struct rr *rr, char *out, size_t size)
{
    uint8_t alone[PRINT_MAX_RDATA + 2 * NAME_MAX_WIRE + 16];
    size_t rdata_at, n;

    if (size == 0 || (size_t)rr->rdata_pos + rr->rdlength > len)
        return false;
    n = rr_alone(wire, len, rr, alone, sizeof alone, &rdata_at);
    if (n == 0) /* long, and its names need nothing: as it is */
        return print_generic(rr, wire + rr->rdata_pos, rr->rdlength, out, size);
    if (ldns_may_print(rr) && print_by_ldns(alone, n, out, size))
        return true;
    return print_generic(rr, alone + rdata_at, n - rdata_at, out, size);
}

/* Copies a line without its comment and parentheses. NULL, or what is wrong. */
static const char *line_clean(const char *line, char out[LINE_MAX_LEN])
{
    bool quoted = false;
    size_t n = 0;
    int depth = 0;

    for (const char *p = line; *p != '\0' && *p != '\n' && *p != '\r'; p++) {
        char c = *p;

        if (n + 3 > LINE_MAX_LEN)
            return "the line is longer than 8,190 octets";
        if (c == '\\' && p[1] != '\0') {
            out[n++] = c;
            c = *++p;
        } else if (c == '"') {
            quoted = !quoted;
        } else if (!quoted && c == ';') {
            break;
        } else if (!quoted && (c == '(' || c == ')')) {
            depth += c == '(' ? 1 : -1;
            c = ' ';
        }
        if (depth < 0)
            break;
        out[n++] = c;
    }
    out[n] = '\0';
    if (depth != 0)
        return "a record must be on one line: parentheses that span lines are not read";
    return quoted ? "a quotation mark is not closed" : NULL;
}

/* Copies the next word and moves behind it; false when there is none. */
static bool word_take(const char **at, char *out, size_t size)
{
    size_t n;

    *at += strspn(*at, " \t");
    n = strcspn(*at, " \t");
    if (n == 0 || n >= size)
        return false;
    memcpy(out, *at, n);
    out[n] = '\0';
    *at += n;
    return true;
}

static bool is_relative(const char *text)
{
    size_t n = strlen(text);
    size_t slashes = 0;

    if (n == 0 || text[n - 1] != '.')
        return true;
    while (slashes + 1 < n && text[n - 2 - slashes] == '\\')
        slashes++;
    return slashes % 2 != 0;
}

static const char *read_origin(struct zone_state *z, const char *at)
{
    char word[NAME_TEXT];
    struct name name;

    if (!word_take(&at, word, sizeof word) || name_parse(&name, word) != 0)
        return "$ORIGIN needs a domain name";
    if (is_relative(word) && (!z->has_origin || !name_join(&name, &z->origin, &name)))
        return "$ORIGIN needs a name that ends with a dot";
    z->origin = name;
    z->has_origin = true;
    return NULL;
}

static const char *read_ttl(struct zone_state *z, const char *at)
{
    char word[32];
    const char *end = word;
    uint32_t ttl;

    if (!word_take(&at, word, sizeof word) || word[0] < '0' || word[0] > '9')
        return "$TTL needs a number of seconds";
    ttl = ldns_str2period(word, &end);
    if (*end != '\0' || ttl > INT32_MAX)
        return "$TTL needs a number of seconds";
    z->ttl = ttl;
    return NULL;
}

static const char *read_directive(struct zone_state *z, const char *line)
{
    char word[16];

    if (word_take(&line, word, sizeof word) && strcasecmp(word, "$ORIGIN") == 0)
        return read_origin(z, line);
    if (strcasecmp(word, "$TTL") == 0)
        return read_ttl(z, line);
    return "only $ORIGIN and $TTL are read";
}

static ldns_rdf *name_to_rdf(bool has, const struct name *name)
{
    return has ? ldns_rdf_new_frm_data(LDNS_RDF_TYPE_DNAME, name->len, name->at) : NULL;
}

static bool rdf_to_name(const ldns_rdf *rdf, struct name *out)
{
    struct cursor c = cursor_make(ldns_rdf_data(rdf), ldns_rdf_size(rdf));

    name_read(&c, out);
    return !c.bad && cursor_left(&c) == 0;
}

/* RDATA out of the record of ldns, checked like any other. */
static bool rdata_take(const ldns_rr *rr, uint8_t *rdata, size_t *rdlen)
{
    ldns_buffer *buffer = ldns_buffer_new(LDNS_MAX_PACKETLEN);
    struct cursor c;
    bool done = false;
    size_t n;

    if (buffer == NULL)
        return false;
    if (ldns_rr_rdata2buffer_wire(buffer, rr) == LDNS_STATUS_OK &&
        (n = ldns_buffer_position(buffer)) <= UINT16_MAX) {
        memcpy(rdata, ldns_buffer_begin(buffer), n);
        *rdlen = n;
        c = cursor_make(rdata, *rdlen);
        done = rdata_check(
            &c, rdata_layout((uint16_t)ldns_rr_get_type(rr), (uint16_t)ldns_rr_get_class(rr)));
    }
    ldns_buffer_free(buffer);
    return done;
}

struct parsed {
    ldns_rr *rr;     /* owned */
    const char *why; /* NULL if there is a record */
};

static struct parsed parse_with_ldns(const struct zone_state *z, const char *line)
{
    ldns_rdf *origin = name_to_rdf(z->has_origin, &z->origin);
    ldns_rdf *previous = name_to_rdf(z->has_previous, &z->previous);
    struct parsed p = {NULL, NULL};
    ldns_status status = ldns_rr_new_frm_str(&p.rr, line, z->ttl, origin, &previous);

    if (status != LDNS_STATUS_OK) {
        p.rr = NULL; /* ldns has freed it */
        p.why = ldns_get_errorstr_by_id(status);
        if (p.why == NULL)
            p.why = "this is not a record";
    }
    ldns_rdf_deep_free(origin);
    ldns_rdf_deep_free(previous);
    return p;
}

int zone_line_parse(struct zone_state *z, const char *line, struct name *owner, uint16_t *type,
                    uint16_t *class, uint32_t *ttl, uint8_t *rdata, size_t *rdlen, const char **why)
{
    char clean[LINE_MAX_LEN];
    struct parsed p;

    if ((*why = line_clean(line, clean)) != NULL)
        return -EINVAL;
    if (clean[strspn(clean, " \t")] == '\0')
        return 1;
    if (clean[0] == '$') {
        *why = read_directive(z, clean);
        return *why == NULL ? 1 : -EINVAL;
    }
    if ((clean[0] == ' ' || clean[0] == '\t') && !z->has_previous) {
        *why = "the first record needs a name";
        return -EINVAL;
    }
    p = parse_with_ldns(z, clean);
    *why = p.why;
    if (p.why != NULL)
        return -EINVAL;
    *type = (uint16_t)ldns_rr_get_type(p.rr);
    *class = (uint16_t)ldns_rr_get_class(p.rr);
    *ttl = ldns_rr_ttl(p.rr);
    if (!rdf_to_name(ldns_rr_owner(p.rr), owner) || !rdata_take(p.rr, rdata, rdlen))
        *why = "the data of the record does not fit its type";
    ldns_rr_free(p.rr);
    if (*why != NULL)
        return -EINVAL;
    z->previous = *owner;
    z->has_previous = true;
    return 0;
}
