/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text_test.c -- the section `tests:` of the text form, in: a client, a
 * suffix, what the real DNS says, and what the client must get.
 */
#include "policy/text_in.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "wire/present.h"

static const char *const test_keys[] = {"suffix", "client",    "verdict", "expect",
                                        "host",   "real-host", NULL};

static void read_suffix(struct text_in *in, const struct yaml_node *node, struct policy_test *t)
{
    const struct yaml_node *k = yaml_get(node, "suffix");
    const char *text, *why;
    struct suffix s;

    if (k == NULL) {
        text_bad(in, node, "a test needs a suffix");
        return;
    }
    text = text_scalar(in, k, "suffix");
    if (text == NULL)
        return;
    if (suffix_parse(&s, text, &why) != 0)
        text_bad(in, k, "suffix \"%s\" %s", text, why);
    else if (s.kind != SUFFIX_EXACT && s.kind != SUFFIX_BARE)
        text_bad(in, k, "a test asks for one suffix, not for \"%s\"", text);
    else if (!policy_question(&s.name, &t->qname))
        text_bad(in, k, "suffix \"%s\" is too long", text);
    else
        suffix_print(&s, t->suffix_text);
}

static void read_client(struct text_in *in, const struct yaml_node *node, struct policy_test *t)
{
    const struct yaml_node *k = yaml_get(node, "client");
    const char *text;

    if (k == NULL)
        text_bad(in, node, "a test needs a client: the address that asks");
    else if ((text = text_scalar(in, k, "client")) != NULL && addr_parse(&t->client, text, 0) != 0)
        text_bad(in, k, "client \"%s\" is not an IP address", text);
}

static void read_name(struct text_in *in, const struct yaml_node *k, const char *what,
                      struct name *out)
{
    const char *text = text_scalar(in, k, what), *why;

    if (text != NULL && (why = host_target_check(text, out)) != NULL)
        text_bad(in, k, "\"%s\" %s", text, why);
}

static void read_verdict(struct text_in *in, const struct yaml_node *node, struct policy_test *t)
{
    const struct yaml_node *k = yaml_get(node, "verdict");
    int i;

    t->verdict = VERDICT_NXDOMAIN;
    t->real_host = (struct name){.len = 1};
    if (k != NULL && (i = text_word(in, k, "verdict", verdict_names)) >= 0)
        t->verdict = (enum policy_verdict)i;
    if ((k = yaml_get(node, "real-host")) == NULL)
        return;
    read_name(in, k, "real-host", &t->real_host);
    if (t->verdict != VERDICT_PRESENT && t->verdict != VERDICT_UNAPPROVED)
        text_bad_key(in, k, "real-host is what the real DNS names: it needs verdict: present");
}

static void read_test(struct text_in *in, const struct yaml_node *node, struct policy_test *t)
{
    const struct yaml_node *k;
    int i;

    *t = (struct policy_test){.line = node->line, .real_host = {.len = 1}, .host = {.len = 1}};
    if (!text_map(in, node, "a test", test_keys))
        return;
    read_suffix(in, node, t);
    read_client(in, node, t);
    read_verdict(in, node, t);
    if ((k = yaml_get(node, "expect")) != NULL &&
        (i = text_word(in, k, "expect", outcome_names)) >= 0) {
        t->has_expect = true;
        t->expect = (enum policy_outcome)i;
    }
    if ((k = yaml_get(node, "host")) != NULL) {
        t->has_host = true;
        read_name(in, k, "host", &t->host);
    }
    if (yaml_get(node, "expect") == NULL && yaml_get(node, "host") == NULL)
        text_bad(in, node, "a test needs expect (an outcome), host, or both");
}

void text_read_tests(struct text_in *in, const struct yaml_node *node, struct policy_tests *out)
{
    if (node->kind != YAML_LIST) {
        text_bad(in, node, "tests must be a list");
        return;
    }
    out->at = text_alloc(in, node->n, sizeof *out->at);
    for (const struct yaml_node *k = node->first; k != NULL && !in->nomem; k = k->next)
        read_test(in, k, &out->at[out->n++]);
}
