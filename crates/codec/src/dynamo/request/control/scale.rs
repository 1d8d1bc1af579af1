//! `UpdateTableReplicaAutoScaling`: settings that are kept and shown, and scale nothing.

use serde_json::{Map, Value, json};

use super::Control;
use crate::dynamo::ApiError;
use crate::dynamo::request::{Constraints, Members};

/// New settings of one thing that would scale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scaling {
    /// Whose reads, by its region; `None` for the writes of all replicas.
    pub region: Option<String>,
    /// Of this index, not of the table.
    pub index: Option<String>,
    /// The members of `AutoScalingSettingsDescription` that are set.
    pub set: Map<String, Value>,
}

/// The settings of a request are those of the table's writes, of its indexes' writes, and of reads
/// region by region.
pub(super) fn decode(body: &mut Members) -> Result<Control, ApiError> {
    let mut constraints = Constraints::default();
    let table = constraints.named_table(body)?;
    constraints.finish()?;
    let members = [
        "GlobalSecondaryIndexUpdates",
        "ProvisionedWriteCapacityAutoScalingUpdate",
        "ReplicaUpdates",
    ];
    if !members.iter().any(|member| body.has(member)) {
        return Err(ApiError::validation(format!(
            "Failed to update settings for global table with name: ‘{table}’ because at least one \
             update parameter must be specified."
        )));
    }
    let mut settings = Vec::new();
    let writes = "ProvisionedWriteCapacityAutoScalingUpdate";
    let mut add = |given: &mut Members, member: &str, region: Option<&str>, index: Option<&str>| {
        let Some(mut given) = given.object(member)? else { return Ok(()) };
        let (region, index) = (region.map(str::to_owned), index.map(str::to_owned));
        settings.push(Scaling { region, index, set: set(&mut given)? });
        Ok::<_, ApiError>(())
    };
    add(body, writes, None, None)?;
    for mut index in body.objects("GlobalSecondaryIndexUpdates")?.unwrap_or_default() {
        let name = index.text("IndexName")?;
        add(&mut index, writes, None, name.as_deref())?;
    }
    for mut replica in body.objects("ReplicaUpdates")?.unwrap_or_default() {
        let region = replica.text("RegionName")?;
        let reads = "ReplicaProvisionedReadCapacityAutoScalingUpdate";
        add(&mut replica, reads, region.as_deref(), None)?;
        let of_indexes = replica.objects("ReplicaGlobalSecondaryIndexUpdates")?;
        for mut index in of_indexes.unwrap_or_default() {
            let name = index.text("IndexName")?;
            let reads = "ProvisionedReadCapacityAutoScalingUpdate";
            add(&mut index, reads, region.as_deref(), name.as_deref())?;
        }
    }
    Ok(Control::Scale { table, settings })
}

fn set(given: &mut Members) -> Result<Map<String, Value>, ApiError> {
    let mut set = Map::new();
    let units = [given.integer("MinimumUnits")?, given.integer("MaximumUnits")?];
    if let [Some(least), Some(most)] = units
        && most < least
    {
        let text = "Maximum capacity cannot be less than minimum capacity";
        return Err(ApiError::validation(text));
    }
    for (name, units) in ["MinimumUnits", "MaximumUnits"].into_iter().zip(units) {
        insert(&mut set, name, units);
    }
    insert(&mut set, "AutoScalingDisabled", given.boolean("AutoScalingDisabled")?);
    insert(&mut set, "AutoScalingRoleArn", given.text("AutoScalingRoleArn")?);
    let Some(mut policy) = given.object("ScalingPolicyUpdate")? else { return Ok(set) };
    let mut shown = Map::new();
    insert(&mut shown, "PolicyName", policy.text("PolicyName")?);
    let name = "TargetTrackingScalingPolicyConfiguration";
    if let Some(mut target) = policy.object(name)? {
        let mut tracked = Map::new();
        insert(&mut tracked, "DisableScaleIn", target.boolean("DisableScaleIn")?);
        insert(&mut tracked, "ScaleInCooldown", target.integer("ScaleInCooldown")?);
        insert(&mut tracked, "ScaleOutCooldown", target.integer("ScaleOutCooldown")?);
        insert(&mut tracked, "TargetValue", target.number("TargetValue")?);
        shown.insert(name.to_owned(), Value::Object(tracked));
    }
    set.insert("ScalingPolicies".to_owned(), json!([shown]));
    Ok(set)
}

fn insert(into: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        into.insert(name.to_owned(), value.into());
    }
}
