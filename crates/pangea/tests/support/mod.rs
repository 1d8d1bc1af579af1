//! Runs the real binary on free ports, in directories of its own.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of this")]

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use pangea::supervise::client::Client;
use serde_json::Value;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs `pangea` to its end.
pub fn pangea(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pangea"));
    command.args(arguments).output().expect("the binary runs")
}

/// A directory of its own for each call, kept for a look after a failure.
pub fn directory() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("up-{}-{number}", std::process::id());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    drop(fs::remove_dir_all(&path));
    fs::create_dir_all(&path).expect("the directory for tests is writable");
    path.display().to_string()
}

pub fn write(directory: &str, topology: &str) -> String {
    fs::create_dir_all(directory).expect("the directory for tests is writable");
    let path = Path::new(directory).join("given.toml");
    fs::write(&path, topology).expect("the directory for tests is writable");
    path.display().to_string()
}

/// Two regions and an edge on free ports, and `more`, in which each `{free}` becomes an address.
pub fn free_topology(more: &str) -> String {
    let keys = ["dynamodb", "admin", "peer"];
    let listen = |keys: &[&str]| -> String {
        keys.iter().map(|key| format!("{key} = \"{}\"\n", free())).collect()
    };
    let mut text = "cluster = \"test\"\n".to_owned();
    for region in ["a", "b"] {
        text += &format!("[[region]]\nname = \"{region}\"\n{}", listen(&keys));
    }
    text += &format!("[edge]\n{}", listen(&["control", "dns", "accelerator", "operator"]));
    let mut more = more.to_owned();
    while more.contains("{free}") {
        more = more.replacen("{free}", &free(), 1);
    }
    text + &more
}

/// An address that was free a moment ago, on TCP and UDP, and is given out once per process.
fn free() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Below the range of ephemeral ports, so that no outgoing connection takes it meanwhile.
    let start = 10_000 + (std::process::id() % 200) * 100;
    loop {
        let port = start + NEXT.fetch_add(1, Ordering::Relaxed);
        let address = format!("127.0.0.1:{port}");
        if TcpListener::bind(&address).is_ok() && UdpSocket::bind(&address).is_ok() {
            return address;
        }
    }
}

/// The port of the first `key` in a topology.
pub fn port_of(topology: &str, key: &str) -> u16 {
    let line = topology.lines().find(|line| line.starts_with(key)).expect("the key is there");
    let digits = line.rsplit(':').next().expect("an address").trim_end_matches('"');
    digits.parse().expect("a port")
}

pub fn signal(pid: u64, name: &str) {
    let status = Command::new("kill").args(["-s", name, &pid.to_string()]).status();
    assert!(status.expect("kill runs").success(), "kill -s {name} {pid}");
}

/// Whether a process is there and not a zombie.
pub fn alive(pid: u64) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')))
}

/// A running `pangea up`.
#[derive(Debug)]
pub struct Up {
    child: Child,
    pub directory: String,
    file: String,
}

impl Up {
    pub fn start(topology: &str) -> Self {
        Self::start_in(&directory(), topology)
    }

    pub fn start_in(directory: &str, topology: &str) -> Self {
        let file = write(directory, topology);
        Self::spawn(directory.to_owned(), file)
    }

    /// Another `up` on the directory of one that has ended.
    pub fn restart(ended: &Self) -> Self {
        Self::spawn(ended.directory.clone(), ended.file.clone())
    }

    fn spawn(directory: String, file: String) -> Self {
        let said = fs::File::create(Path::new(&directory).join("said")).expect("writable");
        let child = Command::new(env!("CARGO_BIN_EXE_pangea"))
            .args(["up", "-f", &file, "--data-dir", &directory])
            .stdin(Stdio::null())
            .stderr(said.try_clone().expect("one more handle"))
            .stdout(said)
            .spawn()
            .expect("the binary runs");
        Self { child, directory, file }
    }

    /// What it printed so far.
    pub fn said(&self) -> String {
        fs::read_to_string(Path::new(&self.directory).join("said")).unwrap_or_default()
    }

    pub fn client(&self) -> Client {
        Client::new(Path::new(&self.directory))
    }

    /// Exit code and document of `pangea status --output json`.
    pub fn status(&self) -> (i32, Option<Value>) {
        let output = pangea(&["status", "--output", "json", "--data-dir", &self.directory]);
        let code = output.status.code().expect("it was not killed");
        (code, serde_json::from_slice(&output.stdout).ok())
    }

    /// The processes that run, as `up` knows them.
    pub fn pids(&self) -> Vec<u64> {
        let processes = self.client().list().unwrap_or_default();
        processes.iter().filter_map(|process| process.pid.map(u64::from)).collect()
    }

    /// Waits for a status and returns it.
    pub fn wait_for(&self, what: &str, good: impl Fn(&Value) -> bool) -> Value {
        let mut found = None;
        self.wait_until(what, || {
            found = self.status().1.filter(|status| good(status));
            found.is_some()
        });
        found.expect("it was waited for")
    }

    pub fn wait_until(&self, what: &str, mut good: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !good() {
            assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Sends a signal and waits for the end; the exit code, if there is one.
    pub fn stop(&mut self, name: &str) -> Option<i32> {
        signal(u64::from(self.child.id()), name);
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
