//! Patterns of a scope, and URLs: a line each. Whatever a pattern allows it denies as well.
#![no_main]

#[path = "../../../src/scope.rs"]
#[allow(dead_code, unreachable_pub, missing_docs)]
mod scope;

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use scope::{Entry, Scope};
use url::Url;

fuzz_target!(|input: &str| {
    let Some((pattern, url)) = input.split_once('\n') else {
        return;
    };
    let (Ok(entry), Ok(url)) = (pattern.parse::<Entry>(), url.parse::<Url>()) else {
        return;
    };
    let (entry, any) = (
        Arc::new(entry),
        Arc::new("*://*".parse::<Entry>().expect("it is one")),
    );
    if Scope::new(vec![entry.clone()], vec![]).allows(&url) {
        assert!(!Scope::new(vec![any], vec![entry]).allows(&url));
    }
});
