//! `pangea conflicts report`: where conflicts are, and which policy would have kept the updates.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use serde::Serialize;
use serde_json::Value;

use super::{Context, Output, key_of, out};
use crate::conflicts::{ConflictReport, SideReport};

/// Which policy would have kept both sides of a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Remedy {
    /// The sides are equal: nothing was lost.
    None,
    /// They change different attributes, numbers or sets: they merge.
    Crdt,
    /// They give one attribute different values: both can be kept, somebody has to choose.
    Siblings,
    /// The table's own policy keeps both.
    Kept,
    /// A condition was told to hold and did not: one region has to decide.
    Owner,
    /// No policy: it was lost with its region, or is about the table itself.
    Lifecycle,
}

impl Remedy {
    fn of(conflict: &ConflictReport) -> Self {
        let (loser, winner) = (&conflict.loser, &conflict.winner);
        if conflict.is_orphaned() || conflict.is_waiting() || conflict.key.is_empty() {
            return Self::Lifecycle;
        }
        if loser.conditional {
            return Self::Owner;
        }
        if conflict.policy == "siblings" {
            return Self::Kept;
        }
        match (loser.image.as_ref(), winner.image.as_ref()) {
            _ if loser.deleted && winner.deleted => Self::None,
            // Add wins: an update that nobody had seen survives a deletion.
            _ if loser.deleted != winner.deleted => Self::Crdt,
            (Some(Value::Object(lost)), Some(Value::Object(won))) => {
                let names = lost.keys().chain(won.keys());
                let differing = names.filter(|name| lost.get(*name) != won.get(*name));
                let kinds: Vec<bool> =
                    differing.map(|name| merges(lost.get(name), won.get(name))).collect();
                match (kinds.is_empty(), kinds.iter().all(|merges| *merges)) {
                    (true, _) => Self::None,
                    (false, true) => Self::Crdt,
                    (false, false) => Self::Siblings,
                }
            }
            _ => Self::Siblings,
        }
    }

    const fn advice(self) -> &'static str {
        match self {
            Self::None => "nothing: both sides say the same",
            Self::Crdt => "crdt: attributes, numbers and sets merge",
            Self::Siblings => "siblings: both values stay until somebody chooses",
            Self::Kept => "nothing: siblings keep both until somebody chooses",
            Self::Owner => "owner: one region decides about conditions",
            Self::Lifecycle => "no policy: a region was given up; durability +1 would have",
        }
    }
}

/// Whether a merge keeps both values of an attribute: one side has none, or both are numbers
/// (counters), sets, or equal.
fn merges(lost: Option<&Value>, won: Option<&Value>) -> bool {
    let (Some(lost), Some(won)) = (lost, won) else { return true };
    let kind = |value: &Value| value.as_object().and_then(|typed| typed.keys().next().cloned());
    let (lost, won) = (kind(lost), kind(won));
    let additive = |kind: &str| matches!(kind, "N" | "SS" | "NS" | "BS");
    lost == won && lost.is_some_and(|kind| additive(&kind))
}

/// Conflicts of one table or key.
#[derive(Clone, Debug, Default, Serialize)]
struct Tally {
    conflicts: u64,
    severe: u64,
    lost_in: BTreeMap<String, u64>,
    remedies: BTreeMap<Remedy, u64>,
}

impl Tally {
    /// Adds an entry, which stands for so many conflicts that were not counted yet.
    fn add(&mut self, conflict: &ConflictReport, count: u64) {
        self.conflicts += count;
        self.severe += if conflict.severity == "high" { count } else { 0 };
        let SideReport { region_name, .. } = &conflict.loser;
        *self.lost_in.entry(region_name.clone()).or_default() += count;
        *self.remedies.entry(Remedy::of(conflict)).or_default() += count;
    }

    /// What most of the conflicts need.
    fn remedy(&self) -> Option<Remedy> {
        let most = self.remedies.iter().max_by_key(|(remedy, count)| (**count, **remedy));
        most.map(|(remedy, _)| *remedy)
    }
}

#[derive(Debug, Serialize)]
struct Line {
    table: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(flatten)]
    tally: Tally,
    advice: Option<Remedy>,
}

pub(super) fn run(
    context: &Context,
    found: &[ConflictReport],
    limit: usize,
) -> anyhow::Result<ExitCode> {
    let (tables, keys) = tallies(found);
    let (tables, keys) = (most(tables, limit), most(keys, limit));
    if context.output == Output::Json {
        out::json(&serde_json::json!({"tables": tables, "keys": keys}))?;
        return Ok(ExitCode::SUCCESS);
    }
    if found.is_empty() {
        out::note("no conflicts");
        return Ok(ExitCode::SUCCESS);
    }
    out::line(&lines(&tables, "WOULD HAVE KEPT THE UPDATES"));
    out::line("");
    out::line(&lines(&keys, "WOULD HAVE KEPT THE UPDATES"));
    Ok(ExitCode::SUCCESS)
}

type Tallies = BTreeMap<(String, Option<String>), Tally>;

/// By table, and by key. Every region that saw a flood has an entry of its own for it: a conflict
/// that several of them name is counted once.
fn tallies(found: &[ConflictReport]) -> (Tallies, Tallies) {
    let (mut tables, mut keys) = (Tallies::new(), Tallies::new());
    let mut named = BTreeSet::new();
    for conflict in found {
        let of_key = (conflict.table.clone(), Some(key_of(conflict)));
        let count = match conflict.pairs.as_slice() {
            [] => conflict.count,
            pairs => {
                pairs.iter().filter(|pair| named.insert((of_key.clone(), *pair))).count() as u64
            }
        };
        tables.entry((conflict.table.clone(), None)).or_default().add(conflict, count);
        keys.entry(of_key).or_default().add(conflict, count);
    }
    (tables, keys)
}

fn most(tallies: Tallies, limit: usize) -> Vec<Line> {
    let line = |((table, key), tally): ((String, Option<String>), Tally)| {
        let advice = tally.remedy();
        Line { table, key, tally, advice }
    };
    let mut lines: Vec<Line> = tallies.into_iter().map(line).collect();
    lines.sort_by_key(|line| std::cmp::Reverse(line.tally.conflicts));
    lines.truncate(limit);
    lines
}

fn lines(lines: &[Line], title: &str) -> String {
    let head = ["TABLE", "KEY", "CONFLICTS", "SEVERE", "LOST IN", title];
    let mut rows = vec![head.map(String::from)];
    for line in lines {
        let lost_in = line.tally.lost_in.iter();
        let lost_in: Vec<String> =
            lost_in.map(|(region, count)| format!("{region} {count}")).collect();
        rows.push([
            line.table.clone(),
            line.key.clone().unwrap_or_else(|| "(all)".to_string()),
            line.tally.conflicts.to_string(),
            line.tally.severe.to_string(),
            lost_in.join(", "),
            line.advice.map_or_else(String::new, |remedy| remedy.advice().to_string()),
        ]);
    }
    out::columns(&rows)
}

#[cfg(test)]
mod tests {
    use super::super::tests::told;
    use super::*;
    use serde_json::json;

    #[test]
    fn conflicts_that_the_entries_of_several_regions_name_count_once() {
        let other = ConflictReport { id: "c".to_string(), ..told("b", 40) };
        let (tables, keys) = tallies(&[told("a", 1), told("b", 64), other]);
        for tallies in [tables, keys] {
            let counts: Vec<_> = tallies.values().map(|it| it.conflicts).collect();
            assert_eq!(counts, [65], "64 of the flood, named by two, and one before it");
        }
    }

    #[test]
    fn a_table_that_keeps_both_sides_needs_no_other_policy() {
        let mut conflict = told("a", 1);
        conflict.loser.deleted = !conflict.winner.deleted;
        assert_eq!(Remedy::of(&conflict), Remedy::Crdt);
        conflict.policy = "siblings".to_string();
        assert_eq!(Remedy::of(&conflict), Remedy::Kept);
    }

    #[test]
    fn numbers_and_sets_of_one_kind_merge_and_other_values_do_not() {
        let (one, two) = (json!({"N": "1"}), json!({"N": "2"}));
        assert!(merges(Some(&one), Some(&two)));
        assert!(merges(Some(&json!({"SS": ["a"]})), Some(&json!({"SS": ["b"]}))));
        assert!(merges(Some(&one), None), "only one side has it");
        assert!(!merges(Some(&json!({"S": "a"})), Some(&json!({"S": "b"}))));
        assert!(!merges(Some(&one), Some(&json!({"S": "b"}))), "their types differ");
    }
}
