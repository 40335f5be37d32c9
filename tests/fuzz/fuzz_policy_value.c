/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fuzz_policy_value.c -- keys and payloads of the policy store that passed
 * their checksum and were yet not written by us. What is read can be written
 * again and is then read as the same.
 *
 * The first octet chooses the reader, the rest is what it reads.
 */
#include <stdlib.h>
#include <string.h>

#include "policy/change.h"
#include "policy/ranges.h"
#include "policy/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void fuzz_record(enum policy_table table, enum policy_kind kind, const struct store_bytes *v)
{
    union policy_object a = {.name = "r"}, b = {.name = "r"};
    static uint8_t first[RECORD_POOL_MAX], second[RECORD_POOL_MAX];
    struct writer w = writer_make(first, sizeof first), x = writer_make(second, sizeof second);

    if (record_read(table, &a, v) != 0)
        return;
    record_write(table, &a, &w);
    must(!w.full && record_read(table, &b, &(struct store_bytes){first, w.len}) == 0);
    record_write(table, &b, &x);
    must(w.len == x.len && memcmp(first, second, w.len) == 0);
    policy_object_fini(kind, &a);
    policy_object_fini(kind, &b);
}

static void fuzz_keys(const struct store_bytes *k)
{
    char rule[POLICY_NAME];
    struct policy_approved a;
    struct suffix s;
    struct store_key made;

    key_read_name(k, rule);
    if (key_read_target(k, &a)) {
        key_target(&made, (enum policy_table)k->data[0], &a.target, a.port, "");
        must(store_compare(k, &made) == 0);
    }
    if (key_read_rule_suffix(k, rule, &s)) {
        key_rule_suffix(&made, rule, &s);
        must(made.len == k->len && memcmp(made.data + 1, k->data + 1, k->len - 1) == 0);
    }
    if (key_read_suffix(k, &s, rule)) {
        key_suffix(&made, &s, rule);
        must(made.len == k->len && memcmp(made.data + 1, k->data + 1, k->len - 1) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct store_bytes v;
    struct policy_client client;

    if (size < 2 || size > STORE_KEY_MAX * 8)
        return 0;
    v = (struct store_bytes){data + 1, size - 1};
    switch (data[0] % 5) {
    case 0:
        fuzz_record(TABLE_RULE, POLICY_RULE, &v);
        break;
    case 1:
        fuzz_record(TABLE_POOL, POLICY_POOL, &v);
        break;
    case 2:
        fuzz_record(TABLE_NETWORK, POLICY_NETWORK, &v);
        break;
    case 3:
        if (range_read(&v, (const uint8_t[16]){[10] = 0xff, 0xff, 10, 0, 0, 1}, &client))
            must(client.n_networks <= POLICY_CLIENT_NETWORKS);
        break;
    default:
        if (v.len <= STORE_KEY_MAX)
            fuzz_keys(&v);
    }
    return 0;
}
