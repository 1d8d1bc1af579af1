//! Questions about items and their answers: golden files, round trips, garbage.

use std::path::PathBuf;

use pangea_codec::versions::{
    VersionsError, decode_answer, decode_question, encode_answer, encode_question,
};
use pangea_core::id::{Origin, RegionSlot, TableId};
use pangea_core::item::{AttributeValue, ItemKey, KeyValue, PrimaryKey};
use pangea_core::limits::BATCH_GET_KEYS_MAX;
use pangea_core::merge::{Body, Stored, Version, VersionVector};
use pangea_core::time::{Hlc, Stamp};

fn stamp() -> Stamp {
    let slot = RegionSlot::new(1).expect("small");
    Stamp { hlc: Hlc::from_parts(1_700_000_000_000, 7), origin: Origin::new(slot, 3) }
}

fn key(name: &str) -> ItemKey {
    let primary = PrimaryKey { partition: KeyValue::S(name.to_owned()), sort: None };
    ItemKey { table: TableId(stamp()), primary }
}

fn stored() -> Stored {
    let item = [("id".to_owned(), AttributeValue::S("a".to_owned()))].into();
    Stored::single(Version::first(stamp(), Body::live(item)))
}

fn applied() -> VersionVector {
    VersionVector::from_entries([(stamp().origin, stamp().hlc)])
}

fn samples() -> (Vec<ItemKey>, [Vec<u8>; 2]) {
    let keys = vec![key("a"), key("b")];
    let rows = [(&keys[0].primary, Some(&stored())), (&keys[1].primary, None)]
        .map(|(key, stored)| (key.clone(), stored.cloned()));
    let rows = rows.iter().map(|(key, stored)| (key, stored.as_ref()));
    let answer = encode_answer(&applied(), rows);
    let question = encode_question(RegionSlot::new(2).expect("small"), &keys);
    (keys, [question, answer])
}

/// A change here is a change of what regions of different releases say to each other: it needs
/// another format. `PANGEA_BLESS=1` writes the file.
#[test]
fn the_bytes_are_golden() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/versions-v1.hex");
    let (keys, [question, answer]) = samples();
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes) + "\n";
    let text = hex(&question) + &hex(&answer);
    if std::env::var_os("PANGEA_BLESS").is_some() {
        std::fs::write(&path, &text).expect("writable");
    }
    assert_eq!(std::fs::read_to_string(&path).ok(), Some(text), "{}", path.display());
    let asker = RegionSlot::new(2).expect("small");
    assert_eq!(decode_question(&question), Ok((asker, keys.clone())));
    assert_eq!(decode_answer(&answer, &keys), Ok((applied(), vec![Some(stored()), None])));
}

#[test]
fn an_answer_to_another_question_is_refused() {
    let (keys, [_, answer]) = samples();
    assert_eq!(decode_answer(&answer, &keys[..1]), Err(VersionsError::Misplaced));
    let swapped = [keys[1].clone(), keys[0].clone()];
    assert_eq!(decode_answer(&answer, &swapped), Err(VersionsError::Misplaced));
    let many: Vec<ItemKey> = (0..=BATCH_GET_KEYS_MAX).map(|n| key(&n.to_string())).collect();
    let question = encode_question(RegionSlot::new(2).expect("small"), &many);
    assert_eq!(decode_question(&question), Err(VersionsError::TooMany(many.len())));
}

#[test]
fn garbage_is_refused_without_a_panic() {
    let (keys, good) = samples();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |limit: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % limit as u64).expect("below a usize")
    };
    for round in 0..20_000 {
        let mut bytes = good[round % 2].clone();
        let at = below(bytes.len());
        bytes[at] = u8::try_from(below(256)).expect("a byte");
        bytes.truncate(below(bytes.len() + 1));
        // No panic, whatever it says.
        let _ = decode_question(&bytes);
        let _ = decode_answer(&bytes, &keys);
    }
}
