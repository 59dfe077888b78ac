//! What a reader of a store has not heard yet: one idea, for followers and for the cache.

pub mod delta;
pub mod follower;
pub mod rows;
pub mod touches;
pub mod typed;
