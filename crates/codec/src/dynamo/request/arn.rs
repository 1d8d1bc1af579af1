//! ARNs where the name of a table may stand.

use super::constraints::{TABLE_NAME_BYTES, fits};

/// The name in `text`, which may be the ARN of a table.
///
/// What another ARN is told is the service's: partition and kind were measured by the ACK project's
/// users in October 2026, that there is more than one refusal of forms by ExtendDB's authors. The
/// region is not looked at here, where it is not known which there are, and neither is the account,
/// as there is one.
///
/// # Errors
///
/// The violation, if `text` is an ARN, and not of a table.
pub(super) fn table_in(text: &str) -> Result<&str, String> {
    if !text.starts_with("arn:") {
        return Ok(text);
    }
    let mut parts = text.splitn(6, ':').skip(1);
    let (partition, resource) = (parts.next().unwrap_or_default(), parts.nth(3));
    let Some((kind, name)) = resource.and_then(|it| it.split_once('/')) else {
        return Err(malformed(text));
    };
    if partition != "aws" {
        return Err(format!("Invalid AWS partition in '{text}'"));
    }
    if kind != "table" {
        return Err(format!("Invalid resource type in '{text}'"));
    }
    if !TABLE_NAME_BYTES.contains(&name.len()) || !name.bytes().all(fits) {
        return Err(malformed(text));
    }
    Ok(name)
}

fn malformed(arn: &str) -> String {
    format!(
        "Value '{arn}' at 'tableName' failed to satisfy constraint: Valid ARN format is \
         'arn:<awsPartition>:<vendor>:<region>:<subscriber>:resourceType/resourceName', where \
         Resource name must have length less than or equal to 255, Resource name must have length \
         greater than or equal to 3, Resource name must satisfy regular expression pattern: \
         [a-zA-Z0-9_.-]+"
    )
}
