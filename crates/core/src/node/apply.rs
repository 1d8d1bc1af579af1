//! Peers' rows: check, merge, keep the losers, advance the place in the feed, in one batch.

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::fresh::Fresh;
use super::{Effect, Link, Node, Told, Trace, Txn, advance_shared};
use crate::catalog::function::Function;
use crate::catalog::{Policy, Settings, is_entry};
use crate::crdt::{Loser, State};
use crate::id::{Origin, Place, RegionSlot, TableId};
use crate::item::ItemKey;
use crate::limits::{LINK_TIMEOUT_MS, RESUBSCRIBE_INTERVAL_MS};
use crate::membership::{self, Voice};
use crate::merge::{Conflict, Merged, Rule, Stored, Version, merge};
use crate::replica::{Copied, Distrust, Entries, Frame, Request, Row, Rows, Snapshot};
use crate::time::{Hlc, Now, Stamp};
use crate::view::{joined, merges, merging, resolved};

impl Node {
    pub(super) fn linked(&mut self, now: Now, peer: RegionSlot, effects: &mut Vec<Effect>) {
        let link = self.links.entry(peer).or_default();
        link.up = true;
        (link.down_us, link.level) = (None, false);
        link.frame_us = now.mono_us;
        self.reachable(peer, true, effects);
        self.subscribe(now, peer, effects);
        self.forget_asked(peer);
        self.forget_relays(peer);
    }

    pub(super) fn unlinked(
        &mut self,
        now: Now,
        peer: RegionSlot,
        store: &impl Snapshot,
        effects: &mut Vec<Effect>,
    ) {
        let link = self.links.entry(peer).or_default();
        link.up = false;
        link.down_us = link.down_us.or(Some(now.mono_us));
        self.reachable(peer, false, effects);
        self.forget_relays(peer);
        self.wait_no_more(now, store, effects);
    }

    pub(super) fn receive(
        &mut self,
        now: Now,
        from: RegionSlot,
        frame: Frame,
        store: &impl Snapshot,
        effects: &mut Vec<Effect>,
    ) {
        if self.cleaning.is_some() {
            return;
        }
        let (token, before) = (self.next_token, effects.len());
        // What it had of a life that is over, it notes before anything else comes of that.
        if self.heard {
            self.drive_membership(now, store, effects);
        }
        // What this region does not hold any more, it says before it takes in more of it, so that
        // nobody counts on what it will drop.
        if !self.over && !self.reconciled {
            self.reconcile(now, store, effects);
        }
        if token == self.next_token || planted!(self, FrameOnStale) {
            return self.take(now, from, frame, store, effects);
        }
        let fresh = Fresh::new(store, &effects[before..]);
        let fresh: &dyn Snapshot = &fresh;
        self.take(now, from, frame, &fresh, effects);
    }

    /// A frame, once all that comes before it is said.
    fn take(
        &mut self,
        now: Now,
        from: RegionSlot,
        frame: Frame,
        store: &impl Snapshot,
        effects: &mut Vec<Effect>,
    ) {
        let checked = match &frame {
            Frame::Rows(rows) => check_rows(from, rows),
            Frame::Copied(copied) => check_copied(copied),
            Frame::Relayed(relayed) => self.check_relayed(from, relayed),
            // Of no concern to the node: whoever asked has the answer.
            Frame::Compared(_) => return,
        };
        if let Err(reason) = checked {
            return effects.push(Effect::Trace(Trace::Distrusted { peer: from, reason }));
        }
        if let Frame::Rows(rows) = &frame {
            self.links.entry(from).or_default().speaks = Some(rows.origin);
        }
        if !self.is_taken(from, &frame) {
            return self.fence_off(from, effects);
        }
        let newest = newest_stamp(&frame);
        if newest.wall_ms() > now.wall_ms.saturating_add(self.config.skew_ms_max) {
            if let Frame::Relayed(relayed) = &frame {
                let ahead_ms = newest.wall_ms() - now.wall_ms;
                return self.hold_relay(now, from, relayed.origin, ahead_ms);
            }
            return self.hold(now, from, newest, effects);
        }
        match frame {
            Frame::Rows(rows) => self.receive_rows(now, from, rows, store, effects),
            Frame::Copied(copied) if copied.table == TableId::CATALOG => {
                self.receive_catalog(now, from, copied, store, effects);
            }
            Frame::Copied(copied) => self.receive_copied(now, from, copied, store, effects),
            Frame::Relayed(relayed) if self.is_unfenced(from, relayed.origin) => {}
            Frame::Relayed(relayed) => self.receive_relayed(now, from, relayed, store, effects),
            Frame::Compared(_) => {}
        }
    }

    /// Nothing of a life that is over is taken from the region that lived it; what others have of
    /// it is asked of them.
    fn is_taken(&self, from: RegionSlot, frame: &Frame) -> bool {
        if planted!(self, FenceForgotten) {
            return true;
        }
        let membership = self.catalog.membership();
        match frame {
            Frame::Rows(rows) => membership.admits(rows.origin),
            Frame::Copied(_) | Frame::Relayed(_) | Frame::Compared(_) => !membership.is_gone(from),
        }
    }

    /// Whether a row is beyond the cut of a life of the peer.
    pub(super) fn is_beyond_cut(&self, from: RegionSlot, stamp: Stamp) -> bool {
        self.cut(from, stamp.origin).is_some_and(|cut| stamp.hlc > cut)
    }

    /// How far rows of a life of the peer that is over are taken from the peer itself: no further
    /// than anybody else had them when they heard so. The peer may not have heard yet, or not put
    /// its past in order.
    pub(super) fn cut(&self, from: RegionSlot, origin: Origin) -> Option<Hlc> {
        if planted!(self, FenceForgotten) {
            return None;
        }
        let membership = self.catalog.membership();
        if origin.slot() != from || membership.admits(origin) {
            return None;
        }
        // In a life that came after, the peer has only what others had given it before they in turn
        // were given up, and what it alone may have. A life that is over says nothing.
        let reborn = |voice: &Voice| voice.membership.generation >= membership.since(from);
        let back = membership.since(from) > 0 && !membership.is_gone(from);
        let voices = self.catalog.voices().iter();
        let others = voices.filter(|(slot, voice)| **slot != from || (back && reborn(voice)));
        let others = others.flat_map(|(_, voice)| {
            let claimed = voice.claims.get(&origin).map(|claim| claim.newest);
            [voice.had.get(&origin).copied(), claimed]
        });
        let claimed = self.claims.get(&origin).map(|claim| claim.newest);
        let own = [self.had.get(&origin).copied(), claimed, Some(self.place_of(origin))];
        others.chain(own).flatten().max()
    }

    fn fence_off(&mut self, from: RegionSlot, effects: &mut Vec<Effect>) {
        let link = self.links.entry(from).or_default();
        if !core::mem::replace(&mut link.fenced, true) {
            effects.push(Effect::Trace(Trace::Fenced { peer: from }));
        }
    }

    fn receive_rows(
        &mut self,
        now: Now,
        from: RegionSlot,
        mut frame: Rows,
        store: &impl Snapshot,
        effects: &mut Vec<Effect>,
    ) {
        self.links.entry(from).or_default().frame_us = now.mono_us;
        if planted!(self, AcknowledgedOutOfBand) {
            self.note_acknowledged(from, frame.origin, frame.through, &frame.applied);
        }
        let link = self.links.entry(from).or_default();
        if frame.after > self.places.reached(frame.origin) {
            if link.held_until_ms.is_none() && !link.wants_subscribe {
                link.wants_subscribe = true;
                effects.push(Effect::Trace(Trace::Gap { peer: from }));
            }
            return;
        }
        link.held_until_ms = None;
        let mut txn = Txn::new(store);
        let (origin, through, end) = (frame.origin, frame.through, frame.end);
        let mut rows = core::mem::take(&mut frame.rows);
        let (cut, is_last) = (self.places.cut(origin), through == end);
        if through <= cut {
            // All of it is here; what stands for other versions may have been collected since.
            rows.clear();
        }
        let ready = self.ready(&rows, origin);
        let blocked = ready < rows.len();
        rows.truncate(ready);
        let reached = rows.iter().rev().find(|row| row.is_of(origin)).map(Row::hlc);
        // Up to the cut all is here; behind it a row of a newer state does not make up for an
        // older one, so that what was reached is no reason to leave a row out.
        rows.retain(|row| !(row.is_of(origin) && row.hlc() <= cut));
        self.take_in(now, &mut txn, origin, rows, effects);
        if reached.is_some() {
            self.note_life(&mut txn, origin);
        }
        if is_last && !blocked {
            self.hear_of_log(from, &frame.applied, effects);
        }
        if blocked {
            self.wait_for_catalog(from, effects);
            self.places.reach(origin, reached.unwrap_or_default(), end);
            return self.persist_rows(txn, effects);
        }
        if self.stages(origin) {
            self.receive_staged(now, from, &frame, &mut txn, effects);
            self.persist_rows(txn, effects);
            return self.tell_exposed(effects);
        }
        let Rows { applied, sent_wall_ms, .. } = frame;
        if let Some(cut) = self.reach_through(origin, through, end) {
            txn.batch.applied.insert(origin, cut);
        }
        // What the feeder says of itself is in band: it holds only once all before it is here.
        if self.places.cut(origin) >= through {
            self.note_acknowledged(from, origin, through, &applied);
        }
        self.persist_rows(txn, effects);
        self.links.entry(from).or_default().level = is_last;
        let visible_ms = if is_last { sent_wall_ms } else { through.wall_ms() };
        self.tell_when_settled(from, visible_ms, effects);
    }

    /// Merges rows of the origin's feed, but for those that wait for their cut.
    fn take_in<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        origin: Origin,
        rows: Vec<Row>,
        effects: &mut Vec<Effect>,
    ) {
        for row in rows {
            if self.is_staged(&row) {
                self.stage_row(origin, row);
            } else {
                self.merge_row(now, txn, row, effects);
            }
        }
    }

    /// How many of the rows may be applied now. Rows of one stamp, which one transaction wrote, are
    /// applied together or not yet; what stands for another version may belong to the stamp before.
    fn ready(&self, rows: &[Row], origin: Origin) -> usize {
        let Some(blocked) = rows.iter().position(|row| !self.may_apply(row)) else {
            return rows.len();
        };
        let stamp = rows[..=blocked].iter().rev().find(|row| row.is_of(origin)).map(Row::hlc);
        let is_of_stamp = |row: &Row| row.is_of(origin) && Some(row.hlc()) == stamp;
        rows.iter().position(is_of_stamp).unwrap_or(0)
    }

    /// The feed was followed to `through`, of a state whose newest stamp is `end`: the cut that
    /// this makes, if it makes a new one.
    fn reach_through(&mut self, origin: Origin, through: Hlc, end: Hlc) -> Option<Hlc> {
        if planted!(self, CutWithinState) {
            return self.places.reach(origin, through, through);
        }
        self.places.reach(origin, through, end)
    }

    /// Whether the row may be applied now: not before the settings that it was written under are
    /// known, because they say which concurrent versions stay.
    pub(super) fn may_apply(&self, row: &Row) -> bool {
        if planted!(self, EpochIgnored) {
            return true;
        }
        let entry = self.catalog.get(row.key.table);
        entry.is_none_or(|entry| row.version.origins.epoch <= entry.settings.epoch)
    }

    /// Rows of the peer wait for a catalog row: they are asked for again, and the catalog before.
    ///
    /// The feed will not bring it first: a catalog row that was changed once more since stands in
    /// the changelog behind the rows that were written under its earlier state.
    pub(super) fn wait_for_catalog(&mut self, from: RegionSlot, effects: &mut Vec<Effect>) {
        self.links.entry(from).or_default().wants_subscribe = true;
        let request = Request::Copy { table: TableId::CATALOG, after: None };
        effects.push(Effect::Send { to: from, request });
    }

    /// A chunk of a peer's catalog, which rows of its feed wait for.
    pub(super) fn receive_catalog(
        &mut self,
        now: Now,
        from: RegionSlot,
        frame: Copied,
        store: &impl Snapshot,
        effects: &mut Vec<Effect>,
    ) {
        let mut txn = Txn::new(store);
        for row in frame.rows {
            if !self.is_beyond_cut(from, row.version.stamp) {
                self.merge_row(now, &mut txn, row, effects);
            }
        }
        self.persist(txn, Vec::new(), effects);
        match frame.next {
            None => self.subscribe(now, from, effects),
            after => {
                let request = Request::Copy { table: TableId::CATALOG, after };
                effects.push(Effect::Send { to: from, request });
            }
        }
    }

    /// Rows of a life are here, and nothing of it without gaps yet: peers that are told of the life
    /// ask for them. Its region may be given up, or have lost its log, before it says more.
    pub(super) fn note_life<S: Snapshot>(&mut self, txn: &mut Txn<'_, S>, origin: Origin) {
        if planted!(self, UnsettledUntold) {
            return;
        }
        if origin != self.me && self.places.know(origin) {
            txn.batch.applied.entry(origin).or_default();
        }
    }

    pub(super) fn note_acknowledged(
        &mut self,
        from: RegionSlot,
        origin: Origin,
        through: Hlc,
        applied: &[(Origin, Hlc)],
    ) {
        let joined = self.catalog.membership().since(from);
        let link = self.links.entry(from).or_default();
        if link.life.replace(origin) != Some(origin) || link.joined != joined {
            // What another life had applied may be lost with it, or dropped.
            link.joined = joined;
            link.applied = Arc::default();
            self.collector.forget(from);
            self.forget_relayed(from);
        }
        let link = self.links.entry(from).or_default();
        for &(origin, hlc) in applied {
            advance_shared(&mut link.applied, origin, hlc);
        }
        // The feeder has its own rows.
        advance_shared(&mut link.applied, origin, through);
    }

    /// What a frame told counts when all that came with it and before is durable.
    pub(super) fn tell_when_settled(
        &mut self,
        peer: RegionSlot,
        visible_ms: u64,
        effects: &mut Vec<Effect>,
    ) {
        let link = self.links.get(&peer);
        let acked = link.and_then(|link| link.applied.get(&self.me)).copied().unwrap_or_default();
        // One that has lost its log follows feeds to hear what is decided, and keeps nothing. And
        // what others say of a life that is over is that nobody has more of it.
        let over = self.is_out() && !planted!(self, LevelledCounted);
        let acked = if self.has_two_lives(peer) || over { Hlc::ZERO } else { acked };
        let acked = if planted!(self, AckAssumed) { self.last } else { acked };
        let told = Told { peer, visible_ms, acked };
        if let Some(pending) = self.pending.back_mut() {
            pending.told.push(told);
        } else if self.note_told(told) {
            effects.push(Effect::Acknowledged(self.acked.clone()));
        }
    }

    fn reachable(&mut self, peer: RegionSlot, up: bool, effects: &mut Vec<Effect>) {
        if self.acked.reachable(peer, up) {
            effects.push(Effect::Acknowledged(self.acked.clone()));
        }
    }

    #[cfg(not(feature = "planted-bugs"))]
    fn persist_rows<S: Snapshot>(&mut self, txn: Txn<'_, S>, effects: &mut Vec<Effect>) {
        self.persist(txn, Vec::new(), effects);
    }

    /// The same, torn apart as the planted bugs ask.
    #[cfg(feature = "planted-bugs")]
    fn persist_rows<S: Snapshot>(&mut self, mut txn: Txn<'_, S>, effects: &mut Vec<Effect>) {
        use crate::replica::Batch;
        if planted!(self, AppliedAheadOfRows) {
            let applied = core::mem::take(&mut txn.batch.applied);
            let batch = Batch { applied, ..Batch::default() }.into();
            self.persist(Txn { batch, ..Txn::new(txn.store) }, Vec::new(), effects);
        }
        let mut late = Batch::default();
        if planted!(self, LedgerNotInBatch) {
            let (ledger, rest) = core::mem::take(&mut txn.batch.items)
                .into_iter()
                .partition(|(key, _)| key.table == TableId::LEDGER);
            (late.items, txn.batch.items) = (ledger, rest);
            let (ledger, rest) = core::mem::take(&mut txn.batch.changelog)
                .into_iter()
                .partition(|((_, key), _)| key.table == TableId::LEDGER);
            (late.changelog, txn.batch.changelog) = (ledger, rest);
        }
        let late = Txn { batch: late.into(), ..Txn::new(txn.store) };
        self.persist(txn, Vec::new(), effects);
        self.persist(late, Vec::new(), effects);
    }

    /// Merges one row; a loser's ledger entry goes into the same batch.
    pub(super) fn merge_row<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        row: Row,
        effects: &mut Vec<Effect>,
    ) {
        let Row { key, version } = row;
        if !self.keeps_rows() && key.table != TableId::CATALOG {
            return;
        }
        // A table that this region does not know to hold is copied whole once it does.
        let place = version.origins.place;
        if !self.keeps(&key, place) {
            return;
        }
        let entry = self.catalog.shared(key.table).map(Arc::clone);
        let nothing = Settings::default();
        let settings = entry.as_ref().map_or(&nothing, |entry| &entry.settings);
        let rule = rule_of(&key, settings);
        let arrived = version.stamp;
        let before = txn.item(&key);
        // Only where versions stay beside each other can more be hidden than was.
        let meets = |stored: &Stored| stored.stamps().any(|it| !version.context.covers(it));
        let known = before.as_ref().filter(|stored| meets(stored));
        let known = known.and_then(|stored| together(&settings.policy, stored));
        let known = known.map(|state| state.losers()).unwrap_or_default();
        let buried = before.as_ref().map(Stored::buried).unwrap_or_default();
        let own_before = before.as_ref().map_or(Hlc::ZERO, |stored| stored.seen.get(self.me));
        let was = self.fingerprint(&key, before.as_ref());
        let merged = merge(before, version, rule, self.order());
        let Merged::Changed { stored, replaced, mut conflicts } = merged else { return };
        if !self.catalog.membership().admits(arrived.origin) {
            self.revised.insert(arrived.origin);
        }
        if key.table == TableId::CATALOG {
            let attributes = stored.greatest().body.attributes();
            self.catalog_changed |= self.catalog.observe(&key.primary, attributes);
            self.reconciled = false;
            self.heard |= membership::slot_of(&key.primary).is_some();
        }
        let added = stored.version(arrived).map(|version| version.stamp);
        match &settings.policy {
            Policy::Lww | Policy::Owner | Policy::Crdt(_) => {}
            Policy::Siblings => conflicts.extend(siblings(&stored, arrived)),
            Policy::Wasm(function) => conflicts.extend(self.unresolved(function, &stored)),
        }
        let lost = lost_attributes(&settings.policy, &stored, &known);
        // Its values may be of any of them.
        let place = stored.versions.iter().fold(place, |all, it| all.or(it.origins.place));
        self.note_put(&key, &stored);
        self.note_merged(txn, &key, was, &stored);
        txn.batch.unbury(&key, buried);
        let entries = Entries { me: self.me, own_before, added, replaced };
        txn.batch.put(key.clone(), stored, entries);
        for conflict in conflicts {
            self.record(now, txn, &key, &conflict, &settings.policy, effects);
        }
        for (conditional, loser) in lost {
            self.record_attribute(now, txn, &key, (&loser, conditional, place), effects);
        }
    }

    /// Whether this region keeps the rows of tables that it hears of. One that has lost its log, or
    /// whose life is over, goes by them to hear the catalog.
    #[must_use]
    pub fn keeps_rows(&self) -> bool {
        !self.is_mute() && !self.is_over()
    }

    /// Whether this region has lost its log: it hears what is decided of it, and nothing else. What
    /// it would make of rows nobody shall hear either: of items that it had seen it knows nothing,
    /// and where a peer has shortened what those had seen, it would take them for concurrent.
    pub(super) fn is_mute(&self) -> bool {
        if planted!(self, LostLogTakesRows) {
            return false;
        }
        self.lost.is_some()
    }

    /// Whether this region's life is over: it hears when it is taken back, and nothing else. Nobody
    /// waits for it any more, so that peers have shortened what their rows have seen of its own: it
    /// would take them for concurrent, and its next life would tell so. All that it would take in
    /// goes when that begins.
    pub(super) fn is_over(&self) -> bool {
        if planted!(self, OverTakesRows) {
            return false;
        }
        self.is_out()
    }

    /// Whether this region keeps the row.
    fn keeps(&self, key: &ItemKey, place: Place) -> bool {
        let me = self.config.slot;
        if planted!(self, LeavesRowsOut) {
            return self.catalog.may_receive(me, key.table, &key.primary, place);
        }
        self.catalog.keeps(me, key.table, &key.primary, place)
    }

    /// The pairs that readers do not see resolved: none unless the merge function has no result.
    fn unresolved(&self, function: &Function, stored: &Stored) -> Vec<Conflict> {
        if stored.versions.len() < 2 || resolved(function, stored).is_ok() {
            return Vec::new();
        }
        if planted!(self, TrapUnrecorded) {
            return Vec::new();
        }
        let winner = stored.greatest();
        let hidden = |it: &&Version| it.stamp != winner.stamp && !(merges(it) && merges(winner));
        let others = stored.versions.iter().filter(hidden);
        others.map(|loser| Conflict { loser: loser.clone(), winner: winner.clone() }).collect()
    }

    /// Neither applied (it would win for as long as the skew) nor dropped (it was acknowledged):
    /// the feeder keeps it, and is asked again when local time has caught up.
    fn hold(&mut self, now: Now, from: RegionSlot, newest: Hlc, effects: &mut Vec<Effect>) {
        let link = self.links.entry(from).or_default();
        link.frame_us = now.mono_us;
        let ahead_ms = newest.wall_ms() - now.wall_ms;
        if link.held_until_ms.is_none() {
            effects.push(Effect::Trace(Trace::Held { peer: from, ahead_ms }));
        }
        link.held_until_ms = Some(newest.wall_ms() - self.config.skew_ms_max);
    }

    /// Asks again where a frame was missing, a hold is over, or nothing was heard for long.
    pub(super) fn resubscribe(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let due = |link: &Link| {
            let silent = now.mono_us.saturating_sub(link.frame_us) > LINK_TIMEOUT_MS * 1000;
            let asked_us = now.mono_us.saturating_sub(link.subscribed_us);
            let held = link.held_until_ms.is_some_and(|until| now.wall_ms >= until);
            link.up
                && (link.wants_subscribe || silent || held)
                && asked_us >= RESUBSCRIBE_INTERVAL_MS * 1000
        };
        let peers: Vec<RegionSlot> =
            self.links.iter().filter(|(_, link)| due(link)).map(|(&peer, _)| peer).collect();
        for peer in peers {
            self.subscribe(now, peer, effects);
        }
    }

    fn subscribe(&mut self, now: Now, peer: RegionSlot, effects: &mut Vec<Effect>) {
        if self.cleaning.is_some() || self.catalog.membership().is_gone(peer) {
            return;
        }
        let after = self.newest_reached_of(peer);
        let link = self.links.entry(peer).or_default();
        link.subscribed_us = now.mono_us;
        link.wants_subscribe = false;
        effects.push(Effect::Send { to: peer, request: Request::Subscribe { after } });
    }

    /// The place in the feed of the life that the peer is known to speak in; before it has spoken,
    /// in that of its newest life that is not over.
    fn newest_reached_of(&self, peer: RegionSlot) -> Hlc {
        let membership = self.catalog.membership();
        let speaks = self.links.get(&peer).and_then(|link| link.speaks);
        if let Some(origin) = speaks.filter(|origin| membership.admits(*origin)) {
            return self.places.reached(origin);
        }
        self.places.newest_of(peer, |origin| membership.admits(origin))
    }

    /// The peer says what it has applied, behind all that it says of the membership.
    ///
    /// One that has applied what was never issued here has seen a log that is lost: a stamp of
    /// another life of this region, whose log is not here; or one that is newer than everything
    /// that was durable when this node began, and older than all that it issued since. What it has
    /// of this region's lives it has, whatever is still to come before the rest counts: rows of
    /// groups may wait for what a lost log had. A life that is over by decision, because this one
    /// came after it, is no surprise.
    fn hear_of_log(
        &mut self,
        from: RegionSlot,
        applied: &[(Origin, Hlc)],
        effects: &mut Vec<Effect>,
    ) {
        let link = self.links.entry(from).or_default();
        // What it says of the membership counts from now on.
        self.heard |= !core::mem::replace(&mut link.told, true);
        if self.lost.is_some() || planted!(self, LostLogUnheard) {
            return;
        }
        let (durable, first) = self.began;
        let membership = self.catalog.membership();
        let mine = |origin: Origin| origin.slot() == self.me.slot() && membership.admits(origin);
        for &(origin, known) in applied.iter().filter(|(origin, _)| mine(*origin)) {
            let never_issued = known > durable && first.is_none_or(|first| known < first);
            if origin != self.me || never_issued {
                self.lost = Some((from, known));
                return effects.push(Effect::Trace(Trace::LogLost { peer: from, known }));
            }
        }
    }
}

/// Which concurrent versions of an item stay. A row of the catalog has one writer at a time: who
/// takes over has seen what was written before, but for what nobody had when the one before was
/// given up.
fn rule_of(key: &ItemKey, settings: &Settings) -> Rule {
    match key.table {
        TableId::CATALOG if is_entry(&key.primary) => Rule::Greatest,
        table if table.is_system() => Rule::InsertOnly,
        _ => settings.rule(),
    }
}

/// What the versions know together that merge attribute by attribute.
fn together(policy: &Policy, stored: &Stored) -> Option<State> {
    match policy {
        Policy::Lww | Policy::Owner => None,
        Policy::Crdt(crdt) => Some(joined(crdt, stored)),
        Policy::Siblings | Policy::Wasm(_) => merging(stored),
    }
}

/// The values that are not shown any more, and whether the write that lost one had a condition: as
/// far as that is here still, and not only what it left in later ones.
fn lost_attributes(policy: &Policy, stored: &Stored, known: &[Loser]) -> Vec<(bool, Loser)> {
    if stored.versions.len() < 2 {
        return Vec::new();
    }
    let had_condition = |stamp| {
        let write = stored.version(stamp);
        write.is_some_and(|version| version.origins.conditional)
    };
    let losers = together(policy, stored).map(|state| state.losers()).unwrap_or_default();
    let news = losers.into_iter().filter(|loser| !known.contains(loser));
    news.map(|loser| (had_condition(loser.loser), loser)).collect()
}

/// The pairs that a version makes with what readers saw, where both are kept. Versions that were
/// written to merge hide nothing of each other, and are hidden together.
fn siblings(stored: &Stored, arrived: Stamp) -> Vec<Conflict> {
    let winner = stored.greatest();
    let before = stored.versions.get(1);
    let lost = |version: &&Version| {
        let was_shown = before.is_some_and(|before| {
            before.stamp == version.stamp || merges(before) && merges(version)
        });
        let met = if winner.stamp == arrived { was_shown } else { version.stamp == arrived };
        met && version.stamp != winner.stamp && !(merges(version) && merges(winner))
    };
    let losers = stored.versions.iter().filter(lost);
    losers.map(|loser| Conflict { loser: loser.clone(), winner: winner.clone() }).collect()
}

fn newest_stamp(frame: &Frame) -> Hlc {
    frame.rows().iter().map(|row| row.version.stamp.hlc).max().unwrap_or_default()
}

fn check_rows(from: RegionSlot, frame: &Rows) -> Result<(), Distrust> {
    if frame.origin.slot() != from {
        return Err(Distrust::ForeignOrigin(frame.origin));
    }
    check_span(frame.origin, (frame.after, frame.through), &frame.rows)
}

/// Rows of one origin in `(after, through]`, in the order of their stamps, and what stands for
/// others of them.
pub(super) fn check_span(
    origin: Origin,
    (after, through): (Hlc, Hlc),
    rows: &[Row],
) -> Result<(), Distrust> {
    let mut before = after;
    for row in rows {
        check_version(row)?;
        let (stamp, hlc) = (row.version.stamp, row.hlc());
        if row.is_of(origin) {
            // Only the rows of one transaction share their stamp.
            let together = hlc == before && before > after && row.version.origins.rows > 1;
            if !(hlc > before || together) || hlc > through {
                return Err(Distrust::Misplaced(stamp));
            }
            before = hlc;
        }
    }
    Ok(())
}

fn check_copied(frame: &Copied) -> Result<(), Distrust> {
    for row in &frame.rows {
        check_version(row)?;
        if row.key.table != frame.table {
            return Err(Distrust::Misplaced(row.version.stamp));
        }
    }
    Ok(())
}

/// A stamp exceeds all that its writer had seen, and is among it.
pub(super) fn check_version(row: &Row) -> Result<(), Distrust> {
    let version = &row.version;
    let own = version.context.get(version.stamp.origin);
    let others = version.context.iter().filter(|entry| entry.0 != version.stamp.origin);
    let newest = others.map(|entry| entry.1).max().unwrap_or_default();
    if own == version.stamp.hlc && newest < version.stamp.hlc {
        return Ok(());
    }
    Err(Distrust::Malformed("context does not fit the stamp".to_string()))
}
