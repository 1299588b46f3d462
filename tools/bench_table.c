/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* `keyladder bench` as a table: a work a line, a contender a column. */
#include <stdio.h>
#include <string.h>

#include "bench_result.h"
#include "words.h"

enum { TITLE = 25, SIZE = 8 };

/* "61 ns  0.31x", "n/a CKR_…", or "-". */
static const char *cell_text(const struct kl_bench_result *result, size_t work, size_t contender, char out[80])
{
    const struct kl_bench_cell *cell = kl_bench_cell_at(result, work, contender);
    size_t floor = kl_bench_floor(result);
    double ns = kl_bench_median(cell, result->rounds);
    char time[24], name[48], ratio[24] = "";

    if (ns == 0 && (cell->rv == 0 || cell->rv == KL_BENCH_ABSENT)) return "-";
    if (ns == 0) {
        snprintf(out, 80, "n/a %s", kl_bench_rv_text(cell->rv, name));
        return out;
    }
    if (contender != floor && floor < result->contender_count) {
        double times = kl_bench_ratio(cell, kl_bench_cell_at(result, work, floor), result->rounds);

        if (times > 0) snprintf(ratio, sizeof ratio, times < 100 ? "%.2fx" : "%.0fx", times);
    }
    snprintf(out, 80, "%9s %7s", kl_bench_time_text(ns, time), ratio);
    return out;
}

/* Wide enough for each column's longest cell. */
static int column_width(const struct kl_bench_result *result, size_t contender)
{
    int widest = kl_words_width(result->contenders[contender].name);
    char text[80];

    for (size_t work = 0; work < kl_bench_case_count(); work++) {
        int width = (int)strlen(cell_text(result, work, contender, text));

        if (kl_bench_list_has(result->only, kl_bench_cases[work].group) && width > widest) widest = width;
    }
    return widest;
}

/* "Two threads do 1.97 times the work of one." for each contender that has both. */
static void print_threads(const struct kl_bench_result *result)
{
    size_t one = kl_bench_case_find(result, "one_thread", 64), two = kl_bench_case_find(result, "two_threads", 64);
    const char *separator = "two threads against one: ";

    /* One of them by another clock than the other says nothing. */
    if (one == kl_bench_case_count() || two == kl_bench_case_count() || result->of_processor) return;
    for (size_t i = 0; i < result->contender_count; i++) {
        double times = kl_bench_ratio(kl_bench_cell_at(result, one, i), kl_bench_cell_at(result, two, i), result->rounds);

        if (times == 0) continue;
        printf("%s%s %.2fx", separator, result->contenders[i].name, times);
        separator = ", ";
    }
    if (separator[0] == ',') putchar('\n');
}

static bool is_shown(const struct kl_bench_result *result, size_t contender)
{
    for (size_t work = 0; work < kl_bench_case_count(); work++) {
        const struct kl_bench_cell *cell = kl_bench_cell_at(result, work, contender);

        if (cell->rv != 0 || kl_bench_median(cell, result->rounds) > 0) return true;
    }
    return false;
}

void kl_bench_print_table(const struct kl_bench_result *result)
{
    int widths[KL_BENCH_CONTENDERS_MAX];
    char text[80], size[32];

    printf("%s\n\n%-*s %*s", result->conditions, TITLE, "", SIZE, "");
    for (size_t i = 0; i < result->contender_count; i++) {
        widths[i] = column_width(result, i);
        if (is_shown(result, i)) printf("  %-*s", widths[i], result->contenders[i].name);
    }
    putchar('\n');
    for (size_t work = 0; work < kl_bench_case_count(); work++) {
        if (!kl_bench_list_has(result->only, kl_bench_cases[work].group)) continue;
        printf("%-*s %*s", TITLE, kl_bench_cases[work].title, SIZE, kl_bench_size_text(kl_bench_cases[work].size, size));
        for (size_t i = 0; i < result->contender_count; i++) {
            if (is_shown(result, i)) printf("  %-*s", widths[i], cell_text(result, work, i, text));
        }
        putchar('\n');
    }
    printf(
        "\nTime of one operation (of a batch, of one field)%s: the median of %zu round%s; x: times OpenSSL's in the same round, the median. Below 1 is "
        "faster.\n",
        result->of_processor ? " on the processor" : "", result->rounds, kl_words_plural(result->rounds));
    print_threads(result);
}
