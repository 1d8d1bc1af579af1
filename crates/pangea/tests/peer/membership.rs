//! Peers that come, go, and are fenced off while links run.

use std::time::Duration;

use pangea::peer::link::{Garbage, LinkEvent, Links, Local, Options};
use pangea_core::replica::Request;
use pangea_core::time::Hlc;

use crate::support::{NAMES, World, down, eventually, noise, rows, rows_frame, slot, until, up};
use crate::tools::log_lines;

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_added_is_dialled_and_fed() {
    let mut world = World::new(2, Duration::ZERO).await;
    let lonely = Links::new(World::local(0), Vec::new(), Options::default());
    let identity = world.dir.identity(NAMES[0], "pangea");
    let (source, listener) = (world.empty_source(), world.listener(0).await);
    let mut running = lonely.start(listener, &identity, source).expect("a good identity");
    let (store, progress) = rows(10, |_| noise(10));
    let (other, mut other_running) = world.bare_with(1, store, progress).await;
    eventually("who is not known is refused", || {
        other.stats().iter().any(|link| {
            link.last_error.as_deref().is_some_and(|why| why.contains("not in this region's"))
        })
    })
    .await;
    assert!(lonely.add_peer(world.peer(1)));
    assert!(!lonely.add_peer(world.peer(1)), "it is known");
    assert_eq!(up(&mut running).await, 1);
    up(&mut other_running).await;
    assert!(lonely.ask(slot(1), Request::Subscribe { after: Hlc::ZERO }));
    assert_eq!(rows_frame(&mut running).await.rows.len(), 10);
    assert_eq!(lonely.peers(), [world.peer(1)]);
    assert!(lonely.faults().list().iter().any(|(peer, _)| *peer == slot(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_removed_goes_down_and_stays_out_until_it_is_added() {
    let mut world = World::new(2, Duration::ZERO).await;
    let (a, mut a_running) = world.bare(0).await;
    let (_b, mut b_running) = world.bare(1).await;
    up(&mut a_running).await;
    up(&mut b_running).await;
    assert!(a.remove_peer(slot(1)));
    assert!(!a.remove_peer(slot(1)));
    assert!(down(&mut a_running).await.contains("removed"));
    down(&mut b_running).await;
    assert!(!a.ask(slot(1), Request::Subscribe { after: Hlc::ZERO }));
    assert!(a.stats().is_empty() && a.peers().is_empty());
    eventually("its dialling is refused", || {
        a.garbage().get(&Garbage::Stranger).is_some_and(|count| *count > 1)
    })
    .await;
    assert!(a.add_peer(world.peer(1)));
    up(&mut a_running).await;
    up(&mut b_running).await;
}

/// The driver never hears `Up` of the successor before `Down` of the predecessor.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_moves_is_dialled_at_its_new_address() {
    let mut world = World::new(3, Duration::ZERO).await;
    let (a, mut running) = world.bare(0).await;
    let (_b, _b_running) = world.bare(1).await;
    up(&mut running).await;
    for delay in 1..5 {
        let moved =
            pangea::peer::link::Peer { delay: Duration::from_millis(delay), ..world.peer(1) };
        assert!(a.add_peer(moved));
        let order = until(&mut running, |event| match event {
            LinkEvent::Up { peer, .. } if peer == slot(1) => Some("up"),
            LinkEvent::Down { peer, .. } if peer == slot(1) => Some("down"),
            _ => None,
        });
        assert_eq!(order.await, "down");
        up(&mut running).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fenced_life_is_let_in_no_more_and_another_one_is() {
    let mut world = World::new(2, Duration::ZERO).await;
    let (a, mut a_running) = world.bare(0).await;
    let (b, mut b_running) = world.bare(1).await;
    up(&mut a_running).await;
    up(&mut b_running).await;
    a.fence(slot(1), 2, "another life");
    a.fence(slot(1), 1, "it was evicted by plan 7");
    assert!(down(&mut a_running).await.contains("it was evicted by plan 7"));
    down(&mut b_running).await;
    let told = |links: &Links, words: &str| {
        let stats = links.stats();
        stats.iter().any(|link| link.last_error.as_deref().is_some_and(|why| why.contains(words)))
    };
    eventually("it is told why", || told(&b, "refused by the peer") && told(&b, "plan 7")).await;
    eventually("its feed is not taken", || told(&a, "fenced: it was evicted by plan 7")).await;
    assert!(a.garbage().get(&Garbage::Fenced).is_some_and(|count| *count > 0));
    let lines = log_lines(&["fenced", "region us-east-1, life 1: it was evicted by plan 7"]);
    assert!(!lines.is_empty());
    drop((b, b_running));
    // The region's next life, as it begins on an empty directory.
    let local = Local { incarnation: 3, ..World::local(1) };
    let links = Links::new(local, vec![world.peer(0)], Options::default());
    let identity = world.dir.identity(NAMES[1], "pangea");
    let (source, listener) = (world.empty_source(), world.listener(1).await);
    let _running = links.start(listener, &identity, source).expect("a good identity");
    assert_eq!(up(&mut a_running).await, 3);
}
