# SPDX-License-Identifier: MIT OR Apache-2.0
"""python-pkcs11: find, make, use, change the PIN, destroy. MODULE, PIN from the environment."""
import hashlib
import hmac
import os

import pkcs11
from pkcs11 import Attribute, GCMParams, KeyType, Mechanism, MechanismFlag, ObjectClass

PIN = os.environ["PIN"]
CRYPT = MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT
WRAP = MechanismFlag.WRAP | MechanismFlag.UNWRAP
checks = 0


def ok(what, good):
    global checks
    checks += 1
    assert good, what
    print("ok -", what)


def refused(what, error, call):
    try:
        call()
    except error:
        ok(f"{what}: {error.__name__}", True)
        return
    raise AssertionError(f"{what}: it worked")


def changed(data, at):
    copy = bytearray(data)
    copy[at] ^= 1
    return bytes(copy)


def gcm(session, key):
    iv, aad, plain = session.generate_random(96), b"users.email/4711", b"somebody@example.org"
    use = {"mechanism": Mechanism.AES_GCM, "mechanism_param": GCMParams(iv, aad)}
    other = {"mechanism": Mechanism.AES_GCM, "mechanism_param": GCMParams(iv, b"users.email/4712")}
    sealed = key.encrypt(plain, **use)
    ok("GCM: a tag of 16 bytes", len(sealed) == len(plain) + 16)
    ok("GCM: the value comes back", key.decrypt(sealed, **use) == plain)
    refused("GCM: a changed tag", pkcs11.EncryptedDataInvalid, lambda: key.decrypt(changed(sealed, -1), **use))
    refused("GCM: a changed ciphertext", pkcs11.EncryptedDataInvalid, lambda: key.decrypt(changed(sealed, 0), **use))
    refused("GCM: another AAD", pkcs11.EncryptedDataInvalid, lambda: key.decrypt(sealed, **other))
    refused("GCM: the same IV again", pkcs11.MechanismParamInvalid, lambda: key.encrypt(plain, **use))


def cbc(session, key):
    iv, plain = session.generate_random(128), os.urandom(1000)
    sealed = key.encrypt(plain, mechanism_param=iv)
    ok("CBC_PAD: the value comes back", key.decrypt(sealed, mechanism_param=iv) == plain)
    parts = list(key.encrypt([plain[:300], plain[300:]], mechanism_param=iv))
    ok("CBC_PAD: in parts it is the same", b"".join(parts) == sealed)
    refused("CBC_PAD: half a block", pkcs11.EncryptedDataLenRange, lambda: key.decrypt(sealed[:-8], mechanism_param=iv))
    refused("ECB", pkcs11.MechanismInvalid, lambda: key.encrypt(bytes(16), mechanism=Mechanism.AES_ECB))


def sign(session):
    value, data = os.urandom(32), b"what is to be authenticated"
    key = session.create_object(
        {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.GENERIC_SECRET, Attribute.VALUE: value, Attribute.SIGN: True, Attribute.VERIFY: True}
    )
    mac = key.sign(data, mechanism=Mechanism.SHA256_HMAC)
    ok("HMAC: as hmac has it", mac == hmac.digest(value, data, "sha256"))
    ok("HMAC: verified", key.verify(data, mac, mechanism=Mechanism.SHA256_HMAC) is True)
    ok("HMAC: a changed MAC is not", key.verify(data, changed(mac, 0), mechanism=Mechanism.SHA256_HMAC) is False)
    ok("HMAC: other data is not", key.verify(changed(data, 0), mac, mechanism=Mechanism.SHA256_HMAC) is False)
    ok("SHA-256: as hashlib has it", session.digest(data, mechanism=Mechanism.SHA256) == hashlib.sha256(data).digest())
    refused("an RSA key pair", pkcs11.PKCS11Error, lambda: session.generate_keypair(KeyType.RSA, 2048))


def wrap(session):
    def make(capabilities, **template):
        return session.generate_key(KeyType.AES, 256, capabilities=capabilities, template={Attribute[name]: value for name, value in template.items()})

    kek, may = make(WRAP), make(CRYPT, SENSITIVE=False, EXTRACTABLE=True)
    secret, bound = make(CRYPT, SENSITIVE=True, EXTRACTABLE=True), make(CRYPT, EXTRACTABLE=False)
    wrapped = kek.wrap_key(may, mechanism=Mechanism.AES_KEY_WRAP)
    ok("a wrapped key has 8 bytes more", len(wrapped) == 40)

    def unwrap(data):
        template = {Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True}
        return kek.unwrap_key(ObjectClass.SECRET_KEY, KeyType.AES, data, mechanism=Mechanism.AES_KEY_WRAP, capabilities=CRYPT, template=template)

    ok("the unwrapped key is the key", unwrap(wrapped)[Attribute.VALUE] == may[Attribute.VALUE])
    refused("a changed wrapped key", pkcs11.WrappedKeyInvalid, lambda: unwrap(changed(wrapped, 0)))
    refused("a key that is not extractable", pkcs11.KeyUnextractable, lambda: kek.wrap_key(bound, mechanism=Mechanism.AES_KEY_WRAP))
    refused("a sensitive key under one that is not trusted", pkcs11.KeyNotWrappable, lambda: kek.wrap_key(secret, mechanism=Mechanism.AES_KEY_WRAP))
    refused("a key that can all that python-pkcs11 asks for by itself", pkcs11.TemplateInconsistent, lambda: session.generate_key(KeyType.AES, 256))


token = pkcs11.lib(os.environ["MODULE"]).get_token(token_label="demo")
refused("a wrong PIN", pkcs11.PinIncorrect, lambda: token.open(rw=True, user_pin="wrong-pin-0"))
with token.open() as session:
    refused("a key before login", pkcs11.UserNotLoggedIn, lambda: session.generate_key(KeyType.AES, 256, capabilities=CRYPT))
with token.open(rw=True, user_pin=PIN) as session:
    key = session.generate_key(KeyType.AES, 256, label="python-key", id=b"\5\6", store=True, capabilities=CRYPT)
    ok("found by label", session.get_key(label="python-key") == key)
    ok("found by id", session.get_key(id=b"\5\6") == key)
    ok("found among the AES keys", key in list(session.get_objects({Attribute.KEY_TYPE: KeyType.AES})))
    refused("another label finds nothing", pkcs11.NoSuchKey, lambda: session.get_key(label="python-kex"))
    refused("its value", pkcs11.AttributeSensitive, lambda: key[Attribute.VALUE])
    gcm(session, key)
    cbc(session, key)
    sign(session)
    wrap(session)
    refused("a new PIN with a wrong old one", pkcs11.PinIncorrect, lambda: session.set_pin("wrong-pin-9", "other-pin-2222"))
    session.set_pin(PIN, "other-pin-2222")
refused("the old PIN", pkcs11.PinIncorrect, lambda: token.open(rw=True, user_pin=PIN))
with token.open(rw=True, user_pin="other-pin-2222") as session:
    session.set_pin("other-pin-2222", PIN)
    key = session.get_key(label="python-key")
    # It asks for the type of the key once.
    ok("found again after that", len(key.encrypt(b"x", mechanism_param=bytes(16))) == 16)
    key.destroy()
    refused("the destroyed key", pkcs11.NoSuchKey, lambda: session.get_key(label="python-key"))
    refused("to destroy it again", pkcs11.ObjectHandleInvalid, key.destroy)
    refused("to encrypt with it", pkcs11.KeyHandleInvalid, lambda: key.encrypt(b"x", mechanism_param=bytes(16)))
print(f"python-pkcs11: {checks} checks, 0 failed")
