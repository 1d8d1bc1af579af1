use alloc::string::ToString;
use alloc::vec;

use super::*;
use crate::item::Number;
use crate::table::KeyKind;

fn attribute(name: &str, kind: KeyKind) -> KeyAttribute {
    KeyAttribute { name: name.to_string(), kind }
}

fn by_mail() -> Index {
    Index {
        id: IndexId(0),
        name: "by-mail".to_string(),
        local: false,
        partition: vec![attribute("mail", KeyKind::S)],
        sort: vec![attribute("age", KeyKind::N)],
        projected: Projected::Include(vec!["name".to_string()]),
        options: Attributes::new(),
        vector: None,
    }
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_string())
}

fn item(values: &[(&str, AttributeValue)]) -> Attributes {
    values.iter().map(|(name, value)| (name.to_string(), value.clone())).collect()
}

fn number(value: &str) -> AttributeValue {
    AttributeValue::N(Number::parse(value).expect("a number"))
}

#[test]
fn an_item_is_in_an_index_if_it_has_all_its_key_attributes() {
    let index = by_mail();
    let whole = item(&[("mail", text("a@b")), ("age", number("7"))]);
    assert!(index.key_of(&whole).is_some());
    assert_eq!(index.key_of(&item(&[("mail", text("a@b"))])), None);
    let mistyped = item(&[("mail", text("a@b")), ("age", text("7"))]);
    assert_eq!(index.key_of(&mistyped), None, "as another region's row may be");
    assert_eq!(index.key_of(&item(&[("mail", text("")), ("age", number("7"))])), None);
    for (length, is_in) in [(PARTITION_KEY_BYTES_MAX, true), (PARTITION_KEY_BYTES_MAX + 1, false)] {
        let mail = text(&"a".repeat(length));
        let long = index.key_of(&item(&[("mail", mail), ("age", number("7"))]));
        assert_eq!(long.is_some(), is_in, "{length}");
    }
}

#[test]
fn entries_change_with_the_key_attributes_alone() {
    let index = by_mail();
    let before = item(&[("mail", text("a")), ("age", number("7")), ("name", text("x"))]);
    let renamed = item(&[("mail", text("a")), ("age", number("7")), ("name", text("y"))]);
    assert_eq!(changed(&index, Some(&before), Some(&renamed)), (None, None));
    let moved = item(&[("mail", text("b")), ("age", number("7"))]);
    let (gone, come) = changed(&index, Some(&before), Some(&moved));
    assert_eq!((gone, come), (index.key_of(&before), index.key_of(&moved)));
    assert_eq!(changed(&index, Some(&before), None), (index.key_of(&before), None));
}

#[test]
fn values_that_can_be_no_key_are_refused() {
    let index = by_mail();
    let refused = |values: &[(&str, AttributeValue)]| match index.check(&item(values)) {
        Err(Refusal::Validation(message)) => message,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        refused(&[("mail", number("1"))]),
        "One or more parameter values were invalid: Type mismatch for Index Key mail Expected: S \
         Actual: N IndexName: by-mail"
    );
    assert!(refused(&[("mail", text(""))]).ends_with("IndexName: by-mail, IndexKey: mail"));
    assert_eq!(index.check(&item(&[("name", text(""))])), Ok(()));
}

#[test]
fn of_several_indexes_the_first_by_name_refuses() {
    let indexes = ["z", "by-mail", "c"].map(|name| Index { name: name.into(), ..by_mail() });
    let check = |values: &[(&str, AttributeValue)]| {
        let item = item(values);
        check_each(&indexes, |index| index.check(&item))
    };
    assert_eq!(check(&[("mail", text("a"))]), Ok(()));
    let refused = check(&[("mail", number("1"))]);
    assert!(
        matches!(&refused, Err(Refusal::Validation(it)) if it.ends_with("IndexName: by-mail")),
        "{refused:?}"
    );
}

#[test]
fn an_update_is_refused_for_what_it_changes_alone() {
    let index = by_mail();
    let odd = item(&[("mail", number("1")), ("age", text("")), ("name", text("x"))]);
    let renamed = item(&[("mail", number("1")), ("age", text("")), ("name", text("y"))]);
    assert_eq!(index.check_change(Some(&odd), &renamed), Ok(()), "as before the index was made");
    for (after, message) in [
        (("mail", number("2")), "attempted to update the secondary index key to unsupported type"),
        (("mail", text("")), "The AttributeValue for a key attribute cannot contain an empty"),
        (
            ("mail", text(&"a".repeat(PARTITION_KEY_BYTES_MAX + 1))),
            "Size limit exceeded for Index Key mail Actual Size: 2049 bytes Max Size: 2048 bytes \
             IndexName: by-mail",
        ),
    ] {
        let refused = index.check_change(Some(&odd), &item(&[after]));
        assert!(
            matches!(&refused, Err(Refusal::Validation(it)) if it.contains(message)),
            "{refused:?}"
        );
    }
    assert_eq!(index.check_change(None, &item(&[("mail", text("a"))])), Ok(()));
}

#[test]
fn projections_keep_the_keys_of_table_and_index() {
    let schema = Schema { partition: attribute("pk", KeyKind::S), sort: None };
    let whole = [("pk", "1"), ("mail", "m"), ("age", "2"), ("name", "n"), ("rest", "r")];
    let whole: Attributes =
        whole.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let names = |projected: Projected| {
        let index = Index { projected, ..by_mail() };
        index.project(&schema, whole.clone()).into_keys().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(Projected::All), "age mail name pk rest");
    assert_eq!(names(Projected::Keys), "age mail pk");
    assert_eq!(names(by_mail().projected), "age mail name pk");
}

#[test]
fn a_write_costs_an_index_what_it_shows_of_the_item() {
    let schema = Schema { partition: attribute("pk", KeyKind::S), sort: None };
    let of = |mail: &str, name: usize, rest: usize| {
        let (name, rest) = ("n".repeat(name), "r".repeat(rest));
        let texts = [("pk", "1"), ("mail", mail), ("name", &name), ("rest", &rest)];
        let mut item = item(&texts.map(|(name, value)| (name, text(value))));
        item.insert("age".to_string(), number("7"));
        item
    };
    let units = |before: Option<&Attributes>, after: Option<&Attributes>| {
        by_mail().write_units(&schema, before, after)
    };
    assert_eq!(units(None, None), 0);
    assert_eq!(units(None, Some(&of("a", 1, 5_000))), 1, "the rest is not projected");
    assert_eq!(units(Some(&of("a", 1, 0)), Some(&of("a", 1, 5_000))), 0, "nothing changed in it");
    assert_eq!(units(Some(&of("a", 1, 0)), Some(&of("a", 1_100, 0))), 2, "the larger of the two");
    assert_eq!(units(Some(&of("a", 1, 0)), Some(&of("b", 1_100, 0))), 3, "one goes, one comes");
    assert_eq!(units(Some(&of("a", 1_100, 0)), Some(&item(&[("pk", text("1"))]))), 2);
}

#[test]
fn keys_of_several_attributes_want_all_of_their_partition_keys() {
    use crate::expr::{KeyCondition, Placeholders};

    let resolve = |index: &Index, condition: &str| {
        let all = item(&[
            (":s", text("x")),
            (":n", number("1")),
            (":e", text("")),
            (":long", text(&"x".repeat(1025))),
        ]);
        let used = all.into_iter().filter(|(name, _)| condition.contains(name.as_str()));
        let mut placeholders = Placeholders::new(None, Some(used.collect())).expect("values");
        let condition = KeyCondition::parse(condition, &mut placeholders).expect("a condition");
        condition.resolve_in(index).map(|_| ()).map_err(|error| error.to_string())
    };
    let one = by_mail();
    let missed = "Query condition missed key schema element: mail".to_string();
    assert_eq!(resolve(&one, "age = :n"), Err(missed));
    let town = attribute("town", KeyKind::S);
    let many = Index { partition: vec![attribute("mail", KeyKind::S), town.clone()], ..by_mail() };
    let wanted = |names: &str| {
        let text = "must have equality conditions specified in the query";
        Err(alloc::format!("HASH key attributes {names} {text}"))
    };
    assert_eq!(resolve(&many, "mail = :s AND town = :s AND age > :n"), Ok(()));
    assert_eq!(resolve(&many, "mail = :s"), wanted("town"));
    assert_eq!(resolve(&many, "mail = :s AND town > :s"), wanted("town"));
    assert_eq!(resolve(&many, "age = :n"), wanted("mail, town"));
    // One attribute suffices, if the sort key has several.
    let sorted = Index { sort: vec![attribute("age", KeyKind::N), town], ..by_mail() };
    assert_eq!(resolve(&sorted, "age = :n"), wanted("mail"));
    let empty = |key: &str| {
        Err(alloc::format!(
            "One or more parameter values are not valid. A value specified for a secondary index \
             key is not supported. The AttributeValue for a key attribute cannot contain an empty \
             string value. IndexName: by-mail, IndexKey: {key}"
        ))
    };
    assert_eq!(resolve(&one, "mail = :e"), empty("mail"));
    let begins = "mail = :s AND age = :n AND begins_with(town, ";
    assert_eq!(resolve(&sorted, &alloc::format!("{begins}:e)")), empty("town"));
    let long = resolve(&sorted, &alloc::format!("{begins}:long)"));
    assert!(long.is_err_and(|it| it.contains("Aggregated size of all range keys")));
    let own = Index { local: true, ..by_mail() };
    assert!(resolve(&own, "mail = :e").is_err_and(|it| it.ends_with(" Key: mail")));
}
