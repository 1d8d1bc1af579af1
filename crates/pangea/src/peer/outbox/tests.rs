use pangea_core::id::RegionSlot;
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

use super::super::wan::{Direction, Faults};
use super::*;

/// What goes nowhere for so long is full.
const FULL: Duration = Duration::from_millis(500);

fn peer() -> RegionSlot {
    RegionSlot::new(1).expect("small")
}

fn faults(delay: Duration) -> Faults {
    Faults::new([(peer(), delay)])
}

fn line(faults: &Faults) -> Line {
    faults.line(peer(), Direction::Out)
}

/// Reads everything that an outlet writes until it ends.
async fn read_all(outlet: Outlet, idle: Option<Idle>) -> Vec<u8> {
    let (near, mut far) = tokio::io::duplex(64 * 1024);
    let running = tokio::spawn(outlet.run(near, idle, |_| {}));
    let mut out = Vec::new();
    far.read_to_end(&mut out).await.expect("a pipe");
    running.await.expect("no panic").expect("a pipe");
    out
}

#[tokio::test]
async fn what_goes_in_comes_out_in_order_after_the_delay() {
    let faults = faults(Duration::from_millis(30));
    let (outbox, outlet) = single(line(&faults), Class::Urgent);
    let began = Instant::now();
    let reading = tokio::spawn(read_all(outlet, None));
    for byte in 0..100 {
        outbox.send(vec![byte; 10]).await.expect("open");
        tokio::task::yield_now().await;
        // A delay that shrinks does not let later bytes overtake.
        faults.delay(peer(), Duration::from_millis(30 - u64::from(byte) / 4)).expect("a peer");
    }
    drop(outbox);
    let all = reading.await.expect("no panic");
    assert!(all.is_sorted() && all.len() == 1000);
    assert!(began.elapsed() >= Duration::from_millis(30));
}

/// A receiver that does not read: the queue fills to its bound, and nothing more goes in.
#[tokio::test]
async fn a_full_outbox_makes_its_filler_wait() {
    let (outbox, outlets) = striped(line(&faults(Duration::ZERO)), 2);
    let mut stuck = Vec::new();
    let mut pipes = Vec::new();
    for outlet in outlets {
        let (near, far) = tokio::io::duplex(1024);
        pipes.push(far);
        stuck.push(tokio::spawn(outlet.run(near, None, |_| {})));
    }
    let message = 100 * 1024;
    let mut sent = 0;
    while let Ok(taken) = timeout(FULL, outbox.send(vec![0; message])).await {
        taken.expect("open");
        sent += message;
    }
    let most = WAITING_BYTES_MAX as usize + 2 * message;
    assert!((most - 2 * message..=most).contains(&sent), "{sent} went in");
    for mut pipe in pipes {
        tokio::spawn(async move { tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await });
    }
    outbox.send(vec![0; message]).await.expect("there is room again");
}

/// The delay line is bounded too, and a message beyond any bound still passes.
#[tokio::test]
async fn what_is_on_its_way_is_bounded() {
    let faults = faults(Duration::from_secs(3600));
    let (outbox, mut outlets) = striped(line(&faults), 1);
    let outlet = outlets.pop().expect("one");
    let reading = tokio::spawn(read_all(outlet, None));
    let mut sent = 0;
    while let Ok(taken) = timeout(FULL, outbox.send(vec![0; 512 * 1024])).await {
        taken.expect("open");
        sent += 512 * 1024;
    }
    let most = TRANSIT_BYTES_MAX + WAITING_BYTES_MAX as usize + 1024 * 1024;
    assert!(sent <= most, "{sent} of {most}");
    reading.abort();
    faults.delay(peer(), Duration::ZERO).expect("a peer");
    let (outbox, mut outlets) = striped(line(&faults), 1);
    let reading = tokio::spawn(read_all(outlets.pop().expect("one"), None));
    outbox.send(vec![1; 9 * 1024 * 1024]).await.expect("it goes alone");
    drop(outbox);
    assert_eq!(reading.await.expect("no panic").len(), 9 * 1024 * 1024);
}

/// What is urgent does not wait for the bottleneck, but takes its share of it.
#[tokio::test]
async fn urgent_messages_pass_a_bottleneck_that_is_busy() {
    let faults = faults(Duration::ZERO);
    faults.limit(peer(), Some(100_000)).expect("a peer");
    let (bulk, mut outlets) = striped(line(&faults), 1);
    let (urgent, urgent_outlet) = single(line(&faults), Class::Urgent);
    let began = Instant::now();
    let ended = |reading| async move {
        let read: Vec<u8> = tokio::spawn(reading).await.expect("no panic");
        (read.len(), began.elapsed())
    };
    let slow = tokio::spawn(ended(read_all(outlets.pop().expect("one"), None)));
    bulk.send(vec![0; 100_000]).await.expect("open");
    tokio::time::sleep(Duration::from_millis(20)).await;
    let quick = tokio::spawn(ended(read_all(urgent_outlet, None)));
    urgent.send(vec![0; 10_000]).await.expect("open");
    drop((urgent, bulk));
    let (quick, slow) = (quick.await.expect("no panic"), slow.await.expect("no panic"));
    assert_eq!((quick.0, slow.0), (10_000, 100_000));
    assert!(quick.1 < slow.1 / 2, "it waited: {quick:?}, {slow:?}");
    // A second of its own, and 0.1 s of the urgent message.
    assert!(slow.1 >= Duration::from_millis(1050), "{slow:?}");
}

#[tokio::test]
async fn an_idle_connection_shows_that_it_lives() {
    let (outbox, outlet) = single(line(&faults(Duration::ZERO)), Class::Bulk);
    let idle = Idle { after: Duration::from_millis(10), message: vec![7] };
    let began = Instant::now();
    let reading = tokio::spawn(read_all(outlet, Some(idle)));
    tokio::time::sleep(Duration::from_millis(200)).await;
    outbox.send(vec![1]).await.expect("open");
    drop(outbox);
    let (all, most) = (reading.await.expect("no panic"), began.elapsed().as_millis() / 10 + 2);
    let lives = all.iter().filter(|byte| **byte == 7).count();
    assert!((1..=most).contains(&(lives as u128)), "{lives} of {most}");
    assert!(all.contains(&1));
}
