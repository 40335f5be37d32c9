/* SPDX-License-Identifier: BSD-2-Clause
 *
 * special.c -- names that are answered here and never forwarded.
 *
 * Each is a zone of our own: its top has SOA and NS, and negative answers have the SOA (RFC 6303
 * 3). The table follows RFC 6761 (localhost, invalid), 7686 (onion), 9462 (resolver.arpa) and
 * 6303 (reverse zones of private addresses); these only where all servers of their route are
 * public. `.local`, `.test` and `home.arpa` are ordinary names: companies use them.
 *
 * And the names by which forwarding loops are found. They have a label of 32 digits: 16 that were drawn,
 * and 16 that only we can make of these, as those that the answer has.
 */
#include "resolver/query.h"

#include <pthread.h>
#include <stdatomic.h>

enum special_kind { LOCALHOST, LOOPBACK, NO_SUCH_NAME, NO_DATA, REVERSE };

struct special {
    const char *zone; /* wire form, folded; its NUL is the root label */
    enum special_kind kind;
    unsigned low, high; /* not 0: zones that the number of one more label chooses */
};

#define V4(labels) labels "\007in-addr\004arpa"
#define V6(labels) labels "\003ip6\004arpa"
#define ZEROS "\0010\0010\0010\0010\0010"

static const struct special table[] = {
    {"\011localhost", LOCALHOST, 0, 0},
    {"\007invalid", NO_SUCH_NAME, 0, 0},
    {"\005onion", NO_SUCH_NAME, 0, 0},
    {"\010resolver\004arpa", NO_DATA, 0, 0},
    {V4("\0011\0010\0010\003127"), LOOPBACK, 0, 0},           /* 127.0.0.1 */
    {V4("\003127"), NO_SUCH_NAME, 0, 0},                      /* 127.0.0.0/8 */
    {V4("\0010"), NO_SUCH_NAME, 0, 0},                        /* 0.0.0.0/8 */
    {V4("\003255\003255\003255\003255"), NO_SUCH_NAME, 0, 0}, /* 255.255.255.255 */
    {V4("\00210"), REVERSE, 0, 0},                            /* 10.0.0.0/8 */
    {V4("\003168\003192"), REVERSE, 0, 0},                    /* 192.168.0.0/16 */
    {V4("\003254\003169"), REVERSE, 0, 0},                    /* 169.254.0.0/16 */
    {V4("\0012\0010\003192"), REVERSE, 0, 0},                 /* 192.0.2.0/24 */
    {V4("\003100\00251\003198"), REVERSE, 0, 0},              /* 198.51.100.0/24 */
    {V4("\003113\0010\003203"), REVERSE, 0, 0},               /* 203.0.113.0/24 */
    {V6("\0010\0010" ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS), NO_SUCH_NAME, 0, 0}, /* :: */
    {V6("\0011\0010" ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS), LOOPBACK, 0, 0},     /* ::1 */
    {V6("\001d\001f"), REVERSE, 0, 0},                                          /* fd00::/8 */
    {V6("\0018\001e\001f"), REVERSE, 0, 0}, /* fe80::/10, with the next three */
    {V6("\0019\001e\001f"), REVERSE, 0, 0},
    {V6("\001a\001e\001f"), REVERSE, 0, 0},
    {V6("\001b\001e\001f"), REVERSE, 0, 0},
    {V6("\0018\001b\001d\0010\0011\0010\0010\0012"), REVERSE, 0, 0}, /* 2001:db8::/32 */
    {V4("\003172"), REVERSE, 16, 31},                                /* 172.16.0.0/12 */
    {V4("\003100"), REVERSE, 64, 127}, /* 100.64.0.0/10 (RFC 6598), by RFC 7793 */
};

enum { ZONE_TTL_S = 10800 /* RFC 6303 3 */ };

/* Does nobody inside the network get the question? One public address beside
 * private ones says nothing: inner servers have global addresses, too. */
static bool is_local(enum special_kind kind, const struct route *r)
{
    if (kind == LOCALHOST)
        return true;
    if (r && r->zone.labels != 0)
        return false; /* the administrator routes this zone on purpose */
    for (int i = 0; kind == REVERSE && r && i < r->n_servers; i++)
        if (addr_is(&r->servers[i], ADDR_PRIVATE))
            return false;
    return kind != REVERSE || (r != NULL && r->n_servers > 0);
}

const struct special *special_zone(const struct name *n, uint16_t class, const struct route *r,
                                   size_t *zone_at)
{
    /* All zones end in one of four labels, nearly all names in others. Every question passes here:
     * to go through the table took 36 % of the instructions of an answer out of the cache. */
    static const char ends[][5] = {"arpa", "alid", "nion", "host"};
    const char *data = (const char *)n->data;
    uint8_t pos[NAME_MAX_LABELS];
    unsigned long number;
    size_t i = 0;
    char *end;

    if (n->len <= 5 || class != CLASS_IN)
        return NULL;
    while (i < ARRAY_LEN(ends) && memcmp(data + n->len - 5, ends[i], 4) != 0)
        i++;
    if (i == ARRAY_LEN(ends))
        return NULL;
    name_labels(n, pos);
    for (const struct special *s = table; s < table + ARRAY_LEN(table); s++) {
        for (i = 0; i < n->labels && strcmp(data + pos[i], s->zone) != 0; i++)
            ;
        if (i == n->labels)
            continue;
        *zone_at = pos[i];
        if (s->high > 0) { /* the number of the label in front is decimal, without zeros in front */
            if (i == 0)
                return NULL;
            *zone_at = pos[i - 1];
            number = strtoul(data + *zone_at + 1, &end, 10); /* the next label begins below '0' */
            if (data[*zone_at + 1] < '1' || data[*zone_at + 1] > '9' || end != data + pos[i] ||
                number < s->low || number > s->high)
                return NULL;
        }
        return is_local(s->kind, r) ? s : NULL;
    }
    return NULL;
}

enum {
    LOOPS = 64,         /* servers, and domains, that were suspected lately */
    SUSPECT_MS = 10000, /* a server that asks us nothing is not suspected again so soon */
    KNOWN_MS = 30000,
    STILL_MS = 1500, /* one that is known is asked so often while questions come */
    WITHIN_MS = 250, /* its reply is waited for */
};

struct loops {
    struct cache *cache;          /* borrowed */
    pthread_mutex_t lock;         /* of the list */
    atomic_uint_fast64_t news_ms; /* until then something is known or open */
    struct loop {
        struct addr server;
        struct name domain;
        uint64_t asked_ms, until_ms; /* known until then; 0: not */
        bool is_open;                /* no reply has come */
    } list[LOOPS];
};

struct loops *loops_new(struct cache *c)
{
    struct loops *l = calloc(1, sizeof *l);

    if (l == NULL)
        return NULL;
    l->cache = c;
    pthread_mutex_init(&l->lock, NULL);
    return l;
}

/* The digits that go with these, by a key that only this process has. */
static const char *loop_digits(struct cache *c, const uint8_t *digits, uint16_t use,
                               char out[LOOP_DIGITS + 1])
{
    struct name name = {.len = LOOP_DIGITS + 2, .labels = 1, .data = {LOOP_DIGITS}};
    struct cache_key key = {.name = &name, .type = TYPE_TXT, .class = use};

    memcpy(name.data + 1, digits, LOOP_DIGITS);
    cache_key_init(c, &key);
    snprintf(out, LOOP_DIGITS + 1, "%016llx", (unsigned long long)key.hash);
    return out;
}

enum { LOOP_NAME, LOOP_ANSWER }; /* their uses */

static void make_name(struct cache *c, struct random *random, const struct name *domain,
                      struct name *out)
{
    char label[LOOP_LABEL + 1];
    uint64_t number;

    random_bytes(random, &number, sizeof number);
    snprintf(label, sizeof label, "%016llx", (unsigned long long)number);
    loop_digits(c, (uint8_t *)label, LOOP_NAME, label + LOOP_DIGITS);
    *out = (struct name){.len = (uint8_t)(domain->len + LOOP_LABEL + 1),
                         .labels = (uint8_t)(domain->labels + 1),
                         .data = {LOOP_LABEL}};
    memcpy(mempcpy(out->data + 1, label, LOOP_LABEL), domain->data, domain->len);
}

bool loop_ask(struct loops *l, struct random *random, const struct addr *server,
              const struct name *asked, uint64_t now_ms, struct name *out)
{
    struct loop *to_ask = l ? l->list : NULL;
    bool is_known = false, loops = false, lately = false, same = false;
    unsigned up = asked->labels > 0;
    struct name domain;

    if (l == NULL || asked->data[0] == LOOP_LABEL)
        return false;
    do
        name_parent(asked, up++, &domain);
    while (domain.len + LOOP_LABEL + 1 > NAME_MAX_WIRE);
    pthread_mutex_lock(&l->lock);
    for (struct loop *i = l->list; i < l->list + LOOPS && !is_known; i++) {
        const bool is_its = addr_same(&i->server, server);

        is_known = is_its && i->until_ms > now_ms && name_is_under(asked, &i->domain);
        loops |= is_its && i->until_ms > now_ms;
        lately |= is_its && now_ms < i->asked_ms + SUSPECT_MS;
        same |= is_its && now_ms < i->asked_ms + SUSPECT_MS && name_equal(&i->domain, &domain);
        if (is_known || i->asked_ms < to_ask->asked_ms)
            to_ask = i;
    }
    if (is_known ? now_ms < to_ask->asked_ms + STILL_MS : loops ? same : lately) {
        to_ask = NULL;
    } else {
        if (!is_known)
            *to_ask = (struct loop){.server = *server, .domain = domain};
        to_ask->asked_ms = now_ms;
        to_ask->is_open = true;
        make_name(l->cache, random, &to_ask->domain, out);
        if (atomic_load(&l->news_ms) < now_ms + WITHIN_MS)
            atomic_store(&l->news_ms, now_ms + WITHIN_MS);
    }
    pthread_mutex_unlock(&l->lock);
    return to_ask != NULL;
}

bool loop_heard(struct loops *l, const struct addr *server, const struct name *sent,
                const uint8_t *image, size_t len, uint64_t now_ms)
{
    struct name name = *sent, domain;
    char wanted[LOOP_DIGITS + 1];
    struct rr_walk w;
    bool loops = false;

    name_fold(&name);
    name_parent(&name, 1, &domain);
    loop_digits(l->cache, name.data + 1, LOOP_ANSWER, wanted);
    rr_walk_init(&w, image, len);
    while (rr_walk_next(&w))
        loops |= w.rr.type == TYPE_TXT && w.rr.rdlength == 1 + LOOP_DIGITS &&
                 memcmp(image + w.rr.rdata_pos + 1, wanted, LOOP_DIGITS) == 0;
    pthread_mutex_lock(&l->lock);
    for (struct loop *i = l->list; i < l->list + LOOPS; i++)
        if (addr_same(&i->server, server) && name_equal(&i->domain, &domain)) {
            i->is_open = false;
            i->until_ms = loops ? now_ms + KNOWN_MS : 0;
        }
    if (loops)
        atomic_store(&l->news_ms, now_ms + KNOWN_MS);
    pthread_mutex_unlock(&l->lock);
    return loops;
}

unsigned loop_look(struct loops *l, const struct addr *server, const struct name *name,
                   uint64_t now_ms, struct name *domain)
{
    unsigned state = 0;

    /* Each question that is forwarded passes here. And another's such name goes on: so it finds out. */
    if (l == NULL || atomic_load_explicit(&l->news_ms, memory_order_relaxed) <= now_ms ||
        (name && name->data[0] == LOOP_LABEL))
        return 0;
    pthread_mutex_lock(&l->lock);
    for (const struct loop *i = l->list; i < l->list + LOOPS; i++) {
        const bool is_about = name == NULL || name_is_under(name, &i->domain);

        if (!addr_same(&i->server, server))
            continue;
        if (i->until_ms > now_ms)
            state |= is_about ? LOOP_KNOWN : LOOP_ELSEWHERE;
        if (is_about && i->is_open && now_ms < i->asked_ms + WITHIN_MS)
            state |= LOOP_OPEN;
        if (domain && is_about && i->until_ms > now_ms)
            *domain = i->domain;
    }
    pthread_mutex_unlock(&l->lock);
    return state;
}

int special_answer(const struct view *v, const struct query *q, uint32_t ttl_s, struct writer *w)
{
    const uint8_t *label = q->message.qname.data;
    char digits[LOOP_DIGITS + 1];
    static const struct {
        enum special_kind kind;
        uint16_t type;
        uint8_t len, rdata[16];
    } records[] = {{LOCALHOST, TYPE_A, 4, {127, 0, 0, 1}},
                   {LOCALHOST, TYPE_AAAA, 16, {[15] = 1}},
                   {LOOPBACK, TYPE_PTR, 11, "\011localhost"}};
    uint16_t type = q->key.type;
    size_t zone_at, begun;
    const struct special *s =
        special_zone(&q->message.qname, q->message.qclass, q->route, &zone_at);
    bool is_host, is_top;
    int rcode;

    if (type == TYPE_TXT && label[0] == LOOP_LABEL && q->message.qclass == CLASS_IN &&
        memcmp(loop_digits(v->cache, label + 1, LOOP_NAME, digits), label + 1 + LOOP_DIGITS,
               LOOP_DIGITS) == 0) {
        image_begin(w, &q->message, RCODE_NOERROR);
        image_record(w, SECTION_ANSWER, DNS_HEADER, TYPE_TXT, 0, 1 + LOOP_DIGITS);
        writer_u8(w, LOOP_DIGITS);
        writer_bytes(w, loop_digits(v->cache, label + 1, LOOP_ANSWER, digits), LOOP_DIGITS);
        return RCODE_NOERROR;
    }
    if (s == NULL)
        return -1;
    is_host = s->kind == LOCALHOST;
    is_top = zone_at == 0;
    /* The top of a zone exists; what is below it does not. */
    rcode = is_host || s->kind == NO_DATA || is_top ? RCODE_NOERROR : RCODE_NXDOMAIN;
    image_begin(w, &q->message, (uint16_t)rcode);
    begun = w->len;
    for (size_t i = 0; (is_host || is_top) && i < ARRAY_LEN(records); i++) {
        if (records[i].kind != s->kind || (type != records[i].type && type != TYPE_ANY))
            continue;
        image_record(w, SECTION_ANSWER, DNS_HEADER, records[i].type, ZONE_TTL_S, records[i].len);
        writer_bytes(w, records[i].rdata, records[i].len);
    }
    if (!is_host && is_top && type == TYPE_SOA)
        image_soa(w, SECTION_ANSWER, DNS_HEADER, ZONE_TTL_S);
    if (!is_host && is_top && type == TYPE_NS) {
        image_record(w, SECTION_ANSWER, DNS_HEADER, TYPE_NS, ZONE_TTL_S, 2);
        writer_u16(w, 0xc000 | DNS_HEADER);
    }
    if (w->len == begun)
        image_soa(w, SECTION_AUTHORITY, DNS_HEADER + zone_at, ttl_s);
    return rcode;
}

/* BIND began with the names in `bind`, RFC 4892 has those in `server`. */
bool special_identity(const struct view *v, struct query *q, enum answer *result)
{
    /* wire form, folded; the final NUL is the root label; of the version from the third on */
    static const char *const names[] = {"\2id\6server", "\10hostname\4bind", "\7version\6server",
                                        "\7version\4bind"};
    const struct settings *s = v->settings;
    const struct message *m = &q->message;
    struct writer w = writer_make(v->scratch->image, sizeof v->scratch->image);
    const char *text;
    uint8_t len;
    size_t i = 0;

    while (i < ARRAY_LEN(names) && strcmp((const char *)m->qname.data, names[i]) != 0)
        i++;
    if (i == ARRAY_LEN(names) || (m->qtype != TYPE_TXT && m->qtype != TYPE_ANY) ||
        (i >= 2 ? s->server.hide_version : s->server.hide_identity))
        return false;
    COUNT(v->stats, special);
    text = i >= 2 ? "waymark " PACKAGE_VERSION : s->server.name;
    len = (uint8_t)strnlen(text, UINT8_MAX);
    image_begin(&w, m, RCODE_NOERROR);
    image_record(&w, SECTION_ANSWER, DNS_HEADER, TYPE_TXT, 0, 1u + len);
    writer_patch_u16(&w, w.len - 8, CLASS_CH); /* it was IN */
    writer_u8(&w, len);
    writer_bytes(&w, text, len);
    *result = query_send(v, q, w.start, w.len, RCODE_NOERROR, EDE_NONE, NULL);
    return true;
}

bool special_next_reverse(const struct view *v, size_t *i, char text[SPECIAL_TEXT])
{
    while (*i < ARRAY_LEN(table)) {
        const struct special *s = &table[(*i)++];
        struct cursor c = cursor_make((const uint8_t *)s->zone, strlen(s->zone) + 1);
        struct name name;

        name_read(&c, &name);
        if (s->kind != REVERSE || !is_local(REVERSE, query_route(v, &name, TYPE_PTR)))
            continue;
        if (s->high > 0)
            text += sprintf(text, "%u-%u.", s->low, s->high);
        name_print(&name, text);
        return true;
    }
    return false;
}
