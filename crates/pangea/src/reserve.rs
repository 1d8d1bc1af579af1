//! Addresses that are taken before they are served.
//!
//! To open a store may take a minute, and that an address is somebody else's is better told before.
//! But whoever connects meanwhile shall be refused at once and go to another region: a socket that
//! listens would let clients connect, and wait.

use std::io;
use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::net::{TcpListener, TcpSocket};

/// Connections that the kernel keeps until they are accepted. Of more at once it lets some wait a
/// second: a lost region's clients come back all at once.
const BACKLOG: u32 = 1024;

/// An address that is taken.
#[derive(Debug)]
pub(crate) struct Reserved {
    socket: TcpSocket,
    address: SocketAddr,
    what: &'static str,
}

/// Takes an address for `what`.
///
/// # Errors
/// Somebody serves it, or it is none of this machine.
pub(crate) fn reserve(address: SocketAddr, what: &'static str) -> anyhow::Result<Reserved> {
    let socket = bound(address).with_context(|| unserved(what, address))?;
    Ok(Reserved { socket, address, what })
}

impl Reserved {
    /// Clients may connect from now on.
    ///
    /// # Errors
    /// Somebody else has begun to serve it meanwhile.
    pub(crate) fn listen(self) -> anyhow::Result<TcpListener> {
        let Self { socket, address, what } = self;
        socket.listen(BACKLOG).with_context(|| unserved(what, address))
    }
}

/// Takes an address and serves it at once.
///
/// # Errors
/// Somebody serves it, or it is none of this machine.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    bound(address)?.listen(BACKLOG)
}

fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Connections of the process before do not keep this one from its address.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn unserved(what: &str, address: SocketAddr) -> String {
    format!("cannot serve {what} on {address}")
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn clients_are_refused_until_it_is_served() {
        let free = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = free.local_addr().expect("it is bound");
        let taken = reserve(address, "tests").expect_err("somebody serves it");
        assert_eq!(taken.to_string(), format!("cannot serve tests on {address}"));
        drop(free);
        let reserved = reserve(address, "tests").expect("it is free");
        let refused = TcpStream::connect(address).await.expect_err("nobody serves it yet");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let listener = reserved.listen().expect("it is ours");
        let (connected, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        assert!(connected.is_ok() && accepted.is_ok());
    }
}
