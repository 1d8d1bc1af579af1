//! Distance and splits on live links.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pangea::peer::link::{LinkEvent, Links, Role, Running};
use pangea::peer::wan::{Cut, Direction};
use pangea_core::catalog::{Catalog, entry_key};
use pangea_core::id::{Origin, TableId};
use pangea_core::item::{ItemKey, KeyValue, PrimaryKey};
use pangea_core::merge::{Body, Stored, Version};
use pangea_core::replica::{Applied, Batch, Frame, Progress, Request};
use pangea_core::time::{Hlc, Stamp};

use crate::support::{PATIENCE, Store, World, eventually, now, slot};

/// Takes events until one gives a value.
async fn until<T>(running: &mut Running, mut wanted: impl FnMut(LinkEvent) -> Option<T>) -> T {
    let search = async {
        loop {
            let event = running.events.recv().await.expect("the links run");
            if let Some(found) = wanted(event) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, search).await.expect("in time")
}

async fn up(running: &mut Running) {
    until(running, |event| matches!(event, LinkEvent::Up { .. }).then_some(())).await;
}

async fn down(running: &mut Running) -> String {
    until(running, |event| match event {
        LinkEvent::Down { reason, .. } => Some(reason),
        _ => None,
    })
    .await
}

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

/// A store of region 1 with that many catalog rows, which go to everyone.
fn rows(count: u64) -> (Store, Progress) {
    let origin = Origin::new(slot(1), 1);
    let mut batch = Batch::default();
    for ms in 1..=count {
        let stamp = Stamp { hlc: Hlc::from_parts(ms, 0), origin };
        let partition = KeyValue::S(format!("row {ms}"));
        let primary = PrimaryKey { partition, ..entry_key(TableId::LEDGER).primary };
        let key = ItemKey { table: TableId::CATALOG, primary };
        let stored = Stored::single(Version::first(stamp, Body::Tombstone));
        batch.put(key, stored, Some(stamp), None);
    }
    let store = Store::default();
    Arc::make_mut(&mut store.lock().expect("no panic")).apply(&batch);
    let closed = Hlc::from_parts(count, 0);
    let catalog = Arc::new(Catalog::default());
    (store, Progress { closed, applied: Applied::new(), catalog })
}

/// 40 ms there and 40 ms back: one way takes 40 ms, and it does not take 80 ms per frame.
#[tokio::test(flavor = "multi_thread")]
async fn distance_costs_latency_and_not_throughput() {
    const FRAMES: u64 = 60;
    let one_way = Duration::from_millis(40);
    let mut world = World::new(2, one_way).await;
    let (links, mut running) = world.bare(0).await;
    let (store, progress) = rows(FRAMES * 512);
    let (_feeder, _running) = world.bare_with(1, store, progress).await;
    up(&mut running).await;
    assert!(links.ask(slot(1), Request::Subscribe { after: Hlc::ZERO }));
    let (mut first, mut received) = (None, 0);
    while received < FRAMES * 512 {
        let (sent_ms, count) = until(&mut running, |event| match event {
            LinkEvent::Frame { frame: Frame::Rows(rows), .. } => {
                Some((rows.sent_wall_ms, rows.rows.len() as u64))
            }
            _ => None,
        })
        .await;
        let took_ms = now().wall_ms.saturating_sub(sent_ms);
        assert!(took_ms >= 39, "a frame took {took_ms} ms");
        first.get_or_insert_with(Instant::now);
        received += count;
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

/// A frame of hundreds of kilobytes takes seconds here, and the link does not take it for silence.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_link_is_not_a_dead_link() {
    let mut world = World::new(2, Duration::ZERO).await;
    let (links, mut running) = world.bare(0).await;
    let (store, progress) = rows(512 * 8);
    let (feeder, _running) = world.bare_with(1, store, progress).await;
    up(&mut running).await;
    feeder.faults().limit(slot(0), Some(128 * 1024)).expect("a peer");
    assert!(links.ask(slot(1), Request::Subscribe { after: Hlc::ZERO }));
    let (begun, mut received) = (Instant::now(), 0);
    while received < 512 * 8 {
        received += until(&mut running, |event| match event {
            LinkEvent::Frame { frame: Frame::Rows(rows), .. } => Some(rows.rows.len()),
            LinkEvent::Down { reason, .. } => panic!("{reason}"),
            _ => None,
        })
        .await;
    }
    assert!(begun.elapsed() > Duration::from_secs(1), "{:?}", begun.elapsed());
}

/// A driver that does not read stops the feeder: what is in flight is bounded.
#[tokio::test(flavor = "multi_thread")]
async fn a_driver_that_is_behind_stops_the_feeder() {
    let mut world = World::new(2, Duration::ZERO).await;
    let (links, mut running) = world.bare(0).await;
    let (store, progress) = rows(512 * 600);
    let (feeder, _running) = world.bare_with(1, store, progress).await;
    up(&mut running).await;
    assert!(links.ask(slot(1), Request::Subscribe { after: Hlc::ZERO }));
    let sent = || feeder.stats().iter().map(|link| link.rows).max().unwrap_or_default();
    let mut before = 0;
    // Steady for longer than the link's timeout: neither sending on nor given up.
    eventually("the feeder waits", || {
        let waits = sent() > 0 && sent() == before;
        before = sent();
        std::thread::sleep(Duration::from_millis(1500));
        waits
    })
    .await;
    assert!(sent() < 512 * 600, "everything went out: {}", sent());
    let mut received = 0;
    while received < 512 * 600 {
        received += until(&mut running, |event| match event {
            LinkEvent::Frame { frame: Frame::Rows(rows), .. } => Some(rows.rows.len()),
            LinkEvent::Down { reason, .. } => panic!("{reason}"),
            _ => None,
        })
        .await;
    }
}
