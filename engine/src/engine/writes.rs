//! Writing through a watch.

use std::sync::Arc;

use super::Engine;
use crate::{
    clock::now_ms,
    outbox::{MAX_RECORD_BYTES, NewRecord, Outbox, Sender, WriteError, WriteInfo},
    pure::{
        outbox::{
            row::{NewWrite, SentBy},
            write::{Action, WriteId, WriteState},
        },
        protocol::record::to_micros,
        store::{
            edit::{Edit, EditRecord},
            written::Target,
        },
    },
    watch::{
        keys,
        spec::{SenderSource, WatchSpec},
        subscription::{Subscription, Targeting},
        writes::{Wanted, shared},
    },
};

/// Writes records of one watch. It may outlive the subscription.
#[derive(Debug, Clone)]
pub struct Writer {
    outbox: Option<Outbox>,
    targeting: Targeting,
    account: Option<String>,
    view: String,
    sender: Option<SenderSource>,
}

/// A write that is on the disk.
#[derive(Debug, Clone)]
pub struct QueuedWrite {
    outbox: Outbox,
    id: WriteId,
}

impl Engine {
    /// The outbox, where there is one.
    pub fn outbox(&self) -> Option<&Outbox> {
        self.inner.outbox.as_ref()
    }

    /// Writes records of a watch that `subscription` follows; `spec` is its own.
    ///
    /// What is written is on the disk before [`put`](Writer::put) answers, is shown by every watch of its account that has the
    /// record, and is sent, in order, as soon as the network allows; again after a restart, if need be.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use contrail_sync_engine::{
    ///     Engine, EngineConfig, NamedSender, NewRecord, Outcome, OutboxConfig, SendRequest, SenderSource, WatchSpec,
    /// };
    /// use serde_json::{json, value::to_raw_value};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let appview = appview::Server::start(appview::Options::default()).await?;
    /// # let space = appview.open_space("lounge", "did:plc:alice")?;
    /// # let url = format!("{}/xrpc/com.example.message.watchRecords?{}", appview.url(), space.query);
    /// # let url: url::Url = url.parse()?;
    /// let sender = NamedSender::new("api", |request: SendRequest| async move {
    ///     println!("sending {}", request.write.uri);
    ///     Outcome::SENT
    /// });
    /// let mut config = EngineConfig::default();
    /// // In a program: `Some(data.join("outbox.sqlite"))`.
    /// config.outbox = Some(OutboxConfig::new(None).sender(sender));
    /// let engine = Engine::new(tokio::runtime::Handle::current(), config)?;
    ///
    /// let mut spec = WatchSpec::new(url, Arc::new(|_| true));
    /// spec.account = Some("did:plc:alice".into());
    /// spec.sender = Some(SenderSource::Named("api".into()));
    /// let watch = engine.watch(spec.clone()).await;
    /// let writer = engine.writer(&watch, &spec);
    ///
    /// let body = to_raw_value(&json!({ "text": "hello" }))?;
    /// let record = NewRecord::new("did:plc:alice", body).in_collection("com.example.message");
    /// let write = writer.put(record).await?;
    /// write.done().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn writer(&self, subscription: &Subscription, spec: &WatchSpec) -> Writer {
        Writer {
            outbox: self.inner.outbox.clone(),
            targeting: subscription.targeting(),
            account: spec.account.clone(),
            view: keys::cache_key(spec.url.as_str()),
            sender: spec.sender.clone(),
        }
    }

    /// Sends what is written through watches of this query and account by [`SenderSource::Followers`], for as long as the
    /// caller keeps `sender`. Of several the last one is asked.
    pub async fn lend_sender(&self, spec: &WatchSpec, sender: &Arc<dyn Sender>) {
        if let Some(outbox) = &self.inner.outbox {
            let view = keys::cache_key(spec.url.as_str());
            let sender = Arc::downgrade(sender);
            outbox.lend(spec.account.clone(), view, sender).await;
        }
    }
}

impl Writer {
    /// Gives a record this body, new or not. Answers once it is on the disk and shown.
    ///
    /// # Errors
    /// It cannot be kept: then nothing is shown and nothing is sent.
    pub async fn put(&self, record: NewRecord) -> Result<QueuedWrite, WriteError> {
        self.put_once(key(), record).await
    }

    /// The same; of two calls with one key only the first one writes.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    #[doc(hidden)]
    pub async fn put_once(
        &self,
        key: String,
        record: NewRecord,
    ) -> Result<QueuedWrite, WriteError> {
        let outbox = self.outbox()?;
        let record = EditRecord {
            rkey: record.rkey.unwrap_or_else(|| outbox.next_tid()),
            collection: record.collection,
            space: record.space,
            time_us: record.time_us.map(|it| to_micros(it as i64)),
            ..EditRecord::new(record.did, "", record.value)
        };
        let edit = Edit::Add { record };
        edit.check(MAX_RECORD_BYTES)?;
        let Edit::Add { record } = edit else {
            return Err(WriteError::Unknown);
        };
        let action = Action::Put(shared(record.value.clone()));
        let target = self.targeting.target(Wanted::Put(record)).await?;
        self.queue(key, target, action).await
    }

    /// Takes a record away. It need not be shown by the watch, if its author is told.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub async fn delete(&self, rkey: &str, did: Option<&str>) -> Result<QueuedWrite, WriteError> {
        self.delete_once(key(), rkey, did).await
    }

    /// The same; of two calls with one key only the first one writes.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    #[doc(hidden)]
    pub async fn delete_once(
        &self,
        key: String,
        rkey: &str,
        did: Option<&str>,
    ) -> Result<QueuedWrite, WriteError> {
        let (rkey, did) = (rkey.to_owned(), did.map(str::to_owned));
        let edit = Edit::Remove {
            rkey: rkey.clone(),
            did: did.clone(),
        };
        edit.check(MAX_RECORD_BYTES)?;
        let wanted = Wanted::Delete { rkey, did };
        let target = self.targeting.target(wanted).await?;
        self.queue(key, target, Action::Delete).await
    }

    fn outbox(&self) -> Result<&Outbox, WriteError> {
        self.outbox.as_ref().ok_or(WriteError::NoOutbox)
    }

    async fn queue(
        &self,
        key: String,
        target: Target,
        action: Action,
    ) -> Result<QueuedWrite, WriteError> {
        let outbox = self.outbox()?;
        let sent_by = match &self.sender {
            Some(SenderSource::Named(name)) => SentBy::Name(name.clone()),
            Some(SenderSource::Followers) => SentBy::Followers,
            None => {
                let message = "this watch has no sender: give it the option `sender`";
                return Err(WriteError::NoSender(message.into()));
            }
        };
        let new = NewWrite {
            key,
            account: self.account.clone(),
            uri: target.uri,
            space: target.space.as_deref().map(str::to_owned),
            action,
            swap: target.over,
            time_us: target.time_us,
            view: self.view.clone(),
            sent_by,
            queued_at: now_ms(),
        };
        Ok(QueuedWrite {
            id: outbox.put(new).await?,
            outbox: outbox.clone(),
        })
    }
}

impl QueuedWrite {
    /// Its number.
    pub fn id(&self) -> WriteId {
        self.id
    }

    /// How far it has come; `None` once it is over and nobody remembers.
    pub async fn info(&self) -> Option<WriteInfo> {
        self.outbox.info(self.id).await
    }

    /// Waits until the server has taken it.
    ///
    /// # Errors
    /// It was refused: [`retry`](Self::retry) or [`discard`](Self::discard) it. Or it was discarded, or the engine has ended.
    pub async fn done(&self) -> Result<(), WriteError> {
        let info = self.outbox.settled(self.id).await?;
        match (info.state, info.error) {
            (WriteState::Failed, Some(error)) | (WriteState::Discarded, Some(error)) => {
                Err(WriteError::Failed(error))
            }
            (WriteState::Discarded, None) => Err(WriteError::Discarded),
            _ => Ok(()),
        }
    }

    /// Sends it again: see [`Outbox::retry`].
    ///
    /// # Errors
    /// As there.
    pub async fn retry(&self) -> Result<(), WriteError> {
        self.outbox.retry(self.id).await
    }

    /// Takes it back: see [`Outbox::discard`].
    ///
    /// # Errors
    /// As there.
    pub async fn discard(&self) -> Result<(), WriteError> {
        self.outbox.discard(self.id).await
    }
}

/// One that no other write has.
fn key() -> String {
    let mut rng = fastrand::Rng::new();
    format!("{:016x}{:016x}", rng.u64(..), rng.u64(..))
}
