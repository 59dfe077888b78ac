//! What happens in one life of a watch: its setting and its steps, drawn from a seed. Each step carries its own dice, so that
//! a schedule without some of its steps means the same.

use contrail_sync_engine::{Filter, Path, Sort, SortBy, View};
use fastrand::Rng;

/// How the server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sse,
    /// A socket that ends in a worker: the whole snapshot comes again over it.
    Worker,
    /// A socket that ends in a Durable Object: what the handshake missed is replayed, as far as it is remembered.
    DurableObject,
}

/// Whether the server has lists only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listing {
    Never,
    /// It has no stream, and everything is public.
    Always,
    /// Of a community: now it has streams, now it has none.
    Turns,
}

/// How the watch sorts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Newest,
    Oldest,
    Rkey,
    Number,
}

/// What stays the same in one schedule.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) seed: u64,
    pub(crate) kind: Kind,
    pub(crate) listing: Listing,
    /// The watch is of a community's records in two spaces and in public; else of one space.
    pub(crate) community: bool,
    /// Whether a community's writes and kicks are published.
    pub(crate) published: bool,
    /// Records of one page.
    pub(crate) limit: usize,
    /// Records that are there from the beginning.
    pub(crate) initial: usize,
    /// Most children of a group that a snapshot has, if children are asked for.
    pub(crate) hydrate: Option<usize>,
    pub(crate) order: Order,
    /// Only those of one room are shown.
    pub(crate) only_room: bool,
    pub(crate) max_records: Option<usize>,
    /// Records that the cache keeps.
    pub(crate) keep: usize,
    /// The server subscribes only after it has read the snapshot.
    pub(crate) subscribes_late: bool,
    /// Several records are stored at the very same time.
    pub(crate) ties: bool,
    /// Records have times of their authors': an edit leaves it as it was, and some are older than others before them.
    pub(crate) authored: bool,
}

/// What somebody writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    New,
    Edit,
    Delete,
    Burst,
    /// A record whose time is no number.
    Odd,
    Child,
    ChildEdit,
    ChildDelete,
}

/// What goes wrong between watch and server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Cut,
    /// The connection, or the next one, is cut after so many messages …
    CutAfter,
    /// … or falls silent.
    StallAfter,
    Stall,
    Slow,
    Refuse,
    RetryAfter,
    ServerError,
    LateUpgrade,
    NoPage,
    MintFails,
    MintHangs,
    ExpireTickets,
}

/// What goes wrong with a server's lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListFault {
    /// From now on it has no stream, or has one again.
    Turn,
    /// The position moves, and nothing changed.
    Elsewhere,
    /// The position goes backwards.
    Back,
    Untold,
    Unanswered,
    /// Lists are in no order.
    Shuffle,
    /// Cursors are taken for none.
    Forget,
}

/// What the device does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Device {
    Suspend,
    Resume,
    Sleep,
    WallJump,
    Restart,
    SwitchAccount,
    ClearCache,
    CacheFails,
}

/// What those do who follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follow {
    Come,
    Go,
    Stall,
    Resume,
    LoseDelta,
    State,
    LoseState,
    LoadMore,
    Refresh,
}

/// What the app shows before the server says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Optimistic {
    Add,
    Edit,
    Fail,
    Remove,
    Confirm,
}

/// One thing that happens. The numbers are dice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Milliseconds pass.
    Wait(u64),
    Write(Write, u64),
    /// The server tells nobody of it.
    Silent(Write, u64),
    Fault(Fault, u64),
    Lists(ListFault, u64),
    Device(Device, u64),
    /// Out of a space, or of the only one.
    Kick(u64),
    Admit,
    Follow(Follow, u64),
    Optimistic(Optimistic, u64),
    /// After a quiet time, somebody writes over a connection on which nothing is lost: each change shows at once.
    Talk(u64),
    /// All is well for long enough: then everything agrees.
    Quiet,
}

impl Setup {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let community = rng.u8(..3) == 0;
        let kind = match rng.u8(..3) {
            0 => Kind::Sse,
            // A community's socket always ends in a worker.
            2 if !community => Kind::DurableObject,
            _ => Kind::Worker,
        };
        let order = match rng.u8(..8) {
            0 => Order::Oldest,
            1 => Order::Rkey,
            2 => Order::Number,
            _ => Order::Newest,
        };
        let most = if rng.u8(..4) == 0 { 24 } else { 9 };
        let limit = *rng.choice(&[3, 5, 10, 200]).unwrap_or(&50);
        Self {
            seed,
            kind,
            community,
            published: rng.bool(),
            limit,
            initial: rng.usize(..most),
            hydrate: (!community && rng.u8(..3) == 0).then(|| *rng.choice(&[2, 50]).unwrap_or(&5)),
            order,
            only_room: rng.u8(..5) == 0,
            max_records: (rng.u8(..4) == 0).then(|| rng.usize(1..9)),
            keep: *rng.choice(&[2, 6, 500]).unwrap_or(&5),
            subscribes_late: rng.u8(..4) == 0,
            ties: rng.u8(..5) == 0,
            listing: match rng.u8(..3) {
                0 if community => Listing::Turns,
                0 => Listing::Always,
                _ => Listing::Never,
            },
            authored: rng.bool(),
        }
    }

    pub(crate) fn view(&self) -> View {
        let by_number = || Path::parse("value.n").map(SortBy::Value);
        let mut view = View::default();
        view.sort = match self.order {
            Order::Newest => Sort::descending(SortBy::TimeUs),
            Order::Oldest => Sort::ascending(SortBy::TimeUs),
            Order::Rkey => Sort::ascending(SortBy::Rkey),
            Order::Number => Sort::descending(by_number().unwrap_or_default()),
        };
        if self.only_room {
            let room = Path::parse("value.room").map(|it| (it, "a".into()));
            view.filter = Filter::new(room.into_iter().collect());
        }
        view.max_records = self.max_records;
        view
    }
}

/// The steps of a seed. They end with a quiet time.
pub(crate) fn steps(setup: &Setup) -> Vec<Step> {
    let mut rng = Rng::with_seed(setup.seed ^ 0x5eed);
    let count = match rng.u8(..10) {
        0..6 => rng.usize(2..14),
        6..9 => rng.usize(10..30),
        _ => rng.usize(30..70),
    };
    let mut steps: Vec<Step> = (0..count).map(|_| step(setup, &mut rng)).collect();
    talk(&mut rng, &mut steps);
    steps
}

fn step(setup: &Setup, rng: &mut Rng) -> Step {
    let dice = rng.u64(..);
    if setup.listing != Listing::Never && rng.u8(..8) == 0 {
        return Step::Lists(list_fault(setup, rng), dice);
    }
    match rng.u8(..100) {
        0..20 => Step::Wait(match rng.u8(..6) {
            0..2 => rng.u64(..60),
            2..4 => rng.u64(..2_000),
            4 => rng.u64(..20_000),
            _ => rng.u64(..200_000),
        }),
        20..46 => Step::Write(write(rng), dice),
        46..53 => Step::Silent(write(rng), dice),
        53..70 => Step::Fault(fault(rng), dice),
        70..77 => Step::Device(device(rng), dice),
        77..79 => Step::Kick(dice),
        79 => match rng.bool() {
            true => Step::Kick(dice),
            false => Step::Admit,
        },
        80..90 => Step::Follow(follow(rng), dice),
        90..99 => Step::Optimistic(optimistic(rng), dice),
        _ => Step::Quiet,
    }
}

fn talk(rng: &mut Rng, steps: &mut Vec<Step>) {
    steps.push(Step::Quiet);
    for _ in 0..rng.u8(..4) {
        steps.push(Step::Talk(rng.u64(..)));
    }
}

fn write(rng: &mut Rng) -> Write {
    match rng.u8(..40) {
        0..11 => Write::New,
        11..19 => Write::Edit,
        19..25 => Write::Delete,
        25..27 => Write::Burst,
        27 => Write::Odd,
        28..35 => Write::Child,
        35..37 => Write::ChildEdit,
        _ => Write::ChildDelete,
    }
}

fn fault(rng: &mut Rng) -> Fault {
    match rng.u8(..18) {
        0..3 => Fault::Cut,
        3..6 => Fault::CutAfter,
        6 => Fault::StallAfter,
        7 => Fault::Stall,
        8..10 => Fault::Slow,
        10 => Fault::Refuse,
        11 => Fault::RetryAfter,
        12 => Fault::ServerError,
        13 => Fault::LateUpgrade,
        14 => Fault::NoPage,
        15 => Fault::MintFails,
        16 => Fault::MintHangs,
        _ => Fault::ExpireTickets,
    }
}

fn list_fault(setup: &Setup, rng: &mut Rng) -> ListFault {
    match rng.u8(..8) {
        0..2 if setup.listing == Listing::Turns => ListFault::Turn,
        0..2 => ListFault::Elsewhere,
        2..4 => ListFault::Back,
        4 => ListFault::Untold,
        5 => ListFault::Unanswered,
        6 => ListFault::Shuffle,
        _ => ListFault::Forget,
    }
}

fn device(rng: &mut Rng) -> Device {
    match rng.u8(..14) {
        0..2 => Device::Suspend,
        2..5 => Device::Resume,
        5 => Device::Sleep,
        6 => Device::WallJump,
        7..11 => Device::Restart,
        11 => Device::SwitchAccount,
        12 => Device::ClearCache,
        _ => Device::CacheFails,
    }
}

fn follow(rng: &mut Rng) -> Follow {
    match rng.u8(..18) {
        0..2 => Follow::Come,
        2 => Follow::Go,
        3..5 => Follow::Stall,
        5..7 => Follow::Resume,
        7..9 => Follow::LoseDelta,
        9 => Follow::State,
        10 => Follow::LoseState,
        11..13 => Follow::Refresh,
        _ => Follow::LoadMore,
    }
}

fn optimistic(rng: &mut Rng) -> Optimistic {
    match rng.u8(..10) {
        0..3 => Optimistic::Add,
        3..6 => Optimistic::Edit,
        6 => Optimistic::Fail,
        7 => Optimistic::Remove,
        _ => Optimistic::Confirm,
    }
}
