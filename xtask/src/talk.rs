//! What the people of the demo say to each other, and how it gets to the appview.

use std::time::{Duration, SystemTime};

use anyhow::Result;
use serde_json::json;

use crate::appview::Appview;

mod lines;
use lines::EMOJI;
pub(crate) use lines::{HIKE, KITCHEN, Script};

pub(crate) const ALICE: &str = "did:plc:alice";
pub(crate) const MEMBERS: [&str; 4] = [ALICE, "did:plc:bob", "did:plc:carol", "did:plc:dave"];
const NSID: &str = "com.example.chat";
/// Only the latest messages are edited, deleted and reacted to.
const REMEMBERED: usize = 24;

/// One message as it is on the server.
struct Message {
    did: &'static str,
    rkey: String,
    text: String,
    at: SystemTime,
    reply: Option<String>,
}

impl Message {
    fn uri(&self) -> String {
        format!("at://{}/{NSID}.message/{}", self.did, self.rkey)
    }
}

/// A conversation in one space, or in public.
pub(crate) struct Talk<'a> {
    appview: &'a Appview,
    script: &'static Script,
    /// The space; none in public.
    space: Option<String>,
    recent: Vec<Message>,
    next: usize,
}

impl<'a> Talk<'a> {
    /// Creates a space with what was said in it so far.
    pub(crate) fn begin(appview: &'a Appview, script: &'static Script) -> Result<Self> {
        let space = appview.space(script.key, ALICE, &MEMBERS)?;
        Self::begin_in(appview, script, Some(space))
    }

    /// The same for all to see, on an appview that knows no spaces.
    pub(crate) fn begin_in_public(appview: &'a Appview, script: &'static Script) -> Result<Self> {
        Self::begin_in(appview, script, None)
    }

    fn begin_in(
        appview: &'a Appview,
        script: &'static Script,
        space: Option<String>,
    ) -> Result<Self> {
        let mut talk = Self {
            appview,
            script,
            space,
            recent: Vec::new(),
            next: 0,
        };
        let now = SystemTime::now();
        for line in script.opening {
            let at = now - Duration::from_secs(line.minutes_ago * 60 + fastrand::u64(0..50));
            let reply = line.reply_to.and_then(|back| {
                let index = talk.recent.len().checked_sub(back)?;
                Some(talk.recent.get(index)?.uri())
            });
            talk.say(MEMBERS[line.who], line.text, reply, at)?;
            for (who, emoji) in line.reactions {
                talk.react(talk.recent.len() - 1, MEMBERS[*who], emoji, at)?;
            }
        }
        Ok(talk)
    }

    /// Where it is, as the chat takes it: the URI of the space, or `public`.
    pub(crate) fn room(&self) -> &str {
        self.space.as_deref().unwrap_or("public")
    }

    /// How long until something happens again.
    pub(crate) fn pause() -> Duration {
        Duration::from_millis(fastrand::u64(1_000..4_000))
    }

    /// Lets one thing happen: mostly a message, now and then a reaction, an edit or a deletion.
    pub(crate) fn go_on(&mut self) -> Result<()> {
        let now = SystemTime::now();
        match fastrand::u32(0..100) {
            0..18 => {
                let which = self.recent.len() - 1 - fastrand::usize(0..self.recent.len().min(6));
                let who = MEMBERS[fastrand::usize(0..MEMBERS.len())];
                self.react(which, who, EMOJI[fastrand::usize(0..EMOJI.len())], now)
            }
            18..26 => self.edit_latest(),
            26..30 if self.recent.len() > 12 => {
                let message = self.recent.remove(self.recent.len() - 2);
                self.appview.control(
                    "delete",
                    &json!({ "spaceUri": self.space, "collection": "message",
                        "did": message.did, "rkey": message.rkey }),
                )?;
                Ok(())
            }
            _ => {
                let later = self.script.later;
                let (who, text) = later[self.next % later.len()];
                self.next += 1;
                let answers = fastrand::u32(0..100) < 15;
                let reply = self.recent.last().filter(|_| answers).map(Message::uri);
                self.say(MEMBERS[who], text, reply, now)
            }
        }
    }

    fn say(
        &mut self,
        did: &'static str,
        text: &str,
        reply: Option<String>,
        at: SystemTime,
    ) -> Result<()> {
        let message = Message {
            did,
            rkey: tid(at),
            text: text.to_owned(),
            at,
            reply,
        };
        self.put(&message)?;
        self.recent.push(message);
        if self.recent.len() > REMEMBERED {
            self.recent.remove(0);
        }
        Ok(())
    }

    fn edit_latest(&mut self) -> Result<()> {
        let Some(mut message) = self.recent.pop() else {
            return Ok(());
        };
        if !message.text.ends_with("(edited)") {
            message.text.push_str(" (edited)");
        }
        self.put(&message)?;
        self.recent.push(message);
        Ok(())
    }

    fn put(&self, message: &Message) -> Result<()> {
        let at = timestamp(message.at);
        let mut record =
            json!({ "$type": format!("{NSID}.message"), "text": message.text, "createdAt": at });
        if let Some(uri) = &message.reply {
            record["reply"] = json!({ "uri": uri });
        }
        self.appview.control(
            "put",
            &json!({ "spaceUri": self.space, "collection": "message", "did": message.did,
                "rkey": message.rkey, "record": record }),
        )?;
        Ok(())
    }

    fn react(&self, which: usize, did: &str, emoji: &str, at: SystemTime) -> Result<()> {
        let subject = self.recent[which].uri();
        self.appview.control(
            "put",
            &json!({ "spaceUri": self.space, "collection": "reaction", "did": did,
                "rkey": tid(SystemTime::now()),
                "record": { "$type": format!("{NSID}.reaction"), "emoji": emoji,
                    "subject": { "uri": subject }, "createdAt": timestamp(at) } }),
        )?;
        Ok(())
    }
}

/// When a record was made, as its body says.
fn timestamp(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

/// A record key as AT Protocol makes them: microseconds and a clock id, in sortable base 32.
fn tid(at: SystemTime) -> String {
    const ALPHABET: &[u8; 32] = b"234567abcdefghijklmnopqrstuvwxyz";
    let since = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let micros = u64::try_from(since.as_micros()).unwrap_or(u64::MAX) & (u64::MAX >> 11);
    let bits = (micros << 10) | fastrand::u64(0..1024);
    (0..13)
        .rev()
        .map(|place| char::from(ALPHABET[(bits >> (place * 5)) as usize & 31]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_keys_sort_by_time() {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let keys: Vec<_> = (0..100)
            .map(|step| tid(start + Duration::from_micros(step * 7)))
            .collect();
        assert!(keys.is_sorted());
        assert!(keys.iter().all(|key| key.len() == 13));
    }

    #[test]
    fn an_opening_runs_forward_in_time_and_answers_only_what_was_said() {
        for Script { opening, .. } in [&HIKE, &KITCHEN] {
            for (index, line) in opening.iter().enumerate() {
                assert!(
                    line.reply_to.is_none_or(|back| (1..=index).contains(&back)),
                    "{}",
                    line.text
                );
                assert!(
                    index == 0 || opening[index - 1].minutes_ago > line.minutes_ago,
                    "{}",
                    line.text
                );
            }
        }
        assert!((20..=30).contains(&HIKE.opening.len()));
    }
}
