# Sourced: sets `std` to the source of this compiler's standard library in the folder `work`, fetched if it is not there.
# With it, `-Zbuild-std` builds for targets that Debian has no ready standard library for.
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

# RUSTC_BOOTSTRAP allows -Zbuild-std on a stable toolchain; the other variable says where std's source is.
export RUSTC_BOOTSTRAP=1 __CARGO_TESTS_ONLY_SRC_ROOT=$std
