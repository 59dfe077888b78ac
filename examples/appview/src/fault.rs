//! Misbehaviour on demand.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;

use crate::Error;

/// The kind of request a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum On {
    /// A watch over server-sent events.
    Sse,
    /// The first step of a WebSocket watch.
    Handshake,
    /// Its second step.
    Upgrade,
    /// `listRecords`.
    List,
    /// `getCursor`.
    Position,
    /// `/api/ticket` and `realtime.ticket`.
    Ticket,
    /// A write to the PDS, or to a space.
    Write,
}

/// What becomes of the answer to a write that was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AcceptThen {
    /// The connection is closed without an answer.
    Close,
    /// It is never answered.
    Stall,
    /// It is answered with the fault's `status` (and `body`, `headers`), as a gateway does that lost its server.
    Status,
}

/// How requests go wrong. Everything absent is no fault; several fields combine where that makes sense.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Fault {
    /// The kind of request; absent: every watch request (`sse`, `handshake`, `upgrade`).
    pub on: Option<On>,
    /// Strikes this many requests, then no more; absent: until cleared.
    pub times: Option<u32>,
    /// Waits before anything is answered, in milliseconds.
    pub delay_ms: Option<u64>,
    /// Waits between `snapshot.start` and the query (a handshake: before the query), in milliseconds.
    pub snapshot_delay_ms: Option<u64>,
    /// The query fails: an `error` event with this message, or a 500 to a handshake.
    pub snapshot_error: Option<String>,
    /// Reads the request, then closes the connection without an answer.
    pub close_on_accept: bool,
    /// Reads the request, then is silent for ever.
    pub stall_before_headers: bool,
    /// Answers this status.
    pub status: Option<u16>,
    /// With this body (status 200 unless given).
    pub body: Option<String>,
    /// And this content type; default `application/json`.
    pub content_type: Option<String>,
    /// And these headers.
    pub headers: BTreeMap<String, String>,
    /// Answers 426 to an upgrade, as a host without WebSocket does.
    pub refuse_upgrade: bool,
    /// Sends these bytes as the stream's body; on a WebSocket, as one text frame.
    pub raw: Option<String>,
    /// The same in base64; on a WebSocket, as one binary frame.
    pub raw_base64: Option<String>,
    /// Ends the stream after the raw bytes; else it stays open and silent.
    pub raw_then_end: bool,
    /// Cuts the connection after this many bytes of body. On a WebSocket whole frames are counted.
    pub cut_after_bytes: Option<usize>,
    /// Cuts the connection after this many events.
    pub cut_after_events: Option<usize>,
    /// Falls silent for ever, keepalives and pongs included, instead of cutting; without a cut, after the
    /// snapshot (an answer in one piece: after half of it).
    pub stall: bool,
    /// Closes a WebSocket with this code instead of cutting; without a cut, before the first frame.
    pub close_code: Option<u16>,
    /// And this reason.
    pub close_reason: Option<String>,
    /// Of writes only: carries the write out, then keeps the answer to itself.
    pub accept_then: Option<AcceptThen>,
    /// Of writes only: carries the write out twice, which makes two events.
    pub apply_twice: bool,
}

impl Fault {
    /// The raw bytes to send, if any.
    pub(crate) fn raw_bytes(&self) -> Option<Bytes> {
        let decoded = self
            .raw_base64
            .as_ref()
            .and_then(|raw| STANDARD.decode(raw).ok());
        let text = || self.raw.clone().map(String::into_bytes);
        decoded.or_else(text).map(Bytes::from)
    }

    /// Does it end the stream at some byte or event?
    pub(crate) fn cuts(&self) -> bool {
        self.cut_after_bytes.is_some() || self.cut_after_events.is_some()
    }

    /// Does it answer in place of the server?
    pub(crate) fn answers(&self) -> bool {
        self.status.is_some() || self.body.is_some()
    }

    pub(crate) fn budget(&self) -> Budget {
        Budget {
            bytes: self.cut_after_bytes,
            events: self.cut_after_events,
        }
    }

    fn check(&self) -> Result<(), Error> {
        let bad = |what: &str| Err(Error::BadFault(what.to_owned()));
        if self
            .status
            .is_some_and(|status| !(200..600).contains(&status))
        {
            return bad("status must be between 200 and 599");
        }
        let name_ok = |name: &String| axum::http::HeaderName::try_from(name).is_ok();
        let value_ok = |value: &String| axum::http::HeaderValue::try_from(value).is_ok();
        if !self
            .headers
            .iter()
            .all(|(name, value)| name_ok(name) && value_ok(value))
            || !self.content_type.iter().all(value_ok)
        {
            return bad("headers must be valid HTTP headers");
        }
        if self
            .raw_base64
            .as_ref()
            .is_some_and(|raw| STANDARD.decode(raw).is_err())
        {
            return bad("rawBase64 must be base64 with padding");
        }
        self.check_write()
    }

    /// Whether what only writes heed can come about.
    fn check_write(&self) -> Result<(), Error> {
        let bad = |what: &str| Err(Error::BadFault(what.to_owned()));
        if self.accept_then.is_none() && !self.apply_twice {
            return Ok(());
        }
        if self.on != Some(On::Write) {
            return bad("acceptThen and applyTwice need on: write");
        }
        if self.accept_then == Some(AcceptThen::Status) && self.status.is_none() {
            return bad("acceptThen: status needs a status");
        }
        let comes_first = self.accept_then.is_none() && self.answers();
        if comes_first || self.close_on_accept || self.stall_before_headers {
            return bad("acceptThen and applyTwice need a write that is carried out");
        }
        Ok(())
    }
}

/// The faults in force, one per kind of request.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    /// Replaces the fault of the same kind; the empty fault clears all.
    pub(crate) fn set(&self, fault: Fault) -> Result<(), Error> {
        fault.check()?;
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if fault == Fault::default() {
            faults.clear();
            return Ok(());
        }
        faults.retain(|other| other.on != fault.on);
        faults.push(fault);
        Ok(())
    }

    /// The fault that strikes this request; the empty one if none does.
    pub(crate) fn strike(&self, on: On) -> Fault {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let watch = matches!(on, On::Sse | On::Handshake | On::Upgrade);
        let found = faults
            .iter()
            .position(|fault| fault.on == Some(on))
            .or_else(|| faults.iter().position(|fault| watch && fault.on.is_none()));
        let Some(at) = found else {
            return Fault::default();
        };
        let fault = faults[at].clone();
        match &mut faults[at].times {
            Some(0..=1) => {
                faults.remove(at);
            }
            Some(times) => *times -= 1,
            None => {}
        }
        fault
    }
}

/// How much may still be sent before the cut.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Budget {
    bytes: Option<usize>,
    events: Option<usize>,
}

impl Budget {
    /// Half of an answer, unless something else was said.
    pub(crate) fn or_half(self, len: usize) -> Self {
        let bytes = self.bytes.or(Some(len / 2));
        Self { bytes, ..self }
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.bytes == Some(0) || self.events == Some(0)
    }

    /// Pays for one event and answers how many of its bytes may go out.
    pub(crate) fn pay(&mut self, len: usize) -> usize {
        if let Some(events) = &mut self.events {
            *events = events.saturating_sub(1);
        }
        match &mut self.bytes {
            Some(bytes) => {
                let paid = len.min(*bytes);
                *bytes -= paid;
                paid
            }
            None => len,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_its_kind_as_often_as_told() {
        let faults = Faults::default();
        let twice = Fault {
            on: Some(On::Sse),
            times: Some(2),
            status: Some(503),
            ..Fault::default()
        };
        faults.set(twice).unwrap();
        assert_eq!(faults.strike(On::Handshake), Fault::default());
        assert_eq!(faults.strike(On::Sse).status, Some(503));
        assert_eq!(faults.strike(On::Sse).status, Some(503));
        assert_eq!(faults.strike(On::Sse), Fault::default());
    }

    #[test]
    fn the_empty_fault_clears_all_and_an_unaimed_one_spares_tickets() {
        let faults = Faults::default();
        faults
            .set(Fault {
                close_on_accept: true,
                ..Fault::default()
            })
            .unwrap();
        assert!(faults.strike(On::Upgrade).close_on_accept);
        assert!(!faults.strike(On::Ticket).close_on_accept);
        faults.set(Fault::default()).unwrap();
        assert!(!faults.strike(On::Upgrade).close_on_accept);
    }

    #[test]
    fn a_fault_that_cannot_be_sent_is_refused() {
        let bad = [
            Fault {
                status: Some(42),
                ..Fault::default()
            },
            Fault {
                raw_base64: Some("%".into()),
                ..Fault::default()
            },
            Fault {
                apply_twice: true,
                ..Fault::default()
            },
            Fault {
                on: Some(On::Write),
                accept_then: Some(AcceptThen::Status),
                ..Fault::default()
            },
            Fault {
                on: Some(On::Write),
                accept_then: Some(AcceptThen::Close),
                close_on_accept: true,
                ..Fault::default()
            },
            Fault {
                on: Some(On::Write),
                apply_twice: true,
                status: Some(502),
                ..Fault::default()
            },
            Fault {
                headers: [("a b".into(), "c".into())].into(),
                ..Fault::default()
            },
        ];
        for fault in bad {
            assert!(Faults::default().set(fault).is_err());
        }
    }

    #[test]
    fn a_budget_ends_at_its_byte_or_event() {
        let mut budget = Budget {
            bytes: Some(10),
            events: Some(3),
        };
        assert_eq!(budget.pay(6), 6);
        assert!(!budget.is_spent());
        assert_eq!(budget.pay(6), 4);
        assert!(budget.is_spent());
    }
}
