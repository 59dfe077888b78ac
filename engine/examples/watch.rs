//! The engine in a terminal, for debugging an appview. See `--help`.

use std::{
    collections::HashMap,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use contrail_sync_engine::{
    Cache, CacheConfig, CacheOptions, Engine, EngineConfig, Entry, ErrorPayload, HttpError, Record,
    State, Status, Ticket, TicketSource, TransportKind, WatchSpec,
};
use serde::Serialize;
use url::Url;

const HELP: &str = "\
Follows a watchRecords URL and prints what happens.

Usage: watch <URL> [options]

The URL has the watch's whole query: ?spaceUri=ats://…, with &inviteToken=… unless there is a ticket.

  --ticket T                sent as ?ticket= at every connect
  --transport sse|ws|auto|poll  how to reach the server (default sse)
  --cache FILE              keep the records in this SQLite file
  --json                    one line of JSON per notification, with all records in order
  --for SECONDS             stop after this time
  --until live              stop once live

Logs go to stderr; RUST_LOG=contrail_sync_engine=debug shows more of them.
Exit code: 0 at the end of --for or --until, 1 when closed by an error, 2 for bad arguments.";

/// Longest wait for the cache at the end.
const LAST_FLUSH: Duration = Duration::from_secs(2);

struct Args {
    spec: WatchSpec,
    cache: Option<PathBuf>,
    json: bool,
    until_live: bool,
    duration: Option<Duration>,
}

fn parse() -> Result<Option<Args>, lexopt::Error> {
    use lexopt::prelude::*;

    let (mut url, mut ticket, mut transport) = (None, None, TransportKind::Sse);
    let (mut json, mut until_live, mut duration, mut cache) = (false, false, None, None);
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(None),
            Value(value) if url.is_none() => url = Some(value.parse::<Url>()?),
            Long("ticket") => {
                ticket = Some(parser.value()?.parse_with(Ticket::parse)?);
            }
            Long("transport") => transport = parser.value()?.parse_with(transport_kind)?,
            Long("cache") => cache = Some(PathBuf::from(parser.value()?)),
            Long("json") => json = true,
            Long("for") => duration = Some(parser.value()?.parse_with(seconds)?),
            Long("until") => match parser.value()?.to_str() {
                Some("live") => until_live = true,
                _ => return Err("--until knows only \"live\"".into()),
            },
            other => return Err(other.unexpected()),
        }
    }
    let url = url.ok_or("the URL is missing")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("the URL must be http or https".into());
    }
    let mut spec = WatchSpec::new(url, Arc::new(|_| true));
    spec.transport = transport;
    spec.cache = cache.is_some().then(CacheOptions::default);
    if let Some(ticket) = ticket {
        spec.tickets = TicketSource::Static(ticket);
    }
    Ok(Some(Args {
        spec,
        cache,
        json,
        until_live,
        duration,
    }))
}

fn transport_kind(text: &str) -> Result<TransportKind, &'static str> {
    match text {
        "sse" => Ok(TransportKind::Sse),
        "ws" => Ok(TransportKind::Ws),
        "auto" => Ok(TransportKind::Auto),
        "poll" => Ok(TransportKind::Poll),
        _ => Err("it is one of sse, ws, auto, poll"),
    }
}

fn seconds(text: &str) -> Result<Duration, &'static str> {
    let seconds: f64 = text.parse().map_err(|_| "it is not a number")?;
    Duration::try_from_secs_f64(seconds).map_err(|_| "it is not a length of time")
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(io::stderr)
        .init();
    let args = match parse() {
        Ok(Some(args)) => args,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("watch: {error}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    let engine = match engine(args.cache.as_deref()) {
        Ok(engine) => engine,
        Err(error) => {
            eprintln!("watch: {error}");
            return ExitCode::FAILURE;
        }
    };
    let duration = args.duration;
    let end = async {
        match duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    let code = tokio::select! {
        result = follow(&engine, args) => match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => {
                eprintln!("watch: {message}");
                ExitCode::FAILURE
            }
        },
        () = end => ExitCode::SUCCESS,
    };
    engine.flush(LAST_FLUSH).await;
    code
}

fn engine(cache: Option<&Path>) -> Result<Engine, HttpError> {
    let runtime = tokio::runtime::Handle::current();
    let open = |file: &Path| Cache::open(CacheConfig::new(Some(file.to_owned())), &runtime);
    let mut config = EngineConfig::default();
    config.cache = cache.map(open);
    Engine::new(runtime.clone(), config)
}

/// Prints every notification until the watch is live (where that was asked for) or closed.
async fn follow(engine: &Engine, args: Args) -> Result<(), String> {
    let watch = engine.watch(args.spec).await;
    let mut known = HashMap::new();
    loop {
        let state = watch.state().await.ok_or("the engine ended")?;
        let printed = if args.json {
            print_json(&state)
        } else {
            print_text(&state, &mut known)
        };
        printed.map_err(|error| error.to_string())?;
        match (state.status, &state.error) {
            (Status::Live, _) if args.until_live => return Ok(()),
            (Status::Closed, Some(error)) => return Err(error.message.clone()),
            (Status::Closed, None) => return Ok(()),
            // What it says is in the next state, along with what has happened since.
            _ => drop(watch.next().await.ok_or("the engine ended")?),
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    rev: u64,
    status: Status,
    error: &'a Option<ErrorPayload>,
    cursor: Option<&'a str>,
    records: Vec<&'a Record>,
}

fn print_json(state: &State) -> io::Result<()> {
    let line = Line {
        rev: state.rev,
        status: state.status,
        error: &state.error,
        cursor: state.cursor.as_deref(),
        records: state.entries.iter().map(|entry| &entry.record).collect(),
    };
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, &line)?;
    writeln!(out)?;
    out.flush()
}

fn print_text(state: &State, known: &mut HashMap<u64, Arc<Entry>>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let status = format!("{:?}", state.status).to_lowercase();
    write!(out, "[{status}] {} records", state.entries.len())?;
    match &state.error {
        Some(error) => writeln!(out, ": {}", error.message)?,
        None => writeln!(out)?,
    }
    let mut gone = std::mem::take(known);
    for entry in &state.entries {
        let sign = match gone.remove(&entry.id) {
            None => '+',
            Some(old) if !Arc::ptr_eq(&old, entry) => '~',
            Some(_) => ' ',
        };
        if sign != ' ' {
            writeln!(
                out,
                "  {sign} {} {}",
                entry.record.uri.as_str(),
                entry.record.value
            )?;
        }
        known.insert(entry.id, entry.clone());
    }
    for entry in gone.values() {
        writeln!(out, "  - {}", entry.record.uri.as_str())?;
    }
    out.flush()
}
