//! Messages on a socket.

use std::io;
use std::time::Duration;

use pangea_codec::peer::{Message, MessageError, PREFIX_BYTES, decode, encode, payload_length};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::timeout;

use crate::peer::wan::{Closed, Outbox};

/// Capacity that a reader keeps between messages, bytes: most frames fit, a rare great one goes.
const KEPT_BYTES_MAX: usize = 512 * 1024;

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
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => Self::Closed,
            _ => Self::Io(error),
        }
    }
}

/// Takes messages off a socket; a partly read one is lost if the future is dropped.
#[derive(Debug)]
pub(super) struct Incoming<R> {
    socket: R,
    payload: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Incoming<R> {
    pub(super) fn new(socket: R) -> Self {
        Self { socket, payload: Vec::new() }
    }

    /// The next message and its bytes on the wire; fails when not a byte comes for `silence`.
    ///
    /// Memory grows as bytes come, not as the length promises.
    pub(super) async fn next(
        &mut self,
        max: usize,
        silence: Duration,
    ) -> Result<(Message, usize), ReadError> {
        let mut prefix = [0; PREFIX_BYTES];
        let begun = timeout(silence, self.socket.read_exact(&mut prefix)).await;
        begun.map_err(|_| ReadError::Silent(silence))??;
        let length = payload_length(prefix, max)?;
        self.payload.clear();
        self.payload.shrink_to(KEPT_BYTES_MAX);
        let mut limited = (&mut self.socket).take(length as u64);
        while self.payload.len() < length {
            // A frame may take long on a slow link; only silence is suspicious.
            let more = timeout(silence, limited.read_buf(&mut self.payload)).await;
            if more.map_err(|_| ReadError::Silent(silence))?? == 0 {
                return Err(ReadError::Closed);
            }
        }
        Ok((decode(&self.payload)?, PREFIX_BYTES + length))
    }
}

/// Hands a message to the wide area.
pub(super) async fn send(outbox: &Outbox, message: &Message) -> Result<(), Closed> {
    // Only a frame can be too long, and those are encoded by the feed.
    outbox.send(encode(message).map_err(|_| Closed)?).await
}
