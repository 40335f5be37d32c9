/* SPDX-License-Identifier: BSD-2-Clause
 *
 * kms.c -- the words of KMS discovery, and those that a Windows machine has for it.
 */
#include "wire/kms.h"

#include <stddef.h>

#include "base/compiler.h"
#include "wire/types.h"

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

/* HRESULT_FROM_WIN32 of the DNS errors: 9000 + rcode where Windows has one. */
uint32_t windows_code(uint16_t rcode)
{
    const uint32_t timeout = 1460, no_records = 9501, unspecified = 9504;

    if (rcode == RCODE_NOERROR)
        return WINDOWS_FACILITY | no_records;
    if (rcode == RCODE_TIMEOUT)
        return WINDOWS_FACILITY | timeout;
    if (rcode <= 10 || (rcode >= 16 && rcode <= 18))
        return WINDOWS_FACILITY | (9000u + rcode);
    return WINDOWS_FACILITY | unspecified;
}

/* clang-format off */
/* Back to discovery, and at once: what the machine has cached of the DNS and of a host goes. */
#define AGAIN \
    "ipconfig /flushdns; slmgr.vbs /ckms; slmgr.vbs /ato", \
    "Clear-DnsClientCache; Invoke-KmsLicense -ClearServer; Invoke-OSLicense -ActivateOnline"
#define CODE(number) WINDOWS_FACILITY | (number)
static const struct windows_row windows_rows[] = {
    {0, "a host is given, so DNS is no obstacle",
     "method 5, steps 7 to 10",
     "if the machine still fails: does the host's name resolve, and does "
     "TCP 1688 reach it? See waymarkctl doctor",
     AGAIN},
    {CODE(9003), "DNS name does not exist",
     "method 5, step 4",
     "give the suffix a host with a rule, or give the client the suffix "
     "whose zone has the record: primary DNS suffix, suffix search list, "
     "or DHCP option 15",
     AGAIN},
    {CODE(9501), "no records found for given DNS query",
     "method 5, step 5",
     "the name exists without an SRV record (a wildcard, names below it, "
     "or a server that filters SRV): give the suffix a host with a rule, "
     "or add the record",
     AGAIN},
    {CODE(9002), "DNS server failure",
     "method 5, step 3",
     "the servers of the real DNS fail: waymarkctl upstreams shows which; "
     "a rule for what is missing and failed answers meanwhile",
     AGAIN},
    {CODE(9005), "DNS operation refused",
     "method 5, step 3",
     "let the client ask: access in the settings here, the access lists "
     "of the servers behind",
     AGAIN},
    {CODE(9001), "DNS server unable to interpret format",
     "method 5, step 3",
     "something between changes the question: try another server of the "
     "route, see waymarkctl doctor",
     AGAIN},
    {CODE(9004), "DNS request not supported by name server",
     "method 5, step 3",
     "a server behind takes no SRV questions: use another one for the "
     "route",
     AGAIN},
    {CODE(1460), "this operation returned because the timeout period expired",
     "method 5, step 3",
     "let UDP and TCP port 53 pass between the client, this server and "
     "its servers; waymarkctl doctor tries both",
     AGAIN},
    {WINDOWS_NO_SUFFIX,
     "the filename, directory name, or volume label syntax is incorrect",
     "method 5, step 4",
     "the machine has no DNS suffix, so it asks nobody, and no DNS server "
     "can help: give it a primary DNS suffix or DHCP option 15, or name "
     "the domain on it",
     "slmgr.vbs /skms-domain SUFFIX; slmgr.vbs /ato",
     "Set-KmsLicenseInfo -Domain SUFFIX; Invoke-OSLicense -ActivateOnline"},
    {WINDOWS_FACILITY, "DNS error",
     "method 5, step 3",
     "ask the servers behind, one after the other: waymarkctl doctor does",
     AGAIN},
};
/* Without a code and its text. */
static const struct windows_row windows_denied = {
    0, NULL,
    "method 1",
    "a rule denies this machine a KMS host: it is meant to use a MAK; else "
    "change the rule",
    "slmgr.vbs /ipk MAK; slmgr.vbs /ato",
    "Invoke-OSLicense -InstallProductKey MAK; Invoke-OSLicense -ActivateOnline"};
static const struct windows_row windows_blocked = {
    0, NULL,
    "method 5, step 3",
    "the access list keeps this client out: add its network to access in "
    "the settings, then waymarkctl reload",
    AGAIN};
/* clang-format on */

struct windows_row windows_find(uint32_t code, enum kms_outcome outcome)
{
    const struct windows_row *row = windows_rows, *last = row + ARRAY_LEN(windows_rows) - 1;
    const struct windows_row *meant = outcome == OUTCOME_DENIED    ? &windows_denied
                                      : outcome == OUTCOME_BLOCKED ? &windows_blocked
                                                                   : NULL;
    struct windows_row found;

    while (row < last && row->code != code)
        row++;
    found = meant != NULL ? *meant : *row;
    found.code = code;
    found.text = row->text;
    return found;
}
