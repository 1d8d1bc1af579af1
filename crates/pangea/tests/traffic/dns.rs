//! The name server as resolvers see it.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsCode, EdnsOption};
use hickory_proto::rr::{Name, RecordType};
use pangea::traffic::Dice;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::world::{LOOPBACK, PATIENCE, World, until};

pub(crate) fn query(id: u16, owner: &str, subnet: Option<&str>) -> Message {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(owner).expect("name"), RecordType::A));
    if let Some(subnet) = subnet {
        let mut edns = Edns::new();
        edns.set_max_payload(1232);
        let subnet: ClientSubnet = subnet.parse().expect("subnet");
        edns.options_mut().insert(EdnsOption::Subnet(subnet));
        message.set_edns(edns);
    }
    message
}

/// Asks over UDP; asks again if nothing comes, as resolvers do.
pub(crate) async fn ask(server: SocketAddr, query: &Message) -> Message {
    let socket = UdpSocket::bind(LOOPBACK).await.expect("bind");
    socket.connect(server).await.expect("connect");
    let bytes = query.to_vec().expect("encodes");
    let mut buffer = vec![0; 4096];
    for _ in 0..30 {
        socket.send(&bytes).await.expect("send");
        let received = timeout(Duration::from_secs(1), socket.recv(&mut buffer)).await;
        if let Ok(count) = received {
            let reply = Message::from_vec(&buffer[..count.expect("receive")]).expect("a message");
            assert_eq!(reply.id, query.id);
            return reply;
        }
    }
    panic!("no reply to {query}");
}

pub(crate) fn addresses(reply: &Message) -> String {
    let found: Vec<String> = reply.answers.iter().map(|r| r.data.to_string()).collect();
    found.join(" ")
}

fn dig(server: SocketAddr, arguments: &[&str]) -> String {
    let output = Command::new("/usr/bin/dig")
        .args([&format!("@{}", server.ip()), "-p", &server.port().to_string()])
        .args(["+tries=3", "+time=10"])
        .args(arguments)
        .output()
        .expect("/usr/bin/dig does not run: `cargo xtask test` says how to install it (dnsutils)");
    String::from_utf8(output.stdout).expect("text")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dig_over_udp_and_tcp_with_and_without_a_subnet() {
    let world = World::start().await;
    let server = world.dns().await;
    tokio::task::spawn_blocking(move || {
        let addr = server.addr();
        for transport in ["+notcp", "+tcp"] {
            let short =
                |subnet: &str| dig(addr, &["www.example.com", "A", "+short", transport, subnet]);
            assert_eq!(short("+nosubnet"), "192.0.2.1\n");
            assert_eq!(short("+subnet=10.1.2.0/24"), "192.0.2.1\n");
            assert_eq!(short("+subnet=10.2.2.0/24"), "192.0.2.2\n");
        }
        let whole = dig(addr, &["wWw.Example.com", "A", "+subnet=10.2.2.0/24", "+norec"]);
        for part in [
            "NOERROR",
            "flags: qr aa;",
            "CLIENT-SUBNET: 10.2.2.0/24/16",
            "wWw.Example.com.\t1\tIN\tA",
        ] {
            assert!(whole.contains(part), "{part:?} is not in {whole}");
        }
        let big = dig(addr, &["big.example.com", "TXT", "+noedns"]);
        assert!(big.contains("Truncated, retrying in TCP mode") && big.contains("yyyy"), "{big}");
        let none = dig(addr, &["nope.example.com", "A"]);
        assert!(none.contains("NXDOMAIN") && none.contains("SOA"), "{none}");
        let other = dig(addr, &["example.net", "A"]);
        assert!(other.contains("REFUSED"), "{other}");
        let version = dig(addr, &["version.bind", "TXT", "CH"]);
        assert!(version.contains("REFUSED"), "{version}");
        drop(server);
    })
    .await
    .expect("dig agrees");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_subnets_get_two_answers_with_their_scopes() {
    let world = World::start().await;
    let server = world.dns().await;
    for (subnet, address, scope) in [
        ("10.1.7.0/24", "192.0.2.1", 16),
        ("10.2.7.0/24", "192.0.2.2", 16),
        ("0.0.0.0/0", "192.0.2.1", 0),
    ] {
        let reply = ask(server.addr(), &query(1, "www.example.com.", Some(subnet))).await;
        assert_eq!(addresses(&reply), address, "{subnet}");
        let edns = reply.edns.expect("OPT");
        let Some(EdnsOption::Subnet(found)) = edns.option(EdnsCode::Subnet) else {
            panic!("no subnet in the reply to {subnet}");
        };
        assert_eq!(found.scope_prefix(), scope, "{subnet}");
    }
}

async fn read_reply(stream: &mut TcpStream) -> Message {
    let length = timeout(PATIENCE, stream.read_u16()).await.expect("in time").expect("a length");
    let mut bytes = vec![0; usize::from(length)];
    timeout(PATIENCE, stream.read_exact(&mut bytes)).await.expect("in time").expect("a message");
    Message::from_vec(&bytes).expect("a message")
}

fn framed(message: &Message) -> Vec<u8> {
    let bytes = message.to_vec().expect("encodes");
    let length = u16::try_from(bytes.len()).expect("short");
    [&length.to_be_bytes(), bytes.as_slice()].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_answers_many_questions_on_one_connection() {
    let world = World::start().await;
    let server = world.dns().await;
    let mut stream = TcpStream::connect(server.addr()).await.expect("connect");
    let all: Vec<u8> =
        (0..100).flat_map(|id| framed(&query(id, "www.example.com.", None))).collect();
    // In two pieces, cut inside a message.
    stream.write_all(&all[..1001]).await.expect("write");
    stream.flush().await.expect("flush");
    stream.write_all(&all[1001..]).await.expect("write");
    for id in 0..100 {
        let reply = read_reply(&mut stream).await;
        assert_eq!((reply.id, addresses(&reply).as_str()), (id, "192.0.2.1"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_closes_on_garbage_on_silence_and_beyond_its_limit() {
    let world = World::start().await;
    let mut config = pangea::dns::Config::new(LOOPBACK);
    config.tcp_idle = Duration::from_millis(300);
    config.tcp_connections_max = 2;
    let server =
        pangea::dns::Server::start(&config, world.traffic.snapshots()).await.expect("dns starts");
    let closed = async |mut stream: TcpStream| {
        let mut rest = Vec::new();
        let ended = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
        ended.expect("it is closed in time").map_or(0, |_| rest.len())
    };
    for garbage in [&[0, 0][..], &[0, 5, 1, 2, 3, 4, 5], &[0xff, 0xff, 1, 2], &[7]] {
        let mut stream = TcpStream::connect(server.addr()).await.expect("connect");
        stream.write_all(garbage).await.expect("write");
        assert_eq!(closed(stream).await, 0, "{garbage:?}");
    }
    let counters = server.counters();
    let silent = [
        TcpStream::connect(server.addr()).await.expect("connect"),
        TcpStream::connect(server.addr()).await.expect("connect"),
    ];
    until("both are accepted", || counters.snapshot().tcp_connections == 6).await;
    assert_eq!(closed(TcpStream::connect(server.addr()).await.expect("connect")).await, 0);
    assert_eq!(counters.snapshot().tcp_refused, 1);
    for stream in silent {
        assert_eq!(closed(stream).await, 0);
    }
    let mut stream = TcpStream::connect(server.addr()).await.expect("connect");
    stream.write_all(&framed(&query(9, "www.example.com.", None))).await.expect("write");
    assert_eq!(addresses(&read_reply(&mut stream).await), "192.0.2.1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_random_datagrams_do_no_harm() {
    let world = World::start().await;
    let server = world.dns().await;
    let socket = UdpSocket::bind(LOOPBACK).await.expect("bind");
    let mut dice = Dice::new();
    for sent in 1..=10_000_u64 {
        let length = usize::try_from(dice.roll() % 600).expect("small");
        let bytes: Vec<u8> = (0..length).map(|_| dice.roll().to_be_bytes()[0]).collect();
        socket.send_to(&bytes, server.addr()).await.expect("send");
        if sent.is_multiple_of(100) {
            // Loopback drops what the receiver cannot hold; then there is less to survive.
            tokio::task::yield_now().await;
        }
    }
    let reply = ask(server.addr(), &query(7, "www.example.com.", None)).await;
    assert_eq!(reply.response_code, ResponseCode::NoError);
    assert_eq!(addresses(&reply), "192.0.2.1");
    let counted = server.counters().snapshot();
    assert!(counted.udp > 1000 && counted.dropped_response > 0, "{counted:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_outlive_the_driver() {
    let world = World::start().await;
    let server = world.dns().await;
    drop(world.traffic);
    let reply = ask(server.addr(), &query(3, "www.example.com.", Some("10.2.0.0/16"))).await;
    assert_eq!(addresses(&reply), "192.0.2.2");
}
