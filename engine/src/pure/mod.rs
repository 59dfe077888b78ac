//! Everything that decides: no clock, no I/O, no randomness of its own. What waits is outside.

pub mod ledger;
pub mod lifecycle;
pub mod outbox;
pub mod protocol;
pub mod replica;
pub mod store;
pub mod view;
