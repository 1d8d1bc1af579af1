//! Talks to the `up` that runs a data directory: for `pangea status` and experiments.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use super::protocol::{ProcessInfo, ProcessState, Reply, Request};

/// Longest wait for an answer: a stop takes up to 5 s before SIGKILL.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The same where nothing has to be done for it.
const LIST_TIMEOUT: Duration = Duration::from_secs(3);

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no `up` on this data directory.
    #[error("no `pangea up` runs on data directory {}: start one, or set --data-dir", .0.display())]
    NotRunning(PathBuf),
    /// It does not answer as it should.
    #[error("`pangea up` does not answer on {}", .path.display())]
    Io {
        /// Its socket.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// It takes too long.
    #[error(
        "`pangea up` has not answered on {} for {} s: it hangs, or was suspended (SIGCONT lets it go \
         on), and may still do what it was asked", .path.display(), .waited.as_secs()
    )]
    Silent {
        /// Its socket.
        path: PathBuf,
        /// How long it was waited for.
        waited: Duration,
    },
    /// It said no.
    #[error("{0}")]
    Refused(String),
}

/// The `up` of one data directory. Each call is a connection of its own and blocks.
#[derive(Clone, Debug)]
pub struct Client {
    data_dir: PathBuf,
}

impl Client {
    /// A client for `data_dir`; connects at each call.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned() }
    }

    /// All processes.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn list(&self) -> Result<Vec<ProcessInfo>, Error> {
        self.call(&Request::List {})
    }

    /// Starts a process that does not run.
    ///
    /// # Errors
    /// See [`Error`]; refused if it runs or cannot run.
    pub fn start(&self, process: &str) -> Result<ProcessInfo, Error> {
        self.one(&Request::Start { process: process.to_owned() })
    }

    /// Stops a process in order, and waits until it is gone.
    ///
    /// # Errors
    /// See [`Error`]; refused if it does not run.
    pub fn stop(&self, process: &str) -> Result<ProcessInfo, Error> {
        self.one(&Request::Stop { process: process.to_owned() })
    }

    /// Kills a process with SIGKILL, and waits until it is gone.
    ///
    /// # Errors
    /// See [`Error`]; refused if it does not run.
    pub fn kill(&self, process: &str) -> Result<ProcessInfo, Error> {
        self.one(&Request::Kill { process: process.to_owned() })
    }

    fn one(&self, request: &Request) -> Result<ProcessInfo, Error> {
        let processes = self.call(request)?;
        processes.into_iter().next().ok_or_else(|| Error::Refused("an empty answer".to_owned()))
    }

    fn call(&self, request: &Request) -> Result<Vec<ProcessInfo>, Error> {
        let path = super::socket::path(&self.data_dir);
        let io = |source: io::Error| Error::Io { path: path.clone(), source };
        let stream =
            super::socket::connect(&self.data_dir).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    Error::NotRunning(self.data_dir.clone())
                }
                _ => io(error),
            })?;
        let waited = match request {
            Request::List {} => LIST_TIMEOUT,
            _ => TIMEOUT,
        };
        let reply = exchange(stream, request, waited).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                Error::Silent { path: path.clone(), waited }
            }
            _ => io(error),
        })?;
        match reply.error {
            Some(error) => Err(Error::Refused(error)),
            None => Ok(reply.processes),
        }
    }
}

fn exchange(mut stream: UnixStream, request: &Request, patience: Duration) -> io::Result<Reply> {
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    writeln!(stream, "{}", serde_json::to_string(request)?)?;
    let mut line = String::new();
    if BufReader::new(stream).read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_str(&line)?)
}
