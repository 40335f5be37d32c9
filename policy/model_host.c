/* SPDX-License-Identifier: BSD-2-Clause
 *
 * model_host.c -- a KMS host as one word: what `policy pool add` takes and
 * what tables show. FQDN[:PORT] and then options, each after a comma.
 */
#include "policy/model.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "base/str.h"
#include "wire/present.h"

enum { PART = 1100 };

/* Letters, digits, - and _, and beyond ASCII what Active Directory allows. */
static bool is_host_name(const struct name *n)
{
    for (size_t at = 0; n->at[at] != 0; at += 1u + n->at[at])
        for (size_t i = 1; i <= n->at[at]; i++) {
            uint8_t c = name_fold_octet(n->at[at + i]);

            if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_' &&
                c < 0x80)
                return false;
        }
    return true;
}

const char *host_target_check(const char *text, struct name *out)
{
    struct addr ip;
    struct name n;

    if (text[0] == '\0')
        return "has no host name";
    if (text[0] == '[' || addr_parse(&ip, text, 0) == 0)
        return "is an IP address; an SRV record needs a host name (give address=IP besides it)";
    if (strpbrk(text, " \t\r\n") != NULL || name_parse(&n, text) != 0 || !is_host_name(&n))
        return "is not a host name";
    if (n.labels < 2)
        return "has no dot; give the full name of the host, like kms01.contoso.com";
    if (name_is_vlmcs(&n) || n.at[1] == '_')
        return "is the name of a service; give the name of the KMS host";
    name_fold(&n);
    *out = n;
    return NULL;
}

static const char *port_parse(const char *text, uint16_t *out)
{
    uint64_t v;

    if (number_parse(&v, text, UINT16_MAX) != 0)
        return "has no valid port behind the colon (1 to 65535)";
    if (v == 0)
        return "has port 0, where no client can connect";
    *out = (uint16_t)v;
    return NULL;
}

static const char *u16_parse(const char *text, uint16_t *out)
{
    uint64_t v;

    if (number_parse(&v, text, UINT16_MAX) != 0)
        return "has a priority or weight that is not 0 to 65535";
    *out = (uint16_t)v;
    return NULL;
}

static const char *head_parse(struct policy_host *h, char *text)
{
    char *colon = strrchr(text, ':');
    const char *why;
    struct addr ip;

    if (colon != NULL && text[0] != '[' && addr_parse(&ip, text, 0) != 0) {
        *colon = '\0';
        why = port_parse(colon + 1, &h->port);
        if (why != NULL)
            return why;
    }
    return host_target_check(text, &h->target);
}

const char *host_address_add(struct policy_host *h, const char *text)
{
    struct addr ip;

    if (h->n_addresses == POLICY_HOST_ADDRESSES)
        return "has more than 8 addresses";
    if (addr_parse(&ip, text, 0) != 0 || ip.port != 0)
        return "has an address that is not an IP address";
    if (addr_is_any(&ip) || ip.scope != 0)
        return "has an address that no client can connect to";
    for (unsigned i = 0; i < h->n_addresses; i++)
        if (addr_same_ip(&h->addresses[i], &ip))
            return NULL;
    h->addresses[h->n_addresses++] = ip;
    return NULL;
}

static const char *option_parse(struct policy_host *h, char *text)
{
    char *equal = strchr(text, '=');

    if (equal != NULL) {
        *equal++ = '\0';
        if (strcmp(text, "priority") == 0)
            return u16_parse(equal, &h->priority);
        if (strcmp(text, "weight") == 0)
            return u16_parse(equal, &h->weight);
        if (strcmp(text, "address") == 0)
            return host_address_add(h, equal);
        if (strcmp(text, "probe") == 0)
            return bool_parse(&h->probe, equal) == 0 ? NULL
                                                     : "has a probe= that is neither yes nor no";
    }
    return "has an unknown option; known are priority=N, weight=N, address=IP, probe=no";
}

int host_parse(struct policy_host *out, const char *text, const char **why)
{
    struct policy_host h = {.port = POLICY_KMS_PORT, .probe = true};
    const char *at = text;

    for (bool head = true;; head = false) {
        size_t len = strcspn(at, ",");
        char part[PART];

        if (len >= sizeof part) {
            *why = "is too long";
            return -EINVAL;
        }
        memcpy(part, at, len);
        part[len] = '\0';
        *why = head ? head_parse(&h, part) : option_parse(&h, part);
        if (*why != NULL)
            return -EINVAL;
        if (at[len] == '\0')
            break;
        at += len + 1;
    }
    *out = h;
    return 0;
}

const char *host_print(const struct policy_host *h, char *out, size_t size)
{
    char name[NAME_TEXT], ip[ADDR_TEXT];
    struct str s;

    str_init(&s, out, size);
    str_addf(&s, "%s:%u", name_print(&h->target, name), (unsigned)h->port);
    if (h->priority != 0)
        str_addf(&s, ",priority=%u", (unsigned)h->priority);
    if (h->weight != 0)
        str_addf(&s, ",weight=%u", (unsigned)h->weight);
    for (unsigned i = 0; i < h->n_addresses; i++)
        str_addf(&s, ",address=%s", addr_print(&h->addresses[i], ip));
    if (!h->probe)
        str_add(&s, ",probe=no");
    return out;
}
