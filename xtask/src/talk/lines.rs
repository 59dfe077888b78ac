//! The words of the demo: a few people plan a hike, and in another room what they are going to eat.

/// A conversation.
pub(crate) struct Script {
    /// The key of its space.
    pub key: &'static str,
    pub(super) opening: &'static [Line],
    /// What is said later, by whom, over and over.
    pub(super) later: &'static [(usize, &'static str)],
}

pub(crate) static HIKE: Script = Script {
    key: "weekend-hike",
    opening: OPENING,
    later: LATER,
};

pub(crate) static KITCHEN: Script = Script {
    key: "hut-kitchen",
    opening: &[
        line(
            C,
            170,
            "New room, so that the soup does not get lost among the trains",
        ),
        line(A, 168, "Soup for five: lentils, two onions, a carrot each").reactions(&[(B, "❤️")]),
        line(D, 140, "The hut has salt and pepper, nothing else").reply(1),
        line(B, 96, "I bring bread. Sourdough or the dark one?"),
        line(C, 94, "Yes")
            .reply(1)
            .reactions(&[(A, "😂"), (D, "😂")]),
        line(A, 40, "Who does the dishes?").reactions(&[(B, "👀"), (C, "👀")]),
        line(D, 21, "Whoever asks. That is the rule up there").reply(1),
    ],
    later: &[
        (B, "Both loaves are in the oven"),
        (A, "Then I leave out the crackers"),
        (C, "Please do not, they are for the train"),
        (D, "I found the ladle!"),
        (B, "Is anybody allergic to walnuts?"),
        (A, "Not that I know of. My sister-in-law to celery"),
    ],
};

/// One message that was there before the demo began.
pub(super) struct Line {
    /// Index into the members.
    pub who: usize,
    pub minutes_ago: u64,
    pub text: &'static str,
    /// How many messages before this one the answered one is.
    pub reply_to: Option<usize>,
    /// Who reacted, and how.
    pub reactions: &'static [(usize, &'static str)],
}

const fn line(who: usize, minutes_ago: u64, text: &'static str) -> Line {
    Line {
        who,
        minutes_ago,
        text,
        reply_to: None,
        reactions: &[],
    }
}

impl Line {
    const fn reply(mut self, back: usize) -> Self {
        self.reply_to = Some(back);
        self
    }

    const fn reactions(mut self, reactions: &'static [(usize, &'static str)]) -> Self {
        self.reactions = reactions;
        self
    }
}

pub(super) const EMOJI: [&str; 6] = ["👍", "❤️", "😂", "🎉", "🥾", "👀"];

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;
const D: usize = 3;

const OPENING: &[Line] = &[
    line(
        A,
        190,
        "Forecast for Saturday is finally out: sunny, 14 degrees, hardly any wind ☀️",
    )
    .reactions(&[(B, "🎉"), (C, "🎉"), (D, "❤️")]),
    line(
        B,
        187,
        "Then we should really go. The ridge trail or the lake loop?",
    ),
    line(C, 184, "Ridge! We did the lake in spring")
        .reply(1)
        .reactions(&[(A, "👍")]),
    line(D, 180, "Ridge is 18 km with 900 m of climbing, just saying"),
    line(
        C,
        178,
        "You said the same about the last one and then ran the final stretch 😄",
    )
    .reply(1)
    .reactions(&[(A, "😂"), (B, "😂")]),
    line(D, 176, "There was cake at the hut. That does not count."),
    line(
        A,
        160,
        "Ridge it is. Train at 7:42 from platform 3, we would be at the trailhead by 9",
    )
    .reactions(&[(B, "👍"), (C, "👍")]),
    line(B, 158, "7:42 on a Saturday…").reactions(&[(D, "👀")]),
    line(
        A,
        156,
        "There is an 8:42 too, but then we only reach the hut at 2",
    )
    .reply(1),
    line(B, 151, "No no, 7:42. I will sleep on the train"),
    line(
        C,
        131,
        "I have the big stove and two gas cartridges. Who brings the pot?",
    ),
    line(D, 128, "Me. And coffee.")
        .reply(1)
        .reactions(&[(A, "❤️"), (B, "❤️"), (C, "❤️")]),
    line(
        A,
        95,
        "Is the upper section open again? It was closed after the storm",
    ),
    line(
        C,
        92,
        "Rang the hut: open since Tuesday, one fallen tree to climb over",
    )
    .reply(1)
    .reactions(&[(A, "👍"), (D, "👍")]),
    line(
        D,
        74,
        "Packing list so far: layers, rain shell, 2 l of water, headlamp, first aid kit",
    ),
    line(B, 71, "Headlamp? How long do you think we will be out?").reply(1),
    line(D, 70, "It is in the kit. It is always in the kit."),
    line(C, 48, "My sister might join us, is that all right?"),
    line(A, 46, "Of course! The more the merrier")
        .reply(1)
        .reactions(&[(C, "❤️")]),
    line(B, 33, "I booked the group ticket for five then, 9 each"),
    line(D, 31, "You are the best")
        .reply(1)
        .reactions(&[(B, "😂")]),
    line(
        A,
        17,
        "I put the GPX track in the shared folder, please download it before we lose signal",
    ),
    line(C, 12, "Done. Works offline as well 🗺️")
        .reply(1)
        .reactions(&[(A, "👍")]),
    line(
        B,
        5,
        "Who has room for a second rope? Mine is too heavy together with the camera",
    ),
    line(
        D,
        2,
        "We do not need a rope on a marked trail, leave it at home",
    )
    .reply(1),
];

const LATER: &[(usize, &str)] = &[
    (B, "Fine, no rope. More room for snacks"),
    (C, "Snacks are the real safety equipment"),
    (A, "I am making those oat bars again"),
    (D, "The ones that survived a whole winter in my jacket?"),
    (A, "Exactly those. Still good, I checked 🙂"),
    (
        B,
        "Weather update: wind picks up around four, we should be off the ridge by then",
    ),
    (C, "Then let us have lunch at the hut and no second coffee"),
    (D, "I can skip lunch. I cannot skip coffee."),
    (
        A,
        "Sunrise is at 6:20 by the way, if anyone wants the early bus instead",
    ),
    (B, "Nobody wants the early bus"),
    (
        C,
        "My sister asks whether trail runners are enough or boots are better",
    ),
    (D, "Boots, the north side is still muddy"),
    (A, "Agreed, boots. And gaiters if you have them"),
    (
        B,
        "I charged all three batteries, so expect far too many photos",
    ),
    (
        C,
        "Please take one where I do not look like I am about to faint",
    ),
    (D, "No promises after the 900 m"),
    (
        A,
        "Where do we meet, under the big clock or straight on the platform?",
    ),
    (B, "Under the clock at 7:30. I bring the tickets"),
    (C, "I will be the one with two coffees"),
    (D, "And I the one who needs both"),
    (
        A,
        "The return train runs every hour until ten, so there is no hurry in the evening",
    ),
    (B, "Pizza after?"),
    (C, "Obviously pizza after"),
    (D, "Table for five at eight, I just called"),
    (A, "This is going to be a good one"),
    (
        B,
        "Does anyone have a spare pair of poles? One of mine does not lock any more",
    ),
    (C, "I have an extra pair, a bit short though"),
    (B, "Short is fine, thank you!"),
    (
        D,
        "Spring water at kilometre 7 is running, so 1.5 l is enough to start with",
    ),
    (A, "Perfect, that saves my shoulders"),
];
