// SPDX-License-Identifier: MIT OR Apache-2.0

package main

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"

	"github.com/miekg/pkcs11"
)

const ckkHKDF = 0x42

// One session, and what the tests ask of it.
type token struct {
	p       *pkcs11.Ctx
	slot    uint
	session pkcs11.SessionHandle
}

func random(n int) []byte {
	b := make([]byte, n)
	_, err := rand.Read(b)
	must("random bytes", err)
	return b
}

func changed(b []byte, at int) []byte {
	c := append([]byte(nil), b...)
	c[at] ^= 1
	return c
}

func load() *pkcs11.Ctx {
	p := pkcs11.New(os.Getenv("P11_MODULE"))
	if p == nil {
		must("the module loads", os.ErrNotExist)
	}
	must("C_Initialize", p.Initialize())
	return p
}

func open(p *pkcs11.Ctx) *token {
	slots, err := p.GetSlotList(true)
	must("C_GetSlotList", err)
	for _, slot := range slots {
		info, err := p.GetTokenInfo(slot)
		must("C_GetTokenInfo", err)
		if info.Label == "demo" {
			session, err := p.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
			must("C_OpenSession", err)
			return &token{p, slot, session}
		}
	}
	must("the token demo", os.ErrNotExist)
	return nil
}

func (t *token) login(pin string) error {
	return t.p.Login(t.session, pkcs11.CKU_USER, pin)
}

func (t *token) end() {
	must("C_Finalize", t.p.Finalize())
	t.p.Destroy()
}

func (t *token) find(template ...*pkcs11.Attribute) []pkcs11.ObjectHandle {
	must("C_FindObjectsInit", t.p.FindObjectsInit(t.session, template))
	found, _, err := t.p.FindObjects(t.session, 100)
	must("C_FindObjects", err)
	must("C_FindObjectsFinal", t.p.FindObjectsFinal(t.session))
	return found
}

func (t *token) byLabel(label string) pkcs11.ObjectHandle {
	found := t.find(pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY), pkcs11.NewAttribute(pkcs11.CKA_LABEL, label))
	check("one key is labelled "+label, len(found) == 1)
	if len(found) != 1 {
		done()
	}
	return found[0]
}

func (t *token) generate(label string, id []byte) (pkcs11.ObjectHandle, error) {
	return t.p.GenerateKey(t.session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_KEY_GEN, nil)}, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_LABEL, label),
		pkcs11.NewAttribute(pkcs11.CKA_ID, id), pkcs11.NewAttribute(pkcs11.CKA_VALUE_LEN, 32)})
}

// IV, ciphertext and tag.
func (t *token) seal(key pkcs11.ObjectHandle, iv, plain, aad []byte) ([]byte, error) {
	params := pkcs11.NewGCMParams(iv, aad, 128)
	defer params.Free()
	if err := t.p.EncryptInit(t.session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, params)}, key); err != nil {
		return nil, err
	}
	sealed, err := t.p.Encrypt(t.session, plain)
	return append(append([]byte(nil), iv...), sealed...), err
}

func (t *token) unseal(key pkcs11.ObjectHandle, sealed, aad []byte) ([]byte, error) {
	params := pkcs11.NewGCMParams(sealed[:12], aad, 128)
	defer params.Free()
	if err := t.p.DecryptInit(t.session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, params)}, key); err != nil {
		return nil, err
	}
	return t.p.Decrypt(t.session, sealed[12:])
}

func (t *token) opens(what string, key pkcs11.ObjectHandle, sealed, aad []byte, wanted string) {
	plain, err := t.unseal(key, sealed, aad)
	check(what, err == nil && string(plain) == wanted)
}

// What raw leaves in folder, again and another client find.
func raw(folder string) {
	t := open(load())
	aad := []byte("users")

	refused("a wrong PIN", t.login("wrong-pin-0000"), pkcs11.CKR_PIN_INCORRECT)
	_, err := t.generate("early", []byte{1})
	refused("a key without login", err, pkcs11.CKR_USER_NOT_LOGGED_IN)
	must("C_Login", t.login(os.Getenv("PIN")))
	refused("a second login", t.login(os.Getenv("PIN")), pkcs11.CKR_USER_ALREADY_LOGGED_IN)

	key, err := t.generate("go", []byte("id-of-go"))
	must("C_GenerateKey", err)
	check("a key is found by its id", len(t.find(pkcs11.NewAttribute(pkcs11.CKA_ID, []byte("id-of-go")))) == 1)
	values, err := t.p.GetAttributeValue(t.session, key, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, nil), pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, nil)})
	check("it is sensitive and not extractable", err == nil && bytes.Equal(values[0].Value, []byte{1}) && bytes.Equal(values[1].Value, []byte{0}))
	_, err = t.p.GetAttributeValue(t.session, key, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_VALUE, nil)})
	refused("its value", err, pkcs11.CKR_ATTRIBUTE_SENSITIVE)

	for _, name := range []string{"go", "users", "users.email"} {
		t.sealAndOpen(t.byLabel(name), name)
	}
	iv := random(12)
	_, err = t.seal(key, iv, aad, aad)
	must("C_Encrypt", err)
	_, err = t.seal(key, iv, aad, aad)
	refused("an IV again", err, pkcs11.CKR_MECHANISM_PARAM_INVALID)
	_, err = t.seal(t.byLabel("master"), random(12), aad, aad)
	refused("the master encrypts", err, pkcs11.CKR_KEY_FUNCTION_NOT_PERMITTED)
	refused("a ladder key is destroyed", t.p.DestroyObject(t.session, t.byLabel("users")), pkcs11.CKR_ACTION_PROHIBITED)
	check("the master is of type CKK_HKDF", len(t.find(pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, ckkHKDF))) == 1)

	t.keep(filepath.Join(folder, "by-go"), "users", "sealed by Go")
	t.keep(filepath.Join(folder, "by-own"), "go", "kept by Go")
	t.end()
}

func (t *token) sealAndOpen(key pkcs11.ObjectHandle, name string) {
	aad, plain := []byte(name), "somebody@example.org"
	sealed, err := t.seal(key, random(12), []byte(plain), aad)
	check(name+" seals", err == nil && len(sealed) == 12+len(plain)+16 && !bytes.Contains(sealed, []byte(plain)))
	t.opens(name+" opens", key, sealed, aad, plain)
	for _, at := range []int{0, 12, len(sealed) - 1} {
		_, err = t.unseal(key, changed(sealed, at), aad)
		refused(name+" with a byte changed", err, pkcs11.CKR_ENCRYPTED_DATA_INVALID)
	}
	_, err = t.unseal(key, sealed, []byte("other"))
	refused(name+" under other AAD", err, pkcs11.CKR_ENCRYPTED_DATA_INVALID)
	_, err = t.unseal(key, sealed[:20], aad)
	refused(name+" cut short", err, pkcs11.CKR_ENCRYPTED_DATA_LEN_RANGE)
}

func (t *token) keep(file, label, text string) {
	sealed, err := t.seal(t.byLabel(label), random(12), []byte(text), []byte(label))
	must("C_Encrypt", err)
	must(file, os.WriteFile(file, sealed, 0o600))
}

func read(folder, name string) []byte {
	b, err := os.ReadFile(filepath.Join(folder, name))
	must(name, err)
	return b
}

// In another process: what was kept is there; then it is destroyed.
func again(folder string) {
	t := open(load())
	must("C_Login", t.login(os.Getenv("PIN")))
	key, users := t.byLabel("go"), t.byLabel("users")
	t.opens("a kept key opens what it sealed", key, read(folder, "by-own"), []byte("go"), "kept by Go")
	t.opens("what another client sealed opens", users, read(folder, "by-another"), []byte("users"), "sealed by another")
	_, err := t.unseal(users, changed(read(folder, "by-another"), 13), []byte("users"))
	refused("but not changed", err, pkcs11.CKR_ENCRYPTED_DATA_INVALID)
	must("C_DestroyObject", t.p.DestroyObject(t.session, key))
	check("a destroyed key is not found", len(t.find(pkcs11.NewAttribute(pkcs11.CKA_LABEL, "go"))) == 0)
	_, err = t.unseal(key, read(folder, "by-own"), []byte("go"))
	refused("a destroyed key opens", err, pkcs11.CKR_KEY_HANDLE_INVALID)
	t.end()
}

func setPin(next string) {
	t := open(load())
	old := os.Getenv("PIN")
	must("C_Login", t.login(old))
	refused("the PIN is changed with a wrong one", t.p.SetPIN(t.session, "wrong-pin-0000", next), pkcs11.CKR_PIN_INCORRECT)
	must("C_SetPIN", t.p.SetPIN(t.session, old, next))
	must("C_Logout", t.p.Logout(t.session))
	refused("the old PIN", t.login(old), pkcs11.CKR_PIN_INCORRECT)
	check("the new PIN logs in", t.login(next) == nil)
	t.end()
}
