/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What `keyladder bench` has measured: rounds, medians, ratios within a round; and where it was. */
#include "bench_result.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/clock.h"
#include "crypto/aead.h"
#include "crypto/reference.h"

/* --- where --- */

/* The instructions that decide how fast AES can be, as Linux names them on x86. */
static void add_instructions(const char *flags, char *out, size_t cap)
{
    static const struct {
        const char *flag, *name;
    } known[] = { { " vaes ", "VAES" }, { " avx512f ", "AVX-512" } };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t len = strlen(out);

        if (strstr(flags, known[i].flag) != NULL) snprintf(out + len, cap - len, ", %s", known[i].name);
    }
}

/* "AMD EPYC 9354, VAES, AVX-512", of the first one. */
static void read_processor(char *out, size_t cap)
{
    FILE *file = fopen("/proc/cpuinfo", "re");
    char line[8192];
    bool is_named = false;

    snprintf(out, cap, "unknown processor");
    while (file != NULL && fgets(line, sizeof line, file) != NULL && line[0] != '\n') {
        char *value = strchr(line, ':');

        if (value == NULL || value[1] != ' ') continue;
        value[strcspn(value, "\n")] = ' ';
        if (strncmp(line, "model name", 10) == 0) {
            snprintf(out, cap, "%.*s", (int)strlen(value) - 3, value + 2);
            is_named = true;
        }
        if (strncmp(line, "flags", 5) == 0 && is_named) add_instructions(value, out, cap);
    }
    if (file != NULL) fclose(file);
}

static void read_conditions(struct kl_bench_result *result)
{
    struct utsname system;

    read_processor(result->processor, sizeof result->processor);
    if (uname(&system) == 0)
        snprintf(result->kernel, sizeof result->kernel, "%.20s %.90s", system.sysname, system.release);
    else
        snprintf(result->kernel, sizeof result->kernel, "unknown kernel");
    /* "OpenSSL 3.0.15 3 Sep 2024": the date is not ours. */
    snprintf(result->openssl, sizeof result->openssl, "%s", kl_reference_version());
    if (strchr(result->openssl, ' ') != NULL) {
        char *end = strchr(strchr(result->openssl, ' ') + 1, ' ');

        if (end != NULL) *end = '\0';
    }
    snprintf(result->engine, sizeof result->engine, "%s", kl_aead_engine_name(KL_ENGINE_AUTO));
    kl_clock_text(kl_clock->wall(), result->date);
    snprintf(result->conditions, sizeof result->conditions, "%s; %s; %s; keyladder %s, engine %s; %.10s", result->processor, result->kernel,
             result->openssl, KL_VERSION, result->engine, result->date);
}

/* --- figures --- */

enum kl_rc kl_bench_result_new(struct kl_bench_result *result, struct kl_bench_contender *contenders, size_t contender_count, size_t rounds)
{
    result->contenders = contenders;
    result->contender_count = contender_count;
    result->rounds = rounds;
    result->cells = calloc(kl_bench_case_count() * contender_count, sizeof *result->cells);
    if (result->cells == NULL) return kl_fail(KL_MEMORY, "out of memory");
    read_conditions(result);
    return KL_OK;
}

void kl_bench_result_clear(struct kl_bench_result *result)
{
    free(result->cells);
    result->cells = NULL;
}

struct kl_bench_cell *kl_bench_cell_at(const struct kl_bench_result *result, size_t work, size_t contender)
{
    return &result->cells[work * result->contender_count + contender];
}

static int by_size(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

static double median(double *values, size_t count)
{
    if (count == 0) return 0;
    qsort(values, count, sizeof *values, by_size);
    return count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

double kl_bench_median(const struct kl_bench_cell *cell, size_t rounds)
{
    double values[KL_BENCH_ROUNDS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < rounds; i++) {
        if (cell->ns[i] > 0) values[count++] = cell->ns[i];
    }
    return median(values, count);
}

double kl_bench_ratio(const struct kl_bench_cell *cell, const struct kl_bench_cell *against, size_t rounds)
{
    double values[KL_BENCH_ROUNDS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < rounds; i++) {
        if (cell->ns[i] > 0 && against->ns[i] > 0) values[count++] = cell->ns[i] / against->ns[i];
    }
    return median(values, count);
}

size_t kl_bench_floor(const struct kl_bench_result *result)
{
    size_t at = 0;

    while (at < result->contender_count && result->contenders[at].path != NULL) at++;
    return at;
}

size_t kl_bench_case_find(const struct kl_bench_result *result, const char *name, size_t size)
{
    size_t at = 0;

    while (at < kl_bench_case_count() && (strcmp(kl_bench_cases[at].name, name) != 0 || kl_bench_cases[at].size != size)) at++;
    if (at < kl_bench_case_count() && !kl_bench_list_has(result->only, kl_bench_cases[at].group)) return kl_bench_case_count();
    return at;
}

const char *kl_bench_time_text(double ns, char out[24])
{
    if (ns < 10000)
        snprintf(out, 24, "%.0f ns", ns);
    else if (ns < 1e7)
        snprintf(out, 24, ns < 1e5 ? "%.1f us" : "%.0f us", ns / 1e3);
    else
        snprintf(out, 24, "%.1f ms", ns / 1e6);
    return out;
}
