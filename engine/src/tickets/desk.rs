//! The ticket desk of one watch: holds the ticket, reads and writes the vault, mints when it must.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use tracing::{debug, warn};
use url::Url;

use super::{
    MintReason, MintRequest, Minter, TicketError, TicketSource, TicketStanding, TicketState, stored,
};
use crate::{
    id::WatchId,
    pure::protocol::ticket::Ticket,
    transport::http::Http,
    vault::{Secret, Vault},
};

/// A ticket with less life than this is not worth a connect.
const LEAST_LIFE: Duration = Duration::from_secs(10);
/// Longest wait for the vault before minting instead: a hanging keyring must not delay a connect.
const VAULT_GRACE: Duration = Duration::from_millis(500);

/// What a desk works with.
#[derive(Clone)]
pub(crate) struct DeskConfig {
    pub vault: Vault,
    pub http: Http,
    /// Longest time for one mint.
    pub mint_timeout: Duration,
    /// Static tickets of accounts that were removed: servers still take them until they expire.
    pub revoked: Arc<Mutex<VecDeque<Ticket>>>,
    pub logouts: Logouts,
}

/// Counts the logouts of an engine, for all its desks: what a desk holds, or waits for, since before one is forgotten.
#[derive(Clone, Default)]
pub(crate) struct Logouts(Arc<AtomicU64>);

impl Logouts {
    /// From now on no desk has a ticket, and none that is on its way is kept.
    pub(crate) fn log_out(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Revoked tickets that are remembered.
const MAX_REVOKED: usize = 256;

/// One watch's tickets.
pub(crate) struct Desk {
    watch: WatchId,
    config: DeskConfig,
    source: TicketSource,
    url: Url,
    account: Option<String>,
    /// The ticket's name in the vault.
    name: String,
    held: Mutex<Held>,
    /// Lets one write to the vault follow the other.
    writing: tokio::sync::Mutex<()>,
    /// Lets one mint follow the other: the second one finds the ticket of the first.
    minting: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Held {
    ticket: Option<Ticket>,
    /// Why the next ticket will be wanted, once there was one.
    wanted: Option<MintReason>,
    /// Counts how often all was forgotten.
    generation: u64,
    /// The logouts that it knows of.
    logouts: u64,
    /// The vault was asked: from then on this process knows better.
    asked_vault: bool,
}

impl Desk {
    pub(crate) fn new(
        watch: WatchId,
        config: DeskConfig,
        source: TicketSource,
        url: Url,
        account: Option<String>,
        guard_id: &str,
    ) -> Self {
        let name = stored::name(&source, &url, account.as_deref(), guard_id);
        let held = Held {
            logouts: config.logouts.count(),
            ..Held::default()
        };
        Self {
            watch,
            config,
            source,
            url,
            account,
            name,
            held: Mutex::new(held),
            writing: tokio::sync::Mutex::default(),
            minting: tokio::sync::Mutex::default(),
        }
    }

    /// The ticket for the next connect: the one at hand if it lives long enough, else a fresh one.
    pub(crate) async fn ticket(
        self: &Arc<Self>,
        followers: Vec<Arc<dyn Minter>>,
    ) -> Result<Option<Ticket>, TicketError> {
        match &self.source {
            TicketSource::Public => return Ok(None),
            TicketSource::Static(ticket) if self.is_revoked(ticket) => {
                return Err(TicketError::Revoked);
            }
            TicketSource::Static(ticket) => return Ok(Some(ticket.clone())),
            TicketSource::Minter(_) | TicketSource::Followers => {}
        }
        let _turn = self.minting.lock().await;
        let generation = self.generation();
        if let Some(ticket) = self.at_hand() {
            return Ok(Some(ticket));
        }
        if let Some(ticket) = self.stored().await {
            let mut held = self.lock();
            if held.generation != generation {
                return Err(TicketError::Cleared);
            }
            held.ticket = Some(ticket.clone());
            return Ok(Some(ticket));
        }
        let ticket = self.mint(followers).await?;
        match self.keep(ticket.clone(), generation) {
            true => Ok(Some(ticket)),
            false => Err(TicketError::Cleared),
        }
    }

    /// A fresh ticket came with a handshake of the given generation: it takes the place of the one that was used.
    pub(crate) fn roll(self: &Arc<Self>, ticket: Ticket, generation: u64) {
        if self.source.can_mint() {
            self.keep(ticket, generation);
        }
    }

    /// Counts how often the tickets were cleared.
    pub(crate) fn generation(&self) -> u64 {
        self.lock().generation
    }

    /// The account was removed: a ticket that was given for good must not open anything again.
    pub(crate) fn revoke(&self) {
        if let TicketSource::Static(ticket) = &self.source {
            let mut revoked = self
                .config
                .revoked
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            revoked.push_back(ticket.clone());
            if revoked.len() > MAX_REVOKED {
                revoked.pop_front();
            }
        }
    }

    /// How it stands with the ticket, for those who look.
    pub(crate) fn standing(&self) -> TicketStanding {
        let is_minting = self.minting.try_lock().is_err();
        let held = self.lock();
        let (ticket, state) = match (&self.source, &held.ticket) {
            (TicketSource::Public, _) => (None, TicketState::None),
            (TicketSource::Static(ticket), _) if self.is_revoked(ticket) => {
                (Some(ticket), TicketState::Refused)
            }
            (TicketSource::Static(ticket), _) => (Some(ticket), TicketState::Held),
            (_, Some(ticket)) if lives_long_enough(ticket) => (Some(ticket), TicketState::Held),
            _ if is_minting => (None, TicketState::Minting),
            (_, Some(ticket)) => (Some(ticket), TicketState::Expired),
            (_, None) => match held.wanted {
                Some(MintReason::Refused) => (None, TicketState::Refused),
                _ => (None, TicketState::None),
            },
        };
        let expiry = ticket.and_then(|it| expiry(it.expose()));
        TicketStanding {
            state,
            expires_at: expiry.and_then(|it| i64::try_from(it.as_millis()).ok()),
        }
    }

    fn is_revoked(&self, ticket: &Ticket) -> bool {
        let revoked = self
            .config
            .revoked
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        revoked.contains(ticket)
    }

    /// The server does not take the ticket.
    pub(crate) fn refused(self: &Arc<Self>) {
        self.forget(Some(MintReason::Refused));
    }

    /// The server does not take this ticket. Another one may have come meanwhile.
    pub(crate) fn refused_this(self: &Arc<Self>, ticket: Option<&Ticket>) {
        let is_held = self.lock().ticket.as_ref() == ticket;
        if is_held {
            self.refused();
        }
    }

    /// Nobody may use the ticket any more: logout, or access lost.
    pub(crate) fn clear(self: &Arc<Self>) {
        self.forget(None);
    }

    fn forget(self: &Arc<Self>, wanted: Option<MintReason>) {
        {
            let mut held = self.lock();
            if wanted.is_none() {
                held.forget();
            }
            held.ticket = None;
            held.wanted = wanted;
            held.asked_vault = true;
        }
        if self.source.can_mint() {
            self.write();
        }
    }

    /// Keeps a ticket that was asked for in this generation, and says whether it still is wanted.
    fn keep(self: &Arc<Self>, ticket: Ticket, generation: u64) -> bool {
        {
            let mut held = self.lock();
            if held.generation != generation {
                return false;
            }
            held.ticket = Some(ticket);
            held.wanted = Some(MintReason::Expired);
            held.asked_vault = true;
        }
        self.write();
        true
    }

    /// Brings the vault up to date, beside the connection. Each write stores what is true by then.
    fn write(self: &Arc<Self>) {
        let desk = self.clone();
        tokio::spawn(async move {
            let _turn = desk.writing.lock().await;
            let (ticket, generation) = {
                let held = desk.lock();
                (held.ticket.clone(), held.generation)
            };
            let vault = &desk.config.vault;
            let written = match ticket {
                Some(ticket) => {
                    let secret = Secret::new(ticket.expose());
                    // A logout may come before its turn at the keyring.
                    let is_wanted = || desk.generation() == generation;
                    stored::store_while(vault, &desk.name, secret, is_wanted).await
                }
                None => vault.delete(&desk.name).await,
            };
            if let Err(error) = written {
                warn!(watch = %desk.watch, %error, "a ticket was not stored");
            }
        });
    }

    fn at_hand(&self) -> Option<Ticket> {
        let held = self.lock();
        held.ticket.clone().filter(lives_long_enough)
    }

    async fn stored(&self) -> Option<Ticket> {
        if std::mem::replace(&mut self.lock().asked_vault, true) {
            return None;
        }
        let asked = tokio::time::timeout(VAULT_GRACE, self.config.vault.get(&self.name)).await;
        match asked {
            Ok(Ok(secret)) => {
                let ticket = Ticket::parse(secret?.expose()).ok()?;
                self.lock().wanted = Some(MintReason::Expired);
                lives_long_enough(&ticket).then_some(ticket)
            }
            Ok(Err(error)) => {
                warn!(watch = %self.watch, %error, "the vault gave no ticket");
                None
            }
            Err(_) => {
                debug!(watch = %self.watch, "the vault is slow, minting instead");
                None
            }
        }
    }

    /// Asks one minter after the other until one gives a ticket.
    async fn mint(&self, followers: Vec<Arc<dyn Minter>>) -> Result<Ticket, TicketError> {
        let request = MintRequest {
            url: self.url.clone(),
            account: self.account.clone(),
            reason: self.lock().wanted.unwrap_or(MintReason::First),
            http: self.config.http.clone(),
            vault: self.config.vault.clone(),
        };
        let minters = match &self.source {
            TicketSource::Minter(named) => vec![named.minter.clone()],
            _ => followers,
        };
        let after = self.config.mint_timeout;
        let mut failure = TicketError::NobodyMints;
        for minter in minters {
            let minted = tokio::time::timeout(after, minter.mint(request.clone())).await;
            match minted.unwrap_or(Err(TicketError::Timeout { after })) {
                Ok(ticket) => return Ok(ticket),
                Err(error) => {
                    debug!(watch = %self.watch, %error, reason = ?request.reason, "mint failed");
                    failure = error;
                }
            }
        }
        Err(failure)
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let logouts = self.config.logouts.count();
        if held.logouts != logouts {
            held.forget();
            held.logouts = logouts;
        }
        held
    }
}

impl Held {
    /// Nobody may use the ticket any more, nor one that is on its way.
    fn forget(&mut self) {
        self.ticket = None;
        self.wanted = None;
        self.asked_vault = true;
        self.generation += 1;
    }
}

fn lives_long_enough(ticket: &Ticket) -> bool {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    // An expiry that cannot be read is unknown: the server will say.
    expiry(ticket.expose()).is_none_or(|expiry| expiry >= now + LEAST_LIFE)
}

/// When a ticket expires, since the Unix epoch, if its payload says so in milliseconds.
fn expiry(ticket: &str) -> Option<Duration> {
    #[derive(Deserialize)]
    struct Payload {
        exp: f64,
    }
    let (payload, _) = ticket.split_once('.')?;
    let json = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let Payload { exp } = serde_json::from_slice(&json).ok()?;
    Duration::try_from_secs_f64(exp / 1000.0).ok()
}

#[cfg(test)]
#[path = "desk_tests.rs"]
mod tests;
