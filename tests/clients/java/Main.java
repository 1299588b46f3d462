// SPDX-License-Identifier: MIT OR Apache-2.0
// java Main STEP CONFIGURATION [ARGUMENT]...; the PIN is in the environment.

import java.nio.file.Path;

public final class Main {
    private Main() {
    }

    public static void main(String[] args) throws Exception {
        Token token = new Token(args[1]);

        switch (args[0]) {
        case "create" -> new Keys(token).create(Path.of(args[2]));
        case "again" -> new Keys(token).again(Path.of(args[2]));
        case "pin" -> new Keys(token).pin(args[2], Path.of(args[3]));
        case "ciphers" -> new Ciphers(token).all();
        case "threads" -> new Threads(token, new Token(args[2])).all();
        case "persistent" -> new Keys(token).persistent();
        case "readable" -> new Keys(token).readable();
        default -> throw new IllegalArgumentException(args[0]);
        }
        Check.done();
    }
}
