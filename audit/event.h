/* SPDX-License-Identifier: BSD-2-Clause
 *
 * event.h -- one KMS discovery question and what became of it, as a value; and
 * its way to the writer.
 *
 * The worker fills it, the ring carries it packed, the writer stores it as numbers. A ring has one
 * producer, one consumer and no lock; a full one drops the newest and counts.
 */
#ifndef AUDIT_EVENT_H
#define AUDIT_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "wire/kms.h"
#include "wire/name.h"

/* clang-format off */
enum audit_transport { AUDIT_UDP = 1, AUDIT_TCP };
/* Control records, in the same sequence as events. Stored: append only. */
enum audit_kind { AUDIT_EVENT = 0, AUDIT_START, AUDIT_STOP, AUDIT_SETTINGS, AUDIT_POLICY, AUDIT_GAP, AUDIT_PRUNE,
    AUDIT_FORGET, AUDIT_HEAD, AUDIT_KINDS };
/* clang-format on */

extern const char *const audit_kind_names[AUDIT_KINDS + 1];

enum { AUDIT_TEXT = 64, AUDIT_NETWORKS = 512, AUDIT_HOSTS = 2048 };

struct audit_event {
    /* Packed as they are, up to qname. */
    uint64_t wall_ms, mono_ms;
    uint64_t policy_serial;      /* of the policy that decided */
    uint64_t lost, lost_from_ms; /* GAP: how many, since when; PRUNE: up to when */
    struct addr client;          /* with its port */
    uint32_t real_ms;            /* how long the verdict took */
    uint32_t latency_us;         /* arrival to answer */
    uint16_t id, flags;
    uint8_t kind; /* enum audit_kind */
    uint8_t transport;
    bool edns_do;
    bool repeat;  /* same client, port, ID and name within 10 s */
    bool counted; /* above the rates: ledger rows only */
    bool cached;  /* verdict or decision is of the cache */
    /* Packed as far as they are used. */
    struct name qname; /* as asked, with its case */
    /* From here on, what is the same for many events and is stored once for them. */
    struct addr server; /* who gave the verdict; any = none */
    uint16_t qtype;
    uint16_t real_rcode;
    uint16_t rcode; /* sent to the client */
    uint8_t verdict, outcome, reason;
    uint8_t would; /* outcome with the rules in shadow, 0 = none */
    char rule[AUDIT_TEXT];
    char would_rule[AUDIT_TEXT];
    char text[128]; /* control records: what happened, by whom */
    /* Parted by spaces, as many as there is room for. */
    char networks[AUDIT_NETWORKS];
    char real[AUDIT_HOSTS]; /* "kms01.contoso.com:1688 ...": of the real answer */
    char answer[AUDIT_HOSTS];
    char unapproved[AUDIT_HOSTS]; /* those of real that no policy names */
};

/* How a client is recorded. A key is a file in the audit's directory. */
enum audit_client { AUDIT_CLIENT_FULL, AUDIT_CLIENT_PREFIX, AUDIT_CLIENT_HMAC };
struct audit_privacy {
    enum audit_client how;
    uint8_t key[32]; /* for HMAC */
};
/* Reads the key, if how asks for one, and makes it first if need be and `make`. 0 or -errno. */
int audit_privacy_read(struct audit_privacy *, const char *dir, bool make);
/* Puts into an address what is recorded of it: itself, its /24 or /56, or a mark and its HMAC. */
void audit_client_hide(uint8_t ip[16], const struct audit_privacy *);
/* As it is recorded: an address, or "hmac:" and 16 digits. Returns out. */
const char *audit_client_print(const uint8_t ip[16], char out[ADDR_TEXT]);

/* The code that Windows shows for this answer (0x8007232B ...), 0 = none: an
 * answer with a host. reference: Win32 DNS errors as HRESULT. */
uint32_t audit_client_error(const struct audit_event *);

/* Packed, an event has the octets that it uses and no more; it never leaves the
 * process. The members before qname, and qname as far as it is used, lie as in the
 * struct; what is behind them is the same for many events. The length, 0 if it does not
 * fit; AUDIT_EVENT_MAX is always enough. */
enum { AUDIT_EVENT_MAX = 8192 };
size_t audit_event_pack(const struct audit_event *, uint8_t *out, size_t size);
void audit_event_unpack(struct audit_event *, const uint8_t *, size_t);

struct audit_ring; /* opaque */

/* Of a power of two; it is released with free(). NULL: out of memory. */
struct audit_ring *audit_ring_new(size_t bytes);

/* Producer. Packs the event straight into the ring; false when it is full
 * (then counted as dropped). Wait-free, no allocation. */
bool audit_ring_push(struct audit_ring *, const struct audit_event *);

/* An event as it lies in a ring, aligned to 8: of its members those before qname can be read. */
struct audit_record {
    uint64_t len; /* packed */
    struct audit_event event;
};
static inline size_t audit_record_size(uint64_t len)
{
    return (offsetof(struct audit_record, event) + len + 7) & ~(size_t)7;
}

/* Consumer. The oldest, or NULL. It stays valid until release. */
const struct audit_record *audit_ring_peek(struct audit_ring *);
void audit_ring_release(struct audit_ring *);

uint64_t audit_ring_dropped(const struct audit_ring *); /* ever; any thread */

#endif
