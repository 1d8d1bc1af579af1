//! Addresses: well formed, and each taken once.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;

use super::super::file::Text;
use super::Checker;

/// An address that something in the topology listens on.
#[derive(Debug)]
pub(super) struct Taken {
    address: SocketAddr,
    /// "`dynamodb` of region `us-east-1`".
    by: String,
    /// Where it is written; none if it is a default.
    line: Option<usize>,
}

impl Taken {
    fn clashes(&self, address: SocketAddr) -> bool {
        let (a, b) = (self.address.ip(), address.ip());
        self.address.port() == address.port()
            && (a == b || a.is_unspecified() || b.is_unspecified())
    }
}

impl Checker<'_> {
    /// The address `written`, or port `default` of 127.0.0.1; reported if malformed or taken.
    ///
    /// `place` is where a default is blamed.
    pub(super) fn address(
        &mut self,
        written: &Option<Text>,
        default: u16,
        place: &Range<usize>,
        by: String,
    ) -> SocketAddr {
        let default = SocketAddr::from((Ipv4Addr::LOCALHOST, default));
        match written {
            Some(text) => self.written_address(text, by).unwrap_or(default),
            None => {
                self.take(default, by, place, None);
                default
            }
        }
    }

    /// The address `text`, unless it is malformed.
    pub(super) fn written_address(&mut self, text: &Text, by: String) -> Option<SocketAddr> {
        let place = text.span();
        let Ok(address) = text.get_ref().parse::<SocketAddr>() else {
            let message = format!("`{}` is not an address", text.get_ref());
            self.report(&place, message, "write IP:port, for example 127.0.0.1:8101");
            return None;
        };
        if address.port() == 0 {
            let remedy = "choose a port from 1 to 65535: other processes must find it";
            self.report(&place, format!("{by} has port 0"), remedy);
            return None;
        }
        self.take(address, by, &place, Some(self.source.line(&place)));
        Some(address)
    }

    pub(super) fn take(
        &mut self,
        address: SocketAddr,
        by: String,
        place: &Range<usize>,
        line: Option<usize>,
    ) {
        let taken = self.taken.iter().find(|taken| taken.clashes(address));
        let clash = taken.map(|taken| {
            let whence = |line: Option<usize>| match line {
                Some(line) => format!("line {line}"),
                None => "by default".to_owned(),
            };
            let (theirs, other) = (whence(taken.line), &taken.by);
            format!("{by} is {address} ({}), as is {other} ({theirs})", whence(line))
        });
        if let Some(message) = clash {
            self.report(place, message, "give one of them a free port");
            return;
        }
        self.taken.push(Taken { address, by, line });
    }
}
