//! The links between regions: who the peers are, what flows, and what faults do to it.
//!
//! [`identity`] says who a region is and whom it believes; [`link`] carries the frames of
//! replication; [`wan`] stands between links and the network, so that distance and splits can be
//! had on one machine; `outbox` is what waits and what is on its way there.

pub mod identity;
pub mod link;
mod outbox;
pub mod wan;
