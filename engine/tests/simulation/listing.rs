//! The server's side of lists: everybody's records page by page, and where the server stands.

use std::{cmp::Reverse, time::Duration};

use contrail_sync_engine::{ErrorKind, internals::Failure};

use crate::{
    schedule::{ListFault, Listing, Setup},
    server::{ChildRow, Page, Row, Server},
    stream::{Message, cut},
    world::{Answer, Event, MS, SECOND, World},
};

/// What such a server has beside its records.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    /// It has no stream.
    pub(crate) only: bool,
    /// Where it stands, and the highest that it ever stood.
    position: u64,
    highest: u64,
    /// What lists have until this moment: the position moves a little earlier.
    before: Option<(u64, Vec<Row>, Vec<ChildRow>)>,
    /// All answers so far were in order: so are the cursors of them.
    pub(crate) is_orderly: bool,
    /// Counts what was written.
    pub(crate) writes: u64,
    /// What goes wrong with so many answers: no position is told, there is no answer, lists are in another order,
    /// cursors are taken for none.
    untold: u64,
    unanswered: u64,
    pub(crate) shuffled: u64,
    forgotten: u64,
}

impl Lists {
    pub(crate) fn new(setup: &Setup) -> Self {
        Self {
            only: match setup.listing {
                Listing::Never => false,
                Listing::Always => true,
                Listing::Turns => setup.seed.is_multiple_of(2),
            },
            is_orderly: true,
            ..Self::default()
        }
    }
}

impl Server {
    /// Everybody's records as lists have them. A server without a stream decides between equal times by URI, one that
    /// has streams not at all.
    pub(crate) fn public(&self) -> Vec<&Row> {
        let public = self.rows.iter().filter(|it| it.space.is_none());
        let mut rows: Vec<&Row> = public.collect();
        match self.lists.only {
            true => rows.sort_by_cached_key(|it| (Reverse(it.time), it.uri())),
            false => rows.sort_by_key(|it| Reverse(it.time)),
        }
        rows
    }

    /// Where a record stands among others, as a cursor has it.
    fn cursor(&self, row: &Row) -> String {
        match self.lists.only {
            true => format!("u{}|{}", row.time, row.uri()),
            false => format!("c{}", row.time),
        }
    }

    /// How many records of a list are above a cursor; all without one, none if it is of another version.
    pub(crate) fn above(&self, list: &[&Row], cursor: Option<&str>) -> usize {
        let Some(cursor) = cursor else {
            return list.len();
        };
        let is_above: Box<dyn Fn(&Row) -> bool> = match cursor.split_at(1) {
            ("u", rest) if self.lists.only => {
                let (time, uri) = rest.split_once('|').unwrap_or_default();
                let place = (Reverse(time.parse().unwrap_or(0)), uri.to_owned());
                Box::new(move |it| (Reverse(it.time), it.uri()) <= place)
            }
            ("c", rest) if !self.lists.only => {
                let time = rest.parse().unwrap_or(0);
                Box::new(move |it| it.time >= time)
            }
            _ => return 0,
        };
        list.iter().filter(|it| is_above(it)).count()
    }

    /// One page, as it is now.
    fn public_page(&self, cursor: Option<&str>) -> Page {
        let mut rows = self.public();
        if self.lists.shuffled > 0 {
            rows.sort_by_cached_key(|it| (it.version * 7919 + self.lists.shuffled) % 31);
        }
        let from = cursor.map_or(0, |it| self.above(&rows, Some(it)));
        rows.drain(..from);
        self.page_of(rows, |it| self.cursor(it))
    }

    /// One page, as it is listed at this moment.
    fn list_page(&mut self, at: u64, cursor: Option<&str>) -> Page {
        let cursor = cursor.filter(|_| self.lists.forgotten == 0);
        let before = self.lists.before.take();
        let lags = before.as_ref().is_some_and(|it| at < it.0);
        let is_true = !lags && self.lists.shuffled == 0;
        self.lists.is_orderly &= self.lists.shuffled == 0;
        let mut page = match before {
            Some((until, mut rows, mut children)) if at < until => {
                let mut swap = |it: &mut Self| {
                    std::mem::swap(&mut it.rows, &mut rows);
                    std::mem::swap(&mut it.children, &mut children);
                };
                swap(self);
                let page = self.public_page(cursor);
                swap(self);
                self.lists.before = Some((until, rows, children));
                page
            }
            _ => self.public_page(cursor),
        };
        page.is_true = is_true;
        self.lists.forgotten = self.lists.forgotten.saturating_sub(1);
        self.lists.shuffled = self.lists.shuffled.saturating_sub(1);
        page
    }

    /// All is well from now on.
    pub(crate) fn list_well(&mut self) {
        let lists = &mut self.lists;
        (lists.untold, lists.unanswered) = (0, 0);
        (lists.shuffled, lists.forgotten) = (0, 0);
    }
}

impl World {
    /// Something is about to be written; the position moves, unless it has a hole there.
    pub(crate) fn about_to_write(&mut self, is_silent: bool) {
        if self.setup.listing == Listing::Never {
            return;
        }
        let lag = match self.network.u8(..4) {
            0 => self.network.u64(..200 * MS),
            _ => self.network.u64(..7 * MS),
        };
        let (at, server) = (self.at, &mut self.server);
        server.lists.writes += 1;
        if is_silent {
            return;
        }
        server.lists.highest += 1;
        server.lists.position = server.lists.highest;
        if server.lists.before.as_ref().is_none_or(|it| it.0 <= at) {
            let before = (at + lag, server.rows.clone(), server.children.clone());
            server.lists.before = Some(before);
        }
    }

    pub(crate) fn list_fault(&mut self, fault: ListFault, dice: u64) {
        let lists = &mut self.server.lists;
        match fault {
            ListFault::Turn if self.setup.listing == Listing::Turns => {
                lists.only = !lists.only;
                self.send(Message::Failed(cut("the server begins anew")));
            }
            ListFault::Turn => {}
            ListFault::Elsewhere => {
                lists.highest += 1;
                lists.position = lists.highest;
            }
            ListFault::Back => lists.position = lists.position.saturating_sub(1 + dice % 3),
            ListFault::Untold => lists.untold = 1 + dice % 9,
            ListFault::Unanswered => lists.unanswered = 1 + dice % 9,
            ListFault::Shuffle => lists.shuffled = 1 + dice % 6,
            ListFault::Forget => lists.forgotten = 1 + dice % 40,
        }
    }

    /// Where the server stands; `None` if it does not say.
    pub(crate) fn position_asked(&mut self, id: u64) {
        let lists = &mut self.server.lists;
        let mut delay = 0;
        let answer = if lists.unanswered > 0 {
            lists.unanswered -= 1;
            // Some requests hang until they are given up.
            delay = (lists.unanswered % 3) * 15 * SECOND;
            Err(())
        } else if lists.untold > 0 {
            lists.untold -= 1;
            Ok(None)
        } else {
            Ok(Some(lists.position))
        };
        let latency = self.latency();
        self.after(delay + latency, Event::Positioned(id, answer));
    }

    /// What is wrong with a request for a list, if anything. Nobody's ticket is looked at.
    fn no_list(&mut self) -> Option<Failure> {
        if let Some(seconds) = self.faults.retry_after.take() {
            let retry_after = Some(Duration::from_secs(seconds));
            let busy = Failure::new(ErrorKind::HttpStatus, "503");
            return Some(Failure {
                retry_after,
                ..busy
            });
        }
        if self.faults.refused > 0 {
            self.faults.refused -= 1;
            return Some(Failure::new(ErrorKind::Connect, "refused"));
        }
        // It is cut midway: nothing of it can be read.
        let is_cut = self.faults.no_page > 0;
        self.faults.no_page = self.faults.no_page.saturating_sub(1);
        is_cut.then(|| cut("the list was cut off"))
    }

    fn listed_after(&mut self) -> u64 {
        match self.network.u8(..4) {
            0 => self.network.u64(..4 * SECOND),
            _ => self.latency(),
        }
    }

    /// The list with which a connection begins.
    pub(crate) fn list_asked(&mut self, id: u64) {
        let answer = match self.no_list() {
            Some(failure) => Err(failure),
            None => Ok(self.server.list_page(self.at, None)),
        };
        let delay = self.listed_after();
        self.after(delay, Event::Listed(id, answer));
    }

    /// Another page of it, or the first one again.
    pub(crate) fn list_page_asked(&mut self, id: u64, cursor: Option<&str>) {
        let answer = match self.no_list() {
            Some(failure) => Answer::Refused(failure),
            None => Answer::Page(self.server.list_page(self.at, cursor), None),
        };
        let delay = self.listed_after();
        self.after(delay, Event::Answered(id, answer));
    }
}
