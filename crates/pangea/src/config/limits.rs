//! What a region takes from clients at once.

use serde::Serialize;

use crate::http::CONNECTIONS_MAX;

/// See the module. What is beyond is answered with `ThrottlingException`, or waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Requests under way. Default: 16,384; each that waits for another region costs some
    /// kilobytes, and its body.
    pub requests: u64,
    /// Bodies of requests in memory, in MiB. Default: 512, as many as 32 of the largest.
    pub body_mb: u64,
    /// Connections of each address that clients use. Requests of some more are refused; others wait
    /// in the kernel's queue. Default: 10,000.
    pub connections: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { requests: 16_384, body_mb: 512, connections: CONNECTIONS_MAX }
    }
}

impl Limits {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Bytes of bodies in memory.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        usize::try_from(self.body_mb << 20).unwrap_or(usize::MAX)
    }
}
