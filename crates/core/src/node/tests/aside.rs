//! What a region that came back alone had, and to whom its feed tells it.

use super::*;
use crate::catalog::tests::entry;
use crate::catalog::{
    Policy, ReplicaSpec, ReplicaState, ReplicaStatus, TableEntry, entry_key, status_key,
};
use crate::item::Attributes;
use crate::ledger;
use crate::membership::{self, Membership, RegionState, Voice};
use crate::merge::{Body, Version};
use crate::replica::Row;

/// The first region is back in its second life, and the others have always been there.
fn membership() -> Membership {
    let mut membership = Membership::founders([0, 1, 2].map(slot));
    membership.generation = 3;
    let back = membership.regions.get_mut(&slot(0)).expect("a founder");
    (back.state, back.life, back.since) = (RegionState::Active, Some(2), 2);
    membership
}

fn voice() -> Attributes {
    Voice { membership: membership(), ..Voice::default() }.to_attributes()
}

fn returned(config: Config) -> Region {
    let mut region = Region::in_life(0, 2);
    let mut catalog = Catalog::default();
    assert!(catalog.observe(&membership::key(slot(0)).primary, Some(&voice())));
    let durable = Durable { last: Hlc::from_parts(10, 0), ..durable(2, catalog) };
    region.node = Node::new(config, durable);
    region
}

/// A table at home in the second region; the third may hold a replica.
fn table(replicated: bool) -> TableEntry {
    let made = Stamp { hlc: Hlc::from_parts(1, 0), origin: Origin::new(slot(1), 1) };
    let (home, replica) = (slot(1), ReplicaSpec { slot: slot(2), since: Hlc::from_parts(2, 0) });
    let replicas = if replicated { vec![replica] } else { vec![] };
    TableEntry { id: TableId(made), home, home_since: 0, replicas, ..entry() }
}

impl Region {
    /// Takes rows of the peer's catalog, all that it has up to the last of them.
    fn hear(&mut self, ms: u64, peer: u8, after: u64, rows: Vec<(ItemKey, Attributes)>) {
        let origin = Origin::new(slot(peer), 1);
        let stamped = (after + 1..).map(|ms| Stamp { hlc: Hlc::from_parts(ms, 0), origin });
        let row = |(stamp, (key, row)): (Stamp, _)| Row {
            key,
            version: Version::first(stamp, Body::live(row)),
        };
        let after = if after == 0 { Hlc::ZERO } else { Hlc::from_parts(after, 0) };
        let rows: Vec<Row> = stamped.zip(rows).map(row).collect();
        let through = rows.last().map_or(after, |row| row.version.stamp.hlc);
        let (end, applied, sent_wall_ms) = (through, vec![], ms);
        let frame = Rows { origin, after, through, end, rows, applied, sent_wall_ms };
        self.handle(ms, Event::Received { from: slot(peer), frame: Frame::Rows(frame) });
        self.sync(ms);
        for ms in [ms + 200, ms + 400] {
            self.handle(ms, Event::Timer);
            self.sync(ms);
        }
    }

    /// Sets a write of its first life aside.
    fn set_aside(&mut self) {
        let earlier = Stamp { hlc: Hlc::from_parts(5, 0), origin: Origin::new(slot(0), 1) };
        let primary = PrimaryKey { partition: KeyValue::S("k".to_string()), sort: None };
        let item = ItemKey { table: table(false).id, primary };
        let lost = Version::first(earlier, Body::live(Attributes::new()));
        let at = Stamp { hlc: Hlc::from_parts(9, 0), origin: self.node.me };
        let row = ledger::orphan_entry(&item, &lost, &Policy::Lww);
        let primary = ledger::orphan_key(&item, earlier, at).primary;
        let stored = Stored::single(Version::first(at, Body::live(row)));
        self.store.items.insert(ItemKey { table: TableId::ASIDE, primary }, stored);
    }

    /// The rows of the ledger that the feed to a peer has.
    fn told(&self, ms: u64, peer: u8) -> usize {
        let mut feed = Feed::new(self.node.me, slot(peer));
        feed.receive(Request::Subscribe { after: Hlc::ZERO });
        let frame = feed.next(at(ms), &self.node.progress(), &self.store).expect("a frame");
        frame.rows().iter().filter(|row| row.key.table == TableId::LEDGER).count()
    }
}

/// A replica that was copied before its region heard of the return does not ask this one.
#[test]
fn what_it_alone_had_is_told_when_all_who_hold_the_table_are_known() {
    let mut region = returned(Config::new(slot(0), 500));
    region.set_aside();
    let id = table(false).id;
    let entry = |replicated| (entry_key(id), table(replicated).to_attributes());
    region.hear(1_000, 1, 0, vec![entry(false), (membership::key(slot(1)), voice())]);
    assert_eq!(region.ledger(), 0, "the third may have a replica");
    let state = ReplicaState::Active { pending: vec![] };
    let status = ReplicaStatus { since: Hlc::from_parts(2, 0), joined: 0, state };
    let status = (status_key(id, slot(2)), status.to_attributes());
    region.hear(2_000, 2, 0, vec![status, (membership::key(slot(2)), voice())]);
    assert_eq!(region.ledger(), 0, "the third has one, and its home has not said so");
    region.hear(3_000, 1, 2, vec![entry(true)]);
    assert_eq!((region.ledger(), region.told(3_500, 2)), (1, 1));
}

/// The same with the bug that no seed of the simulator is known to show.
#[cfg(feature = "planted-bugs")]
#[test]
fn what_goes_to_the_ledger_at_once_is_left_out_of_the_feed() {
    let bug = Some(Bug::ReturnUnheard);
    let mut region = returned(Config { bug, ..Config::new(slot(0), 500) });
    region.set_aside();
    let entry = (entry_key(table(false).id), table(false).to_attributes());
    region.hear(1_000, 1, 0, vec![entry, (membership::key(slot(1)), voice())]);
    assert_eq!((region.ledger(), region.told(1_500, 2)), (1, 0));
}

/// The region has lost its disk: what it does in the life that it drew, when it hears of another.
fn lost(state: RegionState) -> Region {
    let mut membership = membership();
    let back = membership.regions.get_mut(&slot(0)).expect("a founder");
    (back.state, back.life, back.since) = (state, Some(2), 3);
    let voice = Voice { membership, ..Voice::default() }.to_attributes();
    let mut region = Region::in_life(0, 9);
    region.handle(900, Event::Linked { peer: slot(1) });
    region.hear(1_000, 1, 0, vec![(membership::key(slot(1)), voice)]);
    for ms in [2_500, 3_000] {
        region.handle(ms, Event::Timer);
    }
    region
}

#[test]
fn a_life_is_begun_once() {
    assert!(lost(RegionState::Joining).node.over, "it begins the life that it is called to");
    let region = lost(RegionState::Active);
    assert!(!region.node.over, "whose life is active has lived it");
    assert!(matches!(region.node.closed(), Some(Closed::Evicted { .. })));
}
