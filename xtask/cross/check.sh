#!/usr/bin/env bash
# Lints the plugin for other platforms on a Debian machine that has only its own standard library.
# usage: check.sh WORKDIR TARGET...   (run in the root of the workspace)
#
# Green means that types, cfg blocks and lints hold on the target. No C code is compiled, nothing is
# linked and nothing runs. Everything it fetches stays in WORKDIR.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
work=$(cd "$1" && pwd)
shift
. "$here/std.sh"

# Stand-ins for the C and resource tools of the other platforms, under the names that build scripts ask for.
mkdir -p "$work/bin"
cp "$here"/bin/* "$work/bin/"
cp "$work/bin/fakear" "$work/bin/x86_64-w64-mingw32-ar"
cp "$work/bin/llvm-rc" "$work/bin/x86_64-w64-mingw32-windres"
cp "$work/bin/llvm-rc" "$work/bin/windres"

export PATH=$work/bin:$PATH CARGO_TARGET_DIR=$work/target
failed=0
for target in "$@"; do
  name=${target//-/_}
  export "CC_$name=fakecc" "CXX_$name=fakecc" "AR_$name=fakear" "RANLIB_$name=true"
  start=$SECONDS verdict=ok
  cargo clippy -Zbuild-std --target "$target" --package tauri-plugin-contrail-sync --lib -- -D warnings ||
    { verdict=FAILED; failed=1; }
  echo "cross-check $target: $verdict ($((SECONDS - start)) s)"
done
exit $failed
