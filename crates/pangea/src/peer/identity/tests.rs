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
    for file in ["pki/ca.key", "pki/ca.pem"] {
        fs::remove_file(dir.0.join(file)).expect("there");
    }
    ensure_ca(&dir.0).expect("made again");
    ensure_region_cert(&dir.0, "a", "pangea").expect("made again");
    assert_ne!(before, read(&dir, "a.pem"));
}

#[test]
fn an_authority_whose_key_is_kept_elsewhere_stays() {
    let dir = Dir::new("elsewhere");
    let key = dir.0.join("pki/ca.key");
    ensure_ca(&dir.0).expect("made");
    ensure_region_cert(&dir.0, "a", "pangea").expect("made");
    let before = (read(&dir, "ca.pem"), read(&dir, "a.pem"));
    fs::remove_file(&key).expect("there");
    ensure_ca(&dir.0).expect("its certificate is there");
    ensure_region_cert(&dir.0, "a", "pangea").expect("there");
    assert_eq!(before, (read(&dir, "ca.pem"), read(&dir, "a.pem")));
    // Nothing can be signed, and no other key signs it.
    let refused = ensure_region_cert(&dir.0, "b", "pangea").expect_err("no key").to_string();
    assert!(
        refused.contains("b.pem has to be made anew") && refused.contains("ca.key"),
        "{refused}"
    );
    fs::write(&key, KeyPair::generate().expect("made").serialize_pem()).expect("writable");
    let refused = ensure_region_cert(&dir.0, "b", "pangea").expect_err("another key");
    assert!(matches!(refused, PkiError::Key { .. }), "{refused}");
}

#[test]
fn a_certificate_that_expires_soon_does_without_the_authority_while_it_lasts() {
    let dir = Dir::new("soon");
    ensure_ca(&dir.0).expect("made");
    let pki = Pki::lock(&dir.0).expect("locked");
    let issuer =
        pki.issuer(&pki.certificate("ca.pem").expect("made"), Path::new("")).expect("there");
    let key = KeyPair::generate().expect("made");
    let mut params = leaf_params(&region_dns_name("a", "pangea")).expect("a name");
    valid_for(&mut params, RENEW_DAYS - 1);
    pki.put("a.pem", &params.signed_by(&key, &issuer).expect("signed").pem(), 0o644)
        .expect("written");
    pki.put("a.key", &key.serialize_pem(), 0o600).expect("written");
    drop(pki);
    let (before, authority) = (read(&dir, "a.pem"), read(&dir, "ca.key"));
    fs::remove_file(dir.0.join("pki/ca.key")).expect("there");
    ensure_region_cert(&dir.0, "a", "pangea").expect("it lasts");
    assert_eq!(before, read(&dir, "a.pem"));
    fs::write(dir.0.join("pki/ca.key"), authority).expect("writable");
    ensure_region_cert(&dir.0, "a", "pangea").expect("renewed");
    assert_ne!(before, read(&dir, "a.pem"));
}

#[test]
fn the_same_key_makes_the_same_authority() {
    let dir = Dir::new("same");
    ensure_ca(&dir.0).expect("made");
    ensure_region_cert(&dir.0, "a", "pangea").expect("made");
    let before = (read(&dir, "ca.key"), read(&dir, "a.pem"));
    fs::remove_file(dir.0.join("pki/ca.pem")).expect("there");
    ensure_ca(&dir.0).expect("made again");
    ensure_region_cert(&dir.0, "a", "pangea").expect("there");
    assert_eq!(before, (read(&dir, "ca.key"), read(&dir, "a.pem")));
    // A file that holds no key is not overwritten.
    fs::remove_file(dir.0.join("pki/ca.pem")).expect("there");
    fs::write(dir.0.join("pki/ca.key"), "").expect("writable");
    let refused = ensure_ca(&dir.0).expect_err("no key");
    assert!(matches!(refused, PkiError::Key { .. }), "{refused}");
}

#[test]
fn a_secret_is_not_short() {
    let dir = Dir::new("secret");
    ensure_ca(&dir.0).expect("made");
    assert_eq!(
        session_secret(&dir.0).expect("the authority's key"),
        read(&dir, "ca.key").as_bytes()
    );
    fs::write(dir.0.join("pki/session.key"), "").expect("writable");
    let refused = session_secret(&dir.0).expect_err("anybody knows it").to_string();
    assert!(refused.contains("session.key is shorter than 16 bytes"), "{refused}");
    fs::write(dir.0.join("pki/session.key"), [7; 16]).expect("writable");
    assert_eq!(session_secret(&dir.0).expect("long enough"), [7; 16]);
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
