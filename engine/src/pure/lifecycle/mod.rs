//! The life of a watch: when it connects, waits, is live and ends.

pub mod backoff;
mod compare;
pub mod machine;
mod signals;
