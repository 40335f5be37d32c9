/* SPDX-License-Identifier: BSD-2-Clause
 *
 * daemon_fields.c -- reads fields of the daemon's answers, writes its URLs.
 */
#include "ctl/daemon.h"

#include <stdlib.h>
#include <string.h>

const char *field_text(const json_t *object, const char *key, const char *without)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : without;
}

long long field_number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_real(value) ? (long long)json_real_value(value)
                               : (long long)json_integer_value(value);
}

bool field_true(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

char *field_joined(const json_t *array, const char *member, const char *between)
{
    char *text = ctl_text("%s", "");
    const json_t *item;
    size_t i;

    json_array_foreach(array, i, item)
    {
        const char *part = member ? field_text(item, member, "-") : json_string_value(item);
        char *more = ctl_text("%s%s%s", text, *text ? between : "", part ? part : "-");

        free(text);
        text = more;
    }
    return text;
}

char *url_escape(const char *text)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    static const char hex[] = "0123456789ABCDEF";
    char *out = ctl_alloc(NULL, strlen(text) * 3 + 1), *to = out;

    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (strchr(plain, *p)) {
            *to++ = (char)*p;
            continue;
        }
        *to++ = '%';
        *to++ = hex[*p >> 4];
        *to++ = hex[*p & 15];
    }
    *to = '\0';
    return out;
}
