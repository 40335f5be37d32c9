/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cookie.c -- DNS cookies for clients.
 *
 *   0 client's part   8 version, 1   9 reserved   12 time, seconds   16 SipHash-2-4 of all that,
 *                                                                       and of the address
 */
#include "resolver/cookie.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "wire/pack.h"

enum { VERSION_AT = 8, RESERVED_AT = 9, TIME_AT = 12, HASH_AT = 16, COOKIE_VERSION = 1 };
/* RFC 9018 4.3: good for an hour, and when another server's clock is ahead; renewed after half. */
enum { OLD_S = 3600, AHEAD_S = 300, RENEW_S = 1800 };
enum { FILE_OCTETS = 4096, DIGITS = 32, DAY_S = 86400 };

/* Of the octets in front of it, as a number that lies in memory as it is sent. A secret that was
 * drawn makes a key for each day, that of the cookie's time: which is believed for no longer than
 * the cookie, and whoever finds it out has that day alone (RFC 7873 7.1, RFC 9018 5). */
static uint64_t hash_of(const struct hash_key *key, bool drawn, const struct addr *client,
                        const uint8_t cookie[HASH_AT])
{
    const uint32_t at_s = (uint32_t)bytes_number(cookie + TIME_AT, 4);
    const uint32_t day[] = {htole32(at_s / DAY_S), 0}, other[] = {day[0], 1};
    const size_t n = addr_is_v4(client) ? 4 : 16;
    struct hash_key of_day;
    uint8_t text[HASH_AT + 16];

    if (drawn) {
        of_day =
            (struct hash_key){hash_mac(key, day, sizeof day), hash_mac(key, other, sizeof other)};
        key = &of_day;
    }
    memcpy(text, cookie, HASH_AT);
    memcpy(text + HASH_AT, client->ip + 16 - n, n);
    return htole64(hash_mac(key, text, HASH_AT + n));
}

bool cookie_answer(const struct hash_key keys[COOKIE_KEYS], bool drawn, const struct addr *client,
                   const uint8_t *sent, size_t len, uint64_t wall_ms, uint8_t out[COOKIE_OCTETS])
{
    static const uint8_t head[] = {COOKIE_VERSION, 0, 0, 0};
    const uint32_t now_s = (uint32_t)(wall_ms / 1000), be_now_s = htobe32(now_s);
    bool is_newest = false, is_good = false;
    uint32_t at;
    uint64_t hash;
    int32_t age_s;

    if (len == COOKIE_OCTETS && sent[VERSION_AT] == COOKIE_VERSION) {
        memcpy(&at, sent + TIME_AT, sizeof at);
        memcpy(&hash, sent + HASH_AT, sizeof hash);
        age_s = (int32_t)(now_s - be32toh(at)); /* serial numbers, RFC 1982 */
        is_newest = hash == hash_of(&keys[0], drawn, client, sent);
        is_good = age_s <= OLD_S && age_s >= -AHEAD_S &&
                  (is_newest || hash == hash_of(&keys[1], drawn, client, sent));
        if (is_good && is_newest && age_s < RENEW_S) {
            memcpy(out, sent, COOKIE_OCTETS);
            return true;
        }
    }
    memcpy(out, sent, COOKIE_CLIENT);
    memcpy(out + VERSION_AT, head, sizeof head);
    memcpy(out + TIME_AT, &be_now_s, sizeof be_now_s);
    hash = hash_of(&keys[0], drawn, client, out);
    memcpy(out + HASH_AT, &hash, sizeof hash);
    return is_good;
}

int cookie_keys_read(struct hash_key keys[COOKIE_KEYS], const char *path, struct diags *d)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    struct hash_key found[COOKIE_KEYS];
    uint64_t half[2];
    char *text, *at, *line;
    unsigned number = 0;
    size_t len, n = 0;
    int rc = file_read(path, FILE_OCTETS, &text, &len);

    if (rc != 0)
        return diags_tell(d, "%s: cannot be read: %s; correct limits.cookie-secret-file", path,
                          strerror(-rc));
    for (at = text; rc == 0 && (line = strsep(&at, "\n"));) {
        number++;
        line[strcspn(line, " \t\r")] = '\0';
        if (line[0] == '\0' || line[0] == '#')
            continue;
        if (n < COOKIE_KEYS && strlen(line) == DIGITS && strspn(line, digits) == DIGITS &&
            sscanf(line, "%16" SCNx64 "%16" SCNx64, &half[0], &half[1]) == 2)
            found[n++] = (struct hash_key){le64toh(htobe64(half[0])), le64toh(htobe64(half[1]))};
        else
            rc = diags_add(
                d, path, number, 0,
                "not a secret of 32 hexadecimal digits, of which the file has one or two");
    }
    if (rc == 0 && n == 0)
        rc = diags_tell(d, "%s: has no secret; openssl rand -hex 16 makes one", path);
    explicit_bzero(text, len);
    free(text);
    for (size_t i = 0; rc == 0 && i < COOKIE_KEYS; i++)
        keys[i] = found[i < n ? i : 0];
    return rc;
}
