//! Waits that may not be under way.

use std::{pin::Pin, time::Duration};

use tokio::time::{Instant, Sleep, sleep_until};

/// At most one wait: set, moved, called off, and awaited beside other things.
#[derive(Debug, Default)]
pub(crate) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Waits for so long from now on, whatever it waited for before.
    pub(crate) fn after(&mut self, time: Duration) {
        self.0 = Some(Box::pin(tokio::time::sleep(time)));
    }

    /// Waits until then, whatever it waited for before.
    pub(crate) fn at(&mut self, time: Instant) {
        self.0 = Some(Box::pin(sleep_until(time)));
    }

    /// Does not wait any more.
    pub(crate) fn stop(&mut self) {
        self.0 = None;
    }

    /// Whether it waits.
    pub(crate) fn is_set(&self) -> bool {
        self.0.is_some()
    }

    /// Waits until the time has come, and is unset then; for ever, if it is not set. Cancelling changes nothing.
    pub(crate) async fn elapsed(&mut self) {
        or_never(self.0.as_mut()).await;
        self.0 = None;
    }
}

/// Waits for something that may not be under way: then for ever.
pub(crate) async fn or_never<F: Future>(future: Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_timer_is_over_once_and_a_wait_that_was_given_up_goes_on() {
        let mut timer = Timer::default();
        assert!(timer.elapsed().now_or_never().is_none() && !timer.is_set());
        timer.after(2 * SECOND);
        advance(SECOND).await;
        assert!(timer.elapsed().now_or_never().is_none() && timer.is_set());
        advance(SECOND).await;
        assert!(timer.elapsed().now_or_never().is_some() && !timer.is_set());
        assert!(timer.elapsed().now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_setting_counts() {
        let mut timer = Timer::default();
        timer.after(SECOND);
        timer.at(Instant::now() + 3 * SECOND);
        advance(2 * SECOND).await;
        assert!(timer.elapsed().now_or_never().is_none());
        timer.stop();
        advance(2 * SECOND).await;
        assert!(timer.elapsed().now_or_never().is_none());
    }
}
