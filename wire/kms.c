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
    "-", "nxdomain", "nodata", "present", "unapproved", "servfail", "refused", "timeout",
    "other", NULL,
};
const char *const outcome_names[OUTCOMES + 1] = {
    "-", "passed", "filled", "replaced", "filtered", "denied", "missing", "failed", "blocked",
    "update", NULL,
};
const char *const reason_names[REASONS + 1] = {
    "-", "rule", "no-rule", "signed", "damaged", "rd0", "off", "access", "update", "rate", NULL,
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
/* Without an article or commands: those of the most. */
#define CODE(number) WINDOWS_FACILITY | (number)
static const struct windows_row windows_rows[] = {
    {0, "a host is given, so DNS is no obstacle",
     .article = "method 5, steps 7 to 10", .remedy =
     "if the machine still fails: does the host's name resolve, and does "
     "TCP 1688 reach it? See waymarkctl doctor"},
    {CODE(9003), "DNS name does not exist",
     .article = "method 5, step 4", .remedy =
     "give the suffix a host with a rule, or give the client the suffix "
     "whose zone has the record: primary DNS suffix, suffix search list, "
     "or DHCP option 15"},
    {CODE(9501), "no records found for given DNS query",
     .article = "method 5, step 5", .remedy =
     "the name exists without an SRV record (a wildcard, names below it, "
     "or a server that filters SRV): give the suffix a host with a rule, "
     "or add the record"},
    {CODE(9002), "DNS server failure", .remedy =
     "the servers of the real DNS fail: waymarkctl upstreams shows which; "
     "a rule for what is missing and failed answers meanwhile"},
    {CODE(9005), "DNS operation refused", .remedy =
     "let the client ask: access in the settings here, the access lists "
     "of the servers behind"},
    {CODE(9001), "DNS server unable to interpret format", .remedy =
     "something between changes the question: try another server of the "
     "route, see waymarkctl doctor"},
    {CODE(9004), "DNS request not supported by name server", .remedy =
     "a server behind takes no SRV questions: use another one for the "
     "route"},
    {CODE(1460), "this operation returned because the timeout period expired", .remedy =
     "let UDP and TCP port 53 pass between the client, this server and "
     "its servers; waymarkctl doctor tries both"},
    {WINDOWS_NO_SUFFIX,
     "the filename, directory name, or volume label syntax is incorrect",
     .article = "method 5, step 4", .remedy =
     "the machine has no DNS suffix, so it asks nobody, and no DNS server "
     "can help: give it a primary DNS suffix or DHCP option 15, or name "
     "the domain on it",
     .slmgr = "slmgr.vbs /skms-domain SUFFIX; slmgr.vbs /ato",
     .powershell = "Set-KmsLicenseInfo -Domain SUFFIX; Invoke-OSLicense -ActivateOnline"},
    {WINDOWS_FACILITY, "DNS error", .remedy =
     "ask the servers behind, one after the other: waymarkctl doctor does"},
};
/* Without a code and its text. */
static const struct windows_row windows_denied = {
    .article = "method 1",
    .remedy = "a rule denies this machine a KMS host: it is meant to use a MAK; else "
    "change the rule",
    .slmgr = "slmgr.vbs /ipk MAK; slmgr.vbs /ato",
    .powershell = "Invoke-OSLicense -InstallProductKey MAK; Invoke-OSLicense -ActivateOnline"};
static const struct windows_row windows_blocked = {
    .remedy = "the settings keep this client out: add its network to access; where the reason is "
    "rate, see limits.client-rate and limits.exempt-clients; then waymarkctl reload"};
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
    found = meant ? *meant : *row;
    found.code = code;
    found.text = row->text;
    if (found.article == NULL)
        found.article = "method 5, step 3";
    if (found.slmgr == NULL) { /* back to discovery, and at once: what is cached goes */
        found.slmgr = "ipconfig /flushdns; slmgr.vbs /ckms; slmgr.vbs /ato";
        found.powershell = "Clear-DnsClientCache; Invoke-KmsLicense -ClearServer; Invoke-OSLicense "
                           "-ActivateOnline";
    }
    return found;
}
