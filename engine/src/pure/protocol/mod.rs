//! The wire: records, events, pages and tickets as the server writes them.

pub mod listed;
pub mod record;
mod shallow;
pub mod ticket;
pub mod wire;
