/* SPDX-License-Identifier: BSD-2-Clause
 *
 * vocabulary.h -- the closed lists of the policy: what a suffix can be, what the
 * real DNS can have said, what a rule can do, and what can come of it; with
 * their words. Included by model.h.
 */
#ifndef POLICY_VOCABULARY_H
#define POLICY_VOCABULARY_H

enum suffix_kind {
    SUFFIX_EXACT, /* corp.example */
    SUFFIX_BELOW, /* *.corp.example */
    SUFFIX_ANY,   /* *   (below the root; not the bare name) */
    SUFFIX_BARE,  /* .   the bare _vlmcs._tcp */
};

enum policy_verdict {               /* what the real DNS said */
                      VERDICT_NONE, /* it was not asked */
                      VERDICT_NXDOMAIN,
                      VERDICT_NODATA,
                      VERDICT_PRESENT,
                      VERDICT_UNAPPROVED,
                      VERDICT_SERVFAIL,
                      VERDICT_REFUSED,
                      VERDICT_TIMEOUT,
                      VERDICT_OTHER,
                      VERDICTS
};
enum policy_word {
    WORD_MISSING = 1,
    WORD_FAILED = 2,
    WORD_PRESENT = 4,
    WORD_UNAPPROVED = 8
}; /* bits of `when` */
enum policy_action {
    ACTION_FILL,
    ACTION_REPLACE,
    ACTION_FILTER,
    ACTION_DENY,
    ACTION_PASS,
    ACTIONS
};
enum policy_mode { MODE_OFF, MODE_SHADOW, MODE_LIVE, MODES };
enum policy_outcome {
    OUTCOME_PASSED,
    OUTCOME_FILLED,
    OUTCOME_REPLACED,
    OUTCOME_FILTERED,
    OUTCOME_DENIED,
    OUTCOME_MISSING,
    OUTCOME_FAILED,
    OUTCOMES
};
enum policy_reason {
    REASON_RULE,
    REASON_NO_RULE,
    REASON_SIGNED,
    REASON_DAMAGED,
    REASON_RD0,
    REASON_OFF,
    REASONS
};

/* Ended by NULL. */
extern const char *const verdict_names[VERDICTS + 1];
extern const char *const action_names[ACTIONS + 1];
extern const char *const mode_names[MODES + 1];
extern const char *const outcome_names[OUTCOMES + 1];
extern const char *const reason_names[REASONS + 1];
unsigned verdict_word(enum policy_verdict); /* enum policy_word; 0 for NONE */
/* What becomes of the real answer if no rule acts. */
enum policy_outcome policy_natural(enum policy_verdict);
enum { WORDS = 4 };
extern const char *const word_names[WORDS + 1]; /* name i is bit i; ended by NULL */
unsigned word_parse(const char *);              /* 0 when it is none of them */
int policy_lookup(const char *const *list,
                  const char *word); /* index in a list ended by NULL, or -1 */

#endif
