//! The regions that take part: `GET /v1/regions`, `POST /v1/regions`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Incoming;
use pangea_core::catalog::Catalog;
use pangea_core::id::{Origin, RegionSlot, TableId};
use pangea_core::membership::{Inapplicable, Membership, Region as Life, RegionState};
use pangea_core::node::{Closed, Directive, DirectiveRefusal, Outcome};
use pangea_core::time::{Hlc, Stamp};
use serde_json::json;

use super::Region;
use super::admin::problem;
use crate::http::{self, Reply, json as json_reply};
use crate::metrics::Scrape;
use crate::peer::link::Peer;
use crate::regions::{Member, Newcomer, Over, Report, Verb, Wish};
use crate::versions::format_stamp;

/// Largest request body: a region's name and where it is.
const BODY_BYTES_MAX: usize = 4096;

/// Why the region takes no writes, for people; completes "this region refuses writes: it …".
pub(super) fn why(closed: Closed) -> String {
    match closed {
        Closed::LogLost { peer, known } => log_lost(peer, known),
        closed => format!("it {closed}"),
    }
}

/// What to do about a log that is lost.
pub(super) fn log_lost(peer: RegionSlot, known: Hlc) -> String {
    let cause = lost_directory(peer, known);
    format!("{cause}. Writes are refused, so that the regions do not diverge. {RECOVERY}")
}

/// What whoever runs a region does that has lost its log.
const RECOVERY: &str = "Put the right directory back; or give the region up and take it back: \
                        `pangea region evict`, then `pangea region rejoin`";

fn lost_directory(peer: RegionSlot, known: Hlc) -> String {
    format!(
        "peer {peer} has applied writes of this region up to {known} that are not in this data \
         directory: it was lost, or an older copy was put in its place"
    )
}

/// Answers `GET /v1/regions`.
pub(super) fn list(region: &Region) -> Reply {
    json_reply(StatusCode::OK, &report(region))
}

fn report(region: &Region) -> Report {
    let catalog = region.catalog();
    let membership = catalog.membership();
    let members = membership.regions.iter().map(|(&slot, life)| Member {
        name: region.region_name(slot),
        id: slot.get(),
        state: life.state.to_string(),
        since: life.since,
        life: life.life,
        over: over(region, &catalog, slot),
    });
    Report {
        generation: membership.generation,
        told_by: region.name.clone(),
        regions: members.collect(),
    }
}

/// The lives of a region that are over, and how much of them is here.
fn over(region: &Region, catalog: &Catalog, slot: RegionSlot) -> Vec<Over> {
    let progress = region.writer.progress();
    let progress = progress.borrow();
    let voices = catalog.voices();
    let membership = catalog.membership();
    let claims = |origin: Origin| {
        let others = voices.iter().filter(|(slot, _)| !membership.is_gone(**slot));
        others.filter_map(move |(_, voice)| voice.claims.get(&origin)).map(|claim| claim.newest)
    };
    let known = voices.get(&region.slot).into_iter().flat_map(|voice| voice.claims.keys());
    let of_slot = known.filter(|origin| origin.slot() == slot && !membership.admits(**origin));
    let of_slot = of_slot.map(|&origin| {
        let hlc = progress.applied.get(&origin).copied().unwrap_or_default();
        Over {
            life: origin.incarnation(),
            through: format_stamp(Stamp { hlc, origin }),
            levelled: claims(origin).all(|newest| newest <= hlc),
        }
    });
    of_slot.collect()
}

/// Answers `POST /v1/regions`.
pub(super) async fn change(region: &Arc<Region>, body: Incoming) -> Reply {
    let Ok(body) = http::body(body, BODY_BYTES_MAX).await else {
        return problem(StatusCode::BAD_REQUEST, "no body, or too large a one");
    };
    let wish: Wish = match serde_json::from_slice(&body) {
        Ok(wish) => wish,
        Err(error) => return problem(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    if let Some(newcomer) = &wish.newcomer
        && let Err(why) = meet(region, &wish.region, newcomer)
    {
        return problem(StatusCode::CONFLICT, &why);
    }
    let Some(slot) = region.slot_of(&wish.region) else {
        let text = format!("no region `{}` is known to {}", wish.region, region.name);
        return problem(StatusCode::NOT_FOUND, &text);
    };
    let Some(directive) = directive(wish.action, slot) else {
        return json_reply(StatusCode::OK, &report(region));
    };
    match region.writer.govern(directive).await {
        Ok(Outcome::Governed { .. }) => json_reply(StatusCode::OK, &report(region)),
        Ok(Outcome::Ungoverned(refusal)) => refused(region, &refusal),
        Ok(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "the writer answered something else"),
        Err(fault) => problem(StatusCode::SERVICE_UNAVAILABLE, &fault.to_string()),
    }
}

/// Links with a region that the topology of this process does not have.
fn meet(region: &Region, name: &str, newcomer: &Newcomer) -> Result<(), String> {
    let slot = RegionSlot::new(newcomer.id).ok_or("no such id")?;
    let taken = region.links.peers().into_iter().find(|it| (it.slot == slot) != (it.name == name));
    if slot == region.slot || name == region.name || taken.is_some() {
        return Err(format!("the name {name} or the id {slot} is another region's"));
    }
    region.links.add_peer(Peer {
        slot,
        name: name.to_string(),
        address: newcomer.peer.clone(),
        delay: Duration::from_millis(newcomer.rtt_ms) / 2,
    });
    Ok(())
}

fn directive(verb: Verb, slot: RegionSlot) -> Option<Directive> {
    Some(match verb {
        Verb::Meet => return None,
        Verb::Add => Directive::Add(slot),
        Verb::Suspend => Directive::Suspend(slot),
        Verb::Resume => Directive::Resume(slot),
        Verb::Evict => Directive::Evict(slot),
        Verb::Remove => Directive::Remove(slot),
        Verb::Rejoin => Directive::Rejoin(slot),
    })
}

/// 409 if it will never be, 503 if another region may do it, or this one later.
fn refused(region: &Region, refusal: &DirectiveRefusal) -> Reply {
    let status = match refusal {
        DirectiveRefusal::Closed(_)
        | DirectiveRefusal::Stranger
        | DirectiveRefusal::Busy
        | DirectiveRefusal::Undecided
        | DirectiveRefusal::NoMajority { .. } => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::CONFLICT,
    };
    let text = match refusal {
        DirectiveRefusal::Private(tables) => {
            let catalog = region.catalog();
            let name = |id: &TableId| {
                catalog.get(*id).map_or_else(|| id.to_string(), |it| it.name.clone())
            };
            let names: Vec<String> = tables.iter().map(name).collect();
            format!("{refusal}: {}", names.join(", "))
        }
        DirectiveRefusal::Inapplicable(why) => inapplicable(region, why),
        refusal => refusal.to_string(),
    };
    json_reply(status, &json!({ "error": text }))
}

/// Why a change is not for the region that it is about, and what is.
fn inapplicable(region: &Region, why: &Inapplicable) -> String {
    let name = |slot: &RegionSlot| region.region_name(*slot);
    match why {
        Inapplicable::State(slot, state) => {
            let next = match state {
                RegionState::Joining => "it is ACTIVE once it has copied everything",
                RegionState::Active => "it may be suspended, evicted or removed",
                RegionState::Suspended => "it may be resumed, evicted or removed",
                RegionState::Leaving => "it is REMOVED once the others have all that it wrote",
                RegionState::Evicted | RegionState::Removed => "it may rejoin",
            };
            format!("{} is {state}: {next}", name(slot))
        }
        Inapplicable::Unknown(slot) => {
            format!("{} is not a member: `pangea region add` makes it one", name(slot))
        }
        Inapplicable::Last(slot) => {
            format!("{} is the last region that votes: nobody could take it back", name(slot))
        }
        Inapplicable::LastActive(slot) => format!(
            "{} is the last region that is ACTIVE: nothing would be served; resume another first",
            name(slot)
        ),
        Inapplicable::Life(slot, life) => {
            format!("{} had the incarnation {life} before: ask again", name(slot))
        }
    }
}

/// Why the region serves neither reads nor writes, if by decision of the regions it does not.
pub(super) fn unserved(region: &Region, catalog: &Catalog) -> Option<String> {
    let observed = region.writer.observed();
    refusal(&region.name, catalog.membership(), observed.origin, observed.closed)
}

/// See [`unserved`], of the life `me` that takes no writes for the reason `closed`.
///
/// Named, because another region's client may be told so.
fn refusal(
    name: &str,
    membership: &Membership,
    me: Origin,
    closed: Option<Closed>,
) -> Option<String> {
    match (Closed::decided(membership, me)?, closed) {
        // What it has is right, and others may have less.
        (Closed::Leaving, _) => None,
        // It begins a life that is none of those which take part, but nobody gave it up.
        (Closed::Evicted { .. }, Some(Closed::LogLost { peer, known })) => {
            let cause = lost_directory(peer, known);
            Some(format!(
                "region {name} serves neither reads nor writes: {cause}. Ask another region. \
                 {RECOVERY}"
            ))
        }
        (Closed::Evicted { generation }, _) if !membership.is_gone(me.slot()) => Some(format!(
            "region {name} takes part with another life since generation {generation} of the \
             membership: it begins that one by itself, if it did not lose its data directory. Try \
             again, or ask another region; its /healthz says how it stands"
        )),
        (decided, _) => Some(format!("region {name} {decided}")),
    }
}

/// The newest generation of the membership that this region knows.
pub(super) fn generation(region: &Region) -> u32 {
    region.catalog().membership().generation
}

/// What the regions have decided about each of them, by name.
pub(super) fn states(region: &Region) -> BTreeMap<String, String> {
    let catalog = region.catalog();
    let regions = catalog.membership().regions.iter();
    regions.map(|(slot, life)| (region.region_name(*slot), life.state.to_string())).collect()
}

/// The word for what this region is among the regions.
pub(super) fn state(region: &Region) -> String {
    let catalog = region.catalog();
    let state = catalog.membership().state(region.slot);
    state.map_or_else(|| "STRANGER".to_string(), |state| state.to_string())
}

/// The metrics of who takes part.
pub(super) fn scrape(region: &Region, scrape: &mut Scrape) {
    let catalog = region.catalog();
    let membership = catalog.membership();
    let generation = [(Vec::new(), f64::from(membership.generation))];
    let help = "Generation of the membership that this region knows";
    scrape.gauge("pangea_membership_generation", help, generation);
    let state = |(&slot, life): (&RegionSlot, &Life)| {
        let name = ("region", region.region_name(slot));
        (vec![name, ("state", life.state.to_string())], 1.0)
    };
    let states = membership.regions.iter().map(state);
    scrape.gauge("pangea_membership_state", "The state of each region", states);
    let fenced = [(Vec::new(), region.writer.observed().counts.fenced)];
    let help = "Times that a life which is over went on to send";
    scrape.counter("pangea_replication_fenced", help, fenced);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_that_lost_its_log_is_not_said_to_have_been_evicted() {
        let slot = RegionSlot::new(2).expect("a slot");
        let (lived, new) = (Origin::new(slot, 7), Origin::new(slot, 8));
        let life =
            |state| Life { state, life: Some(lived.incarnation()), used: Vec::new(), since: 3 };
        let of = |state| Membership {
            generation: 5,
            regions: [(slot, life(state))].into(),
            ..Membership::default()
        };
        let lost = Closed::LogLost { peer: RegionSlot::new(0).expect("a slot"), known: Hlc::ZERO };
        let active = of(RegionState::Active);
        assert_eq!(refusal("here", &active, lived, None), None);
        assert_eq!(
            refusal("here", &active, lived, Some(lost)),
            None,
            "its reads are right, only old"
        );
        let told = refusal("here", &active, new, Some(lost)).expect("it serves nothing");
        assert!(!told.contains("was evicted"), "{told}");
        assert!(told.contains("was lost") && told.contains("`pangea region evict`"), "{told}");
        let told = refusal("here", &active, new, None).expect("it serves nothing");
        assert!(!told.contains("was evicted") && told.contains("generation 3"), "{told}");
        for closed in [None, Some(lost)] {
            let told = refusal("here", &of(RegionState::Removed), new, closed).expect("it is gone");
            assert!(told.contains("was removed"), "{told}");
        }
        let told = refusal("here", &of(RegionState::Evicted), new, None).expect("it is gone");
        assert!(told.contains("was evicted in generation 5"), "{told}");
    }
}
