//! What tests look at and meddle with from outside: the log, and connections in between.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What was logged so far, by all tests of the process.
pub(crate) fn logged() -> String {
    String::from_utf8_lossy(&log().lock().expect("no panic")).into_owned()
}

/// Log lines with all of these words.
pub(crate) fn log_lines(words: &[&str]) -> Vec<String> {
    let has_all = |line: &&str| words.iter().all(|word| line.contains(word));
    logged().lines().filter(has_all).map(str::to_owned).collect()
}

/// Where this process logs to.
pub(crate) fn log() -> &'static Arc<Mutex<Vec<u8>>> {
    static LOG: OnceLock<Arc<Mutex<Vec<u8>>>> = OnceLock::new();
    LOG.get_or_init(|| {
        let log = Arc::<Mutex<Vec<u8>>>::default();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer({
            let log = Arc::clone(&log);
            move || LogWriter(Arc::clone(&log))
        });
        // The first in the process; there is no other.
        subscriber.init();
        log
    })
}

struct LogWriter(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What a region is reached through whose connections the test ends as it likes.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    connections: Arc<Mutex<Vec<JoinHandle<()>>>>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let connections = Arc::<Mutex<Vec<JoinHandle<()>>>>::default();
        let accepted = Arc::clone(&connections);
        let accepting = tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let connection = tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(to).await else { return };
                    tokio::io::copy_bidirectional(&mut near, &mut far).await.ok();
                });
                accepted.lock().expect("no panic").push(connection);
            }
        });
        Self { address, connections, accepting }
    }

    /// Ends one of those that are open: which one, `number` says.
    pub(crate) fn kill_one(&self, number: usize) {
        let mut connections = self.connections.lock().expect("no panic");
        connections.retain(|connection| !connection.is_finished());
        if let Some(connection) = connections.get(number % connections.len().max(1)) {
            connection.abort();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
