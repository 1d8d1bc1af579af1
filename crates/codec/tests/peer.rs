//! Messages between regions: golden files, round trips, garbage.

use std::path::PathBuf;

use pangea_codec::peer::envelope::{self, HEAD_BYTES, Head};
use pangea_codec::peer::{
    Compression, FRAME_BYTES_MAX, Hello, HelloReply, Message, MessageError, PREFIX_BYTES, PROTOCOL,
    Terms, decode, encode, payload_length,
};
use pangea_core::id::{Origin, Place, RegionSlot, TableId};
use pangea_core::item::{AttributeValue, Attributes, ItemKey, KeyValue, Number, PrimaryKey};
use pangea_core::merge::{Body, Origins, Version, VersionVector};
use pangea_core::repair::{Answer, Ask, Kept, Listed, Subject, Told};
use pangea_core::replica::{Copied, Frame, Relayed, Request, Row, Rows};
use pangea_core::time::{Hlc, Stamp};

/// Marsaglia's xorshift: repeatable, and no dependency.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).expect("below a usize")
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).expect("below 256")
    }

    fn bytes(&mut self) -> Vec<u8> {
        (0..self.below(6)).map(|_| self.byte()).collect()
    }

    fn text(&mut self) -> String {
        (0..self.below(6)).map(|_| ['a', 'é', '世', '\0', '🦀'][self.below(5)]).collect()
    }

    fn number(&mut self) -> Number {
        let mantissa = self.below(usize::MAX) as i128 - i128::from(u32::MAX);
        let exponent = i16::try_from(self.below(200)).expect("small") - 100;
        Number::from_parts(mantissa, exponent).expect("in range")
    }

    fn hlc(&mut self) -> Hlc {
        Hlc::from_bits(self.below(usize::MAX) as u64)
    }

    fn origin(&mut self) -> Origin {
        Origin::from_bits(u16::from_be_bytes([self.byte(), self.byte()]))
    }

    fn stamp(&mut self) -> Stamp {
        Stamp { hlc: self.hlc(), origin: self.origin() }
    }

    fn value(&mut self, depth: usize) -> AttributeValue {
        match self.below(if depth == 0 { 8 } else { 10 }) {
            0 => AttributeValue::S(self.text()),
            1 => AttributeValue::N(self.number()),
            2 => AttributeValue::B(self.bytes()),
            3 => AttributeValue::Bool(self.below(2) == 0),
            4 => AttributeValue::Null,
            5 => AttributeValue::Ss((0..3).map(|_| self.text()).collect()),
            6 => AttributeValue::Ns((0..3).map(|_| self.number()).collect()),
            7 => AttributeValue::Bs((0..3).map(|_| self.bytes()).collect()),
            8 => AttributeValue::L((0..self.below(4)).map(|_| self.value(depth - 1)).collect()),
            _ => AttributeValue::M(self.attributes(depth - 1)),
        }
    }

    fn attributes(&mut self, depth: usize) -> Attributes {
        (0..self.below(5)).map(|_| (self.text(), self.value(depth))).collect()
    }

    fn key(&mut self) -> PrimaryKey {
        let mut part = || match self.below(3) {
            0 => KeyValue::S(self.text()),
            1 => KeyValue::N(self.number()),
            _ => KeyValue::B(self.bytes()),
        };
        let (partition, sort) = (part(), part());
        PrimaryKey { partition, sort: (self.below(2) == 0).then_some(sort) }
    }

    fn row(&mut self) -> Row {
        let stamp = self.stamp();
        let entries: Vec<_> = (0..self.below(4)).map(|_| (self.origin(), self.hlc())).collect();
        let live = self.below(3) > 0;
        let body = if live { Body::live(self.attributes(4)) } else { Body::Tombstone };
        let context = VersionVector::from_entries(entries);
        let key = ItemKey { table: TableId(self.stamp()), primary: self.key() };
        let mut context: VersionVector = context;
        context = VersionVector::from_entries(
            context
                .iter()
                .filter(|entry| entry.0 != stamp.origin)
                .chain([(stamp.origin, stamp.hlc)]),
        );
        let origins = Origins {
            conditional: self.below(2) == 0,
            rows: self.byte(),
            epoch: u16::from(self.byte()),
            place: Place(self.byte()),
            expired: self.below(2) == 0,
        };
        Row { key, version: Version { stamp, context, body, origins } }
    }

    fn place(&mut self) -> Option<PrimaryKey> {
        (self.below(2) == 0).then(|| self.key())
    }

    fn ask(&mut self) -> Ask {
        let of = match self.below(4) {
            0 => Subject::Fingerprints,
            1 => Subject::Versions {
                bucket: self.byte(),
                after: self.place(),
                foreign: self.below(2) == 0,
            },
            2 => Subject::Rows { keys: (0..self.below(4)).map(|_| self.key()).collect() },
            _ => Subject::Damage { bucket: self.byte() },
        };
        Ask { number: self.below(usize::MAX) as u64, table: TableId(self.stamp()), of }
    }

    fn sum(&mut self) -> u128 {
        (self.below(usize::MAX) as u128) << 64 | self.below(usize::MAX) as u128
    }

    fn told(&mut self) -> Told {
        match self.below(5) {
            0 => Told::Nothing,
            1 => Told::Fingerprints((0..self.below(9)).map(|_| self.sum()).collect()),
            2 => Told::Versions {
                items: (0..self.below(4))
                    .map(|_| Listed {
                        key: self.key(),
                        versions: (0..3).map(|_| (self.stamp(), self.sum())).collect(),
                    })
                    .collect(),
                next: self.place(),
            },
            3 => Told::Rows((0..self.below(4)).map(|_| self.kept()).collect()),
            _ => Told::Damage((0..self.below(9)).map(|_| self.sum()).collect()),
        }
    }

    fn kept(&mut self) -> Option<Kept> {
        let versions: Vec<Version> = (0..2).map(|_| self.row().version).collect();
        (self.below(3) > 0).then(|| Kept { seen: versions[0].context.clone(), versions })
    }

    fn message(&mut self) -> Message {
        match self.below(9) {
            0 => Message::Request(Request::Subscribe { after: self.hlc() }),
            1 => Message::Request(Request::Copy {
                table: TableId(self.stamp()),
                after: self.place(),
            }),
            2 => Message::Frame(Frame::Rows(Rows {
                origin: self.origin(),
                after: self.hlc(),
                through: self.hlc(),
                end: self.hlc(),
                rows: (0..self.below(5)).map(|_| self.row()).collect(),
                applied: (0..self.below(5)).map(|_| (self.origin(), self.hlc())).collect(),
                sent_wall_ms: self.below(usize::MAX) as u64,
            })),
            4 => Message::Request(Request::Compare(self.ask())),
            5 => Message::Frame(Frame::Compared(Answer {
                ask: self.ask(),
                applied: (0..self.below(5)).map(|_| (self.origin(), self.hlc())).collect(),
                told: self.told(),
            })),
            6 => Message::Request(Request::Relay {
                origin: self.origin(),
                after: self.hlc(),
                ask: u32::from(self.byte()),
            }),
            7 => Message::Frame(Frame::Relayed(Relayed {
                origin: self.origin(),
                after: self.hlc(),
                through: self.hlc(),
                rows: (0..self.below(5)).map(|_| self.row()).collect(),
                covers: (0..self.below(5)).map(|_| TableId(self.stamp())).collect(),
                needs: (0..self.below(5)).map(|_| (self.origin(), self.hlc())).collect(),
                settled: self.below(2) == 0,
                ask: u32::from(self.byte()),
                revision: (self.below(2) == 0).then(|| u32::from(self.byte())),
            })),
            _ => Message::Frame(Frame::Copied(Copied {
                table: TableId(self.stamp()),
                after: self.place(),
                ready: self.below(2) == 0,
                generation: u32::from(self.byte()),
                rows: (0..self.below(5)).map(|_| self.row()).collect(),
                next: self.place(),
                collected: self.row().version.context,
            })),
        }
    }
}

fn slot(index: u8) -> RegionSlot {
    RegionSlot::new(index).expect("small slot")
}

fn asked(table: Stamp, key: &PrimaryKey, which: u8) -> Ask {
    let of = match which {
        0 => Subject::Fingerprints,
        1 => Subject::Versions { bucket: 9, after: Some(key.clone()), foreign: true },
        2 => Subject::Rows { keys: vec![key.clone()] },
        _ => Subject::Damage { bucket: 7 },
    };
    Ask { number: 0x0123_4567, table: TableId(table), of }
}

fn compared(table: Stamp, key: &PrimaryKey, which: u8, told: Told) -> Message {
    let applied = vec![(table.origin, table.hlc)];
    Message::Frame(Frame::Compared(Answer { ask: asked(table, key, which), applied, told }))
}

fn relayed(frame: &Rows) -> Message {
    Message::Frame(Frame::Relayed(Relayed {
        origin: frame.origin,
        after: frame.after,
        through: frame.through,
        rows: frame.rows.clone(),
        covers: vec![frame.rows[0].key.table],
        needs: frame.applied.clone(),
        settled: true,
        ask: 5,
        revision: Some(7),
    }))
}

/// What a bucket has, listed and as rows.
fn found(stamp: Stamp, key: &PrimaryKey, kept: Version) -> [Message; 2] {
    let items = vec![Listed { key: key.clone(), versions: vec![(stamp, 3 << 100)] }];
    let versions = Told::Versions { items, next: Some(key.clone()) };
    let kept = Kept { seen: kept.context.clone(), versions: vec![kept] };
    let rows = Told::Rows(vec![None, Some(kept)]);
    [compared(stamp, key, 1, versions), compared(stamp, key, 2, rows)]
}

fn samples() -> Vec<(&'static str, Message)> {
    let stamp =
        Stamp { hlc: Hlc::from_parts(1_700_000_000_000, 7), origin: Origin::new(slot(1), 3) };
    let primary = PrimaryKey { partition: KeyValue::S("user".to_owned()), sort: None };
    let item = Attributes::from([
        ("id".to_owned(), AttributeValue::S("user".to_owned())),
        ("visits".to_owned(), AttributeValue::N(Number::from(3))),
    ]);
    let context = VersionVector::from_entries([(stamp.origin, stamp.hlc)]);
    let origins = Origins { conditional: true, rows: 2, epoch: 1, place: Place(3), expired: false };
    let live = Version { stamp, context, body: Body::live(item), origins };
    let dead = Version { body: Body::Tombstone, origins: Origins::PLAIN, ..live.clone() };
    let key = ItemKey { table: TableId(stamp), primary: primary.clone() };
    let kept = live.clone();
    let rows = |version| vec![Row { key: key.clone(), version }];
    let hello = Hello {
        protocol: PROTOCOL,
        cluster: *b"0123456789abcdef",
        slot: slot(1),
        incarnation: 3,
        region: "us-east-1".to_owned(),
    };
    let frame = Rows {
        origin: stamp.origin,
        after: Hlc::from_parts(1_699_999_999_000, 0),
        through: stamp.hlc,
        end: stamp.hlc,
        rows: rows(live),
        applied: vec![(Origin::new(slot(0), 1), Hlc::from_parts(1_699_999_999_999, 1))],
        sent_wall_ms: 1_700_000_000_001,
    };
    let copied = Copied {
        table: TableId(stamp),
        after: None,
        ready: true,
        generation: 3,
        rows: rows(dead),
        next: Some(primary.clone()),
        collected: VersionVector::from_entries([(stamp.origin, stamp.hlc)]),
    };
    let terms = Terms { streams: 4, compression: Compression::Zstd };
    let reply = HelloReply { slot: slot(2), incarnation: 5, link: 0x0123_4567_89ab_cdef, terms };
    let copy = Request::Copy { table: TableId(stamp), after: Some(primary.clone()) };
    let relay = Request::Relay { origin: stamp.origin, after: frame.after, ask: 5 };
    let relayed = relayed(&frame);
    let [compared_versions, compared_rows] = found(stamp, &primary, kept);
    vec![
        ("hello", Message::Hello(hello)),
        ("open", Message::Open(Terms { compression: Compression::Off, ..terms })),
        ("join", Message::Join { link: reply.link, stream: 3 }),
        ("hello_reply", Message::HelloReply(reply)),
        ("refused", Message::Refused { reason: "who are you?".to_owned() }),
        ("subscribe", Message::Request(Request::Subscribe { after: stamp.hlc })),
        ("copy", Message::Request(copy)),
        ("relay", Message::Request(relay)),
        ("rows", Message::Frame(Frame::Rows(frame))),
        ("copied", Message::Frame(Frame::Copied(copied))),
        ("compare", Message::Request(Request::Compare(asked(stamp, &primary, 1)))),
        ("compare_rows", Message::Request(Request::Compare(asked(stamp, &primary, 2)))),
        ("compare_damage", Message::Request(Request::Compare(asked(stamp, &primary, 3)))),
        ("compared", compared(stamp, &primary, 0, Told::Fingerprints(vec![1, 2 << 100]))),
        ("compared_versions", compared_versions),
        ("compared_rows", compared_rows),
        ("compared_damage", compared(stamp, &primary, 3, Told::Damage(vec![4 << 100]))),
        ("relayed", relayed),
        ("ping", Message::Ping { t_us: 1_000_000 }),
        ("pong", Message::Pong { t_us: 1_000_000, wall_ms: 1_700_000_000_000 }),
        ("alive", Message::Alive),
    ]
}

/// A change here is a change of what regions of different releases say to each other: it needs a
/// new protocol number. `PANGEA_BLESS=1` writes the files.
#[test]
fn the_bytes_are_golden() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/peer");
    for (name, message) in samples() {
        let bytes = encode(&message).expect("short");
        let text = data_encoding::HEXLOWER.encode(&bytes) + "\n";
        let path = directory.join(name).with_extension("hex");
        if std::env::var_os("PANGEA_BLESS").is_some() {
            std::fs::write(&path, &text).expect("writable");
        }
        assert_eq!(std::fs::read_to_string(&path).ok(), Some(text), "{}", path.display());
        assert_eq!(decode(&bytes[PREFIX_BYTES..]), Ok(message), "{name}");
    }
}

#[test]
fn the_head_of_an_envelope_is_golden() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/peer");
    let heads = [
        ("sealed", Head { number: 7, plain: None }),
        ("sealed-zstd", Head { number: u64::MAX, plain: Some(1_000_000) }),
    ];
    for (name, head) in heads {
        let bytes = envelope::head(head, b"message");
        let text = data_encoding::HEXLOWER.encode(&bytes) + "\n";
        let path = directory.join(name).with_extension("hex");
        if std::env::var_os("PANGEA_BLESS").is_some() {
            std::fs::write(&path, &text).expect("writable");
        }
        assert_eq!(std::fs::read_to_string(&path).ok(), Some(text), "{}", path.display());
        let (prefix, rest) = bytes.split_first_chunk().expect("a prefix");
        assert_eq!(payload_length(*prefix, 21), Ok(HEAD_BYTES + 7));
        assert_eq!(envelope::parse_head(rest.try_into().expect("a head")), Ok(head));
    }
}

#[test]
fn the_head_of_an_envelope_is_checked() {
    let head = envelope::head(Head { number: 1, plain: Some(9) }, b"");
    let parse = |at: usize, byte: u8| {
        let mut bytes = [0; HEAD_BYTES];
        bytes.copy_from_slice(&head[PREFIX_BYTES..]);
        bytes[at] = byte;
        envelope::parse_head(bytes)
    };
    assert_eq!(parse(0, PROTOCOL), Ok(Head { number: 1, plain: Some(9) }));
    assert_eq!(parse(0, 1), Err(MessageError::Protocol(1)));
    assert!(matches!(parse(1, 6), Err(MessageError::Malformed(_))));
    assert!(matches!(parse(10, 0xff), Err(MessageError::TooLong { .. })));
}

#[test]
fn a_link_has_a_stream_at_least() {
    let terms = Terms { streams: 0, compression: Compression::Off };
    let bytes = encode(&Message::Open(terms)).expect("short");
    assert!(matches!(decode(&bytes[PREFIX_BYTES..]), Err(MessageError::Malformed(_))));
}

#[test]
fn what_was_encoded_is_decoded() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for _ in 0..2_000 {
        let message = random.message();
        let bytes = encode(&message).expect("short");
        let (prefix, payload) = bytes.split_first_chunk().expect("a prefix");
        assert_eq!(payload_length(*prefix, FRAME_BYTES_MAX), Ok(payload.len()));
        assert_eq!(decode(payload), Ok(message));
    }
}

/// Mutations of valid messages: no panic, and whatever is accepted is canonical.
#[test]
fn garbage_is_refused_or_canonical() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let good: Vec<Vec<u8>> = samples().iter().map(|(_, m)| encode(m).expect("short")).collect();
    for round in 0..20_000 {
        let mut bytes = good[round % good.len()][PREFIX_BYTES..].to_vec();
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len());
            bytes[at] = random.byte();
        }
        if random.below(4) == 0 {
            bytes.truncate(random.below(bytes.len()));
        }
        let Ok(message) = decode(&bytes) else { continue };
        let again = encode(&message).expect("short");
        // A hello or refusal of another protocol is read, but written with this one's marker.
        assert_eq!(again[PREFIX_BYTES + 1..], bytes[1..]);
    }
}

#[test]
fn lengths_are_limited_before_anything_is_allocated() {
    let error = MessageError::TooLong { length: 0x5353_482d, max: FRAME_BYTES_MAX };
    assert_eq!(payload_length(*b"SSH-", FRAME_BYTES_MAX), Err(error));
    assert_eq!(payload_length([0, 0, 0, 9], 9), Ok(9));
}

#[test]
fn another_protocol_is_named_but_may_still_introduce_itself() {
    let payload = |message: &Message| {
        let mut bytes = encode(message).expect("short");
        bytes[PREFIX_BYTES] = PROTOCOL + 1;
        bytes.split_off(PREFIX_BYTES)
    };
    let samples = samples();
    assert!(matches!(decode(&payload(&samples[0].1)), Ok(Message::Hello(_))));
    assert!(matches!(decode(&payload(&samples[4].1)), Ok(Message::Refused { .. })));
    assert_eq!(decode(&payload(&samples[3].1)), Err(MessageError::Protocol(PROTOCOL + 1)));
}

/// What a build of protocol 1 sends first: it must be understood well enough to be refused.
#[test]
fn a_hello_of_an_older_protocol_is_read() {
    let golden = include_str!("golden/peer/hello-v1.hex");
    let bytes = data_encoding::HEXLOWER.decode(golden.trim().as_bytes()).expect("digits");
    let Ok(Message::Hello(hello)) = decode(&bytes[PREFIX_BYTES..]) else { panic!("a hello") };
    assert_eq!((hello.protocol, hello.region.as_str()), (1, "us-east-1"));
}
