/* SPDX-License-Identifier: BSD-2-Clause
 *
 * verify.c -- makes the chain of the audit anew, segment by segment, each a short transaction.
 * What retention removes meanwhile is no problem.
 */
#include "audit/verify.h"

#include <endian.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { PARTS = 13 };

/* clang-format off */
static const char segments_sql[] =
    "SELECT id" SQL_CHAIN " FROM chain WHERE id>=?1"
    " AND last>=(SELECT ifnull(min(id),0) FROM event) ORDER BY id LIMIT 1";
/* What joins the chain with each record, as ledger.c has it. */
static const char records_sql[] =
    "SELECT e.id,ms,port,dns_id,bits,serial,real_ms,latency_us,"
    "(SELECT digest('answer'" SQL_ANSWER ") FROM answer a WHERE a.id=e.answer),"
    "iif(e.client NOTNULL,ifnull(b.digest,digest(c.digest,e.id)),NULL),"
    "iif(e.suffix NOTNULL,digest(iif(typeof(e.suffix)='integer',s.name,e.suffix)),NULL),asked"
    " FROM event e LEFT JOIN client c ON c.id=e.client LEFT JOIN suffix s ON s.id=e.suffix"
    " LEFT JOIN blind b ON b.id=e.id WHERE e.id BETWEEN ?1 AND ?2 ORDER BY e.id";
/* clang-format on */

struct verifier {
    struct audit_store *store;
    struct chain *chain;
    sqlite3_stmt *segments, *records;
    const uint8_t *wanted;
    struct audit_verified *out;
    uint8_t head[CHAIN_HEAD]; /* of the records so far */
};

/* The records of a segment, behind v->head. 1: they are those that were recorded; 0; -errno. */
static int verify_segment(struct verifier *v, int64_t first, int64_t last,
                          const uint8_t head[CHAIN_HEAD])
{
    sqlite3_stmt *q = v->records;
    int rc;

    sqlite3_bind_int64(q, 1, first);
    sqlite3_bind_int64(q, 2, last);
    while ((rc = audit_store_step(v->store, q)) == 1) {
        struct chain_part parts[PARTS] = {{v->head, CHAIN_HEAD}};
        uint64_t numbers[PARTS];

        for (int i = 1; i < PARTS; i++) {
            numbers[i] = htole64((uint64_t)sqlite3_column_int64(q, i - 1));
            if (sqlite3_column_type(q, i - 1) == SQLITE_INTEGER)
                parts[i] = (struct chain_part){&numbers[i], sizeof numbers[i]};
            else if (sqlite3_column_type(q, i - 1) != SQLITE_NULL)
                parts[i] = (struct chain_part){sqlite3_column_blob(q, i - 1),
                                               (size_t)sqlite3_column_bytes(q, i - 1)};
        }
        chain_digest(v->chain, v->head, CHAIN_HEAD, parts, PARTS);
        if (v->wanted != NULL && memcmp(v->head, v->wanted, CHAIN_HEAD) == 0)
            v->out->found = sqlite3_column_int64(q, 0);
    }
    return rc < 0 ? rc : memcmp(v->head, head, CHAIN_HEAD) == 0;
}

/* All segments, from the first whose records are there. */
static int verify_chain(struct verifier *v, void (*tell)(void *, long long, long long),
                        void *context)
{
    struct audit_verified *out = v->out;
    long long ends[2] = {0}, least;
    int rc = audit_sql(v->store, ends, "SELECT ifnull(min(id),0),ifnull(max(id),0) FROM event");
    bool began = false;

    out->first = ends[0];
    out->last = ends[0] > 0 ? ends[0] - 1 : 0;
    while (rc >= 0 && out->broken[0] == '\0') {
        uint8_t head[CHAIN_HEAD] = {0};
        int64_t first, last;
        bool joins;

        sqlite3_bind_int64(v->segments, 1, out->last + 1);
        rc = audit_store_step(v->store, v->segments);
        if (rc <= 0)
            break;
        first = sqlite3_column_int64(v->segments, 0);
        last = sqlite3_column_int64(v->segments, 1);
        joins = first == out->last + 1 && sqlite3_column_bytes(v->segments, 2) == CHAIN_HEAD &&
                sqlite3_column_bytes(v->segments, 3) == CHAIN_HEAD;
        if (joins && began)
            joins = memcmp(v->head, sqlite3_column_blob(v->segments, 2), CHAIN_HEAD) == 0;
        if (joins) {
            memcpy(v->head, sqlite3_column_blob(v->segments, 2), CHAIN_HEAD);
            memcpy(head, sqlite3_column_blob(v->segments, 3), CHAIN_HEAD);
        }
        sqlite3_reset(v->segments);
        rc = joins ? verify_segment(v, first, last, head) : 0;
        began = rc > 0;
        if (rc == 0 && (rc = audit_sql(v->store, &least, "SELECT min(id) FROM event")) > 0 &&
            least > out->last + 1) { /* removed meanwhile */
            out->first = least;
            last = least - 1;
        } else if (rc >= 0 && !began) {
            snprintf(out->broken, sizeof out->broken,
                     "records %lld to %lld are not those that were recorded: some were changed, "
                     "added or removed",
                     out->last + 1, (long long)last);
        }
        out->last = last;
        if (tell != NULL)
            tell(context, last - ends[0], ends[1] - ends[0]);
    }
    memcpy(out->head, v->head, CHAIN_HEAD);
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
    struct verifier v = {.store = store, .chain = chain_new(), .wanted = wanted, .out = out};
    json_t *rows;
    int rc = v.chain != NULL ? audit_store_prepare(store, segments_sql, &v.segments) : -ENOMEM;

    *out = (struct audit_verified){.first = 0};
    if (rc == 0)
        rc = audit_store_prepare(store, records_sql, &v.records);
    if (rc == 0)
        rc = verify_chain(&v, tell, context);
    chain_free(v.chain);
    if (rc != 0 || out->broken[0] != '\0')
        return rc;
    rows = json_array();
    rc = audit_query(store,
                     "SELECT name FROM client WHERE salt NOTNULL AND digest IS NOT "
                     "digest(salt,name) LIMIT 1",
                     NULL, rows);
    if (rc == 0 && json_array_size(rows) > 0)
        snprintf(out->broken, sizeof out->broken,
                 "client %s had another address when it was recorded",
                 json_string_value(json_object_get(json_array_get(rows, 0), "name")));
    json_decref(rows);
    return rc;
}
