//! What a watch does for those who ask.

use std::sync::{Arc, atomic::Ordering};

use tokio::sync::oneshot;

use super::{
    Watch,
    command::{Admission, Command},
    error::WatchError,
    follower::Follower,
};
use crate::{
    clock::now_us,
    pure::{
        lifecycle::machine::Input,
        store::{
            edit::Edit,
            optimistic::{EditRefused, MAX_OPTIMISTIC},
        },
    },
};

impl Watch {
    pub(super) fn command(&mut self, command: Command) {
        match command {
            Command::Subscribe {
                alive,
                minter,
                reply,
            } => {
                let id = self.next_follower;
                self.next_follower += 1;
                let alive = Arc::new(alive);
                self.followers
                    .insert(id, Follower::new(Arc::downgrade(&alive), minter));
                self.lingering.stop();
                self.polling.seen(true);
                if let Some(persist) = &mut self.persist {
                    persist.read();
                }
                self.input(Input::Start);
                if self.is_offline() {
                    self.input(Input::Suspend);
                }
                // A caller that is gone drops the admission, which ends the subscription.
                let _ = reply.send(Admission {
                    id,
                    watch: self.id,
                    alive,
                });
            }
            Command::State { .. } if self.is_closing() => self.held.push(command),
            Command::State {
                id,
                seen,
                budget,
                reply,
            } => {
                // Changes of this moment are part of the state, so they must not follow as a delta too.
                self.note_changes();
                if let Some(follower) = self.followers.get_mut(&id) {
                    let _ = reply.send(follower.state(seen, &self.replica, budget));
                }
            }
            Command::Pull {
                id,
                seen,
                now,
                budget,
                reply,
            } => {
                if let Some(follower) = self.followers.get_mut(&id) {
                    follower.wait(seen, budget, reply);
                    if now {
                        if !self.first_frame.is_on() {
                            follower.deliver(&self.replica);
                        }
                        follower.stop_waiting();
                    }
                }
            }
            Command::Edit { edit, reply } => {
                let _ = reply.send(self.edit(edit));
            }
            Command::Target { wanted, reply } => {
                let _ = reply.send(self.target(&wanted));
            }
            Command::Written(news) => self.written(news),
            Command::LoadMore { id, reply } => self.load_more((id, reply)),
            Command::Refresh { id, reply } => self.refresh((id, reply)),
            Command::Seen { id, seen } => self.look(id, seen),
            Command::Report { reply } => {
                let _ = reply.send(self.report());
            }
            Command::Drop { reply } => {
                let _ = reply.send(self.drop_connection());
            }
            Command::LookAgain { reply } => {
                let _ = reply.send(self.look_again());
            }
            Command::Wake if self.is_offline() => {}
            Command::Wake => {
                self.polling.hurry();
                self.input(Input::Wake);
            }
            Command::Suspend { done } => {
                // Nobody would miss it when it wakes.
                let alone = self.followers.is_empty();
                self.input(if alone { Input::Stop } else { Input::Suspend });
                self.write_now(done);
            }
            Command::Flush { done } => self.write_now(done),
        }
    }

    pub(super) fn is_offline(&self) -> bool {
        self.settings.shared.offline.load(Ordering::Relaxed)
    }

    pub(super) fn write_now(&mut self, done: oneshot::Sender<()>) {
        self.note_changes();
        if let Some(persist) = &mut self.persist {
            persist.flush(self.replica.store(), done);
        }
    }

    pub(super) fn edit(&mut self, edit: Edit) -> Result<(), WatchError> {
        let edited = self.replica.store_mut().edit(edit, now_us());
        edited.map_err(|refused| match refused {
            EditRefused::TooMany => WatchError::TooMany {
                what: "optimistic records",
                limit: MAX_OPTIMISTIC,
            },
            EditRefused::Nameless => WatchError::Nameless,
        })
    }
}
