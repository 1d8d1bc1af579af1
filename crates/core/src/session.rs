//! Sessions: what a client has seen, and whether a region has seen as much.
//!
//! A response carries a vector: per origin, the newest stamp that it or any response before it in
//! the session rests on. A region that has applied each origin up to there shows every item as it
//! was shown, or newer: its own writes to the client, and what the client has read. It rests on
//! places in feeds being cuts ([`crate::replica`]), so it is true of every item and not only of
//! those that arrived one by one.
//!
//! Deliberately absent: how the vector is spelled and signed (codec), waiting and forwarding (the
//! driver). This is what they decide by.

use core::fmt;

use alloc::string::String;
use alloc::vec::Vec;

use crate::id::{Origin, RegionSlot};
use crate::limits::{SESSION_ORIGINS_MAX, SESSION_WAIT_MS_MAX};
use crate::merge::VersionVector;
use crate::replica::Progress;
use crate::time::{Hlc, Stamp};

/// What to do in a region that has not seen what the session has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    /// How long to wait for it, ms; `None` for what the distance suggests.
    pub wait_ms: Option<u32>,
    /// Whether to ask a region that has it then.
    pub forward: bool,
    /// What to do where all that does not help.
    pub end: End,
}

/// See [`Mode::end`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Refuse.
    Fail,
    /// Answer from what is here, and say so.
    Stale,
}

impl Default for Mode {
    fn default() -> Self {
        Self { wait_ms: None, forward: true, end: End::Fail }
    }
}

impl Mode {
    /// What the text of a header or tag may be.
    pub const WANTED: &'static str = "a session mode is one of wait, forward, fail, stale and forward stale, with milliseconds \
         to wait behind it if need be";

    /// From words: `wait` waits and fails, `forward` waits, forwards and fails, `fail` fails at
    /// once, `stale` waits and answers all the same, `forward stale` does all; milliseconds to wait
    /// may follow.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut words: Vec<&str> = text.split_ascii_whitespace().collect();
        let number = words.last().filter(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
        let wait_ms = match number {
            Some(number) => {
                let ms = number.parse().ok().filter(|ms| *ms <= SESSION_WAIT_MS_MAX)?;
                words.pop();
                Some(ms)
            }
            None => None,
        };
        let mode = |forward, end| Self { wait_ms, forward, end };
        match words.as_slice() {
            ["wait"] => Some(mode(false, End::Fail)),
            ["forward"] => Some(mode(true, End::Fail)),
            ["fail"] => {
                Some(Self { wait_ms: Some(wait_ms.unwrap_or(0)), ..mode(false, End::Fail) })
            }
            ["stale"] => Some(mode(false, End::Stale)),
            ["forward", "stale"] => Some(mode(true, End::Stale)),
            _ => None,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.forward, self.end) {
            (false, End::Fail) => "wait",
            (true, End::Fail) => "forward",
            (false, End::Stale) => "stale",
            (true, End::Stale) => "forward stale",
        })?;
        self.wait_ms.map_or(Ok(()), |ms| write!(f, " {ms}"))
    }
}

/// One request of a session.
#[derive(Clone, Debug, Default)]
pub struct Session {
    asked: VersionVector,
    seen: VersionVector,
    #[cfg(feature = "planted-bugs")]
    forgetful: bool,
}

impl Session {
    /// A request with this vector; an empty one begins a session.
    #[must_use]
    pub fn new(asked: VersionVector) -> Self {
        Self { asked, ..Self::default() }
    }

    /// The same with a bug to find.
    #[cfg(feature = "planted-bugs")]
    #[must_use]
    pub fn with_bug(self, bug: Option<crate::node::Bug>) -> Self {
        Self { forgetful: bug == Some(crate::node::Bug::TokenNotJoined), ..self }
    }

    /// What the region must have seen.
    #[must_use]
    pub fn asked(&self) -> &VersionVector {
        &self.asked
    }

    /// The response rests on an item of which the region has seen this.
    pub fn saw(&mut self, seen: &VersionVector) {
        self.seen.join(seen);
    }

    /// The response rests on a version.
    pub fn wrote(&mut self, stamp: Stamp) {
        if stamp.hlc > Hlc::ZERO {
            self.seen.record(stamp);
        }
    }

    /// What the response carries. Of more lives of regions than a token has room for, the newest:
    /// what the others wrote is the likeliest to be everywhere.
    #[must_use]
    pub fn vector(&self) -> VersionVector {
        let mut vector = self.seen.clone();
        #[cfg(feature = "planted-bugs")]
        if self.forgetful {
            return vector;
        }
        vector.join(&self.asked);
        if vector.iter().len() <= SESSION_ORIGINS_MAX {
            return vector;
        }
        let mut entries: Vec<(Origin, Hlc)> = vector.iter().collect();
        entries.sort_unstable_by_key(|entry| core::cmp::Reverse(entry.1));
        VersionVector::from_entries(entries.into_iter().take(SESSION_ORIGINS_MAX))
    }
}

/// What a region has applied: its own writes, and those of others but for `pending` regions, whose
/// rows of the tables in question are still to be copied: nothing of theirs counts.
#[must_use]
pub fn applied(me: Origin, progress: &Progress, pending: &[RegionSlot]) -> VersionVector {
    let others = progress.applied.iter().map(|(&origin, &hlc)| (origin, hlc));
    let all = others.chain([(me, progress.closed)]);
    VersionVector::from_entries(all.filter(|(origin, _)| !pending.contains(&origin.slot())))
}

/// What a session has seen and was not applied, the newest first.
///
/// A life of a region that nobody heard of, or that ended before its writes left it, is missing
/// like any other: waiting does not help, and whoever forwards finds nobody.
#[must_use]
pub fn missing(wanted: &VersionVector, applied: &VersionVector) -> Vec<Stamp> {
    let stamps = wanted.iter().map(|(origin, hlc)| Stamp { hlc, origin });
    let mut missing: Vec<Stamp> = stamps.filter(|stamp| !applied.covers(*stamp)).collect();
    missing.sort_unstable_by(|one, other| other.cmp(one));
    missing
}

/// What has been tried for a request so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tried {
    /// Nothing.
    Nothing,
    /// The region waited.
    Waiting,
    /// Every region that could be asked was, or the request was forwarded itself.
    Forwarding,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Answer.
    Serve,
    /// Wait for what is missing.
    Wait,
    /// Ask one of these, in this order.
    Forward(Vec<RegionSlot>),
    /// Refuse.
    Fail,
    /// Answer, and say what is missing.
    Stale,
}

/// Decides about a request, given what is missing and what was tried.
#[must_use]
pub fn next(mode: Mode, me: RegionSlot, missing: &[Stamp], tried: Tried) -> Step {
    if missing.is_empty() {
        return Step::Serve;
    }
    if tried < Tried::Waiting && mode.wait_ms != Some(0) {
        return Step::Wait;
    }
    if tried < Tried::Forwarding && mode.forward {
        let mut regions: Vec<RegionSlot> = Vec::new();
        for slot in missing.iter().map(|stamp| stamp.origin.slot()) {
            if slot != me && !regions.contains(&slot) {
                regions.push(slot);
            }
        }
        if !regions.is_empty() {
            return Step::Forward(regions);
        }
    }
    match mode.end {
        End::Fail => Step::Fail,
        End::Stale => Step::Stale,
    }
}

/// For people: whose writes are missing.
#[must_use]
pub fn describe(missing: &[Stamp], name: impl Fn(RegionSlot) -> String) -> String {
    let mut text = String::new();
    for (nth, stamp) in missing.iter().enumerate() {
        text.push_str(if nth == 0 { "" } else { "," });
        text.push_str(&name(stamp.origin.slot()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use alloc::string::ToString;
    use alloc::sync::Arc;

    fn origin(slot: u8, life: u16) -> Origin {
        Origin::new(RegionSlot::new(slot).expect("small"), life)
    }

    fn vector(entries: &[(Origin, u64)]) -> VersionVector {
        VersionVector::from_entries(entries.iter().map(|&(of, hlc)| (of, Hlc::from_bits(hlc))))
    }

    #[test]
    fn modes_are_words_and_perhaps_a_number() {
        let texts = ["wait", "forward", "stale", "forward stale", "wait 50", "forward stale 0"];
        for text in texts {
            assert_eq!(Mode::parse(text).expect(text).to_string(), text);
        }
        assert_eq!(Mode::parse(" forward "), Some(Mode::default()));
        assert_eq!(Mode::parse("fail").map(|mode| mode.wait_ms), Some(Some(0)));
        assert_eq!(Mode::parse("fail 20").map(|mode| mode.wait_ms), Some(Some(20)));
        let wrong =
            ["", "5", "wait wait", "stale forward", "Wait", "wait -1", "wait 1.5", "wait 99999999"];
        for text in wrong {
            assert_eq!(Mode::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_missing_is_what_was_not_applied() {
        let (me, peer, gone) = (origin(0, 1), origin(1, 1), origin(1, 7));
        let progress = Progress {
            closed: Hlc::from_bits(10),
            applied: [(peer, Hlc::from_bits(20))].into(),
            catalog: Arc::new(Catalog::default()),
            collected: Arc::default(),
        };
        let lacking = |wanted: &[(Origin, u64)], pending: &[RegionSlot]| -> Vec<Origin> {
            let missing = missing(&vector(wanted), &applied(me, &progress, pending));
            missing.into_iter().map(|stamp| stamp.origin).collect()
        };
        assert_eq!(lacking(&[(me, 10), (peer, 20)], &[]), []);
        assert_eq!(lacking(&[(me, 11), (peer, 21)], &[]), [peer, me]);
        assert_eq!(lacking(&[(gone, 1)], &[]), [gone]);
        assert_eq!(lacking(&[(me, 10), (peer, 1)], &[peer.slot()]), [peer]);
    }

    #[test]
    fn a_response_carries_what_the_request_did_and_more() {
        let mut session = Session::new(vector(&[(origin(0, 1), 5), (origin(1, 1), 9)]));
        session.saw(&vector(&[(origin(1, 1), 7)]));
        session.wrote(Stamp { hlc: Hlc::from_bits(8), origin: origin(0, 1) });
        assert_eq!(session.vector(), vector(&[(origin(0, 1), 8), (origin(1, 1), 9)]));
    }

    #[test]
    fn a_vector_keeps_the_newest_lives() {
        let lives = u16::try_from(SESSION_ORIGINS_MAX).expect("few") + 3;
        let all: Vec<(Origin, u64)> =
            (1..=lives).map(|life| (origin(0, life), u64::from(life))).collect();
        let vector = Session::new(vector(&all)).vector();
        assert_eq!(vector.iter().len(), SESSION_ORIGINS_MAX);
        assert_eq!(vector.get(origin(0, 3)), Hlc::ZERO);
        assert_eq!(vector.get(origin(0, lives)), Hlc::from_bits(u64::from(lives)));
    }

    #[test]
    fn waiting_comes_before_forwarding_and_that_before_the_end() {
        let me = origin(0, 1).slot();
        let stamp = |slot: u8| Stamp { hlc: Hlc::from_bits(9), origin: origin(slot, 1) };
        let missing = [stamp(2), stamp(0), stamp(1), stamp(2)];
        let step =
            |text: &str, tried| next(Mode::parse(text).expect("a mode"), me, &missing, tried);
        let forward = Step::Forward([stamp(2), stamp(1)].map(|it| it.origin.slot()).to_vec());
        assert_eq!(step("forward", Tried::Nothing), Step::Wait);
        assert_eq!(step("forward 0", Tried::Nothing), forward);
        assert_eq!(step("forward", Tried::Waiting), forward);
        assert_eq!(step("forward", Tried::Forwarding), Step::Fail);
        assert_eq!(step("forward stale", Tried::Forwarding), Step::Stale);
        assert_eq!(step("wait", Tried::Waiting), Step::Fail);
        assert_eq!(step("fail", Tried::Nothing), Step::Fail);
        assert_eq!(step("stale", Tried::Nothing), Step::Wait);
        assert_eq!(step("stale", Tried::Waiting), Step::Stale);
        assert_eq!(next(Mode::default(), me, &[], Tried::Nothing), Step::Serve);
        assert_eq!(next(Mode::default(), me, &[stamp(0)], Tried::Waiting), Step::Fail);
    }
}
