//! Resource policies, as far as one can be told from what is none.
//!
//! The words are the service's (measured by the ACK project's users, October 2026). What a policy
//! grants is not looked at: it is kept and shown, and has no effect.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::canonical::canonical;
use super::invalid;
use crate::dynamo::ApiError;

/// Largest resource policy in bytes (DynamoDB).
const POLICY_BYTES_MAX: usize = 20_480;
/// The actions on a stream, which the policy of a table cannot name.
const OF_STREAMS: [&str; 3] =
    ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"];
/// The action on all streams, which no policy of a resource can name.
const OF_ALL_STREAMS: &str = "dynamodb:ListStreams";

/// The form in which a resource policy, of a table or of a stream, is kept.
///
/// # Errors
///
/// A `ValidationException` for what is no policy.
pub(in crate::dynamo::request) fn checked_policy(
    policy: &str,
    is_stream: bool,
) -> Result<String, ApiError> {
    if policy.len() > POLICY_BYTES_MAX {
        let text = format!("Maximum policy size of {POLICY_BYTES_MAX} bytes exceeded");
        return Err(invalid(&text));
    }
    let refuse = |why: &str| Err(invalid(&format!("Invalid policy document: {why}")));
    let members = match serde_json::from_str(policy) {
        Ok(Value::Object(members)) => members,
        Ok(Value::Null) => return refuse("This text appears not to be a policy"),
        _ => return refuse("This policy contains invalid Json"),
    };
    if members.is_empty() {
        let end = policy.chars().count() + 1;
        return refuse(&format!("Syntax error at position (1,{end})"));
    }
    let statements = match members.get("Statement") {
        None => return refuse("Missing required field Statement"),
        Some(Value::Array(statements)) => statements.as_slice(),
        Some(one) => std::slice::from_ref(one),
    };
    if statements.is_empty() {
        return refuse("Could not parse the policy: Statement is empty!");
    }
    let statements: Vec<&Map<String, Value>> =
        statements.iter().filter_map(Value::as_object).collect();
    for (name, negated) in [
        ("Effect", "Effect"),
        ("Resource", "NotResource"),
        ("Principal", "NotPrincipal"),
        ("Action", "NotAction"),
    ] {
        let says = |it: &&Map<String, Value>| it.contains_key(name) || it.contains_key(negated);
        if !statements.iter().all(says) {
            return refuse(&format!("Missing required field {name}"));
        }
    }
    let mut seen = BTreeSet::new();
    let mut sids = statements.iter().filter_map(|it| it.get("Sid")?.as_str());
    if !sids.all(|sid| seen.insert(sid)) {
        return refuse("The Statement Ids in the policy are not unique");
    }
    let actions = statements.iter().filter_map(|it| it.get("Action")).flat_map(texts);
    let foreign = |action: &&str| {
        let is = |known: &str| known.eq_ignore_ascii_case(action);
        is(OF_ALL_STREAMS) || (!is_stream && OF_STREAMS.iter().any(|known| is(known)))
    };
    let foreign: Vec<String> =
        actions.filter(foreign).map(|action| format!("\"{action}\"")).collect();
    if !foreign.is_empty() {
        let names = foreign.join(", ");
        return refuse(&format!("The following action names are invalid: {names}"));
    }
    Ok(canonical(&members))
}

/// One text, or each of a list of them.
fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let all = match value {
        Value::Array(all) => all.as_slice(),
        one => std::slice::from_ref(one),
    };
    all.iter().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::checked_policy;

    fn why(policy: &str) -> String {
        let text = checked_policy(policy, false).expect_err("refused").message;
        let parts = text.split_once("Invalid policy document: ");
        parts.map_or_else(|| text.clone(), |(_, why)| why.to_owned())
    }

    fn policy(statements: Value) -> String {
        json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
    }

    fn statement(changes: Value) -> Value {
        let mut one = json!({
            "Effect": "Allow", "Principal": "*", "Action": "dynamodb:GetItem", "Resource": "*",
        });
        for (name, value) in changes.as_object().expect("an object") {
            one[name] = value.clone();
        }
        one
    }

    #[test]
    fn what_is_no_policy_is_told_in_the_words_of_the_service() {
        for text in ["", "[]", "{", "7"] {
            assert_eq!(why(text), "This policy contains invalid Json", "{text}");
        }
        assert_eq!(why("null"), "This text appears not to be a policy");
        assert_eq!(why("{}"), "Syntax error at position (1,3)");
        assert_eq!(why(r#"{"Version":"2012-10-17"}"#), "Missing required field Statement");
        let empty = "Could not parse the policy: Statement is empty!";
        assert_eq!(why(&policy(json!([]))), empty);
        let long = policy(json!([statement(json!({}))])) + &" ".repeat(20_480);
        assert!(why(&long).ends_with("Maximum policy size of 20480 bytes exceeded"));
    }

    #[test]
    fn a_statement_says_what_it_does_and_to_what() {
        assert_eq!(why(&policy(json!([{}]))), "Missing required field Effect");
        let bare = json!({ "Effect": "Allow", "Action": "dynamodb:GetItem" });
        let missing = "Missing required field Resource";
        assert_eq!(why(&policy(json!([bare]))), missing);
        assert_eq!(why(&policy(json!([statement(json!({})), bare]))), missing);
        assert_eq!(why(&policy(bare)), missing);
        for name in ["Principal", "Action"] {
            let mut without = statement(json!({}));
            without.as_object_mut().expect("an object").remove(name);
            let missing = format!("Missing required field {name}");
            assert_eq!(why(&policy(without.clone())), missing);
            without[format!("Not{name}")] = json!("*");
            assert!(checked_policy(&policy(without), false).is_ok());
        }
        let twice = [statement(json!({ "Sid": "a" })), statement(json!({ "Sid": "a" }))];
        let unique = "The Statement Ids in the policy are not unique";
        assert_eq!(why(&policy(json!(twice))), unique);
        let apart = [statement(json!({ "Sid": "a" })), statement(json!({ "Sid": "b" }))];
        assert!(checked_policy(&policy(json!(apart)), false).is_ok());
        assert!(checked_policy(&policy(statement(json!({}))), false).is_ok());
    }

    #[test]
    fn actions_on_a_stream_are_for_the_policy_of_a_stream() {
        let actions = json!({ "Action": ["dynamodb:GetRecords", "dynamodb:GetItem"] });
        let text = policy(json!([statement(actions)]));
        let invalid = r#"The following action names are invalid: "dynamodb:GetRecords""#;
        assert_eq!(why(&text), invalid);
        assert!(checked_policy(&text, true).is_ok());
        let text = policy(json!([statement(json!({ "Action": "dynamodb:ListStreams" }))]));
        for is_stream in [false, true] {
            let message = checked_policy(&text, is_stream).expect_err("refused").message;
            let invalid = r#"The following action names are invalid: "dynamodb:ListStreams""#;
            assert!(message.ends_with(invalid), "{message}");
        }
    }
}
