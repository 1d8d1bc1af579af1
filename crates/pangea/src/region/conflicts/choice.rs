//! What resolving a conflict writes.

use std::collections::BTreeMap;

use hyper::StatusCode;
use pangea_core::catalog::{Policy, TableEntry};
use pangea_core::expr::{Placeholders, Update};
use pangea_core::item::{AttributeValue, Attributes, PrimaryKey};
use pangea_core::ledger;
use pangea_core::merge::Stored;
use pangea_core::table::{Action, WriteOp};
use pangea_core::time::Stamp;
use pangea_core::view::view;

use super::Refused;
use crate::storage::LedgerRow;

/// What is shown becomes all that there is, where versions are kept side by side until somebody
/// chooses; nothing is written elsewhere.
pub(super) fn keep_shown(
    entry: &TableEntry,
    primary: &PrimaryKey,
    stored: &Stored,
) -> Option<WriteOp> {
    let policy = &entry.settings.policy;
    if !matches!(policy, Policy::Siblings | Policy::Wasm(_)) || stored.stamps().count() < 2 {
        return None;
    }
    let shown = view(policy, stored).map(std::borrow::Cow::into_owned);
    Some(WriteOp::new(primary.clone(), shown.map_or(Action::Delete, Action::Put)))
}

/// The image that lost; of an attribute, its value beside whatever else the item has now.
pub(super) fn keep_loser(
    entry: &TableEntry,
    primary: &PrimaryKey,
    row: &Attributes,
) -> Result<WriteOp, Refused> {
    let lost = || {
        let text = "the entry does not have all that lost: give the item as it shall be (--item)";
        (StatusCode::CONFLICT, text.to_string())
    };
    let Some(AttributeValue::M(side)) = row.get("loser") else { return Err(lost()) };
    if side.get("deleted") == Some(&AttributeValue::Bool(true)) {
        return Ok(WriteOp::new(primary.clone(), Action::Delete));
    }
    if let (Some(AttributeValue::S(path)), Some(value)) = (row.get("path"), side.get("value")) {
        // Of a sum that is too large the entry has but a part.
        let overflow = row.get("why") == Some(&AttributeValue::S("overflow".to_string()));
        let action = attribute(path, value).filter(|_| !overflow).ok_or_else(lost)?;
        return Ok(WriteOp::new(primary.clone(), action));
    }
    let Some(AttributeValue::M(image)) = side.get("image") else { return Err(lost()) };
    let same = entry.schema.key_of(image).is_ok_and(|key| key == *primary);
    if !same {
        return Err(lost());
    }
    Ok(WriteOp::new(primary.clone(), Action::Put(image.clone())))
}

/// Whether an item is not what its conflict left any more: what was written since, `Some(None)`
/// if it is deleted and forgotten. Of an attribute that lost it is the attribute that counts, since
/// a decision about it leaves the others; what came after a region was given up is no change.
pub(super) fn changed_since(
    entry: &TableEntry,
    row: &LedgerRow,
    stored: Option<&Stored>,
) -> Option<Option<Stamp>> {
    let winner = match row.entry.get("winner") {
        Some(AttributeValue::M(winner)) if !ledger::is_orphan(&row.entry) => winner,
        _ => return None,
    };
    let Some(stored) = stored else {
        let deleted = winner.get("deleted") == Some(&AttributeValue::Bool(true));
        return (!deleted).then_some(None);
    };
    if let Some(AttributeValue::S(path)) = row.entry.get("path") {
        // Other kinds of loss have no value that was shown in their place.
        let register = row.entry.get("why") == Some(&AttributeValue::S("register".to_string()));
        let (shown, path) = (view(&entry.settings.policy, stored), path.as_str());
        let now = shown.as_deref().and_then(|item| at(item, path));
        let same = !register || path.contains(", ") || now == winner.get("value");
        return (!same).then(|| Some(stored.greatest().stamp));
    }
    let pairs = ledger::pairs(&row.key, &row.entry);
    let newest = pairs.into_iter().flat_map(|(loser, winner)| [loser, winner]).max()?;
    stored.stamps().find(|stamp| *stamp > newest).map(Some)
}

/// What is at a path of names.
fn at<'a>(item: &'a Attributes, path: &str) -> Option<&'a AttributeValue> {
    let mut names = path.split('.');
    let first = item.get(names.next()?);
    names.fold(first, |value, name| match value {
        Some(AttributeValue::M(members)) => members.get(name),
        _ => None,
    })
}

/// Gives an attribute a value. Its path has the names on the way there, with dots between, and
/// that of a group the names of its attributes, with commas between.
fn attribute(path: &str, value: &AttributeValue) -> Option<Action> {
    let assigned: Vec<(Vec<&str>, &AttributeValue)> = match value {
        AttributeValue::M(members) if path.contains(", ") => {
            members.iter().map(|(name, value)| (vec![name.as_str()], value)).collect()
        }
        _ => vec![(path.split('.').collect(), value)],
    };
    let (mut names, mut values, mut texts) = (BTreeMap::new(), Attributes::new(), Vec::new());
    for (n, (steps, value)) in assigned.into_iter().enumerate() {
        let spelled: Vec<String> = (0..steps.len()).map(|m| format!("#n{n}x{m}")).collect();
        names.extend(spelled.iter().cloned().zip(steps.into_iter().map(str::to_string)));
        values.insert(format!(":v{n}"), value.clone());
        texts.push(format!("{} = :v{n}", spelled.join(".")));
    }
    let mut placeholders = Placeholders::new(Some(names), Some(values)).ok()?;
    let update = Update::parse(&format!("SET {}", texts.join(", ")), &mut placeholders).ok()?;
    Some(Action::Update(update))
}

/// An item of the operator's own.
pub(super) fn keep_item(
    entry: &TableEntry,
    primary: &PrimaryKey,
    item: Option<&serde_json::Value>,
) -> Result<WriteOp, Refused> {
    let bad = |text: String| (StatusCode::BAD_REQUEST, text);
    let item = item.ok_or_else(|| bad("`keep: item` needs an `item`".to_string()))?;
    let image = pangea_codec::dynamo::decode_attributes(item.to_string().as_bytes());
    let image = image.map_err(|error| bad(format!("the item is not DynamoDB JSON: {error}")))?;
    match entry.schema.key_of(&image) {
        Ok(key) if key == *primary => Ok(WriteOp::new(key, Action::Put(image))),
        Ok(_) => Err(bad("the item has another key than the conflict".to_string())),
        Err(refusal) => Err(bad(refusal.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use pangea_core::item::Number;
    use pangea_core::table::{KeyAttribute, KeyKind, Schema, apply};

    fn after(path: &str, value: AttributeValue) -> Option<Attributes> {
        let text = |text: &str| AttributeValue::S(text.to_string());
        let number = |n: i64| AttributeValue::N(Number::from(n));
        let map = AttributeValue::M([("c".to_string(), number(1))].into());
        let item = Attributes::from([
            ("id".to_string(), text("k")),
            ("m".to_string(), map),
            ("other".to_string(), number(7)),
        ]);
        let Some(Action::Update(update)) = attribute(path, &value) else { return None };
        let partition = KeyAttribute { name: "id".to_string(), kind: KeyKind::S };
        let schema = Schema { partition, sort: None };
        let key = schema.key_of(&item).expect("has one");
        let op = WriteOp::new(key, Action::Update(update));
        apply(&op, &schema, Some(&item)).expect("it may").next.map(Cow::into_owned)
    }

    #[test]
    fn an_attribute_that_lost_is_written_beside_the_rest() {
        let n = |n: i64| AttributeValue::N(Number::from(n));
        let next = after("m.c", n(2)).expect("an item");
        assert_eq!(next["m"], AttributeValue::M([("c".to_string(), n(2))].into()));
        assert_eq!(next["other"], n(7));
        let group =
            AttributeValue::M([("from".to_string(), n(1)), ("to".to_string(), n(2))].into());
        let next = after("from, to", group).expect("an item");
        assert_eq!((&next["from"], &next["to"], &next["other"]), (&n(1), &n(2), &n(7)));
    }
}
