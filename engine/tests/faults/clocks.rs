//! A client whose clock is stepped by hand, while servers live on the world's.

use std::{
    sync::mpsc::Sender,
    time::{Duration, Instant},
};

use tokio::runtime::{Builder, Runtime};

/// How long the sockets get to react to each second of the client's clock.
pub(crate) const REACTION: Duration = Duration::from_millis(30);

/// While the sender lives the clock does not run ahead by itself, however idle the client is.
pub(crate) fn stop() -> Sender<()> {
    let (running, stopped) = std::sync::mpsc::channel();
    tokio::task::spawn_blocking(move || stopped.recv());
    running
}

/// The world's clock, for servers.
pub(crate) fn of_servers() -> Runtime {
    let mut runtime = Builder::new_multi_thread();
    runtime.worker_threads(1).enable_all().build().unwrap()
}

/// A clock that is stepped by hand, for the client.
pub(crate) fn of_client() -> Runtime {
    let mut runtime = Builder::new_current_thread();
    runtime.enable_all().start_paused(true).build().unwrap()
}

/// One second.
pub(crate) async fn step() {
    tokio::time::advance(Duration::from_secs(1)).await;
    let reacted = Instant::now() + REACTION;
    while Instant::now() < reacted {
        tokio::task::yield_now().await;
    }
}
