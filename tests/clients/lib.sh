# SPDX-License-Identifier: MIT OR Apache-2.0
# Sourced after tests/integration/lib.sh by the tests of clients that come from a language's registry.
# shellcheck shell=bash

# fetched NAME VERSIONS FUNCTION: $client is a folder that FUNCTION FOLDER filled, once for these versions.
# It has its name only when it is complete: half an install is never taken for a whole one.
fetched() {
    local name=$1 versions=$2 fill=$3 new
    client=$BUILD/clients/$name
    [ "$(cat "$client/.versions" 2>/dev/null)" = "$versions" ] && return
    mkdir -p "$BUILD/clients" && new=$(mktemp -d "$client.XXXXXX") || die "no folder for $name"
    if ! "$fill" "$new" >"$T/fetched.log" 2>&1; then
        tail -n 40 "$T/fetched.log" | sed 's/^/    | /'
        rm -rf "$new"
        die "$name could not be installed"
    fi
    printf '%s\n' "$versions" >"$new/.versions"
    rm -rf "$client"
    mv -T "$new" "$client"
}

# verdicts WHAT TABLE: the outcomes of a client's own tests, "NAME OUTCOME" or "NAME failed SEEN" a line in $out, are those of
# TABLE, "NAME OUTCOME REASON" or "NAME failed SEEN REASON": none is other, missing or new, and none failed with something else.
verdicts() {
    checked=$((checked + 1))
    printf '%s\n' "$out" | LC_ALL=C sort >"$T/outcomes"
    [ -s "$T/outcomes" ] || fail "$1: no outcome at all"
    if ! awk '!/^#/ && NF { print $1, $2 ($2 == "failed" ? " " $3 : "") }' "$2" | LC_ALL=C sort | diff -u - "$T/outcomes" >"$T/verdicts"; then
        fail "$1: these outcomes are not those of $2:"
        sed -n '3,$ s/^/    | /p' "$T/verdicts"
        return 1
    fi
    say "ok - $1: $(awk '{ n[$2]++ } END { for (o in n) printf "%d %s, ", n[o], o }' "$T/outcomes")as expected"
}
