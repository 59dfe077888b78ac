//! What a server answers outside its stream: handshakes, pages, frames of a WebSocket, records, tickets.
#![no_main]

use contrail_sync_engine::{Ticket, fuzzing, pure::protocol::wire::decode_record};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let _ = fuzzing::handshake(input);
    let _ = fuzzing::page(input);
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let _ = fuzzing::frame(text);
    let _ = Ticket::parse(text);
    if let Ok(record) = decode_record(text) {
        let written = serde_json::to_string(&record).expect("a record can be written");
        let mut again = decode_record(&written).expect("and read again");
        // Its unit is guessed.
        again.time_us = record.time_us;
        assert!(record.same_content(&again), "{written}");
        assert_eq!(record.identity(), again.identity());
    }
});
