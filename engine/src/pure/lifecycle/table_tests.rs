//! `docs/src/lifecycle.md` and the machine agree, cell by cell.

use super::*;
use crate::pure::{
    lifecycle::backoff::BackoffPolicy,
    protocol::record::{AtUri, Record},
};

/// The columns: phases, told apart by what has arrived on a connection.
const PHASES: [&str; 6] = [
    "stopped",
    "connecting",
    "snapshot",
    "live",
    "waiting",
    "suspended",
];

/// A machine in a phase, ten seconds after its start, and the time.
fn machine(phase: &str, spans_spaces: bool) -> (Machine, Duration) {
    let options = MachineOptions {
        reconnect: true,
        can_mint: true,
        account: Some("did:plc:me".into()),
        spans_spaces,
        compare_every: COMPARE_EVERY,
    };
    let backoff = Backoff::new(BackoffPolicy::default(), fastrand::Rng::with_seed(1));
    let mut machine = Machine::new(options, backoff);
    let start = || Input::Event(ServerEvent::SnapshotStart);
    let end = || Input::Event(ServerEvent::SnapshotEnd { cursor: None });
    let way = match phase {
        "stopped" => vec![],
        "connecting" => vec![Input::Start],
        "snapshot" => vec![Input::Start, start()],
        "live" => vec![Input::Start, start(), end()],
        "waiting" => vec![Input::Start, Input::Failed(cut())],
        "suspended" => vec![Input::Start, Input::Suspend],
        other => panic!("{other} is no phase"),
    };
    for input in way {
        machine.step(Duration::ZERO, input, &mut Vec::new());
    }
    (machine, Duration::from_secs(10))
}

fn cut() -> Failure {
    Failure::new(ErrorKind::Disconnected, "cut")
}

fn refused() -> Failure {
    Failure {
        refusal: Some(Refusal::Ticket),
        ..Failure::new(ErrorKind::AuthRequired, "refused")
    }
}

fn record() -> Record {
    serde_json::from_str(r#"{"uri":"at://d/c/r","time_us":1,"value":1}"#).unwrap()
}

fn removed(did: &str) -> Input {
    Input::Event(ServerEvent::MemberRemoved {
        space: "s".into(),
        did: did.into(),
    })
}

/// Makes what a row is about.
type Inputs = Box<dyn Fn() -> Vec<Input>>;

/// The rows: every input, once for each way in which it is taken.
fn inputs() -> Vec<(&'static str, Inputs)> {
    let one = |input: fn() -> Input| -> Inputs { Box::new(move || vec![input()]) };
    vec![
        ("start", one(|| Input::Start)),
        ("stop", one(|| Input::Stop)),
        (
            "`snapshot.start`",
            one(|| Input::Event(ServerEvent::SnapshotStart)),
        ),
        (
            "`snapshot.record`",
            one(|| Input::Event(ServerEvent::SnapshotRecord(record()))),
        ),
        (
            "`snapshot.end`",
            one(|| Input::Event(ServerEvent::SnapshotEnd { cursor: None })),
        ),
        (
            "`record.created`",
            one(|| Input::Event(ServerEvent::Created(record()))),
        ),
        (
            "`record.deleted`",
            one(|| {
                Input::Event(ServerEvent::Deleted {
                    uri: "at://d/c/r".into(),
                })
            }),
        ),
        (
            "`member.removed`, of this account",
            one(|| removed("did:plc:me")),
        ),
        (
            "`member.removed`, of this account, one space of several",
            one(|| removed("did:plc:me")),
        ),
        (
            "`member.removed`, of another",
            one(|| removed("did:plc:other")),
        ),
        (
            "`error`",
            one(|| {
                Input::Event(ServerEvent::Error {
                    message: String::new(),
                })
            }),
        ),
        ("keepalive", one(|| Input::Event(ServerEvent::Keepalive))),
        (
            "unreadable record",
            one(|| Input::Skipped(AtUri::parse("at://d/c/r"))),
        ),
        ("failed", one(|| Input::Failed(cut()))),
        ("failed: ticket refused", one(|| Input::Failed(refused()))),
        (
            "failed: ticket refused, twice",
            Box::new(|| vec![Input::Failed(refused()), Input::Failed(refused())]),
        ),
        (
            "failed: access lost",
            one(|| Input::Failed(Failure::losing_access(ErrorKind::Forbidden, "not-member"))),
        ),
        (
            "failed: for good",
            one(|| Input::Failed(Failure::for_good(ErrorKind::BadRequest, "no such sort"))),
        ),
        ("waited", one(|| Input::Waited)),
        ("wake", one(|| Input::Wake)),
        ("suspend", one(|| Input::Suspend)),
        (
            "snapshot needed",
            one(|| Input::NeedSnapshot(SNAPSHOT_SPACING)),
        ),
        ("comparison due", one(|| Input::CompareDue)),
        (
            "comparison due, then done",
            Box::new(|| vec![Input::CompareDue, Input::Compared]),
        ),
        (
            "comparison due, then not to be had",
            Box::new(|| vec![Input::CompareDue, Input::NotCompared]),
        ),
        (
            "comparison due, then not believed",
            Box::new(|| vec![Input::CompareDue, Input::NotBelieved]),
        ),
        (
            "snapshot needed and due, then not to be had",
            Box::new(|| {
                vec![
                    Input::NeedSnapshot(SNAPSHOT_SPACING),
                    Input::CompareDue,
                    Input::NotCompared,
                ]
            }),
        ),
        ("refresh", one(|| Input::Refresh)),
        (
            "refresh, again meanwhile, then done",
            Box::new(|| vec![Input::Refresh, Input::Refresh, Input::Compared]),
        ),
        ("the server has lists only", one(|| Input::Lists)),
        (
            "lists only, then `snapshot.end`",
            Box::new(|| {
                let end = Input::Event(ServerEvent::SnapshotEnd { cursor: None });
                vec![Input::Lists, end]
            }),
        ),
        (
            "lists only, refresh, then done",
            Box::new(|| vec![Input::Lists, Input::Refresh, Input::Compared]),
        ),
    ]
}

/// Where a machine stands, as a column of the table names it.
fn phase(machine: &Machine) -> &'static str {
    match machine.phase {
        Phase::Stopped => "stopped",
        Phase::Connected {
            live_since: Some(_),
        } => "live",
        Phase::Connected { live_since: None } if machine.snapshot => "snapshot",
        Phase::Connected { live_since: None } => "connecting",
        Phase::Waiting => "waiting",
        Phase::Suspended => "suspended",
    }
}

fn word(effect: &Effect) -> String {
    match effect {
        Effect::Connect => "connect".into(),
        Effect::Disconnect => "disconnect".into(),
        Effect::Wait(_) => "wait".into(),
        Effect::DropTicket => "drop ticket".into(),
        Effect::BeginSnapshot => "begin snapshot".into(),
        Effect::SnapshotRecord(_) => "confirm".into(),
        Effect::EndSnapshot { .. } => "end snapshot".into(),
        Effect::Spare(_) => "spare".into(),
        Effect::Compare => "compare".into(),
        Effect::CompareAfter(_) => "compare later".into(),
        Effect::PurgeSpace { .. } => "purge space".into(),
        Effect::Upsert(_) => "upsert".into(),
        Effect::Delete { .. } => "delete".into(),
        Effect::AddChild(_) => "add child".into(),
        Effect::RemoveChild(_) => "remove child".into(),
        Effect::Purge { kicked: true } => "purge, revoke ticket".into(),
        Effect::Purge { kicked: false } => "purge".into(),
    }
}

/// What becomes of a phase: the next one, if it changes, and what is to be done.
fn cell(before: &str, spans_spaces: bool, inputs: Vec<Input>) -> String {
    let (mut machine, now) = machine(before, spans_spaces);
    let mut effects = Vec::new();
    for input in inputs {
        machine.step(now, input, &mut effects);
        invariants(&machine);
    }
    let after = phase(&machine);
    let effects: Vec<String> = effects.iter().map(word).collect();
    match (after == before, effects.join(", ")) {
        (true, done) if done.is_empty() => "·".into(),
        (true, done) => done,
        (false, done) if done.is_empty() => format!("→ **{after}**"),
        (false, done) => format!("{done} → **{after}**"),
    }
}

/// The numbered ones of `docs/src/lifecycle.md` that one machine can show.
fn invariants(machine: &Machine) {
    let (status, phase) = (machine.status(), phase(machine));
    assert_eq!(
        matches!(status, Status::Idle | Status::Closed),
        phase == "stopped",
        "1: {status:?} while {phase}"
    );
    assert!(
        status != Status::Live || phase == "live",
        "2: {status:?} while {phase}"
    );
    assert!(
        !machine.snapshot || matches!(phase, "snapshot" | "live"),
        "3"
    );
    assert!(status != Status::Live || machine.error().is_none(), "4");
    assert!(
        status != Status::Reconnecting || machine.error().is_some(),
        "4: no reason while {phase}"
    );
}

fn table() -> String {
    let mut table = format!("| input | {} |\n|---|", PHASES.join(" | "));
    table += &"---|".repeat(PHASES.len());
    for (name, inputs) in inputs() {
        let spans_spaces = name.ends_with("of several");
        let cells = PHASES.map(|before| cell(before, spans_spaces, inputs()));
        table += &format!("\n| {name} | {} |", cells.join(" | "));
    }
    table
}

#[test]
fn the_document_has_the_machines_table() {
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/lifecycle.md");
    let document = std::fs::read_to_string(document).unwrap();
    let lines = document
        .lines()
        .skip_while(|it| !it.starts_with("| input |"));
    let lines: Vec<&str> = lines.take_while(|it| it.starts_with('|')).collect();
    let told = lines.join("\n");
    assert!(
        told == table(),
        "docs/src/lifecycle.md should have:\n{}",
        table()
    );
}
