//! A real, unlocked Secret Service for one command, apart from the user's own.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use tempfile::TempDir;

/// Unlocks a new keyring with an empty password, waits until it is on the bus, which the daemon does not
/// do before it goes to the background, then becomes the command.
const SCRIPT: &str = concat!(
    r"printf '\n' | gnome-keyring-daemon --unlock --components=secrets >/dev/null || exit; ",
    "gdbus wait --session --timeout 30 org.freedesktop.secrets || exit; ",
    r#"exec "$@""#,
);

/// What points at the user's own files.
const XDG_HOMES: [&str; 3] = ["XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"];

/// Wraps `command` into a D-Bus session with its own keyring and home directory. Rust's own tools keep
/// their real homes. Sets `CONTRAIL_TEST_KEYRING=1`. The home is removed when dropped: keep it until the
/// command has ended.
pub(crate) fn with_keyring(command: &Command) -> Result<(Command, TempDir)> {
    let mut wrapped = Command::new("dbus-run-session");
    wrapped
        .args(["--", "sh", "-c", SCRIPT, "sh"])
        .arg(command.get_program())
        .env("CONTRAIL_TEST_KEYRING", "1");
    at_home(wrapped, command)
}

/// As [`with_keyring`], but without any D-Bus session, so without a keyring. Sets `CONTRAIL_TEST_KEYRING=0`.
pub(crate) fn without_keyring(command: &Command) -> Result<(Command, TempDir)> {
    let mut wrapped = Command::new(command.get_program());
    wrapped
        .env_remove("DBUS_SESSION_BUS_ADDRESS")
        .env("CONTRAIL_TEST_KEYRING", "0");
    at_home(wrapped, command)
}

/// Gives `wrapped` a home directory of its own, and the arguments, environment and directory of `command`.
fn at_home(mut wrapped: Command, command: &Command) -> Result<(Command, TempDir)> {
    let home = tempfile::Builder::new()
        .prefix("contrail-")
        .tempdir()
        .context("cannot create a private home directory")?;
    let runtime = home.path().join("run");
    private_dir(&runtime)?;
    for name in XDG_HOMES {
        wrapped.env_remove(name);
    }
    wrapped
        .args(command.get_args())
        .env("CARGO_HOME", real_home("CARGO_HOME", ".cargo"))
        .env("RUSTUP_HOME", real_home("RUSTUP_HOME", ".rustup"))
        .env("HOME", home.path())
        .env("XDG_RUNTIME_DIR", &runtime);
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        wrapped.current_dir(dir);
    }
    Ok((wrapped, home))
}

fn real_home(variable: &str, folder: &str) -> OsString {
    std::env::var_os(variable).unwrap_or_else(|| {
        PathBuf::from(std::env::var_os("HOME").unwrap_or_default())
            .join(folder)
            .into()
    })
}

/// A new directory that nobody else can look into.
pub(crate) fn private_dir(path: &std::path::Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(path)
        .with_context(|| format!("cannot create {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_command_keeps_its_program_arguments_environment_and_directory() {
        let mut inner = Command::new("cargo");
        inner
            .args(["test", "--workspace"])
            .env("A", "1")
            .current_dir("/");
        for (wrapped, keyring) in [
            (with_keyring(&inner).unwrap(), "1"),
            (without_keyring(&inner).unwrap(), "0"),
        ] {
            let (wrapped, _home) = wrapped;
            let words: Vec<_> = std::iter::once(wrapped.get_program())
                .chain(wrapped.get_args())
                .collect();
            assert!(words.ends_with(&["cargo".as_ref(), "test".as_ref(), "--workspace".as_ref()]));
            let env = |name: &str| wrapped.get_envs().find(|(n, _)| *n == name).unwrap().1;
            assert_eq!(env("A"), Some("1".as_ref()));
            assert_eq!(env("CONTRAIL_TEST_KEYRING"), Some(keyring.as_ref()));
            assert_ne!(env("HOME"), std::env::var_os("HOME").as_deref());
            assert_eq!(wrapped.get_current_dir(), Some("/".as_ref()));
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_command_with_a_keyring_finds_it_on_the_bus_and_unlocked() {
        let mut inner = Command::new("gdbus");
        inner
            .args(["call", "--session", "--dest=org.freedesktop.secrets"])
            .arg("--object-path=/org/freedesktop/secrets/aliases/default")
            .arg("--method=org.freedesktop.DBus.Properties.Get")
            .args(["org.freedesktop.Secret.Collection", "Locked"]);
        let (mut wrapped, _home) = with_keyring(&inner).unwrap();
        let output = wrapped.output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "(<false>,)\n");
    }

    #[test]
    fn a_command_without_a_keyring_finds_no_session_bus() {
        let mut inner = Command::new("sh");
        inner.args([
            "-c",
            r#"test -z "$DBUS_SESSION_BUS_ADDRESS" && test -d "$XDG_RUNTIME_DIR" && test ! -e "$XDG_RUNTIME_DIR/bus""#,
        ]);
        let (mut wrapped, _home) = without_keyring(&inner).unwrap();
        assert!(wrapped.status().unwrap().success());
    }
}
