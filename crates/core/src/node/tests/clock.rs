//! A node whose wall clock is wrong.

use super::*;
use crate::clock::{self, Sample, Verdict};

/// The node hears peers whose clocks show `ms`.
fn hear(region: &mut Region, ms: u64, mono_ms: u64, peers: u8) {
    for peer in 1..=peers {
        let (peer_wall_us, mono_us) = (ms * 1000, mono_ms * 1000);
        let sample = Sample { peer_wall_us, mono_us, round_trip_us: 2_000 };
        region.handle(mono_ms, Event::Heartbeat { peer: slot(peer), sample });
    }
}

/// `at` gives wall and monotonic time alike, so the clock is ahead by what the peers are behind.
#[test]
fn a_clock_far_ahead_of_two_peers_takes_no_writes_and_one_a_little_ahead_is_bounded() {
    let mut region = Region::new(0);
    region.node.clock = Some(Discipline::new(clock::Config::DEFAULT));
    let table = region.create(100_000);
    region.sync(100_000);

    hear(&mut region, 80_001, 100_001, 1);
    assert!(!region.node.verdict().refuses(), "one peer may be wrong itself");
    hear(&mut region, 80_002, 100_002, 2);
    assert_eq!(region.node.verdict(), Verdict::Off { ms: 20_000, sure: true, refuses: true });
    assert_eq!(region.node.offsets(at(100_002))[&slot(1)].ms, -20_000);
    region.replies.clear();
    region.put(100_003, table, "v");
    assert_eq!(region.replies, [Outcome::Skewed { ms: 20_000 }]);
    assert_eq!(region.newest, None, "nothing is written");

    // The peers were wrong: they step, and it takes writes again.
    hear(&mut region, 100_004, 100_004, 2);
    assert_eq!(region.node.verdict(), Verdict::Good);
    region.replies.clear();
    region.put(100_005, table, "v");
    region.sync(100_005);
    assert!(matches!(region.replies[..], [Outcome::Written { stamp: Some(_), .. }]));
    let told: Vec<_> = region.traces.iter().filter(|it| matches!(it, Trace::Clock(_))).collect();
    assert_eq!(told.len(), 3, "each transition once: {told:?}");
}
