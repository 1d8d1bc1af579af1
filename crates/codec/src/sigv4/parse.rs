//! What a request presents: in a header or in its query string.

use std::borrow::Cow;

use super::Signed;
use super::canonical::{Pairs, decode};
use super::date::{Date, SKEW_S};
use crate::dynamo::{ApiError, ErrorKind};

/// How long a presigned request may live at most, in s (AWS: seven days).
const LIFETIME_S_MAX: u64 = 7 * 24 * 60 * 60;

/// Where the signature stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// In the `Authorization` header.
    Header,
    /// In the query string.
    Query,
}

/// What a request says of its sender.
#[derive(Clone, Debug)]
pub struct Presented<'a> {
    /// Where it was found.
    pub form: Form,
    /// The algorithm's name.
    pub algorithm: Cow<'a, str>,
    /// `key/date/region/service/aws4_request`.
    pub credential: Cow<'a, str>,
    /// Names with semicolons between.
    pub names: Cow<'a, str>,
    /// Hexadecimal digits.
    pub signature: Cow<'a, str>,
    /// When it was signed.
    pub date: Date,
    /// How long it lives, in s.
    pub lifetime_s: u64,
    /// The session token that came along.
    pub token: Option<Cow<'a, str>>,
}

impl Presented<'_> {
    fn into_owned<'o>(self) -> Presented<'o> {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        Presented {
            form: self.form,
            algorithm: own(self.algorithm),
            credential: own(self.credential),
            names: own(self.names),
            signature: own(self.signature),
            date: self.date,
            lifetime_s: self.lifetime_s,
            token: self.token.map(own),
        }
    }

    /// The names of the headers that are signed.
    pub fn signed_headers(&self) -> impl Iterator<Item = &str> {
        self.names.split(';').filter(|name| !name.is_empty())
    }

    /// The access key, and the scope's date, region, service and terminator.
    #[must_use]
    pub fn elements(&self) -> [&str; 5] {
        let mut elements = [""; 5];
        let parts = self.credential.trim_end_matches('/').split('/');
        elements.iter_mut().zip(parts).for_each(|(element, part)| *element = part);
        elements
    }

    /// The access key.
    #[must_use]
    pub fn access_key(&self) -> &str {
        self.elements()[0]
    }
}

fn incomplete(text: impl Into<String>) -> ApiError {
    ApiError::new(ErrorKind::IncompleteSignature, text)
}

/// Finds it.
pub(super) fn read<'a>(request: &'a Signed<'a>) -> Result<Presented<'a>, ApiError> {
    let header = (request.header)("authorization").filter(|text| !text.is_empty());
    let in_query = !request.query.is_empty()
        && Pairs::of(request.query).any(|(name, _)| name == "X-Amz-Algorithm");
    match header {
        Some(_) if in_query => {
            let text = "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' \
                        as HTTP header.";
            Err(ApiError::new(ErrorKind::InvalidSignature, text))
        }
        Some(header) if header.trim_ascii_start().starts_with("AWS4-") => match header {
            // As it mostly is: nothing of it is copied.
            Cow::Borrowed(header) => of_header(request, header),
            Cow::Owned(header) => of_header(request, &header).map(Presented::into_owned),
        },
        None if in_query => of_query(request),
        _ => {
            let text = "Request is missing Authentication Token";
            Err(ApiError::new(ErrorKind::MissingAuthenticationToken, text))
        }
    }
}

fn of_header<'h, 'a: 'h>(
    request: &'a Signed<'a>,
    header: &'h str,
) -> Result<Presented<'h>, ApiError> {
    // By bytes: this is in every request.
    let mut from = 0;
    let ends = memchr::memchr2_iter(b',', b' ', header.as_bytes()).chain([header.len()]);
    let words = ends.map(|end| &header[std::mem::replace(&mut from, end + 1)..end]);
    let mut words = words.filter(|word| !word.is_empty());
    let algorithm = words.next().unwrap_or_default();
    let [mut credential, mut signature, mut names] = [""; 3];
    for word in words {
        let parts = memchr::memchr(b'=', word.as_bytes()).map(|at| (&word[..at], &word[at + 1..]));
        let Some((name, value)) = parts else {
            return Err(incomplete(format!(
                "'{word}' not a valid key=value pair (missing equal-sign) in Authorization \
                 header: '{header}'."
            )));
        };
        match name {
            "Credential" => credential = value,
            "Signature" => signature = value,
            "SignedHeaders" => names = value,
            _ => {}
        }
    }
    let date = (request.header)("x-amz-date").or_else(|| (request.header)("date"));
    let mut missing = String::new();
    let wanted = [("Credential", credential), ("Signature", signature), ("SignedHeaders", names)];
    for (name, value) in wanted {
        if value.is_empty() {
            missing += &format!("Authorization header requires '{name}' parameter. ");
        }
    }
    if date.is_none() {
        missing += "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' \
                    header. ";
    }
    if !missing.is_empty() {
        return Err(incomplete(format!("{missing}Authorization={header}")));
    }
    Ok(Presented {
        form: Form::Header,
        algorithm: algorithm.into(),
        credential: credential.into(),
        names: names.into(),
        signature: signature.into(),
        date: Date::parse(date.unwrap_or_default().trim())?,
        lifetime_s: SKEW_S,
        token: (request.header)("x-amz-security-token"),
    })
}

fn of_query<'a>(request: &'a Signed<'a>) -> Result<Presented<'a>, ApiError> {
    let value = |wanted: &str| {
        let found = Pairs::of(request.query).find(|(name, _)| name == wanted);
        found.map(|(_, value)| decode(value)).filter(|value| !value.is_empty())
    };
    let wanted = [
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Signature",
        "X-Amz-SignedHeaders",
        "X-Amz-Date",
    ];
    let mut missing = String::new();
    let values = wanted.map(|name| {
        value(name).unwrap_or_else(|| {
            missing += &format!("AWS query-string parameters must include '{name}'. ");
            Cow::Borrowed("")
        })
    });
    if !missing.is_empty() {
        return Err(incomplete(format!("{missing}Re-examine the query-string parameters.")));
    }
    let [algorithm, credential, signature, names, date] = values;
    let lifetime = value("X-Amz-Expires").and_then(|text| text.parse().ok());
    Ok(Presented {
        form: Form::Query,
        algorithm,
        credential,
        names,
        signature,
        date: Date::parse(&date)?,
        lifetime_s: lifetime.unwrap_or(SKEW_S).min(LIFETIME_S_MAX),
        token: value("X-Amz-Security-Token").or_else(|| (request.header)("x-amz-security-token")),
    })
}
