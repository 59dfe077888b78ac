//! What the lifecycle tells a watch to do with the world.

use std::sync::Arc;

use futures_util::{FutureExt, future::BoxFuture};
use tokio::time::Instant;
use tracing::{Instrument, debug_span, warn};

use super::{Watch, connection::Connection, error::WatchError};
use crate::{
    gauge::MomentKind,
    pure::{
        lifecycle::machine::Input, protocol::bound::Bound, replica::Action, store::window::Wanted,
    },
    tickets::Minter,
    transport::{ConnectRequest, Events, TransportError, http},
};

impl Watch {
    pub(super) fn perform_all(&mut self, mut actions: Vec<Action>) {
        for action in actions.drain(..) {
            self.perform(action);
        }
        self.actions = actions;
    }

    /// One line of log for each bound is enough.
    pub(super) fn left_out(&mut self, bound: Bound) {
        self.settings.shared.statistics.left_out();
        self.counted.left_out += 1;
        if !self.left_out.contains(&bound) {
            self.left_out.push(bound);
            self.gauge.note(MomentKind::LeftOut, bound.to_string());
            warn!(watch = %self.id, url = %http::bare(&self.spec.url), %bound, "left out what the server sent");
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Connect => {
                self.settings.shared.statistics.connecting();
                self.connecting();
                self.wait.stop();
                self.connection = Connection::Opening(self.id, self.connect());
            }
            Action::Disconnect => {
                self.wait.stop();
                self.compare.stop();
                self.pager.compare(false);
                self.connection = Connection::None;
            }
            Action::Wait(delay) => {
                self.note_wait(delay);
                self.wait.after(delay);
            }
            Action::CompareAfter(delay) => self.compare.after(delay),
            Action::Compare => self.compare(),
            Action::DropTicket => self.desk.refused(),
            Action::LeftOut(bound) => self.left_out(bound),
            Action::Synced => {
                self.tell_reached();
                if self.replica.store().has_stale_pages() {
                    self.pager.refresh_soon();
                }
                if let Some(persist) = &mut self.persist {
                    persist.synced();
                }
                if self.pager.wants_fresh() {
                    self.input(Input::Refresh);
                }
                if self.pager.wanted() != Wanted::default() {
                    self.page();
                }
            }
            Action::PurgeSpace { space } => {
                self.gauge
                    .note(MomentKind::Purged, "access to one space was lost");
                self.tell_lost(Some(&space));
                self.note_changes();
                if let Some(persist) = &mut self.persist {
                    persist.purge_space(space);
                }
            }
            Action::Purge { kicked } => {
                self.gauge.note(MomentKind::Purged, "access was lost");
                self.tell_lost(None);
                self.pager.stop();
                self.desk.clear();
                if kicked {
                    self.desk.revoke();
                }
                self.note_changes();
                if let Some(persist) = &mut self.persist {
                    persist.purge();
                }
            }
        }
    }

    fn connect(&mut self) -> BoxFuture<'static, Result<Events, WatchError>> {
        self.generation = self.desk.generation();
        let mut request = self.request();
        let (transport, desk) = (self.transport.clone(), self.desk.clone());
        let followers = self.minters();
        let is_anonymous = self.spec.is_anonymous();
        let gauge = self.gauge.clone();
        let span = debug_span!("connect", attempt = self.counted.connects);
        let connecting = async move {
            request.ticket = desk.ticket(followers).await?;
            let asked = Instant::now();
            let connected = transport.connect(request).await;
            if connected.is_ok() {
                gauge.connected(asked.elapsed());
            }
            connected.map_err(|error| match error {
                TransportError::AuthRequired { .. } if is_anonymous => WatchError::NoTicket(error),
                error => error.into(),
            })
        };
        connecting.instrument(span).boxed()
    }

    /// A request for this watch, still without a ticket.
    pub(super) fn request(&self) -> ConnectRequest {
        ConnectRequest {
            watch: self.id,
            url: self.spec.url.clone(),
            ticket: None,
            ticket_in: self.spec.ticket_in,
            guard: self.spec.guard.clone(),
            idle_timeout: self.spec.idle_timeout,
            max_event_bytes: self.settings.max_event_bytes,
            polling: self.polling.clone(),
            gauge: self.gauge.clone(),
        }
    }

    /// Those who can mint, the newest first: its window is the likeliest to be awake.
    pub(super) fn minters(&self) -> Vec<Arc<dyn Minter>> {
        let mut followers: Vec<_> = self.followers.iter().collect();
        followers.sort_unstable_by_key(|(id, _)| std::cmp::Reverse(**id));
        followers
            .into_iter()
            .filter_map(|(_, it)| it.minter.clone())
            .collect()
    }
}
