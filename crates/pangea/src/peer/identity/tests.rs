//! The authority on a real file system.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pangea-pki-{name}-{}", std::process::id()));
        fs::remove_dir_all(&path).ok();
        fs::create_dir_all(&path).expect("writable");
        Self(path)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn read(dir: &Dir, name: &str) -> String {
    fs::read_to_string(dir.0.join("pki").join(name)).expect("made")
}

#[test]
fn a_region_is_named_in_its_certificate() {
    let dir = Dir::new("named");
    ensure_ca(&dir.0).expect("made");
    ensure_region_cert(&dir.0, "us-east-1", "pangea").expect("made");
    let identity = Identity::load(&dir.0, "us-east-1").expect("loaded");
    let cert = identity.certificate();
    assert_eq!(region_of(cert, "pangea").expect("parses").as_deref(), Some("us-east-1"));
    assert_eq!(region_of(cert, "other").expect("parses"), None);
    let left = expiry(cert).expect("parses");
    assert!((360 * 86_400..=365 * 86_400).contains(&left), "{left}");
    identity.server_config().expect("usable");
    identity.client_config().expect("usable");
    for key in ["ca.key", "us-east-1.key"] {
        let mode = fs::metadata(dir.0.join("pki").join(key)).expect("made").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn what_is_there_and_good_stays_and_the_rest_is_replaced() {
    let dir = Dir::new("stays");
    ensure_ca(&dir.0).expect("made");
    ensure_region_cert(&dir.0, "a", "pangea").expect("made");
    let before = (read(&dir, "ca.pem"), read(&dir, "a.pem"));
    ensure_ca(&dir.0).expect("there");
    ensure_region_cert(&dir.0, "a", "pangea").expect("there");
    assert_eq!(before, (read(&dir, "ca.pem"), read(&dir, "a.pem")));
    // A key without its certificate is what a crash in between leaves.
    fs::remove_file(dir.0.join("pki/a.pem")).expect("there");
    ensure_region_cert(&dir.0, "a", "pangea").expect("made again");
    assert_ne!(before.1, read(&dir, "a.pem"));
    // A new authority makes new certificates.
    let before = read(&dir, "a.pem");
    fs::remove_file(dir.0.join("pki/ca.key")).expect("there");
    ensure_ca(&dir.0).expect("made again");
    ensure_region_cert(&dir.0, "a", "pangea").expect("made again");
    assert_ne!(before, read(&dir, "a.pem"));
}

#[test]
fn processes_that_race_agree() {
    let dir = Dir::new("race");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                ensure_ca(&dir.0).expect("made");
                ensure_region_cert(&dir.0, "a", "pangea").expect("made");
                let identity = Identity::load(&dir.0, "a").expect("loaded");
                identity.server_config().expect("key and certificate fit");
            });
        }
    });
}
