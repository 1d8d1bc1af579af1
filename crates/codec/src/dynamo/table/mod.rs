//! The description of a table, as clients read it.

mod describe;
pub mod options;

use pangea_core::catalog::TableEntry;

pub use describe::write_table_description;
pub(super) use describe::{write_key_schema, write_projection, write_vector};

use super::request::StreamView;

/// The account of every ARN: Pangea has none.
pub const ACCOUNT: &str = "000000000000";
/// The version of global tables whose API Pangea speaks.
const GLOBAL_TABLE_VERSION: &str = "2019.11.21";

/// Where a table or an index is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableStatus {
    /// Being made.
    Creating,
    /// Being changed.
    Updating,
    /// Being taken away.
    Deleting,
    /// Ready.
    Active,
}

impl TableStatus {
    /// The public name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::Updating => "UPDATING",
            Self::Deleting => "DELETING",
            Self::Active => "ACTIVE",
        }
    }
}

/// Where a replica is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaStatus {
    /// Being made.
    Creating,
    /// Could not be made.
    CreationFailed,
    /// Being changed.
    Updating,
    /// Being taken away.
    Deleting,
    /// Ready.
    Active,
    /// Its region cannot be reached or is switched off.
    RegionDisabled,
}

impl ReplicaStatus {
    /// The public name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::CreationFailed => "CREATION_FAILED",
            Self::Updating => "UPDATING",
            Self::Deleting => "DELETING",
            Self::Active => "ACTIVE",
            Self::RegionDisabled => "REGION_DISABLED",
        }
    }
}

/// A replica, as a description lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaView {
    /// Its region's name.
    pub region: String,
    /// Where it is in its life.
    pub status: ReplicaStatus,
    /// Details of the status for people.
    pub description: Option<String>,
}

/// What a region knows of an index beside its entry in the catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexView {
    /// Where it is in its life; local ones show none.
    pub status: TableStatus,
    /// Whether it is being filled.
    pub backfilling: bool,
    /// How many items it has, roughly.
    pub item_count: u64,
    /// Their size in bytes, roughly.
    pub size_bytes: u64,
}

/// All that a description says of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableView<'e> {
    /// The table as the catalog has it.
    pub entry: &'e TableEntry,
    /// The region that answers.
    pub region: String,
    /// The table's identity, as the text of a UUID.
    pub id: String,
    /// Where the table is in its life.
    pub status: TableStatus,
    /// How many items it has, roughly.
    pub item_count: u64,
    /// Their size in bytes, roughly.
    pub size_bytes: u64,
    /// Whether its encryption is being changed.
    pub encrypting: bool,
    /// When it is described, since 1970.
    pub now_ms: u64,
    /// Its indexes, in the order of the entry's.
    pub indexes: Vec<IndexView>,
    /// Its replicas, those that the description lists.
    pub replicas: Vec<ReplicaView>,
}

/// The ARN of a table.
#[must_use]
pub fn table_arn(region: &str, name: &str) -> String {
    format!("arn:aws:dynamodb:{region}:{ACCOUNT}:table/{name}")
}

/// The table and the name of something that belongs to it, from an ARN in which `kind` stands
/// between them; `None` of any other text.
pub(super) fn parse_part_arn<'a>(text: &'a str, kind: &str) -> Option<(&'a str, &'a str)> {
    let mut parts = text.splitn(6, ':');
    let (arn, _, service) = (parts.next()?, parts.next()?, parts.next()?);
    let (_region, _account, resource) = (parts.next()?, parts.next()?, parts.next()?);
    let (table, name) = resource.strip_prefix("table/")?.split_once(kind)?;
    let is_one = arn == "arn" && service == "dynamodb" && !table.is_empty() && !name.is_empty();
    is_one.then_some((table, name))
}

/// A time in a message, in UTC, to the second: `2026-10-08T23:16:33Z`.
#[must_use]
pub fn second_text(ms: u64) -> String {
    format!("{}Z", time_text(ms / 1000))
}

/// The label of a stream: DynamoDB labels them with the time at which they were enabled, in UTC.
#[must_use]
pub fn stream_label(ms: u64) -> String {
    format!("{}.{:03}", time_text(ms / 1000), ms % 1000)
}

/// The view that a table's stream has or had, and its label, if there ever was one.
#[must_use]
pub fn stream_of(entry: &TableEntry) -> (Option<StreamView>, Option<String>) {
    let view = entry.stream.map(StreamView::from);
    let before = options::number(&entry.options, options::STREAM_BEFORE_MS);
    let since = if view.is_some() { Some(entry.stream_since_ms) } else { before };
    (view, since.map(stream_label))
}

/// A time in a message about capacity, in UTC, to the second:
/// `Monday, October 10, 2022 at 1:00:19 PM Coordinated Universal Time`.
#[must_use]
pub fn long_time_text(ms: u64) -> String {
    const DAYS: [&str; 7] =
        ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let seconds = ms / 1000;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let named = |names: &[&'static str], at: u64| {
        usize::try_from(at).ok().and_then(|at| names.get(at).copied()).unwrap_or_default()
    };
    // 1970 began on a Thursday.
    let (weekday, month) = (named(&DAYS, days % 7), named(&MONTHS, month - 1));
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    let half = if hour < 12 { "AM" } else { "PM" };
    let hour = if hour % 12 == 0 { 12 } else { hour % 12 };
    format!(
        "{weekday}, {month} {day}, {year} at {hour}:{minute:02}:{second:02} {half} Coordinated \
         Universal Time"
    )
}

/// UTC as `YYYY-MM-DDTHH:MM:SS`.
fn time_text(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

/// Year, month and day, of days since 1970 (civil-from-days, after Howard Hinnant's public
/// derivation).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// Milliseconds since 1970 as DynamoDB's JSON writes times: seconds with a fraction.
#[must_use]
pub fn epoch_seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::{long_time_text, stream_label};

    #[test]
    fn long_times_name_the_day_and_the_month() {
        let zone = "Coordinated Universal Time";
        for (ms, text) in [
            (1_665_406_819_000, "Monday, October 10, 2022 at 1:00:19 PM"),
            (0, "Thursday, January 1, 1970 at 12:00:00 AM"),
            (951_825_600_000, "Tuesday, February 29, 2000 at 12:00:00 PM"),
        ] {
            assert_eq!(long_time_text(ms), format!("{text} {zone}"));
        }
    }

    #[test]
    fn stream_labels_are_utc_times() {
        assert_eq!(stream_label(0), "1970-01-01T00:00:00.000");
        assert_eq!(stream_label(951_782_400_123), "2000-02-29T00:00:00.123");
        assert_eq!(stream_label(1_735_689_599_999), "2024-12-31T23:59:59.999");
    }
}
