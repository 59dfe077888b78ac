//! In the place of the keyring, in a program that was built without the feature `keyring`: a vault never gets to open one.

use zeroize::Zeroizing;

use super::{Reason, VaultState, state::Failure};

/// Where a vault in the keyring is before the first call, and stays.
pub(super) const AT_FIRST: VaultState = VaultState::Memory {
    reason: Reason::NotBuiltIn,
};

/// An open keyring: there is none.
pub(super) enum Items {}

impl Items {
    pub(super) fn open(_: &str) -> Result<Self, Failure> {
        Err(Failure::unusable(Reason::NotBuiltIn))
    }

    pub(super) fn read(&self, _: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        match *self {}
    }

    pub(super) fn write(&self, _: &str, _: &[u8]) -> Result<(), Failure> {
        match *self {}
    }

    pub(super) fn remove(&self, _: &str) -> Result<(), Failure> {
        match *self {}
    }
}

/// Whether a keyring that was given up answers now.
pub(super) fn is_open(_: Reason) -> bool {
    false
}
