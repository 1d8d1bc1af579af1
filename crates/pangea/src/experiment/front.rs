//! Clients of the sample application: orders through the front door, accelerator or DNS, each
//! under an identity of its own, so that every one of them must be found.

use std::net::{IpAddr, SocketAddr};

use super::dns::Resolver;
use super::load::{Ground, Path, Told, Written, wall_ms};
use crate::http_client::{Ask, Client};

/// Orders through the accelerator on a kept-alive connection.
pub(super) async fn through_accelerator(ground: Ground, accelerator: SocketAddr) {
    let mut client = Client::new(accelerator, ground.timeout);
    loop {
        ground.request(Path::Accelerator, None, order(&mut client)).await;
        if !ground.rest().await {
            return;
        }
    }
}

/// Orders to whatever address the name has, looked up again when the answer's lifetime is over.
pub(super) async fn through_dns(ground: Ground, mut resolver: Resolver, port: u16) {
    let mut client: Option<(IpAddr, Client)> = None;
    loop {
        let request = async {
            let ip = match resolver.address().await {
                Err(error) => return Told::error(error),
                Ok(ip) => ip,
            };
            if client.as_ref().is_none_or(|(known, _)| *known != ip) {
                let fresh = Client::new(SocketAddr::new(ip, port), ground.timeout);
                client = Some((ip, fresh));
            }
            match &mut client {
                Some((_, client)) => order(client).await,
                None => Told::error("no client"),
            }
        };
        ground.request(Path::Dns, None, request).await;
        if !ground.rest().await {
            return;
        }
    }
}

async fn order(client: &mut Client) -> Told {
    let id = uuid_v7();
    let body = serde_json::json!({
        "customer": "experiment",
        "cart": [{"sku": "mug", "qty": 1}],
    });
    let path = format!("/orders/{id}");
    let ask = Ask {
        method: hyper::Method::PUT,
        path: &path,
        headers: &[("content-type", "application/json")],
        body: body.to_string().into(),
    };
    match client.ask(ask).await {
        Err(error) => Told::error(error),
        Ok(answer) => {
            let served_by = answer.headers.get("x-served-by");
            let served_by = served_by.and_then(|name| name.to_str().ok()).map(str::to_string);
            if answer.status.is_success() {
                let written = Some(Written::Order(id));
                return Told { served_by, written, ..Told::default() };
            }
            let text = String::from_utf8_lossy(&answer.body);
            let error = Some(format!("{} {}", answer.status, text.trim()));
            Told { served_by, error, ..Told::default() }
        }
    }
}

/// A fresh UUID of version 7: time first, then randomness (RFC 9562, section 5.7).
fn uuid_v7() -> String {
    let ms = u128::from(wall_ms());
    let mut random = [0; 10];
    getrandom::fill(&mut random).expect("the kernel has randomness");
    let random = random.iter().fold(0_u128, |sum, byte| (sum << 8) | u128::from(*byte));
    let bits = (ms & 0xffff_ffff_ffff) << 80
        | 0x7 << 76
        | (random >> 68 & 0xfff) << 64
        | 0b10 << 62
        | (random & 0x3fff_ffff_ffff_ffff);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
