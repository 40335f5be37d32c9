/* SPDX-License-Identifier: BSD-2-Clause
 *
 * explain.c -- `explain`: what a client would get for a question, why, and what Windows makes of it.
 *
 * The daemon explains, by the code that answers (resolver/explain.h). Where the real DNS is only
 * supposed and no daemon runs, or the policy is one of the past, the same object is made here of a
 * store, with the same decision (policy/decide.h); nothing else is decided here but who may ask.
 *
 * `--search` explains suffix after suffix, as a Windows machine asks for them.
 */
#include "ctl/policy.h"

#include <errno.h>

#include "audit/store.h"
#include "policy/decide.h"
#include "wire/present.h"

enum { MAX_RULES = 64, TIMEOUT_S = 30 };

/* A question whose real answer is supposed. */
struct question {
    struct name name; /* as written */
    const char *type;
    struct addr client;
    enum kms_verdict verdict;
    bool dnssec;
};

/* What the client is told without a host. */
static uint16_t rcode_of(const struct question *q, const struct policy_decision *d,
                         enum access_action access)
{
    bool says_no = d->outcome == OUTCOME_MISSING || d->outcome == OUTCOME_DENIED;

    if (access == ACCESS_DROP)
        return RCODE_TIMEOUT;
    if (access == ACCESS_REFUSE)
        return RCODE_REFUSED;
    if (d->outcome == OUTCOME_FAILED)
        return RCODE_SERVFAIL;
    return says_no && q->verdict == VERDICT_NXDOMAIN ? RCODE_NXDOMAIN : RCODE_NOERROR;
}

/* The answer and what Windows shows for it. The records of the real DNS are not known. */
static json_t *delivered_json(const struct question *q, const struct policy_decision *d,
                              enum access_action access)
{
    const bool real = d->outcome == OUTCOME_PASSED;
    uint16_t rcode = rcode_of(q, d, access);
    uint32_t code = d->n_hosts > 0 || real ? 0 : windows_code(rcode);
    char owner[NAME_TEXT], target[NAME_TEXT], text[TYPE_TEXT];
    json_t *records = json_array();

    name_print(&q->name, owner);
    for (int i = 0; i < d->n_hosts; i++) {
        const struct policy_host *h = &d->hosts[i];

        name_print(&h->target, target);
        json_array_append_new(records, json_sprintf("%s. IN SRV %u %u %u %s.", owner, h->priority,
                                                    h->weight, h->port, target));
    }
    if (real)
        json_array_append_new(records, json_string("(the records of the real DNS)"));
    rcode_print(rcode, text);
    /* clang-format off */
    return json_pack("{s:{s:s?,s:n,s:o},s:o}",
                     "answer",
                         "rcode", access == ACCESS_DROP ? NULL : text,
                         "ttl_s",
                         "records", records,
                     "windows", audit_windows_json(code, d->outcome));
    /* clang-format on */
}

static json_t *client_json(const struct ctl *c, const struct policy_client *client,
                           enum access_action *access)
{
    const struct access_rule *rule = NULL;
    char address[ADDR_TEXT], prefix[PREFIX_TEXT];
    json_t *networks = json_array();

    for (int i = 0; i < client->n_networks; i++) {
        prefix_print(&client->prefixes[i], prefix);
        json_array_append_new(
            networks, json_pack("{s:s,s:s}", "name", client->networks[i], "prefix", prefix));
    }
    /* The default is of the machine's own networks, which the daemon knows. */
    *access = ACCESS_ALLOW;
    if (c->settings->access)
        *access = settings_access(c->settings, &client->addr, &rule);
    if (rule)
        prefix_print(&rule->net, prefix);
    addr_print(&client->addr, address);
    /* clang-format off */
    return json_pack("{s:s,s:o,s:{s:s,s:s?}}",
                     "address", address,
                     "networks", networks,
                     "access",
                         "action", access_actions[*access],
                         "by", rule ? prefix : NULL);
    /* clang-format on */
}

/* In a transaction of the reader; 0 or -errno. */
static int explain_in(const struct ctl *c, struct policy_reader *r, const struct question *q,
                      json_t **out)
{
    const struct policy_real real = {.verdict = q->verdict};
    static struct policy_decision d; /* large */
    struct policy_trial trials[MAX_RULES];
    struct policy_client client;
    struct policy_counts counts;
    struct name folded = q->name;
    const struct policy_ask ask = {.qname = &folded,
                                   .client = &client,
                                   .wall_ms = c->now.wall_ms,
                                   .limit = c->settings->kms.mode,
                                   .do_bit = q->dnssec};
    char name[NAME_TEXT], say[POLICY_SAYING], hint[POLICY_HINT], digest[POLICY_DIGEST_TEXT];
    json_t *rules, *asks;
    enum access_action access;
    size_t n;
    int rc = policy_client_find(r, &q->client, &client), counted;

    store_guarded(counted, r->txn, policy_counts_read(r->txn, &counts));
    if (rc != 0 || counted != 0)
        return rc != 0 ? rc : counted;
    name_fold(&folded);
    rules = json_array();
    asks = client_json(c, &client, &access);
    policy_decide(r, &ask, &real, &d);
    n = policy_explain(r, &ask, &d, trials, MAX_RULES);
    for (size_t i = 0; i < n && access == ACCESS_ALLOW; i++)
        /* clang-format off */
        json_array_append_new(rules,
            json_pack("{s:s,s:b,s:s}",
                      "rule", trials[i].rule,
                      "acts", trials[i].acts,
                      "why", trials[i].why));
    /* clang-format on */
    policy_decision_say(&d, true, say);
    if (access != ACCESS_ALLOW) {
        policy_decision_none(&d, VERDICT_NONE, REASON_ACCESS);
        d.outcome = OUTCOME_BLOCKED;
        snprintf(say, sizeof say, "access %s",
                 access == ACCESS_DROP ? "drops what this client asks" : "refuses this client");
    }
    *out = delivered_json(q, &d, access);
    /* clang-format off */
    json_object_update_new(*out, json_pack(
        "{s:b,s:o,s:{s:s,s:s},s:{s:s,s:n,s:n,s:n,s:b,s:n},s:o,s:{s:s,s:s,s:s?,s:s},s:n,s:s?,s:{s:I,s:s}}",
        "offline", 1,
        "client", asks,
        "question", "name", name_print(&q->name, name),
                    "type", q->type,
        "real", "verdict", verdict_names[d.verdict],
                "server", "route", "ms", "cached", 0, "ttl_s",
        "rules", rules,
        "decision", "outcome", outcome_names[d.outcome],
                    "reason", reason_names[d.reason],
                    "rule", d.rule[0] ? d.rule : NULL,
                    "text", say,
        "late",
        "hint", policy_hint(&ask, &d, trials, n, hint),
        "policy", "serial", (json_int_t)counts.serial,
                  "digest", policy_digest_print(counts.digest, digest)));
    /* clang-format on */
    if (access != ACCESS_ALLOW)
        json_object_set_new(*out, "real", json_null());
    return 0;
}

/* The same, of the present policy or, with --at, of one that was. An exit code. */
static int explain_of_store(struct ctl *c, const struct question *q, json_t **out)
{
    struct policy_reader *r = NULL;
    struct store *store;
    int code = policy_open_at(c, &store), rc;

    if (code != 0)
        return code;
    rc = (r = policy_reader_new(store)) == NULL ? -errno : store_reader_begin(r->txn);
    if (rc == 0) {
        rc = explain_in(c, r, q, out);
        store_end(r->txn);
    }
    policy_reader_free(r);
    store_close(store);
    return rc == 0 ? 0 : policy_failed(c, "explain", rc);
}

/* Reads the question of the line. 0 or an exit code. */
static int read_question(const struct ctl *c, const char *name, const char *type,
                         const char *verdict, struct question *q)
{
    const char *client = ctl_option(c, "--client");
    int v = str_index(verdict_names, verdict);
    char meant[DIAG_MEANT];
    uint16_t number;

    *q = (struct question){.type = type ? type : "SRV", .dnssec = ctl_option(c, "--dnssec")};
    if (v <= VERDICT_NONE)
        return ctl_fail(EXIT_INVALID, "not a verdict: %s%s", verdict,
                        diag_meant(verdict, verdict_names + 1, meant));
    q->verdict = (enum kms_verdict)v;
    if (name_parse(&q->name, name) != 0)
        return ctl_fail(EXIT_INVALID, "not a domain name: %s", name);
    if (type_parse(&number, q->type) != 0 || !name_is_vlmcs(&q->name) ||
        (number != TYPE_SRV && number != TYPE_ANY))
        return ctl_fail(EXIT_INVALID,
                        "a verdict is for discovery questions: _vlmcs._tcp.SUFFIX SRV");
    if (addr_parse(&q->client, client ? client : "127.0.0.1", 0) != 0)
        return ctl_fail(EXIT_INVALID, "not an IP address: %s", client);
    return 0;
}

int explain_ask(struct ctl *c, const char *suffix, const char *type, json_t **out)
{
    const char *verdict = ctl_option(c, "--verdict"), *at = ctl_option(c, "--at");
    char *name = ctl_text("%s%s", suffix[0] == '.' ? "_vlmcs._tcp" : "_vlmcs._tcp.", suffix);
    struct name parsed;
    struct question q;
    int status, code;

    *out = NULL;
    /* SUFFIX alone means the discovery name below it. */
    if (type || (name_parse(&parsed, suffix) == 0 && name_is_vlmcs(&parsed)))
        strcpy(name, suffix);
    status = at && verdict
                 ? -ENOENT /* the daemon has the present policy only */
                 : ctl_api(c,
                           CTL_PATH({"/v1/explain?name=", name}, {"&type=", type},
                                    {"&client=", ctl_option(c, "--client")}, {"&verdict=", verdict},
                                    {"&dnssec=", ctl_option(c, "--dnssec") ? "yes" : NULL}),
                           NULL, TIMEOUT_S, out);
    /* Of the past, the real DNS is supposed to say what it says now. */
    if (at && status == 200)
        verdict = json_string_value(json_object_get(json_object_get(*out, "real"), "verdict"));
    if (at && status == 200 && !verdict) {
        code = ctl_fail(EXIT_USAGE, "the real DNS is not asked: give --verdict");
    } else if (verdict && (at || status == -ENOENT || status == -ECONNREFUSED)) {
        code = read_question(c, name, type, verdict, &q);
        json_decref(*out);
        *out = NULL;
        if (code == 0)
            code = explain_of_store(c, &q, out);
    } else {
        code = ctl_api_result(c, status, *out);
    }
    free(name);
    return code;
}

/* clang-format off */
#define OFFLINE_ROW {"offline", NULL, "[{?offline}waymarkd was not asked: this is decided of the policy store and the settings; it alone knows which hosts are down or pinned]"}
/* clang-format on */

static const struct ctl_row explain_rows[] = {
    {"client", "client",
     "{address}, in [{networks}|no network]; "
     "[{?access.action=refuse}refused|{?access.action=drop}dropped|allowed] "
     "by [access {access.by}|default]"},
    {"question", "question", "{name} {type}"},
    {"real DNS", "real",
     "[{verdict} from {server}[ (route {route})], {ms} ms[{?cached}, from cache, {ttl_s} s left]|"
     "{verdict}, supposed: no server was asked]"},
    {"real DNS", NULL, "[{?real}|not asked]"},
    {"rules", "rules", "{rule}\t[{?acts}yes|no][: {why}]"},
    {"rules", NULL, "[{?rules}|none is near]"},
    {"decision", "decision", "{text}"},
    {"hosts", "hosts", "{host}\t{why}[; since {since:time}]"},
    {"late", "late", "{text}"},
    {"answer", NULL,
     "[{first}|{?answer.rcode=NOERROR}NOERROR, no records|{answer.rcode}|none]"
     "[, TTL {answer.ttl_s}]{:52}  outcome {decision.outcome}"},
    {"", "answer.records", "{.}"},
    CTL_WINDOWS_ROWS("windows"),
    {"to fill", NULL, "[{hint}]"},
    {"policy", "policy", "serial {serial}, digest {digest}"},
    OFFLINE_ROW,
    {0},
};

/* What is known, and what is not, of how a machine goes on behind an answer without a host. */
static const char *next_step(const json_t *explained)
{
    const char *rcode =
        json_string_value(json_object_get(json_object_get(explained, "answer"), "rcode"));

    if (rcode && strcmp(rcode, "NXDOMAIN") == 0)
        return "no host: the next suffix is asked for";
    if (rcode && strcmp(rcode, "NOERROR") == 0)
        return "no host: the next suffix is asked for, most likely; Microsoft does not say";
    return "no answer that is of use: the machine asks its next DNS server, and tries for 10 s; "
           "whether it goes on to the next suffix, Microsoft does not say";
}

/* Explains a suffix of the search, unless one before has ended it (*end); *last: what was explained
 * last, borrowed. */
static int add_suffix(struct ctl *c, const char *suffix, json_t *search, const char **end,
                      const json_t **last)
{
    json_t *explained = NULL;
    const char *next = "not asked";
    int code = *end ? 0 : explain_ask(c, suffix, NULL, &explained);

    if (code != 0)
        return code;
    if (explained) {
        *last = explained;
        next = next_step(explained);
        if (json_is_null(json_object_get(json_object_get(explained, "windows"), "code"))) {
            next = "a host: it ends the search";
            *end = suffix;
        }
    }
    /* clang-format off */
    json_array_append_new(search,
        json_pack("{s:s,s:o?,s:s}",
                  "suffix", suffix,
                  "explained", explained,
                  "next", next));
    /* clang-format on */
    return 0;
}

/* The suffixes in the order given, and what the machine shows in the end: if there is no host, the
 * code of the last answer. */
static int explain_search(struct ctl *c)
{
    static const struct ctl_row rows[] = {
        {"search", "search",
         "{suffix}\t[{explained.answer.rcode}|-]\t[{explained.decision.text}; |]{next}"},
        {"ends", NULL, "[with {end}|without a host]"},
        CTL_WINDOWS_ROWS("windows"),
        {"not known", "unknown", "{.}"},
        OFFLINE_ROW,
        {0},
    };
    static const char order[] = "in which order a machine asks: primary suffix, AD domain, DHCP "
                                "option 15, search list",
                      others[] = "what other DNS servers of the machine say: NXDOMAIN of any of "
                                 "them ends the question";
    json_t *search = json_array(), *windows;
    const char *list, *end = NULL;
    const json_t *last = NULL;
    int code = 0;

    for (int i = 0; code == 0 && (list = ctl_option_at(c, "--search", i)); i++) {
        char *copy = strdupa(list), *suffix;

        while (code == 0 && (suffix = strsep(&copy, ",")))
            code = *suffix ? add_suffix(c, suffix, search, &end, &last) : 0;
    }
    windows = last ? json_incref(json_object_get(last, "windows"))
                   : audit_windows_json(WINDOWS_NO_SUFFIX, 0);
    /* clang-format off */
    return ctl_show_reply(c, code,
        json_pack("{s:o,s:s?,s:o,s:[s,s],s:b}",
                  "search", search,
                  "end", end,
                  "windows", windows,
                  "unknown", order, others,
                  "offline", json_object_get(last, "offline") != NULL),
        rows);
    /* clang-format on */
}

int explain_verb(struct ctl *c)
{
    json_t *reply, *records, *networks, *network;
    size_t i;
    int code;

    if (c->format == FORMAT_CSV)
        return ctl_fail(EXIT_USAGE, "explain has no CSV form; use --json");
    if (ctl_option(c, "--search") && c->argc == 0)
        return explain_search(c);
    if (ctl_option(c, "--search") || c->argc == 0)
        return ctl_fail(EXIT_USAGE, "which question? waymarkctl explain SUFFIX | NAME TYPE | "
                                    "--search SUFFIX,...");
    code = explain_ask(c, c->argv[0], c->argv[1], &reply);
    if (c->format == FORMAT_JSON)
        return ctl_show_reply(c, code, reply, explain_rows);
    /* The first record stands apart from the others; a network is one text. */
    records = json_object_get(json_object_get(reply, "answer"), "records");
    json_object_set(reply, "first", json_array_get(records, 0));
    json_array_remove(records, 0);
    networks = json_object_get(json_object_get(reply, "client"), "networks");
    json_array_foreach(networks, i, network) json_array_set_new(
        networks, i,
        json_sprintf("%s (%s)%s", json_string_value(json_object_get(network, "name")),
                     json_string_value(json_object_get(network, "prefix")),
                     i + 1 < json_array_size(networks) ? "," : ""));
    return ctl_show_reply(c, code, reply, explain_rows);
}

const struct ctl_option explain_options[] = {
    {"--client", "IP", false, "the client that asks (default: this machine)"},
    {"--verdict", "V", false,
     "suppose that the real DNS says V (nxdomain, present, timeout, ...); no server is asked, and "
     "no daemon is needed"},
    {"--at", "SERIAL", false, "decide by the policy as it was at this serial"},
    {"--dnssec", NULL, false, "the client sets DO: it asks for DNSSEC records"},
    {"--search", "SUFFIX,...", true,
     "walk through the suffixes of a machine, in this order, up to the one that ends its search"},
    {0},
};
