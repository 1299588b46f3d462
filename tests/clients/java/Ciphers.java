// SPDX-License-Identifier: MIT OR Apache-2.0
// Every algorithm that SunPKCS11 offers on the token, against the JDK's own in software with the same key.

import java.nio.ByteBuffer;
import java.security.InvalidAlgorithmParameterException;
import java.security.InvalidKeyException;
import java.security.MessageDigest;
import java.security.Provider;
import java.security.ProviderException;
import java.security.SecureRandom;
import java.security.Security;
import java.security.spec.AlgorithmParameterSpec;
import java.security.spec.InvalidKeySpecException;
import java.util.Arrays;
import javax.crypto.AEADBadTagException;
import javax.crypto.Cipher;
import javax.crypto.IllegalBlockSizeException;
import javax.crypto.Mac;
import javax.crypto.SealedObject;
import javax.crypto.SecretKey;
import javax.crypto.SecretKeyFactory;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;

final class Ciphers {
    private static final Provider SOFT = Security.getProvider("SunJCE");
    private static final int[] LENGTHS = {0, 1, 15, 16, 17, 31, 32, 33, 1000, 65537, 1 << 20};
    private final Token token;
    private final Provider hard;

    Ciphers(Token token) {
        this.token = token;
        this.hard = token.provider;
    }

    void all() throws Exception {
        token.login(Token.pin());
        for (int bytes : new int[] {16, 24, 32}) gcm(bytes);
        gcmInParts();
        gcmRefusals();
        chacha();
        block("AES/CBC/PKCS5Padding", 1);
        block("AES/CBC/NoPadding", 16);
        block("AES/CTR/NoPadding", 1);
        cbcRefusals();
        for (String bits : new String[] {"256", "384", "512"}) {
            mac("HmacSHA" + bits);
            digest("SHA-" + bits);
        }
        random();
        factory();
        sealedObject();
    }

    /** The same key twice: in the token, and in software. */
    private SecretKey inToken(SecretKey soft) throws Exception {
        return SecretKeyFactory.getInstance("AES", hard).translateKey(soft);
    }

    private static SecretKey aes(int bytes) {
        return new SecretKeySpec(Token.random(bytes), "AES");
    }

    private static Cipher cipher(Provider provider, String algorithm, int mode, SecretKey key, AlgorithmParameterSpec spec) throws Exception {
        Cipher cipher = Cipher.getInstance(algorithm, provider);
        cipher.init(mode, key, spec);
        return cipher;
    }

    private void gcm(int bytes) throws Exception {
        SecretKey soft = aes(bytes), key = inToken(soft);
        boolean same = true, back = true;

        for (int length : LENGTHS) {
            for (int aad : new int[] {0, 1, 100}) {
                byte[] plain = Token.random(length), iv = Token.random(12), data = Token.random(aad);
                byte[] sealed = Token.seal(hard, key, iv, plain, data);
                same &= Arrays.equals(sealed, Token.seal(SOFT, soft, iv, plain, data));
                back &= Arrays.equals(plain, token.open(key, sealed, data));
            }
        }
        Check.that("AES/GCM/NoPadding, " + bytes + " bytes: seals as SunJCE does", same);
        Check.that("AES/GCM/NoPadding, " + bytes + " bytes: opens it", back);
    }

    private void gcmInParts() throws Exception {
        SecretKey soft = aes(32), key = inToken(soft);
        byte[] plain = Token.random(100000), iv = Token.random(12), aad = Token.random(20);
        GCMParameterSpec spec = new GCMParameterSpec(96, iv);
        Cipher in = cipher(hard, Token.GCM, Cipher.ENCRYPT_MODE, key, spec);
        ByteBuffer out = ByteBuffer.allocateDirect(plain.length + 64);

        in.updateAAD(aad, 0, 7);
        in.updateAAD(ByteBuffer.wrap(aad, 7, 13));
        in.update(ByteBuffer.wrap(plain, 0, 33333), out);
        in.update(ByteBuffer.wrap(plain, 33333, 1), out);
        in.doFinal(ByteBuffer.wrap(plain, 33334, plain.length - 33334), out);
        Cipher software = cipher(SOFT, Token.GCM, Cipher.ENCRYPT_MODE, soft, spec);
        software.updateAAD(aad);
        byte[] sealed = new byte[out.flip().remaining()];
        out.get(sealed);
        Check.same("AES/GCM in parts, from and to ByteBuffers, with a tag of 96 bits", software.doFinal(plain), sealed);

        Cipher again = Cipher.getInstance(Token.GCM, hard);
        again.init(Cipher.ENCRYPT_MODE, key);
        byte[] chosen = again.doFinal(plain);
        Check.same("an IV that the provider has chosen", Token.seal(SOFT, soft, again.getIV(), plain, new byte[0]), Token.joined(again.getIV(), chosen));
        again.init(Cipher.ENCRYPT_MODE, key, new GCMParameterSpec(128, Token.random(12)));
        again.update(plain, 0, 10);
        byte[] other = Token.random(12);
        again.init(Cipher.ENCRYPT_MODE, key, new GCMParameterSpec(128, other));
        again.updateAAD(aad);
        Check.same("an operation may be given up for another", Token.seal(SOFT, soft, other, plain, aad), Token.joined(other, again.doFinal(plain)));
    }

    private void gcmRefusals() throws Exception {
        SecretKey key = token.generate("AES", 256);
        byte[] aad = Token.random(16), iv = Token.random(12), sealed = Token.seal(hard, key, iv, Token.random(40), aad);

        for (int at = 0; at < sealed.length; at += 11) {
            int changed = at;
            Check.refused("byte " + at + " changed", AEADBadTagException.class, () -> token.open(key, Token.changed(sealed, changed), aad));
        }
        Check.refused("other AAD", AEADBadTagException.class, () -> token.open(key, sealed, Token.changed(aad, 3)));
        Check.refused("no AAD", AEADBadTagException.class, () -> token.open(key, sealed, new byte[0]));
        Check.refused("a byte less", AEADBadTagException.class, () -> token.open(key, Token.head(sealed, sealed.length - 1), aad));
        Check.refused("another key", AEADBadTagException.class, () -> token.open(token.generate("AES", 256), sealed, aad));
        Check.refused("an IV again, in a Cipher of its own", Exception.class, () -> Token.seal(hard, key, iv, aad, new byte[0]));
        Check.refused("and with AAD", Exception.class, () -> Token.seal(hard, key, iv, aad, aad));
        Cipher cipher = cipher(hard, Token.GCM, Cipher.ENCRYPT_MODE, key, new GCMParameterSpec(128, Token.random(12)));
        cipher.doFinal(aad);
        Check.refused("a second doFinal under one IV", IllegalStateException.class, () -> cipher.doFinal(aad));
    }

    private void chacha() throws Exception {
        if (!token.offers("Cipher", "ChaCha20-Poly1305") || !token.offers("KeyGenerator", "ChaCha20")) return;
        SecretKey key = token.generate("ChaCha20", 256);
        byte[] iv = Token.random(12), plain = Token.random(1000);
        Cipher in = cipher(hard, "ChaCha20-Poly1305", Cipher.ENCRYPT_MODE, key, new IvParameterSpec(iv));
        in.updateAAD(iv);
        byte[] sealed = in.doFinal(plain);
        Cipher out = cipher(hard, "ChaCha20-Poly1305", Cipher.DECRYPT_MODE, key, new IvParameterSpec(iv));
        out.updateAAD(iv);
        Check.same("ChaCha20-Poly1305 opens what it sealed", plain, out.doFinal(sealed));
        Cipher bad = cipher(hard, "ChaCha20-Poly1305", Cipher.DECRYPT_MODE, key, new IvParameterSpec(iv));
        Check.refused("but not without its AAD", AEADBadTagException.class, () -> bad.doFinal(sealed));
    }

    private void block(String algorithm, int unit) throws Exception {
        SecretKey soft = aes(32), key = inToken(soft);
        boolean same = true, back = true;

        for (int length : LENGTHS) {
            byte[] plain = Token.random(length - length % unit);
            IvParameterSpec iv = new IvParameterSpec(Token.random(16));
            byte[] wanted = cipher(SOFT, algorithm, Cipher.ENCRYPT_MODE, soft, iv).doFinal(plain);
            Cipher in = cipher(hard, algorithm, Cipher.ENCRYPT_MODE, key, iv);
            int first = plain.length / 3;
            byte[] got = Token.joined(in.update(plain, 0, first), in.doFinal(plain, first, plain.length - first));
            same &= Arrays.equals(wanted, got);
            back &= Arrays.equals(plain, cipher(hard, algorithm, Cipher.DECRYPT_MODE, key, iv).doFinal(got));
        }
        Check.that(algorithm + " encrypts as SunJCE does", same);
        Check.that(algorithm + " decrypts it", back);
    }

    private void cbcRefusals() throws Exception {
        SecretKey key = token.generate("AES", 256);
        IvParameterSpec iv = new IvParameterSpec(new byte[16]);
        byte[] three = cipher(hard, "AES/CBC/NoPadding", Cipher.ENCRYPT_MODE, key, iv).doFinal(new byte[48]);

        Check.refused("CBC without padding takes whole blocks", IllegalBlockSizeException.class,
            () -> cipher(hard, "AES/CBC/NoPadding", Cipher.ENCRYPT_MODE, key, iv).doFinal(new byte[17]));
        /* SunPKCS11 has no other word for CKR_ENCRYPTED_DATA_INVALID in CBC. */
        Check.refused("a padding that is none", ProviderException.class,
            () -> cipher(hard, "AES/CBC/PKCS5Padding", Cipher.DECRYPT_MODE, key, iv).doFinal(three));
        Check.refused("a ciphertext cut short", IllegalBlockSizeException.class,
            () -> cipher(hard, "AES/CBC/PKCS5Padding", Cipher.DECRYPT_MODE, key, iv).doFinal(Token.head(three, 47)));
        Check.refused("an IV of 8 bytes", InvalidAlgorithmParameterException.class,
            () -> cipher(hard, "AES/CBC/PKCS5Padding", Cipher.ENCRYPT_MODE, key, new IvParameterSpec(new byte[8])));
        Check.that("ECB is not offered", !token.offers("Cipher", "AES/ECB/NoPadding"));
    }

    private void mac(String algorithm) throws Exception {
        SecretKey soft = new SecretKeySpec(Token.random(40), algorithm);
        Mac hardware = Mac.getInstance(algorithm, hard), software = Mac.getInstance(algorithm, SOFT);
        boolean same = true;

        hardware.init(soft);
        software.init(soft);
        for (int length : LENGTHS) {
            byte[] data = Token.random(length);
            hardware.update(data, 0, length / 2);
            hardware.update(data, length / 2, length - length / 2);
            same &= Arrays.equals(software.doFinal(data), hardware.doFinal());
        }
        Check.that(algorithm + " is what SunJCE's is", same);
        byte[] one = hardware.doFinal(new byte[] {1});
        hardware.update((byte) 9);
        hardware.reset();
        Check.same(algorithm + " begins anew after reset", one, hardware.doFinal(new byte[] {1}));
        Check.that(algorithm + " of other data is another", !Arrays.equals(one, hardware.doFinal(new byte[] {2})));
        if (token.offers("KeyGenerator", algorithm)) {
            SecretKey generated = token.generate(algorithm, 256);
            hardware.init(generated);
            Check.that(algorithm + " with a generated key is another", !Arrays.equals(one, hardware.doFinal(new byte[] {1})));
            Check.that(algorithm + ": that key gives no bytes", generated.getEncoded() == null);
        }
        Check.refused(algorithm + " takes no AES key of the token", InvalidKeyException.class, () -> {
            Mac.getInstance(algorithm, hard).init(token.generate("AES", 256));
            return Mac.getInstance(algorithm, hard);
        });
    }

    private void digest(String algorithm) throws Exception {
        MessageDigest hardware = MessageDigest.getInstance(algorithm, hard), software = MessageDigest.getInstance(algorithm, "SUN");
        boolean same = true;

        for (int length : LENGTHS) {
            byte[] data = Token.random(length);
            hardware.update(data, 0, length / 2);
            same &= Arrays.equals(software.digest(data), hardware.digest(Arrays.copyOfRange(data, length / 2, length)));
        }
        Check.that(algorithm + " is what SUN's is", same);
    }

    private void random() throws Exception {
        SecureRandom random = SecureRandom.getInstance("PKCS11", hard);
        byte[] one = new byte[4096], two = new byte[4096];

        random.setSeed(new byte[32]);
        random.nextBytes(one);
        random.nextBytes(two);
        Check.that("SecureRandom is never the same", !Arrays.equals(one, two));
        int ones = 0;
        for (byte b : one) ones += Integer.bitCount(b & 0xFF);
        Check.that("and half of its bits are ones", ones > 15700 && ones < 17068); /* seven standard deviations and more */
    }

    private void factory() throws Exception {
        SecretKeyFactory factory = SecretKeyFactory.getInstance("AES", hard);
        SecretKey sensitive = token.generate("AES", 256);

        Check.refused("a sensitive key has no KeySpec", InvalidKeySpecException.class, () -> factory.getKeySpec(sensitive, SecretKeySpec.class));
        Check.refused("an AES key of 33 bytes is none", Exception.class, () -> factory.translateKey(new SecretKeySpec(new byte[33], "AES")));
    }

    private void sealedObject() throws Exception {
        SecretKey key = token.generate("AES", 256);
        Cipher in = cipher(hard, Token.GCM, Cipher.ENCRYPT_MODE, key, new GCMParameterSpec(128, Token.random(12)));
        SealedObject object = new SealedObject("somebody@example.org", in);
        Cipher out = Cipher.getInstance(Token.GCM, hard);

        out.init(Cipher.DECRYPT_MODE, key, in.getParameters());
        Check.that("a SealedObject opens", object.getObject(out).equals("somebody@example.org"));
        Cipher other = Cipher.getInstance(Token.GCM, hard);
        other.init(Cipher.DECRYPT_MODE, token.generate("AES", 256), in.getParameters());
        Check.refused("not with another key", AEADBadTagException.class, () -> object.getObject(other));
    }
}
