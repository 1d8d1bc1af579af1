//! Anti-entropy: finding what differs between what a region has and what it should have, and
//! putting it right.
//!
//! Feeds have no gaps, so this is verification, and repair after rot and bugs; nothing waits for
//! it. A run has two parts. *Verifying* recomputes the fingerprint of each bucket from its rows: a
//! row that cannot be read, or of which only index entries are left, is replaced by what peers
//! have. *Comparing* asks each peer for its fingerprints and, of buckets where they differ, for the
//! versions that the peer itself wrote and still keeps.
//!
//! Why a difference is one, whatever is on its way: what a peer keeps of its own it has kept ever
//! since it wrote it. If this region had applied its feed up to there *before it asked*, it had the
//! version by then, or had seen what overwrote it, and whatever makes a region forget that, the
//! peer would have had applied before. So every answer is held against the state from before the
//! question, and only against what that state has applied: the common cut. Versions of third
//! regions are compared with those regions.
//!
//! Tombstones are absence, and absence is never taken over: an item that is here, and is not at a
//! peer that has applied it, may have been deleted, so it is named and left to people.

mod answer;
mod comparing;
mod healing;
mod machine;

#[cfg(test)]
mod tests;

pub use answer::answer;
pub use machine::{Effect, Here, Input, Moment, Repair, Scope, verify};

use alloc::string::String;
use alloc::vec::Vec;

use crate::id::{Origin, RegionSlot, TableId};
use crate::item::PrimaryKey;
use crate::merge::{Version, VersionVector};
use crate::time::{Hlc, Stamp};

/// Questions that a feeder keeps: a run asks one at a time, and two may be under way.
pub const ASKS_MAX: usize = 4;
/// Keys of one question.
pub const KEYS_MAX: usize = 64;

/// What a peer is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Tells the question from earlier ones, whose answers may come late: those are older than
    /// what they would be held against.
    pub number: u64,
    /// Which table.
    pub table: TableId,
    /// What of it.
    pub of: Subject,
}

/// What of a table a peer is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The fingerprints of all buckets.
    Fingerprints,
    /// The versions of a bucket that the asker may have, in key order.
    Versions {
        /// Which bucket.
        bucket: u8,
        /// The last key of the chunk before.
        after: Option<PrimaryKey>,
        /// Those that the peer did not write, too.
        foreign: bool,
    },
    /// Whole rows; at most [`KEYS_MAX`].
    Rows {
        /// Of which items.
        keys: Vec<PrimaryKey>,
    },
    /// Where the rows of a bucket are that are damaged at the peer as well.
    Damage {
        /// Which bucket.
        bucket: u8,
    },
}

/// What a peer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The question.
    pub ask: Ask,
    /// What the peer has durably applied, its own writes included.
    pub applied: Vec<(Origin, Hlc)>,
    /// What it has.
    pub told: Told,
}

/// What a peer has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It does not serve the table, or does not know that the asker does.
    Nothing,
    /// Of [`Subject::Fingerprints`]: one for each bucket.
    Fingerprints(Vec<u128>),
    /// Of [`Subject::Versions`].
    Versions {
        /// The items, those without such a version left out.
        items: Vec<Listed>,
        /// Where to go on; `None` at the end.
        next: Option<PrimaryKey>,
    },
    /// Of [`Subject::Rows`]: the first ones, as many as one frame takes, but one at least.
    Rows(Vec<Option<Kept>>),
    /// Of [`Subject::Damage`]: [`crate::fingerprint::of_place`] of each, which names no key to a
    /// region that may not know it.
    Damage(Vec<u128>),
}

/// An item's versions by their stamps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Which item.
    pub key: PrimaryKey,
    /// Stamps, and what they add to fingerprints.
    pub versions: Vec<(Stamp, u128)>,
}

/// An item as a peer keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Everything that the peer has seen of it.
    pub seen: VersionVector,
    /// The versions that the asker may have.
    pub versions: Vec<Version>,
}

/// What verifying a bucket found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Rows that could be read.
    pub rows: u64,
    /// What the maintained fingerprint has beyond theirs.
    pub excess: u128,
    /// What is damaged.
    pub damaged: Vec<Damaged>,
}

/// A row that cannot be read, or of which index entries alone are left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// Where it is: see [`crate::replica::Snapshot::place`].
    pub place: Vec<u8>,
    /// Its key, as far as that can be read.
    pub key: Option<PrimaryKey>,
    /// Whether there is a row.
    pub row: bool,
    /// The versions that the indexes say it had.
    pub stamps: Vec<Stamp>,
    /// How it is damaged.
    pub why: String,
}

/// What a run found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Tables looked at.
    pub tables: u64,
    /// Buckets verified.
    pub buckets: u64,
    /// Rows verified.
    pub rows: u64,
    /// Buckets whose fingerprints were equal to a peer's, each peer counted.
    pub equal: u64,
    /// Versions of peers that were compared one by one, because the buckets differed.
    pub versions: u64,
    /// What was found.
    pub findings: Vec<Finding>,
    /// Findings beyond [`FINDINGS_MAX`], which were counted and put right, but are not listed.
    pub unlisted: u64,
    /// Tables not compared with a region, and why.
    pub skipped: Vec<(TableId, RegionSlot, Skip)>,
}

/// Findings that a report lists.
pub const FINDINGS_MAX: usize = 1000;

/// Why a table was not compared with a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// There is no link to it, or it did not answer.
    Unreachable,
    /// One of both is still being given the table.
    Copying,
    /// Rows here are damaged and could not be put right.
    Damaged,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which table.
    pub table: TableId,
    /// Which of its buckets.
    pub bucket: u8,
    /// Which item, as far as that is known.
    pub key: Option<PrimaryKey>,
    /// Where the store has it.
    pub place: Vec<u8>,
    /// What is wrong.
    pub what: Wrong,
    /// What became of it.
    pub fate: Fate,
}

/// What is wrong with an item, or a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Its row cannot be read, or is gone while indexes still name it.
    Damaged(String),
    /// The fingerprint is not that of the rows, all of which can be read.
    Fingerprint,
    /// A version that the region applied is not here.
    Missing(Stamp),
    /// A version is here with another content.
    Content(Stamp),
    /// A version is here that its writer does not keep any more, with nothing in its place: its
    /// deletion was missed here, or the row was lost there.
    Stale(Stamp),
}

/// What became of a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is as it should be.
    Repaired,
    /// It is as it should be, except that these versions were nowhere else: they are lost.
    Lost(Vec<Stamp>),
    /// Not yet: no peer that may have it answered, or the peers' rows cannot be taken now.
    Waits,
    /// Left as it is: someone has to look.
    Left,
}

impl Report {
    fn find(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.unlisted += 1;
        }
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty() && self.unlisted == 0
    }
}
