//! What the regions say of themselves, asked for again and again.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;

use crate::config::Topology;
use crate::http_client::{Ask, Client};
use crate::status::{self, RegionReport};

/// How often each region is asked.
const INTERVAL: Duration = Duration::from_millis(100);
/// A region that does not answer for this long is shown as it was heard last, and as dead.
const TIMEOUT: Duration = Duration::from_millis(500);

/// The latest report of each region, by name; none if it does not answer.
pub(super) type Observed = BTreeMap<String, Option<RegionReport>>;

/// Starts asking; ends when nobody reads any more.
pub(super) fn start(topology: Topology) -> watch::Receiver<Observed> {
    let (publish, observed) = watch::channel(Observed::new());
    for region in topology.regions {
        let publish = publish.clone();
        tokio::spawn(async move {
            let mut client = Client::new(region.admin, TIMEOUT);
            while !publish.is_closed() {
                let report = ask(&mut client).await;
                publish.send_modify(|observed| {
                    observed.insert(region.name.clone(), report);
                });
                tokio::time::sleep(INTERVAL).await;
            }
        });
    }
    observed
}

async fn ask(client: &mut Client) -> Option<RegionReport> {
    let answer = client.ask(Ask::get(status::PATH)).await.ok()?;
    serde_json::from_slice(&answer.body).ok()
}
