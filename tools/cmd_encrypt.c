/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* keyladder encrypt: a stream of any size in constant memory, or one envelope. */
#include <string.h>

#include "cipher.h"
#include "ladder/budget.h"
#include "lookup.h"

enum { TAG_LEN = KL_ENVELOPE_TAG_LEN };

static enum kl_rc find_key(struct kl_cipher *cipher)
{
    KL_AUTO(kl_found) found = { 0 };
    const char *name = kl_cli_option(cipher->cli, KL_OPT_KEY);
    struct kl_record *only = NULL;

    KL_TRY(kl_lookup(cipher->cli, name, &found));
    for (size_t i = 0; i < found.count; i++) {
        if (!found.items[i].is_active) continue;
        if (only != NULL)
            return kl_fail(KL_LABEL_TAKEN, "there are several keys called %s; give the id of one (keyladder show %s)", name, name);
        only = &found.items[i];
    }
    if (only == NULL) only = &found.items[0];
    kl_record_take(&cipher->record, only);
    return KL_OK;
}

/* One encryption of the budget of the stored key; below it, a record's key has its own. */
static enum kl_rc count(const struct kl_cipher *cipher)
{
    uint32_t got;

    if (kl_cli_has(cipher->cli, KL_OPT_RECORD)) return KL_OK;
    return kl_budget_take(cipher->cli->ladder, cipher->record.id, 1, &got);
}

static enum kl_rc envelope(struct kl_cipher *cipher)
{
    size_t cap = KL_CIPHER_ENVELOPE_MAX + 1, len;
    struct kl_envelope_how how = kl_ladder_envelope(cipher->cli->ladder);
    struct kl_out out = { .cap = cap + KL_ENVELOPE_OVERHEAD_MAX };
    uint8_t *in;

    KL_TRY(kl_envelope_new(cipher->key, &how, &cipher->envelope));
    if (kl_envelope_is_counted(cipher->envelope)) KL_TRY(count(cipher));
    KL_TRY(kl_cipher_room(cipher, cap + out.cap));
    in = cipher->room;
    out.data = cipher->room + cap;
    KL_TRY(kl_input_read(&cipher->input, in, cap, &len));
    if (len == cap) {
        return kl_fail(KL_DATA_LENGTH, "%s has more than the %zu MiB of one envelope; leave --envelope out to make a stream",
                       cipher->input.name, KL_CIPHER_ENVELOPE_MAX >> 20);
    }
    KL_TRY(kl_envelope_seal(cipher->envelope, cipher->aad, kl_view_of(in, len), &out));
    return kl_output_write(&cipher->output, kl_view_of(out.data, out.len));
}

/* Which chunk is the last is known only once the next has been asked for, so two take turns. */
static enum kl_rc stream(struct kl_cipher *cipher)
{
    uint8_t header[KL_STREAM_HEADER_LEN];
    uint8_t *in, *next, *out;
    size_t len, next_len = 0;

    KL_TRY(kl_cipher_room(cipher, 3 * KL_STREAM_CHUNK + TAG_LEN));
    in = cipher->room;
    next = in + KL_STREAM_CHUNK;
    out = next + KL_STREAM_CHUNK;
    /* A stream has a key of its own, drawn by its salt: it counts once, however long it is. */
    KL_TRY(count(cipher));
    KL_TRY(kl_stream_encrypt(cipher->key, cipher->aad, header, &cipher->stream));
    KL_TRY(kl_output_write(&cipher->output, kl_view_of(header, sizeof header)));
    KL_TRY(kl_input_read(&cipher->input, in, KL_STREAM_CHUNK, &len));
    for (bool last = false; !last;) {
        uint8_t *done = in;

        if (len == KL_STREAM_CHUNK) KL_TRY(kl_input_read(&cipher->input, next, KL_STREAM_CHUNK, &next_len));
        last = len < KL_STREAM_CHUNK || next_len == 0;
        KL_TRY(kl_stream_chunk(cipher->stream, kl_view_of(in, len), last, out));
        KL_TRY(kl_output_write(&cipher->output, kl_view_of(out, len + TAG_LEN)));
        kl_progress_tell(&cipher->progress, cipher->input.done, cipher->input.size);
        in = next;
        len = next_len;
        next = done;
        next_len = 0;
    }
    return KL_OK;
}

static enum kl_rc encrypt(struct kl_cipher *cipher)
{
    bool is_envelope = kl_cli_has(cipher->cli, KL_OPT_ENVELOPE);

    KL_TRY(kl_cipher_open(cipher, "encrypting"));
    if (kl_output_is_terminal(&cipher->output)) {
        return kl_cli_misuse(cipher->cli, "a ciphertext is nothing for a terminal: take --output FILE, or redirect standard output");
    }
    KL_TRY(kl_cli_login(cipher->cli, KL_ROLE_USER));
    KL_TRY(find_key(cipher));
    KL_TRY(kl_cipher_key(cipher, true));
    KL_TRY(is_envelope ? envelope(cipher) : stream(cipher));
    return kl_cipher_finish(cipher, is_envelope ? 1 : 2);
}

static enum kl_rc run(struct kl_cli *cli)
{
    struct kl_cipher cipher = { .cli = cli };
    enum kl_rc rc;

    if (!kl_cli_has(cli, KL_OPT_KEY)) return kl_cli_misuse(cli, "encrypt wants a key: --key users/email");
    rc = kl_cipher_check(&cipher);
    if (rc == KL_OK) rc = encrypt(&cipher);
    kl_cipher_clear(&cipher);
    return rc;
}

static const enum kl_opt options[] = { KL_OPT_KEY,   KL_OPT_RECORD, KL_OPT_AAD, KL_OPT_ENVELOPE,
                                       KL_OPT_INPUT, KL_OPT_OUTPUT, KL_OPT_PIN, KL_OPT_NONE };

const struct kl_command kl_command_encrypt = {
    .name = "encrypt",
    .operands = "",
    .summary = "encrypt standard input or a file",
    .details = "The ciphertext names its key's version. It is a stream of any size (format 2), or with --envelope what\n"
               "CKM_KL_ENVELOPE makes (format 1). --aad and --record are needed again to decrypt.",
    .options = options,
    .run = run,
};
