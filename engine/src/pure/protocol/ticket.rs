//! Tickets: what opens a watch that is not public.

use std::{fmt, sync::Arc};

/// Longest ticket that is taken from a minter or a server, in bytes.
pub const MAX_TICKET_BYTES: usize = 8 * 1024;

/// How more than that is refused.
pub(crate) const TOO_LONG: NotATicket = NotATicket("more than 8192 bytes");

/// A ticket as the server gave it: opaque, secret, and absent from every kind of output.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Ticket(Arc<str>);

/// A text is no ticket. Says what it is instead, without quoting it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is {0}")]
#[non_exhaustive]
pub struct NotATicket(pub &'static str);

impl Ticket {
    /// Reads a ticket's text, as a minter, a server or an app gives it: one word, with space around it at most.
    ///
    /// ```
    /// use contrail_sync_engine::Ticket;
    ///
    /// assert!(Ticket::parse("payload.signature\n").is_ok());
    /// assert!(Ticket::parse("not a ticket").is_err());
    /// ```
    ///
    /// # Errors
    /// [`NotATicket`] if there is nothing, more than one word, or more than [`MAX_TICKET_BYTES`].
    pub fn parse(text: &str) -> Result<Self, NotATicket> {
        let text = text.trim();
        if text.is_empty() {
            return Err(NotATicket("nothing"));
        }
        if text.len() > MAX_TICKET_BYTES {
            return Err(TOO_LONG);
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(NotATicket("several words"));
        }
        Ok(Self(text.into()))
    }

    /// The text itself, for those who send it or cut it out of other text.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_one_word_of_a_bounded_length_and_shows_in_no_output() {
        let ticket = Ticket::parse(" a.b\r\n").unwrap();
        assert_eq!(ticket.expose(), "a.b");
        assert_eq!(format!("{ticket:?}"), "Ticket(…)");
        assert!(TOO_LONG.0.contains(&MAX_TICKET_BYTES.to_string()));
        let long = "x".repeat(MAX_TICKET_BYTES + 1);
        assert_eq!(Ticket::parse(&long), Err(TOO_LONG));
        for text in ["", " \n", "a b", "a\0b", &long] {
            let error = Ticket::parse(text).unwrap_err();
            assert!(error.to_string().len() < 30);
        }
    }
}
