use pangea_codec::peer::envelope::HEAD_BYTES;

use super::*;

fn round_trip(press: &mut Press, payload: &[u8]) -> (Option<usize>, usize) {
    let message = [&[0; PREFIX_BYTES], payload].concat();
    let envelope = press.seal(3, &message).expect("sealed");
    let (head, bytes) = envelope[PREFIX_BYTES..].split_first_chunk::<HEAD_BYTES>().expect("a head");
    let head = envelope::parse_head(*head).expect("a head");
    assert_eq!(head.number, 3);
    let sealed = Sealed { plain: head.plain, bytes: bytes.to_vec() };
    let opened = Unpress::new().expect("memory").open(sealed).expect("what was sealed");
    assert_eq!(opened, payload);
    (head.plain, bytes.len())
}

fn random(bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    getrandom::fill(&mut out).expect("random");
    out
}

#[test]
fn what_becomes_shorter_is_compressed() {
    let mut press = Press::new(Some(1)).expect("memory");
    let payload = b"the same again and again".repeat(1000);
    let (plain, bytes) = round_trip(&mut press, &payload);
    assert_eq!(plain, Some(payload.len()));
    assert!(bytes < payload.len() / 100, "{bytes} of {}", payload.len());
    assert_eq!(round_trip(&mut press, b"short"), (None, 5));
    let mut off = Press::new(None).expect("nothing");
    assert_eq!(round_trip(&mut off, &payload), (None, payload.len()));
}

#[test]
fn what_does_not_travels_as_it_is_and_is_not_tried_for_a_while() {
    let mut press = Press::new(Some(1)).expect("memory");
    assert_eq!(round_trip(&mut press, &random(10_000)), (None, 10_000));
    let text = vec![b'a'; 10_000];
    for _ in 0..SKIPPED {
        assert_eq!(round_trip(&mut press, &text).0, None);
    }
    assert_eq!(round_trip(&mut press, &text).0, Some(10_000));
}

#[test]
fn garbage_is_refused_within_the_announced_length() {
    let mut press = Press::new(Some(1)).expect("memory");
    let message = [vec![0; PREFIX_BYTES], vec![b'a'; 100_000]].concat();
    let good = press.seal(0, &message).expect("sealed")[PREFIX_BYTES + HEAD_BYTES..].to_vec();
    let mut unpress = Unpress::new().expect("memory");
    let mut open =
        |plain, bytes: &[u8]| unpress.open(Sealed { plain: Some(plain), bytes: bytes.to_vec() });
    assert!(open(100_000, &good).is_ok());
    assert!(open(99_999, &good).is_err(), "it is longer than announced");
    assert!(open(100_001, &good).is_err(), "it is shorter than announced");
    assert!(open(100_000, &good[..good.len() - 1]).is_err());
    assert!(open(1000, &random(500)).is_err());
    assert!(open(100_000, &good).is_ok(), "and goes on");
}
