/* SPDX-License-Identifier: BSD-2-Clause
 *
 * routes_cache.c -- GET /v1/cache/NAME and POST /v1/cache/flush.
 */
#include "resolver/routes.h"

#include <jansson.h>

#include "base/clock.h"
#include "wire/present.h"

enum { RECORD_TEXT = 4096, MAX_ENTRIES = 64 };

struct listing {
    json_t *entries;
    uint64_t now_ms;
};

static const char *kind_text(const struct cache_facts *f)
{
    static const char *const names[] = {"positive", "nodata", "nxdomain", "referral", "failure"};

    if (f->failure)
        return "failure";
    return f->reply_kind < ARRAY_LEN(names) ? names[f->reply_kind] : "other";
}

static json_t *records(const uint8_t *image, size_t len)
{
    json_t *list = json_array();
    struct message m;
    struct rr_walk walk;
    struct rr rr;
    char text[RECORD_TEXT];

    if (len == 0 || message_read_reply(&m, image, len) != 0)
        return list;
    rr_walk_init(&walk, &m, image, len);
    while (rr_walk_next(&walk, &rr))
        if (rr_print(image, len, &rr, text, sizeof text))
            json_array_append_new(list, json_string(text));
    return list;
}

static void add_entry(void *context, const struct cache_key *key, const struct cache_facts *f,
                      const uint8_t *image, size_t len)
{
    struct listing *l = context;
    char name[NAME_TEXT], type[TYPE_TEXT], rcode[TYPE_TEXT], server[ADDR_TEXT];
    json_int_t left =
        f->expires_ms > l->now_ms ? (json_int_t)((f->expires_ms - l->now_ms) / 1000) : 0;
    json_t *o;

    if (json_array_size(l->entries) >= MAX_ENTRIES)
        return;
    o = json_pack(
        "{s:s,s:s,s:s,s:s,s:I,s:I,s:b,s:o}", "name", name_print(key->name, name), "type",
        type_print(key->type, type), "rcode",
        f->failure && f->rcode == RCODE_TIMEOUT ? "timeout" : rcode_print(f->rcode, rcode), "kind",
        kind_text(f), "ttl_s", left, "age_s", (json_int_t)((l->now_ms - f->stored_ms) / 1000),
        "expired", f->expires_ms <= l->now_ms, "records", records(image, len));
    json_object_set_new(o, "server",
                        addr_is_any(&f->server) ? json_null()
                                                : json_string(addr_print_port(&f->server, server)));
    json_array_append_new(l->entries, o);
}

void routes_cache_get(void *context, struct control_request *r)
{
    struct daemon *d = context;
    const char *type_text = control_argument(r, "type");
    struct listing l = {json_array(), clock_now().mono_ms};
    struct name name;
    uint16_t type = 0;

    if (name_parse(&name, control_rest(r)) != 0) {
        control_refuse(r, 400, "not a domain name: %s", control_rest(r));
    } else if (type_text != NULL && type_parse(&type, type_text) != 0) {
        control_refuse(r, 400, "not a record type: %s", type_text);
    } else {
        name_fold(&name);
        cache_each(d->shared.cache, &name, type, l.now_ms, add_entry, &l);
        if (json_array_size(l.entries) == 0)
            control_refuse(r, 404, "nothing is cached at %s", control_rest(r));
        else
            control_answer(r, 200, json_pack("{s:O}", "entries", l.entries));
    }
    json_decref(l.entries);
}

void routes_cache_flush(void *context, struct control_request *r)
{
    struct daemon *d = context;
    const json_t *body = control_body(r);
    const char *text = json_string_value(json_object_get(body, "name"));
    bool below = json_is_true(json_object_get(body, "below"));
    struct name name;
    size_t n;

    if (json_is_true(json_object_get(body, "all"))) {
        n = cache_flush(d->shared.cache, NULL, true);
    } else if (text == NULL || name_parse(&name, text) != 0) {
        control_refuse(r, 400, "needs {\"name\": NAME, \"below\": BOOL} or {\"all\": true}");
        return;
    } else {
        name_fold(&name);
        n = cache_flush(d->shared.cache, &name, below);
    }
    control_answer(r, 200, json_pack("{s:I}", "flushed", (json_int_t)n));
}
