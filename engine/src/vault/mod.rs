//! The vault: secrets in the operating system's keyring, and in memory where there is none.
//!
//! Every keyring is synchronous, and some block for as long as nobody answers a prompt. So one thread of the
//! vault's own talks to it, every call has a time-out, and a keyring that does not answer is given up: the
//! vault then goes on in memory, and says so once. Its thread waits for the keyring in the background and has it do what it
//! missed; then it is in use again. A secret is never in a file.

mod arrears;
#[cfg_attr(not(feature = "keyring"), path = "items_off.rs")]
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
    shared: Arc<Shared>,
    owner: OnceLock<mpsc::Sender<Command>>,
}

/// What the vault and the keyring's thread both know.
struct Shared {
    standing: Standing,
    memory: Mutex<Memory>,
}

impl Shared {
    fn remembered(&self) -> MutexGuard<'_, Memory> {
        // No code that holds it can panic in between.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vault {
    /// A vault in the keyring, in items of `service`: the app's identifier. Opens nothing yet. In memory, for
    /// [`Reason::NotBuiltIn`], where the program was built without the feature `keyring`.
    pub fn keyring(service: impl Into<String>) -> Self {
        Self::keyring_with(service, VaultOptions::default())
    }

    /// [`Vault::keyring`] with another layout or time-out.
    pub fn keyring_with(service: impl Into<String>, options: VaultOptions) -> Self {
        Self::new(service.into(), options, items::AT_FIRST)
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
                shared: Arc::new(Shared {
                    standing: Standing::new(state),
                    memory: Mutex::default(),
                }),
                owner: OnceLock::new(),
            }),
        }
    }

    /// Where the secrets are now.
    pub fn state(&self) -> VaultState {
        self.inner.shared.standing.state()
    }

    /// Follows [`Vault::state`]: a keyring that was given up is in use again once it answers.
    pub fn watch_state(&self) -> watch::Receiver<VaultState> {
        self.inner.shared.standing.subscribe()
    }

    /// The secret of this name, if there is one.
    ///
    /// # Errors
    /// [`VaultError::InvalidName`], [`VaultError::Damaged`].
    pub async fn get(&self, name: &str) -> Result<Option<Secret>, VaultError> {
        check_name(name)?;
        let before = self.remembered().writes();
        match self.ask(|_| Some((0, Op::Get(name.into())))).await {
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
            let write = memory.keep(name, secret.clone());
            let write = write.map_err(|error| kept = Err(error)).ok()?;
            Some((write, Op::Set(name.into(), secret)))
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
        self.remembered().forget(|kept| kept == name);
        self.erase(|memory| (memory.delete(name), Op::Delete(name.into())))
            .await
    }

    /// Erases every secret whose name begins with `prefix`; all of them if it is empty.
    ///
    /// # Errors
    /// [`VaultError::Damaged`], [`VaultError::NotErased`].
    pub async fn clear(&self, prefix: &str) -> Result<(), VaultError> {
        let known = self.remembered().forget(|kept| kept.starts_with(prefix));
        self.erase(|memory| {
            let (write, known) = memory.clear(prefix, known);
            let prefix = prefix.into();
            (write, Op::Clear { prefix, known })
        })
        .await
    }

    /// Has been forgotten at once, and is again when it is the keyring's turn.
    async fn erase(&self, op: impl FnOnce(&mut Memory) -> (u64, Op)) -> Result<(), VaultError> {
        match self.ask(|memory| Some(op(memory))).await {
            Ok(_) => Ok(()),
            // Nothing is known to be there; should there be after all, it is erased by then.
            Err(Failure::Unusable {
                reason: Reason::Chosen | Reason::NotBuiltIn | Reason::Absent,
                ..
            }) => Ok(()),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Changes what is remembered and has the keyring's thread do the same, in one step: of calls at once the same one is
    /// the last, here and there. Without an operation the keyring is not asked.
    async fn ask(
        &self,
        change: impl FnOnce(&mut Memory) -> Option<(u64, Op)>,
    ) -> Result<Option<Secret>, Failure> {
        let standing = &self.inner.shared.standing;
        let mut change = Some(change);
        loop {
            let answer = self.ask_the_keyring(&mut change).await;
            let Some(late) = change.take() else {
                return answer;
            };
            // There was no place for it at the keyring: it is remembered all the same.
            let mut memory = self.remembered();
            let Some(reason) = standing.fallen() else {
                // The keyring came back meanwhile, and nobody would tell it later.
                change = Some(late);
                continue;
            };
            if let (Some((write, _)), true) = (late(&mut memory), reason.is_for_good()) {
                memory.settle(write);
            }
            return Err(Failure::unusable(reason));
        }
    }

    /// Takes `change` and makes it as soon as the keyring's thread has a place for it. An unusable keyring has been given up
    /// when this returns.
    async fn ask_the_keyring(
        &self,
        change: &mut Option<impl FnOnce(&mut Memory) -> Option<(u64, Op)>>,
    ) -> Result<Option<Secret>, Failure> {
        let Inner {
            shared, options, ..
        } = &*self.inner;
        let given_up = |why: Reason, detail: &str| {
            shared.standing.fall(why, detail);
            Err(Failure::unusable(why))
        };
        let mut state = self.watch_state();
        let answer = async {
            let place = self.owner().reserve().await.ok()?;
            let (reply, answer) = oneshot::channel();
            {
                let mut memory = self.remembered();
                match change.take()?(&mut memory) {
                    Some((write, op)) => place.send(Command { op, write, reply }),
                    None => return Some(Ok(None)),
                }
            }
            answer.await.ok()
        };
        tokio::select! {
            biased;
            _ = state.wait_for(|state| *state != VaultState::Keyring) => {
                let reason = shared.standing.fallen();
                Err(Failure::unusable(reason.unwrap_or(Reason::Timeout)))
            }
            answer = tokio::time::timeout(options.timeout, answer) => match answer {
                Ok(Some(answer)) => answer,
                Ok(None) => given_up(Reason::Failed, "the keyring's thread ended"),
                Err(_) => {
                    let answer = given_up(Reason::Timeout, "a call timed out");
                    self.have_it_looked_at();
                    answer
                }
            },
        }
    }

    /// The keyring's thread may be idle, and not know that the keyring was given up. In a full queue it finds out anyway.
    fn have_it_looked_at(&self) {
        let (reply, _) = oneshot::channel();
        let (op, write) = (Op::Look, 0);
        drop(self.owner().try_send(Command { op, write, reply }));
    }

    fn owner(&self) -> &mpsc::Sender<Command> {
        let Inner {
            owner,
            service,
            options,
            shared,
            ..
        } = &*self.inner;
        owner.get_or_init(|| {
            let (commands, queue) = mpsc::channel(QUEUE);
            owner::start(service.clone(), options.layout, shared.clone(), queue);
            commands
        })
    }

    fn remembered(&self) -> MutexGuard<'_, Memory> {
        self.inner.shared.remembered()
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
