//! The members of a request's body: a shallow tree whose items are already attributes.
//!
//! Unknown members are kept and never asked for, which ignores them as DynamoDB does. A member that
//! is null counts as absent. A member of another JSON type is a `SerializationException`.

mod plain;

use std::collections::BTreeMap;
use std::fmt;

use pangea_core::item::{AttributeValue, Attributes};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value as Json};

use super::depth;
use crate::dynamo::ApiError;
use crate::dynamo::attribute::{AttributesSeed, Layer, Sink, ValueSeed, decode_error};

/// So many members are looked through for one.
const LOOKED_THROUGH_MAX: usize = 16;

/// A JSON value of a request.
#[derive(Debug)]
enum Node {
    Null,
    Bool(bool),
    Integer(i64),
    /// A number that is not a 64-bit integer.
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Object(Members),
    /// An item, and the first of its values that DynamoDB refuses.
    Item(Attributes, Option<ApiError>),
    Value(AttributeValue, Option<ApiError>),
}

/// The members of an object.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// Ordered by name; nothing is left of those that were taken.
    nodes: Vec<(String, Option<Node>)>,
    /// The first refused value among those taken: see [`Members::check_values`].
    refused: Option<ApiError>,
    /// Where in the request these are, in the words of messages: empty, or with a dot at its end.
    path: String,
    /// Whether the service reads all of the request in its older layer, because of a value of it.
    older: bool,
}

/// A number of 32 bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Int32 {
    pub(super) value: i64,
    /// Whether it is the one that was sent.
    pub(super) exact: bool,
}

/// Where a value stands: which decides where the items below it are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The body of a request.
    Body,
    /// `RequestItems`: by table name.
    Tables,
    /// Anything below one table of `RequestItems`.
    Table,
    /// `TransactItems`, its entries and their actions.
    Actions,
    /// A list of items.
    Items,
    /// An item or a key.
    Item,
    /// `ExpressionAttributeValues`.
    Values,
    /// Conditions or updates by attribute: the parameters from before expressions.
    Tests,
    /// One of them.
    Test,
    /// Whether an attribute must exist.
    Exists,
    /// One attribute value.
    Value,
    /// A list of attribute values.
    ValueList,
    /// PartiQL statements with their parameters.
    Statements,
    /// Parameters of a PartiQL statement.
    Parameters,
    /// One of them.
    Parameter,
    /// Nothing below holds an item.
    Plain,
}

impl Place {
    fn member(self, name: &str) -> Self {
        match (self, name) {
            (Self::Body, "Item" | "Key" | "ExclusiveStartKey") => Self::Item,
            (Self::Body, "ExpressionAttributeValues") => Self::Values,
            (Self::Body, "RequestItems") => Self::Tables,
            (Self::Body, "TransactItems") => Self::Actions,
            (
                Self::Body,
                "Expected" | "AttributeUpdates" | "KeyConditions" | "QueryFilter" | "ScanFilter",
            ) => Self::Tests,
            (Self::Tests, _) => Self::Test,
            (Self::Test, "Value") => Self::Value,
            (Self::Test, "Exists") => Self::Exists,
            (Self::Test, "AttributeValueList") => Self::ValueList,
            (Self::Body, "Statements" | "TransactStatements") => Self::Statements,
            (Self::Body | Self::Statements, "Parameters") => Self::Parameters,
            (Self::Actions, "ConditionCheck" | "Put" | "Update" | "Delete" | "Get") => {
                Self::Actions
            }
            (Self::Actions, "Item" | "Key") => Self::Item,
            (Self::Actions, "ExpressionAttributeValues") => Self::Values,
            (Self::Tables, _) => Self::Table,
            (Self::Table, "PutRequest" | "DeleteRequest") => Self::Table,
            (Self::Table, "Keys") => Self::Items,
            (Self::Table, "Item" | "Key") => Self::Item,
            _ => Self::Plain,
        }
    }

    const fn element(self) -> Self {
        match self {
            Self::Items => Self::Item,
            Self::Table => Self::Table,
            Self::Actions => Self::Actions,
            Self::Statements => Self::Statements,
            Self::ValueList => Self::Value,
            Self::Parameters => Self::Parameter,
            _ => Self::Plain,
        }
    }
}

#[derive(Clone, Copy)]
struct NodeSeed<'s> {
    place: Place,
    sink: &'s Sink,
}

impl<'de> DeserializeSeed<'de> for NodeSeed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Node, D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NodeSeed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member of the request")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Integer(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "it is only compared with bounds")]
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Node, E> {
        Ok(i64::try_from(value).map_or(Node::Float(value as f64), Node::Integer))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Node, E> {
        self.visit_string(value.to_owned())
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Node, E> {
        if self.place == Place::Exists {
            self.sink.set_odd();
        }
        Ok(Node::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        let seed = NodeSeed { place: self.place.element(), sink: self.sink };
        while let Some(node) = seq.next_element_seed(seed)? {
            list.push(node);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        if matches!(self.place, Place::Item | Place::Values) {
            let values = self.place == Place::Values;
            let seed = AttributesSeed { sink: self.sink, depth: 0, values };
            let item = seed.visit_map(map)?;
            return Ok(Node::Item(item, self.sink.take_refused()));
        }
        if matches!(self.place, Place::Value | Place::Parameter) {
            let value = ValueSeed { sink: self.sink, depth: 0 }.visit_map(map)?;
            return Ok(Node::Value(value, self.sink.take_refused()));
        }
        let mut nodes = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            let seed = NodeSeed { place: self.place.member(&name), sink: self.sink };
            let node = map.next_value_seed(seed)?;
            nodes.push((name, Some(node)));
        }
        Ok(Node::Object(Members { nodes: ordered(nodes), ..Members::default() }))
    }
}

/// The same by name; of several of one name, the last.
fn ordered(mut nodes: Vec<(String, Option<Node>)>) -> Vec<(String, Option<Node>)> {
    nodes.sort_by(|one, other| one.0.cmp(&other.0));
    nodes.dedup_by(|later, earlier| {
        let same = later.0 == earlier.0;
        if same {
            earlier.1 = later.1.take();
        }
        same
    });
    nodes
}

impl Node {
    /// What DynamoDB's messages call a value of this type.
    const fn token(&self) -> &'static str {
        match self {
            Self::Null => "NULL_VALUE",
            Self::Bool(true) => "TRUE_VALUE",
            Self::Bool(false) => "FALSE_VALUE",
            Self::Integer(_) => "NUMBER_VALUE",
            Self::Float(_) => "DECIMAL_VALUE",
            Self::Text(_) => "STRING_VALUE",
            Self::List(_) => "START_ARRAY",
            Self::Object(_) | Self::Item(..) | Self::Value(..) => "START_OBJECT",
        }
    }

    fn mismatch(&self, wanted: &str) -> ApiError {
        ApiError::serialization(match self {
            Self::List(_) => "Start of list found where not expected".to_owned(),
            Self::Object(_) | Self::Item(..) | Self::Value(..) => {
                "Start of structure or map found where not expected.".to_owned()
            }
            _ => format!("{} cannot be converted to {wanted}", self.token()),
        })
    }

    fn to_json(&self) -> Json {
        match self {
            Self::Null | Self::Item(..) | Self::Value(..) => Json::Null,
            Self::Bool(value) => Json::from(*value),
            Self::Integer(value) => Json::from(*value),
            Self::Float(value) => Json::from(*value),
            Self::Text(text) => Json::from(text.as_str()),
            Self::List(nodes) => nodes.iter().map(Self::to_json).collect(),
            Self::Object(members) => Json::Object(members.to_json()),
        }
    }

    fn into_text(self) -> Result<String, ApiError> {
        match self {
            Self::Text(text) => Ok(text),
            other => Err(other.mismatch("String")),
        }
    }

    fn into_object(self) -> Result<Members, ApiError> {
        match self {
            Self::Object(members) => Ok(members),
            other => Err(other.mismatch("Structure")),
        }
    }

    fn into_item(self) -> Result<(Attributes, Option<ApiError>), ApiError> {
        match self {
            Self::Item(attributes, refused) => Ok((attributes, refused)),
            other => Err(other.mismatch("Map")),
        }
    }

    fn into_value(self) -> Result<(AttributeValue, Option<ApiError>), ApiError> {
        match self {
            Self::Value(value, refused) => Ok((value, refused)),
            other => Err(other.mismatch("AttributeValue")),
        }
    }
}

impl Members {
    /// The members of a request's body, whose values are checked in `layer`.
    pub(super) fn parse(body: &[u8], layer: Layer) -> Result<Self, ApiError> {
        // Looked at once: else each text in it is.
        match str::from_utf8(body) {
            Ok(text) => match plain::parse(text, layer) {
                Some(nodes) => Ok(Self { nodes, ..Self::default() }),
                None => Self::read(&mut serde_json::Deserializer::from_str(text), body, layer),
            },
            // It says where.
            Err(_) => Self::read(&mut serde_json::Deserializer::from_slice(body), body, layer),
        }
    }

    fn read<'b, R: serde_json::de::Read<'b>>(
        deserializer: &mut serde_json::Deserializer<R>,
        body: &[u8],
        layer: Layer,
    ) -> Result<Self, ApiError> {
        let sink = Sink::of(layer);
        let seed = NodeSeed { place: Place::Body, sink: &sink };
        let result = seed.deserialize(&mut *deserializer);
        let node = match result.and_then(|node| deserializer.end().map(|()| node)) {
            Ok(node) => node,
            Err(error) => return Err(decode_error(sink, &error)),
        };
        if sink.is_odd() && layer == Layer::Current {
            return Ok(Self { older: true, ..Self::parse(body, Layer::Older)? });
        }
        let older = sink.is_deep() && depth::is_read_early(body);
        Ok(Self { older, ..node.into_object()? })
    }

    /// The same members, `path` being where they are.
    pub(super) fn at(self, path: String) -> Self {
        Self { path, ..self }
    }

    /// Whether the service reads all of the request in its older layer, because of a value that is
    /// very deep or oddly written.
    pub(super) fn is_older(&self) -> bool {
        self.older
    }

    /// The same members, of a request that is read so or not.
    pub(super) fn of_older(self, older: bool) -> Self {
        Self { older, ..self }
    }

    /// Takes the first refused value away, to be told of later.
    pub(super) fn set_aside(&mut self) -> Option<ApiError> {
        self.refused.take()
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The members that are there, as JSON; items and their values have none.
    pub(super) fn to_json(&self) -> Map<String, Json> {
        let there = self.nodes.iter().filter_map(|(name, node)| Some((name, node.as_ref()?)));
        let json = there.filter(|(_, node)| !matches!(node, Node::Null));
        json.map(|(name, node)| (name.clone(), node.to_json())).collect()
    }

    /// Forgets members that the model does not have here, so that nobody asks for them.
    pub(super) fn forget(&mut self, names: &[&str]) {
        self.nodes.retain(|(name, _)| !names.contains(&name.as_str()));
    }

    /// Whether the member is there and not null.
    pub(super) fn has(&self, name: &str) -> bool {
        let at = self.find(name);
        at.is_some_and(|at| !matches!(self.nodes[at].1, None | Some(Node::Null)))
    }

    /// Whether the member is a text of no characters.
    pub(super) fn is_empty_text(&self, name: &str) -> bool {
        let node = self.find(name).and_then(|at| self.nodes[at].1.as_ref());
        matches!(node, Some(Node::Text(text)) if text.is_empty())
    }

    fn find(&self, name: &str) -> Option<usize> {
        // Most bodies have few, and few of a length: that is faster than in order.
        if self.nodes.len() <= LOOKED_THROUGH_MAX {
            return self.nodes.iter().position(|(it, _)| it == name);
        }
        self.nodes.binary_search_by(|(it, _)| it.as_str().cmp(name)).ok()
    }

    fn take(&mut self, name: &str) -> Option<Node> {
        let at = self.find(name)?;
        self.nodes[at].1.take().filter(|node| !matches!(node, Node::Null))
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        self.take(name).map(Node::into_text).transpose()
    }

    pub(super) fn boolean(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Node::Bool(value)) => Ok(Some(value)),
            // The service takes these words too.
            Some(Node::Text(text)) => match text.to_ascii_lowercase().as_str() {
                "true" | "t" | "yes" | "y" | "1" => Ok(Some(true)),
                "false" | "f" | "no" | "n" | "0" => Ok(Some(false)),
                _ => Err(Node::Text(text).mismatch("Boolean")),
            },
            Some(other) => Err(other.mismatch("Boolean")),
        }
    }

    pub(super) fn integer(&mut self, name: &str) -> Result<Option<i64>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Node::Integer(value)) => Ok(Some(value)),
            Some(other) => Err(other.mismatch("Integer")),
        }
    }

    /// A number as the service reads those of 32 bits: it drops a fraction, and what is too large
    /// becomes the largest.
    #[expect(clippy::cast_possible_truncation, reason = "it saturates, as it should")]
    pub(super) fn int32(&mut self, name: &str) -> Result<Option<Int32>, ApiError> {
        let whole = match self.take(name) {
            None => return Ok(None),
            Some(Node::Integer(value)) => (value, true),
            Some(Node::Float(value)) => (value as i64, value.fract() == 0.0),
            Some(other) => return Err(other.mismatch("Integer")),
        };
        let value = whole.0.clamp(i32::MIN.into(), i32::MAX.into());
        Ok(Some(Int32 { value, exact: whole.1 && value == whole.0 }))
    }

    /// A number of any kind, as moments are.
    #[expect(clippy::cast_precision_loss, reason = "moments are small")]
    pub(super) fn number(&mut self, name: &str) -> Result<Option<f64>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Node::Integer(value)) => Ok(Some(value as f64)),
            Some(Node::Float(value)) => Ok(Some(value)),
            Some(other) => Err(other.mismatch("Timestamp")),
        }
    }

    pub(super) fn object(&mut self, name: &str) -> Result<Option<Self>, ApiError> {
        self.take(name).map(Node::into_object).transpose()
    }

    /// An item; [`Members::check_values`] refuses what is wrong with its values.
    pub(super) fn item(&mut self, name: &str) -> Result<Option<Attributes>, ApiError> {
        let item = self.take(name).map(Node::into_item).transpose()?;
        Ok(item.map(|item| self.note(item)))
    }

    /// An attribute value; as of [`Members::item`].
    pub(super) fn value(&mut self, name: &str) -> Result<Option<AttributeValue>, ApiError> {
        let value = self.take(name).map(Node::into_value).transpose()?;
        Ok(value.map(|value| self.note(value)))
    }

    fn note<T>(&mut self, (value, refused): (T, Option<ApiError>)) -> T {
        self.refused = self.refused.take().or(refused);
        value
    }

    /// Refuses the first wrong value among those that were taken.
    pub(super) fn check_values(&mut self) -> Result<(), ApiError> {
        self.refused.take().map_or(Ok(()), Err)
    }

    /// A list of objects.
    pub(super) fn objects(&mut self, name: &str) -> Result<Option<Vec<Self>>, ApiError> {
        self.list(name, Node::into_object)
    }

    /// A list of items; as of [`Members::item`].
    pub(super) fn items(&mut self, name: &str) -> Result<Option<Vec<Attributes>>, ApiError> {
        let items = self.list(name, Node::into_item)?;
        Ok(items.map(|items| items.into_iter().map(|item| self.note(item)).collect()))
    }

    /// A list of attribute values; as of [`Members::item`].
    pub(super) fn values(&mut self, name: &str) -> Result<Option<Vec<AttributeValue>>, ApiError> {
        let values = self.list(name, Node::into_value)?;
        Ok(values.map(|values| values.into_iter().map(|value| self.note(value)).collect()))
    }

    /// A list of texts.
    pub(super) fn text_list(&mut self, name: &str) -> Result<Option<Vec<String>>, ApiError> {
        self.list(name, Node::into_text)
    }

    fn list<T>(
        &mut self,
        name: &str,
        each: fn(Node) -> Result<T, ApiError>,
    ) -> Result<Option<Vec<T>>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Node::List(list)) => {
                list.into_iter().map(each).collect::<Result<_, _>>().map(Some)
            }
            Some(other) => Err(other.mismatch("List")),
        }
    }

    /// An object of texts.
    pub(super) fn texts(
        &mut self,
        name: &str,
    ) -> Result<Option<BTreeMap<String, String>>, ApiError> {
        let Some(members) = self.object(name)? else { return Ok(None) };
        let nodes = members.nodes.into_iter().filter_map(|(key, node)| Some((key, node?)));
        let texts = nodes.map(|(key, node)| Ok((key, node.into_text()?)));
        texts.collect::<Result<_, _>>().map(Some)
    }

    /// The names of the members, in order.
    pub(super) fn names(&self) -> Vec<String> {
        let left = self.nodes.iter().filter(|(_, node)| node.is_some());
        left.map(|(name, _)| name.clone()).collect()
    }
}
