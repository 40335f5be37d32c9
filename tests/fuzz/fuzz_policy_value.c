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

#include "policy/ranges.h"
#include "policy/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void fuzz_rule(const struct store_bytes *v)
{
    struct policy_rule a = {.name = "r"}, b = {.name = "r"};
    static uint8_t first[RECORD_RULE_MAX], second[RECORD_RULE_MAX];
    struct writer w = writer_make(first, sizeof first), x = writer_make(second, sizeof second);

    if (rule_read(&a, v) != 0)
        return;
    rule_write(&w, &a);
    must(!w.full && rule_read(&b, &(struct store_bytes){first, w.len}) == 0);
    rule_write(&x, &b);
    must(w.len == x.len && memcmp(first, second, w.len) == 0);
    policy_rule_fini(&a);
    policy_rule_fini(&b);
}

static void fuzz_pool(const struct store_bytes *v)
{
    struct policy_pool a = {.name = "p"}, b = {.name = "p"};
    static uint8_t first[RECORD_POOL_MAX], second[RECORD_POOL_MAX];
    struct writer w = writer_make(first, sizeof first), x = writer_make(second, sizeof second);

    if (pool_read(&a, v) != 0)
        return;
    pool_write(&w, &a);
    must(!w.full && pool_read(&b, &(struct store_bytes){first, w.len}) == 0);
    pool_write(&x, &b);
    must(w.len == x.len && memcmp(first, second, w.len) == 0);
    policy_pool_fini(&a);
    policy_pool_fini(&b);
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
    struct policy_network network = {.n = 0};
    struct policy_client client;

    if (size < 2 || size > STORE_KEY_MAX * 8)
        return 0;
    v = (struct store_bytes){data + 1, size - 1};
    switch (data[0] % 5) {
    case 0:
        fuzz_rule(&v);
        break;
    case 1:
        fuzz_pool(&v);
        break;
    case 2:
        if (network_read(&network, &v) == 0)
            policy_network_fini(&network);
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
