/* SPDX-License-Identifier: BSD-2-Clause
 *
 * audit_open.c -- the way of the audit verbs to the store, and a ledger made
 * from the events that pass a filter.
 */
#include "ctl/audit.h"

#include <errno.h>
#include <stdlib.h>

#include "audit/ledger.h"
#include "base/guard.h"

static char *store_path(const struct ctl *c)
{
    return ctl_text("%s/audit", c->settings->server.state_dir);
}

int audit_fault(struct ctl *c, int err)
{
    char *path = store_path(c);
    int rc = err == -EBADMSG
                 ? ctl_fail(EXIT_FAILED, "%s is damaged: put back a backup, or move it away", path)
                 : ctl_store_error(c, path, err);

    free(path);
    return rc;
}

void audit_damaged(uint64_t n)
{
    if (n > 0)
        ctl_warn("%llu damaged records were left out", (unsigned long long)n);
}

int audit_open(struct ctl *c, struct audit_reader **out)
{
    char *path = store_path(c);
    struct diags d;
    int code = ctl_become_user(c), rc;

    *out = NULL;
    diags_init(&d);
    guard_exit(ctl_text("waymarkctl: %s is damaged: put back a backup, or move it away\n", path),
               EXIT_FAILED);
    if (code == 0) {
        rc = audit_reader_open(out, path, &d);
        if (rc == -ENOENT)
            ctl_note("no audit yet: %s is empty, waymarkd has recorded nothing", path);
        else if (rc == -EBADMSG && d.n > 0)
            code = ctl_fail(EXIT_FAILED, "%s %s", d.at[0].file, d.at[0].text);
        else if (rc != 0)
            code = ctl_store_error(c, path, rc);
    }
    diags_fini(&d);
    free(path);
    return code;
}

struct scanning {
    const struct audit_filter *filter;
    struct audit_scan *scan;
    struct ledger_sizes sizes;
};

static int scan_event(void *context, const struct audit_event *e, const char *host)
{
    struct scanning *x = context;

    (void)host;
    if (e->kind != AUDIT_EVENT || !audit_filter_event(x->filter, e))
        return 0;
    x->scan->events++;
    if (x->scan->oldest_ms == 0 || e->wall_ms < x->scan->oldest_ms)
        x->scan->oldest_ms = e->wall_ms;
    return ledger_add(x->scan->ledger, e, &x->sizes);
}

int audit_scan(struct audit_reader *r, const struct audit_filter *f, struct audit_scan *scan)
{
    struct scanning x = {.filter = f, .scan = scan};

    *scan = (struct audit_scan){.ledger = ledger_new(NULL, NULL)};
    if (scan->ledger == NULL)
        return -ENOMEM;
    for (int k = 0; k < LEDGER_KINDS; k++)
        x.sizes.most[k] = UINT64_MAX;
    return audit_each_event(r, &f->range, scan_event, &x, &scan->damaged);
}
