// SPDX-License-Identifier: MIT OR Apache-2.0
// pkcs11js, the C functions as they are. MODULE, PIN from the environment.
"use strict";
const crypto = require("node:crypto");
const p = require("pkcs11js");
const { ok, same, refused, changed, finish } = require("./check.js");

const { PIN } = process.env;
const lib = new p.PKCS11();
lib.load(process.env.MODULE);

const key = (label, id, more = []) => [
  { type: p.CKA_CLASS, value: p.CKO_SECRET_KEY },
  { type: p.CKA_KEY_TYPE, value: p.CKK_AES },
  { type: p.CKA_VALUE_LEN, value: 32 },
  { type: p.CKA_LABEL, value: label },
  { type: p.CKA_ID, value: id },
  ...more,
];

function find(session, template) {
  const found = [];
  lib.C_FindObjectsInit(session, template);
  for (let one = lib.C_FindObjects(session); one; one = lib.C_FindObjects(session)) found.push(one);
  lib.C_FindObjectsFinal(session);
  return found;
}

function encrypt(session, mechanism, handle, plain) {
  lib.C_EncryptInit(session, mechanism, handle);
  return lib.C_Encrypt(session, plain, Buffer.alloc(plain.length + 32));
}

function decrypt(session, mechanism, handle, sealed) {
  lib.C_DecryptInit(session, mechanism, handle);
  return lib.C_Decrypt(session, sealed, Buffer.alloc(sealed.length));
}

// The three parameters that pkcs11js has for it: 40 bytes without ulIvBits, and twice 48 with.
function gcm(session, handle) {
  const plain = Buffer.from("somebody@example.org");
  const aad = Buffer.from("users.email/4711");
  for (const [name, type] of Object.entries({ AES_GCM: p.CK_PARAMS_AES_GCM, AES_GCM_v240: p.CK_PARAMS_AES_GCM_v240, GCM: p.CK_PARAMS_GCM })) {
    const iv = crypto.randomBytes(12);
    const mechanism = (more) => ({ mechanism: p.CKM_AES_GCM, parameter: { type, iv, ivBits: 96, aad, tagBits: 128, ...more } });
    const sealed = encrypt(session, mechanism(), handle, plain);
    ok(`GCM ${name}: a tag of 16 bytes`, sealed.length === plain.length + 16 && !sealed.includes(plain));
    same(`GCM ${name}: the value comes back`, decrypt(session, mechanism(), handle, sealed), plain);
    const wrong = [["tag", changed(sealed, -1), {}], ["ciphertext", changed(sealed, 0), {}], ["AAD", sealed, { aad: changed(aad, 0) }], ["IV", sealed, { iv: changed(iv, 0) }]];
    for (const [what, bytes, more] of wrong)
      refused(`GCM ${name}: a changed ${what}`, "CKR_ENCRYPTED_DATA_INVALID", () => decrypt(session, mechanism(more), handle, bytes));
    refused(`GCM ${name}: less than a tag`, "CKR_ENCRYPTED_DATA", () => decrypt(session, mechanism(), handle, sealed.subarray(0, 15)));
    refused(`GCM ${name}: the same IV again`, "CKR_", () => encrypt(session, mechanism(), handle, plain));
  }
}

function cbc(session, handle) {
  const mechanism = { mechanism: p.CKM_AES_CBC_PAD, parameter: crypto.randomBytes(16) };
  const plain = crypto.randomBytes(45);
  const sealed = encrypt(session, mechanism, handle, plain);
  ok("CBC_PAD: whole blocks", sealed.length === 48);
  same("CBC_PAD: the value comes back", decrypt(session, mechanism, handle, sealed), plain);
  lib.C_EncryptInit(session, mechanism, handle);
  const parts = [0, 7, 30].map((at, i, all) => lib.C_EncryptUpdate(session, plain.subarray(at, all[i + 1] ?? 45), Buffer.alloc(64)));
  same("CBC_PAD: in parts it is the same", Buffer.concat([...parts, lib.C_EncryptFinal(session, Buffer.alloc(32))]), sealed);
  refused("CBC_PAD: half a block", "CKR_ENCRYPTED_DATA_LEN_RANGE", () => decrypt(session, mechanism, handle, sealed.subarray(0, 40)));
  refused("CBC_PAD: an IV of 15 bytes", "CKR_MECHANISM_PARAM_INVALID", () =>
    lib.C_EncryptInit(session, { mechanism: p.CKM_AES_CBC_PAD, parameter: crypto.randomBytes(15) }, handle));
  refused("ECB", "CKR_MECHANISM_INVALID", () => lib.C_EncryptInit(session, { mechanism: p.CKM_AES_ECB }, handle));
}

function hmacAndDigest(session) {
  const value = crypto.randomBytes(32);
  const data = Buffer.from("what is to be authenticated");
  const handle = lib.C_CreateObject(session, [
    { type: p.CKA_CLASS, value: p.CKO_SECRET_KEY },
    { type: p.CKA_KEY_TYPE, value: p.CKK_GENERIC_SECRET },
    { type: p.CKA_VALUE, value },
    { type: p.CKA_SIGN, value: true },
    { type: p.CKA_VERIFY, value: true },
  ]);
  for (const bits of [256, 384, 512]) {
    const mechanism = { mechanism: p[`CKM_SHA${bits}_HMAC`] };
    lib.C_SignInit(session, mechanism, handle);
    const mac = lib.C_Sign(session, data, Buffer.alloc(64));
    same(`HMAC ${bits}: as node's crypto has it`, mac, crypto.createHmac(`sha${bits}`, value).update(data).digest());
    const verify = (bytes, signature) => {
      lib.C_VerifyInit(session, mechanism, handle);
      return lib.C_Verify(session, bytes, signature);
    };
    ok(`HMAC ${bits}: verified`, verify(data, mac) === true);
    refused(`HMAC ${bits}: a changed MAC`, "CKR_SIGNATURE_INVALID", () => verify(data, changed(mac, 0)));
    refused(`HMAC ${bits}: other data`, "CKR_SIGNATURE_INVALID", () => verify(changed(data, 3), mac));
    refused(`HMAC ${bits}: a short MAC`, "CKR_SIGNATURE_LEN_RANGE", () => verify(data, mac.subarray(0, 31)));
    lib.C_DigestInit(session, { mechanism: p[`CKM_SHA${bits}`] });
    lib.C_DigestUpdate(session, data.subarray(0, 5));
    lib.C_DigestUpdate(session, data.subarray(5));
    same(`SHA-${bits}: as node's crypto has it`, lib.C_DigestFinal(session, Buffer.alloc(64)), crypto.createHash(`sha${bits}`).update(data).digest());
  }
  refused("an RSA key pair", "CKR_", () => lib.C_GenerateKeyPair(session, { mechanism: p.CKM_RSA_PKCS_KEY_PAIR_GEN }, [{ type: p.CKA_MODULUS_BITS, value: 2048 }], []));
}

function findAndAttributes(session, handle) {
  const label = { type: p.CKA_LABEL, value: "node-key" };
  const id = { type: p.CKA_ID, value: Buffer.from([7, 1]) };
  for (const [what, template] of [["label", [label]], ["id", [id]], ["both", [label, id, { type: p.CKA_CLASS, value: p.CKO_SECRET_KEY }]]]) {
    const found = find(session, template);
    ok(`found by ${what}`, found.length === 1 && Buffer.compare(found[0], handle) === 0);
  }
  ok("another label finds nothing", find(session, [{ type: p.CKA_LABEL, value: "node-kex" }]).length === 0);
  ok("an id of another key finds nothing with this label", find(session, [label, { type: p.CKA_ID, value: Buffer.from([7]) }]).length === 0);
  const [sensitive, extractable] = lib.C_GetAttributeValue(session, handle, [{ type: p.CKA_SENSITIVE }, { type: p.CKA_EXTRACTABLE }]);
  ok("the key is sensitive and not extractable", sensitive.value[0] === 1 && extractable.value[0] === 0);
  refused("its value", "CKR_ATTRIBUTE_SENSITIVE", () => lib.C_GetAttributeValue(session, handle, [{ type: p.CKA_VALUE }]));
  refused("to make it not sensitive", "CKR_ATTRIBUTE_READ_ONLY", () => lib.C_SetAttributeValue(session, handle, [{ type: p.CKA_SENSITIVE, value: false }]));
}

function wrap(session) {
  const kek = lib.C_GenerateKey(session, { mechanism: p.CKM_AES_KEY_GEN }, key("kek", Buffer.from([8]), [{ type: p.CKA_WRAP, value: true }, { type: p.CKA_UNWRAP, value: true }]));
  const may = lib.C_GenerateKey(session, { mechanism: p.CKM_AES_KEY_GEN }, key("may", Buffer.from([9]), [{ type: p.CKA_SENSITIVE, value: false }, { type: p.CKA_EXTRACTABLE, value: true }]));
  const secret = lib.C_GenerateKey(session, { mechanism: p.CKM_AES_KEY_GEN }, key("secret", Buffer.from([10]), [{ type: p.CKA_SENSITIVE, value: true }, { type: p.CKA_EXTRACTABLE, value: true }]));
  const bound = lib.C_GenerateKey(session, { mechanism: p.CKM_AES_KEY_GEN }, key("bound", Buffer.from([11]), [{ type: p.CKA_EXTRACTABLE, value: false }]));
  const mechanism = { mechanism: 0x2109 }; // CKM_AES_KEY_WRAP
  const wrapped = lib.C_WrapKey(session, mechanism, kek, may, Buffer.alloc(64));
  ok("a wrapped key has 8 bytes more", wrapped.length === 40);
  const template = [{ type: p.CKA_CLASS, value: p.CKO_SECRET_KEY }, { type: p.CKA_KEY_TYPE, value: p.CKK_AES }];
  const back = lib.C_UnwrapKey(session, mechanism, kek, wrapped, template);
  const cipher = { mechanism: p.CKM_AES_CBC_PAD, parameter: crypto.randomBytes(16) };
  same("the unwrapped key is the key", decrypt(session, cipher, back, encrypt(session, cipher, may, Buffer.from("same"))), Buffer.from("same"));
  refused("a changed wrapped key", "CKR_WRAPPED_KEY_INVALID", () => lib.C_UnwrapKey(session, mechanism, kek, changed(wrapped, 0), template));
  refused("a key that is not extractable", "CKR_KEY_UNEXTRACTABLE", () => lib.C_WrapKey(session, mechanism, kek, bound, Buffer.alloc(64)));
  refused("a sensitive key under one that is not trusted", "CKR_KEY_NOT_WRAPPABLE", () => lib.C_WrapKey(session, mechanism, kek, secret, Buffer.alloc(64)));
  refused("to encrypt with a key that wraps", "CKR_KEY_FUNCTION_NOT_PERMITTED", () => lib.C_EncryptInit(session, cipher, kek));
}

// In the threads of libuv, although C_Initialize was told of none.
async function threads(slot, handle) {
  const sessions = Array.from({ length: 8 }, () => lib.C_OpenSession(slot, p.CKF_SERIAL_SESSION | p.CKF_RW_SESSION));
  const one = async (session, n) => {
    const plain = Buffer.alloc(100000, n);
    const mechanism = { mechanism: p.CKM_AES_GCM, parameter: { type: p.CK_PARAMS_AES_GCM_v240, iv: crypto.randomBytes(12), ivBits: 96, aad: Buffer.from([n]), tagBits: 128 } };
    lib.C_EncryptInit(session, mechanism, handle);
    const sealed = await lib.C_EncryptAsync(session, plain, Buffer.alloc(plain.length + 16));
    lib.C_DecryptInit(session, mechanism, handle);
    return Buffer.compare(await lib.C_DecryptAsync(session, sealed, Buffer.alloc(sealed.length)), plain) === 0;
  };
  for (let round = 0; round < 5; round++) ok(`8 sessions at once, round ${round}`, (await Promise.all(sessions.map(one))).every(Boolean));
  sessions.forEach((session) => lib.C_CloseSession(session));
  refused("a closed session", "CKR_SESSION_HANDLE_INVALID", () => lib.C_GetSessionInfo(sessions[0]));
}

function changePin(session) {
  const login = (pin) => lib.C_Login(session, p.CKU_USER, pin);
  refused("a new PIN with a wrong old one", "CKR_PIN_INCORRECT", () => lib.C_SetPIN(session, "wrong-pin-9", "other-pin-2222"));
  refused("a new PIN that is too short", "CKR_PIN_LEN_RANGE", () => lib.C_SetPIN(session, PIN, "1"));
  lib.C_SetPIN(session, PIN, "other-pin-2222");
  lib.C_Logout(session);
  refused("the old PIN", "CKR_PIN_INCORRECT", () => login(PIN));
  login("other-pin-2222");
  ok("the new PIN is right, and the key is there", find(session, [{ type: p.CKA_LABEL, value: "node-key" }]).length === 1);
  lib.C_SetPIN(session, "other-pin-2222", PIN);
}

async function main() {
  refused("a call before C_Initialize", "CKR_CRYPTOKI_NOT_INITIALIZED", () => lib.C_GetSlotList(true));
  lib.C_Initialize({ flags: 0 });
  refused("C_Initialize again", "CKR_CRYPTOKI_ALREADY_INITIALIZED", () => lib.C_Initialize({ flags: 0 }));
  const slot = lib.C_GetSlotList(true).find((one) => lib.C_GetTokenInfo(one).label.trim() === "demo");
  ok("the token is found", slot !== undefined);
  ok("a mechanism's flags are read", (lib.C_GetMechanismInfo(slot, p.CKM_AES_GCM).flags & p.CKF_ENCRYPT) !== 0);
  const session = lib.C_OpenSession(slot, p.CKF_SERIAL_SESSION | p.CKF_RW_SESSION);
  refused("a key before login", "CKR_USER_NOT_LOGGED_IN", () => lib.C_GenerateKey(session, { mechanism: p.CKM_AES_KEY_GEN }, key("early", Buffer.from([1]))));
  refused("a wrong PIN", "CKR_PIN_INCORRECT", () => lib.C_Login(session, p.CKU_USER, "wrong-pin-0"));
  lib.C_Login(session, p.CKU_USER, PIN);
  refused("a second login", "CKR_USER_ALREADY_LOGGED_IN", () => lib.C_Login(session, p.CKU_USER, PIN));

  const stored = [{ type: p.CKA_TOKEN, value: true }, { type: p.CKA_SENSITIVE, value: true }, { type: p.CKA_EXTRACTABLE, value: false }];
  const handle = lib.C_GenerateKey(session, { mechanism: p.CKM_AES_KEY_GEN }, key("node-key", Buffer.from([7, 1]), stored));
  findAndAttributes(session, handle);
  gcm(session, handle);
  cbc(session, handle);
  hmacAndDigest(session);
  wrap(session);
  await threads(slot, handle);
  const [one, two] = [lib.C_GenerateRandom(session, Buffer.alloc(32)), lib.C_GenerateRandom(session, Buffer.alloc(32))];
  ok("random bytes are not the same twice", Buffer.compare(one, two) !== 0);
  changePin(session);

  const [mine] = find(session, [{ type: p.CKA_LABEL, value: "node-key" }]);
  lib.C_DestroyObject(session, mine);
  ok("the destroyed key is not found", find(session, [{ type: p.CKA_LABEL, value: "node-key" }]).length === 0);
  refused("to destroy it again", "CKR_OBJECT_HANDLE_INVALID", () => lib.C_DestroyObject(session, mine));
  refused("to encrypt with it", "CKR_KEY_HANDLE_INVALID", () => lib.C_EncryptInit(session, { mechanism: p.CKM_AES_CBC_PAD, parameter: crypto.randomBytes(16) }, mine));
  lib.C_Logout(session);
  lib.C_CloseSession(session);
  lib.C_Finalize();
  finish("pkcs11js");
}

main().catch((error) => {
  console.log("FAIL", error);
  process.exit(1);
});
