//! Where the watch gets its tickets: what `tickets/` of the engine does, on the simulated clock.

use contrail_sync_engine::{ErrorKind, internals::Failure, pure::lifecycle::machine::Input};

use crate::{
    schedule::Listing,
    world::{Event, MS, SECOND, Ticket, World},
};

/// A ticket with less life than this is not worth a connect, in milliseconds.
const LEAST_LIFE: u64 = 10_000;
const MINT_TIMEOUT: u64 = 10 * SECOND;

/// Where tickets come from.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    pub(crate) held: Option<Ticket>,
}

impl World {
    /// The ticket at hand, if it lives long enough by the device's clock.
    pub(crate) fn ticket(&self) -> Option<Ticket> {
        if self.setup.listing == Listing::Always {
            // Everybody's records need none.
            return Some(self.roll());
        }
        let wall = self.wall();
        self.desk
            .held
            .filter(|it| it.expires >= wall + LEAST_LIFE && it.account == self.account)
    }

    /// What the app's minter will answer, and when.
    pub(crate) fn mint(&mut self) -> (u64, Result<Ticket, Failure>) {
        if self.faults.mint_hangs > 0 {
            self.faults.mint_hangs -= 1;
            let failure = Failure::new(ErrorKind::MintTimeout, "no answer");
            return (MINT_TIMEOUT, Err(failure));
        }
        let is_out = self.server.member_of.is_empty() && !self.setup.community;
        if self.faults.mint_fails > 0 || is_out {
            self.faults.mint_fails = self.faults.mint_fails.saturating_sub(1);
            return (50 * MS, Err(Failure::new(ErrorKind::MintFailed, "no")));
        }
        (self.network.u64(MS..300 * MS), Ok(self.roll()))
    }

    /// A ticket for the connection is there, or will not be.
    pub(crate) fn minted(&mut self, id: u64, minted: Result<Ticket, Failure>) {
        if self.connection.as_ref().is_none_or(|it| it.id != id) {
            return;
        }
        match minted {
            Ok(ticket) => {
                self.desk.held = Some(ticket);
                if self.knows_no_stream() {
                    return self.begin_lists(id);
                }
                let latency = self.latency();
                self.after(latency, Event::Request(id, ticket));
            }
            Err(failure) => self.input(Input::Failed(failure)),
        }
    }
}
