//! What a table's owner chose beyond DynamoDB's own settings, told by table tags.
//!
//! A tag `pangea:…` is a setting; every other tag is kept and has no effect. Settings change by an
//! ordered change of the table's catalog row: each change counts [`Settings::epoch`] up, every
//! version carries the epoch under which it was written, and a region that meets a version of an
//! epoch it has not heard of waits for the catalog row.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};

use crate::merge::Rule;

/// What every tag that is a setting begins with.
pub const PREFIX: &str = "pangea:";
/// The merge policy.
pub const MERGE: &str = "pangea:merge";

/// Tags by name.
pub type Tags = BTreeMap<String, String>;

/// What becomes of concurrent versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// The greatest stamp wins, whole items at a time; what DynamoDB does.
    #[default]
    Lww,
    /// All maximal versions are kept; readers see the greatest stamp and how many there are.
    Siblings,
}

impl Policy {
    /// The words of every policy.
    pub const WORDS: [&'static str; 2] = ["lww", "siblings"];

    /// The word in tags, ledger entries and output.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Lww => "lww",
            Self::Siblings => "siblings",
        }
    }

    /// Whether all maximal versions are kept.
    #[must_use]
    pub const fn keeps_all(&self) -> bool {
        matches!(self, Self::Siblings)
    }
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// How concurrent versions merge.
    pub policy: Policy,
    /// Counts the changes of the settings.
    pub epoch: u16,
    /// The first epoch whose versions are all kept, where the policy keeps all.
    pub since: u16,
}

/// Why tags are no settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// No such setting.
    #[error("there is no setting {0}; settings are {MERGE}")]
    Unknown(String),
    /// The value is none of the setting's.
    #[error("{tag} is {value:?}, but {wanted}")]
    Value {
        /// Which setting.
        tag: String,
        /// What was given.
        value: String,
        /// What is allowed.
        wanted: String,
    },
    /// The change would lose or tear what is stored.
    #[error("the merge policy cannot go from {from} to {to} on a table that exists: {why}")]
    Unsafe {
        /// The policy now.
        from: &'static str,
        /// The policy asked for.
        to: &'static str,
        /// What would happen.
        why: &'static str,
    },
}

impl Settings {
    /// The settings that the tags of a new table ask for.
    ///
    /// # Errors
    /// [`SettingError`] for a `pangea:` tag that is none, or has a wrong value.
    pub fn parse(tags: &Tags) -> Result<Self, SettingError> {
        let mut settings = Self::default();
        for (tag, value) in tags.iter().filter(|(tag, _)| tag.starts_with(PREFIX)) {
            match tag.as_str() {
                MERGE => settings.policy = policy(value)?,
                other => return Err(SettingError::Unknown(other.to_string())),
            }
        }
        Ok(settings)
    }

    /// The settings after the tags of an existing table were changed.
    ///
    /// # Errors
    /// [`SettingError`], also for a change that is not safe while the table is in use.
    pub fn changed(&self, tags: &Tags) -> Result<Self, SettingError> {
        let mut next = Self { epoch: self.epoch, since: self.since, ..Self::parse(tags)? };
        if next == *self {
            return Ok(next);
        }
        next.epoch = self.epoch.saturating_add(1);
        may_switch(&self.policy, &next.policy)?;
        if next.policy.keeps_all() && !self.policy.keeps_all() {
            next.since = next.epoch;
        }
        Ok(next)
    }

    /// Which concurrent versions of the table's items stay.
    #[must_use]
    pub const fn rule(&self) -> Rule {
        if self.policy.keeps_all() { Rule::Maximal { since: self.since } } else { Rule::Greatest }
    }
}

fn policy(value: &str) -> Result<Policy, SettingError> {
    match value {
        "lww" => Ok(Policy::Lww),
        "siblings" => Ok(Policy::Siblings),
        _ => Err(SettingError::Value {
            tag: MERGE.to_string(),
            value: value.to_string(),
            wanted: format!("a policy is one of {}", Policy::WORDS.join(", ")),
        }),
    }
}

/// A switch is safe where regions that hear of it late end in the same state.
fn may_switch(from: &Policy, to: &Policy) -> Result<(), SettingError> {
    if from.keeps_all() && !to.keeps_all() {
        let why = "versions that are kept side by side would be dropped, by each region others; \
                   make a new table and copy";
        return Err(SettingError::Unsafe { from: from.as_str(), to: to.as_str(), why });
    }
    Ok(())
}
