//! The shop's reads and writes: one DynamoDB call each, nothing held in between.

use std::fmt;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Region, SharedHttpClient};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::ReturnValue;
use aws_smithy_http_client::Builder;

use crate::config::Config;
use crate::model::{self, Charge, Item, Line, Order, text};

pub(crate) const ORDERS: &str = "shop-orders";
pub(crate) const CARTS: &str = "shop-carts";
pub(crate) const LIKES: &str = "shop-likes";
pub(crate) const CHARGES: &str = "shop-charges";

/// How much of the orders a listing reads before it stops looking for newer ones.
const SCAN_CAP: usize = 1000;
const CONNECT: Duration = Duration::from_secs(1);
const ATTEMPT: Duration = Duration::from_secs(2);
const OPERATION: Duration = Duration::from_secs(5);
const ATTEMPTS: u32 = 3;

/// The store did not do it: which call, and what was said.
#[derive(Debug)]
pub(crate) struct StoreError(String);

impl fmt::Display for StoreError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Orders read by a listing, and whether that was all of them.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) orders: Vec<Order>,
    pub(crate) complete: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Store {
    client: Client,
}

pub(crate) fn client(config: &Config) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(OPERATION)
        .build();
    let mut sdk = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(config.region.clone()))
        .credentials_provider(config.credentials.clone())
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .http_client(http_client());
    sdk.set_endpoint_url(config.endpoint.clone());
    Client::from_conf(sdk.build())
}

#[cfg(not(feature = "tls"))]
fn http_client() -> SharedHttpClient {
    Builder::new().build_http()
}

#[cfg(feature = "tls")]
fn http_client() -> SharedHttpClient {
    use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
    Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}

/// Says what went wrong, by the service's own code where it answered.
pub(crate) fn describe<E>(call: &str, error: &SdkError<E>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let mut told = format!("{call}: ");
    if let Some(code) = error.code() {
        told += code;
        if let Some(message) = error.message() {
            told += ": ";
            told += message;
        }
        return StoreError(told);
    }
    told += &error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        told += ": ";
        told += &error.to_string();
        source = error.source();
    }
    StoreError(told)
}

impl Store {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// One eventually consistent read of a key nobody writes.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        let read = self.client.get_item().table_name(LIKES).key("product", text("shop.health"));
        // Whoever asks asks again, and wants to know now.
        read.customize()
            .config_override(once())
            .send()
            .await
            .map(drop)
            .map_err(|error| describe("GetItem", &error))
    }

    pub(crate) async fn put_order(&self, order: &Order) -> Result<(), StoreError> {
        let put = self.client.put_item().table_name(ORDERS).set_item(Some(order.item()));
        put.send().await.map(drop).map_err(|error| describe("PutItem", &error))
    }

    pub(crate) async fn order(&self, id: &str) -> Result<Option<Order>, StoreError> {
        let item = self.get(ORDERS, "order_id", id).await?;
        item.map(|item| Order::from_item(&item).ok_or_else(|| unreadable(ORDERS, id))).transpose()
    }

    /// The newest orders among the first thousand scanned: a table has no order of its own.
    pub(crate) async fn orders(&self, limit: usize) -> Result<Listing, StoreError> {
        let mut orders = Vec::new();
        let mut scanned = 0;
        let mut start = None;
        loop {
            let page_size = i32::try_from(SCAN_CAP - scanned).expect("the cap is small");
            let scan = self.client.scan().table_name(ORDERS).limit(page_size);
            let page = scan.set_exclusive_start_key(start).send().await;
            let page = page.map_err(|error| describe("Scan", &error))?;
            scanned += page.items().len();
            orders.extend(page.items().iter().filter_map(Order::from_item));
            start = page.last_evaluated_key;
            if start.is_none() || scanned >= SCAN_CAP {
                break;
            }
        }
        orders.sort_by(|a, b| b.order_id.cmp(&a.order_id));
        orders.truncate(limit);
        Ok(Listing { orders, complete: start.is_none() })
    }

    /// Sets the quantity: saying it twice is saying it once, and regions do not add up twice.
    pub(crate) async fn put_line(&self, cart: &str, line: &Line) -> Result<(), StoreError> {
        let put = self.client.put_item().table_name(CARTS).item("cart_id", text(cart));
        let put = put.item("sku", text(&line.sku)).item("qty", model::number(line.qty));
        put.send().await.map(drop).map_err(|error| describe("PutItem", &error))
    }

    pub(crate) async fn cart(&self, cart: &str) -> Result<Vec<Line>, StoreError> {
        let mut lines = Vec::new();
        let mut start = None;
        loop {
            let query = self.client.query().table_name(CARTS).consistent_read(true);
            let query = query
                .key_condition_expression("cart_id = :cart")
                .expression_attribute_values(":cart", text(cart));
            let page = query.set_exclusive_start_key(start).send().await;
            let page = page.map_err(|error| describe("Query", &error))?;
            lines.extend(page.items().iter().filter_map(Line::from_item));
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(lines);
            }
        }
    }

    /// Whether the line was there.
    pub(crate) async fn delete_line(&self, cart: &str, sku: &str) -> Result<bool, StoreError> {
        let delete = self.client.delete_item().table_name(CARTS).key("cart_id", text(cart));
        let delete = delete.key("sku", text(sku)).return_values(ReturnValue::AllOld);
        let done = delete.send().await.map_err(|error| describe("DeleteItem", &error))?;
        Ok(done.attributes.is_some_and(|old| !old.is_empty()))
    }

    /// The count after this one.
    pub(crate) async fn like(&self, product: &str) -> Result<u64, StoreError> {
        let update = self.client.update_item().table_name(LIKES).key("product", text(product));
        let update = update
            .update_expression("ADD likes :one")
            .expression_attribute_values(":one", model::number(1_u8))
            .return_values(ReturnValue::UpdatedNew);
        // An addition whose answer was lost would count twice: whether to repeat it is the
        // caller's decision.
        let done = update.customize().config_override(once()).send().await;
        let done = done.map_err(|error| describe("UpdateItem", &error))?;
        let likes = done.attributes().and_then(|item| model::get_number(item, "likes"));
        likes.ok_or_else(|| unreadable(LIKES, product))
    }

    pub(crate) async fn likes(&self, product: &str) -> Result<u64, StoreError> {
        let item = self.get(LIKES, "product", product).await?;
        Ok(item.and_then(|item| model::get_number(&item, "likes")).unwrap_or(0))
    }

    /// Stores the charge unless its key is taken; the charge that stands, and whether it is older.
    pub(crate) async fn charge(&self, charge: Charge) -> Result<(Charge, bool), StoreError> {
        let put = self.client.put_item().table_name(CHARGES).set_item(Some(charge.item()));
        let put = put.condition_expression("attribute_not_exists(idempotency_key)");
        match put.send().await {
            Ok(_) => return Ok((charge, false)),
            Err(SdkError::ServiceError(refused))
                if refused.err().is_conditional_check_failed_exception() => {}
            Err(error) => return Err(describe("PutItem", &error)),
        }
        let key = &charge.idempotency_key;
        let item = self.get(CHARGES, "idempotency_key", key).await?;
        let stored = item.as_ref().and_then(Charge::from_item);
        let stored = stored.ok_or_else(|| unreadable(CHARGES, key))?;
        // The SDK repeats a put whose answer was lost; then the charge in the way is our own.
        let replayed = stored.charge_id != charge.charge_id;
        Ok((stored, replayed))
    }

    /// Consistent, so that a caller reads what it has just written here.
    async fn get(&self, table: &str, key: &str, value: &str) -> Result<Option<Item>, StoreError> {
        let read = self.client.get_item().table_name(table).key(key, text(value));
        let found = read.consistent_read(true).send().await;
        found.map(|found| found.item).map_err(|error| describe("GetItem", &error))
    }
}

fn once() -> aws_sdk_dynamodb::config::Builder {
    aws_sdk_dynamodb::config::Builder::new().retry_config(RetryConfig::disabled())
}

fn unreadable(table: &str, key: &str) -> StoreError {
    StoreError(format!("{table}: the item of {key:?} is not one of the shop's"))
}
