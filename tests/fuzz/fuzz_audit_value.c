/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fuzz_audit_value.c -- stored values of the audit: the first octet chooses the
 * kind, the rest is the value. What is accepted must be written again and then
 * read as the same.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "audit/json.h"
#include "audit/ledger.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool same)
{
    if (!same)
        abort();
}

static void try_event(const uint8_t *p, size_t size)
{
    struct audit_event e, again;
    uint8_t buf[AUDIT_EVENT_MAX], twice[AUDIT_EVENT_MAX];
    size_t len, n;

    if (audit_event_decode(&e, p, size) != 0)
        return;
    len = audit_event_encode(&e, buf, sizeof buf);
    check(len > 0 && audit_event_decode(&again, buf, len) == 0);
    n = audit_event_encode(&again, twice, sizeof twice);
    check(n == len && memcmp(buf, twice, n) == 0);
    json_decref(audit_event_json(&e, "host"));
    (void)audit_client_error(&e);
}

static void try_client(const uint8_t *p, size_t size)
{
    struct ledger_client row, again;
    uint8_t buf[LEDGER_ROW_MAX];
    size_t len;

    if (ledger_client_decode(&row, p, size) != 0)
        return;
    len = ledger_client_encode(&row, buf, sizeof buf);
    check(len > 0 && ledger_client_decode(&again, buf, len) == 0);
    check(again.n_suffixes == row.n_suffixes && again.counts.questions == row.counts.questions);
}

static void try_name(const uint8_t *p, size_t size)
{
    struct ledger_name_row row, again;
    uint8_t buf[LEDGER_ROW_MAX];
    size_t len;

    if (ledger_name_decode(&row, p, size) != 0)
        return;
    len = ledger_name_encode(&row, buf, sizeof buf);
    check(len > 0 && ledger_name_decode(&again, buf, len) == 0);
    check(again.n_sketch == row.n_sketch && name_equal(&again.name.name, &row.name.name));
}

static void try_hour(const uint8_t *p, size_t size)
{
    struct ledger_hour row, again;
    uint8_t buf[LEDGER_ROW_MAX];
    size_t len;

    if (ledger_hour_decode(&row, p, size) != 0)
        return;
    len = ledger_hour_encode(&row, buf, sizeof buf);
    check(len > 0 && ledger_hour_decode(&again, buf, len) == 0 && again.start_ms == row.start_ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const kinds[])(const uint8_t *, size_t) = {try_event, try_client, try_name,
                                                             try_hour};

    if (size > 0)
        kinds[data[0] % 4](data + 1, size - 1);
    return 0;
}
