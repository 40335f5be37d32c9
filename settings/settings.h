/* SPDX-License-Identifier: BSD-2-Clause
 *
 * settings.h -- reading, checking, comparing and printing settings; options.h has the options.
 */
#ifndef SETTINGS_SETTINGS_H
#define SETTINGS_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/addr.h"
#include "base/arena.h"
#include "base/random.h"
#include "base/str.h"
#include "wire/kms.h"
#include "wire/name.h"

#define SETTINGS_DEFAULT_PATH SYSCONFDIR "/waymark/waymark.yaml"

enum access_action { ACCESS_ALLOW, ACCESS_REFUSE, ACCESS_DROP };
extern const char *const access_actions[]; /* ended by NULL */
struct access_rule {
    struct prefix net;
    enum access_action action;
};

enum { ROUTE_MAX_SERVERS = 16, ROUTE_MAX_PINS = 8 };
/* RFC 8310 5; in the order of tls_modes[]. */
enum tls_mode { TLS_OFF, TLS_OPPORTUNISTIC, TLS_STRICT };
enum { DNS_TLS_PORT = 853 };
extern const char *const tls_modes[]; /* ended by NULL */
/* How the next server is chosen; in the order of strategies[]. */
enum strategy { ORDERED, FASTEST, PARALLEL };
extern const char *const strategies[]; /* ended by NULL */
struct route {
    struct name zone; /* folded */
    const struct addr *servers;
    int n_servers;
    const struct addr *sources; /* at most one of each family */
    int n_sources;
    uint32_t strategy;
    uint32_t timeout_ms;
    bool trust_ad, edns, fall_back, stop_rebinding;
    uint32_t tls;
    uint16_t tls_port;
    const char *tls_name, *tls_ca; /* "" when not given */
    const char *const *tls_pins;   /* "sha256/" and 44 characters of base64 */
    int n_tls_pins;
    struct tls *made; /* the daemon's: what these say, ready for use */
    uint32_t id;
};

struct output {
    const char *to; /* an endpoint (base/addr.h) */
    uint32_t format, facility;
};

enum seccomp { SECCOMP_NO, SECCOMP_YES, SECCOMP_KILL };
/* In the order of enum audit_client. */
enum client_address { CLIENT_FULL, CLIENT_PREFIX, CLIENT_HMAC };

typedef const char *TEXT_value;
typedef bool YESNO_value;
typedef uint32_t NUMBER_value, WORD_value;
typedef uint64_t SIZE_value, DURATION_value;

/* What the administrator set, one immutable generation: settings->cache.size. A list that was
 * not given is NULL: no access list is not an empty one. */
struct settings {
    struct arena *arena; /* owns everything below */
    /* The daemon's: which generation it is, and how many use it; are the routes those of
     * resolv.conf; the machine's own networks, -errno: they cannot be known, which is none. */
    uint64_t generation;
    _Atomic uint32_t users;
    bool routes_found;
    const struct access_rule *machine;
    int n_machine;
    struct hash_key cookie_keys[2]; /* of limits.cookie-secret-file; in force: or drawn */
    /* The files that were read, the last one first; drop_in: it is in conf.d. */
    const struct settings_file {
        const struct settings_file *next;
        const char *path;
        bool drop_in;
    } * files;
/* clang-format off */
#define SECTION(name, ...) struct {
#define END(name) } name;
#define OPTION(section, member, kind, ...) kind##_value member;
#define LISTED(section, list, n, type, ...) const struct type *list; int n;
#define RECORDS(list, n, type, ...) const struct type *list; int n;
/* clang-format on */
#include "settings/options.h"
};

/* Reads FILE and the .yaml files in conf.d beside it, in the order of their names, then the -o
 * assignments ("section.key=value", ended by NULL). path NULL: the default file, which may be
 * missing. 0 and *out, or -EINVAL/-errno with every problem in d. The caller frees. */
int settings_read(struct settings **out, const char *path, const char *const *assign,
                  struct diags *d);
void settings_free(struct settings *);

/* Every option with its value in force, as YAML that reads back the same. */
void settings_print(const struct settings *, FILE *);
/* The commented sample file: every option, with help and default. */
void settings_print_sample(FILE *);

/* For each option that differs, with old and new as text; restart: the new one waits for it. */
typedef void settings_change(void *context, const char *key, const char *was, const char *is,
                             bool restart);
void settings_compare(const struct settings *was, const struct settings *is, settings_change *,
                      void *context);

/* The same once more, in an arena of its own. 0 or -ENOMEM. */
int settings_copy(struct settings **out, const struct settings *);

/* In a new generation, gives the keys that need a restart the values that are in force. 0;
 * -errno with every problem in d (the mix of two good files can break a rule between options):
 * then the generation must not be used. */
int settings_keep(struct settings *is, const struct settings *was, struct diags *d);

/* The longest matching access rule; loopback stays allowed unless named, and
 * `machine` (the machine's own networks) is what counts when the list was not
 * given. *rule, if rule is not NULL, is the rule that says so, or NULL: none does. */
enum access_action settings_access(const struct settings *, const struct addr *client,
                                   const struct access_rule **rule);

/* Does this address write a head of the PROXY protocol in front of what its clients send? */
#define settings_is_balancer(s, a) prefix_any((s)->server.proxy_from, (s)->server.n_proxy_from, a)
/* Does it have none of the limits of clients? */
#define settings_is_exempt(s, a) prefix_any((s)->limits.exempt_clients, (s)->limits.n_exempt, a)

/* Hash of zone, servers, sources and what is left out: the same over reloads and starts; never 0. */
uint32_t route_id(const struct route *);
/* The address from which the server is asked; NULL: any. */
const struct addr *route_source(const struct route *, const struct addr *server);

#endif
