//! The routes, and what each does.

use std::sync::RwLock;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Method, Request, StatusCode};
use serde_json::json;
use tokio::time::timeout;
use uuid::Uuid;

use crate::catalog::PRODUCTS;
use crate::http::{self, Problem, Reply, json_reply, read_json};
use crate::model::{self, ChargeRequest, Line, OrderRequest};
use crate::store::Store;

const PAGE: &str = include_str!("pages/index.html");
const HEALTH_DEADLINE: Duration = Duration::from_secs(1);
const DEFAULT_LIMIT: usize = 20;
const MAX_LIMIT: usize = 100;

type Answer = Result<Reply, Problem>;

#[derive(Debug)]
pub(crate) struct App {
    store: Store,
    region: String,
    pub(crate) region_header: HeaderValue,
    /// Why the tables cannot be used yet.
    not_ready: RwLock<Option<String>>,
}

impl App {
    pub(crate) fn new(store: Store, region: &str) -> Self {
        let region_header = HeaderValue::from_str(region).expect("a region's name is plain ASCII");
        let not_ready = RwLock::new(Some("the tables were not looked at yet".to_owned()));
        Self { store, region: region.to_owned(), region_header, not_ready }
    }

    /// Notes why the tables cannot be used, or, with `None`, that they can.
    pub(crate) fn set_not_ready(&self, why: Option<String>) {
        *self.not_ready.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = why;
    }

    fn not_ready(&self) -> Option<String> {
        self.not_ready.read().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }
}

/// Finds the route by path, then by method, so that a wrong method can be told from no route.
pub(crate) async fn dispatch(app: &App, request: Request<Incoming>) -> Answer {
    let path = request.uri().path().to_owned();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    // hyper leaves the body of an answer to HEAD out by itself.
    let method = match request.method() {
        &Method::HEAD => Method::GET,
        other => other.clone(),
    };
    match segments.as_slice() {
        [""] => only(&method, || http::page(PAGE.replace("{{region}}", &app.region))),
        ["products"] => {
            only(&method, || json_reply(StatusCode::OK, &json!({ "products": PRODUCTS })))
        }
        ["health"] if method == Method::GET => health(app).await,
        ["health"] => Err(Problem::not_allowed("GET")),
        ["orders", rest @ ..] if rest.len() < 2 => orders(app, method, rest, request).await,
        ["carts", cart, rest @ ..] => carts(app, method, cart, rest, request).await,
        ["likes", product] => likes(app, method, product).await,
        ["charges"] if method == Method::POST => charge(app, request).await,
        ["charges"] => Err(Problem::not_allowed("POST")),
        _ => Err(no_route(&path)),
    }
}

fn no_route(path: &str) -> Problem {
    Problem::not_found(format!("no route {path:?}"))
}

fn only(method: &Method, reply: impl FnOnce() -> Reply) -> Answer {
    if method == Method::GET { Ok(reply()) } else { Err(Problem::not_allowed("GET")) }
}

async fn health(app: &App) -> Answer {
    if let Some(why) = app.not_ready() {
        return Err(Problem::unavailable(why));
    }
    match timeout(HEALTH_DEADLINE, app.store.ping()).await {
        Ok(read) => read?,
        Err(_) => return Err(Problem::unavailable("the store did not answer within a second")),
    }
    Ok(json_reply(StatusCode::OK, &json!({ "status": "ok", "region": app.region })))
}

async fn orders(app: &App, method: Method, rest: &[&str], request: Request<Incoming>) -> Answer {
    match (method, rest) {
        (Method::GET, []) => list_orders(app, request.uri().query()).await,
        (Method::POST, []) => put_order(app, Uuid::now_v7(), StatusCode::CREATED, request).await,
        (_, []) => Err(Problem::not_allowed("GET, POST")),
        (Method::GET, [id]) => get_order(app, id).await,
        (Method::PUT, [id]) => {
            let id = model::order_id(id).map_err(Problem::invalid)?;
            put_order(app, id, StatusCode::OK, request).await
        }
        _ => Err(Problem::not_allowed("GET, PUT")),
    }
}

async fn put_order(app: &App, id: Uuid, status: StatusCode, request: Request<Incoming>) -> Answer {
    let asked: OrderRequest = read_json(request).await?;
    let order = asked.order(id, &app.region).map_err(Problem::invalid)?;
    app.store.put_order(&order).await?;
    Ok(json_reply(status, &order))
}

async fn get_order(app: &App, id: &str) -> Answer {
    let id = model::order_id(id).map_err(Problem::invalid)?.to_string();
    let order = app.store.order(&id).await?;
    let order = order.ok_or_else(|| Problem::not_found(format!("no order {id}")))?;
    Ok(json_reply(StatusCode::OK, &order))
}

async fn list_orders(app: &App, query: Option<&str>) -> Answer {
    let limit = limit(query).map_err(Problem::invalid)?;
    let listing = app.store.orders(limit).await?;
    let body = json!({ "orders": listing.orders, "complete": listing.complete });
    Ok(json_reply(StatusCode::OK, &body))
}

fn limit(query: Option<&str>) -> Result<usize, String> {
    let mut pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let Some((_, value)) = pairs.rfind(|(name, _)| *name == "limit") else {
        return Ok(DEFAULT_LIMIT);
    };
    let number = value.parse().ok().filter(|number| (1..=MAX_LIMIT).contains(number));
    number.ok_or_else(|| format!("limit must be 1 to {MAX_LIMIT}"))
}

async fn carts(
    app: &App,
    method: Method,
    cart: &str,
    rest: &[&str],
    request: Request<Incoming>,
) -> Answer {
    let cart = || model::name("cart", cart).map_err(Problem::invalid);
    match (method, rest) {
        (Method::GET, []) => get_cart(app, &cart()?).await,
        (_, []) => Err(Problem::not_allowed("GET")),
        (Method::POST, ["items"]) => put_line(app, &cart()?, request).await,
        (_, ["items"]) => Err(Problem::not_allowed("POST")),
        (Method::DELETE, ["items", sku]) => delete_line(app, &cart()?, sku).await,
        (_, ["items", _]) => Err(Problem::not_allowed("DELETE")),
        _ => Err(no_route(request.uri().path())),
    }
}

async fn get_cart(app: &App, cart: &str) -> Answer {
    let items = app.store.cart(cart).await?;
    Ok(json_reply(StatusCode::OK, &json!({ "cart_id": cart, "items": items })))
}

async fn put_line(app: &App, cart: &str, request: Request<Incoming>) -> Answer {
    let line: Line = read_json(request).await?;
    line.check().map_err(Problem::invalid)?;
    app.store.put_line(cart, &line).await?;
    let body = json!({ "cart_id": cart, "sku": line.sku, "qty": line.qty });
    Ok(json_reply(StatusCode::OK, &body))
}

async fn delete_line(app: &App, cart: &str, sku: &str) -> Answer {
    let sku = model::name("sku", sku).map_err(Problem::invalid)?;
    let removed = app.store.delete_line(cart, &sku).await?;
    let body = json!({ "cart_id": cart, "sku": sku, "removed": removed });
    Ok(json_reply(StatusCode::OK, &body))
}

async fn likes(app: &App, method: Method, product: &str) -> Answer {
    let product = model::name("product", product).map_err(Problem::invalid)?;
    let likes = match method {
        Method::GET => app.store.likes(&product).await?,
        Method::POST => app.store.like(&product).await?,
        _ => return Err(Problem::not_allowed("GET, POST")),
    };
    Ok(json_reply(StatusCode::OK, &json!({ "product": product, "likes": likes })))
}

async fn charge(app: &App, request: Request<Incoming>) -> Answer {
    let key = request.headers().get("idempotency-key");
    let key = key.ok_or_else(|| Problem::invalid("the Idempotency-Key header is missing"))?;
    let key = model::idempotency_key(key.to_str().unwrap_or_default()).map_err(Problem::invalid)?;
    let asked: ChargeRequest = read_json(request).await?;
    let charge = asked.charge(&key, Uuid::now_v7(), &app.region).map_err(Problem::invalid)?;
    let (charge, replayed) = app.store.charge(charge).await?;
    let mut body = serde_json::to_value(&charge).expect("a charge is plain JSON");
    body["replayed"] = replayed.into();
    let status = if replayed { StatusCode::OK } else { StatusCode::CREATED };
    Ok(json_reply(status, &body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_and_bounded() {
        assert_eq!(limit(None), Ok(DEFAULT_LIMIT));
        assert_eq!(limit(Some("a=b&limit=7")), Ok(7));
        for bad in ["limit=0", "limit=101", "limit=x", "limit=-1"] {
            assert!(limit(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_page_has_a_place_for_the_region() {
        assert!(PAGE.contains("{{region}}"));
    }
}
