#!/usr/bin/python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Writes the seeds of tests/fuzz that are more than text: inputs as fuzz.h and make.h read them, that get far.

usage: make_seeds.py [FOLDER]        default: seeds/ beside this file"""

import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
STANDARD, COMPATIBLE, STRICT = range(3)


def table(name, file):
    """The names in an array of the harness, in order."""
    text = open(os.path.join(HERE, file), encoding="utf-8").read()
    body = re.search(r"\b%s\[\] = \{(.*?)\n\};" % name, text, re.S)[1]
    return re.findall(r"CK[AKMO]_\w+|~0UL|\b\d+\b", re.sub(r"/\*.*?\*/", "", body))


TYPES = table("types", "make_template.c")
VALUES = table("values", "make_template.c")
WAYS = [name for name in table("ways", "make_mechanism.c") if name.startswith("CKM_")]


def text(data):
    """bytes(): a length, and so many bytes."""
    data = data.encode() if isinstance(data, str) else data
    return bytes([len(data)]) + data if len(data) < 200 else bytes([200 + (len(data) >> 8), len(data) & 255]) + data


# --- templates ---

def attribute(name, value):
    which = bytes([TYPES.index(name)])
    if value is True or value is False:
        return which + bytes([1 if value else 0])
    if isinstance(value, (str, bytes)) and name not in ("CKA_CLASS", "CKA_KEY_TYPE", "CKA_VALUE_LEN"):
        return which + bytes([4]) + text(value)
    if isinstance(value, dict):
        inner = b"".join(attribute(*item) for item in value.items())
        return which + bytes([9, len(value)]) + inner + bytes([0, 0])
    return which + bytes([2, VALUES.index(str(value))])


def template(**values):
    return bytes([len(values)]) + b"".join(attribute("CKA_" + name, value) for name, value in values.items())


def step(name, *parts):
    return bytes([["create", "", "generate", "derive", "copy", "set", "get", "find", "destroy"].index(name)]) + b"".join(parts)


SECRET = {"CLASS": "CKO_SECRET_KEY", "KEY_TYPE": "CKK_AES", "VALUE": b"k" * 32}
STORED = {name: bytes([160 + i]) for i, name in enumerate(["master", "dek", "fek", "free"])}
FIRST = bytes([0])


def templates():
    key = step("create", template(**SECRET, LABEL="a", ID=b"i", ENCRYPT=True, DECRYPT=True))
    open_key = step("create", template(**SECRET, SENSITIVE=False, EXTRACTABLE=True))
    everything = bytes([9]) + b"".join(bytes([i * 5 % len(TYPES), 64]) for i in range(9))
    yield "key", bytes([STANDARD]) + key + step("get", FIRST, everything) + step("destroy", FIRST)
    yield "open_key", bytes([COMPATIBLE]) + open_key + step("get", FIRST, everything) + step("set", FIRST, template(SENSITIVE=True))
    yield "down", bytes([STANDARD]) + open_key + step("set", FIRST, template(EXTRACTABLE=False)) + step("set", FIRST, template(EXTRACTABLE=True))
    yield "data", bytes([STANDARD]) + step("create", template(CLASS="CKO_DATA", VALUE=b"v" * 20, APPLICATION="app", OBJECT_ID=b"o",
                                                              PRIVATE=False, TOKEN=True)) + step("find", template(CLASS="CKO_DATA"))
    yield "all", bytes([STRICT]) + key + step("find", template(), bytes([40]))
    yield "by_label", bytes([STANDARD]) + key + step("find", template(LABEL="a", ID=b"i"), bytes([9]))
    yield "generate", bytes([STANDARD]) + step("generate", bytes([0]), template(VALUE_LEN=32, TOKEN=True, LABEL="g", START_DATE=b"20250101"))
    yield "secret", bytes([STRICT]) + step("generate", bytes([1]), template(VALUE_LEN=64, SIGN=True))
    yield "child", bytes([STANDARD]) + step("derive", bytes([0]), STORED["fek"], template(TOKEN=False, KEY_TYPE="CKK_CHACHA20"))
    yield "dek", bytes([STANDARD]) + step("derive", bytes([0]), STORED["master"], template(TOKEN=True, LABEL="orders", ID=b"1"))
    yield "copy", bytes([STANDARD]) + key + step("copy", FIRST, template(LABEL="b", SENSITIVE=True, COPYABLE=False))
    yield "relabel", bytes([STANDARD]) + step("set", STORED["free"], template(LABEL="new", ID=b"new", END_DATE=b"20991231"))
    yield "nested", bytes([STANDARD]) + step("generate", bytes([0]), template(
        VALUE_LEN=32, WRAP=True, UNWRAP=True, WRAP_TEMPLATE={"CKA_EXTRACTABLE": True, "CKA_KEY_TYPE": "CKK_AES"},
        UNWRAP_TEMPLATE={"CKA_SENSITIVE": True, "CKA_LABEL": "in"})) + step("get", FIRST, bytes([1, TYPES.index("CKA_WRAP_TEMPLATE"), 5, 9, 9, 9, 9, 9]))
    yield "nested_twice", bytes([STANDARD]) + step("create", template(**SECRET, DERIVE_TEMPLATE={"CKA_DERIVE_TEMPLATE": {"CKA_TOKEN": True}}))
    yield "mechanisms", bytes([STANDARD]) + step("create", template(**SECRET, ALLOWED_MECHANISMS="CKM_AES_GCM"))
    yield "public", bytes([COMPATIBLE]) + step("create", template(**SECRET, PRIVATE=False, MODIFIABLE=False, DESTROYABLE=False)) + step("destroy", FIRST)


# --- mechanisms ---

ENCRYPTS, DECRYPTS, SIGNS, DIGESTS, MAKES, WRAPS, MESSAGES = range(7)
ZEROS_12 = bytes([0]) + text(bytes(12))
NOTHING = bytes([240])
PARAMETERS = {
    "CKM_AES_GCM": ZEROS_12 + bytes([0]) + text("aad") + bytes([0, 0, 0]),
    "CKM_CHACHA20_POLY1305": ZEROS_12 + bytes([0, 0, 7]) + bytes([0]) + text("aad"),
    "CKM_KL_ENVELOPE": text("aad"),
    "CKM_AES_CTR": bytes([0, 1]),
    "CKM_SHA256_HMAC_GENERAL": bytes([16]), "CKM_SHA384_HMAC_GENERAL": bytes([16]), "CKM_SHA512_HMAC_GENERAL": bytes([16]),
    "CKM_AES_CMAC_GENERAL": bytes([8]),
    "CKM_HKDF_DERIVE": bytes([0, 0, 0, 1, 0]) + text("salt") + bytes([0, 0]) + text("info"),
    "CKM_HKDF_DATA": bytes([0, 0, 0, 0]) + NOTHING + bytes([0, 0]) + text("info"),
    "CKM_SP800_108_COUNTER_KDF": bytes([0, 2]) + bytes([0, 0, 0, 0, 0, 0, 0, 0]) + bytes([0, 0, 0, 0, 0, 0, 3, 0]) + text("context") + bytes([0, 0]),
}


def mechanism(name):
    """Way, parameter, and that nothing is wrong with it."""
    default = bytes([5, 0]) if name in ("CKM_AES_CBC", "CKM_AES_CBC_PAD", "CKM_AES_GMAC") else bytes([0, 0]) if "WRAP" in name else bytes([0])
    if name == "CKM_KL_ROOT_WRAP":
        default = bytes([0])
    return bytes([WAYS.index(name)]) + PARAMETERS.get(name, default) + bytes([0])


def mechanisms():
    deeds = {ENCRYPTS: ["CKM_AES_GCM", "CKM_CHACHA20_POLY1305", "CKM_KL_ENVELOPE", "CKM_AES_CBC", "CKM_AES_CBC_PAD", "CKM_AES_CTR",
                        "CKM_AES_ECB", "CKM_KL_ROOT_WRAP"],
             DECRYPTS: ["CKM_AES_GCM", "CKM_AES_CBC_PAD", "CKM_KL_ROOT_WRAP"],
             SIGNS: [way for way in WAYS if "MAC" in way],
             DIGESTS: ["CKM_SHA256", "CKM_SHA384", "CKM_SHA512"],
             WRAPS: ["CKM_AES_KEY_WRAP", "CKM_AES_KEY_WRAP_KWP", "CKM_AES_CBC_PAD"],
             MESSAGES: ["CKM_AES_GCM", "CKM_CHACHA20_POLY1305"]}
    for deed, names in deeds.items():
        for name in names:
            token = COMPATIBLE if name in ("CKM_AES_ECB", "CKM_AES_CBC_PAD") else STANDARD
            yield f"{deed}_{name[4:].lower()}", bytes([token, deed]) + mechanism(name) + text(b"d" * 64) + bytes([0, 1, 20, 30, 0, 1, 3, 9, 4])
    for name in ("CKM_HKDF_DERIVE", "CKM_HKDF_DATA", "CKM_SP800_108_COUNTER_KDF"):
        yield f"derive_{name[4:].lower()}", (bytes([COMPATIBLE, MAKES]) + mechanism(name) + text("") + template(
            CLASS="CKO_DATA" if "DATA" in name else "CKO_SECRET_KEY", VALUE_LEN=32) + bytes([0, 0]))
    yield "wrap_authenticated", bytes([STANDARD, WRAPS]) + mechanism("CKM_AES_GCM") + text("aad") + bytes([1, 0, 0]) + ZEROS_12 + bytes(
        [0, 0, 0]) + NOTHING + bytes([0, 0])


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "seeds")
    for target, seeds in {"template": templates(), "mechanism": mechanisms()}.items():
        os.makedirs(os.path.join(folder, target), exist_ok=True)
        for name, data in seeds:
            with open(os.path.join(folder, target, name), "wb") as file:
                file.write(data)


main()
