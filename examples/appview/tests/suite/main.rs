//! The appview on real sockets: against the recorded exchanges, and in the ways a client can meet it.

mod common;
mod communities;
mod control;
mod faults;
mod leniencies;
mod losses;
mod order;
mod pds;
mod pds_faults;
mod recorded_community;
mod recorded_groups;
mod recorded_pages;
mod recorded_replay;
mod recorded_sse;
mod recorded_ws;
mod relations;
mod watching;
