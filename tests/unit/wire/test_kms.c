/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_kms.c -- what a Windows machine shows, and what is said of it.
 */
#include "tests/unit/rows.h"
#include "wire/kms.h"
#include "wire/types.h"

enum { HOST = -1, NO_SUFFIX = -2 };

static const struct row {
    const char *name;
    int rcode; /* of an answer without a host; or HOST, NO_SUFFIX */
    enum kms_outcome outcome;
    uint32_t code;
    const char *text, *article, *remedy, *slmgr, *powershell; /* the last three: what they have */
} rows[] = {
    {"a host", HOST, OUTCOME_FILLED, 0, "a host is given, so DNS is no obstacle",
     "method 5, steps 7 to 10", "TCP 1688", "/ckms; slmgr.vbs /ato", "-ClearServer; "},
    {"NXDOMAIN", RCODE_NXDOMAIN, OUTCOME_MISSING, 0x8007232B, "DNS name does not exist",
     "method 5, step 4", "DHCP option 15", "/ckms; slmgr.vbs /ato", "-ClearServer; "},
    {"NODATA", RCODE_NOERROR, OUTCOME_MISSING, 0x8007251D, "no records found for given DNS query",
     "method 5, step 5", "without an SRV record", "/ckms; slmgr.vbs /ato", "-ClearServer; "},
    {"SERVFAIL", RCODE_SERVFAIL, OUTCOME_FAILED, 0x8007232A, "DNS server failure",
     "method 5, step 3", "waymarkctl upstreams", "/ato", "-ActivateOnline"},
    {"FORMERR", RCODE_FORMERR, OUTCOME_FAILED, 0x80072329, "DNS server unable to interpret format",
     "method 5, step 3", "another server", "/ato", "-ActivateOnline"},
    {"NOTIMP", RCODE_NOTIMP, OUTCOME_FAILED, 0x8007232C, "DNS request not supported by name server",
     "method 5, step 3", "takes no SRV", "/ato", "-ActivateOnline"},
    {"REFUSED", RCODE_REFUSED, 0, 0x8007232D, "DNS operation refused", "method 5, step 3",
     "access in the settings", "/ato", "-ActivateOnline"},
    {"no answer", RCODE_TIMEOUT, 0, 0x800705B4,
     "this operation returned because the timeout period expired", "method 5, step 3", "port 53",
     "/ato", "-ActivateOnline"},
    {"no suffix", NO_SUFFIX, 0, 0x8007007B,
     "the filename, directory name, or volume label syntax is incorrect", "method 5, step 4",
     "primary DNS suffix", "/skms-domain SUFFIX; ", "Set-KmsLicenseInfo -Domain SUFFIX; "},
    {"another rcode", 9, 0, 0x80072331, "DNS error", "method 5, step 3", "the servers behind",
     "/ato", "-ActivateOnline"},
    {"denied, NODATA", RCODE_NOERROR, OUTCOME_DENIED, 0x8007251D,
     "no records found for given DNS query", "method 1", "MAK", "/ipk MAK",
     "-InstallProductKey MAK"},
    {"denied, NXDOMAIN", RCODE_NXDOMAIN, OUTCOME_DENIED, 0x8007232B, "DNS name does not exist",
     "method 1", "MAK", "/ipk MAK", "-InstallProductKey MAK"},
    {"refused by access", RCODE_REFUSED, OUTCOME_BLOCKED, 0x8007232D, "DNS operation refused",
     "method 5, step 3", "waymarkctl reload", "/ato", "-ActivateOnline"},
};

static void check_row(void **state)
{
    const struct row *r = *state;
    uint32_t code = r->rcode == HOST        ? 0
                    : r->rcode == NO_SUFFIX ? WINDOWS_NO_SUFFIX
                                            : windows_code((uint16_t)r->rcode);
    const struct windows_row w = windows_find(code, r->outcome);

    assert_int_equal(code, r->code);
    assert_int_equal(w.code, r->code);
    assert_string_equal(w.text, r->text);
    assert_string_equal(w.article, r->article);
    assert_has(w.remedy, r->remedy);
    assert_has(w.slmgr, r->slmgr);
    assert_has(w.powershell, r->powershell);
}

int main(void)
{
    ROWS(rows, check_row);
    return RUN("Windows");
}
