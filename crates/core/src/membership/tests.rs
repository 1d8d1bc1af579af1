//! Voices round-trip, and whatever is heard in whatever order, one change is decided a generation.

use alloc::vec::Vec;
use std::vec;

use super::*;
use crate::id::TableId;
use crate::item::Attributes;
use crate::time::Hlc;

fn slot(index: u8) -> RegionSlot {
    RegionSlot::new(index).expect("small slot")
}

fn evict(index: u8) -> Change {
    Change { slot: slot(index), what: What::Evict { automatic: false } }
}

fn three() -> Membership {
    Membership::founders((0..3).map(slot))
}

/// The repository's usual small generator: splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((word ^ (word >> 31)) % bound as u64).expect("small")
    }
}

#[test]
fn a_voice_round_trips() {
    let mut membership = three();
    let changes = [
        evict(1),
        Change { slot: slot(1), what: What::Rejoin { life: 1023 } },
        Change { slot: slot(3), what: What::Add },
        Change { slot: slot(2), what: What::Suspend { automatic: true } },
    ];
    for change in changes {
        membership = membership.after(change).expect("applies");
        let ballot = Ballot { round: 7, slot: slot(2) };
        let had = [(Origin::new(slot(1), 1), Hlc::from_parts(5, 5))].into();
        let voice = Voice {
            membership: membership.clone(),
            promised: Some(ballot),
            accepted: Some((ballot, change)),
            proposed: Some((ballot, Some(change))),
            had,
            held: [(Origin::new(slot(1), 3), Vec::from([TableId::LEDGER]))].into(),
            claims: [(Origin::new(slot(1), 1), Claim { newest: Hlc::MAX, revision: 3 })].into(),
        };
        assert_eq!(decode(&voice.to_attributes()), Some(voice.clone()));
        let voice = Voice { accepted: None, proposed: Some((ballot, None)), ..voice };
        assert_eq!(decode(&voice.to_attributes()), Some(voice));
    }
    assert_eq!(slot_of(&key(slot(5)).primary), Some(slot(5)));
    assert_eq!(decode(&Attributes::default()), None);
}

#[test]
fn a_state_is_left_only_for_those_that_follow() {
    let evicted = three().after(evict(1)).expect("applies");
    assert!(evicted.is_gone(slot(1)) && !evicted.admits(Origin::new(slot(1), 1)));
    assert_eq!(evicted.voters().collect::<Vec<_>>(), [slot(0), slot(2)]);
    assert_eq!(evicted.after(evict(1)), Err(Inapplicable::State(slot(1), RegionState::Evicted)));
    let rejoin = |life| Change { slot: slot(1), what: What::Rejoin { life } };
    let back = evicted.after(rejoin(2)).expect("applies");
    assert!(back.admits(Origin::new(slot(1), 2)) && !back.admits(Origin::new(slot(1), 1)));
    assert_eq!((back.since(slot(1)), back.voters().count()), (2, 2));
    let again = back.after(evict(1)).expect("applies");
    assert_eq!(again.after(rejoin(2)), Err(Inapplicable::Life(slot(1), 2)));
    assert!(again.after(rejoin(3)).is_ok());
}

#[test]
fn the_last_one_cannot_give_up_everyone() {
    let two = three().after(evict(1)).expect("applies");
    // A majority of two is both, and the victim's own voice does not count.
    assert_eq!(two.majority(), 2);
    assert!(!two.counts(slot(2), evict(2)));
    let leave = |index| Change { slot: slot(index), what: What::Leave };
    let one = two.after(leave(2)).expect("applies");
    assert_eq!(one.after(leave(0)), Err(Inapplicable::Last(slot(0))));
    assert_eq!(one.after(evict(0)), Err(Inapplicable::Last(slot(0))));
}

#[test]
fn the_last_one_that_serves_is_not_suspended() {
    let suspend = |index| Change { slot: slot(index), what: What::Suspend { automatic: false } };
    let one = three().after(suspend(0)).and_then(|two| two.after(suspend(1))).expect("apply");
    assert_eq!(one.after(suspend(2)), Err(Inapplicable::LastActive(slot(2))));
    let back = Change { slot: slot(0), what: What::Resume };
    assert!(one.after(back).and_then(|two| two.after(suspend(2))).is_ok());
}

/// Regions that hear each other's voices late, never, or again: what each has heard of each.
struct Parley {
    slots: Vec<RegionSlot>,
    heard: Vec<Voices>,
    wanted: Vec<Option<Change>>,
    random: Random,
}

impl Parley {
    fn new(regions: u8, seed: u64) -> Self {
        let slots: Vec<RegionSlot> = (0..regions).map(slot).collect();
        let membership = Membership::founders(slots.iter().copied());
        let voice = Voice { membership, ..Voice::default() };
        let heard = slots.iter().map(|&me| [(me, voice.clone())].into()).collect();
        let wanted = vec![None; slots.len()];
        Self { slots, heard, wanted, random: Random(seed) }
    }

    /// One region hears another, proposes anew, or says what is next.
    fn step(&mut self) {
        let at = self.random.below(self.slots.len());
        let me = self.slots[at];
        match self.random.below(8) {
            0 => {
                let own = self.heard[at][&me].clone();
                if self.wanted[at].is_some() && own.membership.generation == 0 {
                    let next = own.propose(me, &self.heard[at]);
                    self.heard[at].insert(me, next);
                }
            }
            1..=4 => {
                let other = self.random.below(self.slots.len());
                let told = self.heard[other][&self.slots[other]].clone();
                self.heard[at].insert(self.slots[other], told);
            }
            _ => {
                if let Some(next) = Voice::turn(me, &self.heard[at], self.wanted[at], |_| true) {
                    self.heard[at].insert(me, next);
                }
            }
        }
    }

    fn memberships(&self) -> Vec<&Membership> {
        let own = self.slots.iter().zip(&self.heard).map(|(me, heard)| &heard[me].membership);
        own.collect()
    }
}

#[test]
fn two_opposed_evictions_are_never_both_decided() {
    let mut decided = [0; 2];
    for seed in 0..300 {
        let regions = if seed % 2 == 0 { 3 } else { 5 };
        let mut parley = Parley::new(regions, seed);
        parley.wanted[0] = Some(evict(1));
        parley.wanted[1] = Some(evict(0));
        for _ in 0..400 {
            parley.step();
            let mut first = None;
            for membership in parley.memberships().into_iter().filter(|it| it.generation == 1) {
                let known = first.get_or_insert(membership);
                assert_eq!(*known, membership, "seed {seed}");
            }
        }
        for membership in parley.memberships() {
            match membership.last {
                Some(last) if last == evict(1) => decided[0] += 1,
                Some(_) => decided[1] += 1,
                None => {}
            }
        }
    }
    assert!(decided.iter().all(|count| *count > 100), "both get through: {decided:?}");
}

#[test]
fn the_founders_must_be_the_same_to_be_heard() {
    let mut parley = Parley::new(3, 1);
    parley.wanted[0] = Some(evict(2));
    let own = parley.heard[0][&slot(0)].clone();
    let proposal = own.propose(slot(0), &parley.heard[0]);
    let stranger = Membership::founders((0..5).map(slot));
    let voices: Voices =
        [(slot(0), proposal), (slot(1), Voice { membership: stranger, ..Voice::default() })].into();
    assert_eq!(Voice::turn(slot(1), &voices, None, |_| true), None);
}
