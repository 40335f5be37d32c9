/* SPDX-License-Identifier: BSD-2-Clause
 *
 * read.c -- builds a generation of settings: defaults, the file, conf.d, -o.
 *
 * Each source writes its values over those before it, so that the last one
 * wins; rules between options are checked when all have been read, and name
 * the source that the value in force came from. Reading goes on after a
 * problem, so that one run shows them all.
 */
#include "settings/options.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

enum { FILE_MAX_BYTES = 16 << 20, HOST_TEXT = 256, PATH_TEXT = 1100 };

static const char default_path[] = SYSCONFDIR "/waymark/waymark.yaml";

/* ---- the manner of settings ---- */

static int check_list(struct form *form, const struct field *o, const struct yaml_node *node)
{
    bool one = o->element->rows == NULL && o->max > 0; /* could the value be an element? */

    if (node->kind == YAML_SCALAR)
        return form_problem(form, node, "%s takes a list: write [%s%s%s]", o->key, one ? "\"" : "",
                            one ? node->text : "...", one ? "\"" : "");
    if (node->kind != YAML_LIST)
        return form_problem(form, node, "%s takes a list: begin each element with \"- \"", o->key);
    if (node->n < o->min)
        return form_problem(form, node, "%s is empty; write at least one", o->key);
    if (node->n > 0 && o->max == 0)
        return form_problem(form, node, "%s: only [] works in this version", o->key);
    if (node->n > o->max)
        return form_problem(form, node, "%s has %zu elements; at most %u are allowed", o->key,
                            node->n, (unsigned)o->max);
    return 0;
}

static int check_shape(struct form *form, const struct field *o, const struct yaml_node *node)
{
    if (o->rows != NULL)
        return node->kind == YAML_MAP
                   ? 0
                   : form_problem(form, node, "%s: an element looks like {%s: ..., %s: ...}",
                                  o->key, field_name(&o->rows[0]), field_name(&o->rows[1]));
    if (field_is_empty(node))
        return form_problem_key(form, node, "%s has no value; %s", o->key,
                                o->element != NULL      ? "write [] for an empty list"
                                : o->kind == &kind_text ? "write \"\" for an empty text"
                                                        : "leave the line out for the default");
    if (o->element != NULL)
        return check_list(form, o, node);
    if (node->kind != YAML_SCALAR)
        return form_problem(form, node, "%s takes one value, not a %s", o->key,
                            node->kind == YAML_LIST ? "list" : "mapping");
    return 0;
}

/* The key of a node that no row has, with the nearest one that is meant. */
static int unknown_option(struct form *form, const struct field *rows, const char *section,
                          const struct yaml_node *node)
{
    const char *near = field_nearest(rows, section, node->key);

    if (near != NULL)
        return form_problem_key(form, node, "unknown option \"%s\" in %s; did you mean \"%s\"?",
                                node->key, section, near);
    for (const struct field *o = settings_options; o->key != NULL; o++)
        if (strcmp(field_name(o), node->key) == 0) /* the line slipped */
            return form_problem_key(form, node, "unknown option \"%s\" in %s; it is %s", node->key,
                                    section, o->key);
    return form_problem_key(form, node,
                            "unknown option \"%s\" in %s; waymarkd --print-sample lists "
                            "all options",
                            node->key, section);
}

static int unknown_key(struct form *form, const struct field *map, const struct yaml_node *node)
{
    return unknown_option(form, map->rows, map->key, node);
}

static const struct form_style style = {
    .check = check_shape,
    .unknown = unknown_key,
    .defaults = true,
    .near = "%k: unknown word \"%t\"; did you mean \"%w\"?",
    .other = "%k: unknown word \"%t\"; use %w",
    .last = " or ",
    .host_bits = "%k: %t has bits behind its length; write the net's first address",
};

/* ---- one document ---- */

static void take_value(struct reader *r, const struct field *o, const struct yaml_node *node)
{
    if (field_read(&r->form, o, node, r->s) != 0)
        return;
    r->origin[o - settings_options] = (struct origin){node, r->form.file, r->form.assign};
}

static void read_section(struct reader *r, const char *section, const struct yaml_node *node)
{
    if (field_is_empty(node))
        return; /* all of its lines are comments */
    if (node->kind != YAML_MAP) {
        form_problem(&r->form, node, "%s is a section: write its options below it, indented",
                     section);
        return;
    }
    for (const struct yaml_node *one = node->first; one != NULL; one = one->next) {
        const struct field *o = field_find(settings_options, section, one->key);

        if (o != NULL)
            take_value(r, o, one);
        else
            unknown_option(&r->form, settings_options, section, one);
    }
}

static void unknown_section(struct reader *r, const struct yaml_node *node)
{
    const char *names[OPTIONS_MAX + 1], *near;
    size_t n = 0;

    for (const struct option_section *s = settings_sections; s->name != NULL; s++)
        names[n++] = s->name;
    for (const struct field *o = settings_options; o->key != NULL && n < OPTIONS_MAX; o++)
        if (option_is_table(o))
            names[n++] = o->key;
    names[n] = NULL;
    near = diag_nearest(node->key, names);
    if (near != NULL)
        form_problem_key(&r->form, node, "unknown section \"%s\"; did you mean \"%s\"?", node->key,
                         near);
    else if (field_find(settings_options, NULL, node->key) != NULL)
        form_problem_key(&r->form, node, "write %s as a section and, indented below it, its option",
                         node->key);
    else
        form_problem_key(&r->form, node,
                         "unknown section \"%s\"; waymarkd --print-sample lists all options",
                         node->key);
}

static void read_root(struct reader *r, const struct yaml_node *root)
{
    if (root->kind != YAML_MAP) {
        form_problem(&r->form, root, "settings consist of sections, like \"server:\"");
        return;
    }
    for (const struct yaml_node *one = root->first; one != NULL; one = one->next) {
        const struct field *o = field_find(settings_options, NULL, one->key);
        const struct option_section *s = settings_sections;

        while (s->name != NULL && strcmp(s->name, one->key) != 0)
            s++;
        if (s->name != NULL)
            read_section(r, s->name, one);
        else if (o != NULL && option_is_table(o))
            take_value(r, o, one);
        else
            unknown_section(r, one);
    }
}

static void set_source(struct reader *r, const char *file, const char *assign)
{
    r->form.file = file;
    r->form.assign = assign;
}

void read_document(struct reader *r, const char *name, const char *text, size_t len)
{
    const struct yaml_node *root;
    int rc;

    set_source(r, name, NULL);
    rc = yaml_read(&root, r->s->arena, name, text, len, r->form.d);
    if (rc == -ENOMEM)
        form_no_memory(&r->form);
    else if (rc != 0)
        r->form.rc = r->form.rc != 0 ? r->form.rc : rc; /* the problems are in d */
    else
        read_root(r, root);
}

/* ---- files ---- */

/* may_miss: no file is an empty file. drop_in: no pipe either, which would keep
 * a reload waiting. */
static void read_file(struct reader *r, const char *path, bool may_miss, bool drop_in)
{
    char *text, *name = arena_strdup(r->s->arena, path);
    struct stat st;
    size_t len;
    int rc;

    if (name == NULL) {
        form_no_memory(&r->form);
        return;
    }
    set_source(r, name, NULL);
    if (drop_in && stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        form_problem(&r->form, NULL, "is not a file");
        return;
    }
    rc = file_read(path, FILE_MAX_BYTES, &text, &len);
    if (rc == 0) {
        read_document(r, name, text, len);
        free(text);
    } else if (rc == -EFBIG) {
        form_problem(&r->form, NULL, "is larger than %d MB", FILE_MAX_BYTES >> 20);
    } else if (rc != -ENOENT || !may_miss) {
        form_problem(&r->form, NULL, "cannot be read: %s", strerror(-rc));
    }
}

/* Editors and package tools leave other names behind; they do not count. */
static int is_drop_in(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');

    return entry->d_name[0] != '.' && dot != NULL && strcmp(dot, ".yaml") == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name); /* whatever the locale is */
}

static void read_drop_ins(struct reader *r, const char *path)
{
    const char *slash = strrchr(path, '/');
    struct dirent **entries;
    char *folder, *file;
    int n;

    if (asprintf(&folder, "%.*sconf.d", slash != NULL ? (int)(slash + 1 - path) : 0, path) < 0) {
        form_no_memory(&r->form);
        return;
    }
    n = scandir(folder, &entries, is_drop_in, by_name);
    if (n < 0 && errno != ENOENT) {
        int rc = errno;

        set_source(r, arena_strdup(r->s->arena, folder), NULL);
        form_problem(&r->form, NULL, "cannot be read: %s", strerror(rc));
    }
    for (int i = 0; i < n; i++) {
        if (asprintf(&file, "%s/%s", folder, entries[i]->d_name) < 0) {
            form_no_memory(&r->form);
        } else {
            read_file(r, file, false, true);
            free(file);
        }
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    free(folder);
}

/* ---- -o, and defaults ---- */

/* Takes the value from a text of its own, in which YAML's problems have no
 * useful line. */
static void assign(struct reader *r, const struct field *o, const char *value)
{
    static const struct yaml_node empty = {.kind = YAML_SCALAR, .text = "", .quoted = true};
    const struct yaml_node *root;
    struct diags d;
    int rc;

    if (value[0] == '\0') {
        take_value(r, o, &empty);
        return;
    }
    diags_init(&d);
    rc = yaml_read(&root, r->s->arena, "-o", value, strlen(value), &d);
    for (size_t i = 0; i < d.n; i++)
        form_problem(&r->form, NULL, "%s", d.at[i].text);
    if (rc == -ENOMEM)
        form_no_memory(&r->form);
    else if (rc != 0 && d.n == 0)
        form_problem(&r->form, NULL, "is not YAML");
    else if (rc == 0)
        take_value(r, o, root);
    diags_fini(&d);
}

static void read_assignment(struct reader *r, const char *text)
{
    const char *equals = strchr(text, '='), *near;
    const struct field *o;
    char *key;

    set_source(r, "-o", text);
    if (equals == NULL) {
        form_problem(&r->form, NULL, "write it as section.key=value");
        return;
    }
    key = arena_strndup(r->s->arena, text, (size_t)(equals - text));
    if (key == NULL)
        form_no_memory(&r->form);
    else if ((o = field_find(settings_options, NULL, key)) != NULL)
        assign(r, o, equals + 1);
    else if ((near = field_nearest(settings_options, NULL, key)) != NULL)
        form_problem(&r->form, NULL, "unknown option \"%s\"; did you mean \"%s\"?", key, near);
    else
        form_problem(&r->form, NULL,
                     "unknown option \"%s\"; waymarkd --print-sample lists all options", key);
}

/* ---- from one generation to another ---- */

int settings_copy(struct settings **out, const struct settings *was)
{
    struct arena *arena = arena_new();
    struct settings *s = arena != NULL ? arena_alloc(arena, sizeof *s) : NULL;
    int rc = s != NULL ? 0 : -ENOMEM;

    if (rc == 0) {
        *s = *was;
        s->arena = arena;
    }
    for (const struct field *o = settings_options; o->key != NULL && rc == 0; o++)
        rc = field_copy(o, s, was, arena);
    if (rc == 0)
        *out = s;
    else
        arena_free(arena);
    return rc;
}

int settings_keep(struct settings *is, const struct settings *was, struct diags *d)
{
    struct reader r = {.s = is, .form = {.d = d}};

    for (const struct field *o = settings_options; o->key != NULL; o++)
        if ((o->flags & OPTION_RESTART) != 0 && field_copy(o, is, was, is->arena) != 0)
            return form_no_memory(&r.form);
    rules_check(&r);
    return r.form.rc;
}

/* ---- from the start to the end ---- */

int read_begin(struct reader *r, struct diags *d)
{
    struct arena *arena = arena_new();

    memset(r, 0, sizeof *r);
    r->form = (struct form){.style = &style, .d = d, .arena = arena};
    r->s = arena != NULL ? arena_alloc(arena, sizeof *r->s) : NULL;
    if (r->s == NULL) {
        arena_free(arena);
        return form_no_memory(&r->form);
    }
    r->s->arena = arena;
    for (const struct field *o = settings_options; o->key != NULL; o++) {
        set_source(r, "(defaults)", o->key);
        if (o->fallback != NULL)
            assign(r, o, o->fallback);
    }
    memset(r->origin, 0, sizeof r->origin);
    r->s->server.state_dir = STATEDIR "/waymark";
    r->s->server.run_dir = RUNDIR "/waymark";
    return 0;
}

/* Fills in the defaults that depend on the machine or on other options. */
int read_end(struct reader *r, struct settings **out)
{
    struct settings *s = r->s;
    char host[HOST_TEXT] = "", path[PATH_TEXT];

    if (s->server.name == NULL) {
        if (gethostname(host, sizeof host - 1) != 0 || option_not_a_host(host) != NULL)
            strcpy(host, "waymark");
        s->server.name = arena_strdup(s->arena, host);
    }
    snprintf(path, sizeof path, "%s/control.sock", s->server.run_dir);
    if (s->control.socket == NULL)
        s->control.socket = arena_strdup(s->arena, path);
    if (s->server.name == NULL || s->control.socket == NULL)
        form_no_memory(&r->form);
    rules_check(r);
    if (r->form.rc != 0) {
        settings_free(s);
        return r->form.rc;
    }
    for (int i = 0; i < s->n_routes; i++) {
        struct route *route = (struct route *)(uintptr_t)&s->routes[i]; /* still ours alone */

        route->id = route_id(route);
    }
    *out = s;
    return 0;
}

int settings_read(struct settings **out, const char *path, const char *const *assigned,
                  struct diags *d)
{
    struct reader r;

    if (read_begin(&r, d) != 0)
        return -ENOMEM;
    read_file(&r, path != NULL ? path : default_path, path == NULL, false);
    if (path == NULL || strcmp(path, "-") != 0)
        read_drop_ins(&r, path != NULL ? path : default_path);
    for (; assigned != NULL && *assigned != NULL; assigned++)
        read_assignment(&r, *assigned);
    return read_end(&r, out);
}

void settings_free(struct settings *s)
{
    if (s != NULL)
        arena_free(s->arena);
}

const char *settings_default_path(void)
{
    return default_path;
}
