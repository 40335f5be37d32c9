/* SPDX-License-Identifier: BSD-2-Clause
 *
 * verify.c -- makes the chain of the audit anew, segment by segment, each a short transaction.
 * What retention removes meanwhile is no problem.
 */
#include "audit/verify.h"

#include <endian.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"

enum { KNOWN = 4096 };
/* Behind the columns of an event. */
enum { CLIENT = 3, SUFFIX = 4, CLIENT_DIGEST = 12, BLIND, SUFFIX_NAME };

struct verifier {
    struct audit_store *store;
    struct chain *chain;
    sqlite3_stmt *segments, *events, *answer, *clients;
    const uint8_t *wanted;
    struct audit_verified *out;
    /* Digests of answers, found by number. */
    struct known {
        int64_t id;
        uint8_t digest[CHAIN_DIGEST];
    } known[KNOWN];
};

static struct chain_part part_of(sqlite3_stmt *q, int column, uint64_t *number)
{
    struct chain_part part = {NULL, 0};

    if (sqlite3_column_type(q, column) == SQLITE_INTEGER) {
        *number = htole64((uint64_t)sqlite3_column_int64(q, column));
        part = (struct chain_part){number, sizeof *number};
    } else if (sqlite3_column_type(q, column) != SQLITE_NULL) {
        part.p = sqlite3_column_text(q, column);
        part.n = (size_t)sqlite3_column_bytes(q, column);
    }
    return part;
}

/* 0 or -errno; an answer that is not there has the digest of nothing. */
static int answer_digest(struct verifier *v, int64_t id, uint8_t out[CHAIN_DIGEST])
{
    struct known *k = &v->known[id % KNOWN];
    struct chain_part parts[32];
    uint64_t numbers[32];
    int rc, n = sqlite3_column_count(v->answer);

    if (k->id != id) {
        sqlite3_bind_int64(v->answer, 1, id);
        if ((rc = audit_store_step(v->store, v->answer)) < 0)
            return rc;
        for (int i = 1; i < n && rc == 1; i++)
            parts[i - 1] = part_of(v->answer, i, &numbers[i]);
        chain_digest(v->chain, k->digest, parts, rc == 1 ? n - 1 : 0);
        if (rc == 1)
            sqlite3_reset(v->answer);
        k->id = id;
    }
    memcpy(out, k->digest, CHAIN_DIGEST);
    return 0;
}

/* What stands in the chain for the client and the suffix of the row. */
static void add_digests(struct verifier *v, struct chain_record *r)
{
    static const uint8_t nobody[CHAIN_DIGEST]; /* of a client without a row */
    sqlite3_stmt *q = v->events;
    const uint8_t *client = nobody;
    uint64_t id = 0, number;
    const struct chain_part own = part_of(q, 0, &id);
    struct chain_part suffix = part_of(q, SUFFIX, &number);

    if (sqlite3_column_type(q, SUFFIX) == SQLITE_INTEGER)
        suffix = part_of(q, SUFFIX_NAME, &number);
    if (sqlite3_column_type(q, SUFFIX) != SQLITE_NULL)
        chain_digest(v->chain, r->suffix, &suffix, 1);
    if (sqlite3_column_type(q, CLIENT) == SQLITE_NULL)
        return;
    if (sqlite3_column_bytes(q, BLIND) == CHAIN_DIGEST) {
        memcpy(r->client, sqlite3_column_blob(q, BLIND), CHAIN_DIGEST);
        return;
    }
    if (sqlite3_column_bytes(q, CLIENT_DIGEST) == CHAIN_DIGEST)
        client = sqlite3_column_blob(q, CLIENT_DIGEST);
    chain_digest(v->chain, r->client, (struct chain_part[]){{client, CHAIN_DIGEST}, own}, 2);
}

/* The records of a segment. 1: as they were recorded; 0: not so; -errno. */
static int verify_segment(struct verifier *v, int64_t first, int64_t last,
                          const uint8_t before[CHAIN_HEAD], const uint8_t head[CHAIN_HEAD])
{
    static const int columns[CHAIN_NUMBERS] = CHAIN_COLUMNS;
    sqlite3_stmt *q = v->events;
    uint8_t now[CHAIN_HEAD];
    int64_t next = first;
    int rc;

    chain_begin(v->chain, before);
    sqlite3_bind_int64(q, 1, first);
    sqlite3_bind_int64(q, 2, last);
    while ((rc = audit_store_step(v->store, q)) == 1) {
        struct chain_record r = {.asked = (const char *)sqlite3_column_text(q, CHAIN_ASKED)};

        if (sqlite3_column_int64(q, 0) != next++) {
            sqlite3_reset(q);
            return 0;
        }
        for (int i = 0; i < CHAIN_NUMBERS; i++)
            r.numbers[i] = sqlite3_column_int64(q, columns[i]);
        add_digests(v, &r);
        if ((rc = answer_digest(v, sqlite3_column_int64(q, 2), r.answer)) != 0) {
            sqlite3_reset(q);
            return rc;
        }
        chain_add(v->chain, &r);
        if (v->wanted == NULL || v->out->found != 0)
            continue;
        chain_head(v->chain, now);
        if (memcmp(now, v->wanted, CHAIN_HEAD) == 0)
            v->out->found = next - 1;
    }
    chain_head(v->chain, now);
    return rc < 0 ? rc : next == last + 1 && memcmp(now, head, CHAIN_HEAD) == 0;
}

/* Has each client the address that it had? A forgotten one has none to compare. */
static int verify_clients(struct verifier *v)
{
    sqlite3_stmt *q = v->clients;
    uint8_t digest[CHAIN_DIGEST];
    uint64_t number;
    int rc;

    while ((rc = audit_store_step(v->store, q)) == 1) {
        const struct chain_part parts[] = {{sqlite3_column_blob(q, 2), CHAIN_DIGEST},
                                           part_of(q, 1, &number)};

        chain_digest(v->chain, digest, parts, 2);
        if (v->out->broken[0] != '\0' ||
            (sqlite3_column_bytes(q, 2) == CHAIN_DIGEST &&
             sqlite3_column_bytes(q, 3) == CHAIN_DIGEST &&
             memcmp(digest, sqlite3_column_blob(q, 3), CHAIN_DIGEST) == 0))
            continue;
        snprintf(v->out->broken, sizeof v->out->broken,
                 "client %s had another address when it was recorded",
                 sqlite3_column_text(q, 1) != NULL ? (const char *)sqlite3_column_text(q, 1) : "-");
    }
    return rc;
}

static int prepare(struct verifier *v)
{
    /* clang-format off */
    const struct {
        const char *sql;
        sqlite3_stmt **q;
    } statements[] = {
        {"SELECT id" SQL_CHAIN " FROM chain WHERE id>=?1 AND last>=(SELECT ifnull(min(id),0) FROM event)"
         " ORDER BY id LIMIT 1", &v->segments},
        {"SELECT e.id,ms,answer,client,e.suffix,asked,port,dns_id,bits,serial,real_ms,latency_us,c.digest,b.digest,s.name"
         " FROM event e LEFT JOIN client c ON c.id=e.client LEFT JOIN suffix s ON s.id=e.suffix"
         " LEFT JOIN blind b ON b.id=e.id WHERE e.id BETWEEN ?1 AND ?2 ORDER BY e.id", &v->events},
        {"SELECT id" SQL_ANSWER " FROM answer WHERE id=?1", &v->answer},
        {"SELECT id,name,salt,digest FROM client WHERE salt NOTNULL", &v->clients},
    };
    /* clang-format on */
    int rc = 0;

    for (size_t i = 0; i < ARRAY_LEN(statements) && rc == 0; i++)
        rc = audit_store_prepare(v->store, statements[i].sql, statements[i].q);
    return rc;
}

/* All segments, from the first whose records are there. */
static int verify_chain(struct verifier *v, void (*tell)(void *, long long, long long),
                        void *context)
{
    struct audit_verified *out = v->out;
    long long ends[2] = {0}, least;
    uint8_t before[CHAIN_HEAD], head[CHAIN_HEAD];
    bool began = false;
    int rc = audit_sql(v->store, ends, "SELECT ifnull(min(id),0),ifnull(max(id),0) FROM event");

    out->first = ends[0];
    out->last = ends[0] - 1;
    if (ends[1] == 0)
        out->last = 0;
    while (rc >= 0 && ends[1] > 0 && out->broken[0] == '\0') {
        int64_t first, last;

        sqlite3_bind_int64(v->segments, 1, out->last + 1);
        rc = audit_store_step(v->store, v->segments);
        if (rc <= 0)
            break;
        first = sqlite3_column_int64(v->segments, 0);
        last = sqlite3_column_int64(v->segments, 1);
        if (sqlite3_column_bytes(v->segments, 2) == CHAIN_HEAD &&
            sqlite3_column_bytes(v->segments, 3) == CHAIN_HEAD) {
            memcpy(before, sqlite3_column_blob(v->segments, 2), CHAIN_HEAD);
            memcpy(head, sqlite3_column_blob(v->segments, 3), CHAIN_HEAD);
        }
        sqlite3_reset(v->segments);
        rc = verify_segment(v, first, last, before, head);
        if (rc == 0 || first != out->last + 1 ||
            (began && memcmp(before, out->head, CHAIN_HEAD) != 0)) {
            rc = audit_sql(v->store, &least, "SELECT ifnull(min(id),0) FROM event");
            if (rc > 0 && least > out->first && least > out->last) { /* removed meanwhile */
                out->first = least;
                out->last = least - 1;
                began = false;
                continue;
            }
            snprintf(out->broken, sizeof out->broken,
                     "records %lld to %lld are not those that were recorded: some were changed, "
                     "added or removed",
                     out->last + 1, (long long)last);
        }
        memcpy(out->head, head, CHAIN_HEAD);
        out->last = last;
        began = true;
        if (tell != NULL)
            tell(context, last - ends[0], ends[1] - ends[0]);
    }
    if (rc >= 0 && out->broken[0] == '\0' && out->last < ends[1])
        snprintf(out->broken, sizeof out->broken,
                 "records %lld to %lld were added behind the end of the chain", out->last + 1,
                 ends[1]);
    return rc < 0 ? rc : 0;
}

int audit_verify(struct audit_store *store, const uint8_t *wanted,
                 void (*tell)(void *context, long long done, long long all), void *context,
                 struct audit_verified *out)
{
    struct verifier *v = calloc(1, sizeof *v);
    int rc = -ENOMEM;

    *out = (struct audit_verified){.first = 0};
    if (v != NULL && (v->chain = chain_new()) != NULL) {
        v->store = store;
        v->wanted = wanted;
        v->out = out;
        if ((rc = prepare(v)) == 0 && (rc = verify_chain(v, tell, context)) == 0)
            rc = verify_clients(v);
    }
    if (v != NULL)
        chain_free(v->chain);
    free(v);
    return rc;
}
