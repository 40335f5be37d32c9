/* SPDX-License-Identifier: BSD-2-Clause
 *
 * kms.c -- the words of KMS discovery.
 */
#include "wire/kms.h"

#include <stddef.h>

/* clang-format off */
const char *const verdict_names[VERDICTS + 1] = {
    "-", "nxdomain", "nodata", "present", "unapproved", "servfail", "refused", "timeout", "other", NULL,
};
const char *const outcome_names[OUTCOMES + 1] = {
    "-", "passed", "filled", "replaced", "filtered", "denied", "missing", "failed", "blocked", "update", NULL,
};
const char *const reason_names[REASONS + 1] = {
    "-", "rule", "no-rule", "signed", "damaged", "rd0", "off", "access", "update", NULL,
};
const char *const mode_names[MODES + 1] = {"off", "shadow", "live", NULL};
const char *const word_names[VERDICT_WORDS + 1] = {"missing", "failed", "present", "unapproved", NULL};
/* clang-format on */

unsigned verdict_word(enum kms_verdict verdict)
{
    static const unsigned char words[VERDICTS] = {
        [VERDICT_NXDOMAIN] = WORD_MISSING, [VERDICT_NODATA] = WORD_MISSING,
        [VERDICT_PRESENT] = WORD_PRESENT,  [VERDICT_UNAPPROVED] = WORD_UNAPPROVED,
        [VERDICT_SERVFAIL] = WORD_FAILED,  [VERDICT_REFUSED] = WORD_FAILED,
        [VERDICT_TIMEOUT] = WORD_FAILED,   [VERDICT_OTHER] = WORD_FAILED,
    };

    return words[verdict];
}

enum kms_outcome outcome_of_real(enum kms_verdict verdict)
{
    unsigned word = verdict_word(verdict);

    return word == WORD_MISSING                      ? OUTCOME_MISSING
           : word & (WORD_PRESENT | WORD_UNAPPROVED) ? OUTCOME_PASSED
                                                     : OUTCOME_FAILED;
}
