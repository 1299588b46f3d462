// SPDX-License-Identifier: MIT OR Apache-2.0
// graphene-pk11, objects over pkcs11js. MODULE, PIN from the environment.
"use strict";
const crypto = require("node:crypto");
const g = require("graphene-pk11");
const { ok, same, refused, changed, finish } = require("./check.js");

const { PIN } = process.env;
const module_ = g.Module.load(process.env.MODULE, "keyladder");

function gcm(session, key) {
  const plain = Buffer.from("somebody@example.org");
  const aad = Buffer.from("users.email/4711");
  for (const Params of [g.AesGcmParams, g.AesGcm240Params]) {
    const iv = crypto.randomBytes(12);
    const alg = (more = aad) => ({ name: "AES_GCM", params: new Params(iv, more, 128) });
    const sealed = session.createCipher(alg(), key).once(plain, Buffer.alloc(64));
    ok(`${Params.name}: a tag of 16 bytes`, sealed.length === plain.length + 16);
    const open = (bytes, params) => session.createDecipher(params, key).once(bytes, Buffer.alloc(64));
    same(`${Params.name}: the value comes back`, open(sealed, alg()), plain);
    refused(`${Params.name}: a changed tag`, "CKR_ENCRYPTED_DATA_INVALID", () => open(changed(sealed, -1), alg()));
    refused(`${Params.name}: a changed ciphertext`, "CKR_ENCRYPTED_DATA_INVALID", () => open(changed(sealed, 0), alg()));
    refused(`${Params.name}: another AAD`, "CKR_ENCRYPTED_DATA_INVALID", () => open(sealed, alg(Buffer.from("users.email/4712"))));
  }
}

// Plaintext comes only once the tag is known to be right, all of it from final(): blockSize is the room that it gets.
function gcmInParts(session, key) {
  const alg = { name: "AES_GCM", params: new g.AesGcm240Params(crypto.randomBytes(12), Buffer.alloc(0), 128) };
  const plain = crypto.randomBytes(3000);
  const cipher = session.createCipher(alg, key);
  const sealed = Buffer.concat([cipher.update(plain.subarray(0, 1000)), cipher.update(plain.subarray(1000)), cipher.final()]);
  const open = (bytes) => {
    const decipher = session.createDecipher(alg, key, 4096);
    return Buffer.concat([decipher.update(bytes.subarray(0, 500)), decipher.update(bytes.subarray(500)), decipher.final()]);
  };
  same("GCM in parts: the value comes back", open(sealed), plain);
  refused("GCM in parts: a changed byte", "CKR_ENCRYPTED_DATA_INVALID", () => open(changed(sealed, 700)));
}

function cbc(session, key) {
  const alg = { name: "AES_CBC_PAD", params: crypto.randomBytes(16) };
  const cipher = session.createCipher(alg, key);
  const sealed = Buffer.concat([cipher.update("Encrypted "), cipher.update("message"), cipher.final()]);
  ok("CBC_PAD: whole blocks", sealed.length === 32);
  const decipher = session.createDecipher(alg, key);
  same("CBC_PAD: the value comes back", Buffer.concat([decipher.update(sealed), decipher.final()]), Buffer.from("Encrypted message"));
  refused("CBC_PAD: half a block", "CKR_ENCRYPTED_DATA_LEN_RANGE", () => session.createDecipher(alg, key).once(sealed.subarray(0, 20), Buffer.alloc(64)));
}

function hmac(session) {
  const value = crypto.randomBytes(32);
  const key = session.create({ class: g.ObjectClass.SECRET_KEY, keyType: g.KeyType.GENERIC_SECRET, value, sign: true, verify: true }).toType();
  const sign = session.createSign("SHA256_HMAC", key);
  sign.update("simple text 1");
  sign.update("simple text 2");
  const mac = sign.final();
  same("HMAC: as node's crypto has it", mac, crypto.createHmac("sha256", value).update("simple text 1simple text 2").digest());
  const verify = (data, signature) => session.createVerify("SHA256_HMAC", key).once(data, signature);
  ok("HMAC: verified", verify("simple text 1simple text 2", mac) === true);
  ok("HMAC: other data is not", verify("simple text 1simple text 3", mac) === false);
  ok("HMAC: a changed MAC is not", verify("simple text 1simple text 2", changed(mac, 5)) === false);
  const digest = session.createDigest("SHA256");
  digest.update("simple text 1");
  same("SHA-256: as node's crypto has it", digest.final(), crypto.createHash("sha256").update("simple text 1").digest());
}

function objects(session) {
  const data = session.create({ class: g.ObjectClass.DATA, token: true, private: true, label: "graphene-note", application: "app", value: Buffer.from("some data") });
  const found = session.find({ label: "graphene-note" });
  ok("a data object is found", found.length === 1);
  const note = found.items(0).toType();
  ok("as what it is", note instanceof g.Data && note.value.toString() === "some data" && note.application === "app");
  data.setAttribute("label", "renamed");
  ok("a new label is found, the old one not", session.find({ label: "renamed" }).length === 1 && session.find({ label: "graphene-note" }).length === 0);
  ok("destroyed by its label", session.destroy({ label: "renamed" }) === 1 && session.find({ label: "renamed" }).length === 0);
  const all = session.find();
  let seen = 0;
  for (let i = 0; i < all.length; i++) seen += all.items(i).class === g.ObjectClass.SECRET_KEY ? 1 : 0;
  ok("every object tells its class", seen >= 2);
}

module_.initialize();
const slot = (() => {
  const slots = module_.getSlots(true);
  for (let i = 0; i < slots.length; i++) if (slots.items(i).getToken().label.trim() === "demo") return slots.items(i);
  return null;
})();
ok("the token is found", slot !== null);
const mechanisms = slot.getMechanisms();
const names = Array.from({ length: mechanisms.length }, (_, i) => mechanisms.items(i).name);
ok("mechanisms have names", names.includes("AES_GCM") && names.includes("AES_CBC_PAD") && !names.includes("AES_ECB"));

const session = slot.open(g.SessionFlag.SERIAL_SESSION | g.SessionFlag.RW_SESSION);
refused("a wrong PIN", "CKR_PIN_INCORRECT", () => session.login("wrong-pin-0"));
session.login(PIN);
const key = session.generateKey(g.KeyGenMechanism.AES, {
  keyType: g.KeyType.AES, valueLen: 32, token: true, private: true, sensitive: true, extractable: false, encrypt: true, decrypt: true, label: "graphene-key", id: Buffer.from([9, 9]),
});
ok("the key says what it is", key.type === g.KeyType.AES && key.label === "graphene-key");
ok("found by its id", session.find({ id: Buffer.from([9, 9]) }).length === 1);
refused("its value", "CKR_ATTRIBUTE_SENSITIVE", () => key.getAttribute("value"));
gcm(session, key);
gcmInParts(session, key);
cbc(session, key);
hmac(session);
objects(session);
const copy = session.copy(key, { token: false, label: "graphene-copy" });
ok("a copy has a label of its own", copy.getAttribute("label") === "graphene-copy");

refused("a new PIN with a wrong old one", "CKR_PIN_INCORRECT", () => session.setPin("wrong-pin-9", "other-pin-2222"));
session.setPin(PIN, "other-pin-2222");
session.logout();
refused("the old PIN", "CKR_PIN_INCORRECT", () => session.login(PIN));
session.login("other-pin-2222");
session.setPin("other-pin-2222", PIN);

const [mine] = [session.find({ label: "graphene-key" }).items(0)];
mine.destroy();
ok("the destroyed key is not found", session.find({ label: "graphene-key" }).length === 0);
refused("to destroy it again", "CKR_OBJECT_HANDLE_INVALID", () => mine.destroy());
session.logout();
session.close();
module_.finalize();
finish("graphene-pk11");
