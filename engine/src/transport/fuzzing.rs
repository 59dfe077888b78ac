//! Entrances for the fuzzer to what servers send.

use super::{
    Incoming,
    handshake::Handshake,
    list::Answer,
    poll,
    position::{self, Position},
    sse_parser::{Parsed, SseParser},
};
use crate::{
    id::WatchId,
    pure::protocol::{
        listed::Listed,
        wire::{self, ServerEvent, WireError},
    },
    redact::Secrets,
};

/// The events of a stream that arrives in pieces of `size` bytes, each with its name and data; the last one is `None` if
/// one is larger than `limit`.
pub fn stream(bytes: &[u8], size: usize, limit: usize) -> Vec<Option<(String, String)>> {
    let (mut parser, mut events) = (SseParser::new(limit), Vec::new());
    for mut piece in bytes.chunks(size) {
        loop {
            match parser.next(&mut piece) {
                Ok(Some(Parsed::Event { kind, data })) => {
                    events.push(Some((kind.to_owned(), data.to_owned())));
                }
                Ok(Some(Parsed::NotUtf8)) => events.push(Some(Default::default())),
                Ok(None) => break,
                Err(_) => {
                    events.push(None);
                    return events;
                }
            }
        }
    }
    events
}

/// Reads a handshake's answer as what a page of it would tell. Gives how many records it has.
pub fn handshake(bytes: &[u8]) -> Option<usize> {
    let handshake: Handshake = serde_json::from_slice(bytes).ok()?;
    let (listed, _) = handshake.into_page(WatchId::next());
    Some(listed.records.len())
}

/// Reads a page of records.
pub fn page(bytes: &[u8]) -> Option<Listed> {
    let answer: Answer = serde_json::from_slice(bytes).ok()?;
    Some(answer.into_page(WatchId::next()))
}

/// Reads a list with which a connection begins, as the events that a watch hears, and those that it cannot read.
pub fn list(bytes: &[u8]) -> Option<Vec<Result<ServerEvent, WireError>>> {
    let answer: Answer = serde_json::from_slice(bytes).ok()?;
    let told = poll::snapshot(answer).into_iter();
    let events = told.filter_map(|it| match it {
        Incoming::Event(event) => Some(Ok(event)),
        Incoming::Skipped(error) => Some(Err(error)),
        Incoming::Lists
        | Incoming::Profiles(_)
        | Incoming::Changed
        | Incoming::Gap
        | Incoming::Ticket(_) => None,
    });
    Some(events.collect())
}

/// Reads where an appview stands; `None` if it does not say.
pub fn position(bytes: &[u8]) -> Option<Option<String>> {
    match position::parse(bytes) {
        Position::At(told) => Some(told),
        Position::Untold => None,
    }
}

/// Reads a text frame of a WebSocket. Says whether it was an event.
pub fn frame(text: &str) -> bool {
    wire::decode_frame(text, &Secrets::default()).is_ok_and(|it| it.is_some())
}
