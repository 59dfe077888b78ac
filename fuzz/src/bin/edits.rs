//! Edits as pages send them: what is taken shows, and can be told again.
#![no_main]

use contrail_sync_engine::{Edit, pure::store::Store};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|input: &[u8]| {
    let mut store = Store::default();
    for line in input.split(|byte| *byte == b'\n') {
        let Ok(value) = serde_json::from_slice::<Value>(line) else {
            continue;
        };
        if let Ok(edit) = Edit::try_from(value)
            && edit.check(64 * 1024).is_ok()
        {
            let _ = store.edit(edit, 1);
        }
    }
    for entry in store.entries() {
        let mut written = Vec::new();
        let mut serializer = serde_json::Serializer::new(&mut written);
        let mut map =
            serde::Serializer::serialize_map(&mut serializer, None).expect("a map begins");
        entry
            .serialize_content(&mut map)
            .expect("it can be written");
        serde::ser::SerializeMap::end(map).expect("a map ends");
        serde_json::from_slice::<Value>(&written).expect("it can be read");
    }
});
