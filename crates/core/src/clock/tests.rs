use alloc::vec;

use super::*;

const WALL_MS: u64 = 1_700_000_000_000;

fn slot(index: u8) -> RegionSlot {
    RegionSlot::new(index).expect("small")
}

/// A region whose wall clock is off, and peers whose clocks are.
struct Bench {
    discipline: Discipline,
    mono_ms: u64,
    off_ms: i64,
    peers: Vec<i64>,
}

impl Bench {
    fn new(peers: &[i64]) -> Self {
        let discipline = Discipline::new(Config::DEFAULT);
        Self { discipline, mono_ms: 5_000, off_ms: 0, peers: peers.to_vec() }
    }

    /// True time goes on; peers are heard; how far from true time stamps are, ms.
    fn after(&mut self, ms: u64) -> i64 {
        self.mono_ms += ms;
        let mono_us = self.mono_ms * 1000;
        for (slot_at, off_ms) in (1..).zip(&self.peers) {
            let peer_wall_us = (WALL_MS + self.mono_ms).saturating_add_signed(*off_ms) * 1000;
            let sample = Sample { peer_wall_us, mono_us, round_trip_us: 2_000 };
            self.discipline.hear(slot(slot_at), sample);
        }
        self.read()
    }

    fn read(&mut self) -> i64 {
        let truth = WALL_MS + self.mono_ms;
        let wall_ms = truth.saturating_add_signed(self.off_ms);
        let now = Now { wall_ms, mono_us: self.mono_ms * 1000 };
        let given = self.discipline.read(now).0;
        assert_eq!(given.mono_us, now.mono_us);
        i64::try_from(given.wall_ms).expect("small") - i64::try_from(truth).expect("small")
    }
}

#[test]
fn a_good_clock_is_followed_as_it_slews() {
    let mut bench = Bench::new(&[0, 3]);
    for off_ms in 0..400 {
        bench.off_ms = off_ms;
        assert_eq!(bench.after(10), off_ms);
        assert_eq!(bench.discipline.verdict(), Verdict::Good);
    }
}

#[test]
fn a_step_is_not_followed_until_peers_show_that_it_was_a_correction() {
    let mut bench = Bench::new(&[0, 0]);
    assert_eq!(bench.after(10), 0);
    bench.off_ms = 600_000;
    assert_eq!(bench.after(10), 0, "time goes on as before");
    assert_eq!(bench.discipline.verdict(), Verdict::Stepped { ms: 600_000 });
    bench.off_ms = -600_000;
    assert_eq!(bench.after(10), 0);
    assert_eq!(bench.discipline.verdict(), Verdict::Stepped { ms: -600_000 });
    bench.off_ms = 1;
    assert_eq!(bench.after(10), 1, "it stepped back");
    assert_eq!(bench.discipline.verdict(), Verdict::Good);

    let mut wrong = Bench::new(&[]);
    wrong.off_ms = 400;
    assert_eq!(wrong.after(10), 400);
    wrong.off_ms = 0;
    assert_eq!(wrong.after(10), 400, "nobody is heard");
    wrong.peers = vec![0, 0];
    assert_eq!(wrong.after(10), 0, "the step was right");
}

#[test]
fn without_peers_the_wall_clock_is_what_it_says() {
    let mut bench = Bench::new(&[]);
    bench.discipline = Discipline::new(Config { has_peers: false, ..Config::DEFAULT });
    assert_eq!(bench.after(10), 0);
    bench.off_ms = -3_600_000;
    assert_eq!(bench.after(10), -3_600_000);
    assert_eq!(bench.discipline.verdict(), Verdict::Good);
}

#[test]
fn a_clock_that_began_wrong_stays_within_the_bound_of_its_peers() {
    let half = i64::try_from(CLOCK_SKEW_MS_MAX / 2).expect("small");
    for (peers, off_ms, given, refuses) in [
        (&[0, 0][..], 500, 500, false),
        (&[0, 0], 2_000, half, false),
        (&[0, 0], 60_000, half, true),
        (&[0, 0], -60_000, -half, false),
        // One of two may be wrong itself; who is ahead of one only is not wrong for sure.
        (&[0, 60_000], 60_000, 60_000, false),
        (&[0], 60_000, half, false),
        (&[0, 60_000], 0, 0, false),
        (&[0, 60_000], 30_000, 30_000, false),
        (&[0, 60_000], -30_000, -half, false),
        (&[0, 60_000], 90_000, 60_000 + half, true),
        (&[60_000], 0, 0, false),
        (&[], 60_000, 60_000, false),
    ] {
        let mut bench = Bench::new(peers);
        bench.off_ms = off_ms;
        assert_eq!(bench.after(10), given, "{peers:?} {off_ms}");
        assert_eq!(bench.discipline.verdict().refuses(), refuses, "{peers:?} {off_ms}");
    }
}

#[test]
fn a_transition_is_told_once() {
    let mut bench = Bench::new(&[0, 0]);
    bench.after(1);
    let mut told = Vec::new();
    for wall in [0, 700_000, 700_050, 700_000, 0, 0] {
        bench.mono_ms += 1;
        let wall_ms = WALL_MS + bench.mono_ms + wall;
        let now = Now { wall_ms, mono_us: bench.mono_ms * 1000 };
        told.extend(bench.discipline.read(now).1);
    }
    assert_eq!(told, [Verdict::Stepped { ms: 700_000 }, Verdict::Good]);
}

#[test]
fn offsets_are_of_the_wall_clock_and_grow_old() {
    let mut bench = Bench::new(&[40, -7]);
    bench.off_ms = 5;
    bench.after(10);
    let at_us = bench.mono_ms * 1000;
    let offsets = bench.discipline.offsets(at_us);
    assert_eq!(offsets[&slot(1)], Offset { ms: 35, error_ms: 1 });
    assert_eq!(offsets[&slot(2)], Offset { ms: -12, error_ms: 1 });
    assert_eq!(bench.discipline.offsets(at_us + SAMPLE_AGE_US_MAX + 1), BTreeMap::new());
}
