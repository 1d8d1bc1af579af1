//! A client's resolver: asks the authoritative server, keeps the answer for its lifetime.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::net::UdpSocket;

/// One question's deadline; a stub resolver would ask again after a second or more.
const TIMEOUT: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Debug)]
pub(super) struct Resolver {
    server: SocketAddr,
    name: Name,
    next_id: u16,
    kept: Option<(IpAddr, Instant)>,
}

/// Why a name has no address.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The server does not answer.
    #[error("no answer from the DNS server")]
    Silent,
    /// The question or answer is malformed, or there is no address in it.
    #[error("the DNS answer has no address: {0}")]
    Empty(String),
    /// The socket failed.
    #[error("cannot ask the DNS server: {0}")]
    Socket(#[from] std::io::Error),
}

impl Resolver {
    /// A resolver of one name that knows nothing yet.
    pub(super) fn new(server: SocketAddr, name: &str) -> Result<Self, Error> {
        let name = Name::from_ascii(format!("{}.", name.trim_end_matches('.')));
        let name = name.map_err(|error| Error::Empty(error.to_string()))?;
        Ok(Self { server, name, next_id: 1, kept: None })
    }

    /// The name's address: the kept one while it lives, else a fresh one.
    pub(super) async fn address(&mut self) -> Result<IpAddr, Error> {
        match self.kept {
            Some((ip, until)) if Instant::now() < until => Ok(ip),
            _ => self.ask().await,
        }
    }

    /// The name's address, asked for now.
    pub(super) async fn ask(&mut self) -> Result<IpAddr, Error> {
        self.next_id = self.next_id.wrapping_add(1);
        let mut question = Message::new(self.next_id, MessageType::Query, OpCode::Query);
        question.add_query(Query::query(self.name.clone(), RecordType::A));
        let bytes = question.to_vec().map_err(|error| Error::Empty(error.to_string()))?;
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
        socket.connect(self.server).await?;
        socket.send(&bytes).await?;
        let mut buffer = [0; 4096];
        let received = tokio::time::timeout(TIMEOUT, socket.recv(&mut buffer)).await;
        let length = received.map_err(|_| Error::Silent)??;
        let answer = Message::from_vec(&buffer[..length]);
        let answer = answer.map_err(|error| Error::Empty(error.to_string()))?;
        self.keep(&answer)
    }

    fn keep(&mut self, answer: &Message) -> Result<IpAddr, Error> {
        for record in &answer.answers {
            if let RData::A(address) = record.data {
                let ip = IpAddr::V4(address.0);
                let lifetime = Duration::from_secs(u64::from(record.ttl));
                self.kept = Some((ip, Instant::now() + lifetime));
                return Ok(ip);
            }
        }
        Err(Error::Empty(answer.metadata.response_code.to_string()))
    }
}
