//! Other regions' rows, passed on to a subscriber that does not get them from where they come.

use alloc::vec::Vec;

use super::{Feed, Span};
use crate::catalog::{self, TableEntry};
use crate::id::{Origin, TableId};
use crate::replica::{Frame, Progress, Relayed, Snapshot};
use crate::time::Hlc;

impl Feed {
    /// The next frame of another region's rows, if one is asked for.
    ///
    /// A request is served until the subscriber has what is here, and then forgotten: the
    /// subscriber asks again when it hears that there is more. Behind what was applied come rows
    /// that a table's copy brought before their time; nothing is covered there.
    pub(super) fn relay(&mut self, progress: &Progress, store: &impl Snapshot) -> Option<Frame> {
        let (origin, (after, ask)) = self.relays.pop_first()?;
        if self.is_over(progress) {
            return None;
        }
        let applied = progress.applied.get(&origin).copied().unwrap_or_default();
        let all = store.newest(origin).max(applied).max(after);
        let settled = after < applied;
        let end = if settled { applied } else { all };
        let Span { through, rows, whole, .. } = self.span(origin, after, end, progress, store);
        let through = if whole { end } else { through };
        if through < all {
            self.relays.insert(origin, (through, ask));
        }
        let claimed = progress.catalog.voices().get(&self.me.slot());
        let claimed = claimed.and_then(|voice| voice.claims.get(&origin));
        Some(Frame::Relayed(Relayed {
            origin,
            after,
            through,
            rows,
            covers: if settled { self.covered(progress, store) } else { Vec::new() },
            needs: self.state(progress, store),
            settled,
            ask,
            revision: claimed.filter(|_| through >= all).map(|claim| claim.revision),
        }))
    }

    /// The tables that this region holds whole, and the subscriber holds as far as is known here.
    ///
    /// The catalog may be older than `store`, from which a table's rows may be gone by now: but not
    /// before the table's entry said so, in the same store.
    fn covered(&self, progress: &Progress, store: &impl Snapshot) -> Vec<TableId> {
        let me = self.me.slot();
        let covered = |entry: &&TableEntry| {
            let placement = &entry.settings.placement;
            entry.is_held_by(self.peer)
                && placement.reaches(&progress.catalog.directory, me, self.peer)
                && progress.catalog.is_whole(entry, me)
                && catalog::entry_in(store, entry.id).is_some_and(|now| now.is_held_by(me))
        };
        progress.catalog.tables().filter(covered).map(|entry| entry.id).collect()
    }

    /// Everything that the rows of this store may rest on; it may be newer than what was told.
    fn state(&self, progress: &Progress, store: &impl Snapshot) -> Vec<(Origin, Hlc)> {
        let others = progress.applied.iter().map(|(&origin, &hlc)| (origin, hlc));
        let told = others.chain([(self.me, progress.closed)]);
        told.map(|(origin, hlc)| (origin, store.newest(origin).max(hlc))).collect()
    }
}
