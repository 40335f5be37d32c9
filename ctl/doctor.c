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
#include <errno.h>
#include <ldns/ldns.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/encode.h"
#include "ctl/audit.h"
#include "ctl/policy.h"
#include "wire/present.h"
#include "wire/reply_read.h"

enum { TIMEOUT_S = 2, DNS_PORT = 53, SHOWN = 10 /* findings of one check */, SAID = 2048 };
enum { SERVERS = 24, PLACES = 24, OF_POLICY = 12 /* of them */, TARGETS = 64 };

/* An answer to a question for SRV records. */
struct said {
    bool asked;
    int err; /* there is none: -errno */
    uint16_t rcode;
    uint64_t hosts; /* the ith bit: the ith target */
};
struct server {
    struct addr addr;
    struct name zone;                             /* of its route */
    enum server_kind { ROUTE, OTHER, SELF } kind; /* OTHER: of --resolver; SELF: waymarkd */
    bool replies; /* it may be asked: not waymarkd, which records it */
    char text[ADDR_TEXT];
};
struct place { /* a suffix */
    struct name suffix, name;
    bool expected; /* its machines should be given a host */
    json_t *here;  /* the daemon's explanation; or NULL */
    struct said given, said[SERVERS];
    char text[NAME_TEXT];
};
struct target { /* a KMS host that somebody names */
    struct name name;
    uint16_t port;
    const struct policy_pool *pool;
    struct addr addresses[POLICY_HOST_ADDRESSES];
    int n;
    bool is_pinned, is_up, no_probe;
    char text[NAME_TEXT + 8];
};

struct doctor {
    struct ctl *c;
    bool is_alive, has_policy, has_audit;
    char *store; /* its path */
    struct policy policy;
    struct audit audit;
    struct server servers[SERVERS];
    struct place places[PLACES];
    struct target targets[TARGETS];
    size_t n_servers, n_places, n_targets;
    /* Of the check at work. */
    const struct check *check;
    json_t *seen, *found;
};

struct check {
    const char *id, *article, *what, *remedy;
    enum { ONCE, SERVER, PLACE, TARGET } of; /* for each of them */
    void (*look)(struct doctor *, void *of);
    const char *nothing; /* why it may see and find nothing; NULL: it is about all clients */
    const char *source, *subject, *finding; /* of check_rows(); finding: a template */
};

#define EACH(d, list, x) for (x = (d)->list; x < (d)->list + (d)->n_##list; x++)

static void PRINTF_LIKE(2, 3) saw(struct doctor *d, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    json_array_append_new(d->seen, json_vsprintf(fmt, args));
    va_end(args);
}

/* remedy NULL: that of the check. */
static void PRINTF_LIKE(4, 5)
    find(struct doctor *d, const char *subject, const char *remedy, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    /* clang-format off */
    json_array_append_new(d->found,
        json_pack("{s:s,s:s,s:s,s:o,s:s}",
                  "id", d->check->id,
                  "article", d->check->article,
                  "subject", subject,
                  "text", json_vsprintf(fmt, args),
                  "remedy", remedy ? remedy : d->check->remedy));
    /* clang-format on */
    va_end(args);
}

static const char *field(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));

    return text ? text : "";
}

/* --- what is asked */

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

static struct said look(struct doctor *d, const struct server *s, const struct name *name,
                        uint16_t type)
{
    static struct dns_reply reply;
    struct said said = {.asked = true};
    struct srv srv[SRV_MAX];
    int n;

    said.err = dns_look(&s->addr, false, name, type, TIMEOUT_S, &reply);
    said.rcode = said.err == 0 ? reply.message.rcode : 0;
    n = said.err == 0 ? srv_read(reply.wire, reply.len, srv) : 0;
    for (int i = 0; i < n && i < SRV_MAX; i++)
        name_host(d, &said, &srv[i].target, srv[i].port);
    return said;
}

static const char *said_text(const struct doctor *d, const struct said *s, char out[SAID])
{
    char rcode[TYPE_TEXT];
    struct str text;

    str_init(&text, out, SAID);
    if (s->err != 0)
        str_addf(&text, "no reply (%s)", strerror(-s->err));
    else if (s->hosts == 0)
        str_add(&text, s->rcode ? rcode_print(s->rcode, rcode) : "no SRV record");
    for (size_t i = 0; i < d->n_targets; i++)
        if (s->hosts >> i & 1)
            str_addf(&text, "%s%s", text.len > 0 ? " " : "", d->targets[i].text);
    return out;
}

static bool said_same(const struct said *a, const struct said *b)
{
    return a->hosts == b->hosts && a->rcode == b->rcode && (a->err == 0) == (b->err == 0);
}

/* Is the server one of those that are asked for the name: of the longest zone? */
static bool serves(const struct doctor *d, const struct server *server, const struct name *name)
{
    const struct server *s;
    int longest = -1;

    EACH(d, servers, s)
    if (s->kind == ROUTE && name_is_under(name, &s->zone) && s->zone.labels > longest)
        longest = s->zone.labels;
    return server->kind == ROUTE && server->replies && name_is_under(name, &server->zone) &&
           server->zone.labels == longest;
}

static const struct server *server_of(const struct doctor *d, const struct name *name)
{
    const struct server *s;

    EACH(d, servers, s)
    if (serves(d, s, name))
        return s;
    return NULL;
}

/* --- D1, D2: the servers */

static void add_server(struct doctor *d, const struct addr *addr, const struct name *zone,
                       enum server_kind kind)
{
    struct server *s = &d->servers[d->n_servers];

    if (d->n_servers == SERVERS)
        return;
    *s = (struct server){.addr = *addr, .zone = *zone, .kind = kind};
    addr_print_port(addr, s->text);
    d->n_servers++;
}

/* waymarkd, its servers (it knows those of resolv.conf, too; else those of the settings), and those
 * of the line. An exit code. */
static int add_servers(struct doctor *d)
{
    json_t *reply = ctl_api_get(d->c, "/v1/upstreams");
    const struct settings *s = d->c->settings;
    const json_t *route, *server;
    const char *text;
    struct name zone;
    struct addr addr;
    size_t i, k;

    query_self(d->c, &addr);
    (void)name_parse(&zone, "localhost"); /* which is answered without a server */
    add_server(d, &addr, &zone, SELF);
    json_array_foreach(json_object_get(reply, "routes"), i, route)
        json_array_foreach(json_object_get(route, "servers"), k,
                           server) if (name_parse(&zone, field(route, "zone")) == 0 &&
                                       addr_parse(&addr, field(server, "address"), DNS_PORT) == 0)
            add_server(d, &addr, &zone, ROUTE);
    json_decref(reply);
    for (int r = 0; !d->is_alive && r < s->n_routes; r++)
        for (int n = 0; n < s->routes[r].n_servers; n++)
            add_server(d, &s->routes[r].servers[n], &s->routes[r].zone, ROUTE);
    for (int n = 0; (text = ctl_option_at(d->c, "--resolver", n)); n++) {
        if (addr_parse(&addr, text, DNS_PORT) != 0)
            return ctl_fail(EXIT_USAGE, "--resolver %s: not an IP address or IP:PORT", text);
        add_server(d, &addr, &(struct name){.len = 1}, OTHER);
    }
    return 0;
}

static void check_server(struct doctor *d, void *of)
{
    static struct dns_reply reply;
    struct server *s = of;
    const char *remedy = s->kind == SELF ? "waymarkd runs: is a firewall in front of it?" : NULL;
    int udp, tcp;

    if (s->kind == SELF && !d->is_alive) {
        find(d, "waymarkd", "systemctl start waymark; journalctl -u waymark says why it ended",
             "does not answer on its socket");
        return;
    }
    udp = dns_look(&s->addr, false, &s->zone, TYPE_SOA, TIMEOUT_S, &reply);
    if (udp == 0)
        saw(d, "%s replies, in %u ms", s->text, (unsigned)reply.ms);
    else
        find(d, s->text, remedy, "no reply over UDP: %s", strerror(-udp));
    tcp = dns_look(&s->addr, true, &s->zone, TYPE_SOA, TIMEOUT_S, &reply);
    if (tcp != 0)
        find(d, s->text, remedy, "no reply over TCP: %s", strerror(-tcp));
    s->replies = udp == 0 && s->kind != SELF;
}

/* Of a name that is not there, a server says the same to SRV as to A, unless it filters SRV. */
static void check_srv(struct doctor *d, void *of)
{
    struct server *s = of;
    struct name front, probe;
    struct said srv, a;
    char text[SAID];

    (void)name_parse(&front, "_waymark-probe._tcp");
    if (!s->replies || !name_join(&front, &s->zone, &probe))
        return;
    srv = look(d, s, &probe, TYPE_SRV);
    a = look(d, s, &probe, TYPE_A);
    s->replies = srv.err == 0;
    if (said_same(&srv, &a))
        saw(d, "%s takes SRV questions", s->text);
    else
        find(d, s->text, NULL, "of a name that is not there it says to SRV: %s; to A it does not",
             said_text(d, &srv, text));
}

/* --- the suffixes that are looked at */

/* -EINVAL: it is none. One that is there already is not put twice. */
static int add_place(struct doctor *d, const char *text, bool expected)
{
    struct name vlmcs, suffix;
    struct place *p;

    if (name_parse(&suffix, text) != 0)
        return -EINVAL;
    name_fold(&suffix);
    if (name_is_vlmcs(&suffix))
        name_parent(&suffix, 2, &suffix);
    EACH(d, places, p)
    if (name_equal(&p->suffix, &suffix))
        return 0;
    (void)name_parse(&vlmcs, "_vlmcs._tcp");
    if (d->n_places == PLACES || !name_join(&vlmcs, &suffix, &p->name))
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
    json_t *rows = json_array(), *row;
    const json_t *asked = json_object_get(client, "suffix_details");
    const struct policy *p = &d->policy;
    char name[SUFFIX_TEXT];
    const char *text;
    size_t i;

    for (int k = 0; (text = ctl_option_at(d->c, "--suffix", k)); k++)
        if (add_place(d, text, true) != 0) {
            json_decref(rows);
            return ctl_fail(EXIT_USAGE, "--suffix %s: not a domain name", text);
        }
    if (d->n_places > 0) {
        asked = NULL;
    } else if (!ctl_option(d->c, "--client")) {
        for (const struct policy_rule *r = p->rules; r < p->rules + p->n_rules; r++)
            for (i = 0; i < r->n_suffixes && d->n_places < OF_POLICY; i++)
                if (policy_actions[r->action].has_pool && r->mode == MODE_LIVE &&
                    !r->suffixes[i]->below)
                    (void)add_place(d, suffix_print(r->suffixes[i], name),
                                    policy_rule_has(r, "any"));
        if (d->has_audit)
            (void)audit_run(&d->audit, rows,
                            "SELECT suffix FROM suffixes WHERE suffix<>'(other)'"
                            " ORDER BY attempts DESC LIMIT 12");
        asked = rows;
    }
    json_array_foreach(asked, i, row)(void) add_place(d, field(row, "suffix"), false);
    json_decref(rows);
    return 0;
}

/* --- D3, D14: what is said of them */

/* The records of the daemon's explanation, from their text. */
static void read_given(struct doctor *d, struct place *p)
{
    const json_t *answer = json_object_get(p->here, "answer"), *record;
    const ldns_lookup_table *rcode;
    char target[NAME_TEXT];
    struct name name;
    unsigned port;
    size_t i;

    p->given = (struct said){.asked = true, .err = *field(answer, "rcode") ? 0 : -ETIMEDOUT};
    rcode = ldns_lookup_by_name(ldns_rcodes, field(answer, "rcode"));
    p->given.rcode = rcode ? (uint16_t)rcode->id : 0;
    json_array_foreach(
        json_object_get(answer, "records"), i,
        record) if (sscanf(json_string_value(record), "%*s %*u IN SRV %*u %*u %5u %1024s", &port,
                           target) == 2 &&
                    name_parse(&name, target) == 0) name_host(d, &p->given, &name, (uint16_t)port);
}

/* What the daemon gives for it; what the servers of its route say, which must agree, or it is chance
 * what a client gets; and what they say to nslookup -type=all, which must show the same. */
static void check_suffix(struct doctor *d, void *of)
{
    struct place *p = of;
    const struct said *first = NULL;
    const char *outcome, *hint, *server = "";
    const json_t *windows;
    char text[SAID], other[SAID];

    if (d->is_alive && explain_ask(d->c, p->text, NULL, &p->here) == 0) {
        read_given(d, p);
        windows = json_object_get(p->here, "windows");
        outcome = field(json_object_get(p->here, "decision"), "outcome");
        hint = *field(p->here, "hint") ? field(p->here, "hint") : field(windows, "remedy");
        said_text(d, &p->given, text);
        saw(d, "%s: this forwarder gives %s (%s)", p->text, text, outcome);
        if (p->given.hosts == 0 && p->expected && strcmp(outcome, "denied") != 0)
            find(d, p->text, hint, "this forwarder gives no host: %s; Windows shows %s, %s", text,
                 field(windows, "code"), field(windows, "text"));
    }
    for (size_t i = 0; i < d->n_servers; i++) {
        const struct server *s = &d->servers[i];
        struct said any;

        if (s->replies && (s->kind == OTHER || serves(d, s, &p->name)))
            p->said[i] = look(d, s, &p->name, TYPE_SRV);
        if (!p->said[i].asked || s->kind == OTHER)
            continue;
        any = look(d, s, &p->name, TYPE_ANY);
        said_text(d, &p->said[i], text);
        saw(d, "%s: %s says %s", p->text, s->text, text);
        if (first && !said_same(first, &p->said[i]))
            find(d, p->text, NULL, "%s says %s, and %s says %s", server, said_text(d, first, other),
                 s->text, text);
        if (any.hosts != p->said[i].hosts)
            find(d, p->text, NULL, "%s says %s to SRV, and to ANY (nslookup -type=all): %s",
                 s->text, text, said_text(d, &any, other));
        server = first ? server : s->text;
        first = first ? first : &p->said[i];
    }
}

static void check_single(struct doctor *d, void *of)
{
    const struct place *p = of;

    if (p->suffix.labels == 1)
        find(d, p->text, NULL, "has one label: Windows registers nothing in such a zone by itself");
    else
        saw(d, "%s", p->text);
}

/* --- D4 to D7, D13: records and hosts */

/* host.corp.example.corp.example: the zone came behind a name that had it. */
static bool is_doubled(const struct name *host)
{
    struct name zone, twice;

    for (unsigned n = 2; 2 * n < host->labels; n++) {
        name_parent(host, host->labels - n, &zone);
        name_parent(host, host->labels - 2 * n, &twice);
        if (memcmp(twice.data, zone.data, zone.len - 1u) == 0)
            return true;
    }
    return false;
}

static void check_names(struct doctor *d, void *of)
{
    /* What people write for the right name. */
    static const char *const slips[] = {"vlmcs._tcp", "_vmlcs._tcp", "_vlmcs.tcp"};
    struct name front, name;
    const struct target *t;
    const struct server *s;
    const struct place *p;
    char text[NAME_TEXT];

    EACH(d, targets, t)
    {
        if (t->name.labels == 4 && strspn(t->text, "0123456789.:") == strlen(t->text))
            find(d, t->text, NULL, "an address stands where the name of a host belongs");
        if (t->port == 0 && t->name.labels > 0)
            find(d, t->text, NULL, "the port is 0: nobody connects to it");
        if (is_doubled(&t->name))
            find(d, t->text, NULL, "the zone is there twice: a final dot is missing in the file");
    }
    (void)of;
    (void)name_parse(&name, "_vlmcs._tcp");
    EACH(d, servers, s)
    if (s->replies && look(d, s, &name, TYPE_SRV).hosts != 0)
        find(d, s->text, NULL,
             "has a record at _vlmcs._tcp without a suffix: nslookup finds it, no client does");
    EACH(d, places, p)
    for (size_t i = 0; i < ARRAY_LEN(slips) && (s = server_of(d, &p->name)); i++) {
        (void)name_parse(&front, slips[i]);
        if (name_join(&front, &p->suffix, &name) && look(d, s, &name, TYPE_SRV).hosts != 0)
            find(d, name_print(&name, text), NULL,
                 "has a record: a slip of the pen for _vlmcs._tcp");
    }
    saw(d, "the targets of %zu records, and usual slips at %zu suffixes", d->n_targets,
        d->n_places);
}

/* The addresses of its name in a reply; of an alias, too, which it must not be. */
static void read_addresses(struct doctor *d, struct target *t, const struct dns_reply *reply)
{
    struct rr_walk walk;
    struct rr rr;

    rr_walk_init(&walk, reply->wire, reply->len);
    while (rr_walk_next(&walk, &rr) && rr.section == SECTION_ANSWER) {
        struct addr a;

        if (rr.type == TYPE_CNAME && reply->message.qtype == TYPE_A)
            find(d, t->text, NULL, "is an alias (CNAME): RFC 2782 wants the host's own name");
        if (rr.type == reply->message.qtype && t->n < POLICY_HOST_ADDRESSES &&
            rr_address(&rr, reply->wire, &a))
            t->addresses[t->n++] = a;
    }
}

/* As a client finds them: those of the pool; through the daemon; else by the name's server. */
static void check_addresses(struct doctor *d, void *of)
{
    static const uint16_t types[] = {TYPE_A, TYPE_AAAA};
    static struct dns_reply reply;
    struct target *t = of;
    const struct server *s = d->is_alive ? d->servers : server_of(d, &t->name);
    char why[TYPE_TEXT] = "no reply", address[ADDR_TEXT];

    if (t->name.labels == 0) /* "no service here" */
        return;
    for (size_t k = 0; k < ARRAY_LEN(types) && s && !t->is_pinned; k++)
        if (dns_look(&s->addr, false, &t->name, types[k], TIMEOUT_S, &reply) == 0) {
            rcode_print(reply.message.rcode, why);
            read_addresses(d, t, &reply);
        }
    for (int i = 0; i < t->n; i++)
        saw(d, "%s is %s%s", t->text, addr_print(&t->addresses[i], address),
            t->is_pinned ? ", as the pool says" : "");
    if (t->n == 0)
        find(d, t->text, NULL, "has no address (%s)", why);
}

static void check_ports(struct doctor *d, void *of)
{
    char address[ADDR_TEXT];
    struct sockaddr_storage to;
    struct target *t = of;

    if (t->no_probe)
        saw(d, "%s is not tried: its pool says probe=no", t->text);
    for (int i = 0; i < t->n && !t->no_probe; i++) {
        socklen_t len;
        int fd;

        t->addresses[i].port = t->port;
        len = addr_to_sockaddr(&t->addresses[i], &to);
        addr_print_port(&t->addresses[i], address);
        fd = ctl_connect((struct sockaddr *)&to, len, SOCK_STREAM, TIMEOUT_S);
        t->is_up |= fd >= 0;
        if (fd >= 0)
            saw(d, "%s takes a connection at %s", t->text, address);
        else
            find(d, t->text, NULL, "no connection to %s from here: %s", address, strerror(-fd));
        if (fd >= 0)
            close(fd);
    }
}

static void check_approved(struct doctor *d, void *of)
{
    const struct target *t = of;
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

/* A host that is up, and neither its own zone nor a rule names one: publishing is off, or was
 * refused. */
static void check_published(struct doctor *d, void *of)
{
    const struct target *t = of;
    const struct server *s = server_of(d, &t->name);
    struct name vlmcs, home, name;
    char zone[NAME_TEXT];
    json_t *here = NULL;

    if (!t->pool || t->name.labels < 3 || !t->is_up || !s)
        return;
    (void)name_parse(&vlmcs, "_vlmcs._tcp");
    name_parent(&t->name, 1, &home);
    if (!name_join(&vlmcs, &home, &name))
        return;
    name_print(&home, zone);
    if (look(d, s, &name, TYPE_SRV).hosts != 0)
        saw(d, "%s: its zone %s names a host", t->text, zone);
    else if (d->is_alive && explain_ask(d->c, zone, NULL, &here) == 0 &&
             json_is_null(json_object_get(json_object_get(here, "windows"), "code")))
        saw(d, "%s: its zone %s names none, and a rule does", t->text, zone);
    else
        find(d, t->text, NULL, "is up, and its own zone %s names no host", zone);
    json_decref(here);
}

static void check_others(struct doctor *d, void *of)
{
    char text[SAID], here[SAID];
    const struct place *p = of;

    for (size_t i = 0; i < d->n_servers; i++) {
        const struct said *said = &p->said[i];

        if (d->servers[i].kind != OTHER || !said->asked || !p->here)
            continue;
        said_text(d, said, text);
        if (said_same(said, &p->given))
            saw(d, "%s: %s says the same: %s", p->text, d->servers[i].text, text);
        else
            find(d, p->text, NULL, "%s says %s, and this forwarder %s%s", d->servers[i].text, text,
                 said_text(d, &p->given, here),
                 said->rcode == RCODE_NXDOMAIN ? ": where a client has both, this ends it" : "");
    }
}

/* --- D8, D10 to D12, D15, D16: the audit, the policy and the machine */

/* Rows in which the template finds something: of a report of the audit, of a statement, or (no
 * source) what policy check finds, and the rights of the store. */
static void check_rows(struct doctor *d, void *of)
{
    const struct check *k = d->check;
    bool is_sql = k->source && strchr(k->source, ' ');
    json_t *rows = !k->source && d->has_policy ? policy_findings(&d->policy, d->c->now.wall_ms)
                                               : json_array(),
           *row;
    struct stat st;
    int code = (k->source ? d->has_audit : d->has_policy) ? 0 : EXIT_FAILED;
    size_t i;

    (void)of;
    if (code == 0 && k->source)
        code = is_sql ? audit_run(&d->audit, rows, "%s", k->source)
                      : audit_report(&d->audit, k->source, rows);
    else if (!k->source && stat(d->store, &st) == 0 && (st.st_mode & S_IWOTH))
        find(d, d->store, "chmod o-w on it", "everybody may change it");
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
}

/* clang-format off */
/* What to do, where it is more than a line. */
#define LET_53 "let UDP and TCP port 53 pass between here and the server, or take it out of forward"
#define NO_FILTER "something drops SRV (dnsmasq: filterwin2k; a proxy): switch it off, or use another server"
#define REPLICATE "the servers of a route must hold the same zones: wait for replication, or correct one"
#define WRITE_RIGHT \
    "correct the record: _vlmcs._tcp.SUFFIX SRV 0 0 1688 HOST (waymarkctl policy export --format zone)"
#define ADD_ADDRESS \
    "add A or AAAA; or take a host that is gone out of the record or pool; or give its address in the pool: " \
    "waymarkctl policy pool add POOL HOST,address=IP"
#define CONNECT \
    "refused: is the service running there (slmgr.vbs /dlv, or Get-KmsLicenseInfo; port 1688)? Timed out: a firewall. " \
    "On a client: Test-NetConnection HOST -Port 1688"
#define APPROVE \
    "waymarkctl policy approve HOST if it is yours; else let a rule filter or replace it, and have the record removed"
#define FASTER "waymarkctl upstreams shows the slow servers; kms.upstream-deadline bounds the wait"
#define ALL_SERVERS \
    "all DNS servers of a client (DHCP option 6) must be forwarders like this one, or have the record, too"
#define FILL "waymarkctl policy fill SUFFIX --pool POOL, or correct DHCP option 15"
#define FEWER "give fewer hosts, so that one reaches 25 clients or 5 servers"
#define PUBLISH \
    "on the host: slmgr.vbs /sdns, or Set-KmsLicenseInfo -DnsPublishing $true; DisableDnsPublishing must not be 1, in " \
    "CurrentVersion\\SoftwareProtectionPlatform (the key SL of the article is Vista's); event 12293 names the error, " \
    "12294 the success. Or add the record by hand, or fill the zone"
#define TWO_LABELS "add the record by hand, or fill it; better, give the machines a suffix of two labels"
#define SET_CLOCK "synchronise it: chronyc tracking, or timedatectl; hours of difference stop activation (0xC004F06C)"
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
#define NO_PLACE "no suffix is known: neither policy nor audit has one; see --suffix"
#define NO_OTHER "the clients' other DNS servers are not given (doctor --resolver IP), or do not reply"

#define TRY_STEPS "method 5, steps 8 and 9"
#define TRY \
    "slmgr.vbs /ckms (Invoke-KmsLicense -ClearServer); slmgr.vbs /skms HOST, then IP (Set-KmsLicenseInfo -ServerName): " \
    "which one fails?"

#define M3(step) "method 3, step " step
#define M5(step) "method 5, step " step
#define NO_ROWS NULL, NULL, NULL
static const struct check checks[] = {
    {"D1", M5("3"),
     "ping: the DNS servers reply, over UDP and TCP",
     LET_53, SERVER, check_server, "no server is known", NO_ROWS},
    {"D2", M3("1.3"),
     "nslookup -type=all: the servers take SRV questions",
     NO_FILTER, SERVER, check_srv, "no server replies", NO_ROWS},
    {"D3", M5("5"),
     "nslookup: each suffix has a host, the same from all",
     REPLICATE, PLACE, check_suffix, NO_PLACE, NO_ROWS},
    {"D4", M3("1.4"),
     "the records are written right",
     WRITE_RIGHT, ONCE, check_names, "", NO_ROWS},
    {"D5", M5("7"),
     "the hosts have addresses",
     ADD_ADDRESS, TARGET, check_addresses, "nobody names a KMS host", NO_ROWS},
    {"D6", M5("10"),
     "TCP connects to the hosts, from here",
     CONNECT, TARGET, check_ports, "no KMS host has an address", NO_ROWS},
    {"D7", M3("1.5"),
     "the hosts are approved, and private",
     APPROVE, TARGET, check_approved, "no host is named, or none is approved", NO_ROWS},
    {"D8", M5("3"),
     "answers take less than 1 s",
     FASTER, ONCE, check_rows, NULL, SLOW, "subject", "[{text}]"},
    {"D9", M5("6"),
     "the clients' other servers say the same",
     ALL_SERVERS, PLACE, check_others, NO_OTHER, NO_ROWS},
    {"D10", M5("4"),
     "no suffix is asked for in vain",
     FILL, ONCE, check_rows, NULL, "wrong-suffix", "suffix", IN_VAIN},
    {"D11", "more information",
     "each host has enough clients",
     FEWER, ONCE, check_rows, NULL, "thresholds", "target", TOO_FEW},
    {"D12", M5("9"),
     "no client is stuck",
     "slmgr.vbs /dlv, or Get-KmsLicenseInfo, on the client",
     ONCE, check_rows, NULL, "stuck", "address", TWO_HOURLY},
    {"D13", M3("2"),
     "the hosts publish themselves",
     PUBLISH, TARGET, check_published, "no host of a pool is up", NO_ROWS},
    {"D14", M5("4"),
     "no suffix has one label",
     TWO_LABELS, PLACE, check_single, NO_PLACE, NO_ROWS},
    {"D15", "method 3",
     "the policy is sound",
     "waymarkctl policy check", ONCE, check_rows, NULL, NULL, "subject", "{text}"},
    {"D16", "more information",
     "the clock is right",
     SET_CLOCK, ONCE, check_rows, NULL, CLOCK, "subject", "[{text}]"},
};

/* clang-format on */

/* --- what comes of it */

static json_t *examine(struct doctor *d, const struct check *check)
{
    static char once;
    const struct {
        void *first;
        size_t n, size;
    } of[] = {[ONCE] = {&once, 1, 1},
              [SERVER] = {d->servers, d->n_servers, sizeof *d->servers},
              [PLACE] = {d->places, d->n_places, sizeof *d->places},
              [TARGET] = {d->targets, d->n_targets, sizeof *d->targets}};
    bool is_one = ctl_option(d->c, "--client") || ctl_option(d->c, "--suffix");
    const char *result = "ok", *note;

    d->check = check;
    d->seen = json_array();
    d->found = json_array();
    if (d->c->stderr_tty)
        fprintf(stderr, "\r\033[K%s %s", check->id, check->what);
    for (size_t i = 0; i < of[check->of].n && (check->nothing || !is_one); i++)
        check->look(d, (char *)of[check->of].first + i * of[check->of].size);
    note = json_string_value(json_array_get(d->seen, 0));
    if (json_array_size(d->found) > 0) {
        result = "found";
        note = field(json_array_get(d->found, 0), "subject");
    } else if (!note) {
        result = "not checked";
        note = check->nothing ? check->nothing
               : is_one       ? "it is about all clients: without --client and --suffix"
                              : "there is nothing to read";
    }
    /* clang-format off */
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:o,s:o}",
                     "id", check->id,
                     "article", check->article,
                     "what", check->what,
                     "result", result,
                     "note", note,
                     "seen", d->seen,
                     "findings", d->found);
    /* clang-format on */
}

/* The checks of one suffix in the order of the article's steps. Steps 8 and 9 find out by three tries
 * on the client what fails first; here that is known. */
static json_t *walk_article(const json_t *checked)
{
    static const struct {
        unsigned check;
        const char *what;
    } tries[] = {{3, "record"}, {5, "name"}, {6, "port and host"}};
    static const unsigned char order[] = {2, 4, 7, 13, 1, 14, 3, 9, 5, 0, 6};
    json_t *list = json_array();

    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        const json_t *row = json_array_get(checked, order[i] - 1u), *found;
        json_t *lines = json_array();
        size_t k;

        json_array_foreach(json_object_get(row, "findings"), k, found) json_array_append_new(
            lines, json_sprintf("! %s %s", field(found, "subject"), field(found, "text")));
        json_array_extend(lines, json_object_get(row, "seen"));
        for (k = 0; k < ARRAY_LEN(tries) && !row; k++) {
            found = json_array_get(checked, tries[k].check - 1);
            json_array_append_new(lines,
                                  json_sprintf("%s: %s", tries[k].what, field(found, "result")));
        }
        if (json_array_size(lines) == 0)
            json_array_append(lines, json_object_get(row, "note"));
        /* clang-format off */
        json_array_append_new(list,
            json_pack("{s:s,s:s,s:o}",
                      "step", row ? field(row, "article") : TRY_STEPS,
                      "does", row ? field(row, "what") : TRY,
                      "lines", lines));
        /* clang-format on */
    }
    return list;
}

static const struct column columns[] = {
    {"id", "CHECK", COLUMN_TEXT, 0}, {"article", NULL, COLUMN_TEXT, 1},
    {"what", NULL, COLUMN_TEXT, 0},  {"result", NULL, COLUMN_TEXT, 0},
    {"note", NULL, COLUMN_TEXT, 2},  {0},
};
static const struct ctl_row screen[] = {
    {NULL, "findings", "! {id} {subject}: {text}\n  {article}: {remedy}"},
    {NULL, "steps", "{step}: {does}\n  {lines:lines}"},
    {"client", "client",
     "{address}: {attempts} attempts, {outcomes}, from {first_asked:time} to {last_asked:time}"},
    {"", "client", "[every {cadence_ms} ms]"},
    {"", "client", "[given {last_host} at {last_host_at:time}]"},
    {"", "client", "[{?no_host_since}no host since {no_host_since:time}]"},
    {"client", NULL,
     "[{silent} asked for no KMS host here. Is this its DNS server (ipconfig /all)? Else it has no "
     "suffix, a host that is cached or set (/skms), or is activated otherwise]"},
    {"asks for", "client.suffix_details", "{suffix}\t{verdict}\t{outcome}"},
    CTL_WINDOWS_ROWS("windows"),
    {0},
};

/* Reads what there is, and the row of the client in the audit, if it has one. */
static int gather(struct doctor *d, struct ctl *c, json_t *clients)
{
    static const char *const times[] = {"first_asked", "last_asked", "last_host_at",
                                        "no_host_since"};
    const char *client = ctl_option(c, "--client");
    json_t *status = ctl_api_status(c);
    char address[ADDR_TEXT], text[NUMBER_TEXT];
    json_int_t ms;

    *d = (struct doctor){.c = c, .is_alive = status != NULL};
    d->store = ctl_text("%s/policy/data.mdb", c->settings->server.state_dir);
    json_decref(status);
    if (client && audit_client_name(c, client, address) != 0)
        return EXIT_USAGE;
    d->has_policy = policy_read(c, &d->policy, NULL) == 0;
    d->has_audit =
        audit_begin(&d->audit, c, NULL, client ? address : NULL) == 0 && !d->audit.absent;
    if (client && d->has_audit)
        (void)audit_story(&d->audit, clients);
    for (size_t i = 0; i < ARRAY_LEN(times) && c->format == FORMAT_JSON; i++) {
        ms = json_integer_value(json_object_get(json_array_get(clients, 0), times[i]));
        if (ms > 0)
            json_object_set_new(json_array_get(clients, 0), times[i],
                                json_string(time_print_utc((uint64_t)ms, text)));
    }
    for (const struct policy_pool *p = d->policy.pools; p < d->policy.pools + d->policy.n_pools;
         p++)
        for (const struct policy_host *h = p->hosts; h < p->hosts + p->n; h++) {
            struct target *t = target_of(d, &h->target, h->port);

            if (!t)
                continue;
            t->pool = p;
            t->n = h->n_addresses;
            t->is_pinned = t->n > 0;
            t->no_probe = !h->probe;
            memcpy(t->addresses, h->addresses, sizeof t->addresses);
        }
    return 0;
}

int doctor_run(struct ctl *c)
{
    const char *client = ctl_option(c, "--client");
    struct doctor *d = ctl_alloc(NULL, sizeof *d);
    json_t *checked = json_array(), *found = json_array(), *clients = json_array(), *doc, *row;
    json_t *windows = NULL;
    const struct place *p;
    int code = gather(d, c, clients);

    if (code == 0)
        code = add_servers(d);
    if (code == 0)
        code = add_places(d, json_array_get(clients, 0));
    for (size_t i = 0; i < ARRAY_LEN(checks) && code == 0; i++) {
        row = examine(d, &checks[i]);
        json_array_extend(found, json_object_get(row, "findings"));
        json_array_append_new(checked, row);
    }
    if (c->stderr_tty)
        fputs("\r\033[K", stderr);
    if (code == 0 && json_array_size(found) > 0)
        code = EXIT_PROBLEMS;
    doc = json_pack("{s:o,s:o}", "checks", checked, "findings", found);
    if (ctl_option(c, "--suffix"))
        json_object_set_new(doc, "steps", walk_article(checked));
    if (client) {
        row = json_array_get(clients, 0);
        json_object_set_new(doc, "client", row ? json_incref(row) : json_null());
        /* Of its first suffix with a host, else of the last; one that asks for none has none, as
         * far as can be seen here. */
        EACH(d, places, p)
        if (!windows || json_is_string(json_object_get(windows, "code")))
            windows = json_object_get(p->here, "windows");
        json_object_set_new(doc, "windows",
                            windows ? json_incref(windows)
                                    : audit_windows_json(WINDOWS_NO_SUFFIX, 0));
        json_object_set_new(doc, "silent",
                            json_array_size(clients) == 0 ? json_string(client) : json_null());
    }
    if (c->format != FORMAT_JSON && (code == 0 || code == EXIT_PROBLEMS))
        table_print(c, "checks", columns, checked);
    for (size_t i = 0; i < d->n_places; i++)
        json_decref(d->places[i].here);
    audit_end(&d->audit);
    policy_fini(&d->policy);
    free(d->store);
    free(d);
    json_decref(clients);
    return ctl_show_reply(c, code, doc, c->format == FORMAT_TABLE ? screen : NULL);
}

const struct ctl_option doctor_options[] = {
    {"--suffix", "S", true, "walk through methods 3 and 5 of the article for this suffix"},
    {"--client", "IP", false, "tell this client's story, and what it would get now"},
    {"--resolver", "IP[:PORT]", true, "another DNS server of the clients: does it say the same?"},
    {0},
};
