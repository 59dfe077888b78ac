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
    /// There was something to show when the last wait began. It never goes back: waits follow no list that comes and goes.
    with_some: Option<bool>,
}

impl Gathering {
    /// Begins or ends it, as it fits a list of `len` records to which more are `arriving`. Says whether they wait.
    pub fn look(&mut self, arriving: bool, len: usize) -> bool {
        let with_some = Some(len > 0);
        if !arriving || len > USUAL {
            *self = Self::default();
        } else if self.with_some < with_some {
            self.with_some = with_some;
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
        self.wait = None;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::time::advance;

    use super::*;

    const ALMOST: Duration = Duration::from_millis(7);

    #[tokio::test(start_paused = true)]
    async fn the_first_record_begins_a_wait_of_its_own() {
        let mut gathering = Gathering::default();
        assert!(gathering.look(true, 0));
        advance(ALMOST).await;
        assert!(gathering.look(true, 1));
        advance(ALMOST).await;
        assert_eq!(gathering.over().now_or_never(), None);
        advance(GATHER - ALMOST).await;
        gathering.over().await;
        assert!(!gathering.look(true, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_comes_and_goes_is_not_waited_for_again() {
        let mut gathering = Gathering::default();
        for len in [0, 1, 0, 1] {
            assert!(gathering.look(true, len));
            advance(GATHER / 4).await;
        }
        advance(GATHER / 4).await;
        assert_eq!(gathering.over().now_or_never(), Some(()));
        assert!(!gathering.look(true, 0));
        assert!(!gathering.look(true, 1));
    }
}
