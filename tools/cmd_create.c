/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* keyladder create: grows the ladder by keys that their paths name. */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "words.h"

/* As C_DeriveKey makes them. */
#define LADDER_FLAGS \
    (KL_FLAG_PRIVATE | KL_FLAG_MODIFIABLE | KL_FLAG_SENSITIVE | KL_FLAG_ALWAYS_SENSITIVE | KL_FLAG_NEVER_EXTRACTABLE | KL_FLAG_DERIVE)

static const struct type {
    const char *name;
    uint64_t type;
    uint32_t usage;
} types[] = {
    { "aes", KL_TYPE_AES, KL_FLAG_ENCRYPT | KL_FLAG_DECRYPT },
    { "generic", KL_TYPE_GENERIC, KL_FLAG_SIGN | KL_FLAG_VERIFY },
    { "chacha20", KL_TYPE_CHACHA20, KL_FLAG_ENCRYPT | KL_FLAG_DECRYPT },
};

/* What to make, and what came of it. */
struct order {
    const struct type *type;
    uint8_t id[KL_ROW_KEY_ID_MAX];
    size_t id_len;
    bool with_parents;
    struct kl_json *made;
};

static enum kl_rc read_order(struct kl_cli *cli, struct order *order)
{
    const char *type = kl_cli_option(cli, KL_OPT_TYPE);
    const char *id = kl_cli_option(cli, KL_OPT_ID);

    order->with_parents = kl_cli_has(cli, KL_OPT_PARENTS);
    order->type = type == NULL ? &types[0] : NULL;
    for (size_t i = 0; order->type == NULL && i < sizeof types / sizeof *types; i++) {
        if (strcmp(types[i].name, type) == 0) order->type = &types[i];
    }
    if (order->type == NULL) return kl_cli_misuse(cli, "there is no type %s: aes, generic or chacha20", type);
    if (id != NULL && cli->args.count > 1) return kl_cli_misuse(cli, "--id is for one key, and there are %zu", cli->args.count);
    if (id != NULL && !kl_words_hex_read(id, order->id, sizeof order->id, &order->id_len)) {
        return kl_cli_misuse(cli, "--id takes pairs of hexadecimal digits, up to %zu", sizeof order->id);
    }
    return KL_OK;
}

/* Levels are separated by slashes; no part is empty, and '#' is kept for versions. */
static enum kl_rc check_path(struct kl_cli *cli, const char *path)
{
    size_t len = strlen(path);

    if (len == 0 || path[0] == '/' || path[len - 1] == '/' || strstr(path, "//") != NULL) {
        return kl_cli_misuse(cli, "\"%s\" is no path: a table's name, or table/field", path);
    }
    if (len > KL_LADDER_LABEL_MAX) return kl_cli_misuse(cli, "a path has at most %d bytes", KL_LADDER_LABEL_MAX);
    if (strchr(path, '#') != NULL) return kl_cli_misuse(cli, "\"%s\" is no path: '#' is for the versions of a key", path);
    return KL_OK;
}

static enum kl_rc find_parent(struct kl_cli *cli, const char *path, const char *slash, struct kl_record *parent)
{
    struct kl_view name = slash == NULL ? kl_view_text("master") : kl_view_of(path, (size_t)(slash - path));
    enum kl_rc rc = kl_ladder_find(cli->ladder, name, parent);

    if (rc != KL_NOT_FOUND) return rc;
    return kl_cli_advise(cli, kl_fail(rc, "%s cannot be made: there is no %.*s yet", path, (int)name.len, (const char *)name.data),
                         "Make it first, or let --parents do it.");
}

static void say_made(struct kl_cli *cli, struct order *order, const struct kl_record *record)
{
    char label[KL_WORDS_CAP];

    if (kl_cli_is_json(cli)) {
        kl_json_add_take(order->made, kl_words_json(record));
    } else {
        printf("%s: a %s\n", kl_words_label(record->label, label), kl_level_title(record->level));
    }
}

/* `path` up to `len` bytes; the rest of it is to come after this. */
static enum kl_rc create_one(struct kl_cli *cli, const char *path, size_t len, struct order *order)
{
    char name[KL_LADDER_LABEL_MAX + 1], label[KL_LADDER_LABEL_MAX + 1];
    KL_AUTO(kl_record) parent = { 0 };
    KL_AUTO(kl_record) record = { 0 };
    struct kl_request request = { .length = KL_LADDER_KEY_LEN, .is_token = true };
    const struct type *type = path[len] == '\0' ? order->type : &types[0];
    struct kl_commit commit;
    struct kl_key *key = NULL;
    const char *slash;

    snprintf(name, sizeof name, "%.*s", (int)len, path);
    memcpy(label, name, len + 1);
    for (char *dot = label; (dot = strchr(dot, '/')) != NULL;) *dot = '.';
    slash = strrchr(name, '/');
    KL_TRY(find_parent(cli, name, slash, &parent));
    request.key_type = type->type;
    request.flags = LADDER_FLAGS | type->usage;
    request.label = kl_view_text(label);
    request.info = kl_view_text(slash == NULL ? name : slash + 1);
    if (order->id_len > 0 && path[len] == '\0') request.key_id = kl_view_of(order->id, order->id_len);
    KL_TRY(kl_ladder_derive(cli->ladder, &parent, &request, &record, &key, &commit));
    kl_key_put(key);
    say_made(cli, order, &record);
    return KL_OK;
}

static enum kl_rc create_path(struct kl_cli *cli, const char *path, struct order *order)
{
    if (!order->with_parents) return create_one(cli, path, strlen(path), order);
    for (size_t len = strcspn(path, "/");; len += 1 + strcspn(path + len + 1, "/")) {
        KL_AUTO(kl_record) there = { 0 };
        enum kl_rc rc = kl_ladder_find(cli->ladder, kl_view_of(path, len), &there);

        if (rc == KL_NOT_FOUND) rc = create_one(cli, path, len, order);
        KL_TRY(rc);
        if (path[len] == '\0') return KL_OK;
    }
}

static enum kl_rc run(struct kl_cli *cli)
{
    struct order order = { 0 };
    enum kl_rc rc = KL_OK;

    KL_TRY(read_order(cli, &order));
    for (size_t i = 0; i < cli->args.count; i++) KL_TRY(check_path(cli, cli->args.operands[i]));
    KL_TRY(kl_cli_login(cli, KL_ROLE_USER));
    order.made = kl_json_array();
    for (size_t i = 0; rc == KL_OK && i < cli->args.count; i++) rc = create_path(cli, cli->args.operands[i], &order);
    if (kl_cli_is_json(cli) && rc == KL_OK) {
        struct kl_json *json = kl_cli_object(cli);

        kl_json_set_take(json, "objects", order.made);
        return kl_cli_answer(json);
    }
    kl_json_free(order.made);
    return rc;
}

static const enum kl_opt options[] = { KL_OPT_PIN, KL_OPT_PARENTS, KL_OPT_TYPE, KL_OPT_ID, KL_OPT_NONE };

const struct kl_command kl_command_create = {
    .name = "create",
    .operands = "PATH...",
    .least = 1,
    .most = 1000,
    .summary = "grow the ladder: users is a table's key, users/email that of a field",
    .details = "The key is derived from the one above it, the table's from the master, and is labelled users.email.",
    .options = options,
    .run = run,
};
