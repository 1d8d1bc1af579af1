//! The few fields of a certificate that are looked at: names, keys and the end.
//!
//! Whether a certificate is to be believed is for rustls to say, and it says so before anything
//! here is asked about a peer's.

use x509_cert::der::{self, Decode, Encode};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// What was found in a certificate.
#[derive(Debug)]
pub(super) struct Certificate {
    /// Who signed it: a name in DER.
    pub(super) issuer: Vec<u8>,
    /// Whose it is: a name in DER.
    pub(super) subject: Vec<u8>,
    /// Its key: a `SubjectPublicKeyInfo` in DER.
    pub(super) public_key: Vec<u8>,
    /// The last second of its life, in seconds since 1970.
    pub(super) not_after: u64,
    /// The first common name of the subject.
    pub(super) common_name: Option<String>,
    /// The DNS names of the subject.
    pub(super) dns_names: Vec<String>,
}

impl Certificate {
    pub(super) fn parse(der: &[u8]) -> der::Result<Self> {
        let certificate = x509_cert::Certificate::from_der(der)?;
        let body = certificate.tbs_certificate();
        let names = body.get_extension::<SubjectAltName>()?;
        let names = names.map(|(_, SubjectAltName(names))| names).unwrap_or_default();
        let dns_names = names.into_iter().filter_map(|name| match name {
            GeneralName::DnsName(name) => Some(name.to_string()),
            _ => None,
        });
        Ok(Self {
            issuer: body.issuer().to_der()?,
            subject: body.subject().to_der()?,
            public_key: body.subject_public_key_info().to_der()?,
            not_after: body.validity().not_after.to_unix_duration().as_secs(),
            common_name: body.subject().common_name()?.map(String::from),
            dns_names: dns_names.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bytes_but_a_certificate_are_one() {
        let params = rcgen::CertificateParams::new(vec!["a.test".into(), "b.test".into()]);
        let key = rcgen::KeyPair::generate().expect("a key");
        let made = params.expect("names").self_signed(&key).expect("signed");
        let der = made.der().as_ref();
        let found = Certificate::parse(der).expect("a certificate");
        assert_eq!(found.dns_names, ["a.test", "b.test"]);
        assert_eq!(found.issuer, found.subject);
        assert_eq!(found.public_key, rcgen::PublicKeyData::subject_public_key_info(&key));
        assert_eq!(found.common_name.as_deref(), Some("rcgen self signed cert"));
        // A part of it is none, and no change of a byte is a panic.
        for end in 0..der.len() {
            assert!(Certificate::parse(&der[..end]).is_err(), "{end} bytes");
        }
        let mut other = der.to_vec();
        for at in 0..der.len() {
            for bits in [0x01, 0x80, 0xff] {
                other[at] ^= bits;
                let _ = Certificate::parse(&other);
                other[at] ^= bits;
            }
        }
    }
}
