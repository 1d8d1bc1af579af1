//! Who holds a port, as far as `/proc` tells: best effort, for messages only.

use std::fmt;
use std::fs;
use std::path::Path;

/// A process that listens.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pid: u32,
    program: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` (pid {})", self.program, self.pid)
    }
}

/// Transports that the topology listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp,
    Udp,
}

impl Transport {
    const fn tables(self) -> [&'static str; 2] {
        match self {
            Self::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
            Self::Udp => ["/proc/net/udp", "/proc/net/udp6"],
        }
    }

    /// The state of a socket that is ready for peers: LISTEN, and unconnected for UDP.
    const fn listening(self) -> &'static str {
        match self {
            Self::Tcp => "0A",
            Self::Udp => "07",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        })
    }
}

/// The process that listens on `port`, if it can be seen.
pub(super) fn of(transport: Transport, port: u16) -> Option<Holder> {
    let tables = transport.tables().into_iter().filter_map(|path| fs::read_to_string(path).ok());
    let inodes: Vec<String> =
        tables.flat_map(|table| inodes(&table, transport.listening(), port)).collect();
    let sockets: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut holders = pids.filter(|pid| holds(*pid, &sockets));
    let pid = holders.next()?;
    let program = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim().to_owned();
    Some(Holder { pid, program })
}

/// Inodes of the sockets in `state` on local `port`, from a table of `/proc/net`.
fn inodes(table: &str, state: &str, port: u16) -> Vec<String> {
    let suffix = format!(":{port:04X}");
    let of_line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, local, _, found, ..] = fields.as_slice() else { return None };
        let matches = local.ends_with(&suffix) && *found == state;
        matches.then(|| fields.get(9).map(|inode| (*inode).to_owned())).flatten()
    };
    table.lines().skip(1).filter_map(of_line).collect()
}

fn holds(pid: u32, sockets: &[String]) -> bool {
    let Ok(open) = fs::read_dir(Path::new("/proc").join(pid.to_string()).join("fd")) else {
        return false;
    };
    let mut targets = open.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    targets.any(|target| sockets.iter().any(|socket| target.as_os_str() == socket.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_listener_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let holder = of(Transport::Tcp, port).expect("this process can see itself");
        assert_eq!(holder.pid, std::process::id());
    }

    #[test]
    fn only_listeners_count() {
        let table = "header\n 0: 0100007F:1FA5 00000000:0000 0A 0:0 00:0 0 0 0 777 1\n \
                     1: 0100007F:1FA5 0100007F:9999 01 0:0 00:0 0 0 0 888 1\n";
        assert_eq!(inodes(table, "0A", 8101), ["777"]);
    }
}
