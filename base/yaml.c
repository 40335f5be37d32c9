/* SPDX-License-Identifier: BSD-2-Clause
 *
 * yaml.c -- a YAML text as a tree of nodes, from libyaml's events; and one
 * scalar out.
 *
 *   text ──▶ libyaml ──event──▶ handle() ──▶ level[depth] ──▶ nodes in the arena
 *
 * level[] is the stack of open mappings and lists, of fixed height: a text
 * cannot make us recurse. Everything lives in the caller's arena, also when
 * reading fails half way.
 *
 * Problems that leave the structure clear (a duplicate key, an anchor) are
 * reported and reading goes on, so that one run shows them all. A syntax
 * error ends it; syntax_words[] says it in the reader's words instead of
 * libyaml's.
 */
#include "base/yaml.h"

#include <errno.h>
#include <search.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/arena.h"
#include "base/str.h"

enum { LEVELS = 32, WORD_TEXT = 64 };

/* An open mapping or list. */
struct level {
    struct yaml_node *node;    /* in the arena */
    struct yaml_node *last;    /* child, or NULL */
    struct yaml_node *pending; /* in a mapping: has its key, waits for its value */
    void *keys;                /* owned: tree of the children by key, see tsearch(3) */
};

struct reader {
    struct arena *arena; /* borrowed: nodes and their texts */
    struct yaml_node *root;
    const char *name; /* borrowed: the file, for problems */
    const char *text; /* borrowed: without a byte order mark */
    size_t len;
    struct diags *d; /* borrowed, may be NULL */
    bool bad;        /* a problem was reported */
    bool done;       /* the document has ended */
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

/* The word at a mark, as someone would put it into quotes; returns out. libyaml
 * counts characters, so the text is walked, but only for problems that are kept. */
static const char *word_at(const struct reader *r, yaml_mark_t mark, char out[WORD_TEXT])
{
    const char *p = r->text, *end = r->text + r->len;
    size_t n = 0;

    if (r->d == NULL || r->d->n == DIAG_MAX)
        p = end;
    for (size_t i = 0; i < mark.index && p < end; i++)
        do
            p++;
        while (p < end && ((unsigned char)*p & 0xc0) == 0x80);
    while (p + n < end && n < WORD_TEXT - 1 && strchr(" \t\r\n,]}\"'", p[n]) == NULL)
        n++;
    if (n > 0 && p[n - 1] == ':')
        n--; /* it was a key */
    memcpy(out, p, n);
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

/* What libyaml says, and what we say. The first row whose words occur in its
 * problem or context is used. */
static const struct {
    const char *words;
    enum {
        HERE,   /* where libyaml stopped */
        INSIDE, /* the same, and name the line where the list or mapping begins */
        BEGIN,  /* where that begins which libyaml could not read to its end */
    } how;
    const char *text;
} syntax_words[] = {
    {"tab character", HERE, "a tab cannot indent; use spaces"},
    {"cannot start any token", HERE, "a tab cannot indent; use spaces"},
    {"mapping values are not allowed", HERE,
     "a \":\" is not allowed here: if it belongs to the value, put the value into quotes; "
     "if it ends a key, check the indentation of the line"},
    {"unknown escape", HERE,
     "no such escape: in double quotes a backslash is written \\\\; or use single quotes"},
    {"expected hex", HERE, "hexadecimal digits must follow this escape"},
    {"Unicode", HERE, "this escape is no Unicode character"},
    {"quoted scalar", BEGIN, "the quotation mark that opens here is never closed"},
    {"block scalar", HERE, "a text block is not written correctly here"},
    {"scanning a simple key", BEGIN, "there is no \":\" behind this key"},
    {"flow sequence", INSIDE, "a \",\" or \"]\" is missing in the list [...]"},
    {"flow mapping", INSIDE, "a \",\" or \"}\" is missing in the mapping {...}"},
    {"block mapping", INSIDE,
     "a key was expected here: check the indentation of the line, and quotes and brackets "
     "before it"},
    {"block collection", INSIDE,
     "a \"-\" was expected here: check the indentation of the line, and quotes and brackets "
     "before it"},
    {"block sequence entries are not allowed", HERE,
     "a list with \"-\" cannot begin here: begin it on a line of its own"},
    {"mapping keys are not allowed", HERE, "a key with \"?\" cannot begin here"},
    {"<document start>", HERE, "this stands behind the end of the document"},
    {"node content", HERE, "a value is missing here; one that begins with : or , needs quotes"},
};

/* libyaml has stopped. What begins with a character that YAML has a use for was
 * meant as a value. */
static int syntax_problem(struct reader *r, const yaml_parser_t *p)
{
    yaml_mark_t begin = p->context != NULL ? p->context_mark : p->problem_mark;
    const char *problem = p->problem != NULL ? p->problem : "not YAML";
    const char *context = p->context != NULL ? p->context : "";
    char word[WORD_TEXT];

    if (p->error == YAML_MEMORY_ERROR)
        return -ENOMEM;
    if (p->error == YAML_READER_ERROR) {
        begin = mark_of(r->text, p->problem_offset);
        if (strstr(problem, "control characters") == NULL)
            return PROBLEM(r, begin, "not UTF-8; save the text as UTF-8");
        return PROBLEM(r, begin, "a control character; in double quotes it can be written \\x%02x",
                       (unsigned)p->problem_value);
    }
    word_at(r, begin, word);
    if (word[0] != '\0' && (strstr(problem, "cannot start any token") != NULL ||
                            strstr(problem, "undefined tag handle") != NULL ||
                            (p->error == YAML_SCANNER_ERROR && strchr("*&!%", word[0]) != NULL)))
        return PROBLEM(r, begin, "a value that begins with %c needs quotes: write \"%s\"", word[0],
                       word);
    for (size_t i = 0; i < ARRAY_LEN(syntax_words); i++) {
        const char *text = syntax_words[i].text, *words = syntax_words[i].words;

        if (strstr(context, words) == NULL && strstr(problem, words) == NULL)
            continue;
        if (syntax_words[i].how == BEGIN)
            return PROBLEM(r, begin, "%s", text);
        if (syntax_words[i].how == INSIDE && begin.line != p->problem_mark.line)
            return PROBLEM(r, p->problem_mark, "%s (the list or mapping begins in line %u)", text,
                           from_one(begin.line));
        return PROBLEM(r, p->problem_mark, "%s", text);
    }
    return PROBLEM(r, p->problem_mark, "%s", problem);
}

/* ---- nodes ---- */

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct yaml_node *)a)->key, ((const struct yaml_node *)b)->key);
}

/* A new node, as child of the innermost open mapping or list; NULL: no memory. */
static struct yaml_node *add_node(struct reader *r, struct level *l, enum yaml_kind kind,
                                  yaml_mark_t mark)
{
    struct yaml_node *n =
        l != NULL && l->pending != NULL ? l->pending : arena_alloc(r->arena, sizeof *n);

    if (n == NULL)
        return NULL;
    n->kind = kind;
    n->text = "";
    n->line = from_one(mark.line);
    n->column = from_one(mark.column);
    if (l == NULL) {
        r->root = n;
        return n;
    }
    if (l->last != NULL)
        l->last->next = n;
    else
        l->node->first = n;
    l->last = n;
    l->node->n++;
    l->pending = NULL;
    return n;
}

static int take_scalar(struct reader *r, struct level *l, const char *text, size_t len, bool quoted,
                       yaml_mark_t mark)
{
    struct yaml_node *n, **same;
    char *copy;

    if (memchr(text, '\0', len) != NULL)
        return PROBLEM(r, mark, "a NUL byte is not allowed in a text");
    copy = arena_strndup(r->arena, text, len);
    if (copy == NULL)
        return -ENOMEM;
    if (l == NULL || l->node->kind != YAML_MAP || l->pending != NULL) {
        n = add_node(r, l, YAML_SCALAR, mark);
        if (n == NULL)
            return -ENOMEM;
        n->text = copy;
        n->quoted = quoted;
        return 0;
    }
    /* a key */
    n = arena_alloc(r->arena, sizeof *n);
    if (n == NULL)
        return -ENOMEM;
    n->key = copy;
    n->key_line = from_one(mark.line);
    n->key_column = from_one(mark.column);
    same = tsearch(n, &l->keys, by_key);
    if (same == NULL)
        return -ENOMEM;
    if (*same != n)
        PROBLEM(r, mark, "duplicate key \"%.200s\"; it was given in line %u", copy,
                (*same)->key_line);
    l->pending = n;
    return 0;
}

/* A mapping or a list begins. */
static int open_level(struct reader *r, struct level *l, enum yaml_kind kind, yaml_mark_t mark)
{
    struct yaml_node *n;

    if (l != NULL && l->node->kind == YAML_MAP && l->pending == NULL)
        return PROBLEM(r, mark,
                       "a key must be a word or a quoted text; { and [ in a key need quotes");
    if (r->depth == LEVELS)
        return PROBLEM(r, mark, "more than %d levels of lists and mappings", (int)LEVELS);
    n = add_node(r, l, kind, mark);
    if (n == NULL)
        return -ENOMEM;
    r->level[r->depth++] = (struct level){.node = n};
    return 0;
}

static void keep_node(void *node)
{
    (void)node; /* it is the arena's */
}

static void close_level(struct reader *r)
{
    tdestroy(r->level[--r->depth].keys, keep_node);
}

/* ---- events ---- */

static void refuse_properties(struct reader *r, yaml_mark_t mark, const yaml_char_t *anchor,
                              const yaml_char_t *tag)
{
    char word[WORD_TEXT];

    if (anchor != NULL || tag != NULL)
        PROBLEM(r, mark,
                "%s are not supported; a value that begins with %c needs quotes: write \"%s\"",
                anchor != NULL ? "anchors" : "tags", anchor != NULL ? '&' : '!',
                word_at(r, mark, word));
}

static int handle(struct reader *r, const yaml_event_t *e)
{
    struct level *l = r->depth > 0 ? &r->level[r->depth - 1] : NULL;
    yaml_mark_t mark = e->start_mark;
    char word[WORD_TEXT];

    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (r->done)
            return PROBLEM(r, mark, "a second document begins here; one is allowed");
        return 0;
    case YAML_DOCUMENT_END_EVENT:
        r->done = true;
        return 0;
    case YAML_ALIAS_EVENT: /* an unquoted "*word"; the node keeps the text, to read on */
        PROBLEM(r, mark, "a value that begins with * needs quotes: write \"%s\"",
                word_at(r, mark, word));
        return take_scalar(r, l, word, strlen(word), true, mark);
    case YAML_SCALAR_EVENT:
        refuse_properties(r, mark, e->data.scalar.anchor, e->data.scalar.tag);
        return take_scalar(r, l, (const char *)e->data.scalar.value, e->data.scalar.length,
                           e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE, mark);
    case YAML_SEQUENCE_START_EVENT:
        refuse_properties(r, mark, e->data.sequence_start.anchor, e->data.sequence_start.tag);
        return open_level(r, l, YAML_LIST, mark);
    case YAML_MAPPING_START_EVENT:
        refuse_properties(r, mark, e->data.mapping_start.anchor, e->data.mapping_start.tag);
        return open_level(r, l, YAML_MAP, mark);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        close_level(r);
        return 0;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
        break;
    }
    return 0;
}

int yaml_read(const struct yaml_node **root, struct arena *arena, const char *name,
              const char *text, size_t len, struct diags *d)
{
    struct reader r = {.arena = arena, .name = name, .text = text, .len = len, .d = d};
    const char *nul;
    yaml_parser_t p;
    yaml_event_t e;
    bool end = false;
    int rc = 0;

    if (len >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0))
        return diags_add(d, name, 1, 1, "the text is UTF-16; save it as UTF-8");
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        r.text += 3;
        r.len -= 3;
    }
    nul = r.len > 0 ? memchr(r.text, '\0', r.len) : NULL;
    if (nul != NULL)
        return PROBLEM(&r, mark_of(r.text, (size_t)(nul - r.text)),
                       "a NUL byte; the text must be UTF-8");
    if (!yaml_parser_initialize(&p))
        return -ENOMEM;
    yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&p, (const unsigned char *)r.text, r.len);
    while (rc == 0 && !end) {
        if (!yaml_parser_parse(&p, &e)) {
            rc = syntax_problem(&r, &p);
            break;
        }
        rc = handle(&r, &e);
        end = e.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&e);
    }
    while (r.depth > 0)
        close_level(&r);
    yaml_parser_delete(&p);
    if (rc != 0)
        return rc;
    if (r.root == NULL && add_node(&r, NULL, YAML_MAP, (yaml_mark_t){0, 0, 0}) == NULL)
        return -ENOMEM;
    if (r.root->kind == YAML_SCALAR && !r.root->quoted && r.root->text[0] == '\0')
        r.root->kind = YAML_MAP; /* comments or "---" alone */
    if (r.bad)
        return -EINVAL;
    *root = r.root;
    return 0;
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

/* ---- one scalar out ---- */

/* Plain is only what nobody has to think about: a letter, digit, "_" or "/",
 * then also . - + : and single blanks inside. That is stricter than YAML, and
 * reads back the same in a block, in [ ] and in { }. */
static bool is_plain(const char *text)
{
    static const char plain[] =
        ".-+abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_/";

    if (text[0] == '\0' || strchr(plain + 3, text[0]) == NULL)
        return false;
    for (const char *p = text; *(p += strspn(p, plain)) != '\0'; p++)
        if ((*p != ':' && *p != ' ') || p[1] == '\0' || p[1] == ' ')
            return false; /* what ends a key or a value would be lost */
    return true;
}

/* Bytes that are no UTF-8 cannot stand in YAML; each becomes the Latin-1
 * character of the same number. Names come here in presentation form, where
 * such bytes are written \DDD. */
void yaml_quote(struct str *s, const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    uint32_t c;

    if (is_plain(text)) {
        str_add(s, text);
        return;
    }
    str_add(s, "\"");
    while (*p != '\0') {
        size_t n = str_utf8(p, &c);
        bool escape; /* what a reader would refuse, or take for a line break */

        if (n == 0)
            c = *p;
        escape = n == 0 || c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x2028 || c == 0x2029 ||
                 c == 0xfeff || c == 0xfffe || c == 0xffff;
        if (c == '\n' || c == '\t' || c == '\r')
            str_add(s, c == '\n' ? "\\n" : c == '\t' ? "\\t" : "\\r");
        else if (escape)
            str_addf(s, c <= 0xff ? "\\x%02x" : "\\u%04x", (unsigned)c);
        else {
            str_add(s, c == '"' || c == '\\' ? "\\" : "");
            str_add_bytes(s, p, n);
        }
        p += n > 0 ? n : 1;
    }
    str_add(s, "\"");
}
