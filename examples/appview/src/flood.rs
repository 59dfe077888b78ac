//! `POST /control/flood`: many changes in a row, as fast as the watchers take them or at a steady rate.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use crate::Error;
use crate::answer::json as answer;
use crate::control::parse;
use crate::record::Put;
use crate::state::App;
use crate::world::World;

/// Bound on one call.
const MAX: usize = 1_000_000;
/// Changes on their way to the slowest watcher before a flood waits for it.
const AHEAD: usize = 2048;
/// How often a flood that goes at a steady rate, or waits, looks again.
const TICK: Duration = Duration::from_millis(1);
/// Messages of a `bulk` are updated in steps of this prime, so that neighbours are far apart.
const STRIDE: usize = 7919;

/// Changes to the messages of a space's owner.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Flood {
    space_uri: String,
    did: String,
    /// How many changes.
    n: usize,
    /// Filler characters per message.
    size: usize,
    /// Updates that many messages of a `bulk`, in turn; absent: writes new messages `f000000`, `f000001`, …
    #[serde(default)]
    among: Option<usize>,
    /// Changes per second; absent: as many as the slowest watcher takes.
    #[serde(default)]
    rate: Option<f64>,
}

/// Answers once the last change is made.
pub(crate) async fn flood(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let flood = match parse::<Flood>(&body) {
        Ok(flood) => flood,
        Err(refusal) => return refusal.into_response(),
    };
    match flood.run(&app.world).await {
        Ok((started, ms)) => answer(StatusCode::OK, &json!({ "started": started, "ms": ms })),
        Err(error) => crate::answer::Refusal::from(error).into_response(),
    }
}

impl Flood {
    /// When it began, and how long it took.
    async fn run(&self, world: &World) -> Result<(f64, f64), Error> {
        if self.n > MAX {
            return Err(Error::TooMany(MAX));
        }
        let filler = "x".repeat(self.size);
        let (started, start) = (unix_ms(), Instant::now());
        for seq in 0..self.n {
            while !self.is_due(seq, start) || world.behind() > AHEAD {
                tokio::time::sleep(TICK).await;
            }
            self.change(world, seq, &filler)?;
            if seq % 64 == 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok((started, start.elapsed().as_secs_f64() * 1e3))
    }

    #[expect(clippy::cast_precision_loss, reason = "MAX is exact in a float")]
    fn is_due(&self, seq: usize, start: Instant) -> bool {
        self.rate
            .is_none_or(|rate| start.elapsed().as_secs_f64() * rate >= seq as f64)
    }

    fn change(&self, world: &World, seq: usize, filler: &str) -> Result<(), Error> {
        let rkey = match self.among {
            Some(among) => format!("b{:06}", seq * STRIDE % among.max(1)),
            None => format!("f{seq:06}"),
        };
        world.put(Put {
            space_uri: Some(self.space_uri.clone()),
            collection: "message".into(),
            did: self.did.clone(),
            rkey,
            record: json!({ "text": filler, "seq": seq, "sent": unix_ms() }),
            concurrent: true,
            ..Put::default()
        })?;
        Ok(())
    }
}

/// Now, in Unix milliseconds with fractions.
fn unix_ms() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64() * 1e3)
}
