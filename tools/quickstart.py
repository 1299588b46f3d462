#!/usr/bin/python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""A PKCS #11 client as any other: it grows a key ladder, and encrypts and decrypts with it.

usage: quickstart.py MODULE PIN-FILE OUTPUT

master -> users (a table's key) -> users.email (a field's key) -> record 4711 (a record's key).
Standard calls only, but for one mechanism: CKM_KL_ENVELOPE, whose ciphertexts name their key."""

import ctypes
import os
import sys

import PyKCS11
from PyKCS11 import (CKA_CLASS, CKA_KEY_TYPE, CKA_LABEL, CKA_TOKEN, CKA_VALUE_LEN, CKK_AES, CKM_HKDF_DERIVE, CKM_SHA256, CKO_SECRET_KEY,
                     CKF_RW_SESSION, CKF_SERIAL_SESSION)

CKF_HKDF_SALT_NULL = 1
CKM_KL_ENVELOPE = 0xCB4C0001


class HkdfParams(ctypes.Structure):
    """CK_HKDF_PARAMS of PKCS #11 3.0, which PyKCS11 does not know yet."""
    _fields_ = [("extract", ctypes.c_ubyte), ("expand", ctypes.c_ubyte), ("prf", ctypes.c_ulong), ("salt_type", ctypes.c_ulong),
                ("salt", ctypes.c_void_p), ("salt_len", ctypes.c_ulong), ("salt_key", ctypes.c_ulong), ("info", ctypes.c_void_p),
                ("info_len", ctypes.c_ulong)]


class Hkdf(PyKCS11.Mechanism):
    """Extract and expand. Without a salt a token key gets a random one, and a session key none: it is the same every time."""

    def __init__(self, info):
        self.info = ctypes.create_string_buffer(info, len(info))
        params = HkdfParams(1, 1, CKM_SHA256, CKF_HKDF_SALT_NULL, None, 0, 0, ctypes.addressof(self.info), len(info))
        super().__init__(CKM_HKDF_DERIVE, bytes(params))


def find(session, label):
    """The current version of the key with this label, or None."""
    found = session.findObjects([(CKA_CLASS, CKO_SECRET_KEY), (CKA_LABEL, label)])
    return found[0] if found else None


def grow(session, parent, info, label):
    """A token key below `parent`: it stays, and its label is taken from now on."""
    key = find(session, label)
    if key is None:
        key = session.deriveKey(parent, [(CKA_CLASS, CKO_SECRET_KEY), (CKA_TOKEN, True), (CKA_LABEL, label)], Hkdf(info))
    print(f"  {label}")
    return key


def record_key(session, field, record):
    """A session key: nothing is stored, and the same record has the same key in every process for ever."""
    template = [(CKA_CLASS, CKO_SECRET_KEY), (CKA_TOKEN, False), (CKA_KEY_TYPE, CKK_AES), (CKA_VALUE_LEN, 32)]
    return session.deriveKey(field, template, Hkdf(record))


def main():
    module, pin_file, output = sys.argv[1:]
    with open(pin_file, encoding="ascii") as file:
        pin = file.read().strip()

    pkcs11 = PyKCS11.PyKCS11Lib()
    pkcs11.load(module)
    session = pkcs11.openSession(pkcs11.getSlotList(tokenPresent=True)[0], CKF_SERIAL_SESSION | CKF_RW_SESSION)
    session.login(pin)

    print("Growing the ladder below the master key:")
    master = find(session, "master")
    users = grow(session, master, b"users", "users")
    email = grow(session, users, b"email", "users.email")

    value, place = b"grace@example.org", b"users.email/4711"

    print("AES-256-GCM with the key of record 4711:")
    rek = record_key(session, email, b"4711")
    iv = os.urandom(12)
    sealed = bytes(session.encrypt(rek, value, PyKCS11.AES_GCM_Mechanism(iv, place, 128)))
    again = record_key(session, email, b"4711")
    opened = bytes(session.decrypt(again, sealed, PyKCS11.AES_GCM_Mechanism(iv, place, 128)))
    assert opened == value
    print(f"  {sealed.hex()}\n  and back, with the key derived anew: {opened.decode()}")

    print("An envelope with the field's key, which names that key and needs no IV:")
    envelope = bytes(session.encrypt(email, value, PyKCS11.Mechanism(CKM_KL_ENVELOPE, place)))
    assert bytes(session.decrypt(email, envelope, PyKCS11.Mechanism(CKM_KL_ENVELOPE, place))) == value
    with open(output, "wb") as file:
        file.write(envelope)
    print(f"  {envelope.hex()}")

    session.logout()
    session.closeSession()


main()
