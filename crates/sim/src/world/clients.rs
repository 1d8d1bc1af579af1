//! Clients at work: what they ask, and what they make of the answers.

use pangea_core::id::{RequestId, TableId};
use pangea_core::item::ItemKey;
use pangea_core::node::{Change, Event as NodeEvent, Outcome};
use pangea_core::table::WriteOp;
use pangea_core::time::Stamp;

use super::{Event, Phase, WARM_US, World};
use crate::clock::EPOCH_US;
use crate::invariants::Checked;
use crate::oracle::Asked;
use crate::workload::{Known, Operation, create, item_key, replicate};

/// Mean length of a pause: long enough for deletes to be collected.
const PAUSE_US: u64 = 150_000;

impl World {
    /// The first tables, each in its home; their replicas follow when they exist.
    pub(super) fn found(&mut self, homes: impl Iterator<Item = usize>) -> Checked {
        for (table, region) in (0..self.swarm.tables).zip(homes) {
            let change = create(format!("w{table}"), &self.swarm);
            self.define(region, change)?;
        }
        let warm_us = if self.swarm.warm { WARM_US } else { self.gaps.range(0, WARM_US / 2) };
        self.queue.push(warm_us, Event::Break);
        Ok(())
    }

    pub(super) fn clients(&mut self) -> Checked {
        if self.phase != Phase::Break {
            return Ok(());
        }
        let nth = self.counts.operations;
        self.counts.operations += 1;
        let skipped = self.options.trim.operations.contains(&nth);
        self.workload.begin(self.wall_s());
        for operation in self.workload.draw().into_iter().filter(|_| !skipped) {
            match operation {
                Operation::Write { region, table, op } => self.write(region, table, op)?,
                Operation::Transact { region, ops } => self.transact(region, ops)?,
                Operation::Define { region, change } => self.define(region, change)?,
            }
        }
        if self.has_sessions() {
            self.session_clients()?;
        }
        let pauses = self.swarm.pause > 0 && self.gaps.chance(self.swarm.pause);
        let gap_us = if pauses { PAUSE_US } else { self.swarm.gap_us };
        let gap_us = self.gaps.range(0, 2 * gap_us);
        let next = if self.workload.left == 0 { Event::Heal } else { Event::Clients };
        self.queue.push(self.now_us + gap_us, next);
        Ok(())
    }

    /// What right clocks show, seconds since 1970.
    pub(super) fn wall_s(&self) -> i64 {
        (EPOCH_US + self.now_us as i64 + self.swarm.phase_us()) / 1_000_000
    }

    pub(super) fn write(&mut self, region: usize, table: TableId, op: WriteOp) -> Checked {
        let key = item_key(table, &op.key);
        if self.regions[region].node.is_none() || !self.oracle.has_room(&key) {
            return Ok(());
        }
        if self.has_vanished(region, &key) {
            return Ok(());
        }
        self.oracle.deeds = vec![(key.clone(), self.workload.deed(&op.action))];
        let writes = vec![self.with_shown(region, key)];
        let request = self.ask(Asked { region, writes, operator: None });
        self.draw_level(request.0);
        self.counts.writes += 1;
        if self.timeline.is_some() {
            let (deed, key) = (self.workload.deed(&op.action), &op.key.partition);
            let text = format!("is asked ({}) {deed:?} of {key:?} in {table}", request.0);
            self.note(region, || text);
        }
        self.deliver(region, NodeEvent::Write { request, table, op: Box::new(op) })
    }

    /// Whether a row is gone without a trace and nobody has noticed yet. Who writes over it then
    /// writes as over a deleted item, and nothing can tell what was there: it is not demanded.
    pub(super) fn has_vanished(&self, region: usize, key: &ItemKey) -> bool {
        self.sites[region].disk.visible.rotten.get(key) == Some(&false)
    }

    pub(super) fn with_shown(&self, region: usize, key: ItemKey) -> (ItemKey, Option<Stamp>) {
        let shown = self.sites[region].disk.visible.rows.get(&key);
        let shown = shown.map(|held| held.stored.greatest().stamp);
        (key, shown)
    }

    fn transact(&mut self, region: usize, ops: Vec<(TableId, WriteOp)>) -> Checked {
        let keys: Vec<ItemKey> = ops.iter().map(|(table, op)| item_key(*table, &op.key)).collect();
        let fit = |key: &ItemKey| self.oracle.has_room(key) && !self.has_vanished(region, key);
        let room = keys.iter().all(fit);
        if self.regions[region].node.is_none() || !room {
            return Ok(());
        }
        let deeds = ops.iter().map(|(_, op)| self.workload.deed(&op.action));
        self.oracle.deeds = keys.iter().cloned().zip(deeds).collect();
        let writes = keys.into_iter().map(|key| self.with_shown(region, key)).collect();
        let request = self.ask(Asked { region, writes, operator: None });
        self.draw_level(request.0);
        self.counts.transactions += 1;
        self.note(region, || format!("is asked ({}) a transaction of {}", request.0, ops.len()));
        self.deliver(region, NodeEvent::Transact { request, ops })
    }

    pub(super) fn define(&mut self, region: usize, change: Change) -> Checked {
        if self.regions[region].node.is_none() {
            return Ok(());
        }
        let request = self.ask(Asked { region, writes: Vec::new(), operator: None });
        self.counts.changes += 1;
        self.note(region, || format!("is asked ({}) {change:?}", request.0));
        self.deliver(region, NodeEvent::Define { request, change: Box::new(change) })
    }

    pub(super) fn ask(&mut self, asked: Asked) -> RequestId {
        self.requests += 1;
        self.oracle.asked.insert(self.requests, asked);
        RequestId(self.requests)
    }

    /// A client has its answer.
    pub(super) fn answered(
        &mut self,
        region: usize,
        operator: Option<usize>,
        outcome: Outcome,
    ) -> Checked {
        match outcome {
            Outcome::Governed { .. } => {
                operator.into_iter().for_each(|operator| self.governed(operator));
                Ok(())
            }
            Outcome::Ungoverned(refusal) => {
                operator.into_iter().for_each(|operator| self.ungoverned(operator, &refusal));
                Ok(())
            }
            Outcome::Written { stamp, .. } => {
                self.counts.acked += u64::from(stamp.is_some());
                Ok(())
            }
            Outcome::Defined(entry) => {
                let known = Known { id: entry.id, name: entry.name.clone(), home: region };
                if self.workload.tables.iter().any(|table| table.id == entry.id) {
                    return Ok(());
                }
                self.workload.tables.push(known);
                self.furnish(region, entry.name)
            }
            Outcome::Transacted { stamp, .. } => {
                self.counts.acked += u64::from(stamp.is_some());
                Ok(())
            }
            Outcome::Refused(_)
            | Outcome::Cancelled(_)
            | Outcome::Elsewhere { .. }
            | Outcome::NotServing
            | Outcome::Skewed { .. }
            | Outcome::Closed(_)
            | Outcome::Denied(_) => {
                self.counts.refused += 1;
                Ok(())
            }
            Outcome::Healed { .. } | Outcome::Expired { .. } => Ok(()),
        }
    }

    /// A table of the warm-up gets its first rows and its replicas.
    fn furnish(&mut self, home: usize, name: String) -> Checked {
        if !name.starts_with('w') {
            return Ok(());
        }
        if name == "w0" {
            let table = self.workload.tables[self.workload.tables.len() - 1].id;
            for key in 0..self.swarm.bulk {
                let op = self.workload.put(key);
                self.write(home, table, op)?;
            }
        }
        let others = if self.swarm.one_replica { 2 } else { self.regions.len() };
        self.define(home, replicate(name, home, self.regions.len(), others))
    }
}
