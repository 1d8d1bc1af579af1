use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{LoserKind, Options, Region, State, item, l, m, meet, n, s, ss, stamp};
use crate::crdt::{Parts, Place};
use crate::item::AttributeValue;

#[test]
fn of_concurrent_values_one_is_shown_until_the_next_write() {
    let (mut a, mut b) = Region::pair(&Options::default());
    let mut c = Region::new(2, &Options::default());
    a.update(3, "SET x = :0, y = :0", &[n("1")]);
    b.update(5, "SET x = :0", &[s("two")]);
    c.update(4, "SET x = :0", &[l(&[])]);
    a.hear(&b);
    a.hear(&c);
    assert_eq!(a.state.view(), item([("x", s("two")), ("y", n("1"))]));
    let x = || String::from("x");
    let lost = |slot, ms| (x(), LoserKind::Register, stamp(ms, slot), stamp(5, 1));
    assert_eq!(a.losers(), [lost(0, 3), lost(2, 4)]);
    let values: Vec<_> = a.state.losers().into_iter().map(|it| (it.value, it.winning)).collect();
    assert_eq!(values, [(n("1"), s("two")), (l(&[]), s("two"))]);
    // A write elsewhere leaves them; one to the place settles it.
    a.update(6, "SET y = :0", &[n("2")]);
    assert_eq!(a.losers().len(), 2);
    a.update(7, "SET x = :0", &[n("3")]);
    assert!(a.losers().is_empty());
    b.hear(&a);
    b.hear(&c);
    assert!(b.losers().is_empty() && b.state == a.state);
}

/// What a local write takes away must not bring back what it hid.
#[test]
fn what_is_hidden_does_not_reappear() {
    let (mut a, mut b) = Region::pair(&Options::default());
    a.put(1, item([("x", ss(&["p"]))]));
    b.hear(&a);
    a.update(9, "ADD x :0", &[ss(&["q"])]);
    b.update(5, "SET x = :0", &[s("text")]);
    meet(&mut a, &mut b);
    assert_eq!(a.state.view(), item([("x", ss(&["q"]))]));
    let lost = ("x".to_string(), LoserKind::Register, stamp(5, 1), stamp(9, 0));
    assert_eq!(a.losers(), [lost]);
    a.update(10, "DELETE x :0", &[ss(&["q"])]);
    assert_eq!(a.state.view(), item([]));
}

#[test]
fn what_a_value_of_another_shape_hides_is_named_by_write() {
    let options = Options { deep_maps: true, ..Options::default() };
    let (mut a, mut b) = Region::pair(&options);
    let mut c = Region::new(2, &options);
    a.put(1, item([("d", m([("p", m([("q", n("1"))]))]))]));
    b.hear(&a);
    c.hear(&a);
    a.update(2, "SET d.p.r = :0 ADD d.c :1, d.t :2", &[n("2"), n("3"), ss(&["x"])]);
    c.update(3, "SET d.p.s = :0", &[n("4")]);
    b.update(4, "SET d = :0", &[n("5")]);
    a.hear(&b);
    a.hear(&c);
    assert_eq!(a.state.view(), item([("d", n("5"))]));
    let lost: Vec<_> = a.state.losers().into_iter().map(|it| (it.loser, it.value)).collect();
    let of_a = m([("p", m([("r", n("2"))])), ("c", n("3")), ("t", ss(&["x"]))]);
    let of_c = m([("p", m([("s", n("4"))]))]);
    assert_eq!(lost, [(stamp(2, 0), of_a), (stamp(3, 2), of_c)]);
    assert!(a.state.losers().iter().all(|it| it.kind == LoserKind::HiddenSubtree));
}

#[test]
fn where_removals_win_what_they_hide_is_named() {
    let options = Options { remove_wins: true, ..Options::default() };
    let (mut a, mut b) = Region::pair(&options);
    a.put(1, item([("x", n("1")), ("t", ss(&["p"]))]));
    b.hear(&a);
    a.update(2, "ADD x :0, t :1", &[n("2"), ss(&["p", "q"])]);
    b.update(3, "REMOVE x DELETE t :0", &[ss(&["q"])]);
    meet(&mut a, &mut b);
    assert_eq!(a.state.view(), item([("t", ss(&["p"]))]));
    let removed = |path: &str| (path.to_string(), LoserKind::Removed, stamp(2, 0), stamp(3, 1));
    assert_eq!(a.losers(), [removed("t"), removed("x")]);
    assert!(a.state.losers().iter().all(|it| it.winning == AttributeValue::Null));
    a.put(5, item([]));
    b.delete(6);
    meet(&mut a, &mut b);
    assert_eq!(a.losers(), [(String::new(), LoserKind::Removed, stamp(5, 0), stamp(6, 1))]);
}

#[test]
fn totals_that_are_no_numbers_are_shown_as_the_nearest_and_named() {
    let nines = "9".repeat(38);
    let greatest = format!("{nines}e88");
    for (sign, one, two, shown) in [
        ("", "9e125", "9e125", greatest.as_str()),
        ("-", "9e125", "9e125", greatest.as_str()),
        ("", "1e100", "1", "1e100"),
    ] {
        let signed = |text: &str| n(&format!("{sign}{text}"));
        let (mut a, mut b) = Region::pair(&Options::default());
        a.update(1, "ADD c :0", &[signed(one)]);
        b.update(2, "ADD c :0", &[signed(two)]);
        meet(&mut a, &mut b);
        assert_eq!(a.state.view(), item([("c", signed(shown))]));
        let lost = ("c".to_string(), LoserKind::Overflow, stamp(2, 1), stamp(1, 0));
        assert_eq!(a.losers(), [lost]);
        assert_eq!(a.state.losers()[0].value, signed(two));
        assert!(a.attempt(3, "ADD c :0", &[signed(&format!("{nines}e88"))]).is_err());
        // What is done from here is done from what was shown.
        a.update(
            4,
            "ADD c :0",
            &[n(&format!("{}{shown}", if sign.is_empty() { "-" } else { "" }))],
        );
        assert_eq!(a.state.view(), item([("c", n("0"))]));
        assert!(a.losers().is_empty());
        b.hear(&a);
        assert_eq!(b.state, a.state);
    }
}

/// 1e100 is lost in no order.
#[test]
fn sums_are_exact_in_any_order() {
    let (mut a, mut b) = Region::pair(&Options::default());
    let mut c = Region::new(2, &Options::default());
    a.update(1, "ADD c :0", &[n("1e100")]);
    b.update(1, "ADD c :0", &[n("1e-30")]);
    c.update(1, "ADD c :0", &[n("-1e100")]);
    for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0], [1, 0, 2]] {
        let regions = [&a, &b, &c];
        let mut reader = Region::new(3, &Options::default());
        order.into_iter().for_each(|at| reader.hear(regions[at]));
        assert_eq!(reader.state.view(), item([("c", n("1e-30"))]));
        assert!(reader.losers().is_empty());
    }
}

#[test]
fn parts_that_no_state_has_are_refused() {
    let (mut a, mut b) = Region::pair(&Options { remove_wins: true, ..Options::default() });
    a.update(1, "ADD c :0, t :1", &[n("1"), ss(&["x"])]);
    b.hear(&a);
    a.update(2, "ADD c :0", &[n("1")]);
    b.update(2, "SET c = :0 DELETE t :1", &[n("5"), ss(&["y"])]);
    meet(&mut a, &mut b);
    let good = a.state.parts();
    assert_eq!(State::from_parts(good.clone()).as_ref(), Some(&a.state));
    let spoiled = |spoil: fn(&mut Parts)| {
        let mut parts = good.clone();
        spoil(&mut parts);
        assert_ne!(parts, *good);
        State::from_parts(parts)
    };
    for (at, spoil) in [
        (|parts: &mut Parts| parts.key = Default::default()) as fn(&mut Parts),
        |parts| parts.removed = Some(stamp(9, 0)),
        |parts| {
            parts.places.insert("e".into(), Place::Plain(stamp(1, 0), ss(&[])));
        },
        |parts| spoil_mixed(parts, "e", |_| {}),
        |parts| spoil_mixed(parts, "c", |it| it.registers[0].bases[0].at = it.tallies[0].newest),
        |parts| spoil_mixed(parts, "c", |it| it.registers[0].value = s("text")),
        |parts| spoil_mixed(parts, "c", |it| it.registers[0].value = ss(&["x"])),
        |parts| spoil_mixed(parts, "c", |it| it.registers.push(it.registers[0].clone())),
        |parts| spoil_mixed(parts, "c", |it| it.tallies[0].start = stamp(8, 0).hlc),
        |parts| spoil_mixed(parts, "c", |it| it.tallies.push(it.tallies[0].clone())),
        |parts| spoil_mixed(parts, "c", |it| it.tallies.clear()),
        |parts| {
            spoil_mixed(parts, "t", |it| {
                it.elements.values_mut().for_each(|element| element.removed = None);
            })
        },
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(spoiled(spoil), None, "{at}");
    }
}

fn spoil_mixed(parts: &mut Parts, name: &str, spoil: fn(&mut crate::crdt::Mixed)) {
    let place = parts.places.entry(name.into()).or_insert_with(|| Place::Mixed(Default::default()));
    let Place::Mixed(mixed) = place else { panic!("{name} is not mixed") };
    spoil(mixed);
}
