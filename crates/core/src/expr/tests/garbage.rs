//! No text makes a parser or an evaluation panic.

use alloc::string::String;
use alloc::vec::Vec;

use super::{item, placeholders};
use crate::expr::{Condition, KeyCondition, Kind, Projection, Update};

/// A deterministic generator (Knuth's MMIX constants), so that a failure is the same everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        usize::try_from(self.0 >> 33).expect("31 bits") % bound
    }
}

const WORDS: [&str; 46] = [
    "a",
    "n5",
    "tags",
    "arr",
    "doc",
    "#t",
    "#dot",
    "#none",
    ":n1",
    ":he",
    ":ss",
    ":list",
    ":none",
    "(",
    ")",
    "(",
    ")",
    "[",
    "]",
    "0",
    "99",
    ".",
    ",",
    "+",
    "-",
    "=",
    "<>",
    "<",
    ">=",
    "SET",
    "REMOVE",
    "ADD",
    "DELETE",
    "AND",
    "OR",
    "NOT",
    "BETWEEN",
    "IN",
    "size(",
    "contains(",
    "begins_with(",
    "attribute_exists(",
    "if_not_exists(",
    "list_append(",
    "é",
    "#",
];

fn feed(text: &str) {
    let item = item();
    if let Ok(condition) = Condition::parse(Kind::Condition, text, &mut placeholders()) {
        let _ = (condition.matches(Some(&item)), condition.matches(None), condition.mentions("a"));
    }
    if let Ok(update) = Update::parse(text, &mut placeholders()) {
        let _ = update.apply(&item).map(|after| update.updated_parts(&after));
    }
    if let Ok(projection) = Projection::parse(text, &mut placeholders()) {
        let _ = projection.apply(&item);
    }
    let _ = KeyCondition::parse(text, &mut placeholders());
}

#[test]
fn words_in_any_order_never_panic() {
    let mut dice = Dice(5);
    for _ in 0..20_000 {
        let words: Vec<&str> =
            (0..dice.below(14)).map(|_| WORDS[dice.below(WORDS.len())]).collect();
        feed(&words.join(if dice.below(4) == 0 { "" } else { " " }));
    }
}

#[test]
fn mutations_of_right_texts_never_panic() {
    let texts = [
        "SET doc.b.c = if_not_exists(arr[0], :n1) + :n5, arr[9] = list_append(arr, :list) REMOVE \
            n5 ADD tags :ss",
        "NOT (n5 BETWEEN :n1 AND :n9) OR size(#t) IN (:n1, :n5) AND begins_with(#t, :he)",
        "arr[0], doc.b.c, #t",
        "id = :a AND n5 BETWEEN :n1 AND :n9",
    ];
    let mut dice = Dice(9);
    for _ in 0..20_000 {
        let mut letters: Vec<char> = texts[dice.below(texts.len())].chars().collect();
        for _ in 0..=dice.below(3) {
            let at = dice.below(letters.len());
            match dice.below(4) {
                0 => letters.truncate(at.max(1)),
                1 => drop(letters.remove(at)),
                2 => letters.insert(at, ['(', ')', '.', ':', '#', 'é', '\u{0}'][dice.below(7)]),
                _ => letters[at] = letters[dice.below(letters.len())],
            }
            if letters.is_empty() {
                letters.push('a');
            }
        }
        feed(&letters.into_iter().collect::<String>());
    }
}
