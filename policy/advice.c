/* SPDX-License-Identifier: BSD-2-Clause
 *
 * advice.c -- a decision in words, and the command that would make it another one.
 */
#include "policy/decide.h"

#include "base/str.h"

const char *policy_decision_say(const struct policy_decision *d, bool has_store,
                                char out[POLICY_SAYING])
{
    const char *why = d->reason == REASON_DAMAGED ? "a record of the policy store is damaged"
                      : d->reason == REASON_OFF   ? "kms.mode is off"
                      : !has_store                ? "no policy store is in use"
                                                  : "no rule acts";

    if (d->reason == REASON_RULE)
        snprintf(out, POLICY_SAYING, "rule %s %s%s", d->rule, policy_actions[d->action].deed,
                 d->pool);
    else if (d->reason == REASON_SIGNED)
        snprintf(out, POLICY_SAYING, "rule %s would act, but the real answer is signed", d->rule);
    else
        snprintf(out, POLICY_SAYING, "%s, %s", why,
                 d->outcome == OUTCOME_FAILED ? "and the real DNS gives no answer"
                                              : "the real answer is delivered");
    return out;
}

/* The rule that needs one more suffix, or word, to fill this name. One that fills a parent only,
 * or only what is below the name, needs a suffix; never one of one label: that is more than was
 * asked for. A rule for what is missing may be meant for what failed, too. */
static const struct policy_trial *find_near(const struct policy_trial *t, size_t n, bool is_failed)
{
    for (const struct policy_trial *end = t + n; t < end; t++) {
        bool is_near = t->class == (is_failed ? TRIAL_ABLE : TRIAL_NEAR);

        if (t->fills && is_near && (is_failed || t->best.nearness >= 2))
            return t;
    }
    return NULL;
}

const char *policy_hint(const struct policy_ask *ask, const struct policy_decision *d,
                        const struct policy_trial *trials, size_t n, char out[POLICY_HINT])
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const bool is_failed = d->outcome == OUTCOME_FAILED;
    const struct policy_trial *near = find_near(trials, n, is_failed);
    struct suffix suffix = {.below = false};
    char text[SUFFIX_TEXT];
    const char *quote;
    struct str s;

    if (d->reason != REASON_NO_RULE || ask->limit != MODE_LIVE ||
        (!is_failed && d->outcome != OUTCOME_MISSING) || (is_failed && near == NULL))
        return NULL;
    str_init(&s, out, POLICY_HINT);
    str_add(&s, "waymarkctl policy ");
    if (is_failed) {
        str_addf(&s, "rule set %s --when missing,failed", near->rule);
        return out;
    }
    if (near == NULL && d->would.outcome == OUTCOME_FILLED) {
        str_addf(&s, "rule set %s --mode live", d->would.rule);
        return out;
    }
    name_parent(ask->qname, 2, &suffix.name);
    if (near != NULL && near->best.nearness < suffix.name.labels) {
        suffix.below = true;
        name_parent(ask->qname, ask->qname->labels - near->best.nearness, &suffix.name);
    }
    (void)suffix_print(&suffix, text);
    quote = text[strspn(text, plain)] == '\0' ? "" : "'";
    if (near != NULL)
        str_addf(&s, "rule add %s %s%s%s", near->rule, quote, text, quote);
    else
        str_addf(&s, "fill %s%s%s --pool POOL", quote, text, quote);
    return out;
}
