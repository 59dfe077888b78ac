//! Lists, asked for again whenever they may have changed: for servers without a stream.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use futures_util::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{self},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};
use url::Url;

use super::{
    ConnectRequest, Events, Incoming, Transport, TransportError, appview::Appview, http::Http,
    list, position::position_url,
};
use crate::{
    gauge::Carrier,
    pure::protocol::{listed::Records, wire::ServerEvent},
};

/// A list shows a change a few milliseconds after the position has moved.
const SETTLE: Duration = Duration::from_millis(250);
/// However much in a hurry, a watch asks for no more than one list in this time.
const HURRY: Duration = Duration::from_secs(1);

/// Follows a watch by `listRecords`. Clones share what they know of an appview.
#[derive(Debug, Clone)]
pub(crate) struct Poll {
    http: Http,
    appviews: Arc<Mutex<HashMap<Url, Weak<Appview>>>>,
}

impl Poll {
    /// Uses the given client.
    pub(crate) fn new(http: Http) -> Self {
        Self {
            http,
            appviews: Arc::default(),
        }
    }

    /// The appview of a watch, which all watches of it share.
    fn appview(&self, watch: &Url) -> Result<Arc<Appview>, TransportError> {
        let url = position_url(watch)?;
        let appviews = self.appviews.lock();
        let mut appviews = appviews.unwrap_or_else(PoisonError::into_inner);
        if let Some(appview) = appviews.get(&url).and_then(Weak::upgrade) {
            return Ok(appview);
        }
        appviews.retain(|_, it| it.strong_count() > 0);
        let appview = Arc::new(Appview::new(self.http.clone(), url.clone()));
        appviews.insert(url, Arc::downgrade(&appview));
        Ok(appview)
    }
}

impl Transport for Poll {
    fn connect(&self, request: ConnectRequest) -> BoxFuture<'_, Result<Events, TransportError>> {
        async move {
            request.gauge.over(Carrier::Poll);
            let appview = self.appview(&request.url)?;
            // It speaks for all who follow the appview: nobody's ticket is its own.
            let member = Arc::new(ConnectRequest {
                ticket: None,
                ..request.clone()
            });
            // Where the appview stands is read before the list: a change between the two is seen twice, never missed.
            let moved = appview.join(&member).await;
            let asked = Instant::now();
            let list = list::fetch(&self.http, &request, None).await?;
            request.polling.listed(asked.elapsed());
            let changes = Changes {
                appview,
                member,
                moved,
                last: asked,
            };
            let snapshot = stream::iter(snapshot(list)).map(Ok);
            let changes = stream::unfold(changes, |mut changes| async {
                changes.next().await;
                Some((Ok(Incoming::Changed), changes))
            });
            Ok(snapshot.chain(changes).boxed())
        }
        .boxed()
    }
}

/// The list as the events of a snapshot.
pub(super) fn snapshot(list: list::Answer) -> VecDeque<Incoming> {
    let event = |it| Incoming::Event(it);
    let mut events = VecDeque::from([Incoming::Lists, event(ServerEvent::SnapshotStart)]);
    let Records { read, unreadable } = list.records;
    events.push_back(Incoming::Profiles(list.profiles.0));
    let cursor = list
        .cursor
        .filter(|_| !read.is_empty() || !unreadable.is_empty());
    events.extend(read.into_iter().map(ServerEvent::SnapshotRecord).map(event));
    events.extend(unreadable.into_iter().map(Incoming::Skipped));
    events.push_back(event(ServerEvent::SnapshotEnd { cursor }));
    events
}

/// When the list of one watch may have changed.
struct Changes {
    appview: Arc<Appview>,
    member: Arc<ConnectRequest>,
    moved: watch::Receiver<u64>,
    /// When it was asked for last.
    last: Instant,
}

impl Changes {
    async fn next(&mut self) {
        let (polling, last) = (&self.member.polling, self.last);
        let moved = async {
            if self.moved.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            sleep(SETTLE).await;
            sleep_until(last + polling.interval()).await;
        };
        let hurried = async {
            polling.hurried().await;
            sleep_until(last + HURRY).await;
        };
        tokio::select! {
            () = moved => {}
            () = hurried => {}
            () = sleep_until(last + polling.at_least_every()) => {}
        }
        self.appview.turn(polling.take_pages()).await;
        self.moved.mark_unchanged();
        self.last = Instant::now();
    }
}
