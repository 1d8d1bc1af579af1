//! Links under load: memory, bandwidth, and what must not wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pangea::peer::link::{Links, Options, Role, Running};
use pangea_core::replica::Request;
use pangea_core::time::Hlc;
use tokio::time::sleep;

use crate::support::{World, eventually, noise, rows, rows_frame, slot, up};

const KB: u64 = 1024;

/// Region 0 subscribes to region 1, which has `count` rows of `bytes` that do not compress.
async fn subscribed(
    world: &mut World,
    count: u64,
    bytes: usize,
    bytes_per_s: Option<u64>,
) -> (Links, Running, Links, Running) {
    let (links, mut running) = world.bare(0).await;
    let (store, progress) = rows(count, |_| noise(bytes));
    let (feeder, feeding) = world.bare_with(1, store, progress).await;
    up(&mut running).await;
    feeder.faults().limit(slot(0), bytes_per_s).expect("a peer");
    assert!(links.ask(slot(1), Request::Subscribe { after: Hlc::ZERO }));
    (links, running, feeder, feeding)
}

/// A frame of hundreds of kilobytes takes seconds here, and the link does not take it for silence.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_link_is_not_a_dead_link() {
    let mut world = World::new(2, Duration::ZERO).await;
    let (_links, mut running, _feeder, _feeding) =
        subscribed(&mut world, 400, 1024, Some(128 * KB)).await;
    let (begun, mut received) = (Instant::now(), 0);
    while received < 400 {
        received += rows_frame(&mut running).await.rows.len();
    }
    assert!(begun.elapsed() > Duration::from_secs(2), "{:?}", begun.elapsed());
}

/// The cap is one for the link, however many streams it has.
#[tokio::test(flavor = "multi_thread")]
async fn streams_share_the_bandwidth() {
    for streams in [1, 8] {
        let mut world = World::new(2, Duration::ZERO).await;
        world.options = Options { streams, ..Options::default() };
        let (_links, mut running, _feeder, _feeding) =
            subscribed(&mut world, 4096, 1000, Some(2048 * KB)).await;
        let (begun, mut received) = (Instant::now(), 0);
        while received < 4096 {
            received += rows_frame(&mut running).await.rows.len();
        }
        let took = begun.elapsed().as_secs_f64();
        // No machine makes it faster; what makes it slower is not the cap's.
        assert!(took > 1.9, "{streams} streams: 4 MB at 2 MB/s took {took} s");
    }
}

/// Pings do not queue behind rows: a saturated link shows its distance, not its queue.
#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_passes_a_saturated_link() {
    let mut world = World::new(2, Duration::from_millis(20)).await;
    let (links, mut running, feeder, _feeding) =
        subscribed(&mut world, 3000, 1024, Some(1024 * KB)).await;
    let (begun, mut received, mut seen) = (Instant::now(), 0, Vec::new());
    while received < 3000 {
        received += rows_frame(&mut running).await.rows.len();
        let stats = links.stats();
        let link = stats.iter().find(|link| link.role == Role::Subscriber).expect("one");
        if begun.elapsed() > Duration::from_secs(1) {
            seen.extend(link.rtt);
        }
    }
    assert!(begun.elapsed() > Duration::from_secs(2), "it was saturated: {:?}", begun.elapsed());
    // The queue is a second deep. On a busy machine timers are late now and then, but not always.
    let best = seen.iter().min().expect("pings were answered");
    assert!(*best < Duration::from_millis(400), "pings took {seen:?}");
    assert!(feeder.stats().iter().all(|link| link.opened == 1), "it was taken for dead");
}

/// Rows of 1 KB: several times what sockets and buffers hold.
const WAITING: u64 = 64 * 1024;

/// A driver that does not read stops the feeder: what is in flight is bounded, in bytes.
#[tokio::test(flavor = "multi_thread")]
async fn a_driver_that_is_behind_stops_the_feeder() {
    let mut world = World::new(2, Duration::ZERO).await;
    let (links, mut running, feeder, _feeding) = subscribed(&mut world, WAITING, 1024, None).await;
    let sent = || feeder.stats().iter().map(|link| link.frame_bytes).max().unwrap_or_default();
    let mut before = 0;
    // Steady for longer than the link's timeout: neither sending on nor given up.
    eventually("the feeder waits", || {
        let waits = sent() > 0 && sent() == before;
        before = sent();
        std::thread::sleep(Duration::from_millis(1500));
        waits
    })
    .await;
    // Sockets of four connections take their share, which the kernel decides.
    assert!(sent() < WAITING * KB * 3 / 4, "most of everything went out: {}", sent());
    let received = links.stats().iter().map(|link| link.frame_bytes).max().unwrap_or_default();
    assert!(received < 4 * KB * KB, "the driver's share is bounded: {received}");
    let mut received = 0;
    while received < WAITING {
        received += rows_frame(&mut running).await.rows.len() as u64;
    }
    assert!(links.stats().iter().all(|link| link.opened <= 1), "the link held");
}

/// While the link is busy, rows that trickle in are gathered: no frame for each.
#[tokio::test(flavor = "multi_thread")]
async fn a_trickle_on_a_busy_link_is_gathered() {
    let mut world = World::new(2, Duration::ZERO).await;
    let (links, mut running) = world.bare(0).await;
    let (store, mut progress) = rows(2000, |_| noise(250));
    let all = progress.closed;
    progress.closed = Hlc::from_parts(500, 0);
    let (publish, told) = tokio::sync::watch::channel(progress);
    let (feeder, _feeding) = world.start_links(1, store, told).await;
    up(&mut running).await;
    feeder.faults().limit(slot(0), Some(100 * KB)).expect("a peer");
    assert!(links.ask(slot(1), Request::Subscribe { after: Hlc::ZERO }));
    let trickle = tokio::spawn(async move {
        // By the clock, a row a millisecond: with timers that are late the link would be idle.
        let begun = Instant::now();
        let mut ms = 500;
        while ms < 2000 {
            sleep(Duration::from_millis(1)).await;
            ms = 2000.min(501 + u64::try_from(begun.elapsed().as_millis()).expect("small"));
            publish.send_modify(|progress| progress.closed = Hlc::from_parts(ms, 0));
        }
        publish
    });
    let (mut frames, mut through) = (0, Hlc::ZERO);
    while through < all {
        let frame = rows_frame(&mut running).await;
        assert_eq!(frame.after, through, "in order, without a gap");
        through = frame.through;
        frames += usize::from(!frame.rows.is_empty());
    }
    let _publish = trickle.await.expect("done");
    assert!(frames < 300, "{frames} frames for 2000 rows");
}

/// Nothing waits for company on an idle link.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_on_an_idle_link_leaves_at_once() {
    let mut world = World::new(2, Duration::ZERO).await;
    let (links, mut running) = world.bare(0).await;
    let (store, progress) = rows(0, |_| noise(100));
    let (publish, told) = tokio::sync::watch::channel(progress);
    let (_feeder, _feeding) = world.start_links(1, Arc::clone(&store), told).await;
    up(&mut running).await;
    assert!(links.ask(slot(1), Request::Subscribe { after: Hlc::ZERO }));
    let mut took = Vec::new();
    for ms in 1..=50 {
        rows_frame(&mut running).await;
        sleep(Duration::from_millis(7)).await;
        let grown = rows(ms, |_| noise(100)).0.lock().expect("no panic").clone();
        *store.lock().expect("no panic") = grown;
        let begun = Instant::now();
        publish.send_modify(|progress| progress.closed = Hlc::from_parts(ms, 0));
        while rows_frame(&mut running).await.rows.is_empty() {}
        took.push(begun.elapsed());
    }
    took.sort();
    // Company would be waited for every time; a machine that does much else is late now and then.
    assert!(took[5] < Duration::from_millis(10), "{took:?}");
}
