//! What a name server says: a pure look-up in a snapshot.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::net::IpAddr;

use super::compile::{SetTable, ZoneTable};
use super::config::{Branch, Data, Policy, RecordType, RegionRecords, Soa, WeightedRecords};
use super::name::{Name, parent};
use super::network::Match;
use super::rank::{Distance, RoutingSnapshot, Tier};
use crate::id::RegionSlot;

/// CNAMEs followed inside our zones before the rest is left to the resolver: cuts loops.
const CNAME_HOPS_MAX: usize = 8;

/// A question of class IN.
#[derive(Clone, Copy, Debug)]
pub struct Question<'q> {
    /// The name in key form ([`Name::as_bytes`], [`super::Key::as_bytes`]).
    pub name: &'q [u8],
    /// The type.
    pub kind: RecordType,
    /// Who asks.
    pub client: Client,
    /// Any number: decides shares of weighted sets and the order of equal values.
    pub dice: u64,
}

/// Who asks, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Where the question came from: mostly a resolver.
    pub addr: IpAddr,
    /// The client subnet that the resolver told (RFC 7871).
    pub subnet: Option<Subnet>,
}

/// A client subnet as asked for; bits beyond `len` are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// Its first address.
    pub addr: IpAddr,
    /// Source prefix length; 0 is "do not use the client's address" (RFC 7871, 7.1.2).
    pub len: u8,
}

impl Client {
    /// The address that decides: the subnet's unless it says nothing.
    fn deciding(self) -> IpAddr {
        self.subnet.filter(|s| s.len > 0).map_or(self.addr, |s| s.addr)
    }
}

/// Response codes that a look-up can give (RFC 1035, 4.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rcode {
    /// The name exists, though perhaps not this type.
    NoError,
    /// The name does not exist.
    NxDomain,
    /// The name is in no zone of ours.
    Refused,
}

/// The whole answer; borrows from the snapshot.
#[derive(Clone, Debug)]
pub struct Answer<'s> {
    /// Response code.
    pub rcode: Rcode,
    /// The answer section, in order.
    pub records: Vec<Record<'s>>,
    /// The SOA that lets "no" be cached (RFC 2308); only with an answer that ends in "no".
    pub authority: Option<Authority<'s>>,
    /// How many leading bits of the client subnet this answer holds for (RFC 7871, 7.2.1).
    pub scope: u8,
    /// Why these values.
    pub why: Why,
}

/// One record of the answer section.
#[derive(Clone, Copy, Debug)]
pub struct Record<'s> {
    /// The owner; `None` is the name asked for, so that its case can be kept.
    pub owner: Option<&'s Name>,
    /// Time to live, s.
    pub ttl_s: u32,
    /// The value.
    pub data: RecordData<'s>,
}

/// The value of a record.
#[derive(Clone, Copy, Debug)]
pub enum RecordData<'s> {
    /// As configured.
    Value(&'s Data),
    /// Start of authority and its serial.
    Soa(&'s Soa, u32),
    /// The minimal answer to ANY: HINFO with CPU `RFC8482` (RFC 8482, 4.2).
    Minimal,
}

/// The SOA of the authority section.
#[derive(Clone, Copy, Debug)]
pub struct Authority<'s> {
    /// The zone's apex.
    pub zone: &'s Name,
    /// The lesser of the SOA's own and its negative time to live, s (RFC 2308, 5).
    pub ttl_s: u32,
    /// The fields.
    pub soa: &'s Soa,
    /// The serial.
    pub serial: u32,
}

/// Which rule gave the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// No zone of ours holds the name.
    NotOurZone,
    /// Nothing of that name.
    NoSuchName,
    /// The name has no records of that type.
    NoSuchType,
    /// The same for everyone.
    Same,
    /// The nearest region that is up.
    Latency {
        /// Where the client is near.
        near: RegionSlot,
        /// Whether a configured network says so; otherwise it is the default.
        known: bool,
        /// Who serves.
        region: RegionSlot,
        /// How good that region is.
        tier: Tier,
        /// Round trip from `near` to `region`, ms; `u32::MAX` if not known.
        rtt_ms: u32,
    },
    /// This member of a weighted set, with this share.
    Weighted {
        /// Its place in the set.
        member: usize,
        /// How good its region is.
        tier: Tier,
    },
    /// The primary or the secondary.
    Failover {
        /// Whether it is the secondary.
        secondary: bool,
        /// How good its region is.
        tier: Tier,
    },
}

/// The zone, and the name's sets if the name exists.
struct Found<'s> {
    apex: &'s Name,
    zone: &'s ZoneTable,
    sets: Option<&'s [SetTable]>,
}

impl RoutingSnapshot {
    /// Answers `question`.
    #[must_use]
    pub fn answer(&self, question: &Question<'_>) -> Answer<'_> {
        let mut answer = Answer {
            rcode: Rcode::NoError,
            records: Vec::new(),
            authority: None,
            scope: 0,
            why: Why::NotOurZone,
        };
        let Some(mut found) = self.find(question.name) else {
            answer.rcode = Rcode::Refused;
            return answer;
        };
        let mut owner = None;
        for _ in 0..CNAME_HOPS_MAX {
            let Some(target) = self.answer_name(question, &found, owner, &mut answer) else {
                break;
            };
            owner = Some(target);
            match self.find(target.as_bytes()) {
                Some(next) => found = next,
                None => break,
            }
        }
        if question.client.subnet.is_none_or(|s| s.len == 0) {
            answer.scope = 0;
        }
        answer
    }

    /// Answers from one name; the target if that was a CNAME to be followed.
    fn answer_name<'s>(
        &'s self,
        question: &Question<'_>,
        found: &Found<'s>,
        owner: Option<&'s Name>,
        answer: &mut Answer<'s>,
    ) -> Option<&'s Name> {
        let Some(sets) = found.sets else {
            answer.rcode = Rcode::NxDomain;
            return self.no(found, Why::NoSuchName, answer);
        };
        let is_apex = owner.map_or(question.name, Name::as_bytes) == found.apex.as_bytes();
        let whole = |data, ttl_s| Record { owner, ttl_s, data };
        if question.kind == RecordType::Any {
            answer.why = Why::Same;
            answer.records.push(whole(RecordData::Minimal, found.zone.soa.ttl_s));
            return None;
        }
        if question.kind == RecordType::Soa && is_apex {
            let soa = &found.zone.soa;
            answer.why = Why::Same;
            answer.records.push(whole(RecordData::Soa(soa, self.serial()), soa.ttl_s));
            return None;
        }
        let of = |kind| sets.iter().find(|set| set.kind == kind);
        let Some(set) = of(question.kind).or_else(|| of(RecordType::Cname)) else {
            return self.no(found, Why::NoSuchType, answer);
        };
        let (values, why, scope) = self.choose(question, &set.policy);
        answer.why = why;
        answer.scope = answer.scope.max(scope);
        push_rotated(
            values,
            question.dice,
            |value| whole(RecordData::Value(value), set.ttl_s),
            answer,
        );
        match values {
            [Data::Cname(target)] if question.kind != RecordType::Cname => Some(target),
            _ => None,
        }
    }

    fn no<'s>(&'s self, found: &Found<'s>, why: Why, answer: &mut Answer<'s>) -> Option<&'s Name> {
        let soa = &found.zone.soa;
        let ttl_s = soa.ttl_s.min(soa.negative_ttl_s);
        answer.why = why;
        answer.authority = Some(Authority { zone: found.apex, ttl_s, soa, serial: self.serial() });
        None
    }

    /// The deepest zone around `name`, and the name in it: itself, or a wildcard (RFC 4592, 3.3.1).
    fn find(&self, name: &[u8]) -> Option<Found<'_>> {
        let mut above = Some(name);
        let (apex, zone) = loop {
            let key = above?;
            match self.tables.zones.get_key_value(key) {
                Some(zone) => break zone,
                None => above = parent(key),
            }
        };
        let sets = zone.nodes.get(name).or_else(|| wildcard(zone, name)).map(Vec::as_slice);
        Some(Found { apex, zone, sets })
    }

    /// The serial: the configuration's generation, which every edge shares; health does not count.
    fn serial(&self) -> u32 {
        (self.generation().config & u64::from(u32::MAX)) as u32
    }

    fn choose<'s>(&'s self, question: &Question<'_>, policy: &'s Policy) -> (&'s [Data], Why, u8) {
        match policy {
            Policy::Simple(values) => (values, Why::Same, 0),
            Policy::Latency(members) => self.choose_nearest(question.client, members),
            Policy::Weighted(members) => {
                let (values, why) = self.choose_by_weight(members, question.dice);
                (values, why, 0)
            }
            Policy::Failover { primary, secondary } => {
                let (first, second) = (self.branch_tier(primary), self.branch_tier(secondary));
                let secondary_wins = second.is_usable() && second < first;
                let (branch, tier) =
                    if secondary_wins { (secondary, second) } else { (primary, first) };
                (&branch.values, Why::Failover { secondary: secondary_wins, tier }, 0)
            }
        }
    }

    fn choose_nearest<'s>(
        &'s self,
        client: Client,
        members: &'s [RegionRecords],
    ) -> (&'s [Data], Why, u8) {
        let (near, found) = self.near(client.deciding());
        let of = |region: RegionSlot| members.iter().find(|m| m.region == region);
        let best = self.order(near).iter().find_map(|r| of(r.region).map(|m| (r, m)));
        let Some((ranked, member)) = best else { return (&[], Why::NoSuchType, found.scope) };
        let why = Why::Latency {
            near,
            known: found.near.is_some(),
            region: ranked.region,
            tier: ranked.tier,
            rtt_ms: ranked.rtt_ms,
        };
        (&member.values, why, found.scope)
    }

    /// Where a client is near, and how the table came to it.
    pub(crate) fn near(&self, addr: IpAddr) -> (RegionSlot, Match) {
        let found = self.tables.networks.lookup(addr);
        (found.near.unwrap_or(self.tables.near_default), found)
    }

    /// Best tier first, in it weights above 0 first, in those by share (Route 53, weighted
    /// routing).
    fn choose_by_weight<'s>(&self, members: &'s [WeightedRecords], dice: u64) -> (&'s [Data], Why) {
        let rank = |m: &WeightedRecords| (self.branch_tier(&m.branch), m.weight == 0);
        let best = members.iter().map(rank).min().unwrap_or((Tier::Off, true));
        // All weights 0: equal shares.
        let share = |m: &WeightedRecords| u64::from(m.weight).max(u64::from(best.1));
        let group = || members.iter().enumerate().filter(|(_, m)| rank(m) == best);
        let total: u64 = group().map(|(_, m)| share(m)).sum();
        let mut left = dice % total.max(1);
        for (member, candidate) in group() {
            if left < share(candidate) {
                return (&candidate.branch.values, Why::Weighted { member, tier: best.0 });
            }
            left -= share(candidate);
        }
        (&[], Why::NoSuchType)
    }

    fn branch_tier(&self, branch: &Branch) -> Tier {
        branch.region.map_or(Tier::Healthy, |region| self.tier(region))
    }

    /// Why `answer` is the answer to `question`: one line, then the candidates of a latency set.
    #[must_use]
    pub fn explain(&self, question: &Question<'_>, answer: &Answer<'_>) -> String {
        let mut text = self.explain_rule(question, answer.why);
        let _ = write!(text, "; generation {}", self.generation());
        if let Why::Latency { near, .. } = answer.why {
            text.push_str(&self.explain_order(near, |_| true));
        }
        text
    }

    fn explain_rule(&self, question: &Question<'_>, why: Why) -> String {
        match why {
            Why::NotOurZone => String::from("refused: the name is in no zone of ours"),
            Why::NoSuchName => String::from("no such name in the zone"),
            Why::NoSuchType => String::from("the name has no records of this type"),
            Why::Same => String::from("simple: the same answer for everyone"),
            Why::Latency { near, known, region, tier, rtt_ms } => {
                let source = if known { "by its network" } else { "by default" };
                alloc::format!(
                    "latency: {} is near {} {source}; {} is {tier}, {}",
                    question.client.deciding(),
                    self.region_name(near),
                    self.region_name(region),
                    Distance(rtt_ms),
                )
            }
            Why::Weighted { member, tier } => {
                alloc::format!("weighted: member {member} by its share; its region is {tier}")
            }
            Why::Failover { secondary, tier } => {
                let which = if secondary { "secondary" } else { "primary" };
                alloc::format!("failover: {which}; its region is {tier}")
            }
        }
    }
}

/// The wildcard at the closest encloser of `name`, if that exists and `name` does not.
fn wildcard<'s>(zone: &'s ZoneTable, name: &[u8]) -> Option<&'s Vec<SetTable>> {
    let mut above = parent(name);
    while let Some(key) = above {
        if zone.nodes.contains_key(key) {
            return zone.nodes.get(&Name::wildcard_under(key)?);
        }
        above = parent(key);
    }
    None
}

/// Appends all values, beginning at one that the dice choose: Route 53 answers in random order.
fn push_rotated<'s>(
    values: &'s [Data],
    dice: u64,
    record: impl Fn(&'s Data) -> Record<'s>,
    answer: &mut Answer<'s>,
) {
    let count = values.len().max(1) as u64;
    let first = usize::try_from(dice % count).unwrap_or_default();
    let (before, after) = values.split_at(first.min(values.len()));
    answer.records.extend(after.iter().chain(before).map(record));
}
