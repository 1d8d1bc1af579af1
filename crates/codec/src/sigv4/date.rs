//! The dates of signatures.

use std::fmt;

use crate::dynamo::{ApiError, ErrorKind};

/// How far a client's clock may be from the server's, in s.
pub const SKEW_S: u64 = 5 * 60;
const DAY_S: u64 = 24 * 60 * 60;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A second of the years 1970 to 9999, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(u64);

impl Date {
    /// Of seconds since 1970.
    #[must_use]
    pub const fn from_unix(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Seconds since 1970.
    #[must_use]
    pub const fn unix(self) -> u64 {
        self.0
    }

    /// The date that `text` is, as `20130524T000000Z`.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        basic(text)
    }

    /// The date in a header: ISO 8601's basic format, or that of HTTP's own `Date`.
    ///
    /// # Errors
    /// `IncompleteSignature`.
    pub(super) fn parse(text: &str) -> Result<Self, ApiError> {
        basic(text).or_else(|| imf(text)).ok_or_else(|| {
            let text = format!(
                "Date must be in ISO-8601 'basic format'. Got '{text}'. See \
                 http://en.wikipedia.org/wiki/ISO_8601"
            );
            ApiError::new(ErrorKind::IncompleteSignature, text)
        })
    }

    /// The day as it stands in the scope of a credential.
    #[must_use]
    pub fn day(self) -> String {
        self.to_string().chars().take(8).collect()
    }

    /// Whether a signature of this date that lives so long is valid at `now`.
    pub(super) fn within(self, now: u64, lifetime_s: u64) -> Result<(), ApiError> {
        let (expired, early) = (now.saturating_sub(lifetime_s), now + SKEW_S);
        let text = if self.0 < expired {
            format!(
                "Signature expired: {self} is now earlier than {} ({} - {} min.)",
                Self(expired),
                Self(now),
                lifetime_s.div_ceil(60)
            )
        } else if self.0 > early {
            format!(
                "Signature not yet current: {self} is still later than {} ({} + {} min.)",
                Self(early),
                Self(now),
                SKEW_S / 60
            )
        } else {
            return Ok(());
        };
        Err(ApiError::new(ErrorKind::InvalidSignature, text))
    }
}

/// `20130524T000000Z`.
impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0 / DAY_S);
        let second = self.0 % DAY_S;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
    }
}

fn basic(text: &str) -> Option<Date> {
    let text: &[u8; 16] = text.as_bytes().try_into().ok()?;
    if (text[8], text[15]) != (b'T', b'Z') {
        return None;
    }
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0, |number, byte| {
            byte.is_ascii_digit().then(|| number * 10 + u64::from(byte - b'0'))
        })
    };
    let day = [number(&text[..4])?, number(&text[4..6])?, number(&text[6..8])?];
    let time = [number(&text[9..11])?, number(&text[11..13])?, number(&text[13..15])?];
    build(day, time)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`; botocore ends it with `-0000`, as mail does (RFC 5322).
fn imf(text: &str) -> Option<Date> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let [_, day, month, year, time, "GMT" | "UTC" | "+0000" | "-0000"] = words.as_slice() else {
        return None;
    };
    let month = MONTHS.iter().position(|known| known == month)?;
    let time: Vec<u64> = time.split(':').map_while(|part| part.parse().ok()).collect();
    let time = <[u64; 3]>::try_from(time).ok()?;
    build([year.parse().ok()?, u64::try_from(month).ok()? + 1, day.parse().ok()?], time)
}

fn build([year, month, day]: [u64; 3], [hour, minute, second]: [u64; 3]) -> Option<Date> {
    let in_range = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    in_range.then(|| Date(days(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second))
}

/// Days from 1970-01-01, by the proleptic Gregorian calendar, whose years begin in March here.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day)
}
