/* SPDX-License-Identifier: BSD-2-Clause
 *
 * probe.c -- a place for each host of a pool, in which it stays for life: what is known of it,
 * its sockets while it is tried, and the clients that it was given to.
 *
 *   on_tick     the hosts, when the policy has changed; those whose time has come; what is new
 *   resolve     A, then AAAA, as a question of our own; pinned addresses are not asked for
 *   try_all     all addresses at once, closed when one accepts, or at the end of the time
 *
 * At most AT_ONCE hosts are tried at a time. The time of the next try varies, so that hosts that
 * came together spread over the interval, and is never later than the interval after the last.
 */

#include "resolver/threads.h"

enum { AT_ONCE = 64, TICK_MS = 500, HURRY_MS = 20, INTERVAL_MIN_MS = 100, TTL_MAX_S = 60 };

struct probe {
    struct health_target t;
    struct pin pin;
    bool used, wanted; /* wanted: the policy names it, when it was read last */
    uint64_t due_ms;   /* of the next try; of one under way: when its time is over */
    /* While it is tried. */
    struct prober *home;
    bool busy;
    uint16_t type;           /* A, then AAAA */
    bool unsure;             /* one of the two could not be found out */
    struct health_target is; /* addresses and TTL as they are resolved */
    unsigned n_open;
    struct attempt {
        struct io_peer peer;
        struct probe *of;
    } attempts[POLICY_HOST_ADDRESSES];
};

struct prober {
    struct worker *const *workers;
    int n_workers;
    struct worker *own;
    struct io *io; /* its own */
    struct io_timer tick;
    uint64_t state; /* of the policy, when it was read */
    bool stopped, changed;
    unsigned n_busy, first;
    size_t left;
    uint32_t epoch;
    struct policy_host hosts[POLICY_POOL_HOSTS];
    struct query q;
    uint8_t out[DNS_MAX_MESSAGE];
    struct probe places[HEALTH_TARGETS];
};

static uint64_t interval_of(const struct prober *pr)
{
    uint64_t ms = pr->own->view->settings->kms.probe_interval_ms;

    return ms > 0 && ms < INTERVAL_MIN_MS ? INTERVAL_MIN_MS : ms;
}

static void tick_at(struct prober *pr, uint64_t at_ms)
{
    if (!pr->stopped && (pr->tick.at_ms == 0 || at_ms < pr->tick.at_ms))
        pr->io->timer_set(pr->io, &pr->tick, at_ms);
}

static void close_all(struct probe *p)
{
    for (int i = 0; i < POLICY_HOST_ADDRESSES; i++)
        p->home->io->close(p->home->io, &p->attempts[i].peer);
    p->n_open = 0;
}

/* The try has ended like that. */
static void end_probe(struct probe *p, enum health_error error)
{
    struct prober *pr = p->home;
    const struct settings *s = pr->own->view->settings;
    struct now now = io_now(pr->io);
    uint64_t wait_ms = interval_of(pr);

    close_all(p);
    p->busy = false;
    pr->n_busy--;
    pr->changed |= health_note(&p->t, error, (unsigned)s->kms.probe_rise,
                               (unsigned)s->kms.probe_fall, now.wall_ms);
    wait_ms = p->t.row > 0 ? wait_ms / 4
                           : wait_ms - random_below(pr->io->random, (uint32_t)wait_ms / 8 + 1);
    p->due_ms = now.mono_ms + wait_ms;
    tick_at(pr, now.mono_ms + HURRY_MS); /* another may wait for its turn, or all for the news */
}

static void on_peer(struct io_peer *peer, const uint8_t *message, ssize_t len)
{
    struct probe *p = container_of(peer, struct attempt, peer)->of;

    (void)message;
    p->n_open--;
    if (len == 0 || p->n_open == 0)
        end_probe(p, health_error_of((int)-len));
}

static void try_all(struct probe *p)
{
    struct prober *pr = p->home;
    enum health_error error = HEALTH_NO_ROUTE;

    for (int i = 0; i < p->t.n_addresses; i++) {
        struct addr to = p->t.addresses[i];
        const struct io_target target = {.server = &to, .kind = IO_CONNECT};
        int rc;

        to.port = p->t.port;
        p->attempts[i].of = p;
        p->attempts[i].peer.receive = on_peer;
        rc = pr->io->ask(pr->io, &p->attempts[i].peer, &target, NULL, 0);
        p->n_open += rc == 0;
        error = rc == 0 ? error : health_error_of(-rc);
    }
    p->due_ms = io_now(pr->io).mono_ms + pr->own->view->settings->kms.probe_timeout_ms;
    tick_at(pr, p->due_ms);
    if (p->n_open == 0)
        end_probe(p, error);
}

static void resolve(struct probe *p);

/* What the real DNS says of the host's addresses of one type. */
static void on_answer(void *context, const struct real *r)
{
    struct probe *p = context;
    struct health_target *t = &p->t, *is = &p->is;
    struct rr_walk walk;

    if (p->home->stopped)
        return;
    rr_walk_init(&walk, r->image, r->image ? r->len : 0);
    while (rr_walk_next(&walk)) {
        struct addr a;

        if (walk.rr.section != SECTION_ANSWER || walk.rr.type != p->type ||
            !rr_address(&walk.rr, r->image, &a) || is->n_addresses == POLICY_HOST_ADDRESSES)
            continue;
        is->addresses[is->n_addresses++] = a;
        is->ttl = walk.rr.ttl < is->ttl ? walk.rr.ttl : is->ttl;
    }
    p->unsure |= r->image == NULL || (r->said.verdict != VERDICT_PRESENT && !real_is_negative(r));
    if (p->type == TYPE_A) {
        p->type = TYPE_AAAA;
        resolve(p);
        return;
    }
    if (is->n_addresses == 0) {
        end_probe(p, p->unsure ? HEALTH_UNKNOWN : HEALTH_UNRESOLVED);
        return;
    }
    if (!t->is_pinned) { /* nor meanwhile */
        is->n_addresses = (uint8_t)policy_sort_unique(
            is->addresses, is->n_addresses, sizeof is->addresses[0], policy_prefix_compare);
        p->home->changed |=
            is->ttl != t->ttl || memcmp(is->addresses, t->addresses, sizeof t->addresses) != 0;
        memcpy(t->addresses, is->addresses, sizeof t->addresses);
        t->n_addresses = is->n_addresses;
        t->ttl = is->ttl;
    }
    try_all(p);
}

/* Asks as a client of this machine would, but for the access rules; the policy has no say. */
static void resolve(struct probe *p)
{
    static const struct real nothing = {.said.verdict = VERDICT_TIMEOUT};
    struct prober *pr = p->home;
    struct query *q = &pr->q;
    struct view *v = pr->own->view;

    q->message = (struct message){
        .flags = DNS_RD, .qname = p->t.target, .qtype = p->type, .qclass = CLASS_IN};
    q->question = q->message.qname.data; /* nobody reads it */
    query_prepare(v, q);
    if (real_look(v, q, NULL, io_now(pr->io)))
        on_answer(p, &q->real);
    else if (!forwarder_ask(pr->own->forwarder, v, q, on_answer, p))
        on_answer(p, &nothing);
}

/* ---- which hosts there are ---- */

/* A host of a pool has its place from now on; the first of them that is free, if it is new. */
static void want_host(struct prober *pr, const struct policy_host *h, uint64_t due_ms)
{
    struct probe *p = NULL;

    for (struct probe *at = pr->places; at < pr->places + HEALTH_TARGETS; at++) {
        bool is_free = !at->used && !at->busy;
        bool is_it = !is_free && at->t.port == h->port && name_equal(&at->t.target, &h->target);

        if (is_it || (is_free && p == NULL))
            p = at;
        if (is_it)
            break;
    }
    if (p == NULL) {
        pr->left++;
        return;
    }
    if (!p->used && !p->busy)
        *p = (struct probe){.home = pr,
                            .due_ms = due_ms,
                            .t = {.target = h->target, .port = h->port, .pin = &p->pin}};
    if (!p->wanted) { /* the first pool that has it */
        p->t.is_probed = false;
        if (p->t.is_pinned)
            p->t.n_addresses = 0;
        p->t.is_pinned = false;
    }
    p->used = p->wanted = true;
    p->t.is_probed |= h->probe;
    if (h->n_addresses > 0 && !p->t.is_pinned)
        p->t.n_addresses = 0; /* what was resolved */
    for (int i = 0; i < h->n_addresses && p->t.n_addresses < POLICY_HOST_ADDRESSES; i++) {
        p->t.is_pinned = true;
        p->t.addresses[p->t.n_addresses++] = h->addresses[i];
    }
}

static int read_pools(struct prober *pr, uint64_t now_ms)
{
    static const struct store_key table = {1, {TABLE_POOL}};
    struct policy_pool pool = {.hosts = pr->hosts};
    struct store_txn *txn = pr->own->policy->txn;
    struct store_record r;
    int rc;

    pr->left = 0;
    STORE_EACH(rc, txn, &table, &r) {
        if (!pool_read(&pool, &r.value))
            continue; /* damaged: whoever decides finds it */
        for (size_t i = 0; i < pool.n; i++)
            if (pool.hosts[i].probe || pool.choice == CHOICE_PIN)
                want_host(pr, &pool.hosts[i], now_ms);
    }
    return rc == -ENOENT ? 0 : rc;
}

/* Reads the pools if the policy has changed. */
static void watch_hosts(struct prober *pr, uint64_t now_ms)
{
    struct view *v = pr->own->view;
    int rc = 0;

    if (!view_policy(v))
        return;
    if (store_state(v->policy->txn) != pr->state) {
        for (struct probe *p = pr->places; p < pr->places + HEALTH_TARGETS; p++)
            p->wanted = false;
        store_guarded(rc, v->policy->txn, read_pools(pr, now_ms));
        pr->state = rc == 0 ? store_state(v->policy->txn) : 0;
        for (struct probe *p = pr->places; p < pr->places + HEALTH_TARGETS && rc == 0; p++)
            p->used = p->wanted; /* what is under way ends all the same */
        pr->changed = true;
    }
    view_policy_end(v);
}

/* ---- what is handed out ---- */

static void publish(struct prober *pr)
{
    struct health *h = malloc(sizeof *h + HEALTH_TARGETS * sizeof h->targets[0]);

    if (h == NULL)
        return; /* at the next tick */
    *h = (struct health){
        .users = (uint32_t)pr->n_workers + 1, .epoch = ++pr->epoch, .left = pr->left};
    for (struct probe *p = pr->places; p < pr->places + HEALTH_TARGETS; p++)
        if (p->used)
            h->targets[h->n++] = p->t;
    qsort(h->targets, h->n, sizeof h->targets[0], policy_approved_compare);
    for (int i = 0; i <= pr->n_workers; i++)
        worker_post(pr->workers[i], worker_learn, h);
    pr->changed = false;
}

static void on_tick(struct io_timer *timer)
{
    struct prober *pr = container_of(timer, struct prober, tick);
    uint64_t now_ms = io_now(pr->io).mono_ms, next_ms = now_ms + TICK_MS;
    bool is_off = interval_of(pr) == 0;
    unsigned turn = pr->first; /* hosts that had none come first */

    watch_hosts(pr, now_ms);
    for (unsigned i = 0; i < HEALTH_TARGETS; i++) {
        struct probe *p = &pr->places[(pr->first + i) % HEALTH_TARGETS];
        const bool is_due = p->due_ms <= now_ms;

        if (!p->busy && (is_off || !p->used || !p->t.is_probed)) { /* nothing is known of it */
            pr->changed |= p->t.since_ms != 0;
            p->t.is_down = false;
            p->t.since_ms = p->due_ms = 0;
            p->t.row = 0;
        } else if (p->busy && is_due) {
            end_probe(p, HEALTH_TIMED_OUT);
        } else if (!p->busy && is_due && pr->n_busy < AT_ONCE) {
            turn = (pr->first + i + 1) % HEALTH_TARGETS;
            p->busy = true;
            pr->n_busy++;
            p->due_ms = UINT64_MAX; /* the forwarder has its own limits */
            p->unsure = false;
            p->is = (struct health_target){.ttl = TTL_MAX_S};
            p->type = TYPE_A;
            (p->t.is_pinned ? try_all : resolve)(p);
        } else if (!is_due && p->due_ms < next_ms) {
            next_ms = p->due_ms;
        }
    }
    pr->first = turn;
    if (pr->changed)
        publish(pr);
    tick_at(pr, next_ms);
}

struct prober *prober_new(struct worker *const *workers, int n)
{
    struct prober *pr = calloc(1, sizeof *pr);

    if (pr == NULL)
        return NULL;
    pr->workers = workers;
    pr->n_workers = n;
    pr->own = workers[n];
    pr->io = pr->own->io;
    pr->tick.fire = on_tick;
    pr->q.client.transport = AUDIT_TCP;
    pr->q.out = pr->out;
    pr->q.out_size = sizeof pr->out;
    tick_at(pr, io_now(pr->io).mono_ms);
    return pr;
}

void prober_stop(struct prober *pr)
{
    pr->io->timer_clear(pr->io, &pr->tick);
    for (struct probe *p = pr->places; p < pr->places + HEALTH_TARGETS; p++)
        if (p->busy)
            close_all(p);
    pr->stopped = true;
}
