/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* `keyladder bench` as a picture: bars in the colours of Okabe and Ito, which colour-blind people tell apart, on light and dark. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_result.h"

enum { WIDTH = 860, LEFT = 250, BAR_MOST = 430, BAR = 13, BAR_STEP = 16, GROUP_GAP = 12, MARGIN = 20 };

static const struct panel {
    const char *title;
    bool is_speed; /* GB/s, longer is better; else nanoseconds */
    struct {
        const char *name; /* NULL: no more */
        size_t size;
    } rows[8];
} panels[] = {
    { "Small values: nanoseconds each (shorter is better)",
      false,
      { { "gcm_encrypt", 64 },
        { "gcm_decrypt", 64 },
        { "message_encrypt", 64 },
        { "batch_encrypt", 64 },
        { "chacha_encrypt", 64 },
        { "hmac_sha256", 64 } } },
    { "In bulk: GB/s (longer is better)",
      true,
      { { "gcm_encrypt", 4096 },
        { "gcm_encrypt", 16384 },
        { "gcm_encrypt", 1048576 },
        { "gcm_decrypt", 1048576 },
        { "chacha_encrypt", 16384 } } },
    { "Keys and sessions: nanoseconds each (shorter is better)", false, { { "hkdf_derive", 0 }, { "session", 0 }, { "find", 0 } } },
};

static const char style[] =
    ".back{fill:#ffffff}.text{fill:#1b1f24}.soft{fill:#57606a}.axis{stroke:#8c959f}.cut{stroke:#ffffff}\n"
    ".c0{fill:#E69F00}.c1{fill:#0072B2}.c2{fill:#009E73}.c3{fill:#CC79A7}.c4{fill:#D55E00}.c5{fill:#56B4E9}.c6{fill:#8c8c8c}.c7{fill:#b59f00}\n"
    "text{font-family:system-ui,-apple-system,'Segoe UI','Helvetica Neue',Arial,sans-serif;font-size:12px}\n"
    ".title{font-size:17px;font-weight:600}.head{font-size:13px;font-weight:600}.small{font-size:11px}\n"
    "@media (prefers-color-scheme:dark){.back{fill:#0d1117}.text{fill:#e6edf3}.soft{fill:#9da7b3}.axis{stroke:#6e7681}.cut{stroke:#0d1117}"
    ".c1{fill:#4aa3df}}\n";

/* Text for XML; control characters, which XML has no way to write, are left out. */
static void put_text(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '<')
            fputs("&lt;", out);
        else if (*text == '>')
            fputs("&gt;", out);
        else if (*text == '&')
            fputs("&amp;", out);
        else if (*text == '"')
            fputs("&quot;", out);
        else if ((unsigned char)*text >= 0x20)
            fputc(*text, out);
    }
}

static void put_line(FILE *out, int x, int y, const char *class, const char *text)
{
    fprintf(out, "<text x=\"%d\" y=\"%d\" class=\"%s\">", x, y, class);
    put_text(out, text);
    fputs("</text>\n", out);
}

/* What the bar is as long as: nanoseconds, or bytes a nanosecond, which are GB/s; 0: there is none. */
static double value_of(const struct kl_bench_result *result, const struct panel *panel, size_t work, size_t contender)
{
    double ns = kl_bench_median(kl_bench_cell_at(result, work, contender), result->rounds);

    if (ns == 0) return 0;
    return panel->is_speed ? (double)kl_bench_cases[work].size / ns : ns;
}

/*
 * The value of the longest bar. Others may be thirty times slower than OpenSSL and keyladder, and would leave no
 * more than a line of these: theirs are cut off, and say so.
 */
static double scale_of(const struct kl_bench_result *result, const struct panel *panel)
{
    double most = 0, all = 0;

    for (size_t row = 0; row < sizeof panel->rows / sizeof *panel->rows && panel->rows[row].name != NULL; row++) {
        size_t work = kl_bench_case_find(result, panel->rows[row].name, panel->rows[row].size);

        for (size_t i = 0; work < kl_bench_case_count() && i < result->contender_count; i++) {
            double value = value_of(result, panel, work, i);
            bool is_near = result->contenders[i].path == NULL || result->contenders[i].is_ours;

            if (value > all) all = value;
            if (is_near && value > most) most = value;
        }
    }
    return panel->is_speed || all < 1.5 * most ? all : 1.5 * most;
}

static void label_of(const struct kl_bench_result *result, const struct panel *panel, size_t work, size_t contender, char out[80])
{
    size_t floor = kl_bench_floor(result);
    double value = value_of(result, panel, work, contender), ratio = 0;
    char time[24];

    if (contender != floor && floor < result->contender_count)
        ratio = kl_bench_ratio(kl_bench_cell_at(result, work, contender), kl_bench_cell_at(result, work, floor), result->rounds);
    /* Of speeds the other way round: twice as much, not half the time. */
    if (panel->is_speed && ratio > 0) ratio = 1 / ratio;
    if (panel->is_speed)
        snprintf(out, 40, "%.1f GB/s", value);
    else
        kl_bench_time_text(value, time);
    if (!panel->is_speed) snprintf(out, 40, "%s", time);
    if (ratio > 0) snprintf(out + strlen(out), 40, ratio < 10 ? "  (%.2fx)" : "  (%.0fx)", ratio);
}

static void put_bar(FILE *out, const struct kl_bench_result *result, const struct panel *panel, size_t work, size_t contender, int y)
{
    double value = value_of(result, panel, work, contender), scale = scale_of(result, panel);
    bool is_cut = value > scale;
    int length = (int)(BAR_MOST * (is_cut ? 1 : value / scale));
    char text[80];

    label_of(result, panel, work, contender, text);
    if (length < 2) length = 2;
    fprintf(out, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" class=\"c%zu\"/>\n", LEFT, y, length, BAR, contender);
    for (int i = 0; is_cut && i < 2; i++) {
        int x = LEFT + BAR_MOST - 30 + 8 * i;

        fprintf(out, "<path d=\"M%d %dL%d %d\" class=\"cut\" stroke-width=\"3\"/>\n", x, y + BAR + 1, x + 6, y - 1);
    }
    put_line(out, LEFT + length + 6, y + BAR - 2, "text small", text);
}

/* One work: its title at the left, its bars below each other. Returns where the next begins. */
static int put_group(FILE *out, const struct kl_bench_result *result, const struct panel *panel, size_t work, int y)
{
    char title[80], size[32];
    int top = y;

    snprintf(title, sizeof title, "%s%s%s", kl_bench_cases[work].title, kl_bench_cases[work].size == 0 ? "" : ", ",
             kl_bench_size_text(kl_bench_cases[work].size, size));
    for (size_t i = 0; i < result->contender_count; i++) {
        const struct kl_bench_cell *cell = kl_bench_cell_at(result, work, i);
        char text[80], name[48];

        if (value_of(result, panel, work, i) > 0) {
            put_bar(out, result, panel, work, i, y);
        } else if (cell->rv != 0 && cell->rv != KL_BENCH_ABSENT) {
            snprintf(text, sizeof text, "%.24s: n/a %s", result->contenders[i].name, kl_bench_rv_text(cell->rv, name));
            put_line(out, LEFT + 6, y + BAR - 2, "soft small", text);
        } else {
            continue;
        }
        y += BAR_STEP;
    }
    if (y == top) return top;
    fprintf(out, "<text x=\"%d\" y=\"%d\" class=\"text\" text-anchor=\"end\">", LEFT - 10, top + (y - top) / 2 + 3);
    put_text(out, title);
    fprintf(out, "</text>\n<path d=\"M%d %dV%d\" class=\"axis\"/>\n", LEFT, top - 3, y);
    return y + GROUP_GAP;
}

static int put_panel(FILE *out, const struct kl_bench_result *result, const struct panel *panel, int y)
{
    int first = y + 34, at = first;

    for (size_t row = 0; row < sizeof panel->rows / sizeof *panel->rows && panel->rows[row].name != NULL; row++) {
        size_t work = kl_bench_case_find(result, panel->rows[row].name, panel->rows[row].size);

        if (work < kl_bench_case_count()) at = put_group(out, result, panel, work, at);
    }
    if (at == first) return y;
    put_line(out, MARGIN, y + 20, "text head", panel->title);
    return at + 6;
}

static int put_legend(FILE *out, const struct kl_bench_result *result, int y)
{
    int x = MARGIN;

    for (size_t i = 0; i < result->contender_count; i++) {
        if (!kl_bench_runs(&result->contenders[i])) continue;
        fprintf(out, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" class=\"c%zu\"/>\n", x, y, BAR, BAR, i);
        put_line(out, x + BAR + 6, y + BAR - 2, "text", result->contenders[i].name);
        x += BAR + 26 + 8 * (int)strlen(result->contenders[i].name);
    }
    return y + BAR + 10;
}

/* All but the frame, whose height is known afterwards. */
static int put_content(FILE *out, const struct kl_bench_result *result)
{
    char software[320];
    int y = 36;

    snprintf(software, sizeof software, "%s; %s; keyladder %s, engine %s; %.10s", result->kernel, result->openssl, KL_VERSION,
             result->engine, result->date);
    put_line(out, MARGIN, y, "text title", "keyladder bench: a PKCS #11 module against OpenSSL alone");
    put_line(out, MARGIN, y + 20, "soft small", result->processor);
    put_line(out, MARGIN, y + 35, "soft small", software);
    put_line(out, MARGIN, y + 50, "soft small",
             result->of_processor ? "Time on the processor. In brackets: times OpenSSL's figure, the median of the ratios within a round."
                                  : "In brackets: times OpenSSL's figure, the median of the ratios within a round.");
    y = put_legend(out, result, y + 64);
    for (size_t i = 0; i < sizeof panels / sizeof *panels; i++) y = put_panel(out, result, &panels[i], y);
    return y + 8;
}

char *kl_bench_draw(const struct kl_bench_result *result)
{
    char *content = NULL, *picture = NULL;
    size_t content_len = 0, len = 0;
    FILE *out = open_memstream(&content, &content_len);
    int height;
    bool is_whole;

    if (out == NULL) return NULL;
    height = put_content(out, result);
    is_whole = ferror(out) == 0;
    if (fclose(out) != 0 || !is_whole || (out = open_memstream(&picture, &len)) == NULL) {
        free(content);
        return NULL;
    }
    fprintf(out,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
            "height=\"%d\" role=\"img\">\n<title>keyladder bench</title>\n<desc>",
            WIDTH, height, WIDTH, height);
    put_text(out, result->conditions);
    fprintf(out, "</desc>\n<style>%s</style>\n<rect width=\"%d\" height=\"%d\" class=\"back\"/>\n%s</svg>\n", style, WIDTH, height,
            content);
    free(content);
    is_whole = ferror(out) == 0;
    if (fclose(out) == 0 && is_whole) return picture;
    free(picture);
    return NULL;
}
