/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fuzz_policy_value.c -- keys and payloads of the policy store that passed
 * their checksum and were yet not written by us. What is read can be written
 * again and is then read as the same.
 *
 * The first octet chooses the reader, the rest is what it reads.
 */
#include "tests/fuzz/fuzz.h"

#include "policy/change.h"
#include "policy/records.h"

static void fuzz_record(enum policy_kind kind, const struct store_bytes *v)
{
    static uint8_t first[RECORD_MAX], second[RECORD_MAX];
    const uint8_t key[] = {(uint8_t)policy_tables[kind], 'r'};
    union policy_object a = {.rule = {.n_networks = 0}}, b = a;
    struct store_record record = {{key, sizeof key}, *v};
    struct store_bytes again;

    if (record_read(kind, &record, &a) != 0)
        return;
    record.value = record_write(kind, &a, first);
    must(record_read(kind, &record, &b) == 0);
    again = record_write(kind, &b, second);
    must(record.value.len == again.len && memcmp(record.value.data, again.data, again.len) == 0);
    policy_object_fini(kind, &a);
    policy_object_fini(kind, &b);
}

/* A key that can be read is the one that its parts make. */
static void fuzz_key(const struct store_bytes *k)
{
    struct policy_key read = {.port = 0};
    struct store_key made;
    struct key_parts parts = {.domain = &read.suffix.name};
    uint8_t table = k->data[0];

    if (memchr("nprsblAHG", table, 9) == NULL || !key_read(k, &read))
        return;
    if (memchr("nprG", table, 4) != NULL)
        parts.domain = NULL;
    if (table == TABLE_PREFIX)
        parts.ip = read.prefix.ip;
    if (table != TABLE_LISTED)
        parts.owner = read.owner;
    parts.number = table == TABLE_PREFIX                              ? read.prefix.len
                   : table == TABLE_LISTED || table == TABLE_APPROVED ? read.port
                                                                      : read.suffix.below;
    key_make(&made, (enum policy_table)table, &parts);
    must(store_compare(k, &made) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct store_bytes v;

    if (size < 2 || size > STORE_KEY_MAX * 8)
        return 0;
    v = (struct store_bytes){data + 1, size - 1};
    switch (data[0] % 5) {
    case 0:
        fuzz_record(POLICY_RULE, &v);
        break;
    case 1:
        fuzz_record(POLICY_POOL, &v);
        break;
    case 2:
        fuzz_record(POLICY_NETWORK, &v);
        break;
    default:
        if (v.len <= STORE_KEY_MAX)
            fuzz_key(&v);
    }
    return 0;
}
