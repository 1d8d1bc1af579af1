//! A scenario's steps, done in a world.

use pangea_core::node::{Change, Directive, TableUpdate};
use pangea_core::table::{Action, WriteOp};

use super::{Event, Phase, World};
use crate::invariants::{Broken, Checked, Invariant};
use crate::scenario::{Key, Setting, Step};
use crate::workload::{self, Known, slot};

impl World {
    /// The steps of a scenario take the place of clients, faults and operators.
    pub(super) fn direct(&mut self) {
        let Some(scenario) = self.options.scenario.clone() else { return };
        let shift_us = scenario.setting(Setting::ShiftUs).unwrap_or(0);
        let mut last_us = self.now_us;
        for (at_ms, step) in scenario.steps {
            // No step overtakes another.
            let at_us = self.now_us + at_ms * 1000 + self.gaps.range(0, shift_us);
            last_us = last_us.max(at_us);
            self.queue.push(last_us, Event::Step(Box::new(step)));
        }
        self.begin_passes();
    }

    pub(super) fn step(&mut self, step: Step) -> Checked {
        if self.phase != Phase::Break {
            return Ok(());
        }
        self.note(0, || format!("STEP {step:?}"));
        self.workload.begin(self.wall_s());
        let now_us = self.now_us;
        match step {
            Step::Create { region, name } => {
                let change = workload::create(name, &self.swarm);
                self.define(region, change)
            }
            Step::Replicate { region, table, replica, adds } => {
                let name = self.table(table)?.name;
                let mut update = TableUpdate { name, ..Default::default() };
                let list = if adds { &mut update.add } else { &mut update.remove };
                list.push(slot(replica));
                self.define(region, Change::Update(update))
            }
            Step::Drop { region, table } => {
                let name = self.table(table)?.name;
                self.define(region, Change::Delete { name })
            }
            Step::Expires { region, table } => {
                let name = self.table(table)?.name;
                self.define(region, workload::expiring(name))
            }
            Step::Put { region, table, key } => {
                let op = self.workload.put(number(key));
                self.act(region, table, op)
            }
            Step::PutExpiring { region, table, key, seconds } => {
                let op = self.workload.put_until(number(key), self.wall_s() + seconds);
                self.act(region, table, op)
            }
            Step::Delete { region, table, key } => {
                let op = WriteOp::new(workload::primary_key(number(key)), Action::Delete);
                self.act(region, table, op)
            }
            Step::Evict { region } => {
                self.hire(Directive::Evict(slot(region)), region, now_us);
                Ok(())
            }
            Step::Rejoin { region } => {
                self.hire(Directive::Rejoin(slot(region)), region, now_us);
                Ok(())
            }
            Step::Cut { one, other } => {
                self.part(one, other);
                Ok(())
            }
            Step::Mend { one, other } => {
                self.mend(&[(one, other), (other, one)]);
                Ok(())
            }
            Step::Crash { region, ms } => self.die_for(region, ms * 1000),
            Step::LoseDisk { region, ms } => {
                self.die_for(region, ms * 1000)?;
                self.lose_disk(region)
            }
            Step::Doom { region } => {
                self.sites[region].dead = true;
                self.die_for(region, 0)
            }
            Step::End => {
                self.queue.push(now_us, Event::Heal);
                Ok(())
            }
        }
    }

    /// Cuts both ways between two regions, who notice at once.
    fn part(&mut self, one: usize, other: usize) {
        for (from, to) in [(one, other), (other, one)] {
            self.net.cut(from, to);
            self.disconnect_soon(self.net.conn_id(from, to), 0);
        }
    }

    fn act(&mut self, region: usize, table: usize, op: WriteOp) -> Checked {
        let table = self.table(table)?.id;
        self.write(region, table, op)
    }

    fn table(&self, table: usize) -> Checked<Known> {
        let late = || {
            let text = format!(
                "a step names table {table}, and {} are made by then: let it come later, behind the \
                 step that creates the table and the answer to it",
                self.workload.tables.len()
            );
            Broken::new(Invariant::Scenario, text)
        };
        self.workload.tables.get(table).cloned().ok_or_else(late)
    }
}

const fn number(key: Key) -> u64 {
    if key.restricted { workload::RESTRICTED + key.number } else { key.number }
}
