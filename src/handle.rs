//! A watch in the hands of Rust code.

use std::pin::pin;

use contrail_sync_engine::{
    Delta, Edit, EditError, EditRecord, Engine, NewRecord, QueuedWrite, State, Status,
    Subscription, WatchError, WatchSpec, Writer,
};
use futures_util::{Stream, StreamExt, stream};

use crate::error::{Error, Result};

/// Follows a watch until it is dropped, or stopped. Made by [`ContrailSync::watch`](crate::ContrailSync::watch).
///
/// Its methods fail with [`WatchError::Ended`] once the app is ending.
pub struct WatchHandle {
    engine: Engine,
    spec: WatchSpec,
    subscription: Subscription,
    writer: Writer,
}

impl WatchHandle {
    pub(crate) async fn open(engine: Engine, spec: WatchSpec) -> Self {
        let subscription = engine.watch(spec.clone()).await;
        Self {
            writer: engine.writer(&subscription, &spec),
            engine,
            spec,
            subscription,
        }
    }

    /// Everything about the watch at this moment.
    pub async fn state(&self) -> Result<State> {
        let state = self.subscription.state().await;
        Ok(state.ok_or(WatchError::Ended)?)
    }

    /// The state now, and again whenever something changed since; changes meanwhile are one. It keeps the watch alive by
    /// itself, and ends with the app.
    pub fn states(&self) -> impl Stream<Item = State> + Send + 'static {
        let (engine, spec) = (self.engine.clone(), self.spec.clone());
        stream::unfold(None, move |followed: Option<Subscription>| {
            let (engine, spec) = (engine.clone(), spec.clone());
            async move {
                let followed = match followed {
                    Some(followed) => {
                        followed.next().await?;
                        followed
                    }
                    None => engine.watch(spec).await,
                };
                Some((followed.state().await?, Some(followed)))
            }
        })
    }

    /// The state now, and what changed since then or since the last change, whenever something did.
    pub async fn changes(&self) -> Result<(State, impl Stream<Item = Delta> + Send + 'static)> {
        let followed = self.engine.watch(self.spec.clone()).await;
        let state = followed.state().await.ok_or(WatchError::Ended)?;
        let changes = stream::unfold(followed, async |followed| {
            Some((followed.next().await?, followed))
        });
        Ok((state, changes))
    }

    /// Waits until the records are the server's. Fails with what ended the watch, if it is closed before.
    pub async fn live(&self) -> Result<()> {
        let mut states = pin!(self.states());
        while let Some(state) = states.next().await {
            match (state.status, state.error) {
                (Status::Live, _) => return Ok(()),
                (Status::Closed, Some(error)) => return Err(Error::Closed(error)),
                (Status::Closed, None) => break,
                _ => {}
            }
        }
        Err(WatchError::Ended.into())
    }

    /// Shows a record before the server has it, to all who follow this watch: as pending, in the place of the record
    /// that it changes, or in its own. It gives way to the real one.
    pub async fn add_optimistic(&self, record: EditRecord) -> Result<()> {
        self.edit(Edit::Add { record }).await
    }

    /// Marks the newest pending record of `rkey` as failed, of this author if one is named.
    pub async fn mark_failed(&self, rkey: &str, did: Option<&str>, error: EditError) -> Result<()> {
        let (rkey, did) = (rkey.to_owned(), did.map(Into::into));
        self.edit(Edit::Fail { rkey, did, error }).await
    }

    /// Takes the newest pending or failed record of `rkey` back, of this author if one is named: what the server has
    /// shows again.
    pub async fn remove_optimistic(&self, rkey: &str, did: Option<&str>) -> Result<()> {
        let (rkey, did) = (rkey.to_owned(), did.map(Into::into));
        self.edit(Edit::Remove { rkey, did }).await
    }

    /// Gives a record this body, new or not. Answers once it is kept on disk and shown; it is sent by the `sender` of the
    /// options as soon as the network allows, again after a restart if need be.
    ///
    /// # Errors
    /// It cannot be kept: then nothing is shown and nothing is sent.
    pub async fn put(&self, record: NewRecord) -> Result<QueuedWrite> {
        Ok(self.writer.put(record).await?)
    }

    /// Takes a record away, in the same way. It need not be in the list, if its author is told.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub async fn delete(&self, rkey: &str, did: Option<&str>) -> Result<QueuedWrite> {
        Ok(self.writer.delete(rkey, did).await?)
    }

    /// Fetches the next page of older records, where [`State::cursor`] says that there are some. Fails as any request may,
    /// and with [`WatchError::Ended`] when access is lost meanwhile.
    pub async fn load_more(&self) -> Result<()> {
        self.subscription.load_more().await?;
        Ok(())
    }

    /// Fetches the list as it is now, after an own write, say. What the server had at the time of the call is told from
    /// here on. Calls that come together share a request; a watch makes one a second at most.
    pub async fn refresh(&self) -> Result<()> {
        self.subscription.refresh().await?;
        Ok(())
    }

    /// Lets go of the watch, as dropping it does. Its connection lingers for a moment, for others to take over.
    pub fn stop(self) {}

    async fn edit(&self, edit: Edit) -> Result<()> {
        edit.check(self.engine.max_event_bytes())?;
        Ok(self.subscription.edit(edit).await?)
    }
}
