//! The accelerator as clients see it.

use std::net::SocketAddr;
use std::time::Duration;

use pangea::l4::Config;
use pangea_core::health::{self, State};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::world::{LOOPBACK, PATIENCE, World, slot, until};

/// Says hello and reads which region answers; an error is what the client saw.
pub(crate) async fn region_of(addr: SocketAddr) -> std::io::Result<u8> {
    let mut stream = TcpStream::connect(addr).await?;
    stream.write_all(b"hello").await?;
    let mut reply = [0; 6];
    timeout(PATIENCE, stream.read_exact(&mut reply)).await??;
    assert_eq!(&reply[1..], b"hello");
    Ok(reply[0])
}

/// Probes so rarely that only passive evidence counts.
fn passive_only() -> health::Config {
    health::Config {
        interval_us: 3_600_000_000,
        timeout_us: 10_000_000,
        ..health::Config::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_go_through_whole_and_half_close_is_kept() {
    let world = World::start().await;
    let server = world.l4(Config::new(LOOPBACK, "web")).await;
    let stream = TcpStream::connect(server.addr()).await.expect("connect");
    let sent: Vec<u8> = (0..4_000_000_u32).map(|n| n.to_be_bytes()[3]).collect();
    let (mut read, mut write) = stream.into_split();
    let data = sent.clone();
    let writer = tokio::spawn(async move {
        write.write_all(&data).await.expect("write");
        write.shutdown().await.expect("shutdown");
        write
    });
    let mut received = Vec::new();
    timeout(PATIENCE, read.read_to_end(&mut received)).await.expect("in time").expect("read");
    assert_eq!(received[0], 0, "region 0 is near");
    assert!(received[1..] == sent, "the echo is what was sent");
    drop(writer.await.expect("written"));
    until("it is over", || server.counters().snapshot().active == 0).await;
    let counted = server.counters().snapshot();
    assert_eq!((counted.bytes_in, counted.bytes_out), (4_000_000, 4_000_001));
    assert_eq!((counted.accepted, counted.broken, counted.failed), (1, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_connection_is_made_elsewhere_and_ejects_for_all() {
    let mut world = World::start_with(passive_only()).await;
    let server = world.l4(Config::new(LOOPBACK, "web")).await;
    let dns = world.dns().await;
    assert_eq!(region_of(server.addr()).await.expect("served"), 0);
    world.apps[0].kill().await;
    assert_eq!(region_of(server.addr()).await.expect("served elsewhere"), 1);
    world.wait_for(0, State::Ejected).await;
    let asked = super::dns::query(1, "www.example.com.", Some("10.1.0.0/16"));
    let reply = super::dns::ask(dns.addr(), &asked).await;
    assert_eq!(super::dns::addresses(&reply), "192.0.2.2", "DNS heard of it too");
    assert_eq!(region_of(server.addr()).await.expect("served"), 1);
    let counted = server.counters().snapshot();
    assert_eq!((counted.connect_retries, counted.failed), (1, 0), "only the first had to retry");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_refuse_each_is_tried_once_and_the_client_is_reset() {
    let mut world = World::start_with(passive_only()).await;
    let server = world.l4(Config::new(LOOPBACK, "web")).await;
    world.apps[0].kill().await;
    world.apps[1].kill().await;
    region_of(server.addr()).await.expect_err("nobody is left");
    until("it is counted", || server.counters().snapshot().failed == 1).await;
    assert_eq!(server.counters().snapshot().connect_retries, 1);
    for n in [0, 1] {
        world.wait_for(n, State::Ejected).await;
    }
    assert_eq!(world.traffic.health().falls(slot(1)), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_clients_are_reset_and_too_many_are_refused() {
    let world = World::start().await;
    let mut config = Config::new(LOOPBACK, "web");
    config.idle = Duration::from_millis(300);
    config.connections_max = 1;
    let server = world.l4(config).await;
    let mut silent = TcpStream::connect(server.addr()).await.expect("connect");
    until("it is open", || server.counters().snapshot().active == 1).await;
    region_of(server.addr()).await.expect_err("one is the limit");
    let ended = timeout(PATIENCE, silent.read(&mut [0])).await.expect("in time");
    ended.expect_err("a reset, not an end of data");
    until("its place is free", || server.counters().snapshot().active == 0).await;
    assert_eq!(region_of(server.addr()).await.expect("served"), 0);
    let counted = server.counters().snapshot();
    assert_eq!((counted.refused, counted.idle, counted.accepted), (1, 1, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stuck_connections_are_reset_once_their_region_is_dead() {
    let world = World::start().await;
    let server = world.l4(Config::new(LOOPBACK, "web")).await;
    let mut keep = Config::new(LOOPBACK, "web");
    keep.reset_on_ejection = false;
    let keeping = world.l4(keep).await;
    let mut streams = Vec::new();
    for addr in [server.addr(), keeping.addr()] {
        let mut stream = TcpStream::connect(addr).await.expect("connect");
        stream.write_all(b"x").await.expect("write");
        let mut reply = [0; 2];
        stream.read_exact(&mut reply).await.expect("read");
        assert_eq!(reply, [0, b'x']);
        streams.push(stream);
    }
    world.apps[0].hang();
    world.wait_for(0, State::Unhealthy).await;
    let ended = timeout(PATIENCE, streams[0].read(&mut [0])).await.expect("in time");
    ended.expect_err("reset");
    until("it is counted", || server.counters().snapshot().ejected == 1).await;
    assert_eq!(region_of(server.addr()).await.expect("served"), 1);
    assert_eq!(keeping.counters().snapshot().active, 1, "the other one was told to keep");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_is_not_configured_does_not_start() {
    let world = World::start().await;
    let (snapshots, passive) = (world.traffic.snapshots(), world.traffic.passive());
    let config = Config::new(LOOPBACK, "nope");
    let error = pangea::l4::Server::start(config, snapshots, passive).await.expect_err("refused");
    assert_eq!(error.to_string(), "no listener \"nope\" in the routing configuration");
}
