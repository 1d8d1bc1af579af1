//! Serves the control socket: lines in, lines out; the supervisor's loop does the work.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

use super::protocol::{Reply, Request};
use super::socket;

/// A request under way and where its answer goes.
pub(super) type Asked = (Request, oneshot::Sender<Reply>);

/// Longest request: a process's name is below 200 bytes.
const LINE_BYTES_MAX: u64 = 4096;
/// The wait after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Listens in the data directory, for its owner only.
pub(super) fn serve(data_dir: &Path, asked: mpsc::Sender<Asked>) -> io::Result<()> {
    let listener = socket::listen(data_dir)?;
    std::fs::set_permissions(socket::path(data_dir), std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    tokio::spawn(async move {
        loop {
            // What fails to be accepted, for want of file descriptors, is accepted later.
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let asked = asked.clone();
            tokio::spawn(async move { drop(converse(stream, asked).await) });
        }
    });
    Ok(())
}

async fn converse(stream: UnixStream, asked: mpsc::Sender<Asked>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    loop {
        let mut line = String::new();
        if (&mut read).take(LINE_BYTES_MAX).read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let reply = match serde_json::from_str::<Request>(&line) {
            Ok(request) => ask(request, &asked).await,
            Err(error) => {
                let error = Some(format!("not a request: {error}"));
                Reply { error, processes: Vec::new() }
            }
        };
        write.write_all(format!("{}\n", serde_json::to_string(&reply)?).as_bytes()).await?;
    }
}

async fn ask(request: Request, asked: &mpsc::Sender<Asked>) -> Reply {
    let (reply, answered) = oneshot::channel();
    let gone = || Reply { error: Some("`pangea up` is ending".to_owned()), processes: Vec::new() };
    if asked.send((request, reply)).await.is_err() {
        return gone();
    }
    answered.await.unwrap_or_else(|_| gone())
}
