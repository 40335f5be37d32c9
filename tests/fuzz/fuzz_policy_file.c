/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fuzz_policy_file.c -- the policy store's file with any octets changed. It is refused with a sentence, or
 * what is read of it is damage or the policy that was written; what a verification finds sound is that
 * policy, or the one before; a decision on it never crashes.
 *
 * The input: for each change a place (three octets), a count, and so many octets.
 */
#include "tests/fuzz/fuzz.h"

#include <poll.h>

#include "base/guard.h"
#include "tests/unit/resolver/world.h"

static const char text[] =
    "networks: {lan: [10.0.0.0/8], kiosks: [10.20.0.0/16, \"fd00::/8\"]}\n"
    "pools: {p: [{target: kms.x.example, addresses: [10.0.0.5]}, b.example], q: [c.example]}\n"
    "approved: [good.example]\n"
    "rules:\n"
    "  r: {suffixes: [x.example, \"*.y.example\"], networks: [lan], pool: p}\n"
    "  s: {suffixes: [z.example], action: filter}\n"
    "  t: {suffixes: [\"*\"], networks: [kiosks], action: replace, pool: q, when: [unapproved]}\n";

static struct {
    uint8_t *base, *used; /* the file; and whether an input has changed that page */
    size_t size;
    char dir[SCRATCH], *policy, *empty;
    size_t policy_len, empty_len;
    int fd;
} f;

/* A page that is wrong is looked at again some milliseconds later, since somebody may just be writing it.
 * Nobody is. */
int poll(struct pollfd *fds, nfds_t n, int ms)
{
    (void)ms;
    must(fds == NULL && n == 0);
    return 0;
}

/* The policy that is read of it, as a text if it is wanted; NULL: it is damaged. */
static char *loaded(struct store *s, bool wanted, size_t *len)
{
    struct policy p;
    uint64_t serial;
    char *out = NULL;
    FILE *file;
    int rc;

    guarded(rc, policy_load(s, &p, &serial));
    must(rc != -EFAULT); /* each page was looked at */
    if (rc != 0)
        return NULL;
    if (wanted) {
        file = open_memstream(&out, len);
        must(file != NULL && policy_text_write(&p, file) == 0 && fclose(file) == 0);
    }
    policy_fini(&p);
    return out;
}

static void base_end(void)
{
    scratch_remove(f.dir);
}

static void base_make(void)
{
    struct world *w = world_new(NULL, text);
    struct policy none = {.n_rules = 0};
    struct stat st;
    char path[64];
    FILE *file;
    int fd;

    must((f.policy = loaded(w->store, true, &f.policy_len)) != NULL);
    file = open_memstream(&f.empty, &f.empty_len);
    must(file != NULL && policy_text_write(&none, file) == 0 && fclose(file) == 0);
    snprintf(path, sizeof path, "%s/data.mdb", w->dir);
    must((fd = open(path, O_RDONLY)) >= 0 && fstat(fd, &st) == 0);
    f.size = (size_t)st.st_size;
    must((f.base = malloc(f.size)) != NULL && pread(fd, f.base, f.size, 0) == st.st_size);
    close(fd);
    world_free(w);
    scratch_make(f.dir);
    must(atexit(base_end) == 0);
    snprintf(path, sizeof path, "%s/data.mdb", f.dir);
    must((f.fd = open(path, O_RDWR | O_CREAT, 0600)) >= 0);
    must(pwrite(f.fd, f.base, f.size, 0) == (ssize_t)f.size);
}

/* Or as it was, if undo. */
static bool change(const uint8_t *data, size_t size, bool undo)
{
    struct cursor c = cursor_make(data, size);
    bool same = true;

    while (cursor_left(&c) > 4) {
        size_t at = (size_t)cursor_number(&c, 3) % f.size, n = cursor_u8(&c) % 16u + 1;
        const uint8_t *octets;

        n = n < cursor_left(&c) ? n : cursor_left(&c);
        octets = cursor_take(&c, n);
        n = n < f.size - at ? n : f.size - at;
        octets = undo ? f.base + at : octets;
        same = same && memcmp(octets, f.base + at, n) == 0;
        must(pwrite(f.fd, octets, n, (off_t)at) == (ssize_t)n);
    }
    return same;
}

static int walk_log(struct store *s)
{
    struct policy_log_entry e = {.serial = 0};
    struct store_txn *t = NULL;
    uint64_t last = 0;
    int rc = store_begin(s, false, &t);

    while (rc == 0 && (rc = log_next(t, 0, NULL, &e)) == 0) {
        must(e.serial > last && memchr(e.summary, '\0', sizeof e.summary) &&
             memchr(e.rules, '\0', sizeof e.rules));
        last = e.serial;
    }
    store_end(t);
    return rc;
}

/* As `policy log` does it: -ENOENT at its end. */
static int read_log(struct store *s)
{
    int rc;

    guarded(rc, walk_log(s));
    must(rc != -EFAULT);
    return rc;
}

static void decide(struct store *s)
{
    static const char *const names[] = {"_vlmcs._tcp.x.example", "_vlmcs._tcp.a.y.example",
                                        "_vlmcs._tcp.z.example", "_vlmcs._tcp.kms.x.example"};
    static struct policy_decision decision;
    struct policy_reader *r = policy_reader_new(s);
    struct policy_client client;
    struct addr addr;
    struct name name;

    if (r == NULL || store_reader_begin(r->txn) != 0) {
        policy_reader_free(r);
        return;
    }
    must(addr_parse(&addr, "10.20.0.1", 0) == 0);
    (void)policy_client_find(r, &addr, &client);
    (void)policy_is_host_address(r, &addr);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        must(name_parse(&name, names[i]) == 0);
        policy_decide(r,
                      &(struct policy_ask){
                          .qname = &name, .client = &client, .wall_ms = 1, .limit = MODE_LIVE},
                      &(struct policy_real){.verdict = VERDICT_NXDOMAIN}, &decision);
        must(decision.n_hosts <= POLICY_POOL_HOSTS);
    }
    store_end(r->txn);
    policy_reader_free(r);
}

/* True: it was opened. */
static bool try_access(enum store_access access, bool same)
{
    struct diags d = {0};
    struct store *s;
    char *now = NULL;
    size_t len = 0;
    int rc = store_open(&s, f.dir, access, &d), logged;

    must(rc != 0 || d.n == 0);
    must(rc != -EBADMSG || d.n == 1);
    must(!same || rc == 0);
    diags_fini(&d);
    if (rc != 0)
        return false;
    rc = store_verify(s, STORE_WRITE, NULL, &d);
    if (access == STORE_READ) {
        now = loaded(s, rc == 0, &len);
        logged = read_log(s);
        must(rc != 0 || logged == -ENOENT);
    } else {
        decide(s);
    }
    must((rc == -EBADMSG) == (d.n == 1) && (!same || rc == 0));
    if (rc == 0 && access == STORE_READ)
        must(now != NULL && ((len == f.policy_len && memcmp(now, f.policy, len) == 0) ||
                             (!same && len == f.empty_len && memcmp(now, f.empty, len) == 0)));
    free(now);
    diags_fini(&d);
    store_close(s);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool same;

    if (f.base == NULL)
        base_make();
    same = change(data, size, false);
    if (!try_access(STORE_READ, same) || size % 8 == 0)
        try_access(STORE_SERVE, same);
    change(data, size, true);
    return 0;
}
