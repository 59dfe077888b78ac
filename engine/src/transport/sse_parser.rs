//! Bytes of an event stream to events, as the HTML standard defines them, within a bound.
//!
//! Unlike parsers that end the stream at the first invalid byte, this one loses the one event that holds it.

use memchr::memchr2;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Bytes of an allocation that are kept for the next line or event.
const KEPT: usize = 64 * 1024;

/// What the parser found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed<'a> {
    /// A complete event.
    Event {
        /// Its `event` field, or `message`.
        kind: &'a str,
        /// Its `data` lines, joined by line feeds.
        data: &'a str,
    },
    /// A complete event that is not UTF-8 text.
    NotUtf8,
}

/// An event grew beyond the bound. The stream cannot be followed any further.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

/// An incremental parser: linear in its input, and never holding more than `limit` bytes.
#[derive(Debug)]
pub(super) struct SseParser {
    limit: usize,
    /// The line that the last chunk ended in.
    partial: Vec<u8>,
    /// The last chunk ended with CR: an LF that follows belongs to it.
    after_cr: bool,
    first_line: bool,
    kind: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    /// The event was handed out, and what is left of it can go.
    told: bool,
}

impl SseParser {
    /// `limit` bounds the bytes of one event, and of one line of whatever sort.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            partial: Vec::new(),
            after_cr: false,
            first_line: true,
            kind: Vec::new(),
            data: Vec::new(),
            has_data: false,
            told: false,
        }
    }

    /// Takes bytes from the front of `bytes` until they complete an event; `None` once they are used up.
    pub(super) fn next(&mut self, bytes: &mut &[u8]) -> Result<Option<Parsed<'_>>, TooLarge> {
        if std::mem::take(&mut self.told) {
            self.clear();
        }
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_cr) && bytes[0] == b'\n' {
                *bytes = &bytes[1..];
                continue;
            }
            let Some(end) = memchr2(b'\n', b'\r', bytes) else {
                self.check(self.partial.len() + bytes.len())?;
                self.partial.extend_from_slice(bytes);
                *bytes = &[];
                break;
            };
            self.after_cr = bytes[end] == b'\r';
            let line = &bytes[..end];
            *bytes = &bytes[end + 1..];
            self.check(self.partial.len() + line.len())?;
            if self.partial.is_empty() {
                self.line(line);
            } else {
                let mut whole = std::mem::take(&mut self.partial);
                whole.extend_from_slice(line);
                self.line(&whole);
                // Reuse the allocation unless it was an exception.
                whole.clear();
                whole.shrink_to(KEPT);
                self.partial = whole;
            }
            if self.told {
                return Ok(Some(self.event()));
            }
        }
        Ok(None)
    }

    fn check(&self, line: usize) -> Result<(), TooLarge> {
        if self.kind.len() + self.data.len() + line > self.limit {
            return Err(TooLarge);
        }
        Ok(())
    }

    fn line(&mut self, mut line: &[u8]) {
        if std::mem::take(&mut self.first_line) {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        if line.is_empty() {
            self.told = self.has_data;
            // An event without data is none.
            if !self.told {
                self.clear();
            }
            return;
        }
        let (name, value) = match memchr::memchr(b':', line) {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"event" => {
                self.kind.clear();
                self.kind.extend_from_slice(value);
            }
            b"data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(value);
            }
            // Comments (an empty name), `id` and `retry`, which this protocol does not use, and the unknown.
            _ => {}
        }
    }

    fn event(&self) -> Parsed<'_> {
        let kind = str::from_utf8(&self.kind).ok();
        match kind.zip(str::from_utf8(&self.data).ok()) {
            Some(("", data)) => Parsed::Event {
                kind: "message",
                data,
            },
            Some((kind, data)) => Parsed::Event { kind, data },
            None => Parsed::NotUtf8,
        }
    }

    fn clear(&mut self) {
        self.has_data = false;
        // Reuse the allocations unless they were an exception.
        for buffer in [&mut self.kind, &mut self.data] {
            buffer.clear();
            buffer.shrink_to(KEPT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An event's kind and data, or nothing where they are not UTF-8.
    type Found = Option<(String, String)>;

    fn parse(chunks: &[&[u8]], limit: usize) -> Result<Vec<Found>, TooLarge> {
        let (mut parser, mut found) = (SseParser::new(limit), Vec::new());
        for mut chunk in chunks.iter().copied() {
            while let Some(parsed) = parser.next(&mut chunk)? {
                found.push(match parsed {
                    Parsed::Event { kind, data } => event(kind, data),
                    Parsed::NotUtf8 => None,
                });
            }
        }
        Ok(found)
    }

    fn event(kind: &str, data: &str) -> Found {
        Some((kind.into(), data.into()))
    }

    #[test]
    fn every_split_of_a_stream_gives_the_same_events() {
        let stream = "\u{feff}: hello\r\nevent: a\r\ndata: {\"ü\":1}\r\n\r\ndata:x\rdata: y\r\rid: 7\nretry: 5\n\nevent: 世\ndata: 界\n\nevent: cut\ndata: off".as_bytes();
        let whole = parse(&[stream], 1000).unwrap();
        assert_eq!(
            whole,
            [
                event("a", "{\"ü\":1}"),
                event("message", "x\ny"),
                event("世", "界")
            ]
        );
        for cut in 0..=stream.len() {
            let (a, b) = stream.split_at(cut);
            assert_eq!(parse(&[a, b], 1000).unwrap(), whole, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(parse(&bytes, 1000).unwrap(), whole);
    }

    #[test]
    fn an_invalid_byte_loses_its_event_and_no_other() {
        let found = parse(
            &[b"data: a\n\ndata: \xff\xfe\n\nevent: \xc3\ndata: c\n\ndata: d\n\n"],
            1000,
        )
        .unwrap();
        assert_eq!(
            found,
            [event("message", "a"), None, None, event("message", "d")]
        );
    }

    #[test]
    fn an_endless_line_or_event_is_too_large_however_it_comes() {
        let line = vec![b'x'; 300];
        assert_eq!(parse(&[&line], 256), Err(TooLarge));
        assert_eq!(
            parse(&[b"data: ", &line[..200], &line[..200]], 256),
            Err(TooLarge)
        );
        assert_eq!(
            parse(&[b": ", &line[..200], &line[..200]], 256),
            Err(TooLarge)
        );
        let lines: Vec<&[u8]> = std::iter::repeat_n(&b"data: 0123456789\n"[..], 30).collect();
        assert_eq!(parse(&lines, 256), Err(TooLarge));
        let many: Vec<&[u8]> = std::iter::repeat_n(&b"data: 0123456789\n\n"[..], 100).collect();
        assert_eq!(parse(&many, 256).unwrap().len(), 100);
    }

    #[test]
    fn fields_follow_the_standard() {
        assert_eq!(parse(&[b"data\n\n"], 99).unwrap(), [event("message", "")]);
        assert_eq!(
            parse(&[b"data:  two\n\n"], 99).unwrap(),
            [event("message", " two")]
        );
        assert_eq!(
            parse(&[b"event: x\n\ndata: y\n\n"], 99).unwrap(),
            [event("message", "y")]
        );
        assert_eq!(
            parse(&[b"event: x\nevent: z\ndata: y\n\n"], 99).unwrap(),
            [event("z", "y")]
        );
        assert_eq!(parse(&[b"datax: y\n data: z\n\n"], 99).unwrap(), []);
    }
}
