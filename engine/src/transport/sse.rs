//! Server-sent events over one HTTP request.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use futures_util::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use tokio::time::{Instant, Sleep, sleep};

use super::{
    ConnectRequest, Events, Incoming, Transport, TransportError,
    http::Http,
    list::stream_url,
    sse_parser::{Parsed, SseParser, TooLarge},
};
use crate::{
    gauge::Carrier,
    pure::protocol::wire::{self, ServerEvent, WireError},
    redact::Secrets,
};

/// Follows a watch by `text/event-stream`.
#[derive(Debug, Clone)]
pub struct Sse {
    http: Http,
}

impl Sse {
    /// Uses the given client.
    pub fn new(http: Http) -> Self {
        Self { http }
    }
}

impl Transport for Sse {
    fn connect(&self, request: ConnectRequest) -> BoxFuture<'_, Result<Events, TransportError>> {
        async move {
            request.gauge.over(Carrier::Sse);
            let answer = self
                .http
                .get(stream_url(&request.url), &request, "text/event-stream")
                .await?;
            let content_type = answer.content_type();
            if content_type != "text/event-stream" {
                let at = answer.at().to_owned();
                return Err(TransportError::NotEventStream { at, content_type });
            }
            Ok(events(answer.chunks().boxed(), &request))
        }
        .boxed()
    }
}

struct Reader {
    chunks: BoxStream<'static, Result<Bytes, TransportError>>,
    /// What is left of the last chunk.
    chunk: Bytes,
    parser: SseParser,
    max_event_bytes: usize,
    idle_timeout: Duration,
    silence: Pin<Box<Sleep>>,
    snapshot: Option<Awaited>,
    secrets: Secrets,
    ended: bool,
}

/// The snapshot, until it is whole. Keepalives hide that a query hangs, so it has a clock of its own.
struct Awaited {
    /// Longest time until the next part of it.
    within: Duration,
    due: Pin<Box<Sleep>>,
    /// A part has come since the clock was set.
    came: bool,
}

/// Events of a byte stream, each decoded as it is taken. The idle clock runs on bytes: a keepalive comment is a sign of
/// life.
fn events(
    chunks: BoxStream<'static, Result<Bytes, TransportError>>,
    request: &ConnectRequest,
) -> Events {
    let mut reader = Reader {
        chunks,
        chunk: Bytes::new(),
        parser: SseParser::new(request.max_event_bytes),
        max_event_bytes: request.max_event_bytes,
        idle_timeout: request.idle_timeout,
        silence: Box::pin(sleep(request.idle_timeout)),
        snapshot: Some(Awaited::new(request.idle_timeout)),
        secrets: request.secrets(),
        ended: false,
    };
    stream::poll_fn(move |cx| reader.poll(cx)).boxed()
}

impl Awaited {
    fn new(idle_timeout: Duration) -> Self {
        // At the usual idle time-out a minute: servers tell that a snapshot begins before they look for it.
        let within = idle_timeout + idle_timeout / 3;
        Self {
            within,
            due: Box::pin(sleep(within)),
            came: false,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<TransportError> {
        if std::mem::take(&mut self.came) {
            self.due.as_mut().reset(Instant::now() + self.within);
        }
        ready!(self.due.as_mut().poll(cx));
        Poll::Ready(TransportError::NoSnapshot { after: self.within })
    }
}

impl Reader {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Incoming, TransportError>>> {
        while !self.ended {
            let item = match self.parse() {
                Some(item) => item,
                None => match ready!(self.poll_chunk(cx)) {
                    Some(Ok(chunk)) => {
                        self.chunk = chunk;
                        continue;
                    }
                    Some(Err(error)) => Err(error),
                    None => break,
                },
            };
            // After an error a body repeats it for ever: the first one is the end.
            self.ended = item.is_err();
            return Poll::Ready(Some(item));
        }
        self.ended = true;
        Poll::Ready(None)
    }

    /// The next event of the chunk.
    fn parse(&mut self) -> Option<Result<Incoming, TransportError>> {
        let mut rest = &*self.chunk;
        let found = loop {
            let decoded = match self.parser.next(&mut rest) {
                Ok(Some(Parsed::Event { kind, data })) => {
                    wire::decode_hiding(kind, data, &self.secrets)
                }
                Ok(Some(Parsed::NotUtf8)) => Err(WireError::NotUtf8),
                Ok(None) => break None,
                Err(TooLarge) => {
                    let limit = self.max_event_bytes;
                    break Some(Err(TransportError::EventTooLarge { limit }));
                }
            };
            match decoded {
                Ok(Some(event)) => break Some(Ok(Incoming::Event(event))),
                Ok(None) => {}
                Err(error) => break Some(Ok(Incoming::Skipped(error))),
            }
        };
        let used = self.chunk.len() - rest.len();
        self.chunk.advance(used);
        if let Some(Ok(item)) = &found {
            self.look_at(item);
        }
        found
    }

    fn look_at(&mut self, item: &Incoming) {
        match (item, &mut self.snapshot) {
            (Incoming::Event(ServerEvent::SnapshotEnd { .. }), _) => self.snapshot = None,
            (
                Incoming::Event(ServerEvent::SnapshotStart | ServerEvent::SnapshotRecord(_))
                | Incoming::Skipped(_),
                Some(awaited),
            ) => awaited.came = true,
            _ => {}
        }
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, TransportError>>> {
        if let Some(snapshot) = &mut self.snapshot
            && let Poll::Ready(error) = snapshot.poll(cx)
        {
            return Poll::Ready(Some(Err(error)));
        }
        let after = self.idle_timeout;
        let Poll::Ready(chunk) = self.chunks.poll_next_unpin(cx) else {
            ready!(self.silence.as_mut().poll(cx));
            return Poll::Ready(Some(Err(TransportError::IdleTimeout { after })));
        };
        self.silence.as_mut().reset(Instant::now() + after);
        Poll::Ready(chunk)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::Stream;

    use super::*;
    use crate::{
        pure::protocol::ticket::Ticket,
        transport::{TicketIn, polling::Polling},
    };

    fn request(max_event_bytes: usize) -> ConnectRequest {
        ConnectRequest {
            watch: crate::id::WatchId::next(),
            url: "https://appview.example/x?inviteToken=let+me+in"
                .parse()
                .unwrap(),
            ticket: Some(Ticket::parse("mellon").unwrap()),
            guard: std::sync::Arc::new(|_| true),
            idle_timeout: Duration::from_secs(45),
            max_event_bytes,
            polling: Polling::every(Duration::from_secs(10)),
            gauge: crate::gauge::Gauge::detached(crate::id::WatchId::next()),
            ticket_in: TicketIn::Query,
        }
    }

    async fn read(
        chunks: Vec<&'static [u8]>,
        limit: usize,
    ) -> Vec<Result<Incoming, TransportError>> {
        let chunks = stream::iter(chunks).map(|chunk| Ok(Bytes::from_static(chunk)));
        events(chunks.boxed(), &request(limit)).collect().await
    }

    #[tokio::test]
    async fn a_bad_event_is_skipped_and_the_next_one_arrives() {
        let found = read(vec![b"event: record.deleted\ndata: {\n\nevent: record.deleted\ndata: {\"uri\":\"at://d/c/r\"}\n\n"], 999).await;
        assert!(matches!(
            found[0],
            Ok(Incoming::Skipped(WireError::Data { .. }))
        ));
        assert!(matches!(
            found[1],
            Ok(Incoming::Event(ServerEvent::Deleted { .. }))
        ));
        assert_eq!(found.len(), 2);
    }

    #[tokio::test]
    async fn what_the_server_says_holds_neither_ticket_nor_invite_token() {
        let echo = b"event: error\ndata: {\"message\":\"mellon or let%20me in?\"}\n\n";
        let found = read(vec![echo], 999).await;
        let Ok(Incoming::Event(ServerEvent::Error { message })) = &found[0] else {
            panic!("{found:?}");
        };
        assert_eq!(message, "… or …?");
    }

    #[tokio::test]
    async fn events_before_an_endless_line_arrive_and_then_the_typed_error() {
        let found = read(vec![b"event: snapshot.start\ndata: {}\n\ndata: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"], 32).await;
        assert!(matches!(
            found[0],
            Ok(Incoming::Event(ServerEvent::SnapshotStart))
        ));
        assert!(matches!(
            found[1],
            Err(TransportError::EventTooLarge { limit: 32 })
        ));
        assert_eq!(found.len(), 2);
    }

    const HOUR: Duration = Duration::from_secs(3600);

    /// Hears these words, 15 s apart. Gives the error at the end of it, and when that was.
    async fn until_error(
        said: impl Stream<Item = &'static str> + Send + 'static,
    ) -> (TransportError, u64) {
        let chunks = said.then(in_15_s);
        let start = Instant::now();
        let mut events = events(chunks.boxed(), &request(999));
        let error = async {
            loop {
                if let Err(error) = events.next().await.expect("it goes on") {
                    return error;
                }
            }
        };
        let error = tokio::time::timeout(HOUR, error).await;
        (error.expect("an error"), start.elapsed().as_secs())
    }

    async fn in_15_s(words: &'static str) -> Result<Bytes, TransportError> {
        tokio::time::sleep(Duration::from_secs(15)).await;
        Ok(Bytes::from_static(words.as_bytes()))
    }

    /// These, and the last of them over and over.
    fn for_ever(words: &'static [&'static str]) -> impl Stream<Item = &'static str> + use<> {
        stream::iter(
            words
                .iter()
                .chain(words.last().into_iter().cycle())
                .copied(),
        )
    }

    const KEEPALIVE: &str = ": keepalive\n\n";
    const START: &str = "event: snapshot.start\ndata: {}\n\n";
    const END: &str = "event: snapshot.end\ndata: {}\n\n";
    const LIVE: &str = "event: record.deleted\ndata: {\"uri\":\"at://d/c/r\"}\n\n";

    #[tokio::test(start_paused = true)]
    async fn signs_of_life_without_a_snapshot_or_its_end_are_a_typed_error() {
        for (words, after) in [
            (&[KEEPALIVE] as &[_], 60),
            (&[LIVE], 60),
            (&["event: future\ndata: {}\n\n"], 60),
            (&[KEEPALIVE, KEEPALIVE, START, KEEPALIVE], 45 + 60),
            (
                &[START, "event: snapshot.record\ndata: {\n\n", KEEPALIVE],
                30 + 60,
            ),
            (
                &[START, "event: snapshot.end\ndata: [\n\n", KEEPALIVE],
                30 + 60,
            ),
        ] {
            let (error, at) = until_error(for_ever(words)).await;
            assert!(
                matches!(error, TransportError::NoSnapshot { .. }),
                "{error}"
            );
            assert_eq!(at, after, "{words:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_snapshot_keepalives_are_enough() {
        let chunks = for_ever(&[START, END, KEEPALIVE]).then(in_15_s).boxed();
        let mut events = events(chunks, &request(999));
        for _ in [START, END] {
            assert!(events.next().await.unwrap().is_ok());
        }
        let found = tokio::time::timeout(HOUR, events.next()).await;
        assert!(found.is_err(), "{found:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_a_typed_error_but_a_comment_is_not_silence() {
        let said = [START, END, KEEPALIVE, KEEPALIVE];
        let (error, at) = until_error(stream::iter(said).chain(stream::pending())).await;
        assert!(matches!(error, TransportError::IdleTimeout { .. }));
        assert_eq!(at, 4 * 15 + 45);
    }
}
