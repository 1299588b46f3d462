# SPDX-License-Identifier: MIT OR Apache-2.0
# Sourced: other vendors' modules, each with a token of its own in a folder, so that nothing of the machine's own tokens is touched.
#   vendor_NAME_start DIR    sets what is below and exports what the module reads; fails with words where the module cannot be had
#   vendors_stop             ends the daemons that were started
# shellcheck shell=bash disable=SC2034
VENDOR_PIN=user-pin-1111
VENDOR_SO_PIN=so-pin-0000
VENDOR_TOKEN=interop
VENDOR_MODULE=   # the module's file
VENDOR_ARGS=     # pReserved of C_Initialize
VENDOR_VERSION=  # of the package
VENDOR_WITHIN=() # the command in front of whatever loads the module
vendor_pids=()
vendor_lib=/usr/lib/$(gcc -print-multiarch 2>/dev/null || echo x86_64-linux-gnu)

vendor_version() { dpkg-query -W -f '${Version}' "$1" 2>/dev/null || echo unknown; }

# vendor_found FILE PACKAGE
vendor_found() {
    VENDOR_MODULE=$1 VENDOR_ARGS='' VENDOR_WITHIN=() VENDOR_PIN=user-pin-1111 VENDOR_SO_PIN=so-pin-0000 VENDOR_TOKEN=interop
    VENDOR_VERSION=$(vendor_version "$2")
    [ -e "$1" ] || { echo "there is no $1 (Debian: $2)"; return 1; }
}

vendor_softhsm_start() {
    vendor_found "$vendor_lib/softhsm/libsofthsm2.so" libsofthsm2 || return
    mkdir -p "$1/tokens" || return
    printf 'directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\n' "$1" >"$1/softhsm2.conf"
    export SOFTHSM2_CONF=$1/softhsm2.conf
    softhsm2-util --module "$VENDOR_MODULE" --init-token --free --label $VENDOR_TOKEN --pin $VENDOR_PIN --so-pin $VENDOR_SO_PIN
}

# The token has its label from C_Initialize, and an SO only until it has a PIN.
vendor_nss_start() {
    vendor_found "$vendor_lib/libsoftokn3.so" libnss3 || return
    mkdir -p "$1/db" && printf '%s\n' $VENDOR_PIN >"$1/pin" || return
    VENDOR_SO_PIN=
    VENDOR_ARGS="configdir='sql:$1/db' certPrefix='' keyPrefix='' secmod='secmod.db' dbTokenDescription='$VENDOR_TOKEN'"
    certutil -N -d "sql:$1/db" -f "$1/pin"
}

# Its state lies in fixed places, and its daemon and its users share memory: both get mount, IPC and PID namespaces of their own.
vendor_opencryptoki_start() {
    vendor_found "$vendor_lib/pkcs11/libopencryptoki.so" opencryptoki || return
    [ "$(id -u)" -eq 0 ] || { echo 'opencryptoki wants root, for its daemon'; return 1; }
    # It takes eight characters at the most.
    VENDOR_PIN=user1111 VENDOR_SO_PIN=so000000
    mkdir -p "$1/var" "$1/lock" "$1/run" || return
    printf 'version opencryptoki-3.1\nslot 3\n{\nstdll = libpkcs11_sw.so\n}\n' >"$1/conf"
    cat >"$1/namespace" <<'SH'
set -e
mount --make-rprivate /
cp -a /var/lib/opencryptoki/. "$1/var/"
mount --bind "$1/var" /var/lib/opencryptoki
mkdir -p /run/lock/opencryptoki /run/opencryptoki
mount --bind "$1/lock" /run/lock/opencryptoki
mkdir -p "$1/lock/swtok"
chgrp -R pkcs11 "$1/var" "$1/lock" "$1/run"
chmod -R g+rwX "$1/lock"
mount --bind "$1/run" /run/opencryptoki
mount -t tmpfs -o mode=1777 none /dev/shm
mount --bind "$1/conf" /etc/opencryptoki/opencryptoki.conf
pkcsslotd
for i in 1 2 3 4 5 6 7 8 9 10; do pkcsconf -t >/dev/null 2>&1 && break; sleep 0.2; done
printf '%s\n' "$2" | pkcsconf -I -c 3 -S 87654321
pkcsconf -P -c 3 -S 87654321 -n "$4"
pkcsconf -u -c 3 -S "$4" -n "$3"
touch "$1/ready"
exec sleep 100000
SH
    unshare --mount --ipc --pid --fork --kill-child --mount-proc \
        sh "$1/namespace" "$1" $VENDOR_TOKEN $VENDOR_PIN $VENDOR_SO_PIN >"$1/log" 2>&1 &
    local outer=$! inner
    # Its end is the end of all that is in the namespaces.
    vendor_pids+=($outer)
    vendor_wait "$1/ready" $outer || { cat "$1/log"; return 1; }
    inner=$(ps -o pid= --ppid $outer | tr -d ' ')
    VENDOR_WITHIN=(nsenter --mount --ipc --pid -t "$inner")
}

# A TPM in software, on a socket, and tpm2-pkcs11's own store.
vendor_tpm_start() {
    vendor_found "$vendor_lib/pkcs11/libtpm2_pkcs11.so" libtpm2-pkcs11-1 || return
    command -v swtpm >/dev/null || { echo 'there is no swtpm (Debian: swtpm)'; return 1; }
    mkdir -p "$1/state" "$1/store" || return
    swtpm socket --tpm2 --tpmstate "dir=$1/state" --server "type=unixio,path=$1/tpm" --ctrl "type=unixio,path=$1/tpm.ctrl" \
        --flags not-need-init,startup-clear >"$1/log" 2>&1 &
    vendor_pids+=($!)
    vendor_wait "$1/tpm" $! || { cat "$1/log"; return 1; }
    export TPM2_PKCS11_STORE=$1/store TPM2_PKCS11_TCTI=swtpm:path=$1/tpm TPM2_PKCS11_LOG_LEVEL=0
    pkcs11-tool --module "$VENDOR_MODULE" --init-token --slot-index 0 --label $VENDOR_TOKEN --so-pin $VENDOR_SO_PIN &&
        pkcs11-tool --module "$VENDOR_MODULE" --init-pin --login --so-pin $VENDOR_SO_PIN --new-pin $VENDOR_PIN --token-label $VENDOR_TOKEN
}

# A crate; it takes minutes, Rust 1.85 and libclang to build, so that it is used where it has been built:
#   BUILD=DIR bash -c '. tests/integration/vendors.sh && vendor_kryoptic_build'
# Without what wants an OpenSSL newer than Debian's 3.0.
vendor_kryoptic_build() {
    local to=${BUILD:?where to build}/clients/kryoptic
    [ -e "$to/libkryoptic_pkcs11.so" ] && return
    mkdir -p "$to.new/src" || return
    cat >"$to.new/Cargo.toml" <<'TOML'
[package]
name = "peer"
version = "0.0.0"
edition = "2021"
[dependencies]
kryoptic = { version = "=1.5.4", default-features = false, features = ["minimal"] }
kryoptic-lib = { version = "=1.5.4", default-features = false, features = ["dynamic", "sqlitedb", "hash_all", "chacha20", "hkdf", "sp800_108"] }
TOML
    : >"$to.new/src/lib.rs"
    (cd "$to.new" && cargo build --release -p kryoptic) || return
    mkdir -p "$to" && mv "$to.new/target/release/libkryoptic_pkcs11.so" "$to/" && rm -rf "$to.new"
}

vendor_kryoptic_start() {
    vendor_found "${KRYOPTIC_MODULE:-$BUILD/clients/kryoptic/libkryoptic_pkcs11.so}" 'none; vendor_kryoptic_build makes it' || return
    VENDOR_VERSION=1.5.4
    mkdir -p "$1" || return
    export KRYOPTIC_CONF=$1/token.sql
    pkcs11-tool --module "$VENDOR_MODULE" --init-token --slot-index 0 --label $VENDOR_TOKEN --so-pin $VENDOR_SO_PIN &&
        pkcs11-tool --module "$VENDOR_MODULE" --init-pin --login --so-pin $VENDOR_SO_PIN --new-pin $VENDOR_PIN --token-label $VENDOR_TOKEN
}

# vendor_wait FILE PID: until the file is there, or the process is not
vendor_wait() {
    local i
    for i in $(seq 200); do
        [ -e "$1" ] && return
        kill -0 "$2" 2>/dev/null || return
        sleep 0.05
    done
    return 1
}

vendors_stop() {
    local pid
    for pid in ${vendor_pids[@]+"${vendor_pids[@]}"}; do
        kill -KILL "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    done
    vendor_pids=()
}
