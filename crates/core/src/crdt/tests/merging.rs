use super::{Region, State, item, key, l, m, meet, n, s, ss, stamp};
use crate::crdt::{Cut, Options, Place};
use crate::expr::UpdateError;
use crate::item::{ItemError, NumberError, item_size, validate};

#[test]
fn concurrent_additions_add_up() {
    let (mut a, mut b) = Region::pair(&Options::default());
    a.put(1, item([("c", n("10"))]));
    b.hear(&a);
    a.update(5, "ADD c :0", &[n("2")]);
    a.update(6, "SET c = c + :0", &[n("3")]);
    b.update(5, "SET c = if_not_exists(c, :1) - :0", &[n("4"), n("0")]);
    b.update(6, "SET c = :0 + c", &[n("0.5")]);
    meet(&mut a, &mut b);
    assert_eq!(a.state.view(), item([("c", n("11.5"))]));
    assert!(a.state.losers().is_empty());
}

#[test]
fn what_a_set_or_a_removal_had_seen_of_a_counter_is_gone_and_the_rest_stays() {
    for text in ["SET c = :0", "REMOVE c"] {
        let (mut a, mut b) = Region::pair(&Options::default());
        a.update(1, "ADD c :0", &[n("5")]);
        b.hear(&a);
        a.update(2, "ADD c :0", &[n("2")]);
        if text == "REMOVE c" {
            b.update(2, text, &[]);
        } else {
            b.update(2, text, &[n("0")]);
        }
        meet(&mut a, &mut b);
        assert_eq!(a.state.view(), item([("c", n("2"))]), "{text}");
    }
}

/// A removal must remember what it saw of others' tallies, and only until they know of it.
#[test]
fn a_removed_counter_leaves_nothing_once_its_origin_knows() {
    let (mut a, mut b) = Region::pair(&Options::default());
    a.put(1, item([]));
    a.update(2, "ADD c :0", &[n("5")]);
    b.hear(&a);
    b.update(3, "REMOVE c", &[]);
    let Some(Place::Mixed(place)) = b.state.parts().places.get("c") else { panic!("forgotten") };
    assert_eq!(place.tallies[0].cut, Cut::All);
    a.hear(&b);
    assert_eq!(a.state.view(), item([]));
    a.update(4, "REMOVE rest", &[]);
    assert!(a.state.parts().places.contains_key("c"), "nobody wrote there yet");
    a.update(5, "ADD c :0", &[n("1")]);
    a.update(6, "REMOVE c", &[]);
    assert!(a.state.parts().places.is_empty(), "its own tally need not be remembered");
    b.hear(&a);
    assert!(b.state.parts().places.is_empty(), "what its origin dropped is dropped");
}

/// Two first additions, each from the initial value: the initial value counts once.
#[test]
fn a_counter_that_begins_at_a_value_begins_once() {
    let (mut a, mut b) = Region::pair(&Options::default());
    a.update(1, "SET c = if_not_exists(c, :0) + :1", &[n("100"), n("1")]);
    b.update(2, "SET c = if_not_exists(c, :0) + :1", &[n("100"), n("2")]);
    meet(&mut a, &mut b);
    assert_eq!(a.state.view(), item([("c", n("103"))]));
}

#[test]
fn without_recognition_a_sum_is_a_value() {
    let options = Options { recognise_add: false, ..Options::default() };
    let (mut a, mut b) = Region::pair(&options);
    a.put(1, item([("c", n("10"))]));
    b.hear(&a);
    a.update(5, "SET c = c + :0", &[n("2")]);
    b.update(6, "SET c = c + :0", &[n("3")]);
    meet(&mut a, &mut b);
    assert_eq!(a.state.view(), item([("c", n("13"))]));
    assert_eq!(a.losers().len(), 1);
}

#[test]
fn sets_keep_what_is_added_while_it_is_removed() {
    let (mut a, mut b) = Region::pair(&Options::default());
    a.put(1, item([("t", ss(&["x", "y"]))]));
    b.hear(&a);
    a.update(2, "ADD t :0", &[ss(&["x", "z"])]);
    b.update(3, "DELETE t :0", &[ss(&["x", "y"])]);
    assert_eq!(b.state.view(), item([]), "a set without elements is no attribute");
    meet(&mut a, &mut b);
    assert_eq!(a.state.view(), item([("t", ss(&["x", "z"]))]));
    a.update(4, "SET t = :0", &[ss(&["p"])]);
    b.update(4, "SET t = :0", &[ss(&["q"])]);
    meet(&mut a, &mut b);
    assert_eq!(a.state.view(), item([("t", ss(&["p", "q"]))]));
    assert!(a.state.losers().is_empty());
}

#[test]
fn an_update_survives_a_delete_unless_removals_win() {
    for remove_wins in [false, true] {
        let options = Options { remove_wins, ..Options::default() };
        let (mut a, mut b) = Region::pair(&options);
        a.put(1, item([("x", n("1")), ("y", n("2"))]));
        b.hear(&a);
        a.update(2, "SET x = :0", &[n("3")]);
        b.delete(3);
        assert_eq!(b.state.view(), None);
        meet(&mut a, &mut b);
        let survives = item([("x", n("3"))]);
        assert_eq!(a.state.view(), if remove_wins { None } else { survives });
        // A later one is shown in any case.
        a.update(4, "SET x = :0", &[n("4")]);
        b.delete(4);
        a.update(5, "SET x = :0", &[n("5")]);
        meet(&mut a, &mut b);
        assert_eq!(a.state.view(), item([("x", n("5"))]), "{remove_wins}");
    }
}

#[test]
fn an_item_is_replaced_as_far_as_it_was_seen() {
    let (mut a, mut b) = Region::pair(&Options::default());
    a.put(1, item([("x", n("1")), ("y", n("2"))]));
    b.hear(&a);
    a.update(2, "SET z = :0", &[n("3")]);
    b.put(3, item([("y", n("4"))]));
    meet(&mut a, &mut b);
    assert_eq!(a.state.view(), item([("y", n("4")), ("z", n("3"))]));
}

#[test]
fn a_deleted_item_of_plain_attributes_leaves_nothing() {
    let (mut a, mut b) = Region::pair(&Options::default());
    a.put(1, item([("x", n("1")), ("t", ss(&["x"])), ("d", m([("e", n("2"))]))]));
    b.hear(&a);
    b.delete(2);
    assert_eq!(b.state, State::default());
    meet(&mut a, &mut b);
    assert_eq!(a.state, State::default());
}

#[test]
fn an_item_of_nothing_but_its_key_exists() {
    let (mut a, mut b) = Region::pair(&Options::default());
    a.update(1, "SET x = :0", &[n("1")]);
    a.update(2, "REMOVE x", &[]);
    assert_eq!(a.state.view(), Some(key()));
    b.update(3, "REMOVE x", &[]);
    assert_eq!(b.state.view(), None, "removals make no item");
    meet(&mut a, &mut b);
    assert_eq!(a.state.view(), Some(key()));
}

#[test]
fn maps_are_one_value_or_merge_deeply() {
    for deep_maps in [false, true] {
        let options = Options { deep_maps, ..Options::default() };
        let (mut a, mut b) = Region::pair(&options);
        a.put(1, item([("d", m([("p", n("1")), ("q", n("2"))]))]));
        b.hear(&a);
        a.update(2, "SET d.p = :0 ADD d.c :0", &[n("3")]);
        b.update(3, "SET d.q = :0 ADD d.c :1", &[n("4"), n("5")]);
        meet(&mut a, &mut b);
        let whole = m([("p", n("1")), ("q", n("4")), ("c", n("5"))]);
        let merged = m([("p", n("3")), ("q", n("4")), ("c", n("8"))]);
        assert_eq!(a.state.view(), item([("d", if deep_maps { merged } else { whole })]));
        assert_eq!(a.losers().is_empty(), deep_maps);
    }
}

#[test]
fn a_member_keeps_its_map_alive() {
    let options = Options { deep_maps: true, ..Options::default() };
    let (mut a, mut b) = Region::pair(&options);
    a.put(1, item([("d", m([("p", n("1"))]))]));
    b.hear(&a);
    a.update(2, "SET d.q = :0", &[n("2")]);
    b.update(3, "REMOVE d", &[]);
    meet(&mut a, &mut b);
    assert_eq!(a.state.view(), item([("d", m([("q", n("2"))]))]));
    a.update(4, "REMOVE d.q", &[]);
    assert_eq!(a.state.view(), item([("d", m([]))]), "as it would be without merging");
    let mut missing = Region::new(2, &options);
    missing.put(1, item([]));
    let refused = missing.attempt(2, "SET d.q = :0", &[n("2")]);
    assert_eq!(refused, Err(UpdateError::InvalidPath));
}

/// What a removal of the map hides is not counted on by a write to the member.
#[test]
fn a_member_that_a_removal_hides_begins_anew() {
    let options = Options { deep_maps: true, remove_wins: true, ..Options::default() };
    let (mut a, mut b) = Region::pair(&options);
    a.put(1, item([("d", m([("q", n("1"))]))]));
    b.hear(&a);
    a.update(2, "SET d.p = :0", &[n("5")]);
    b.update(3, "REMOVE d", &[]);
    b.update(4, "SET d = :0", &[m([("q", n("1"))])]);
    meet(&mut a, &mut b);
    assert_eq!(a.state.view(), item([("d", m([("q", n("1"))]))]));
    a.update(5, "ADD d.p :0", &[n("1")]);
    assert_eq!(a.state.view(), item([("d", m([("p", n("1")), ("q", n("1"))]))]));
}

/// One region has written into a map that the other still holds as it was before.
#[test]
fn a_map_from_before_is_taken_apart_on_both_sides() {
    let options = Options { deep_maps: true, ..Options::default() };
    let image = item([("d", m([("p", n("1")), ("q", m([("r", ss(&["x", "y"]))]))]))]);
    let image = image.expect("an item");
    let (mut a, mut b) = Region::pair(&options);
    let old = stamp(1, 0);
    a.state = State::from_image(old, &["id"], &image);
    a.seen.record(old);
    b.hear(&a);
    assert_eq!(a.state, b.state);
    b.update(2, "DELETE d.q.r :0", &[ss(&["x"])]);
    a.update(3, "SET rest = :0", &[n("1")]);
    meet(&mut a, &mut b);
    let d = m([("p", n("1")), ("q", m([("r", ss(&["y"]))]))]);
    assert_eq!(a.state.view(), item([("d", d), ("rest", n("1"))]));
}

#[test]
fn lists_are_one_value_or_merge_what_is_appended() {
    for list_append in [false, true] {
        let options = Options { list_append, ..Options::default() };
        let (mut a, mut b) = Region::pair(&options);
        a.put(1, item([("l", l(&[n("0")]))]));
        b.hear(&a);
        a.update(3, "SET l = list_append(l, :0)", &[l(&[n("3"), n("4")])]);
        b.update(2, "SET l = list_append(if_not_exists(l, :1), :0)", &[l(&[n("2")]), l(&[])]);
        meet(&mut a, &mut b);
        let merged = l(&[n("0"), n("2"), n("3"), n("4")]);
        let whole = l(&[n("0"), n("3"), n("4")]);
        assert_eq!(a.state.view(), item([("l", if list_append { merged } else { whole })]));
    }
}

#[test]
fn a_group_is_never_torn() {
    let group = ["lo", "hi"].map(Into::into).to_vec();
    let options = Options { groups: [group].into(), ..Options::default() };
    let (mut a, mut b) = Region::pair(&options);
    a.put(1, item([("lo", n("1")), ("hi", n("9")), ("x", n("0"))]));
    b.hear(&a);
    a.update(2, "SET lo = :0", &[n("8")]);
    b.update(3, "SET hi = :0", &[n("2")]);
    meet(&mut a, &mut b);
    assert_eq!(a.state.view(), item([("lo", n("1")), ("hi", n("2")), ("x", n("0"))]));
    assert_eq!(a.losers().len(), 1);
    a.update(4, "REMOVE lo, hi", &[]);
    b.delete(4);
    meet(&mut a, &mut b);
    assert_eq!(a.state.view(), None);
}

#[test]
fn groups_come_and_go() {
    let alone = Options::default();
    let group = ["lo", "hi"].map(Into::into).to_vec();
    let grouped = Options { groups: [group].into(), ..Options::default() };
    let (mut a, mut b) = Region::pair(&alone);
    a.put(1, item([("lo", n("1")), ("hi", n("9"))]));
    b.hear(&a);
    (a.options, b.options) = (grouped.clone(), grouped.clone());
    a.update(2, "SET lo = :0", &[n("8")]);
    assert_eq!(a.state.view(), item([("lo", n("8")), ("hi", n("9"))]));
    assert!(a.state.parts().places.is_empty());
    // In the meantime the other region has only what was written alone.
    b.options = alone.clone();
    b.update(3, "SET hi = :0", &[n("7")]);
    meet(&mut a, &mut b);
    assert_eq!(a.state.view(), item([("lo", n("8")), ("hi", n("7"))]));
    assert_eq!(a.losers().len(), 1);
    a.options = alone;
    a.update(4, "SET lo = :0", &[n("5")]);
    assert_eq!(a.state.view(), item([("lo", n("5")), ("hi", n("7"))]));
    assert!(a.state.parts().groups.is_empty() && a.losers().is_empty());
}

#[test]
fn what_update_refuses_is_refused_and_changes_nothing() {
    let (mut a, _) = Region::pair(&Options::default());
    a.put(1, item([("x", s("text")), ("c", n("9e125"))]));
    let before = a.state.clone();
    for (text, error) in [
        ("ADD x :0", UpdateError::OperandType),
        ("SET y = x.z + :0", UpdateError::MissingAttribute),
        ("SET y.z = :0", UpdateError::InvalidPath),
        ("ADD c :0", UpdateError::Number(NumberError::Precision)),
    ] {
        let refused = a.state.clone().update(
            stamp(9, 0),
            &key(),
            &super::parsed(text, &[n("1")]),
            &a.options,
        );
        assert_eq!(refused, Err(error), "{text}");
    }
    assert_eq!(
        a.attempt(9, "ADD c :0", &[n("9e125")]),
        Err(UpdateError::Number(NumberError::Overflow))
    );
    assert_eq!(a.state, before);
}

#[test]
fn what_is_shown_is_checked_as_the_view_is() {
    let big = || s(&"x".repeat(200_000));
    let nested = (0..33).fold(n("1"), |value, _| l(&[value]));
    let (mut a, mut b) = Region::pair(&Options::default());
    a.put(1, item([("x", big()), ("c", n("1"))]));
    a.update(2, "ADD c :0, t :1", &[n("2"), ss(&["y"])]);
    b.put(3, item([("z", big())]));
    let size = |state: &State| state.view().map_or(0, |view| item_size(&view));
    for state in [&a.state, &b.state, &State::default()] {
        assert_eq!(state.validate(), Ok(()));
        assert_eq!(state.size(), size(state));
    }
    // Each was small enough where it was written.
    b.update(4, "SET y = :0", &[s(&"y".repeat(150_000))]);
    meet(&mut a, &mut b);
    assert_eq!(a.state.size(), size(&a.state));
    assert_eq!(a.state.validate(), Err(ItemError::TooLarge));
    assert_eq!(validate(&a.state.view().expect("an item")), Err(ItemError::TooLarge));
    a.put(5, item([("d", nested)]));
    assert_eq!(a.state.validate(), Err(ItemError::TooDeep));
    a.delete(6);
    assert_eq!(a.state.validate(), Ok(()));
    assert_eq!(a.state.size(), 0);
}
