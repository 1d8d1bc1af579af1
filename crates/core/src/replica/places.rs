//! How far a region has followed the feeds of others.
//!
//! State: per origin the *cut*, up to which everything that the origin wrote is accounted for here,
//! and, while a state of the feeder comes in several frames, how far those frames reach. The cut is
//! what is durable and told to others; the reach only says where to go on, and dies with the
//! process.
//!
//! Always true: a cut moves only by the last frame of a state that is at least as new as every
//! state of which frames were applied since the cut before. What was overwritten in a newer state
//! is in none of its earlier frames, so the last frame of an older one does not make up for it.

use alloc::collections::BTreeMap;

use super::Applied;
use crate::id::{Origin, RegionSlot};
use crate::time::Hlc;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Places {
    cuts: Applied,
    reaches: BTreeMap<Origin, Reach>,
}

/// Frames behind the cut.
#[derive(Clone, Copy, Debug)]
struct Reach {
    through: Hlc,
    /// The newest stamp of any state that they were read from.
    end: Hlc,
}

impl Places {
    /// At the durable cuts.
    #[must_use]
    pub fn new(cuts: Applied) -> Self {
        Self { cuts, reaches: BTreeMap::new() }
    }

    /// Every cut.
    #[must_use]
    pub fn cuts(&self) -> &Applied {
        &self.cuts
    }

    /// Up to where everything of the origin is here.
    #[must_use]
    pub fn cut(&self, origin: Origin) -> Hlc {
        self.cuts.get(&origin).copied().unwrap_or_default()
    }

    /// Where the origin's feed goes on.
    #[must_use]
    pub fn reached(&self, origin: Origin) -> Hlc {
        let reach = self.reaches.get(&origin).map(|reach| reach.through).unwrap_or_default();
        reach.max(self.cut(origin))
    }

    /// Where the feed of the region's newest life goes on, of those that count.
    #[must_use]
    pub fn newest_of(&self, region: RegionSlot, counts: impl Fn(Origin) -> bool) -> Hlc {
        let origins = self.cuts.keys().chain(self.reaches.keys());
        let of_region = origins.filter(|origin| origin.slot() == region && counts(**origin));
        of_region.map(|&origin| self.reached(origin)).max().unwrap_or_default()
    }

    /// Everything of the origin up to `cut` is here, by way of others: a new cut, if it is one.
    pub fn account(&mut self, origin: Origin, cut: Hlc) -> bool {
        if cut <= self.cut(origin) {
            return false;
        }
        self.cuts.insert(origin, cut);
        true
    }

    /// There are rows of the origin, which may have gaps; returns whether that is news.
    pub fn know(&mut self, origin: Origin) -> bool {
        let news = !self.cuts.contains_key(&origin);
        self.cuts.entry(origin).or_default();
        news
    }

    /// Rows up to `through` were applied, of a state whose newest stamp is `end`. Returns the new
    /// cut, if that makes one.
    pub fn reach(&mut self, origin: Origin, through: Hlc, end: Hlc) -> Option<Hlc> {
        let cut = self.cut(origin);
        if through <= cut {
            return None;
        }
        let newest = self.reaches.get(&origin).map(|reach| reach.end).unwrap_or_default();
        if through == end && end >= newest {
            self.reaches.remove(&origin);
            self.cuts.insert(origin, through);
            return Some(through);
        }
        let reach = Reach { through: through.max(self.reached(origin)), end: end.max(newest) };
        self.reaches.insert(origin, reach);
        None
    }

    /// The same, where what makes a cut is not shown yet: the place of the cut stays where it is
    /// until it is accounted for. Returns whether everything up to `through` has come.
    pub fn hold(&mut self, origin: Origin, through: Hlc, end: Hlc) -> bool {
        if through <= self.cut(origin) {
            // Late, it says nothing of what came behind it.
            return through == end && through == self.reached(origin);
        }
        let newest = self.reaches.get(&origin).map(|reach| reach.end).unwrap_or_default();
        let reach = Reach { through: through.max(self.reached(origin)), end: end.max(newest) };
        self.reaches.insert(origin, reach);
        through == end && end >= newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HLC: fn(u64) -> Hlc = Hlc::from_bits;

    fn origin() -> Origin {
        Origin::from_bits(1025)
    }

    #[test]
    fn only_the_last_frame_of_a_state_makes_a_cut() {
        let mut places = Places::default();
        assert_eq!(places.reach(origin(), HLC(5), HLC(9)), None);
        assert_eq!((places.cut(origin()), places.reached(origin())), (HLC(0), HLC(5)));
        assert_eq!(places.reach(origin(), HLC(9), HLC(9)), Some(HLC(9)));
        assert_eq!((places.cut(origin()), places.reached(origin())), (HLC(9), HLC(9)));
        assert_eq!(places.reach(origin(), HLC(9), HLC(9)), None);
        assert_eq!(places.newest_of(origin().slot(), |_| true), HLC(9));
    }

    #[test]
    fn the_last_frame_of_an_older_state_makes_no_cut_behind_a_newer_one() {
        let mut places = Places::default();
        // Of a newer state, in which a version before 60 was overwritten at 120.
        assert_eq!(places.reach(origin(), HLC(60), HLC(120)), None);
        // Late, of a state before that.
        assert_eq!(places.reach(origin(), HLC(100), HLC(100)), None);
        assert_eq!((places.cut(origin()), places.reached(origin())), (HLC(0), HLC(100)));
        assert_eq!(places.reach(origin(), HLC(120), HLC(120)), Some(HLC(120)));
    }
}
