/* SPDX-License-Identifier: BSD-2-Clause
 *
 * json.h -- an audit event as one object in the words of the Elastic Common
 * Schema; what ECS has no word for stands under "waymark".
 */
#ifndef AUDIT_JSON_H
#define AUDIT_JSON_H

#include <jansson.h>

#include "audit/event.h"

/* A new reference; NULL when out of memory. host: the forwarder's name. */
json_t *audit_event_json(const struct audit_event *, const char *host);
/* "kms01.contoso.com:1688". */
enum { AUDIT_HOST_TEXT = 1040 };
const char *audit_host_print(const struct audit_host *, char out[AUDIT_HOST_TEXT]);
/* Text that may hold any octets, as a JSON string. */
json_t *audit_json_text(const char *);

#endif
