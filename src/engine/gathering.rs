//! How the first records of a snapshot wait for more: a list that fills in two steps flickers, and costs twice the
//! painting.

use std::{pin::Pin, time::Duration};

use tokio::time::{Sleep, sleep};

use super::watch::elapsed;

/// While a snapshot arrives and there are at most as many records as a query gives by the protocol, those who follow
/// hear of it …
const USUAL: usize = 200;
/// … this long, half a frame, after it began, and then after its first record. Both are news of one moment, mostly, and a
/// page that is told the first of them is not ready for the other.
const GATHER: Duration = Duration::from_millis(8);

/// A wait for a usual list to be whole, or for more than that.
#[derive(Default)]
pub struct Gathering {
    wait: Option<Pin<Box<Sleep>>>,
    /// There is something to show.
    is_some: bool,
    /// They have waited, with something to show or without.
    over: Option<bool>,
}

impl Gathering {
    /// Begins or ends it, as it fits a list of `len` records to which more are `arriving`. Says whether they wait.
    pub fn look(&mut self, arriving: bool, len: usize) -> bool {
        self.is_some = len > 0;
        if !arriving || len > USUAL {
            *self = Self::default();
        } else if self.over != Some(self.is_some) && self.wait.is_none() {
            self.wait = Some(Box::pin(sleep(GATHER)));
        }
        self.is_on()
    }

    /// Whether they wait.
    pub fn is_on(&self) -> bool {
        self.wait.is_some()
    }

    /// Waits until they have waited long enough; for ever, if they do not wait. Cancelling changes nothing.
    pub async fn over(&mut self) {
        elapsed(&mut self.wait).await;
        (self.wait, self.over) = (None, Some(self.is_some));
    }
}
