//! The peer port: takes in peers, throws out everything else.
//!
//! What is not a peer costs one socket and a TLS handshake's memory for at most
//! [`HANDSHAKE_TIMEOUT`], [`HANDSHAKES_MAX`] times; a peer has one connection.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use pangea_codec::peer::{HELLO_BYTES_MAX, Hello, HelloReply, Message, PROTOCOL, encode};
use pangea_core::replica::Feed;
use rustls::{Error as TlsError, ServerConfig};
use tokio::io::{AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::feeder::{Fed, FeedError, FeedSource};
use super::stats::Garbage;
use super::wire::{Incoming, ReadError};
use super::{HANDSHAKE_TIMEOUT, PeerLinks, Shared};
use crate::peer::identity::region_of;
use crate::peer::wan::Direction;

/// Connections that have not introduced themselves yet: many times the peers that may return at
/// once after a split.
const HANDSHAKES_MAX: usize = 64;
/// Telling a stranger why it is refused may take this long.
const FAREWELL: Duration = Duration::from_secs(1);
/// The wait after a failed accept, which is usually for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

type Read = ReadHalf<TlsStream<TcpStream>>;
type Write = WriteHalf<TlsStream<TcpStream>>;

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
                tracing::warn!(%error, "cannot accept a connection on the peer port");
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
        let (links, incoming, socket) = match admitted.unwrap_or_else(|_| slow()) {
            Ok(admitted) => admitted,
            Err(Refusal { kind, why }) => {
                return self.shared.garbage.throw(kind, &self.from.to_string(), &why);
            }
        };
        let error = Box::pin(self.feed(links, incoming, socket, source)).await;
        let (peer, reason) = (links.peer.slot, error.to_string());
        if let FeedError::Read(ReadError::Message(_)) | FeedError::Misplaced = error {
            self.shared.garbage.throw(Garbage::Malformed, &self.from.to_string(), &reason);
        }
        if links.feeder.closed(&reason, true) {
            tracing::warn!(%peer, region = links.peer.name, reason, "no longer feeding the peer");
        }
    }

    /// TLS, the certificate's name, the hello.
    async fn admit(
        &self,
        socket: TcpStream,
    ) -> Result<(&PeerLinks, Incoming<Read>, Write), Refusal> {
        // Without it, small frames wait for acknowledgements of others.
        let _ = socket.set_nodelay(true);
        let stream = self.acceptor.accept(socket).await.map_err(|error| refused_tls(&error))?;
        let region = self.certified_region(&stream);
        let (read, mut write) = tokio::io::split(stream);
        let mut incoming = Incoming::new(read);
        let hello = match incoming.next(HELLO_BYTES_MAX, HANDSHAKE_TIMEOUT).await {
            Ok((Message::Hello(hello), _)) => hello,
            Ok(_) => return Err(Refusal::new(Garbage::Malformed, "the first message is no hello")),
            Err(error) => return Err(refused_hello(&error)),
        };
        match self.recognise(&hello, region) {
            Ok(links) => self.welcome(links, write).await.map(|write| (links, incoming, write)),
            Err(why) => {
                let farewell = farewell(&mut write, why.clone());
                let _ = timeout(FAREWELL, farewell).await;
                Err(Refusal::new(Garbage::Stranger, why))
            }
        }
    }

    async fn welcome(&self, links: &PeerLinks, mut write: Write) -> Result<Write, Refusal> {
        self.shared.faults.line(links.peer.slot, Direction::Out).passable().await;
        let local = &self.shared.local;
        let reply = HelloReply { slot: local.slot, incarnation: local.incarnation };
        let write_reply = async {
            let bytes = encode(&Message::HelloReply(reply)).map_err(io::Error::other)?;
            write.write_all(&bytes).await?;
            write.flush().await
        };
        write_reply.await.map_err(|error| Refusal::new(Garbage::Incomplete, error))?;
        Ok(write)
    }

    fn certified_region(&self, stream: &TlsStream<TcpStream>) -> Option<String> {
        let chain = stream.get_ref().1.peer_certificates()?;
        region_of(chain.first()?, &self.shared.local.cluster).ok().flatten()
    }

    /// The peer that says hello, if it may.
    fn recognise(&self, hello: &Hello, region: Option<String>) -> Result<&PeerLinks, String> {
        let local = &self.shared.local;
        if hello.protocol != PROTOCOL {
            let theirs = hello.protocol;
            return Err(format!("protocol {theirs} is spoken, this region speaks {PROTOCOL}"));
        }
        let Some(region) = region else {
            return Err(format!("the certificate names no region of cluster {}", local.cluster));
        };
        if hello.cluster != local.cluster_id {
            return Err(format!("region {region} is of another cluster"));
        }
        if hello.region != region {
            let claimed: String = hello.region.chars().take(64).collect();
            return Err(format!("the certificate is of region {region}, the hello of {claimed:?}"));
        }
        let links = self.shared.peers.get(&hello.slot);
        links.filter(|links| links.peer.name == region).ok_or_else(|| {
            format!("region {region} at {} is not in this region's topology", hello.slot)
        })
    }

    async fn feed<S: FeedSource>(
        &self,
        links: &PeerLinks,
        incoming: Incoming<Read>,
        socket: Write,
        source: Arc<S>,
    ) -> FeedError {
        let (replace, replaced) = oneshot::channel();
        *links.feeding.lock().unwrap_or_else(PoisonError::into_inner) = Some(replace);
        links.feeder.opened();
        let slot = links.peer.slot;
        tracing::info!(peer = %slot, region = links.peer.name, "feeding the peer");
        let feed = Feed::new(self.shared.origin(), slot);
        let line = self.shared.faults.line(slot, Direction::Out);
        let fed = Fed { feed, source, line, meter: &links.feeder, replaced };
        fed.run(incoming, socket).await
    }
}

async fn farewell(write: &mut Write, reason: String) -> io::Result<()> {
    let bytes = encode(&Message::Refused { reason }).map_err(io::Error::other)?;
    write.write_all(&bytes).await?;
    write.shutdown().await
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
        ReadError::Message(_) => Garbage::Malformed,
        ReadError::Closed | ReadError::Io(_) => Garbage::Incomplete,
        ReadError::Silent(_) => Garbage::Slow,
    };
    Refusal::new(kind, error)
}
