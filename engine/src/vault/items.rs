//! The platform's keyring as small named items of bytes.

use std::{collections::HashMap, sync::Arc};

use keyring_core::{CredentialStore, Entry, Error};
use zeroize::{Zeroize, Zeroizing};

use super::{Reason, VaultState, state::Failure};

/// Where a vault in the keyring is before the first call.
pub(super) const AT_FIRST: VaultState = VaultState::Keyring;

/// An open keyring, and whose items of it are meant.
pub(super) struct Items {
    store: Arc<CredentialStore>,
    service: String,
}

impl Items {
    /// Opens the platform's keyring. Never the default store of `keyring-core`: that one is the app's.
    pub(super) fn open(service: &str) -> Result<Self, Failure> {
        Ok(Self {
            store: open_store().map_err(failure)?,
            service: service.into(),
        })
    }

    /// An item's bytes, if there is one.
    pub(super) fn read(&self, item: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        match self.entry(item)?.get_secret() {
            Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(failure(error)),
        }
    }

    /// Writes an item, in place of what it held.
    pub(super) fn write(&self, item: &str, bytes: &[u8]) -> Result<(), Failure> {
        let entry = self.entry(item)?;
        match entry.set_secret(bytes) {
            Err(Error::Ambiguous(same)) => {
                erase(same)?;
                entry.set_secret(bytes).map_err(failure)
            }
            written => written.map_err(failure),
        }
    }

    /// Erases an item, if there is one.
    pub(super) fn remove(&self, item: &str) -> Result<(), Failure> {
        match self.entry(item)?.delete_credential() {
            Err(Error::Ambiguous(same)) => erase(same),
            Ok(()) | Err(Error::NoEntry) => Ok(()),
            Err(error) => Err(failure(error)),
        }
    }

    fn entry(&self, item: &str) -> Result<Entry, Failure> {
        let modifiers = HashMap::from(MODIFIERS);
        let modifiers = (!modifiers.is_empty()).then_some(&modifiers);
        self.store
            .build(&self.service, item, modifiers)
            .map_err(failure)
    }
}

/// Several items of one name: another program copied them.
fn erase(same: Vec<Entry>) -> Result<(), Failure> {
    for entry in same {
        match entry.delete_credential() {
            Ok(()) | Err(Error::NoEntry) => {}
            Err(error) => return Err(failure(error)),
        }
    }
    Ok(())
}

/// What an error means here. The error itself may hold a secret's bytes: only the system's own text is kept.
fn failure(error: Error) -> Failure {
    match error {
        Error::NoStorageAccess(cause) => Failure::Unusable {
            reason: Reason::Locked,
            detail: cause.to_string(),
        },
        Error::PlatformFailure(cause) => Failure::Unusable {
            reason: Reason::Failed,
            detail: cause.to_string(),
        },
        Error::BadEncoding(mut bytes) | Error::BadDataFormat(mut bytes, _) => {
            bytes.zeroize();
            Failure::Damaged
        }
        Error::Ambiguous(_) => Failure::Damaged,
        Error::TooLong(..) | Error::Invalid(..) => Failure::InvalidName,
        _ => Failure::Unusable {
            reason: Reason::Failed,
            detail: "the keyring's library cannot do this".into(),
        },
    }
}

/// Whether a keyring that was given up answers now without asking anybody: nobody wants a prompt every minute.
#[cfg(target_os = "linux")]
pub(super) fn is_open(_: Reason) -> bool {
    use dbus_secret_service::{EncryptionType, SecretService};
    let locked = SecretService::connect(EncryptionType::Plain)
        .and_then(|service| service.get_any_collection()?.is_locked());
    matches!(locked, Ok(false))
}

/// The keychain cannot be asked that. Elsewhere there are no prompts.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_open(trouble: Reason) -> bool {
    !(cfg!(target_os = "macos") && trouble == Reason::Locked)
}

#[cfg(target_os = "linux")]
fn open_store() -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(dbus_secret_service_keyring_store::Store::new()?)
}

#[cfg(target_os = "macos")]
fn open_store() -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(apple_native_keyring_store::keychain::Store::new()?)
}

#[cfg(target_os = "ios")]
fn open_store() -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(apple_native_keyring_store::protected::Store::new()?)
}

#[cfg(target_os = "windows")]
fn open_store() -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(windows_native_keyring_store::Store::new()?)
}

/// In a file of our own: the library's default one may be the app's.
#[cfg(target_os = "android")]
fn open_store() -> keyring_core::Result<Arc<CredentialStore>> {
    let name = HashMap::from([("name", "contrail-sync")]);
    Ok(android_native_keyring_store::Store::new_with_configuration(
        &name,
    )?)
}

#[cfg(not(any(
    target_os = "linux",
    target_os = "macos",
    target_os = "ios",
    target_os = "windows",
    target_os = "android"
)))]
fn open_store() -> keyring_core::Result<Arc<CredentialStore>> {
    Err(Error::NotSupportedByStore(String::new()))
}

/// Tickets stay on this computer: the default roams with the user's domain profile.
#[cfg(target_os = "windows")]
const MODIFIERS: [(&str, &str); 1] = [("persistence", "Local")];

/// A watch reconnects while the phone is locked, but on no other phone.
#[cfg(target_os = "ios")]
const MODIFIERS: [(&str, &str); 1] = [("access-policy", "after-first-unlock-this-device-only")];

#[cfg(not(any(target_os = "windows", target_os = "ios")))]
const MODIFIERS: [(&str, &str); 0] = [];
