//! Session tokens: a golden file, round trips, and everything that is no token.

use std::path::PathBuf;

use pangea_codec::session::{Key, TOKEN_CHARS_MAX, TokenError, decode, encode};
use pangea_core::id::{Origin, RegionSlot};
use pangea_core::limits::SESSION_ORIGINS_MAX;
use pangea_core::merge::VersionVector;
use pangea_core::time::Hlc;

const CLUSTER: &[u8; 16] = b"the test cluster";

/// Marsaglia's xorshift: repeatable, and no dependency.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("below a usize")
    }

    fn vector(&mut self, entries: usize) -> VersionVector {
        let entry = |random: &mut Self| {
            let bits = u16::try_from(random.below(1 << 16)).expect("16 bits");
            (Origin::from_bits(bits), Hlc::from_bits(random.next().max(1)))
        };
        VersionVector::from_entries((0..entries).map(|_| entry(self)))
    }
}

fn key() -> Key {
    Key::derive(b"a secret of the cluster")
}

fn three_regions() -> VersionVector {
    let region = |slot, life, ms, counter| {
        let slot = RegionSlot::new(slot).expect("small");
        (Origin::new(slot, life), Hlc::from_parts(ms, counter))
    };
    VersionVector::from_entries([
        region(0, 1, 1_700_000_000_000, 7),
        region(1, 900, 1_700_000_000_040, 0),
        region(2, 3, 1_699_999_990_000, 65_535),
    ])
}

/// A change here is a change of what clients keep: it needs a new version. `PANGEA_BLESS=1` writes
/// the file.
#[test]
fn the_bytes_are_golden() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/session-v1.txt");
    let tokens = [VersionVector::default(), three_regions()];
    let text: String = tokens.iter().map(|seen| encode(&key(), CLUSTER, seen) + "\n").collect();
    if std::env::var_os("PANGEA_BLESS").is_some() {
        std::fs::write(&path, &text).expect("writable");
    }
    assert_eq!(std::fs::read_to_string(&path).ok(), Some(text.clone()), "{}", path.display());
    for (line, seen) in text.lines().zip(tokens) {
        assert_eq!(decode(&key(), CLUSTER, line.as_bytes()), Ok(seen));
    }
    assert!(text.lines().all(|line| line.len() < 80), "{text}");
}

#[test]
fn what_was_encoded_is_decoded() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for entries in (0..=SESSION_ORIGINS_MAX).cycle().take(1_000) {
        let seen = random.vector(entries);
        let token = encode(&key(), CLUSTER, &seen);
        assert!(token.len() <= TOKEN_CHARS_MAX);
        assert_eq!(decode(&key(), CLUSTER, token.as_bytes()), Ok(seen));
    }
}

#[test]
fn every_change_of_a_token_is_refused() {
    let token = encode(&key(), CLUSTER, &three_regions()).into_bytes();
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=. ";
    for at in 0..token.len() {
        for &other in alphabet.iter().filter(|&&other| other != token[at]) {
            let mut forged = token.clone();
            forged[at] = other;
            assert!(decode(&key(), CLUSTER, &forged).is_err(), "{at} {other}");
        }
    }
}

#[test]
fn the_kind_of_what_is_wrong_is_told() {
    let token = encode(&key(), CLUSTER, &three_regions());
    let kind = |token: &[u8]| decode(&key(), CLUSTER, token).expect_err("no token");
    for length in 0..token.len() {
        let told = kind(&token.as_bytes()[..length]);
        assert!(matches!(told, TokenError::Malformed | TokenError::Truncated), "{length}: {told}");
    }
    assert_eq!(kind((token.clone() + "AAAA").as_bytes()), TokenError::Truncated);
    assert_eq!(kind(b"not a token"), TokenError::Malformed);
    assert_eq!(kind(&vec![b'A'; TOKEN_CHARS_MAX + 4]), TokenError::Malformed);
    assert_eq!(kind("é".as_bytes()), TokenError::Malformed);
    assert_eq!(kind(b"AgAAAAAA"), TokenError::Version(2));
    let mut middle = token.clone().into_bytes();
    middle[20] = if middle[20] == b'A' { b'B' } else { b'A' };
    assert_eq!(kind(&middle), TokenError::Forged);
    let stranger = b"another cluster!";
    assert_eq!(decode(&key(), stranger, token.as_bytes()), Err(TokenError::Cluster));
    // Of a cluster of the same name and another key.
    let other = Key::derive(b"another secret");
    assert_eq!(decode(&other, CLUSTER, token.as_bytes()), Err(TokenError::Forged));
    assert_eq!(format!("{other:?}"), "Key(..)");
}

#[test]
fn garbage_is_refused_without_a_panic() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let good = encode(&key(), CLUSTER, &three_regions()).into_bytes();
    for _ in 0..20_000 {
        let mut bytes = good.clone();
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len());
            bytes[at] = u8::try_from(random.below(256)).expect("a byte");
        }
        if random.below(3) == 0 {
            bytes.truncate(random.below(bytes.len()));
        }
        assert!(bytes == good || decode(&key(), CLUSTER, &bytes).is_err());
    }
}
