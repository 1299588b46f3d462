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


# --- rows ---

KINDS = ["free", "data", "dek", "fek", "master"]


def row(kind, key_type=0, public=False, extras=()):
    """any_row(): how it differs from a good one, which it does not."""
    how = (1 if kind == "data" else 0) + 2 * key_type
    out = bytes([0, KINDS.index(kind)]) + text("id") + bytes([0, 0, 200 if public else 0, 0, 0, 0, 0]) + text("label") + bytes([0])
    out += bytes([how, 0, 0, 0, len(extras)]) + bytes(7)
    return out + b"".join(bytes([0, which]) + text(value) + bytes([0]) for which, value in extras)


READ, KEYS, FILE = bytes([0]), bytes([5]), bytes([7])


def rows():
    for kind in KINDS:
        yield "read_" + kind, READ + row(kind) + text("value") + bytes([5, 0, 3])
    yield "public", READ + row("data", public=True, extras=[(0, "app"), (1, "value")]) + text("") + bytes([0, 2])
    yield "salt", READ + row("dek", extras=[(7, bytes(7) + b"\2"), (8, "s" * 32), (9, "info")]) + text("k" * 32) + bytes([1])
    many = READ + row("free").replace(bytes([0, 0, 0, 0, 0]) + bytes(7), b"", 1)
    for count in (32, 33):
        yield f"extras_{count}", many + bytes([128, 0, 0, 0, count]) + bytes(7) + bytes(2 * count) + text("value") + bytes([5, 3])
    pattern = bytes([0, 0, 0, 1]) + bytes(6) + b"\1\x62" + bytes([0, 0, 0, 1, 1])
    yield "keys_free", KEYS + row("free")
    yield "keys_pattern", KEYS + row("free", extras=[(3, bytes(6) + b"\x10\x87"), (4, pattern), (5, pattern), (6, pattern)])
    yield "keys_data", KEYS + row("data", extras=[(0, "app"), (1, "value"), (2, "oid")])
    yield "keys_dek", KEYS + row("dek", key_type=0)
    columns = re.search(r"columns\[\]\[2\] = \{(.*?)\n\};", open(os.path.join(HERE, "fuzz_row.c"), encoding="utf-8").read(), re.S)[1]
    for index, (table_name, column) in enumerate(re.findall(r'"(\w+)", "(\w+)"', columns)):
        if column in ("id", "encrypted_key", "label", "metadata", "state", "generation", "digest", "value", "macs", "mac", "records", "used"):
            yield f"file_{table_name}_{column}", FILE + bytes([0, index, 2, 1, [6, 1, 4, 0, 2, 7][index % 6], 1, 2, 3])


# --- calls ---

DEEDS = "open make seal unseal begin step step step close cancel derive destroy copy find batch ask draw evict log_out".split()


def deed(name, *arguments, session=0):
    """Of a session; the first of them is open from the beginning, on the token that the first byte says."""
    return bytes([DEEDS.index(name), session]) + b"".join(x if isinstance(x, bytes) else bytes([x]) for x in arguments)


def sequences():
    seal = [deed("seal", 0, text("aad"), 0, text("plain")), deed("seal", 0, text("aad"), 1, text("plain"))]
    for kind in range(2):
        for how in range(2):
            yield f"seal_{kind}_{how}", deed("make", kind, 0) + seal[how] + deed("unseal", 0, 0, 0, 0) + deed("destroy", 0) + deed("unseal", 0, 0, 0, 0)
    yield "on_token", deed("make", 0, 1) + seal[0] + deed("evict", 0, 0) + deed("unseal", 0, 0, 0, 0) + deed("find", 1)
    yield "record", deed("derive", 1) + seal[0] + deed("close") + deed("open", 1) + deed("unseal", 0, 0, 0, 0)
    yield "two_sessions", deed("open", 0, session=1) + deed("make", 0, 0) + seal[1] + deed("unseal", 0, 0, 0, 0, session=1) + deed("close") + deed(
        "unseal", 0, 0, 0, 0, session=1) + deed("find", 1, session=1)
    encrypts = deed("begin", 0, 0, bytes([WAYS.index("CKM_AES_CTR"), 0, 1, 0]))
    yield "parts", deed("make", 0, 0) + encrypts + deed("step", 0, 0, text("d" * 20), 0, 0) + deed("step", 0, 1, text(""), 0, 0, 0)
    yield "active_twice", deed("make", 0, 0) + encrypts + encrypts + deed("cancel", 1) + encrypts + deed("destroy", 0) + deed("step", 0, 0, text("d"), 0, 0)
    elsewhere = deed("begin", 0, 0, bytes([WAYS.index("CKM_AES_CTR"), 0, 1, 0]), session=1)
    yield "destroyed_elsewhere", deed("open", 0, session=1) + deed("make", 0, 0) + elsewhere + deed("destroy", 0) + deed(
        "step", 0, 0, text("d" * 20), 0, 0, session=1)
    yield "mac", deed("make", 2, 0) + deed("begin", 2, 0, mechanism("CKM_SHA256_HMAC")) + deed("step", 2, 0, text("d"), 0, 0) + deed("step", 2, 1, text("d"), 0, 1)
    yield "digest", deed("begin", 4, mechanism("CKM_SHA384")) + deed("step", 4, 0, text("d"), 0, 0) + deed("step", 4, 1, text("d"), 1, 3, 0)
    yield "batch", deed("make", 0, 0) + deed("batch", 0, 3, 2, text("a"), text("one"), text("a"), text("two"), text(""), text("three"), 20)
    yield "log_out", deed("make", 0, 0) + encrypts + deed("log_out", 0, text("wrong"), 1, 1) + deed("find", 0)
    yield "rest", deed("ask", 5, 3, 3) + deed("ask", 39, 3, 3) + deed("draw", 100) + deed("copy", 0) + deed("cancel", 255)


def calls():
    for name, data in sequences():
        yield name, bytes([STANDARD]) + data


# --- envelopes and wrapped keys ---

def envelopes():
    for key in range(3):
        yield f"seal_{key}", bytes([0, key, key % 2, 1]) + text("aad") + text("plain") + bytes([0, 0, 0, 0])
    yield "changed", bytes([0, 0, 0, 0]) + text("aad") + text("plain") + bytes([1, 0, 30, 0, 1])
    yield "no_tag", bytes([0, 0, 1, 0]) + text("aad") + text("") + bytes([1, 0, 50, 1, 0])
    yield "forged", bytes([1, 0, 0, 0, 0]) + text("") + b"KL\1\1" + bytes(60)
    yield "forged_xaes", bytes([1, 0, 0, 0, 0]) + text("") + b"KL\1\3" + bytes(46)
    for pick in range(5):
        yield f"stream_{pick}", bytes([2, 0, pick]) + text("aad") + text("") + bytes([0, 2, 0, 1, 0, 0])
    yield "stream_small", bytes([2, 1, 9]) + text("") + text("plain") + bytes([1, 0, 0])
    yield "stream_forged", bytes([3, 0]) + b"KL\2\1" + bytes(70)
    for token in range(3):
        for key in range(4):
            yield f"client_{token}_{key}", bytes([4, token, key, 0]) + text("aad") + text("plain") + bytes([0, 0, 0])


def wrapped():
    for way in range(6):
        aad = text("aad") if way == 3 else b""
        for kind in (0, 1):
            yield f"wrap_{way}_{kind}", bytes([0, 0, COMPATIBLE if way == 4 else STANDARD, way]) + aad + bytes([kind]) + text("k" * 16) + bytes([0, 0])
        yield f"changed_{way}", bytes([0, 0, COMPATIBLE if way == 4 else STANDARD, way]) + aad + bytes([0]) + text("k" * 32) + bytes([1, 0, 9, 0, 1, 0])
        yield f"any_{way}", bytes([1, 0, COMPATIBLE, way]) + aad + template(CLASS="CKO_SECRET_KEY", KEY_TYPE="CKK_AES") + bytes(40)
    yield "padding", bytes([2, 0, 0, 0]) + text(b"k" * 15 + b"\1") + bytes([1])
    yield "padding_all", bytes([2, 0, 0, 0]) + text(b"\x10" * 16) + bytes([1])
    yield "by_root", bytes([3, 0, 0, 0]) + text("k" * 32) + bytes([0])


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "seeds")
    for target, seeds in {"template": templates(), "mechanism": mechanisms(), "row": rows(), "calls": calls(), "envelope": envelopes(), "wrapped": wrapped()}.items():
        os.makedirs(os.path.join(folder, target), exist_ok=True)
        for name, data in seeds:
            with open(os.path.join(folder, target, name), "wb") as file:
                file.write(data)


main()
