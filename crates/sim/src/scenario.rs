//! Directed schedules: what clients, operators and faults do and when, written down.
//!
//! Seeds find what comes of few coincidences; some bugs take ten in a row. A scenario is a text of
//! a line for each step, `MS VERB ARGUMENTS`, in milliseconds from when the faults of a seed would
//! begin, with comments behind `#`. Regions are `r0` to `r4`, tables are numbers in the order in
//! which they are made, items `k0` or, if only the first two regions may have them, `n0`:
//!
//! ```text
//! set regions 3           # or frame_rows, delay_us, jitter_us, collect_us, relay_after_ms, …
//! 0    create r0
//! 200  add r0 0 r1        # asks r0 to give table 0 a replica in r1; `remove` takes it away
//! 400  put r1 0 k0        # or `delete`; `expire r1 0 k0 2` puts what expires in two seconds
//! 500  cut r0 r1          # until `mend r0 r1`
//! 600  evict r2           # someone tries until it is done or refused; or `rejoin`
//! 700  crash r1 50        # for so many ms; `lose r1 50` loses its disk as well
//! 800  doom r2            # it dies for good
//! 900  end                # everything heals, and must come to rest
//! ```
//!
//! The world, its oracle and invariants are those of seeds. The seed still decides how long
//! messages and syncs take, and moves each step by up to `set shift_us`.

use std::fmt;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scenario {
    pub(crate) settings: Vec<(Setting, u64)>,
    /// When, ms, and what.
    pub(crate) steps: Vec<(u64, Step)>,
}

/// What a scenario says of its world; everything else is quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    Regions,
    FrameRows,
    DelayUs,
    JitterUs,
    SendUs,
    SyncUs,
    ShiftUs,
    CollectUs,
    ColdAfterMs,
    RelayAfterMs,
    /// How long whoever wrote an item has to delete it when it expires.
    GraceMs,
    /// Each item has one region that writes it.
    Owners,
    /// Tables have a rule of placement, unless this is zero.
    Placed,
}

const SETTINGS: [(&str, Setting); 13] = [
    ("regions", Setting::Regions),
    ("frame_rows", Setting::FrameRows),
    ("delay_us", Setting::DelayUs),
    ("jitter_us", Setting::JitterUs),
    ("send_us", Setting::SendUs),
    ("sync_us", Setting::SyncUs),
    ("shift_us", Setting::ShiftUs),
    ("collect_us", Setting::CollectUs),
    ("cold_after_ms", Setting::ColdAfterMs),
    ("relay_after_ms", Setting::RelayAfterMs),
    ("grace_ms", Setting::GraceMs),
    ("owners", Setting::Owners),
    ("placed", Setting::Placed),
];

/// One thing that is done. Regions and tables by their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A table of that name.
    Create {
        region: usize,
        name: String,
    },
    /// A replica comes or goes.
    Replicate {
        region: usize,
        table: usize,
        replica: usize,
        adds: bool,
    },
    /// The table is deleted.
    Drop {
        region: usize,
        table: usize,
    },
    /// Items of the table expire from now on.
    Expires {
        region: usize,
        table: usize,
    },
    Put {
        region: usize,
        table: usize,
        key: Key,
    },
    /// A put of an item that expires in so many seconds.
    PutExpiring {
        region: usize,
        table: usize,
        key: Key,
        seconds: i64,
    },
    Delete {
        region: usize,
        table: usize,
        key: Key,
    },
    Evict {
        region: usize,
    },
    Rejoin {
        region: usize,
    },
    Cut {
        one: usize,
        other: usize,
    },
    Mend {
        one: usize,
        other: usize,
    },
    Crash {
        region: usize,
        ms: u64,
    },
    LoseDisk {
        region: usize,
        ms: u64,
    },
    /// It dies, and never comes back.
    Doom {
        region: usize,
    },
    End,
}

impl Step {
    /// The table that it is about, which must have been made.
    const fn table(&self) -> Option<usize> {
        match self {
            Self::Replicate { table, .. }
            | Self::Drop { table, .. }
            | Self::Expires { table, .. }
            | Self::Put { table, .. }
            | Self::PutExpiring { table, .. }
            | Self::Delete { table, .. } => Some(*table),
            Self::Create { .. }
            | Self::Evict { .. }
            | Self::Rejoin { .. }
            | Self::Cut { .. }
            | Self::Mend { .. }
            | Self::Crash { .. }
            | Self::LoseDisk { .. }
            | Self::Doom { .. }
            | Self::End => None,
        }
    }
}

/// An item, and whether only the first regions may have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) number: u64,
    pub(crate) restricted: bool,
}

/// A line that says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    line: usize,
    text: String,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of the scenario is no step: {}", self.line, self.text)
    }
}

impl std::error::Error for Unread {}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    ///
    /// The first line that is neither a setting nor a step, or one that is out of order, or names a
    /// table that no line before it creates; and a scenario without an end.
    pub fn parse(text: &str) -> Result<Self, Unread> {
        let mut scenario = Self::default();
        for (nth, line) in text.lines().enumerate() {
            let said = line.split('#').next().unwrap_or_default();
            let words: Vec<&str> = said.split_whitespace().collect();
            if !words.is_empty() && scenario.read(&words).is_none() {
                return Err(Unread { line: nth + 1, text: line.to_string() });
            }
        }
        if !matches!(scenario.steps.last(), Some((_, Step::End))) {
            let line = text.lines().count();
            return Err(Unread { line, text: "the last step is `end`".to_string() });
        }
        Ok(scenario)
    }

    fn read(&mut self, words: &[&str]) -> Option<()> {
        if let ["set", name, value] = words {
            let (_, setting) = SETTINGS.iter().find(|(known, _)| known == name)?;
            self.settings.push((*setting, value.parse().ok()?));
            return Some(());
        }
        let (at, words) = words.split_first()?;
        let (at_ms, step) = (at.parse().ok()?, step(words)?);
        if self.steps.last().is_some_and(|(last_ms, _)| *last_ms > at_ms) {
            return None;
        }
        let creates = |(_, step): &&(u64, Step)| matches!(step, Step::Create { .. });
        let created = self.steps.iter().filter(creates).count();
        if step.table().is_some_and(|table| table >= created) {
            return None;
        }
        self.steps.push((at_ms, step));
        Some(())
    }

    pub(crate) fn setting(&self, setting: Setting) -> Option<u64> {
        let mut set = self.settings.iter().rev();
        set.find(|(it, _)| *it == setting).map(|(_, value)| *value)
    }

    /// How many regions the steps are about, at least two.
    pub(crate) fn regions(&self) -> usize {
        let regions = self.setting(Setting::Regions).unwrap_or(3);
        usize::try_from(regions).unwrap_or(usize::MAX).clamp(2, 5)
    }
}

fn step(words: &[&str]) -> Option<Step> {
    Some(match words {
        ["create", region] => {
            Step::Create { region: numbered(region, "r")?, name: "t0".to_string() }
        }
        ["create", region, name] => {
            Step::Create { region: numbered(region, "r")?, name: (*name).to_string() }
        }
        ["add", region, table, replica] => replicate((region, table, replica), true)?,
        ["remove", region, table, replica] => replicate((region, table, replica), false)?,
        ["drop", region, table] => {
            Step::Drop { region: numbered(region, "r")?, table: table.parse().ok()? }
        }
        ["expires", region, table] => {
            Step::Expires { region: numbered(region, "r")?, table: table.parse().ok()? }
        }
        ["put", region, table, item] => Step::Put {
            region: numbered(region, "r")?,
            table: table.parse().ok()?,
            key: key(item)?,
        },
        ["expire", region, table, item, seconds] => Step::PutExpiring {
            region: numbered(region, "r")?,
            table: table.parse().ok()?,
            key: key(item)?,
            seconds: seconds.parse().ok()?,
        },
        ["delete", region, table, item] => Step::Delete {
            region: numbered(region, "r")?,
            table: table.parse().ok()?,
            key: key(item)?,
        },
        ["evict", region] => Step::Evict { region: numbered(region, "r")? },
        ["rejoin", region] => Step::Rejoin { region: numbered(region, "r")? },
        ["cut", one, other] => Step::Cut { one: numbered(one, "r")?, other: numbered(other, "r")? },
        ["mend", one, other] => {
            Step::Mend { one: numbered(one, "r")?, other: numbered(other, "r")? }
        }
        ["crash", region, ms] => {
            Step::Crash { region: numbered(region, "r")?, ms: ms.parse().ok()? }
        }
        ["lose", region, ms] => {
            Step::LoseDisk { region: numbered(region, "r")?, ms: ms.parse().ok()? }
        }
        ["doom", region] => Step::Doom { region: numbered(region, "r")? },
        ["end"] => Step::End,
        _ => return None,
    })
}

fn replicate((region, table, replica): (&str, &str, &str), adds: bool) -> Option<Step> {
    let (region, replica) = (numbered(region, "r")?, numbered(replica, "r")?);
    Some(Step::Replicate { region, table: table.parse().ok()?, replica, adds })
}

/// `r2` is number two of the regions.
fn numbered(word: &str, letter: &str) -> Option<usize> {
    word.strip_prefix(letter)?.parse().ok().filter(|number| *number < 5)
}

fn key(word: &str) -> Option<Key> {
    let restricted = word.starts_with('n');
    let number = word.strip_prefix(['k', 'n'])?.parse().ok()?;
    Some(Key { number, restricted })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_no_step_is_named() {
        let read = Scenario::parse("set regions 4\n\n0 create r0 # a table\n5 put r1 0 n3\n9 end");
        let read = read.expect("well formed");
        assert_eq!((read.regions(), read.steps.len()), (4, 3));
        let key = Key { number: 3, restricted: true };
        assert_eq!(read.steps[1], (5, Step::Put { region: 1, table: 0, key }));
        let unmade = "0 create r0\n5 put r0 1 k1";
        let unread = ["set colour 3", "5 put r9 0 k1", "put r0 0 k1", "5 end\n4 end", "1 crash r0"];
        for text in unread.into_iter().chain([unmade, "5 put r0 0 k1\n6 create r0"]) {
            assert!(Scenario::parse(&format!("{text}\n9 end")).is_err(), "{text}");
        }
        assert!(Scenario::parse("1 evict r0").is_err(), "without an end it would go on for ever");
    }
}
