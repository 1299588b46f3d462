/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* keyladder tree: the ladder as a drawing. One way of drawing is one row of drawings[]. */
#include <langinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "census.h"
#include "cli.h"
#include "words.h"

enum { DEPTHS = KL_LEVEL_REK + 1 };

/* A key where it stands. */
struct node {
    const struct kl_record *record;
    const struct kl_record *parent; /* NULL: a master */
    int depth;
    size_t row;            /* how many were drawn before */
    size_t rows[DEPTHS];   /* row of the last node of each depth, the parent's at depth - 1 */
    bool has_next[DEPTHS]; /* siblings follow at that depth */
};

struct pen {
    struct kl_cli *cli;
    const struct kl_census *census;
    const struct kl_record **by_parent; /* ladder keys by their parents' ids, in the census's order */
    size_t keys;
    struct kl_json *nodes;
    int widest; /* label with its indentation */
    bool is_utf8;
};

struct drawing {
    enum kl_opt option;
    void (*begin)(struct pen *pen);
    void (*draw)(struct pen *pen, const struct node *node);
    enum kl_rc (*end)(struct pen *pen);
};

static const char *short_title(enum kl_level level)
{
    static const char *const titles[KL_LEVELS] = { [KL_LEVEL_MASTER] = "master", [KL_LEVEL_DEK] = "DEK", [KL_LEVEL_FEK] = "FEK" };

    return titles[level] == NULL ? kl_level_name(level) : titles[level];
}

/* --- text --- */

static void text_begin(struct pen *pen)
{
    char label[KL_WORDS_CAP];

    pen->is_utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    for (size_t i = 0; i < pen->keys; i++) {
        int width = kl_words_width(kl_words_label(pen->by_parent[i]->label, label)) + 3 * (int)pen->by_parent[i]->level;

        if (width > pen->widest && width <= 60) pen->widest = width;
    }
}

static void text_draw(struct pen *pen, const struct node *node)
{
    const struct kl_record *record = node->record;
    char label[KL_WORDS_CAP], type[40], date[21];
    int padding = pen->widest - 3 * node->depth - kl_words_width(kl_words_label(record->label, label));

    for (int i = 1; i < node->depth; i++) fputs(!node->has_next[i] ? "   " : pen->is_utf8 ? "│  " : "|  ", stdout);
    if (node->depth > 0 && pen->is_utf8) fputs(node->has_next[node->depth] ? "├─ " : "└─ ", stdout);
    if (node->depth > 0 && !pen->is_utf8) fputs(node->has_next[node->depth] ? "|- " : "`- ", stdout);
    kl_clock_text(record->created_at, date);
    printf("%s%*s  %-6s  version %u, %s  %s, made %.10s\n", label, padding < 0 ? 0 : padding, "", short_title(record->level),
           record->version, kl_state_name(record->state), kl_words_type(record, type, sizeof type), date);
}

static enum kl_rc text_end(struct pen *pen)
{
    size_t count[KL_LEVELS] = { 0 };

    for (size_t i = 0; i < pen->census->count; i++) count[pen->census->items[i].level]++;
    if (count[KL_LEVEL_FEK] > 0) puts("Record keys (REK) are derived from field keys when they are used, and are never stored.");
    if (count[KL_LEVEL_FREE] + count[KL_LEVEL_DATA] > 0) {
        printf("Beside the ladder: %zu free key%s, %zu data object%s (keyladder list).\n", count[KL_LEVEL_FREE],
               kl_words_plural(count[KL_LEVEL_FREE]), count[KL_LEVEL_DATA], kl_words_plural(count[KL_LEVEL_DATA]));
    }
    return KL_OK;
}

/* --- JSON --- */

static void json_begin(struct pen *pen)
{
    pen->nodes = kl_json_array();
}

static void json_draw(struct pen *pen, const struct node *node)
{
    struct kl_json *json = kl_words_json(node->record);

    kl_json_set_number(json, "depth", node->depth);
    kl_json_add_take(pen->nodes, json);
}

static enum kl_rc json_end(struct pen *pen)
{
    struct kl_json *json = kl_cli_object(pen->cli);

    kl_json_set_take(json, "objects", pen->nodes);
    kl_json_set_number(json, "damaged", pen->census->hurt);
    return kl_cli_answer(json);
}

/* --- Graphviz --- */

/* Text for a quoted string: a label is escaped for terminals already. */
static void print_quoted(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') putchar('\\');
        putchar(*text);
    }
}

static void dot_begin(struct pen *pen)
{
    printf("digraph \"");
    print_quoted(kl_ladder_name(pen->cli->ladder));
    puts("\" {\n  rankdir = TB;\n  node [shape = box, style = rounded, fontname = \"sans-serif\"];");
}

static void dot_draw(struct pen *pen, const struct node *node)
{
    char label[KL_WORDS_CAP], uuid[KL_WORDS_UUID_LEN];

    (void)pen;
    printf("  \"%s\" [label = \"", kl_words_uuid(node->record->id, uuid));
    print_quoted(kl_words_label(node->record->label, label));
    printf("\\n%s, version %u, %s\"];\n", short_title(node->record->level), node->record->version, kl_state_name(node->record->state));
    if (node->parent == NULL) return;
    printf("  \"%s\" -> ", kl_words_uuid(node->parent->id, uuid));
    printf("\"%s\";\n", kl_words_uuid(node->record->id, uuid));
}

static enum kl_rc dot_end(struct pen *pen)
{
    (void)pen;
    puts("}");
    return KL_OK;
}

/* --- SVG --- */

enum { BOX_WIDTH = 340, BOX_HEIGHT = 34, ROW = 44, INDENT = 46, MARGIN = 14 };

static void print_xml(const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '<':
            fputs("&lt;", stdout);
            break;
        case '>':
            fputs("&gt;", stdout);
            break;
        case '&':
            fputs("&amp;", stdout);
            break;
        case '"':
            fputs("&quot;", stdout);
            break;
        default:
            putchar(*text);
        }
    }
}

static void svg_begin(struct pen *pen)
{
    printf("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%zu\" font-family=\"sans-serif\" font-size=\"13\">\n",
           2 * MARGIN + BOX_WIDTH + (DEPTHS - 2) * INDENT, 2 * MARGIN + pen->keys * ROW);
    puts("<style>rect{fill:#f6f8fa;stroke:#57606a}.master rect{fill:#fff8c5}.dek rect{fill:#ddf4ff}path{fill:none;stroke:#57606a}"
         ".of{fill:#57606a}</style>");
}

static void svg_draw(struct pen *pen, const struct node *node)
{
    char label[KL_WORDS_CAP];
    int x = MARGIN + node->depth * INDENT;
    size_t y = MARGIN + node->row * ROW;

    (void)pen;
    if (node->parent != NULL) {
        printf("<path d=\"M%d %zuV%zuH%d\"/>\n", x - INDENT / 2, MARGIN + node->rows[node->depth - 1] * ROW + BOX_HEIGHT,
               y + BOX_HEIGHT / 2, x);
    }
    printf("<g class=\"%s\"><rect x=\"%d\" y=\"%zu\" width=\"%d\" height=\"%d\" rx=\"6\"/><text x=\"%d\" y=\"%zu\">",
           kl_level_name(node->record->level), x, y, BOX_WIDTH, BOX_HEIGHT, x + 12, y + 22);
    print_xml(kl_words_label(node->record->label, label));
    printf("<tspan class=\"of\" dx=\"10\">%s, version %u, %s</tspan></text></g>\n", short_title(node->record->level), node->record->version,
           kl_state_name(node->record->state));
}

static enum kl_rc svg_end(struct pen *pen)
{
    (void)pen;
    puts("</svg>");
    return KL_OK;
}

static const struct drawing drawings[] = {
    { .option = KL_OPT_JSON, .begin = json_begin, .draw = json_draw, .end = json_end },
    { .option = KL_OPT_DOT, .begin = dot_begin, .draw = dot_draw, .end = dot_end },
    { .option = KL_OPT_SVG, .begin = svg_begin, .draw = svg_draw, .end = svg_end },
    { .option = KL_OPT_NONE, .begin = text_begin, .draw = text_draw, .end = text_end },
};

/* --- the walk --- */

static int compare_parents(const void *left, const void *right)
{
    const struct kl_record *const *a = left, *const *b = right;
    int order = memcmp((*a)->parent, (*b)->parent, KL_ROW_ID_LEN);

    return order != 0 ? order : (*a > *b) - (*a < *b);
}

/* The place of the first ladder key whose parent's id is not below `id`; above it with `after`. */
static size_t bound(const struct pen *pen, const uint8_t id[KL_ROW_ID_LEN], bool after)
{
    size_t low = 0, high = pen->keys;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = memcmp(pen->by_parent[middle]->parent, id, KL_ROW_ID_LEN);

        if (order < 0 || (after && order == 0)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void walk(struct pen *pen, const struct drawing *drawing)
{
    static const uint8_t none[KL_ROW_ID_LEN];
    struct {
        const struct kl_record *parent;
        size_t next, end;
    } stack[DEPTHS] = { { NULL, bound(pen, none, false), bound(pen, none, true) } };
    struct node node = { 0 };

    for (int depth = 0; depth >= 0;) {
        if (stack[depth].next == stack[depth].end) {
            depth--;
            continue;
        }
        node.record = pen->by_parent[stack[depth].next++];
        node.parent = stack[depth].parent;
        node.depth = depth;
        node.has_next[depth] = stack[depth].next < stack[depth].end;
        node.rows[depth] = node.row;
        drawing->draw(pen, &node);
        node.row++;
        if (depth + 1 == DEPTHS) continue;
        depth++;
        stack[depth].parent = node.record;
        stack[depth].next = bound(pen, node.record->id, false);
        stack[depth].end = bound(pen, node.record->id, true);
    }
}

static enum kl_rc draw(struct kl_cli *cli, const struct kl_census *census, const struct drawing *drawing)
{
    struct pen pen = { .cli = cli, .census = census };
    enum kl_rc rc;

    pen.by_parent = calloc(census->count + 1, sizeof(const struct kl_record *));
    KL_CHECK(pen.by_parent != NULL, KL_MEMORY);
    for (size_t i = 0; i < census->count; i++) {
        if (kl_level_is_ladder(census->items[i].level)) pen.by_parent[pen.keys++] = &census->items[i];
    }
    qsort(pen.by_parent, pen.keys, sizeof *pen.by_parent, compare_parents);
    drawing->begin(&pen);
    walk(&pen, drawing);
    rc = drawing->end(&pen);
    free(pen.by_parent);
    return rc;
}

static enum kl_rc run(struct kl_cli *cli)
{
    const struct drawing *drawing = drawings;
    struct kl_census census = { 0 };
    enum kl_rc rc;

    if (kl_cli_has(cli, KL_OPT_JSON) + kl_cli_has(cli, KL_OPT_DOT) + kl_cli_has(cli, KL_OPT_SVG) > 1) {
        return kl_cli_misuse(cli, "--json, --dot and --svg are three ways of drawing; take one");
    }
    while (drawing->option != KL_OPT_NONE && !kl_cli_has(cli, drawing->option)) drawing++;
    KL_TRY(kl_cli_login(cli, KL_ROLE_USER));
    KL_TRY(kl_census_read(cli->ladder, &census));
    rc = draw(cli, &census, drawing);
    kl_census_report(cli, &census);
    kl_census_clear(&census);
    return rc;
}

static const enum kl_opt options[] = { KL_OPT_PIN, KL_OPT_DOT, KL_OPT_SVG, KL_OPT_NONE };

const struct kl_command kl_command_tree = {
    .name = "tree",
    .operands = "",
    .summary = "the ladder, drawn",
    .details = "",
    .options = options,
    .run = run,
};
