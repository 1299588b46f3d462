#!/usr/bin/python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""A client beside the others: PyKCS11 seals and opens with a key of the token, by its label.

usage: gcm.py seal|open LABEL AAD <in >out

Sealed is IV, ciphertext and tag. The PIN is in the environment. 1: what is sealed does not open.
"""
import os
import sys

import PyKCS11


def main(mode, label, aad):
    lib = PyKCS11.PyKCS11Lib()
    lib.load(os.environ["P11_MODULE"])
    session = lib.openSession(lib.getSlotList(tokenPresent=True)[0], PyKCS11.CKF_SERIAL_SESSION)
    session.login(os.environ["PIN"])
    (key,) = session.findObjects([(PyKCS11.CKA_CLASS, PyKCS11.CKO_SECRET_KEY), (PyKCS11.CKA_LABEL, label)])
    data = sys.stdin.buffer.read()
    iv = os.urandom(12) if mode == "seal" else data[:12]
    gcm = PyKCS11.AES_GCM_Mechanism(iv, aad.encode(), 128)
    if mode == "seal":
        sys.stdout.buffer.write(iv + bytes(session.encrypt(key, data, gcm)))
        return 0
    try:
        sys.stdout.buffer.write(bytes(session.decrypt(key, data[12:], gcm)))
        return 0
    except PyKCS11.PyKCS11Error as error:
        print(error, file=sys.stderr)
        return 1 if error.value == PyKCS11.CKR_ENCRYPTED_DATA_INVALID else 2


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
