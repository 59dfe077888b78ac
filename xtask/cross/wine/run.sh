#!/usr/bin/env bash
# Builds the engine's tests for Windows on a Debian machine and runs them under Wine.
# usage: run.sh WORKDIR ARGUMENT...   (of `cargo test`; run in the root of the workspace)
#
# The build is kept in WORKDIR. Wine's registry, credentials and drive C are new each time, and gone afterwards.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
work=$(cd "$1" && pwd)
shift
. "$here/../std.sh"

target=x86_64-pc-windows-gnu
gcc=x86_64-w64-mingw32-gcc
wine=$(command -v wine64 || command -v wine)

# What Rust links before and after everything else for MinGW, which `-Zbuild-std` leaves out.
mkdir -p "$work/crt"
for object in rsbegin rsend; do
  [ -f "$work/crt/$object-$version.o" ] || {
    rustc --cap-lints allow --edition 2024 --target "$target" --emit obj -o "$work/crt/$object.o" "$std/rtstartup/$object.rs"
    touch "$work/crt/$object-$version.o"
  }
done

export WINEPREFIX WINEDEBUG=${WINEDEBUG:--all} WINEDLLOVERRIDES="mscoree,mshtml=;winemenubuilder.exe=d"
WINEPREFIX=$(mktemp -d "${TMPDIR:-/tmp}/contrail-wine-XXXXXX")
trap 'wineserver -k || true; wineserver -w || true; rm -rf "$WINEPREFIX"' EXIT
unset DISPLAY WAYLAND_DISPLAY
# One server for all tests: a new one may begin while the old one still ends, and then a test has none.
wineserver -p
"$wine" wineboot --init
system=$WINEPREFIX/drive_c/windows/system32
if [ ! -e "$system/bcryptprimitives.dll" ]; then
  "$gcc" -O2 -shared -o "$system/bcryptprimitives.dll" "$here/bcryptprimitives.c" -ladvapi32
fi

export CARGO_TARGET_DIR=$work/target CARGO_PROFILE_DEV_DEBUG=0 CARGO_INCREMENTAL=0
export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER=$gcc
export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER=$wine
export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUSTFLAGS="-L native=$work/crt"
cargo test --locked --no-fail-fast -Zbuild-std --target "$target" --package contrail-sync-engine "$@"
