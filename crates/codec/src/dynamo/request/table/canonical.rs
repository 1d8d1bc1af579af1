//! The form in which the service keeps and shows a resource policy, whatever spaces, order of
//! members and lists of one the request had (measured by the ACK project's users, October 2026).

use serde_json::{Map, Value};

/// The members of a policy, in the service's order; others come behind.
const POLICY: [&str; 3] = ["Version", "Id", "Statement"];
/// Those of a statement.
const STATEMENT: [&str; 9] = [
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
];
/// Digits of an account.
const ACCOUNT_DIGITS: usize = 12;

/// The policy in that form.
pub(super) fn canonical(policy: &Map<String, Value>) -> String {
    ordered(policy, &POLICY, |name, value| match (name, value) {
        ("Statement", Value::Array(all)) => {
            let all: Vec<String> = all.iter().map(statement).collect();
            format!("[{}]", all.join(","))
        }
        ("Statement", one) => format!("[{}]", statement(one)),
        (_, value) => value.to_string(),
    })
}

fn statement(value: &Value) -> String {
    let Value::Object(members) = value else { return value.to_string() };
    ordered(members, &STATEMENT, |name, value| match name {
        "Effect" => effect(value).to_string(),
        "Principal" | "NotPrincipal" => principal(value).to_string(),
        "Action" | "NotAction" | "Resource" | "NotResource" => single(value.clone()).to_string(),
        _ => value.to_string(),
    })
}

fn ordered(
    object: &Map<String, Value>,
    order: &[&str],
    show: impl Fn(&str, &Value) -> String,
) -> String {
    let known = order.iter().filter_map(|name| Some((*name, object.get(*name)?)));
    let others = object.iter().filter(|(name, _)| !order.contains(&name.as_str()));
    let others = others.map(|(name, value)| (name.as_str(), value));
    let show = |(name, value)| format!("{}:{}", Value::from(name), show(name, value));
    let members: Vec<String> = known.chain(others).map(show).collect();
    format!("{{{}}}", members.join(","))
}

fn effect(value: &Value) -> Value {
    let known = ["Allow", "Deny"]
        .into_iter()
        .find(|known| value.as_str().is_some_and(|value| value.eq_ignore_ascii_case(known)));
    known.map_or_else(|| value.clone(), Value::from)
}

/// An account stands for its root, and nobody is named twice.
fn principal(value: &Value) -> Value {
    let Value::Object(kinds) = value else { return value.clone() };
    let shown = kinds.iter().map(|(kind, named)| {
        let named = match named {
            Value::Array(all) => all.as_slice(),
            one => std::slice::from_ref(one),
        };
        let mut all: Vec<Value> = Vec::new();
        for one in named.iter().map(root) {
            if !all.contains(&one) {
                all.push(one);
            }
        }
        (kind.clone(), single(Value::Array(all)))
    });
    Value::Object(shown.collect())
}

fn root(named: &Value) -> Value {
    match named.as_str() {
        Some(account)
            if account.len() == ACCOUNT_DIGITS
                && account.bytes().all(|digit| digit.is_ascii_digit()) =>
        {
            format!("arn:aws:iam::{account}:root").into()
        }
        _ => named.clone(),
    }
}

/// A list of one is that one.
fn single(value: Value) -> Value {
    match value {
        Value::Array(mut all) if all.len() == 1 => all.remove(0),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn a_policy_has_one_form() {
        let wanted = concat!(
            r#"{"Version":"2012-10-17","Statement":[{"Sid":"a","Effect":"Allow","#,
            r#""Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"dynamodb:GetItem","#,
            r#""Resource":["b","a"],"Condition":{"Bool":{"aws:SecureTransport":"true"}}}]}"#
        );
        for text in [
            wanted,
            r#"{"Statement": {"Resource": ["b", "a"], "Action": ["dynamodb:GetItem"],
                "Condition": {"Bool": {"aws:SecureTransport": "true"}}, "Effect": "allow",
                "Principal": {"AWS": ["111122223333", "arn:aws:iam::111122223333:root"]},
                "Sid": "a"}, "Version": "2012-10-17"}"#,
        ] {
            let policy = serde_json::from_str(text).expect("JSON of the test's own");
            assert_eq!(canonical(&policy), wanted, "{text}");
        }
    }
}
