//! A write that replaces an item unseen leaves what one that looks at it leaves.

use super::*;
use crate::table::ReturnValues;

fn key(text: &str) -> PrimaryKey {
    PrimaryKey { partition: KeyValue::S(text.to_string()), sort: None }
}

fn put(id: &str, value: &str) -> (PrimaryKey, Action) {
    let text = |text: &str| AttributeValue::S(text.to_string());
    let item = [("id".to_string(), text(id)), ("v".to_string(), text(value))];
    (key(id), Action::Put(item.into()))
}

/// Writes all, which return `values`; what each is charged.
fn write(region: &mut Region, table: TableId, values: ReturnValues) -> Vec<(usize, bool)> {
    let delete = |id: &str| (key(id), Action::Delete);
    let writes = [
        put("a", "long enough to count for more than the next"),
        put("a", "short"),
        put("b", "x"),
        delete("a"),
        delete("a"),
        delete("never there"),
        put("a", "over a tombstone"),
        delete("b"),
    ];
    region.replies.clear();
    for (ms, (key, action)) in (200..).zip(writes) {
        let op = WriteOp { return_values: values, ..WriteOp::new(key, action) };
        region.handle(ms, Event::Write { request: RequestId(ms), table, op: Box::new(op) });
        region.sync(ms);
    }
    let charged = region.replies.drain(..).map(|outcome| match outcome {
        Outcome::Written { stamp, bytes, .. } => (bytes, stamp.is_some()),
        other => panic!("{other:?}"),
    });
    charged.collect()
}

#[test]
fn what_is_replaced_unseen_is_accounted_for_as_if_it_had_been_looked_at() {
    let [mut unseen, mut seen] = [Region::new(0), Region::new(0)];
    let [table, same] = [&mut unseen, &mut seen].map(|region| {
        let table = region.create(100);
        region.sync(100);
        table
    });
    assert_eq!(table, same);
    let charged = write(&mut unseen, table, ReturnValues::None);
    assert_eq!(charged, write(&mut seen, table, ReturnValues::AllOld));
    assert_eq!(unseen.store.items, seen.store.items);
    assert_eq!(unseen.store.changelog, seen.store.changelog);
    assert_eq!(unseen.store.tombstones, seen.store.tombstones);
    assert_eq!(unseen.node.fingerprints, seen.node.fingerprints);
    assert!(unseen.node.fingerprints.iter().any(|((of, _), _)| *of == table), "an item is left");
    let left = unseen.store.items.values().filter(|stored| !stored.versions.is_empty());
    assert!(
        left.flat_map(|it| &it.versions).all(|it| it.body.attributes() != Some(&<_>::default()))
    );
}
