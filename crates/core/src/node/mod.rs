//! One region's machines, composed: the single writer of the region's store.
//!
//! State: the clock, the places in other regions' feeds, the catalog, copies under way, and what
//! waits for the disk. Client writes, peers' frames and time change it. Always true: nothing is
//! told to anyone (a reply, a published progress) before the batch it rests on is durable, and
//! everything that belongs together is in one batch.
//!
//! Deliberately absent: reads (they need no machine, only a durable snapshot), links and retries
//! of IO (a failed write is the end of the process), and time other than `now`.

/// Whether the node was told to have the bug of that name, or one of those names: no in a shipped
/// build, where there are none.
#[cfg(feature = "planted-bugs")]
macro_rules! planted {
    ($node:expr, $($bug:ident)|+) => {
        matches!($node.config.bug, Some($($crate::node::Bug::$bug)|+))
    };
}
#[cfg(not(feature = "planted-bugs"))]
macro_rules! planted {
    ($node:expr, $($bug:ident)|+) => {
        false
    };
}

mod apply;
mod aside;
#[cfg(feature = "planted-bugs")]
mod bug;
mod closed;
mod collect;
mod copy;
mod define;
mod derive;
mod event;
mod expire;
mod fresh;
mod govern;
mod heal;
mod lazy;
mod namesake;
mod record;
mod rejoin;
mod relay;
mod resolve;
mod retain;
mod shorten;
mod stage;
mod trim;
mod write;

#[cfg(feature = "planted-bugs")]
pub use bug::Bug;
pub use closed::Closed;
pub use collect::{Collect, Collection, Wait};
pub use define::{Change, DefineRefusal, NewTable, TableUpdate};
pub use event::{Effect, Elsewhere, Event, Outcome, Trace};
pub use expire::Expire;
pub use govern::{Directive, DirectiveRefusal};
pub use heal::Heal;
pub use resolve::Resolution;
pub use retain::Retention;
pub use stage::Staged;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::catalog::{Catalog, Directory};
use crate::clock::{self, Discipline, Verdict};
use crate::fingerprint::Fingerprints;
use crate::id::{Origin, RegionSlot, RequestId, TableId};
use crate::item::ItemKey;
use crate::journal::Keep;
use crate::ledger::flood::Flood;
use crate::limits::{LEDGER_ROWS_PER_MINUTE_MAX, RELAY_AFTER_MS, STAGE_BYTES_MAX};
use crate::membership::Claim;
use crate::merge::{Order, Stored};
use crate::replica::{Acked, Applied, Collected, Durable, Outline, Places, Progress, Snapshot};
use crate::time::{Hlc, Now, Stamp};
use lazy::LazyBatch;

/// How often [`Event::Timer`] wants to come, microseconds.
const TICK_US: u64 = 20_000;

/// A batch's place in the order of batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token(pub u64);

/// What a node is told at birth and never again.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which region this is.
    pub slot: RegionSlot,
    /// How far ahead of local time a stamp may be before its stream is held, ms.
    pub skew_ms_max: u64,
    /// Conflicts of one item in a minute that have a ledger row each.
    pub ledger_per_minute: u32,
    /// How much of the ledger is kept.
    pub retention: Retention,
    /// The regions, as rules of placement and ownership name them.
    pub directory: Arc<Directory>,
    /// How the wall clock is judged by those of the peers; `None` to believe it.
    pub clock: Option<clock::Config>,
    /// The regions that are members before anything is decided; none if the catalog has them.
    pub founders: Vec<RegionSlot>,
    /// How deletes are collected and cold rows shortened; `None` for not at all.
    pub collect: Option<Collect>,
    /// How long the journal is kept.
    pub journal: Keep,
    /// Bytes of rows that wait to be shown whole, of tables of groups.
    pub stage_bytes_max: usize,
    /// How long a region must have been out of reach before others are asked for its rows, ms.
    pub relay_after_ms: u64,
    /// A bug to plant, for the simulator to find.
    #[cfg(feature = "planted-bugs")]
    pub bug: Option<Bug>,
}

impl Config {
    /// A node without planted bugs.
    #[must_use]
    pub fn new(slot: RegionSlot, skew_ms_max: u64) -> Self {
        Self {
            slot,
            skew_ms_max,
            ledger_per_minute: LEDGER_ROWS_PER_MINUTE_MAX,
            retention: Retention::UNBOUNDED,
            directory: Arc::default(),
            clock: None,
            founders: Vec::new(),
            collect: Some(Collect::default()),
            journal: Keep::default(),
            stage_bytes_max: STAGE_BYTES_MAX,
            relay_after_ms: RELAY_AFTER_MS,
            #[cfg(feature = "planted-bugs")]
            bug: None,
        }
    }
}

/// What this region knows of a peer's feed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// The stream is open.
    pub up: bool,
    /// Everything that the peer wrote before this wall time (its clock, ms) is visible here.
    pub visible_ms: u64,
    /// What the peer has durably applied, as told in band; shared with what counts on it.
    pub applied: Arc<Applied>,
    /// The stream is held for its clock until local wall time reaches this, ms.
    pub held_until_ms: Option<u64>,
    /// Since when the stream is gone, monotonic microseconds; `None` while it is open, or if it
    /// never was.
    pub down_us: Option<u64>,
    /// Everything that the peer had written when it made the last frame is here.
    pub level: bool,
    /// The peer goes on in a life that is over: what it sends is not taken.
    pub fenced: bool,
    /// The peer has said, since this process began, what it has of this region's log.
    told: bool,
    /// The generation in which the life of the peer joined of which all this is known.
    joined: u32,
    subscribed_us: u64,
    frame_us: u64,
    wants_subscribe: bool,
    /// The life that acknowledged.
    life: Option<Origin>,
    /// The life of the last frame of rows, taken or not.
    speaks: Option<Origin>,
}

/// See the module.
#[derive(Debug)]
pub struct Node {
    config: Config,
    me: Origin,
    last: Hlc,
    /// The newest stamp that was durable when this node began, and the first that it issued: no
    /// stamp between them was ever issued.
    began: (Hlc, Option<Hlc>),
    closed: Hlc,
    places: Places,
    applied_durable: Applied,
    acked: Acked,
    catalog: Catalog,
    catalog_changed: bool,
    published: Arc<Catalog>,
    pending: VecDeque<Pending>,
    next_token: u64,
    links: BTreeMap<RegionSlot, Link>,
    copies: BTreeMap<(TableId, RegionSlot), copy::Copy>,
    leaving: BTreeMap<TableId, copy::Leaving>,
    collected: Collected,
    fingerprints: Fingerprints,
    collected_published: Arc<Collected>,
    collector: collect::Collector,
    relays: relay::Relays,
    stage: stage::Stage,
    /// Counts the requests of that kind.
    asks: u32,
    /// The change of the membership that this region wants.
    wanted: Option<govern::Wanted>,
    /// There may be something to say to what was heard of the membership.
    heard: bool,
    /// The newest generation that was told to the operator.
    generation: u32,
    /// The newest own stamp when that generation was heard of.
    left: Hlc,
    /// See [`crate::membership::Voice`].
    had: Applied,
    held: BTreeMap<Origin, Vec<TableId>>,
    claims: BTreeMap<Origin, Claim>,
    /// Lives that are over and of which rows have come since [`Node::claims`] said so.
    revised: BTreeSet<Origin>,
    /// A peer knows stamps of this life that are not here.
    lost: Option<(RegionSlot, Hlc)>,
    /// A new life has begun and its past is being put in order.
    cleaning: Option<rejoin::Cleaning>,
    /// What others have of this region's earlier lives was here before the event under way.
    past: bool,
    /// The node is over, and another one is made of what is durable.
    over: bool,
    reconciled: bool,
    flood: Flood,
    round: retain::Round,
    aside: aside::Aside,
    /// When this region heard that it is called back, monotonic microseconds.
    called_us: Option<u64>,
    clock: Option<Discipline>,
    tick_us: u64,
    /// A tick has come, and nothing since that lets upkeep read the store.
    upkeep_due: bool,
    /// When this process first heard of time, monotonic microseconds.
    began_us: Option<u64>,
    indexes: derive::Indexes,
    /// The place of the newest record of the journal.
    journaled: u64,
    trimmer: trim::Trimmer,
    /// The wall clock of the event under way, ms since 1970.
    wall_ms: u64,
    /// The greatest that it has been: no record of the journal that is still to come is of before.
    newest_ms: u64,
}

/// A batch on its way to the disk, and what waits for it.
#[derive(Debug)]
struct Pending {
    token: Token,
    closed: Hlc,
    applied: Vec<(Origin, Hlc)>,
    told: Vec<Told>,
    replies: Vec<(RequestId, Outcome)>,
    catalog: Option<Arc<Catalog>>,
    collected: Option<Arc<Collected>>,
    reborn: bool,
}

/// What a peer's frame told, once what it rests on is durable.
#[derive(Clone, Copy, Debug)]
struct Told {
    peer: RegionSlot,
    /// Everything that the peer wrote before this wall time is visible here.
    visible_ms: u64,
    /// What the peer has durably applied of this life of the region.
    acked: Hlc,
}

impl Node {
    /// Start and restart are one path: whatever was durable comes in here.
    #[must_use]
    pub fn new(config: Config, durable: Durable) -> Self {
        let me = Origin::new(config.slot, durable.incarnation);
        let said = durable.catalog.voices().get(&config.slot).cloned().unwrap_or_default();
        let mut durable = durable;
        durable.catalog.adopt(Arc::clone(&config.directory));
        durable.catalog.found(&config.founders);
        let published = Arc::new(durable.catalog.clone());
        #[cfg(feature = "planted-bugs")]
        if config.bug == Some(Bug::ClockForgotten) {
            durable.last = Hlc::ZERO;
        }
        let collector = collect::Collector::new(durable.catalog.tables().map(|entry| entry.id));
        // What was applied in an earlier life is about to be dropped, and is told to nobody.
        let applied = if durable.reborn { Applied::new() } else { durable.applied };
        Self {
            me,
            last: durable.last,
            began: (durable.last, None),
            closed: durable.last,
            places: Places::new(applied.clone()),
            applied_durable: applied,
            acked: Acked::default(),
            catalog: durable.catalog,
            catalog_changed: false,
            published,
            pending: VecDeque::new(),
            next_token: 0,
            links: BTreeMap::new(),
            copies: BTreeMap::new(),
            leaving: BTreeMap::new(),
            collected_published: Arc::new(durable.collected.clone()),
            collected: durable.collected,
            fingerprints: durable.fingerprints,
            collector,
            relays: BTreeMap::new(),
            stage: stage::Stage::default(),
            asks: 0,
            wanted: None,
            heard: true,
            generation: 0,
            left: durable.last,
            had: said.had,
            held: said.held,
            claims: said.claims,
            revised: BTreeSet::new(),
            lost: None,
            cleaning: durable.reborn.then(rejoin::Cleaning::default),
            past: false,
            over: false,
            reconciled: false,
            flood: Flood::default(),
            round: retain::Round::default(),
            aside: aside::Aside::default(),
            called_us: None,
            clock: discipline(&config),
            tick_us: 0,
            upkeep_due: true,
            began_us: None,
            indexes: derive::Indexes::new(durable.fills),
            journaled: durable.journaled,
            trimmer: trim::Trimmer::default(),
            wall_ms: 0,
            newest_ms: 0,
            config,
        }
    }

    /// Runs one event to completion; touches nothing but the node and `effects`.
    pub fn handle(
        &mut self,
        now: Now,
        event: Event,
        store: &dyn Snapshot,
        effects: &mut Vec<Effect>,
    ) {
        // Everything below is compiled once, in this crate, and not for each kind of store.
        let store = &store;
        let token = self.next_token;
        if let (true, Event::Persisted { token }) = (self.over, &event) {
            return self.persisted(*token, effects);
        }
        if self.over {
            self.tick_us = now.mono_us;
            return;
        }
        if let (Event::Heartbeat { peer, sample }, Some(clock)) = (&event, &mut self.clock) {
            clock.hear(*peer, *sample);
        }
        let now = self.read_clock(now, effects);
        self.wall_ms = now.wall_ms;
        self.newest_ms = self.newest_ms.max(now.wall_ms);
        if self.refuses(&event, effects) {
            return;
        }
        let past = self.knows_its_past();
        if past && !self.past {
            (self.heard, self.reconciled) = (true, false);
        }
        self.past = past;
        match event {
            Event::Write { request, table, op } => {
                self.write(now, request, table, *op, store, effects);
            }
            Event::Transact { request, ops } => {
                self.transact(now, request, ops, store, effects);
            }
            Event::Resolve { request, resolution } => {
                self.resolve(now, request, *resolution, store, effects);
            }
            Event::Define { request, change } => {
                self.define(now, request, *change, store, effects);
            }
            Event::Expire { request, expire } => {
                self.expire(now, request, *expire, store, effects);
            }
            Event::Heal { request, heal } => self.heal(now, request, *heal, store, effects),
            Event::Govern { request, directive } => self.govern(now, request, directive, effects),
            Event::Linked { peer } => self.linked(now, peer, effects),
            Event::Unlinked { peer } => self.unlinked(now, peer, store, effects),
            Event::Received { from, frame } => self.receive(now, from, frame, store, effects),
            // No place to begin new work: the driver would not come back to whoever waits.
            Event::Persisted { token } => return self.persisted(token, effects),
            Event::Timer | Event::Heartbeat { .. } => {}
        }
        if self.cleaning.is_some() {
            return self.clean(now, store, effects);
        }
        self.tick(now, effects);
        // What was decided just now is not in `store` yet, and upkeep may be about the same rows.
        if token == self.next_token {
            self.upkeep(now, store, effects);
        }
    }

    /// When to be called with [`Event::Timer`], whatever else happens: monotonic microseconds.
    #[must_use]
    pub fn deadline(&self) -> u64 {
        if self.over {
            return self.tick_us + TICK_US;
        }
        if self.cleaning.is_some() {
            return 0;
        }
        if self.upkeep_due || !self.reconciled || self.heard || self.indexes.due {
            return self.tick_us;
        }
        (self.tick_us + TICK_US).min(self.collect_due_us())
    }

    /// This region's present life.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.me
    }

    /// What may be told to others now.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress {
            closed: self.closed,
            applied: self.told_as_applied(),
            catalog: Arc::clone(&self.published),
            collected: Arc::clone(&self.collected_published),
        }
    }

    /// What other regions have of this region's writes.
    #[must_use]
    pub fn acked(&self) -> &Acked {
        &self.acked
    }

    /// A moment before which the journal gets no more records, once what was handed to the disk is
    /// durable, ms since 1970.
    #[must_use]
    pub fn journal_ms(&self) -> u64 {
        self.newest_ms
    }

    /// What is known of the peers.
    #[must_use]
    pub fn links(&self) -> &BTreeMap<RegionSlot, Link> {
        &self.links
    }

    /// What is thought of this region's wall clock.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.clock.as_ref().map(Discipline::verdict).unwrap_or_default()
    }

    /// How far the wall clock of each peer that was heard lately is from this region's.
    #[must_use]
    pub fn offsets(&self, now: Now) -> BTreeMap<RegionSlot, clock::Offset> {
        self.clock.as_ref().map(|clock| clock.offsets(now.mono_us)).unwrap_or_default()
    }

    /// The time to go by.
    fn read_clock(&mut self, now: Now, effects: &mut Vec<Effect>) -> Now {
        let Some(clock) = &mut self.clock else { return now };
        let (now, changed) = clock.read(now);
        effects.extend(changed.map(|verdict| Effect::Trace(Trace::Clock(verdict))));
        now
    }

    /// Whether the event would issue stamps and the clock is not fit for that.
    fn refuses(&self, event: &Event, effects: &mut Vec<Effect>) -> bool {
        let request = match event {
            Event::Write { request, .. }
            | Event::Transact { request, .. }
            | Event::Resolve { request, .. }
            | Event::Expire { request, .. }
            | Event::Define { request, .. } => *request,
            _ => return false,
        };
        let Verdict::Off { ms, refuses: true, .. } = self.verdict() else { return false };
        effects.push(Effect::Reply { request, outcome: Outcome::Skewed { ms } });
        true
    }

    fn tick(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if now.mono_us < self.tick_us + TICK_US {
            return;
        }
        self.tick_us = now.mono_us;
        (self.upkeep_due, self.indexes.due) = (true, true);
        self.began_us = self.began_us.or(Some(now.mono_us));
        self.resubscribe(now, effects);
        self.drive_copies(now, effects);
        self.drive_relays(now, effects);
        self.watch_membership(now);
    }

    /// What reads the store of its own accord: each part only while nothing was decided since.
    fn upkeep(&mut self, now: Now, store: &impl Snapshot, effects: &mut Vec<Effect>) {
        let token = self.next_token;
        self.drive_membership(now, store, effects);
        if token == self.next_token && !self.reconciled {
            self.reconcile(now, store, effects);
            self.drive_copies(now, effects);
        }
        if token == self.next_token && core::mem::take(&mut self.upkeep_due) {
            self.conclude_relays(now, store, effects);
            if token == self.next_token {
                self.drive_stage(now, store, effects);
            }
            if token == self.next_token {
                self.drive_leaving(now, store, effects);
            }
        }
        if token == self.next_token {
            self.drive_retention(now, store, effects);
        }
        if token == self.next_token {
            self.drive_trimming(now, store, effects);
        }
        if token == self.next_token {
            self.drive_aside(now, store, effects);
        }
        if token == self.next_token {
            self.fill_indexes(store, effects);
        }
        if token == self.next_token {
            self.collect(now, store, effects);
        }
    }

    /// A stamp greater than everything issued or seen here.
    fn issue(&mut self, now: Now, floor: Hlc) -> Stamp {
        let hlc = self.last.next().max(now.hlc()).max(floor.next());
        assert!(hlc > self.last, "the clock is exhausted");
        self.last = hlc;
        self.began.1 = self.began.1.or(Some(hlc));
        Stamp { hlc, origin: self.me }
    }

    /// Hands a batch to the disk, and `replies` to whoever waits once it is durable.
    fn persist<S: Snapshot>(
        &mut self,
        mut txn: Txn<'_, S>,
        replies: Vec<(RequestId, Outcome)>,
        effects: &mut Vec<Effect>,
    ) {
        let unkept = self.is_mute() && !planted!(self, UnkeptAcknowledged);
        if unkept || (self.is_over() && !planted!(self, OverAcknowledges)) {
            self.leave_places(&mut txn.batch.applied);
        }
        if txn.batch.is_empty() {
            self.reply_when_settled(replies, effects);
            return;
        }
        self.derive(&mut txn);
        let mut batch = txn.batch.into_box();
        batch.last = Some(self.last);
        let token = Token(self.next_token);
        self.next_token += 1;
        let catalog =
            core::mem::take(&mut self.catalog_changed).then(|| Arc::new(self.catalog.clone()));
        let applied = batch.applied.iter().map(|(&origin, &hlc)| (origin, hlc)).collect();
        let collected = (!batch.collected.is_empty()).then(|| Arc::new(self.collected.clone()));
        let reborn = batch.rebirth.is_some();
        self.over |= reborn;
        let (closed, told) = (self.last, Vec::new());
        let mut pending =
            Pending { token, closed, applied, told, replies, catalog, collected, reborn };
        if planted!(self, ReplyBeforeDurable) {
            release(&mut pending.replies, effects);
        }
        self.pending.push_back(pending);
        effects.push(Effect::Persist { token, batch });
    }

    /// What a region does not keep it does not acknowledge, now or, after a restart, by its disk.
    /// It names lives that are news to it, by which one that has lost its log hears so.
    fn leave_places(&self, applied: &mut Applied) {
        let pending = |origin: &Origin| {
            let mut written = self.pending.iter().flat_map(|pending| &pending.applied);
            written.any(|(of, _)| of == origin)
        };
        applied.retain(|origin, hlc| {
            *hlc = Hlc::ZERO;
            !self.applied_durable.contains_key(origin) && !pending(origin)
        });
    }

    /// Answers that rest on what was read: at once, or when what was read is durable.
    fn reply_when_settled(
        &mut self,
        mut replies: Vec<(RequestId, Outcome)>,
        effects: &mut Vec<Effect>,
    ) {
        match self.pending.back_mut() {
            Some(pending) => pending.replies.append(&mut replies),
            None => release(&mut replies, effects),
        }
    }

    fn persisted(&mut self, token: Token, effects: &mut Vec<Effect>) {
        let (mut advanced, mut acked, mut reborn) = (false, false, false);
        let mut replies = Vec::new();
        while self.pending.front().is_some_and(|pending| pending.token <= token) {
            let Some(mut pending) = self.pending.pop_front() else { break };
            replies.append(&mut pending.replies);
            reborn |= pending.reborn;
            self.closed = self.closed.max(pending.closed);
            for (origin, hlc) in pending.applied {
                advance(&mut self.applied_durable, origin, hlc);
            }
            for told in pending.told {
                acked |= self.note_told(told);
            }
            if let Some(catalog) = pending.catalog {
                self.published = catalog;
            }
            if let Some(collected) = pending.collected {
                self.collected_published = collected;
            }
            advanced = true;
        }
        if advanced {
            effects.push(Effect::Publish(self.progress()));
        }
        if acked {
            effects.push(Effect::Acknowledged(self.acked.clone()));
        }
        // Whoever is answered may ask at once for what was published.
        release(&mut replies, effects);
        if reborn {
            effects.push(Effect::Reborn);
        }
    }

    /// Takes in what a peer told; returns whether it acknowledged more than before.
    fn note_told(&mut self, told: Told) -> bool {
        let Told { peer, visible_ms, acked } = told;
        let link = self.links.entry(peer).or_default();
        link.visible_ms = link.visible_ms.max(visible_ms);
        self.acked.note(peer, acked)
    }

    fn told_as_applied(&self) -> Applied {
        let planted = planted!(self, AckBeforeDurable);
        if planted { self.places.cuts().clone() } else { self.applied_durable.clone() }
    }

    #[cfg(feature = "planted-bugs")]
    fn order(&self) -> Order {
        let planted = planted!(self, NoRegionTieBreak);
        if planted { Order::WithoutOrigin } else { Order::Total }
    }

    #[cfg(not(feature = "planted-bugs"))]
    #[expect(clippy::unused_self, reason = "the twin with planted bugs reads the configuration")]
    fn order(&self) -> Order {
        Order::Total
    }
}

fn discipline(config: &Config) -> Option<Discipline> {
    let clock = config.clock?;
    #[cfg(feature = "planted-bugs")]
    if config.bug == Some(Bug::SkewBelieved) {
        return Some(Discipline::new(clock::Config { skew_ms_max: u64::MAX, ..clock }));
    }
    #[cfg(feature = "planted-bugs")]
    let clock =
        clock::Config { believes_the_foremost: config.bug == Some(Bug::ForemostBelieved), ..clock };
    Some(Discipline::new(clock))
}

/// A batch being made, with reads that see it.
struct Txn<'a, S> {
    store: &'a S,
    batch: LazyBatch,
    /// The items of a client's transaction, in the order of its request.
    order: Vec<ItemKey>,
}

impl<'a, S: Snapshot> Txn<'a, S> {
    fn new(store: &'a S) -> Self {
        Self { store, batch: LazyBatch::default(), order: Vec::new() }
    }

    fn item(&self, key: &ItemKey) -> Option<Stored> {
        match self.batch.items.get(key) {
            Some(stored) => stored.clone(),
            None => self.store.item(key),
        }
    }

    fn outline(&self, key: &ItemKey) -> Option<Outline> {
        match self.batch.items.get(key) {
            Some(stored) => stored.clone().map(|stored| Outline::of(&key.primary, stored)),
            None => self.store.outline(key),
        }
    }
}

fn release(replies: &mut Vec<(RequestId, Outcome)>, effects: &mut Vec<Effect>) {
    effects.extend(replies.drain(..).map(|(request, outcome)| Effect::Reply { request, outcome }));
}

fn advance(applied: &mut Applied, origin: Origin, hlc: Hlc) {
    let place = applied.entry(origin).or_default();
    *place = hlc.max(*place);
}

/// The same of one that is shared: whoever else has it keeps it as it is.
fn advance_shared(applied: &mut Arc<Applied>, origin: Origin, hlc: Hlc) {
    if applied.get(&origin).is_none_or(|place| *place < hlc) {
        advance(Arc::make_mut(applied), origin, hlc);
    }
}

#[cfg(test)]
mod tests;
