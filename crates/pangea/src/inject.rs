//! Faults on demand: what can be asked of a live region's process, and asking it.
//!
//! A fault lives in the memory of the process that was told, and ends with it. A process injects
//! nothing unless its topology says `[faults] allow = true`, which `pangea up` does unless told
//! otherwise.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::http_client::{self, Ask, Client};

/// Where a region's admin API takes faults, and lists them.
pub const PATH: &str = "/v1/faults";

/// Most that a link is delayed, one way, ms: what the topology takes for a round trip. Beyond it
/// nothing would be slow, but silent, for which there is [`Fault::Cut`].
pub const DELAY_MS_MAX: u64 = 60_000;
/// Least that is left of a link, bytes per second: a row of the greatest size passes in minutes.
pub const BYTES_PER_S_MIN: u64 = 1000;
/// Most that a link is bounded to, which is no bound any more: 10 GB per second.
pub const BYTES_PER_S_MAX: u64 = 10_000_000_000;
/// Furthest that a clock is set off, ms: a day, as in the topology.
pub const OFFSET_MS_MAX: i64 = 24 * 60 * 60 * 1000;
/// Fastest that it gets there, ms a second: it has crossed all of its range after two seconds.
pub const SLEW_MS_PER_S_MAX: u64 = OFFSET_MS_MAX.unsigned_abs();
/// Most requests that are told to panic.
pub const PANICS_MAX: u64 = 1_000_000;

/// A region has this long to answer: it may be busy with what was done to it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// One fault, as `POST /v1/faults` takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "lowercase", deny_unknown_fields)]
pub enum Fault {
    /// Rows stop between this region and a peer.
    Cut {
        /// The other region's name.
        peer: String,
        /// Which rows.
        #[serde(default)]
        direction: Direction,
        /// Connections stay open and nothing passes, as in a real split.
        #[serde(default)]
        blackhole: bool,
    },
    /// Every fault of the links with a peer ends.
    Heal {
        /// The other region's name.
        peer: String,
    },
    /// What this region sends to a peer takes this long, in place of the topology's distance.
    Delay {
        /// The other region's name.
        peer: String,
        /// One way, ms.
        delay_ms: u64,
    },
    /// This region sends no more than this to a peer, over all connections.
    Limit {
        /// The other region's name.
        peer: String,
        /// Bytes per second; none ends the limit.
        bytes_per_s: Option<u64>,
    },
    /// This region's wall clock is wrong.
    Clock {
        /// By how much, ms; negative is behind.
        offset_ms: i64,
        /// It gets there by this many ms a second; none for at once.
        slew_ms_per_s: Option<u64>,
    },
    /// This region's disk takes no writes, or takes them again.
    Disk {
        /// Whether it is full.
        full: bool,
    },
    /// The next requests of the DynamoDB API meet a defect: their handlers panic.
    Panic {
        /// How many do.
        requests: u64,
    },
    /// The row of an item rots on this region's disk: a bit of it is flipped, or it is gone while
    /// indexes still name it. Only anti-entropy puts that right.
    Rot {
        /// The table's name.
        table: String,
        /// The item's partition key, as plain text.
        partition: String,
        /// Its sort key, if the table has one.
        sort: Option<String>,
        /// Whether the row is gone.
        #[serde(default)]
        gone: bool,
    },
}

impl Fault {
    /// Whether its numbers are such that it is the fault that it is called.
    ///
    /// # Errors
    /// Which number is out of which range.
    pub fn check(&self) -> Result<(), String> {
        let within = |what: &str, value: i128, least: i128, most: i128| {
            let fits = (least..=most).contains(&value);
            fits.then_some(()).ok_or_else(|| format!("{what} is {value}: give {least} to {most}"))
        };
        match self {
            Self::Delay { delay_ms, .. } => {
                within("delay_ms", (*delay_ms).into(), 0, DELAY_MS_MAX.into())
            }
            Self::Limit { bytes_per_s: Some(rate), .. } => {
                let (least, most) = (BYTES_PER_S_MIN.into(), BYTES_PER_S_MAX.into());
                within("bytes_per_s", (*rate).into(), least, most)
            }
            Self::Clock { offset_ms, slew_ms_per_s } => {
                let far = i128::from(OFFSET_MS_MAX);
                within("offset_ms", (*offset_ms).into(), -far, far)?;
                let slew = slew_ms_per_s.map_or(1, i128::from);
                within("slew_ms_per_s", slew, 1, SLEW_MS_PER_S_MAX.into())
            }
            Self::Panic { requests } => {
                within("requests", (*requests).into(), 0, PANICS_MAX.into())
            }
            Self::Cut { .. }
            | Self::Heal { .. }
            | Self::Limit { bytes_per_s: None, .. }
            | Self::Disk { .. }
            | Self::Rot { .. } => Ok(()),
        }
    }
}

/// Which flow of rows, seen from the region that is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the peer to this region.
    In,
    /// From this region to the peer.
    Out,
    /// Both.
    #[default]
    Both,
}

/// What `GET /v1/faults` answers, and every `POST` that is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Whether this process injects faults at all.
    pub allowed: bool,
    /// This region's side of each link.
    pub links: Vec<Link>,
    /// By how much this region's wall clock is wrong now, ms.
    pub clock_offset_ms: i64,
    /// Whether this region's disk has been told to be full.
    pub disk_full: bool,
}

/// What is done to the links with one peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The other region's name.
    pub peer: String,
    /// One-way delay of what this region sends, ms; without a fault the topology's.
    pub delay_ms: u64,
    /// Cap on what this region sends to the peer, bytes per second.
    pub bytes_per_s: Option<u64>,
    /// Rows from the peer do not come.
    pub inbound: Option<Cut>,
    /// Rows to the peer do not go.
    pub outbound: Option<Cut>,
}

/// How a link that is cut behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cut {
    /// Connections are closed and new ones refused.
    Refuse,
    /// Connections stay open and nothing passes.
    Blackhole,
}

/// Why a region did not do as it was told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A number is out of its range; nobody was told.
    #[error("{0}")]
    Range(String),
    /// It does not answer.
    #[error("region {0} cannot be told: {1}")]
    Silent(String, http_client::Error),
    /// It says no.
    #[error("region {0} refuses: {1}")]
    Refused(String, String),
    /// Its answer makes no sense.
    #[error("region {0} answers unreadably: {1}")]
    Unreadable(String, serde_json::Error),
}

/// Tells the region called `name` at admin address `admin`.
///
/// # Errors
/// See [`Error`]; a region that does not answer may have done it.
pub async fn tell(name: &str, admin: SocketAddr, fault: &Fault) -> Result<Report, Error> {
    // Asked of a link, one end would be told before the other refuses.
    fault.check().map_err(Error::Range)?;
    let body = serde_json::to_string(fault);
    let body = body.map_err(|error| Error::Unreadable(name.to_owned(), error))?;
    ask(name, admin, Ask::post(PATH, &[("content-type", "application/json")], body)).await
}

/// What is done to the region called `name` at admin address `admin`.
///
/// # Errors
/// See [`Error`].
pub async fn list(name: &str, admin: SocketAddr) -> Result<Report, Error> {
    ask(name, admin, Ask::get(PATH)).await
}

async fn ask(name: &str, admin: SocketAddr, ask: Ask<'_>) -> Result<Report, Error> {
    let answer = Client::new(admin, TIMEOUT).ask(ask).await;
    let answer = answer.map_err(|error| Error::Silent(name.to_owned(), error))?;
    if !answer.status.is_success() {
        return Err(Error::Refused(name.to_owned(), said(&answer.body)));
    }
    let report = serde_json::from_slice(&answer.body);
    report.map_err(|error| Error::Unreadable(name.to_owned(), error))
}

/// The `error` of an admin API's answer, or all of it.
fn said(body: &[u8]) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let error = json.and_then(|json| json["error"].as_str().map(str::to_owned));
    error.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Fault, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn faults_are_read_as_the_reference_spells_them() {
        let peer = || "b".to_owned();
        let cut = |direction, blackhole| Fault::Cut { peer: peer(), direction, blackhole };
        let limit = |bytes_per_s| Fault::Limit { peer: peer(), bytes_per_s };
        let clock = |offset_ms, slew_ms_per_s| Fault::Clock { offset_ms, slew_ms_per_s };
        let rot = || Fault::Rot {
            table: "t".to_owned(),
            partition: "k".to_owned(),
            sort: None,
            gone: false,
        };
        let cases = [
            (r#"{"action":"cut","peer":"b"}"#, cut(Direction::Both, false)),
            (r#"{"peer":"b","action":"cut","direction":"out"}"#, cut(Direction::Out, false)),
            (r#"{"action":"cut","peer":"b","blackhole":true}"#, cut(Direction::Both, true)),
            (r#"{"action":"heal","peer":"b"}"#, Fault::Heal { peer: peer() }),
            (
                r#"{"action":"delay","peer":"b","delay_ms":7}"#,
                Fault::Delay { peer: peer(), delay_ms: 7 },
            ),
            (r#"{"action":"limit","peer":"b","bytes_per_s":9}"#, limit(Some(9))),
            (r#"{"action":"limit","peer":"b"}"#, limit(None)),
            (r#"{"action":"clock","offset_ms":-5}"#, clock(-5, None)),
            (r#"{"action":"clock","offset_ms":5,"slew_ms_per_s":1}"#, clock(5, Some(1))),
            (r#"{"action":"disk","full":true}"#, Fault::Disk { full: true }),
            (r#"{"action":"rot","table":"t","partition":"k"}"#, rot()),
        ];
        for (text, fault) in cases {
            assert_eq!(parse(text).as_ref(), Ok(&fault), "{text}");
            let written = serde_json::to_string(&fault).expect("plain data");
            assert_eq!(parse(&written), Ok(fault), "{written}");
        }
    }

    #[test]
    fn numbers_have_ranges_and_the_refusal_names_them() {
        let cases = [
            (r#"{"action":"delay","peer":"b","delay_ms":0}"#, None),
            (r#"{"action":"delay","peer":"b","delay_ms":60000}"#, None),
            (r#"{"action":"delay","peer":"b","delay_ms":60001}"#, Some("0 to 60000")),
            (r#"{"action":"limit","peer":"b"}"#, None),
            (r#"{"action":"limit","peer":"b","bytes_per_s":1000}"#, None),
            (r#"{"action":"limit","peer":"b","bytes_per_s":0}"#, Some("1000 to 10000000000")),
            (r#"{"action":"limit","peer":"b","bytes_per_s":18446744073709551615}"#, Some("1000")),
            (r#"{"action":"clock","offset_ms":-86400000}"#, None),
            (r#"{"action":"clock","offset_ms":-86400001}"#, Some("-86400000 to 86400000")),
            (r#"{"action":"clock","offset_ms":9223372036854775807}"#, Some("86400000")),
            (r#"{"action":"clock","offset_ms":1,"slew_ms_per_s":0}"#, Some("1 to 86400000")),
            (r#"{"action":"clock","offset_ms":1,"slew_ms_per_s":86400000}"#, None),
            (r#"{"action":"panic","requests":1000001}"#, Some("0 to 1000000")),
        ];
        for (text, range) in cases {
            let told = parse(text).expect(text).check();
            match range {
                None => assert_eq!(told, Ok(()), "{text}"),
                Some(range) => assert!(told.expect_err(text).contains(range), "{text}"),
            }
        }
    }

    #[test]
    fn what_is_no_fault_is_told_so() {
        let cases = [
            (r#"{"action":"explode"}"#, "explode"),
            (r#"{"action":"cut"}"#, "peer"),
            (r#"{"action":"delay","peer":"b"}"#, "delay_ms"),
            (r#"{"action":"heal","peer":"b","delay_ms":7}"#, "delay_ms"),
            (r#"{"action":"cut","peer":"b","direction":"up"}"#, "up"),
            ("[]", "action"),
        ];
        for (text, word) in cases {
            let error = parse(text).expect_err(text);
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
