//! Putting right what verifying a bucket found: every holder is asked for what it has of the rows.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use super::{
    Answer, Damaged, Fate, Finding, KEYS_MAX, Kept, Report, Subject, Told, Verified, Wrong,
};
use crate::fingerprint;
use crate::id::{RegionSlot, TableId};
use crate::item::{ItemKey, PrimaryKey};
use crate::merge::VersionVector;
use crate::node::Heal;
use crate::replica::{Erased, Row, Snapshot};
use crate::time::Stamp;

/// See the module.
#[derive(Debug)]
pub(super) struct Healing {
    pub(super) table: TableId,
    pub(super) bucket: u8,
    verified: Verified,
    /// Holders that are still to be asked, the one being asked first.
    peers: VecDeque<(RegionSlot, bool)>,
    /// A holder that may have what nobody else has did not answer.
    missing_peer: bool,
    /// Keys that were readable, or that a peer told, by place.
    keys: BTreeMap<Vec<u8>, PrimaryKey>,
    /// Whether the peer has told what is damaged there as well.
    told_damage: bool,
    /// Where the list of the peer's bucket goes on; `None` before it began, and once it ended.
    after: Option<PrimaryKey>,
    listed: bool,
    /// Keys that the peer was asked for, or is to be.
    wanted: Option<VecDeque<(Vec<u8>, PrimaryKey)>>,
    had: Vec<Had>,
    fates: Vec<Fate>,
}

/// What a holder has.
#[derive(Debug, Default)]
struct Had {
    rows: BTreeMap<Vec<u8>, Kept>,
    /// Where it cannot read what it has.
    damaged: BTreeSet<Vec<u8>>,
    /// How far it had applied.
    applied: VersionVector,
}

impl Healing {
    pub(super) fn new(
        table: TableId,
        bucket: u8,
        verified: Verified,
        peers: VecDeque<(RegionSlot, bool)>,
    ) -> Self {
        let readable = verified.damaged.iter();
        let keys = readable.filter_map(|it| Some((it.place.clone(), it.key.clone()?))).collect();
        // A wrong fingerprint of sound rows is nobody else's business.
        let peers = if verified.damaged.is_empty() { VecDeque::new() } else { peers };
        let mut healing = Self {
            table,
            bucket,
            verified,
            peers,
            missing_peer: false,
            keys,
            told_damage: false,
            after: None,
            listed: false,
            wanted: None,
            had: Vec::new(),
            fates: Vec::new(),
        };
        healing.begin_peer();
        healing
    }

    /// Passes by holders without a link.
    fn begin_peer(&mut self) {
        while self.peers.front().is_some_and(|(_, up)| !up) {
            self.peers.pop_front();
            self.missing_peer = true;
        }
        (self.told_damage, self.after, self.wanted) = (false, None, None);
        let known = |damaged: &Damaged| self.keys.contains_key(&damaged.place);
        self.listed = self.verified.damaged.iter().all(known);
        if !self.peers.is_empty() {
            self.had.push(Had::default());
        }
    }

    /// Whom to ask what next; `None` if everybody was asked.
    pub(super) fn question(&mut self) -> Option<(RegionSlot, Subject)> {
        loop {
            let (peer, _) = *self.peers.front()?;
            if !self.told_damage {
                return Some((peer, Subject::Damage { bucket: self.bucket }));
            }
            if !self.listed {
                let (bucket, after) = (self.bucket, self.after.clone());
                let of = Subject::Versions { bucket, after, foreign: true };
                return Some((peer, of));
            }
            let had = self.had.last();
            let sound = |place: &Vec<u8>| had.is_none_or(|had| !had.damaged.contains(place));
            let wanted = self.wanted.get_or_insert_with(|| {
                let sound = self.keys.iter().filter(|(place, _)| sound(place));
                sound.map(|(place, key)| (place.clone(), key.clone())).collect()
            });
            if !wanted.is_empty() {
                let keys = wanted.iter().take(KEYS_MAX).map(|(_, key)| key.clone()).collect();
                return Some((peer, Subject::Rows { keys }));
            }
            self.peers.pop_front();
            self.begin_peer();
        }
    }

    pub(super) fn unanswered(&mut self) {
        self.missing_peer = true;
        self.had.pop();
        self.peers.pop_front();
        self.begin_peer();
    }

    pub(super) fn answered<S: Snapshot>(&mut self, answer: &Answer, here: &S) {
        let Some(had) = self.had.last_mut() else { return };
        // The oldest of its answers counts.
        let told = VersionVector::from_entries(answer.applied.iter().copied());
        had.applied = if had.applied.is_empty() { told } else { had.applied.meet(&told) };
        match &answer.told {
            Told::Damage(sums) => {
                let places = self.verified.damaged.iter().map(|damaged| &damaged.place);
                let there = places.filter(|place| sums.contains(&fingerprint::of_place(place)));
                had.damaged = there.cloned().collect();
                self.told_damage = true;
            }
            Told::Versions { items, next } => {
                for item in items {
                    let key = ItemKey { table: self.table, primary: item.key.clone() };
                    let place = here.place(&key);
                    if self.verified.damaged.iter().any(|it| it.place == place) {
                        self.keys.insert(place, key.primary);
                    }
                }
                self.after.clone_from(next);
                self.listed = next.is_none();
            }
            Told::Rows(rows) if !rows.is_empty() => {
                let Some(wanted) = &mut self.wanted else { return };
                for kept in rows {
                    let Some((place, _)) = wanted.pop_front() else { return };
                    had.rows.extend(kept.clone().map(|kept| (place, kept)));
                }
            }
            Told::Nothing | Told::Fingerprints(_) | Told::Rows(_) => self.unanswered(),
        }
    }

    /// What the node shall do, now that everybody was asked. `placed` is whether the table has
    /// rules of placement: then an absent item may never have been at a peer.
    pub(super) fn remedy(&mut self, placed: bool) -> Heal {
        let mut heal = Heal {
            table: self.table,
            bucket: self.bucket,
            excess: self.verified.excess,
            erased: Vec::new(),
            unreadable: Vec::new(),
            rows: Vec::new(),
        };
        for damaged in &self.verified.damaged {
            let lost = self.unaccounted(damaged, placed);
            if !lost.is_empty() && self.missing_peer {
                self.fates.push(Fate::Waits);
                continue;
            }
            let gone = Erased { row: damaged.row, stamps: damaged.stamps.clone() };
            heal.erased.push((damaged.place.clone(), gone));
            if let Some(key) = self.keys.get(&damaged.place) {
                heal.unreadable.extend(damaged.row.then(|| key.clone()));
                let kept = self.had.iter().filter_map(|had| had.rows.get(&damaged.place));
                let versions = kept.flat_map(|kept| kept.versions.iter().cloned());
                let key = ItemKey { table: self.table, primary: key.clone() };
                heal.rows.extend(versions.map(|version| Row { key: key.clone(), version }));
            }
            self.fates.push(if lost.is_empty() { Fate::Repaired } else { Fate::Lost(lost) });
        }
        heal
    }

    /// Versions of a damaged row that no holder has, or has had.
    fn unaccounted(&self, damaged: &Damaged, placed: bool) -> Vec<Stamp> {
        let accounted = |stamp: &Stamp| {
            self.had.iter().any(|had| match had.rows.get(&damaged.place) {
                // Applied, and not there any more: overwritten or deleted. A row that is cold says
                // less than it has seen.
                Some(kept) => kept.seen.covers(*stamp) || had.applied.covers(*stamp),
                None if had.damaged.contains(&damaged.place) => false,
                None => !placed && had.applied.covers(*stamp),
            })
        };
        damaged.stamps.iter().copied().filter(|stamp| !accounted(stamp)).collect()
    }

    /// Whether damage is left.
    pub(super) fn conclude(self, done: bool, report: &mut Report) -> bool {
        let mut left = !done;
        let (table, bucket) = (self.table, self.bucket);
        if self.verified.damaged.is_empty() {
            let fate = if done { Fate::Repaired } else { Fate::Waits };
            let (key, place, what) = (None, Vec::new(), Wrong::Fingerprint);
            report.find(Finding { table, bucket, key, place, what, fate });
        }
        for (damaged, fate) in self.verified.damaged.into_iter().zip(self.fates) {
            let key = self.keys.get(&damaged.place).cloned();
            let fate = if done { fate } else { Fate::Waits };
            left |= fate == Fate::Waits;
            let (place, what) = (damaged.place, Wrong::Damaged(damaged.why));
            report.find(Finding { table, bucket, key, place, what, fate });
        }
        left
    }
}
