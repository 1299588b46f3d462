/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* keyladder decrypt: whatever encrypt or CKM_KL_ENVELOPE made. */
#include <string.h>

#include "cipher.h"
#include "lookup.h"

enum { SEALED_CHUNK = KL_STREAM_CHUNK + KL_ENVELOPE_TAG_LEN };

/* The key that the ciphertext names; with --key one of that key's versions. */
static enum kl_rc find_key(struct kl_cipher *cipher, const struct kl_named *named)
{
    const char *name = kl_cli_option(cipher->cli, KL_OPT_KEY);
    KL_AUTO(kl_found) found = { 0 };

    if (name == NULL) return kl_lookup_commitment(cipher->cli, named->id, &cipher->record);
    KL_TRY(kl_lookup(cipher->cli, name, &found));
    for (size_t i = 0; i < found.count; i++) {
        struct kl_record *record = &found.items[i];

        if (!record->has_commitment || memcmp(record->commitment, named->id, KL_COMMITMENT_LEN) != 0) continue;
        kl_record_take(&cipher->record, record);
        return KL_OK;
    }
    return kl_cli_advise(cipher->cli, kl_fail(KL_CIPHERTEXT, "%s was made with another key than %s", cipher->input.name, name),
                         "Leave --key out to let the ciphertext name its key.");
}

/* What may have been forgotten, where nothing shows that the ciphertext itself is hurt. */
static enum kl_rc forgotten(struct kl_cipher *cipher, enum kl_rc rc)
{
    if (rc != KL_CIPHERTEXT || kl_cli_has(cipher->cli, KL_OPT_RECORD)) return rc;
    return kl_cli_advise(cipher->cli, rc, "If it was made with --aad, or with a record's own key (--record), the same is needed here.");
}

/* `begun` bytes of the envelope have been read to `beginning`. */
static enum kl_rc envelope(struct kl_cipher *cipher, const uint8_t *beginning, size_t begun)
{
    size_t cap = KL_CIPHER_ENVELOPE_MAX + KL_ENVELOPE_OVERHEAD_MAX + 1, len;
    struct kl_envelope_how how = kl_ladder_envelope(cipher->cli->ladder);
    struct kl_out out = { .cap = cap };
    uint8_t *in;

    KL_TRY(kl_envelope_new(cipher->key, &how, &cipher->envelope));
    KL_TRY(kl_cipher_room(cipher, cap + out.cap));
    in = cipher->room;
    out.data = cipher->room + cap;
    memcpy(in, beginning, begun);
    KL_TRY(kl_input_read(&cipher->input, in + begun, cap - begun, &len));
    len += begun;
    if (len == cap) {
        return kl_fail(KL_DATA_LENGTH, "%s is an envelope of more than %zu MiB", cipher->input.name, KL_CIPHER_ENVELOPE_MAX >> 20);
    }
    if (len < KL_ENVELOPE_OVERHEAD) return kl_fail(KL_CIPHERTEXT_LENGTH, "%s was cut off: an envelope is longer", cipher->input.name);
    KL_TRY(forgotten(cipher, kl_envelope_open(cipher->envelope, cipher->aad, kl_view_of(in, len), &out)));
    return kl_output_write(&cipher->output, kl_view_of(out.data, out.len));
}

/* Says how far a stream could be trusted, where part of it has been written out. */
static enum kl_rc cut_off(struct kl_cipher *cipher, enum kl_rc rc)
{
    char words[512];

    if (cipher->output.done == 0) return forgotten(cipher, rc);
    if (rc != KL_CIPHERTEXT || cipher->output.folder >= 0) return rc;
    strncpy(words, kl_fail_words(), sizeof words - 1);
    words[sizeof words - 1] = '\0';
    return kl_cli_advise(cipher->cli,
                         kl_fail(rc, "%s; the %ju bytes written before are genuine, and incomplete", words, (uintmax_t)cipher->output.done),
                         "With --output FILE nothing appears before the whole has been checked.");
}

static enum kl_rc stream(struct kl_cipher *cipher, const uint8_t header[KL_STREAM_HEADER_LEN])
{
    uint8_t *in, *next, *out;
    size_t len, next_len = 0;

    KL_TRY(kl_cipher_room(cipher, 3 * SEALED_CHUNK));
    in = cipher->room;
    next = in + SEALED_CHUNK;
    out = next + SEALED_CHUNK;
    KL_TRY(kl_stream_decrypt(cipher->key, cipher->aad, header, &cipher->stream));
    KL_TRY(kl_input_read(&cipher->input, in, SEALED_CHUNK, &len));
    for (bool last = false; !last;) {
        uint8_t *done = in;

        if (len == SEALED_CHUNK) KL_TRY(kl_input_read(&cipher->input, next, SEALED_CHUNK, &next_len));
        last = len < SEALED_CHUNK || next_len == 0;
        KL_TRY(cut_off(cipher, kl_stream_chunk(cipher->stream, kl_view_of(in, len), last, out)));
        KL_TRY(kl_output_write(&cipher->output, kl_view_of(out, len - KL_ENVELOPE_TAG_LEN)));
        kl_progress_tell(&cipher->progress, cipher->input.done, cipher->input.size);
        in = next;
        len = next_len;
        next = done;
        next_len = 0;
    }
    return KL_OK;
}

static enum kl_rc decrypt(struct kl_cipher *cipher)
{
    uint8_t beginning[KL_STREAM_HEADER_LEN];
    struct kl_named named;
    size_t len;

    KL_TRY(kl_cipher_open(cipher, "decrypting"));
    /* An envelope may be shorter than a stream's header. */
    KL_TRY(kl_input_read(&cipher->input, beginning, sizeof beginning, &len));
    KL_TRY(kl_envelope_name(kl_view_of(beginning, len), &named));
    KL_TRY(kl_cli_login(cipher->cli, KL_ROLE_USER));
    KL_TRY(find_key(cipher, &named));
    KL_TRY(kl_cipher_key(cipher, false));
    if (named.format == 1) {
        KL_TRY(envelope(cipher, beginning, len));
    } else {
        if (len < sizeof beginning) return kl_fail(KL_CIPHERTEXT_LENGTH, "%s was cut off in its first bytes", cipher->input.name);
        KL_TRY(stream(cipher, beginning));
    }
    return kl_cipher_finish(cipher, named.format);
}

static enum kl_rc run(struct kl_cli *cli)
{
    struct kl_cipher cipher = { .cli = cli };
    enum kl_rc rc = kl_cipher_check(&cipher);

    if (rc == KL_OK) rc = decrypt(&cipher);
    kl_cipher_clear(&cipher);
    return rc;
}

static const enum kl_opt options[] = { KL_OPT_KEY, KL_OPT_RECORD, KL_OPT_AAD, KL_OPT_INPUT, KL_OPT_OUTPUT, KL_OPT_PIN, KL_OPT_NONE };

const struct kl_command kl_command_decrypt = {
    .name = "decrypt",
    .operands = "",
    .summary = "decrypt standard input or a file",
    .details = "Streams (format 2) and envelopes (format 1) are told apart, and name their key; --key refuses any other.",
    .options = options,
    .run = run,
};
