//! Who a region is: the development certificate authority, certificates, TLS configurations.
//!
//! State: `<data-dir>/pki/` with the authority (`ca.pem`, `ca.key`), one pair per region
//! (`<region>.pem`, `<region>.key`, 0600), and `session.key` where regions sign session tokens and
//! do not have the authority's key. Several processes may make them at once: a lock file
//! serialises them, and a file appears whole or not at all. A region's certificate names it as
//! `<region>.<cluster>.internal`, for both ends of a connection.
//!
//! Deliberately absent: revocation, and renewal of the authority; both belong to whoever brings
//! an authority of their own.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData as _, date_time_ymd,
};
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use certificate::Certificate;

const DAY_S: u64 = 24 * 60 * 60;
/// The development authority outlives every laptop it is made on.
const CA_DAYS: u64 = 3650;
/// A region's certificate is renewed on start, so a year covers any run.
const LEAF_DAYS: u64 = 365;
/// On start a certificate with less than this left is replaced, in days.
const RENEW_DAYS: u64 = 30;
/// A secret that nobody guesses.
const SECRET_BYTES_MIN: usize = 16;
/// Certificates begin this much before now: clocks of machines differ, in days.
const BACKDATE_DAYS: u64 = 1;

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file cannot be read, written or locked.
    #[error("cannot use {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path} is not valid PEM of its kind")]
    Pem {
        /// Which.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// A secret is none.
    #[error("{path} is shorter than {SECRET_BYTES_MIN} bytes: put the other regions' file there")]
    Secret {
        /// Which.
        path: PathBuf,
    },
    /// The authority's key does not go with its certificate, or is none.
    #[error("{path} is not the key of ca.pem beside it: put the other regions' file there")]
    Key {
        /// Which.
        path: PathBuf,
    },
    /// There is no key to sign with.
    #[error(
        "{path} has to be made anew and {authority} is not there: \
         make it where that key is, and put it and its key here"
    )]
    Unsigned {
        /// What would be signed.
        path: PathBuf,
        /// The key for it.
        authority: PathBuf,
    },
    /// A certificate cannot be made.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// A certificate cannot be read.
    #[error("certificate does not parse: {0}")]
    Parse(&'static str),
    /// TLS refuses the certificate, key or authority.
    #[error("cannot configure TLS: {0}")]
    Tls(String),
}

/// The DNS name in the certificate of `region`.
#[must_use]
pub fn region_dns_name(region: &str, cluster: &str) -> String {
    format!("{region}.{cluster}.internal")
}

/// The region that a certificate names, if it is one of `cluster`.
///
/// # Errors
/// [`PkiError::Parse`] if it is no certificate.
pub fn region_of(cert: &CertificateDer<'_>, cluster: &str) -> Result<Option<String>, PkiError> {
    let cert = parse(cert)?;
    let suffix = format!(".{cluster}.internal");
    let mut regions = cert.dns_names.iter().filter_map(|name| name.strip_suffix(&suffix));
    Ok(regions.next().map(str::to_owned))
}

/// Seconds until the certificate expires; negative if it has.
///
/// # Errors
/// [`PkiError::Parse`] if it is no certificate.
pub fn expiry(cert: &CertificateDer<'_>) -> Result<i64, PkiError> {
    let end = parse(cert)?.not_after;
    let [end, now] = [end, unix_s()].map(|second| i64::try_from(second).unwrap_or(i64::MAX));
    Ok(end.saturating_sub(now))
}

/// The common name of who a certificate is about.
///
/// # Errors
/// [`PkiError::Parse`] if it is no certificate, or has none.
pub fn common_name(cert: &CertificateDer<'_>) -> Result<String, PkiError> {
    parse(cert)?.common_name.ok_or(PkiError::Parse("it has no common name"))
}

/// Makes the development authority under `<dir>/pki/`, unless it is there: its certificate alone,
/// if its key is kept elsewhere. Another authority in its place would cut the region off from the
/// rest.
///
/// # Errors
/// See [`PkiError`].
pub fn ensure_ca(dir: &Path) -> Result<(), PkiError> {
    let pki = Pki::lock(dir)?;
    if pki.path("ca.pem").exists() {
        return Ok(());
    }
    // The same key makes a certificate as good as the one that was lost.
    let key = match pki.path("ca.key").exists() {
        true => pki.authority_key()?,
        false => KeyPair::generate()?,
    };
    let name = format!("Pangea development CA {:08x}", key_tag(&key));
    let cert = ca_params(&name).self_signed(&key)?;
    pki.put("ca.key", &key.serialize_pem(), 0o600)?;
    pki.put("ca.pem", &cert.pem(), 0o644)
}

/// The secret that session tokens are signed with: `<dir>/pki/session.key`, or the authority's key
/// where that file is not. All regions of a cluster must have the same.
///
/// # Errors
/// [`PkiError::File`] if neither can be read; [`PkiError::Secret`] if anybody could guess it.
pub fn session_secret(dir: &Path) -> Result<Vec<u8>, PkiError> {
    let pki = dir.join("pki");
    let own = pki.join("session.key");
    let authority = pki.join("ca.key");
    let path = if authority.exists() && !own.exists() { authority } else { own };
    let secret = fs::read(&path).map_err(in_file(&path))?;
    if secret.len() < SECRET_BYTES_MIN { Err(PkiError::Secret { path }) } else { Ok(secret) }
}

/// Makes or renews the certificate of `region` under `<dir>/pki/`, where [`ensure_ca`] was.
///
/// # Errors
/// See [`PkiError`].
pub fn ensure_region_cert(dir: &Path, region: &str, cluster: &str) -> Result<(), PkiError> {
    let pki = Pki::lock(dir)?;
    let (pem, key_file) = (format!("{region}.pem"), format!("{region}.key"));
    let ca = pki.certificate("ca.pem")?;
    let usable = |days| pki.is_usable(&ca, (&pem, &key_file), (region, cluster), days);
    if usable(RENEW_DAYS) {
        return Ok(());
    }
    if !pki.path("ca.key").exists() && usable(0) {
        let path = pki.path(&pem);
        tracing::warn!(
            path = %path.display(), "expires soon, and the authority's key to renew it is not here"
        );
        return Ok(());
    }
    let issuer = pki.issuer(&ca, &pki.path(&pem))?;
    let key = KeyPair::generate()?;
    let cert = leaf_params(&region_dns_name(region, cluster))?.signed_by(&key, &issuer)?;
    pki.put(&key_file, &key.serialize_pem(), 0o600)?;
    pki.put(&pem, &cert.pem(), 0o644)
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    valid_for(&mut params, CA_DAYS);
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn leaf_params(dns_name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(vec![dns_name.to_owned()])?;
    valid_for(&mut params, LEAF_DAYS);
    params.distinguished_name.push(DnType::CommonName, dns_name);
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

fn valid_for(params: &mut CertificateParams, days: u64) {
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(unix_s() - BACKDATE_DAYS * DAY_S);
    params.not_after = epoch + Duration::from_secs(unix_s() + days * DAY_S);
}

/// Tells authorities apart by name, so that a leaf of an earlier one is replaced.
fn key_tag(key: &KeyPair) -> u32 {
    let spki = key.subject_public_key_info();
    spki.iter().fold(0, |tag: u32, byte| tag.rotate_left(5) ^ u32::from(*byte))
}

fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn parse(cert: &CertificateDer<'_>) -> Result<Certificate, PkiError> {
    Certificate::parse(cert).map_err(|_| PkiError::Parse("it is not X.509 in DER"))
}

/// The directory, locked against other processes until dropped.
struct Pki {
    dir: PathBuf,
    _lock: File,
}

impl Pki {
    fn lock(dir: &Path) -> Result<Self, PkiError> {
        let dir = dir.join("pki");
        fs::create_dir_all(&dir).map_err(in_file(&dir))?;
        let path = dir.join("lock");
        let lock = File::create(&path).map_err(in_file(&path))?;
        lock.lock().map_err(in_file(&path))?;
        Ok(Self { dir, _lock: lock })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn read(&self, name: &str) -> Result<String, PkiError> {
        let path = self.path(name);
        fs::read_to_string(&path).map_err(in_file(&path))
    }

    fn certificate(&self, name: &str) -> Result<CertificateDer<'static>, PkiError> {
        read_certificate(&self.path(name))
    }

    /// Writes a file that appears whole or not at all.
    fn put(&self, name: &str, text: &str, mode: u32) -> Result<(), PkiError> {
        let (path, new) = (self.path(name), self.path(&format!("{name}.new")));
        let write = || {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(mode);
            let mut file = options.open(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &path)
        };
        write().map_err(in_file(&path))
    }

    fn authority_key(&self) -> Result<KeyPair, PkiError> {
        let key = KeyPair::from_pem(&self.read("ca.key")?);
        key.map_err(|_| PkiError::Key { path: self.path("ca.key") })
    }

    /// The authority `ca`, to sign what will be at `path`.
    fn issuer(
        &self,
        ca: &CertificateDer<'_>,
        path: &Path,
    ) -> Result<Issuer<'static, KeyPair>, PkiError> {
        let authority = self.path("ca.key");
        if !authority.exists() {
            return Err(PkiError::Unsigned { path: path.to_owned(), authority });
        }
        let key = self.authority_key()?;
        if parse(ca)?.public_key != key.subject_public_key_info() {
            return Err(PkiError::Key { path: authority });
        }
        Ok(Issuer::new(ca_params(&common_name(ca)?), key))
    }

    /// Whether the pair is there, belongs together, comes from this authority and has more than so
    /// many days left.
    fn is_usable(
        &self,
        ca: &CertificateDer<'_>,
        (pem, key): (&str, &str),
        (region, cluster): (&str, &str),
        days: u64,
    ) -> bool {
        let check = || {
            let cert = self.certificate(pem)?;
            let key = KeyPair::from_pem(&self.read(key)?)?;
            let named = region_of(&cert, cluster)?.is_some_and(|name| name == region);
            let lasts = expiry(&cert)? > i64::try_from(days * DAY_S).unwrap_or(i64::MAX);
            let (ca, cert) = (parse(ca)?, parse(&cert)?);
            let issued = cert.issuer == ca.subject;
            let paired = cert.public_key == key.subject_public_key_info();
            Ok::<_, PkiError>(named && lasts && issued && paired)
        };
        check().unwrap_or(false)
    }
}

fn in_file(path: &Path) -> impl FnOnce(io::Error) -> PkiError {
    let path = path.to_owned();
    |source| PkiError::File { path, source }
}

fn in_pem(path: &Path) -> impl FnOnce(rustls::pki_types::pem::Error) -> PkiError {
    let path = path.to_owned();
    |source| PkiError::Pem { path, source }
}

fn read_certificate(path: &Path) -> Result<CertificateDer<'static>, PkiError> {
    let text = fs::read(path).map_err(in_file(path))?;
    CertificateDer::from_pem_slice(&text).map_err(in_pem(path))
}

/// What a region shows to its peers, and whom it believes.
#[derive(Debug)]
pub struct Identity {
    cert: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    roots: Arc<RootCertStore>,
}

impl Identity {
    /// Reads what [`ensure_ca`] and [`ensure_region_cert`] made under `<dir>/pki/`.
    ///
    /// # Errors
    /// See [`PkiError`].
    pub fn load(dir: &Path, region: &str) -> Result<Self, PkiError> {
        let pki = dir.join("pki");
        let cert = read_certificate(&pki.join(format!("{region}.pem")))?;
        let path = pki.join(format!("{region}.key"));
        let text = fs::read(&path).map_err(in_file(&path))?;
        let key = PrivateKeyDer::from_pem_slice(&text).map_err(in_pem(&path))?;
        Self::new(cert, key, read_certificate(&pki.join("ca.pem"))?)
    }

    /// From certificates made elsewhere.
    ///
    /// # Errors
    /// [`PkiError::Tls`] if the authority's certificate is none.
    pub fn new(
        cert: CertificateDer<'static>,
        key: PrivateKeyDer<'static>,
        ca: CertificateDer<'static>,
    ) -> Result<Self, PkiError> {
        let mut roots = RootCertStore::empty();
        roots.add(ca).map_err(tls)?;
        Ok(Self { cert, key, roots: Arc::new(roots) })
    }

    /// The region's certificate.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.cert
    }

    /// For the side that listens: clients must show a certificate of the same authority.
    ///
    /// # Errors
    /// [`PkiError::Tls`] if key and certificate do not fit.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, PkiError> {
        let roots = Arc::clone(&self.roots);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
        let verifier = verifier.build().map_err(tls)?;
        let builder = ServerConfig::builder_with_provider(provider());
        let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).map_err(tls)?;
        let builder = builder.with_client_cert_verifier(verifier);
        let chain = vec![self.cert.clone()];
        let mut config = builder.with_single_cert(chain, self.key.clone_key()).map_err(tls)?;
        // A resumed session would not be verified again: links are few and live long.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }

    /// For the side that dials.
    ///
    /// # Errors
    /// [`PkiError::Tls`] if key and certificate do not fit.
    pub fn client_config(&self) -> Result<Arc<ClientConfig>, PkiError> {
        let builder = ClientConfig::builder_with_provider(provider());
        let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).map_err(tls)?;
        let builder = builder.with_root_certificates(Arc::clone(&self.roots));
        let chain = vec![self.cert.clone()];
        let mut config = builder.with_client_auth_cert(chain, self.key.clone_key()).map_err(tls)?;
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn tls(error: impl ToString) -> PkiError {
    PkiError::Tls(error.to_string())
}

mod certificate;
mod listener;
#[cfg(test)]
mod tests;

pub use listener::listener_config;
