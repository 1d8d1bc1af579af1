//! A link of several connections: order, loss, resumption, what a feeder may not say.

use std::sync::Arc;
use std::time::Duration;

use pangea::peer::link::{LinkEvent, Links, Options, Role, Running};
use pangea_codec::peer::envelope::{self, Head};
use pangea_codec::peer::{
    Compression, HelloReply, Message, PREFIX_BYTES, PROTOCOL, Terms, decode, encode,
};
use pangea_core::id::Origin;
use pangea_core::merge::Body;
use pangea_core::replica::{Frame, Request, Rows};
use pangea_core::time::Hlc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::support::{NAMES, World, down, eventually, noise, rows, rows_frame, slot, until, up};
use crate::tools::Proxy;

type Stream = TlsStream<TcpStream>;

/// Region 1, played by the test.
struct Feeder {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    terms: Terms,
}

impl Feeder {
    async fn new(world: &mut World, terms: Terms) -> Self {
        let identity = world.dir.identity(NAMES[1], "pangea");
        let acceptor = TlsAcceptor::from(identity.server_config().expect("good"));
        Self { listener: world.listener(1).await, acceptor, terms }
    }

    /// A connection that introduced itself, and what for.
    async fn accept(&self) -> (Stream, Message) {
        let (socket, _) = self.listener.accept().await.expect("dialled");
        let mut stream = self.acceptor.accept(socket).await.expect("a peer");
        assert!(matches!(read(&mut stream).await, Message::Hello(_)));
        let purpose = read(&mut stream).await;
        let terms = self.terms;
        let reply = HelloReply { slot: slot(1), incarnation: 4, link: 77, terms };
        say(&mut stream, &Message::HelloReply(reply)).await;
        (stream, purpose)
    }

    /// A whole link: the urgent connection and the streams by their numbers.
    async fn link(&self) -> (Stream, Vec<Stream>) {
        let (urgent, purpose) = self.accept().await;
        assert!(matches!(purpose, Message::Open(_)), "{purpose:?}");
        let mut streams = std::collections::BTreeMap::new();
        while streams.len() < usize::from(self.terms.streams) {
            let (stream, purpose) = self.accept().await;
            let Message::Join { link: 77, stream: number } = purpose else { panic!("{purpose:?}") };
            assert!(streams.insert(number, stream).is_none(), "each once");
        }
        (urgent, streams.into_values().collect())
    }
}

async fn say(stream: &mut Stream, message: &Message) {
    // It may have been closed meanwhile.
    stream.write_all(&encode(message).expect("short")).await.ok();
    stream.flush().await.ok();
}

async fn read(stream: &mut Stream) -> Message {
    let mut prefix = [0; PREFIX_BYTES];
    if stream.read_exact(&mut prefix).await.is_err() {
        // It was closed, and the test looks at the other side.
        return std::future::pending().await;
    }
    let mut payload = vec![0; usize::try_from(u32::from_be_bytes(prefix)).expect("small")];
    stream.read_exact(&mut payload).await.expect("a message");
    decode(&payload).expect("a message")
}

/// The frame that goes from a millisecond to the next.
fn frame(after: u64) -> Vec<u8> {
    let rows = Rows {
        origin: Origin::new(slot(1), 4),
        after: Hlc::from_parts(after, 0),
        through: Hlc::from_parts(after + 1, 0),
        end: Hlc::from_parts(after + 1, 0),
        rows: Vec::new(),
        applied: Vec::new(),
        sent_wall_ms: 0,
    };
    encode(&Message::Frame(Frame::Rows(rows))).expect("short")[PREFIX_BYTES..].to_vec()
}

async fn seal(stream: &mut Stream, number: u64, plain: Option<usize>, message: &[u8]) {
    let head = envelope::head(Head { number, plain }, message);
    stream.write_all(&head).await.expect("sent");
    stream.write_all(message).await.expect("sent");
    stream.flush().await.expect("sent");
}

/// A subscriber to a feeder that the test plays over two streams.
async fn played() -> (Links, Running, Feeder, Stream, Vec<Stream>) {
    let mut world = World::new(2, Duration::ZERO).await;
    let (links, mut running) = world.bare(0).await;
    let terms = Terms { streams: 2, compression: Compression::Zstd };
    let feeder = Feeder::new(&mut world, terms).await;
    let (urgent, streams) = feeder.link().await;
    assert_eq!(up(&mut running).await, 4);
    (links, running, feeder, urgent, streams)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_early_on_one_stream_waits_for_the_others() {
    let (_links, mut running, _feeder, _urgent, mut streams) = played().await;
    for number in [1, 3, 4] {
        seal(&mut streams[0], number, None, &frame(number)).await;
    }
    let nothing = tokio::time::timeout(Duration::from_millis(100), running.events.recv()).await;
    assert!(nothing.is_err(), "number 0 has not come: {nothing:?}");
    seal(&mut streams[1], 0, None, &frame(0)).await;
    seal(&mut streams[1], 2, None, &frame(2)).await;
    for after in 0..5 {
        assert_eq!(rows_frame(&mut running).await.after, Hlc::from_parts(after, 0));
    }
}

/// Of two streams, either one and in either way: the link ends, is dialled again, and frames are
/// numbered from 0.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_stream_ends_the_link_and_it_is_dialled_again() {
    let (_links, mut running, feeder, _urgent, mut streams) = played().await;
    drop(streams.remove(1));
    assert!(down(&mut running).await.contains("closed the connection"));
    let (mut urgent, mut streams) = feeder.link().await;
    up(&mut running).await;
    seal(&mut streams[0], 0, None, &frame(0)).await;
    rows_frame(&mut running).await;
    // The urgent connection answers, stream 0 says that it lives, stream 1 is silent.
    let silent = async {
        loop {
            if let Message::Ping { t_us } = read(&mut urgent).await {
                say(&mut urgent, &Message::Pong { t_us, wall_ms: 0 }).await;
                say(&mut streams[0], &Message::Alive).await;
            }
        }
    };
    tokio::select! {
        reason = down(&mut running) => assert!(reason.contains("nothing came"), "{reason}"),
        () = silent => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feeder_that_breaks_the_rules_is_left() {
    let good = frame(0);
    let squeezed = vec![9; 40];
    let unknown = [&[PROTOCOL, 0xff], b"no frame".as_slice()].concat();
    let cases: [(u64, Option<usize>, &[u8], &str); 5] = [
        (0, None, &unknown, "malformed message"),
        (0, Some(40), &squeezed, "cannot be decompressed"),
        (0, None, &encode(&Message::Alive).expect("short")[PREFIX_BYTES..], "not its to send"),
        (1, None, &good, "came twice"),
        (0, Some(4_000_000), &good, "cannot be decompressed"),
    ];
    let (_links, mut running, feeder, mut urgent, mut streams) = played().await;
    for (number, plain, message, why) in cases {
        if number == 1 {
            seal(&mut streams[1], 1, None, &good).await;
        }
        seal(&mut streams[0], number, plain, message).await;
        let reason = down(&mut running).await;
        assert!(reason.contains(why), "{reason}, not {why}");
        (urgent, streams) = feeder.link().await;
        up(&mut running).await;
    }
    drop(urgent);
}

/// Connections are killed one by one, each time another one of the link's: whatever was on its way
/// is asked for again from what the node had.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_resumes_after_each_interruption() {
    const ROWS: u64 = 20_000;
    let mut world = World::new(2, Duration::from_millis(2)).await;
    let (store, progress) = rows(ROWS, |_| noise(200));
    let (feeder, _feeding) = world.bare_with(1, store, progress).await;
    let proxy = Proxy::start(world.addresses[1]).await;
    world.addresses[1] = proxy.address;
    let (links, mut running) = world.bare(0).await;
    feeder.faults().limit(slot(0), Some(4_000_000)).expect("a peer");
    let (mut place, mut interruptions, mut frames) = (Hlc::ZERO, 0, 0);
    while place < Hlc::from_parts(ROWS, 0) {
        let event = until(&mut running, Some).await;
        match event {
            LinkEvent::Up { .. } => {
                assert!(links.ask(slot(1), Request::Subscribe { after: place }));
            }
            LinkEvent::Down { .. } => interruptions += 1,
            LinkEvent::Heartbeat { .. } => {}
            LinkEvent::Frame { frame: Frame::Rows(rows), .. } => {
                assert!(rows.after <= place, "a gap: {} after {place}", rows.after);
                place = place.max(rows.through);
                frames += 1;
                if frames % 7 == 0 {
                    proxy.kill_one(frames / 7);
                }
            }
            LinkEvent::Frame { .. } => panic!("nobody asked for a copy"),
        }
    }
    assert!(interruptions >= 3, "{interruptions} interruptions in {frames} frames");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ends_must_want_compression_and_streams() {
    let options = |streams, compression| Options { streams, compression };
    let cases = [
        (options(4, Some(1)), options(2, Some(3)), true),
        (options(1, None), options(4, Some(1)), false),
        (options(3, Some(1)), options(3, None), false),
    ];
    for (ours, theirs, compressed) in cases {
        let mut world = World::new(2, Duration::ZERO).await;
        world.options = ours;
        let (links, mut running) = world.bare(0).await;
        world.options = theirs;
        let (store, progress) = rows(5000, |_| Body::Tombstone);
        let proxy_free = world.bare_with(1, store, progress).await;
        up(&mut running).await;
        assert!(links.ask(slot(1), Request::Subscribe { after: Hlc::ZERO }));
        let mut received = 0;
        while received < 5000 {
            received += rows_frame(&mut running).await.rows.len();
        }
        let stats = links.stats();
        let link = stats.iter().find(|link| link.role == Role::Subscriber).expect("one");
        assert_eq!(link.bytes_in < link.frame_bytes / 2, compressed, "{link:?}");
        drop(proxy_free);
    }
}

/// A subscription that is repeated because nothing came for a while does not make a slow link
/// carry everything again.
#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_subscription_costs_nothing() {
    const ROWS: u64 = 2000;
    let mut world = World::new(2, Duration::ZERO).await;
    let (links, mut running) = world.bare(0).await;
    let (store, progress) = rows(ROWS, |_| noise(1024));
    let (feeder, _feeding) = world.bare_with(1, store, progress).await;
    up(&mut running).await;
    feeder.faults().limit(slot(0), Some(1_000_000)).expect("a peer");
    let mut place = Hlc::ZERO;
    let asking = Arc::new(std::sync::Mutex::new(place));
    let repeat = tokio::spawn({
        let (links, asking) = (links.clone(), Arc::clone(&asking));
        async move {
            loop {
                let after = *asking.lock().expect("no panic");
                links.ask(slot(1), Request::Subscribe { after });
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    });
    while place < Hlc::from_parts(ROWS, 0) {
        let frame = rows_frame(&mut running).await;
        assert!(frame.after <= place, "a gap");
        place = place.max(frame.through);
        *asking.lock().expect("no panic") = place;
    }
    repeat.abort();
    let sent = || feeder.stats().iter().map(|link| link.rows).sum::<u64>();
    eventually("everything is counted", || sent() >= ROWS).await;
    // A place that was read just before a frame came is asked for once more: that is rare.
    assert!(sent() < 2 * ROWS, "{} rows were sent for {ROWS}", sent());
}
