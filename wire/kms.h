/* SPDX-License-Identifier: BSD-2-Clause
 *
 * kms.h -- the closed lists of KMS discovery, with their words: what the real
 * DNS said, what became of a question, why, and how far a rule may go.
 *
 * The policy, the audit and the settings share them, and their numbers are
 * stored: append only. 0 is "none", and its word is "-".
 */
#ifndef WIRE_KMS_H
#define WIRE_KMS_H

#include <stdint.h>

/* clang-format off */
enum kms_verdict {
    VERDICT_NONE, /* the real DNS was not asked */
    VERDICT_NXDOMAIN, VERDICT_NODATA, VERDICT_PRESENT, VERDICT_UNAPPROVED,
    VERDICT_SERVFAIL, VERDICT_REFUSED, VERDICT_TIMEOUT, VERDICT_OTHER,
    VERDICTS
};
enum kms_outcome {
    OUTCOME_PASSED = 1, OUTCOME_FILLED, OUTCOME_REPLACED, OUTCOME_FILTERED, OUTCOME_DENIED,
    OUTCOME_MISSING, OUTCOME_FAILED, OUTCOME_BLOCKED, OUTCOME_UPDATE,
    OUTCOMES
};
enum kms_reason {
    REASON_RULE = 1, REASON_NO_RULE, REASON_SIGNED, REASON_DAMAGED, REASON_RD0, REASON_OFF,
    REASON_ACCESS, REASON_UPDATE, REASON_RATE,
    REASONS
};
enum kms_mode { MODE_OFF, MODE_SHADOW, MODE_LIVE, MODES };

/* The four words in which a rule's `when` speaks of a verdict, as bits. */
enum kms_word { WORD_MISSING = 1, WORD_FAILED = 2, WORD_PRESENT = 4, WORD_UNAPPROVED = 8, WORD_ALL = 15 };
enum { VERDICT_WORDS = 4 };
/* clang-format on */

/* Ended by NULL. */
extern const char *const verdict_names[VERDICTS + 1];
extern const char *const outcome_names[OUTCOMES + 1];
extern const char *const reason_names[REASONS + 1];
extern const char *const mode_names[MODES + 1];
extern const char *const word_names[VERDICT_WORDS + 1]; /* name i is bit i */

unsigned verdict_word(enum kms_verdict); /* enum kms_word; 0 for NONE */
/* What becomes of a question when the real answer, of that verdict, is delivered. */
enum kms_outcome outcome_of_real(enum kms_verdict);

/* What a Windows machine shows for an answer without a host: the HRESULT of a Win32 code. The
 * rcodes of wire/types.h, with RCODE_TIMEOUT; NOERROR: no SRV record. */
#define WINDOWS_FACILITY 0x80070000u
#define WINDOWS_NO_SUFFIX (WINDOWS_FACILITY | 123) /* it forms no name, and asks nobody */
uint32_t windows_code(uint16_t rcode);

/* The rest of the story: where Microsoft's article KB 929826 is about it, and what to do. */
struct windows_row {
    uint32_t code;    /* 0: a host was given */
    const char *text; /* Win32's words */
    const char *article, *remedy;
    const char *slmgr, *powershell; /* on the client, as an administrator */
};
/* Of that code, and of what became of the question (0: not known): where a rule or the access list
 * means it so, that is the story. */
struct windows_row windows_find(uint32_t code, enum kms_outcome);

#endif
