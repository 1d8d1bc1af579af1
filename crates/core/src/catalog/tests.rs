//! Catalog rows round-trip, and replicas are shown as their regions say.

use super::*;
use crate::id::Origin;
use crate::table::{KeyAttribute, KeyKind};
use crate::time::Stamp;
use alloc::string::ToString;

fn slot(index: u8) -> RegionSlot {
    RegionSlot::new(index).expect("small slot")
}

fn entry() -> TableEntry {
    let since = Hlc::from_parts(7, 7);
    TableEntry {
        id: TableId(Stamp { hlc: Hlc::from_parts(5, 1), origin: Origin::new(slot(0), 1) }),
        name: "orders".to_string(),
        home: slot(0),
        schema: Schema {
            partition: KeyAttribute { name: "id".to_string(), kind: KeyKind::S },
            sort: Some(KeyAttribute { name: "at".to_string(), kind: KeyKind::N }),
        },
        created_ms: 5,
        stream: Some(StreamView::NewAndOldImages),
        on_demand: true,
        deletion_protection: false,
        replicas: [ReplicaSpec { slot: slot(1), since }].into(),
        deleted: false,
        tags: Tags::new(),
        settings: Settings::default(),
    }
}

fn observed(catalog: &mut Catalog, state: ReplicaState) {
    let status = ReplicaStatus { since: Hlc::from_parts(7, 7), state };
    let key = status_key(entry().id, slot(1));
    assert!(catalog.observe(&key.primary, Some(&status.to_attributes())));
    assert_eq!(catalog.status(entry().id, slot(1)), Some(&status));
}

#[test]
fn an_entry_and_its_statuses_round_trip_and_show_their_state() {
    let mut catalog = Catalog::default();
    let row = entry();
    assert!(catalog.observe(&entry_key(row.id).primary, Some(&row.to_attributes())));
    assert_eq!(catalog.get(row.id), Some(&row));
    assert_eq!(catalog.replicas(&row)[1].1, ReplicaView::Creating);
    assert!(!catalog.is_serving(&row, slot(1)));
    observed(&mut catalog, ReplicaState::Creating);
    observed(&mut catalog, ReplicaState::Active { pending: [slot(2)].into() });
    assert!(catalog.is_serving(&row, slot(1)));
    assert_eq!(catalog.replicas(&row)[1].1, ReplicaView::Active);
    observed(&mut catalog, ReplicaState::Failed { reason: "taken".to_string() });
    assert_eq!(catalog.find(slot(1), "orders"), None);
    assert_eq!(catalog.find(slot(0), "orders"), Some(&row));
}

#[test]
fn a_status_of_an_earlier_life_does_not_speak_for_this_one() {
    let mut catalog = Catalog::default();
    let mut row = entry();
    observed(&mut catalog, ReplicaState::Active { pending: Vec::new() });
    row.replicas[0].since = Hlc::from_parts(9, 0);
    assert!(catalog.observe(&entry_key(row.id).primary, Some(&row.to_attributes())));
    assert!(!catalog.is_serving(&row, slot(1)));
    assert_eq!(catalog.replicas(&row)[1].1, ReplicaView::Creating);
}

#[test]
fn rows_that_do_not_decode_are_refused() {
    let mut catalog = Catalog::default();
    let mut row = entry().to_attributes();
    row.remove("name");
    assert!(!catalog.observe(&entry_key(entry().id).primary, Some(&row)));
    assert!(!catalog.observe(&entry_key(entry().id).primary, None));
}
