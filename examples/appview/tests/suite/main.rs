//! The appview on real sockets: against the recorded exchanges, and in the ways a client can meet it.

mod actors_and_events;
mod common;
mod control;
mod faults;
mod recorded_sse;
mod recorded_ws;
mod watching;
