//! A checker that has never failed is not known to check: each planted bug must be found within a
//! fixed number of seeds, and the node without it must pass the very same seeds.

use std::ops::ControlFlow;

use pangea_core::crdt;
use pangea_core::node::Bug;
use pangea_sim::{
    Invariant, Knob, Options, Report, Trim, fitting, parse_spans, run, run_many, shrink,
};

/// The seeds from 1 on that break with the bug, up to the first; what it broke.
fn first_find(bug: Bug, seeds: u64) -> Option<Report> {
    first_find_from(1, bug, seeds)
}

fn first_find_from(first: u64, bug: Bug, seeds: u64) -> Option<Report> {
    find(first, bug, seeds, &fitting(bug))
}

fn find(first: u64, bug: Bug, seeds: u64, fitting: &Options) -> Option<Report> {
    let timeline_max = Some(5000);
    let options = Options { bug: Some(bug), timeline_max, ..fitting.clone() };
    let mut found = None;
    run_many(first, seeds, &options, |report| {
        if report.violation.is_none() {
            return ControlFlow::Continue(());
        }
        found = Some(report.clone());
        ControlFlow::Break(())
    });
    found
}

/// The bug is found within `seeds` seeds, by one of `by`, and is what broke them.
fn check(bug: Bug, seeds: u64, by: &[Invariant]) {
    check_from(1, bug, seeds, by);
}

/// The same of the seeds from `first` on: what one in a thousand shows is looked for where it is.
fn check_from(first: u64, bug: Bug, seeds: u64, by: &[Invariant]) {
    let report =
        first_find_from(first, bug, seeds).unwrap_or_else(|| panic!("{bug:?} is not found"));
    let violation = report.violation.as_ref().expect("a find is a violation");
    assert!(by.contains(&violation.invariant), "{bug:?} is found otherwise\n{report}");
    assert!(!violation.timeline.is_empty(), "a find has its timeline");
    assert!(report.to_string().contains(&format!("pangea sim --seed {}", report.seed)));
    for seed in first..=report.seed {
        let sound = run(seed, &fitting(bug));
        assert_eq!(sound.violation, None, "seed {seed} breaks without the bug");
    }
}

/// The same of one schedule that is left without these spans of operations and faults, and knobs:
/// what no seed shows whole.
fn check_trimmed(seed: u64, left_out: [&str; 3], bug: Bug, by: &[Invariant]) {
    let [operations, faults, without] = left_out;
    let spans = |text| parse_spans(text).expect("spans of numbers");
    let (operations, faults) = (spans(operations), spans(faults));
    let named = |word| Knob::ALL.iter().find(|(known, _)| *known == word).map(|(_, knob)| *knob);
    let without = without.split_whitespace().map(|word| named(word).expect("a knob")).collect();
    let trim = Trim { operations, faults, without };
    let sound = run(seed, &Options { trim: trim.clone(), ..fitting(bug) });
    assert_eq!(sound.violation, None, "seed {seed} breaks without the bug");
    let broken = run(seed, &Options { bug: Some(bug), trim, ..fitting(bug) });
    let violation = broken.violation.as_ref().unwrap_or_else(|| panic!("{bug:?} is not found"));
    assert!(by.contains(&violation.invariant), "{bug:?} is found otherwise\n{broken}");
}

#[test]
fn a_reply_before_durability_is_found() {
    check(Bug::ReplyBeforeDurable, 20, &[Invariant::DurableAck]);
}

#[test]
fn a_missing_tie_break_is_found() {
    check(Bug::NoRegionTieBreak, 200, &[Invariant::Convergence, Invariant::NothingVanishes]);
}

#[test]
fn places_ahead_of_their_rows_are_found() {
    check(Bug::AppliedAheadOfRows, 20, &[Invariant::Applied]);
}

#[test]
fn a_ledger_entry_outside_the_batch_is_found() {
    check(Bug::LedgerNotInBatch, 20, &[Invariant::NothingVanishes]);
}

#[test]
fn a_forgotten_context_is_found() {
    check(Bug::ContextForgotten, 20, &[Invariant::NothingVanishes, Invariant::Convergence]);
}

#[test]
fn a_forgotten_clock_is_found() {
    check(Bug::ClockForgotten, 200, &[Invariant::Identity, Invariant::DurableAck]);
}

#[test]
fn a_skipped_ledger_entry_is_found() {
    check(Bug::LedgerSkipped, 20, &[Invariant::NothingVanishes]);
}

#[test]
fn a_relayed_frame_that_acknowledges_is_found() {
    check(Bug::RelayAcknowledges, 200, &[Invariant::Applied]);
}

#[test]
fn relayed_rows_that_lack_a_table_are_found() {
    check(Bug::RelayTrusted, 2_000, &[Invariant::Applied, Invariant::Convergence]);
}

#[test]
fn a_given_up_life_that_is_heard_is_found() {
    check(Bug::FenceForgotten, 200, &[Invariant::Fencing]);
}

#[test]
fn a_voter_that_forgets_its_promise_is_found() {
    check(Bug::VotesTwice, 50, &[Invariant::Membership, Invariant::Liveness]);
}

#[test]
fn a_life_that_is_taken_again_is_found() {
    let by = [Invariant::Identity, Invariant::Applied, Invariant::Liveness];
    check(Bug::LifeReused, 50, &by);
}

#[test]
fn rows_of_a_lost_region_that_are_not_levelled_are_found() {
    check(Bug::LevellingForgotten, 1_000, &[Invariant::Liveness, Invariant::Convergence]);
}

#[test]
fn collecting_before_levelling_is_found() {
    check(Bug::CollectedBeforeLevelling, 4_000, &COLLECTING);
}

#[test]
fn what_nobody_claims_of_a_life_that_is_over_is_found() {
    check_from(401, Bug::UnclaimedWaitsForEver, 200, &[Invariant::Liveness]);
}

#[test]
fn what_a_life_that_is_over_acknowledges_is_found() {
    check_from(2_208, Bug::OverAcknowledges, 1, &[Invariant::Durability]);
}

#[test]
fn a_region_that_counts_on_what_others_have_levelled_of_it_is_found() {
    check_from(202, Bug::LevelledCounted, 1, &[Invariant::Durability]);
}

#[test]
fn a_life_that_is_over_and_passes_rows_on_is_found() {
    check_from(15_781, Bug::OverPassesOn, 10, &[Invariant::Convergence, Invariant::Applied]);
}

#[test]
fn an_index_that_is_being_emptied_is_found() {
    check_from(3_001, Bug::EmptyingIndexReady, 100, &[Invariant::Index]);
}

#[test]
fn rows_that_a_leaving_replica_leaves_out_are_found() {
    check_from(18_011, Bug::LeavesRowsOut, 10, &[Invariant::Applied]);
}

#[test]
fn cold_rows_that_were_passed_while_their_table_was_not_held_are_found() {
    check_from(18_261, Bug::UnheldPassed, 10, &[Invariant::Liveness]);
}

#[test]
fn rows_that_were_kept_beside_another_that_came_back_are_found() {
    check_from(101_980, Bug::RowsKeptBeside, 1, &[Invariant::Convergence]);
}

#[test]
fn a_failed_replica_that_leaves_again_and_again_is_found() {
    check_from(104_491, Bug::FailedLeaves, 1, &[Invariant::Liveness]);
}

#[test]
fn a_copy_from_a_region_that_lost_its_log_is_found() {
    check_from(122_041, Bug::LostLogCopied, 1, &[Invariant::Applied]);
}

#[test]
fn conflicts_that_a_leaving_replica_is_not_told_of_are_found() {
    let by = [Invariant::Convergence];
    check_trimmed(13_780, ["7", "", ""], Bug::LeavingUntoldOfConflicts, &by);
}

#[test]
fn rows_with_gaps_of_which_nobody_is_told_are_found() {
    let part = ["13,22", "0,5,8,11,14", ""];
    check_trimmed(5_677, part, Bug::UnsettledUntold, &[Invariant::Liveness]);
}

#[test]
fn what_only_one_that_comes_back_had_of_another_is_found() {
    let by = [Invariant::NothingVanishes];
    check_trimmed(15_793, ["", "", WITHOUT], Bug::BereftDropped, &by);
}

const WITHOUT: &str = "loss late skew bulk bursts sessions wide repairs rot ttl";

#[test]
fn a_claim_that_counts_for_a_table_copied_since_is_found() {
    let by = [Invariant::NothingVanishes];
    check_trimmed(15_793, ["", "", WITHOUT], Bug::ClaimTrusted, &by);
}

#[test]
fn what_a_region_had_that_lost_its_log_since_is_found() {
    let by = [Invariant::NothingVanishes];
    check_trimmed(21_101, ["", "", WITHOUT], Bug::SilenceTrusted, &by);
}

#[test]
fn a_replica_that_does_not_ask_who_has_come_back_is_found() {
    let by = [Invariant::Convergence];
    check_trimmed(6_313, ["", "", WITHOUT], Bug::ReturnedUnasked, &by);
}

#[test]
fn a_ledger_that_counts_as_what_is_here_of_a_life_that_is_over_is_found() {
    check_from(7_629, Bug::ClaimedByLedger, 1, &[Invariant::Fencing]);
}

#[test]
fn a_replica_that_does_not_wait_for_what_its_home_may_not_have_is_found() {
    check_from(13_550, Bug::PlacedUnawaited, 1, &[Invariant::NothingVanishes]);
}

#[test]
fn a_life_that_is_begun_twice_is_found() {
    check_from(22_144, Bug::LifeBegunTwice, 1, &[Invariant::Convergence]);
}

#[test]
fn what_a_region_has_that_lost_its_log_and_did_not_hear_of_an_end_is_found() {
    check_from(4_211, Bug::LostLogUnfenced, 1, &[Invariant::NothingVanishes]);
}

#[test]
fn a_change_of_a_table_that_is_undone_without_a_trace_is_found() {
    check_from(438, Bug::ChangeUndone, 1, &[Invariant::NothingVanishes]);
}

#[test]
fn a_change_that_is_undone_while_its_region_is_given_up_is_found() {
    check_from(1_030, Bug::ChangeUndone, 1, &[Invariant::NothingVanishes]);
}

#[test]
fn a_loser_recorded_elsewhere_that_had_overwritten_an_own_write_is_found() {
    check_from(13_828, Bug::LostHeirUntold, 1, &[Invariant::Durability]);
}

#[test]
fn what_is_aside_of_a_table_that_nobody_tells_of_and_goes_is_found() {
    // Where every sync takes a millisecond; the whole schedule runs otherwise under later rules.
    check_trimmed(265, ["", "", "sync"], Bug::UnheardDropped, &[Invariant::NothingVanishes]);
}

#[test]
fn what_waits_to_be_shown_of_a_life_that_is_over_is_found() {
    check_from(5_785, Bug::StageOutlivesLife, 1, &[Invariant::Fencing]);
}

#[test]
fn a_life_that_is_over_and_begins_to_serve_is_found() {
    let part = ["", "8", "bandwidth bulk"];
    check_trimmed(714, part, Bug::ServedWhenOver, &[Invariant::Applied]);
}

#[test]
fn a_region_that_lost_its_log_and_takes_rows_is_found() {
    check(Bug::LostLogTakesRows, 50, &[Invariant::Fencing]);
}

#[test]
fn a_lost_log_that_is_heard_of_too_late_to_vote_is_found() {
    check_from(16_094, Bug::LostLogUnheard, 1, &[Invariant::Membership]);
}

#[test]
fn conflicts_that_are_dropped_in_a_flood_are_found() {
    check(Bug::FloodDropped, 50, &[Invariant::NothingVanishes]);
}

#[test]
fn bugs_of_merging_attributes_are_found() {
    for bug in crdt::Bug::ALL {
        check(Bug::Crdt(bug), 2_000, &[Invariant::Merged]);
    }
}

#[test]
fn restricted_bytes_in_the_ledger_are_found() {
    check(Bug::LedgerUnplaced, 500, &[Invariant::Residency]);
}

#[test]
fn settings_that_are_not_waited_for_are_found() {
    check(Bug::EpochIgnored, 2_000, &[Invariant::Convergence, Invariant::NothingVanishes]);
}

#[test]
fn a_grace_period_for_tombstones_is_found() {
    check(Bug::CollectedByAge, 50, &COLLECTING);
}

#[test]
fn acknowledgements_beside_the_feed_are_found() {
    check(Bug::AcknowledgedOutOfBand, 1_000, &COLLECTING);
}

#[test]
fn a_forgotten_past_of_collected_items_is_found() {
    let by = [Invariant::Identity, Invariant::NothingVanishes, Invariant::Convergence];
    check(Bug::CollectedForgotten, 1_000, &by);
}

#[test]
fn collecting_while_a_replica_is_copied_is_found() {
    check(Bug::CollectedDuringCopy, 2_000, &COLLECTING);
}

#[test]
fn forgetting_a_replica_that_is_leaving_is_found() {
    check(Bug::CollectedWithoutLeaving, 200, &COLLECTING);
}

#[test]
fn shortening_what_is_not_stable_is_found() {
    check(Bug::ShortenedEarly, 50, &COLLECTING);
}

#[test]
fn a_trap_that_leaves_no_ledger_entry_is_found() {
    check(Bug::TrapUnrecorded, 1_000, &[Invariant::Merged]);
}

#[test]
fn believing_a_clock_that_is_ahead_of_all_is_found() {
    check(Bug::SkewBelieved, 200, &[Invariant::Clock]);
    check(Bug::ForemostBelieved, 200, &[Invariant::Clock]);
}

#[test]
fn fingerprints_that_lack_what_peers_sent_are_found() {
    check(Bug::FingerprintNotOnApply, 20, &[Invariant::Repair]);
}

#[test]
fn fingerprints_of_what_is_deleted_are_found() {
    check(Bug::FingerprintOfTombstones, 50, &[Invariant::Repair]);
}

#[test]
fn secondary_indexes_that_lack_what_peers_sent_are_found() {
    check(Bug::IndexNotOnApply, 20, &[Invariant::Index]);
}

#[test]
fn a_repair_that_overwrites_is_found() {
    let by = [Invariant::NothingVanishes, Invariant::Convergence, Invariant::Liveness];
    check(Bug::RepairOverwrites, 200, &by);
}

#[test]
fn a_row_that_rotted_everywhere_and_is_not_named_as_lost_is_found() {
    check(Bug::DamageTakenForDeletion, 200, &[Invariant::Repair]);
}

const COLLECTING: [Invariant; 3] =
    [Invariant::Collection, Invariant::NothingVanishes, Invariant::Convergence];

#[test]
fn a_failing_schedule_shrinks_to_what_it_needs() {
    for bug in [Bug::LedgerSkipped, Bug::ContextForgotten, Bug::ReplyBeforeDurable] {
        let options = Options { bug: Some(bug), ..Options::default() };
        let seed = first_find(bug, 20).expect("found within 20 seeds").seed;
        let shrunk = shrink(seed, &options).expect("it fails");
        let again = run(seed, &Options { trim: shrunk.trim.clone(), ..options });
        assert_eq!(again, shrunk.report, "what is left fails again in the same way");
        // Two writes that race, and their table, are all that a conflict needs.
        assert!(shrunk.operations.1 <= 3, "{bug:?} needs {} operations", shrunk.operations.1);
        assert!(shrunk.faults.1 <= 1, "{bug:?} needs {} faults", shrunk.faults.1);
        assert!(again.reproduce().contains("--without"), "{}", again.reproduce());
    }
}

#[test]
fn an_acknowledgement_before_durability_is_found() {
    check(Bug::AckBeforeDurable, 20, &[Invariant::DurableAck]);
}

#[test]
fn a_cut_within_a_state_is_found() {
    check(Bug::CutWithinState, 200, &[Invariant::Applied]);
}

#[test]
fn a_token_that_is_not_joined_is_found() {
    check(Bug::TokenNotJoined, 200, &[Invariant::Session]);
}

#[test]
fn an_acknowledgement_that_nobody_gave_is_found() {
    check(Bug::AckAssumed, 20, &[Invariant::Durability]);
}

#[test]
fn a_withheld_displaced_version_is_found() {
    check(Bug::DisplacedWithheld, 2000, &[Invariant::Applied, Invariant::Durability]);
}

#[test]
fn peers_rows_that_are_not_in_the_journal_are_found() {
    check(Bug::JournalNotOnApply, 20, &[Invariant::Journal]);
}

#[test]
fn a_record_of_a_time_that_is_over_is_found() {
    check(Bug::JournalGoesBack, 100, &[Invariant::Journal]);
}

#[test]
fn rows_of_groups_that_are_shown_as_they_come_are_found() {
    check(Bug::ExposedEarly, 50, &[Invariant::Group]);
}

#[test]
fn cuts_that_are_shown_without_what_they_rest_on_are_found() {
    check(Bug::NeedsIgnored, 200, &[Invariant::Group]);
}

#[test]
fn tables_of_groups_that_are_served_too_early_are_found() {
    check(Bug::ServedEarly, 500, &[Invariant::Group]);
}

#[test]
fn what_a_place_rests_on_and_a_copied_group_is_served_without_is_found() {
    check_from(301, Bug::PlaceTrusted, 10, &[Invariant::Group]);
}

#[test]
fn rows_that_stand_for_others_and_are_shown_ahead_of_theirs_are_found() {
    check_from(4_461, Bug::StandingTrusted, 10, &[Invariant::Group]);
}

#[test]
fn deleting_what_a_driver_takes_for_expired_is_found() {
    check(Bug::ExpiryUnlooked, 20, &[Invariant::Expiry]);
}

#[test]
fn deleting_before_everyone_takes_an_item_for_expired_is_found() {
    check(Bug::ExpiryEarly, 200, &[Invariant::Expiry]);
}

#[test]
fn deleting_what_another_region_shall_delete_is_found() {
    check(Bug::ExpiryTakenAtOnce, 20, &[Invariant::Expiry]);
}

#[test]
fn deleting_what_another_region_shall_delete_first_is_found() {
    check(Bug::ExpiryTakenTogether, 500, &[Invariant::Expiry, Invariant::Liveness]);
}

#[test]
fn expired_items_whose_region_is_gone_are_found() {
    check(Bug::ExpiryNeverTakenOver, 200, &[Invariant::Liveness]);
}

#[test]
fn an_end_that_other_regions_do_not_tell_as_expiry_is_found() {
    check(Bug::ExpiryUntold, 20, &[Invariant::Expiry]);
}

#[test]
fn an_end_that_is_told_by_the_greatest_version_is_found() {
    check(Bug::ExpiryOfGreatest, 2_000, &[Invariant::Expiry]);
}

#[test]
fn expired_items_that_are_left_to_a_suspended_region_are_found() {
    check_from(1_817, Bug::ExpiryLeftToSuspended, 1, &[Invariant::Liveness]);
}
