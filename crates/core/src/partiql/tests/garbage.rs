//! No text makes the parser or the lowering panic, or go deeper than its bound.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::{item, s, schema};
use crate::partiql::{Statement, parse};
use crate::table::{KeyKind, apply};

/// A deterministic generator (Knuth's MMIX constants), so that a failure is the same everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        usize::try_from(self.0 >> 33).expect("31 bits") % bound
    }
}

fn feed(text: &str) {
    let Ok(statement) = parse(text, vec![s("a"), s("b")]).or_else(|_| parse(text, Vec::new()))
    else {
        return;
    };
    for schema in [schema(None), schema(Some(KeyKind::N))] {
        if let Statement::Select(select) = &statement {
            let _ = (select.resolve(&schema), select.key(&schema), select.output().apply(item()));
        }
        if let Ok(op) = statement.write(&schema) {
            let _ = (apply(&op, &schema, Some(&item())), apply(&op, &schema, None));
        }
    }
}

const TEXTS: [&str; 6] = [
    "SELECT a, m.sub, l[0] FROM \"T\".\"i\" WHERE pk = ? AND (n > 1 OR begins_with(s, 'x')) \
     ORDER BY sk DESC",
    "INSERT INTO T VALUE {'pk': 'a', 'l': [1, {'x': <<'y', 'z'>>}], 'n': -1.5e3}",
    "UPDATE T SET l = list_append(l, [?]) SET ss = set_add(ss, <<'x'>>) REMOVE n WHERE pk = 'a' \
     RETURNING ALL NEW *",
    "DELETE FROM T WHERE pk = 'a' AND sk IN [1, 2] AND NOT n BETWEEN 1 AND 2 RETURNING ALL OLD *",
    "EXISTS(SELECT * FROM T WHERE pk = 'a' AND attribute_type(m, 'M') AND x IS NOT MISSING)",
    "FROM T WHERE pk = 'a' OR pk IN ('a', 'b') AND sk >= 3 -- note\n SET n = n + 1 /* more */",
];

#[test]
fn mutations_never_panic() {
    let mut dice = Dice(3);
    for _ in 0..30_000 {
        let mut letters: Vec<char> = TEXTS[dice.below(TEXTS.len())].chars().collect();
        for _ in 0..=dice.below(3) {
            let at = dice.below(letters.len());
            match dice.below(5) {
                0 => letters.truncate(at.max(1)),
                1 => drop(letters.remove(at)),
                2 => letters
                    .insert(at, ['(', ')', '\'', '"', '<', '>', '?', 'é', '\n'][dice.below(9)]),
                3 => letters[at] = letters[dice.below(letters.len())],
                _ => {
                    let from = dice.below(letters.len());
                    let piece = letters[at.min(from)..at.max(from)].to_vec();
                    letters.splice(at..at, piece);
                }
            }
            if letters.is_empty() {
                letters.push('a');
            }
        }
        feed(&letters.into_iter().collect::<String>());
    }
}

#[test]
fn words_in_any_order_never_panic() {
    let words: Vec<&str> = TEXTS.iter().flat_map(|text| text.split(' ')).collect();
    let mut dice = Dice(8);
    for _ in 0..30_000 {
        let text: Vec<&str> = (0..dice.below(16)).map(|_| words[dice.below(words.len())]).collect();
        feed(&text.join(" "));
    }
}

#[test]
fn deep_texts_are_refused() {
    for piece in
        ["(", "NOT ", "[", "{'a':", "<<", "size(", "a.", "a[0]", "-", "pk = 'a' OR ", "1 + "]
    {
        for text in [
            "SELECT * FROM T WHERE ".to_owned() + &piece.repeat(100_000),
            "INSERT INTO T VALUE {'pk': ".to_owned() + &piece.repeat(100_000),
            "UPDATE T SET a = ".to_owned() + &piece.repeat(100_000),
        ] {
            assert!(parse(&text, Vec::new()).is_err(), "{piece}");
        }
    }
}
