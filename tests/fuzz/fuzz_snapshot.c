/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fuzz_snapshot.c -- any octets as a file of answers. What is kept is a reply to its own question
 * and is of a time that can be; it is found under that question.
 *
 * The first octet is 0, and the rest is the file; or it is the number of records of one block, of
 * which the rest is the records, and header and checksums are right.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cache/snapshot.h"

enum { ROUTE = 7 };
#define WALL 1700000000000
#define MONO 70000000000

static bool is_sound(void *context, const struct cache_key *k, const struct cache_facts *f,
                     const uint8_t *image, size_t len)
{
    static uint8_t out[DNS_MAX_MESSAGE];
    struct cache_facts found;
    struct reply_facts facts;
    struct message m;
    size_t n;

    must(message_read_head(&m, image, len) == 0);
    must(m.qtype == k->type && m.qclass == k->class && name_equal(&m.qname, k->name));
    must(reply_read(&m, image, len, &(struct reply_wanted){.dnssec = (k->bits & CACHE_DO) != 0},
                    out, sizeof out, &n, &facts) == 0);
    must(n == len && memcmp(out, image, len) == 0 && facts.cacheable && facts.rcode == f->rcode);
    must(f->stored_ms <= MONO && f->expires_ms > f->stored_ms && k->scope == ROUTE);
    must(f->expires_ms - f->stored_ms < (uint64_t)facts.ttl * 1000 + 1000);
    must(cache_get(context, k, MONO, out, sizeof out, &n, &found) != CACHE_MISS);
    return true;
}

static void put(int fd, const void *from, size_t len)
{
    must(write(fd, from, len) == (ssize_t)len);
}

static void put_block(int fd, const uint8_t *data, size_t size, unsigned records)
{
    static uint8_t block[SNAPSHOT_BLOCK + SNAPSHOT_MAX + SNAPSHOT_SUM];
    uint8_t header[SNAPSHOT_HEADER];
    uint64_t sum = snapshot_header(header, WALL - 1000), place = 0;
    struct writer w;

    put(fd, header, sizeof header);
    for (; place < 2; place++) { /* the second is the end */
        w = writer_make(block, sizeof block);
        (void)writer_room(&w, SNAPSHOT_BLOCK);
        writer_bytes(&w, data, place == 0 ? size : 0);
        snapshot_seal(&w, place == 0 ? records : 0, sum, place);
        put(fd, block, w.len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t scope = ROUTE;
    static struct cache *c;
    struct snapshot s = {.now = {.wall_ms = WALL, .mono_ms = MONO},
                         .stale_ms = 86400000,
                         .scopes = &scope,
                         .n_scopes = 1};
    int fd = memfd_create("snapshot", MFD_CLOEXEC), rc;

    if (c == NULL)
        c = cache_new(CACHE_MIN_SIZE, &(struct hash_key){1, 2});
    must(fd >= 0 && c != NULL);
    if (size > 0 && data[0] == 0)
        put(fd, data + 1, size - 1);
    else if (size > 0 && size <= SNAPSHOT_MAX)
        put_block(fd, data + 1, size - 1, data[0]);
    must(lseek(fd, 0, SEEK_SET) == 0);
    rc = snapshot_read_from(&s, c, fd);
    must(rc == 0 || rc == -EBADMSG);
    must((rc == 0) == (s.why[0] == '\0')); /* never refused without a word */
    if (s.answers > 0) {                   /* a walk over all of the cache takes long */
        must(cache_each(c, &(struct cache_select){.below = true}, 0, is_sound, c) == s.answers);
        cache_free(c);
        c = NULL;
    }
    close(fd);
    return 0;
}
