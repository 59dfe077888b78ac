//! Bytes of an event stream: in whatever pieces they arrive, the same events come, and each of them can be decoded.
#![no_main]

use contrail_sync_engine::{fuzzing, pure::protocol::wire::decode};
use libfuzzer_sys::fuzz_target;

/// Most bytes of an event.
const LIMIT: usize = 4 * 1024;

fuzz_target!(|input: &[u8]| {
    let Some((size, bytes)) = input.split_first() else {
        return;
    };
    let events = fuzzing::stream(bytes, usize::MAX, LIMIT);
    assert_eq!(
        events,
        fuzzing::stream(bytes, usize::from(*size) + 1, LIMIT)
    );
    assert_eq!(events, fuzzing::stream(bytes, 1, LIMIT));
    let told: usize = events
        .iter()
        .flatten()
        .map(|it| it.0.len() + it.1.len())
        .sum();
    assert!(told <= bytes.len() + events.len() * "message".len());
    for (kind, data) in events.iter().flatten() {
        let _ = decode(kind, data);
    }
});
