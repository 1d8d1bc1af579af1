//! Signatures as AWS's published suite and botocore 1.44 made them, and refusals in the service's
//! words.

use std::collections::BTreeMap;

use super::*;

/// 2015-08-30T12:36:00Z, the moment of the published suite.
const THEN: u64 = 1_440_938_160;
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

struct Case {
    method: &'static str,
    path: &'static str,
    query: String,
    headers: BTreeMap<String, String>,
    body: &'static [u8],
}

impl Case {
    fn new(method: &'static str, host: &str, names: &str, signature: &str) -> Self {
        let service = if host.starts_with("127") { "dynamodb" } else { "service" };
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/{service}/aws4_request, \
             SignedHeaders={names}, Signature={signature}"
        );
        Self { method, path: "/", query: String::new(), headers: BTreeMap::new(), body: b"" }
            .with("host", host)
            .with("x-amz-date", "20150830T123600Z")
            .with("authorization", &authorization)
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    fn check(&self, now: u64, service: &str, secret: Secret<'_>) -> Result<(), ApiError> {
        let header = |name: &str| Some(Cow::Borrowed(self.headers.get(name)?.as_str()));
        let request = Signed {
            method: self.method,
            path: self.path,
            query: &self.query,
            header: &header,
            body: self.body,
        };
        let presented = presented(&request, now)?;
        let demand = Demand { service, regions: &["us-east-1".to_owned()] };
        let find = |access: &str| (access == "AKIDEXAMPLE").then_some(secret);
        verify(&request, &presented, &demand, now, find)
    }

    fn passes(&self, service: &str, token: Option<&str>) {
        let secret = Secret { key: SECRET, token, expires: None };
        assert_eq!(self.check(THEN, service, secret), Ok(()));
        let other = Secret { key: "another", token, expires: None };
        let error = self.check(THEN, service, other).expect_err("another key");
        assert_eq!((error.kind, error.message.as_str()), (ErrorKind::InvalidSignature, MISMATCH));
    }

    fn refused(&self) -> String {
        let secret = Secret { key: SECRET, token: None, expires: None };
        let error = self.check(THEN, "dynamodb", secret).expect_err("it is refused");
        format!("{}: {}", error.kind.name(), error.message)
    }
}

#[test]
fn the_published_suite_is_accepted() {
    let vanilla = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
    let host = "example.amazonaws.com";
    Case::new("GET", host, "host;x-amz-date", vanilla).passes("service", None);
    let post = "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b";
    Case::new("POST", host, "host;x-amz-date", post).passes("service", None);
    let order = "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500";
    let mut case = Case::new("GET", host, "host;x-amz-date", order);
    case.query = "Param2=value2&Param1=value1".to_owned();
    case.passes("service", None);
}

fn list_tables() -> Case {
    let signature = "51525d548b914b73295647d7aabf609aa496818a05409bb8b31b22f5c0ebdf52";
    let names = "content-type;host;meerkat;x-amz-date;x-amz-target";
    let case = Case::new("POST", "127.0.0.1:8101", names, signature)
        .with("content-type", "application/x-amz-json-1.0")
        .with("x-amz-target", "DynamoDB_20120810.ListTables")
        .with("meerkat", "Hello   big world ");
    Case { body: br#"{"Limit":1}"#, ..case }
}

#[test]
fn what_botocore_signs_is_accepted() {
    list_tables().passes("dynamodb", None);
    let signature = "9ab3f42490339241a404513b7c8c7eb9d0260c797374c95ef9e441b290a4c4f4";
    let names = "host;x-amz-date;x-amz-security-token;x-amz-target";
    let case = Case::new("POST", "127.0.0.1:8101", names, signature)
        .with("x-amz-target", "DynamoDB_20120810.ListTables")
        .with("x-amz-security-token", "tok/en+1=");
    let case = Case { body: b"{}", ..case };
    case.passes("dynamodb", Some("tok/en+1="));
    let strange = "UnrecognizedClientException: The security token included in the request is \
                   invalid";
    assert_eq!(case.refused(), strange, "a token for a key that has none");
    let signature = "e3f9b2870e72fdce3d1a51d7e57ea37fed7455523482470022ace6a12a474966";
    let mut case = Case::new("POST", "127.0.0.1:8101", "host;x-amz-date", signature);
    case.path = "/service/DynamoDB_20120810/operation/ListTables";
    case.query = "a%20b=c%2Fd&x".to_owned();
    case.body = b"\xa0";
    case.passes("dynamodb", None);
}

#[test]
fn what_the_sdk_for_javascript_signs_over_http_2_is_accepted() {
    let signature = "c38fc316b3b39658534fa5d670c2082011e8feff363b364d5a834ce155271b57";
    let names = ":authority;content-type;x-amz-content-sha256;x-amz-date;x-amz-target";
    let hash = "55522f708dcfebccb7bd3e8d0001a53ecaf2beca9ca801f1e9161e24215faa99";
    let mut case = Case::new("POST", "127.0.0.1:8101", names, signature)
        .with(":authority", "127.0.0.1:8101")
        .with("content-type", "application/x-amz-json-1.0")
        .with("x-amz-content-sha256", hash)
        .with("x-amz-target", "DynamoDB_20120810.ListTables");
    case.body = br#"{"Limit":1}"#;
    case.passes("dynamodb", None);
    case.headers.remove(":authority");
    assert!(case.refused().starts_with("InvalidSignatureException: 'Host' must be"));
}

#[test]
fn presigned_requests_live_as_long_as_they_say() {
    let mut case = Case::new("POST", "127.0.0.1:8101", "", "")
        .with("x-amz-target", "DynamoDB_20120810.ListTables");
    case.headers.remove("authorization");
    case.headers.remove("x-amz-date");
    let signature = "cc51ed224abf2fd1d318ea3e4f6216e32f45f4f223b784e8772cb14e79b8dc16";
    case.query = format!(
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1\
         %2Fdynamodb%2Faws4_request&X-Amz-Date=20150830T123600Z&X-Amz-Expires=3600&\
         X-Amz-SignedHeaders=host%3Bx-amz-target&X-Amz-Security-Token=tok%2Fen%2B1%3D&\
         X-Amz-Signature={signature}"
    );
    case.passes("dynamodb", Some("tok/en+1="));
    let secret = Secret { key: SECRET, token: Some("tok/en+1="), expires: None };
    assert_eq!(case.check(THEN + 3600, "dynamodb", secret), Ok(()));
    let error = case.check(THEN + 3601, "dynamodb", secret).expect_err("it has expired");
    let text = "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z \
                (20150830T133601Z - 60 min.)";
    assert_eq!(error.message, text);
    case.query = "X-Amz-Algorithm=a&X-Amz-Credential=b&X-Amz-Signature=c&X-Amz-Date=d".to_owned();
    let text = "IncompleteSignatureException: AWS query-string parameters must include \
                'X-Amz-SignedHeaders'. Re-examine the query-string parameters.";
    assert_eq!(case.refused(), text);
}

#[test]
fn a_changed_request_is_refused() {
    let mismatch = format!("InvalidSignatureException: {MISMATCH}");
    assert_eq!(Case { body: br#"{"Limit":2}"#, ..list_tables() }.refused(), mismatch);
    assert_eq!(list_tables().with("meerkat", "Hello world").refused(), mismatch);
    assert_eq!(Case { path: "/x", ..list_tables() }.refused(), mismatch);
    assert_eq!(list_tables().with("unsigned", "anything").check_ok(), Ok(()));
    assert_eq!(list_tables().with("meerkat", " Hello big   world").check_ok(), Ok(()));
}

impl Case {
    fn check_ok(&self) -> Result<(), ApiError> {
        self.check(THEN, "dynamodb", Secret { key: SECRET, token: None, expires: None })
    }

    fn authorized(text: &str) -> String {
        list_tables().with("authorization", text).refused()
    }
}

#[test]
fn what_is_missing_is_listed() {
    let missing = "MissingAuthenticationTokenException: Request is missing Authentication Token";
    assert_eq!(Case::authorized("AWS4"), missing);
    assert_eq!(Case::authorized("Basic dXNlcjpwYXNz"), missing);
    let all = "IncompleteSignatureException: Authorization header requires 'Credential' \
               parameter. Authorization header requires 'Signature' parameter. Authorization \
               header requires 'SignedHeaders' parameter. Authorization=AWS4-";
    assert_eq!(Case::authorized("AWS4-"), all);
    let one = "IncompleteSignatureException: Authorization header requires 'SignedHeaders' \
               parameter. Authorization=AWS4- Signature=b, Credential=a";
    assert_eq!(Case::authorized("AWS4- Signature=b, Credential=a"), one);
    let sign = "IncompleteSignatureException: 'Credential' not a valid key=value pair (missing \
                equal-sign) in Authorization header: 'AWS4-HMAC-SHA256 Signature=b,  Credential'.";
    assert_eq!(Case::authorized("AWS4-HMAC-SHA256 Signature=b,  Credential"), sign);
    let mut both = list_tables();
    both.query = "X-Amz-Algorithm".to_owned();
    let text = "InvalidSignatureException: Found both 'X-Amz-Algorithm' as a query-string param \
                and 'Authorization' as HTTP header.";
    assert_eq!(both.refused(), text);
    let undated = || {
        let mut undated = list_tables();
        undated.headers.remove("x-amz-date");
        undated
    };
    assert!(undated().refused().contains("existence of either a 'X-Amz-Date' or a 'Date' header."));
    for zone in ["GMT", "-0000", "+0000"] {
        let dated = undated().with("date", &format!("Sun, 30 Aug 2015 12:36:00 {zone}"));
        assert!(dated.refused().ends_with(MISMATCH), "{zone} is read, and not what was signed");
    }
}

#[test]
fn dates_are_about_now() {
    let at = |date: &str| list_tables().with("x-amz-date", date).refused();
    let text = "IncompleteSignatureException: Date must be in ISO-8601 'basic format'. Got '201'. \
                See http://en.wikipedia.org/wiki/ISO_8601";
    assert_eq!(at("201"), text);
    let text = "InvalidSignatureException: Signature expired: 20150830T123059Z is now earlier \
                than 20150830T123100Z (20150830T123600Z - 5 min.)";
    assert_eq!(at("20150830T123059Z"), text);
    let text = "InvalidSignatureException: Signature not yet current: 20150830T124101Z is still \
                later than 20150830T124100Z (20150830T123600Z + 5 min.)";
    assert_eq!(at("20150830T124101Z"), text);
    for inside in ["20150830T123100Z", "20150830T124100Z"] {
        assert!(at(inside).ends_with(MISMATCH), "{inside}");
    }
    for wrong in ["20151330T123100Z", "2015é830T12310Z", "20150830T250000Z", "", "T"] {
        assert!(at(wrong).contains("basic format"), "{wrong}");
    }
}

#[test]
fn days_of_four_centuries_come_back() {
    for day in (0..146_097_u64).step_by(3) {
        let date = Date::from_unix(day * 86_400 + 3_661);
        assert_eq!(Date::parse(&date.to_string()), Ok(date));
    }
    assert_eq!(Date::from_unix(THEN).to_string(), "20150830T123600Z");
    assert_eq!(Date::from_unix(951_782_400).to_string(), "20000229T000000Z");
}

#[test]
fn scopes_and_keys_are_judged_in_order() {
    let at = |credential: &str, names: &str| {
        Case::authorized(&format!(
            "AWS4-HMAC-SHA256 Credential={credential} SignedHeaders={names} Signature=00"
        ))
    };
    let text = "InvalidSignatureException: 'Host' must be a 'SignedHeader' in the AWS \
                Authorization.";
    assert_eq!(at("a/b", "x-amz-date"), text);
    let text = "IncompleteSignatureException: Credential must have exactly 5 slash-delimited \
                elements, e.g. keyid/date/region/service/term, got 'a/b/c/d'";
    assert_eq!(at("a/b/c/d", "HOST"), text);
    let text = "InvalidSignatureException: Credential should be scoped to a valid region. \
                Credential should be scoped to correct service: 'dynamodb'. Credential \
                should be scoped with a valid terminator: 'aws4_request', not 'e'. Date in \
                Credential scope does not match YYYYMMDD from ISO-8601 version of date from \
                HTTP: 'b' != '20150830', from '20150830T123600Z'. ";
    assert_eq!(at("a/b/c/d/e", "host"), text);
    let text = format!("UnrecognizedClientException: {UNKNOWN}");
    assert_eq!(at("a/20150830/us-east-1/dynamodb/aws4_request", "host"), text);
    let ended = Secret { key: SECRET, token: None, expires: Some(THEN) };
    let error = list_tables().check(THEN, "dynamodb", ended).expect_err("the key has ended");
    assert_eq!(error.kind, ErrorKind::ExpiredToken);
    let other = Case::authorized(
        "AWS4-HMAC-SHA25 Credential=a/20150830/us-east-1/dynamodb/aws4_request \
         SignedHeaders=host Signature=00",
    );
    let text = "IncompleteSignatureException: Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA25' \
                (only AWS4-HMAC-SHA256 for now). ";
    assert_eq!(other, text);
}

#[test]
fn the_placeholder_has_no_date() {
    let case = list_tables().with("x-amz-date", "20000101T000000Z").with(
        "authorization",
        &format!(
            "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host, Signature={PLACEHOLDER}"
        ),
    );
    let header = |name: &str| Some(Cow::Borrowed(case.headers.get(name)?.as_str()));
    let request = Signed { method: "POST", path: "/", query: "", header: &header, body: case.body };
    assert!(presented(&request, THEN).is_ok());
    assert!(case.refused().contains("valid region"), "with keys it is as wrong as any other");
}

#[test]
fn what_is_signed_here_is_accepted_here() {
    let case = list_tables();
    let header = |name: &str| Some(Cow::Borrowed(case.headers.get(name)?.as_str()));
    let request = Signed { method: "POST", path: "/", query: "", header: &header, body: case.body };
    let names = "content-type;host;meerkat;x-amz-date;x-amz-target";
    let keys = ["AKIDEXAMPLE", SECRET];
    let made = authorization(&request, names, keys, ["us-east-1", "dynamodb"], THEN);
    assert_eq!(Some(&made), case.headers.get("authorization"));
}

/// A request whose body comes in chunks, signed here: botocore signs none such for this service.
fn streamed(kind: &str, body: &'static [u8]) -> Case {
    let names = "host;x-amz-content-sha256;x-amz-date";
    let case = Case::new("POST", "127.0.0.1", names, "").with("x-amz-content-sha256", kind);
    let header = |name: &str| Some(Cow::Borrowed(case.headers.get(name)?.as_str()));
    let request = Signed { method: "POST", path: "/", query: "", header: &header, body };
    let keys = ["AKIDEXAMPLE", SECRET];
    let authorization = authorization(&request, names, keys, ["us-east-1", "dynamodb"], THEN);
    Case { body, ..case }.with("authorization", &authorization)
}

const CHUNKS: &[u8] =
    b"2;chunk-signature=4ac9ba92bc0f4236c339d5486b55442ec968a86e41ee63367ba927c25599a7d3\r\n{}\
    \r\n0;chunk-signature=e8478910520a99a501bf6c232dced281f55de3370e7d552f0f776cc98d22d133\r\
    \n\r\n";

const TRAILED: &[u8] =
    b"2;chunk-signature=25faa7912f610d41d49e11103cc0336281f7e6301d7c5a9729b65192863abd4f\r\n{}\
    \r\n0;chunk-signature=05f95e09e5065104c283113fd61da1ad0fc5bea186d4cf21df8fe1d691d28636\r\
    \nx-amz-checksum-crc32:AAAAAA==\r\nx-amz-trailer-signature:f5d8ab21ddae525c9695e81f41ea0\
    c8530388b8641c363b7cf81215d7fd7dcf0\r\n\r\n";

/// The signatures of the chunks of `{}` and nothing and, with trailers, of these, computed by
/// Python's hmac from the document that the module names.
#[test]
fn chunks_are_signed_one_after_the_other() {
    let signed = |kind: &str, body| {
        let secret = Secret { key: SECRET, token: None, expires: None };
        streamed(kind, body).check(THEN, "dynamodb", secret).map_err(|error| error.kind)
    };
    let plain = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
    assert_eq!(signed(plain, CHUNKS), Ok(()));
    assert_eq!(signed(&format!("{plain}-TRAILER"), TRAILED), Ok(()));
    assert_eq!(signed("STREAMING-UNSIGNED-PAYLOAD-TRAILER", b"2\r\n{}\r\n0\r\n\r\n"), Ok(()));
    let mismatch = Err(ErrorKind::InvalidSignature);
    let replaced = |from: &str, to: &str| {
        let text = String::from_utf8_lossy(CHUNKS).replacen(from, to, 1);
        &*Box::leak(text.into_bytes().into_boxed_slice())
    };
    assert_eq!(signed(plain, replaced("{}", "[]")), mismatch, "other bytes");
    let first = String::from_utf8_lossy(CHUNKS).split("0;").next().map(str::to_owned);
    let first = first.expect("a chunk with bytes");
    assert_eq!(signed(plain, replaced(&first, "")), mismatch, "a chunk left out");
    assert_eq!(signed(plain, replaced(&first, &first.repeat(2))), mismatch, "one repeated");
    for malformed in ["", "{}", "2\r\n{}", "2\r\n{}\r\n", "+2\r\n{}\r\n0\r\n\r\n", "9\r\n{}\r\n"] {
        let body = malformed.as_bytes();
        assert_eq!(signed(plain, body), Err(ErrorKind::Serialization), "{malformed:?}");
    }
}

#[test]
fn chunks_are_put_together() {
    let case = |length: &str, trailer: &str| {
        let headers = [
            ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER".to_owned()),
            ("x-amz-decoded-content-length", length.to_owned()),
        ];
        let header = |name: &str| {
            let found = headers.iter().find(|(other, value)| *other == name && !value.is_empty());
            found.map(|(_, value)| Cow::Borrowed(value.as_str()))
        };
        let chunks = "3;chunk-signature=x\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n";
        let body = format!("{chunks}{trailer}\r\n\r\n");
        unchunked(&header, body.as_bytes()).map_err(|error| error.kind)
    };
    let whole = Ok(Some(br#"{"a":1}"#.to_vec()));
    let right = "x-amz-checksum-crc32:Vhusrw==";
    assert_eq!([case("", right), case("7", right)], [whole.clone(), whole.clone()]);
    assert_eq!(case("8", right), Err(ErrorKind::Serialization));
    let sha256 = "AVq9f1zFei3ZS3WQ8ErYCEJzkF7jPsXOvq5iJ2qX+GI=";
    for (trailer, right) in [
        ("X-Amz-Checksum-SHA1: n4nHQM60bXQYySSnisV5QdXpZSA=", true),
        (&format!("x-amz-checksum-sha256:{sha256}"), true),
        ("x-amz-checksum-crc64nvme:AAAAAAAAAAA=", true),
        ("x-amz-checksum-crc32:Vhusrg==", false),
        ("x-amz-checksum-sha256:AA==", false),
    ] {
        let expected = if right { whole.clone() } else { Err(ErrorKind::Serialization) };
        assert_eq!(case("7", trailer), expected, "{trailer}");
    }
    assert_eq!(unchunked(&|_: &str| None, b"{}"), Ok(None), "as most bodies are");
}
