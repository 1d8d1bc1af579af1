//! Client networks.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// An address range in CIDR notation, without host bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// The lowest address of the range.
    #[must_use]
    pub const fn address(self) -> IpAddr {
        self.address
    }

    /// Number of leading bits that all its addresses share.
    #[must_use]
    pub const fn prefix(self) -> u8 {
        self.prefix
    }

    /// Whether `address` is in the range.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        mask(address, self.prefix) == Some(self.address)
    }
}

/// `address` with all bits behind the first `prefix` cleared; `None` if it has fewer bits.
fn mask(address: IpAddr, prefix: u8) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => {
            let host = 32_u32.checked_sub(u32::from(prefix))?;
            let kept = u32::MAX.checked_shl(host).unwrap_or(0);
            Some(IpAddr::V4((v4.to_bits() & kept).into()))
        }
        IpAddr::V6(v6) => {
            let host = 128_u32.checked_sub(u32::from(prefix))?;
            let kept = u128::MAX.checked_shl(host).unwrap_or(0);
            Some(IpAddr::V6((v6.to_bits() & kept).into()))
        }
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shape = || "write it as address/prefix, for example 198.51.100.0/24".to_owned();
        let (address, prefix) = text.split_once('/').ok_or_else(shape)?;
        let address: IpAddr = address.parse().map_err(|_| shape())?;
        let prefix: u8 = prefix.parse().map_err(|_| shape())?;
        let base = mask(address, prefix).ok_or_else(shape)?;
        if base != address {
            return Err(format!("it has bits behind its prefix: write {base}/{prefix}"));
        }
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Serialize for Cidr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_its_own_addresses_only() {
        let range: Cidr = "198.51.100.0/24".parse().expect("well formed");
        let address = |text: &str| text.parse::<IpAddr>().expect("well formed");
        assert!(range.contains(address("198.51.100.255")));
        assert!(!range.contains(address("198.51.101.0")));
        assert!(!range.contains(address("::1")));
        let all: Cidr = "::/0".parse().expect("well formed");
        assert!(all.contains(address("2001:db8::1")));
        assert!(!all.contains(address("198.51.100.1")));
    }

    #[test]
    fn host_bits_are_refused_with_the_range_meant() {
        let error = "10.1.2.3/8".parse::<Cidr>().expect_err("host bits");
        assert_eq!(error, "it has bits behind its prefix: write 10.0.0.0/8");
        assert!("10.0.0.0/33".parse::<Cidr>().is_err());
    }
}
