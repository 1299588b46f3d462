// SPDX-License-Identifier: MIT OR Apache-2.0
// What must be, and what must not work: a line for each, and the sum at the end.

import java.util.concurrent.Callable;

final class Check {
    private static int checked;
    private static int failed;

    private Check() {
    }

    static synchronized void that(String what, boolean good) {
        checked++;
        if (!good) failed++;
        System.out.println((good ? "ok - " : "FAIL ") + what);
    }

    static void same(String what, byte[] wanted, byte[] got) {
        that(what, java.util.Arrays.equals(wanted, got));
    }

    /** It throws one of this kind, itself or as the cause, and nothing else will do. */
    static void refused(String what, Class<? extends Throwable> kind, Callable<?> action) {
        try {
            action.call();
            that(what + ": was not refused", false);
        } catch (Throwable thrown) {
            for (Throwable t = thrown; t != null; t = t.getCause()) {
                if (kind.isInstance(t)) {
                    that(what, true);
                    return;
                }
            }
            thrown.printStackTrace(System.out);
            that(what + ": refused as " + thrown, false);
        }
    }

    static void done() {
        System.out.println(checked + " checked, " + failed + " failed");
        System.exit(failed == 0 && checked > 0 ? 0 : 1);
    }
}
