use super::*;

#[test]
fn moments_are_whole_seconds() {
    let cases = [
        ("0", Some(0)),
        ("1700000000", Some(1_700_000_000)),
        ("1.7e9", Some(1_700_000_000)),
        ("1700000000.9", Some(1_700_000_000)),
        ("1e-130", Some(0)),
        ("-1", None),
        ("1e20", None),
        ("9.9e125", None),
    ];
    for (text, wanted) in cases {
        assert_eq!(whole(Number::parse(text).expect("a number")), wanted, "{text}");
    }
}

#[test]
fn what_expired_long_ago_did_not_expire() {
    let now_ms = 1_700_000_000_999;
    assert!(has_expired(1_700_000_000, now_ms));
    assert!(!has_expired(1_700_000_001, now_ms));
    assert!(has_expired(1_700_000_000 - OLDEST_S, now_ms));
    assert!(!has_expired(1_700_000_000 - OLDEST_S - 1, now_ms));
    assert!(!has_expired(5, now_ms), "a counter is no moment");
}
