//! Rows of a damaged cache: none of them is believed.
#![no_main]

use contrail_sync_engine::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    assert_eq!(fuzzing::rows(input), 0);
});
