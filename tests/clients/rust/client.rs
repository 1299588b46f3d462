// SPDX-License-Identifier: MIT OR Apache-2.0
// The crate cryptoki: find, make, use, change the PIN, destroy. MODULE, PIN from the environment.
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, Result, RvError};
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeInfo, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use std::sync::atomic::{AtomicUsize, Ordering};

static CHECKS: AtomicUsize = AtomicUsize::new(0);

fn ok(what: &str, good: bool) {
    CHECKS.fetch_add(1, Ordering::Relaxed);
    assert!(good, "{what}");
    println!("ok - {what}");
}

fn refused<T>(what: &str, wanted: RvError, result: Result<T>) {
    match result {
        Err(Error::Pkcs11(got, _)) if got == wanted => ok(&format!("{what}: {wanted:?}"), true),
        Err(error) => panic!("{what}: {error:?}, not {wanted:?}"),
        Ok(_) => panic!("{what}: it worked"),
    }
}

fn changed(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut copy = bytes.to_vec();
    copy[at] ^= 1;
    copy
}

fn pin(text: &str) -> AuthPin {
    AuthPin::new(text.into())
}

fn aes(label: &str, more: &[Attribute]) -> Vec<Attribute> {
    let mut template = vec![Attribute::Class(ObjectClass::SECRET_KEY), Attribute::KeyType(KeyType::AES), Attribute::ValueLen(32.into()), Attribute::Label(label.into())];
    template.extend_from_slice(more);
    template
}

fn gcm(session: &Session, key: ObjectHandle, iv: &[u8], aad: &[u8], data: &[u8], seal: bool) -> Result<Vec<u8>> {
    let mut iv = iv.to_vec();
    let mechanism = Mechanism::AesGcm(GcmParams::new(&mut iv, aad, 128.into())?);
    if seal {
        session.encrypt(&mechanism, key, data)
    } else {
        session.decrypt(&mechanism, key, data)
    }
}

fn check_gcm(session: &Session, key: ObjectHandle) -> Result<()> {
    let iv = session.generate_random_vec(12)?;
    let (plain, aad) = (b"somebody@example.org", b"users.email/4711");
    let sealed = gcm(session, key, &iv, aad, plain, true)?;
    ok("GCM: a tag of 16 bytes", sealed.len() == plain.len() + 16);
    ok("GCM: the value comes back", gcm(session, key, &iv, aad, &sealed, false)? == plain);
    refused("GCM: a changed tag", RvError::EncryptedDataInvalid, gcm(session, key, &iv, aad, &changed(&sealed, sealed.len() - 1), false));
    refused("GCM: a changed ciphertext", RvError::EncryptedDataInvalid, gcm(session, key, &iv, aad, &changed(&sealed, 0), false));
    refused("GCM: another AAD", RvError::EncryptedDataInvalid, gcm(session, key, &iv, b"users.email/4712", &sealed, false));
    refused("GCM: the same IV again", RvError::MechanismParamInvalid, gcm(session, key, &iv, aad, plain, true));
    ok("GCM: nothing but a tag", gcm(session, key, &session.generate_random_vec(12)?, aad, b"", true)?.len() == 16);
    Ok(())
}

fn check_cbc(session: &Session, key: ObjectHandle) -> Result<()> {
    let mechanism = Mechanism::AesCbcPad([7; 16]);
    let plain = session.generate_random_vec(45)?;
    let sealed = session.encrypt(&mechanism, key, &plain)?;
    ok("CBC-PAD: whole blocks", sealed.len() == 48);
    ok("CBC-PAD: the value comes back", session.decrypt(&mechanism, key, &sealed)? == plain);
    session.encrypt_init(&mechanism, key)?;
    let mut parts = session.encrypt_update(&plain[..20])?;
    parts.extend(session.encrypt_update(&plain[20..])?);
    parts.extend(session.encrypt_final()?);
    ok("CBC-PAD: in parts it is the same", parts == sealed);
    refused("CBC-PAD: half a block", RvError::EncryptedDataLenRange, session.decrypt(&mechanism, key, &sealed[..40]));
    refused("ECB", RvError::MechanismInvalid, session.encrypt(&Mechanism::AesEcb, key, &[0; 16]));
    Ok(())
}

// RFC 4231, test case 2; the empty message's SHA-256.
fn check_hmac(session: &Session) -> Result<()> {
    let key = session.create_object(&[
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::Value(b"Jefe".to_vec()),
        Attribute::Sign(true),
        Attribute::Verify(true),
    ])?;
    let data = b"what do ya want for nothing?";
    let mac = session.sign(&Mechanism::Sha256Hmac, key, data)?;
    ok("HMAC: RFC 4231's", hex::encode(&mac) == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    ok("HMAC: verified", session.verify(&Mechanism::Sha256Hmac, key, data, &mac).is_ok());
    refused("HMAC: a changed MAC", RvError::SignatureInvalid, session.verify(&Mechanism::Sha256Hmac, key, data, &changed(&mac, 0)));
    refused("HMAC: other data", RvError::SignatureInvalid, session.verify(&Mechanism::Sha256Hmac, key, b"what do you want?", &mac));
    refused("HMAC: a short MAC", RvError::SignatureLenRange, session.verify(&Mechanism::Sha256Hmac, key, data, &mac[..16]));
    let digest = session.digest(&Mechanism::Sha256, b"")?;
    ok("SHA-256: of nothing", hex::encode(digest) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    Ok(())
}

fn check_wrap(session: &Session) -> Result<()> {
    let kek = session.generate_key(&Mechanism::AesKeyGen, &aes("kek", &[Attribute::Wrap(true), Attribute::Unwrap(true)]))?;
    let may = session.generate_key(&Mechanism::AesKeyGen, &aes("may", &[Attribute::Sensitive(false), Attribute::Extractable(true)]))?;
    let secret = session.generate_key(&Mechanism::AesKeyGen, &aes("secret", &[Attribute::Sensitive(true), Attribute::Extractable(true)]))?;
    let bound = session.generate_key(&Mechanism::AesKeyGen, &aes("bound", &[Attribute::Extractable(false)]))?;
    let wrapped = session.wrap_key(&Mechanism::AesKeyWrap, kek, may)?;
    ok("a wrapped key has 8 bytes more", wrapped.len() == 40);
    let template = [Attribute::Class(ObjectClass::SECRET_KEY), Attribute::KeyType(KeyType::AES), Attribute::Decrypt(true)];
    let back = session.unwrap_key(&Mechanism::AesKeyWrap, kek, &wrapped, &template)?;
    let iv = session.generate_random_vec(12)?;
    let sealed = gcm(session, may, &iv, b"", b"same key", true)?;
    ok("the unwrapped key opens what the key sealed", gcm(session, back, &iv, b"", &sealed, false)? == b"same key");
    refused("a changed wrapped key", RvError::WrappedKeyInvalid, session.unwrap_key(&Mechanism::AesKeyWrap, kek, &changed(&wrapped, 9), &template));
    refused("a key that is not extractable", RvError::KeyUnextractable, session.wrap_key(&Mechanism::AesKeyWrap, kek, bound));
    refused("a sensitive key under one that is not trusted", RvError::KeyNotWrappable, session.wrap_key(&Mechanism::AesKeyWrap, kek, secret));
    refused("a key that wraps, to encrypt", RvError::KeyFunctionNotPermitted, gcm(session, kek, &iv, b"", b"x", true));
    refused("a key that both wraps and decrypts", RvError::TemplateInconsistent, session.generate_key(&Mechanism::AesKeyGen, &aes("both", &[Attribute::Wrap(true), Attribute::Decrypt(true)])));
    Ok(())
}

fn check_find(session: &Session, key: ObjectHandle) -> Result<()> {
    ok("found by label", session.find_objects(&[Attribute::Label("rust-key".into())])? == [key]);
    ok("found by id", session.find_objects(&[Attribute::Id(vec![4, 2])])? == [key]);
    ok("another label finds nothing", session.find_objects(&[Attribute::Label("rust-kex".into())])?.is_empty());
    let info = session.get_attribute_info(key, &[AttributeType::Value, AttributeType::Label])?;
    ok("the value is sensitive, the label not", matches!(info[..], [AttributeInfo::Sensitive, AttributeInfo::Available(8)]));
    let got = session.get_attributes(key, &[AttributeType::Value, AttributeType::Sensitive, AttributeType::Extractable])?;
    ok("the value is left out", got == [Attribute::Sensitive(true), Attribute::Extractable(false)]);
    refused("to make it not sensitive", RvError::AttributeReadOnly, session.update_attributes(key, &[Attribute::Sensitive(false)]));
    Ok(())
}

// Each thread has a session of its own and tries to log in; the first one did.
fn check_threads(pkcs11: &Pkcs11, slot: cryptoki::slot::Slot, user: &str) {
    std::thread::scope(|scope| {
        for n in 0..4u8 {
            scope.spawn(move || {
                let session = pkcs11.open_rw_session(slot).unwrap();
                refused("a thread's login", RvError::UserAlreadyLoggedIn, session.login(UserType::User, Some(&pin(user))));
                let key = session.find_objects(&[Attribute::Label("rust-key".into())]).unwrap()[0];
                for _ in 0..200 {
                    let iv = session.generate_random_vec(12).unwrap();
                    let plain = vec![n; 1000];
                    let sealed = gcm(&session, key, &iv, &[n], &plain, true).unwrap();
                    assert_eq!(gcm(&session, key, &iv, &[n], &sealed, false).unwrap(), plain);
                    assert!(gcm(&session, key, &iv, &[n + 1], &sealed, false).is_err());
                }
            });
        }
    });
    ok("4 threads, 200 values each", true);
}

fn check_pin(session: &Session, user: &str) -> Result<()> {
    refused("a new PIN with a wrong old one", RvError::PinIncorrect, session.set_pin(&pin("wrong-pin-9"), &pin("other-pin-2222")));
    refused("a new PIN that is too short", RvError::PinLenRange, session.set_pin(&pin(user), &pin("1")));
    session.set_pin(&pin(user), &pin("other-pin-2222"))?;
    session.logout()?;
    refused("the old PIN", RvError::PinIncorrect, session.login(UserType::User, Some(&pin(user))));
    session.login(UserType::User, Some(&pin("other-pin-2222")))?;
    session.set_pin(&pin("other-pin-2222"), &pin(user))
}

fn main() -> Result<()> {
    let user = std::env::var("PIN").expect("PIN");
    let pkcs11 = Pkcs11::new(std::env::var("MODULE").expect("MODULE"))?;
    pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
    let slots = pkcs11.get_slots_with_token()?;
    let slot = *slots.iter().find(|slot| pkcs11.get_token_info(**slot).is_ok_and(|info| info.label() == "demo")).expect("the token");
    let session = pkcs11.open_rw_session(slot)?;
    refused("a key before login", RvError::UserNotLoggedIn, session.generate_key(&Mechanism::AesKeyGen, &aes("early", &[])));
    refused("a wrong PIN", RvError::PinIncorrect, session.login(UserType::User, Some(&pin("wrong-pin-0"))));
    session.login(UserType::User, Some(&pin(&user)))?;

    let stored = [Attribute::Token(true), Attribute::Id(vec![4, 2]), Attribute::Sensitive(true), Attribute::Extractable(false), Attribute::Encrypt(true), Attribute::Decrypt(true)];
    let key = session.generate_key(&Mechanism::AesKeyGen, &aes("rust-key", &stored))?;
    check_find(&session, key)?;
    check_gcm(&session, key)?;
    check_cbc(&session, key)?;
    check_hmac(&session)?;
    check_wrap(&session)?;
    check_threads(&pkcs11, slot, &user);
    check_pin(&session, &user)?;

    let key = session.find_objects(&[Attribute::Label("rust-key".into())])?[0];
    session.destroy_object(key)?;
    ok("the destroyed key is not found", session.find_objects(&[Attribute::Label("rust-key".into())])?.is_empty());
    refused("to destroy it again", RvError::ObjectHandleInvalid, session.destroy_object(key));
    refused("to encrypt with it", RvError::KeyHandleInvalid, gcm(&session, key, &[9; 12], b"", b"x", true));
    session.logout()?;
    session.close()?;
    pkcs11.finalize()?;
    println!("cryptoki: {} checks, 0 failed", CHECKS.load(Ordering::Relaxed));
    Ok(())
}
