//! Which region is near a client: longest-prefix match, and how far an answer holds.
//!
//! The table is flattened into disjoint ranges at compile time. A look-up is a binary search, and
//! the scope of RFC 7871 (section 7.2.1: answers must not overlap) falls out of it: the largest
//! aligned block around the client that lies in one range.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

use crate::id::RegionSlot;

/// A network: an address and how many of its leading bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cidr {
    addr: IpAddr,
    len: u8,
}

/// Why a network was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CidrError {
    /// Not `address/length`.
    #[error("not an address, a slash and a prefix length")]
    Syntax,
    /// The length is more than the address has bits.
    #[error("the prefix is longer than the address")]
    PrefixTooLong,
    /// Bits beyond the prefix are set: more likely a typing error than a wish.
    #[error("the address has bits beyond the prefix")]
    HostBits,
}

impl Cidr {
    /// The network of the first `len` bits of `addr`.
    ///
    /// # Errors
    /// [`CidrError`] if `len` is too great or bits beyond it are set.
    pub fn new(addr: IpAddr, len: u8) -> Result<Self, CidrError> {
        let (bits, width) = to_bits(addr);
        if len > width {
            return Err(CidrError::PrefixTooLong);
        }
        if bits & host_mask(width, len) != 0 {
            return Err(CidrError::HostBits);
        }
        Ok(Self { addr, len })
    }

    /// The first address.
    #[must_use]
    pub const fn addr(&self) -> IpAddr {
        self.addr
    }

    /// How many leading bits count.
    #[must_use]
    pub const fn prefix_len(&self) -> u8 {
        self.len
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let (addr, len) = text.split_once('/').ok_or(CidrError::Syntax)?;
        let addr = addr.parse().map_err(|_| CidrError::Syntax)?;
        let len = len.parse().map_err(|_| CidrError::Syntax)?;
        Self::new(addr, len)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

/// The clients of one network and the region they are near to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The clients.
    pub cidr: Cidr,
    /// The region they are near to.
    pub near: RegionSlot,
}

/// What the table says of one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Match {
    /// The near region; `None` if no network holds the address.
    pub(crate) near: Option<RegionSlot>,
    /// Every address that shares this many leading bits gets the same `near`.
    pub(crate) scope: u8,
}

/// Both families' ranges.
#[derive(Clone, Debug)]
pub(crate) struct NetworkTable {
    v4: Ranges,
    v6: Ranges,
}

impl NetworkTable {
    pub(crate) fn new(networks: &[Network]) -> Self {
        let v4 = networks.iter().filter(|n| n.cidr.addr.is_ipv4());
        let v6 = networks.iter().filter(|n| n.cidr.addr.is_ipv6());
        Self { v4: Ranges::new(32, v4), v6: Ranges::new(128, v6) }
    }

    pub(crate) fn lookup(&self, addr: IpAddr) -> Match {
        let addr = addr.to_canonical();
        if addr.is_ipv4() {
            self.v4.lookup(to_bits(addr).0)
        } else {
            self.v6.lookup(to_bits(addr).0)
        }
    }
}

/// Disjoint ranges that cover the whole family: each begins at its start and ends before the next.
#[derive(Clone, Debug)]
struct Ranges {
    width: u8,
    starts: Vec<(u128, Option<RegionSlot>)>,
}

impl Ranges {
    fn new<'a>(width: u8, networks: impl Iterator<Item = &'a Network>) -> Self {
        let mut sorted: Vec<(u128, u8, RegionSlot)> =
            networks.map(|n| (to_bits(n.cidr.addr).0, n.cidr.len, n.near)).collect();
        sorted.sort_unstable();
        let mut ranges = Self { width, starts: vec![(0, None)] };
        // Networks are nested or disjoint: the open ones form a stack, the narrowest on top.
        let mut open: Vec<(u128, RegionSlot)> = Vec::new();
        for (start, len, near) in sorted {
            ranges.close(&mut open, Some(start));
            ranges.begin(start, Some(near));
            open.push((start | host_mask(width, len), near));
        }
        ranges.close(&mut open, None);
        ranges.starts.dedup_by(|after, before| after.1 == before.1);
        ranges
    }

    /// Ends the open networks that end before `start`, or all of them.
    fn close(&mut self, open: &mut Vec<(u128, RegionSlot)>, start: Option<u128>) {
        while let Some((end, _)) = open.last().copied().filter(|o| start.is_none_or(|s| o.0 < s)) {
            open.pop();
            if end < host_mask(self.width, 0) {
                self.begin(end + 1, open.last().map(|o| o.1));
            }
        }
    }

    fn begin(&mut self, start: u128, near: Option<RegionSlot>) {
        match self.starts.last_mut() {
            Some(last) if last.0 == start => last.1 = near,
            _ => self.starts.push((start, near)),
        }
    }

    fn lookup(&self, addr: u128) -> Match {
        let after = self.starts.partition_point(|(start, _)| *start <= addr);
        let (start, near) = self.starts[after - 1];
        let end =
            self.starts.get(after).map_or_else(|| host_mask(self.width, 0), |next| next.0 - 1);
        let fits = |len: u8| {
            let host = host_mask(self.width, len);
            addr & !host >= start && addr | host <= end
        };
        let scope = (0..=self.width).find(|len| fits(*len)).unwrap_or(self.width);
        Match { near, scope }
    }
}

fn to_bits(addr: IpAddr) -> (u128, u8) {
    match addr {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    }
}

/// The bits beyond a prefix of `len` in an address of `width` bits.
fn host_mask(width: u8, len: u8) -> u128 {
    match u32::from(width - len) {
        128 => u128::MAX,
        host => (1 << host) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(n: u8) -> RegionSlot {
        RegionSlot::new(n).expect("small slot")
    }

    fn table(networks: &[(&str, u8)]) -> NetworkTable {
        let networks: Vec<Network> = networks
            .iter()
            .map(|(cidr, near)| Network { cidr: cidr.parse().expect("cidr"), near: slot(*near) })
            .collect();
        NetworkTable::new(&networks)
    }

    #[track_caller]
    fn check(table: &NetworkTable, addr: &str, near: Option<u8>, scope: u8) {
        let found = table.lookup(addr.parse().expect("address"));
        assert_eq!(found, Match { near: near.map(slot), scope }, "{addr}");
    }

    #[test]
    fn the_longest_prefix_wins_and_the_scope_never_overlaps_another_answer() {
        let table = table(&[("10.0.0.0/8", 0), ("10.1.0.0/16", 1), ("10.1.2.0/24", 2)]);
        check(&table, "10.1.2.3", Some(2), 24);
        check(&table, "10.1.3.3", Some(1), 24);
        check(&table, "10.1.200.3", Some(1), 17);
        check(&table, "10.200.0.1", Some(0), 9);
        check(&table, "10.0.0.1", Some(0), 16);
        check(&table, "192.0.2.1", None, 1);
        check(&table, "11.0.0.1", None, 8);
    }

    #[test]
    fn neighbours_with_the_same_answer_share_a_scope() {
        let table = table(&[("10.0.0.0/9", 1), ("10.128.0.0/9", 1)]);
        check(&table, "10.3.4.5", Some(1), 8);
    }

    #[test]
    fn edges_of_the_families() {
        let all = table(&[
            ("0.0.0.0/0", 1),
            ("255.255.255.255/32", 2),
            ("::/0", 3),
            ("2001:db8::/32", 4),
        ]);
        check(&all, "1.2.3.4", Some(1), 1);
        check(&all, "255.255.255.255", Some(2), 32);
        check(&all, "255.255.255.254", Some(1), 32);
        check(&all, "2001:db8::1", Some(4), 32);
        check(&all, "ff02::1", Some(3), 1);
        check(&all, "::ffff:255.255.255.255", Some(2), 32);
        check(&table(&[]), "1.2.3.4", None, 0);
        check(&table(&[]), "::1", None, 0);
    }

    #[test]
    fn a_scope_is_the_largest_block_with_one_answer() {
        let table = table(&[("10.0.0.0/30", 1), ("10.0.0.4/31", 2), ("10.0.0.6/32", 3)]);
        let near = |bits: u32| table.lookup(IpAddr::V4(bits.into())).near;
        let base = 0x0a00_0000_u32;
        for addr in base..base + 16 {
            let scope = u32::from(table.lookup(IpAddr::V4(addr.into())).scope);
            let host = u32::MAX.checked_shr(scope).unwrap_or(0);
            let block = (addr & !host)..=(addr | host);
            assert!(block.clone().take(64).all(|a| near(a) == near(addr)), "{addr:x}/{scope}");
        }
    }

    #[test]
    fn refused_networks() {
        for (text, error) in [
            ("10.0.0.0", CidrError::Syntax),
            ("10.0.0/8", CidrError::Syntax),
            ("10.0.0.0/x", CidrError::Syntax),
            ("10.0.0.0/33", CidrError::PrefixTooLong),
            ("10.0.0.1/8", CidrError::HostBits),
            ("2001:db8::1/32", CidrError::HostBits),
        ] {
            assert_eq!(text.parse::<Cidr>(), Err(error), "{text}");
        }
    }
}
