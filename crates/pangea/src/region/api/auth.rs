//! Who sends a request, and what they may do.
//!
//! Without credentials in the topology every key is taken, and so is every signature: clients need
//! not be configured. What is absent, malformed or dated wrongly is refused all the same, as the
//! service does, so that a client that works here works there. With credentials, signatures are
//! verified. A request that another region forwarded was judged there, and carries a seal that only
//! regions of the cluster can make.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Version};
use pangea_codec::dynamo::{ApiError, ErrorKind};
use pangea_codec::sigv4::{self, Date, Demand, SKEW_S, Secret, Signed};

use super::rare::{Rare, SECURITY_TOKEN};
use crate::config::{Credential, Topology};

/// Beside the name of the region that forwards: when, and a keyed hash.
pub(in crate::region) const SEAL: &str = "x-pangea-forwarded-seal";
const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const SEAL_NAME: HeaderName = HeaderName::from_static(SEAL);
/// The service in scopes, of streams as well.
const SERVICE: &str = "dynamodb";
const ACCOUNT: &str = "000000000000";

/// What requests are judged by.
pub(in crate::region) struct Auth {
    keys: BTreeMap<String, Known>,
    /// All regions of the topology: a client that fails over signs for the region that it left.
    regions: Vec<String>,
    region: String,
    seal: [u8; 32],
}

struct Known {
    secret: String,
    expires: Option<u64>,
    credential: Credential,
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

/// Whose request it is.
#[derive(Clone, Copy)]
pub(super) struct Caller<'a> {
    auth: &'a Auth,
    credential: Option<&'a Credential>,
}

impl Auth {
    /// With the secret that all regions of the cluster share.
    ///
    /// # Errors
    /// A file with a secret cannot be read.
    pub(in crate::region) fn new(
        topology: &Topology,
        region: &str,
        shared: &[u8],
    ) -> anyhow::Result<Self> {
        let mut keys = BTreeMap::new();
        for credential in &topology.credentials {
            let secret = credential.secret().with_context(|| {
                format!("cannot read the secret of access key {}", credential.access_key)
            })?;
            let expires = credential.expires.as_deref().and_then(Date::read).map(Date::unix);
            let known = Known { secret, expires, credential: credential.clone() };
            keys.insert(credential.access_key.clone(), known);
        }
        Ok(Self {
            keys,
            regions: topology.regions.iter().map(|region| region.name.clone()).collect(),
            region: region.to_owned(),
            seal: blake3::derive_key("pangea 2026 forwarded request v1", shared),
        })
    }

    /// Whose request this is, whose body came as `body`.
    ///
    /// # Errors
    /// In the service's words and order.
    pub(super) fn admit(
        &self,
        head: &Parts,
        rare: Rare,
        body: &[u8],
    ) -> Result<Caller<'_>, ApiError> {
        let now = unix_s();
        if rare.ours && self.is_sealed(&head.headers, body, now) {
            return Ok(Caller { auth: self, credential: None });
        }
        // What each request is asked for, by names that need not be read first.
        let one = |name: &HeaderName| {
            let mut values = head.headers.get_all(name).into_iter();
            let first = values.next().and_then(|value| value.to_str().ok())?;
            values.next().is_none().then_some(Cow::Borrowed(first))
        };
        let header = |name: &str| match name {
            "authorization" => one(&AUTHORIZATION).or_else(|| header(head, name)),
            "x-amz-date" => one(&DATE).or_else(|| header(head, name)),
            SECURITY_TOKEN if !rare.security_token => None,
            name => header(head, name),
        };
        let request = Signed {
            method: head.method.as_str(),
            path: head.uri.path(),
            query: head.uri.query().unwrap_or_default(),
            header: &header,
            body,
        };
        let presented = sigv4::presented(&request, now)?;
        if self.keys.is_empty() {
            return Ok(Caller { auth: self, credential: None });
        }
        let known = self.keys.get(presented.access_key());
        let demand = Demand { service: SERVICE, regions: &self.regions };
        sigv4::verify(&request, &presented, &demand, now, |_| {
            known.map(|known| Secret {
                key: &known.secret,
                token: known.credential.session_token.as_deref(),
                expires: known.expires,
            })
        })?;
        Ok(Caller { auth: self, credential: known.map(|known| &known.credential) })
    }

    /// What goes along with a request of `target` that is forwarded now.
    pub(in crate::region) fn seal(&self, target: &str, body: &[u8]) -> String {
        let now = unix_s();
        format!("{now}.{}", self.hash(now, target, body))
    }

    fn is_sealed(&self, headers: &HeaderMap, body: &[u8], now: u64) -> bool {
        let Some(seal) = headers.get(SEAL_NAME).and_then(|seal| seal.to_str().ok()) else {
            return false;
        };
        let Some((then, given)) = seal.split_once('.') else { return false };
        let Some(then) = then.parse::<u64>().ok().filter(|then| then.abs_diff(now) <= SKEW_S)
        else {
            return false;
        };
        let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        // blake3 compares hashes in constant time.
        let given = blake3::Hash::from_hex(given);
        given.is_ok_and(|given| given == self.hash(then, target.unwrap_or_default(), body))
    }

    fn hash(&self, time: u64, target: &str, body: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.seal);
        hasher.update(&time.to_be_bytes());
        hasher.update(&target.len().to_be_bytes()).update(target.as_bytes()).update(body);
        hasher.finalize()
    }
}

impl Caller<'_> {
    /// Whether the caller may do this to all of these tables.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub(super) fn may<'t>(
        self,
        operation: &str,
        tables: impl FnOnce() -> Vec<&'t str>,
    ) -> Result<(), ApiError> {
        let Some(credential) = self.credential else { return Ok(()) };
        let tables = tables();
        let denied = |table: &str| {
            let (region, key) = (&self.auth.region, &credential.access_key);
            let resource = match table {
                "*" => format!("arn:aws:dynamodb:{region}:{ACCOUNT}:table/*"),
                table if table.starts_with("arn:") => table.to_owned(),
                table => format!("arn:aws:dynamodb:{region}:{ACCOUNT}:table/{table}"),
            };
            let text = format!(
                "User: arn:aws:iam::{ACCOUNT}:user/{key} is not authorized to perform: \
                 {SERVICE}:{operation} on resource: {resource} because no identity-based policy \
                 allows the {SERVICE}:{operation} action"
            );
            Err(ApiError::new(ErrorKind::AccessDenied, text))
        };
        if tables.is_empty() && !credential.allows(operation, "*") {
            return denied("*");
        }
        for table in tables {
            let name = table.rsplit_once(":table/").map_or(table, |(_, name)| name);
            let name = name.split('/').next().unwrap_or_default();
            if !credential.allows(operation, name) {
                return denied(table);
            }
        }
        Ok(())
    }
}

/// All values of one header. HTTP/2 has the host elsewhere, by a name of its own.
pub(super) fn header<'a>(head: &'a Parts, name: &str) -> Option<Cow<'a, str>> {
    let text = |value: &'a HeaderValue| match value.to_str() {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(value.as_bytes()),
    };
    // There are few, and most of what is asked for is not among them: hashing the name costs more.
    let all = head.headers.iter().filter(|(known, _)| known.as_str() == name);
    let mut values = all.map(|(_, value)| text(value));
    let Some(first) = values.next() else {
        let named = name == "host" || (name == ":authority" && head.version == Version::HTTP_2);
        let host = head.uri.authority().filter(|_| named);
        return host.map(|host| Cow::Borrowed(host.as_str()));
    };
    Some(values.fold(first, |all, value| Cow::Owned(format!("{all},{value}"))))
}

fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;
    use crate::config;

    fn auth(credentials: &str) -> Auth {
        let text = format!("[[region]]\nname = \"us-east-1\"\n{credentials}");
        let topology = config::parse("test", &text, &[]).expect("it is a topology");
        Auth::new(&topology, "us-east-1", b"shared").expect("nothing to read")
    }

    const KEY: &str = "[[credential]]\naccess_key = \"AKIDTEST\"\nsecret = \"sesame\"\n";

    fn request(authorization: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::post("/").header("host", "127.0.0.1:8101");
        if !authorization.is_empty() {
            request = request.header("authorization", authorization);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("it is a request").into_parts().0
    }

    fn signed(secret: &str, body: &[u8]) -> Parts {
        let now = Date::from_unix(unix_s()).to_string();
        let parts = request("", &[("x-amz-date", &now)]);
        let header = |name: &str| header(&parts, name);
        let made = Signed { method: "POST", path: "/", query: "", header: &header, body };
        let scope = ["us-east-1", SERVICE];
        let keys = ["AKIDTEST", secret];
        let text = sigv4::authorization(&made, "host;x-amz-date", keys, scope, unix_s());
        request(&text, &[("x-amz-date", &now)])
    }

    fn refusal(auth: &Auth, head: &Parts) -> Option<ErrorKind> {
        auth.admit(head, Rare::of(&head.headers), b"{}").err().map(|error| error.kind)
    }

    #[test]
    fn signatures_are_verified_only_against_keys() {
        let (open, closed) = (auth(""), auth(KEY));
        let (right, wrong) = (signed("sesame", b"{}"), signed("guess", b"{}"));
        assert_eq!([refusal(&open, &right), refusal(&open, &wrong)], [None, None]);
        let mismatch = Some(ErrorKind::InvalidSignature);
        assert_eq!([refusal(&closed, &right), refusal(&closed, &wrong)], [None, mismatch]);
        let bare = request("", &[]);
        let missing = Some(ErrorKind::MissingAuthenticationToken);
        assert_eq!([refusal(&open, &bare), refusal(&closed, &bare)], [missing; 2]);
    }

    #[test]
    fn the_host_is_signed_by_either_name() {
        let named = |version: Version, uri: &str| {
            let request = Request::post(uri).version(version).body(()).expect("it is a request");
            let head = request.into_parts().0;
            ["host", ":authority"].map(|name| header(&head, name).map(Cow::into_owned))
        };
        let host = Some("127.0.0.1:8101".to_owned());
        let uri = "http://127.0.0.1:8101/";
        assert_eq!(named(Version::HTTP_2, uri), [host.clone(), host.clone()]);
        assert_eq!(named(Version::HTTP_11, uri), [host, None]);
        assert_eq!(named(Version::HTTP_2, "/"), [None, None]);
    }

    #[test]
    fn a_sealed_request_was_judged_elsewhere() {
        let (one, other) = (auth(KEY), auth(KEY));
        let seal = one.seal("DynamoDB_20120810.PutItem", b"{}");
        let target = ("x-amz-target", "DynamoDB_20120810.PutItem");
        assert_eq!(refusal(&other, &request("", &[(SEAL, &seal), target])), None);
        let another = ("x-amz-target", "DynamoDB_20120810.DeleteItem");
        let missing = Some(ErrorKind::MissingAuthenticationToken);
        assert_eq!(refusal(&other, &request("", &[(SEAL, &seal), another])), missing);
        for garbage in ["", ".", "1.00", &seal[..seal.len() - 1], &format!("9{seal}")] {
            assert_eq!(refusal(&other, &request("", &[(SEAL, garbage), target])), missing);
        }
    }

    #[test]
    fn keys_may_do_what_their_rules_allow() {
        let rules = "allow = [{ tables = [\"shop-*\"], actions = [\"GetItem\", \"Batch*\"] }]\n";
        let auth = auth(&format!("{KEY}{rules}"));
        let parts = signed("sesame", b"{}");
        let caller =
            auth.admit(&parts, Rare::of(&parts.headers), b"{}").map_err(|error| error.message);
        let caller = caller.expect("the signature is right");
        assert_eq!(caller.may("GetItem", || vec!["shop-orders"]), Ok(()));
        assert_eq!(caller.may("BatchGetItem", || vec!["shop-a", "shop-b"]), Ok(()));
        let arn = "arn:aws:dynamodb:us-east-1:000000000000:table/shop-orders/index/x";
        assert_eq!(caller.may("GetItem", || vec![arn]), Ok(()));
        let denied = caller.may("PutItem", || vec!["shop-orders"]).expect_err("no rule allows it");
        let text = "User: arn:aws:iam::000000000000:user/AKIDTEST is not authorized to perform: \
                    dynamodb:PutItem on resource: \
                    arn:aws:dynamodb:us-east-1:000000000000:table/shop-orders because no \
                    identity-based policy allows the dynamodb:PutItem action";
        assert_eq!((denied.kind, denied.message.as_str()), (ErrorKind::AccessDenied, text));
        assert!(caller.may("BatchGetItem", || vec!["shop-a", "other"]).is_err());
        assert!(caller.may("ListTables", Vec::new).is_err());
    }
}
