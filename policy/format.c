/* SPDX-License-Identifier: BSD-2-Clause
 *
 * format.c -- the record "M" "format": a mark, then one octet of format.
 *
 * This record keeps its form, its value head too, forever: by it an older
 * version knows a newer store.
 */
#include "policy/format.h"

#include <errno.h>

#include "policy/records.h"
#include "policy/store_file.h"

enum { FORMAT = 1 };
static const char mark[] = "waymark-policy";
enum { MARK = sizeof mark - 1 };

static int format_read(struct kv *kv, unsigned *found)
{
    struct kv_bytes v;
    struct kv_key k;
    int rc;

    key_named(&k, TABLE_META, "format");
    rc = kv_get(kv, &k, &v);
    if (rc != 0)
        return rc;
    if (v.len != MARK + 1 || memcmp(v.at, mark, MARK) != 0)
        return -EBADMSG;
    *found = v.at[MARK];
    return 0;
}

static int format_write(struct policy_store *store)
{
    uint8_t value[MARK + 1];
    struct policy_state state = {0};
    struct kv_key k;
    struct kv *kv;
    unsigned found;
    int rc = kv_begin(store, true, &kv);

    if (rc != 0)
        return rc;
    if (format_read(kv, &found) == 0) { /* another process was faster */
        kv_end(kv);
        return 0;
    }
    memcpy(value, mark, MARK);
    value[MARK] = FORMAT;
    key_named(&k, TABLE_META, "format");
    rc = kv_put(kv, &k, value, sizeof value);
    if (rc >= 0)
        rc = state_write(kv, &state);
    if (rc < 0) {
        kv_end(kv);
        return rc;
    }
    return kv_commit(kv);
}

/* -ENOENT: nothing at all is stored. */
static int format_find(struct kv *kv, unsigned *found)
{
    struct kv_key first = {.len = 1, .at = {0}};
    struct kv_entry e;
    int rc = format_read(kv, found);

    return rc == -ENOENT && kv_seek(kv, &first, &e) != -ENOENT ? -EBADMSG : rc;
}

int format_open(struct policy_store *store, const char *dir, bool create, struct diags *d)
{
    unsigned found = 0;
    struct kv *kv;
    int rc = kv_begin(store, false, &kv);

    if (rc != 0)
        return rc;
    kv_guarded(rc, kv, format_find(kv, &found));
    kv_end(kv);
    if (rc == -ENOENT && create)
        return format_write(store);
    if (rc == -EBADMSG || rc == -EIO)
        rc = store_file_damaged(d, dir, "is damaged, or no policy store");
    if (rc == 0 && found > FORMAT) {
        diags_add(d, NULL, 0, 0,
                  "%s was written by a newer Waymark (format %u, this one knows "
                  "%d); upgrade, or move it away and import a policy",
                  dir, found, FORMAT);
        rc = -EBADMSG;
    }
    return rc;
}
