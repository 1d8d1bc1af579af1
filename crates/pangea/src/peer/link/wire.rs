//! Messages on a socket.

use std::io;
use std::time::Duration;

use pangea_codec::peer::envelope::{self, HEAD_BYTES, SEALED_BYTES_MAX};
use pangea_codec::peer::{Message, MessageError, PREFIX_BYTES, decode, encode, payload_length};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsStream;

use super::reorder::{Reorder, Repeated, Sealed};
use crate::peer::outbox::{Closed, Outbox};

/// Capacity that a reader keeps between messages, bytes: most messages fit, a rare great one goes.
const KEPT_BYTES_MAX: usize = 64 * 1024;
/// Room made for what is still to come, bytes: a few TLS records.
const STEP_BYTES: usize = 64 * 1024;

/// Why there is no message.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("the peer closed the connection")]
    Closed,
    #[error("nothing came for {} ms", .0.as_millis())]
    Silent(Duration),
    #[error("the connection failed: {0}")]
    Io(io::Error),
    #[error(transparent)]
    Message(#[from] MessageError),
    #[error(transparent)]
    Repeated(#[from] Repeated),
    #[error("the peer sent a message that is not its to send")]
    Misplaced,
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => Self::Closed,
            _ => Self::Io(error),
        }
    }
}

impl ReadError {
    /// Whether the other side spoke, and not as it should.
    pub(super) fn is_malformed(&self) -> bool {
        matches!(self, Self::Message(_) | Self::Repeated(_) | Self::Misplaced)
    }
}

/// What came on a stream.
#[derive(Debug)]
pub(super) struct Streamed {
    /// The number and the message; `None` if the stream only shows that it lives.
    pub(super) message: Option<(u64, Sealed)>,
    /// On the wire.
    pub(super) bytes: usize,
}

/// An encrypted connection, dialled or accepted.
pub(super) type Stream = TlsStream<TcpStream>;
/// Its sending half.
pub(super) type WriteSocket = WriteHalf<Stream>;

/// A connection and its halves.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) incoming: Incoming,
    pub(super) socket: WriteSocket,
}

impl Connection {
    pub(super) fn new(stream: impl Into<Stream>) -> Self {
        let (read, socket) = tokio::io::split(stream.into());
        Self { incoming: Incoming { socket: read, payload: Vec::new() }, socket }
    }

    /// Sends messages past everything that simulates distance.
    pub(super) async fn introduce(&mut self, messages: &[Message]) -> io::Result<()> {
        for message in messages {
            let bytes = encode(message).map_err(io::Error::other)?;
            self.socket.write_all(&bytes).await?;
        }
        self.socket.flush().await
    }
}

/// Takes messages off a socket; a partly read one is lost if the future is dropped.
#[derive(Debug)]
pub(super) struct Incoming {
    socket: ReadHalf<Stream>,
    payload: Vec<u8>,
}

impl Incoming {
    /// The next message and its bytes on the wire; fails when not a byte comes for `silence`.
    ///
    /// Memory grows as bytes come, not as the length promises.
    pub(super) async fn next(
        &mut self,
        max: usize,
        silence: Duration,
    ) -> Result<(Message, usize), ReadError> {
        let length = self.length(max, silence).await?;
        self.payload.clear();
        self.payload.shrink_to(KEPT_BYTES_MAX);
        read(&mut self.socket, &mut self.payload, length, silence).await?;
        Ok((decode(&self.payload)?, PREFIX_BYTES + length))
    }

    /// What comes next on a stream; reads it once `reorder` has room for it, and the time until
    /// then is not the peer's silence.
    pub(super) async fn next_sealed(
        &mut self,
        reorder: &Reorder,
        silence: Duration,
    ) -> Result<Streamed, ReadError> {
        let length = self.length(SEALED_BYTES_MAX, silence).await?;
        let bytes = PREFIX_BYTES + length;
        self.payload.clear();
        read(&mut self.socket, &mut self.payload, length.min(HEAD_BYTES), silence).await?;
        let Some((head, [])) = self.payload.split_first_chunk::<HEAD_BYTES>() else {
            let lives = decode(&self.payload)? == Message::Alive;
            let nothing = Streamed { message: None, bytes };
            return if lives { Ok(nothing) } else { Err(ReadError::Misplaced) };
        };
        let head = envelope::parse_head(*head)?;
        let length = length - HEAD_BYTES;
        reorder.reserve(head.number, length).await?;
        let mut message = Vec::with_capacity(length);
        read(&mut self.socket, &mut message, length, silence).await?;
        let message = Sealed { plain: head.plain, bytes: message };
        Ok(Streamed { message: Some((head.number, message)), bytes })
    }

    async fn length(&mut self, max: usize, silence: Duration) -> Result<usize, ReadError> {
        let mut prefix = [0; PREFIX_BYTES];
        let begun = timeout(silence, self.socket.read_exact(&mut prefix)).await;
        begun.map_err(|_| ReadError::Silent(silence))??;
        Ok(payload_length(prefix, max)?)
    }
}

/// Reads until `out` has `length` bytes. A message may take long on a slow link; only silence is
/// suspicious.
async fn read(
    socket: &mut ReadHalf<Stream>,
    out: &mut Vec<u8>,
    length: usize,
    silence: Duration,
) -> Result<(), ReadError> {
    let mut limited = socket.take((length - out.len()) as u64);
    while out.len() < length {
        out.reserve((length - out.len()).min(STEP_BYTES));
        let more = timeout(silence, limited.read_buf(out)).await;
        if more.map_err(|_| ReadError::Silent(silence))?? == 0 {
            return Err(ReadError::Closed);
        }
    }
    Ok(())
}

/// Hands a message to the wide area.
pub(super) async fn send(outbox: &Outbox, message: &Message) -> Result<(), Closed> {
    // Only a frame can be too long, and those are encoded by the feed.
    outbox.send(encode(message).map_err(|_| Closed)?).await
}
