//! What a network error says to people.

use std::{
    error::Error,
    io::{self, ErrorKind},
};

use crate::redact::Secrets;

/// The innermost cause of an error: the layers around it only say that a request failed.
pub(super) fn cause(error: &(dyn Error + 'static), secrets: &Secrets) -> String {
    let innermost = chain(error).last().unwrap_or(error);
    secrets.quoted(&innermost.to_string())
}

/// Why there was no answer, as the end of a sentence, with the cause behind it.
pub(super) fn why_unreachable(error: &reqwest::Error, secrets: &Secrets) -> String {
    let cause = cause(error, secrets);
    match reason(error) {
        Some(reason) => format!("{reason} ({cause})"),
        None => cause,
    }
}

fn reason(error: &reqwest::Error) -> Option<&'static str> {
    if error.is_dns() {
        return Some("its name is not known here, or there is no network");
    }
    if let Some(error) = chain(error).find_map(|it| it.downcast_ref()) {
        return Some(match error {
            rustls::Error::InvalidCertificate(_) => "its certificate is not trusted",
            _ => "no secure connection came about",
        });
    }
    let kinds = chain(error).filter_map(|it| it.downcast_ref::<io::Error>());
    let known = kinds.map(io::Error::kind).find_map(|kind| match kind {
        ErrorKind::ConnectionRefused => Some("nobody listens there"),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
            Some("there is no way to it")
        }
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::UnexpectedEof => {
            Some("it hung up")
        }
        ErrorKind::TimedOut => Some("it took too long"),
        _ => None,
    });
    known.or(error.is_timeout().then_some("it took too long"))
}

/// An error and its causes, the innermost last.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        let io = error.downcast_ref::<io::Error>();
        match io.and_then(io::Error::get_ref) {
            // An I/O error that wraps another one names that one's source as its own, and skips it.
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        }
    })
}
