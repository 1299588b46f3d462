// SPDX-License-Identifier: MIT OR Apache-2.0

package main

import (
	"bytes"
	"crypto/cipher"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/ThalesIgnite/crypto11"
	"github.com/miekg/pkcs11"
)

// IVs of 96 bits: crypto11's own 128 are for tokens that make the IV, and a token key of keyladder encrypts under none of those.
func configure(pin string) (*crypto11.Context, error) {
	return crypto11.Configure(&crypto11.Config{Path: os.Getenv("P11_MODULE"), TokenLabel: "demo", Pin: pin, GCMIVLength: 12})
}

func start() *crypto11.Context {
	ctx, err := configure(os.Getenv("PIN"))
	must("Configure", err)
	return ctx
}

// crypto11's Seal has no error to return.
func sealed(aead cipher.AEAD, iv, plain, aad []byte) (out []byte, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%v", cause)
		}
	}()
	return aead.Seal(nil, iv, plain, aad), nil
}

func gcm(key *crypto11.SecretKey) cipher.AEAD {
	aead, err := key.NewGCM()
	must("NewGCM", err)
	return aead
}

func high() {
	_, err := configure("wrong-pin-0000")
	refused("a wrong PIN", err, pkcs11.CKR_PIN_INCORRECT)
	ctx := start()
	key, err := ctx.GenerateSecretKeyWithLabel([]byte("id-11"), []byte("label-11"), 256, crypto11.CipherAES)
	must("GenerateSecretKeyWithLabel", err)
	lookUps(ctx, key)
	gcmWith(ctx, key)
	cbcWith(key)
	hmacWith(ctx)
	randomWith(ctx)
	ladder(ctx)
	must("Close", ctx.Close())

	ctx = start()
	key, err = ctx.FindKey(nil, []byte("label-11"))
	check("it is there after a restart", err == nil && key != nil)
	must("Delete", key.Delete())
	gone, err := ctx.FindKey([]byte("id-11"), nil)
	check("a deleted key is not found", err == nil && gone == nil)
	_, err = sealed(gcm(key), random(12), []byte("x"), nil)
	refused("a deleted key seals", err, pkcs11.CKR_KEY_HANDLE_INVALID)
	must("Close", ctx.Close())
}

func lookUps(ctx *crypto11.Context, key *crypto11.SecretKey) {
	for _, ask := range []struct {
		id, label string
		found     bool
	}{{"id-11", "", true}, {"", "label-11", true}, {"id-11", "label-11", true}, {"id-11", "another", false}, {"label-11", "id-11", false}, {"", "label-1", false}} {
		var id, label []byte
		if ask.id != "" {
			id = []byte(ask.id)
		}
		if ask.label != "" {
			label = []byte(ask.label)
		}
		found, err := ctx.FindKeys(id, label)
		check(fmt.Sprintf("id %q, label %q: found %v", ask.id, ask.label, ask.found), err == nil && (len(found) == 1) == ask.found)
	}
	value, err := ctx.GetAttribute(key, crypto11.CkaValueLen)
	check("its length is told", err == nil && value.Value[0] == 32)
	_, err = ctx.GetAttribute(key, crypto11.CkaValue)
	refused("its value", err, pkcs11.CKR_ATTRIBUTE_SENSITIVE)
	_, err = ctx.GenerateSecretKey([]byte("odd"), 200, crypto11.CipherAES)
	check(fmt.Sprintf("a key of 25 bytes is refused: %v", err), err != nil)
}

func gcmWith(ctx *crypto11.Context, key *crypto11.SecretKey) {
	aead, aad, iv := gcm(key), []byte("aad"), random(12)
	for _, n := range []int{0, 1, 16, 1000, 1 << 20} {
		iv := random(12)
		plain := random(n)
		box, err := sealed(aead, iv, plain, aad)
		back, err2 := aead.Open(nil, iv, box, aad)
		check(fmt.Sprintf("GCM of %d bytes", n), err == nil && err2 == nil && len(box) == n+16 && bytes.Equal(plain, back))
	}
	box, err := sealed(aead, iv, []byte("text"), aad)
	must("Seal", err)
	for at := range box {
		_, err = aead.Open(nil, iv, changed(box, at), aad)
		if err == nil || !strings.Contains(err.Error(), "CKR_ENCRYPTED_DATA_INVALID") {
			check(fmt.Sprintf("byte %d changed is refused: %v", at, err), false)
		}
	}
	_, err = aead.Open(nil, iv, box, []byte("other"))
	refused("other AAD", err, pkcs11.CKR_ENCRYPTED_DATA_INVALID)
	_, err = sealed(aead, random(16), []byte("text"), aad)
	refused("an IV of 128 bits with a token key", err, pkcs11.CKR_MECHANISM_PARAM_INVALID)
	second, err := ctx.GenerateSecretKey([]byte("id-second"), 128, crypto11.CipherAES)
	must("GenerateSecretKey", err)
	_, err = gcm(second).Open(nil, iv, box, aad)
	refused("another key", err, pkcs11.CKR_ENCRYPTED_DATA_INVALID)
	must("Delete", second.Delete())
}

func cbcWith(key *crypto11.SecretKey) {
	for _, n := range []int{0, 15, 16, 1000} {
		aead, err := key.NewCBC(crypto11.PaddingPKCS)
		must("NewCBC", err)
		iv, plain := random(16), random(n)
		box, err := sealed(aead, iv, plain, nil)
		back, err2 := aead.Open(nil, iv, box, nil)
		check(fmt.Sprintf("CBC with padding, %d bytes", n), err == nil && err2 == nil && len(box) == n-n%16+16 && bytes.Equal(plain, back))
	}
	plainCBC, err := key.NewCBC(crypto11.PaddingNone)
	must("NewCBC", err)
	_, err = sealed(plainCBC, random(16), random(15), nil)
	refused("CBC of half a block", err, pkcs11.CKR_DATA_LEN_RANGE)
	iv, plain, middle, back := random(16), random(64), make([]byte, 64), make([]byte, 64)
	in, err := key.NewCBCEncrypterCloser(iv)
	must("NewCBCEncrypterCloser", err)
	in.CryptBlocks(middle[:32], plain[:32])
	in.CryptBlocks(middle[32:], plain[32:])
	in.Close()
	out, err := key.NewCBCDecrypterCloser(iv)
	must("NewCBCDecrypterCloser", err)
	out.CryptBlocks(back, middle)
	out.Close()
	check("CBC block by block", bytes.Equal(plain, back) && !bytes.Equal(plain, middle))
}

func hmacWith(ctx *crypto11.Context) {
	key, err := ctx.GenerateSecretKey([]byte("id-mac"), 256, crypto11.CipherGeneric)
	must("GenerateSecretKey", err)
	for mech, n := range map[int]int{pkcs11.CKM_SHA256_HMAC: 32, pkcs11.CKM_SHA384_HMAC: 48, pkcs11.CKM_SHA512_HMAC: 64} {
		sum := func(text string) []byte {
			mac, err := key.NewHMAC(mech, 0)
			must("NewHMAC", err)
			_, err = mac.Write([]byte(text))
			must("Write", err)
			return mac.Sum(nil)
		}
		check(fmt.Sprintf("HMAC of %d bytes", n), len(sum("a")) == n && bytes.Equal(sum("a"), sum("a")) && !bytes.Equal(sum("a"), sum("b")))
	}
	must("Delete", key.Delete())
}

func randomWith(ctx *crypto11.Context) {
	reader, err := ctx.NewRandomReader()
	must("NewRandomReader", err)
	one, two := make([]byte, 1000), make([]byte, 1000)
	n, err := reader.Read(one)
	m, err2 := reader.Read(two)
	check("random bytes, never the same", n == 1000 && m == 1000 && err == nil && err2 == nil && !bytes.Equal(one, two))
}

func ladder(ctx *crypto11.Context) {
	users, err := ctx.FindKey(nil, []byte("users"))
	check("a ladder key is found by its label", err == nil && users != nil)
	iv := random(12)
	box, err := sealed(gcm(users), iv, []byte("somebody"), []byte("users"))
	back, err2 := gcm(users).Open(nil, iv, box, []byte("users"))
	check("and seals and opens", err == nil && err2 == nil && string(back) == "somebody")
	refused("it is not deleted", users.Delete(), pkcs11.CKR_ACTION_PROHIBITED)
	cbc, err := users.NewCBC(crypto11.PaddingPKCS)
	must("NewCBC", err)
	_, err = sealed(cbc, random(16), []byte("x"), nil)
	refused("it does no CBC", err, pkcs11.CKR_KEY_FUNCTION_NOT_PERMITTED)
	_, err = ctx.FindKey(nil, []byte("master"))
	check(fmt.Sprintf("crypto11 does not know the master's type: %v", err), err != nil && strings.Contains(err.Error(), "unsupported key type"))
}

const (
	goroutines = 4
	rounds     = 200
)

func threads() {
	ctx := start()
	shared, err := ctx.FindKey(nil, []byte("users"))
	must("FindKey", err)
	var group sync.WaitGroup
	good := make([]int, goroutines)
	for i := 0; i < goroutines; i++ {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			for n := 0; n < rounds; n++ {
				good[i] += round(gcm(shared), n)
			}
			own, err := ctx.GenerateSecretKey([]byte{byte(i)}, 256, crypto11.CipherAES)
			must("GenerateSecretKey", err)
			good[i] += round(gcm(own), i)
			must("Delete", own.Delete())
		}(i)
	}
	group.Wait()
	for i, n := range good {
		check(fmt.Sprintf("goroutine %d: all of its values", i), n == rounds+1)
	}
	must("Close", ctx.Close())
	rawThreads()
}

// 1: what was sealed opens, and what was changed does not.
func round(aead cipher.AEAD, n int) int {
	iv, plain := random(12), random(n)
	box, err := sealed(aead, iv, plain, iv)
	back, err2 := aead.Open(nil, iv, box, iv)
	if err != nil || err2 != nil || !bytes.Equal(plain, back) {
		return 0
	}
	if _, err = aead.Open(nil, iv, changed(box, n), iv); err == nil {
		return 0
	}
	return 1
}

// Each with a session, and a login, of its own.
func rawThreads() {
	p := load()
	var group sync.WaitGroup
	first := make(chan error, goroutines)
	for i := 0; i < goroutines; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			t := open(p)
			first <- t.login(os.Getenv("PIN"))
			key := t.find(pkcs11.NewAttribute(pkcs11.CKA_LABEL, "users.email"))
			sealed, err := t.seal(key[0], random(12), []byte("text"), nil)
			must("C_Encrypt", err)
			t.opens("a session of its own opens", key[0], sealed, nil, "text")
		}()
	}
	group.Wait()
	in, already := 0, 0
	for i := 0; i < goroutines; i++ {
		switch err := <-first; err {
		case nil:
			in++
		case pkcs11.Error(pkcs11.CKR_USER_ALREADY_LOGGED_IN):
			already++
		}
	}
	check("one login of four is the first", in == 1 && already == goroutines-1)
	must("C_Finalize", p.Finalize())
	p.Destroy()
}
