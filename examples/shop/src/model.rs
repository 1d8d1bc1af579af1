//! What the shop keeps, how callers may say it, and how it lies in a table's items.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::catalog;

pub(crate) type Item = HashMap<String, AttributeValue>;

const MAX_NAME: usize = 64;
const MAX_KEY: usize = 128;
const MAX_LINES: usize = 100;
const MAX_QTY: u32 = 999;
const MAX_AMOUNT: u64 = 1_000_000_000;

/// One SKU and how many of it, in a cart or in an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) sku: String,
    pub(crate) qty: u32,
}

#[derive(Debug, Deserialize)]
pub(crate) struct OrderRequest {
    #[serde(default = "guest")]
    pub(crate) customer: String,
    pub(crate) cart: Vec<Line>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ChargeRequest {
    /// In cents.
    pub(crate) amount: u64,
    pub(crate) order_id: String,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Order {
    pub(crate) order_id: String,
    /// The region that took the order, which need not be the one that shows it.
    pub(crate) region: String,
    pub(crate) customer: String,
    pub(crate) cart: Vec<Line>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) total_cents: Option<u64>,
    /// Milliseconds since 1970, out of the id: putting an order twice stores the same item twice.
    pub(crate) created_at: u64,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Charge {
    pub(crate) idempotency_key: String,
    pub(crate) charge_id: String,
    pub(crate) order_id: String,
    pub(crate) amount: u64,
    pub(crate) region: String,
    pub(crate) charged_at: u64,
}

fn guest() -> String {
    "guest".to_owned()
}

impl Line {
    pub(crate) fn check(&self) -> Result<(), String> {
        name("sku", &self.sku)?;
        if !(1..=MAX_QTY).contains(&self.qty) {
            return Err(format!("qty must be 1 to {MAX_QTY}"));
        }
        Ok(())
    }

    fn attribute(&self) -> AttributeValue {
        AttributeValue::M(HashMap::from([
            ("sku".to_owned(), text(&self.sku)),
            ("qty".to_owned(), number(self.qty)),
        ]))
    }

    pub(crate) fn from_item(item: &Item) -> Option<Self> {
        Some(Self { sku: get_text(item, "sku")?, qty: get_number(item, "qty")? })
    }
}

impl OrderRequest {
    /// The order this request makes under `id`, in `region`.
    pub(crate) fn order(self, id: Uuid, region: &str) -> Result<Order, String> {
        let length = self.customer.chars().count();
        if !(1..=MAX_KEY).contains(&length) || self.customer.chars().any(char::is_control) {
            return Err(format!("customer must be 1 to {MAX_KEY} printable characters"));
        }
        if !(1..=MAX_LINES).contains(&self.cart.len()) {
            return Err(format!("cart must hold 1 to {MAX_LINES} lines"));
        }
        self.cart.iter().try_for_each(Line::check)?;
        Ok(Order {
            order_id: id.to_string(),
            region: region.to_owned(),
            customer: self.customer,
            total_cents: catalog::total_cents(&self.cart),
            cart: self.cart,
            created_at: millis(id),
        })
    }
}

impl Order {
    pub(crate) fn item(&self) -> Item {
        let lines = self.cart.iter().map(Line::attribute).collect();
        let mut item = Item::from([
            ("order_id".to_owned(), text(&self.order_id)),
            ("region".to_owned(), text(&self.region)),
            ("customer".to_owned(), text(&self.customer)),
            ("cart".to_owned(), AttributeValue::L(lines)),
            ("created_at".to_owned(), number(self.created_at)),
        ]);
        if let Some(total) = self.total_cents {
            item.insert("total_cents".to_owned(), number(total));
        }
        item
    }

    /// `None` when the item was not written by the shop.
    pub(crate) fn from_item(item: &Item) -> Option<Self> {
        let lines = item.get("cart")?.as_l().ok()?;
        Some(Self {
            order_id: get_text(item, "order_id")?,
            region: get_text(item, "region")?,
            customer: get_text(item, "customer")?,
            cart: lines
                .iter()
                .map(|line| Line::from_item(line.as_m().ok()?))
                .collect::<Option<_>>()?,
            total_cents: get_number(item, "total_cents"),
            created_at: get_number(item, "created_at")?,
        })
    }
}

impl ChargeRequest {
    pub(crate) fn charge(self, key: &str, id: Uuid, region: &str) -> Result<Charge, String> {
        if !(1..=MAX_AMOUNT).contains(&self.amount) {
            return Err(format!("amount must be 1 to {MAX_AMOUNT} cents"));
        }
        Ok(Charge {
            idempotency_key: key.to_owned(),
            charge_id: id.to_string(),
            order_id: order_id(&self.order_id)?.to_string(),
            amount: self.amount,
            region: region.to_owned(),
            charged_at: millis(id),
        })
    }
}

impl Charge {
    pub(crate) fn item(&self) -> Item {
        Item::from([
            ("idempotency_key".to_owned(), text(&self.idempotency_key)),
            ("charge_id".to_owned(), text(&self.charge_id)),
            ("order_id".to_owned(), text(&self.order_id)),
            ("amount".to_owned(), number(self.amount)),
            ("region".to_owned(), text(&self.region)),
            ("charged_at".to_owned(), number(self.charged_at)),
        ])
    }

    pub(crate) fn from_item(item: &Item) -> Option<Self> {
        Some(Self {
            idempotency_key: get_text(item, "idempotency_key")?,
            charge_id: get_text(item, "charge_id")?,
            order_id: get_text(item, "order_id")?,
            amount: get_number(item, "amount")?,
            region: get_text(item, "region")?,
            charged_at: get_number(item, "charged_at")?,
        })
    }
}

/// A SKU, cart or product name: what fits a path segment unescaped.
pub(crate) fn name(what: &str, value: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._~:@-".contains(c);
    if value.is_empty() || value.len() > MAX_NAME || !value.chars().all(plain) {
        return Err(format!(
            "{what} must be 1 to {MAX_NAME} characters of A-Z a-z 0-9 . _ ~ : @ -"
        ));
    }
    Ok(value.to_owned())
}

/// Ids carry their time, which is what sorts the orders; hence version 7 and no other.
pub(crate) fn order_id(value: &str) -> Result<Uuid, String> {
    match Uuid::try_parse(value) {
        Ok(id) if id.get_version_num() == 7 => Ok(id),
        _ => Err("an order id must be a UUID of version 7".to_owned()),
    }
}

pub(crate) fn idempotency_key(value: &str) -> Result<String, String> {
    if value.is_empty() || value.len() > MAX_KEY || !value.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(format!("Idempotency-Key must be 1 to {MAX_KEY} visible ASCII characters"));
    }
    Ok(value.to_owned())
}

/// A version 7 id begins with its 48 bits of milliseconds.
fn millis(id: Uuid) -> u64 {
    u64::try_from(id.as_u128() >> 80).expect("48 bits fit in 64")
}

pub(crate) fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

pub(crate) fn number(value: impl Into<u64>) -> AttributeValue {
    AttributeValue::N(value.into().to_string())
}

fn get_text(item: &Item, name: &str) -> Option<String> {
    item.get(name)?.as_s().ok().cloned()
}

pub(crate) fn get_number<T: std::str::FromStr>(item: &Item, name: &str) -> Option<T> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    fn request(json: &str) -> OrderRequest {
        serde_json::from_str(json).expect("a request")
    }

    #[test]
    fn an_order_survives_its_item() {
        let id = order_id(ID).expect("version 7");
        let order = request(r#"{"cart":[{"sku":"mug","qty":2}],"customer":"Ada"}"#)
            .order(id, "us-east-1")
            .expect("valid");
        assert_eq!(order.total_cents, Some(3600));
        assert_eq!(order.created_at, 0x0189_0a5d_ac96);
        assert_eq!(Order::from_item(&order.item()), Some(order));
    }

    #[test]
    fn a_charge_survives_its_item() {
        let id = order_id(ID).expect("version 7");
        let charge = ChargeRequest { amount: 5, order_id: ID.to_uppercase() }
            .charge("k", id, "us-east-1")
            .expect("valid");
        assert_eq!(charge.order_id, ID, "ids are kept in one spelling");
        assert_eq!(Charge::from_item(&charge.item()), Some(charge));
    }

    #[test]
    fn a_strange_item_is_no_order() {
        assert_eq!(Order::from_item(&Item::from([("order_id".to_owned(), text(ID))])), None);
    }

    #[test]
    fn bad_orders_are_refused() {
        for json in [
            r#"{"cart":[]}"#,
            r#"{"cart":[{"sku":"mug","qty":0}]}"#,
            r#"{"cart":[{"sku":"mug","qty":1000}]}"#,
            r#"{"cart":[{"sku":"a b","qty":1}]}"#,
            r#"{"cart":[{"sku":"mug","qty":1}],"customer":""}"#,
            r#"{"cart":[{"sku":"mug","qty":1}],"customer":"a\nb"}"#,
        ] {
            assert!(request(json).order(Uuid::now_v7(), "r").is_err(), "{json}");
        }
    }

    #[test]
    fn ids_and_names_are_checked() {
        assert!(order_id("6b1e0a4c-3f1e-4c55-9e0d-8d4b5f0d9a11").is_err(), "version 4");
        assert!(order_id("nonsense").is_err());
        assert!(name("sku", "a/b").is_err() && name("sku", "").is_err());
        assert!(name("sku", &"a".repeat(65)).is_err() && name("sku", "mug-1").is_ok());
        assert!(idempotency_key("a b").is_err() && idempotency_key("a-1").is_ok());
    }
}
