/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The verdict on each vector, counted by class, and what is known of other vendors. */
#include "vectors.h"

/* One cause fails ten thousand vectors: a few lines for each tell it all. */
enum { CAUSES_MAX = 32, TOLD_MAX = 3 };

/*
 * Where another vendor's module differs from the standard's text or from what
 * DESIGN asks of ours: counted, not failed. A family is named by how its label
 * begins; NULL is any family, or any step.
 */
static const struct {
    enum kind vendor;
    const char *family, *what;
    CK_RV rv;
} deviations[] = {
    { SOFTHSM, NULL, "opening under a bad tag", CKR_GENERAL_ERROR },
    { SOFTHSM, NULL, "opening in parts under a bad tag", CKR_GENERAL_ERROR },
    { SOFTHSM, NULL, "IV over 128 bytes", WRONG_BYTES },
    { SOFTHSM, NULL, "IV over 128 bytes", CKR_GENERAL_ERROR },
    { SOFTHSM, "aes_cbc", "decrypting what is no blocks", CKR_GENERAL_ERROR },
    { SOFTHSM, "aes_cbc", "decrypting a bad padding", CKR_GENERAL_ERROR },
    { SOFTHSM, "aes_cbc", "decrypting a bad padding in parts", CKR_GENERAL_ERROR },
    /* Pieces that leave less than a block. */
    { SOFTHSM, "aes_cbc", NULL, CKR_BUFFER_TOO_SMALL },
    { SOFTHSM, "aes_cmac", "a key of a length that is none of AES", CKR_MECHANISM_INVALID },
    /* It wants keys as long as the digest. */
    { SOFTHSM, "hmac", NULL, CKR_KEY_SIZE_RANGE },
    { SOFTHSM, NULL, "unwrapping an invalid vector", CKR_GENERAL_ERROR },
    /* It wraps the length of the padded key, not of the key; 2.30 padded with zeros under CKM_AES_KEY_WRAP as well. */
    { SOFTHSM, "aes_kwp", "wrapping", WRONG_BYTES },
    { SOFTHSM, "KWP", "wrapping", WRONG_BYTES },
    { SOFTHSM, "aes_wrap", "wrapping what is no blocks of 8 bytes", CKR_OK },
    { NSS, "aes_gcm", "no IV", CKR_HOST_MEMORY },
    { NSS, "aes_gcm", "no IV", CKR_ARGUMENTS_BAD },
    { NSS, NULL, "opening a message under a bad tag", CKR_ENCRYPTED_DATA_INVALID },
    { NSS, "chacha20", "a nonce of another length than 12", CKR_DATA_LEN_RANGE },
    /* Pieces must be whole blocks. */
    { NSS, "aes_cbc", "decrypting in parts", CKR_ENCRYPTED_DATA_LEN_RANGE },
    { NSS, "aes_cbc", "decrypting a bad padding in parts", CKR_ENCRYPTED_DATA_LEN_RANGE },
    { NSS, "aes_cbc", "decrypting what is no blocks", CKR_OK },
    /* Of CMAC it has the signing only, of HMAC_GENERAL no more than the name. */
    { NSS, "aes_cmac", NULL, CKR_MECHANISM_INVALID },
    { NSS, "hmac", NULL, CKR_MECHANISM_PARAM_INVALID },
    { NSS, "hmac", "verifying a bad tag", CKR_DATA_LEN_RANGE },
    { NSS, "hmac", "verifying a bad tag in parts", CKR_DATA_LEN_RANGE },
    { NSS, "hmac", "verifying a tampered tag", CKR_DATA_LEN_RANGE },
    { NSS, "hmac", "verifying a tag cut short", CKR_DATA_LEN_RANGE },
    { NSS, "hmac", "verifying a tag too long", CKR_DATA_LEN_RANGE },
    { NSS, "aes_wrap", NULL, CKR_DATA_LEN_RANGE },
    { NSS, "aes_wrap", "wrapping what is no blocks of 8 bytes", CKR_OK },
    { NSS, NULL, "unwrapping an invalid vector", CKR_DATA_LEN_RANGE },
    /* No unwrapped key is longer than 256 bytes. */
    { NSS, NULL, "unwrapping", CKR_TEMPLATE_INCONSISTENT },
    { NSS, NULL, "an empty salt", CKR_MECHANISM_PARAM_INVALID },
    { NSS, NULL, "over 255 blocks", CKR_TEMPLATE_INCONSISTENT },
};

static const char *const outcome_names[OUTCOMES] = {
    [PASSED] = "passed", [ABSENT] = "not offered", [REFUSED] = "refused", [DEVIATES] = "deviates", [FAILED] = "FAILED",
};

static struct {
    const char *family;
    enum outcome outcome;
    char reason[112];
    unsigned count;
} classes[400];

static struct {
    const char *family;
    unsigned vectors;
    int untold; /* failures that are counted but not printed */
    struct cause {
        const char *what;
        CK_RV rv;
        unsigned count;
    } causes[CAUSES_MAX];
    char id[96];
    bool open, settled;
    enum outcome outcome;
    char reason[112];
} now;

static const char *answer_name(CK_RV rv)
{
    return rv == WRONG_BYTES ? "another result" : rv_name(rv);
}

/* ---- counting ---- */

static void count(void)
{
    size_t i = 0;

    while (classes[i].family &&
           (classes[i].family != now.family || classes[i].outcome != now.outcome || strcmp(classes[i].reason, now.reason)))
        i++;
    if (i == COUNT(classes) - 1) die_at(__FILE__, __LINE__, "too many classes");
    classes[i].family = now.family;
    classes[i].outcome = now.outcome;
    memcpy(classes[i].reason, now.reason, sizeof now.reason);
    classes[i].count++;
}

void family_begin(const char *label)
{
    now.family = label;
    now.vectors = 0;
    now.untold = 0;
    memset(now.causes, 0, sizeof now.causes);
}

unsigned family_end(void)
{
    for (const struct cause *cause = now.causes; cause < now.causes + CAUSES_MAX && cause->what; cause++)
        if (cause->count > TOLD_MAX) printf("    %s: %s: %s %u times\n", now.family, cause->what, answer_name(cause->rv), cause->count);
    failures += now.untold;
    return now.vectors;
}

void vector_begin(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    vsnprintf(now.id, sizeof now.id, format, list);
    va_end(list);
    now.open = true;
    now.settled = false;
}

void vector_is(enum outcome outcome, const char *format, ...)
{
    va_list list;

    if (now.settled && outcome <= now.outcome) return;
    va_start(list, format);
    vsnprintf(now.reason, sizeof now.reason, format, list);
    va_end(list);
    now.outcome = outcome;
    now.settled = true;
}

void vector_end(void)
{
    if (!now.open || !now.settled) die_at(__FILE__, __LINE__, "%s %s has no verdict", now.family, now.id);
    now.open = false;
    now.vectors++;
    count();
}

/* ---- answers ---- */

bool is_known(const char *what, CK_RV rv)
{
    for (size_t i = 0; i < COUNT(deviations); i++) {
        const char *family = deviations[i].family, *step = deviations[i].what;

        if (deviations[i].vendor == p11_kind && deviations[i].rv == rv && (!step || strcmp(step, what) == 0) &&
            (!family || strncmp(family, now.family, strlen(family)) == 0))
            return true;
    }
    return false;
}

/* How often that has gone wrong so in this family; what does not fit in is not counted, and told. */
static unsigned cause_count(const char *what, CK_RV rv)
{
    struct cause *cause = now.causes;

    while (cause < now.causes + CAUSES_MAX && cause->what && (strcmp(cause->what, what) || cause->rv != rv)) cause++;
    if (cause == now.causes + CAUSES_MAX) return 1;
    *cause = (struct cause){ what, rv, cause->count + 1 };
    return cause->count;
}

static void other_than(int line, const char *what, CK_RV got, const char *wanted)
{
    session_renew();
    if (is_known(what, got)) {
        vector_is(DEVIATES, "%s: %s", what, answer_name(got));
        return;
    }
    vector_is(FAILED, "%s: %s", what, answer_name(got));
    if (cause_count(what, got) > TOLD_MAX)
        now.untold++;
    else
        fail_at(now.family, line, "%s: %s: %s, not %s", now.id, what, answer_name(got), wanted);
}

bool answer_at(int line, const char *what, CK_RV got, const CK_RV *want, size_t count_of)
{
    char wanted[256] = "";

    for (size_t i = 0; i < count_of; i++) {
        if (got == want[i]) return true;
        snprintf(wanted + strlen(wanted), sizeof wanted - strlen(wanted), "%s%s", i ? " or " : "", rv_name(want[i]));
    }
    other_than(line, what, got, wanted);
    return false;
}

bool bytes_equal(const struct bytes *a, const struct bytes *b)
{
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

bool same_at(int line, const char *what, const struct bytes *got, const struct bytes *want)
{
    if (bytes_equal(got, want)) return true;
    other_than(line, what, WRONG_BYTES, "the vector's");
    return false;
}

/* ---- the report ---- */

/* One line a family that a script can read, after one line a class. */
static void report_family(const char *family)
{
    unsigned sums[OUTCOMES] = { 0 };

    for (size_t i = 0; classes[i].family; i++)
        if (classes[i].family == family) sums[classes[i].outcome] += classes[i].count;
    printf("sum %s", family);
    for (int i = 0; i < OUTCOMES; i++) printf(" %u", sums[i]);
    printf("\n");
}

void report(void)
{
    for (size_t i = 0; classes[i].family; i++)
        printf("%-30s %6u %s: %s\n", classes[i].family, classes[i].count, outcome_names[classes[i].outcome], classes[i].reason);
    printf("sum family passed absent refused deviates failed\n");
    for (size_t i = 0; classes[i].family; i++)
        if (i == 0 || classes[i].family != classes[i - 1].family) report_family(classes[i].family);
}
