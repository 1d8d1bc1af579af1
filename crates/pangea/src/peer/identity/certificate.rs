//! The few fields of a certificate that are looked at: names, keys and the end, out of its DER
//! (X.690, RFC 5280).
//!
//! Whether a certificate is to be believed is for rustls to say, and it says so before anything
//! here is asked about a peer's. Nothing is assumed of the bytes all the same: what is not there,
//! or not as the RFC has it, is no certificate.

const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const OBJECT_ID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// The kinds of text that names are made of: UTF8String, PrintableString, IA5String.
const TEXTS: [u8; 3] = [0x0c, 0x13, 0x16];
/// In front of the serial number, where there is one.
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
/// A `dNSName` among the names of a subject.
const DNS_NAME: u8 = 0x82;

/// 2.5.4.3.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
/// 2.5.29.17.
const SUBJECT_ALT_NAME: [u8; 3] = [0x55, 0x1d, 0x11];

/// What was found in a certificate.
#[derive(Debug)]
pub(super) struct Certificate<'a> {
    /// Who signed it: a name in DER.
    pub(super) issuer: &'a [u8],
    /// Whose it is: a name in DER.
    pub(super) subject: &'a [u8],
    /// Its key: a `SubjectPublicKeyInfo` in DER.
    pub(super) public_key: &'a [u8],
    /// The last second of its life, in seconds since 1970.
    pub(super) not_after: i64,
    /// The first common name of the subject.
    pub(super) common_name: Option<&'a str>,
    /// The DNS names of the subject.
    pub(super) dns_names: Vec<&'a str>,
}

impl<'a> Certificate<'a> {
    /// `None` if it is no certificate.
    pub(super) fn parse(der: &'a [u8]) -> Option<Self> {
        let mut body = Der(Der(Der(der).expect(SEQUENCE)?).expect(SEQUENCE)?);
        body.optional(VERSION)?;
        body.expect(INTEGER)?;
        body.expect(SEQUENCE)?; // the signature's algorithm
        let issuer = body.whole(SEQUENCE)?;
        let mut validity = Der(body.expect(SEQUENCE)?);
        validity.next()?;
        let not_after = validity.next().and_then(|(tag, text)| seconds(tag, text))?;
        let subject = body.whole(SEQUENCE)?;
        let public_key = body.whole(SEQUENCE)?;
        let mut dns_names = Vec::new();
        while !body.0.is_empty() {
            let (tag, contents) = body.next()?;
            if tag == EXTENSIONS {
                dns_names = names_in(Der(contents).expect(SEQUENCE)?)?;
            }
        }
        let common_name = common_name(subject)?;
        Some(Self { issuer, subject, public_key, not_after, common_name, dns_names })
    }
}

/// The outer `None` if it is no name.
#[expect(clippy::option_option, reason = "no name, and a name without this part")]
fn common_name(name: &[u8]) -> Option<Option<&str>> {
    let mut parts = Der(Der(name).expect(SEQUENCE)?);
    while !parts.0.is_empty() {
        let mut attributes = Der(parts.expect(SET)?);
        while !attributes.0.is_empty() {
            let mut attribute = Der(attributes.expect(SEQUENCE)?);
            let kind = attribute.expect(OBJECT_ID)?;
            let (tag, text) = attribute.next()?;
            if kind == COMMON_NAME && TEXTS.contains(&tag) {
                return Some(Some(std::str::from_utf8(text).ok()?));
            }
        }
    }
    Some(None)
}

/// The DNS names in a list of extensions.
fn names_in(extensions: &[u8]) -> Option<Vec<&str>> {
    let (mut extensions, mut found) = (Der(extensions), Vec::new());
    while !extensions.0.is_empty() {
        let mut extension = Der(extensions.expect(SEQUENCE)?);
        if extension.expect(OBJECT_ID)? != SUBJECT_ALT_NAME {
            continue;
        }
        // Behind the kind, and whether it is critical.
        let value = loop {
            match extension.next()? {
                (OCTETS, value) => break value,
                _ => continue,
            }
        };
        let mut names = Der(Der(value).expect(SEQUENCE)?);
        while !names.0.is_empty() {
            let (tag, text) = names.next()?;
            if tag == DNS_NAME {
                found.push(std::str::from_utf8(text).ok()?);
            }
        }
    }
    Some(found)
}

/// Elements, one behind the other.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The tag and the contents of the next element. Tags of more than a byte and lengths that are
    /// not told in front are not in certificates.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let more = if first < 0x80 { 0 } else { usize::from(first & 0x7f) };
        if tag & 0x1f == 0x1f || first == 0x80 || more > 4 {
            return None;
        }
        let (length, rest) = rest.split_at_checked(more)?;
        let told = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        let (contents, rest) =
            rest.split_at_checked(if more == 0 { usize::from(first) } else { told })?;
        self.0 = rest;
        Some((tag, contents))
    }

    /// The contents of the next element, which is a `wanted`.
    fn expect(&mut self, wanted: u8) -> Option<&'a [u8]> {
        self.next().filter(|(tag, _)| *tag == wanted).map(|(_, contents)| contents)
    }

    /// The next element with its head.
    fn whole(&mut self, wanted: u8) -> Option<&'a [u8]> {
        let before = self.0;
        self.expect(wanted)?;
        Some(&before[..before.len() - self.0.len()])
    }

    /// Goes past the next element if it is such a one; `None` where there is no element.
    fn optional(&mut self, tag: u8) -> Option<()> {
        if *self.0.first()? == tag {
            self.next()?;
        }
        Some(())
    }
}

/// Seconds from 1970 to a `YYMMDDhhmmssZ` or a `YYYYMMDDhhmmssZ`, the forms of RFC 5280, 4.1.2.5.
fn seconds(tag: u8, text: &[u8]) -> Option<i64> {
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = number(text, 2)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        TIME => number(text, 4)?,
        _ => return None,
    };
    let (month, rest) = number(rest, 2)?;
    let (day, rest) = number(rest, 2)?;
    let (hour, rest) = number(rest, 2)?;
    let (minute, rest) = number(rest, 2)?;
    let (second, rest) = number(rest, 2)?;
    let fits = (1..=12).contains(&month) && (1..=31).contains(&day);
    let fits = fits && hour < 24 && minute < 60 && second < 60;
    let days = days(year, month, day);
    (fits && rest == b"Z").then_some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

/// The number that the first `digits` bytes spell, and what is behind them.
fn number(text: &[u8], digits: usize) -> Option<(i64, &[u8])> {
    let (head, rest) = text.split_at_checked(digits)?;
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| i64::from(byte - b'0'));
    let value = head.iter().try_fold(0, |sum, byte| digit(byte).map(|digit| sum * 10 + digit))?;
    Some((value, rest))
}

/// Days from 1970-01-01 to a day of the Gregorian calendar.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March end with the day that leap years add.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_from_1970() {
        assert_eq!(days(1970, 1, 1), 0);
        assert_eq!(days(1969, 12, 31), -1);
        assert_eq!(days(2000, 2, 29), 11_016);
        assert_eq!(days(2000, 3, 1), 11_017);
        assert_eq!(days(2100, 3, 1) - days(2100, 2, 28), 1, "no leap year");
    }

    #[test]
    fn both_forms_of_time_are_read_and_others_are_not() {
        assert_eq!(seconds(UTC_TIME, b"700101000000Z"), Some(0));
        assert_eq!(seconds(UTC_TIME, b"240229123456Z"), Some(1_709_210_096));
        assert_eq!(seconds(TIME, b"20500101000000Z"), Some(2_524_608_000));
        for wrong in ["", "Z", "240229123456", "240229123456+", "24o229123456Z", "241329123456Z"] {
            assert_eq!(seconds(UTC_TIME, wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(seconds(OCTETS, b"700101000000Z"), None);
    }

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
        assert_eq!(found.common_name, Some("rcgen self signed cert"));
        // A part of it is none, and no change of a byte is a panic.
        for end in 0..der.len() {
            assert!(Certificate::parse(&der[..end]).is_none(), "{end} bytes");
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
