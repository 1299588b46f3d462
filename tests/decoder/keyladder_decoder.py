#!/usr/bin/python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Opens keyladder's stores and ciphertexts with nothing of keyladder's: written from doc/format.md alone.

It is a proof that the page is enough, and a rescue for a backup whose program is gone. It needs Python 3.11 and python3-cryptography, and
uses libsodium for Argon2id where there is one. It never writes to a store. In what follows, a word in quotation marks is a heading of the page.

Exit status: 0 all is well; 1 something does not open, or was changed; 2 wrong usage, or a file that cannot be read or written.
"""

import argparse
import base64
import binascii
import ctypes
import ctypes.util
import dataclasses
import getpass
import hashlib
import hmac
import os
import re
import resource
import shutil
import sqlite3
import struct
import sys
import tempfile
import time
import urllib.parse

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305


class Refused(Exception):
    """It does not open, or was changed: exit status 1."""


class Misuse(Exception):
    """What was asked for cannot be meant: exit status 2."""


def note(text):
    print(f"note: {text}", file=sys.stderr)


# ---- "Encoding" ----

def u8(number):
    return number.to_bytes(1, "big")


def u32(number):
    return number.to_bytes(4, "big")


def u64(number):
    return number.to_bytes(8, "big")


def B(data):
    return u32(len(data)) + data


class Fields:
    """Takes a record apart, from its front to its very end."""

    def __init__(self, what, data):
        self.what, self.data = what, data

    def take(self, length):
        if length > len(self.data):
            raise Refused(f"{self.what} is too short")
        taken, self.data = self.data[:length], self.data[length:]
        return taken

    def number(self, length):
        return int.from_bytes(self.take(length), "big")

    def counted(self):
        return self.take(self.number(4))

    def version(self):
        version = self.number(1)
        if version != 1:
            raise Refused(f"{self.what} is of version {version}, and this decoder knows version 1")

    def end(self):
        if self.data:
            raise Refused(f"{self.what} has {len(self.data)} bytes too many")


def hmac_sha256(key, data):
    return hmac.digest(key, data, "sha256")


def E(key, info, length=32):
    """HKDF-Expand-SHA256."""
    output = block = b""
    for counter in range(1, -(-length // 32) + 1):
        block = hmac_sha256(key, block + info + u8(counter))
        output += block
    return output[:length]


def hkdf(salt, key, info, length=32):
    return E(hmac_sha256(salt or bytes(32), key), info, length)


def aead_open(opener, nonce, sealed, aad, what):
    try:
        return opener.decrypt(nonce, sealed, aad)
    except (InvalidTag, ValueError):
        raise Refused(what) from None


def gcm_open(key, nonce, sealed, aad, what):
    return aead_open(AESGCM(key), nonce, sealed, aad, what)


class XaesGcm:
    """XAES-256-GCM."""

    def __init__(self, key):
        self.aes = Cipher(algorithms.AES(key), modes.ECB())

    def blocks(self, data):
        cipher = self.aes.encryptor()
        return cipher.update(data) + cipher.finalize()

    def of_message(self, nonce):
        """What opens and seals the message of a nonce, and its nonce there."""
        doubled = int.from_bytes(self.blocks(bytes(16)), "big") << 1
        mask = (doubled ^ 0x87 if doubled >> 128 else doubled) & (1 << 128) - 1
        made = b"".join((int.from_bytes(u8(0) + u8(number) + b"X" + u8(0) + nonce[:12], "big") ^ mask).to_bytes(16, "big") for number in (1, 2))
        return AESGCM(self.blocks(made)), nonce[12:]

    def decrypt(self, nonce, sealed, aad):
        message, rest = self.of_message(nonce)
        return message.decrypt(rest, sealed, aad)

    def encrypt(self, nonce, plain, aad):
        message, rest = self.of_message(nonce)
        return message.encrypt(rest, plain, aad)


# ---- "Keys" and "Derivation" ----

CKM_AES_GCM, CKM_KL_ENVELOPE = 0x1087, 0xCB4C0001
# Others that ladder keys have: for the page's vectors.
MECHANISMS = {"CKM_AES_CTR": 0x1086, "CKM_AES_GCM": CKM_AES_GCM, "CKM_CHACHA20_POLY1305": 0x4021, "CKM_SHA256_HMAC": 0x251,
              "CKM_SHA384_HMAC": 0x261, "CKM_SHA512_HMAC": 0x271, "CKM_AES_KEY_WRAP": 0x2109, "CKM_AES_KEY_WRAP_PAD": 0x210A,
              "CKM_AES_KEY_WRAP_KWP": 0x210B}
CKO_DATA, CKO_SECRET_KEY = 0, 4
CKK_GENERIC_SECRET, CKK_AES, CKK_CHACHA20, CKK_HKDF = 0x10, 0x1F, 0x33, 0x42
SALT_NULL, SALT_DATA = 1, 2
KEY_TYPES = {"aes": CKK_AES, "chacha20": CKK_CHACHA20, "generic": CKK_GENERIC_SECRET}
KEY_TYPE_NAMES = {**{number: name for name, number in KEY_TYPES.items()}, CKK_HKDF: "hkdf"}


def subkey(key, use):
    return E(key, b"keyladder/1/" + use)


def api_key(key, mechanism, length):
    return E(key, b"keyladder/1/api/" + u64(mechanism), length)


def commitment(key):
    return E(key, b"keyladder/1/commit", 16)


@dataclasses.dataclass
class Child:
    """What a child of a ladder key is derived from, besides its parent."""
    level: int
    info: bytes
    length: int = 32
    key_type: int = CKK_AES
    key_class: int = CKO_SECRET_KEY
    label: bytes | None = None  # of a token key; None makes a session key
    salt: bytes | None = None

    def derive(self, parent):
        salt_type = SALT_NULL if self.salt is None else SALT_DATA
        salt = self.salt or b""
        token = b"\0" if self.label is None else b"\1" + B(self.label)
        info = (b"keyladder/1/info" + u8(self.level) + u64(self.key_class) + u64(self.key_type) + u32(self.length)
                + token + u64(salt_type) + B(salt) + B(self.info))
        return hkdf(salt, subkey(parent, b"derive"), info, self.length)


def check_record_key(key_type, length):
    fits = {CKK_AES: length in (16, 24, 32), CKK_CHACHA20: length == 32, CKK_GENERIC_SECRET: 16 <= length <= 64}
    if not fits[key_type]:
        raise Misuse(f"no {KEY_TYPE_NAMES[key_type]} key has {length} bytes")


# ---- Argon2id, RFC 9106, version 0x13, one lane ----

MASK = 0xFFFFFFFFFFFFFFFF
LOW = 0xFFFFFFFF


def argon2_hash(data, length):
    """H' of RFC 9106 section 3.3."""
    data = struct.pack("<I", length) + data
    if length <= 64:
        return hashlib.blake2b(data, digest_size=length).digest()
    block = hashlib.blake2b(data).digest()
    output = block[:32]
    while length - len(output) > 64:
        block = hashlib.blake2b(block).digest()
        output += block[:32]
    return output + hashlib.blake2b(block, digest_size=length - len(output)).digest()


def argon2_mix(words, a, b, c, d):
    """GB of RFC 9106 section 3.6, on four of the words."""
    va, vb, vc, vd = words[a], words[b], words[c], words[d]
    va = va + vb + 2 * (va & LOW) * (vb & LOW) & MASK
    vd ^= va
    vd = vd >> 32 | vd << 32 & MASK
    vc = vc + vd + 2 * (vc & LOW) * (vd & LOW) & MASK
    vb ^= vc
    vb = vb >> 24 | vb << 40 & MASK
    va = va + vb + 2 * (va & LOW) * (vb & LOW) & MASK
    vd ^= va
    vd = vd >> 16 | vd << 48 & MASK
    vc = vc + vd + 2 * (vc & LOW) * (vd & LOW) & MASK
    vb ^= vc
    words[a], words[b], words[c], words[d] = va, vb >> 63 | vb << 1 & MASK, vc, vd


# P takes sixteen words as a square: its columns, then its diagonals. G applies P to eight rows of a block, then to eight columns of pairs.
ARGON2_SQUARE = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15), (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
ARGON2_SIXTEENS = ([[16 * row + i for i in range(16)] for row in range(8)]
                   + [[2 * column + 16 * (i // 2) + i % 2 for i in range(16)] for column in range(8)])
ARGON2_STEPS = [tuple(words[i] for i in four) for words in ARGON2_SIXTEENS for four in ARGON2_SQUARE]


def argon2_compress(left, right):
    """G of RFC 9106 section 3.5. A block is one number of 1,024 bytes, little-endian."""
    both = left ^ right
    words = list(struct.unpack("<128Q", both.to_bytes(1024, "little")))
    for step in ARGON2_STEPS:
        argon2_mix(words, *step)
    return both ^ int.from_bytes(struct.pack("<128Q", *words), "little")


def argon2_addresses(turn, quarter, blocks, passes, count):
    """The numbers that choose blocks where the password must not (the first half of the first pass)."""
    numbers = []
    for counter in range(1, -(-count // 128) + 1):
        header = int.from_bytes(struct.pack("<7Q", turn, 0, quarter, blocks, passes, 2, counter), "little")
        block = argon2_compress(0, argon2_compress(0, header)).to_bytes(1024, "little")
        numbers.extend(struct.unpack("<128Q", block))
    return numbers


def argon2id_in_python(password, salt, passes, memory, length=32):
    """memory is in KiB. Right, and some thousand times slower than C."""
    blocks = memory // 4 * 4
    quarter_length = blocks // 4
    seed = hashlib.blake2b(struct.pack("<6I", 1, length, memory, passes, 0x13, 2) + struct.pack("<I", len(password)) + password
                           + struct.pack("<I", len(salt)) + salt + struct.pack("<II", 0, 0)).digest()
    lane = [int.from_bytes(argon2_hash(seed + struct.pack("<II", i, 0), 1024), "little") for i in range(2)] + [0] * (blocks - 2)
    told = time.monotonic()
    for turn in range(passes):
        for quarter in range(4):
            blind = turn == 0 and quarter < 2
            numbers = argon2_addresses(turn, quarter, blocks, passes, quarter_length) if blind else None
            for i in range(2 if turn == quarter == 0 else 0, quarter_length):
                here = quarter * quarter_length + i
                before = lane[here - 1]
                number = (numbers[i] if blind else before) & LOW
                area = (here if turn == 0 else blocks - quarter_length + i) - 1
                start = 0 if turn == 0 else (quarter + 1) % 4 * quarter_length
                back = area * (number * number >> 32) >> 32
                there = (start + area - 1 - back) % blocks
                lane[here] = argon2_compress(before, lane[there]) ^ (lane[here] if turn else 0)
                if i % 256 == 0 and time.monotonic() - told >= 5:
                    told = time.monotonic()
                    note(f"Argon2id without libsodium: {100 * (turn * blocks + here) // (passes * blocks)} % done")
    return argon2_hash(lane[-1].to_bytes(1024, "little"), length)


def load_sodium():
    for name in (ctypes.util.find_library("sodium"), "libsodium.so.23", "libsodium.so.26", "libsodium.so"):
        try:
            sodium = ctypes.CDLL(name) if name else None
        except OSError:
            continue
        if sodium is not None and hasattr(sodium, "crypto_pwhash") and sodium.sodium_init() >= 0:
            return sodium
    return None


def argon2id_in_sodium(sodium, password, salt, passes, memory, length=32):
    algorithm_argon2id13 = 2
    output = ctypes.create_string_buffer(length)
    sodium.crypto_pwhash.argtypes = [ctypes.c_char_p, ctypes.c_ulonglong, ctypes.c_char_p, ctypes.c_ulonglong, ctypes.c_char_p,
                                     ctypes.c_ulonglong, ctypes.c_size_t, ctypes.c_int]
    if sodium.crypto_pwhash(output, length, password, len(password), salt, passes, memory * 1024, algorithm_argon2id13) != 0:
        raise Refused(f"Argon2id did not get its {memory} KiB of memory")
    return output.raw


def argon2id(password, salt, passes, memory):
    sodium = load_sodium()
    if sodium is not None:
        return argon2id_in_sodium(sodium, password, salt, passes, memory)
    note("there is no libsodium here; Argon2id in Python takes a while (some minutes for 65536 KiB)")
    return argon2id_in_python(password, salt, passes, memory)


# ---- "Passphrases" ----

def is_generated_pin(passphrase):
    if not re.fullmatch(rb"kl1_[a-z2-7]{32}", passphrase):
        return False
    payload = base64.b32decode(passphrase[4:].upper())
    return hashlib.sha256(b"keyladder/1/pin" + payload[:16]).digest()[:4] == payload[16:]


@dataclasses.dataclass
class Kdf:
    kind: int
    passes: int
    memory: int
    salt: bytes

    @classmethod
    def read(cls, fields):
        return cls(fields.number(1), fields.number(4), fields.number(4), fields.take(16))

    def key(self, passphrase, what):
        """what: "the PIN of pin/user", for messages."""
        known = {1: self.passes == 0 and self.memory == 0,
                 2: 1 <= self.passes <= 16 and 8192 <= self.memory <= 4194304,
                 3: 100000 <= self.passes <= 10000000 and self.memory == 0}
        if not known.get(self.kind, False):
            raise Refused(f"{what}: the store asks for kdf {self.kind} with {self.passes} passes and {self.memory} KiB, which the format does not allow")
        if self.kind == 1:
            if not is_generated_pin(passphrase):
                raise Refused(f"{what} is wrong: a generated one (kl1_ and 32 characters, with its checksum) is needed")
            return hkdf(self.salt, passphrase, b"keyladder/1/pin")
        if self.kind == 2:
            return argon2id(passphrase, self.salt, self.passes, self.memory)
        return hashlib.pbkdf2_hmac("sha512", passphrase, self.salt, self.passes, 32)


# ---- "Local root" ----

def local_root_aad(serial, environment, purpose, master_version, metadata):
    return b"keyladder/1/root/local" + B(serial) + B(environment) + B(purpose) + u32(master_version) + B(metadata)


def local_root_open(passphrase, sealed, metadata, aad, what):
    fields = Fields(f"the provider metadata of {what}", metadata)
    fields.version()
    kdf = Kdf.read(fields)
    fields.end()
    key = kdf.key(passphrase, f"the passphrase of {what}")
    return gcm_open(key, sealed[:12], sealed[12:], aad, f"{what} does not open: a wrong passphrase, or the record was changed")


# ---- "The store (SQLite)" ----

def printable(data):
    text = data.decode("utf-8", "backslashreplace") if isinstance(data, bytes) else data
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


@dataclasses.dataclass
class Metadata:
    """"Rows": what a row's metadata says."""
    key_class: int
    key_type: int
    length: int
    flags: int
    attributes: dict

    SALT_TYPE, SALT, INFO, VALUE = 0xCB4C0101, 0xCB4C0102, 0xCB4C0103, 0x11

    @classmethod
    def read(cls, data, what):
        fields = Fields(f"the metadata of {what}", data)
        fields.version()
        key_class, key_type, length, flags = fields.number(8), fields.number(8), fields.number(4), fields.number(8)
        fields.take(8 + 8 + 8)  # mechanism, start date, end date
        attributes = {}
        for _ in range(fields.number(4)):
            number = fields.number(8)
            if attributes and number <= max(attributes):
                raise Refused(f"the metadata of {what} have their attributes out of order")
            attributes[number] = fields.counted()
        fields.end()
        return cls(key_class, key_type, length, flags, attributes)


@dataclasses.dataclass
class Row:
    """A row of encryption_keys. TEXT is kept as bytes."""
    id: bytes
    key_type: bytes
    key_id: bytes
    encrypted_key: bytes
    key_hash: bytes
    algorithm: bytes
    created_at: int
    expires_at: int
    is_active: int
    rotation_count: int
    metadata: bytes
    label: bytes
    parent: bytes
    state: int
    generation: int
    is_public: int
    digest: bytes
    label_bucket: int
    id_bucket: int

    def __post_init__(self):
        sizes = {"is_active": 8, "rotation_count": 32, "state": 32, "is_public": 8, "label_bucket": 12, "id_bucket": 12}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, field.type) or (field.type is int and not 0 <= value < 1 << sizes.get(field.name, 63)):
                raise Refused(f"the column {field.name} of {self} holds what it never does")
        if len(self.id) != 16 or len(self.parent) != 16 or len(self.digest) != 40:
            raise Refused(f"the id, parent or digest of {self} has a wrong length")

    def __str__(self):
        name = f"row {self.id.hex()}" if isinstance(self.id, bytes) else "a row"
        return f'{name} ("{printable(self.label)}")' if isinstance(self.label, bytes) and self.label else name

    def authenticated(self, serial):
        """R."""
        return (b"keyladder/1/row" + B(serial) + self.id + self.parent + u64(self.generation) + B(self.key_type) + B(self.key_id)
                + B(self.key_hash) + B(self.algorithm) + u64(self.created_at) + u64(self.expires_at) + u8(self.is_active)
                + u32(self.rotation_count) + u32(self.state) + u8(self.is_public) + B(self.label) + B(self.metadata))

    def entry(self):
        return self.id + u64(self.generation) + self.digest

    def about(self):
        return Metadata.read(self.metadata, str(self))


def connect(path, options):
    database = sqlite3.connect(f"file:{urllib.parse.quote(os.path.abspath(path))}?{options}", uri=True, isolation_level=None)
    database.text_factory = bytes
    try:
        database.execute("BEGIN")
        database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error:
        database.close()
        raise
    return database


class Store:
    """All of a store, read in one transaction."""

    def __init__(self, path):
        with open(path, "rb"):
            pass  # says what is wrong better than SQLite
        self.unreadable = []
        self.scratch = None
        try:
            database = self.open(path)
            try:
                self.read(database)
            finally:
                database.close()
        except sqlite3.Error as error:
            raise Refused(f"{path} is no whole SQLite database: {error}") from None
        finally:
            if self.scratch is not None:
                self.scratch.cleanup()
        self.read_token()

    def open(self, path):
        """SQLite makes files beside a database with a -wal, even to read it. Where it would have to, a copy is read."""
        if not os.path.exists(path + "-wal"):
            return connect(path, "mode=ro&immutable=1")
        try:
            if os.path.exists(path + "-shm"):
                return connect(path, "mode=ro")
        except sqlite3.OperationalError as error:
            if "open" not in str(error) and "readonly" not in str(error):
                raise
        self.scratch = tempfile.TemporaryDirectory(prefix="keyladder-decoder.")
        copy = os.path.join(self.scratch.name, "store")
        for end in ("", "-wal"):
            shutil.copyfile(path + end, copy + end)
        return connect(copy, "mode=rw")

    def read(self, database):
        kind, version = (database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
        if kind != 0x4B4C4144:
            raise Refused("this database is no keyladder store (its application_id is another)")
        if version != 2:
            raise Refused(f"the store has format {version}, and this decoder knows format 2")
        names = [field.name for field in dataclasses.fields(Row)]
        self.rows = {}
        for values in database.execute(f"SELECT {', '.join(names)} FROM encryption_keys NOT INDEXED"):
            try:
                row = Row(*values)
                self.rows[row.id] = row
            except Refused as error:
                self.unreadable.append(str(error))
        self.records = dict(database.execute("SELECT name, value FROM token_records NOT INDEXED"))
        self.bucket_groups = dict(database.execute("SELECT number, macs FROM bucket_groups"))
        self.roots = list(database.execute("SELECT epoch, row_count, records, groups, mac FROM store_root"))
        self.counts, self.count_roots = {}, []
        if database.execute("SELECT count(*) FROM sqlite_master WHERE name IN ('key_budgets', 'budget_root')").fetchone()[0] == 2:
            self.counts = dict(database.execute("SELECT id, used FROM key_budgets"))
            self.count_roots = list(database.execute("SELECT epoch, buckets, mac FROM budget_root"))
        for name, value in self.records.items():
            if not isinstance(name, bytes) or not isinstance(value, bytes):
                raise Refused("a token record holds what it never does")

    def record(self, name):
        if name not in self.records:
            raise Refused(f"the store has no record {printable(name)}")
        return Fields(f"the record {printable(name)}", self.records[name])

    def read_token(self):
        fields = self.record(b"token")
        fields.version()
        self.serial, self.label, self.environment = fields.counted(), fields.counted(), fields.counted()
        self.created = fields.number(8)
        fields.end()

    def access_key(self, name, pin):
        """"Token records": what a PIN opens. name: b"pin/user" or b"pin/so"."""
        fields = self.record(name)
        parameters = fields.data[:26]
        fields.version()
        key = Kdf.read(fields).key(pin, f"the PIN of {name.decode()}")
        return gcm_open(key, fields.take(12), fields.data, b"keyladder/1/pin" + B(self.serial) + B(name) + parameters,
                        f"{name.decode()} does not open: a wrong PIN, or the record was changed")

    def find(self, label):
        """The row with this label, or with this id in hexadecimal digits."""
        found = [row for row in self.rows.values() if row.label == label]
        if not found and re.fullmatch(rb"[0-9a-f]{32}", label):
            found = [row for row in self.rows.values() if row.id.hex().encode() == label]
        if not found:
            raise Refused(f'the store has no key "{printable(label)}"')
        active = [row for row in found if row.is_active]
        if len(found) > 1 and len(active) != 1:
            raise Refused(f'several keys are called "{printable(label)}"; name one by its id: {", ".join(row.id.hex() for row in found)}')
        return (active or found)[0]


# ---- "Authenticated look-ups" ----

EMPTY_BUCKET = bytes(32)


class Lookups:
    """What is wrong with the MACs of a store, as sentences."""

    def __init__(self, store, access_key):
        self.store, self.key = store, E(access_key, b"keyladder/1/store")

    def mac(self, kind, data):
        return hmac_sha256(self.key, B(kind) + data)

    def placed(self, row, name, kind):
        """The bucket and the tag."""
        digest = self.mac(b"place", u8(kind) + B(name) if name else u8(kind + 2) + B(row.id))
        return digest[0] << 4 | digest[1] >> 4, digest[2:6]

    def place(self, row, name, kind):
        return self.placed(row, name, kind)[0]

    def problems(self):
        yield from self.store.unreadable
        if len(self.store.roots) != 1:
            yield f"store_root has {len(self.store.roots)} rows instead of one"
            return
        yield from self.root_problems(*self.store.roots[0])
        yield from self.row_problems()
        yield from self.bucket_problems()
        yield from self.count_problems()

    def root_problems(self, epoch, row_count, records, groups, mac):
        if not all(isinstance(value, bytes) for value in (records, groups, mac)) or len(groups) != 64 * 32 or min(epoch or 0, row_count or 0) < 0:
            yield "store_root holds what it never does"
            return
        if not hmac.compare_digest(mac, self.mac(b"root", u64(epoch or 0) + u64(row_count or 0) + records + groups)):
            yield "store_root was changed: its MAC is wrong"
        expected = hashlib.sha256(b"".join(B(name) + B(value) for name, value in sorted(self.store.records.items()))).digest()
        if records != expected:
            yield "token_records were changed: they are not those that store_root vouches for"
        if row_count != len(self.store.rows):
            yield f"the store has {len(self.store.rows)} readable keys, and store_root vouches for {row_count}"
        for number in self.store.bucket_groups:
            if not 0 <= number < 64:
                yield f"bucket_groups has a row {number}"
        for number in range(64):
            macs = self.store.bucket_groups.get(number, 64 * EMPTY_BUCKET)
            if not isinstance(macs, bytes) or len(macs) != 64 * 32:
                yield f"bucket group {number} holds what it never does"
            elif groups[32 * number:32 * number + 32] != self.mac(b"group", u32(number) + macs):
                yield f"bucket group {number} was changed: it is not the one that store_root vouches for"

    def row_problems(self):
        for row in self.store.rows.values():
            tags = self.placed(row, row.label, 0)[1] + self.placed(row, row.key_id, 1)[1]
            if row.digest != tags + hashlib.sha256(row.authenticated(self.store.serial) + B(row.encrypted_key)).digest():
                yield f"{row} was changed: its digest is wrong"
            if (row.label_bucket, row.id_bucket) != (self.place(row, row.label, 0), self.place(row, row.key_id, 1)):
                yield f"{row} is in a wrong bucket"

    def bucket_problems(self):
        by_label, by_id = {}, {}
        for row in sorted(self.store.rows.values(), key=lambda row: row.id):
            by_label.setdefault(self.place(row, row.label, 0), []).append(row)
            by_id.setdefault(self.place(row, row.key_id, 1), []).append(row)
        for bucket in range(4096):
            labelled, identified = by_label.get(bucket, []), by_id.get(bucket, [])
            group = self.store.bucket_groups.get(bucket // 64, 64 * EMPTY_BUCKET)
            expected = EMPTY_BUCKET
            if labelled or identified:
                entries = b"".join(u32(len(rows)) + b"".join(row.entry() for row in rows) for rows in (labelled, identified))
                expected = self.mac(b"bucket", u32(bucket) + entries)
            if isinstance(group, bytes) and group[32 * (bucket % 64):][:32] != expected:
                rows = ", ".join(sorted({str(row) for row in labelled + identified})) or "no row"
                yield f"bucket {bucket} is wrong: a row was changed, added, removed or is of another time (in it now: {rows})"

    def count_problems(self):
        """"Counts of encryptions"."""
        counted = b"budgets" in self.store.records
        if len(self.store.count_roots) != counted:
            yield f"budget_root has {len(self.store.count_roots)} rows, and the token records say {'one' if counted else 'none'}"
            return
        for epoch, buckets, mac in self.store.count_roots:
            if not isinstance(buckets, bytes) or len(buckets) != 64 * 32 or not isinstance(mac, bytes) or (epoch or 0) < 0:
                yield "budget_root holds what it never does"
                return
            if not hmac.compare_digest(mac, self.mac(b"budget root", B(self.store.serial) + u64(epoch or 0) + buckets)):
                yield "budget_root was changed: its MAC is wrong"
            by_bucket = {}
            for name, used in sorted(self.store.counts.items()):
                if not isinstance(name, bytes) or len(name) != 16 or not isinstance(used, int) or used < 0:
                    yield "key_budgets holds what it never does"
                    return
                by_bucket.setdefault(name[0] >> 2, []).append(name + u64(used))
            for bucket in range(64):
                entries = by_bucket.get(bucket, [])
                expected = self.mac(b"budget bucket", u32(bucket) + u32(len(entries)) + b"".join(entries)) if entries else EMPTY_BUCKET
                if buckets[32 * bucket:][:32] != expected:
                    yield f"a count of encryptions in bucket {bucket} was changed, added, removed or is of another time"


# ---- The ladder, opened ----

@dataclasses.dataclass
class Key:
    row: Row
    value: bytes
    level: int | None  # of a ladder key: 0 the master, 1 DEK, 2 FEK; None outside the ladder

    def child(self, record):
        """The session key of a record."""
        if self.level is None:
            raise Misuse(f"{self.row} is no key of the ladder, and has no record keys")
        check_record_key(record.key_type, record.length)
        return Child(self.level + 1, record.info, record.length, record.key_type, salt=record.salt).derive(self.value)


LADDER = {b"master": 0, b"dek": 1, b"fek": 2}


class Ladder:
    """Opens rows with the root secrets."""

    def __init__(self, store, access_key, passphrase, only_root=None):
        self.store = store
        self.failures = []
        self.secrets = dict(self.root_secrets(E(access_key, b"keyladder/1/root"), passphrase, only_root))
        if not self.secrets:
            raise Refused("; ".join(self.failures) or "the store has no master key that a local root keeps")
        self.opened = {}

    def root_secrets(self, access_subkey, passphrase, only_root):
        """Yields (version of the master, root secret)."""
        done = set()
        for name in sorted(self.store.records):
            found = re.fullmatch(rb"master/([0-9]{8})/(.+)", name)
            if not found or int(found[1]) in done or (only_root is not None and found[2] != only_root):
                continue
            try:
                yield int(found[1]), self.root_secret(name, int(found[1]), access_subkey, passphrase)
                done.add(int(found[1]))
            except Refused as error:
                self.failures.append(str(error))

    def root_secret(self, name, version, access_subkey, passphrase):
        what = printable(name)
        fields = self.store.record(name)
        fields.version()
        provider, sealed, metadata = fields.counted(), fields.counted(), fields.counted()
        fields.end()
        if provider != b"local":
            raise Refused(f'{what} is kept by a root of type "{printable(provider)}", which this decoder cannot ask')
        aad = local_root_aad(self.store.serial, self.store.environment, b"root", version, metadata)
        inner = local_root_open(passphrase, sealed, metadata, aad, what)
        if len(inner) != 64 or inner[:4] != b"\1\0\0\0":
            raise Refused(f"the inside of {what} is not of version 1")
        aad = b"keyladder/1/root" + B(self.store.serial) + B(self.store.environment) + u32(version)
        return gcm_open(access_subkey, inner[4:16], inner[16:], aad, f"the inside of {what} does not open with this token's access key")

    def unseal(self, row, parent):
        return gcm_open(subkey(parent, b"record"), row.encrypted_key[:12], row.encrypted_key[12:], row.authenticated(self.store.serial),
                        f"{row} does not open: it was changed, or is of another token")

    def open(self, row):
        if row.id not in self.opened:
            self.opened[row.id] = self.open_master(row) if row.key_type == b"master" else self.open_below(row)
        return self.opened[row.id]

    def open_master(self, row):
        if row.parent != bytes(16):
            raise Refused(f"{row} is a master key with a parent")
        for secret in self.secrets.values():
            try:
                if self.unseal(row, secret) == b"":
                    return self.checked(Key(row, secret, 0))
            except Refused:
                pass
        raise Refused("; ".join([f"{row} does not open: it was changed, or its root secret could not be opened"] + self.failures))

    def open_below(self, row):
        parent_row = self.store.rows.get(row.parent)
        if parent_row is None:
            raise Refused(f"the parent of {row} is missing")
        level = LADDER.get(row.key_type)
        wanted = 0 if level is None else level - 1
        if LADDER.get(parent_row.key_type) != wanted:
            raise Refused(f"the parent of {row} is on a wrong level")
        parent = self.open(parent_row)
        return self.checked(Key(row, self.unseal(row, parent.value), level), parent)

    def checked(self, key, parent=None):
        row = key.row
        about = row.about()
        if about.key_class == CKO_SECRET_KEY and about.length != len(key.value):
            raise Refused(f"{row} has {len(key.value)} bytes, and its metadata say {about.length}")
        if (row.key_hash or key.level is not None) and row.key_hash != commitment(key.value):
            raise Refused(f"{row} is not the key of its commitment")
        if key.level and Metadata.INFO in about.attributes:
            salt_type, salt = about.attributes.get(Metadata.SALT_TYPE), about.attributes.get(Metadata.SALT, b"")
            child = Child(key.level, about.attributes[Metadata.INFO], about.length, about.key_type, about.key_class, row.label,
                          None if salt_type == u64(SALT_NULL) else salt)
            if child.derive(parent.value) != key.value:
                raise Refused(f"{row} is not what its parent, salt and info derive")
        return key


# ---- "Envelopes" ----

MAGIC, TAG, CHUNK = b"KL", 16, 65536
# By their number in an envelope's header: the cipher, and the length of its nonce.
ALGORITHMS = {1: (AESGCM, 12), 2: (ChaCha20Poly1305, 12), 3: (XaesGcm, 24)}


@dataclasses.dataclass
class Record:
    """How a record key is derived from its field's."""
    info: bytes
    salt: bytes | None = None
    length: int = 32
    key_type: int = CKK_AES


def read_exactly(source, length, what):
    data = source.read(length)
    if len(data) != length:
        raise Refused(f"this is no ciphertext of keyladder's, or it was cut within its {what}")
    return data


def envelope_key(key, algorithm):
    return api_key(key, algorithm - 1 << 32 | CKM_KL_ENVELOPE, 32)


def open_envelope(key, header, rest, aad):
    cipher, nonce_length = ALGORITHMS[header[3]]
    if len(rest) < nonce_length + TAG:
        raise Refused("the envelope was cut: it has no room for its nonce and tag")
    nonce = rest[:nonce_length]
    return aead_open(cipher(envelope_key(key, header[3])), nonce, rest[nonce_length:], header + nonce + aad,
                     "the envelope does not open: it was changed, or made with other associated data (--aad) or for a record (--rek)")


def stream_chunks(key, header, source, aad):
    """Yields the plaintext, each chunk once it has been authenticated."""
    salt = read_exactly(source, 32, "salt")
    cipher = AESGCM(hkdf(salt, subkey(key, b"stream"), b"keyladder/1/stream" + header + hashlib.sha256(aad).digest()))

    def opens(counter, last, sealed):
        try:
            return cipher.decrypt(counter.to_bytes(11, "big") + u8(last), sealed, None)
        except (InvalidTag, ValueError):
            return None

    counter, sealed = 0, source.read(CHUNK + TAG)
    while True:
        following = source.read(CHUNK + TAG)
        last = not following
        plain = opens(counter, last, sealed)
        if plain is None:
            if last and (not sealed or opens(counter, False, sealed) is not None):
                raise Refused(f"the stream was cut: it ends after {counter + bool(sealed)} whole chunks, and none of them is the last")
            if not last and opens(counter, True, sealed) is not None:
                raise Refused(f"the stream was added to: there are bytes after its last chunk, {counter}")
            raise Refused(f"chunk {counter} of the stream does not open: it was changed, cut, moved or is of another stream"
                          + ("" if counter else "; or the stream was made with other associated data (--aad) or for a record (--rek)"))
        if last and counter and not plain:
            raise Refused("the stream was added to: its last chunk is empty")
        yield plain
        if last:
            return
        counter, sealed = counter + 1, following


def open_ciphertext(ladder, source, label, aad, record):
    """Yields the plaintext of an envelope or a stream."""
    header = read_exactly(source, 20, "header")
    ciphertext_format, algorithm, key_id = header[2], header[3], header[4:]
    if header[:2] != MAGIC or algorithm not in {1: ALGORITHMS, 2: (1,)}.get(ciphertext_format, ()):
        raise Refused("this is no ciphertext of keyladder's in format 1 or 2 with an algorithm of the page")
    rows = [row for row in ladder.store.rows.values() if row.key_hash == key_id and label in (None, row.label)]
    if not rows:
        raise Refused(f"the key {key_id.hex()} that the ciphertext names is not " + ("in this store" if label is None else f'"{printable(label)}"'))
    key = ladder.open(rows[0])
    value = key.value if record is None else key.child(record)
    if ciphertext_format == 1:
        yield open_envelope(value, header, source.read(), aad)
    else:
        yield from stream_chunks(value, header, source, aad)


def open_raw_gcm(key, record, iv, aad, sealed, tag_length):
    """A ciphertext of CKM_AES_GCM."""
    if record is not None:
        value = api_key(key.child(record), CKM_AES_GCM, record.length)
        key_type = record.key_type
    else:
        key_type = key.row.about().key_type
        value = key.value if key.level is None else api_key(key.value, CKM_AES_GCM, len(key.value))
    if key_type != CKK_AES or len(value) not in (16, 24, 32):
        raise Misuse("that key is no AES key")
    if len(sealed) < tag_length:
        raise Refused("the ciphertext was cut: it has no room for its tag")
    body, tag = sealed[:len(sealed) - tag_length], sealed[len(sealed) - tag_length:]
    opener = Cipher(algorithms.AES(value), modes.GCM(iv, tag, min_tag_length=tag_length)).decryptor()
    opener.authenticate_additional_data(aad)
    try:
        return opener.update(body) + opener.finalize()
    except InvalidTag:
        raise Refused("the ciphertext does not open: it was changed, or made with another key, IV, associated data or record") from None


# ---- The page's test vectors ----

def vectors():
    """Yields (what, the value of the page, what comes out here)."""
    salt = bytes.fromhex("101112131415161718191a1b1c1d1e1f")
    generated, phrase = b"kl1_aaaqeayeaudaocajbifqydiob626lqip", b"correct horse battery staple"
    serial, environment, plain = b"0123456789abcdef", b"prod", bytes(range(0x80, 0xC0))

    payload = bytes.fromhex("000102030405060708090a0b0c0d0e0f")
    made = "kl1_" + base64.b32encode(payload + hashlib.sha256(b"keyladder/1/pin" + payload).digest()[:4]).decode().lower()
    yield "a PIN is generated of R", "kl1_aaaqeayeaudaocajbifqydiob626lqip", made
    yield "the generated PIN is known as one", True, is_generated_pin(generated)
    yield "a wrong checksum is not", False, is_generated_pin(generated[:-1] + b"q")
    yield "capitals are not", False, is_generated_pin(generated[:4] + generated[4:].upper())

    argon2 = "f80ac21b527155e5f30009c685333978c5246d9dfda67f10391d2913bf5a8a0d"
    yield "kdf 1", "b49725a5975e30101455efc7cfd3f53ad79c1287ab6592048b48968bd251f933", Kdf(1, 0, 0, salt).key(generated, "").hex()
    yield "kdf 2 in Python", argon2, argon2id_in_python(phrase, salt, 3, 8192).hex()
    sodium = load_sodium()
    if sodium is not None:
        yield "kdf 2 in libsodium", argon2, argon2id_in_sodium(sodium, phrase, salt, 3, 8192).hex()
    yield "kdf 3", "7b858d0abfa6153e49f39535c445b62a70d61c55cdcdc33e4bdc9dedecf47d6d", Kdf(3, 100000, 0, salt).key(phrase, "").hex()

    for what, passphrase, metadata, sealed in (
            ("a generated passphrase", generated, "01010000000000000000101112131415161718191a1b1c1d1e1f",
             "404142434445464748494a4b2c5d2dc66ef73afab6337b6143386511395e8144ce6ee6a27f4b92c769954408e419"
             "2c7d5df330b7be5c1dd49928c2ec515b8746c62bf3edf0391638752d85289564b627348d24b774360c0c11ad939a"),
            ("a chosen passphrase", phrase, "01020000000300002000101112131415161718191a1b1c1d1e1f",
             "404142434445464748494a4b70498434324f8ef5525894f759fad1f55f34d2e163cc6bb175f5d385e5a933d7b430"
             "53bbf2dd3b3cc9298ad468f6948487b0b26beb949b37e17fa3b377b639de38a874c4689162514db2bca6c62a5806")):
        aad = local_root_aad(serial, environment, b"root", 1, bytes.fromhex(metadata))
        if passphrase == generated:
            yield ("the AAD of a local root",
                   "6b65796c61646465722f312f726f6f742f6c6f63616c000000103031323334353637383961626364656600000004"
                   "70726f6400000004726f6f74000000010000001a01010000000000000000101112131415161718191a1b1c1d1e1f", aad.hex())
        kdf = Kdf.read(Fields("", bytes.fromhex(metadata)[1:]))
        nonce = bytes.fromhex("404142434445464748494a4b")
        yield f"a local root under {what}", sealed, (nonce + AESGCM(kdf.key(passphrase, "")).encrypt(nonce, plain, aad)).hex()
        yield f"a local root under {what}, opened", plain, local_root_open(passphrase, bytes.fromhex(sealed), bytes.fromhex(metadata), aad, "")

    table_key = b"\x42" * 32
    yield "the commitment of a DEK", "a621d032fa5ade0f5bb6a5b6e947870a", commitment(table_key).hex()
    for use, value in (
            ("derive", "08aa3e96a49b62abe4e5b61aebc32739819925959c27eaa2b1b3506afa421bc1"),
            ("record", "cb9f638f79c63723873a61f8f10b3f69a1dc750c277ae0c9098ab90e33d3afcc"),
            ("audit", "b45672c614d70397635e015cce742672ddea99ee8f859bfbcc75510797e2503b"),
            ("stream", "556c1f589c42a275ee1a364cac69265fbc5500ac23493ca42aaa5f677902ada1"),
            ("commit", "a621d032fa5ade0f5bb6a5b6e947870a7be20626f91934829f028423205e2fc4")):
        yield f"its {use} subkey", value, subkey(table_key, use.encode()).hex()
    for name, value in (
            ("CKM_AES_CTR", "fb8765843e644845aae75729a4a325e91bae3860b11afe1d53413080b6bb60a3"),
            ("CKM_AES_GCM", "9446d52e95c1ae138909cb9372ed89d2ccaab4fde42a07251ef5e92b7d816b1a"),
            ("CKM_CHACHA20_POLY1305", "5a2c5ba51bf7675b4ce5f4d6a92a3d75db14ecdd4c540399a2c83ddb6cfc63d0"),
            ("CKM_AES_KEY_WRAP", "5765faee3c1ad4347ab6f37b078d7ba601a6fcba677c6730fdbaca6d27f3c054"),
            ("CKM_AES_KEY_WRAP_PAD", "8632f53065739587764c9f2c8dc262054fd1ebf58e9f16338d6cec0896873d25"),
            ("CKM_AES_KEY_WRAP_KWP", "cfe1bbd6c87341b8620f716122bb291507dbf2e4f0c138624addc87d43db7dd4"),
            ("CKM_SHA256_HMAC", "3bfb419b852e2eaefc84d38810937b6037b6cc28222c01db32b711f2171d8566"),
            ("CKM_SHA384_HMAC", "663a88f40d54c3286b4997ecff68c5a2995b9a8c318d6c76fadf55ef84ac681a"),
            ("CKM_SHA512_HMAC", "57e28dc85afc71e4fc74817de52531de228d0021d1791900af0f99d0ebb3f7e2")):
        yield f"its key for {name}", value, api_key(table_key, MECHANISMS[name], 32).hex()
    for algorithm, value, sealed in (
            (1, "12dc5606def63784797218357bc69d013095a2e84b4cb2977158d183db9da7c8",
             "4b4c0101a621d032fa5ade0f5bb6a5b6e947870a404142434445464748494a4b2ddd70bf0bfbf70291ca838a7224a5a66768"
             "d0f30a58206a192a060a476126d73a"),
            (2, "4defad147fd4f2c432536c62487f531a81c672285c98a5ee8987ea26dbb12fc3",
             "4b4c0102a621d032fa5ade0f5bb6a5b6e947870a404142434445464748494a4b7a2ecac21a0ceb867dee62bd0affff1572c9"
             "b45677e80dbf9d6ff78d7fde346a90"),
            (3, "74cd075cc1be7c6f928afcdc63d8d4966d530e79f0eb55614027c680ddb2807e",
             "4b4c0103a621d032fa5ade0f5bb6a5b6e947870a404142434445464748494a4b4c4d4e4f5051525354555657323c92868010"
             "73604cdee8fe7e9a1f8b6fd4d4835a2a1fc4543318f3e7e64a0c45")):
        cipher, nonce_length = ALGORITHMS[algorithm]
        beginning = MAGIC + u8(1) + u8(algorithm) + commitment(table_key) + bytes(range(0x40, 0x40 + nonce_length))
        made = beginning + cipher(envelope_key(table_key, algorithm)).encrypt(beginning[20:], b"alice@example.org", beginning + b"users.email/4711")
        opened = open_envelope(table_key, beginning[:20], bytes.fromhex(sealed)[20:], b"users.email/4711")
        yield f"its key for envelopes of algorithm {algorithm}", value, envelope_key(table_key, algorithm).hex()
        yield f"its envelope of algorithm {algorithm}", sealed, made.hex()
        yield f"its envelope of algorithm {algorithm}, opened", b"alice@example.org", opened
    yield "its session child", "ba014a8a96b7e7d6ea060761cf8cd7cc287af5c259b6dc215608990d2d672dc7", Child(2, b"4711").derive(table_key).hex()


# ---- The command line ----

def text_or_hex(text):
    return from_hex(text[4:]) if text.startswith("hex:") else os.fsencode(text)


def from_hex(text):
    try:
        return binascii.unhexlify(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"not an even number of hexadecimal digits: {text}") from None


def secret(file_name, what):
    """Of a file, less one newline at its end; else asked for."""
    if file_name is None:
        return getpass.getpass(f"{what}: ").encode()
    with open(file_name, "rb") as file:
        return file.read().removesuffix(b"\n")


class Run:
    """One command: its arguments, and what all commands do first."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.record_name = b"pin/so" if arguments.so else b"pin/user"

    def unlock(self):
        """The store and its access key; what is wrong with the store is in self.problems."""
        self.store = Store(self.arguments.store)
        self.access_key = self.store.access_key(self.record_name, secret(self.arguments.pin_file, "SO PIN" if self.arguments.so else "PIN"))
        self.problems = list(Lookups(self.store, self.access_key).problems())

    def insist(self):
        """Refuses a store with problems, unless it is to be salvaged."""
        for problem in self.problems:
            print(f"{'note' if self.arguments.salvage else 'error'}: {problem}", file=sys.stderr)
        if self.problems and not self.arguments.salvage:
            raise Refused("the store was changed (--salvage opens what still opens)")

    def open_ladder(self):
        root = None if self.arguments.root is None else self.arguments.root.encode()
        self.ladder = Ladder(self.store, self.access_key, secret(self.arguments.passphrase_file, "Passphrase of the root"), root)

    def whole_store(self):
        self.unlock()
        self.insist()
        self.open_ladder()

    def record(self):
        if self.arguments.rek is None:
            return None
        return Record(self.arguments.rek, self.arguments.salt, self.arguments.length, KEY_TYPES[self.arguments.type])

    def verify(self):
        self.unlock()
        try:
            self.open_ladder()
        except Refused as error:
            self.problems.append(str(error))
            self.ladder = None
        opened = 0
        for row in self.store.rows.values() if self.ladder else ():
            try:
                self.ladder.open(row)
                opened += 1
            except Refused as error:
                self.problems.append(str(error))
        for problem in self.problems:
            print(f"error: {problem}", file=sys.stderr)
        if self.problems:
            raise Refused(f"{self.arguments.store} is not whole: {len(self.problems)} things are wrong")
        for failure in self.ladder.failures:
            note(failure)
        print(f'token "{printable(self.store.label)}", serial number {printable(self.store.serial)}, environment "{printable(self.store.environment)}"')
        print(f"whole: {len(self.store.records)} token records, 4096 buckets in 64 groups, {opened} keys and objects, all opened")

    def list(self):
        self.unlock()
        self.insist()
        table = [("LABEL", "KIND", "TYPE", "BYTES", "STATE", "MADE", "ID", "COMMITMENT")]
        for row in sorted(self.store.rows.values(), key=lambda row: (LADDER.get(row.key_type, 9), row.label, row.id)):
            about = row.about()
            kind = "data" if about.key_class == CKO_DATA else KEY_TYPE_NAMES.get(about.key_type, hex(about.key_type))
            made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(row.created_at))
            table.append((printable(row.label) or "-", printable(row.key_type), kind, str(about.length), "active" if row.is_active else f"state {row.state}",
                          made, row.id.hex(), row.key_hash.hex() or "-"))
        widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
        for line in table:
            print("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())

    def show(self, value, words):
        print(value.hex() if self.arguments.show else f"{words}, {len(value)} bytes, commitment {commitment(value).hex()} (--show prints it)")

    def key(self):
        self.whole_store()
        key = self.ladder.open(self.store.find(os.fsencode(self.arguments.label)))
        about = key.row.about()
        value = about.attributes.get(Metadata.VALUE, key.value) if about.key_class == CKO_DATA else key.value
        if key.row.key_hash or self.arguments.show:
            self.show(value, str(key.row))
        else:
            print(f"{key.row}, {len(value)} bytes (--show prints it)")

    def derive(self):
        record = Record(self.arguments.info, self.arguments.salt, self.arguments.length, KEY_TYPES[self.arguments.type])
        check_record_key(record.key_type, record.length)
        self.whole_store()
        key = self.ladder.open(self.store.find(os.fsencode(self.arguments.label)))
        self.show(key.child(record), f"a record key below {key.row}")

    def decrypt(self):
        record = self.record()
        if record is not None:
            check_record_key(record.key_type, record.length)
        self.whole_store()
        label = None if self.arguments.key is None else os.fsencode(self.arguments.key)
        with open(self.arguments.input, "rb") if self.arguments.input else sys.stdin.buffer as source:
            self.write(open_ciphertext(self.ladder, source, label, self.arguments.aad, record))

    def gcm(self):
        self.whole_store()
        key = self.ladder.open(self.store.find(os.fsencode(self.arguments.label)))
        with open(self.arguments.input, "rb") if self.arguments.input else sys.stdin.buffer as source:
            sealed = source.read()
        self.write(iter([open_raw_gcm(key, self.record(), self.arguments.iv, self.arguments.aad, sealed, self.arguments.tag_bits // 8)]))

    def write(self, chunks):
        """To standard output as it comes; a file appears under its name whole or not at all."""
        if not self.arguments.output:
            for chunk in chunks:
                sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()
            return
        target = os.path.abspath(self.arguments.output)
        descriptor, unfinished = tempfile.mkstemp(prefix=os.path.basename(target) + ".", dir=os.path.dirname(target))
        try:
            with open(descriptor, "wb") as file:
                file.writelines(chunks)
                file.flush()
                os.fsync(file.fileno())
            os.rename(unfinished, target)
        except BaseException:
            os.unlink(unfinished)
            raise


def selftest():
    failed = 0
    for what, expected, found in vectors():
        print("ok -" if expected == found else "FAIL", what)
        failed += expected != found
    if failed:
        raise Refused("this machine's Python or libraries do not compute what the page says")


def arguments_parser():
    parser = argparse.ArgumentParser(description="Opens keyladder's stores and ciphertexts; see doc/format.md.",
                                     epilog="Exit status: 0 all is well; 1 it does not open, or was changed; 2 wrong usage, or a file cannot be read or written.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name, text, *groups):
        made = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", allow_abbrev=False)
        made.add_argument("store", metavar="STORE", help="the database; its -wal, if there is one, must lie beside it")
        made.add_argument("--pin-file", metavar="FILE", help="the PIN, less a newline at its end; asked for if left out")
        made.add_argument("--so", action="store_true", help="the PIN is the security officer's")
        made.add_argument("--root", metavar="NAME", help="use only the master's records of this root")
        made.add_argument("--salvage", action="store_true", help="go on in a store that was changed; each key must still open")
        for group in groups:
            group(made)
        return made

    def passphrase(made):
        made.add_argument("--passphrase-file", metavar="FILE", help="the passphrase of the local root; asked for if left out")

    def label(made):
        made.add_argument("label", metavar="LABEL", help="the key's label, or its id in hexadecimal digits")

    def shown(made):
        made.add_argument("--show", action="store_true", help="print the key itself, in hexadecimal digits")

    def record_parts(made):
        made.add_argument("--salt", type=from_hex, metavar="HEX", help="of the record key; none if left out")
        made.add_argument("--length", type=int, default=32, metavar="N", help="of the record key in bytes; 32 if left out")
        made.add_argument("--type", choices=sorted(KEY_TYPES), default="aes", help="of the record key; aes if left out")

    def record(made):
        made.add_argument("--rek", type=text_or_hex, metavar="INFO", help="use the key of this record; text, or hex: and digits")
        record_parts(made)

    def files(made):
        made.add_argument("-i", dest="input", metavar="FILE", help="the ciphertext; standard input if left out")
        made.add_argument("-o", dest="output", metavar="FILE", help="the plaintext; standard output if left out")

    command("verify", "check every MAC, digest, seal and commitment of the store", passphrase)
    command("list", "list the keys and objects of the store; needs no passphrase")
    command("key", "open a key; prints it only with --show", passphrase, label, shown)
    derive = command("derive", "derive a record key; prints it only with --show", passphrase, label, shown, record_parts)
    derive.add_argument("--info", type=text_or_hex, required=True, metavar="INFO", help="the record's id; text, or hex: and digits")
    decrypt = command("decrypt", "open an envelope or a stream", passphrase, record, files)
    decrypt.add_argument("--key", metavar="LABEL", help="refuse what was made with any other key")
    decrypt.add_argument("--aad", type=text_or_hex, default=b"", metavar="TEXT", help="the associated data; text, or hex: and digits")
    raw = command("gcm", "open a ciphertext of CKM_AES_GCM", passphrase, label, record, files)
    raw.add_argument("--iv", type=from_hex, required=True, metavar="HEX", help="the initialisation vector, 8 to 128 bytes")
    raw.add_argument("--aad", type=from_hex, default=b"", metavar="HEX", help="the associated data")
    raw.add_argument("--tag-bits", type=int, default=128, choices=(96, 104, 112, 120, 128), help="of the tag; 128 if left out")
    commands.add_parser("selftest", help="compute the test vectors of the page", description="Compute the test vectors of the page.")
    return parser


def main():
    arguments = arguments_parser().parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        if arguments.command == "selftest":
            selftest()
        else:
            getattr(Run(arguments), arguments.command)()
        sys.stdout.flush()
    except (Refused, Misuse, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1 if isinstance(error, Refused) else 2
    except (KeyboardInterrupt, EOFError):
        print("error: interrupted", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
