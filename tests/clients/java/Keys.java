// SPDX-License-Identifier: MIT OR Apache-2.0
// Keys found, generated, imported, kept, replaced and destroyed through java.security.KeyStore.

import java.nio.file.Files;
import java.nio.file.Path;
import java.security.InvalidKeyException;
import java.security.KeyStore;
import java.security.KeyStoreException;
import java.security.Provider;
import java.security.Security;
import java.util.Collections;
import java.util.Set;
import java.util.TreeSet;
import javax.crypto.AEADBadTagException;
import javax.crypto.Cipher;
import javax.crypto.SecretKey;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;
import javax.security.auth.login.LoginException;

final class Keys {
    private static final byte[] AAD = "users".getBytes();
    private static final Provider SOFT = Security.getProvider("SunJCE");
    private final Token token;

    Keys(Token token) {
        this.token = token;
    }

    private static SecretKey key(KeyStore store, String alias) throws Exception {
        return (SecretKey) store.getKey(alias, null);
    }

    private static Set<String> aliases(KeyStore store) throws Exception {
        return new TreeSet<>(Collections.list(store.aliases()));
    }

    void login() throws Exception {
        Check.refused("a wrong PIN is refused at login", LoginException.class, () -> {
            token.login("wrong-pin-0000".toCharArray());
            return null;
        });
        Check.refused("a wrong PIN opens no KeyStore", LoginException.class, () -> token.keyStore("wrong-pin-0000".toCharArray()));
        Check.refused("no key is generated without login", Exception.class, () -> token.generate("AES", 256).getEncoded());
        token.login(Token.pin());
        Check.that("the right PIN logs in", true);
    }

    /** What another step, and another client, finds later is left in folder. */
    void create(Path folder) throws Exception {
        login();
        KeyStore store = token.keyStore(Token.pin());
        Check.that("the ladder is listed by its labels", aliases(store).equals(Set.of("master", "users", "users.email")));
        generated(store);
        imported(store);
        replaced(store);
        deleted(store);
        ladder(store);
        Files.write(folder.resolve("by-java"), token.seal(key(store, "users"), "sealed by Java".getBytes(), AAD));
        Files.write(folder.resolve("by-app"), token.seal(key(store, "app"), "kept by Java".getBytes(), AAD));
        Check.that("at the end there are five keys", aliases(store).equals(Set.of("app", "imported", "master", "users", "users.email")));
    }

    private void generated(KeyStore store) throws Exception {
        SecretKey key = token.generate("AES", 256);
        Check.that("a generated key gives no bytes", key.getEncoded() == null && key.getFormat() == null);
        byte[] sealed = token.seal(key, "generated".getBytes(), AAD);
        Check.that("it is not in the store", store.size() == 3);
        store.setKeyEntry("app", key, null, null);
        Check.that("now it is, under its alias", store.containsAlias("app") && store.isKeyEntry("app") && !store.isCertificateEntry("app"));
        Check.same("and opens what it sealed before", "generated".getBytes(), token.open(key(store, "app"), sealed, AAD));
        Check.that("it gives no bytes either", key(store, "app").getEncoded() == null);
        Check.that("there is no other alias for it", key(store, "App") == null);
        /* SunPKCS11's own IVs have 16 bytes: a key that lives long encrypts under 12. */
        Check.refused("a stored key takes no IV of 16 bytes", InvalidKeyException.class, () -> {
            Cipher.getInstance(Token.GCM, token.provider).init(Cipher.ENCRYPT_MODE, key(store, "app"));
            return null;
        });
    }

    private void imported(KeyStore store) throws Exception {
        SecretKey soft = new SecretKeySpec(Token.random(32), "AES");
        store.setKeyEntry("imported", soft, null, null);
        SecretKey hard = key(store, "imported");
        byte[] sealed = Token.seal(SOFT, soft, Token.random(12), "imported".getBytes(), AAD);
        Check.same("an imported key opens what its bytes sealed", "imported".getBytes(), token.open(hard, sealed, AAD));
        byte[] iv = Token.random(12);
        Check.same("and seals as they do", Token.seal(SOFT, soft, iv, AAD, AAD), Token.seal(token.provider, hard, iv, AAD, AAD));
        Check.refused("an AES key of 20 bytes is not imported", Exception.class, () -> {
            store.setKeyEntry("odd", new SecretKeySpec(Token.random(20), "AES"), null, null);
            return null;
        });
        Check.that("nothing is left of it", !store.containsAlias("odd"));
    }

    private void replaced(KeyStore store) throws Exception {
        store.setKeyEntry("twice", token.generate("AES", 128), null, null);
        byte[] sealed = token.seal(key(store, "twice"), "first".getBytes(), AAD);
        store.setKeyEntry("twice", token.generate("AES", 128), null, null);
        Check.refused("a replaced key is another key", AEADBadTagException.class, () -> token.open(key(store, "twice"), sealed, AAD));
        Check.that("and there is one of the name", Collections.list(store.aliases()).stream().filter("twice"::equals).count() == 1);
    }

    private void deleted(KeyStore store) throws Exception {
        SecretKey kept = key(store, "twice");
        byte[] sealed = token.seal(kept, "gone".getBytes(), AAD);
        store.deleteEntry("twice");
        Check.that("a deleted key is not found", !store.containsAlias("twice") && store.getKey("twice", null) == null);
        Check.that("nor in a store opened anew", !token.keyStore(Token.pin()).containsAlias("twice"));
        Check.refused("who had it opens nothing with it", InvalidKeyException.class, () -> token.open(kept, sealed, AAD));
    }

    private void ladder(KeyStore store) throws Exception {
        SecretKey users = key(store, "users");
        SecretKey email = key(store, "users.email");
        byte[] sealed = token.seal(users, "somebody".getBytes(), AAD);
        Check.that("a ladder key is an AES key without bytes", users.getAlgorithm().equals("AES") && users.getEncoded() == null);
        Check.same("it opens what it sealed", "somebody".getBytes(), token.open(users, sealed, AAD));
        Check.refused("the field's key does not", AEADBadTagException.class, () -> token.open(email, sealed, AAD));
        Check.refused("a ladder key does no CBC", InvalidKeyException.class, () -> {
            Cipher cipher = Cipher.getInstance("AES/CBC/PKCS5Padding", token.provider);
            cipher.init(Cipher.ENCRYPT_MODE, users, new IvParameterSpec(Token.random(16)));
            return null;
        });
        Check.refused("the master encrypts nothing", InvalidKeyException.class, () -> token.seal(key(store, "master"), AAD, AAD));
        for (String alias : new String[] {"master", "users"}) {
            Check.refused(alias + " is not deleted", KeyStoreException.class, () -> {
                store.deleteEntry(alias);
                return null;
            });
            Check.refused(alias + " is not replaced", KeyStoreException.class, () -> {
                store.setKeyEntry(alias, token.generate("AES", 256), null, null);
                return null;
            });
        }
        Check.same("it still opens what it sealed", "somebody".getBytes(), token.open(key(token.keyStore(Token.pin()), "users"), sealed, AAD));
    }

    /** In another process: what was kept is there, what another client sealed opens, what was changed does not. */
    void again(Path folder) throws Exception {
        KeyStore store = token.keyStore(Token.pin());
        byte[] kept = Files.readAllBytes(folder.resolve("by-app"));
        byte[] other = Files.readAllBytes(folder.resolve("by-another"));
        Check.that("the same five keys", aliases(store).equals(Set.of("app", "imported", "master", "users", "users.email")));
        Check.same("a kept key opens what it sealed", "kept by Java".getBytes(), token.open(key(store, "app"), kept, AAD));
        Check.same("what another client sealed opens", "sealed by another".getBytes(), token.open(key(store, "users"), other, AAD));
        for (int at : new int[] {0, 12, -1}) {
            Check.refused("not with byte " + at + " changed", AEADBadTagException.class, () -> token.open(key(store, "users"), Token.changed(other, at), AAD));
        }
        Check.refused("not as another's", AEADBadTagException.class, () -> token.open(key(store, "users"), other, "orders".getBytes()));
        Check.refused("not by another key", AEADBadTagException.class, () -> token.open(key(store, "app"), other, AAD));
    }

    /** After the PIN was changed elsewhere. */
    void pin(String old, Path folder) throws Exception {
        Check.refused("the old PIN is wrong now", LoginException.class, () -> token.keyStore(old.toCharArray()));
        KeyStore store = token.keyStore(Token.pin());
        byte[] kept = Files.readAllBytes(folder.resolve("by-app"));
        Check.same("the new one is right", "kept by Java".getBytes(), token.open(key(store, "app"), kept, AAD));
        store.deleteEntry("app");
        store.deleteEntry("imported");
        Check.that("both keys are destroyed", aliases(store).equals(Set.of("master", "users", "users.email")));
    }

    /** By a configuration whose attributes() have keys generated on the token. */
    void persistent() throws Exception {
        Set<String> before = aliases(token.keyStore(Token.pin()));
        SecretKey key = token.generate("AES", 256);
        byte[] sealed = token.seal(key, AAD, AAD);

        Check.that("a key generated on the token gives no bytes", key.getEncoded() == null);
        Check.same("it opens what it sealed", AAD, token.open(key, sealed, AAD));
        Check.that("without a label it is no KeyStore's entry", before.equals(aliases(token.keyStore(Token.pin()))));
    }

    /** By a configuration whose attributes() have keys generated that may be read. */
    void readable() throws Exception {
        token.login(Token.pin());
        SecretKey key = token.generate("AES", 256);
        byte[] bytes = key.getEncoded(), sealed = token.seal(key, AAD, AAD);

        Check.that("a key that may be read gives its bytes", bytes != null && bytes.length == 32 && "RAW".equals(key.getFormat()));
        Check.same("they are its bytes", AAD, Token.open(SOFT, new SecretKeySpec(bytes, "AES"), sealed, AAD));
    }
}
