//! The applications of this region, probed by the region itself for its deep health.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::config::Topology;
use crate::http_client::{Ask, Client};

/// How often each application is asked.
const INTERVAL: Duration = Duration::from_millis(100);
/// An application that takes longer does not answer.
const TIMEOUT: Duration = Duration::from_secs(1);

/// What the applications last answered: an error text, or none if all is well.
#[derive(Clone, Debug)]
pub(super) struct Services {
    latest: watch::Receiver<Arc<BTreeMap<String, Option<String>>>>,
}

impl Services {
    /// By application: why it is not healthy, or `None`.
    pub(super) fn latest(&self) -> Arc<BTreeMap<String, Option<String>>> {
        Arc::clone(&self.latest.borrow())
    }
}

/// Starts asking the applications of `region`; ends when nobody reads any more.
pub(super) fn watch(topology: &Topology, region: &str) -> Services {
    let here = topology.services.iter().filter_map(|service| {
        let address = *service.endpoint.get(region)?;
        Some((service.name.clone(), service.health_path.clone(), address))
    });
    let here: Vec<_> = here.collect();
    let unknown = |name: &String| (name.clone(), Some("not asked yet".to_string()));
    let first: BTreeMap<String, Option<String>> =
        here.iter().map(|(name, _, _)| unknown(name)).collect();
    let (publish, latest) = watch::channel(Arc::new(first));
    for (name, path, address) in here {
        let publish = publish.clone();
        tokio::spawn(async move {
            let mut client = Client::new(address, TIMEOUT);
            while !publish.is_closed() {
                let answer = ask(&mut client, &path).await;
                publish.send_modify(|latest| {
                    Arc::make_mut(latest).insert(name.clone(), answer);
                });
                tokio::time::sleep(INTERVAL).await;
            }
        });
    }
    Services { latest }
}

async fn ask(client: &mut Client, path: &str) -> Option<String> {
    match client.ask(Ask::get(path)).await {
        Ok(answer) if answer.status.is_success() => None,
        Ok(answer) => Some(format!("answers {}", answer.status)),
        Err(error) => Some(error.to_string()),
    }
}
