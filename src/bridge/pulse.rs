//! What has to be looked at from time to time: the leases of pages.

use std::{
    sync::Weak,
    time::{Duration, SystemTime},
};

use contrail_sync_engine::internals::SleepWatch;
use tokio::time::{Instant, MissedTickBehavior};

use super::Bridge;

/// Time between two looks.
const TICK: Duration = Duration::from_secs(10);

/// Runs until the bridge is gone. `wall` tells the time of day.
pub(crate) async fn pulse(bridge: Weak<Bridge>, wall: impl Fn() -> SystemTime) {
    let Some(woken) = bridge.upgrade().map(|it| it.woken.clone()) else {
        return;
    };
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut clocks = SleepWatch::new(TICK, wall(), Instant::now());
    loop {
        let ticked = tokio::select! {
            _ = ticks.tick() => true,
            () = woken.notified() => false,
        };
        let Some(bridge) = bridge.upgrade() else {
            return;
        };
        if !ticked {
            bridge.engine.wake().await;
        } else if clocks.slept(wall(), Instant::now()) {
            // No page could give a sign of life. The engine sees to the connections.
            bridge.lock().renew_all();
        } else {
            bridge.lock().lapse();
        }
    }
}

#[cfg(test)]
#[path = "pulse_tests.rs"]
mod tests;
