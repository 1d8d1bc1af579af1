//! What a client's write does to an item, in the few words that the specification knows.

use pangea_core::expr::{Placeholders, Update};
use pangea_core::item::{AttributeValue, Attributes, Number};
use pangea_core::table::Action;

/// A change of an item: of its register `v`, its counter `c` or its set `s`,
/// or of the moment `t` at which it expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// `PutItem` with this `v`, perhaps the moment at which the item expires, and nothing else.
    Put(String, Option<i64>),
    /// `DeleteItem`.
    Delete,
    /// `SET v = :v`.
    Set(String),
    /// `SET c = :n`.
    Reset(i64),
    /// `ADD c :n`, or `SET c = if_not_exists(c, :zero) + :n`, which counts as one.
    Add(i64),
    /// `ADD s :e`.
    Join(String),
    /// `DELETE s :e`.
    Leave(String),
    /// `SET t = :t`: from now on the item expires at that moment.
    Expire(i64),
    /// `REMOVE t`.
    Last,
}

impl Deed {
    /// The update that does it; none for whole items.
    pub(crate) fn update(&self, spelled_as_set: bool) -> Option<Action> {
        let text = |text: &str| AttributeValue::S(text.to_string());
        let set = |text: &String| AttributeValue::Ss([text.clone()].into());
        let number = |value: i64| AttributeValue::N(Number::from(value));
        let (expression, values) = match self {
            Self::Put(..) | Self::Delete => return None,
            Self::Set(value) => ("SET v = :v", vec![(":v", text(value))]),
            Self::Reset(value) => ("SET c = :v", vec![(":v", number(*value))]),
            Self::Add(by) if spelled_as_set => (
                "SET c = if_not_exists(c, :zero) + :v",
                vec![(":v", number(*by)), (":zero", number(0))],
            ),
            Self::Add(by) => ("ADD c :v", vec![(":v", number(*by))]),
            Self::Join(element) => ("ADD s :v", vec![(":v", set(element))]),
            Self::Leave(element) => ("DELETE s :v", vec![(":v", set(element))]),
            Self::Expire(moment) => ("SET t = :v", vec![(":v", number(*moment))]),
            Self::Last => ("REMOVE t", Vec::new()),
        };
        let values: Attributes =
            values.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
        let values = Some(values).filter(|values| !values.is_empty());
        let mut placeholders = Placeholders::new(None, values).expect("well formed");
        let update = Update::parse(expression, &mut placeholders).expect("well formed");
        Some(Action::Update(update))
    }
}
