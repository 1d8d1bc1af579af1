//! Distance and splits on live links.

use std::time::{Duration, Instant};

use pangea::peer::link::{LinkEvent, Links, Role, Running};
use pangea::peer::wan::{Cut, Direction};
use pangea_core::merge::Body;
use pangea_core::replica::{Frame, Request};
use pangea_core::time::Hlc;

use crate::support::{World, down, eventually, now, rows, rows_frame, slot, until, up};

async fn heartbeat(running: &mut Running) -> u64 {
    until(running, |event| match event {
        LinkEvent::Frame { frame: Frame::Rows(rows), .. } => Some(rows.sent_wall_ms),
        _ => None,
    })
    .await
}

async fn pair(world: &mut World) -> ((Links, Running), (Links, Running)) {
    let (mut a, mut b) = (world.bare(0).await, world.bare(1).await);
    up(&mut a.1).await;
    up(&mut b.1).await;
    (a, b)
}

/// 40 ms there and 40 ms back: one way takes 40 ms, and it does not take 80 ms per frame.
#[tokio::test(flavor = "multi_thread")]
async fn distance_costs_latency_and_not_throughput() {
    const FRAMES: u64 = 60;
    let one_way = Duration::from_millis(40);
    let mut world = World::new(2, one_way).await;
    let (links, mut running) = world.bare(0).await;
    let (store, progress) = rows(FRAMES * 512, |_| Body::Tombstone);
    let (_feeder, _running) = world.bare_with(1, store, progress).await;
    up(&mut running).await;
    assert!(links.ask(slot(1), Request::Subscribe { after: Hlc::ZERO }));
    let (mut first, mut received) = (None, 0);
    while received < FRAMES * 512 {
        let frame = rows_frame(&mut running).await;
        let took_ms = now().wall_ms.saturating_sub(frame.sent_wall_ms);
        assert!(took_ms >= 39, "a frame took {took_ms} ms");
        first.get_or_insert_with(Instant::now);
        received += frame.rows.len() as u64;
    }
    let took = first.expect("at least one").elapsed();
    let lockstep = one_way * 2 * u32::try_from(FRAMES).expect("few");
    assert!(took < lockstep / 2, "{took:?} for {FRAMES} frames; one per round trip: {lockstep:?}");
    eventually("the round trip is measured", || {
        let stats = links.stats();
        let rtt = stats.iter().find(|link| link.role == Role::Subscriber).and_then(|link| link.rtt);
        rtt.is_some_and(|rtt| rtt >= one_way * 2)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusing_cut_goes_down_at_once_and_heals() {
    let mut world = World::new(2, Duration::ZERO).await;
    let ((a, mut a_running), (_b, mut b_running)) = pair(&mut world).await;
    a.faults().cut(slot(1), Direction::Both, Cut::Refuse).expect("a peer");
    assert!(down(&mut a_running).await.contains("cut"));
    down(&mut b_running).await;
    assert!(!a.ask(slot(1), Request::Subscribe { after: Hlc::ZERO }));
    a.faults().heal(slot(1)).expect("a peer");
    up(&mut a_running).await;
    up(&mut b_running).await;
    assert!(a.faults().cut(slot(9), Direction::Both, Cut::Refuse).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_black_hole_is_noticed_by_its_silence() {
    let mut world = World::new(2, Duration::ZERO).await;
    let ((a, mut a_running), (b, mut b_running)) = pair(&mut world).await;
    assert!(b.ask(slot(0), Request::Subscribe { after: Hlc::ZERO }));
    heartbeat(&mut b_running).await;
    a.faults().cut(slot(1), Direction::Both, Cut::Blackhole).expect("a peer");
    assert!(down(&mut a_running).await.contains("nothing came"));
    assert!(down(&mut b_running).await.contains("nothing came"));
    a.faults().heal(slot(1)).expect("a peer");
    up(&mut a_running).await;
    up(&mut b_running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_direction_can_be_cut_alone() {
    let mut world = World::new(2, Duration::ZERO).await;
    let ((a, mut a_running), (b, mut b_running)) = pair(&mut world).await;
    a.faults().cut(slot(1), Direction::In, Cut::Refuse).expect("a peer");
    down(&mut a_running).await;
    assert!(b.ask(slot(0), Request::Subscribe { after: Hlc::ZERO }));
    for _ in 0..5 {
        heartbeat(&mut b_running).await;
    }
    let listed = a.faults().list();
    assert_eq!((listed[0].1.inbound, listed[0].1.outbound), (Some(Cut::Refuse), None));
}
