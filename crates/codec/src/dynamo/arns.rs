//! Tables that a request names by their ARNs: the answer names them so too.
//!
//! The service's model says it of `ConsumedCapacity.TableName`; that the keys of `Responses` are
//! names as they were given was measured on the service by moto's `test_batch_write_using_arn`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::request::table_of;

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

/// The ARN that stands in the place of a table's name in the body of a request on one table, and
/// the region in it.
#[must_use]
pub fn named_region(body: &[u8]) -> Option<(String, String)> {
    if !body.windows(MARK.len()).any(|window| window == MARK) {
        return None;
    }
    let body: Value = serde_json::from_slice(body).ok()?;
    let arn = body.get("TableName")?.as_str().filter(|name| name.starts_with("arn:"))?;
    Some((arn.to_owned(), arn.split(':').nth(3)?.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Arns, named_region};

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
    fn the_region_of_a_table_is_in_its_arn() {
        let of = |body: Value| named_region(body.to_string().as_bytes());
        let named = (ARN.to_owned(), "us-east-1".to_owned());
        assert_eq!(of(json!({ "TableName": ARN })), Some(named));
        assert_eq!(of(json!({ "TableName": "music", "Text": ARN })), None);
        assert_eq!(of(json!({ "TableName": ["arn::table/"] })), None);
        assert_eq!(named_region(b"{"), None);
    }
}
