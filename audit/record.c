/* SPDX-License-Identifier: BSD-2-Clause
 *
 * record.c -- events and control records as rows of the database.
 */
#include "audit/record.h"

#include <string.h>

#include "base/str.h"
#include "wire/present.h"
#include "wire/types.h"
#include "wire/pack.h"

enum { HOSTS_TEXT = AUDIT_HOSTS * (NAME_TEXT + 8) };
enum {
    BIT_REPEAT = 1,
    BIT_CACHED = 2,
    BIT_DO = 4,
    BIT_RD = 8,
    BIT_CD = 16,
    BIT_AD = 32,
    BIT_TCP = 64
};
static const uint64_t epoch_ms = 86400000;

int records_next(struct records *r, uint64_t mono_ms)
{
    int64_t last[3];
    int rc;

    if (r->begun && mono_ms < r->epoch_at_ms + epoch_ms)
        return 0;
    /* Numbers begin anew: what is stored from here on names nothing that lies before. */
    rc = audit_store_flush(r->store);
    if (rc == 0)
        rc = audit_store_sql(r->store, last,
                             "SELECT max((SELECT ifnull(max(id),0)FROM event),"
                             "(SELECT ifnull(max(event),1)FROM epoch)-1),"
                             "max((SELECT ifnull(max(id),0)FROM answer),"
                             "(SELECT ifnull(max(answer),1)FROM epoch)-1),"
                             "max((SELECT ifnull(max(id),0)FROM text),"
                             "(SELECT ifnull(max(text),1)FROM epoch)-1)");
    if (rc != 1)
        return rc;
    recent_clear(r->known);
    r->event = last[0] + 1;
    r->answer = last[1] + 1;
    r->text = last[2] + 1;
    r->epoch_at_ms = mono_ms;
    rc = audit_store_sql(r->store, NULL, "INSERT OR REPLACE INTO epoch VALUES(?,?,?)", r->event,
                         r->answer, r->text);
    r->begun = rc == 0;
    return rc;
}

/* --- what repeats ------------------------------------------------------------------ */

/* The number of what has that hash: a known one, or the next, which is new then. */
static int64_t number_of(struct records *r, uint64_t hash, int64_t *next, bool *known)
{
    struct recent_place *place = recent_find(r->known, hash, known);

    if (!*known) {
        place->ms = (uint64_t)r->event; /* the newest stay */
        place->value = (uint64_t)(*next)++;
    }
    return (int64_t)place->value;
}

/* The number of a text; NULL has none. */
static int intern_text(struct records *r, const char *text, int64_t *id)
{
    bool known = true;

    *id = 0;
    if (text != NULL)
        *id = number_of(r, hash_bytes(&r->secret, text, strlen(text)), &r->text, &known);
    return known ? 0 : audit_store_insert(r->store, STORE_TEXT, "it", *id, text);
}

static void put_hosts(struct writer *w, const struct audit_host *hosts, uint8_t n)
{
    writer_u8(w, n);
    for (uint8_t i = 0; i < n; i++) {
        writer_bytes(w, hosts[i].target.at, hosts[i].target.len);
        writer_u16(w, hosts[i].port);
    }
}

/* "kms01.contoso.com:1688 kms02.contoso.com:1688" */
static const char *hosts_print(const struct audit_host *hosts, uint8_t n, char out[HOSTS_TEXT])
{
    char name[NAME_TEXT];
    struct str s;

    str_init(&s, out, HOSTS_TEXT);
    for (uint8_t i = 0; i < n; i++)
        str_addf(&s, "%s%s:%u", i > 0 ? " " : "", name_print(&hosts[i].target, name),
                 hosts[i].port);
    return out;
}

static const char *word_or_null(const char *const *words, uint8_t n)
{
    return n > 0 ? words[n] : NULL;
}

static const char *text_or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

static int intern_answer(struct records *r, const struct audit_event *e, int64_t *id)
{
    char type[TYPE_TEXT], rcode[TYPE_TEXT], real_rcode[TYPE_TEXT], server[ADDR_TEXT];
    char real[HOSTS_TEXT], unapproved[HOSTS_TEXT], answer[HOSTS_TEXT];
    const uint8_t words[] = {e->verdict, e->outcome, e->reason, e->would};
    uint8_t buf[AUDIT_EVENT_MAX];
    struct writer w = writer_make(buf, sizeof buf);
    bool known;

    /* All that its row says, and nothing that changes from event to event. */
    writer_bytes(&w, words, sizeof words);
    writer_bytes(&w, e->server.ip, sizeof e->server.ip);
    writer_u16(&w, e->server.port);
    writer_u16(&w, e->qtype);
    writer_u16(&w, e->rcode);
    writer_u16(&w, e->real_rcode);
    writer_bytes(&w, e->rule, strlen(e->rule) + 1);
    writer_bytes(&w, e->would_rule, strlen(e->would_rule) + 1);
    writer_bytes(&w, e->text, strlen(e->text) + 1);
    put_hosts(&w, e->real, e->n_real);
    put_hosts(&w, e->answer, e->n_answer);
    put_hosts(&w, e->unapproved, e->n_unapproved);
    *id = number_of(r, hash_bytes(&r->secret, buf, w.len), &r->answer, &known);
    if (known)
        return 0;
    return audit_store_insert(
        r->store, STORE_ANSWER, "itttttttttttitttt", *id, r->forwarder, type_print(e->qtype, type),
        outcome_names[e->outcome], reason_names[e->reason], word_or_null(verdict_names, e->verdict),
        addr_is_any(&e->server) ? NULL : addr_print_port(&e->server, server),
        rcode_print(e->real_rcode, real_rcode), hosts_print(e->real, e->n_real, real),
        hosts_print(e->unapproved, e->n_unapproved, unapproved), rcode_print(e->rcode, rcode),
        hosts_print(e->answer, e->n_answer, answer), (int64_t)(audit_client_error(e) & 0xffff),
        text_or_null(e->rule), word_or_null(outcome_names, e->would), text_or_null(e->would_rule),
        text_or_null(e->text));
}

/* --- an event ------------------------------------------------------------------------ */

static int add_question(struct records *r, const struct audit_event *e,
                        const struct ledger_ids *ids)
{
    union store_event row = {
        .id = r->event,
        .ms = (int64_t)e->wall_ms,
        .client = ids->client,
        .port = e->client.port,
        .suffix = ids->suffix,
        .dns_id = e->id,
        .bits = (e->repeat ? BIT_REPEAT : 0) | (e->cached ? BIT_CACHED : 0) |
                (e->edns_do ? BIT_DO : 0) | (e->flags & DNS_RD ? BIT_RD : 0) |
                (e->flags & DNS_CD ? BIT_CD : 0) | (e->flags & DNS_AD ? BIT_AD : 0) |
                (e->transport == AUDIT_TCP ? BIT_TCP : 0),
        .serial = (int64_t)e->policy_serial,
        .real_ms = e->real_ms,
        .latency_us = e->latency_us,
        .previous = ids->previous,
    };
    char text[NAME_TEXT], list[AUDIT_EVENT_NETWORKS * AUDIT_TEXT];
    struct name name, folded = e->qname;
    struct addr address = e->client;
    struct str networks;
    bool plain; /* the name as it was asked is what its suffix says */
    int rc = 0;

    address.scope = 0;
    name_fold(&folded);
    plain = name_equal(&folded, &e->qname) && name_is_vlmcs(&folded) &&
            folded.at[folded.len - 2] != '.'; /* nor does its text end like a root's */
    str_init(&networks, list, sizeof list);
    for (uint8_t i = 0; i < e->n_networks; i++)
        str_addf(&networks, "%s%s", i > 0 ? " " : "", e->networks[i]);
    if (ids->client == 0) { /* the ledger has no row: the number of its text, as -id */
        rc = intern_text(r, addr_print(&address, text), &row.client);
        row.client = -row.client;
    }
    if (ids->suffix == 0 && rc == 0) {
        audit_event_suffix(e, &name);
        rc = intern_text(r, name_print(&name, text), &row.suffix);
        row.suffix = -row.suffix;
    }
    if (rc == 0)
        rc = intern_text(r, plain ? NULL : name_print(&e->qname, text), &row.asked);
    if (rc == 0)
        rc = intern_answer(r, e, &row.answer);
    if (rc == 0)
        rc = intern_text(r, text_or_null(list), &row.networks);
    return rc == 0 ? audit_store_put(r->store, STORE_EVENT, row.numbers, NULL) : rc;
}

int records_add(struct records *r, const struct audit_event *e, const struct ledger_ids *ids)
{
    bool counts = e->kind == AUDIT_GAP || e->kind == AUDIT_PRUNE; /* how many, and since when */
    int rc;

    if (e->kind == AUDIT_EVENT) {
        rc = add_question(r, e, ids);
    } else {
        rc = audit_store_insert(r->store, STORE_CONTROL, counts ? "itttii" : "ittt", r->event,
                                r->forwarder, audit_kind_names[e->kind], e->text, (int64_t)e->lost,
                                (int64_t)e->lost_from_ms);
        if (rc == 0)
            rc = audit_store_sql(r->store, NULL, "INSERT INTO event(id,ms) VALUES(?,?)", r->event,
                                 e->wall_ms);
    }
    r->event += rc == 0;
    return rc;
}
