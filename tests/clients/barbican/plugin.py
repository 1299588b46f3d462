#!/usr/bin/python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Barbican's own PKCS#11 plug-in, as it is: keys of projects, secrets, and what must be refused.

plugin.py PART: one of the functions below. Its configuration is ~/.barbican/barbican.conf, as Barbican finds it.
"""
import base64
import json
import os
import sys
import threading
from types import SimpleNamespace

from barbican.common import exception
from barbican.plugin.crypto import base, p11_crypto
from oslo_config import cfg

checks = 0
PROJECT = "project"


def check(what, good):
    global checks
    checks += 1
    print("ok -" if good else "FAIL", what, flush=True)
    if not good:
        sys.exit(1)


def refused(what, words, call, *args, errors=exception.PKCS11Exception, **named):
    try:
        call(*args, **named)
    except errors as error:
        check(f"{what}: {error}", words in str(error))
        return
    check(f"{what} is refused", False)


def plugin(**settings):
    conf = cfg.ConfigOpts()
    p11_crypto.register_opts(conf)
    conf([], project="barbican")
    for name, value in settings.items():
        conf.set_override(name, value, group="p11_crypto_plugin")
    try:
        return p11_crypto.P11CryptoPlugin(conf)
    finally:
        # Barbican has one group of options for all configurations: the next instance would find these there.
        for name in settings:
            conf.clear_override(name, group="p11_crypto_plugin")


def meta(label, plugin_meta=None):
    return base.KEKMetaDTO(SimpleNamespace(kek_label=label, plugin_name="p11", algorithm=None, bit_length=None, mode=None, plugin_meta=plugin_meta))


def bind(crypto, label):
    return crypto.bind_kek_metadata(meta(label))


def store(crypto, kek, secret):
    return crypto.encrypt(base.EncryptDTO(secret), kek, PROJECT)


def read(crypto, kek, stored):
    return crypto.decrypt(base.DecryptDTO(stored.cypher_text), kek, stored.kek_meta_extended, PROJECT)


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


def stored_as(data, stored):
    return base.ResponseDTO(data, stored.kek_meta_extended)


SECRETS = [b"x", b"fifteen bytes..", b"sixteen bytes...", b"a longer secret than a block", os.urandom(1000), os.urandom(20000)]


def secrets():
    """Stored and read back, by the instance that stored them and by one that must unwrap the project's key."""
    kept = []
    for mechanism in ("CKM_AES_GCM", "CKM_AES_CBC"):
        crypto = plugin(encryption_mechanism=mechanism)
        kek = bind(crypto, "project-" + mechanism)
        wrapped = {k: base64.b64decode(v) for k, v in json.loads(kek.plugin_meta).items() if not k.endswith("label")}
        check(f"{mechanism}: the project's key is wrapped and signed", [len(wrapped[k]) for k in ("iv", "wrapped_key", "hmac")] == [16, 48, 32])
        check(f"{mechanism}: a key that is bound stays", bind(crypto, "x").plugin_meta != kek.plugin_meta == crypto.bind_kek_metadata(kek).plugin_meta)
        stored = [store(crypto, kek, secret) for secret in SECRETS]
        check(f"{mechanism}: no secret is seen in what is stored", all(len(s) < 15 or s not in c.cypher_text for s, c in zip(SECRETS, stored)))
        check(f"{mechanism}: stored twice, it is not the same", store(crypto, kek, SECRETS[3]).cypher_text != stored[3].cypher_text)
        check(f"{mechanism}: every secret is read back", [read(crypto, kek, c) for c in stored] == SECRETS)
        for bits in (128, 192, 256):
            made = [crypto.generate_symmetric(base.GenerateDTO("aes", bits, "cbc", None), kek, PROJECT) for _ in range(2)]
            values = [read(crypto, kek, m) for m in made]
            check(f"{mechanism}: a key of {bits} bits is generated", len(values[0]) == bits // 8 and values[0] != values[1])
        crypto.pkcs11.finalize()
        again = plugin(encryption_mechanism=mechanism)
        check(f"{mechanism}: and by an instance that unwraps the key", [read(again, kek, c) for c in stored] == SECRETS)
        again.pkcs11.finalize()
        kept.append([kek.kek_label, kek.plugin_meta, base64.b64encode(stored[3].cypher_text).decode(), stored[3].kek_meta_extended])
    with open("kept.json", "w", encoding="ascii") as file:
        json.dump(kept, file)


def elsewhere():
    """Another process reads what `secrets` kept."""
    with open("kept.json", encoding="ascii") as file:
        for label, plugin_meta, data, extended in json.load(file):
            # Barbican builds the parameter of the stored mechanism, and asks for the configured one.
            crypto = plugin(encryption_mechanism=json.loads(extended)["mechanism"])
            stored = base.ResponseDTO(base64.b64decode(data), extended)
            check(f"{label} is read by another process", read(crypto, meta(label, plugin_meta), stored) == SECRETS[3])


def tampered():
    """What was changed is refused, and the plug-in goes on: it finalises the library and initialises it again after each error."""
    crypto = plugin(encryption_mechanism="CKM_AES_GCM")
    kek, other = bind(crypto, "whole"), bind(crypto, "other")
    stored = store(crypto, kek, SECRETS[3])
    parts = json.loads(kek.plugin_meta)

    def goes_on():
        check("the plug-in goes on", read(crypto, kek, stored) == SECRETS[3])

    for at in (0, len(SECRETS[3]), -1):
        refused(f"a changed byte {at}", "CKR_ENCRYPTED_DATA_INVALID", read, crypto, kek, stored_as(flipped(stored.cypher_text, at % len(stored.cypher_text)), stored))
    goes_on()
    refused("a secret cut short", "CKR_ENCRYPTED_DATA", read, crypto, kek, stored_as(stored.cypher_text[:10], stored))
    refused("another project's key", "CKR_ENCRYPTED_DATA_INVALID", read, crypto, other, stored)
    goes_on()

    def with_part(**changed):
        return meta("changed", json.dumps({**parts, **{k: base64.b64encode(v).decode() if isinstance(v, bytes) else v for k, v in changed.items()}}))

    iv, wrapped, hmac = (base64.b64decode(parts[k]) for k in ("iv", "wrapped_key", "hmac"))
    for what, changed in (("HMAC", {"hmac": flipped(hmac, 31)}), ("wrapped key", {"wrapped_key": flipped(wrapped, 3)}), ("IV", {"iv": flipped(iv, 0)})):
        refused(f"a changed {what} of a project's key", "CKR_SIGNATURE_INVALID", read, crypto, with_part(**changed), stored)
        goes_on()
    refused("an HMAC cut short", "CKR_SIGNATURE_LEN_RANGE", read, crypto, with_part(hmac=hmac[:16]), stored)
    refused("a master key that is not there", "Could not find key labeled absent", read, crypto, with_part(mkek_label="absent"), stored)
    # Signed by whoever holds the HMAC key: what is unwrapped is still looked at. The last byte but a block is the padding's.
    for what, bad, words in (("padding", flipped(wrapped, 31), "CKR_WRAPPED_KEY_INVALID"), ("length", wrapped[:40], "CKR_WRAPPED_KEY_LEN_RANGE")):
        hmac_key = crypto.pkcs11.get_key_handle("CKK_AES", parts["hmac_label"], crypto.caching_session)
        signed = crypto.pkcs11.compute_hmac(hmac_key, iv + bad, crypto.caching_session)
        refused(f"a wrapped key with a wrong {what}", words, read, crypto, with_part(wrapped_key=bad, hmac=signed), stored)
        goes_on()
    cbc = plugin(encryption_mechanism="CKM_AES_CBC")
    stored_cbc = store(cbc, kek, SECRETS[3])
    refused("a CBC secret that is no whole block", "CKR_ENCRYPTED_DATA_LEN_RANGE", read, cbc, kek, stored_as(stored_cbc.cypher_text[:-1], stored_cbc))


def wrong():
    """Settings that name what is not there, or what is not so."""
    refused("a wrong PIN", "CKR_PIN_INCORRECT", plugin, login="wrong-pin-000")
    crypto = plugin()
    check("the right PIN is right after it", store(crypto, bind(crypto, "right"), b"x").cypher_text != b"x")
    crypto.pkcs11.finalize()
    refused("a token that is not there", "Token Labels not found", plugin, token_labels=["absent"], errors=ValueError)
    refused("a slot that is not there", "CKR_SLOT_ID_INVALID", plugin, token_labels=[], slot_id=4711)
    refused("a master key that is not there", "Could not find key labeled absent", plugin, mkek_label="absent")
    refused("an HMAC key of another type", "Could not find key labeled", plugin, hmac_key_type="CKK_GENERIC_SECRET")
    crypto = plugin()
    session = crypto.pkcs11.get_session()
    refused("a key of 20 bytes", "CKR_ATTRIBUTE_VALUE_INVALID", crypto.pkcs11.generate_key, "CKK_AES", 20, "CKM_AES_KEY_GEN", session, encrypt=True)
    for label, size in (("twice", 32), ("twice", 32), ("short-16", 16), ("short-24", 24)):
        crypto.pkcs11.generate_key("CKK_AES", size, "CKM_AES_KEY_GEN", session, label, encrypt=True, wrap=True, master_key=True)
    refused("a label that two keys have", "More than one key found for label", plugin, mkek_label="twice")
    for label in ("short-16", "short-24"):
        refused(f"a master key {label} for keys of 32 bytes", "CKR_WRAPPING_KEY_SIZE_RANGE", bind, plugin(mkek_label=label), "strong")
    refused("an HMAC by CKM_AES_MAC", "CKR_MECHANISM_INVALID", bind, plugin(hmac_keywrap_mechanism="CKM_AES_MAC"), "mac")
    # One vendor's way: no IV goes in, and it comes back behind the ciphertext.
    crypto = plugin(encryption_mechanism="CKM_AES_GCM", aes_gcm_generate_iv=False)
    refused("GCM without an IV", "CKR_MECHANISM_PARAM_INVALID", store, crypto, bind(crypto, "no-iv"), b"x")


def settings():
    """The other settings that an operator can make."""
    crypto = plugin()
    serial = token_serial(crypto)
    crypto.pkcs11.finalize()
    for what, changed in (("by slot_id", {"token_labels": [], "slot_id": 0}), ("by serial number", {"token_labels": [], "token_serial_number": serial}),
                          ("read-only sessions", {"rw_session": False}), ("OS locking", {"os_locking_ok": True}),
                          ("keys not sensitive", {"always_set_cka_sensitive": False}), ("16-byte project keys", {"pkek_length": 16}),
                          ("a cache that expires at once", {"pkek_cache_ttl": 0}),
                          ("an HMAC key of CKK_GENERIC_SECRET", {"hmac_key_type": "CKK_GENERIC_SECRET", "hmac_label": "hmac-generic"})):
        crypto = plugin(**changed)
        kek = bind(crypto, "settings")
        stored = store(crypto, kek, SECRETS[3])
        crypto.pkcs11.finalize()
        check(what, read(plugin(**changed), kek, stored) == SECRETS[3])
    crypto = plugin(pkek_cache_limit=2)
    projects = [bind(crypto, f"cached-{i}") for i in range(6)]
    stored = [store(crypto, kek, SECRETS[3]) for kek in projects]
    check("more projects than the cache holds", [read(crypto, kek, c) for kek, c in zip(projects, stored)] == [SECRETS[3]] * 6)


def token_serial(crypto):
    info = crypto.pkcs11.ffi.new("CK_TOKEN_INFO_PTR")
    crypto.pkcs11._check_error(crypto.pkcs11.lib.C_GetTokenInfo(crypto.pkcs11.slot_id, info))
    return crypto.pkcs11.ffi.string(info.serialNumber).decode().strip()


def threads():
    """The service's threads share one instance."""
    crypto = plugin(os_locking_ok=True)
    keks = [bind(crypto, f"thread-{i}") for i in range(4)]
    good = []

    # A thread that ends by an exception only prints it: what counts is what came back.
    def work(number):
        for i in range(40):
            secret = os.urandom(1 + i * 7)
            if read(crypto, keks[number % 4], store(crypto, keks[number % 4], secret)) == secret:
                good.append(number)

    running = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    check("8 threads, 320 secrets", len(good) == 320)


def forked():
    """A server that forks after it has loaded the plug-in."""
    crypto = plugin()
    kek = bind(crypto, "forked")
    stored = store(crypto, kek, SECRETS[3])
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if read(crypto, kek, stored) == SECRETS[3] else 1)
        except exception.PKCS11Exception as error:
            print("in the child:", error, flush=True)
            os._exit(2)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    check("the parent goes on", read(crypto, kek, stored) == SECRETS[3])
    print("the child ended with", status)
    sys.exit(status)


if __name__ == "__main__":
    for part in sys.argv[1:]:
        globals()[part]()
    print(f"plugin.py: {checks} checks, 0 failed")
