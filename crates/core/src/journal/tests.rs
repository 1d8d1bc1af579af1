use std::vec::Vec;

use super::*;

fn stream(since_ms: u64, until_ms: Option<u64>) -> Stream {
    Stream { view: StreamView::KeysOnly, since_ms, until_ms }
}

fn shards(stream: &Stream, reached_ms: u64, kept_ms: u64) -> Vec<(u64, Option<u64>, Option<u64>)> {
    let shards = stream.shards(10, reached_ms, kept_ms);
    shards.map(|it| (it.from_ms, it.parent_ms, it.closed_ms)).collect()
}

#[test]
fn one_shard_is_open_and_each_has_the_one_before_for_its_parent() {
    let open = stream(100, None);
    assert_eq!(shards(&open, 0, 0), [(100, None, None)], "a region whose clock is behind");
    assert_eq!(shards(&open, 109, 0), [(100, None, None)]);
    let wanted = [(100, None, Some(109)), (110, Some(100), Some(119)), (120, Some(110), None)];
    assert_eq!(shards(&open, 125, 0), wanted);
}

#[test]
fn a_stream_that_is_over_has_no_open_shard() {
    let wanted = [(100, None, Some(109)), (110, Some(100), Some(115))];
    assert_eq!(shards(&stream(100, Some(115)), 500, 0), wanted);
    assert_eq!(shards(&stream(100, Some(110)), 500, 0), [(100, None, Some(110))]);
    assert_eq!(shards(&stream(100, Some(100)), 500, 0), [(100, None, Some(100))]);
}

#[test]
fn shards_go_when_nothing_in_them_is_kept() {
    let open = stream(100, None);
    assert_eq!(shards(&open, 135, 120), [(120, Some(110), Some(129)), (130, Some(120), None)]);
    assert_eq!(shards(&open, 135, 9999), [(130, Some(120), None)], "the open one stays");
    assert_eq!(shards(&stream(100, Some(115)), 500, 116), []);
}

#[test]
fn sequences_of_shards_meet_without_a_gap() {
    let open = stream(100, None);
    let all: Vec<(u64, u64)> = open.shards(10, 145, 0).map(|it| it.sequences(&open)).collect();
    assert!(all.windows(2).all(|pair| pair[0].1 == pair[1].0), "{all:?}");
    assert_eq!(all[0].0, sequence_at(100));
    assert_eq!(all[4].1, u64::MAX);
    let over = stream(100, Some(115));
    assert_eq!(over.shards(10, 0, 0).last().map(|it| it.sequences(&over).1), Some(u64::MAX));
}
