# SPDX-License-Identifier: MIT OR Apache-2.0
# Sourced by the tests of this folder: where things are, a sandbox, a token, and ways to say what must be.
# shellcheck shell=bash
set -u

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
BUILD=${BUILD:-${builddir:-$top/build}}
P11_MODULE=${P11_MODULE:-${KEYLADDER_MODULE:-$BUILD/.libs/keyladder-pkcs11.so}}
KEYLADDER_TOOL=${KEYLADDER_TOOL:-${KEYLADDER:-$BUILD/keyladder}}
KEYLADDER_VECTORS=${KEYLADDER_VECTORS:-$top/tests/vectors}
KEYLADDER_MODULE=$P11_MODULE
export KEYLADDER_MODULE BUILD P11_MODULE KEYLADDER_TOOL KEYLADDER_VECTORS
export LC_ALL=C.UTF-8
# Makefiles take these from the environment, those of node-gyp too, which would build into our folder.
unset builddir srcdir

SO_PIN=so-pin-0000
PIN=user-pin-1111
test_name=$(basename "$0")
failed=0
checked=0

say() { printf '%s\n' "$*"; }
fail() {
    failed=$((failed + 1))
    printf 'FAIL %s: %s\n' "$test_name" "$*"
}
# Named in tests/unavailable, or a failure where everything is asked for. What has failed is no skip.
skip() {
    [ "$failed" -eq 0 ] || finish
    printf '%s\n' "$*"
    exit 77
}
die() {
    fail "$*"
    exit 1
}

T=$(mktemp -d "${TMPDIR:-/tmp}/kl-test.XXXXXX") || exit 1
clean_up() {
    [ -n "${KEEP:-}" ] || rm -rf "$T"
}
trap clean_up EXIT

[ -e "$P11_MODULE" ] || die "there is no module at $P11_MODULE"

# The C programs of tests/p11: from the build, else compiled here.
program() {
    local built=$BUILD/tests/p11/$1
    if [ -x "$built" ]; then
        printf '%s\n' "$built"
        return
    fi
    cc -std=gnu11 -g -O1 -I"$top/include" $(pkg-config --cflags p11-kit-1) -o "$T/$1" \
        "$top/tests/p11/$1.c" "$top/tests/p11/p11.c" "$top/tests/p11/ways.c" -ldl -ljansson -lpthread || return 1
    printf '%s\n' "$T/$1"
}

# The smallest configuration there is (the log beside it, to be looked at).
# write_conf DIR [LINE for the token]...
write_conf() {
    local dir=$1
    shift
    (
        umask 077
        mkdir -p "$dir"
        printf '%s\n' 'correct horse battery staple' >"$dir/passphrase"
        printf '%s\n' "$PIN" >"$dir/pin"
        {
            printf '[log]\ntarget = file:%s/log\n' "$dir"
            printf '[token "demo"]\nstore = sqlite:%s/demo.db\nroots = local\npin = file:%s/pin\n' "$dir" "$dir"
            [ $# -eq 0 ] || printf '%s\n' "$@"
            printf '[root "local"]\ntype = local\npassphrase = file:%s/passphrase\n' "$dir"
        } >"$dir/keyladder.conf"
    )
    export KEYLADDER_CONF=$dir/keyladder.conf
}

p11() { pkcs11-tool --module "$P11_MODULE" "$@"; }

# C_InitToken and C_InitPIN, as any stock client does it.
init_token() {
    p11 --init-token --slot-index 0 --label "${1:-demo}" --so-pin "$SO_PIN" &&
        p11 --init-pin --login --so-pin "$SO_PIN" --new-pin "$PIN" --token-label "${1:-demo}"
}

# ok "what must be" COMMAND...: the command succeeds. Its output is in $out.
ok() {
    local what=$1 status
    shift
    checked=$((checked + 1))
    out=$("$@" 2>&1 </dev/null)
    status=$?
    if [ $status -ne 0 ]; then
        fail "$what: $* ended with $status"
        printf '%s\n' "$out" | sed 's/^/    | /'
        return 1
    fi
    say "ok - $what"
}

# no "what must not be" COMMAND...: the command fails by itself, not by a signal.
no() {
    local what=$1 status
    shift
    checked=$((checked + 1))
    out=$("$@" 2>&1 </dev/null)
    status=$?
    if [ $status -eq 0 ] || [ $status -ge 124 ]; then
        fail "$what: $* ended with $status"
        printf '%s\n' "$out" | sed 's/^/    | /'
        return 1
    fi
    say "ok - $what"
}

# has "PATTERN" / hasnt: the last output
has() {
    checked=$((checked + 1))
    printf '%s\n' "$out" | grep -qE -- "$1" && return
    fail "the output lacks /$1/:"
    printf '%s\n' "$out" | sed 's/^/    | /'
    return 1
}
hasnt() {
    checked=$((checked + 1))
    printf '%s\n' "$out" | grep -qE -- "$1" || return 0
    fail "the output has /$1/:"
    printf '%s\n' "$out" | sed 's/^/    | /'
    return 1
}
logged() {
    checked=$((checked + 1))
    grep -qE -- "$1" "${KEYLADDER_CONF%/*}/log" 2>/dev/null && return
    fail "the log lacks /$1/:"
    sed 's/^/    | /' "${KEYLADDER_CONF%/*}/log" 2>/dev/null
    return 1
}

# skipped [NAME]...: of a program of tests/p11, these tests were skipped and no others
skipped() {
    local these
    checked=$((checked + 1))
    these=$(printf '%s\n' "$out" | sed -n 's/^skip - //p' | sort)
    [ "$these" = "$(printf '%s\n' "$@" | sort)" ] || fail "skipped were: $these"
}

# namespace: what runs a command with mounts of its own, as root or as the root of a user namespace; false where the host lets neither.
find_namespace() {
    local flags
    for flags in -m -rm; do
        namespace=(unshare "$flags")
        "${namespace[@]}" mount --make-rprivate / 2>/dev/null && return
    done
    namespace=()
    return 1
}

# What a sanitizer says need not have failed the test that it was said in.
sanitizer_silent() { hasnt 'ERROR: [A-Z][a-z]*Sanitizer|WARNING: [A-Z][a-z]*Sanitizer|runtime error: '; }

# A build with --enable-sanitize: other libraries cannot come before a sanitizer's, and none starts without /proc.
is_sanitized() { grep -q 'fsanitize=' "$BUILD/Makefile" 2>/dev/null; }

# Found out without asking the module: was it built with the fast engine, is the library there, can the processor do it?
engine_is_built() { grep -q '^S\["HAVE_IPSEC_MB_TRUE"\]=""' "$BUILD/config.status"; }
engine_is_there() {
    engine_is_built && python3 -c 'import ctypes; ctypes.CDLL("libIPSec_MB.so.1")' 2>/dev/null &&
        grep -qw aes /proc/cpuinfo && grep -qw pclmulqdq /proc/cpuinfo
}

finish() {
    [ "$checked" -gt 0 ] || fail "nothing was checked"
    say "$test_name: $checked checks, $failed failed"
    [ "$failed" -eq 0 ]
    exit $?
}
