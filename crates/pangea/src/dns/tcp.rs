//! Queries over TCP: each message behind two bytes of length, answered in order (RFC 7766).

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Config;
use super::counters::Counters;
use super::reply::{Context, Transport, reply};
use super::udp::drop_message;
use super::wire::HEADER_BYTES;
use crate::descriptors::permits;
use crate::traffic::{Dice, Snapshots, Throttle};

/// Pause after accepting failed (descriptors are out), so that a lasting failure does not spin.
const FAILURE_PAUSE: Duration = Duration::from_millis(10);

static ACCEPT_FAILED: Throttle = Throttle::new();

pub(super) async fn serve(
    listener: TcpListener,
    config: Config,
    snapshots: Snapshots,
    counters: Arc<Counters>,
) {
    let places = Arc::new(Semaphore::new(permits(config.tcp_connections_max)));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                ACCEPT_FAILED.warn(|| tracing::warn!(%error, "dns: accept failed"));
                tokio::time::sleep(FAILURE_PAUSE).await;
                continue;
            }
        };
        counters.tcp_connections.fetch_add(1, Relaxed);
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            counters.tcp_refused.fetch_add(1, Relaxed);
            continue;
        };
        let connection = Connection {
            client: from.ip(),
            idle: config.tcp_idle,
            snapshots: snapshots.clone(),
            counters: Arc::clone(&counters),
        };
        connections.spawn(async move {
            let _place = place;
            // A client that goes away or stalls is no event; whatever it sent has been counted.
            let _ = connection.run(stream).await;
        });
    }
}

struct Connection {
    client: IpAddr,
    idle: Duration,
    snapshots: Snapshots,
    counters: Arc<Counters>,
}

impl Connection {
    /// Answers until the client closes, stalls for the idle time, or sends what is no message.
    async fn run(self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let (read, mut write) = stream.split();
        let mut read = BufReader::new(read);
        let mut dice = Dice::new();
        let (mut query, mut out, mut framed) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            timeout(self.idle, read_message(&mut read, &mut query)).await??;
            self.counters.tcp.fetch_add(1, Relaxed);
            if let Err(silence) = self.reply(&query, dice.roll(), &mut out) {
                drop_message(&self.counters, silence);
                return Ok(());
            }
            let length = u16::try_from(out.len()).map_err(io::Error::other)?;
            framed.clear();
            framed.extend_from_slice(&length.to_be_bytes());
            framed.extend_from_slice(&out);
            timeout(self.idle, write.write_all(&framed)).await??;
        }
    }

    fn reply(
        &self,
        query: &[u8],
        dice: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), super::reply::Silence> {
        let snapshot = Arc::clone(&self.snapshots.borrow());
        let context = Context {
            snapshot: &snapshot,
            counters: &self.counters,
            client: self.client,
            transport: Transport::Tcp,
            dice,
        };
        reply(&context, query, out).map(|_| ())
    }
}

/// One message; a length that cannot hold a header is returned as is, to be counted and closed.
async fn read_message(
    read: &mut (impl AsyncReadExt + Unpin),
    query: &mut Vec<u8>,
) -> io::Result<()> {
    let length = usize::from(read.read_u16().await?);
    query.clear();
    query.resize(length, 0);
    if length >= HEADER_BYTES {
        read.read_exact(query).await?;
    }
    Ok(())
}
