//! Tables that a request names by their ARNs: the answer names them so too.
//!
//! The service's model says it of `ConsumedCapacity.TableName`; that the keys of `Responses` are
//! names as they were given was measured on the service by moto's `test_batch_write_using_arn`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::request::table_of;
use super::table::ACCOUNT;

/// What stands in the ARN of every table.
const MARK: &[u8] = b":table/";

/// The ARNs in a request, by the names of their tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arns(BTreeMap<String, String>);

impl Arns {
    /// Those in the JSON body of a request that was decoded before.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        if !body.windows(MARK.len()).any(|window| window == MARK) {
            return Self::default();
        }
        let Ok(Value::Object(body)) = serde_json::from_slice(body) else { return Self::default() };
        let mut arns = Self::default();
        arns.note(body.get("TableName"));
        if let Some(Value::Object(tables)) = body.get("RequestItems") {
            tables.keys().for_each(|name| arns.note_text(name));
        }
        let parts = body.get("TransactItems").and_then(Value::as_array).into_iter().flatten();
        for part in parts.filter_map(Value::as_object).flat_map(Map::values) {
            arns.note(part.get("TableName"));
        }
        arns
    }

    fn note(&mut self, name: Option<&Value>) {
        if let Some(Value::String(name)) = name {
            self.note_text(name);
        }
    }

    fn note_text(&mut self, name: &str) {
        let table = table_of(name);
        if table != name {
            self.0.entry(table.to_owned()).or_insert_with(|| name.to_owned());
        }
    }

    /// The JSON of an answer to the request, with the ARNs in the place of names.
    #[must_use]
    pub fn in_answer(&self, answer: Vec<u8>) -> Vec<u8> {
        if self.0.is_empty() {
            return answer;
        }
        let Ok(Value::Object(mut body)) = serde_json::from_slice(&answer) else { return answer };
        match body.get_mut("ConsumedCapacity") {
            Some(Value::Array(all)) => all.iter_mut().for_each(|one| self.rename(one)),
            Some(one) => self.rename(one),
            None => {}
        }
        for member in ["Responses", "UnprocessedKeys", "UnprocessedItems", "ItemCollectionMetrics"]
        {
            let Some(Value::Object(tables)) = body.get_mut(member) else { continue };
            // The metrics of one item are no map of tables, and have members of other names.
            for (table, arn) in &self.0 {
                if let Some(of_it) = tables.remove(table) {
                    tables.insert(arn.clone(), of_it);
                }
            }
        }
        Value::Object(body).to_string().into_bytes()
    }

    fn rename(&self, consumed: &mut Value) {
        let Some(name) = consumed.get_mut("TableName") else { return };
        if let Some(arn) = name.as_str().and_then(|name| self.0.get(name)) {
            *name = Value::String(arn.clone());
        }
    }
}

/// The members that name a table, or what belongs to one, in requests that are not on items.
const NAMING: [&str; 4] = ["TableName", "ResourceArn", "TableArn", "SourceTableArn"];

/// An ARN by which a request names its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedArn {
    /// The ARN.
    pub arn: String,
    /// Whether it stands in the place of the table's name.
    pub is_name: bool,
}

impl NamedArn {
    /// That in the body of a request on one table, if it has one.
    #[must_use]
    pub fn of(body: &[u8]) -> Option<Self> {
        if !body.windows(MARK.len()).any(|window| window == MARK) {
            return None;
        }
        let body: Value = serde_json::from_slice(body).ok()?;
        let named = NAMING.into_iter().find_map(|name| Some((name, body.get(name)?.as_str()?)));
        let (name, arn) = named.filter(|(_, arn)| arn.starts_with("arn:"))?;
        Some(Self { arn: arn.to_owned(), is_name: name == NAMING[0] })
    }

    /// The region in it.
    #[must_use]
    pub fn region(&self) -> &str {
        self.arn.split(':').nth(3).unwrap_or_default()
    }

    /// Whether it is that of another account.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        let account = self.arn.split(':').nth(4).unwrap_or_default();
        account.len() == ACCOUNT.len()
            && account.bytes().all(|byte| byte.is_ascii_digit())
            && account != ACCOUNT
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Arns, NamedArn};

    const ARN: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/music";

    fn answered(request: &Value, answer: &Value) -> Value {
        let arns = Arns::of(request.to_string().as_bytes());
        let answer = arns.in_answer(answer.to_string().into_bytes());
        serde_json::from_slice(&answer).expect("an answer stays JSON")
    }

    #[test]
    fn an_answer_names_tables_as_the_request_did() {
        let capacity = |name: &str| json!({ "TableName": name, "CapacityUnits": 0.5 });
        let asked = json!({ "TableName": ARN, "Key": {} });
        let item = json!({ "music": { "S": "music" }, "TableName": { "S": "music" } });
        let answer = json!({ "Item": item, "ConsumedCapacity": capacity("music") });
        let wanted = json!({ "Item": item, "ConsumedCapacity": capacity(ARN) });
        assert_eq!(answered(&asked, &answer), wanted);
        assert_eq!(answered(&json!({ "TableName": "music" }), &answer), answer);

        let asked = json!({ "RequestItems": { ARN: { "Keys": [] }, "other": { "Keys": [] } } });
        let answer = |name: &str| {
            json!({
                "Responses": { name: [item], "other": [] },
                "UnprocessedKeys": { name: { "Keys": [] } },
                "ConsumedCapacity": [capacity(name), capacity("other")],
            })
        };
        assert_eq!(answered(&asked, &answer("music")), answer(ARN));

        let asked = json!({ "TransactItems": [{ "Get": { "TableName": ARN, "Key": {} } }] });
        let answer =
            |name: &str| json!({ "Responses": [{}], "ConsumedCapacity": [capacity(name)] });
        assert_eq!(answered(&asked, &answer("music")), answer(ARN));
    }

    #[test]
    fn an_arn_tells_of_region_and_account() {
        let of = |body: Value| NamedArn::of(body.to_string().as_bytes());
        let named = NamedArn { arn: ARN.to_owned(), is_name: true };
        assert_eq!((named.region(), named.is_foreign()), ("us-east-1", false));
        assert_eq!(of(json!({ "TableName": ARN })), Some(named));
        let foreign = ARN.replace("000000000000", "123456789012");
        let named = NamedArn { arn: foreign.clone(), is_name: false };
        assert!(named.is_foreign());
        for member in ["ResourceArn", "TableArn", "SourceTableArn"] {
            assert_eq!(of(json!({ member: foreign })), Some(named.clone()));
        }
        for short in ["arn:aws:dynamodb:us-east-1::table/music", "arn:aws:dynamodb"] {
            assert!(!NamedArn { arn: short.to_owned(), is_name: true }.is_foreign());
        }
        assert_eq!(of(json!({ "TableName": "music", "Text": ARN })), None);
        assert_eq!(of(json!({ "TableName": ["arn::table/"] })), None);
        assert_eq!(NamedArn::of(b"{"), None);
    }
}
