//! Which write is sent when: a queue per account, in order per record.

pub mod history;
pub mod limits;
mod pace;
pub mod queue;
pub mod row;
pub mod tid;
pub mod write;
