/* SPDX-License-Identifier: BSD-2-Clause
 *
 * test_snapshot.c -- answers over a restart: as old as they are, whatever the clocks say; a file
 * that is not as it was written is thrown away, and gives no wrong answer.
 */
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "cache/snapshot.h"
#include "tests/unit/scratch.h"

enum { MIB = 1 << 20, DAY_S = 86400, ROUTE = 7, GONE = 8 };
#define WALL 1700000000000
#define MONO 70000000000

static char dir[SCRATCH], path[SCRATCH + 20], other[SCRATCH + 24];
static struct cache *c, *again; /* written, read */
static const uint32_t scopes[] = {3, ROUTE};
static const struct hash_key first = {1, 2}, second = {3, 4};

static int set_up(void **state)
{
    scratch_make(dir);
    snprintf(path, sizeof path, "%s/cache.snapshot", dir);
    snprintf(other, sizeof other, "%s/cache.snapshot.new", dir);
    c = cache_new(MIB, &first);
    again = cache_new(MIB, &second);
    return 0;
}

static int tear_down(void **state)
{
    cache_free(c);
    cache_free(again);
    scratch_remove(dir);
    return 0;
}

static struct snapshot snapshot_at(int64_t wall_s, uint64_t mono_ms)
{
    return (struct snapshot){
        .path = path,
        .now = {.wall_ms = (uint64_t)(WALL + wall_s * 1000), .mono_ms = mono_ms},
        .stale_ms = DAY_S * 1000,
        .scopes = scopes,
        .n_scopes = ARRAY_LEN(scopes)};
}

struct answer {
    const char *name;
    uint16_t type;
    uint8_t bits, kind, verdict, records;
    uint32_t scope, ttl;
    int age_s, left_s; /* when the file is written */
    bool filtered;
};

static struct cache_key key_of(struct cache *of, const struct answer *a, struct name *name)
{
    struct cache_key k = {.name = name,
                          .type = a->type ? a->type : TYPE_A,
                          .class = CLASS_IN,
                          .bits = a->bits,
                          .kind = a->kind,
                          .scope = a->scope ? a->scope : ROUTE};

    assert_int_equal(name_parse(name, a->name), 0);
    cache_key_init(of, &k);
    return k;
}

/* The answer as it is kept; its octets tell its name. */
static size_t image_of(const struct answer *a, const struct cache_key *k, uint8_t out[512])
{
    const struct message m = {.qname = *k->name, .qtype = k->type, .qclass = CLASS_IN};
    struct writer w = writer_make(out, 512);

    image_begin(&w, &m, a->verdict == VERDICT_NXDOMAIN ? RCODE_NXDOMAIN : RCODE_NOERROR);
    if (a->verdict == VERDICT_PRESENT)
        for (int i = 0; i <= a->records; i++) {
            image_record(&w, SECTION_ANSWER, DNS_HEADER, TYPE_A, a->ttl, 4);
            writer_u8(&w, 10);
            writer_u8(&w, (uint8_t)i);
            writer_u16(&w, (uint16_t)(k->name->data[1] << 8 | k->name->data[2]));
        }
    else
        image_soa(&w, SECTION_AUTHORITY, (size_t)DNS_HEADER + 1 + k->name->data[0], a->ttl);
    if (a->verdict == VERDICT_PRESENT && (a->bits & CACHE_DO) != 0) {
        image_record(&w, SECTION_ANSWER, DNS_HEADER, TYPE_RRSIG, a->ttl, 18 + 1 + 4);
        writer_u16(&w, TYPE_A);
        writer_bytes(&w, (uint8_t[16 + 1 + 4]){8, 2}, 16 + 1 + 4);
    }
    out[2] |= DNS_RD >> 8; /* as the reader of replies leaves it */
    return w.len;
}

static void put(const struct answer *a)
{
    struct name name;
    struct cache_key k = key_of(c, a, &name);
    struct cache_facts f = {.stored_ms = (uint64_t)(MONO - a->age_s * 1000ll),
                            .expires_ms = (uint64_t)(MONO + a->left_s * 1000ll),
                            .rtt_ms = 12,
                            .verdict = a->verdict,
                            .filtered = a->filtered};
    uint8_t image[512];

    f.server.port = 53;
    f.expires_ms = a->ttl == 0 ? 0 : f.expires_ms;
    cache_put(c, &k, &f, image, image_of(a, &k, image), NULL, 0);
}

#define POSITIVE .verdict = VERDICT_PRESENT
static const struct time_row {
    const char *what;
    struct answer a;
    int64_t away_s; /* from writing to reading, by the wall clock */
    uint64_t mono_ms;
    enum cache_result want;
    uint32_t ttl; /* as it is given, or was stored */
} time_rows[] = {
    {"at once",
     {"www.x", POSITIVE, .ttl = 300, .age_s = 0, .left_s = 300},
     0,
     MONO,
     CACHE_HIT,
     300},
    {"it becomes older while nobody is there",
     {"www.x", POSITIVE, .ttl = 300, .age_s = 100, .left_s = 200},
     50,
     MONO,
     CACHE_HIT,
     150},
    {"after a boot",
     {"www.x", POSITIVE, .ttl = 300, .age_s = 100, .left_s = 200},
     50,
     500000,
     CACHE_HIT,
     150},
    {"after a boot, stored before it: no clock tells it",
     {"www.x", POSITIVE, .ttl = 300, .age_s = 100, .left_s = 200},
     50,
     1000,
     CACHE_MISS},
    {"its last second",
     {"www.x", POSITIVE, .ttl = 300, .age_s = 0, .left_s = 300},
     299,
     MONO,
     CACHE_HIT,
     1},
    {"an hour later it is no longer fresh",
     {"www.x", POSITIVE, .ttl = 300, .age_s = 0, .left_s = 300},
     3600,
     MONO,
     CACHE_EXPIRED,
     300},
    {"an hour and a boot later",
     {"www.x", POSITIVE, .ttl = 300, .age_s = 0, .left_s = 300},
     3600,
     MONO / 2,
     CACHE_EXPIRED,
     300},
    {"expired when it was written",
     {"www.x", POSITIVE, .ttl = 300, .age_s = 400, .left_s = -100},
     10,
     MONO,
     CACHE_EXPIRED,
     300},
    {"the last second of a stale one",
     {"www.x", POSITIVE, .ttl = 300, .age_s = 0, .left_s = 300},
     300 + DAY_S - 1,
     MONO,
     CACHE_EXPIRED,
     300},
    {"too old for serve-stale",
     {"www.x", POSITIVE, .ttl = 300, .age_s = 0, .left_s = 300},
     300 + DAY_S,
     MONO,
     CACHE_MISS},
    {"too old for serve-stale when it was written",
     {"www.x", POSITIVE, .ttl = 300, .age_s = 300 + DAY_S, .left_s = -DAY_S},
     0,
     MONO,
     CACHE_MISS},
    {"a clock that was set back by seconds makes nothing younger",
     {"www.x", POSITIVE, .ttl = 300, .age_s = 0, .left_s = 300},
     -30,
     MONO,
     CACHE_HIT,
     300},
    {"kept for longer than its TTL: the TTL counts",
     {"www.x", POSITIVE, .ttl = 60, .age_s = 0, .left_s = 3600},
     61,
     MONO,
     CACHE_EXPIRED,
     60},
    {"a year and more is no life",
     {"www.x", POSITIVE, .ttl = 40000000, .age_s = 0, .left_s = 39000000},
     0,
     MONO,
     CACHE_MISS},
    {"of no life at all", {"www.x", POSITIVE, .ttl = 0}, 0, MONO, CACHE_MISS},
    {"NXDOMAIN",
     {"www.x", .verdict = VERDICT_NXDOMAIN, .ttl = 60, .left_s = 60},
     20,
     MONO,
     CACHE_HIT,
     40},
    {"NODATA",
     {"www.x", .verdict = VERDICT_NODATA, .ttl = 60, .left_s = 60},
     20,
     MONO,
     CACHE_HIT,
     40},
    {"of which something was filtered",
     {"www.x", POSITIVE, .bits = CACHE_CD, .ttl = 60, .left_s = 60, .filtered = true},
     20,
     MONO,
     CACHE_HIT,
     40},
    {"a set", {"www.x", POSITIVE, .records = 3, .ttl = 60, .left_s = 60}, 20, MONO, CACHE_HIT, 40},
    {"with DO and CD",
     {"www.x", POSITIVE, .bits = CACHE_DO | CACHE_CD, .ttl = 60, .left_s = 60},
     20,
     MONO,
     CACHE_HIT,
     40},
    {"another route",
     {"www.x", POSITIVE, .scope = 3, .ttl = 60, .left_s = 60},
     20,
     MONO,
     CACHE_HIT,
     40},
    {"a route that is gone",
     {"www.x", POSITIVE, .scope = GONE, .ttl = 60, .left_s = 60},
     20,
     MONO,
     CACHE_MISS},
    {"a failure is not kept",
     {"www.x", POSITIVE, .bits = CACHE_FAILURE, .ttl = 60, .left_s = 60},
     0,
     MONO,
     CACHE_MISS},
    {"a decision is not kept",
     {"www.x", POSITIVE, .kind = CACHE_DECISION, .ttl = 60, .left_s = 60},
     0,
     MONO,
     CACHE_MISS},
};

/* What is there of the answer after it was read; its octets are the same but for the TTL. */
static enum cache_result find(const struct answer *a, const struct now *now, uint32_t *ttl)
{
    uint8_t want[512], got[512];
    struct name name;
    struct cache_key k = key_of(again, a, &name);
    struct cache_facts f;
    size_t want_len = image_of(a, &k, want), len;
    enum cache_result result = cache_get(again, &k, now->mono_ms, got, sizeof got, &len, &f);
    struct rr_walk walk;

    if (result == CACHE_MISS)
        return result;
    assert_int_equal(len, want_len);
    assert_int_equal(f.verdict, a->verdict);
    assert_int_equal(f.filtered, a->filtered);
    assert_int_equal(f.rcode, a->verdict == VERDICT_NXDOMAIN ? RCODE_NXDOMAIN : RCODE_NOERROR);
    assert_true(f.rotates == (a->records > 0) && f.rtt_ms == 12 && f.server.port == 53);
    rr_walk_init(&walk, got, len);
    assert_true(rr_walk_next(&walk));
    *ttl = walk.rr.ttl;
    image_age(got, len, 0, 1, 1);
    image_age(want, len, 0, 1, 1);
    assert_memory_equal(got, want, len);
    return result;
}

static void check_time(void **state)
{
    const struct time_row *r = *state;
    struct snapshot out = snapshot_at(0, MONO), in = snapshot_at(r->away_s, r->mono_ms);
    struct stat st;
    uint32_t ttl = 0;

    put(&r->a);
    assert_int_equal(snapshot_write(&out, c), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(access(other, F_OK), -1);
    assert_int_equal(snapshot_read(&in, again), 0);
    assert_int_equal(find(&r->a, &in.now, &ttl), r->want);
    assert_int_equal(ttl, r->ttl);
    assert_int_equal(in.answers, r->want != CACHE_MISS);
    assert_int_equal(in.refused, 0);
}

/* ---- a file that is not as it was written ---- */

static const struct answer many[] = {
    {"aa.x", POSITIVE, .ttl = 300, .left_s = 300},
    {"ab.x", POSITIVE, .records = 2, .ttl = 300, .left_s = 300},
    {"ac.x", .verdict = VERDICT_NXDOMAIN, .ttl = 300, .left_s = 300},
    {"ad.x", .verdict = VERDICT_NODATA, .ttl = 300, .left_s = 300},
    {"ae.x", POSITIVE, .bits = CACHE_DO, .ttl = 300, .left_s = 300},
};

static uint8_t bytes[65536];

static size_t load(void)
{
    FILE *f = fopen(path, "r");
    size_t n;

    assert_non_null(f);
    n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    return n;
}

static void store(size_t len)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    fclose(f);
    assert_int_equal(chmod(path, 0600), 0);
}

static size_t write_many(void)
{
    struct snapshot s = snapshot_at(0, MONO);

    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        put(&many[i]);
    assert_int_equal(snapshot_write(&s, c), 0);
    assert_int_equal(s.answers, ARRAY_LEN(many));
    return load();
}

static unsigned find_many(const struct now *now)
{
    unsigned n = 0;
    uint32_t ttl;

    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        n += find(&many[i], now, &ttl) == CACHE_HIT;
    return n;
}

/* The block of records is sealed anew. */
static void seal(size_t len, uint32_t records)
{
    uint8_t header[SNAPSHOT_HEADER];
    struct writer w = writer_make(bytes + SNAPSHOT_HEADER, sizeof bytes);

    w.len = len - SNAPSHOT_HEADER - 2 * (SNAPSHOT_BLOCK + SNAPSHOT_SUM) + SNAPSHOT_BLOCK;
    snapshot_seal(&w, records, snapshot_header(header, WALL), 0);
}

static const struct damage_row {
    const char *what, *why;
    int at, value; /* this octet becomes that; behind the end if below 0 */
    int cut, more; /* octets less, or more */
    unsigned kept;
} damage_rows[] = {
    {"as it was", NULL, 0, 'w', .kept = 5},
    {"another file", "is no file of this program", 0, '#'},
    {"nothing", "is no file of this program", .value = 'w', .cut = 65536},
    {"a part of the header", "is no file of this program", .value = 'w', .cut = -31},
    {"the next format", "has format 2, of a newer version", 9, 2},
    {"a far format", "has format 257, of a newer version", 8, 1},
    {"format 0", "has format 0, of another version", 9, 0},
    {"the header is damaged", "is damaged, or cut short, behind octet 0", 12, 1},
    {"the header's checksum is", "is damaged, or cut short, behind octet 0", 24, 1},
    {"the header alone", "is damaged, or cut short, behind octet 32", .value = 'w', .cut = -32},
    {"a part of the first block", "is damaged, or cut short, behind octet 32", .value = 'w',
     .cut = -60},
    {"a length that lies", "is damaged, or cut short, behind octet 32", 32, 0xff},
    {"a length that lies a little", "is damaged, or cut short, behind octet 32", 35, 1},
    {"no end", "is damaged, or cut short, behind octet", .value = 'w', .cut = 16, .kept = 5},
    {"half of the end", "is damaged, or cut short, behind octet", .value = 'w', .cut = 7,
     .kept = 5},
    {"more behind the end", "is damaged, or cut short, behind octet", .value = 'w', .more = 1,
     .kept = 5},
    {"fewer records than it says", "is damaged, or cut short, behind octet 32", -6, .kept = 5},
    {"more records than it says", "is damaged, or cut short, behind octet 32", -4, .kept = 4},
};

static void check_damage(void **state)
{
    const struct damage_row *r = *state;
    struct snapshot s = snapshot_at(10, MONO);
    size_t len = write_many();

    if (r->at < 0)
        seal(len, (uint32_t)-r->at);
    else
        bytes[r->at] = (uint8_t)r->value;
    store(r->cut < 0             ? (size_t)-r->cut
          : (size_t)r->cut > len ? 0
                                 : len - (size_t)r->cut + (size_t)r->more);
    assert_int_equal(snapshot_read(&s, again), r->why ? -EBADMSG : 0);
    if (r->why)
        assert_has(s.why, r->why);
    assert_int_equal(find_many(&s.now), r->kept);
    assert_int_equal(s.answers, r->kept);
}

/* Each bit of the file, one after the other: every flip is noticed. */
static void every_flipped_bit_is_noticed(void **state)
{
    size_t len = write_many();

    for (size_t bit = 0; bit < 8 * len; bit++) {
        struct snapshot s = snapshot_at(10, MONO);

        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        store(len);
        assert_int_equal(snapshot_read(&s, again), -EBADMSG);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        find_many(&s.now); /* what is there is right */
        cache_flush(again, NULL, true);
    }
}

static bool is_sound(void *context, const struct cache_key *k, const struct cache_facts *f,
                     const uint8_t *image, size_t len)
{
    struct message m;

    assert_int_equal(message_read_reply(&m, image, len), 0);
    assert_true(m.qtype == k->type && m.qclass == k->class && name_equal(&m.qname, k->name));
    assert_true(f->expires_ms > f->stored_ms && f->stored_ms <= MONO);
    return true;
}

/* And with a checksum that fits: what is kept is a reply to its own question. */
static void flipped_bits_under_a_good_checksum(void **state)
{
    size_t len = write_many(), end = len - 2 * SNAPSHOT_SUM - SNAPSHOT_BLOCK;
    unsigned refused = 0;

    for (size_t bit = 8 * (SNAPSHOT_HEADER + SNAPSHOT_BLOCK); bit < 8 * end; bit++) {
        struct snapshot s = snapshot_at(10, MONO);
        int rc;

        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        seal(len, ARRAY_LEN(many));
        store(len);
        rc = snapshot_read(&s, again);
        assert_true(rc == 0 || rc == -EBADMSG);
        assert_true(s.answers + s.refused <= ARRAY_LEN(many));
        refused += s.refused > 0 || rc != 0;
        cache_each(again, &(struct cache_select){.below = true}, 0, is_sound, NULL);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cache_flush(again, NULL, true);
    }
    assert_true(refused > len);
}

static void file_of_others_is_not_read(void **state)
{
    struct snapshot s = snapshot_at(10, MONO);

    assert_int_equal(snapshot_read(&s, again), -ENOENT);
    write_many();
    assert_int_equal(chmod(path, 0620), 0);
    assert_int_equal(snapshot_read(&s, again), -EBADMSG);
    assert_has(s.why, "is no file that this user alone may write");
    assert_int_equal(chmod(path, 0602), 0);
    assert_int_equal(snapshot_read(&s, again), -EBADMSG);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(rename(path, other), 0);
    assert_int_equal(symlink(other, path), 0);
    assert_int_equal(snapshot_read(&s, again), -EBADMSG);
    assert_has(s.why, "is a link");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(snapshot_read(&s, again), -EBADMSG);
    assert_int_equal(s.answers, 0);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rename(other, path), 0);
    assert_int_equal(snapshot_read(&s, again), 0);
    s = snapshot_at(-61, MONO);
    assert_int_equal(snapshot_read(&s, again), -EBADMSG);
    assert_has(s.why, "was written in the future");
}

/* ---- how it is written ---- */

static void file_is_there_whole_or_not_at_all(void **state)
{
    const struct rlimit none = {100, RLIM_INFINITY}, all = {RLIM_INFINITY, RLIM_INFINITY};
    struct snapshot s = snapshot_at(0, MONO), in = snapshot_at(0, MONO);
    size_t len = write_many();
    char target[SCRATCH + 20];

    /* What another name leads to is not touched. */
    snprintf(target, sizeof target, "%s/precious", dir);
    scratch_write(target, "precious");
    assert_int_equal(symlink(target, other), 0);
    put(&(struct answer){"af.x", POSITIVE, .ttl = 300, .left_s = 300});
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &none);
    assert_int_equal(snapshot_write(&s, c), -EFBIG);
    setrlimit(RLIMIT_FSIZE, &all);
    assert_int_equal(access(other, F_OK), -1);
    s.order = SNAPSHOT_ABANDON;
    assert_int_equal(snapshot_write(&s, c), -ECANCELED);
    assert_int_equal(access(other, F_OK), -1);
    assert_int_equal(load(), len);
    assert_int_equal(snapshot_read(&in, again), 0);
    assert_int_equal(in.answers, ARRAY_LEN(many));
    in.order = SNAPSHOT_ABANDON;
    assert_int_equal(snapshot_read(&in, again), -ECANCELED);
    s.order = SNAPSHOT_FINISH;
    assert_int_equal(snapshot_write(&s, c), 0);
    assert_true(s.cut && load() < len);
    s.order = SNAPSHOT_GO;
    s.path = "/nowhere/cache.snapshot";
    assert_int_equal(snapshot_write(&s, c), -ENOENT);
}

/* The kernel takes and gives these many octets at most, each other time none; 0: as it does. */
static size_t at_once;

static bool is_interrupted(size_t *n)
{
    static bool turn;

    turn = at_once > 0 && !turn;
    *n = at_once > 0 && *n > at_once ? at_once : *n;
    errno = EINTR;
    return turn;
}

ssize_t write(int fd, const void *from, size_t n)
{
    return is_interrupted(&n) ? -1 : syscall(SYS_write, fd, from, n);
}

ssize_t read(int fd, void *to, size_t n)
{
    return is_interrupted(&n) ? -1 : syscall(SYS_read, fd, to, n);
}

static void written_and_read_in_pieces(void **state)
{
    struct snapshot s = snapshot_at(0, MONO);
    static uint8_t whole[sizeof bytes];
    size_t len = write_many();

    memcpy(whole, bytes, len);
    at_once = 7;
    assert_int_equal(snapshot_write(&s, c), 0);
    assert_int_equal(load(), len);
    assert_memory_equal(bytes, whole, len);
    assert_int_equal(snapshot_read(&s, again), 0);
    at_once = 0;
    assert_int_equal(find_many(&s.now), ARRAY_LEN(many));
}

/* Many blocks; the answers in use come first, and when the cache is smaller now those are read. */
static void answers_in_use_come_first(void **state)
{
    struct snapshot s = snapshot_at(0, MONO), in = snapshot_at(0, MONO),
                    smaller = snapshot_at(0, MONO);
    struct cache *big = cache_new(4 * MIB, &first), *mine = c;
    enum { NAMES = 9000 };
    unsigned used = 0, all = 0;
    char text[32];
    uint32_t ttl;

    c = big;
    for (unsigned i = 0; i < NAMES; i++) {
        struct answer a = {text, POSITIVE, .records = 3, .ttl = 300, .left_s = 300};
        struct name name;
        struct cache_key k;
        struct cache_facts f;
        size_t len;

        snprintf(text, sizeof text, "n%u.x", i);
        put(&a);
        k = key_of(c, &a, &name);
        if (i % 10 == 0)
            cache_get(c, &k, MONO, bytes, sizeof bytes, &len, &f);
    }
    assert_int_equal(snapshot_write(&s, c), 0);
    assert_int_equal(s.answers, NAMES);
    assert_int_equal(snapshot_read(&smaller, again), 0);
    for (unsigned i = 0; i < NAMES; i++) {
        struct answer a = {text, POSITIVE, .records = 3, .ttl = 300, .left_s = 300};
        bool is_there;

        snprintf(text, sizeof text, "n%u.x", i);
        is_there = find(&a, &s.now, &ttl) == CACHE_HIT;
        used += is_there && i % 10 == 0;
        all += is_there;
    }
    assert_true(used > NAMES / 10 * 99 / 100);
    assert_int_equal(all, smaller.answers);
    assert_true(all > 2 * used && all < NAMES);
    cache_free(c);
    c = mine;
    cache_free(again);
    again = cache_new(4 * MIB, &second);
    assert_int_equal(snapshot_read(&in, again), 0);
    assert_true(in.answers > NAMES * 99 / 100); /* the others met a full bucket */
}

/* With cache.nxdomain-cut it lies in the cache twice. */
static void denial_of_all_types_is_written_once(void **state)
{
    const struct answer a = many[2];
    struct snapshot s = snapshot_at(0, MONO);
    struct name name;
    struct cache_key k = key_of(c, &a, &name);
    const struct cache_facts f = {
        .stored_ms = MONO, .expires_ms = MONO + 60000, .verdict = a.verdict};
    uint8_t image[512];

    put(&a);
    k.type = CACHE_NO_TYPE;
    cache_key_init(c, &k);
    cache_put(c, &k, &f, image, image_of(&a, &k, image), NULL, 0);
    assert_int_equal(snapshot_write(&s, c), 0);
    assert_int_equal(s.answers, 1);
}

static void newer_answer_wins(void **state)
{
    const struct answer a = many[0];
    struct snapshot in = snapshot_at(100, MONO);
    struct cache *mine = c;
    uint32_t ttl;

    write_many();
    c = again;
    put(&a); /* with all of its TTL */
    c = mine;
    assert_int_equal(snapshot_read(&in, again), 0);
    assert_int_equal(in.answers, ARRAY_LEN(many) - 1);
    assert_int_equal(find(&a, &in.now, &ttl), CACHE_HIT);
    assert_int_equal(ttl, 300);
    assert_int_equal(find(&many[1], &in.now, &ttl), CACHE_HIT);
    assert_int_equal(ttl, 200);
}

TESTS("snapshot", ROWS_WITH(time_rows, check_time, set_up, tear_down),
      ROWS_WITH(damage_rows, check_damage, set_up, tear_down),
      TEST_WITH(every_flipped_bit_is_noticed, set_up, tear_down),
      TEST_WITH(flipped_bits_under_a_good_checksum, set_up, tear_down),
      TEST_WITH(file_of_others_is_not_read, set_up, tear_down),
      TEST_WITH(file_is_there_whole_or_not_at_all, set_up, tear_down),
      TEST_WITH(written_and_read_in_pieces, set_up, tear_down),
      TEST_WITH(answers_in_use_come_first, set_up, tear_down),
      TEST_WITH(denial_of_all_types_is_written_once, set_up, tear_down),
      TEST_WITH(newer_answer_wins, set_up, tear_down))
