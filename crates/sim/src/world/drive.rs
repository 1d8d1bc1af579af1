//! The driver's part: events into a node, its effects into disk, network and clients.

use std::rc::Rc;

use pangea_core::id::{Origin, RegionSlot};
use pangea_core::item::ItemKey;
use pangea_core::ledger;
use pangea_core::merge::VersionVector;
use pangea_core::node::{self, Effect, Outcome, Token, Trace};
use pangea_core::replica::{Batch, Distrust, Frame};
use pangea_core::time::{Hlc, Stamp};

use super::{Event, World};
use crate::bits::Bits;
use crate::disk::Write;
use crate::invariants::{
    Broken, Checked, Invariant, applied, durable_ack, fencing, group, in_band, index, journal,
    membership, nothing_vanishes,
};
use crate::oracle::{KeyId, Source, VersionId};
use crate::workload::slot;

impl World {
    /// Lets a region's node handle an event, if the process lives.
    pub(super) fn deliver(&mut self, region: usize, event: node::Event) -> Checked {
        if self.regions[region].node.is_none() {
            return Ok(());
        }
        let mut received = self.received(&event);
        // Only tables of groups have rows that wait.
        let staged = self.swarm.grouped.then(|| self.staged(region));
        let brings = match &event {
            node::Event::Received { from, frame: Frame::Rows(rows) } => {
                Some((*from, rows.origin, rows.after))
            }
            _ => None,
        };
        self.limit_time(region);
        let here = &mut self.regions[region];
        let relayed = relaying(&event);
        let mut effects = std::mem::take(&mut self.effects);
        let now = here.clock.now(self.now_us);
        let Some(node) = &mut here.node else { return Ok(()) };
        let (mute, told_ms) = (node.has_lost_log(), node.journal_ms());
        node.handle(now, event, &*self.sites[region].disk.visible, &mut effects);
        if let Some(frame) = brings {
            self.leave_untaken(region, frame, &mut received);
        }
        let at_once = self.taken_at_once(region, relayed, &mut received);
        let by = (brings.is_some(), relayed);
        let waited = staged.map(|staged| received.wait(staged, self.staged(region), by));
        if effects.iter().any(is_decided) {
            let rows = std::mem::take(&mut received.rows);
            received.rows = self.merged(&effects, rows);
        }
        received.add(self.merged(&effects, waited.unwrap_or_default()));
        received.add(at_once);
        for effect in effects.drain(..) {
            if let Effect::Persist { batch, .. } = &effect {
                journal::after(told_ms, &batch.journal)?;
                if mute {
                    fencing::takes_nothing(slot(region), batch)?;
                }
            }
            self.effect(region, effect, &received)?;
        }
        self.effects = effects;
        if let (Some(peer), Some(node)) = (relayed, &self.regions[region].node) {
            self.counts.relayed += 1;
            in_band::believed(&self.sites, region, peer, node)?;
        }
        self.set_timer(region);
        Ok(())
    }

    /// What the frame brings, if the event is one.
    fn received(&self, event: &node::Event) -> Received {
        if let node::Event::Heal { heal, .. } = event {
            let rows = heal.rows.iter().filter(|row| !row.key.table.is_system());
            let rows = self.oracle.received(rows.map(|row| (&row.key, row.version.stamp)));
            return Received { rows, inherited: Vec::new() };
        }
        let node::Event::Received { from, frame } = event else { return Received::default() };
        let rows = frame.rows().iter().filter(|row| !row.key.table.is_system());
        let rows = self.oracle.received(rows.map(|row| (&row.key, row.version.stamp)));
        let mut inherited = Vec::new();
        if let Frame::Copied(copied) = frame
            && !copied.collected.is_empty()
        {
            let there = &self.sites[from.index()].disk.durable;
            let forgotten = there.forgotten.iter().chain(&there.inherited);
            let of_table = forgotten.filter(|(key, _)| key.table == copied.table);
            inherited.extend(of_table.map(|(key, bits)| (Rc::clone(key), *bits)));
        }
        Received { rows, inherited }
    }

    /// Whether a node has just left a frame alone: it did not follow, or the stream is held.
    fn is_ignored(&self, region: usize, (from, origin, after): (RegionSlot, Origin, Hlc)) -> bool {
        let Some(node) = &self.regions[region].node else { return false };
        let held = node.links().get(&from).is_some_and(|link| link.held_until_ms.is_some());
        held || !node.follows(origin, after)
    }

    /// Takes out of what a frame brings what the node has just left alone: all of it, or, where
    /// settings are not known yet, what waits for them. Something else that waited may be written
    /// of the same item at that instant.
    fn leave_untaken(
        &self,
        region: usize,
        frame: (RegionSlot, Origin, Hlc),
        received: &mut Received,
    ) {
        let Some(node) = &self.regions[region].node else { return };
        if self.is_ignored(region, frame) {
            return received.rows.clear();
        }
        let (_, origin, _) = frame;
        received.rows.retain(|&(_, version)| {
            let stamp = self.oracle.versions[version].version().stamp;
            stamp.origin != origin || node.follows(origin, stamp.hlc)
        });
    }

    /// Those of rows that wait no more which a batch has. The others were forgotten: with the feed
    /// of a life that the node has just heard is over, or because of what was passed on one peer's
    /// is taken, and a table that was not known when that came is copied.
    fn merged(&self, effects: &[Effect], rows: Vec<(KeyId, VersionId)>) -> Vec<(KeyId, VersionId)> {
        let has = |&(key, version): &(KeyId, VersionId)| {
            let key = &*self.oracle.items[key].key;
            let stamp = self.oracle.versions[version].version().stamp;
            effects.iter().any(|effect| {
                let Effect::Persist { batch, .. } = effect else { return false };
                let stored = batch.items.get(key).and_then(Option::as_ref);
                stored.is_some_and(|stored| stored.seen.covers(stamp))
            })
        };
        rows.into_iter().filter(has).collect()
    }

    /// Takes out what was passed on and waits for nothing, although an earlier copy may wait: of a
    /// table that was in a group then.
    fn taken_at_once(
        &self,
        region: usize,
        relayed: Option<usize>,
        received: &mut Received,
    ) -> Vec<(KeyId, VersionId)> {
        let Some(node) = self.regions[region].node.as_ref().filter(|_| relayed.is_some()) else {
            return Vec::new();
        };
        let waits = |row: &mut (KeyId, VersionId)| !node.stages_rows(self.oracle.table_of(row.0));
        received.rows.extract_if(.., waits).collect()
    }

    /// What waits in a node to be shown whole: of feeds, and of what was passed on.
    fn staged(&self, region: usize) -> Staged {
        let Some(node) = &self.regions[region].node else { return Staged::default() };
        let mut passed = Vec::new();
        for (by, rows) in node.passed_rows() {
            let rows = self.oracle.received(rows).into_iter();
            passed.extend(rows.map(|row| (by.index(), row)));
        }
        Staged { feeds: self.oracle.received(node.staged_rows()), passed }
    }

    fn effect(&mut self, region: usize, effect: Effect, received: &Received) -> Checked {
        match effect {
            Effect::Persist { token, batch } => self.persist(region, token, *batch, received),
            Effect::Reply { request, outcome } => self.reply(region, request.0, outcome),
            Effect::Send { to, request } => {
                self.send_request(region, to.index(), request);
                Ok(())
            }
            Effect::Reborn => {
                let life = self.regions[region].life;
                self.queue.push(self.now_us, Event::Reborn { region, life });
                Ok(())
            }
            Effect::Publish(progress) => {
                durable_ack::published(&self.sites[region], &progress)?;
                self.sites[region].closed = progress.closed;
                self.regions[region].published = Some(progress);
                self.look_at_sessions(region)?;
                self.pump_all(region)
            }
            Effect::Acknowledged(acked) => self.acknowledged(region, acked),
            Effect::Trace(trace) => self.trace(region, trace),
        }
    }

    fn persist(
        &mut self,
        region: usize,
        token: Token,
        batch: Batch,
        received: &Received,
    ) -> Checked {
        for &(key, version) in &received.rows {
            let key = &self.oracle.items[key].key;
            let stamp = self.oracle.versions[version].version().stamp;
            // What is done with the item at that instant need not come of the frame.
            let before = self.sites[region].disk.visible.rows.get(key);
            let knew = before.is_some_and(|held| held.stored.seen.covers(stamp));
            let knows = batch.items.get(&**key).and_then(Option::as_ref);
            if !knew && knows.is_some_and(|stored| stored.seen.covers(stamp)) {
                fencing::taken(&self.sites, region, stamp)?;
            }
        }
        let pass = self.under_way(region);
        let site = &mut self.sites[region];
        let (me, inherited) = (site.origin, received.inherited.as_slice());
        let source = Source { region, me, received: &received.rows, inherited, pass };
        let write = self.oracle.witness(source, site, token, batch)?;
        for stamp in &write.stamps {
            self.digest.add(stamp.hlc.to_bits());
        }
        if pass.is_some() {
            self.expired(&write.issued);
        }
        let site = &mut self.sites[region];
        site.disk.write(write);
        index::committed(&site.disk.visible, &site.disk.queue[site.disk.queue.len() - 1])?;
        self.show(region)?;
        self.note_write(region);
        self.begin_sync(region);
        Ok(())
    }

    /// The newest batch is visible.
    fn show(&mut self, region: usize) -> Checked {
        if !self.swarm.grouped {
            return Ok(());
        }
        let site = &self.sites[region];
        let write = site.disk.queue.back().into_iter().flat_map(|write| &write.items);
        let shown = group::shown(&self.oracle, site, write.map(|(key, _)| &**key))?;
        self.sites[region].shown = shown;
        Ok(())
    }

    fn note_write(&mut self, region: usize) {
        if self.timeline.is_none() {
            return;
        }
        let Some(write) = self.sites[region].disk.queue.back() else { return };
        let text = describe(write);
        self.note(region, || text);
    }

    /// Starts a sync of everything that waits, unless one is under way.
    fn begin_sync(&mut self, region: usize) {
        let disk = &mut self.sites[region].disk;
        let Some(newest) = disk.queue.back().map(|write| write.token) else { return };
        if disk.syncing.is_some() {
            return;
        }
        disk.syncing = Some(newest);
        let here = &self.regions[region];
        let delay_us = self.disks.range(0, self.swarm.sync_us) * here.slowness;
        let event = Event::Sync { region, life: here.life, token: newest };
        self.queue.push(self.now_us + delay_us, event);
    }

    pub(super) fn sync(&mut self, region: usize, life: u32, token: Token) -> Checked {
        if self.regions[region].life != life || self.regions[region].node.is_none() {
            return Ok(());
        }
        while let Some(write) = self.sites[region].disk.next_synced(token) {
            self.commit(region, write)?;
        }
        self.sites[region].disk.syncing = None;
        self.begin_sync(region);
        self.deliver(region, node::Event::Persisted { token })
    }

    /// A batch becomes durable; every batch is a place where a crash may stop.
    pub(super) fn commit(&mut self, region: usize, write: Write) -> Checked {
        applied::monotone(&self.sites, region, &write)?;
        for (&origin, &hlc) in &write.applied {
            fencing::taken(&self.sites, region, Stamp { hlc, origin })?;
        }
        for &id in &write.issued {
            self.oracle.versions[id].durable = true;
        }
        let before = self.places(region, &write);
        let was = journal::before(&self.sites[region].disk.durable, &write);
        self.absorb(region, &write)?;
        let site = &self.sites[region];
        index::committed(&site.disk.durable, &write)?;
        index::derived(&site.catalog, &site.disk.durable, &write)?;
        journal::committed(&self.oracle, site, &write, &was)?;
        for (origin, span) in before {
            applied::gap_free(&self.oracle, &self.sites, region, origin, span)?;
        }
        let rotten = self.sites[region].disk.durable.rotten.clone();
        let keys = write.items.iter().map(|(key, _)| key);
        for key in keys.filter(|key| !key.table.is_system() && !rotten.contains_key(*key)) {
            nothing_vanishes::committed(&self.oracle, &self.sites, region, key)?;
        }
        Ok(())
    }

    /// The spans of other origins' feeds that the batch claims to have applied.
    fn places(&self, region: usize, write: &Write) -> Vec<(Origin, (Hlc, Hlc))> {
        let durable = &self.sites[region].disk.durable;
        let places = write.applied.iter();
        places.map(|(&origin, &hlc)| (origin, (durable.applied_of(origin), hlc))).collect()
    }

    /// Applies the batch, and what its system rows mean, to the durable side.
    fn absorb(&mut self, region: usize, write: &Write) -> Checked {
        let (before, rest) = self.sites.split_at_mut(region);
        let Some((site, after)) = rest.split_first_mut() else { return Ok(()) };
        let others = [&*before, &*after];
        Rc::make_mut(&mut site.disk.durable).apply(write);
        let applied = write.applied.iter().map(|(&origin, &hlc)| (origin, hlc));
        site.acks.extend(applied.map(|(origin, hlc)| (origin, hlc, site.issued_durable)));
        let newest = write.stamps.iter().map(|stamp| stamp.hlc).max().unwrap_or_default();
        site.issued_durable = site.issued_durable.max(newest);
        let generation = site.catalog.membership().generation;
        let (mut catalog_changed, mut forgotten) = (false, false);
        for (key, held) in &write.items {
            let Some(held) = held else {
                site.dropped |= write.collected.get(&key.table).is_none_or(VersionVector::is_empty);
                forgotten |= key.table == pangea_core::id::TableId::CATALOG;
                continue;
            };
            if key.table == pangea_core::id::TableId::CATALOG {
                catalog_changed |= site.observe(&others, key, &held.stored);
            } else if key.table == pangea_core::id::TableId::LEDGER {
                self.counts.undone += u64::from(ledger::is_about_table(&key.primary));
                for kept in nothing_vanishes::ledger_row(&self.oracle, key, &held.stored)? {
                    self.counts.orphans += u64::from(kept.orphan);
                    let ledger = if kept.orphan { &mut site.orphaned } else { &mut site.ledgered };
                    let bits = ledger.entry(kept.key).or_default();
                    *bits = bits.union(kept.bits);
                }
            }
        }
        if forgotten {
            site.catalog = site.reread(self.swarm.regions);
        }
        if self.swarm.grouped && (catalog_changed || forgotten) {
            let site = &self.sites[region];
            let shown = group::cataloged(&self.oracle, site)?;
            self.sites[region].shown = shown;
        }
        if !catalog_changed {
            return Ok(());
        }
        let deleted = self.sites[region].catalog.tables().filter(|entry| entry.deleted);
        self.oracle.deleted.extend(deleted.map(|entry| entry.id));
        let site = &self.sites[region];
        membership::known(&mut self.generations, &self.forgotten, generation, site)?;
        self.newly_whole(region)
    }

    /// Replicas that may have become whole with this batch miss nothing.
    fn newly_whole(&self, region: usize) -> Checked {
        let site = &self.sites[region];
        for entry in site.catalog.tables().filter(|entry| site.is_whole(entry.id)) {
            applied::whole(&self.oracle, &self.sites, region, entry.id)?;
        }
        Ok(())
    }

    fn reply(&mut self, region: usize, request: u64, outcome: Outcome) -> Checked {
        if let Outcome::Healed { done } = outcome {
            self.queue.push(self.now_us, Event::Healed { region, request, done });
            return Ok(());
        }
        let Some(asked) = self.oracle.asked.remove(&request) else {
            let text = format!("request {request} is answered twice");
            return Err(Broken::new(Invariant::DurableAck, text));
        };
        debug_assert_eq!(asked.region, region, "a region answers its own clients");
        durable_ack::replied(&mut self.oracle, &self.sites[region], &asked, &outcome)?;
        self.digest.add(request);
        self.note(region, || format!("answers request {request}: {}", tell(&outcome)));
        self.expiry_answered(request, &outcome)?;
        self.session_reply(region, request, &asked, &outcome)?;
        self.answered(region, asked.operator, outcome)
    }

    fn trace(&mut self, region: usize, trace: Trace) -> Checked {
        self.note(region, || format!("{trace:?}"));
        match trace {
            Trace::Conflict { .. } => self.counts.conflicts += 1,
            Trace::Held { .. } => self.counts.holds += 1,
            Trace::Gap { .. } => self.counts.gaps += 1,
            Trace::Clock(_) => self.counts.verdicts += 1,
            // A late answer may find a process that did not ask.
            Trace::Distrusted { reason: Distrust::ForeignOrigin(_), .. } => {}
            Trace::Distrusted { .. } => {
                let text = format!("r{region} distrusts an honest peer: {trace:?}");
                return Err(Broken::new(Invariant::SingleWriter, text));
            }
            Trace::LogLost { .. } if !self.sites[region].lost.is_empty() => {}
            Trace::LogLost { .. } => {
                let text = format!("r{region} lost what it had told: {trace:?}");
                return Err(Broken::new(Invariant::DurableAck, text));
            }
            Trace::LedgerTrimmed { .. }
            | Trace::Fenced { .. }
            | Trace::Generation(_)
            | Trace::ReplicaActive(_)
            | Trace::ReplicaBehind(_)
            | Trace::ReplicaFailed(_)
            | Trace::ReplicaRemoved(_) => {}
        }
        Ok(())
    }

    pub(super) fn timer(&mut self, region: usize, life: u32) -> Checked {
        if self.regions[region].life != life {
            return Ok(());
        }
        self.regions[region].timer_set = false;
        self.deliver(region, node::Event::Timer)
    }

    /// Keeps one timer per process, at its deadline or as much later as the driver is slow.
    pub(super) fn set_timer(&mut self, region: usize) {
        let here = &mut self.regions[region];
        let Some(node) = &here.node else { return };
        if std::mem::replace(&mut here.timer_set, true) {
            return;
        }
        let due_us = here.clock.when(self.now_us, node.deadline()) + self.swarm.timer_late_us;
        self.queue.push(due_us, Event::Timer { region, life: here.life });
    }
}

/// Who passed on what another wrote, if the event is such a frame.
fn relaying(event: &node::Event) -> Option<usize> {
    match event {
        node::Event::Received { from, frame: Frame::Relayed(_) } => Some(from.index()),
        _ => None,
    }
}

/// Whether the node has heard of another decision on who takes part.
const fn is_decided(effect: &Effect) -> bool {
    matches!(effect, Effect::Trace(Trace::Generation(_)))
}

/// What waits to be shown: of feeds, and of what was passed on, by whom.
#[derive(Default)]
struct Staged {
    feeds: Vec<(KeyId, VersionId)>,
    passed: Vec<(usize, (KeyId, VersionId))>,
}

impl Staged {
    const fn is_empty(&self) -> bool {
        self.feeds.is_empty() && self.passed.is_empty()
    }
}

/// What a frame brings.
#[derive(Default)]
struct Received {
    /// Its user rows, in the order of their items.
    rows: Vec<(KeyId, VersionId)>,
    /// See [`Source::inherited`].
    inherited: Vec<(Rc<ItemKey>, Bits)>,
}

impl Received {
    /// Of what came, now or before, some may wait: only the rest is part of a batch. Of what was
    /// passed on, the rest is returned.
    fn wait(
        &mut self,
        before: Staged,
        now: Staged,
        (brings, by): (bool, Option<usize>),
    ) -> Vec<(KeyId, VersionId)> {
        if before.is_empty() && now.is_empty() {
            return Vec::new();
        }
        let here = std::mem::take(&mut self.rows);
        let (mut feeds, mut passed, mut rows) = (before.feeds, before.passed, Vec::new());
        match by {
            _ if brings => feeds.extend(here),
            Some(by) => passed.extend(here.into_iter().map(|row| (by, row))),
            None => rows = here,
        }
        // A feed may bring a row more than once; of what one has passed on it is known once.
        rows.extend(less(feeds, now.feeds));
        passed.sort_unstable();
        passed.dedup();
        self.rows.clear();
        self.add(rows);
        less(passed, now.passed).into_iter().map(|(_, row)| row).collect()
    }

    fn add(&mut self, rows: Vec<(KeyId, VersionId)>) {
        self.rows.extend(rows);
        self.rows.sort_unstable();
        self.rows.dedup();
    }
}

/// The entries of `all` without those of `some`, each as often as it is there.
fn less<T: Ord>(mut all: Vec<T>, mut some: Vec<T>) -> Vec<T> {
    all.sort_unstable();
    some.sort_unstable();
    let mut some = some.into_iter().peekable();
    all.retain(|it| {
        while some.next_if(|other| other < it).is_some() {}
        some.next_if(|other| other == it).is_none()
    });
    all
}

fn describe(write: &Write) -> String {
    let rows = write.items.iter().map(|(key, held)| {
        let shown = held
            .as_ref()
            .map_or_else(|| "dropped".to_string(), |held| held.stored.greatest().stamp.to_string());
        format!("{}/{:?} = {shown}", key.table, key.primary.partition)
    });
    let rows: Vec<String> = rows.collect();
    format!("writes {:?}: {} applied {:?}", write.token, rows.join(", "), write.applied)
}

fn tell(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Written { stamp: Some(stamp), .. } => format!("written {stamp}"),
        Outcome::Written { stamp: None, .. } => "nothing to change".to_string(),
        Outcome::Defined(entry) => format!("defined {} as {}", entry.name, entry.id),
        other => format!("{other:?}"),
    }
}
