//! Bugs that take more coincidences in a row than seeds come by: each is planted, and found by a
//! directed schedule, whatever the seed makes of its timing. Without the bug it holds.

use pangea_core::node::Bug;
use pangea_sim::{Invariant, Options, Scenario, run, timeline};

/// Seeds of each: they decide about delays.
const SEEDS: u64 = 10;

fn check(text: &str, bug: Bug, by: Invariant) {
    let scenario = Scenario::parse(text).unwrap_or_else(|error| panic!("{error}"));
    let sound = Options { scenario: Some(scenario), ..Options::default() };
    let planted = Options { bug: Some(bug), ..sound.clone() };
    for seed in 1..=SEEDS {
        let broken = run(seed, &sound).violation;
        assert_eq!(broken, None, "seed {seed} breaks without the bug");
    }
    let found = (1..=SEEDS).find_map(|seed| run(seed, &planted).violation);
    let found = found.unwrap_or_else(|| panic!("{bug:?} is not found"));
    assert_eq!(found.invariant, by, "{bug:?} is found otherwise: {}", found.text);
}

#[test]
fn expired_items_of_an_owner_that_is_gone_are_found() {
    let text = include_str!("scenarios/gone_owner.txt");
    check(text, Bug::ExpiryLeftToGoneOwner, Invariant::Liveness);
}

#[test]
fn a_copy_that_is_made_while_another_replica_leaves_is_found() {
    let text = include_str!("scenarios/last_rows_of_a_leaving_replica.txt");
    check(text, Bug::CopiedWhileOthersLeave, Invariant::Applied);
}

#[test]
fn what_a_joining_region_is_not_asked_for_is_found() {
    let text = include_str!("scenarios/unheard_while_joining.txt");
    check(text, Bug::JoiningUnasked, Invariant::Applied);
}

#[test]
fn a_joining_region_that_is_not_waited_for_is_found() {
    let text = include_str!("scenarios/unheard_while_joining.txt");
    check(text, Bug::JoiningUnheard, Invariant::Applied);
}

#[test]
fn an_answer_of_which_the_first_frame_alone_is_taken_is_found() {
    let text = include_str!("scenarios/answer_of_many_frames.txt");
    check(text, Bug::AnswerCutShort, Invariant::Convergence);
}

#[test]
fn a_writer_that_has_left_the_table_and_is_trusted_is_found() {
    let text = include_str!("scenarios/writer_has_left_the_table.txt");
    check(text, Bug::WriterTrusted, Invariant::Applied);
}

#[test]
fn a_writer_that_holds_the_table_again_and_is_trusted_is_found() {
    let text = include_str!("scenarios/writer_holds_the_table_again.txt");
    check(text, Bug::DropForgotten, Invariant::Applied);
}

/// A table is there once its creation was answered.
#[test]
fn a_step_that_comes_before_its_table_says_so() {
    let scenario = Scenario::parse("0 create r0\n0 put r0 0 k1\n100 end");
    let scenario = scenario.unwrap_or_else(|error| panic!("{error}"));
    let options = Options { scenario: Some(scenario), ..Options::default() };
    let broken = run(1, &options).violation.expect("it cannot be done");
    assert_eq!(broken.invariant, Invariant::Scenario);
    assert!(broken.text.contains("names table 0, and 0 are made"), "{}", broken.text);
}

/// A schedule that is written down happens as it is written, and equal seeds give equal runs.
#[test]
fn a_scenario_is_done_step_by_step() {
    let text = include_str!("scenarios/gone_owner.txt");
    let scenario = Scenario::parse(text).unwrap_or_else(|error| panic!("{error}"));
    let options = Options { scenario: Some(scenario), ..Options::default() };
    let lines = timeline(1, &options);
    let steps = lines.iter().filter(|line| line.contains("STEP")).count();
    assert_eq!(steps, 7);
    assert_eq!(lines, timeline(1, &options));
    assert_eq!(run(1, &options), run(1, &options));
}
