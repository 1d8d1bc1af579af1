//! `ExpressionAttributeNames` and `ExpressionAttributeValues`, and which of them were used.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::ExprError;
use crate::item::{AttributeValue, Attributes, ItemError, item_size};
use crate::limits::{ATTRIBUTE_NAME_BYTES_MAX, EXPRESSION_VALUES_BYTES_MAX, PLACEHOLDER_BYTES_MAX};

/// The names and values that a request's expressions may refer to.
///
/// Values are shared: a short expression may name a large value a thousand times.
#[derive(Clone, Debug, Default)]
pub struct Placeholders {
    names: BTreeMap<String, Used<String>>,
    values: BTreeMap<String, Used<Arc<AttributeValue>>>,
}

#[derive(Clone, Debug)]
struct Used<T> {
    value: T,
    used: bool,
}

impl Placeholders {
    /// The placeholders of one request, keyed with their `#` and `:`.
    ///
    /// # Errors
    ///
    /// [`ExprError::Refused`] where a map is present but empty, a key is not a placeholder, or the
    /// values are larger than [`EXPRESSION_VALUES_BYTES_MAX`] together.
    pub fn new(
        names: Option<BTreeMap<String, String>>,
        values: Option<Attributes>,
    ) -> Result<Self, ExprError> {
        if values.as_ref().is_some_and(|v| item_size(v) > EXPRESSION_VALUES_BYTES_MAX) {
            let message = "ExpressionAttributeValues exceed the maximum allowed size of 2 MB";
            return Err(ExprError::Refused(message.into()));
        }
        let values =
            values.map(|values| values.into_iter().map(|(key, v)| (key, Arc::new(v))).collect());
        let names = collect(names, '#', "ExpressionAttributeNames")?;
        check_names(&names)?;
        Ok(Self { names, values: collect(values, ':', "ExpressionAttributeValues")? })
    }

    /// The attribute name behind `#name`, marked as used.
    pub(super) fn name(&mut self, placeholder: &str) -> Option<String> {
        let entry = self.names.get_mut(placeholder)?;
        entry.used = true;
        Some(entry.value.clone())
    }

    /// The value behind `:value`, marked as used.
    pub(super) fn value(&mut self, placeholder: &str) -> Option<Arc<AttributeValue>> {
        let entry = self.values.get_mut(placeholder)?;
        entry.used = true;
        Some(entry.value.clone())
    }

    /// Refuses what no expression used.
    ///
    /// # Errors
    ///
    /// [`ExprError::Refused`] that lists the unused placeholders.
    pub fn finish(self) -> Result<(), ExprError> {
        refuse_unused(&self.names, "ExpressionAttributeNames")?;
        refuse_unused(&self.values, "ExpressionAttributeValues")
    }
}

/// Refuses names that no attribute can have, after what is wrong with the placeholders.
fn check_names(names: &BTreeMap<String, Used<String>>) -> Result<(), ExprError> {
    if names.values().any(|name| name.value.len() > ATTRIBUTE_NAME_BYTES_MAX) {
        return Err(ExprError::Refused(ItemError::NameTooLarge.to_string()));
    }
    match names.iter().find(|(_, name)| name.value.is_empty()) {
        None => Ok(()),
        Some((key, _)) => Err(ExprError::Refused(format!(
            "ExpressionAttributeNames contains invalid value: Empty attribute name for key {key}"
        ))),
    }
}

fn collect<T>(
    map: Option<BTreeMap<String, T>>,
    sigil: char,
    parameter: &str,
) -> Result<BTreeMap<String, Used<T>>, ExprError> {
    let Some(map) = map else { return Ok(BTreeMap::new()) };
    if map.is_empty() {
        return Err(ExprError::Refused(format!("{parameter} must not be empty")));
    }
    let is_word = |rest: &str| {
        !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    if let Some(key) = map.keys().find(|key| key.len() > PLACEHOLDER_BYTES_MAX) {
        // Only of names does the service tell how long.
        let size =
            if sigil == '#' { format!(" size of key: {}", key.len()) } else { String::new() };
        return Err(ExprError::Refused(format!(
            "{parameter} contains invalid key: The expression attribute map contains a key that \
             is too long;{size}"
        )));
    }
    if let Some(key) = map.keys().find(|key| !key.strip_prefix(sigil).is_some_and(is_word)) {
        let message = format!("{parameter} contains invalid key: Syntax error; key: \"{key}\"");
        return Err(ExprError::Refused(message));
    }
    Ok(map.into_iter().map(|(key, value)| (key, Used { value, used: false })).collect())
}

fn refuse_unused<T>(map: &BTreeMap<String, Used<T>>, parameter: &str) -> Result<(), ExprError> {
    let unused: Vec<&str> =
        map.iter().filter(|(_, entry)| !entry.used).map(|(key, _)| key.as_str()).collect();
    if unused.is_empty() {
        return Ok(());
    }
    let keys = unused.join(", ");
    let message = format!("Value provided in {parameter} unused in expressions: keys: {{{keys}}}");
    Err(ExprError::Refused(message))
}
