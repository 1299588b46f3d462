// SPDX-License-Identifier: MIT OR Apache-2.0
// A token through SunPKCS11, which knows nothing of it but a configuration file, and what every test needs of it.

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.security.AuthProvider;
import java.security.KeyStore;
import java.security.Provider;
import java.security.SecureRandom;
import java.security.Security;
import java.util.Arrays;
import javax.crypto.Cipher;
import javax.crypto.KeyGenerator;
import javax.crypto.SecretKey;
import javax.crypto.spec.GCMParameterSpec;
import javax.security.auth.callback.Callback;
import javax.security.auth.callback.CallbackHandler;
import javax.security.auth.callback.PasswordCallback;
import javax.security.auth.login.LoginException;

final class Token {
    static final String GCM = "AES/GCM/NoPadding";
    private static final SecureRandom RANDOM = new SecureRandom();
    final AuthProvider provider;

    Token(String configuration) {
        provider = (AuthProvider) Security.getProvider("SunPKCS11").configure(configuration);
    }

    static char[] pin() {
        return System.getenv("PIN").toCharArray();
    }

    void login(char[] pin) throws LoginException {
        CallbackHandler handler = callbacks -> {
            for (Callback callback : callbacks) ((PasswordCallback) callback).setPassword(pin);
        };
        provider.login(null, handler);
    }

    KeyStore keyStore(char[] pin) throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS11", provider);
        store.load(null, pin);
        return store;
    }

    SecretKey generate(String algorithm, int bits) throws Exception {
        KeyGenerator generator = KeyGenerator.getInstance(algorithm, provider);
        generator.init(bits);
        return generator.generateKey();
    }

    boolean offers(String type, String algorithm) {
        return provider.getService(type, algorithm) != null;
    }

    static byte[] random(int length) {
        byte[] bytes = new byte[length];
        RANDOM.nextBytes(bytes);
        return bytes;
    }

    static byte[] changed(byte[] bytes, int at) {
        byte[] copy = bytes.clone();
        copy[at < 0 ? copy.length + at : at] ^= 1;
        return copy;
    }

    /** IV, ciphertext and tag. */
    byte[] seal(SecretKey key, byte[] plain, byte[] aad) throws Exception {
        return seal(provider, key, random(12), plain, aad);
    }

    static byte[] seal(Provider provider, SecretKey key, byte[] iv, byte[] plain, byte[] aad) throws Exception {
        Cipher cipher = Cipher.getInstance(GCM, provider);
        cipher.init(Cipher.ENCRYPT_MODE, key, new GCMParameterSpec(128, iv));
        cipher.updateAAD(aad);
        return joined(iv, cipher.doFinal(plain));
    }

    byte[] open(SecretKey key, byte[] sealed, byte[] aad) throws Exception {
        return open(provider, key, sealed, aad);
    }

    static byte[] open(Provider provider, SecretKey key, byte[] sealed, byte[] aad) throws Exception {
        Cipher cipher = Cipher.getInstance(GCM, provider);
        cipher.init(Cipher.DECRYPT_MODE, key, new GCMParameterSpec(128, sealed, 0, 12));
        cipher.updateAAD(aad);
        return cipher.doFinal(sealed, 12, sealed.length - 12);
    }

    static byte[] joined(byte[]... parts) throws IOException {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        for (byte[] part : parts) {
            if (part != null) all.write(part);
        }
        return all.toByteArray();
    }

    static byte[] head(byte[] bytes, int length) {
        return Arrays.copyOf(bytes, length);
    }
}
