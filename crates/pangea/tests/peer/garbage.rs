//! Everything that is not a peer, on the peer port.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pangea::peer::identity::{Identity, common_name, region_dns_name};
use pangea::peer::link::{Garbage, LinkEvent, Links, Running};
use pangea_codec::peer::{
    Compression, FRAME_BYTES_MAX, Hello, Message, PREFIX_BYTES, PROTOCOL, Terms, decode, encode,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::{Dir, NAMES, PATIENCE, World, eventually, slot};
use crate::tools::log_lines;

/// Region 0 listens; region 1 is for the test to play.
struct Target {
    world: World,
    links: Links,
    running: Running,
}

impl Target {
    async fn new() -> Self {
        let mut world = World::new(2, Duration::ZERO).await;
        let (links, running) = world.bare(0).await;
        Self { world, links, running }
    }

    async fn dial(&self) -> TcpStream {
        TcpStream::connect(self.world.addresses[0]).await.expect("it listens")
    }

    async fn dial_tls(&self, config: Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
        let name = region_dns_name(NAMES[0], "pangea");
        let name = ServerName::try_from(name).expect("a name");
        TlsConnector::from(config).connect(name, self.dial().await).await
    }

    /// A connection with the certificate of region 1.
    async fn dial_peer(&self) -> TlsStream<TcpStream> {
        let identity = self.world.dir.identity(NAMES[1], "pangea");
        self.dial_tls(identity.client_config().expect("good")).await.expect("trusted")
    }

    fn count(&self, kind: Garbage) -> u64 {
        self.links.garbage().get(&kind).copied().unwrap_or_default()
    }

    async fn counted(&self, kind: Garbage, at_least: u64) {
        eventually(kind.as_str(), || self.count(kind) >= at_least).await;
    }

    /// The port still takes in the true region 1.
    async fn still_serves(mut self) {
        let (_links, mut peer) = self.world.bare(1).await;
        for running in [&mut peer, &mut self.running] {
            let up = tokio::time::timeout(PATIENCE, running.events.recv()).await.expect("in time");
            assert!(matches!(up, Some(LinkEvent::Up { .. })), "{up:?}");
        }
    }
}

fn hello() -> Hello {
    let local = World::local(1);
    Hello {
        protocol: PROTOCOL,
        cluster: local.cluster_id,
        slot: local.slot,
        incarnation: 1,
        region: local.name,
    }
}

const TERMS: Terms = Terms { streams: 1, compression: Compression::Zstd };

/// What a peer says that opens a link of one stream.
fn introduction() -> Vec<u8> {
    let messages = [Message::Hello(hello()), Message::Open(TERMS)];
    messages.iter().flat_map(|message| encode(message).expect("short")).collect()
}

async fn closed(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Vec<u8> {
    let mut rest = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest));
    // An alert or a reset is as good as an end.
    let _ = read.await.expect("closed in time");
    rest
}

async fn read_message(stream: &mut TlsStream<TcpStream>) -> Message {
    let mut prefix = [0; PREFIX_BYTES];
    stream.read_exact(&mut prefix).await.expect("a message");
    let mut payload = vec![0; usize::try_from(u32::from_be_bytes(prefix)).expect("small")];
    stream.read_exact(&mut payload).await.expect("a message");
    decode(&payload).expect("a message")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_tls_is_dropped() {
    let target = Target::new().await;
    let mut random = vec![0; 4096];
    getrandom::fill(&mut random).expect("random");
    // The first byte of a TLS record of a version that nobody speaks, so that it is never TLS.
    random[0] = 0xff;
    for bytes in [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".as_slice(), &random, b"\x16\x03\x01\x01\x00"]
    {
        let mut socket = target.dial().await;
        socket.write_all(bytes).await.expect("sent");
        socket.shutdown().await.ok();
        closed(&mut socket).await;
    }
    target.counted(Garbage::NotTls, 2).await;
    target.counted(Garbage::Incomplete, 1).await;
    target.still_serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_no_certificate_or_a_foreign_or_expired_one_is_refused() {
    let target = Target::new().await;
    let pki = target.world.dir.0.join("pki");
    let ca = CertificateDer::from_pem_file(pki.join("ca.pem")).expect("made");
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone()).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let nobody = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("defaults")
        .with_root_certificates(roots)
        .with_no_client_auth();
    if let Ok(mut stream) = target.dial_tls(Arc::new(nobody)).await {
        closed(&mut stream).await;
    }
    target.counted(Garbage::NoCertificate, 1).await;

    let other = Dir::new();
    other.identity(NAMES[1], "pangea");
    let pem = |dir: &Dir, name: &str| dir.0.join("pki").join(name);
    let cert = CertificateDer::from_pem_file(pem(&other, "us-east-1.pem")).expect("made");
    let key = PrivateKeyDer::from_pem_file(pem(&other, "us-east-1.key")).expect("made");
    let foreign = Identity::new(cert, key, ca.clone()).expect("an authority");
    let (cert, key) = expired(&target.world.dir);
    let expired = Identity::new(cert, key, ca).expect("an authority");
    for (identity, count) in [(foreign, 1), (expired, 2)] {
        let config = identity.client_config().expect("good");
        if let Ok(mut stream) = target.dial_tls(config).await {
            closed(&mut stream).await;
        }
        target.counted(Garbage::Untrusted, count).await;
    }
    assert!(!log_lines(&["WARN", "peer port refused", "untrusted", "certificate"]).is_empty());
    target.still_serves().await;
}

/// Region 1's certificate as it was two days ago, for a day.
fn expired(dir: &Dir) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let read = |name: &str| std::fs::read_to_string(dir.0.join("pki").join(name)).expect("made");
    let ca_key = rcgen::KeyPair::from_pem(&read("ca.key")).expect("a key");
    let ca = CertificateDer::from_pem_slice(read("ca.pem").as_bytes()).expect("made");
    let name = common_name(&ca).expect("named");
    let mut issuer = rcgen::CertificateParams::default();
    issuer.distinguished_name.push(rcgen::DnType::CommonName, name);
    let issuer = rcgen::Issuer::new(issuer, ca_key);
    let dns_name = region_dns_name(NAMES[1], "pangea");
    let mut params = rcgen::CertificateParams::new(vec![dns_name]).expect("a name");
    let day = Duration::from_secs(86_400);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    params.not_before = rcgen::date_time_ymd(1970, 1, 1) + (since - 2 * day);
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + (since - day);
    let key = rcgen::KeyPair::generate().expect("a key");
    let cert = params.signed_by(&key, &issuer).expect("signed");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    (cert.der().clone(), key)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hello_that_does_not_fit_is_told_why() {
    let target = Target::new().await;
    let older = Hello { protocol: PROTOCOL - 1, ..hello() };
    let elsewhere = Hello { cluster: [7; 16], ..hello() };
    let other = Hello { region: NAMES[2].to_owned(), slot: slot(2), ..hello() };
    let unknown = Hello { slot: slot(2), ..hello() };
    let versions = format!("speaks protocol {}, this region speaks {PROTOCOL}", PROTOCOL - 1);
    let cases = [
        (older, versions.as_str()),
        (elsewhere, "another cluster"),
        (other, "the certificate is of region us-east-1"),
        (unknown, "not in this region's topology"),
    ];
    for (count, (hello, why)) in (1..).zip(cases) {
        let mut stream = target.dial_peer().await;
        let bytes = encode(&Message::Hello(hello)).expect("short");
        stream.write_all(&bytes).await.expect("sent");
        let Message::Refused { reason } = read_message(&mut stream).await else { panic!("{why}") };
        assert!(reason.contains(why), "{reason}");
        closed(&mut stream).await;
        target.counted(Garbage::Stranger, count).await;
        assert!(!log_lines(&["WARN", "peer port refused", "stranger", &reason]).is_empty());
    }
    // A certificate of the same authority for another cluster.
    let identity = target.world.dir.identity("elsewhere", "other");
    let config = identity.client_config().expect("good");
    let mut stream = target.dial_tls(config).await.expect("trusted");
    stream.write_all(&encode(&Message::Hello(hello())).expect("short")).await.expect("sent");
    let Message::Refused { reason } = read_message(&mut stream).await else { panic!("refused") };
    assert!(reason.contains("names no region of cluster pangea"), "{reason}");
    target.still_serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_inside_tls_ends_the_connection() {
    let target = Target::new().await;
    let introduction = introduction();
    let ping = encode(&Message::Ping { t_us: 1 }).expect("short");
    let reply = encode(&Message::Refused { reason: "you".to_owned() }).expect("short");
    let too_long = u32::try_from(FRAME_BYTES_MAX + 1).expect("fits").to_be_bytes();
    let cases: [(bool, &[u8]); 6] = [
        (false, b"\xff\xff\xff\xffhuge prefix before the hello"),
        (false, b"\x00\x00\x00\x05hello"),
        (false, &ping),
        (true, &too_long),
        (true, &[0, 0, 0, 5, PROTOCOL, 6, 0xff, 0xff, 0xff]),
        (true, &reply),
    ];
    for (count, (introduced, bytes)) in (1..).zip(cases) {
        let mut stream = target.dial_peer().await;
        if introduced {
            stream.write_all(&introduction).await.expect("sent");
            assert!(matches!(read_message(&mut stream).await, Message::HelloReply(_)));
        }
        stream.write_all(bytes).await.expect("sent");
        closed(&mut stream).await;
        target.counted(Garbage::Malformed, count).await;
    }
    target.still_serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_is_dropped_and_cannot_crowd_out_for_long() {
    let target = Target::new().await;
    let mut idle = Vec::new();
    for _ in 0..128 {
        idle.push(target.dial().await);
    }
    eventually("the door is full", || {
        let full = target.count(Garbage::Crowded) > 0;
        if !full {
            let address = target.world.addresses[0];
            // Dropped at once: only the attempt counts.
            std::net::TcpStream::connect(address).ok();
        }
        full
    })
    .await;
    for socket in &mut idle {
        closed(socket).await;
    }
    target.counted(Garbage::Slow, 120).await;
    target.still_serves().await;
}

/// One line for each mistake of whoever runs the other region, however often it dials.
#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_is_logged_once_and_says_what_it_is() {
    let target = Target::new().await;
    let older = Hello { protocol: 0, ..hello() };
    let mistaken = Hello { region: "mistaken".to_owned(), ..hello() };
    for _ in 0..3 {
        for hello in [&older, &mistaken] {
            let mut stream = target.dial_peer().await;
            let bytes = encode(&Message::Hello(hello.clone())).expect("short");
            stream.write_all(&bytes).await.expect("sent");
            let Message::Refused { .. } = read_message(&mut stream).await else { panic!("let in") };
        }
    }
    target.counted(Garbage::Stranger, 6).await;
    let versions = format!("region us-east-1 speaks protocol 0, this region speaks {PROTOCOL}");
    for why in [versions.as_str(), "the hello of mistaken"] {
        let lines = log_lines(&["connection to the peer port refused", "stranger", why]);
        assert_eq!(lines.len(), 1, "{why}: {lines:#?}");
    }
}

/// What joins a link that is not open, or in a place that there is not, is not let in.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_joins_its_own_link_once() {
    let target = Target::new().await;
    let say = |messages: &[Message]| -> Vec<u8> {
        messages.iter().flat_map(|message| encode(message).expect("short")).collect()
    };
    let join = |link, stream| say(&[Message::Hello(hello()), Message::Join { link, stream }]);
    let mut stranger = target.dial_peer().await;
    stranger.write_all(&join(5, 0)).await.expect("sent");
    let Message::Refused { reason } = read_message(&mut stranger).await else { panic!("let in") };
    assert!(reason.contains("not open"), "{reason}");
    target.counted(Garbage::Stale, 1).await;
    let mut kept = Vec::new();
    for (stream, malformed) in [(0, 0), (1, 1), (0, 2)] {
        let mut urgent = target.dial_peer().await;
        let terms = Terms { streams: if malformed == 2 { 2 } else { 1 }, ..TERMS };
        urgent.write_all(&say(&[Message::Hello(hello()), Message::Open(terms)])).await.ok();
        let Message::HelloReply(reply) = read_message(&mut urgent).await else { panic!("refused") };
        assert_eq!(reply.terms, terms);
        for _ in 0..terms.streams {
            let mut joined = target.dial_peer().await;
            joined.write_all(&join(reply.link, stream)).await.expect("sent");
            assert!(matches!(read_message(&mut joined).await, Message::HelloReply(_)));
            kept.push(joined);
        }
        target.counted(Garbage::Malformed, malformed).await;
    }
}

/// A peer that was killed returns before its old connection is known to be dead.
#[tokio::test(flavor = "multi_thread")]
async fn a_newer_connection_of_a_peer_replaces_the_older() {
    let target = Target::new().await;
    let introduction = introduction();
    let mut older = target.dial_peer().await;
    older.write_all(&introduction).await.expect("sent");
    assert!(matches!(read_message(&mut older).await, Message::HelloReply(_)));
    let mut newer = target.dial_peer().await;
    newer.write_all(&introduction).await.expect("sent");
    assert!(matches!(read_message(&mut newer).await, Message::HelloReply(_)));
    closed(&mut older).await;
    newer.write_all(&encode(&Message::Ping { t_us: 7 }).expect("short")).await.expect("sent");
    assert!(matches!(read_message(&mut newer).await, Message::Pong { t_us: 7, .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_does_not_believe_the_wrong_region() {
    let mut world = World::new(3, Duration::ZERO).await;
    let _other = world.bare(2).await;
    world.addresses[1] = world.addresses[2];
    let (links, mut running) = world.bare(0).await;
    eventually("the certificate is refused", || {
        let stats = links.stats();
        stats[0].last_error.as_deref().is_some_and(|error| error.contains("not valid for name"))
    })
    .await;
    let up = tokio::time::timeout(PATIENCE, running.events.recv()).await.expect("in time");
    assert!(matches!(up, Some(LinkEvent::Up { peer, .. }) if peer == slot(2)), "{up:?}");
}
