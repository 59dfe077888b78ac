//! Server-sent events over one HTTP request.

use std::time::Duration;

use futures_util::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};

use super::{
    ConnectRequest, Events, Incoming, Transport, TransportError,
    http::Http,
    sse_parser::{Parsed, SseParser, TooLarge},
};
use crate::engine::wire::{self, WireError};

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
            let answer = self
                .http
                .get(request.url.clone(), &request, "text/event-stream")
                .await?;
            let content_type = answer.content_type();
            if content_type != "text/event-stream" {
                return Err(TransportError::NotEventStream { content_type });
            }
            Ok(events(
                answer.chunks().boxed(),
                request.idle_timeout,
                request.max_event_bytes,
            ))
        }
        .boxed()
    }
}

struct Reader {
    chunks: BoxStream<'static, Result<bytes::Bytes, TransportError>>,
    idle_timeout: Duration,
    parser: SseParser,
    max_event_bytes: usize,
}

/// What one chunk completes; bounded by the chunk.
type Batch = Vec<Result<Incoming, TransportError>>;

/// Events of a byte stream. The idle clock runs on bytes: a keepalive comment is a sign of life.
fn events(
    chunks: BoxStream<'static, Result<bytes::Bytes, TransportError>>,
    idle_timeout: Duration,
    max_event_bytes: usize,
) -> Events {
    let reader = Reader {
        chunks,
        idle_timeout,
        parser: SseParser::new(max_event_bytes),
        max_event_bytes,
    };
    let batches = stream::unfold(Some(reader), |reader| async move {
        let mut reader = reader?;
        let mut batch = Batch::new();
        // After an error a body repeats it for ever: the first one is the end.
        let goes_on = match reader.next(&mut batch).await {
            Ok(goes_on) => goes_on,
            Err(error) => {
                batch.push(Err(error));
                false
            }
        };
        Some((stream::iter(batch), goes_on.then_some(reader)))
    });
    batches.flatten().boxed()
}

impl Reader {
    /// Reads one chunk, and says whether there was one.
    async fn next(&mut self, batch: &mut Batch) -> Result<bool, TransportError> {
        let after = self.idle_timeout;
        let chunk = tokio::time::timeout(after, self.chunks.next()).await;
        let Some(chunk) = chunk.map_err(|_| TransportError::IdleTimeout { after })? else {
            return Ok(false);
        };
        let fed = self.parser.feed(&chunk?, &mut |parsed| {
            let decoded = match &parsed {
                Parsed::Event { kind, data } => wire::decode(kind, data),
                Parsed::NotUtf8 => Err(WireError::NotUtf8),
            };
            batch.extend(match decoded {
                Ok(event) => event.map(|it| Ok(Incoming::Event(it))),
                Err(error) => Some(Ok(Incoming::Skipped(error))),
            });
        });
        fed.map_err(|TooLarge| TransportError::EventTooLarge {
            limit: self.max_event_bytes,
        })?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::wire::ServerEvent;

    async fn read(
        chunks: Vec<&'static [u8]>,
        limit: usize,
    ) -> Vec<Result<Incoming, TransportError>> {
        let chunks = stream::iter(chunks).map(|chunk| Ok(bytes::Bytes::from_static(chunk)));
        events(chunks.boxed(), Duration::from_secs(45), limit)
            .collect()
            .await
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

    #[tokio::test(start_paused = true)]
    async fn silence_is_a_typed_error_but_a_comment_is_not_silence() {
        let (sender, receiver) = tokio::sync::mpsc::channel::<bytes::Bytes>(4);
        let chunks = stream::unfold(receiver, |mut receiver| async move {
            Some((Ok(receiver.recv().await?), receiver))
        });
        let mut events = events(chunks.boxed(), Duration::from_secs(45), 999);
        let start = tokio::time::Instant::now();
        let ticker = tokio::spawn(async move {
            for _ in 0..4 {
                tokio::time::sleep(Duration::from_secs(15)).await;
                sender
                    .send(bytes::Bytes::from_static(b": keepalive\n\n"))
                    .await
                    .unwrap();
            }
            std::future::pending::<()>().await;
        });
        let found = events.next().await;
        assert!(matches!(
            found,
            Some(Err(TransportError::IdleTimeout { .. }))
        ));
        assert_eq!(start.elapsed().as_secs(), 4 * 15 + 45);
        ticker.abort();
    }
}
