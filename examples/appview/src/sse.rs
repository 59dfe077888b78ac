//! A watch over server-sent events.

use std::io;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::fault::{Budget, Fault};
use crate::state::WatchGuard;
use crate::watch::{Next, Watch};

/// Chunks on their way to the socket.
const QUEUE: usize = 16;
/// Events that are ready go out together, up to about this many bytes.
const CHUNK: usize = 16 << 10;
/// A client that takes nothing for this long is cut.
pub(crate) const SEND_TIMEOUT: Duration = Duration::from_secs(10);

enum Chunk {
    Data(Bytes),
    /// Ends the connection in the middle of the body.
    Cut,
}

/// Why writing ended early.
enum Stop {
    /// The client left, or the stream was cut.
    Gone,
    /// Nothing more may be sent, but the connection stays.
    Silence,
}

struct Writer {
    chunks: mpsc::Sender<Chunk>,
    ready: BytesMut,
    budget: Budget,
    stall: bool,
}

impl Writer {
    fn new(budget: Budget, stall: bool) -> (Self, Body) {
        let (chunks, queue) = mpsc::channel(QUEUE);
        let body = stream::unfold((queue, false), |(mut queue, cutting)| async move {
            if cutting {
                return None;
            }
            match queue.recv().await? {
                Chunk::Data(data) => Some((Ok(data), (queue, false))),
                Chunk::Cut => {
                    // One turn of the loop lets what was sent before reach the socket.
                    tokio::task::yield_now().await;
                    Some((Err(io::Error::other("cut")), (queue, true)))
                }
            }
        });
        (
            Self {
                chunks,
                ready: BytesMut::new(),
                budget,
                stall,
            },
            Body::from_stream(body),
        )
    }

    async fn push(&self, chunk: Chunk) -> Result<(), Stop> {
        let sent = timeout(SEND_TIMEOUT, self.chunks.send(chunk)).await;
        sent.map_err(|_| Stop::Gone)?.map_err(|_| Stop::Gone)
    }

    /// Sends what was written.
    async fn flush(&mut self) -> Result<(), Stop> {
        if self.ready.is_empty() {
            return Ok(());
        }
        let data = self.ready.split().freeze();
        self.push(Chunk::Data(data)).await
    }

    /// Writes one event, or as much of it as the fault allows.
    async fn write(&mut self, data: Bytes) -> Result<(), Stop> {
        if !self.budget.is_spent() {
            let paid = self.budget.pay(data.len());
            self.ready.extend_from_slice(&data[..paid]);
        }
        if !self.budget.is_spent() {
            return match self.ready.len() {
                CHUNK.. => self.flush().await,
                _ => Ok(()),
            };
        }
        self.flush().await?;
        if self.stall {
            return Err(Stop::Silence);
        }
        self.push(Chunk::Cut).await?;
        Err(Stop::Gone)
    }

    /// Writes one event and sends it.
    async fn send(&mut self, data: Bytes) -> Result<(), Stop> {
        self.write(data).await?;
        self.flush().await
    }
}

/// A body of these bytes that a fault may cut short or leave hanging.
pub(crate) fn cut_body(data: Bytes, fault: &Fault) -> Body {
    if !fault.stall && !fault.cuts() {
        return data.into();
    }
    let budget = if fault.stall {
        fault.budget().or_half(data.len())
    } else {
        fault.budget()
    };
    let (mut writer, body) = Writer::new(budget, fault.stall);
    tokio::spawn(async move {
        if let Err(Stop::Silence) = writer.send(data).await {
            writer.chunks.closed().await;
        }
    });
    body
}

/// The body of a watch, written by a task of its own until the client leaves.
pub(crate) fn watch_body(
    watch: Watch,
    fault: Fault,
    keepalive: Duration,
    open: WatchGuard,
) -> Body {
    let (mut writer, body) = Writer::new(fault.budget(), fault.stall);
    tokio::spawn(async move {
        let _open = open;
        if let Err(Stop::Silence) = write(watch, &fault, keepalive, &mut writer).await {
            writer.chunks.closed().await;
        }
    });
    body
}

async fn write(
    mut watch: Watch,
    fault: &Fault,
    keepalive: Duration,
    writer: &mut Writer,
) -> Result<(), Stop> {
    if let Some(raw) = fault.raw_bytes() {
        writer.send(raw).await?;
        return if fault.raw_then_end {
            Ok(())
        } else {
            Err(Stop::Silence)
        };
    }
    // A cut after nothing comes before the first event.
    if writer.budget.is_spent() {
        return writer.send(Bytes::new()).await;
    }
    writer.send(watch.start().sse()).await?;
    // Reading the snapshot keeps this thread busy: what was sent leaves first.
    tokio::task::yield_now().await;
    match watch.snapshot(fault).await {
        Ok(events) => {
            for event in events {
                writer.write(event.sse()).await?;
            }
            writer.flush().await?;
        }
        Err(error) => return writer.send(error.sse()).await,
    }
    if fault.stall && !fault.cuts() {
        return Err(Stop::Silence);
    }
    live(watch, keepalive, writer).await
}

async fn live(mut watch: Watch, keepalive: Duration, writer: &mut Writer) -> Result<(), Stop> {
    let mut ticks = interval(keepalive);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.reset();
    loop {
        tokio::select! {
            () = writer.chunks.closed() => return Err(Stop::Gone),
            next = watch.next() => pass_on(next, &mut watch, writer).await?,
            _ = ticks.tick() => writer.push(Chunk::Data(Bytes::from_static(b": keepalive\n\n"))).await?,
        }
    }
}

/// Writes `next` and whatever else has happened by now, then sends it.
async fn pass_on(next: Next, watch: &mut Watch, writer: &mut Writer) -> Result<(), Stop> {
    let mut ready = Some(next);
    while let Some(next) = ready {
        match next {
            Next::Event(event) => writer.write(event.sse()).await?,
            Next::Revoked(event) => {
                writer.send(event.sse()).await?;
                return Err(Stop::Gone);
            }
            Next::Lost => {
                writer.flush().await?;
                writer.push(Chunk::Cut).await?;
                return Err(Stop::Gone);
            }
        }
        ready = watch.ready();
    }
    writer.flush().await
}
