# SPDX-License-Identifier: MIT OR Apache-2.0
"""The few C_ functions that the Python tests of this folder need, by their names in the module."""
import ctypes
import os

UL = ctypes.c_ulong
OK, DEVICE_ERROR, PIN_INCORRECT, PIN_LOCKED = 0, 0x30, 0xA0, 0xA4
ENCRYPTED_DATA_INVALID, TOKEN_NOT_RECOGNIZED, WRITE_PROTECTED, DEVICE_MEMORY = 0x40, 0xE1, 0xE2, 0x31
CKA = {"CLASS": 0, "TOKEN": 1, "PRIVATE": 2, "LABEL": 3, "ID": 0x102, "VALUE": 0x11, "KEY_TYPE": 0x100, "VALUE_LEN": 0x161,
       "ENCRYPT": 0x104, "DECRYPT": 0x105, "WRAP": 0x106, "UNWRAP": 0x107, "DERIVE": 0x10C}
NAMES = {
    0: "CKR_OK", 0x5: "CKR_GENERAL_ERROR", 0x6: "CKR_FUNCTION_FAILED", 0x7: "CKR_ARGUMENTS_BAD", 0x30: "CKR_DEVICE_ERROR", 0x31: "CKR_DEVICE_MEMORY",
    0x32: "CKR_DEVICE_REMOVED", 0x40: "CKR_ENCRYPTED_DATA_INVALID", 0x60: "CKR_KEY_HANDLE_INVALID", 0x82: "CKR_OBJECT_HANDLE_INVALID",
    0xA0: "CKR_PIN_INCORRECT", 0xA4: "CKR_PIN_LOCKED", 0xE0: "CKR_TOKEN_NOT_PRESENT", 0xE1: "CKR_TOKEN_NOT_RECOGNIZED",
    0xE2: "CKR_TOKEN_WRITE_PROTECTED", 0x102: "CKR_USER_PIN_NOT_INITIALIZED", 0x190: "CKR_CRYPTOKI_NOT_INITIALIZED", 0xD1: "CKR_TEMPLATE_INCONSISTENT",
}


def name(rv):
    return NAMES.get(rv, hex(rv))


class Attribute(ctypes.Structure):
    _fields_ = [("type", UL), ("value", ctypes.c_void_p), ("len", UL)]


class Mechanism(ctypes.Structure):
    _fields_ = [("type", UL), ("parameter", ctypes.c_void_p), ("len", UL)]


class Gcm(ctypes.Structure):
    _fields_ = [("iv", ctypes.c_void_p), ("iv_len", UL), ("iv_bits", UL), ("aad", ctypes.c_void_p), ("aad_len", UL), ("tag_bits", UL)]


class Hkdf(ctypes.Structure):
    _fields_ = [("extract", ctypes.c_ubyte), ("expand", ctypes.c_ubyte), ("prf", UL), ("salt_type", UL), ("salt", ctypes.c_void_p), ("salt_len", UL),
                ("salt_key", UL), ("info", ctypes.c_void_p), ("info_len", UL)]


class SessionInfo(ctypes.Structure):
    _fields_ = [("slot", UL), ("state", UL), ("flags", UL), ("device_error", UL)]


def encode(value):
    if isinstance(value, bool):
        return bytes([value])
    if isinstance(value, int):
        return value.to_bytes(ctypes.sizeof(UL), "little")
    return value.encode() if isinstance(value, str) else value


class Template:
    def __init__(self, **attributes):
        self.buffers = [ctypes.create_string_buffer(encode(v), len(encode(v))) for v in attributes.values()]
        self.count = len(self.buffers)
        self.array = (Attribute * self.count)(
            *[Attribute(CKA[k], ctypes.cast(b, ctypes.c_void_p), len(b)) for k, b in zip(attributes, self.buffers)])


class Token:
    """One process, one session."""

    def __init__(self):
        self.lib = ctypes.CDLL(os.environ["P11_MODULE"])
        for function in ("C_Initialize", "C_GetSlotList", "C_OpenSession", "C_Login"):
            getattr(self.lib, function).restype = UL
        self.session = UL(0)

    def call(self, function, *args):
        entry = getattr(self.lib, function)
        entry.restype = UL
        return entry(*args)

    def start(self):
        return self.call("C_Initialize", None)

    def slots(self):
        count = UL(32)
        array = (UL * 32)()
        rv = self.call("C_GetSlotList", 1, array, ctypes.byref(count))
        return (rv, list(array[:count.value]) if rv == OK else [])

    def open(self, slot, pin=None):
        rv = self.call("C_OpenSession", UL(slot), UL(6), None, None, ctypes.byref(self.session))
        if rv == OK and pin is not None:
            rv = self.call("C_Login", self.session, UL(1), pin.encode(), UL(len(pin)))
        return rv

    def device_error(self):
        info = SessionInfo()
        self.call("C_GetSessionInfo", self.session, ctypes.byref(info))
        return info.device_error

    def find(self, **attributes):
        template = Template(**attributes)
        found = (UL * 64)()
        count = UL(0)
        rv = self.call("C_FindObjectsInit", self.session, template.array, UL(template.count))
        if rv != OK:
            return rv, []
        rv = self.call("C_FindObjects", self.session, found, UL(64), ctypes.byref(count))
        self.call("C_FindObjectsFinal", self.session)
        return rv, list(found[:count.value]) if rv == OK else []

    def generate(self, **attributes):
        template = Template(VALUE_LEN=32, TOKEN=True, **attributes)
        key = UL(0)
        rv = self.call("C_GenerateKey", self.session, ctypes.byref(Mechanism(0x1080, None, 0)), template.array, UL(template.count), ctypes.byref(key))
        return rv, key.value

    def create(self, **attributes):
        template = Template(**attributes)
        key = UL(0)
        return self.call("C_CreateObject", self.session, template.array, UL(template.count), ctypes.byref(key)), key.value

    def derive(self, parent, info, **attributes):
        template = Template(**attributes)
        text = ctypes.create_string_buffer(info, len(info))
        param = Hkdf(1, 1, 0x250, 1, None, 0, 0, ctypes.cast(text, ctypes.c_void_p), len(info))
        mech = Mechanism(0x402A, ctypes.cast(ctypes.byref(param), ctypes.c_void_p), ctypes.sizeof(param))
        key = UL(0)
        rv = self.call("C_DeriveKey", self.session, ctypes.byref(mech), UL(parent), template.array, UL(template.count), ctypes.byref(key))
        return rv, key.value

    def set_label(self, handle, label):
        template = Template(LABEL=label)
        return self.call("C_SetAttributeValue", self.session, UL(handle), template.array, UL(1))

    def destroy(self, handle):
        return self.call("C_DestroyObject", self.session, UL(handle))

    def read(self, handle, what):
        room = ctypes.create_string_buffer(4096)
        attribute = Attribute(CKA[what], ctypes.cast(room, ctypes.c_void_p), 4096)
        rv = self.call("C_GetAttributeValue", self.session, UL(handle), ctypes.byref(attribute), UL(1))
        return rv, room.raw[:attribute.len] if rv == OK else b""

    def gcm(self, encrypt, key, iv, data):
        iv_buffer = ctypes.create_string_buffer(iv, len(iv))
        param = Gcm(ctypes.cast(iv_buffer, ctypes.c_void_p), len(iv), len(iv) * 8, None, 0, 128)
        mech = Mechanism(0x1087, ctypes.cast(ctypes.byref(param), ctypes.c_void_p), ctypes.sizeof(param))
        kind = "Encrypt" if encrypt else "Decrypt"
        rv = self.call(f"C_{kind}Init", self.session, ctypes.byref(mech), UL(key))
        room = ctypes.create_string_buffer(len(data) + 64)
        room_len = UL(len(room))
        if rv == OK:
            rv = self.call(f"C_{kind}", self.session, data, UL(len(data)), room, ctypes.byref(room_len))
        return rv, room.raw[:room_len.value] if rv == OK else b""
