/* SPDX-License-Identifier: BSD-2-Clause
 *
 * settings.h -- reading, checking, comparing and printing settings.
 *
 * The table of options in settings/options.c is the only place that knows an
 * option's name, type, limits, default and help; file reading, -o, --check,
 * --print-config, --print-sample and the manual's text come from it.
 */
#ifndef SETTINGS_SETTINGS_H
#define SETTINGS_SETTINGS_H

#include "settings/options.h"

/* Reads FILE and the .yaml files in conf.d beside it (in the order of their names; a list
 * in a later file replaces, a scalar overrides), then the -o assignments
 * ("section.key=value", ended by NULL). path NULL: the default file, which may
 * be missing; a named file must exist. 0 and *out, or -EINVAL/-errno with every
 * problem in d. The caller frees. */
int settings_read(struct settings **out, const char *path, const char *const *assign,
                  struct diags *d);
/* The same from one text, without defaults of a file. */
int settings_read_text(struct settings **out, const char *name, const char *text, size_t len,
                       struct diags *d);
void settings_free(struct settings *);

/* Every option with its value in force, as YAML that reads back the same. */
void settings_print(const struct settings *, FILE *);
/* The commented sample file: every option that is used, with help and default. */
void settings_print_sample(FILE *);

/* Names of the options whose values differ, with old and new as text; restart
 * says whether the key is one of those that wait for a restart (server.*,
 * control.*, cache.size, cache.persist). */
typedef void settings_change(void *context, const char *key, const char *was, const char *is,
                             bool restart);
/* How many there are, or -ENOMEM. change may be NULL. */
int settings_compare(const struct settings *was, const struct settings *is, settings_change *,
                     void *context);

/* The same once more, in an arena of its own. 0 or -ENOMEM. */
int settings_copy(struct settings **out, const struct settings *);

/* In a new generation, gives the keys that need a restart the values that are
 * in force. 0, or -errno with every problem in d: each file may be
 * good by itself, and the mix of both break a rule between options. Then the
 * generation must not be used. */
int settings_keep(struct settings *is, const struct settings *was, struct diags *d);

/* True when a question sent there comes back to us. The machine's own
 * addresses behind a wildcard are not known here: only loopback counts. */
bool settings_listens_at(const struct settings *, const struct addr *);

/* The longest matching access rule; loopback stays allowed unless named, and
 * `machine` (the machine's own networks) is what counts when the list was not
 * given. *rule, if rule is not NULL, is the rule that says so, or NULL: none does. */
enum access_action settings_access(const struct settings *, const struct access_rule *machine,
                                   int n_machine, const struct addr *client,
                                   const struct access_rule **rule);

/* Hash of zone and servers: the same over reloads and starts; never 0. */
uint32_t route_id(const struct route *);

const char *settings_default_path(void);

#endif
