//! One run: a machine with one effect under way at a time.
//!
//! State: the tables and regions still to look at, the question or repair that is under way, and
//! what was found. It lives for one run, in memory; a run that is cut short is begun anew.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::answer::is_whole;
use super::comparing::Comparing;
use super::healing::Healing;
use super::{Answer, Ask, Damaged, Report, Skip, Subject, Told, Verified};
use crate::catalog::{Catalog, ReplicaState};
use crate::fingerprint::{self, BUCKETS};
use crate::id::{RegionSlot, TableId};
use crate::merge::VersionVector;
use crate::node::Heal;
use crate::replica::Snapshot;

/// A question is asked so often before a peer is passed by.
const ASKED_MAX: u8 = 3;

/// What a run looks at.
#[derive(Clone, Debug)]
pub struct Scope {
    /// This region.
    pub me: RegionSlot,
    /// The durable catalog.
    pub catalog: Arc<Catalog>,
    /// Every other region, and whether its link is up.
    pub peers: Vec<(RegionSlot, bool)>,
    /// One table, or all.
    pub table: Option<TableId>,
    /// Whether rows are verified, and what is damaged is healed.
    pub verify: bool,
    /// Whether peers are asked for what they have.
    pub compare: bool,
    /// The number of the first question: greater than that of any that may still be under way.
    pub number: u64,
}

/// What has happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// The run begins.
    Begin,
    /// Of [`Effect::Verify`].
    Verified(Verified),
    /// Of [`Effect::Ask`].
    Answered(Answer),
    /// Of [`Effect::Ask`]: the link is down, or nothing came for long.
    Unanswered,
    /// Of [`Effect::Heal`]: whether it is done, durably.
    Healed(bool),
}

/// What to do next.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Recompute a bucket's fingerprint from its durable rows: see [`verify`].
    Verify {
        /// Which table.
        table: TableId,
        /// Which bucket.
        bucket: u8,
    },
    /// Take note of what is durable and applied here, then ask.
    Ask {
        /// Whom.
        peer: RegionSlot,
        /// What.
        ask: Ask,
    },
    /// Let the node put something right.
    Heal(Heal),
    /// The run is over.
    Done,
}

/// What is durable here now.
#[derive(Debug)]
pub struct Here<'a, S> {
    /// The catalog; not beyond the store.
    pub catalog: &'a Catalog,
    /// The rows.
    pub store: &'a S,
}

/// What was durable here, and how far it had applied.
#[derive(Debug)]
pub struct Moment<'a, S> {
    /// Own writes included; not beyond the store.
    pub applied: &'a VersionVector,
    /// The rows.
    pub store: &'a S,
}

/// See the module.
#[derive(Debug)]
pub struct Repair {
    pub(super) scope: Scope,
    tables: VecDeque<TableId>,
    phase: Phase,
    /// Damage of the table being looked at that could not be put right.
    damaged: bool,
    /// How often the question under way was asked in vain.
    vain: u8,
    pub(super) report: Report,
    /// What it does wrong, if anything.
    #[cfg(feature = "planted-bugs")]
    bug: Option<crate::node::Bug>,
}

#[derive(Debug)]
enum Phase {
    Idle,
    Verifying { table: TableId, bucket: u8 },
    Healing(Healing),
    Comparing(Comparing),
    Done,
}

impl Repair {
    /// A run that has not begun.
    #[must_use]
    pub fn new(scope: Scope) -> Self {
        let held = scope.catalog.held_by(scope.me).map(|entry| entry.id);
        let all = core::iter::once(TableId::CATALOG).chain(held);
        let wanted = |table: &TableId| scope.table.is_none_or(|only| only == *table);
        let tables = all.filter(|table| fingerprint::covers(*table) && wanted(table)).collect();
        Self {
            scope,
            tables,
            phase: Phase::Idle,
            damaged: false,
            vain: 0,
            report: Report::default(),
            #[cfg(feature = "planted-bugs")]
            bug: None,
        }
    }

    /// The same, and does something wrong.
    #[cfg(feature = "planted-bugs")]
    #[must_use]
    pub fn with(self, bug: Option<crate::node::Bug>) -> Self {
        Self { bug, ..self }
    }

    #[cfg(feature = "planted-bugs")]
    fn takes_damage_for_deletion(&self) -> bool {
        self.bug == Some(crate::node::Bug::DamageTakenForDeletion)
    }

    #[cfg(not(feature = "planted-bugs"))]
    #[expect(clippy::unused_self, reason = "the twin with planted bugs reads it")]
    const fn takes_damage_for_deletion(&self) -> bool {
        false
    }

    /// What was found so far.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The table that is being looked at, and the share of it that is verified, in buckets.
    #[must_use]
    pub fn at(&self) -> Option<(TableId, u8)> {
        match &self.phase {
            Phase::Verifying { table, bucket } => Some((*table, *bucket)),
            Phase::Healing(healing) => Some((healing.table, healing.bucket)),
            Phase::Comparing(comparing) => Some((comparing.table, u8::MAX)),
            Phase::Idle | Phase::Done => None,
        }
    }

    /// Takes in what came of the effect before, and says what to do next.
    ///
    /// `then` is from before the question that was answered, `here` is the newest durable state.
    ///
    /// # Panics
    /// If the input is not one of the effect before: a bug of the driver.
    pub fn step<S: Snapshot>(
        &mut self,
        input: Input,
        then: &Moment<'_, S>,
        here: &Here<'_, S>,
    ) -> Effect {
        if matches!(input, Input::Answered(_)) {
            self.vain = 0;
        }
        let input = match (&self.phase, input) {
            // Bucket after bucket: nothing but its number changes.
            (&Phase::Verifying { table, bucket }, Input::Verified(verified)) => {
                return self.verified(table, bucket, verified);
            }
            (_, input) => input,
        };
        match (core::mem::replace(&mut self.phase, Phase::Done), input) {
            (Phase::Idle, Input::Begin) => self.next_table(),
            (Phase::Healing(healing), input) => self.heal(healing, input, here.store),
            (Phase::Comparing(comparing), input) => self.compare(comparing, input, then, here),
            (phase, input) => panic!("{input:?} does not answer {phase:?}"),
        }
    }

    /// The same for as long as buckets are to be verified, where that takes no time: a driver that
    /// has all of them at hand says which is the first from one on that has anything in it.
    pub fn verify_all(
        &mut self,
        mut effect: Effect,
        mut next: impl FnMut(TableId, u8) -> Option<(u8, Verified)>,
    ) -> Effect {
        while let (Effect::Verify { .. }, &Phase::Verifying { table, bucket }) =
            (&effect, &self.phase)
        {
            let found = next(table, bucket);
            let end = found.as_ref().map_or(BUCKETS, |(at, _)| usize::from(*at));
            self.report.buckets += (end - usize::from(bucket)) as u64;
            effect = match found {
                Some((at, verified)) => self.verified(table, at, verified),
                None => self.begin_comparing(table),
            };
        }
        effect
    }

    fn next_table(&mut self) -> Effect {
        let Some(table) = self.tables.pop_front() else { return Effect::Done };
        self.report.tables += 1;
        self.damaged = false;
        if !self.scope.verify {
            return self.begin_comparing(table);
        }
        self.phase = Phase::Verifying { table, bucket: 0 };
        Effect::Verify { table, bucket: 0 }
    }

    fn verified(&mut self, table: TableId, bucket: u8, verified: Verified) -> Effect {
        self.report.buckets += 1;
        self.report.rows += verified.rows;
        if verified.excess == 0 && verified.damaged.is_empty() {
            return self.next_bucket(table, bucket);
        }
        let peers = self.holders(table);
        let healing = Healing::new(table, bucket, verified, peers);
        self.go_on_healing(healing)
    }

    fn next_bucket(&mut self, table: TableId, bucket: u8) -> Effect {
        if usize::from(bucket) + 1 < BUCKETS {
            self.phase = Phase::Verifying { table, bucket: bucket + 1 };
            return Effect::Verify { table, bucket: bucket + 1 };
        }
        self.begin_comparing(table)
    }

    fn begin_comparing(&mut self, table: TableId) -> Effect {
        let peers = if self.scope.compare { self.holders(table) } else { VecDeque::new() };
        if self.damaged {
            // What cannot be read cannot be compared.
            let skipped = peers.iter().map(|(peer, _)| (table, *peer, Skip::Damaged));
            self.report.skipped.extend(skipped);
            return self.next_table();
        }
        let of = (self.scope.me, Arc::clone(&self.scope.catalog));
        self.go_on_comparing(Comparing::new(of, table, peers))
    }

    fn heal<S: Snapshot>(&mut self, mut healing: Healing, input: Input, here: &S) -> Effect {
        match input {
            Input::Healed(done) => {
                let (table, bucket) = (healing.table, healing.bucket);
                self.damaged |= healing.conclude(done, &mut self.report);
                return self.next_bucket(table, bucket);
            }
            Input::Answered(mut answer) => {
                if let (Told::Damage(places), true) =
                    (&mut answer.told, self.takes_damage_for_deletion())
                {
                    places.clear();
                }
                healing.answered(&answer, here);
            }
            Input::Unanswered if self.asks_again() => {}
            Input::Unanswered => healing.unanswered(),
            Input::Begin | Input::Verified(_) => panic!("{input:?} does not answer a question"),
        }
        self.go_on_healing(healing)
    }

    fn go_on_healing(&mut self, mut healing: Healing) -> Effect {
        let entry = self.scope.catalog.get(healing.table);
        let placed = entry.is_some_and(|entry| !entry.settings.placement.0.is_empty());
        let effect = match healing.question() {
            Some((peer, of)) => self.ask(peer, healing.table, of),
            None => Effect::Heal(healing.remedy(placed)),
        };
        self.phase = Phase::Healing(healing);
        effect
    }

    fn compare<S: Snapshot>(
        &mut self,
        mut comparing: Comparing,
        input: Input,
        then: &Moment<'_, S>,
        here: &Here<'_, S>,
    ) -> Effect {
        match input {
            // Rows that were dropped meanwhile, or have yet to be copied, are not missing.
            Input::Answered(_) if !self.is_still_whole(here.catalog, comparing.table) => {
                comparing.skip(Skip::Copying, &mut self.report);
            }
            Input::Healed(done) => comparing.healed(done, &mut self.report),
            Input::Answered(answer) => {
                let heal = comparing.answered(answer, then, here.store, &mut self.report);
                if let Some(heal) = heal {
                    self.phase = Phase::Comparing(comparing);
                    return Effect::Heal(heal);
                }
            }
            Input::Unanswered if self.asks_again() => {}
            Input::Unanswered => comparing.skip(Skip::Unreachable, &mut self.report),
            Input::Begin | Input::Verified(_) => panic!("{input:?} does not answer a question"),
        }
        self.go_on_comparing(comparing)
    }

    fn go_on_comparing(&mut self, mut comparing: Comparing) -> Effect {
        let (me, catalog) = (self.scope.me, Arc::clone(&self.scope.catalog));
        while let Some((peer, up)) = comparing.peer() {
            let table = comparing.table;
            let whole = |slot| is_whole(&catalog, table, slot);
            if !up {
                comparing.skip(Skip::Unreachable, &mut self.report);
            } else if !whole(me) || !whole(peer) {
                comparing.skip(Skip::Copying, &mut self.report);
            } else if let Some(of) = comparing.question() {
                self.phase = Phase::Comparing(comparing);
                return self.ask(peer, table, of);
            } else {
                comparing.next_peer();
            }
        }
        self.next_table()
    }

    /// Whether a question that was not answered is asked once more: a link may just have broken.
    fn asks_again(&mut self) -> bool {
        self.vain += 1;
        if self.vain < ASKED_MAX {
            return true;
        }
        self.vain = 0;
        false
    }

    /// Whether this region has had all of the table ever since the run began.
    fn is_still_whole(&self, now: &Catalog, table: TableId) -> bool {
        let me = self.scope.me;
        let life = |catalog: &Catalog| {
            let entry = catalog.get(table).filter(|_| is_whole(catalog, table, me));
            entry.map(|entry| entry.replica(me).map(|replica| replica.since))
        };
        let now = life(now);
        table == TableId::CATALOG || (now.is_some() && now == life(&self.scope.catalog))
    }

    fn ask(&mut self, peer: RegionSlot, table: TableId, of: Subject) -> Effect {
        let number = self.scope.number;
        self.scope.number += 1;
        Effect::Ask { peer, ask: Ask { number, table, of } }
    }

    /// The other regions that hold the table, and whether their links are up.
    fn holders(&self, table: TableId) -> VecDeque<(RegionSlot, bool)> {
        let catalog = &self.scope.catalog;
        let entry = catalog.get(table);
        let holds = |slot| {
            let state = entry.and_then(|entry| catalog.state(entry, slot));
            let failed = matches!(state, Some(ReplicaState::Failed { .. }));
            table == TableId::CATALOG
                || entry.is_some_and(|entry| entry.is_held_by(slot) && !failed)
        };
        self.scope.peers.iter().copied().filter(|(slot, _)| holds(*slot)).collect()
    }
}

/// What of a bucket is not as its fingerprint says, where a store tells what it cannot read.
///
/// `damaged` are the rows that cannot be read, and index entries that name no row.
#[must_use]
pub fn verify<S: Snapshot>(
    store: &S,
    (table, bucket): (TableId, u8),
    damaged: Vec<Damaged>,
) -> Verified {
    let (mut sum, mut rows, mut after) = (0_u128, 0, None);
    loop {
        let read = store.bucket_rows((table, bucket), after.as_ref(), VERIFY_ROWS);
        for (key, stored) in &read {
            sum = sum.wrapping_add(fingerprint::of_item(&key.primary, stored));
        }
        rows += read.len() as u64;
        match read.last().filter(|_| read.len() >= VERIFY_ROWS) {
            Some((key, _)) => after = Some(key.primary.clone()),
            None => break,
        }
    }
    let maintained = store.fingerprints(table)[usize::from(bucket)];
    Verified { rows, excess: maintained.wrapping_sub(sum), damaged }
}

/// Rows that are read at a time: their memory is what it costs.
const VERIFY_ROWS: usize = 256;
