/* SPDX-License-Identifier: BSD-2-Clause
 *
 * snapshot.c -- writes and reads the file of a cache's answers.
 *
 * The times in a file are those of the wall clock. `now` has both clocks, so either becomes the
 * other by adding their difference, modulo 2^64; clock_now() counts from long before the boot, so
 * what happened before that has a time, too.
 */
#include "cache/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <xxhash.h>

enum { MAGIC = 8, MAX_PATH = 1100, FILTERED = 0x80 /* beside the bits of the key */ };
#define SLACK_MS 60000            /* clocks are set back a little */
#define MAX_LIFE_MS 31622400000ll /* 366 days: cache.max-ttl is a year at most */
#define WINDOW (4ll << 20)        /* octets that the disk may be behind */
#define SPARED (32u << 20)        /* octets that stay free on it */

/* Up to the time: MAGIC octets of it tell the file, then the format. */
static const uint8_t magic[16] = {'w', 'a', 'y', 'm', 'a', 'r', 'k', 0xca, 0, SNAPSHOT_FORMAT};

uint64_t snapshot_header(uint8_t out[SNAPSHOT_HEADER], uint64_t wall_ms)
{
    struct writer w = writer_make(out, SNAPSHOT_HEADER);
    uint64_t sum;

    writer_bytes(&w, magic, sizeof magic);
    writer_u64(&w, wall_ms);
    sum = XXH3_64bits(out, w.len);
    writer_u64(&w, sum);
    return sum;
}

void snapshot_seal(struct writer *w, uint32_t records, uint64_t header_sum, uint64_t place)
{
    struct writer begin = writer_make(w->start, SNAPSHOT_BLOCK);

    writer_u32(&begin, (uint32_t)(w->len - SNAPSHOT_BLOCK));
    writer_u32(&begin, records);
    writer_u64(w, XXH3_64bits_withSeed(w->start, w->len, header_sum + place));
}

/* --- to write */

struct output {
    struct snapshot *s;
    struct writer w; /* the block that is being filled */
    uint32_t records;
    uint64_t header_sum, place;
    off_t at;
    int fd, rc;
    uint8_t buf[SNAPSHOT_BLOCK + SNAPSHOT_MAX + SNAPSHOT_SUM];
};

/* The disk is at work while more is written, and never far behind: so it is soon done whenever the
 * end is ordered, however slow it is. Only a hint: what could not be written, fsync() tells. */
static void pace(const struct output *o)
{
    (void)sync_file_range(o->fd, 0, o->at, SYNC_FILE_RANGE_WRITE);
    if (o->at > WINDOW)
        (void)sync_file_range(o->fd, 0, o->at - WINDOW,
                              SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                                  SYNC_FILE_RANGE_WAIT_AFTER);
}

static void write_octets(struct output *o, const uint8_t *from, size_t len)
{
    while (len > 0 && o->rc == 0) {
        ssize_t n = write(o->fd, from, len);

        if (n < 0 && errno != EINTR)
            o->rc = -errno;
        if (n <= 0)
            continue;
        from += n;
        len -= (size_t)n;
        o->at += n;
    }
}

static void begin_block(struct output *o)
{
    o->w = writer_make(o->buf, sizeof o->buf);
    (void)writer_room(&o->w, SNAPSHOT_BLOCK);
    o->records = 0;
}

static void end_block(struct output *o)
{
    snapshot_seal(&o->w, o->records, o->header_sum, o->place++);
    write_octets(o, o->buf, o->w.len);
    if (o->place % 4 == 0)
        pace(o);
    begin_block(o);
}

static bool write_answer(void *output, const struct cache_key *key, const struct cache_facts *f,
                         const uint8_t *image, size_t len)
{
    struct output *o = output;
    const struct now *now = &o->s->now;
    uint64_t to_wall = now->wall_ms - now->mono_ms;
    struct writer *w = &o->w;

    o->s->cut = atomic_load(&o->s->order) != SNAPSHOT_GO;
    if (o->rc != 0 || o->s->cut)
        return false;
    if ((key->bits & CACHE_FAILURE) != 0 || key->type == CACHE_NO_TYPE || f->expires_ms == 0 ||
        f->expires_ms + o->s->stale_ms <= now->mono_ms)
        return true;
    if (w->size - w->len < SNAPSHOT_RECORD + len + SNAPSHOT_SUM)
        end_block(o);
    writer_u64(w, f->stored_ms + to_wall);
    writer_u64(w, f->expires_ms + to_wall);
    writer_u32(w, key->scope);
    writer_u8(w, key->bits | (f->filtered ? FILTERED : 0));
    writer_bytes(w, f->server.ip, sizeof f->server.ip);
    writer_u16(w, f->server.port);
    writer_u32(w, f->server.scope);
    writer_u16(w, f->rtt_ms);
    writer_u16(w, (uint16_t)len);
    writer_bytes(w, image, len);
    o->records++;
    o->s->answers++;
    return true;
}

/* The answers in use first: those that are there when the end is ordered. One that is used between
 * the walks is in neither, or in both; it is added once. */
static int write_all(struct output *o, struct cache *c)
{
    static const enum cache_use uses[] = {CACHE_USED, CACHE_UNUSED};
    uint8_t header[SNAPSHOT_HEADER];

    o->header_sum = snapshot_header(header, o->s->now.wall_ms);
    write_octets(o, header, sizeof header);
    begin_block(o);
    for (size_t i = 0; i < ARRAY_LEN(uses); i++)
        cache_each(c, &(struct cache_select){.use = uses[i]}, 0, write_answer, o);
    if (o->records > 0)
        end_block(o);
    end_block(o);
    if (atomic_load(&o->s->order) == SNAPSHOT_ABANDON)
        return -ECANCELED;
    if (o->rc == 0 && fsync(o->fd) != 0)
        o->rc = -errno;
    return o->rc;
}

/* Policy and audit need the last room more than this. */
static bool has_space(const char *path, struct cache *c)
{
    char dir[MAX_PATH], *slash;
    struct cache_stats stats;
    struct statvfs fs;

    if (!str_copy(dir, sizeof dir, path) || (slash = strrchr(dir, '/')) == NULL)
        return true;
    *slash = '\0';
    cache_stats(c, &stats);
    return statvfs(dir, &fs) != 0 || fs.f_bavail * fs.f_frsize >= stats.bytes + SPARED;
}

int snapshot_write(struct snapshot *s, struct cache *c)
{
    char path[MAX_PATH];
    struct output *o;
    int rc;

    snprintf(path, sizeof path, "%s.new", s->path);
    (void)unlink(path); /* of a process that was killed */
    if (!has_space(s->path, c))
        return -ENOSPC;
    if ((o = malloc(sizeof *o)) == NULL)
        return -ENOMEM;
    *o = (struct output){.s = s, .fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
    rc = o->fd < 0 ? -errno : write_all(o, c);
    if (o->fd >= 0 && close(o->fd) != 0 && rc == 0)
        rc = -errno;
    if (rc == 0 && rename(path, s->path) != 0)
        rc = -errno;
    if (rc != 0 && o->fd >= 0)
        (void)unlink(path);
    free(o);
    return rc;
}

/* --- to read */

struct input {
    struct snapshot *s;
    struct cache *cache;
    int fd;
    uint64_t at, header_sum, place;
    uint8_t image[DNS_MAX_MESSAGE];
    uint8_t buf[SNAPSHOT_BLOCK + SNAPSHOT_MAX + SNAPSHOT_SUM];
};

static int PRINTF_LIKE(2, 3) unfit(struct snapshot *s, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(s->why, sizeof s->why, fmt, args);
    va_end(args);
    return -EBADMSG;
}

static int damaged(const struct input *in)
{
    return unfit(in->s, "is damaged, or cut short, behind octet %llu", (unsigned long long)in->at);
}

/* 0; -EBADMSG: it ends before; -errno. */
static int take_octets(struct input *in, uint8_t *out, size_t len)
{
    while (len > 0) {
        ssize_t n = read(in->fd, out, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : damaged(in);
        out += n;
        len -= (size_t)n;
    }
    return 0;
}

static bool is_asked(const struct snapshot *s, uint32_t scope)
{
    for (size_t i = 0; i < s->n_scopes; i++)
        if (s->scopes[i] == scope)
            return true;
    return false;
}

/* Its times as the cache has them. False: they cannot be, or it is of no use any more. Nothing lives
 * longer than the smallest TTL of its image says. */
static bool set_times(const struct snapshot *s, uint64_t stored, uint64_t expires, uint32_t ttl_s,
                      struct cache_facts *f)
{
    uint64_t wall = s->now.wall_ms, to_mono = s->now.mono_ms - wall;
    uint64_t life = (uint64_t)ttl_s * 1000 + 999;

    if (stored > wall + SLACK_MS || expires <= stored || expires - stored > MAX_LIFE_MS)
        return false;
    stored = stored < wall ? stored : wall;
    if (wall - stored >= s->now.mono_ms)
        return false;
    expires = expires - stored < life ? expires : stored + life;
    f->stored_ms = stored + to_mono;
    f->expires_ms = expires + to_mono;
    return expires + s->stale_ms > wall;
}

/* One answer, as if its server had sent it. False: it is none. */
static bool add_answer(struct input *in, struct cache_key key, struct cache_facts *f,
                       const uint64_t times[2], const uint8_t *wire, size_t wire_len)
{
    static const uint8_t verdicts[REPLY_KINDS] = {[REPLY_POSITIVE] = VERDICT_PRESENT,
                                                  [REPLY_NODATA] = VERDICT_NODATA,
                                                  [REPLY_NXDOMAIN] = VERDICT_NXDOMAIN};
    bool dnssec = (key.bits & CACHE_DO) != 0;
    struct reply_facts facts;
    struct message m;
    size_t len;

    if ((key.bits & ~(CACHE_DO | CACHE_CD)) != 0 || message_read_head(&m, wire, wire_len) != 0 ||
        reply_read(&m, wire, wire_len, &(struct reply_wanted){.dnssec = dnssec}, in->image,
                   sizeof in->image, &len, &facts) != 0 ||
        !facts.cacheable)
        return false;
    if (!is_asked(in->s, key.scope) || !set_times(in->s, times[0], times[1], facts.ttl, f))
        return true;
    f->rcode = facts.rcode;
    f->verdict = verdicts[facts.kind];
    f->has_rrsig = facts.has_rrsig;
    f->has_cname = facts.has_cname;
    f->rotates = facts.rotates;
    key.name = &m.qname;
    key.type = m.qtype;
    key.class = m.qclass;
    cache_key_init(in->cache, &key);
    in->s->answers += cache_add(in->cache, &key, f, in->image, len);
    return true;
}

static bool take_record(struct input *in, struct cursor *c)
{
    struct cache_key key = {.kind = CACHE_ANSWER};
    struct cache_facts f = {.stored_ms = 0};
    const uint8_t *ip, *wire;
    uint64_t times[2];
    size_t len;

    times[0] = cursor_u64(c);
    times[1] = cursor_u64(c);
    key.scope = (uint32_t)cursor_number(c, 4);
    key.bits = cursor_u8(c);
    f.filtered = (key.bits & FILTERED) != 0;
    key.bits &= (uint8_t)~FILTERED;
    if ((ip = cursor_take(c, sizeof f.server.ip)))
        memcpy(f.server.ip, ip, sizeof f.server.ip);
    f.server.port = cursor_u16(c);
    f.server.scope = (uint32_t)cursor_number(c, 4);
    f.rtt_ms = cursor_u16(c);
    len = cursor_u16(c);
    wire = cursor_take(c, len);
    if (c->bad)
        return false;
    in->s->refused += !add_answer(in, key, &f, times, wire, len);
    return true;
}

/* 1 when it was the last block; 0; -errno. */
static int take_block(struct input *in)
{
    struct cursor c = cursor_make(in->buf, SNAPSHOT_BLOCK);
    int rc = take_octets(in, in->buf, SNAPSHOT_BLOCK);
    uint32_t len = rc == 0 ? (uint32_t)cursor_number(&c, 4) : 0, records;
    uint64_t sum;

    if (rc != 0)
        return rc;
    records = (uint32_t)cursor_number(&c, 4);
    if (len > SNAPSHOT_MAX)
        return damaged(in);
    if ((rc = take_octets(in, in->buf + SNAPSHOT_BLOCK, len + SNAPSHOT_SUM)) != 0)
        return rc;
    c = cursor_make(in->buf, SNAPSHOT_BLOCK + len + SNAPSHOT_SUM);
    (void)cursor_take(&c, SNAPSHOT_BLOCK + len);
    sum = cursor_u64(&c);
    if (sum != XXH3_64bits_withSeed(in->buf, SNAPSHOT_BLOCK + len, in->header_sum + in->place++))
        return damaged(in);
    c = cursor_make(in->buf, SNAPSHOT_BLOCK + len);
    (void)cursor_take(&c, SNAPSHOT_BLOCK);
    for (; records > 0; records--)
        if (atomic_load(&in->s->order) != SNAPSHOT_GO)
            return -ECANCELED;
        else if (!take_record(in, &c))
            return damaged(in);
    if (cursor_left(&c) > 0)
        return damaged(in);
    in->at += SNAPSHOT_BLOCK + len + SNAPSHOT_SUM;
    return len == 0;
}

static int take_header(struct input *in)
{
    uint8_t ours[SNAPSHOT_HEADER];
    struct cursor c = cursor_make(in->buf, SNAPSHOT_HEADER);
    struct snapshot *s = in->s;
    int rc = take_octets(in, in->buf, SNAPSHOT_HEADER);
    uint64_t wall_ms;
    uint16_t format;

    if (rc != 0 && rc != -EBADMSG)
        return rc;
    if (rc != 0 || memcmp(in->buf, magic, MAGIC) != 0)
        return unfit(s, "is no file of this program");
    (void)cursor_take(&c, MAGIC);
    if ((format = cursor_u16(&c)) != SNAPSHOT_FORMAT)
        return unfit(s, "has format %u, of %s version", format,
                     format > SNAPSHOT_FORMAT ? "a newer" : "another");
    (void)cursor_take(&c, 6);
    wall_ms = cursor_u64(&c);
    in->header_sum = snapshot_header(ours, wall_ms);
    if (memcmp(ours, in->buf, sizeof ours) != 0)
        return damaged(in);
    if (wall_ms > s->now.wall_ms + SLACK_MS)
        return unfit(s, "was written in the future, as the clock is set now");
    in->at = SNAPSHOT_HEADER;
    return 0;
}

int snapshot_read_from(struct snapshot *s, struct cache *c, int fd)
{
    struct input *in = malloc(sizeof *in);
    struct cache_stats stats;
    int rc;

    if (in == NULL)
        return -ENOMEM;
    in->s = s;
    in->cache = c;
    in->fd = fd;
    in->at = in->place = 0;
    cache_stats(c, &stats);
    rc = take_header(in);
    while (rc == 0 && in->at < stats.size)
        rc = take_block(in);
    if (rc == 1 && read(fd, in->buf, 1) > 0)
        rc = damaged(in);
    free(in);
    return rc > 0 ? 0 : rc;
}

int snapshot_read(struct snapshot *s, struct cache *c)
{
    int fd = open(s->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), rc;
    struct stat st;

    if (fd < 0)
        return errno == ELOOP ? unfit(s, "is a link") : -errno;
    if (fstat(fd, &st) != 0)
        rc = -errno;
    else if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022) != 0)
        rc = unfit(s, "is no file that this user alone may write");
    else
        rc = snapshot_read_from(s, c, fd);
    close(fd);
    return rc;
}
