//! Where a vault's secrets are, and what can go wrong.

use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use super::{NAME_MAX, SECRET_MAX};

/// Where a vault keeps its secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum VaultState {
    /// In the keyring. Also the state before the first call, which is the first to look for one.
    Keyring,
    /// In memory, until the keyring answers again, which is tried in the background, or the process ends.
    Memory {
        /// Why not in the keyring.
        reason: Reason,
    },
}

/// Why a vault keeps its secrets in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// It was made by [`Vault::memory`](super::Vault::memory).
    #[error("no keyring was asked for")]
    Chosen,
    /// The program was built without the feature `keyring`.
    #[error("this app was built without a keyring, the feature \"keyring\" of its crate")]
    NotBuiltIn,
    /// This machine or session has no keyring.
    #[error("there is no keyring")]
    Absent,
    /// The keyring is locked, and nobody unlocked it yet.
    #[error("the keyring is locked")]
    Locked,
    /// The keyring did not answer in time: it has stopped, or a prompt waits for somebody.
    #[error("the keyring did not answer in time")]
    Timeout,
    /// The keyring failed, and again after it was opened anew.
    #[error("the keyring failed")]
    Failed,
}

impl Reason {
    /// Whether no keyring will ever be asked to make up for anything.
    pub(super) fn is_for_good(self) -> bool {
        matches!(self, Self::Chosen | Self::NotBuiltIn)
    }
}

/// Why a vault could not do what it was asked. No text of it holds a name or a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The secret is longer than [`SECRET_MAX`].
    #[error("a secret of {len} bytes is longer than the {SECRET_MAX} that a vault takes")]
    TooLarge {
        /// Its length in bytes.
        len: usize,
    },
    /// The name is empty, longer than [`NAME_MAX`], has control characters, or the keyring refuses it.
    #[error("a secret's name has 1 to {NAME_MAX} bytes and no control characters")]
    InvalidName,
    /// The vault holds [`NAMES_MAX`](super::NAMES_MAX) secrets already, or an item of the keyring would grow too
    /// large.
    #[error("the vault is full")]
    Full,
    /// What the keyring holds is not what this vault wrote. Go on as if there were no such secret: the next
    /// `set` replaces it. From `clear`: what was known is erased, but secrets that an earlier process wrote
    /// may remain.
    #[error("what the keyring holds is damaged")]
    Damaged,
    /// From `delete` and `clear`: gone from memory, but the keyring, which worked earlier or may hold secrets
    /// of an earlier process, could not be asked to erase what it has. It is, should it answer again in this process.
    #[error("gone from memory, but not from the keyring: {0}")]
    NotErased(Reason),
}

/// Why the keyring did not do it.
pub(super) enum Failure {
    Damaged,
    Full,
    InvalidName,
    Unusable { reason: Reason, detail: String },
}

impl Failure {
    pub(super) fn unusable(reason: Reason) -> Self {
        let detail = String::new();
        Self::Unusable { reason, detail }
    }
}

impl From<Failure> for VaultError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Damaged => Self::Damaged,
            Failure::Full => Self::Full,
            Failure::InvalidName => Self::InvalidName,
            Failure::Unusable { reason, .. } => Self::NotErased(reason),
        }
    }
}

/// The vault's state, shared with the keyring's thread.
pub(super) struct Standing {
    state: watch::Sender<VaultState>,
    /// Whether somebody was warned. Held while the state changes.
    warned: Mutex<bool>,
}

impl Standing {
    pub(super) fn new(state: VaultState) -> Self {
        Self {
            state: watch::Sender::new(state),
            warned: Mutex::default(),
        }
    }

    pub(super) fn state(&self) -> VaultState {
        *self.state.borrow()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<VaultState> {
        self.state.subscribe()
    }

    /// The reason to be in memory, if the vault is.
    pub(super) fn fallen(&self) -> Option<Reason> {
        match self.state() {
            VaultState::Keyring => None,
            VaultState::Memory { reason } => Some(reason),
        }
    }

    /// Gives the keyring up, unless it was already. Only the first time of all is worth a warning.
    pub(super) fn fall(&self, reason: Reason, detail: &str) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if self.fallen().is_some() {
            return;
        }
        if std::mem::replace(&mut *warned, true) {
            tracing::info!(detail, "{reason}: secrets stay in memory again");
        } else {
            tracing::warn!(
                detail,
                "{reason}: secrets stay in memory, and are gone when this app ends, unless it answers until then"
            );
        }
        self.state.send_replace(VaultState::Memory { reason });
    }

    /// The keyring answers again, and has what was kept in memory.
    pub(super) fn regain(&self) {
        let _warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        tracing::info!("the keyring answers again, and has what was kept in memory");
        self.state.send_replace(VaultState::Keyring);
    }
}
