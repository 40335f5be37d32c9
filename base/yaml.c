/* SPDX-License-Identifier: BSD-2-Clause
 *
 * yaml.c -- a YAML text as a tree of nodes, from libyaml's events; and one scalar out.
 *
 * Problems that leave the structure clear (a duplicate key, an anchor) are reported and reading
 * goes on, so that one run shows them all. A syntax error ends it.
 */
#include "base/fields.h"

#include <errno.h>
#include <search.h>
#include <yaml.h>

enum { LEVELS = 32, WORD_TEXT = 64 };

struct reader {
    yaml_parser_t parser;
    yaml_event_t event;  /* the one that is being read */
    struct arena *arena; /* borrowed: nodes and their texts */
    const char *name;    /* borrowed: the file, for problems */
    const char *text;    /* borrowed: without a byte order mark */
    size_t len;
    struct diags *d; /* borrowed, may be NULL */
    bool bad;        /* a problem was reported */
};

#define LINE(mark) ((unsigned)(mark).line + 1)
#define COLUMN(mark) ((unsigned)(mark).column + 1)
#define PROBLEM(r, mark, ...)                                                                      \
    ((r)->bad = true, diags_add((r)->d, (r)->name, LINE(mark), COLUMN(mark), __VA_ARGS__))

/* The word at a mark, as someone would put it into quotes; returns out. libyaml
 * counts characters, so the text is walked, but only for problems that are kept. */
static const char *word_at(const struct reader *r, yaml_mark_t mark, char out[WORD_TEXT])
{
    const char *p = r->text, *end = r->text + r->len;
    size_t left = mark.index, n = 0;

    if (r->d == NULL || r->d->n == DIAG_MAX)
        p = end;
    while (p < end && (((unsigned char)*p & 0xc0) == 0x80 || left-- > 0)) /* inside a character */
        p++;
    while (p + n < end && n < WORD_TEXT - 1 && strchr(" \t\r\n,]}\"'", p[n]) == NULL)
        n++;
    if (n > 0 && p[n - 1] == ':')
        n--; /* it was a key */
    memcpy(out, p, n);
    out[n] = '\0';
    return out;
}

static int needs_quotes(struct reader *r, yaml_mark_t mark, const char *because)
{
    char word[WORD_TEXT];

    word_at(r, mark, word);
    return PROBLEM(r, mark, "%sa value that begins with %c needs quotes: write \"%s\"", because,
                   word[0], word);
}

/* What libyaml says in its problem or context, and what helps more. */
static const char *const syntax_words[][2] = {
    {"tab character", "a tab cannot indent; use spaces"},
    {"cannot start any token", "a tab cannot indent; use spaces"},
    {"mapping values are not allowed",
     "a \":\" is not allowed here: if it belongs to the value, put the value into quotes; "
     "if it ends a key, check the indentation of the line"},
    {"block mapping", "a key was expected here: check the indentation of the line, and quotes and "
                      "brackets before it"},
    {"node content", "a value is missing here; one that begins with : or , needs quotes"},
};

/* What begins with a character that YAML has a use for was meant as a value. */
static int syntax_problem(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    yaml_mark_t mark = p->problem_mark, begin = p->context ? p->context_mark : mark;
    const char *problem = p->problem ? p->problem : "not YAML";
    const char *context = p->context ? p->context : "";
    char word[WORD_TEXT], text[200], where[40] = "";

    if (p->error == YAML_MEMORY_ERROR)
        return -ENOMEM;
    if (p->error == YAML_READER_ERROR) { /* which has no mark, but the number of the byte */
        mark = (yaml_mark_t){0, 0, 0};
        for (const char *c = r->text; c < r->text + p->problem_offset; c++) {
            mark.column = *c == '\n' ? 0 : mark.column + (((unsigned char)*c & 0xc0) != 0x80);
            mark.line += *c == '\n';
        }
        if (strstr(problem, "control characters") == NULL)
            return PROBLEM(r, mark, "not UTF-8; save the text as UTF-8");
        if (p->problem_value == 0)
            return PROBLEM(r, mark, "a NUL byte is not allowed; save the text as UTF-8");
        return PROBLEM(r, mark, "a control character; in double quotes it can be written \\x%02x",
                       (unsigned)p->problem_value);
    }
    word_at(r, begin, word);
    if (word[0] != '\0' && (strstr(problem, "cannot start any token") != NULL ||
                            strstr(problem, "undefined tag handle") != NULL ||
                            (p->error == YAML_SCANNER_ERROR && strchr("*&!%", word[0]) != NULL)))
        return needs_quotes(r, begin, "");
    snprintf(text, sizeof text, "%s%s%s", context, context[0] != '\0' ? ", " : "", problem);
    for (size_t i = ARRAY_LEN(syntax_words); i-- > 0;)
        if (strstr(text, syntax_words[i][0]))
            str_copy(text, sizeof text, syntax_words[i][1]);
    if (begin.line != mark.line)
        snprintf(where, sizeof where, " (it begins in line %u)", LINE(begin));
    return PROBLEM(r, mark, "%s%s", text, where);
}

static int next_event(struct reader *r)
{
    yaml_event_delete(&r->event);
    return yaml_parser_parse(&r->parser, &r->event) ? 0 : syntax_problem(r);
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct yaml_node *)a)->key, ((const struct yaml_node *)b)->key);
}

static int read_node(struct reader *r, struct yaml_node *n, unsigned depth);

static int read_children(struct reader *r, struct yaml_node *n, unsigned depth)
{
    struct yaml_node **end = &n->first, *child, **same;
    const yaml_event_t *e = &r->event;
    void *keys = NULL;
    int rc;

    while ((rc = next_event(r)) == 0 && e->type != YAML_SEQUENCE_END_EVENT &&
           e->type != YAML_MAPPING_END_EVENT) {
        if ((child = arena_alloc(r->arena, sizeof *child)) == NULL) {
            rc = -ENOMEM;
            break;
        }
        if (n->kind == YAML_MAP) {
            if (e->type == YAML_SEQUENCE_START_EVENT || e->type == YAML_MAPPING_START_EVENT) {
                rc = PROBLEM(r, e->start_mark,
                             "a key must be a word or a quoted text; { and [ in a key need quotes");
                break;
            }
            if ((rc = read_node(r, child, depth)) != 0)
                break;
            child->key = child->text;
            child->key_line = child->line;
            child->key_column = child->column;
            if ((same = tsearch(child, &keys, by_key)) == NULL)
                rc = -ENOMEM;
            else if (*same != child)
                PROBLEM(r, e->start_mark, "duplicate key \"%.200s\"; it was given in line %u",
                        child->key, (*same)->key_line);
            if (rc != 0 || (rc = next_event(r)) != 0)
                break;
        }
        if ((rc = read_node(r, child, depth)) != 0)
            break;
        *end = child;
        end = &child->next;
        n->n++;
    }
    tdestroy(keys, arena_keeps);
    return rc;
}

static int read_node(struct reader *r, struct yaml_node *n, unsigned depth)
{
    const yaml_event_t *e = &r->event;
    const char *text = "";
    size_t len = 0;
    yaml_mark_t mark = e->start_mark;

    n->kind = e->type == YAML_SEQUENCE_START_EVENT  ? YAML_LIST
              : e->type == YAML_MAPPING_START_EVENT ? YAML_MAP
                                                    : YAML_SCALAR;
    n->line = LINE(mark);
    n->column = COLUMN(mark);
    if (e->type == YAML_SCALAR_EVENT) {
        text = (const char *)e->data.scalar.value;
        len = e->data.scalar.length;
        n->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    }
    if (e->type == YAML_ALIAS_EVENT) /* an unquoted "*word" */
        needs_quotes(r, mark, "");
    else if (e->data.scalar.anchor) /* it begins what scalar, sequence and mapping tell */
        needs_quotes(r, mark, "anchors are not supported; ");
    else if (e->data.scalar.tag)
        needs_quotes(r, mark, "tags are not supported; ");
    if (memchr(text, '\0', len))
        return PROBLEM(r, mark, "a NUL byte is not allowed in a text");
    if (n->kind != YAML_SCALAR && depth == LEVELS)
        return PROBLEM(r, mark, "more than %d levels of lists and mappings", (int)LEVELS);
    if ((n->text = arena_strndup(r->arena, text, len)) == NULL)
        return -ENOMEM;
    return n->kind != YAML_SCALAR ? read_children(r, n, depth + 1) : 0;
}

int yaml_read(const struct yaml_node **root, struct arena *arena, const char *name,
              const char *text, size_t len, struct diags *d)
{
    size_t mark = len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    struct reader r = {
        .arena = arena, .name = name, .text = text + mark, .len = len - mark, .d = d};
    struct yaml_node *top = arena_alloc(arena, sizeof *top);
    const yaml_event_t *e = &r.event;
    bool found = false;
    int rc;

    if (top == NULL || !yaml_parser_initialize(&r.parser)) {
        diags_add(d, name, 0, 0, "out of memory");
        return -ENOMEM;
    }
    *top = (struct yaml_node){.kind = YAML_MAP, .line = 1, .column = 1, .text = ""};
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)r.text, r.len);
    while ((rc = next_event(&r)) == 0 && e->type != YAML_STREAM_END_EVENT) {
        if (e->type == YAML_STREAM_START_EVENT || e->type == YAML_DOCUMENT_END_EVENT)
            continue;
        if (e->type != YAML_DOCUMENT_START_EVENT)
            rc = read_node(&r, top, 0);
        else if (found)
            rc = PROBLEM(&r, e->start_mark, "a second document begins here; one is allowed");
        found = true;
        if (rc != 0)
            break;
    }
    yaml_event_delete(&r.event);
    yaml_parser_delete(&r.parser);
    if (top->kind == YAML_SCALAR && !top->quoted && top->text[0] == '\0')
        top->kind = YAML_MAP; /* comments or "---" alone */
    if (rc == 0 && !r.bad)
        *root = top;
    if (rc == -ENOMEM)
        diags_add(d, name, 0, 0, "out of memory");
    return rc == 0 && r.bad ? -EINVAL : rc;
}

const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key)
{
    const struct yaml_node *child = map->kind == YAML_MAP ? map->first : NULL;

    while (child && strcmp(child->key, key) != 0)
        child = child->next;
    return child;
}

/* Plain is only what nobody has to think about: a letter, digit, "_" or "/",
 * then also . - + : and single blanks inside. That is stricter than YAML, and
 * reads back the same in a block, in [ ] and in { }. Bytes that are no UTF-8 cannot
 * stand in YAML; each becomes the Latin-1 character of the same number. */
void yaml_print(FILE *f, const char *text)
{
    static const char plain[] =
        ".-+abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_/";
    bool is_plain = text[0] != '\0' && strchr(plain + 3, text[0]);

    for (const char *p = text; is_plain && *(p += strspn(p, plain)) != '\0'; p++)
        is_plain = (*p == ':' || *p == ' ') && p[1] != '\0' && p[1] != ' ';
    if (is_plain) {
        fputs(text, f);
        return;
    }
    fputc('"', f);
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0';) {
        uint32_t c;
        size_t n = str_utf8(p, &c);

        if (n == 0)
            c = *p;
        if (n == 0 || c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x2028 || c == 0x2029 ||
            c == 0xfeff || c == 0xfffe || c == 0xffff) /* refused, or taken for a line end */
            fprintf(f, c <= 0xff ? "\\x%02x" : "\\u%04x", (unsigned)c);
        else
            fprintf(f, "%s%.*s", c == '"' || c == '\\' ? "\\" : "", (int)n, (const char *)p);
        p += n > 0 ? n : 1;
    }
    fputc('"', f);
}
