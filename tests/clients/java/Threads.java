// SPDX-License-Identifier: MIT OR Apache-2.0
// Threads, and providers, that use one token at once.

import java.security.KeyStore;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import javax.crypto.AEADBadTagException;
import javax.crypto.Mac;
import javax.crypto.SecretKey;
import javax.crypto.spec.SecretKeySpec;

final class Threads {
    private static final int THREADS = 4;
    private static final int ROUNDS = 150;
    private final Token token;
    private final Token second;

    Threads(Token token, Token second) {
        this.token = token;
        this.second = second;
    }

    private static int together(Callable<Integer> work) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(THREADS);
        CountDownLatch start = new CountDownLatch(THREADS);
        List<Future<Integer>> all = new ArrayList<>();
        int done = 0;

        for (int i = 0; i < THREADS; i++) {
            all.add(pool.submit(() -> {
                start.countDown();
                start.await();
                return work.call();
            }));
        }
        for (Future<Integer> one : all) done += one.get();
        pool.shutdown();
        return done;
    }

    void all() throws Exception {
        Check.that("four threads log in at once", together(() -> {
            token.login(Token.pin());
            return 1;
        }) == THREADS);
        Check.that("a second provider logs in to the same token", second.keyStore(Token.pin()).containsAlias("users"));
        oneKey();
        manyKeys();
        twoProviders();
        logout();
    }

    /** All with one key of the ladder, and a MAC beside it; each also tries what must not open. */
    private void oneKey() throws Exception {
        SecretKey users = (SecretKey) token.keyStore(Token.pin()).getKey("users", null);
        SecretKey soft = new SecretKeySpec(Token.random(32), "HmacSHA256");
        byte[] wanted = software(soft);

        Check.that("four threads with one key", together(() -> {
            int good = 0;
            for (int i = 0; i < ROUNDS; i++) {
                byte[] plain = Token.random(i * 7), sealed = token.seal(users, plain, wanted);
                Mac mac = Mac.getInstance("HmacSHA256", token.provider);
                mac.init(soft);
                boolean opens = Arrays.equals(plain, token.open(users, sealed, wanted));
                if (opens && Arrays.equals(wanted, mac.doFinal(data(i))) == (i % 2 == 0) && isRefused(users, sealed, wanted)) good++;
            }
            return good;
        }) == THREADS * ROUNDS);
    }

    private static byte[] data(int i) {
        return new byte[] {(byte) (i % 2)};
    }

    private static byte[] software(SecretKey key) throws Exception {
        Mac mac = Mac.getInstance("HmacSHA256", "SunJCE");
        mac.init(key);
        return mac.doFinal(data(0));
    }

    private boolean isRefused(SecretKey key, byte[] sealed, byte[] aad) throws Exception {
        try {
            token.open(key, Token.changed(sealed, -1), aad);
            return false;
        } catch (AEADBadTagException expected) {
            return true;
        }
    }

    /** Each generates, stores, uses and deletes its own. */
    private void manyKeys() throws Exception {
        int before = token.keyStore(Token.pin()).size();

        Check.that("four threads make, store, use and delete keys", together(() -> {
            KeyStore store = token.keyStore(Token.pin());
            int good = 0;
            for (int i = 0; i < ROUNDS / 15; i++) {
                String alias = "thread-" + Thread.currentThread().getId() + "-" + i;
                SecretKey key = token.generate("AES", 256);
                byte[] sealed = token.seal(key, alias.getBytes(), new byte[0]);
                store.setKeyEntry(alias, key, null, null);
                if (Arrays.equals(alias.getBytes(), token.open((SecretKey) store.getKey(alias, null), sealed, new byte[0]))) good++;
                store.deleteEntry(alias);
            }
            return good;
        }) == THREADS * (ROUNDS / 15));
        Check.that("and leave none", token.keyStore(Token.pin()).size() == before);
    }

    private void twoProviders() throws Exception {
        KeyStore one = token.keyStore(Token.pin());

        one.setKeyEntry("shared", token.generate("AES", 256), null, null);
        byte[] sealed = token.seal((SecretKey) one.getKey("shared", null), data(1), data(0));
        KeyStore two = second.keyStore(Token.pin());
        Check.same("one provider opens what another sealed", data(1), second.open((SecretKey) two.getKey("shared", null), sealed, data(0)));
        two.deleteEntry("shared");
        Check.that("what one deletes is gone for the other", !token.keyStore(Token.pin()).containsAlias("shared"));
    }

    private void logout() throws Exception {
        SecretKey users = (SecretKey) token.keyStore(Token.pin()).getKey("users", null);
        byte[] sealed = token.seal(users, data(1), data(0));

        token.provider.logout();
        Check.refused("after logout a key decrypts nothing", Exception.class, () -> token.open(users, sealed, data(0)));
        SecretKey again = (SecretKey) token.keyStore(Token.pin()).getKey("users", null);
        Check.same("after another login it does", data(1), token.open(again, sealed, data(0)));
    }
}
