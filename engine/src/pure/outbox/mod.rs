//! Which write is sent when: a queue per account, in order per record.

pub mod tid;
pub mod write;
