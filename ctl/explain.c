/* SPDX-License-Identifier: BSD-2-Clause
 *
 * explain.c -- `explain`: what a client would get for a question, why, and what Windows makes of it.
 *
 * The daemon explains, by the code that answers (resolver/explain.h). Where the real DNS is only
 * supposed and no daemon runs, or the policy is one of the past, the same code explains here, of a
 * store and the settings.
 *
 * `--search` explains suffix after suffix, as a Windows machine asks for them.
 */
#include "ctl/policy.h"

#include "audit/store.h"
#include "resolver/explain.h"
#include "resolver/machine.h"

enum { TIMEOUT_S = 30, CACHE_SIZE = 1 << 20 };

int explain_ask(struct ctl *c, const char *suffix, const char *type, json_t **out)
{
    const char *verdict = ctl_option(c, "--verdict"), *at = ctl_option(c, "--at"),
               *client = ctl_option(c, "--client");
    struct name parsed;
    /* SUFFIX alone means the discovery name below it. */
    bool is_whole = type || (name_parse(&parsed, suffix) == 0 && name_is_vlmcs(&parsed));
    char *name = ctl_text("%s%s%s", is_whole ? "" : "_vlmcs._tcp",
                          is_whole || suffix[0] == '.' ? "" : ".", suffix);
    static struct explain e; /* large */
    static struct scratch scratch;
    const struct hash_key key = {0};
    struct random random = {.left = 0};
    struct health *health = NULL; /* which hosts are up, the daemon knows */
    struct view view = {.settings = c->settings,
                        .random = &random,
                        .health = &health,
                        .stats = &e.stats,
                        .scratch = &scratch};
    struct store *store;
    struct diags d = {0};
    json_t *said = NULL;
    int status = -ENOENT, code;

    *out = NULL;
    if (!at || !verdict) /* the daemon has the present policy only */
        status = ctl_api(c,
                         CTL_PATH({"/v1/explain?name=", name}, {"&type=", type},
                                  {"&client=", client}, {"&verdict=", verdict},
                                  {"&dnssec=", ctl_option(c, "--dnssec") ? "yes" : NULL}),
                         NULL, TIMEOUT_S, out);
    /* Of the past, the real DNS is supposed to say what it says now. */
    if (at && status == 200)
        verdict = json_string_value(json_object_get(json_object_get(*out, "real"), "verdict"));
    if (at && status == 200 && !verdict) {
        code = ctl_misused("the real DNS is not asked: give --verdict");
    } else if (verdict && (at || status == -ENOENT || status == -ECONNREFUSED)) {
        code = explain_read(&e, name, type, client, verdict, &d) == 0
                   ? policy_open_at(c, at, &store)
                   : ctl_fail(EXIT_INVALID, "%s", d.list[0]);
        said = *out;
        *out = NULL;
        diags_fini(&d);
        e.dnssec = ctl_option(c, "--dnssec");
        if (code == 0) { /* the same of the store */
            machine_networks(c->settings);
            view.cache = ctl_checked(cache_new(CACHE_SIZE, &key));
            if ((view.policy = policy_reader_new(store)) == NULL)
                code = policy_failed(c, "explain", -errno);
            else
                *out = explain_run(&e, &view, NULL, c->now);
            json_object_set_new(*out, "offline", json_true());
            (void)json_object_update(json_object_get(*out, "real"), json_object_get(said, "real"));
            view_policy_end(&view);
            policy_reader_free(view.policy);
            store_close(store);
            cache_free(view.cache);
        }
    } else {
        code = ctl_api_result(c, status, *out);
    }
    json_decref(said);
    free(name);
    return code;
}

static const char offline[] = "[{?offline}this is decided of the policy store and the settings; "
                              "waymarkd alone knows which hosts are down or pinned]";

static const struct ctl_row explain_rows[] = {
    {"client", "client",
     "{address}, in [{networks}|no network]; "
     "[{?access.action=refuse}refused|{?access.action=drop}dropped|allowed] "
     "by [access {access.by}|default]"
     "[{?over_rate}; by UDP now above limits.client-rate, so not answered or sent to TCP]"},
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
    {"offline", NULL, offline},
    {0},
};

/* The suffixes in the order given, up to the first with a host, and what the machine shows in the
 * end: if there is no host, the code of the last answer. */
static int explain_search(struct ctl *c)
{
    static const struct ctl_row rows[] = {
        {"search", "search",
         "{suffix}\t[{explained.answer.rcode}|-]\t[{explained.decision.text}; |]{next}"},
        {"ends", NULL, "[with {end}|without a host]"},
        CTL_WINDOWS_ROWS("windows"),
        {"not known", "unknown", "{.}"},
        {"offline", NULL, offline},
        {0},
    };
    static const char order[] = "in which order a machine asks: primary suffix, AD domain, DHCP "
                                "option 15, search list",
                      others[] = "what other DNS servers of the machine say: NXDOMAIN of any of "
                                 "them ends the question",
                      after_nxdomain[] = "no host: the next suffix is asked for",
                      after_nodata[] = "no host: the next suffix is asked for, most likely; "
                                       "Microsoft does not say",
                      after_failure[] = "no answer that is of use: the machine asks its next DNS "
                                        "server, and tries for 10 s; whether it goes on to the "
                                        "next suffix, Microsoft does not say";
    json_t *search = json_array(), *explained, *last = NULL;
    char *list = strdupa(ctl_option(c, "--search")), *suffix;
    const char *end = NULL, *next, *rcode;
    int code = 0;

    while (code == 0 && (suffix = strsep(&list, ","))) {
        explained = NULL;
        next = "not asked";
        if (*suffix == '\0')
            continue;
        if (!end && (code = explain_ask(c, suffix, NULL, &explained)) == 0) {
            rcode =
                json_string_value(json_object_get(json_object_get(explained, "answer"), "rcode"));
            rcode = rcode ? rcode : "";
            next = strcmp(rcode, "NXDOMAIN") == 0  ? after_nxdomain
                   : strcmp(rcode, "NOERROR") == 0 ? after_nodata
                                                   : after_failure;
            last = explained;
            if (json_is_null(json_object_get(json_object_get(explained, "windows"), "code"))) {
                next = "a host: it ends the search";
                end = suffix;
            }
        }
        json_array_append_new(search, json_pack("{s:s,s:o?,s:s}", "suffix", suffix, "explained",
                                                explained, "next", next));
    }
    explained =
        json_pack("{s:o,s:s?,s:o,s:[s,s],s:b}", "search", search, "end", end, "windows",
                  last ? json_incref(json_object_get(last, "windows"))
                       : audit_windows_json(WINDOWS_NO_SUFFIX, 0),
                  "unknown", order, others, "offline", json_object_get(last, "offline") != NULL);
    return ctl_show_reply(c, code, explained, rows);
}

int explain_verb(struct ctl *c)
{
    const char *client = ctl_option(c, "--client");
    json_t *reply, *records, *networks, *network;
    struct addr addr;
    size_t i;
    int code;

    if (ctl_no_csv(c))
        return EXIT_USAGE;
    if (client && addr_parse(&addr, client, 0) != 0)
        return ctl_misused("--client %s: not an IP address", client);
    if (ctl_option(c, "--search") && c->argc == 0)
        return explain_search(c);
    if (ctl_option(c, "--search") || c->argc == 0)
        return ctl_misused("which question? waymarkctl explain SUFFIX | NAME TYPE | "
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
    {"--verdict", "nxdomain|nodata|present|unapproved|servfail|refused|timeout|other", false,
     "suppose that the real DNS says this; no server is asked, and no daemon is needed"},
    {"--at", "SERIAL", false, "decide by the policy as it was at this serial"},
    {"--dnssec", NULL, false, "the client sets DO: it asks for DNSSEC records"},
    {"--search", "SUFFIX,...", false,
     "walk through the suffixes of a machine, in this order, up to the one that ends its search"},
    {0},
};
