/* SPDX-License-Identifier: BSD-2-Clause
 *
 * doctor.c -- `doctor`: what Microsoft's article 929826 checks by hand, done from here.
 *
 * A check is a row of checks[]: method and step of the article, what it is about, a function that
 * looks, and what to do. The function tells what it saw and what it found, or why it cannot know;
 * each may use what those before it have learnt: servers, suffixes, KMS hosts, their addresses.
 *
 * Nothing is written, and nothing but DNS is spoken; a TCP connection to a KMS host is closed at
 * once. The daemon is asked to explain, so that its audit holds no question of ours. A server that
 * does not reply is asked no more. What is seen from here says nothing of a client's own way.
 */
#include <ldns/ldns.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/encode.h"
#include "ctl/audit.h"
#include "ctl/policy.h"
#include "resolver/machine.h"
#include "resolver/query.h"
#include "wire/reply.h"

enum { TIMEOUT_S = 2, DNS_PORT = 53, SHOWN = 10 /* findings of one check */, SAID = 2048 };
enum { SERVERS = 24, PLACES = 24, OF_POLICY = 12 /* of them */, TARGETS = 64 };

/* An answer to a question for SRV records. */
struct said {
    uint16_t rcode; /* RCODE_TIMEOUT: there is none */
    uint64_t hosts; /* the ith bit: the ith target */
    char text[SAID];
};
struct server { /* the first is waymarkd */
    struct addr addr;
    const struct route *route;  /* NULL: of --resolver, or waymarkd */
    const struct name *zone;    /* in which it is asked */
    bool replies;               /* it may be asked: not waymarkd, which records it */
    const struct server *first; /* it is looked at once: itself, or the same of another route */
    char text[ADDR_TEXT];
};
struct place { /* a suffix */
    struct name suffix, name;
    bool expected;     /* its machines should be given a host */
    struct said given; /* by the daemon; no text: it was not asked */
    char text[NAME_TEXT];
};
struct target { /* a KMS host that somebody names */
    struct name name;
    uint16_t port;
    const struct policy_pool *pool;
    const struct policy_host *host; /* of the pool */
    struct addr addresses[POLICY_HOST_ADDRESSES];
    int n;
    bool is_up;
    char text[NAME_TEXT + 8];
};

struct doctor {
    struct ctl *c;
    bool is_alive, explains, has_policy, has_audit;
    bool is_one; /* it is about one client, or some suffixes */
    struct policy policy;
    struct audit audit;
    struct server servers[SERVERS];
    struct place places[PLACES];
    struct target targets[TARGETS];
    size_t n_servers, n_places, n_targets;
    json_t *windows; /* what it shows at its first suffix with a host, else at the last */
    /* Of the check at work. */
    const struct check *check;
    json_t *seen, *found;
};

struct check {
    const char *id, *article, *what, *remedy;
    enum { ONCE, SERVER, PLACE, TARGET } of;  /* for each of them */
    void (*look)(struct doctor *, size_t at); /* which one */
    const char *nothing; /* why it may see and find nothing; NULL: it is about all clients */
    const char *source, *subject, *finding; /* of check_rows(); finding: a template */
};

#define EACH(d, list, x) for (x = (d)->list; x < (d)->list + (d)->n_##list; x++)

/* subject NULL: it is seen, and no finding; remedy NULL: that of the check. */
static void PRINTF_LIKE(4, 5)
    find(struct doctor *d, const char *subject, const char *remedy, const char *fmt, ...)
{
    json_t *text;
    va_list args;

    va_start(args, fmt);
    text = json_vsprintf(fmt, args);
    va_end(args);
    if (subject)
        text = json_pack("{s:s,s:s,s:s,s:o,s:s}", "id", d->check->id, "article", d->check->article,
                         "subject", subject, "text", text, "remedy",
                         remedy ? remedy : d->check->remedy);
    json_array_append_new(subject ? d->found : d->seen, text);
}

#define saw(d, ...) find(d, NULL, NULL, __VA_ARGS__)

static const char *field(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));

    return text ? text : "";
}

/* --- what is asked */

/* FRONT.BACK; false: it is too long. */
static bool join(const char *front, const struct name *back, struct name *out)
{
    struct name labels;

    (void)name_parse(&labels, front);
    return name_join(&labels, back, out);
}

/* NULL: there are more than are looked at. */
static struct target *target_of(struct doctor *d, const struct name *name, uint16_t port)
{
    struct target *t;
    char text[NAME_TEXT];

    EACH(d, targets, t)
    if (t->port == port && name_equal_fold(&t->name, name))
        return t;
    if (d->n_targets == TARGETS)
        return NULL;
    *t = (struct target){.name = *name, .port = port};
    name_fold(&t->name);
    snprintf(t->text, sizeof t->text, "%s:%u", name_print(&t->name, text), port);
    d->n_targets++;
    return t;
}

static void name_host(struct doctor *d, struct said *s, const struct name *name, uint16_t port)
{
    const struct target *t = target_of(d, name, port);

    s->hosts |= t ? UINT64_C(1) << (t - d->targets) : 0;
}

/* In words; the same hosts are told in the same order. */
static void say(const struct doctor *d, struct said *s)
{
    char rcode[TYPE_TEXT];
    struct str text;

    str_init(&text, s->text, SAID);
    for (size_t i = 0; i < d->n_targets; i++)
        if (s->hosts >> i & 1)
            str_addf(&text, "%s%s", text.len > 0 ? " " : "", d->targets[i].text);
    if (s->hosts == 0)
        str_add(&text, s->rcode == RCODE_TIMEOUT   ? "no reply"
                       : s->rcode == RCODE_NOERROR ? "no SRV record"
                                                   : rcode_print(s->rcode, rcode));
}

static struct said look(struct doctor *d, const struct server *s, const struct name *name,
                        uint16_t type)
{
    static struct dns_reply reply;
    struct said said = {.rcode = RCODE_TIMEOUT};
    struct srv srv[SRV_MAX];
    int n = 0;

    if (dns_look(&s->addr, false, name, type, TIMEOUT_S, &reply) == 0) {
        said.rcode = reply.message.rcode;
        n = srv_read(reply.wire, reply.len, srv);
    }
    for (int i = 0; i < n && i < SRV_MAX; i++)
        name_host(d, &said, &srv[i].target, srv[i].port);
    say(d, &said);
    return said;
}

/* Of the servers of the name's route, the first that replies, or the next one behind s. */
static const struct server *server_of(const struct doctor *d, const struct name *name,
                                      const struct server *s)
{
    const struct view view = {.settings = d->c->settings};
    const struct route *route = query_route(&view, name, TYPE_SRV);

    for (s = s ? s + 1 : d->servers; s < d->servers + d->n_servers; s++)
        if (route && s->route == route && s->replies)
            return s;
    return NULL;
}

/* --- D1, D2: the servers */

static void add_server(struct doctor *d, const struct addr *addr, const struct route *route)
{
    static struct name local, root = {.len = 1};
    struct server *s = &d->servers[d->n_servers], *same;

    if (d->n_servers == SERVERS)
        return;
    (void)name_parse(&local, "localhost"); /* which is answered without a server */
    EACH(d, servers, same)
    if (addr_same(&same->addr, addr))
        break;
    *s = (struct server){.addr = *addr, .route = route, .first = same};
    s->zone = route ? &route->zone : d->n_servers == 0 ? &local : &root;
    addr_print_port(addr, s->text);
    d->n_servers++;
}

static void check_server(struct doctor *d, size_t at)
{
    static const char *const ways[] = {"UDP", "TCP"};
    static struct dns_reply reply;
    struct server *s = &d->servers[at];
    const char *remedy = s == d->servers ? "waymarkd runs: is a firewall in front of it?" : NULL;
    bool is_dead = s == d->servers && !d->is_alive;

    if (is_dead)
        find(d, "waymarkd", "systemctl start waymark; journalctl -u waymark says why it ended",
             "does not answer on its socket");
    for (int tcp = 0; tcp < 2 && s->first == s && !is_dead; tcp++) {
        int err = dns_look(&s->addr, tcp > 0, s->zone, TYPE_SOA, TIMEOUT_S, &reply);

        if (err == 0)
            saw(d, "%s replies over %s, in %u ms", s->text, ways[tcp], (unsigned)reply.ms);
        else
            find(d, s->text, remedy, "no reply over %s: %s", ways[tcp], strerror(-err));
        s->replies |= err == 0 && !tcp && s != d->servers;
    }
}

/* Of a name that is not there, a server says the same to SRV as to A, unless it filters SRV. */
static void check_srv(struct doctor *d, size_t at)
{
    struct server *s = &d->servers[at];
    struct said srv, a;
    struct name probe;

    if (s->first != s)
        s->replies = s->first->replies;
    if (s->first != s || !s->replies || !join("_waymark-probe._tcp", s->zone, &probe))
        return;
    srv = look(d, s, &probe, TYPE_SRV);
    a = look(d, s, &probe, TYPE_A);
    s->replies = srv.rcode != RCODE_TIMEOUT;
    if (strcmp(srv.text, a.text) == 0)
        saw(d, "%s takes SRV questions", s->text);
    else
        find(d, s->text, NULL, "of a name that is not there it says to SRV: %s; to A it does not",
             srv.text);
}

/* --- the suffixes that are looked at */

/* -EINVAL: it is none. One that is there already is not put twice. */
static int add_place(struct doctor *d, const char *text, bool expected)
{
    struct name suffix;
    struct place *p;

    if (name_parse(&suffix, text) != 0)
        return -EINVAL;
    name_fold(&suffix);
    if (name_is_vlmcs(&suffix))
        name_parent(&suffix, 2, &suffix);
    EACH(d, places, p)
    if (name_equal(&p->suffix, &suffix))
        return 0;
    if (d->n_places == PLACES || !join("_vlmcs._tcp", &suffix, &p->name))
        return 0;
    p->suffix = suffix;
    p->expected = expected;
    name_print(&suffix, p->text);
    d->n_places++;
    return 0;
}

/* Of the line; else those that the client has asked for; else whole names that live rules give a
 * host, and the most asked. */
static int add_places(struct doctor *d, const json_t *client)
{
    const struct policy_rule *r;
    char name[SUFFIX_TEXT];
    const char *text;
    json_t *rows, *row;
    size_t i;

    for (int k = 0; (text = ctl_option_at(d->c, "--suffix", k)); k++)
        if (add_place(d, text, true) != 0)
            return ctl_misused("--suffix %s: not a domain name", text);
    if (d->n_places > 0)
        return 0;
    rows = client ? json_incref(json_object_get(client, "suffix_details")) : json_array();
    EACH(&d->policy, rules, r)
    for (i = 0; i < r->n_suffixes && d->n_places < OF_POLICY && !d->is_one; i++)
        if (policy_actions[r->action].has_pool && r->mode == MODE_LIVE && !r->suffixes[i]->below)
            (void)add_place(d, suffix_print(r->suffixes[i], name), policy_rule_has(r, "any"));
    if (d->has_audit && !d->is_one)
        (void)audit_run(&d->audit, rows,
                        "SELECT suffix FROM suffixes WHERE suffix<>'(other)'"
                        " ORDER BY attempts DESC LIMIT 12");
    json_array_foreach(rows, i, row)(void) add_place(d, field(row, "suffix"), false);
    json_decref(rows);
    return 0;
}

/* --- D3, D14: what is said of them */

/* What the daemon gives for it, as it explains: its records from their text. What the servers of its
 * route say, which must agree, or it is chance what a client gets; and what they say to nslookup
 * -type=all, which must show the same. */
static void check_suffix(struct doctor *d, size_t at)
{
    struct said said, any, first;
    struct place *p = &d->places[at];
    char target[NAME_TEXT];
    const char *outcome, *server = NULL;
    json_t *explained = NULL, *answer, *windows, *record;
    const ldns_lookup_table *rcode;
    const struct server *s;
    struct name name;
    unsigned port;
    size_t i;

    if (d->is_alive && !d->explains)
        saw(d, "%s: what is given is not known: that client stands for no address", p->text);
    else if (d->is_alive)
        (void)explain_ask(d->c, p->text, NULL, &explained);
    answer = json_object_get(explained, "answer");
    windows = json_object_get(explained, "windows");
    rcode = ldns_lookup_by_name(ldns_rcodes, field(answer, "rcode"));
    p->given.rcode = rcode ? (uint16_t)rcode->id : RCODE_TIMEOUT;
    json_array_foreach(json_object_get(answer, "records"), i, record)
    {
        const char *text = json_string_value(record);

        if (text && sscanf(text, "%*s %*u IN SRV %*u %*u %5u %1024s", &port, target) == 2 &&
            name_parse(&name, target) == 0)
            name_host(d, &p->given, &name, (uint16_t)port);
    }
    if (answer) {
        say(d, &p->given);
        outcome = field(json_object_get(explained, "decision"), "outcome");
        saw(d, "%s: this forwarder gives %s (%s)", p->text, p->given.text, outcome);
        if (p->given.hosts == 0 && p->expected && strcmp(outcome, "denied") != 0)
            find(d, p->text,
                 *field(explained, "hint") ? field(explained, "hint") : field(windows, "remedy"),
                 "this forwarder gives no host: %s; Windows shows %s, %s", p->given.text,
                 field(windows, "code"), field(windows, "text"));
        if (!d->windows || json_is_string(json_object_get(d->windows, "code"))) {
            json_decref(d->windows);
            d->windows = json_incref(windows);
        }
    }
    json_decref(explained);
    for (s = NULL; (s = server_of(d, &p->name, s));) {
        said = look(d, s, &p->name, TYPE_SRV);
        any = look(d, s, &p->name, TYPE_ANY);
        saw(d, "%s: %s says %s", p->text, s->text, said.text);
        if (server && strcmp(first.text, said.text) != 0)
            find(d, p->text, NULL, "%s says %s, and %s says %s", server, first.text, s->text,
                 said.text);
        if (any.hosts != said.hosts)
            find(d, p->text, NULL, "%s says %s to SRV, and to ANY (nslookup -type=all): %s",
                 s->text, said.text, any.text);
        first = server ? first : said;
        server = server ? server : s->text;
    }
}

static void check_single(struct doctor *d, size_t at)
{
    const struct place *p = &d->places[at];

    if (p->suffix.labels == 1)
        find(d, p->text, NULL, "has one label: Windows registers nothing in such a zone by itself");
    else
        saw(d, "%s", p->text);
}

/* --- D4 to D7, D13: records and hosts */

static void check_names(struct doctor *d, size_t at)
{
    /* What people write for the right name. */
    static const char *const slips[] = {"vlmcs._tcp", "_vmlcs._tcp", "_vlmcs.tcp"};
    const struct target *t;
    const struct server *s;
    struct name name;
    const struct place *p;
    char text[NAME_TEXT];

    EACH(d, targets, t)
    {
        if (t->name.labels == 4 && strspn(t->text, "0123456789.:") == strlen(t->text))
            find(d, t->text, NULL, "an address stands where the name of a host belongs");
        if (t->port == 0 && t->name.labels > 0)
            find(d, t->text, NULL, "the port is 0: nobody connects to it");
        /* host.corp.example.corp.example: the zone came behind a name that had it. */
        for (const char *dot = strchr(t->text, '.'); dot; dot = strchr(dot + 1, '.')) {
            const size_t n = strcspn(dot + 1, ":");

            if (memchr(dot + 1, '.', n) && dot > t->text + n && dot[-1 - (ssize_t)n] == '.' &&
                memcmp(dot - n, dot + 1, n) == 0)
                find(d, t->text, NULL, "the zone is there twice: a final dot is missing");
        }
    }
    (void)at;
    (void)name_parse(&name, "_vlmcs._tcp");
    EACH(d, servers, s)
    if (s->first == s && s->replies && look(d, s, &name, TYPE_SRV).hosts != 0)
        find(d, s->text, NULL,
             "has a record at _vlmcs._tcp without a suffix: nslookup finds it, no client does");
    EACH(d, places, p)
    for (size_t i = 0; i < ARRAY_LEN(slips) && (s = server_of(d, &p->name, NULL)); i++)
        if (join(slips[i], &p->suffix, &name) && look(d, s, &name, TYPE_SRV).hosts != 0)
            find(d, name_print(&name, text), NULL,
                 "has a record: a slip of the pen for _vlmcs._tcp");
    saw(d, "the targets of %zu records, and usual slips at %zu suffixes", d->n_targets,
        d->n_places);
}

/* As a client finds them: those of the pool; through the daemon; else by the name's server. An alias
 * has some, too, and must not be one. */
static void check_addresses(struct doctor *d, size_t at)
{
    static const uint16_t types[] = {TYPE_A, TYPE_AAAA};
    static struct dns_reply reply;
    struct target *t = &d->targets[at];
    const struct server *s = d->is_alive ? d->servers : server_of(d, &t->name, NULL);
    char why[TYPE_TEXT] = "no reply", address[ADDR_TEXT];
    bool is_pinned = t->n > 0;
    struct rr_walk walk;

    if (t->name.labels == 0) /* "no service here" */
        return;
    for (size_t k = 0; k < ARRAY_LEN(types) && s && !is_pinned; k++) {
        if (dns_look(&s->addr, false, &t->name, types[k], TIMEOUT_S, &reply) != 0)
            continue;
        rcode_print(reply.message.rcode, why);
        rr_walk_init(&walk, reply.wire, reply.len);
        while (rr_walk_next(&walk) && walk.rr.section == SECTION_ANSWER)
            if (walk.rr.type == TYPE_CNAME && types[k] == TYPE_A)
                find(d, t->text, NULL, "is an alias (CNAME): RFC 2782 wants the host's own name");
            else if (walk.rr.type == types[k] && t->n < POLICY_HOST_ADDRESSES)
                t->n += rr_address(&walk.rr, reply.wire, &t->addresses[t->n]);
    }
    for (int i = 0; i < t->n; i++)
        saw(d, "%s is %s%s", t->text, addr_print(&t->addresses[i], address),
            is_pinned ? ", as the pool says" : "");
    if (t->n == 0)
        find(d, t->text, NULL, "has no address (%s)", why);
}

static void check_ports(struct doctor *d, size_t at)
{
    char address[ADDR_TEXT];
    struct sockaddr_storage to;
    struct target *t = &d->targets[at];
    bool no_probe = t->host && !t->host->probe;

    if (no_probe)
        saw(d, "%s is not tried: its pool says probe=no", t->text);
    for (int i = 0; i < t->n && !no_probe; i++) {
        int fd;

        t->addresses[i].port = t->port;
        addr_print_port(&t->addresses[i], address);
        fd = ctl_connect((struct sockaddr *)&to, addr_to_sockaddr(&t->addresses[i], &to),
                         SOCK_STREAM, TIMEOUT_S);
        t->is_up |= fd >= 0;
        if (fd < 0)
            find(d, t->text, NULL, "no connection to %s from here: %s", address, strerror(-fd));
        else
            saw(d, "%s takes a connection at %s", t->text, address);
        if (fd >= 0)
            close(fd);
    }
}

static void check_approved(struct doctor *d, size_t at)
{
    const struct target *t = &d->targets[at];
    const struct policy_approved a = {.target = t->name, .port = t->port};
    char address[ADDR_TEXT];

    if (d->policy.n_pools + d->policy.n_approved == 0 || t->name.labels == 0)
        return;
    if (t->pool || policy_find(&d->policy, POLICY_APPROVED, &a))
        saw(d, "%s is approved", t->text);
    else
        find(d, t->text, NULL, "the real DNS names it, and no pool or list approves it");
    for (int i = 0; i < t->n; i++)
        if (!addr_is(&t->addresses[i], ADDR_PRIVATE) && !(t->pool && t->pool->allow_public))
            find(d, t->text, NULL, "%s is a public address", addr_print(&t->addresses[i], address));
}

/* A host is up that neither its own zone nor a rule names: publishing is off, or was refused. */
static void check_published(struct doctor *d, size_t at)
{
    const struct target *t = &d->targets[at];
    const struct server *s = server_of(d, &t->name, NULL);
    struct name home, name;
    char zone[NAME_TEXT];
    json_t *here = NULL;

    if (!t->pool || t->name.labels < 3 || !t->is_up || !s)
        return;
    name_parent(&t->name, 1, &home);
    if (!join("_vlmcs._tcp", &home, &name))
        return;
    name_print(&home, zone);
    if (look(d, s, &name, TYPE_SRV).hosts != 0)
        saw(d, "%s: its zone %s names a host", t->text, zone);
    else if (d->explains && explain_ask(d->c, zone, NULL, &here) == 0 &&
             json_is_null(json_object_get(json_object_get(here, "windows"), "code")))
        saw(d, "%s: its zone %s names none, and a rule does", t->text, zone);
    else
        find(d, t->text, NULL, "is up, and its own zone %s names no host", zone);
    json_decref(here);
}

static void check_others(struct doctor *d, size_t at)
{
    const struct place *p = &d->places[at];
    const struct server *s;

    EACH(d, servers, s)
    if (!s->route && s->replies && *p->given.text) {
        struct said said = look(d, s, &p->name, TYPE_SRV);

        if (strcmp(said.text, p->given.text) == 0)
            saw(d, "%s: %s says the same: %s", p->text, s->text, said.text);
        else
            find(d, p->text, NULL, "%s says %s, and this forwarder %s%s", s->text, said.text,
                 p->given.text,
                 said.rcode == RCODE_NXDOMAIN ? ": where a client has both, this ends it" : "");
    }
}

/* --- D8, D10 to D12, D15, D16: the audit, the policy and the machine */

/* Rows in which the template finds something: of a report of the audit, of a statement, or (no
 * source) what policy check finds, and the rights of the store. */
static void check_rows(struct doctor *d, size_t at)
{
    const struct check *k = d->check;
    bool is_sql = k->source && strchr(k->source, ' ');
    json_t *rows = !k->source && d->has_policy ? policy_findings(&d->policy, d->c->now.wall_ms)
                                               : json_array(),
           *row;
    char *store = ctl_text("%s/policy/data.mdb", d->c->settings->server.state_dir);
    struct stat st;
    int code = (k->source ? d->has_audit : d->has_policy) ? 0 : EXIT_FAILED;
    size_t i;

    (void)at;
    d->audit.code = 0;
    if (code == 0 && k->source)
        code = is_sql ? audit_run(&d->audit, rows, "%s", k->source)
                      : audit_report(&d->audit, k->source, rows);
    else if (!k->source && stat(store, &st) == 0 && (st.st_mode & S_IWOTH))
        find(d, store, "chmod o-w on it", "everybody may change it");
    json_array_foreach(rows, i, row)
    {
        char *text = ctl_expand(row, k->finding);

        if (*text && json_array_size(d->found) < SHOWN)
            find(d, field(row, k->subject), json_string_value(json_object_get(row, "advice")), "%s",
                 text);
        if (is_sql)
            saw(d, "%s", field(row, "seen"));
        free(text);
    }
    if (!is_sql && code == 0)
        saw(d, "%s has %zu rows", k->source ? k->source : "policy check", json_array_size(rows));
    json_decref(rows);
    free(store);
}

/* clang-format off */
/* Nothing is found where a template is empty. */
#define IN_VAIN \
    "[{?last_outcome=filled}|{?last_outcome=replaced}|{?last_outcome=denied}|" \
    "{clients} client(s) of {network} get no host: {verdict}, last asked {last_asked:time}]"
#define TOO_FEW \
    "[{?clients=0}|{?servers_missing=0}|{clients} client(s) in 30 days: a host activates from 25 clients or 5 servers on]"
#define TWO_HOURLY "asks every two hours, so it does not activate; its last answer: {last_outcome}"
/* The last 100,000 answers; a minute or five are no matter between clocks. */
#define SLOW \
    "SELECT 'answers' AS subject,slow||' of the last '||n||' answers took 1 s or more' AS seen,iif(slow*100>n," \
    "slow||' of the last '||n||' took 1 s or more: clients ask their next server then, whose NXDOMAIN is final',''" \
    ") AS text FROM (SELECT count(latency_us) AS n,sum(latency_us>=1000000) AS slow FROM event" \
    " WHERE id>(SELECT max(id) FROM event)-100000) WHERE n>0"
#define CLOCK \
    "SELECT 'clock' AS subject,'the newest record is of '||" SQL_LOCAL("ms") " AS seen," \
    "iif(ms/1000>unixepoch()+300,'the newest record of the audit is of '||" SQL_LOCAL("ms") "||', which is to come','')" \
    " AS text FROM (SELECT max(ms) AS ms FROM event) WHERE ms>0"
#define NO_PLACE "no suffix is known (see --suffix), or nobody replies who could be asked"

#define M3(step) "method 3, step " step
#define M5(step) "method 5, step " step
#define NO_ROWS NULL, NULL, NULL
static const struct check checks[] = {
    {"D1", M5("3"), "ping: the DNS servers reply, over UDP and TCP",
     "let UDP and TCP port 53 pass between here and the server, or take it out of forward",
     SERVER, check_server, "no server is known", NO_ROWS},
    {"D2", M3("1.3"), "nslookup -type=all: the servers take SRV questions",
     "something drops SRV (dnsmasq: filterwin2k; a proxy): switch it off, or use another server",
     SERVER, check_srv, "no server replies", NO_ROWS},
    {"D3", M5("5"), "nslookup: each suffix has a host, the same from all",
     "the servers of a route must hold the same zones: wait for replication, or correct one",
     PLACE, check_suffix, NO_PLACE, NO_ROWS},
    {"D4", M3("1.4"), "the records are written right",
     "correct the record: _vlmcs._tcp.SUFFIX SRV 0 0 1688 HOST (waymarkctl policy export --format zone)",
     ONCE, check_names, "", NO_ROWS},
    {"D5", M5("7"), "the hosts have addresses",
     "add A or AAAA; or take the host out of record and pool; or give its address there: "
     "waymarkctl policy pool add POOL HOST,address=IP",
     TARGET, check_addresses, "nobody names a KMS host", NO_ROWS},
    {"D6", M5("10"), "TCP connects to the hosts, from here",
     "refused: is the service running there (slmgr.vbs /dlv, or Get-KmsLicenseInfo; port 1688)? "
     "Timed out: a firewall. On a client: Test-NetConnection HOST -Port 1688",
     TARGET, check_ports, "no KMS host has an address", NO_ROWS},
    {"D7", M3("1.5"), "the hosts are approved, and private",
     "waymarkctl policy approve HOST if it is yours; else let a rule filter or replace it, "
     "and have the record removed",
     TARGET, check_approved, "no host is named, or none is approved", NO_ROWS},
    {"D8", M5("3"), "answers take less than 1 s",
     "waymarkctl upstreams shows the slow servers; kms.upstream-deadline bounds the wait",
     ONCE, check_rows, NULL, SLOW, "subject", "[{text}]"},
    {"D9", M5("6"), "the clients' other servers say the same",
     "all DNS servers of a client (DHCP option 6) must be such forwarders, or have the record",
     PLACE, check_others, "no other DNS server is given (doctor --resolver IP), or none replies",
     NO_ROWS},
    {"D10", M5("4"), "no suffix is asked for in vain",
     "waymarkctl policy fill SUFFIX --pool POOL, or correct DHCP option 15",
     ONCE, check_rows, NULL, "wrong-suffix", "suffix", IN_VAIN},
    {"D11", "more information", "each host has enough clients",
     "give fewer hosts, so that one reaches 25 clients or 5 servers",
     ONCE, check_rows, NULL, "thresholds", "target", TOO_FEW},
    {"D12", M5("9"), "no client is stuck",
     "slmgr.vbs /dlv, or Get-KmsLicenseInfo, on the client",
     ONCE, check_rows, NULL, "stuck", "address", TWO_HOURLY},
    {"D13", M3("2"), "the hosts publish themselves",
     "on the host: slmgr.vbs /sdns, or Set-KmsLicenseInfo -DnsPublishing $true; "
     "DisableDnsPublishing must not be 1, in CurrentVersion\\SoftwareProtectionPlatform "
     "(the key SL of the article is Vista's); event 12293 names the error, 12294 the success. "
     "Or add the record by hand, or fill the zone",
     TARGET, check_published, "no host of a pool is up", NO_ROWS},
    {"D14", M5("4"), "no suffix has one label",
     "add the record by hand, or fill it; better, give the machines a suffix of two labels",
     PLACE, check_single, NO_PLACE, NO_ROWS},
    {"D15", "method 3", "the policy is sound",
     "waymarkctl policy check",
     ONCE, check_rows, NULL, NULL, "subject", "{text}"},
    {"D16", "more information", "the clock is right",
     "synchronise it (chronyc tracking, timedatectl): hours of difference stop activation (0xC004F06C)",
     ONCE, check_rows, NULL, CLOCK, "subject", "[{text}]"},
};

/* clang-format on */

/* --- what comes of it */

static json_t *examine(struct doctor *d, const struct check *check)
{
    const size_t n[] = {
        [ONCE] = 1, [SERVER] = d->n_servers, [PLACE] = d->n_places, [TARGET] = d->n_targets};
    const char *result = "ok", *note;

    d->check = check;
    d->seen = json_array();
    d->found = json_array();
    ctl_progress(d->c, (size_t)(check - checks), ARRAY_LEN(checks));
    for (size_t i = 0; i < n[check->of] && (check->nothing || !d->is_one); i++)
        check->look(d, i);
    note = json_string_value(json_array_get(d->seen, 0));
    if (json_array_size(d->found) > 0) {
        result = "found";
        note = field(json_array_get(d->found, 0), "subject");
    } else if (!note) {
        result = "not checked";
        note = check->nothing ? check->nothing
               : d->is_one    ? "it is about all clients: without --client and --suffix"
                              : "there is nothing to read";
    }
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:o,s:o}", "id", check->id, "article", check->article,
                     "what", check->what, "result", result, "note", note, "seen", d->seen,
                     "findings", d->found);
}

#define RESULT(n) field(json_array_get(checked, (n)-1), "result")

/* The checks of one suffix in the order of the article's steps. Steps 8 and 9 find out by three tries
 * on the client what fails first; here that is known. */
static json_t *walk_article(const json_t *checked)
{
    static const unsigned char order[] = {2, 4, 7, 13, 1, 14, 3, 9, 5, 0, 6};
    static const char try[] = "slmgr.vbs /ckms (Invoke-KmsLicense -ClearServer); slmgr.vbs /skms "
                              "HOST, then IP (Set-KmsLicenseInfo -ServerName): which one fails?";
    json_t *list = json_array();
    size_t k;

    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        const json_t *row = json_array_get(checked, order[i] - 1u), *found;
        json_t *lines = row ? json_array()
                            : json_pack("[o,o,o]", json_sprintf("record: %s", RESULT(3)),
                                        json_sprintf("name: %s", RESULT(5)),
                                        json_sprintf("port and host: %s", RESULT(6)));

        json_array_foreach(json_object_get(row, "findings"), k, found) json_array_append_new(
            lines, json_sprintf("! %s %s", field(found, "subject"), field(found, "text")));
        json_array_extend(lines, json_object_get(row, "seen"));
        if (json_array_size(lines) == 0)
            json_array_append(lines, json_object_get(row, "note"));
        json_array_append_new(list,
                              json_pack("{s:s,s:s,s:o}", "step",
                                        row ? field(row, "article") : "method 5, steps 8 and 9",
                                        "does", row ? field(row, "what") : try, "lines", lines));
    }
    return list;
}

static const struct ctl_row screen[] = {
    {NULL, "findings", "! {id} {subject}: {text}\n  {article}: {remedy}"},
    {NULL, "steps", "{step}: {does}\n  {lines:lines}"},
    {"client", "client",
     "{address}: {attempts} attempts, {outcomes}, from {first_asked} to {last_asked}"},
    {"", "client", "[every {cadence_ms} ms]"},
    {"", "client", "[given {last_host} at {last_host_at}]"},
    {"", "client", "[no host since {no_host_since}]"},
    {"client", NULL,
     "[{silent} asked for no KMS host here. Is this its DNS server (ipconfig /all)? Else it has no "
     "suffix, a host that is cached or set (/skms), or is activated otherwise]"},
    {"asks for", "client.suffix_details", "{suffix}\t{verdict}\t{outcome}"},
    CTL_WINDOWS_ROWS("windows"),
    {0},
};

int doctor_run(struct ctl *c)
{
    const char *client = ctl_option(c, "--client");
    json_t *checked = json_array(), *found = json_array(), *clients = json_array(), *doc, *row;
    struct doctor *d = ctl_alloc(NULL, sizeof *d);
    const struct policy_pool *p;
    const struct route *r;
    const char *text;
    char address[ADDR_TEXT];
    struct addr addr;
    int code = client ? audit_client_name(c, client, address) : 0,
        status = ctl_api(c, CTL_PATH({"/v1/status", ""}), NULL, TIMEOUT_S, &row);

    if (code == 0 && (status == -EACCES || status == -EPERM)) /* who may not ask sees little else */
        code = ctl_api_result(c, status, NULL);
    *d = (struct doctor){.c = c, .is_alive = status == 200};
    d->is_one = client || ctl_option(c, "--suffix");
    d->explains = d->is_alive && !(client && strncmp(client, "hmac:", 5) == 0);
    json_decref(row);
    query_self(c, &addr);
    add_server(d, &addr, NULL);
    (void)machine_routes(c->settings, "", NULL);
    EACH(c->settings, routes, r)
    for (int n = 0; n < r->n_servers; n++)
        add_server(d, &r->servers[n], r);
    for (int n = 0; code == 0 && (text = ctl_option_at(c, "--resolver", n)); n++)
        if (addr_parse(&addr, text, DNS_PORT) == 0)
            add_server(d, &addr, NULL);
        else
            code = ctl_misused("--resolver %s: not an IP address or IP:PORT", text);
    d->has_policy = code == 0 && policy_read(c, NULL, &d->policy, NULL) == 0;
    d->has_audit = code == 0 && audit_begin(&d->audit, c, NULL) == 0 && !d->audit.absent;
    d->audit.given &= ~(unsigned)OF_CLIENT; /* its address stands for it */
    if (client && d->has_audit)
        (void)audit_story(&d->audit, address, clients);
    EACH(&d->policy, pools, p)
    for (const struct policy_host *h = p->hosts; h < p->hosts + p->n; h++) {
        struct target *t = target_of(d, &h->target, h->port);

        if (!t)
            break;
        t->pool = p;
        t->host = h;
        t->n = h->n_addresses;
        memcpy(t->addresses, h->addresses, sizeof t->addresses);
    }
    if (code == 0)
        code = add_places(d, json_array_get(clients, 0));
    if (client && d->n_places == 0) /* it asks for none, as far as can be seen here */
        d->windows = audit_windows_json(WINDOWS_NO_SUFFIX, 0);
    for (size_t i = 0; i < ARRAY_LEN(checks) && code == 0; i++) {
        row = examine(d, &checks[i]);
        json_array_extend(found, json_object_get(row, "findings"));
        json_array_append_new(checked, row);
    }
    ctl_progress(c, 1, 1);
    if (code == 0 && json_array_size(found) > 0)
        code = EXIT_PROBLEMS;
    doc = json_pack("{s:o,s:o}", "checks", checked, "findings", found);
    if (ctl_option(c, "--suffix"))
        json_object_set_new(doc, "steps", walk_article(checked));
    row = json_array_get(clients, 0);
    if (client)
        json_object_update_new(doc, json_pack("{s:O?,s:O?,s:s?}", "client", row, "windows",
                                              d->windows, "silent", row ? NULL : client));
    if (c->format != FORMAT_JSON && (code == 0 || code == EXIT_PROBLEMS))
        table_print(c, "checks", "id=CHECK|article/1|what|result|note/2", checked);
    audit_end(&d->audit);
    policy_fini(&d->policy);
    json_decref(d->windows);
    json_decref(clients);
    free(d);
    return ctl_show_reply(c, code, doc, c->format == FORMAT_TABLE ? screen : NULL);
}

const struct ctl_option doctor_options[] = {
    {"--suffix", "S", true, "walk through methods 3 and 5 of the article for this suffix"},
    {"--client", "IP", false, "tell this client's story, and what it would get now"},
    {"--resolver", "IP[:PORT]", true, "another DNS server of the clients: does it say the same?"},
    {0},
};
