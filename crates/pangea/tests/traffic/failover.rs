//! A region dies under load: DNS and accelerator follow one decision, and nobody is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use pangea::traffic::{ConfigureError, LogEntry};
use pangea_core::health::State;
use pangea_core::routing::{Refusal, RoutingConfig, RoutingControl};

use super::dns::{addresses, ask, query};
use super::l4::region_of;
use super::world::{LOOPBACK, World, slot, targets, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_region_costs_no_connection_and_leaves_the_dns() {
    let mut world = World::start().await;
    let dns = world.dns().await;
    let server = world.l4(pangea::l4::Config::new(LOOPBACK, "web")).await;
    let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (stop, served, addr) = (Arc::clone(&stop), Arc::clone(&served), server.addr());
            tokio::spawn(async move {
                let mut failed = 0;
                while !stop.load(SeqCst) {
                    // Reading what was cut off in the middle is not a failed connect.
                    match region_of(addr).await {
                        Ok(_) => drop(served.fetch_add(1, SeqCst)),
                        Err(_) => failed += 1,
                    }
                }
                failed
            })
        })
        .collect();
    until("traffic flows", || served.load(SeqCst) > 200).await;
    world.apps[0].kill().await;
    let before = served.load(SeqCst);
    until("traffic flows on", || served.load(SeqCst) > before + 200).await;
    stop.store(true, SeqCst);
    let mut cut = 0;
    for client in clients {
        cut += client.await.expect("client");
    }
    let counted = server.counters().snapshot();
    assert_eq!(counted.failed, 0, "every connection found an endpoint: {counted:?}");
    assert!(cut <= 8, "only what was in flight in the dead region was cut: {cut}");
    world.wait_for(0, State::Unhealthy).await;
    let reply = ask(dns.addr(), &query(1, "www.example.com.", Some("10.1.0.0/16"))).await;
    assert_eq!(addresses(&reply), "192.0.2.2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_alone_move_the_answer_and_all_dead_fails_open() {
    let mut world = World::start().await;
    let dns = world.dns().await;
    world.apps[0].kill().await;
    world.wait_for(0, State::Unhealthy).await;
    let near_zero = query(1, "www.example.com.", Some("10.1.0.0/16"));
    assert_eq!(addresses(&ask(dns.addr(), &near_zero).await), "192.0.2.2");
    world.apps[1].kill().await;
    world.wait_for(1, State::Unhealthy).await;
    assert_eq!(addresses(&ask(dns.addr(), &near_zero).await), "192.0.2.1", "nearest of the dead");
    let log = world.traffic.log();
    let falls: Vec<_> = log
        .iter()
        .filter_map(|entry| match entry {
            LogEntry::Health(change) if change.to == State::Unhealthy => Some(change.target),
            _ => None,
        })
        .collect();
    assert_eq!(falls, [slot(0), slot(1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn configurations_only_go_forward() {
    let world = World::start().await;
    let dns = world.dns().await;
    let near_zero = query(1, "www.example.com.", Some("10.1.0.0/16"));
    let urls = || targets(&world.apps);
    world.traffic.configure(world.config.clone(), urls()).await.expect("the same again");
    let mut off = world.config.clone();
    off.regions[0].control = RoutingControl::Off;
    let taken = world.traffic.configure(off.clone(), urls()).await;
    assert_eq!(taken, Err(ConfigureError::GenerationTaken(1)));
    off.generation = 2;
    world.traffic.configure(off, urls()).await.expect("newer");
    assert_eq!(addresses(&ask(dns.addr(), &near_zero).await), "192.0.2.2", "switched off");
    let old = RoutingConfig { generation: 1, ..world.config.clone() };
    let refused = world.traffic.configure(old, urls()).await;
    assert!(
        matches!(refused, Err(ConfigureError::Refused(Refusal::GenerationBackwards { .. }))),
        "{refused:?}"
    );
    let mut one_target = urls();
    one_target.remove(&slot(1));
    let newest = RoutingConfig { generation: 3, ..world.config.clone() };
    world.traffic.configure(newest, one_target).await.expect("newer");
    assert_eq!(world.traffic.health().targets.len(), 1);
    assert_eq!(addresses(&ask(dns.addr(), &near_zero).await), "192.0.2.1");
}
