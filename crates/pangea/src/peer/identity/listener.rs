//! The certificate of a listener for clients of the DynamoDB API.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{LEAF_DAYS, Pki, PkiError, in_pem, provider, tls, valid_for};

/// HTTP/2 where the client knows it.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// For the side that listens: the chain and the key in `files`, or a certificate that the
/// development authority under `<dir>/pki/` signs for this process alone. It names the region,
/// `localhost` and `address`, and cannot be taken for a region's own.
///
/// # Errors
/// See [`PkiError`].
pub fn listener_config(
    dir: &Path,
    region: &str,
    address: IpAddr,
    files: Option<(&Path, &Path)>,
) -> Result<Arc<ServerConfig>, PkiError> {
    let (chain, key) = match files {
        Some((chain, key)) => read(chain, key)?,
        None => make(dir, region, address)?,
    };
    let builder = ServerConfig::builder_with_provider(provider());
    let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
    let builder = builder.with_protocol_versions(&versions).map_err(tls)?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key).map_err(tls)?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(Arc::new(config))
}

type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn read(chain: &Path, key: &Path) -> Result<Pair, PkiError> {
    let certificates = CertificateDer::pem_file_iter(chain).map_err(in_pem(chain))?;
    let certificates = certificates.collect::<Result<_, _>>().map_err(in_pem(chain))?;
    Ok((certificates, PrivateKeyDer::from_pem_file(key).map_err(in_pem(key))?))
}

fn make(dir: &Path, region: &str, address: IpAddr) -> Result<Pair, PkiError> {
    let pki = Pki::lock(dir)?;
    let ca = pki.certificate("ca.pem")?;
    let issuer = pki.issuer(&ca, Path::new("certificate_file of dynamodb_tls"))?;
    let names = [region, "localhost", &address.to_string()].map(str::to_owned);
    let mut params = CertificateParams::new(names)?;
    valid_for(&mut params, LEAF_DAYS);
    params.distinguished_name.push(DnType::CommonName, region);
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?.der().clone();
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(tls)?;
    Ok((vec![certificate, ca], key))
}
