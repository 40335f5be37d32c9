/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fuzz_policy_text.c -- any octets as a policy, in both text forms. What is
 * accepted must be written so that it reads back as the same policy, also to
 * the last octet; and checking it must find its words.
 */
#include "tests/fuzz/fuzz.h"

#include "ctl/policy.h"

static char *written(const struct policy *p, size_t *len,
                     int (*writer)(const struct policy *, FILE *))
{
    char *out = NULL;
    FILE *f = open_memstream(&out, len);

    must(f != NULL && writer(p, f) == 0 && fclose(f) == 0);
    return out;
}

static void round_trip(const struct policy *p)
{
    size_t len, len_again;
    struct policy again;
    char *text = written(p, &len, policy_text_write), *second;

    must(policy_text_read(&again, "again", text, len, false, NULL) == 0);
    second = written(&again, &len_again, policy_text_write);
    must(len == len_again && memcmp(text, second, len) == 0);
    json_decref(policy_findings(p, 1));
    policy_references(p, NULL);
    policy_fini(&again);
    free(second);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct policy p;
    struct diags d;
    size_t len;
    int rc;

    diags_init(&d);
    rc = policy_text_read(&p, "f", (const char *)data, size, false, &d);
    must(rc == 0 || d.all > 0); /* never refused without a word */
    if (rc == 0) {
        must(d.all == 0);
        round_trip(&p);
        free(written(&p, &len, zone_write));
        policy_fini(&p);
    }
    diags_fini(&d);
    diags_init(&d);
    rc = zone_read(&p, "z", (const char *)data, size, &d);
    must(rc >= 0 || d.all > 0);
    if (rc >= 0) {
        round_trip(&p);
        policy_fini(&p);
    }
    diags_fini(&d);
    return 0;
}
