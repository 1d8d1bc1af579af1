//! Catalog rows round-trip, and replicas are shown as their regions say.

use super::*;
use crate::id::Origin;
use crate::index::{Distance, Index, IndexId, Projected, SearchAttribute, Vector};
use crate::item::{AttributeValue, Attributes};
use crate::table::{KeyAttribute, KeyKind};
use crate::time::Stamp;
use alloc::string::ToString;

fn slot(index: u8) -> RegionSlot {
    RegionSlot::new(index).expect("small slot")
}

pub(crate) fn entry() -> TableEntry {
    let since = Hlc::from_parts(7, 7);
    TableEntry {
        indexes: Vec::new(),
        next_index: 0,
        stream_since_ms: 0,
        ttl: None,
        history: false,
        adopts: false,
        options: Default::default(),
        id: TableId(Stamp { hlc: Hlc::from_parts(5, 1), origin: Origin::new(slot(0), 1) }),
        name: "orders".to_string(),
        home: slot(0),
        home_since: 0,
        schema: Schema {
            partition: KeyAttribute { name: "id".to_string(), kind: KeyKind::S },
            sort: Some(KeyAttribute { name: "at".to_string(), kind: KeyKind::N }),
        },
        created_ms: 5,
        stream: Some(StreamView::NewAndOldImages),
        on_demand: true,
        deletion_protection: false,
        replicas: [ReplicaSpec { slot: slot(1), since }].into(),
        former: Vec::new(),
        deleted: false,
        tags: Tags::new(),
        settings: Settings::default(),
    }
}

fn observed(catalog: &mut Catalog, state: ReplicaState) {
    let status = ReplicaStatus { since: Hlc::from_parts(7, 7), joined: 0, state };
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
fn an_index_of_vectors_is_apart_from_the_others() {
    let attribute = |name: &str| KeyAttribute { name: name.to_string(), kind: KeyKind::B };
    let element = |name: &str, is_hash| SearchAttribute { key: attribute(name), is_hash };
    let index = Index {
        id: IndexId(4),
        name: "near".to_string(),
        local: false,
        partition: [attribute("tenant")].into(),
        sort: Vec::new(),
        projected: Projected::Include(["note".to_string()].into()),
        options: [("since_ms".to_string(), AttributeValue::Bool(true))].into(),
        vector: Some(Vector {
            attribute: "embedding".to_string(),
            dimensions: 4096,
            distance: Distance::DotProduct,
            schema: [element("kind", false), element("tenant", true)].into(),
        }),
    };
    let row = TableEntry { indexes: [index].into(), next_index: 5, adopts: true, ..entry() };
    let mut attributes = row.to_attributes();
    let observed = |attributes: &Attributes| {
        let mut catalog = Catalog::default();
        let taken = catalog.observe(&entry_key(row.id).primary, Some(attributes));
        taken.then(|| catalog.get(row.id).cloned()).flatten()
    };
    assert_eq!(observed(&attributes), Some(row.clone()));
    // What a version reads that knows no such indexes.
    attributes.remove("vectors");
    assert_eq!(observed(&attributes), Some(TableEntry { indexes: Vec::new(), ..row.clone() }));
    attributes.insert("vectors".to_string(), AttributeValue::L([AttributeValue::Null].into()));
    assert_eq!(observed(&attributes), None);
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
fn a_replica_that_was_taken_away_is_a_member_until_its_region_says_that_it_is_gone() {
    let mut catalog = Catalog::default();
    let mut row = entry();
    row.former = core::mem::take(&mut row.replicas);
    let key = row.former[0];
    assert!(catalog.observe(&entry_key(row.id).primary, Some(&row.to_attributes())));
    assert_eq!(catalog.get(row.id), Some(&row));
    let members = |catalog: &Catalog| catalog.members(&row).collect::<Vec<_>>();
    let sent = |catalog: &Catalog| {
        let primary = status_key(row.id, slot(1)).primary;
        let (to, place) = (slot(1), Place::ANYWHERE);
        let kept = catalog.may_receive(to, row.id, &primary, place);
        (catalog.is_sent(to, row.id, &primary, place), kept)
    };
    let keeps = |catalog: &Catalog| {
        catalog.keeps(slot(1), row.id, &status_key(row.id, slot(1)).primary, Place::ANYWHERE)
    };
    // Not a word of it so far: it may be serving all the same.
    assert_eq!(members(&catalog), [slot(0), slot(1)]);
    assert!(!keeps(&catalog), "there is nothing that anyone counts on");
    for state in [ReplicaState::Active { pending: Vec::new() }, ReplicaState::Leaving] {
        observed(&mut catalog, state);
        assert_eq!(members(&catalog), [slot(0), slot(1)]);
        assert_eq!((sent(&catalog), keeps(&catalog)), ((true, false), true));
    }
    observed(&mut catalog, ReplicaState::Dropping);
    assert_eq!((sent(&catalog), keeps(&catalog)), ((true, false), false));
    observed(&mut catalog, ReplicaState::Removed);
    assert_eq!(members(&catalog), [slot(0)]);
    assert_eq!(sent(&catalog), (false, false));
    // Gone in an earlier life says nothing of this one.
    row.former = [ReplicaSpec { since: Hlc::from_parts(8, 0), ..key }].into();
    assert_eq!(catalog.members(&row).count(), 2);
    row.former.clear();
    row.replicas = [key].into();
    observed(&mut catalog, ReplicaState::Failed { reason: "taken".to_string() });
    assert_eq!(catalog.members(&row).count(), 1);
}

#[test]
fn a_replica_hands_over_until_its_region_drops_it() {
    let mut catalog = Catalog::default();
    let mut row = entry();
    row.former = core::mem::take(&mut row.replicas);
    assert!(catalog.observe(&entry_key(row.id).primary, Some(&row.to_attributes())));
    let hands_over = |catalog: &Catalog| catalog.hands_over(&row);
    assert_eq!(hands_over(&catalog), Some(slot(1)), "not a word of it so far");
    observed(&mut catalog, ReplicaState::Leaving);
    assert_eq!(hands_over(&catalog), Some(slot(1)));
    observed(&mut catalog, ReplicaState::Dropping);
    assert_eq!(hands_over(&catalog), None, "every holder has all of it");
    observed(&mut catalog, ReplicaState::Removed);
    assert_eq!(hands_over(&catalog), None);
}

/// The home is far and may not have what is near; the other near region was given up, and is back
/// with nothing.
#[test]
fn a_replica_that_was_taken_away_stays_until_one_that_may_have_its_items_is_whole() {
    let places = [(0, "far"), (1, "near"), (2, "near")];
    let known = places.map(|(at, place)| (slot(at), slot(at).to_string(), Some(place.to_string())));
    let mut row = entry();
    let since = row.replicas[0].since;
    row.settings.placement = Placement::parse("restricted=near").expect("well formed");
    row.former = core::mem::take(&mut row.replicas);
    row.replicas = [ReplicaSpec { slot: slot(2), since }].into();
    let mut catalog = Catalog::new((0..3).map(slot));
    catalog.adopt(Arc::new(Directory::new(known)));
    catalog.tables.insert(row.id, Arc::new(row.clone()));
    let at = |slot: RegionSlot, state, joined| {
        (status_key(row.id, slot).primary, ReplicaStatus { since, joined, state }.to_attributes())
    };
    let (key, status) = at(slot(1), ReplicaState::Active { pending: Vec::new() }, 0);
    assert!(catalog.observe(&key, Some(&status)));
    let region = catalog.membership.regions.get_mut(&slot(2)).expect("a founder");
    (region.since, region.state) = (2, membership::RegionState::Joining);
    catalog.membership.generation = 2;
    catalog.mask(row.id);
    let holds = |catalog: &Catalog| catalog.get(row.id).is_some_and(|it| it.is_held_by(slot(1)));
    assert!(holds(&catalog), "nobody else has what is near");
    let (key, copying) = at(slot(2), ReplicaState::Creating, 2);
    assert!(catalog.observe(&key, Some(&copying)));
    assert!(holds(&catalog));
    let (key, whole) = at(slot(2), ReplicaState::Active { pending: Vec::new() }, 2);
    assert!(catalog.observe(&key, Some(&whole)));
    assert!(!holds(&catalog));
}

/// What it had, others have by now, who may have told it after they were copied from.
#[test]
fn a_replica_that_was_still_to_copy_from_a_region_that_is_given_up_is_not_whole() {
    let row = entry();
    let mut catalog = Catalog::new((0..3).map(slot));
    catalog.tables.insert(row.id, Arc::new(row.clone()));
    observed(&mut catalog, ReplicaState::Active { pending: [slot(2)].into() });
    assert!(!catalog.is_whole(&row, slot(1)));
    let region = catalog.membership.regions.get_mut(&slot(2)).expect("a founder");
    region.state = membership::RegionState::Evicted;
    catalog.membership.generation = 1;
    assert!(!catalog.is_whole(&row, slot(1)));
    observed(&mut catalog, ReplicaState::Active { pending: Vec::new() });
    assert!(catalog.is_whole(&row, slot(1)));
}

#[test]
fn rows_that_do_not_decode_are_refused() {
    let mut catalog = Catalog::default();
    let mut row = entry().to_attributes();
    row.remove("name");
    assert!(!catalog.observe(&entry_key(entry().id).primary, Some(&row)));
    assert!(!catalog.observe(&entry_key(entry().id).primary, None));
}

#[test]
fn two_regions_share_items_that_the_home_may_not_have() {
    let known = (0..4).map(|at| {
        let near = (at < 2).then(|| "near".to_string());
        (slot(at), slot(at).to_string(), near)
    });
    let directory = Directory::new(known);
    let rules = Placement::parse("open=r0+r1+r2 close=near").expect("well formed");
    let share = |pair, home| rules.share_beside(&directory, pair, home);
    assert!(share((slot(0), slot(1)), slot(2)));
    assert!(!share((slot(0), slot(1)), slot(1)), "the home has all of it");
    assert!(!share((slot(0), slot(2)), slot(1)), "what they share, the home has");
    assert!(share((slot(0), slot(2)), slot(3)));
    assert!(!Placement::default().share_beside(&directory, (slot(0), slot(1)), slot(2)));
}
