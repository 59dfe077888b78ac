//! What a hostile server sends may cost a watch no more than a small multiple of its own size: each attack is led against
//! an engine in a process of its own, whose peak of memory is read.
#![cfg(target_os = "linux")]

mod attacks;
mod child;
mod feeds;
mod server;

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::Duration,
};

use attacks::{Attack, End, Place};
use child::Report;
use contrail_sync_engine::ErrorKind;
use futures_util::{StreamExt, stream};
use server::Server;

/// Most KiB that an attack may take beyond what the process has with a small live list.
const BOUND: u64 = 64 * 1024;
/// Most processor time that a watch may take to answer meanwhile.
const ANSWER: Duration = Duration::from_secs(5);
/// Most bytes that an attack may write into the log, `debug` lines included.
const MAX_LOG: usize = 64 * 1024;
/// Most bytes of what followers are told of an error.
const MAX_MESSAGE: usize = 1024;
/// Attacks of a group that are led at once.
const AT_ONCE: usize = 3;

/// What the processes are that the other tests start.
#[test]
#[ignore = "started by the other tests"]
fn role() {
    if let Ok(name) = std::env::var("HOSTILE_ATTACK") {
        let attack = attacks::all().find(|it| it.name == name);
        child::run(
            attack.expect("there is such an attack"),
            &std::env::var("HOSTILE_URL").unwrap(),
        );
    }
}

/// Starts the engine in a process of its own and attacks it once it has a small live list.
fn lead(attack: &Attack, server: &Server) -> Option<Report> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["role", "--exact", "--ignored", "--nocapture"])
        .env("HOSTILE_ATTACK", attack.name)
        .env("HOSTILE_URL", server.url())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut report = None;
    for line in lines.map_while(Result::ok) {
        match line.split_once("> ").map(|it| it.1) {
            Some("live") => server.attack(),
            Some(json) => report = serde_json::from_str(json).ok(),
            None => {}
        }
    }
    let ended = child.wait().unwrap();
    report.filter(|_| ended.success())
}

/// What of the bounds the watch did not keep.
fn faults(attack: &Attack, report: &Report) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault = |is_one: bool, what: String| faults.extend(is_one.then_some(what));
    fault(
        report.peak > report.idle + BOUND,
        format!("peak of {} KiB after {}", report.peak, report.idle),
    );
    fault(
        u128::from(report.slowest_ms) > ANSWER.as_millis(),
        format!("an answer took {} ms", report.slowest_ms),
    );
    fault(report.log > MAX_LOG, format!("{} bytes of log", report.log));
    fault(!report.met, format!("never {:?}", attack.end));
    let is_live = matches!(attack.end, End::Live | End::NoPage(_));
    fault(is_live && !report.live, "it is not live".to_owned());
    // Access that is lost takes the records along.
    let purged = matches!(attack.end, End::Error(ErrorKind::AccessLost, _));
    fault(!report.kept && !purged, "earlier records are lost".into());
    // Who is to connect again was dropped first.
    let honest = |it: &&String| attack.at == Place::Live || !it.starts_with("Disconnected");
    for error in report.errors.iter().filter(honest) {
        fault(matches!(attack.end, End::Live), format!("it told {error}"));
        fault(error.len() > MAX_MESSAGE, "a message without bound".into());
    }
    faults
}

/// Leads these attacks and tells, as rows of a table, what each of them took.
async fn hold(attacks: &'static [Attack]) {
    let led = stream::iter(attacks).map(|attack| async move {
        let server = Server::start(attack).await;
        let report = tokio::task::spawn_blocking(move || lead(attack, &server)).await;
        let Some(report) = report.unwrap() else {
            return vec![format!("{}: the process did not end well", attack.name)];
        };
        println!("| {} | {report} |", attack.name);
        let faults = faults(attack, &report).into_iter();
        faults.map(|it| format!("{}: {it}", attack.name)).collect()
    });
    let faults: Vec<_> = led.buffer_unordered(AT_ONCE).concat().await;
    assert!(faults.is_empty(), "{faults:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn children_of_whole_authors_cost_what_they_weigh() {
    hold(attacks::CHILDREN).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_many_small_parts_cost_what_they_weigh() {
    hold(attacks::ANSWERS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_cost_what_they_weigh_and_no_more_than_their_bound() {
    hold(attacks::RECORDS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_small_events_keep_nobody_waiting_and_fill_no_log() {
    hold(attacks::FLOODS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_end_is_ended() {
    hold(attacks::ENDLESS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_words_reach_nobody_at_length() {
    hold(attacks::WORDS).await;
}
