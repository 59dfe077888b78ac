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
version=$(rustc --version | cut -d' ' -f2)
std=$work/library-$version

# The standard library's source of exactly this compiler, from Debian's signed archive. A private apt
# configuration looks into the newer suites without touching the machine's own.
fetch_std() {
  local key='[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]' mirror package found
  mkdir -p "$work"/{lists/partial,archives/partial}
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -1)
  cd "$work"
  printf '%s\n' "deb $key $mirror trixie-backports main" "deb $key $mirror sid main" > sources.list
  cat > apt.conf <<CONF
Dir::Etc::sourcelist "$work/sources.list";
Dir::Etc::sourceparts "-";
Dir::Etc::preferencesparts "-";
Dir::Etc::preferences "-";
Dir::State::lists "$work/lists";
Dir::Cache "$work";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
APT::Sandbox::User "root";
CONF
  export APT_CONFIG=$work/apt.conf
  apt-get -qq update
  read -r package found < <(apt-cache madison rust-src rust-web-src |
    awk -F' *[|] *' -v v="$version" '{gsub(/ /, "", $1)} index($2, v "+") == 1 {print $1, $2; exit}') || true
  if [ -z "${found:-}" ]; then
    echo "Debian has no standard library source for rustc $version" >&2
    exit 3
  fi
  apt-get -qq download "$package=$found"
  unset APT_CONFIG
  mkdir -p unpacked
  dpkg-deb --fsys-tarfile "$package"_*.deb | tar x -C unpacked --wildcards './usr/src/rustc-*/library'
  mv unpacked/usr/src/rustc-*/library "$std"
  rm -rf unpacked "$package"_*.deb lists
  cd - > /dev/null
}
[ -d "$std" ] || fetch_std

# Stand-ins for the C and resource tools of the other platforms, under the names that build scripts ask for.
mkdir -p "$work/bin"
cp "$here"/bin/* "$work/bin/"
cp "$work/bin/fakear" "$work/bin/x86_64-w64-mingw32-ar"
cp "$work/bin/llvm-rc" "$work/bin/x86_64-w64-mingw32-windres"
cp "$work/bin/llvm-rc" "$work/bin/windres"

# RUSTC_BOOTSTRAP allows -Zbuild-std on a stable toolchain; the other variable says where std's source is.
export RUSTC_BOOTSTRAP=1 __CARGO_TESTS_ONLY_SRC_ROOT=$std PATH=$work/bin:$PATH CARGO_TARGET_DIR=$work/target
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
