//! An operator decides about a conflict: a normal write that has seen both sides, and a ledger row
//! that says what was decided, in one batch.

use alloc::vec;
use alloc::vec::Vec;

use super::write::Unplanned;
use super::{Effect, Node, Outcome, Txn};
use crate::id::{Place, RequestId, TableId};
use crate::item::{Attributes, ItemKey, PrimaryKey};
use crate::ledger;
use crate::replica::Snapshot;
use crate::table::{Refusal, WriteOp};
use crate::time::{Now, Stamp};

/// What an operator decided about a conflict.
#[derive(Clone, Debug)]
pub struct Resolution {
    /// The ledger's row about it.
    pub row: PrimaryKey,
    /// The table and the item.
    pub item: ItemKey,
    /// The versions that the operator saw: if the item has others by now, nothing is done.
    pub seen: Vec<Stamp>,
    /// What to write; `None` if what is shown shall stay.
    pub op: Option<WriteOp>,
    /// Who decided what and why, for the ledger.
    pub decision: Attributes,
}

impl Node {
    pub(super) fn resolve(
        &mut self,
        now: Now,
        request: RequestId,
        resolution: Resolution,
        store: &impl Snapshot,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(closed) = self.closed() {
            return self.reply_when_settled(vec![(request, Outcome::Closed(closed))], effects);
        }
        let mut txn = Txn::new(store);
        let outcome = self.decide(now, &mut txn, resolution, effects);
        self.persist(txn, vec![(request, outcome)], effects);
    }

    fn decide<S: Snapshot>(
        &mut self,
        now: Now,
        txn: &mut Txn<'_, S>,
        resolution: Resolution,
        effects: &mut Vec<Effect>,
    ) -> Outcome {
        let Resolution { row, item, seen, op, decision } = resolution;
        let refuse = |text: &str| Outcome::Refused(Refusal::Validation(text.into()));
        let key = ItemKey { table: TableId::LEDGER, primary: row.clone() };
        let Some(decided) = ledger::resolution_key(&row).filter(|_| txn.item(&key).is_some())
        else {
            return refuse("this region's ledger has no such conflict");
        };
        let current = txn.item(&item).map(|stored| stored.stamps().collect::<Vec<_>>());
        if current.unwrap_or_default() != seen {
            return refuse("the item has changed since the conflict was read: look again");
        }
        let stamp = match op {
            None => None,
            Some(op) => match self.plan(txn, item.table, op) {
                Err(Unplanned::NotServing) => return Outcome::NotServing,
                Err(Unplanned::Refused(refusal)) => return Outcome::Refused(refusal),
                Err(Unplanned::Elsewhere(regions, why)) => {
                    return Outcome::Elsewhere { regions, why };
                }
                Ok(planned) => {
                    let stamp = self.issue(now, self.floor(&planned));
                    self.execute(now, txn, planned, stamp, effects);
                    Some(stamp)
                }
            },
        };
        let place = txn.item(&key).map_or(Place::ANYWHERE, |row| row.greatest().origins.place);
        self.put_ledger(now, txn, decided, decision, place);
        Outcome::Written { returned: None, stamp, bytes: 0, indexed: Vec::new(), item: None }
    }
}
