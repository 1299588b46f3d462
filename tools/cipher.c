/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "cipher.h"

#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "words.h"

enum kl_rc kl_cipher_check(struct kl_cipher *cipher)
{
    struct kl_cli *cli = cipher->cli;
    const char *output = kl_cli_option(cli, KL_OPT_OUTPUT);
    const char *input = kl_cli_option(cli, KL_OPT_INPUT);
    const char *pin = kl_cli_option(cli, KL_OPT_PIN);
    const char *record = kl_cli_option(cli, KL_OPT_RECORD);
    const char *aad = kl_cli_option(cli, KL_OPT_AAD);
    bool reads_stdin = input == NULL || strcmp(input, "-") == 0;

    cipher->aad = kl_view_text(aad == NULL ? "" : aad);
    if (kl_cli_is_json(cli) && (output == NULL || strcmp(output, "-") == 0)) {
        return kl_cli_misuse(cli, "--json writes to standard output, and so do the data: say where they go with --output FILE");
    }
    if (reads_stdin && pin != NULL && strcmp(pin, "fd:0") == 0) {
        return kl_cli_misuse(cli, "the PIN and the data cannot both come from standard input: take --input FILE, or another --pin");
    }
    if (cipher->aad.len > KL_ENVELOPE_AAD_MAX) return kl_cli_misuse(cli, "--aad takes at most %d bytes", KL_ENVELOPE_AAD_MAX);
    if (record != NULL && (record[0] == '\0' || strlen(record) > KL_LADDER_INFO_MAX)) {
        return kl_cli_misuse(cli, "--record takes 1 to %d bytes", KL_LADDER_INFO_MAX);
    }
    return KL_OK;
}

enum kl_rc kl_cipher_open(struct kl_cipher *cipher, const char *verb)
{
    cipher->input.fd = cipher->output.fd = cipher->output.folder = -1;
    cipher->is_open = true;
    KL_TRY(kl_input_open(kl_cli_option(cipher->cli, KL_OPT_INPUT), &cipher->input));
    KL_TRY(kl_output_open(kl_cli_option(cipher->cli, KL_OPT_OUTPUT), &cipher->output));
    kl_progress_begin(&cipher->progress, verb);
    return KL_OK;
}

static enum kl_rc may(const struct kl_record *record, bool to_encrypt)
{
    bool by_state = to_encrypt ? kl_state_can_encrypt(record->state) : kl_state_can_decrypt(record->state);
    const char *verb = to_encrypt ? "encrypt" : "decrypt";
    char label[KL_WORDS_CAP];

    if (record->class != KL_CLASS_SECRET_KEY || !kl_record_has(record, to_encrypt ? KL_FLAG_ENCRYPT : KL_FLAG_DECRYPT)) {
        return kl_fail(KL_KEY_FUNCTION, "%s may not %s", kl_words_label(record->label, label), verb);
    }
    if (by_state) return KL_OK;
    return kl_fail(KL_KEY_FUNCTION, "%s is %s and may not %s", kl_words_label(record->label, label), kl_state_name(record->state), verb);
}

/* The key of one record, as C_DeriveKey makes it without a salt. */
static enum kl_rc below(struct kl_cipher *cipher, const char *id)
{
    struct kl_request request = {
        .key_type = KL_TYPE_AES,
        .length = KL_LADDER_KEY_LEN,
        .flags = KL_FLAG_PRIVATE | KL_FLAG_SENSITIVE | KL_FLAG_ENCRYPT | KL_FLAG_DECRYPT,
        .info = kl_view_text(id),
    };
    struct kl_key *derived = NULL;

    KL_TRY(kl_key_derive(cipher->key, &request, &derived));
    kl_key_put(cipher->key);
    cipher->key = derived;
    return KL_OK;
}

enum kl_rc kl_cipher_key(struct kl_cipher *cipher, bool to_encrypt)
{
    const char *record = kl_cli_option(cipher->cli, KL_OPT_RECORD);

    KL_TRY(may(&cipher->record, to_encrypt));
    KL_TRY(kl_ladder_open_key(cipher->cli->ladder, &cipher->record, &cipher->key));
    return record == NULL ? KL_OK : below(cipher, record);
}

enum kl_rc kl_cipher_room(struct kl_cipher *cipher, size_t len)
{
    cipher->room = malloc(len);
    if (cipher->room == NULL) return kl_fail(KL_MEMORY, "out of memory");
    cipher->room_len = len;
    return KL_OK;
}

enum kl_rc kl_cipher_finish(struct kl_cipher *cipher, unsigned format)
{
    struct kl_json *json;

    KL_TRY(kl_output_commit(&cipher->output));
    if (!kl_cli_is_json(cipher->cli)) return KL_OK;
    json = kl_cli_object(cipher->cli);
    kl_json_set_number(json, "format", format);
    kl_json_set_bytes(json, "key", cipher->record.label);
    kl_json_set_number(json, "version", cipher->record.version);
    kl_json_set_hex(json, "envelope_id", kl_view_of(cipher->record.commitment, KL_COMMITMENT_LEN));
    kl_json_set_number(json, "bytes_in", (int64_t)cipher->input.done);
    kl_json_set_number(json, "bytes_out", (int64_t)cipher->output.done);
    return kl_cli_answer(json);
}

void kl_cipher_clear(struct kl_cipher *cipher)
{
    kl_progress_end(&cipher->progress);
    kl_envelope_free(cipher->envelope);
    kl_stream_free(cipher->stream);
    kl_key_put(cipher->key);
    kl_record_clear(&cipher->record);
    if (cipher->room != NULL) kl_wipe(cipher->room, cipher->room_len);
    free(cipher->room);
    if (!cipher->is_open) return;
    kl_input_close(&cipher->input);
    kl_output_discard(&cipher->output);
}
