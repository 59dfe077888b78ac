//! The development appview as a program: prints one JSON line with its URL, then serves until told to stop.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use appview::{Contrail, Options, Server, World, WsMode};
use lexopt::prelude::*;

const HELP: &str = "\
A development appview on 127.0.0.1.

Usage: contrail-dev-appview [--port N] [--ws worker|do|off] [--secret-file FILE] [--ticket-ttl-ms N]
                            [--max-limit N] [--lenient NAME]... [--contrail VERSION] [--ingest-ms N]

  --port N           port to listen on; 0, the default, picks a free one
  --ws MODE          how WebSockets are ended: worker (default), do, off
  --secret-file FILE the 32-byte ticket secret; random unless given
  --ticket-ttl-ms N  life of minted tickets (default 120000)
  --max-limit N      most records of one page (default 200, as on the real server)
  --lenient NAME     allows what the real server does not do: public-actor-watch, created-at, edits-stay, tickets-list
  --contrail VERSION which server to be like: 0.12 (default; streams, tickets, spaces) or 0.19 (lists and getCursor only)
  --ingest-ms N      take public records in at this interval, as the real server does, instead of at once

Prints {\"url\": \"http://127.0.0.1:PORT\"} once it listens.";

type Failure = Box<dyn Error + Send + Sync>;

fn arguments() -> Result<Option<Options>, Failure> {
    let mut options = Options::default();
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("port") => options.port = arguments.value()?.parse()?,
            Long("ws") => {
                let mode = arguments.value()?;
                options.ws = match mode.to_str() {
                    Some("worker") => WsMode::Worker,
                    Some("do") => WsMode::Do,
                    Some("off") => WsMode::Off,
                    _ => return Err("--ws: one of worker, do, off".into()),
                };
            }
            Long("secret-file") => {
                let file = PathBuf::from(arguments.value()?);
                let secret =
                    std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
                let secret: [u8; 32] = secret
                    .try_into()
                    .map_err(|_| format!("{}: not 32 bytes", file.display()))?;
                options.world = Some(World::with_secret(secret));
            }
            Long("max-limit") => options.max_limit = arguments.value()?.parse()?,
            Long("lenient") => {
                let name = arguments.value()?;
                options.lenient.allow(&name.to_string_lossy())?;
            }
            Long("contrail") => {
                options.contrail = match arguments.value()?.to_str() {
                    Some("0.12") => Contrail::V0_12,
                    Some("0.19") => Contrail::V0_19,
                    _ => return Err("--contrail: one of 0.12, 0.19".into()),
                };
            }
            Long("ingest-ms") => {
                let every = Duration::from_millis(arguments.value()?.parse()?);
                options.ingest_every = (!every.is_zero()).then_some(every);
            }
            Long("ticket-ttl-ms") => {
                options.ticket_ttl = Duration::from_millis(arguments.value()?.parse()?);
            }
            Short('h') | Long("help") => {
                println!("{HELP}");
                return Ok(None);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Some(options))
}

/// Listens for SIGTERM and ctrl-c from now on; the future resolves at the first.
#[cfg(unix)]
fn told_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Listens for ctrl-c from now on.
#[cfg(windows)]
fn told_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        interrupt.recv().await;
    })
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let options = match arguments() {
        Ok(Some(options)) => options,
        Ok(None) => return std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("appview: {error}");
            return std::process::ExitCode::from(2);
        }
    };
    match run(options).await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("appview: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), Failure> {
    let server = Server::start(options).await?;
    // Whoever reads the line may stop us at once.
    let stopped = told_to_stop()?;
    println!("{}", serde_json::json!({ "url": server.url() }));
    stopped.await;
    server.shutdown().await;
    Ok(())
}
