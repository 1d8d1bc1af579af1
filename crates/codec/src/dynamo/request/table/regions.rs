//! Changes of the regions that a table is in, held against the table.

use pangea_core::catalog::TableEntry;
use pangea_core::item::{AttributeValue, Attributes};
use pangea_core::node::TableUpdate;

use super::change::set;
use super::update::{EVENTUAL, STRONG, UpdateTable};
use super::{ReplicaAction, WitnessUpdate, invalid, replica};
use crate::dynamo::ApiError;
use crate::dynamo::table::options;

/// Regions beside its own of a table that is consistent in several (developer guide, multi-Region
/// strong consistency: "must be deployed in exactly three Regions").
const STRONG_OTHERS: usize = 2;

impl UpdateTable {
    pub(super) fn change_replicas(
        &self,
        entry: &TableEntry,
        update: &mut TableUpdate,
    ) -> Result<(), ApiError> {
        for replica in &self.replicas {
            replica.check_overrides(self.will_be_on_demand(entry))?;
        }
        self.check_consistency(entry)?;
        let mut overrides = options::map(&entry.options, options::OVERRIDES).cloned();
        for replica in &self.replicas {
            let all = overrides.get_or_insert_default();
            match replica.action {
                ReplicaAction::Delete => {
                    all.remove(&replica.region);
                }
                ReplicaAction::Create | ReplicaAction::Update => {
                    let known = all.entry(replica.region.clone());
                    let known = known.or_insert_with(|| AttributeValue::M(Attributes::new()));
                    if let AttributeValue::M(known) = known {
                        known.extend(replica.overrides.clone());
                    }
                }
            }
        }
        if let (false, Some(overrides)) = (self.replicas.is_empty(), overrides) {
            set(&mut update.options, options::OVERRIDES, AttributeValue::M(overrides));
        }
        match &self.witness {
            None => {}
            Some(WitnessUpdate::Create(region)) => {
                set(&mut update.options, options::WITNESS, options::of_text(region));
            }
            Some(WitnessUpdate::Delete(_)) => {
                update.options.insert(options::WITNESS.to_owned(), None);
            }
        }
        if let Some(consistency) = &self.consistency {
            set(&mut update.options, options::CONSISTENCY, options::of_text(consistency));
        } else if self.count(ReplicaAction::Delete) >= entry.replicas.len().max(1) {
            // What is left is a table of one region, which may become another global table.
            update.options.insert(options::CONSISTENCY.to_owned(), None);
        }
        self.change_settings(entry, update)
    }

    fn change_settings(
        &self,
        entry: &TableEntry,
        update: &mut TableUpdate,
    ) -> Result<(), ApiError> {
        let Some(mode) = &self.settings else { return Ok(()) };
        if !entry.replicas.is_empty() {
            return Err(invalid(
                "GlobalTableSettingsReplicationMode can be changed of a table of one Region alone",
            ));
        }
        set(&mut update.options, options::SETTINGS_MODE, options::of_text(mode));
        Ok(())
    }

    fn count(&self, action: ReplicaAction) -> usize {
        self.replicas.iter().filter(|update| update.action == action).count()
    }

    /// What the developer guide says of tables that are consistent in several regions, and of how a
    /// table becomes one.
    fn check_consistency(&self, entry: &TableEntry) -> Result<(), ApiError> {
        self.check_witness(entry)?;
        let now = options::text(&entry.options, options::CONSISTENCY).unwrap_or(EVENTUAL);
        let is_global = !entry.replicas.is_empty();
        let added = self.count(ReplicaAction::Create);
        let taken = self.count(ReplicaAction::Delete);
        let witness = |is_new: bool| match &self.witness {
            Some(WitnessUpdate::Create(_)) => usize::from(is_new),
            Some(WitnessUpdate::Delete(_)) => usize::from(!is_new),
            None => 0,
        };
        let why = match self.consistency.as_deref() {
            Some(_) if added == 0 => {
                "MultiRegionConsistency can be specified only with a replica that is created"
            }
            Some(asked) if is_global && asked != now => {
                "The consistency mode of a global table cannot be changed"
            }
            Some(STRONG) if is_global => STRONG_STAYS,
            Some(STRONG) if added + witness(true) != STRONG_OTHERS => {
                "A global table of MultiRegionConsistency STRONG is in exactly three Regions: add \
                 two replicas, or one replica and a witness"
            }
            Some(STRONG) if entry.indexes.iter().any(|index| index.local) => {
                "A global table of MultiRegionConsistency STRONG has no local secondary indexes"
            }
            Some(STRONG) if entry.ttl.is_some() => {
                "A global table of MultiRegionConsistency STRONG has no Time to Live"
            }
            None if is_global && now == STRONG => {
                let others = taken + witness(false);
                let has_witness = entry.options.contains_key(options::WITNESS);
                let is_whole =
                    taken == entry.replicas.len() && (self.witness.is_some() || !has_witness);
                if added == 0 && (others == 0 || is_whole) {
                    return Ok(());
                }
                STRONG_STAYS
            }
            Some(STRONG) => return Ok(()),
            _ => return replica::check_alone(&self.replicas),
        };
        Err(invalid(why))
    }

    /// A witness belongs to a table that is consistent in several regions, or becomes so.
    fn check_witness(&self, entry: &TableEntry) -> Result<(), ApiError> {
        let known = options::text(&entry.options, options::WITNESS);
        let consistency = self.consistency.as_deref();
        let consistency =
            consistency.or_else(|| options::text(&entry.options, options::CONSISTENCY));
        let why = match &self.witness {
            Some(WitnessUpdate::Create(_)) if consistency != Some(STRONG) => {
                "A witness can be added to a global table of MultiRegionConsistency STRONG alone"
                    .to_owned()
            }
            Some(WitnessUpdate::Create(_)) if known.is_some() => {
                "A global table has one witness at most".to_owned()
            }
            Some(WitnessUpdate::Delete(region)) if known != Some(region.as_str()) => {
                format!("The global table has no witness in {region}")
            }
            _ => return Ok(()),
        };
        Err(invalid(&why))
    }
}

const STRONG_STAYS: &str = "A global table of MultiRegionConsistency STRONG stays in its three \
                            Regions: nothing can be added to it, and of the other two Regions both \
                            are taken away at once";
