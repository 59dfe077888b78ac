//! Writes of pages: each through a handle, so that its account, its sender and what it may write to are the handle's.

use contrail_sync_engine::{NewRecord, Outbox, WriteChanges, WriteError, WriteInfo, WriteState};

use super::{Bridge, SendAnswer, key};
use crate::{
    bounds,
    error::{Error, Result},
};

/// Longest key by which a page tells one write from another.
const MAX_NONCE: usize = 64;

/// A record that a page wants to be written or gone.
pub(crate) enum Wanted {
    /// With this body.
    Put(NewRecord),
    /// Gone: its record key, and its author.
    Delete(String, Option<String>),
}

impl Bridge {
    /// Keeps a write on disk and shows it. The page numbers its writes: one that is known already is answered again.
    pub(crate) async fn write(
        &self,
        label: &str,
        session: &str,
        handle: u32,
        nonce: String,
        wanted: Wanted,
    ) -> Result<WriteInfo> {
        bounds::check("nonce", &*nonce, MAX_NONCE)?;
        let writer = self.slot(label, session, handle)?.open()?.writer.clone();
        let written = match wanted {
            Wanted::Put(record) => writer.put_once(nonce, record).await?,
            Wanted::Delete(rkey, did) => writer.delete_once(nonce, &rkey, did.as_deref()).await?,
        };
        Ok(written.info().await.ok_or(WriteError::Ended)?)
    }

    /// Sends a write of a handle's account again, now.
    pub(crate) async fn retry(
        &self,
        label: &str,
        session: &str,
        handle: u32,
        id: u64,
    ) -> Result<()> {
        self.check_own(self.account(label, session, handle)?, id)
            .await?;
        Ok(self.outbox()?.retry(id).await?)
    }

    /// Takes a write of a handle's account back. Answers what has become of it: a sender may have it at the moment, or the
    /// server already. `None` if that is not known any more.
    pub(crate) async fn discard(
        &self,
        label: &str,
        session: &str,
        handle: u32,
        id: u64,
    ) -> Result<Option<WriteInfo>> {
        let account = self.account(label, session, handle)?;
        let outbox = self.outbox()?;
        // It may be over unknown to the page, or another one was faster to take it back.
        let known = outbox.info(id).await.filter(|it| it.account == account);
        if let Some(over) = known.filter(|it| it.state.is_over()) {
            return Ok(Some(over));
        }
        self.check_own(account, id).await?;
        outbox.discard(id).await?;
        Ok(outbox.info(id).await)
    }

    /// Whose watch it is.
    fn account(&self, label: &str, session: &str, handle: u32) -> Result<Option<String>> {
        Ok(self.slot(label, session, handle)?.open()?.account.clone())
    }

    /// A page decides about the writes of the accounts whose watches it has.
    async fn check_own(&self, account: Option<String>, id: u64) -> Result<()> {
        let writes = self.outbox()?.writes(account.clone()).await;
        match writes.iter().any(|it| it.id == id && it.account == account) {
            true => Ok(()),
            false => Err(WriteError::Unknown.into()),
        }
    }

    /// What has changed of an account's writes after a revision; waits for it, but no longer than a page should.
    pub(crate) async fn write_changes(
        &self,
        account: Option<String>,
        after: u64,
    ) -> Result<WriteChanges> {
        bounds::check("account", account.as_deref(), bounds::ACCOUNT)?;
        let changes = self.outbox()?.changes(account, after);
        match tokio::time::timeout(super::LONGEST_POLL, changes).await {
            Ok(changes) => Ok(changes?),
            Err(_) => Ok(WriteChanges::none(after)),
        }
    }

    /// What waits of an account's writes, or of all.
    pub(crate) async fn writes(&self, account: Option<String>) -> Result<Vec<WriteInfo>> {
        bounds::check("account", account.as_deref(), bounds::ACCOUNT)?;
        let mut writes = self.outbox()?.writes(account).await;
        writes.retain(|it| it.state != WriteState::Confirmed);
        Ok(writes)
    }

    /// Takes all of them back. Says how many.
    pub(crate) async fn discard_all(&self, account: Option<String>) -> Result<usize> {
        bounds::check("account", account.as_deref(), bounds::ACCOUNT)?;
        Ok(self.outbox()?.discard_all(account).await?)
    }

    /// A new record key.
    pub(crate) fn next_tid(&self) -> Result<String> {
        Ok(self.outbox()?.next_tid())
    }

    /// The page's answer to a [`super::sending::SendAsk`]. One that comes too late is dropped.
    pub(crate) fn answer_send(
        &self,
        label: &str,
        session: &str,
        handle: u32,
        request: u32,
        answer: SendAnswer,
    ) {
        let slot = self.lock().get(&key(label, session), handle);
        if let Ok(slot) = slot
            && let Some(sender) = slot.open.get().and_then(|it| it.sender.as_ref())
        {
            sender.page.0.answer(request, answer);
        }
    }

    fn outbox(&self) -> Result<&Outbox> {
        let outbox = self.engine.outbox();
        outbox.ok_or_else(|| Error::Write(WriteError::NoOutbox))
    }
}
