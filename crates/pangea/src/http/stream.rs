//! A connection with TLS or without, as one type.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::idle::Idle;

/// What a client's bytes come by.
pub(super) enum Carrier {
    /// As they are.
    Plain(TcpStream),
    /// Encrypted; the handshake is over.
    Tls(Box<TlsStream<TcpStream>>),
}

/// The same, which tells when bytes were sent, and all of them.
pub(super) struct Stream {
    carrier: Carrier,
    idle: Arc<Idle>,
    /// Whoever is told to end it shall not: there may be something left to say.
    held: bool,
}

impl Stream {
    pub(super) fn new(carrier: Carrier, idle: Arc<Idle>, held: bool) -> Self {
        Self { carrier, idle, held }
    }

    /// From now on it ends when it is told to.
    pub(super) fn release(&mut self) {
        self.held = false;
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        match &mut self.get_mut().carrier {
            Carrier::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Carrier::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        let Self { carrier, idle, .. } = self.get_mut();
        let sent = match carrier {
            Carrier::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Carrier::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        };
        if sent.is_ready() {
            idle.sent();
        }
        sent
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let Self { carrier, idle, .. } = self.get_mut();
        let sent = match carrier {
            Carrier::Plain(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
            Carrier::Tls(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
        };
        if sent.is_ready() {
            idle.sent();
        }
        sent
    }

    fn is_write_vectored(&self) -> bool {
        match &self.carrier {
            Carrier::Plain(stream) => stream.is_write_vectored(),
            Carrier::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let Self { carrier, idle, .. } = self.get_mut();
        let flushed = carrier.poll_flush(context);
        // hyper asks for it when it has nothing more to write.
        if flushed.is_ready() {
            idle.flushed();
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let Self { carrier, held, .. } = self.get_mut();
        match carrier {
            carrier if *held => carrier.poll_flush(context),
            Carrier::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Carrier::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

impl Carrier {
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }
}
