//! What an operator declares: regions, networks, zones, listeners.
//!
//! Plain data in the words of Route 53 and Global Accelerator. [`crate::routing::compile()`] checks
//! it.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::name::Name;
use super::network::Network;
use crate::id::RegionSlot;

/// Everything that routing needs to know; no part of it needs a reachable control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutingConfig {
    /// Number of this configuration; whoever compiles refuses an older one.
    pub generation: u64,
    /// Every region that traffic may be sent to.
    pub regions: Vec<Region>,
    /// Round-trip times between regions; a missing pair is farther than any other.
    pub links: Vec<Link>,
    /// Which clients are near which region.
    pub networks: Vec<Network>,
    /// The near region of clients in no network: the region of this edge.
    pub near_default: RegionSlot,
    /// Hosted zones.
    pub zones: Vec<Zone>,
    /// Accelerator listeners.
    pub listeners: Vec<Listener>,
}

/// One region as traffic sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Its place in the topology.
    pub slot: RegionSlot,
    /// Its name, for people.
    pub name: String,
    /// Whether an operator lets traffic in.
    pub control: RoutingControl,
}

/// ARC's switch: `Off` sends traffic elsewhere whatever the health.
///
/// A region that is off is used only when every region that is on is missing from the record set
/// or listener; an unhealthy region that is on comes before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RoutingControl {
    /// Traffic may come.
    #[default]
    On,
    /// Traffic stays away.
    Off,
}

/// The round-trip time between two regions; holds in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// One end.
    pub a: RegionSlot,
    /// The other end.
    pub b: RegionSlot,
    /// Round trip, ms.
    pub rtt_ms: u32,
}

/// A hosted zone: the names at and below its apex that are answered with authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// The apex.
    pub name: Name,
    /// Start of authority. Its serial is [`RoutingConfig::generation`]: there is no zone transfer.
    pub soa: Soa,
    /// Name servers; at least one.
    pub name_servers: Vec<Name>,
    /// Of the NS records at the apex, s.
    pub name_servers_ttl_s: u32,
    /// Record sets at and below the apex; SOA and NS at the apex are made from the fields above.
    pub records: Vec<RecordSet>,
}

/// Fields of the start of authority (RFC 1035, 3.3.13).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Soa {
    /// Primary name server.
    pub mname: Name,
    /// Mailbox of who is responsible.
    pub rname: Name,
    /// Of the SOA record itself, s.
    pub ttl_s: u32,
    /// Refresh, s.
    pub refresh_s: u32,
    /// Retry, s.
    pub retry_s: u32,
    /// Expire, s.
    pub expire_s: u32,
    /// How long "there is no such name" may be cached, s (RFC 2308, 4).
    pub negative_ttl_s: u32,
}

impl Soa {
    /// The values that Route 53 gives a new zone, with a negative TTL of 5 s in place of a day: an
    /// answer that moves with health must not be shadowed by a cached "no such name".
    #[must_use]
    pub const fn new(mname: Name, rname: Name) -> Self {
        Self {
            mname,
            rname,
            ttl_s: 900,
            refresh_s: 7200,
            retry_s: 900,
            expire_s: 1_209_600,
            negative_ttl_s: 5,
        }
    }
}

/// All records of one name and type, under one policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordSet {
    /// The owner, absolute; `*` as the leftmost label is a wildcard (RFC 4592).
    pub name: Name,
    /// The type of every value.
    pub kind: RecordType,
    /// Time to live, s; Route 53 advises at most 60 s where health matters.
    pub ttl_s: u32,
    /// Which values a client gets.
    pub policy: Policy,
}

/// Routing policy of a record set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Every client gets every value; no health.
    Simple(Vec<Data>),
    /// The values of the nearest region that is up; all down: of the nearest.
    Latency(Vec<RegionRecords>),
    /// By weight among those that are up; all weights 0: equal shares.
    Weighted(Vec<WeightedRecords>),
    /// The primary while it is up; the secondary while only it is up; else the primary.
    Failover {
        /// Route 53's `PRIMARY`.
        primary: Branch,
        /// Route 53's `SECONDARY`.
        secondary: Branch,
    },
}

/// Values served by one region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionRecords {
    /// Whose health and distance count.
    pub region: RegionSlot,
    /// The values.
    pub values: Vec<Data>,
}

/// Values with a share of the answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightedRecords {
    /// 0–255 (Route 53); 0 only if no other weight is up.
    pub weight: u8,
    /// Values and whose health counts.
    pub branch: Branch,
}

/// Values that are up with a region, or always.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// Whose health counts; `None` is always healthy.
    pub region: Option<RegionSlot>,
    /// The values.
    pub values: Vec<Data>,
}

/// The types that are told apart; any other has no records here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordType {
    /// IPv4 address.
    A,
    /// IPv6 address.
    Aaaa,
    /// Text.
    Txt,
    /// Another name of the same thing.
    Cname,
    /// Name server; made from [`Zone::name_servers`].
    Ns,
    /// Start of authority; made from [`Zone::soa`].
    Soa,
    /// Any type (query only).
    Any,
    /// Everything else (query only).
    Other,
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Txt => "TXT",
            Self::Cname => "CNAME",
            Self::Ns => "NS",
            Self::Soa => "SOA",
            Self::Any => "ANY",
            Self::Other => "other",
        })
    }
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// IPv4 address.
    A(Ipv4Addr),
    /// IPv6 address.
    Aaaa(Ipv6Addr),
    /// Character strings, each at most 255 bytes.
    Txt(Vec<String>),
    /// The canonical name.
    Cname(Name),
    /// A name server.
    Ns(Name),
}

impl Data {
    /// The type of record that holds this value.
    #[must_use]
    pub const fn kind(&self) -> RecordType {
        match self {
            Self::A(_) => RecordType::A,
            Self::Aaaa(_) => RecordType::Aaaa,
            Self::Txt(_) => RecordType::Txt,
            Self::Cname(_) => RecordType::Cname,
            Self::Ns(_) => RecordType::Ns,
        }
    }
}

/// An accelerator's listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name, unique.
    pub id: String,
    /// Where its connections can go; several in one region share its connections.
    pub endpoints: Vec<Endpoint>,
}

/// One place that connections can go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its region: whose health and distance count.
    pub region: RegionSlot,
    /// Its address.
    pub addr: SocketAddr,
}
