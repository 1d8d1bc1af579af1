use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

use super::{
    Action, Applied, KeyAttribute, KeyKind, Page, Refusal, ReturnValues, Schema, WriteOp,
    check_update,
};
use crate::expr::{Condition, Kind, Placeholders, Projection, Update};
use crate::index::{Index, IndexId, Projected};
use crate::item::{AttributeValue, Attributes, KeyValue, Number, PrimaryKey, item_size};

fn apply(
    op: &WriteOp,
    schema: &Schema,
    current: Option<&Attributes>,
) -> Result<Applied<'static>, Refusal> {
    super::apply(op, schema, current).map(Applied::into_owned)
}

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_string())
}

fn n(value: i64) -> AttributeValue {
    AttributeValue::N(Number::from(value))
}

fn map<const N: usize>(entries: [(&str, AttributeValue); N]) -> Attributes {
    entries.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}

fn schema() -> Schema {
    Schema {
        partition: KeyAttribute { name: "id".into(), kind: KeyKind::S },
        sort: Some(KeyAttribute { name: "seq".into(), kind: KeyKind::N }),
    }
}

fn key() -> PrimaryKey {
    PrimaryKey { partition: KeyValue::S("k".into()), sort: Some(KeyValue::N(Number::from(1))) }
}

fn placeholders() -> Placeholders {
    Placeholders::new(None, Some(map([(":v", n(3)), (":w", s("w"))]))).expect("right placeholders")
}

fn update(text: &str) -> Action {
    Action::Update(Update::parse(text, &mut placeholders()).expect("a right update"))
}

fn condition(text: &str) -> Option<Condition> {
    Some(Condition::parse(Kind::Condition, text, &mut placeholders()).expect("a right condition"))
}

fn op(action: Action, return_values: ReturnValues) -> WriteOp {
    let (condition, return_on_condition_failure) = (None, false);
    let context = None;
    let restores = false;
    WriteOp {
        key: key(),
        action,
        condition,
        return_values,
        return_on_condition_failure,
        context,
        restores,
    }
}

fn old() -> Attributes {
    map([("id", s("k")), ("seq", n(1)), ("a", n(1)), ("b", n(2))])
}

#[test]
fn keys_are_refused_in_dynamodb_words() {
    let prefix = "One or more parameter values were invalid: ";
    let empty = "One or more parameter values are not valid. The AttributeValue for a key \
        attribute cannot contain an empty string value. Key: id";
    let long = "x".repeat(2049);
    for (item, message) in [
        (map([("seq", n(1))]), format!("{prefix}Missing the key id in the item")),
        (map([("id", s("k"))]), format!("{prefix}Missing the key seq in the item")),
        (
            map([("id", n(1)), ("seq", n(1))]),
            format!("{prefix}Type mismatch for key id expected: S actual: N"),
        ),
        (
            map([("id", s("k")), ("seq", AttributeValue::Null)]),
            format!("{prefix}Type mismatch for key seq expected: N actual: NULL"),
        ),
        (map([("id", s("")), ("seq", n(1))]), empty.to_string()),
        (
            map([("id", s(&long)), ("seq", n(1))]),
            format!("{prefix}Size of hashkey has exceeded the maximum size limit of2048 bytes"),
        ),
    ] {
        assert_eq!(schema().key_of(&item), Err(Refusal::Validation(message)));
    }
    assert_eq!(schema().key_of(&old()), Ok(key()));
}

#[test]
fn an_exact_key_has_nothing_else() {
    let exact = map([("id", s("k")), ("seq", n(1))]);
    assert_eq!(schema().exact_key(&exact), Ok(key()));
    assert_eq!(schema().attributes_of(&key()), exact);
    let refused = "The provided key element does not match the schema";
    for wrong in [old(), map([("id", s("k"))]), map([("id", s("k")), ("seq", s("1"))])] {
        assert_eq!(schema().exact_key(&wrong), Err(Refusal::Validation(refused.to_string())));
    }
}

#[test]
fn writes_return_what_was_asked() {
    let parts = |a: i64| Some(map([("a", n(a))]));
    let new = map([("id", s("k")), ("seq", n(1)), ("a", n(4)), ("b", n(2))]);
    let put = Action::Put(map([("id", s("k")), ("seq", n(1))]));
    let add = || update("ADD a :v");
    for (action, values, returned) in [
        (add(), ReturnValues::None, None),
        (add(), ReturnValues::AllOld, Some(old())),
        (add(), ReturnValues::AllNew, Some(new)),
        (add(), ReturnValues::UpdatedOld, parts(1)),
        (add(), ReturnValues::UpdatedNew, parts(4)),
        (update("SET c = :v"), ReturnValues::UpdatedOld, None),
        (put.clone(), ReturnValues::AllOld, Some(old())),
        (Action::Delete, ReturnValues::AllOld, Some(old())),
    ] {
        let applied = apply(&op(action, values), &schema(), Some(&old())).expect("no refusal");
        assert_eq!(applied.returned, returned);
        assert!(applied.changed);
    }
    let fresh = apply(&op(put, ReturnValues::AllOld), &schema(), None).expect("no refusal");
    assert_eq!((fresh.returned, fresh.changed), (None, true));
}

#[test]
fn an_update_creates_an_item_with_its_key() {
    let keys = map([("id", s("k")), ("seq", n(1))]);
    let mut with = keys.clone();
    with.insert("a".to_string(), n(3));
    for (action, next) in [
        (update("SET a = :v"), Some(with)),
        (Action::Update(Update::default()), Some(keys)),
        (update("REMOVE a"), None),
        (update("REMOVE a.b, c[0]"), None),
        (Action::Delete, None),
    ] {
        let changed = next.is_some();
        let applied = apply(&op(action, ReturnValues::None), &schema(), None).expect("no refusal");
        assert_eq!((applied.next.as_deref(), applied.changed), (next.as_ref(), changed));
    }
}

#[test]
fn a_failed_condition_returns_the_item_if_asked() {
    let mut op = op(Action::Delete, ReturnValues::None);
    op.condition = condition("attribute_not_exists(id)");
    assert!(op.had_condition());
    let failed = |item| Err(Refusal::ConditionFailed { item });
    assert_eq!(apply(&op, &schema(), Some(&old())), failed(None));
    op.return_on_condition_failure = true;
    assert_eq!(apply(&op, &schema(), Some(&old())), failed(Some(old())));
    op.condition = condition("attribute_exists(id)");
    assert_eq!(apply(&op, &schema(), None), failed(None));
    assert!(apply(&op, &schema(), Some(&old())).is_ok());
}

#[test]
fn a_check_changes_nothing_and_must_hold() {
    let mut op = op(Action::Check, ReturnValues::None);
    op.condition = condition("a < :v");
    let checked = apply(&op, &schema(), Some(&old())).expect("it holds");
    assert!(
        !checked.changed && checked.next.as_deref() == Some(&old()) && checked.returned.is_none()
    );
    op.condition = condition("attribute_not_exists(id)");
    op.return_on_condition_failure = true;
    let failed = Err(Refusal::ConditionFailed { item: Some(old()) });
    assert_eq!(apply(&op, &schema(), Some(&old())), failed);
    let absent = apply(&op, &schema(), None).expect("it holds of nothing");
    assert!(!absent.changed && absent.next.is_none());
}

#[test]
fn updates_may_not_touch_the_key_or_overflow_the_item() {
    let refused = apply(&op(update("SET seq = :v"), ReturnValues::None), &schema(), Some(&old()));
    let message = "One or more parameter values were invalid: Cannot update attribute seq. This \
        attribute is part of the key";
    assert_eq!(refused, Err(Refusal::Validation(message.to_string())));
    let mut large = old();
    large.insert("c".to_string(), s(&"x".repeat(400 * 1024 - item_size(&old()) - 1)));
    assert_eq!(item_size(&large), 400 * 1024);
    assert!(apply(&op(update("SET a = :v"), ReturnValues::None), &schema(), Some(&large)).is_ok());
    let refused = apply(&op(update("SET d = :v"), ReturnValues::None), &schema(), Some(&large));
    let message = refused.map_err(|refusal| refusal.to_string());
    let expected = "Item size to update has exceeded the maximum allowed size";
    assert_eq!(message, Err(expected.to_string()));
}

#[test]
fn updates_are_held_against_the_keys_of_indexes_before_the_item() {
    let attribute = |name: &str, kind| KeyAttribute { name: name.into(), kind };
    let index = Index {
        id: IndexId(1),
        name: "by-c".into(),
        local: false,
        partition: alloc::vec![attribute("c", KeyKind::S)],
        sort: alloc::vec![attribute("d", KeyKind::N)],
        projected: Projected::All,
        options: Attributes::new(),
        vector: None,
    };
    let scalars = "Key attributes must be scalars; list random access '[]' and map lookup '.' are \
                   not allowed: ";
    let mistyped = "One or more parameter values were invalid: Type mismatch for Index Key c \
                    Expected: S Actual: N IndexName: by-c";
    for (text, message) in [
        ("SET c = :v", Some(mistyped.into())),
        ("SET d[1] = :v ADD c :v", Some(mistyped.into())),
        ("SET x = c[1], c = a + :v", Some(mistyped.into())),
        ("ADD d.b :v", Some(format!("{scalars}IndexKey: d"))),
        ("SET x = if_not_exists(c.y, :v)", Some(format!("{scalars}IndexKey: c"))),
        ("SET x = id.y", Some(format!("{scalars}Key: id"))),
        ("SET c = :w, d = :v, x = c", None),
        ("SET c = x, d = if_not_exists(d, :w)", None),
    ] {
        let Action::Update(update) = update(text) else { panic!("{text}") };
        let refused = check_update(&update, &schema(), core::slice::from_ref(&index)).err();
        assert_eq!(refused, message.map(Refusal::Validation), "{text}");
    }
}

fn rows(count: i64) -> Vec<(PrimaryKey, Attributes)> {
    let row = |at| {
        let item = map([("id", s("k")), ("seq", n(at)), ("odd", n(at % 2))]);
        (schema().key_of(&item).expect("a right item"), item)
    };
    (1..=count).map(row).collect()
}

fn fill(mut page: Page, row_bytes: usize) -> super::PageResult {
    for (key, row) in rows(10) {
        if page.push(&key, &row, row_bytes).is_break() {
            break;
        }
    }
    page.finish()
}

#[test]
fn pages_end_by_limit_by_size_or_with_the_rows() {
    let odd = |count_only| {
        let values = Some(BTreeMap::from([(String::from(":one"), n(1))]));
        let mut placeholders = Placeholders::new(None, values).expect("right placeholders");
        let filter = Condition::parse(Kind::Filter, "odd = :one", &mut placeholders);
        let projection = Projection::parse("seq", &mut placeholders).expect("a right projection");
        Page::new(filter.ok(), Some(projection), Some(5), count_only)
    };
    let page = fill(odd(false), 10);
    assert_eq!((page.count, page.scanned_count, page.scanned_bytes), (3, 5, 50));
    assert_eq!(page.items, vec![map([("seq", n(1))]), map([("seq", n(3))]), map([("seq", n(5))])]);
    let fifth = PrimaryKey { sort: Some(KeyValue::N(Number::from(5))), ..key() };
    assert_eq!(page.last_evaluated, Some(fifth));
    let page = fill(odd(true), 10);
    assert_eq!((page.items.len(), page.count, page.scanned_count), (0, 3, 5));
    let page = fill(Page::new(None, None, None, false), 10);
    assert_eq!((page.count, page.last_evaluated), (10, None));
    let page = fill(Page::new(None, None, None, false), 400 * 1024);
    assert_eq!((page.count, page.last_evaluated.is_some()), (3, true));
}

#[test]
fn a_page_of_rows_that_are_read_whole_ends_with_the_units_that_they_take() {
    let fill = |row_bytes, whole_bytes| {
        let mut page = Page::new(None, None, None, false);
        for (key, row) in rows(300) {
            if page.push_fetched(&key, &row, row_bytes, whole_bytes).is_break() {
                break;
            }
        }
        page.finish()
    };
    // A unit for each row, and 12 for the 48,800 bytes of the index: 256 of 4 KB.
    let page = fill(200, 300);
    assert_eq!((page.count, page.scanned_bytes), (244, 244 * 200));
    assert_eq!((page.fetched_bytes, page.last_evaluated.is_some()), (244 * 4096, true));
    assert_eq!(fill(10, 100 * 1024).count, 11);
    assert_eq!(fill(10, 4097).fetched_bytes, 128 * 8192);
}
