/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Tables of functions, mechanisms and attributes in documents, made of the rows that the module itself is made of.
 *
 *     tools/gen/tables < README.md                     what stands between "<!-- table NAME -->" and "<!-- end of table -->" is made anew
 *     tools/gen/tables < doc/keyladder-pkcs11.7.in     a line "@table NAME" becomes the table
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "token/attr.h"
#include "token/mech.h"
#include "token/op.h"
#include "token/policy.h"
#include "token/token.h"

/* --- names --- */

/* Each CKA_, CKK_, CKM_ and CKO_ of keyladder/pkcs11.h. The build asks the compiler for them, so that nobody has to keep a list. */
static const struct {
    const char *name;
    CK_ULONG number;
} names[] = {
#define NAME(name) { #name, name },
#include "tools/gen/names.list"
#undef NAME
};

static bool is_nameless;

static const char *name_of(const char *prefix, CK_ULONG number)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (names[i].number == number && strncmp(names[i].name, prefix, strlen(prefix)) == 0) return names[i].name;
    }
    fprintf(stderr, "keyladder/pkcs11.h has no %s for 0x%lx\n", prefix, number);
    is_nameless = true;
    return "?";
}

/* --- text that comes in pieces, in either kind of document --- */

/* The next piece, with a comma before all but the first. */
__attribute__((format(printf, 2, 3))) static void put_item(bool *is_begun, const char *format, ...)
{
    va_list args;

    if (*is_begun) fputs(", ", stdout);
    *is_begun = true;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
}

/* --- functions --- */

static const struct function {
    const char *name;
    const char *since;
    const char *chapter;
    const char *answer; /* NULL: offered */
} functions[] = {
#define KL_FN(name, since, chapter, family, kind) { #name, #since, #chapter, NULL },
#define KL_FN_ABSENT(name, since, chapter, family, kind, answer, parameters) { #name, #since, #chapter, #answer },
#include "p11/function.def"
#undef KL_FN
#undef KL_FN_ABSENT
};
#define FUNCTIONS (sizeof functions / sizeof *functions)

static const struct {
    const char *result;
    const char *code;
} results[] = {
#define KL_RC(name, words, call, key, message, slot) { #name, #call },
#include "base/rc.def"
#undef KL_RC
};

static const char *code_of(const char *result)
{
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
        if (strcmp(results[i].result, result) == 0) return results[i].code;
    }
    return "?";
}

static void functions_for_readme(void)
{
    puts("| function | since | |\n|---|---|---|");
    for (const struct function *it = functions; it < functions + FUNCTIONS; it++) {
        printf("| `%s` | %c.%s | %s |\n", it->name, it->since[0], it->since + 2, it->answer ? code_of(it->answer) : "offered");
    }
}

static void functions_for_man(void)
{
    const char *chapter = "";
    bool is_begun = false;

    for (const struct function *it = functions; it < functions + FUNCTIONS; it++) {
        if (it->answer) continue;
        if (strcmp(it->chapter, chapter) != 0) {
            printf("%s.TP\n.I %s\n", is_begun ? "\n" : "", it->chapter);
            is_begun = false;
        }
        chapter = it->chapter;
        put_item(&is_begun, "%s", it->name);
    }
    putchar('\n');
}

static bool has_answer(const struct function *it, const char *answer)
{
    return it->answer && strcmp(it->answer, answer) == 0;
}

/* `first` is the first function with its answer, or prints nothing. */
static void absent_functions_like(const struct function *first)
{
    const char *answer = first->answer;
    bool is_begun = false;

    if (!answer) return;
    for (const struct function *before = functions; before < first; before++) {
        if (has_answer(before, answer)) return;
    }
    printf(".TP\n.B %s\n", code_of(answer));
    for (const struct function *it = first; it < functions + FUNCTIONS; it++) {
        if (has_answer(it, answer)) put_item(&is_begun, "%s", it->name);
    }
    putchar('\n');
}

static void absent_functions_for_man(void)
{
    for (const struct function *it = functions; it < functions + FUNCTIONS; it++) absent_functions_like(it);
}

/* --- mechanisms --- */

static const char *const policies[] = {
    [KL_POLICY_STANDARD] = "standard",
    [KL_POLICY_STRICT] = "strict",
    [KL_POLICY_COMPATIBLE] = "compatible",
};
#define POLICIES (sizeof policies / sizeof *policies)

/* What C_GetMechanismInfo says under each of them. */
struct offers {
    bool is_offered[POLICIES];
    CK_MECHANISM_INFO info[POLICIES];
    const CK_MECHANISM_INFO *first; /* where it is offered */
};

static void ask(const struct kl_mech *mech, struct offers *out)
{
    *out = (struct offers){ .first = NULL };
    for (size_t policy = 0; policy < POLICIES; policy++) {
        struct kl_token token = { .policy = (enum kl_policy)policy };

        out->is_offered[policy] = kl_mech_info(&token, mech->type, &out->info[policy]) == KL_OK;
        if (out->is_offered[policy] && !out->first) out->first = &out->info[policy];
    }
}

static void put_flags(CK_FLAGS flags)
{
    static const struct {
        CK_FLAGS flag;
        const char *name;
    } rows[] = {
        { CKF_ENCRYPT, "ENCRYPT" },
        { CKF_DECRYPT, "DECRYPT" },
        { CKF_MESSAGE_ENCRYPT, "MESSAGE_ENCRYPT" },
        { CKF_MESSAGE_DECRYPT, "MESSAGE_DECRYPT" },
        { CKF_MULTI_MESSAGE, "MULTI_MESSAGE" },
        { CKF_SIGN, "SIGN" },
        { CKF_VERIFY, "VERIFY" },
        { CKF_DIGEST, "DIGEST" },
        { CKF_GENERATE, "GENERATE" },
        { CKF_DERIVE, "DERIVE" },
        { CKF_WRAP, "WRAP" },
        { CKF_UNWRAP, "UNWRAP" },
    };
    bool is_begun = false;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (flags & rows[i].flag) put_item(&is_begun, "%s", rows[i].name);
        flags &= ~rows[i].flag;
    }
    if (flags) put_item(&is_begun, "0x%lx", flags);
}

static void put_functions(const struct kl_mech *mech)
{
    static const char *const once[KL_OP_FIND] = {
        [KL_OP_ENCRYPT] = "C_Encrypt", [KL_OP_DECRYPT] = "C_Decrypt", [KL_OP_SIGN] = "C_Sign",
        [KL_OP_VERIFY] = "C_Verify",   [KL_OP_DIGEST] = "C_Digest",
    };
    const char *authenticated = mech->wraps_authenticated ? "Authenticated" : "";
    bool is_begun = false;

    for (size_t kind = 0; kind < KL_OP_FIND; kind++) {
        const struct kl_steps *steps = mech->steps[kind];

        if (steps) put_item(&is_begun, "%s%s", once[kind], steps->update || steps->absorb ? "[Update]" : "");
    }
    if (mech->message) put_item(&is_begun, "C_EncryptMessage, C_DecryptMessage");
    if (mech->parameter_is_aad) put_item(&is_begun, "KL_EncryptBatch, KL_DecryptBatch");
    if (mech->generates) put_item(&is_begun, "C_GenerateKey");
    if (mech->derive || mech->derive_ladder) put_item(&is_begun, "C_DeriveKey");
    if (mech->wrap) put_item(&is_begun, "C_WrapKey%s, C_UnwrapKey%s", authenticated, authenticated);
}

static void put_key_types(const struct kl_mech *mech)
{
    bool is_begun = false;

    if (mech->generates) put_item(&is_begun, "%s", name_of("CKK_", mech->makes));
    for (size_t i = 0; i < mech->key_type_count; i++) put_item(&is_begun, "%s", name_of("CKK_", mech->key_types[i]));
}

static void put_sizes(const CK_MECHANISM_INFO *info, const char *to)
{
    if (info->ulMaxKeySize > 0) printf("%lu", info->ulMinKeySize);
    if (info->ulMaxKeySize > info->ulMinKeySize) printf("%s%lu", to, info->ulMaxKeySize);
}

/* NULL: it works with no key, or makes one. */
static const char *on_ladder(const struct kl_mech *mech)
{
    if (mech->key_type_count == 0) return NULL;
    if (!mech->on_ladder) return "no";
    if (mech->of_root) return "the master only";
    if (mech->any_ladder_type || mech->derive_ladder) return "yes, of any type";
    return mech->free_wraps_only ? "yes, but not to wrap" : "yes";
}

/* Nothing where it is the same under all three. */
static void put_policy(const struct kl_mech *mech, const struct offers *offers)
{
    bool is_everywhere = true;
    bool is_begun = false;

    for (size_t i = 0; i < POLICIES; i++) is_everywhere = is_everywhere && offers->is_offered[i];
    for (size_t i = 0; i < POLICIES; i++) {
        CK_FLAGS more = offers->info[i].flags & ~offers->first->flags;

        if (!is_everywhere && offers->is_offered[i]) put_item(&is_begun, "%s only", policies[i]);
        if (!offers->is_offered[i] || !more) continue;
        put_item(&is_begun, "%s only: ", policies[i]);
        put_flags(more);
    }
    if (mech->aes_if_compatible) put_item(&is_begun, "%s only: keys of type CKK_AES too", policies[KL_POLICY_COMPATIBLE]);
}

static void mechanism_for_readme(const struct kl_mech *mech)
{
    const char *ladder = on_ladder(mech);
    struct offers offers;

    ask(mech, &offers);
    printf("| `%s` | ", name_of("CKM_", mech->type));
    put_functions(mech);
    fputs(" | ", stdout);
    put_key_types(mech);
    fputs(" | ", stdout);
    put_sizes(offers.first, "-");
    fputs(" | ", stdout);
    put_flags(offers.first->flags);
    printf(" | %s | ", ladder ? ladder : "");
    put_policy(mech, &offers);
    puts(" |");
}

static void mechanism_for_man(const struct kl_mech *mech)
{
    const char *ladder = on_ladder(mech);
    struct offers offers;

    ask(mech, &offers);
    printf(".TP\n.BR %s \" (0x%lx)\"\n", name_of("CKM_", mech->type), mech->type);
    put_functions(mech);
    puts(".");
    if (offers.first->ulMaxKeySize > 0) {
        fputs(mech->generates ? "Makes " : "Keys: ", stdout);
        put_key_types(mech);
        fputs(", ", stdout);
        put_sizes(offers.first, " to ");
        puts(" bytes.");
    }
    if (ladder) printf("On ladder keys: %s.\n", ladder);
    if (mech->is_compatible_only || mech->wraps_if_compatible || mech->aes_if_compatible) {
        fputs("Policy: ", stdout);
        put_policy(mech, &offers);
        puts(".");
    }
}

/* The policy that offers the most has all of them. */
static void each_mechanism(void (*put)(const struct kl_mech *mech))
{
    struct kl_token token = { .policy = KL_POLICY_COMPATIBLE };

    for (CK_ULONG i = 0; i < kl_mech_count(&token); i++) put(kl_mech_find(kl_mech_type_at(&token, i)));
}

static void mechanisms_for_readme(void)
{
    puts("| mechanism | functions | key types | bytes | flags | ladder keys | policy |\n|---|---|---|---|---|---|---|");
    each_mechanism(mechanism_for_readme);
}

static void mechanisms_for_man(void)
{
    each_mechanism(mechanism_for_man);
}

/* --- attributes --- */

static void put_setters(unsigned rules)
{
    static const struct {
        unsigned rules;
        const char *words;
    } rows[] = {
        { KL_ON_MAKE, "when the object is made" }, { KL_ON_CREATE, "by C_CreateObject" }, { KL_ON_GENERATE, "by C_GenerateKey" },
        { KL_ON_DERIVE, "by C_DeriveKey" },        { KL_ON_UNWRAP, "by C_UnwrapKey" },    { KL_ON_COPY, "by C_CopyObject" },
        { KL_MODIFY, "by C_SetAttributeValue" },
    };
    bool is_begun = false;

    fputs(rules ? "Set " : "Set by the token alone", stdout);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if ((rules & rows[i].rules) != rows[i].rules) continue;
        put_item(&is_begun, "%s", rows[i].words);
        rules &= ~rows[i].rules;
    }
}

static void put_changes(unsigned rules)
{
    if (rules & KL_ONLY_UP) fputs("; later only from CK_FALSE to CK_TRUE", stdout);
    if (rules & KL_ONLY_DOWN) fputs("; later only from CK_TRUE to CK_FALSE", stdout);
    if (rules & KL_LOCKED) fputs(" (else CKR_ACTION_PROHIBITED)", stdout);
    if (rules & KL_BY_SO) fputs("; CK_TRUE by the security officer alone", stdout);
    if (rules & KL_HIDDEN) fputs("; not compared in searches", stdout);
}

static void put_attributes_of(const struct kl_attr_table *table, size_t first)
{
    unsigned rules = table->rows[first].rules;
    bool is_begun = false;

    for (size_t i = 0; i < first; i++) {
        if (table->rows[i].rules == rules) return;
    }
    fputs(".IP \"", stdout);
    put_setters(rules);
    put_changes(rules);
    puts("\" 4");
    for (size_t i = first; i < table->count; i++) {
        if (table->rows[i].rules == rules) put_item(&is_begun, "%s", name_of("CKA_", table->rows[i].type));
    }
    putchar('\n');
}

static void attributes_for_man(void)
{
    for (const struct kl_attr_table *table = kl_attr_tables; table < kl_attr_tables + kl_attr_table_count; table++) {
        printf(".PP\nOf %s:\n", name_of("CKO_", table->class));
        for (size_t i = 0; i < table->count; i++) put_attributes_of(table, i);
    }
}

/* --- documents --- */

static const char region_end[] = "<!-- end of table -->\n";

static const struct table {
    const char *mark;
    bool is_region;
    void (*put)(void);
} tables[] = {
    { "<!-- table functions -->\n", true, functions_for_readme }, { "<!-- table mechanisms -->\n", true, mechanisms_for_readme },
    { "@table functions\n", false, functions_for_man },           { "@table absent functions\n", false, absent_functions_for_man },
    { "@table mechanisms\n", false, mechanisms_for_man },         { "@table attributes\n", false, attributes_for_man },
};

static const struct table *table_at(const char *line)
{
    for (const struct table *it = tables; it < tables + sizeof tables / sizeof *tables; it++) {
        if (strcmp(it->mark, line) == 0) return it;
    }
    return NULL;
}

int main(void)
{
    bool is_inside = false;
    char line[1000];

    while (fgets(line, sizeof line, stdin) != NULL) {
        const struct table *table = is_inside ? NULL : table_at(line);

        if (is_inside && strcmp(line, region_end) == 0) is_inside = false;
        if (is_inside || (table && !table->is_region)) line[0] = '\0';
        fputs(line, stdout);
        if (table) table->put();
        if (table) is_inside = table->is_region;
    }
    if (is_inside) fputs("a table has no end\n", stderr);
    return is_inside || is_nameless || ferror(stdin) || fflush(stdout) != 0;
}
