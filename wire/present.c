/* SPDX-License-Identifier: BSD-2-Clause
 *
 * present.c -- text and wire form.
 *
 * What ldns is given to print was walked by rr_walk_next(), is written out again without
 * compression, has a type of a fixed list, and is short: its parser allocates RDLENGTH octets for
 * each character-string. Everything else is printed in the generic form of RFC 3597.
 */
#include "wire/message.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include <ldns/ldns.h>

#include "base/guard.h"
#include "base/str.h"

enum { PRINT_MAX_RDATA = 1024 };

/* clang-format off */
/* Its own list ends with NOTZONE. */
static ldns_lookup_table rcodes[] = {
    {0, "NOERROR"}, {1, "FORMERR"}, {2, "SERVFAIL"}, {3, "NXDOMAIN"}, {4, "NOTIMP"}, {5, "REFUSED"},
    {6, "YXDOMAIN"}, {7, "YXRRSET"}, {8, "NXRRSET"}, {9, "NOTAUTH"}, {10, "NOTZONE"}, {11, "DSOTYPENI"},
    {16, "BADVERS"}, {17, "BADKEY"}, {18, "BADTIME"}, {19, "BADMODE"}, {20, "BADNAME"}, {21, "BADALG"},
    {22, "BADTRUNC"}, {23, "BADCOOKIE"}, {RCODE_UNUSABLE, "UNUSABLE"}, {RCODE_TIMEOUT, "TIMEOUT"},
    {0, NULL},
};
/* clang-format on */

int type_parse(uint16_t *out, const char *text)
{
    const bool is_number = strncasecmp(text, "TYPE", 4) == 0; /* ldns takes TYPE1x for 1 */
    uint64_t value = is_number ? 0 : ldns_get_rr_type_by_name(text);

    if (is_number ? number_parse(&value, text + 4, UINT16_MAX) != 0 : value == 0)
        return -EINVAL;
    *out = (uint16_t)value;
    return 0;
}

/* What ldns has printed. */
static const char *word_take(char *word, char out[TYPE_TEXT])
{
    snprintf(out, TYPE_TEXT, "%s", word ? word : "");
    free(word);
    return out;
}

const char *type_print(uint16_t type, char out[TYPE_TEXT])
{
    return word_take(ldns_rr_type2str(type), out);
}

const char *rcode_print(uint16_t rcode, char out[TYPE_TEXT])
{
    const ldns_lookup_table *word = ldns_lookup_by_id(rcodes, rcode);

    if (word)
        snprintf(out, TYPE_TEXT, "%s", word->name);
    else
        snprintf(out, TYPE_TEXT, "RCODE%u", rcode);
    return out;
}

int name_parse(struct name *out, const char *text)
{
    ldns_rdf *made = NULL;
    struct name name;
    struct cursor c;

    for (const uint8_t *p = (const uint8_t *)text; *p != '\0'; p++) {
        if (*p == '\\' && p[1] != '\0')
            p++;
        else if (*p <= ' ' || *p == 0x7f) /* white space and controls only escaped */
            return -EINVAL;
    }
    if (ldns_str2rdf_dname(&made, text) != LDNS_STATUS_OK || made == NULL) /* out of memory */
        return -EINVAL;
    c = cursor_make(ldns_rdf_data(made), ldns_rdf_size(made));
    name_read(&c, &name);
    ldns_rdf_deep_free(made);
    if (c.bad)
        return -EINVAL;
    *out = name;
    return 0;
}

const char *name_print(const struct name *name, char out[NAME_TEXT])
{
    size_t pos = 0;
    char *p = out;

    if (name->labels == 0)
        *p++ = '.';
    while (name->data[pos] != 0) {
        size_t end = pos + 1 + name->data[pos];

        if (pos > 0)
            *p++ = '.';
        while (++pos < end) {
            uint8_t c = name->data[pos];

            if (c <= ' ' || c >= 0x7f) {
                p += sprintf(p, "\\%03u", c);
                continue;
            }
            if (strchr(".\\\"();@$", c))
                *p++ = '\\';
            *p++ = (char)c;
        }
    }
    *p = '\0';
    return out;
}

static int text_by_ldns(char *volatile *text, const uint8_t *alone, size_t len, size_t pos)
{
    ldns_rr *made = NULL;

    if (ldns_wire2rr(&made, alone, len, &pos, LDNS_SECTION_ANSWER) == LDNS_STATUS_OK && pos == len)
        *text = ldns_rr2str_fmt(ldns_output_format_nocomments, made);
    ldns_rr_free(made);
    return 0;
}

/* The record at pos, the last of its message; false for what ldns is not given. */
static bool print_by_ldns(const struct rr *rr, const uint8_t *alone, size_t len, size_t pos,
                          char *out, size_t size)
{
    /* The numbers are RP AFSDB SSHFP NSEC3PARAM TLSA CDS CDNSKEY SPF CAA. */
    static const uint16_t known[] = {
        TYPE_A,    TYPE_NS,     TYPE_CNAME, TYPE_SOA,   TYPE_PTR,   TYPE_HINFO, TYPE_MX,
        TYPE_TXT,  TYPE_AAAA,   TYPE_SRV,   TYPE_NAPTR, TYPE_DNAME, TYPE_DS,    TYPE_RRSIG,
        TYPE_NSEC, TYPE_DNSKEY, TYPE_NSEC3, 17,         18,         44,         51,
        52,        59,          60,         99,         257};
    char *volatile text = NULL; /* guarded() jumps */
    size_t i = 0, n;
    bool fits;
    int rc;

    while (i < ARRAY_LEN(known) && known[i] != rr->type)
        i++;
    if (i == ARRAY_LEN(known) || rr->class != CLASS_IN || rr->rdlength == 0 ||
        rr->rdlength > PRINT_MAX_RDATA)
        return false;
    guarded(rc, text_by_ldns(&text, alone, len, pos)); /* out of memory, it follows NULL */
    n = rc == 0 && text ? strcspn(text, "\n") : 0;
    /* More than one line: nothing that we asked for. */
    fits = n > 0 && n < size && (text[n] == '\0' || text[n + 1] == '\0');
    for (i = 0; i < n && fits; i++) /* one blank between fields: safe in any table */
        out[i] = text[i] == '\t' ? ' ' : text[i];
    if (fits)
        out[n] = '\0';
    free(text);
    return fits;
}

bool rr_print(const uint8_t *wire, const struct rr *rr, char *out, size_t size)
{
    static const struct message none = {.qname = {.len = 1}};
    uint8_t alone[DNS_MAX_MESSAGE + 4 * NAME_MAX_WIRE];
    char owner[NAME_TEXT], class[TYPE_TEXT], type[TYPE_TEXT];
    size_t begin, rdata, rdlength;
    struct rewrite r;
    int n;

    rewrite_begin(&r, alone, sizeof alone, 0, &none);
    r.apart = true; /* no name is remembered, so each is written out */
    begin = r.w.len;
    if (size == 0 || !rewrite_put(&r, wire, rr, rr->ttl))
        return false;
    if (print_by_ldns(rr, alone, r.w.len, begin, out, size))
        return true;
    rdata = begin + rr->owner->len + 10;
    rdlength = r.w.len - rdata;
    n = snprintf(out, size, "%s%s %u %s %s \\# %zu%s", name_print(rr->owner, owner),
                 rr->owner->labels > 0 ? "." : "", rr->ttl,
                 word_take(ldns_rr_class2str(rr->class), class), type_print(rr->type, type),
                 rdlength, rdlength > 0 ? " " : ""); /* RFC 3597 5 */
    if (n < 0 || (size_t)n + 2 * rdlength >= size)
        return false;
    for (size_t i = 0; i < rdlength; i++)
        snprintf(out + n + 2 * i, 3, "%02x", alone[rdata + i]);
    return true;
}
