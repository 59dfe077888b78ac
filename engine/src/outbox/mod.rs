//! The outbox: writes that outlive the network, the window and the process.

pub mod sender;

pub use sender::{NamedSender, SendRequest, Sender};
