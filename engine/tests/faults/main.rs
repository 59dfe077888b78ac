//! Faults of servers, networks and those in between, on real sockets: each is a typed error, and the watch goes on where it
//! was once it is over.

#[path = "../common/mod.rs"]
mod common;

mod appviews;
mod certificates;
mod clocks;
mod cuts;
mod exchanges;
mod follower;
mod heads;
mod http2;
mod lists;
mod networks;
mod proxies;
mod server;
mod silences;
mod slow;
