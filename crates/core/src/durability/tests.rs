use alloc::string::ToString;
use alloc::vec;

use super::*;
use crate::catalog::{ReplicaSpec, ReplicaStatus, Settings, Tags, entry_key, status_key};
use crate::id::Origin;
use crate::table::{KeyAttribute, KeyKind, Schema};
use crate::time::Stamp;

const SINCE: Hlc = Hlc::from_bits(7);

fn slot(index: u8) -> RegionSlot {
    RegionSlot::new(index).expect("small")
}

/// A table at home in region 0 with an active replica in each of the others.
fn table(regions: u8) -> (Catalog, TableEntry) {
    let partition = KeyAttribute { name: "id".to_string(), kind: KeyKind::S };
    let entry = TableEntry {
        indexes: Vec::new(),
        next_index: 0,
        stream_since_ms: 0,
        ttl: None,
        history: false,
        adopts: false,
        options: Default::default(),
        id: TableId(Stamp { hlc: Hlc::from_bits(9), origin: Origin::new(slot(0), 1) }),
        name: "t".to_string(),
        home: slot(0),
        home_since: 0,
        schema: Schema { partition, sort: None },
        created_ms: 0,
        stream: None,
        on_demand: true,
        deletion_protection: false,
        replicas: (1..regions)
            .map(|index| ReplicaSpec { slot: slot(index), since: SINCE })
            .collect(),
        former: Vec::new(),
        deleted: false,
        tags: Tags::new(),
        settings: Settings::default(),
    };
    let mut catalog = Catalog::default();
    catalog.observe(&entry_key(entry.id).primary, Some(&entry.to_attributes()));
    for index in 1..regions {
        say(&mut catalog, &entry, index, ReplicaState::Active { pending: vec![] });
    }
    (catalog, entry)
}

fn say(catalog: &mut Catalog, entry: &TableEntry, index: u8, state: ReplicaState) {
    let status = ReplicaStatus { since: SINCE, joined: 0, state };
    catalog.observe(&status_key(entry.id, slot(index)).primary, Some(&status.to_attributes()));
}

fn anywhere(entry: &TableEntry) -> (TableId, Place) {
    (entry.id, Place::ANYWHERE)
}

fn acked(entries: &[(u8, u64, bool)]) -> Acked {
    let mut acked = Acked::default();
    for &(index, hlc, up) in entries {
        acked.note(slot(index), Hlc::from_bits(hlc));
        acked.reachable(slot(index), up);
    }
    acked
}

#[test]
fn choices_are_words() {
    for text in ["local", "+1", "majority refuse", "all degrade 500", "+1 70"] {
        assert_eq!(Choice::parse(text).expect(text).to_string(), text);
    }
    let wrong =
        ["", "one", "+1 +1", "refuse", "all 5 degrade", "all refuse 5 5", "+1 99999999", "+1 -1"];
    for text in wrong {
        assert_eq!(Choice::parse(text), None, "{text}");
    }
}

#[test]
fn the_stronger_of_table_and_request_holds() {
    let choice = |text: &str| Choice::parse(text).expect(text);
    let over = |request: &str, table: &str| choice(request).over(choice(table), 3).to_string();
    assert_eq!(over("local", "majority refuse 9"), "majority refuse 9");
    assert_eq!(over("all degrade", "+1 refuse"), "all refuse");
    assert_eq!(over("all degrade 5", "+1 9"), "all degrade 5");
    assert_eq!(choice("+1").over(choice("majority"), 1), choice("+1"));
    assert_eq!(choice("majority").over(choice("+1"), 1), choice("+1"));
    assert_eq!(choice("+1").over(choice("majority"), 2), choice("majority"));
    assert_eq!(choice("+1").shortfall(), Shortfall::Refuse);
}

#[test]
fn levels_count_the_holders() {
    let others = |level: Level| (1..=5).map(|holders| level.others(holders)).collect::<Vec<_>>();
    assert_eq!(others(Level::Local), [0, 0, 0, 0, 0]);
    assert_eq!(others(Level::PlusOne), [1, 1, 1, 1, 1]);
    assert_eq!(others(Level::Majority), [0, 1, 1, 2, 2]);
    assert_eq!(others(Level::All), [0, 1, 2, 3, 4]);
}

#[test]
fn those_count_that_have_acknowledged_the_stamp() {
    let (catalog, entry) = table(5);
    let stamp = Hlc::from_bits(20);
    let acked = acked(&[(1, 20, true), (2, 19, true), (3, 30, false), (4, 0, false)]);
    let standing = Standing::of(&catalog, anywhere(&entry), slot(0), &acked, stamp);
    let expected =
        Standing { have: vec![slot(1), slot(3)], may: vec![slot(2)], cannot: vec![slot(4)] };
    assert_eq!(standing, expected);
    assert_eq!((standing.level(), standing.holders()), (Level::Majority, 5));
    assert!(!standing.reaches(Level::All) && !standing.may_reach(Level::All));
    // Before a write nobody has it.
    let before = Standing::of(&catalog, anywhere(&entry), slot(0), &acked, Hlc::MAX);
    assert!(before.have.is_empty());
    assert_eq!((before.may.len(), before.cannot.len()), (2, 2));
}

#[test]
fn those_do_not_count_that_do_not_hold_all_rows() {
    let (mut catalog, entry) = table(4);
    let acked = acked(&[(1, 9, true), (2, 9, true), (3, 9, true)]);
    let of = anywhere(&entry);
    let standing = |catalog: &Catalog| Standing::of(catalog, of, slot(0), &acked, Hlc::ZERO);
    assert_eq!(standing(&catalog).level(), Level::All);
    // Serves, and has yet to copy what this region wrote before.
    say(&mut catalog, &entry, 1, ReplicaState::Active { pending: vec![slot(0)] });
    assert_eq!((standing(&catalog).have.len(), standing(&catalog).holders()), (2, 4));
    say(&mut catalog, &entry, 1, ReplicaState::Active { pending: vec![slot(3)] });
    assert_eq!(standing(&catalog).level(), Level::All);
    for state in [ReplicaState::Creating, ReplicaState::Leaving, ReplicaState::Removed] {
        say(&mut catalog, &entry, 1, state);
        assert_eq!((standing(&catalog).have.len(), standing(&catalog).holders()), (2, 3));
    }
}

#[test]
fn a_table_of_one_region_cannot_be_in_two() {
    let (catalog, entry) = table(1);
    let standing = Standing::of(&catalog, anywhere(&entry), slot(0), &Acked::default(), Hlc::MAX);
    assert_eq!(standing.level(), Level::Local);
    let begin = |text: &str| start(Choice::parse(text).expect(text), standing.clone());
    assert_eq!(begin("+1"), Start::Refuse(standing.clone()));
    assert_eq!(begin("+1 degrade"), Start::Degrade(standing.clone()));
    assert_eq!(begin("majority"), Start::Write(Level::Majority));
}
