//! Words of others in our messages: bounded, and without what looks like a ticket.

/// What is kept of somebody else's words.
const MAX_CHARS: usize = 300;
/// Shorter words are no tickets: the smallest has a payload and a signature of 43 characters.
const SHORTEST_TICKET: usize = 40;

/// Somebody's words as they may stand in an error or a log: without the given secrets, without anything that
/// looks like a ticket or token, and not too long.
pub fn quoted(text: &str, secrets: &[&str]) -> String {
    let secrets = secrets.iter().filter(|secret| !secret.is_empty());
    let text = secrets.fold(text.to_owned(), |text, secret| text.replace(secret, "…"));
    let mut shown = String::new();
    for (n, word) in text
        .split_inclusive(|c: char| !is_of_a_token(c))
        .enumerate()
    {
        if n > MAX_CHARS {
            break;
        }
        let end = word.trim_end_matches(|c: char| !is_of_a_token(c)).len();
        let (token, rest) = word.split_at(end);
        shown.push_str(if looks_like_a_ticket(token) {
            "…"
        } else {
            token
        });
        shown.push_str(rest);
    }
    shown.chars().take(MAX_CHARS).collect()
}

fn is_of_a_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '%' | '+' | '/' | '~')
}

fn looks_like_a_ticket(word: &str) -> bool {
    let long_part = |part: &str| part.len() >= SHORTEST_TICKET && !part.contains('/');
    word.len() >= SHORTEST_TICKET && word.contains('.') && word.split('.').any(long_part)
        || word.starts_with("eyJ") && word.len() >= SHORTEST_TICKET / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_and_given_secrets_are_cut_out_before_the_text_is_shortened() {
        let ticket = format!(
            "eyJ0b3BpY3MiOlsic3BhY2U6{}.{}",
            "a".repeat(200),
            "b".repeat(43)
        );
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
            "",
        ] {
            assert_eq!(quoted(text, &[]), text);
        }
    }
}
