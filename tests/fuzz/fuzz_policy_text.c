/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fuzz_policy_text.c -- any octets as a policy, in the format that the first of them names: the digit
 * of a reader, else the one that is guessed. What is accepted must be written so that it reads back as
 * the same policy, also to the last octet; and checking it must find its words.
 */
#include "tests/fuzz/fuzz.h"

#include "ctl/policy.h"

enum { N_READERS = 7 };

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

    must(policy_text_read(&again, "again", text, len, NULL) == 0);
    second = written(&again, &len_again, policy_text_write);
    must(len == len_again && memcmp(text, second, len) == 0);
    json_decref(policy_findings(p, 1));
    policy_references(p, NULL);
    policy_fini(&again);
    free(second);
    free(text);
}

/* As the format; its own form, if it has one, reads back. */
static void try_format(const struct policy_format *format, const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    struct policy p;
    struct diags d = {0}, remarks = {0};
    struct import in = {
        .file = "f", .text = text, .len = size, .problems = &d, .remarks = &remarks};
    int rc;

    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    in.pool = format->needs_pool ? "pool" : NULL;
    rc = import_read(&in, format, &p);
    must(rc == 0 ? d.all == 0 : d.all > 0); /* never refused without a word */
    if (rc == 0) {
        round_trip(&p);
        for (const struct policy_format *f = policy_formats; f->name; f++)
            if (f->write)
                free(written(&p, &(size_t){0}, f->write));
        policy_fini(&p);
    }
    diags_fini(&d);
    diags_fini(&remarks);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct policy_format *f = policy_formats;
    char *text;

    if (size == 0)
        return 0;
    if (data[0] >= '0' && data[0] < '0' + N_READERS) {
        f += data[0] - '0';
        must(f->read || f->is_whole);
    } else { /* as import does it without --format */
        text = strndup((const char *)data + 1, size - 1);
        f = policy_format_guess("-", text, (data[0] & 1) != 0);
        must(f->name && (f->read || f->is_whole));
        free(text);
    }
    try_format(f, data + 1, size - 1);
    return 0;
}
