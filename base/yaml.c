/* SPDX-License-Identifier: BSD-2-Clause
 *
 * yaml.c -- a YAML text as a tree of nodes, from libyaml's events.
 *
 *   text ──▶ libyaml ──event──▶ handle_*() ──▶ level[depth] ──▶ nodes in the arena
 *
 * level[] is the stack of open mappings and lists, of fixed height: a text
 * cannot make us recurse. Everything lives in the arena of struct yaml, also
 * when reading fails half way.
 *
 * A mapping's keys are compared with each other up to FEW_KEYS; behind that a
 * hash set of its children is kept, so that a million keys stay cheap. The
 * set's hash is keyed with addresses of this process, which the author of a
 * text does not know.
 *
 * Problems that leave the structure clear (a duplicate key, an anchor) are
 * reported and reading goes on, so that one run shows them all. A syntax
 * error ends it; syntax_words[] says it in the reader's words instead of
 * libyaml's.
 */
#include "base/yaml.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/arena.h"
#include "base/hash.h"

enum { LEVELS = 32, FEW_KEYS = 16 };

struct yaml {
    struct arena *arena;    /* owned */
    struct yaml_node *root; /* in the arena */
};

/* An open mapping or list. */
struct level {
    struct yaml_node *node; /* in the arena */
    struct yaml_node *last; /* child, or NULL */
    const char *key;        /* in a mapping: read, waiting for its value */
    unsigned key_line, key_column;
    struct yaml_node **set; /* owned; NULL while there are few keys */
    size_t set_size;        /* a power of two, at least twice the children */
};

struct reader {
    struct yaml *y;
    const char *name; /* borrowed: the file, for problems */
    const char *text; /* borrowed: without a byte order mark */
    size_t len;
    struct diags *d; /* borrowed, may be NULL */
    struct hash_key hash_key;
    size_t seen_index, seen_byte; /* a character and where it begins */
    bool bad;                     /* a problem was reported */
    bool done;                    /* the document has ended */
    unsigned depth;
    struct level level[LEVELS];
};

static unsigned from_one(size_t mark)
{
    return mark >= UINT32_MAX ? UINT32_MAX : (unsigned)mark + 1;
}

/* ---- problems ---- */

#define PROBLEM(r, mark, ...)                                                                      \
    ((r)->bad = true,                                                                              \
     diags_add((r)->d, (r)->name, from_one((mark).line), from_one((mark).column), __VA_ARGS__))

/* Where the character with this number begins: libyaml counts characters.
 * Goes on from the place found last, or a text of many problems would cost
 * the square of its length. */
static size_t byte_of(struct reader *r, size_t index)
{
    if (index < r->seen_index)
        r->seen_index = r->seen_byte = 0;
    while (r->seen_byte < r->len && r->seen_index < index) {
        r->seen_byte++;
        while (r->seen_byte < r->len && ((unsigned char)r->text[r->seen_byte] & 0xc0) == 0x80)
            r->seen_byte++;
        r->seen_index++;
    }
    return r->seen_byte;
}

static char byte_at(struct reader *r, yaml_mark_t mark)
{
    size_t at = byte_of(r, mark.index);

    return at < r->len ? r->text[at] : '\0';
}

enum { WORD_TEXT = 64 };

/* The word at a mark, as someone would put it into quotes. Returns out. */
static const char *word_at(struct reader *r, yaml_mark_t mark, char out[WORD_TEXT])
{
    const char *from = r->text + byte_of(r, mark.index);
    size_t left = r->len - (size_t)(from - r->text), n = 0;

    while (n < left && n < WORD_TEXT - 1 && strchr(" \t\r\n,]}\"'", from[n]) == NULL)
        n++;
    if (n > 0 && from[n - 1] == ':')
        n--; /* it was a key */
    memcpy(out, from, n);
    out[n] = '\0';
    return out;
}

/* The mark of a byte, for problems that libyaml does not give a mark. */
static yaml_mark_t mark_of(const char *text, size_t byte)
{
    yaml_mark_t mark = {0, 0, 0};

    for (size_t i = 0; i < byte; i++) {
        if (text[i] == '\n') {
            mark.line++;
            mark.column = 0;
        } else if (((unsigned char)text[i] & 0xc0) != 0x80) {
            mark.column++;
        }
    }
    return mark;
}

/* What libyaml says, and what we say. The first row whose parts occur in its
 * words is used; NULL occurs everywhere. */
struct syntax_words {
    const char *context, *problem;
    enum {
        HERE,   /* where libyaml stopped */
        INSIDE, /* the same, and name the line where the list or mapping begins */
        BEGIN,  /* where that begins which libyaml could not read to its end */
        QUOTE,  /* the same, and show the word in quotes */
    } how;
    const char *text;
};

static const struct syntax_words syntax_words[] = {
    {"scanning an alias", NULL, QUOTE, "a value that begins with * needs quotes"},
    {"scanning an anchor", NULL, QUOTE, "a value that begins with & needs quotes"},
    {"a tag", NULL, QUOTE, "a value that begins with ! needs quotes"},
    {NULL, "undefined tag handle", BEGIN, "a value that begins with ! needs quotes"},
    {"directive", NULL, BEGIN, "a text that begins with % needs quotes"},
    {NULL, "found a tab character", HERE, "a tab cannot indent; use spaces"},
    {NULL, "cannot start any token", QUOTE, "a value that begins with this character needs quotes"},
    {NULL, "mapping values are not allowed", HERE,
     "a \":\" is not allowed here: if it belongs to the value, put the value into quotes; "
     "if it ends a key, check the indentation of the line"},
    {"quoted scalar", "unknown escape", HERE,
     "no such escape: in double quotes a backslash is written \\\\; or use single quotes"},
    {"quoted scalar", "expected hex", HERE, "hexadecimal digits must follow this escape"},
    {"quoted scalar", "Unicode", HERE, "this escape is no Unicode character"},
    {"quoted scalar", NULL, BEGIN, "the quotation mark that opens here is never closed"},
    {"block scalar", NULL, HERE, "a text block is not written correctly here"},
    {"scanning a simple key", NULL, BEGIN, "there is no \":\" behind this key"},
    {"flow sequence", NULL, INSIDE, "a \",\" or \"]\" is missing in the list [...]"},
    {"flow mapping", NULL, INSIDE, "a \",\" or \"}\" is missing in the mapping {...}"},
    {"block mapping", NULL, INSIDE,
     "a key was expected here: check the indentation of the line, and quotes and brackets "
     "before it"},
    {"block collection", NULL, INSIDE,
     "a \"-\" was expected here: check the indentation of the line, and quotes and brackets "
     "before it"},
    {NULL, "block sequence entries are not allowed", HERE,
     "a list with \"-\" cannot begin here: begin it on a line of its own"},
    {NULL, "mapping keys are not allowed", HERE, "a key with \"?\" cannot begin here"},
    {NULL, "<document start>", HERE, "this stands behind the end of the document"},
    {NULL, "node content", HERE,
     "a value is missing here; one that begins with : or , needs quotes"},
};

static bool occurs(const char *part, const char *in)
{
    return part == NULL || (in != NULL && strstr(in, part) != NULL);
}

static int scan_problem(struct reader *r, const yaml_parser_t *p)
{
    const struct syntax_words *w = syntax_words;
    size_t left = ARRAY_LEN(syntax_words);
    char word[WORD_TEXT];

    if (occurs("cannot start any token", p->problem) && byte_at(r, p->problem_mark) == '\t')
        return PROBLEM(r, p->problem_mark, "a tab cannot indent; use spaces");
    for (; left > 0; left--, w++)
        if (occurs(w->context, p->context) && occurs(w->problem, p->problem))
            break;
    if (left == 0)
        return PROBLEM(r, p->problem_mark, "%s", p->problem != NULL ? p->problem : "not YAML");
    if (w->how == QUOTE)
        return PROBLEM(r, p->context_mark, "%s: write \"%s\"", w->text,
                       word_at(r, p->context_mark, word));
    if (w->how == BEGIN)
        return PROBLEM(r, p->context_mark, "%s", w->text);
    if (w->how == INSIDE && p->context_mark.line != p->problem_mark.line)
        return PROBLEM(r, p->problem_mark, "%s (the list or mapping begins in line %u)", w->text,
                       from_one(p->context_mark.line));
    return PROBLEM(r, p->problem_mark, "%s", w->text);
}

/* libyaml has stopped. */
static int syntax_problem(struct reader *r, const yaml_parser_t *p)
{
    if (p->error == YAML_MEMORY_ERROR)
        return -ENOMEM;
    if (p->error != YAML_READER_ERROR)
        return scan_problem(r, p);
    if (occurs("control characters", p->problem))
        return PROBLEM(r, mark_of(r->text, p->problem_offset),
                       "a control character; in double quotes it can be written \\x%02x",
                       (unsigned)p->problem_value);
    return PROBLEM(r, mark_of(r->text, p->problem_offset), "not UTF-8; save the text as UTF-8");
}

/* ---- keys ---- */

static size_t set_slot(const struct reader *r, const struct level *l, const char *key)
{
    size_t mask = l->set_size - 1;
    size_t i = (size_t)hash_bytes(&r->hash_key, key, strlen(key)) & mask;

    while (l->set[i] != NULL && strcmp(l->set[i]->key, key) != 0)
        i = (i + 1) & mask;
    return i;
}

/* Builds the set of all children, four times as large as they are many. */
static int set_build(const struct reader *r, struct level *l)
{
    struct yaml_node *child;

    free(l->set);
    l->set_size = 4 * FEW_KEYS;
    while (l->set_size < 4 * l->node->n)
        l->set_size *= 2;
    l->set = calloc(l->set_size, sizeof(struct yaml_node *));
    if (l->set == NULL)
        return -ENOMEM;
    for (child = l->node->first; child != NULL; child = child->next)
        l->set[set_slot(r, l, child->key)] = child;
    return 0;
}

static int set_add(const struct reader *r, struct level *l, struct yaml_node *child)
{
    if (l->node->n < FEW_KEYS)
        return 0;
    if (l->set == NULL || l->node->n > l->set_size / 2)
        return set_build(r, l);
    l->set[set_slot(r, l, child->key)] = child;
    return 0;
}

static const struct yaml_node *find_key(const struct reader *r, const struct level *l,
                                        const char *key)
{
    return l->set != NULL ? l->set[set_slot(r, l, key)] : yaml_get(l->node, key);
}

static int take_key(struct reader *r, struct level *l, const char *key, yaml_mark_t mark)
{
    const struct yaml_node *same = find_key(r, l, key);

    if (same != NULL)
        PROBLEM(r, mark, "duplicate key \"%.200s\"; it was given in line %u", key, same->key_line);
    l->key = key;
    l->key_line = from_one(mark.line);
    l->key_column = from_one(mark.column);
    return 0;
}

/* ---- nodes ---- */

/* A new node, as child of the innermost open mapping or list; NULL: no memory. */
static struct yaml_node *add_node(struct reader *r, enum yaml_kind kind, yaml_mark_t mark)
{
    struct level *l = r->depth > 0 ? &r->level[r->depth - 1] : NULL;
    struct yaml_node *n = arena_alloc(r->y->arena, sizeof *n);

    if (n == NULL)
        return NULL;
    n->kind = kind;
    n->text = "";
    n->line = from_one(mark.line);
    n->column = from_one(mark.column);
    if (l == NULL) {
        r->y->root = n;
        return n;
    }
    n->key = l->key;
    n->key_line = l->key_line;
    n->key_column = l->key_column;
    if (l->last != NULL)
        l->last->next = n;
    else
        l->node->first = n;
    l->last = n;
    l->node->n++;
    if (l->node->kind == YAML_MAP && set_add(r, l, n) != 0)
        return NULL;
    l->key = NULL;
    l->key_line = l->key_column = 0;
    return n;
}

static bool wants_key(const struct reader *r)
{
    const struct level *l = r->depth > 0 ? &r->level[r->depth - 1] : NULL;

    return l != NULL && l->node->kind == YAML_MAP && l->key == NULL;
}

static void refuse_properties(struct reader *r, const yaml_event_t *e, const yaml_char_t *anchor,
                              const yaml_char_t *tag)
{
    char word[WORD_TEXT];

    if (anchor != NULL)
        PROBLEM(r, e->start_mark,
                "anchors are not supported; a value that begins with & "
                "needs quotes: write \"%s\"",
                word_at(r, e->start_mark, word));
    else if (tag != NULL)
        PROBLEM(r, e->start_mark,
                "tags are not supported; a value that begins with ! "
                "needs quotes: write \"%s\"",
                word_at(r, e->start_mark, word));
}

/* A mapping or a list begins. */
static int open_level(struct reader *r, const yaml_event_t *e, enum yaml_kind kind)
{
    struct yaml_node *n;

    if (wants_key(r))
        return PROBLEM(r, e->start_mark,
                       "a key must be a word or a quoted text; "
                       "{ and [ in a key need quotes");
    if (r->depth == LEVELS)
        return PROBLEM(r, e->start_mark, "more than %d levels of lists and mappings", (int)LEVELS);
    n = add_node(r, kind, e->start_mark);
    if (n == NULL)
        return -ENOMEM;
    r->level[r->depth++] = (struct level){.node = n};
    return 0;
}

static void close_level(struct reader *r)
{
    r->depth--;
    free(r->level[r->depth].set);
    r->level[r->depth].set = NULL;
}

static int take_scalar(struct reader *r, const char *text, size_t len, bool quoted,
                       yaml_mark_t mark)
{
    struct yaml_node *n;
    char *copy;

    if (memchr(text, '\0', len) != NULL)
        return PROBLEM(r, mark, "a NUL byte is not allowed in a text");
    copy = arena_strndup(r->y->arena, text, len);
    if (copy == NULL)
        return -ENOMEM;
    if (wants_key(r))
        return take_key(r, &r->level[r->depth - 1], copy, mark);
    n = add_node(r, YAML_SCALAR, mark);
    if (n == NULL)
        return -ENOMEM;
    n->text = copy;
    n->quoted = quoted;
    return 0;
}

/* An unquoted "*word". The node keeps the text, so that reading can go on. */
static int take_alias(struct reader *r, const yaml_event_t *e)
{
    char word[WORD_TEXT];

    word_at(r, e->start_mark, word);
    PROBLEM(r, e->start_mark, "a value that begins with * needs quotes: write \"%s\"", word);
    return take_scalar(r, word, strlen(word), true, e->start_mark);
}

/* ---- the event loop ---- */

static int handle(struct reader *r, const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (r->done)
            return PROBLEM(r, e->start_mark, "a second document begins here; one is allowed");
        return 0;
    case YAML_DOCUMENT_END_EVENT:
        r->done = true;
        return 0;
    case YAML_ALIAS_EVENT:
        return take_alias(r, e);
    case YAML_SCALAR_EVENT:
        refuse_properties(r, e, e->data.scalar.anchor, e->data.scalar.tag);
        return take_scalar(r, (const char *)e->data.scalar.value, e->data.scalar.length,
                           e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE, e->start_mark);
    case YAML_SEQUENCE_START_EVENT:
        refuse_properties(r, e, e->data.sequence_start.anchor, e->data.sequence_start.tag);
        return open_level(r, e, YAML_LIST);
    case YAML_MAPPING_START_EVENT:
        refuse_properties(r, e, e->data.mapping_start.anchor, e->data.mapping_start.tag);
        return open_level(r, e, YAML_MAP);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        close_level(r);
        return 0;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
        return 0;
    }
    return 0;
}

static int read_events(struct reader *r)
{
    yaml_parser_t p;
    yaml_event_t e;
    bool end = false;
    int rc = 0;

    if (!yaml_parser_initialize(&p))
        return -ENOMEM;
    yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&p, (const unsigned char *)r->text, r->len);
    while (rc == 0 && !end) {
        if (!yaml_parser_parse(&p, &e)) {
            rc = syntax_problem(r, &p);
            break;
        }
        rc = handle(r, &e);
        end = e.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&e);
    }
    while (r->depth > 0)
        close_level(r);
    yaml_parser_delete(&p);
    return rc;
}

/* What can be said before libyaml looks at it; skips a byte order mark. */
static int check_bytes(struct reader *r)
{
    const char *nul;

    if (r->len >= 2 && (memcmp(r->text, "\xff\xfe", 2) == 0 || memcmp(r->text, "\xfe\xff", 2) == 0))
        return diags_add(r->d, r->name, 1, 1, "the text is UTF-16; save it as UTF-8");
    if (r->len >= 3 && memcmp(r->text, "\xef\xbb\xbf", 3) == 0) {
        r->text += 3;
        r->len -= 3;
    }
    nul = r->len > 0 ? memchr(r->text, '\0', r->len) : NULL;
    if (nul != NULL)
        return PROBLEM(r, mark_of(r->text, (size_t)(nul - r->text)),
                       "a NUL byte; the text must be UTF-8");
    return 0;
}

/* An empty text, or one of comments or "---" alone, is an empty mapping. */
static int check_root(struct reader *r)
{
    struct yaml_node *root = r->y->root;

    if (root == NULL)
        root = add_node(r, YAML_MAP, (yaml_mark_t){0, 0, 0});
    if (root == NULL)
        return -ENOMEM;
    if (root->kind == YAML_SCALAR && !root->quoted && root->text[0] == '\0')
        root->kind = YAML_MAP;
    return r->bad ? -EINVAL : 0;
}

int yaml_read(struct yaml **out, const char *name, const char *text, size_t len, struct diags *d)
{
    struct reader r = {.name = name, .text = text, .len = len, .d = d};
    int rc = -ENOMEM;

    r.y = calloc(1, sizeof *r.y);
    if (r.y == NULL || (r.y->arena = arena_new()) == NULL)
        goto fail;
    r.hash_key = (struct hash_key){(uintptr_t)r.y->arena, (uintptr_t)&r};
    if ((rc = check_bytes(&r)) != 0 || (rc = read_events(&r)) != 0 || (rc = check_root(&r)) != 0)
        goto fail;
    *out = r.y;
    return 0;
fail:
    yaml_free(r.y);
    return rc;
}

const struct yaml_node *yaml_root(const struct yaml *y)
{
    return y->root;
}

void yaml_free(struct yaml *y)
{
    if (y == NULL)
        return;
    arena_free(y->arena);
    free(y);
}

const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key)
{
    const struct yaml_node *child;

    if (map->kind != YAML_MAP)
        return NULL;
    for (child = map->first; child != NULL; child = child->next)
        if (strcmp(child->key, key) == 0)
            return child;
    return NULL;
}
