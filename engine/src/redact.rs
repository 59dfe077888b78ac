//! The door for words of others: what they say stands in our messages and logs cut short, on one line, and without
//! what may open something.

use std::{borrow::Cow, collections::HashSet, fmt, sync::Arc};

/// What is kept of somebody else's words.
const MAX_CHARS: usize = 300;
/// What is read of them, in bytes: enough to show so much even where it quotes some tickets on the way.
const MAX_READ: usize = 64 * 1024;
/// Shorter words are no tickets: the smallest has a payload and a signature of 43 characters.
const SHORTEST_TICKET: usize = 40;
/// Longer ones are none either.
const LONGEST_TICKET: usize = 8 * 1024;
/// What is remembered of a secret, in bytes. One that is longer opens nothing.
const MAX_SECRET: usize = 16 * 1024;
/// So many characters of a secret in a row are told by nobody: others may have cut it short before they quoted it.
const FRAGMENT: usize = 16;

/// What must not be quoted: the tickets, tokens and passwords that a connection was opened with. Cheap to clone.
#[derive(Clone, Default)]
pub struct Secrets(Vec<Arc<str>>);

impl Secrets {
    /// Adds one. An empty one is none.
    pub fn add(&mut self, secret: &str) {
        let secret = &secret[..secret.floor_char_boundary(MAX_SECRET)];
        if !secret.is_empty() {
            self.0.push(secret.into());
        }
    }

    /// Somebody's words as they may stand in an error or a log: one line of bounded length, without these secrets,
    /// however they are percent-encoded, and without anything that looks like a ticket or token.
    pub fn quoted(&self, text: &str) -> String {
        let read = &text[..text.floor_char_boundary(MAX_READ)];
        let mut words = Words::of(read);
        self.hide(&mut words);
        words.hide_tickets(read.len() < text.len());
        let shown = words.shown();
        shown.chars().map(printable).take(MAX_CHARS).collect()
    }

    /// Whether one of them, or a good part of one, stands in the text, as far as that is read.
    pub fn occur_in(&self, text: &str) -> bool {
        let mut words = Words::of(&text[..text.floor_char_boundary(MAX_READ)]);
        self.hide(&mut words);
        words.hidden.contains(&true)
    }

    fn hide(&self, words: &mut Words<'_>) {
        for secret in &self.0 {
            words.hide_parts_of(&Words::of(secret).folded());
        }
    }
}

impl<'a> FromIterator<&'a str> for Secrets {
    fn from_iter<I: IntoIterator<Item = &'a str>>(secrets: I) -> Self {
        let mut all = Self::default();
        for secret in secrets {
            all.add(secret);
        }
        all
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

/// A text with its percent-encoding undone, byte by byte, and which of these bytes are not to be shown.
struct Words<'a> {
    text: &'a str,
    bytes: Vec<u8>,
    /// Where each byte stands in the text.
    at: Vec<usize>,
    hidden: Vec<bool>,
}

impl<'a> Words<'a> {
    fn of(text: &'a str) -> Self {
        let (mut bytes, mut at, mut rest) = (Vec::new(), Vec::new(), text.as_bytes());
        while let Some((byte, after)) = next_byte(rest) {
            bytes.push(byte);
            at.push(text.len() - rest.len());
            rest = after;
        }
        let hidden = vec![false; bytes.len()];
        Self {
            text,
            bytes,
            at,
            hidden,
        }
    }

    /// The bytes as they are compared: in a query a space is a plus.
    fn folded(&self) -> Vec<u8> {
        let fold = |byte: &u8| if *byte == b'+' { b' ' } else { *byte };
        self.bytes.iter().map(fold).collect()
    }

    fn hide_parts_of(&mut self, secret: &[u8]) {
        let length = FRAGMENT.min(secret.len()).max(1);
        let parts: HashSet<&[u8]> = secret.windows(length).collect();
        for (n, part) in self.folded().windows(length).enumerate() {
            if parts.contains(part) {
                self.hidden[n..n + length].fill(true);
            }
        }
    }

    /// Hides the words that look like tickets; the last one, if it was cut off, where it could have become one.
    fn hide_tickets(&mut self, cut: bool) {
        let mut start = 0;
        for end in 0..=self.bytes.len() {
            let is_last = end == self.bytes.len();
            if !is_last && !self.hidden[end] && is_of_a_token(self.bytes[end]) {
                continue;
            }
            let word = &self.bytes[start..end];
            if looks_like_a_ticket(word) || is_last && cut && word.len() <= LONGEST_TICKET {
                self.hidden[start..end].fill(true);
            }
            start = end + 1;
        }
    }

    /// The text with an ellipsis for what is hidden.
    fn shown(&self) -> Cow<'a, str> {
        if !self.hidden.contains(&true) {
            return Cow::Borrowed(self.text);
        }
        let mut shown = Vec::with_capacity(self.text.len());
        for (n, hidden) in self.hidden.iter().enumerate() {
            if !hidden {
                let end = self.at.get(n + 1).copied().unwrap_or(self.text.len());
                shown.extend_from_slice(&self.text.as_bytes()[self.at[n]..end]);
            } else if n == 0 || !self.hidden[n - 1] {
                shown.extend_from_slice("…".as_bytes());
            }
        }
        String::from_utf8_lossy(&shown).into_owned().into()
    }
}

/// The first byte of a text and what follows. `%2E` is one, and so is `%252E`, however often it was encoded.
fn next_byte(text: &[u8]) -> Option<(u8, &[u8])> {
    let (mut byte, mut rest) = text.split_first().map(|(byte, rest)| (*byte, rest))?;
    while byte == b'%'
        && let Some((encoded, after)) = rest.split_first_chunk::<2>()
        && let Some(decoded) = from_hex(*encoded)
    {
        (byte, rest) = (decoded, after);
    }
    Some((byte, rest))
}

fn from_hex([high, low]: [u8; 2]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// Neither ends a line nor speaks to a terminal, and leaves the direction of the text alone.
fn printable(c: char) -> char {
    let unseen = matches!(c,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}');
    if c.is_control() || unseen { ' ' } else { c }
}

fn is_of_a_token(c: u8) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.' | b'%' | b'+' | b'/' | b'~')
}

fn looks_like_a_ticket(word: &[u8]) -> bool {
    let long_part = |part: &[u8]| part.len() >= SHORTEST_TICKET && !part.contains(&b'/');
    let parts = word.split(|byte| *byte == b'.');
    word.len() >= SHORTEST_TICKET && word.contains(&b'.') && parts.into_iter().any(long_part)
        || word.starts_with(b"eyJ") && word.len() >= SHORTEST_TICKET / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(text: &str, secrets: &[&str]) -> String {
        secrets.iter().copied().collect::<Secrets>().quoted(text)
    }

    fn ticket() -> String {
        let payload = "eyJ0b3BpY3MiOlsic3BhY2U6";
        format!("{payload}{}.{}", "a".repeat(200), "b".repeat(43))
    }

    #[test]
    fn tickets_and_given_secrets_are_cut_out_before_the_text_is_shortened() {
        let ticket = ticket();
        let text = format!(
            "bad ticket \"{ticket}\" of ?ticket={ticket}&x and sesame, {}",
            "x ".repeat(400)
        );
        let shown = quoted(&text, &["sesame"]);
        assert!(
            shown.starts_with("bad ticket \"…\" of ?ticket=…&x and …, x x"),
            "{shown}"
        );
        assert_eq!(shown.chars().count(), MAX_CHARS);
        let cut = quoted(&format!("{}{}", "y ".repeat(148), ticket), &[]);
        assert!(!cut.contains("eyJ"));
    }

    #[test]
    fn ordinary_words_stay() {
        for text in [
            "spaceUri or actor required",
            "injected db failure",
            "not-member",
            "ats://did:plc:alice/com.example.space/lounge",
            "a.rather.long.host.name.of.some.appview.in.a.cloud.example",
            "100 % of %zz, ünter 50%, 世界 %",
            "",
        ] {
            assert_eq!(quoted(text, &["sesame"]), text);
        }
    }

    #[test]
    fn a_secret_that_others_encoded_or_cut_short_is_hidden_too() {
        // No ticket by its looks: only its text can tell.
        let secret = "tk/mellon+speak=friend;and.enter~the/doors+of=durin~~";
        let encoded: String = secret.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let twice = encoded.replace('%', "%25").to_uppercase();
        let some = secret.replace('=', "%3D").replace('.', "%2E");
        let spaces = secret.replace('+', " ");
        let (head, tail) = (&secret[..30], &secret[20..]);
        for echo in [secret, &encoded, &twice, &some, &spaces, head, tail] {
            let shown = quoted(&format!("no '{echo}' here"), &[secret]);
            assert_eq!(shown, "no '…' here", "{echo}");
        }
        let looks = ticket().replace('.', "%2E").replace("eyJ", "xyJ");
        assert_eq!(quoted(&format!("?t={looks}&x"), &[]), "?t=…&x");
        let odd = "Lösung-und-Schlüssel";
        let utf8 = "L%C3%B6sung-und-Schl%c3%bcssel";
        assert_eq!(quoted(&format!("{utf8} {odd}"), &[odd]), "… …");
    }

    #[test]
    fn words_stay_on_one_line_and_command_no_terminal() {
        let text = "a\r\n2026 ERROR forged\u{1b}[2J\u{9b}31m\0\u{202e}b\u{2028}c\u{feff}";
        let shown = quoted(text, &[]);
        assert_eq!(shown, "a  2026 ERROR forged [2J 31m  b c ");
    }

    #[test]
    fn a_flood_of_words_costs_no_more_than_it_is_long() {
        // Parts of a repetitive secret fit everywhere in a repetitive text.
        let secret = "ab".repeat(4096);
        let text = "ab".repeat(4 << 20);
        let started = std::time::Instant::now();
        assert_eq!(quoted(&text, &[&secret]), "…");
        // A word that is cut where reading ends may be the first half of anything.
        let unknown = format!("{}{}", " ".repeat(MAX_READ - 9), "k".repeat(99));
        assert_eq!(quoted(&unknown, &[]).trim(), "");
        assert!(started.elapsed().as_secs() < 2);
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let secrets: Secrets = ["sesame"].into_iter().collect();
        assert_eq!(format!("{secrets:?}"), "Secrets(1)");
    }
}
