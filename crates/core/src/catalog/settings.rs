//! What a table's owner chose beyond DynamoDB's own settings, told by table tags.
//!
//! A tag `pangea:…` is a setting; every other tag is kept and has no effect. Settings change by an
//! ordered change of the table's catalog row: each change counts [`Settings::epoch`] up, every
//! version carries the epoch under which it was written, and a region that meets a version of an
//! epoch it has not heard of waits for the catalog row.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::function::{Function, Module};
use super::{Directory, Ownership, Placement};
use crate::crdt;
use crate::durability::Choice;
use crate::merge::Rule;
use crate::session;
use crate::table::Schema;

/// What every tag that is a setting begins with.
pub const PREFIX: &str = "pangea:";
/// The merge policy.
pub const MERGE: &str = "pangea:merge";
/// Which region writes which keys, with the policy `owner`.
const OWNER: &str = "pangea:owner";
/// What becomes of a write in a region that may not do it.
const FOREIGN: &str = "pangea:foreign-writes";
/// Where which items may be.
pub const PLACEMENT: &str = "pangea:placement";
/// What a request of a session does in a region that is behind it.
pub const SESSION: &str = "pangea:session";
/// In how many regions writes are on disk before they are acknowledged.
pub const DURABILITY: &str = "pangea:durability";
/// The group of tables whose rows other regions show in whole transactions and causal order.
pub const GROUP: &str = "pangea:group";
/// Greatest length of a group's name, in bytes: as DynamoDB's of a table.
const GROUP_BYTES_MAX: usize = 255;

/// Tags by name.
pub type Tags = BTreeMap<String, String>;

/// How the items of a table with the policy `crdt` merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crdt {
    /// What merges how.
    pub options: crdt::Options,
    /// The key attributes, which never change.
    pub key_names: Vec<String>,
}

impl Crdt {
    /// The names of the key attributes.
    #[must_use]
    pub fn keys(&self) -> Vec<&str> {
        self.key_names.iter().map(String::as_str).collect()
    }
}

/// What becomes of concurrent versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// The greatest stamp wins, whole items at a time; what DynamoDB does.
    #[default]
    Lww,
    /// All maximal versions are kept; readers see the greatest stamp and how many there are.
    Siblings,
    /// Attribute by attribute: numbers that are added to, sets, registers.
    Crdt(Arc<Crdt>),
    /// One region writes each partition key, so that nothing is written concurrently; as `lww`
    /// else.
    Owner,
    /// All maximal versions are kept; a function of the table's owner makes of them what readers
    /// see.
    Wasm(Arc<Function>),
}

/// What becomes of a write in a region that does not own the item, or may not have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Foreign {
    /// It is sent on to a region that may do it: the caller waits for that region.
    #[default]
    Forward,
    /// It is refused, and the region that may do it is named.
    Refuse,
}

impl Policy {
    /// The words of every policy.
    pub const WORDS: [&'static str; 5] = ["lww", "siblings", "crdt", "owner", "wasm"];

    /// The word in tags, ledger entries and output.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Lww => "lww",
            Self::Siblings => "siblings",
            Self::Crdt(_) => "crdt",
            Self::Owner => "owner",
            Self::Wasm(_) => "wasm",
        }
    }

    /// The merge function, where the policy has one.
    #[must_use]
    pub fn module(&self) -> Option<&Arc<Module>> {
        match self {
            Self::Wasm(function) => function.module.as_ref(),
            Self::Lww | Self::Siblings | Self::Crdt(_) | Self::Owner => None,
        }
    }

    /// Whether all maximal versions are kept.
    #[must_use]
    pub const fn keeps_all(&self) -> bool {
        matches!(self, Self::Siblings | Self::Crdt(_) | Self::Wasm(_))
    }
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// How concurrent versions merge.
    pub policy: Policy,
    /// Which region writes which keys, with the policy `owner`.
    pub ownership: Ownership,
    /// What becomes of writes elsewhere.
    pub foreign: Foreign,
    /// Where which items may be.
    pub placement: Placement,
    /// For requests that choose nothing themselves.
    pub session: Option<session::Mode>,
    /// What every write gets at least.
    pub durability: Choice,
    /// The group that the table belongs to: other regions show what was written to tables of
    /// groups in whole transactions, and behind what it rests on.
    pub group: Option<String>,
    /// Counts the changes of the settings.
    pub epoch: u16,
    /// The first epoch whose versions are all kept, where the policy keeps all.
    pub since: u16,
}

/// Why tags are no settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// No such setting.
    #[error(
        "there is no setting {0}; settings are {MERGE}, {OWNER}, {FOREIGN}, {PLACEMENT}, \
         {SESSION}, {DURABILITY} and {GROUP}"
    )]
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
    /// A merge function is needed.
    #[error(
        "a table with the merge policy wasm needs its function: `pangea table set-merge NAME wasm \
         FILE`, or `module` beside the table's settings in the topology"
    )]
    Module,
    /// Rules of placement were changed or taken away.
    #[error(
        "rules of {PLACEMENT} can only be added at the end: items keep the number of their rule"
    )]
    Placement,
    /// A table with replicas shall join a group.
    #[error(
        "a table joins a group ({GROUP}) when it is made, or while it has no replicas: what others \
         already show of it may be half of a transaction; take the replicas away first, or make a \
         new table and copy"
    )]
    Group,
    /// A rule names what is not in the topology.
    #[error("{0} is neither a region nor a jurisdiction of the topology")]
    NoRegion(String),
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
    pub fn parse(tags: &Tags, schema: &Schema) -> Result<Self, SettingError> {
        let mut settings = Self::default();
        for (tag, value) in tags.iter().filter(|(tag, _)| tag.starts_with(PREFIX)) {
            match tag.as_str() {
                MERGE => settings.policy = policy(value, schema)?,
                OWNER => {
                    let wanted = "it is PREFIX=REGION, with spaces between";
                    settings.ownership = Ownership::parse(value)
                        .ok_or_else(|| wrong_value(OWNER, value, wanted.to_string()))?;
                }
                FOREIGN => {
                    settings.foreign = match value.as_str() {
                        "forward" => Foreign::Forward,
                        "refuse" => Foreign::Refuse,
                        _ => {
                            let wanted = "it is forward or refuse".to_string();
                            return Err(wrong_value(FOREIGN, value, wanted));
                        }
                    }
                }
                PLACEMENT => {
                    let wanted = "it is PREFIX=REGIONS or @ATTRIBUTE:VALUE=REGIONS, with spaces \
                                  between; regions are names or jurisdictions with + between";
                    settings.placement = Placement::parse(value)
                        .ok_or_else(|| wrong_value(PLACEMENT, value, wanted.to_string()))?;
                }
                SESSION => {
                    let wrong = || wrong_value(SESSION, value, session::Mode::WANTED.to_string());
                    settings.session = Some(session::Mode::parse(value).ok_or_else(wrong)?);
                }
                DURABILITY => {
                    let wrong = || wrong_value(DURABILITY, value, Choice::WANTED.to_string());
                    settings.durability = Choice::parse(value).ok_or_else(wrong)?;
                }
                GROUP => {
                    let wanted = "it is a name of 1 to 255 letters, digits, and - _ .".to_string();
                    let named = is_group(value).then(|| value.clone());
                    let named = named.ok_or_else(|| wrong_value(GROUP, value, wanted))?;
                    settings.group = Some(named);
                }
                other => return Err(SettingError::Unknown(other.to_string())),
            }
        }
        Ok(settings)
    }

    /// The settings after the tags of an existing table were changed.
    ///
    /// # Errors
    /// [`SettingError`], also for a change that is not safe while the table is in use.
    pub fn changed(
        &self,
        tags: &Tags,
        schema: &Schema,
        module: Option<Arc<Module>>,
    ) -> Result<Self, SettingError> {
        let mut parsed = Self::parse(tags, schema)?;
        parsed.provide(module.or_else(|| self.policy.module().cloned()))?;
        let mut next = Self { epoch: self.epoch, since: self.since, ..parsed };
        if next == *self {
            return Ok(next);
        }
        next.epoch = self.epoch.saturating_add(1);
        may_switch(&self.policy, &next.policy)?;
        if !self.placement.is_extended_by(&next.placement) {
            return Err(SettingError::Placement);
        }
        if next.policy.keeps_all() && !self.policy.keeps_all() {
            next.since = next.epoch;
        }
        Ok(next)
    }

    /// Gives the policy the merge function that it needs.
    ///
    /// # Errors
    /// [`SettingError::Module`] if it needs one and there is none.
    pub fn provide(&mut self, module: Option<Arc<Module>>) -> Result<(), SettingError> {
        match (&mut self.policy, module) {
            (Policy::Wasm(function), Some(module)) => {
                Arc::make_mut(function).module = Some(module);
                Ok(())
            }
            (Policy::Wasm(_), None) => Err(SettingError::Module),
            _ => Ok(()),
        }
    }

    /// Gives a merge function to whoever runs it here.
    pub(super) fn bind(&mut self, directory: &Directory) {
        if let (Policy::Wasm(function), Some(functions)) = (&mut self.policy, &directory.functions)
        {
            Arc::make_mut(function).functions = Some(Arc::clone(functions));
        }
    }

    /// What is wrong with settings that are new: names of what the topology does not have, and
    /// merge groups that overlap. Those that a table has are kept as they are.
    ///
    /// # Errors
    /// [`SettingError::NoRegion`], [`SettingError::Value`].
    pub fn check(&self, directory: &Directory) -> Result<(), SettingError> {
        if let Policy::Crdt(crdt) = &self.policy {
            let mut members: Vec<&str> = crdt.keys();
            for name in crdt.options.groups.iter().flatten() {
                if members.contains(&name.as_str()) {
                    let wanted = "an attribute is in one group once, and no key attribute in any";
                    return Err(wrong(&format!("group=…{name}…"), wanted.to_string()));
                }
                members.push(name);
            }
        }
        let placed = self.placement.0.iter().flat_map(|rule| &rule.regions);
        let unknown = placed.clone().find(|word| !directory.knows(word));
        let owners = self.ownership.0.iter().map(|(_, region)| region);
        let unknown = unknown.or_else(|| owners.clone().find(|it| directory.slot(it).is_none()));
        unknown.map_or(Ok(()), |word| Err(SettingError::NoRegion(word.clone())))
    }

    /// Which concurrent versions of the table's items stay.
    #[must_use]
    pub const fn rule(&self) -> Rule {
        if self.policy.keeps_all() { Rule::Maximal { since: self.since } } else { Rule::Greatest }
    }
}

fn is_group(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=GROUP_BYTES_MAX).contains(&name.len()) && name.bytes().all(fits)
}

fn policy(value: &str, schema: &Schema) -> Result<Policy, SettingError> {
    let mut words = value.split_ascii_whitespace();
    match (words.next(), words.clone().next()) {
        (Some("lww"), None) => Ok(Policy::Lww),
        (Some("siblings"), None) => Ok(Policy::Siblings),
        (Some("owner"), None) => Ok(Policy::Owner),
        (Some("wasm"), None) => {
            let key_names = schema.key_names().map(ToString::to_string).collect();
            Ok(Policy::Wasm(Arc::new(Function { key_names, ..Function::default() })))
        }
        (Some("crdt"), _) => {
            let mut options = crdt::Options::default();
            for word in words {
                option(&mut options, word).ok_or_else(|| wrong(value, OPTIONS.to_string()))?;
            }
            let key_names = schema.key_names().map(ToString::to_string).collect();
            Ok(Policy::Crdt(Arc::new(Crdt { options, key_names })))
        }
        _ => Err(wrong(value, format!("a policy is one of {}", Policy::WORDS.join(", ")))),
    }
}

const OPTIONS: &str = "options of crdt are remove_wins, deep_maps, list_append, plain_set (SET a = a + \
                       :n is no ADD) and group=a+b (attributes that are one register)";

fn option(options: &mut crdt::Options, word: &str) -> Option<()> {
    match word {
        "remove_wins" => options.remove_wins = true,
        "deep_maps" => options.deep_maps = true,
        "list_append" => options.list_append = true,
        "plain_set" => options.recognise_add = false,
        #[cfg(feature = "planted-bugs")]
        _ if word.starts_with("bug=") => {
            let bugs = crdt::Bug::ALL.into_iter();
            options.bug = bugs.into_iter().find(|bug| word == format!("bug={bug:?}"));
        }
        _ => {
            let names: Vec<String> =
                word.strip_prefix("group=")?.split('+').map(ToString::to_string).collect();
            if names.len() < 2 || names.iter().any(String::is_empty) {
                return None;
            }
            options.groups.push(names);
        }
    }
    Some(())
}

fn wrong(value: &str, wanted: String) -> SettingError {
    wrong_value(MERGE, value, wanted)
}

fn wrong_value(tag: &str, value: &str, wanted: String) -> SettingError {
    SettingError::Value { tag: tag.to_string(), value: value.to_string(), wanted }
}

/// A switch is safe where regions that hear of it late end in the same state.
fn may_switch(from: &Policy, to: &Policy) -> Result<(), SettingError> {
    let refuse = |why| Err(SettingError::Unsafe { from: from.as_str(), to: to.as_str(), why });
    if from.keeps_all() && !to.keeps_all() {
        return refuse(
            "versions that are kept side by side would be dropped, by each region others; make a \
             new table and copy",
        );
    }
    if matches!(from, Policy::Siblings | Policy::Wasm(_)) && matches!(to, Policy::Crdt(_)) {
        return refuse(
            "versions that are kept side by side would be merged as if they had been written to \
             merge; collapse them and copy to a new table",
        );
    }
    Ok(())
}
