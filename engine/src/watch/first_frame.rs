//! How the first records of a snapshot wait for more: a list that fills in two steps flickers, and costs twice the
//! painting.

use std::time::Duration;

use crate::timer::Timer;

/// While a snapshot arrives and there are at most so many records, those who follow hear of it … A page takes a list of
/// this length in the frame in which it would show its first rows.
const USUAL: usize = 1000;
/// … this long, half a frame, after it began, and then after its first record. Both are news of one moment, mostly, and a
/// page that is told the first of them is not ready for the other.
const GATHER: Duration = Duration::from_millis(8);

/// A wait for a usual list to be whole, or for more than that.
#[derive(Default)]
pub(super) struct FirstFrame {
    wait: Timer,
    /// There was something to show when the last wait began. It never goes back: waits follow no list that comes and goes.
    with_some: Option<bool>,
}

impl FirstFrame {
    /// Begins or ends it, as it fits a list of `len` records to which more are `arriving`. Says whether they wait.
    pub(super) fn look(&mut self, arriving: bool, len: usize) -> bool {
        let with_some = Some(len > 0);
        if !arriving || len > USUAL {
            *self = Self::default();
        } else if self.with_some < with_some {
            self.with_some = with_some;
            self.wait.after(GATHER);
        }
        self.is_on()
    }

    /// Whether they wait.
    pub(super) fn is_on(&self) -> bool {
        self.wait.is_set()
    }

    /// Waits until they have waited long enough; for ever, if they do not wait. Cancelling changes nothing.
    pub(super) async fn over(&mut self) {
        self.wait.elapsed().await;
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
        let mut first = FirstFrame::default();
        assert!(first.look(true, 0));
        advance(ALMOST).await;
        assert!(first.look(true, 1));
        advance(ALMOST).await;
        assert_eq!(first.over().now_or_never(), None);
        advance(GATHER - ALMOST).await;
        first.over().await;
        assert!(!first.look(true, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_comes_and_goes_is_not_waited_for_again() {
        let mut first = FirstFrame::default();
        for len in [0, 1, 0, 1] {
            assert!(first.look(true, len));
            advance(GATHER / 4).await;
        }
        advance(GATHER / 4).await;
        assert_eq!(first.over().now_or_never(), Some(()));
        assert!(!first.look(true, 0));
        assert!(!first.look(true, 1));
    }
}
