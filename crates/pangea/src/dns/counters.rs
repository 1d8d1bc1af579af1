//! What the name server counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hickory_proto::op::ResponseCode;

/// Counters of one name server; they only grow.
#[derive(Debug, Default)]
pub struct Counters {
    pub(super) udp: AtomicU64,
    pub(super) tcp: AtomicU64,
    pub(super) tcp_connections: AtomicU64,
    pub(super) tcp_refused: AtomicU64,
    pub(super) truncated: AtomicU64,
    pub(super) dropped_short: AtomicU64,
    pub(super) dropped_response: AtomicU64,
    pub(super) send_failed: AtomicU64,
    no_error: AtomicU64,
    form_err: AtomicU64,
    serv_fail: AtomicU64,
    nx_domain: AtomicU64,
    not_imp: AtomicU64,
    refused: AtomicU64,
    bad_vers: AtomicU64,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize)]
pub struct CountersSnapshot {
    /// Datagrams received.
    pub udp: u64,
    /// Messages received over TCP.
    pub tcp: u64,
    /// TCP connections accepted.
    pub tcp_connections: u64,
    /// TCP connections closed at once because too many were open.
    pub tcp_refused: u64,
    /// Replies that were cut, so that the client asks over TCP.
    pub truncated: u64,
    /// Messages without a whole header; not answered.
    pub dropped_short: u64,
    /// Responses that came as if they were queries; not answered.
    pub dropped_response: u64,
    /// Replies that could not be sent.
    pub send_failed: u64,
    /// Replies with NOERROR.
    pub no_error: u64,
    /// Replies with FORMERR: malformed queries.
    pub form_err: u64,
    /// Replies with SERVFAIL.
    pub serv_fail: u64,
    /// Replies with NXDOMAIN.
    pub nx_domain: u64,
    /// Replies with NOTIMP.
    pub not_imp: u64,
    /// Replies with REFUSED.
    pub refused: u64,
    /// Replies with BADVERS.
    pub bad_vers: u64,
}

impl Counters {
    /// All counters now; each is exact, together they may be of slightly different moments.
    #[must_use]
    pub fn snapshot(&self) -> CountersSnapshot {
        CountersSnapshot {
            udp: self.udp.load(Relaxed),
            tcp: self.tcp.load(Relaxed),
            tcp_connections: self.tcp_connections.load(Relaxed),
            tcp_refused: self.tcp_refused.load(Relaxed),
            truncated: self.truncated.load(Relaxed),
            dropped_short: self.dropped_short.load(Relaxed),
            dropped_response: self.dropped_response.load(Relaxed),
            send_failed: self.send_failed.load(Relaxed),
            no_error: self.no_error.load(Relaxed),
            form_err: self.form_err.load(Relaxed),
            serv_fail: self.serv_fail.load(Relaxed),
            nx_domain: self.nx_domain.load(Relaxed),
            not_imp: self.not_imp.load(Relaxed),
            refused: self.refused.load(Relaxed),
            bad_vers: self.bad_vers.load(Relaxed),
        }
    }

    pub(super) fn replied(&self, code: ResponseCode) {
        let counter = match code {
            ResponseCode::NoError => &self.no_error,
            ResponseCode::FormErr => &self.form_err,
            ResponseCode::NXDomain => &self.nx_domain,
            ResponseCode::NotImp => &self.not_imp,
            ResponseCode::Refused => &self.refused,
            ResponseCode::BADVERS => &self.bad_vers,
            _ => &self.serv_fail,
        };
        counter.fetch_add(1, Relaxed);
    }
}
