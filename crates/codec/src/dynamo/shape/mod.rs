//! The shapes of requests and responses, as the service's model has them.
//!
//! Three uses: a request that was refused is looked at once more, because a value of a wrong JSON
//! type is refused before anything else is judged, in words that name the type; what the model says
//! of the values of requests on tables is held against them; and formats that know more types than
//! JSON are told which texts are binary and which numbers are times.

mod check;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::OnceLock;

pub use check::{is_json, judge};
pub use rules::completed;

/// Made by `generate.py`.
const TEXT: &str = include_str!("shapes.txt");

/// A shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// UTF-8 text.
    Text,
    /// True or false.
    Boolean,
    /// A number of 32 bits.
    Integer,
    /// A number of 64 bits.
    Long,
    /// A floating-point number.
    Double,
    /// Seconds since 1970, with a fraction.
    Timestamp,
    /// Bytes; Base64 in JSON.
    Blob,
    /// One of the shapes that have a name.
    Named(&'static str),
}

/// A shape that is made of others.
#[derive(Debug)]
pub enum Composite {
    /// Members by name.
    Structure(BTreeMap<&'static str, Shape>),
    /// Any number of the same shape.
    List(Shape),
    /// Texts to values of the same shape.
    Map(Shape),
}

/// All shapes by name, and the request and the response of every operation.
#[derive(Debug)]
pub struct Shapes {
    composites: BTreeMap<&'static str, Composite>,
    operations: BTreeMap<&'static str, [Option<Shape>; 2]>,
}

impl Shapes {
    /// The service's model.
    #[must_use]
    pub fn get() -> &'static Self {
        static SHAPES: OnceLock<Shapes> = OnceLock::new();
        SHAPES.get_or_init(|| Self::parse(TEXT))
    }

    fn parse(text: &'static str) -> Self {
        let mut shapes = Self { composites: BTreeMap::new(), operations: BTreeMap::new() };
        for line in text.lines() {
            let words: Vec<&'static str> = line.split(' ').collect();
            match words.as_slice() {
                ["operation", name, request, response] => {
                    let both = [request, response].map(|name| shape(name));
                    shapes.operations.insert(name, both);
                }
                ["structure", name, members @ ..] => {
                    let pairs = members.iter().filter_map(|member| member.split_once(':'));
                    let pairs = pairs.filter_map(|(name, of)| Some((name, shape(of)?)));
                    shapes.composites.insert(name, Composite::Structure(pairs.collect()));
                }
                ["list", name, of] => {
                    shapes.composites.extend(shape(of).map(|of| (*name, Composite::List(of))));
                }
                ["map", name, of] => {
                    shapes.composites.extend(shape(of).map(|of| (*name, Composite::Map(of))));
                }
                _ => {}
            }
        }
        shapes
    }

    /// The shape of an operation's request.
    #[must_use]
    pub fn request(&self, operation: &str) -> Option<Shape> {
        self.operations.get(operation)?[0]
    }

    /// The shape of an operation's response.
    #[must_use]
    pub fn response(&self, operation: &str) -> Option<Shape> {
        self.operations.get(operation)?[1]
    }

    /// What `shape` is made of; `None` if it is not made of others.
    #[must_use]
    pub fn composite(&self, shape: Shape) -> Option<&Composite> {
        match shape {
            Shape::Named(name) => self.composites.get(name),
            _ => None,
        }
    }

    /// The shape of the member `name` of a structure, or of any key of a map.
    #[must_use]
    pub fn member(&self, shape: Shape, name: &str) -> Option<Shape> {
        match self.composite(shape)? {
            Composite::Structure(members) => members.get(name).copied(),
            Composite::Map(of) => Some(*of),
            Composite::List(_) => None,
        }
    }

    /// The shape of the elements of a list.
    #[must_use]
    pub fn element(&self, shape: Shape) -> Option<Shape> {
        match self.composite(shape)? {
            Composite::List(of) => Some(*of),
            _ => None,
        }
    }

    /// The service's Java class for values of `shape`, as its messages show it.
    fn class(&self, shape: Shape) -> String {
        match shape {
            Shape::Text => "java.lang.String".to_owned(),
            Shape::Boolean => "java.lang.Boolean".to_owned(),
            Shape::Integer => "java.lang.Integer".to_owned(),
            Shape::Long => "java.lang.Long".to_owned(),
            Shape::Double => "java.lang.Double".to_owned(),
            Shape::Timestamp => "java.util.Date".to_owned(),
            Shape::Blob => "java.nio.ByteBuffer".to_owned(),
            Shape::Named(name) => match self.composites.get(name) {
                Some(Composite::List(of)) => format!("java.util.List<{}>", self.class(*of)),
                Some(Composite::Map(of)) => {
                    format!("java.util.Map<java.lang.String, {}>", self.class(*of))
                }
                _ => format!("com.amazonaws.dynamodb.v20120810.{name}"),
            },
        }
    }
}

fn shape(name: &'static str) -> Option<Shape> {
    Some(match name {
        "-" => return None,
        "string" => Shape::Text,
        "boolean" => Shape::Boolean,
        "integer" => Shape::Integer,
        "long" => Shape::Long,
        "double" => Shape::Double,
        "timestamp" => Shape::Timestamp,
        "blob" => Shape::Blob,
        name => Shape::Named(name),
    })
}
