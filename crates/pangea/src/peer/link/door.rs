//! The peer port: takes in peers, throws out everything else.
//!
//! What is not a peer costs one socket and a TLS handshake's memory for at most
//! [`HANDSHAKE_TIMEOUT`], [`HANDSHAKES_MAX`] times; a peer has one link. A connection opens a link
//! or joins one; who may do so is decided by its certificate and its hello, which must agree.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pangea_codec::peer::{
    Compression, HELLO_BYTES_MAX, Hello, HelloReply, Message, PROTOCOL, Terms,
};
use rustls::{Error as TlsError, ServerConfig};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::feeder::{FeedError, FeedSource, Feeding, Opened};
use super::stats::Garbage;
use super::wire::{Connection, ReadError};
use super::{HANDSHAKE_TIMEOUT, PeerLinks, STREAMS_MAX, Shared, lock};
use crate::peer::identity::region_of;
use crate::peer::wan::Direction;
use crate::traffic::Throttle;

/// Connections that have not introduced themselves yet: several times the streams of all peers
/// that may return at once after a split.
const HANDSHAKES_MAX: usize = 128;
/// Telling a stranger why it is refused may take this long.
const FAREWELL: Duration = Duration::from_secs(1);
/// The wait after a failed accept, which is usually for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

static ACCEPT_FAILED: Throttle = Throttle::new();

/// Not a peer, and why.
struct Refusal {
    kind: Garbage,
    why: String,
}

impl Refusal {
    fn new(kind: Garbage, why: impl ToString) -> Self {
        Self { kind, why: why.to_string() }
    }
}

/// What a connection that introduced itself wants.
enum Purpose {
    Open(Terms),
    Join { link: u64, stream: u8 },
}

pub(super) async fn run<S: FeedSource>(
    shared: Arc<Shared>,
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    source: Arc<S>,
) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    let acceptor = TlsAcceptor::from(tls);
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let (socket, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                ACCEPT_FAILED
                    .warn(|| tracing::warn!(%error, "cannot accept a connection on the peer port"));
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&handshakes).try_acquire_owned() else {
            let why = "too many handshakes at once";
            shared.garbage.throw(Garbage::Crowded, &from.to_string(), why);
            continue;
        };
        let door = Door { shared: Arc::clone(&shared), acceptor: acceptor.clone(), from };
        connections.spawn(door.serve(socket, permit, Arc::clone(&source)));
    }
}

struct Door {
    shared: Arc<Shared>,
    acceptor: TlsAcceptor,
    from: SocketAddr,
}

impl Door {
    async fn serve<S: FeedSource>(
        self,
        socket: TcpStream,
        permit: OwnedSemaphorePermit,
        source: Arc<S>,
    ) {
        let admitted = timeout(HANDSHAKE_TIMEOUT, Box::pin(self.admit(socket))).await;
        drop(permit);
        let slow = || Err(Refusal::new(Garbage::Slow, "no hello in time"));
        match admitted.unwrap_or_else(|_| slow()) {
            Ok(Some(opened)) => self.feed(opened, source).await,
            Ok(None) => {}
            Err(Refusal { kind, why }) => self.throw(kind, &why),
        }
    }

    fn throw(&self, kind: Garbage, why: &str) {
        self.shared.garbage.throw(kind, &self.from.to_string(), why);
    }

    /// TLS, the certificate's name, the hello, what for; `None` if the connection joined a link.
    async fn admit(&self, socket: TcpStream) -> Result<Option<Opened>, Refusal> {
        // Without it, small frames wait for acknowledgements of others.
        let _ = socket.set_nodelay(true);
        let stream = self.acceptor.accept(socket).await.map_err(|error| refused_tls(&error))?;
        let region = self.certified_region(&stream);
        let mut connection = Connection::new(stream);
        let Message::Hello(hello) = heard(&mut connection).await? else {
            return Err(Refusal::new(Garbage::Malformed, "the first message is no hello"));
        };
        let links = match self.recognise(&hello, region) {
            Ok(links) => links,
            Err(refusal) => return Err(farewell(&mut connection, refusal).await),
        };
        let purpose = match heard(&mut connection).await? {
            Message::Open(terms) => Purpose::Open(terms),
            Message::Join { link, stream } => Purpose::Join { link, stream },
            _ => {
                return Err(Refusal::new(Garbage::Malformed, "neither opens a link nor joins one"));
            }
        };
        self.shared.faults.line(links.peer.slot, Direction::Out).passable().await;
        match purpose {
            Purpose::Open(terms) => {
                self.open(links, hello.incarnation, terms, connection).await.map(Some)
            }
            Purpose::Join { link, stream } => {
                self.join(&links, link, stream, connection).await.map(|()| None)
            }
        }
    }

    /// A new link, in place of the one that there may be.
    async fn open(
        &self,
        links: Arc<PeerLinks>,
        incarnation: u16,
        wished: Terms,
        mut urgent: Connection,
    ) -> Result<Opened, Refusal> {
        let options = self.shared.options;
        let compression = match options.compression {
            Some(_) => wished.compression,
            None => Compression::Off,
        };
        let terms = Terms { streams: wished.streams.min(options.streams), compression };
        let link = getrandom::u64().map_err(|error| Refusal::new(Garbage::Incomplete, error))?;
        let (joined, join) = mpsc::channel(usize::from(STREAMS_MAX));
        let (replace, replaced) = oneshot::channel();
        // Before the answer, which others of the link may follow at once.
        *lock(&links.feeding) = Some(Feeding { link, terms, joined, _replaced: replace });
        self.welcome(&mut urgent, link, terms).await?;
        Ok(Opened { links, incarnation, terms, urgent, joined: join, replaced })
    }

    /// Hands the connection to the link that it belongs to.
    async fn join(
        &self,
        links: &PeerLinks,
        link: u64,
        stream: u8,
        mut connection: Connection,
    ) -> Result<(), Refusal> {
        let open = lock(&links.feeding)
            .as_ref()
            .filter(|feeding| feeding.link == link)
            .map(|feeding| (feeding.terms, feeding.joined.clone()));
        let stale = || Refusal::new(Garbage::Stale, "the link that it joins is not open any more");
        let Some((terms, joined)) = open else {
            return Err(farewell(&mut connection, stale()).await);
        };
        self.welcome(&mut connection, link, terms).await?;
        joined.try_send((stream, connection)).map_err(|_| stale())
    }

    async fn welcome(
        &self,
        connection: &mut Connection,
        link: u64,
        terms: Terms,
    ) -> Result<(), Refusal> {
        let local = &self.shared.local;
        let (slot, incarnation) = (local.slot, local.incarnation);
        let reply = Message::HelloReply(HelloReply { slot, incarnation, link, terms });
        let sent = connection.introduce(&[reply]).await;
        sent.map_err(|error| Refusal::new(Garbage::Incomplete, error))
    }

    fn certified_region(&self, stream: &TlsStream<TcpStream>) -> Option<String> {
        let chain = stream.get_ref().1.peer_certificates()?;
        region_of(chain.first()?, &self.shared.local.cluster).ok().flatten()
    }

    /// The peer that says hello, if it may.
    fn recognise(&self, hello: &Hello, region: Option<String>) -> Result<Arc<PeerLinks>, Refusal> {
        let stranger = |why: String| Refusal::new(Garbage::Stranger, why);
        let local = &self.shared.local;
        if hello.protocol != PROTOCOL {
            let who = region.as_deref().unwrap_or("of another cluster");
            return Err(stranger(format!(
                "region {who} speaks protocol {}, this region speaks {PROTOCOL}: run the same \
                 release in both",
                hello.protocol
            )));
        }
        let Some(region) = region else {
            let cluster = &local.cluster;
            return Err(stranger(format!("the certificate names no region of cluster {cluster}")));
        };
        if hello.cluster != local.cluster_id {
            return Err(stranger(format!("region {region} is of another cluster")));
        }
        if hello.region != region {
            let claimed: String = hello.region.escape_debug().take(64).collect();
            return Err(stranger(format!(
                "the certificate is of region {region}, the hello of {claimed}"
            )));
        }
        if let Some(why) = self.shared.fenced(hello.slot, hello.incarnation) {
            let why = format!("region {region}, life {}: {why}", hello.incarnation);
            return Err(Refusal::new(Garbage::Fenced, why));
        }
        let links = self.shared.peer(hello.slot).filter(|links| links.peer.name == region);
        links.ok_or_else(|| {
            let slot = hello.slot;
            stranger(format!("region {region} at {slot} is not in this region's topology"))
        })
    }

    async fn feed<S: FeedSource>(&self, opened: Opened, source: Arc<S>) {
        let links = Arc::clone(&opened.links);
        let (was_open, error) = Box::pin(opened.run(&self.shared, source)).await;
        let reason = error.to_string();
        if let FeedError::Read(read) = &error
            && read.is_malformed()
        {
            self.throw(Garbage::Malformed, &reason);
        }
        if links.feeder.closed(&reason, was_open) {
            let (peer, region) = (links.peer.slot, &links.peer.name);
            tracing::warn!(%peer, region, reason, "no longer feeding the peer");
        }
    }
}

/// The next message of who introduces itself.
async fn heard(connection: &mut Connection) -> Result<Message, Refusal> {
    let heard = connection.incoming.next(HELLO_BYTES_MAX, HANDSHAKE_TIMEOUT).await;
    heard.map(|(message, _)| message).map_err(|error| refused_hello(&error))
}

/// Tells who is refused why.
async fn farewell(connection: &mut Connection, refusal: Refusal) -> Refusal {
    let told = async {
        connection.introduce(&[Message::Refused { reason: refusal.why.clone() }]).await?;
        connection.socket.shutdown().await
    };
    let _ = timeout(FAREWELL, told).await;
    refusal
}

fn refused_tls(error: &io::Error) -> Refusal {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
    let kind = match tls {
        Some(TlsError::NoCertificatesPresented) => Garbage::NoCertificate,
        Some(TlsError::InvalidCertificate(_)) => Garbage::Untrusted,
        // An alert in the handshake: the other side does not believe this one's certificate.
        Some(TlsError::AlertReceived(_)) => Garbage::Untrusted,
        Some(_) => Garbage::NotTls,
        None => Garbage::Incomplete,
    };
    Refusal::new(kind, error)
}

fn refused_hello(error: &ReadError) -> Refusal {
    let kind = match error {
        ReadError::Closed | ReadError::Io(_) => Garbage::Incomplete,
        ReadError::Silent(_) => Garbage::Slow,
        ReadError::Message(_) | ReadError::Repeated(_) | ReadError::Misplaced => Garbage::Malformed,
    };
    Refusal::new(kind, error)
}
