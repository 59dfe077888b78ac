//! One handle's flow of deltas: at most one on its way to the page, and what changes meanwhile merges.

use std::sync::Arc;

use contrail_sync_engine::Subscription;
use tokio::sync::{mpsc, oneshot};

use super::payload;
use crate::error::{Error, Result};

/// Questions of the page that may wait for the task; more of them wait at their command.
const QUESTIONS: usize = 16;

/// The task of one handle, as the page's commands reach it. Dropping this ends it.
pub(super) struct Flow {
    questions: mpsc::Sender<Question>,
}

enum Question {
    /// Everything. Counts as applied.
    State(oneshot::Sender<Result<String>>),
    /// What is new, by one who has applied `rev`.
    Ack {
        rev: u64,
        answer: oneshot::Sender<Result<Option<String>>>,
    },
}

impl Flow {
    /// Starts the task. `send` gives the page a delta as an event, and says whether that went well.
    pub(super) fn start(
        handle: u32,
        subscription: Arc<Subscription>,
        send: impl Fn(String) -> bool + Send + 'static,
    ) -> Self {
        let (questions, asked) = mpsc::channel(QUESTIONS);
        let pump = Pump {
            handle,
            subscription,
            under_way: Some(0),
        };
        tokio::spawn(pump.run(asked, send));
        Self { questions }
    }

    /// The state as JSON.
    pub(super) async fn state(&self) -> Result<String> {
        self.ask(Question::State).await
    }

    /// The page has applied `rev`: the next delta as JSON, if there is one right now. Else it goes as an event.
    pub(super) async fn ack(&self, rev: u64) -> Result<Option<String>> {
        self.ask(|answer| Question::Ack { rev, answer }).await
    }

    /// Whether nothing comes any more.
    pub(super) fn has_ended(&self) -> bool {
        self.questions.is_closed()
    }

    async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<Result<T>>) -> Question,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let asked = self.questions.send(question(answer)).await;
        asked.map_err(|_| Error::UnknownWatch)?;
        answered.await.map_err(|_| Error::UnknownWatch)?
    }
}

struct Pump {
    handle: u32,
    subscription: Arc<Subscription>,
    /// The revision that the page was told and has not acknowledged. The state comes first.
    under_way: Option<u64>,
}

impl Pump {
    /// Runs until nobody asks any more, the watch ends, or the page cannot be reached. The last two the page
    /// learns as it next asks: its handle is unknown then.
    async fn run(mut self, mut asked: mpsc::Receiver<Question>, send: impl Fn(String) -> bool) {
        loop {
            tokio::select! {
                question = asked.recv() => match question {
                    Some(question) => self.answer(question).await,
                    None => return,
                },
                delta = self.subscription.next(), if self.under_way.is_none() => {
                    let Some(delta) = delta else { return };
                    self.under_way = Some(delta.rev);
                    let written = payload::delta(self.handle, &delta)
                        .inspect_err(|error| {
                            let watch = self.subscription.watch_id().map(tracing::field::display);
                            tracing::error!(watch, %error, "a delta cannot be written");
                        });
                    if !written.is_ok_and(&send) {
                        return;
                    }
                }
            }
        }
    }

    /// A page that does not wait for the answer any more asks again, or is gone.
    async fn answer(&mut self, question: Question) {
        match question {
            Question::State(answer) => drop(answer.send(self.state().await)),
            Question::Ack { rev, answer } => drop(answer.send(self.ack(rev).await)),
        }
    }

    async fn state(&mut self) -> Result<String> {
        let state = self.subscription.state().await;
        let state = state.ok_or(Error::UnknownWatch)?;
        // With more to come, the page says when it is ready for it.
        self.under_way = state.more.then_some(state.rev);
        Ok(payload::state(
            payload::Origin::of(&self.subscription),
            &state,
        )?)
    }

    /// Acknowledgements that come twice, or of what is not under way, change nothing.
    async fn ack(&mut self, rev: u64) -> Result<Option<String>> {
        if self.under_way != Some(rev) {
            return Ok(None);
        }
        self.under_way = None;
        let Some(delta) = self.subscription.try_next().await else {
            return Ok(None);
        };
        self.under_way = Some(delta.rev);
        Ok(Some(payload::delta(self.handle, &delta)?))
    }
}
