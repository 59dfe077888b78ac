//! A watch and the outbox: what it shows of it, and what it tells it.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::value::RawValue;
use tokio::sync::Notify;

use super::{Watch, error::WatchError, keys};
use crate::{
    clock::now_us,
    pure::{
        outbox::row::Lost,
        protocol::record::AtUri,
        store::{
            edit::EditRecord,
            written::{Overlay, Target},
        },
    },
};

/// A record that is to be written.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// With this body.
    Put(EditRecord),
    /// Gone.
    Delete { rkey: String, did: Option<String> },
}

/// What a watch of the outbox's account is to show.
#[derive(Debug, Clone)]
pub(crate) enum News {
    /// The record as its last write leaves it. Queries through which it was written show it even if they do not have it.
    Shown {
        views: Arc<HashSet<String>>,
        overlay: Box<Overlay>,
    },
    /// Nothing is written to this record any more.
    Over {
        uri: AtUri,
        space: Option<Arc<str>>,
        /// A watch has shown what became of it.
        confirmed: bool,
    },
    /// None after all.
    Nothing,
}

/// What watches tell the outbox. Nothing is told twice, so that it holds no more than there are writes and queries.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    heard: Mutex<Heard>,
    told: Notify,
}

/// What was told since it was asked last.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Writes whose outcome the server has shown.
    pub confirmed: HashSet<u64>,
    /// What accounts may not see any more.
    pub lost: HashMap<Option<String>, HashSet<Lost>>,
    /// A server was reached.
    pub reached: bool,
}

impl Notes {
    /// Waits until something is told.
    pub(crate) async fn told(&self) {
        self.told.notified().await;
    }

    pub(crate) fn take(&self) -> Heard {
        std::mem::take(&mut self.lock())
    }

    fn tell(&self, tell: impl FnOnce(&mut Heard)) {
        tell(&mut self.lock());
        self.told.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// Which record is meant, and what is known of it.
    pub(super) fn target(&self, wanted: &Wanted) -> Result<Target, WatchError> {
        let store = self.replica.store();
        let target = match wanted {
            Wanted::Put(record) => store.put_target(record, now_us()),
            Wanted::Delete { rkey, did } => store.delete_target(rkey, did.as_deref()),
        };
        target.ok_or(WatchError::Nameless)
    }

    /// Shows what the outbox is about to write.
    pub(super) fn written(&mut self, news: News) {
        match news {
            News::Shown { views, mut overlay } => {
                overlay.adds = views.contains(&keys::cache_key(self.spec.url.as_str()));
                let sent = overlay.written.sent;
                self.replica.store_mut().show_write(*overlay, now_us());
                if sent {
                    // What a server without a stream has now is only in its next list.
                    self.polling.hurry();
                }
            }
            News::Nothing => {}
            News::Over {
                uri,
                space,
                confirmed,
            } => {
                let store = self.replica.store_mut();
                store.withdraw_write(uri.as_str(), space.as_ref(), confirmed);
            }
        }
    }

    /// Tells the outbox what the server has shown.
    pub(super) fn tell_outbox(&mut self) {
        let confirmed = self.replica.store_mut().take_confirmed();
        if !confirmed.is_empty()
            && let Some(notes) = &self.settings.notes
        {
            notes.tell(|heard| heard.confirmed.extend(confirmed));
        }
    }

    /// Tells the outbox that the account may not see these records any more.
    pub(super) fn tell_lost(&self, space: Option<&str>) {
        let lost = match space {
            Some(space) => Lost::Space(space.to_owned()),
            None => Lost::View(keys::cache_key(self.spec.url.as_str())),
        };
        if let Some(notes) = &self.settings.notes {
            let account = self.spec.account.clone();
            notes.tell(|heard| {
                heard.lost.entry(account).or_default().insert(lost);
            });
        }
    }

    /// Tells the outbox that the network is there.
    pub(super) fn tell_reached(&self) {
        if let Some(notes) = &self.settings.notes {
            notes.tell(|heard| heard.reached = true);
        }
    }
}

/// A body that several may hold.
pub(crate) fn shared(value: Box<RawValue>) -> Arc<RawValue> {
    Arc::from(value)
}
