/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* keyladder doctor: looks at everything a token needs, and says what to mend. One check is one row of checks[]. */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli.h"
#include "crypto/aead.h"
#include "interrupt.h"
#include "words.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define RELEASED INT64_C(1767225600) /* 2026-01-01: no clock of ours shows less */
#define FAR INT64_C(4102444800)      /* 2100-01-01 */
#define HELD_KEY_BYTES UINT64_C(48)  /* of one key in the arena */
#define ARENA_BASE (1 * MIB)         /* expanded keys and what else is in use at once */

enum grade { OK, NOTE, ATTENTION, WRONG };

static const struct {
    const char *name;
    enum kl_exit status;
} grades[] = {
    [OK] = { "ok", KL_EXIT_DONE },
    [NOTE] = { "note", KL_EXIT_DONE },
    [ATTENTION] = { "attention", KL_EXIT_ATTENTION },
    [WRONG] = { "wrong", KL_EXIT_FAILED },
};

struct doctor {
    struct kl_cli *cli;
    const char *check;    /* the name of the one that runs */
    struct kl_json *json; /* of all that was said; NULL for text */
    enum grade worst;
    struct kl_token_facts facts;
    bool is_open; /* the configuration is read and the token known */
    bool is_in;   /* logged in */
    uint64_t rows;
    size_t said; /* by the check that runs */
};

/* `advice` may be NULL. */
static void say(struct doctor *doctor, enum grade grade, const char *advice, const char *format, ...) KL_PRINTF(4, 5);

static void say(struct doctor *doctor, enum grade grade, const char *advice, const char *format, ...)
{
    char words[768];
    va_list values;

    va_start(values, format);
    vsnprintf(words, sizeof words, format, values);
    va_end(values);
    doctor->said++;
    if (grade > doctor->worst) doctor->worst = grade;
    if (doctor->json != NULL) {
        struct kl_json *json = kl_json_object();

        kl_json_set_text(json, "check", doctor->check);
        kl_json_set_text(json, "result", grades[grade].name);
        kl_json_set_text(json, "words", words);
        if (advice != NULL) kl_json_set_text(json, "advice", advice);
        kl_json_add_take(doctor->json, json);
        return;
    }
    printf("%-9s  %-13s  %s\n", grades[grade].name, doctor->check, words);
    if (advice != NULL) printf("%-9s  %-13s  -> %s\n", "", "", advice);
    fflush(stdout);
}

/* What a call that failed has to say. */
static const char *why(enum kl_rc rc)
{
    return kl_fail_words()[0] == '\0' ? kl_rc_words(rc) : kl_fail_words();
}

/* --- the checks --- */

static void check_configuration(struct doctor *doctor)
{
    struct kl_cli *cli = doctor->cli;
    enum kl_rc rc = kl_cli_open(cli);
    struct stat facts;
    size_t tokens, roots;

    if (rc != KL_OK) {
        say(doctor, WRONG, cli->advice, "%s", why(rc));
        return;
    }
    doctor->is_open = true;
    /* Doctor looks at memory itself, and must not stop at what it is to find. */
    kl_arena_allow_unlocked(true);
    if (stat(kl_conf_file(cli->conf), &facts) != 0) facts.st_mode = 0;
    tokens = kl_conf_count(cli->conf, KL_CONF_TOKEN);
    roots = kl_conf_count(cli->conf, KL_CONF_ROOT);
    say(doctor, OK, NULL, "%s, mode %04o, %zu token%s, %zu root%s", kl_conf_file(cli->conf), (unsigned)facts.st_mode & 07777, tokens,
        kl_words_plural(tokens), roots, kl_words_plural(roots));
    if (strcmp(kl_conf_text(kl_conf_at(cli->conf, KL_CONF_LOG, 0), KL_SET_LOG_TARGET), "none") == 0) {
        say(doctor, NOTE, "Write target = syslog into [log] to hear of failures.", "nothing is logged");
    }
}

static void check_secrets(struct doctor *doctor)
{
    const struct kl_conf *conf = doctor->cli->conf;
    const char *source = kl_cli_option(doctor->cli, KL_OPT_PIN);

    if (!doctor->is_open) return;
    if (source == NULL) source = kl_conf_text(doctor->cli->section, KL_SET_PIN);
    say(doctor, OK, NULL, "the user's PIN: %s", source == NULL ? "asked for at the terminal" : source);
    for (size_t i = 0; i < kl_conf_count(conf, KL_CONF_ROOT); i++) {
        const struct kl_conf_section *root = kl_conf_at(conf, KL_CONF_ROOT, i);
        KL_AUTO(kl_secret) secret = { 0 };
        enum kl_rc rc;

        source = kl_conf_text(root, KL_SET_PASSPHRASE);
        if (source == NULL || strcmp(source, "prompt") == 0) continue;
        rc = kl_conf_secret(source, &secret);
        if (rc == KL_OK)
            say(doctor, OK, NULL, "the passphrase of root %s: %s", kl_conf_name(root), source);
        else
            say(doctor, WRONG, NULL, "the passphrase of root %s: %s", kl_conf_name(root), why(rc));
    }
}

/* What others may do to a file that is ours alone. */
static void check_mode(struct doctor *doctor, const char *path)
{
    struct stat facts;

    if (lstat(path, &facts) != 0) return;
    if ((facts.st_mode & 077) == 0) return;
    say(doctor, ATTENTION, "chmod 0600 it; the keys in it are sealed, but names, times and numbers are not.",
        "%s has mode %04o: others may read or write it", path, (unsigned)facts.st_mode & 07777);
}

static void check_store_files(struct doctor *doctor)
{
    static const char *const endings[] = { "", "-wal", "-shm", "-epoch" };
    const char *store;
    enum kl_rc rc;

    if (!doctor->is_open) return;
    store = kl_ladder_store_path(doctor->cli->ladder);
    rc = kl_ladder_facts(doctor->cli->ladder, &doctor->facts);
    if (rc != KL_OK) {
        say(doctor, WRONG, NULL, "%s", why(rc));
        return;
    }
    if (!doctor->facts.is_initialised) {
        say(doctor, WRONG, "keyladder init", "there is no token in %s yet", store);
        return;
    }
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        char path[PATH_MAX];

        if (snprintf(path, sizeof path, "%s%s", store, endings[i]) < (int)sizeof path) check_mode(doctor, path);
    }
    if (doctor->facts.is_read_only)
        say(doctor, ATTENTION, "Whoever is to make or change keys needs to write the file and its folder.", "%s can only be read", store);
    if (doctor->said == 0) say(doctor, OK, NULL, "%s: token \"%s\", serial number %s", store, doctor->facts.label, doctor->facts.serial);
}

static void check_disk(struct doctor *doctor)
{
    char folder[PATH_MAX];
    struct statvfs facts;
    char *slash;
    uint64_t free_bytes;

    if (!doctor->is_open) return;
    snprintf(folder, sizeof folder, "%s", kl_ladder_store_path(doctor->cli->ladder));
    slash = strrchr(folder, '/');
    if (slash != NULL) slash[slash == folder ? 1 : 0] = '\0';
    if (statvfs(folder, &facts) != 0) {
        say(doctor, WRONG, NULL, "%s: %s", folder, strerror(errno));
        return;
    }
    free_bytes = (uint64_t)facts.f_bavail * facts.f_frsize;
    if (free_bytes < 4 * MIB) {
        say(doctor, WRONG, "Make room: keys cannot be made or changed.", "%ju KiB are free in %s", (uintmax_t)(free_bytes / KIB), folder);
    } else if (free_bytes < 64 * MIB) {
        say(doctor, ATTENTION, "Make room before it runs out.", "%ju MiB are free in %s", (uintmax_t)(free_bytes / MIB), folder);
    } else {
        say(doctor, OK, NULL, "%ju MiB are free in %s", (uintmax_t)(free_bytes / MIB), folder);
    }
}

static void check_login(struct doctor *doctor)
{
    enum kl_rc rc;

    if (!doctor->facts.is_initialised) return;
    if (doctor->facts.so_tries > 0) {
        say(doctor, ATTENTION, "Find out who tried.", "%u of %d tries at the SO PIN are used up", doctor->facts.so_tries, KL_PIN_TRIES);
    }
    if (doctor->facts.user_tries > 0) {
        say(doctor, ATTENTION, "Find out who tried; the right PIN sets the count back.", "%u of %d tries at the user's PIN are used up",
            doctor->facts.user_tries, KL_PIN_TRIES);
    }
    rc = kl_cli_login(doctor->cli, KL_ROLE_USER);
    doctor->is_in = rc == KL_OK;
    if (rc == KL_OK)
        say(doctor, OK, NULL, "the user's PIN opens the token");
    else
        say(doctor, WRONG, doctor->cli->advice, "%s", why(rc));
}

static void note_root(void *user, const struct kl_root_status *status)
{
    struct doctor *doctor = user;
    char words[512] = "";
    enum kl_rc rc;

    if (!status->has_copy) {
        say(doctor, ATTENTION, "If another root is lost, this one cannot stand in.", "%s (%s) has no sealed copy of the master key",
            status->name, status->type);
        return;
    }
    rc = kl_ladder_test_root(doctor->cli->ladder, status->name, words, sizeof words);
    if (rc == KL_OK)
        say(doctor, OK, NULL, "%s (%s) opens the master key%s%s", status->name, status->type, words[0] == '\0' ? "" : ": ", words);
    else
        say(doctor, WRONG, NULL, "%s (%s): %s", status->name, status->type, why(rc));
}

static void check_roots(struct doctor *doctor)
{
    enum kl_rc rc;

    if (!doctor->is_in) return;
    rc = kl_ladder_roots(doctor->cli->ladder, note_root, doctor);
    if (rc != KL_OK) say(doctor, WRONG, NULL, "%s", why(rc));
}

static void note_hurt(void *user, const char *words)
{
    say(user, WRONG, NULL, "%s", words);
}

static void check_content(struct doctor *doctor)
{
    struct kl_store_report report = { 0 };
    enum kl_rc rc;

    if (!doctor->is_in) return;
    rc = kl_ladder_verify(doctor->cli->ladder, note_hurt, doctor, &report);
    doctor->rows = report.rows;
    if (rc != KL_OK) {
        say(doctor, WRONG, NULL, "%s", why(rc));
    } else if (report.hurt > 0) {
        say(doctor, WRONG, "The other keys go on working. Restore the store from a backup, and find out who wrote to it.",
            "%ju of %ju rows do not fit", (uintmax_t)report.hurt, (uintmax_t)report.rows);
    } else {
        say(doctor, OK, NULL, "%ju row%s, each opens and is where it belongs; epoch %ju", (uintmax_t)report.rows,
            kl_words_plural(report.rows), (uintmax_t)report.epoch);
        say(doctor, NOTE, NULL, "an older copy of the whole store in its place would not be noticed");
    }
}

static void check_memory(struct doctor *doctor)
{
    struct kl_arena_stats stats = kl_arena_stats();
    uint64_t needed = ARENA_BASE + doctor->rows * HELD_KEY_BYTES;
    struct rlimit limit;

    if (needed < stats.mapped) needed = stats.mapped;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0) limit.rlim_cur = 0;
    if (stats.mapped > 0 && !stats.all_locked) {
        char advice[160];

        snprintf(advice, sizeof advice, "LimitMEMLOCK=%juM in the service's unit, or ulimit -l %ju in a shell.",
                 (uintmax_t)((needed + MIB - 1) / MIB), (uintmax_t)((needed + MIB - 1) / MIB * 1024));
        say(doctor, WRONG, advice, "only %zu of %zu KiB for keys could be locked: they may be swapped out", stats.locked / 1024,
            stats.mapped / 1024);
    } else if (geteuid() != 0 && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < needed) {
        char advice[160];

        snprintf(advice, sizeof advice, "LimitMEMLOCK=%juM in the service's unit.", (uintmax_t)((needed + MIB - 1) / MIB));
        say(doctor, ATTENTION, advice, "the limit on locked memory, %ju KiB, is less than all keys in use need (%ju KiB)",
            (uintmax_t)limit.rlim_cur / 1024, (uintmax_t)needed / 1024);
    } else {
        say(doctor, OK, NULL, "%zu KiB for keys, all locked; all keys in use need some %ju KiB", stats.mapped / 1024,
            (uintmax_t)needed / 1024);
    }
}

static void check_clock(struct doctor *doctor)
{
    struct timex facts = { 0 };
    int64_t now = kl_clock->wall();
    char date[21], made[21];

    kl_clock_text(now, date);
    kl_clock_text(doctor->facts.created_at, made);
    if (now < RELEASED || now > FAR) {
        say(doctor, WRONG, "Set it; dates of keys and rotations hang on it.", "the clock shows %s", date);
    } else if (now < doctor->facts.created_at) {
        say(doctor, WRONG, "Set it; dates of keys and rotations hang on it.", "the clock shows %s, and the token was made %s", date, made);
    } else if (adjtimex(&facts) == TIME_ERROR || (facts.status & STA_UNSYNC) != 0) {
        say(doctor, NOTE, "Nothing here says that it is kept right; a container may not see it.", "the clock shows %s", date);
    } else {
        say(doctor, OK, NULL, "%s, kept right by a time server", date);
    }
}

/* The first number in a file, or -1. */
static long read_number(const char *path)
{
    FILE *file = fopen(path, "re");
    char text[32] = "";
    long number = -1;

    if (file == NULL) return -1;
    if (fgets(text, sizeof text, file) != NULL) number = strtol(text, NULL, 10);
    fclose(file);
    return number;
}

static void check_process(struct doctor *doctor)
{
    long scope = read_number("/proc/sys/kernel/yama/ptrace_scope");
    struct rlimit limit;

    if (scope <= 0) {
        say(doctor, NOTE, "sysctl kernel.yama.ptrace_scope=1 keeps other processes of the same user out of those that hold keys.",
            "any process of the same user may look into another's memory");
    }
    if (getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur != 0) {
        say(doctor, NOTE, NULL, "core dumps are on; keys are left out of them, plaintext is not");
    }
    if (doctor->said == 0) say(doctor, OK, NULL, "no core dumps, and no looking into other processes' memory");
}

static void check_engine(struct doctor *doctor)
{
    /* Without a configuration that can be read there is no token that wants another. */
    enum kl_engine wanted = doctor->cli->ladder != NULL ? kl_ladder_engine(doctor->cli->ladder) : KL_ENGINE_AUTO;
    const char *name = kl_aead_engine_name(wanted);

    if (wanted == KL_ENGINE_AUTO && strcmp(name, "openssl") == 0) {
        say(doctor, NOTE,
            "apt-get install libipsec-mb1, if the processor has AES instructions: encryption is then two to four times as fast.",
            "AES-GCM is done by openssl");
        return;
    }
    say(doctor, OK, NULL, "AES-GCM is done by %s", name);
}

static void check_module(struct doctor *doctor)
{
    const char *path = kl_cli_option(doctor->cli, KL_OPT_MODULE);
    void *module;

    if (path == NULL) path = KL_PKCS11DIR "/keyladder-pkcs11.so";
    if (access(path, F_OK) != 0) {
        say(doctor, ATTENTION, "make install, or point to it with --module FILE.", "there is no module %s", path);
        return;
    }
    module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (module == NULL) {
        say(doctor, WRONG, NULL, "%s", dlerror());
    } else if (dlsym(module, "C_GetFunctionList") == NULL || dlsym(module, "C_GetInterface") == NULL) {
        say(doctor, WRONG, NULL, "%s is no PKCS #11 module", path);
    } else {
        say(doctor, OK, NULL, "%s loads", path);
    }
    if (module != NULL) dlclose(module);
}

static const struct {
    const char *name;
    void (*run)(struct doctor *doctor);
} checks[] = {
    { "configuration", check_configuration },
    { "secrets", check_secrets },
    { "store", check_store_files },
    { "disk", check_disk },
    { "login", check_login },
    { "root", check_roots },
    { "content", check_content },
    { "memory", check_memory },
    { "clock", check_clock },
    { "process", check_process },
    { "engine", check_engine },
    { "module", check_module },
};

static enum kl_rc run(struct kl_cli *cli)
{
    struct doctor doctor = { .cli = cli };

    if (kl_cli_is_json(cli)) doctor.json = kl_json_array();
    for (size_t i = 0; i < sizeof checks / sizeof *checks && !kl_interrupt_is_pending(); i++) {
        kl_fail_forget();
        cli->advice = NULL;
        doctor.check = checks[i].name;
        doctor.said = 0;
        checks[i].run(&doctor);
        /* A token that is not named is a matter of the command line. */
        if (cli->status == KL_EXIT_USAGE) break;
    }
    cli->advice = NULL;
    if (cli->status != KL_EXIT_USAGE) cli->status = grades[doctor.worst].status;
    if (kl_cli_is_json(cli)) {
        struct kl_json *json = kl_cli_object(cli);

        kl_json_set_text(json, "result", grades[doctor.worst].name);
        kl_json_set_take(json, "checks", doctor.json);
        KL_TRY(kl_cli_answer(json));
    }
    return kl_interrupt_check();
}

static const enum kl_opt options[] = { KL_OPT_PIN, KL_OPT_MODULE, KL_OPT_NONE };

const struct kl_command kl_command_doctor = {
    .name = "doctor",
    .operands = "",
    .summary = "look at everything the token needs, and say what to mend",
    .details = "Each line is ok, note, attention or wrong. Exit status 3 where something wants attention, 1 where something is wrong.",
    .options = options,
    .run = run,
};
