/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_cookie.c -- DNS cookies: the vectors of RFC 9018 appendix A, which of those that come back are
 * believed and which are renewed, and the file of secrets.
 */
#include "resolver/cookie.h"
#include "tests/unit/rows.h"
#include "tests/unit/scratch.h"

#define FIRST "e5e973e5a6b2a43f48e7dc849e37bfcf"
#define BEFORE "dd3bdf9344b678b185a6f5cb60fca715"
#define AFTER "445536bcd2513298075a5d379663c962"
#define ONE "2464c4abcf10c957"
#define MADE ONE "010000005cf79f111f8130c3eee29480"
#define RENEWED ONE "010000005cf7a871d4a564a1442aca77"
#define V6 "2001:db8:220:1:59de:d0f4:8769:82b8"
enum { MADE_S = 1559731985 };

static size_t octets_of(const char *hex, uint8_t out[64])
{
    size_t n = strlen(hex) / 2;

    for (size_t i = 0; i < n; i++)
        assert_int_equal(sscanf(hex + 2 * i, "%2hhx", &out[i]), 1);
    return n;
}

/* The keys of a file with that text. */
static int keys_of(const char *text, struct hash_key keys[COOKIE_KEYS], struct diags *d)
{
    char dir[SCRATCH], path[SCRATCH + 16];
    int rc;

    scratch_make(dir);
    snprintf(path, sizeof path, "%s/secrets", dir);
    scratch_write(path, text);
    rc = cookie_keys_read(keys, path, d);
    scratch_remove(dir);
    return rc;
}

/* rfc 7873/9018-1. want NULL: what came goes back; "new": made at this time. */
static const struct row {
    const char *name, *secrets, *client, *sent;
    uint32_t now_s;
    bool valid;
    const char *want;
} rows[] = {
    {"rfc 7873/9018-1: A.1, a new client", FIRST, "198.51.100.100", ONE, MADE_S, false, MADE},
    {"rfc 7873/9018-1: A.2, renewed after 40 minutes", FIRST, "198.51.100.100", MADE, 1559734385,
     true, RENEWED},
    {"rfc 7873/9018-1: A.3, another client, reserved octets, too old", FIRST, "203.0.113.203",
     "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5", 1559734700, false,
     "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e"},
    {"rfc 7873/9018-1: A.3, in its time, reserved octets and all", FIRST, "203.0.113.203",
     "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5", 0x5cf78f71 + 60, true, NULL},
    {"rfc 7873/9018-1: A.4, IPv6, of the secret before", AFTER "\n" BEFORE, V6,
     "22681ab97d52c298010000005cf7c57926556bd0934c72f8", 1559741961, true,
     "22681ab97d52c298010000005cf7c609a6bb79d16625507a"},
    {"A.4, once that secret is gone", AFTER, V6, "22681ab97d52c298010000005cf7c57926556bd0934c72f8",
     1559741961, false, "22681ab97d52c298010000005cf7c609a6bb79d16625507a"},
    {"A.4, of two secrets the first makes them", BEFORE "\n" AFTER, V6,
     "22681ab97d52c298010000005cf7c57926556bd0934c72f8", 1559741961, true, NULL},
    {"at once", FIRST, "198.51.100.100", MADE, MADE_S, true, NULL},
    {"a second before half an hour: the same", FIRST, "198.51.100.100", MADE, MADE_S + 1799, true,
     NULL},
    {"half an hour: renewed", FIRST, "198.51.100.100", MADE, MADE_S + 1800, true, "new"},
    {"an hour", FIRST, "198.51.100.100", MADE, MADE_S + 3600, true, "new"},
    {"too old", FIRST, "198.51.100.100", MADE, MADE_S + 3601, false, "new"},
    {"of a clock that is five minutes ahead", FIRST, "198.51.100.100", MADE, MADE_S - 300, true,
     NULL},
    {"too far ahead", FIRST, "198.51.100.100", MADE, MADE_S - 301, false, "new"},
    {"half of the time's circle away", FIRST, "198.51.100.100", MADE, MADE_S + 0x80000000u, false,
     "new"},
    {"of another address", FIRST, "198.51.100.101", MADE, MADE_S, false, "new"},
    {"of another secret", AFTER, "198.51.100.100", MADE, MADE_S, false, "new"},
    {"the first octet of the hash", FIRST, "198.51.100.100", ONE "010000005cf79f111e8130c3eee29480",
     MADE_S, false, "new"},
    {"the last octet of the hash", FIRST, "198.51.100.100", ONE "010000005cf79f111f8130c3eee29481",
     MADE_S, false, "new"},
    {"the client's part", FIRST, "198.51.100.100",
     "2464c4abcf10c958010000005cf79f111f8130c3eee29480", MADE_S, false, "new"},
    {"version 2", FIRST, "198.51.100.100", ONE "020000005cf79f111f8130c3eee29480", MADE_S, false,
     "new"},
    {"longer", FIRST, "198.51.100.100", MADE "00", MADE_S, false, "new"},
    {"shorter", FIRST, "198.51.100.100", ONE "010000005cf79f11", MADE_S, false, "new"},
};

static void check(void **state)
{
    const struct row *r = *state;
    uint8_t sent[64], out[COOKIE_OCTETS], want[64];
    const size_t n = octets_of(r->sent, sent);
    struct hash_key keys[COOKIE_KEYS];
    struct addr client;

    assert_int_equal(keys_of(r->secrets, keys, NULL), 0);
    assert_int_equal(addr_parse(&client, r->client, 53), 0);
    memset(out, 0xa5, sizeof out);
    assert_int_equal(cookie_answer(keys, false, &client, sent, n, r->now_s * 1000ull, out),
                     r->valid);
    if (r->want == NULL || strcmp(r->want, "new") != 0) {
        assert_int_equal(octets_of(r->want ? r->want : r->sent, want), COOKIE_OCTETS);
        assert_memory_equal(out, want, COOKIE_OCTETS);
        return;
    }
    memcpy(want, out, COOKIE_OCTETS);
    assert_memory_equal(out, sent, COOKIE_CLIENT);
    assert_memory_equal(out + 8, "\1\0\0\0", 4);
    assert_int_equal((uint32_t)out[12] << 24 | out[13] << 16 | out[14] << 8 | out[15], r->now_s);
    assert_true(cookie_answer(keys, false, &client, want, COOKIE_OCTETS, r->now_s * 1000ull, out));
}

/* A secret that was drawn: a key for each day. A cookie made `made_s` into one day comes back so many
 * seconds later. */
static const struct day_row {
    const char *name;
    int made_s, later_s;
    bool valid, same;
    int forged_days; /* it was made with the key of so many days later */
} day_rows[] = {
    {"rfc 9018 5: a day's key, at once", 0, 0, true, true, 0},
    {"rfc 9018 5: a day's key, made and asked on either side of midnight", 86399, 1, true, true, 0},
    {"rfc 9018 5: a day's key, an hour after midnight", 86399, 3600, true, false, 0},
    {"rfc 9018 5: a day's key, too old", 86399, 3601, false, false, 0},
    {"rfc 9018 5: a day's key, the clock was set back over midnight", 100, -300, true, true, 0},
    {"rfc 9018 5: not of the key of the day before", 100, 0, false, false, -1},
    {"rfc 9018 5: not of the key of the day after", 86399, 0, false, false, 1},
};

static void check_day(void **state)
{
    const struct day_row *r = *state;
    const uint32_t day = 18000, at_s = day * 86400 + (uint32_t)r->made_s;
    const struct hash_key secrets[COOKIE_KEYS] = {{1, 2}, {3, 4}};
    const uint32_t text[] = {day + (uint32_t)r->forged_days, 0, day + (uint32_t)r->forged_days, 1};
    const struct hash_key of_day[COOKIE_KEYS] = {
        {hash_mac(secrets, text, 8), hash_mac(secrets, text + 2, 8)}};
    uint8_t made[COOKIE_OCTETS], out[COOKIE_OCTETS];
    struct addr client;

    assert_int_equal(addr_parse(&client, "198.51.100.100", 53), 0);
    assert_false(cookie_answer(of_day, false, &client, (const uint8_t *)"client's", COOKIE_CLIENT,
                               at_s * 1000ull, made));
    assert_int_equal(cookie_answer(secrets, true, &client, made, COOKIE_OCTETS,
                                   (at_s + (uint32_t)r->later_s) * 1000ull, out),
                     r->valid);
    assert_int_equal(memcmp(out, made, COOKIE_OCTETS) == 0, r->same);
}

static const struct file_row {
    const char *name, *text, *want; /* want: NULL: good */
    bool same;                      /* both keys are the first one */
} file_rows[] = {
    {"one secret", FIRST "\n", NULL, true},
    {"two secrets", FIRST "\n" BEFORE "\n", NULL},
    {"comments, blank lines, carriage returns, no end of line",
     "# of the site\r\n\r\n" FIRST " # now\r\n" BEFORE, NULL},
    {"three secrets", FIRST "\n" BEFORE "\n" AFTER "\n", ":3: not a secret of 32 hexadecimal"},
    {"too short", FIRST "\n" ONE "\n", ":2: not a secret of 32 hexadecimal"},
    {"too long", FIRST "0", ":1: not a secret"},
    {"no hexadecimal digit", "g5e973e5a6b2a43f48e7dc849e37bfcf", ":1: not a secret"},
    {"nothing", "# none\n", "has no secret; openssl rand -hex 16 makes one"},
};

static void check_file(void **state)
{
    const struct file_row *r = *state;
    struct hash_key keys[COOKIE_KEYS] = {{1, 2}, {3, 4}};
    struct diags d = {0};
    int rc = keys_of(r->text, keys, &d);

    assert_int_equal(rc, r->want ? -EINVAL : 0);
    assert_int_equal(d.n, r->want != NULL);
    if (r->want) {
        assert_has(d.list[0], r->want);
        assert_true(keys[0].k0 == 1 && keys[1].k1 == 4);
    } else {
        assert_int_equal(memcmp(&keys[0], &keys[1], sizeof keys[0]) == 0, r->same);
    }
    diags_fini(&d);
}

static void no_file(void **state)
{
    struct hash_key keys[COOKIE_KEYS];
    struct diags d = {0};

    assert_int_equal(cookie_keys_read(keys, "/nowhere/secrets", &d), -EINVAL);
    assert_has(d.list[0], "/nowhere/secrets: cannot be read: No such file");
    diags_fini(&d);
}

TESTS("cookie", ROWS(rows, check), ROWS(day_rows, check_day), ROWS(file_rows, check_file),
      TEST(no_file))
