//! How far redirects are followed, and what those cost that led nowhere.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use url::Url;

use super::TransportError;

/// Redirects followed in one attempt: from http to https, and once more.
const MAX_REDIRECTS: usize = 2;
/// How long a dead end is remembered after it was last met.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// Dead ends remembered at once.
const MAX_REMEMBERED: usize = 256;

/// URLs whose redirects led nowhere. Following them takes several requests where an attempt to connect may count for one:
/// so many of the attempts after it are sat out.
#[derive(Clone, Default)]
pub(super) struct DeadEnds(Arc<Mutex<HashMap<Url, DeadEnd>>>);

struct DeadEnd {
    met: Instant,
    /// Redirects on the way, as the error tells.
    hops: usize,
    /// Attempts that are still to be sat out.
    sits_out: usize,
}

/// The way of one attempt from redirect to redirect.
pub(super) struct Way {
    dead_ends: DeadEnds,
    passed: Vec<Url>,
}

impl DeadEnds {
    /// Begins an attempt at this URL, unless it is to be sat out.
    pub(super) fn set_out(&self, url: &Url) -> Result<Way, TransportError> {
        let mut known = self.lock();
        known.retain(|_, it| it.met.elapsed() < REMEMBERED);
        if let Some(dead_end) = known.get_mut(&without_ticket(url))
            && let Some(less) = dead_end.sits_out.checked_sub(1)
        {
            dead_end.sits_out = less;
            let hops = dead_end.hops;
            return Err(TransportError::Redirects { hops });
        }
        Ok(Way {
            dead_ends: self.clone(),
            passed: vec![without_ticket(url)],
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Url, DeadEnd>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for DeadEnds {
    // URLs hold invite tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeadEnds({})", self.lock().len())
    }
}

impl Way {
    /// Goes on to the target of a redirect, unless that leads in a circle or too far.
    pub(super) fn goes_on(&mut self, to: &Url) -> Result<(), TransportError> {
        // The ticket is no part of where it is.
        let to = without_ticket(to);
        let hops = self.passed.len();
        if hops > MAX_REDIRECTS || self.passed.contains(&to) {
            self.ends(hops);
            return Err(TransportError::Redirects { hops });
        }
        self.passed.push(to);
        Ok(())
    }

    /// There is an answer, whatever it says.
    pub(super) fn arrives(self) {
        if let Some(start) = self.passed.first() {
            self.dead_ends.lock().remove(start);
        }
    }

    fn ends(&self, hops: usize) {
        let (mut known, Some(start)) = (self.dead_ends.lock(), self.passed.first()) else {
            return;
        };
        if known.len() >= MAX_REMEMBERED && !known.contains_key(start) {
            return;
        }
        // An attempt stands for one request. Sitting out as many as were made now keeps below that, whatever part of a
        // longer time one looks at.
        let dead_end = DeadEnd {
            met: Instant::now(),
            hops,
            sits_out: if hops > 1 { hops } else { 0 },
        };
        known.insert(start.clone(), dead_end);
    }
}

/// A URL as it is compared: however its query is written, and without the ticket.
fn without_ticket(url: &Url) -> Url {
    let mut bare = url.clone();
    bare.set_query(None);
    for (name, value) in url.query_pairs().filter(|(name, _)| name != "ticket") {
        bare.query_pairs_mut().append_pair(&name, &value);
    }
    bare
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(path: usize) -> Url {
        format!("https://appview.example/{path}").parse().unwrap()
    }

    /// The requests of each of ten attempts where `next` says where each page leads.
    fn requests(dead_ends: &DeadEnds, next: impl Fn(usize) -> usize) -> Vec<usize> {
        let attempt = |_| {
            let Ok(mut way) = dead_ends.set_out(&url(0)) else {
                return 0;
            };
            let (mut at, mut requests) = (0, 1);
            loop {
                at = next(at);
                if way.goes_on(&url(at)).is_err() {
                    return requests;
                }
                requests += 1;
            }
        };
        (0..10).map(attempt).collect()
    }

    #[test]
    fn however_redirects_lead_on_there_are_no_more_requests_than_attempts() {
        for (way, next) in [
            ("onto itself", (|_| 0) as fn(usize) -> usize),
            ("there and back", |at| 1 - at),
            ("into a circle", |_| 1),
            ("ever further", |at| at + 1),
        ] {
            let requests = requests(&DeadEnds::default(), next);
            let total: usize = requests.iter().sum();
            assert!((3..=10).contains(&total), "{way}: {requests:?}");
            // As many attempts as a minute has later on.
            let mut minutes = requests.windows(3).map(|of| of.iter().sum::<usize>());
            assert!(minutes.all(|of| of <= 3), "{way}: {requests:?}");
        }
    }

    #[test]
    fn a_page_with_another_ticket_is_the_same_page() {
        let mut way = DeadEnds::default().set_out(&url(0)).unwrap();
        let same = "https://appview.example/0?ticket=t".parse().unwrap();
        let refused = way.goes_on(&same).unwrap_err();
        assert!(matches!(refused, TransportError::Redirects { hops: 1 }));
    }

    #[test]
    fn an_answer_ends_the_memory_of_a_dead_end() {
        let dead_ends = DeadEnds::default();
        let mut way = dead_ends.set_out(&url(0)).unwrap();
        way.goes_on(&url(1)).unwrap();
        assert!(way.goes_on(&url(0)).is_err());
        assert!(dead_ends.set_out(&url(5)).is_ok(), "another URL");
        while dead_ends.set_out(&url(0)).is_err() {}
        let mut way = dead_ends.set_out(&url(0)).unwrap();
        way.goes_on(&url(1)).unwrap();
        way.arrives();
        assert!(dead_ends.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn dead_ends_are_forgotten_after_an_hour_and_their_number_is_bounded() {
        let dead_ends = DeadEnds::default();
        for n in 0..2 * MAX_REMEMBERED {
            let mut way = dead_ends.set_out(&url(n)).unwrap();
            assert!(way.goes_on(&url(n)).is_err());
        }
        assert_eq!(
            format!("{dead_ends:?}"),
            format!("DeadEnds({MAX_REMEMBERED})")
        );
        tokio::time::advance(REMEMBERED).await;
        dead_ends.set_out(&url(0)).unwrap();
        assert!(dead_ends.lock().is_empty());
    }
}
