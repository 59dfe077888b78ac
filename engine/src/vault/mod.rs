//! The vault: secrets in the operating system's keyring, and in memory where there is none.
//!
//! Every keyring is synchronous, and some block for as long as nobody answers a prompt. So one thread of the
//! vault's own talks to it, every call has a time-out, and a keyring that does not answer is given up: the
//! vault then goes on in memory for the rest of the process, and says so once. A secret is never in a file.

mod items;
mod layout;
mod memory;
mod owner;
mod secret;
mod state;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use tokio::sync::{mpsc, oneshot, watch};

pub use self::{
    layout::Layout,
    secret::Secret,
    state::{Reason, VaultError, VaultState},
};
use self::{
    memory::Memory,
    owner::{Command, Op},
    state::{Failure, Standing},
};

/// The longest secret, in bytes of UTF-8.
pub const SECRET_MAX: usize = 16 * 1024;
/// The longest name of a secret, in bytes of UTF-8.
pub const NAME_MAX: usize = 256;
/// The most secrets that one vault holds.
pub const NAMES_MAX: usize = 1024;

/// Calls that wait for the keyring's thread; further callers wait for a place.
const QUEUE: usize = 64;

/// How a vault uses the keyring.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct VaultOptions {
    /// How secrets are laid out in the keyring's items; what suits the platform by default.
    pub layout: Layout,
    /// How long a call may take in all; 5 s by default.
    pub timeout: Duration,
}

impl Default for VaultOptions {
    fn default() -> Self {
        Self {
            layout: Layout::default(),
            timeout: Duration::from_secs(5),
        }
    }
}

/// Secrets by name, in the keyring of the operating system. Cheap to clone; all clones are one vault.
///
/// A name is no secret: keyrings show it to the user, and their libraries log it at debug level. Calls need a
/// Tokio runtime with time.
#[derive(Clone)]
pub struct Vault {
    inner: Arc<Inner>,
}

struct Inner {
    service: String,
    options: VaultOptions,
    standing: Arc<Standing>,
    memory: Mutex<Memory>,
    owner: OnceLock<mpsc::Sender<Command>>,
}

impl Vault {
    /// A vault in the keyring, in items of `service`: the app's identifier. Opens nothing yet.
    pub fn keyring(service: impl Into<String>) -> Self {
        Self::keyring_with(service, VaultOptions::default())
    }

    /// [`Vault::keyring`] with another layout or time-out.
    pub fn keyring_with(service: impl Into<String>, options: VaultOptions) -> Self {
        Self::new(service.into(), options, VaultState::Keyring)
    }

    /// A vault that never touches a keyring.
    pub fn memory() -> Self {
        let reason = Reason::Chosen;
        Self::new(
            String::new(),
            VaultOptions::default(),
            VaultState::Memory { reason },
        )
    }

    fn new(service: String, options: VaultOptions, state: VaultState) -> Self {
        Self {
            inner: Arc::new(Inner {
                service,
                options,
                standing: Arc::new(Standing::new(state)),
                memory: Mutex::default(),
                owner: OnceLock::new(),
            }),
        }
    }

    /// Where the secrets are now.
    pub fn state(&self) -> VaultState {
        self.inner.standing.state()
    }

    /// Follows [`Vault::state`]. It changes at most once.
    pub fn watch_state(&self) -> watch::Receiver<VaultState> {
        self.inner.standing.subscribe()
    }

    /// The secret of this name, if there is one.
    ///
    /// # Errors
    /// [`VaultError::InvalidName`], [`VaultError::Damaged`].
    pub async fn get(&self, name: &str) -> Result<Option<Secret>, VaultError> {
        check_name(name)?;
        let before = self.remembered().writes();
        match self.ask(|_| Some(Op::Get(name.into()))).await {
            Ok(found) => {
                self.remembered().learn(before, name, found.clone());
                Ok(found)
            }
            Err(Failure::Unusable { .. }) => Ok(self.remembered().get(name)),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Keeps a secret under this name, in place of an earlier one. Success does not promise the keyring: see
    /// [`Vault::state`].
    ///
    /// # Errors
    /// [`VaultError::TooLarge`], [`VaultError::InvalidName`], [`VaultError::Full`].
    pub async fn set(&self, name: &str, secret: Secret) -> Result<(), VaultError> {
        self.set_while(name, secret, || true).await
    }

    /// [`Vault::set`], unless it is not wanted any more when its turn comes. What makes it unwanted before it deletes or
    /// clears can rely on it: the secret does not come back.
    ///
    /// # Errors
    /// As [`Vault::set`].
    pub(crate) async fn set_while(
        &self,
        name: &str,
        secret: Secret,
        is_wanted: impl FnOnce() -> bool,
    ) -> Result<(), VaultError> {
        check_name(name)?;
        let len = secret.expose().len();
        if len > SECRET_MAX {
            return Err(VaultError::TooLarge { len });
        }
        let mut kept = Ok(());
        let set = |memory: &mut Memory| {
            if !is_wanted() {
                return None;
            }
            kept = memory.keep(name, secret.clone());
            kept.is_ok().then(|| Op::Set(name.into(), secret))
        };
        let asked = self.ask(set).await;
        kept?;
        match asked {
            Ok(_) | Err(Failure::Unusable { .. }) => Ok(()),
            Err(failure) => {
                self.remembered().forget(|kept| kept == name);
                Err(failure.into())
            }
        }
    }

    /// Erases the secret of this name; no error if there is none.
    ///
    /// # Errors
    /// [`VaultError::InvalidName`], [`VaultError::NotErased`].
    pub async fn delete(&self, name: &str) -> Result<(), VaultError> {
        check_name(name)?;
        let forget = |memory: &mut Memory| memory.forget(|kept| kept == name);
        forget(&mut self.remembered());
        self.erase(|memory| {
            forget(memory);
            Op::Delete(name.into())
        })
        .await
    }

    /// Erases every secret whose name begins with `prefix`; all of them if it is empty.
    ///
    /// # Errors
    /// [`VaultError::Damaged`], [`VaultError::NotErased`].
    pub async fn clear(&self, prefix: &str) -> Result<(), VaultError> {
        let forget = |memory: &mut Memory| memory.forget(|kept| kept.starts_with(prefix));
        let mut known = forget(&mut self.remembered());
        self.erase(|memory| {
            known.extend(forget(memory));
            let prefix = prefix.into();
            Op::Clear { prefix, known }
        })
        .await
    }

    /// Has been forgotten at once, and is again when it is the keyring's turn.
    async fn erase(&self, op: impl FnOnce(&mut Memory) -> Op) -> Result<(), VaultError> {
        match self.ask(|memory| Some(op(memory))).await {
            Ok(_) => Ok(()),
            // Nothing was ever there to be erased.
            Err(Failure::Unusable {
                reason: Reason::Chosen | Reason::Absent,
                ..
            }) => Ok(()),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Changes what is remembered and has the keyring's thread do the same, in one step: of calls at once the same one is
    /// the last, here and there. Without an operation the keyring is not asked. An unusable one has been given up when this
    /// returns.
    async fn ask(
        &self,
        change: impl FnOnce(&mut Memory) -> Option<Op>,
    ) -> Result<Option<Secret>, Failure> {
        let Inner {
            standing, options, ..
        } = &*self.inner;
        let mut state = self.watch_state();
        let mut change = Some(change);
        let answer = async {
            let place = self.owner().reserve().await.ok()?;
            let (reply, answer) = oneshot::channel();
            {
                let mut memory = self.remembered();
                match change.take()?(&mut memory) {
                    Some(op) => place.send(Command { op, reply }),
                    None => return Some(Ok(None)),
                }
            }
            answer.await.ok()
        };
        let answer = tokio::select! {
            biased;
            _ = state.wait_for(|state| *state != VaultState::Keyring) => None,
            answer = tokio::time::timeout(options.timeout, answer) => match answer {
                Ok(answer) => answer,
                Err(_) => {
                    standing.fall(Reason::Timeout, "a call timed out");
                    None
                }
            },
        };
        if let Some(change) = change {
            // There was no place for it at the keyring: it is remembered all the same.
            change(&mut self.remembered());
        }
        match answer {
            Some(Err(Failure::Unusable { .. })) | None => {
                // Without an answer and without a reason, the thread has died.
                standing.fall(Reason::Failed, "the keyring's thread ended");
                let reason = standing.fallen().unwrap_or(Reason::Failed);
                Err(Failure::Unusable {
                    reason,
                    detail: String::new(),
                })
            }
            Some(answer) => answer,
        }
    }

    fn owner(&self) -> &mpsc::Sender<Command> {
        let Inner {
            owner,
            service,
            options,
            standing,
            ..
        } = &*self.inner;
        owner.get_or_init(|| {
            let (commands, queue) = mpsc::channel(QUEUE);
            owner::start(service.clone(), options.layout, standing.clone(), queue);
            commands
        })
    }

    fn remembered(&self) -> MutexGuard<'_, Memory> {
        // No code that holds it can panic in between.
        self.inner
            .memory
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

fn check_name(name: &str) -> Result<(), VaultError> {
    let fits = (1..=NAME_MAX).contains(&name.len());
    if fits && !name.chars().any(char::is_control) {
        Ok(())
    } else {
        Err(VaultError::InvalidName)
    }
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
