//! CRDT states: a golden file, round trips over states that regions reach, size, garbage.

use std::fmt::Write as _;

use pangea_codec::binary::{DEPTH_MAX, DecodeError, Reader, Writer};
use pangea_core::crdt::{Options, State};
use pangea_core::expr::{Placeholders, Update};
use pangea_core::id::{Origin, RegionSlot};
use pangea_core::item::{AttributeValue, Attributes, Number};
use pangea_core::merge::VersionVector;
use pangea_core::time::{Hlc, Stamp};

fn n(text: &str) -> AttributeValue {
    AttributeValue::N(Number::parse(text).expect("a number of the test's own"))
}

fn ss(letters: &str) -> AttributeValue {
    AttributeValue::Ss(letters.chars().map(String::from).collect())
}

fn map<const N: usize>(entries: [(&str, AttributeValue); N]) -> Attributes {
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn key() -> Attributes {
    map([("id", AttributeValue::S("k".to_owned()))])
}

fn image() -> Attributes {
    let mut image = map([
        ("bits", AttributeValue::Bs([vec![1], vec![1, 0]].into())),
        ("doc", AttributeValue::M(map([("p", n("1")), ("q", ss("xy"))]))),
        ("arr", AttributeValue::L(vec![n("1")])),
        ("num", n("12.5")),
        ("tags", ss("ab")),
        ("word", AttributeValue::S("héllo".to_owned())),
    ]);
    image.extend(key());
    image
}

fn stamp(ms: u64, slot: u8) -> Stamp {
    let origin = Origin::new(RegionSlot::new(slot).expect("few regions"), 3);
    Stamp { hlc: Hlc::from_parts(1_700_000_000_000 + ms, 7), origin }
}

fn update(text: &str) -> Update {
    let values = map([
        (":one", n("1")),
        (":great", n("1e100")),
        (":less", n("-1e100")),
        (":set", ss("bc")),
        (":list", AttributeValue::L(vec![n("2"), AttributeValue::Null])),
        (":map", AttributeValue::M(map([("r", n("7"))]))),
        (":text", AttributeValue::S("text".to_owned())),
    ]);
    let mut placeholders = Placeholders::new(None, Some(values)).expect("right placeholders");
    Update::parse(text, &mut placeholders).expect("a right update")
}

fn written(state: &State, own: Stamp) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.crdt_state(state, own);
    writer.into_bytes()
}

fn read(bytes: &[u8], own: Stamp) -> Result<State, DecodeError> {
    let mut reader = Reader::new(bytes);
    let state = reader.crdt_state(own)?;
    reader.finish()?;
    Ok(state)
}

/// One region's copy of an item.
#[derive(Clone, Default)]
struct Region {
    slot: u8,
    state: State,
    seen: VersionVector,
}

impl Region {
    fn update(&mut self, ms: u64, text: &str, options: &Options) {
        let stamp = stamp(ms, self.slot);
        // What does not fit the item is refused, which is as good here.
        if self.state.update(stamp, &key(), &update(text), options).is_ok() {
            self.seen.record(stamp);
        }
    }

    fn put(&mut self, ms: u64, options: &Options) {
        let stamp = stamp(ms, self.slot);
        self.state.put(stamp, &["id"], &image(), options);
        self.seen.record(stamp);
    }

    fn hear(&mut self, other: &Self) {
        self.state = State::join((&self.state, &self.seen), (&other.state, &other.seen));
        self.seen.join(&other.seen);
    }
}

fn group() -> Vec<Vec<String>> {
    vec![vec!["low".to_owned(), "high".to_owned()]]
}

/// States that have every part of the format between them.
fn samples() -> Vec<(&'static str, State)> {
    let plain = Options::default();
    let rich = Options {
        remove_wins: true,
        deep_maps: true,
        list_append: true,
        groups: group(),
        ..Options::default()
    };
    let mut put = Region::default();
    put.put(1, &plain);
    let mut counted = put.clone();
    counted.update(2, "ADD num :one", &plain);
    let (mut left, mut right) = (counted.clone(), Region { slot: 1, ..counted.clone() });
    left.update(3, "REMOVE num ADD c :great", &plain);
    right.update(3, "ADD c :less", &plain);
    left.hear(&right);
    // The total is 1, and the tally of the left one is wide.
    left.update(4, "ADD c :one, d :one", &plain);
    right.hear(&left);
    right.update(5, "REMOVE c, d", &plain);
    left.update(6, "ADD d :one", &plain);
    left.hear(&right);
    let mut one = Region::default();
    one.put(1, &rich);
    let mut two = Region { slot: 1, ..one.clone() };
    one.update(2, "ADD num :one, tags :set SET doc.r = :one", &rich);
    two.hear(&one);
    one.update(4, "ADD num :great SET arr = list_append(arr, :list), low = :one", &rich);
    two.update(5, "SET num = :one, doc.p = :map, word = :one DELETE tags :set", &rich);
    two.update(6, "REMOVE bits ADD doc.c :one", &rich);
    let mut third = Region { slot: 2, ..Region::default() };
    third.update(3, "SET word = :text, doc = :text, num = :one ADD bits :set", &rich);
    let mut all = one.clone();
    all.hear(&two);
    all.hear(&third);
    let mut removed = all.clone();
    removed.state.delete(stamp(9, 0), &plain);
    vec![
        ("nothing", State::default()),
        ("put", put.state),
        ("counted", counted.state),
        ("cut", left.state),
        ("merged", all.state),
        ("removed", removed.state),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A change here is a change of what is on disk and on the wire: it needs a new format version.
#[test]
fn the_format_is_frozen() {
    let mut text = String::new();
    for (name, state) in samples() {
        let bytes = written(&state, stamp(1, 0));
        assert_eq!(read(&bytes, stamp(1, 0)).as_ref(), Ok(&state), "{name}");
        writeln!(text, "{name} {}", hex(&bytes)).expect("a string garr");
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/crdt-state-v1.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &text).expect("the golden file is writable");
    }
    assert_eq!(text, std::fs::read_to_string(path).expect("the golden file"));
}

/// One byte for an attribute that the version itself wrote, whatever is in it.
#[test]
fn an_item_of_one_write_costs_a_byte_an_attribute() {
    let image = image();
    let mut state = State::default();
    state.put(stamp(1, 0), &["id"], &image, &Options::default());
    let mut plain = Writer::new();
    plain.attributes(&image);
    // One for each but the key, the flags, the dot of existence, and the key's own count.
    assert_eq!(written(&state, stamp(1, 0)).len(), plain.len() + image.len() - 1 + 3);
    // By another version's stamp: ten for spelling it once.
    assert_eq!(written(&state, stamp(2, 0)).len(), plain.len() + image.len() - 1 + 3 + 10);
}

/// Steele and Vigna's splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).expect("below a usize")
    }
}

const UPDATES: [&str; 17] = [
    "ADD num :one",
    "ADD num :great",
    "ADD num :less",
    "SET num = :one",
    "REMOVE num",
    "ADD tags :set",
    "DELETE tags :set",
    "SET tags = :set",
    "SET tags = :text",
    "SET doc.r = :map",
    "ADD doc.c :one",
    "REMOVE doc.p",
    "SET doc = :map",
    "SET arr = list_append(arr, :list)",
    "SET low = :one",
    "SET word = :list",
    "REMOVE word, bits",
];

/// A state that three regions reach.
fn reached(random: &mut Random) -> State {
    let bits = random.below(16);
    let options = Options {
        remove_wins: bits & 1 != 0,
        deep_maps: bits & 2 != 0,
        list_append: bits & 4 != 0,
        groups: if bits & 8 != 0 { group() } else { Vec::new() },
        ..Options::default()
    };
    let mut regions: Vec<Region> =
        (0..3).map(|slot| Region { slot, ..Region::default() }).collect();
    for step in 0..random.below(30) as u64 {
        let (at, from) = (random.below(3), random.below(3));
        match random.below(12) {
            0 => regions[at].put(step, &options),
            1 if bits & 1 != 0 => {
                let stamp = stamp(step, regions[at].slot);
                regions[at].state.delete(stamp, &options);
                regions[at].seen.record(stamp);
            }
            2..5 => {
                let other = regions[from].clone();
                regions[at].hear(&other);
            }
            _ => regions[at].update(step, UPDATES[random.below(UPDATES.len())], &options),
        }
    }
    let others = regions.split_off(1);
    let mut all = regions.remove(0);
    others.iter().for_each(|other| all.hear(other));
    all.state
}

#[test]
fn what_is_written_is_read_back() {
    let mut random = Random(1);
    for _ in 0..1_000 {
        let state = reached(&mut random);
        let own = stamp(random.below(30) as u64, 0);
        let bytes = written(&state, own);
        assert_eq!(read(&bytes, own).as_ref(), Ok(&state), "{}", hex(&bytes));
    }
}

/// Many dots, so that they are not looked through one by one.
#[test]
fn a_set_of_many_writes_is_read_back() {
    let mut state = State::default();
    for at in 0..500_u16 {
        let values = map([(":set", AttributeValue::Ss([at.to_string()].into()))]);
        let mut placeholders = Placeholders::new(None, Some(values)).expect("right placeholders");
        let update = Update::parse("ADD tags :set", &mut placeholders).expect("a right update");
        let done = state.update(stamp(at.into(), 0), &key(), &update, &Options::default());
        done.expect("a set garr");
    }
    let bytes = written(&state, stamp(499, 0));
    assert_eq!(read(&bytes, stamp(499, 0)), Ok(state));
}

/// Mutations of right bytes: no panic, and whatever is accepted is what a writer writes.
#[test]
fn garbage_is_refused_or_canonical() {
    let mut random = Random(2);
    let (mut refused, mut accepted) = (0, 0);
    let good: Vec<Vec<u8>> =
        (0..200).map(|_| written(&reached(&mut random), stamp(1, 0))).collect();
    for round in 0..20_000 {
        let good = &good[round % good.len()];
        let mut bytes = good.clone();
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len());
            bytes[at] = u8::try_from(random.below(256)).expect("below 256");
        }
        bytes.truncate(good.len() - random.below(4) * random.below(good.len()) / 4);
        let mut reader = Reader::new(&bytes);
        match reader.crdt_state(stamp(1, 0)) {
            Ok(state) => {
                let length = bytes.len() - reader.remaining();
                assert_eq!(hex(&written(&state, stamp(1, 0))), hex(&bytes[..length]));
                accepted += 1;
            }
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 1_000 && accepted > 1_000, "{refused} refused, {accepted} accepted");
}

#[test]
fn nesting_ends() {
    // Maps that merge deeply, one in the other: flags, one place, of map dots and members.
    let nested = |depth: usize| {
        let mut bytes = vec![0];
        for _ in 0..depth {
            bytes.extend([1, 1, b'a', 1, 16 | 32, 0]);
        }
        bytes.extend([1, 1, b'a', 0, 6]);
        bytes
    };
    assert!(read(&nested(DEPTH_MAX), stamp(1, 0)).is_ok());
    assert_eq!(read(&nested(DEPTH_MAX + 1), stamp(1, 0)), Err(DecodeError::Depth));
    assert_eq!(read(&nested(100_000), stamp(1, 0)), Err(DecodeError::Depth));
}

#[test]
fn what_no_writer_writes_is_refused() {
    let own = stamp(1, 0);
    let spelled = |stamp: Stamp| {
        let mut writer = Writer::new();
        writer.stamp(stamp);
        writer.into_bytes()
    };
    let plain = |header: u8, stamp: &[u8]| [&[0, 1, 1, b'a', header], stamp, &[6]].concat();
    assert!(read(&plain(0, &[]), own).is_ok());
    assert!(read(&plain(2, &spelled(stamp(2, 0))), own).is_ok());
    for (bytes, error) in [
        // The own stamp is not spelled; nor is an index skipped.
        (plain(2, &spelled(own)), DecodeError::State),
        (plain(4, &spelled(stamp(2, 0))), DecodeError::State),
        // Odd headers but one mean nothing.
        (plain(3, &[]), DecodeError::State),
        // Unknown flags, and an existing item without a key.
        (vec![8, 0], DecodeError::Tag { what: "state", tag: 8 }),
        (vec![1, 0, 0, 0], DecodeError::State),
        // A place of no parts, of unknown ones, and one that should be plain.
        (vec![0, 1, 1, b'a', 1, 0], DecodeError::State),
        (vec![0, 1, 1, b'a', 1, 128], DecodeError::Tag { what: "place", tag: 128 }),
        (vec![0, 1, 1, b'a', 1, 2, 1, 0, 6], DecodeError::State),
        // More things than bytes.
        (vec![0, 1, 1, b'a', 1, 1, 100], DecodeError::Truncated { wanted: 100, left: 0 }),
    ] {
        assert_eq!(read(&bytes, own), Err(error), "{}", hex(&bytes));
    }
}
