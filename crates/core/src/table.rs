//! Tables: schema, requests to writes. Replaced by the full module.
use crate::item::{Attributes, PrimaryKey};
use alloc::string::String;
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    S,
    N,
    B,
}
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyAttribute {
    pub name: String,
    pub kind: KeyKind,
}
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    pub partition: KeyAttribute,
    pub sort: Option<KeyAttribute>,
}
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Put(Attributes),
    Delete,
}
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteOp {
    pub key: PrimaryKey,
    pub action: Action,
}
impl WriteOp {
    pub fn new(key: PrimaryKey, action: Action) -> Self {
        Self { key, action }
    }
    pub fn had_condition(&self) -> bool {
        false
    }
}
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    pub next: Option<Attributes>,
    pub returned: Option<Attributes>,
    pub changed: bool,
}
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("{0}")]
    Validation(String),
}
pub fn apply(
    op: &WriteOp,
    _schema: &Schema,
    current: Option<&Attributes>,
) -> Result<Applied, Refusal> {
    let next = match &op.action {
        Action::Put(a) => Some(a.clone()),
        Action::Delete => None,
    };
    let changed = next.is_some() || current.is_some();
    Ok(Applied { next, returned: None, changed })
}
