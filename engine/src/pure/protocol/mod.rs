//! The wire: records, events, pages and tickets as the server writes them.

pub mod bound;
pub mod children;
pub mod extra;
pub(crate) mod json;
pub mod listed;
pub mod profile;
pub mod record;
mod shallow;
pub mod ticket;
pub mod wire;
