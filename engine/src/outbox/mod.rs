//! The outbox: writes that outlive the network, the window and the process.

pub mod sender;
mod xrpc;

pub use sender::{NamedSender, SendRequest, Sender};
pub use xrpc::{SignRequest, XrpcSender};
