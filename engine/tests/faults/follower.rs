//! A watch on its way through an exchange that is cut: what it shows meanwhile, and what it comes to.

use std::sync::Arc;

use contrail_sync_engine::{ErrorKind, State, Status, Subscription, TransportKind};
use serde_json::Value;

use super::{
    exchanges::{Exchange, LAST},
    server::{Place, Server, Then},
};

/// What a watch came to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct End {
    pub status: Status,
    pub error: Option<ErrorKind>,
    pub records: Vec<Value>,
}

/// Which answer is cut, where, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    pub place: Place,
    pub at: usize,
    pub then: Then,
    /// Not the first connection is cut, but the second one: there is a list to lose.
    pub again: bool,
}

impl Cut {
    /// Which request is cut.
    pub(super) fn nth(&self) -> usize {
        1 + usize::from(self.again)
    }
}

/// A watch on its way through an exchange.
pub(super) struct Follower<'a> {
    pub exchange: &'a Exchange,
    pub server: &'a Server,
    pub watch: Subscription,
    pub cut: Option<Cut>,
    pub seen: Vec<ErrorKind>,
    /// It has been where it is to be.
    pub was_whole: bool,
}

impl Follower<'_> {
    /// Follows it to its end. All that shows on the way was told, and what every snapshot has goes on showing.
    pub(super) async fn follow(&mut self) -> End {
        loop {
            let state = self.watch.state().await.expect("the engine lives");
            self.look(&state);
            if is_over(self.exchange, &state) {
                let cut = self.cut.filter(|it| it.again);
                if cut.is_none_or(|it| self.server.count(it.place) > 2) {
                    return End {
                        status: state.status,
                        error: state.error.as_ref().map(|it| it.kind),
                        records: records(&state),
                    };
                }
                if self.exchange.transport == TransportKind::Poll {
                    // Which fails where the list is cut.
                    let _ = self.watch.refresh().await;
                    continue;
                }
            }
            self.watch.next().await.expect("the engine lives");
        }
    }

    fn look(&mut self, state: &State) {
        let (name, cut) = (&self.exchange.name, &self.cut);
        for entry in &state.entries {
            let body: Value = serde_json::from_str(entry.record.value.get()).unwrap();
            let mut told = self.exchange.told.iter();
            let is_told = entry.record.rkey() == LAST
                || told.any(|(uri, told)| *uri == *entry.record.uri.as_str() && *told == body);
            assert!(is_told, "{name} {cut:?}: nobody told {entry:?}");
        }
        let shows = |uri: &&String| {
            state
                .entries
                .iter()
                .any(|it| it.record.uri.as_str() == **uri)
        };
        let lasting = self.exchange.lasting.iter();
        self.was_whole |= lasting.clone().all(|it| shows(&it));
        if self.was_whole && state.status != Status::Closed {
            let lost: Vec<_> = lasting.filter(|it| !shows(it)).collect();
            assert!(lost.is_empty(), "{name} {cut:?}: lost {lost:?}");
        }
        if let Some(error) = &state.error
            && self.seen.last() != Some(&error.kind)
        {
            self.seen.push(error.kind);
        }
    }
}

fn is_over(exchange: &Exchange, state: &State) -> bool {
    let has_last = state.entries.iter().any(|it| it.record.rkey() == LAST);
    state.status == Status::Closed
        || (state.status == Status::Live && has_last == exchange.has_last)
            && (exchange.transport == TransportKind::Poll || exchange.has_last)
}

fn records(state: &State) -> Vec<Value> {
    let record = |entry: &Arc<contrail_sync_engine::Entry>| {
        let mut record = serde_json::to_value(&entry.record).unwrap();
        // Of a record that was published, when that was heard.
        record.as_object_mut().unwrap().remove("indexed_at");
        record
    };
    state.entries.iter().map(record).collect()
}
