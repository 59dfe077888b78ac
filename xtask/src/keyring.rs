//! A real, unlocked Secret Service for one command, apart from the user's own.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use tempfile::TempDir;

/// Unlocks a new keyring with an empty password, then becomes the command.
const SCRIPT: &str =
    r#"printf '\n' | gnome-keyring-daemon --unlock --components=secrets >/dev/null; exec "$@""#;

/// Wraps `command` into a D-Bus session with its own keyring and home directory. Rust's own tools keep
/// their real homes. Sets `CONTRAIL_TEST_KEYRING=1`. The home is removed when dropped: keep it until the
/// command has ended.
pub fn with_keyring(command: &Command) -> Result<(Command, TempDir)> {
    let home = tempfile::Builder::new()
        .prefix("contrail-")
        .tempdir()
        .context("cannot create a private home directory")?;
    let runtime = home.path().join("run");
    private_dir(&runtime)?;

    let mut wrapped = Command::new("dbus-run-session");
    wrapped
        .args(["--", "sh", "-c", SCRIPT, "sh"])
        .arg(command.get_program())
        .args(command.get_args());
    for name in ["XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"] {
        wrapped.env_remove(name);
    }
    wrapped
        .env("CARGO_HOME", real_home("CARGO_HOME", ".cargo"))
        .env("RUSTUP_HOME", real_home("RUSTUP_HOME", ".rustup"))
        .env("HOME", home.path())
        .env("XDG_RUNTIME_DIR", &runtime)
        .env("CONTRAIL_TEST_KEYRING", "1");
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

fn private_dir(path: &std::path::Path) -> Result<()> {
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
        let (wrapped, _home) = with_keyring(&inner).unwrap();
        let args: Vec<_> = wrapped.get_args().collect();
        assert!(args.ends_with(&["cargo".as_ref(), "test".as_ref(), "--workspace".as_ref()]));
        let env = |name: &str| wrapped.get_envs().find(|(n, _)| *n == name).unwrap().1;
        assert_eq!(env("A"), Some("1".as_ref()));
        assert_eq!(env("CONTRAIL_TEST_KEYRING"), Some("1".as_ref()));
        assert_ne!(env("HOME"), std::env::var_os("HOME").as_deref());
        assert_eq!(wrapped.get_current_dir(), Some("/".as_ref()));
    }
}
