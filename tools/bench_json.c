/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* `keyladder bench` in JSON, with the readings of every round, so that others can reckon again. */
#include <string.h>

#include "bench_result.h"

static struct kl_json *contenders_json(const struct kl_bench_result *result)
{
    struct kl_json *list = kl_json_array();

    for (size_t i = 0; i < result->contender_count; i++) {
        const struct kl_bench_contender *contender = &result->contenders[i];
        struct kl_json *json = kl_json_object();

        kl_json_set_text(json, "name", contender->name);
        kl_json_set_text(json, "module", contender->path);
        if (!kl_bench_runs(contender)) kl_json_set_text(json, "failure", contender->failure);
        kl_json_add_take(list, json);
    }
    return list;
}

static struct kl_json *cell_json(const struct kl_bench_result *result, size_t work, size_t contender)
{
    const struct kl_bench_cell *cell = kl_bench_cell_at(result, work, contender);
    double ns = kl_bench_median(cell, result->rounds);
    size_t floor = kl_bench_floor(result);
    struct kl_json *json = kl_json_object(), *readings = kl_json_array();
    char name[48];

    kl_json_set_text(json, "contender", result->contenders[contender].name);
    if (ns == 0) {
        kl_json_free(readings);
        kl_json_set_text(json, "na", cell->rv == 0 || cell->rv == KL_BENCH_ABSENT ? NULL : kl_bench_rv_text(cell->rv, name));
        return json;
    }
    kl_json_set_real(json, "ns", ns);
    if (kl_bench_cases[work].size > 0) kl_json_set_real(json, "mb_s", (double)kl_bench_cases[work].size * 1e3 / ns);
    if (contender != floor && kl_bench_ratio(cell, kl_bench_cell_at(result, work, floor), result->rounds) > 0) {
        kl_json_set_real(json, "ratio", kl_bench_ratio(cell, kl_bench_cell_at(result, work, floor), result->rounds));
    }
    for (size_t i = 0; i < result->rounds; i++) kl_json_add_real(readings, cell->ns[i]);
    kl_json_set_take(json, "readings", readings);
    return json;
}

static struct kl_json *works_json(const struct kl_bench_result *result)
{
    struct kl_json *list = kl_json_array();

    for (size_t work = 0; work < kl_bench_case_count(); work++) {
        struct kl_json *json, *cells;

        if (!kl_bench_list_has(result->only, kl_bench_cases[work].group)) continue;
        json = kl_json_object();
        cells = kl_json_array();
        kl_json_set_text(json, "group", kl_bench_cases[work].group);
        kl_json_set_text(json, "name", kl_bench_cases[work].name);
        kl_json_set_text(json, "title", kl_bench_cases[work].title);
        kl_json_set_number(json, "size", (int64_t)kl_bench_cases[work].size);
        kl_json_set_number(json, "threads", kl_bench_cases[work].threads);
        for (size_t i = 0; i < result->contender_count; i++) kl_json_add_take(cells, cell_json(result, work, i));
        kl_json_set_take(json, "results", cells);
        kl_json_add_take(list, json);
    }
    return list;
}

enum kl_rc kl_bench_print_json(struct kl_cli *cli, const struct kl_bench_result *result)
{
    struct kl_json *json = kl_cli_object(cli);

    kl_json_set_text(json, "processor", result->processor);
    kl_json_set_text(json, "kernel", result->kernel);
    kl_json_set_text(json, "openssl", result->openssl);
    kl_json_set_text(json, "version", KL_VERSION);
    kl_json_set_text(json, "engine", result->engine);
    kl_json_set_text(json, "date", result->date);
    kl_json_set_text(json, "clock", result->of_processor ? "processor" : "wall");
    kl_json_set_number(json, "rounds", (int64_t)result->rounds);
    kl_json_set_take(json, "contenders", contenders_json(result));
    kl_json_set_take(json, "works", works_json(result));
    return kl_cli_answer(json);
}
