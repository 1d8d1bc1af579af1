//! What the node asks of a peer while its link is open.
//!
//! A link loses and reorders nothing, so a subscription that is repeated only because nothing came
//! for a while would make the feeder send everything again that is on its way. State: where the
//! frames that were handed to the driver end. A subscription from there is under way already and
//! is not sent; one from anywhere else means that the node did not take frames, and is.

use std::sync::Mutex;

use pangea_core::replica::{Frame, Request};
use pangea_core::time::Hlc;
use tokio::sync::mpsc;

use super::{REQUESTS_MAX, lock};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Asked {
    open: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    requests: mpsc::Sender<Request>,
    /// Everything up to here was handed over, since the last subscription that was sent.
    place: Option<Hlc>,
}

impl Asked {
    /// The link is open; what the node asks for is to be received here.
    pub(super) fn opened(&self) -> mpsc::Receiver<Request> {
        let (requests, asked) = mpsc::channel(REQUESTS_MAX);
        *lock(&self.open) = Some(Open { requests, place: None });
        asked
    }

    /// The link is closed.
    pub(super) fn closed(&self) {
        *lock(&self.open) = None;
    }

    /// Whether there is a link to ask on.
    pub(super) fn is_open(&self) -> bool {
        lock(&self.open).is_some()
    }

    /// Asks; `false` if the link is not open or too much is waiting.
    pub(super) fn ask(&self, request: Request) -> bool {
        let mut open = lock(&self.open);
        let Some(open) = open.as_mut() else { return false };
        let Request::Subscribe { after } = request else {
            return open.requests.try_send(request).is_ok();
        };
        if open.place == Some(after) {
            return true;
        }
        let sent = open.requests.try_send(request).is_ok();
        open.place = if sent { Some(after) } else { open.place };
        sent
    }

    /// A frame is about to be handed to the driver.
    pub(super) fn delivered(&self, frame: &Frame) {
        let Frame::Rows(rows) = frame else { return };
        let mut open = lock(&self.open);
        if let Some(place) = open.as_mut().and_then(|open| open.place.as_mut())
            && rows.after <= *place
        {
            *place = rows.through.max(*place);
        }
    }
}

#[cfg(test)]
mod tests {
    use pangea_core::id::{Origin, RegionSlot};
    use pangea_core::replica::Rows;

    use super::*;

    fn hlc(ms: u64) -> Hlc {
        Hlc::from_parts(ms, 0)
    }

    fn subscribe(ms: u64) -> Request {
        Request::Subscribe { after: hlc(ms) }
    }

    fn frame(after: u64, through: u64) -> Frame {
        Frame::Rows(Rows {
            origin: Origin::new(RegionSlot::new(1).expect("small"), 1),
            after: hlc(after),
            through: hlc(through),
            end: hlc(through),
            rows: Vec::new(),
            applied: Vec::new(),
            sent_wall_ms: 0,
        })
    }

    #[test]
    fn a_subscription_to_what_is_under_way_is_not_sent() {
        let asked = Asked::default();
        assert!(!asked.ask(subscribe(5)), "no link");
        let mut requests = asked.opened();
        let mut sent = || requests.try_recv().is_ok();
        assert!(asked.ask(subscribe(5)) && sent());
        assert!(asked.ask(subscribe(5)) && !sent(), "nothing came yet");
        asked.delivered(&frame(5, 8));
        assert!(asked.ask(subscribe(8)) && !sent(), "all that came was taken in");
    }

    #[test]
    fn a_subscription_to_what_was_not_taken_in_is_sent() {
        let asked = Asked::default();
        let mut requests = asked.opened();
        let mut sent = || requests.try_recv().is_ok();
        assert!(asked.ask(subscribe(5)) && sent());
        asked.delivered(&frame(5, 8));
        assert!(asked.ask(subscribe(5)) && sent(), "the frame was refused");
        // What was on its way before the feeder heard of it is of no use to the node.
        asked.delivered(&frame(8, 12));
        assert!(asked.ask(subscribe(5)) && !sent(), "it is under way");
        asked.delivered(&frame(5, 12));
        assert!(asked.ask(subscribe(12)) && !sent());
        drop(asked.opened());
        assert!(!asked.ask(subscribe(12)), "another link, and its receiver is gone");
    }
}
