//! Connections: made, broken, and what travels over them.

use pangea_core::id::Origin;
use pangea_core::node;
use pangea_core::replica::{Feed, Frame, Request};

use super::{Event, Phase, World};
use crate::invariants::{Checked, durable_ack, residency};
use crate::net::{ConnId, Fate, Way};
use crate::workload::slot;

/// A connection that dies with what is passed on does so within this.
const RESET_US_MAX: u64 = 10_000;
/// Longest time until a broken connection is tried again.
const RECONNECT_US_MAX: u64 = 20_000;
/// Frames that one pull of a feed takes at most, so that a feed cannot hold up the world.
const PULL_MAX: usize = 4;

impl World {
    /// Tries the connection soon.
    pub(super) fn connect_soon(&mut self, conn: ConnId) {
        let delay_us = self.gaps.range(100, RECONNECT_US_MAX);
        self.queue.push(self.now_us + delay_us, Event::Connect { conn });
    }

    /// Whoever ends a crash, split or break tries again: a failed attempt is not repeated here.
    pub(super) fn connect(&mut self, conn: ConnId) -> Checked {
        let (subscriber, feeder) = self.net.ends(conn);
        let alive = |region: usize| self.regions[region].node.is_some();
        let passes = self.net.passes(conn) && alive(subscriber) && alive(feeder);
        if !passes || self.net.conns[conn].up {
            return Ok(());
        }
        let feed = self.new_feed(feeder, subscriber);
        let here = &mut self.net.conns[conn];
        here.epoch += 1;
        here.up = true;
        here.feed = Some(feed);
        here.pump_at_us = None;
        self.note(subscriber, || format!("is connected to r{feeder}"));
        self.deliver(subscriber, node::Event::Linked { peer: slot(feeder) })
    }

    fn new_feed(&self, feeder: usize, subscriber: usize) -> Feed {
        let feed = Feed::new(self.sites[feeder].origin, slot(subscriber));
        let feed = feed.with_rows_max(self.swarm.frame_rows);
        #[cfg(feature = "planted-bugs")]
        let feed = feed.with_bug(self.options.bug);
        feed
    }

    /// Both ends notice that a connection is dead.
    pub(super) fn disconnect(&mut self, conn: ConnId, epoch: u32) -> Checked {
        let here = &mut self.net.conns[conn];
        if here.epoch != epoch || !here.up {
            return Ok(());
        }
        here.up = false;
        here.feed = None;
        let (subscriber, feeder) = self.net.ends(conn);
        self.note(subscriber, || format!("lost its connection to r{feeder}"));
        self.connect_soon(conn);
        self.deliver(subscriber, node::Event::Unlinked { peer: slot(feeder) })
    }

    /// The connection's death will be noticed within `within_us`.
    pub(super) fn disconnect_soon(&mut self, conn: ConnId, within_us: u64) {
        let delay_us = self.gaps.range(0, within_us);
        let epoch = self.net.conns[conn].epoch;
        self.queue.push(self.now_us + delay_us, Event::Disconnect { conn, epoch });
    }

    pub(super) fn send_request(&mut self, subscriber: usize, feeder: usize, request: Request) {
        let conn = self.net.conn_id(subscriber, feeder);
        let fate = self.net.send(conn, Way::Request, self.now_us);
        let epoch = self.net.conns[conn].epoch;
        self.count(fate);
        for at_us in fate.arrives_us.into_iter().flatten() {
            let request = request.clone();
            self.queue.push(at_us, Event::Request { conn, epoch, request });
        }
    }

    pub(super) fn request(&mut self, conn: ConnId, epoch: u32, request: Request) -> Checked {
        let here = &mut self.net.conns[conn];
        if here.epoch != epoch {
            return Ok(());
        }
        let Some(feed) = &mut here.feed else { return Ok(()) };
        feed.receive(request);
        self.pump(conn)
    }

    /// The region has something new to tell: every feed of it looks.
    pub(super) fn pump_all(&mut self, feeder: usize) -> Checked {
        for subscriber in 0..self.regions.len() {
            if subscriber != feeder {
                self.pump(self.net.conn_id(subscriber, feeder))?;
            }
        }
        Ok(())
    }

    pub(super) fn pump_due(&mut self, conn: ConnId) -> Checked {
        let here = &mut self.net.conns[conn];
        if here.pump_at_us != Some(self.now_us) {
            return Ok(());
        }
        here.pump_at_us = None;
        self.pump(conn)
    }

    /// Pulls frames while the link can take them.
    fn pump(&mut self, conn: ConnId) -> Checked {
        for _ in 0..PULL_MAX {
            let busy_until_us = self.net.conns[conn].busy_until_us;
            if busy_until_us > self.now_us {
                self.pump_at(conn, busy_until_us);
                return Ok(());
            }
            let Some(frame) = self.pull(conn) else { return Ok(()) };
            durable_ack::sent(&self.oracle, &frame)?;
            residency::sent(frame.rows(), self.net.ends(conn).0)?;
            if let Frame::Compared(answer) = &frame {
                residency::compared(answer, self.net.ends(conn).0)?;
            }
            self.net.conns[conn].busy_until_us = self.now_us + self.net.faults.send_us;
            self.send_frame(conn, frame);
        }
        self.pump_at(conn, self.now_us + 1);
        Ok(())
    }

    /// The feed's next frame; if there is none, the feed looks again at its deadline.
    fn pull(&mut self, conn: ConnId) -> Option<Frame> {
        let (_, feeder) = self.net.ends(conn);
        let region = &self.regions[feeder];
        let progress = region.published.as_ref()?;
        let feed = self.net.conns[conn].feed.as_mut()?;
        let now = region.clock.now(self.now_us);
        let frame = feed.next(now, progress, &*self.sites[feeder].disk.durable);
        if frame.is_none() {
            let deadline = feed.deadline()?;
            let due_us = region.clock.when(self.now_us, deadline).max(self.now_us + 1);
            self.pump_at(conn, due_us);
        }
        frame
    }

    fn pump_at(&mut self, conn: ConnId, at_us: u64) {
        let pump_at_us = &mut self.net.conns[conn].pump_at_us;
        if pump_at_us.is_none_or(|set| set > at_us) {
            *pump_at_us = Some(at_us);
            self.queue.push(at_us, Event::Pump { conn });
        }
    }

    fn send_frame(&mut self, conn: ConnId, frame: Frame) {
        let fate = self.net.send(conn, Way::Frame, self.now_us);
        let epoch = self.net.conns[conn].epoch;
        self.count(fate);
        let (subscriber, feeder) = self.net.ends(conn);
        self.note(feeder, || format!("sends r{subscriber} {}", describe(&frame)));
        let dies = self.swarm.relay_resets > 0
            && self.phase == Phase::Break
            && matches!(frame, Frame::Relayed(_));
        if dies && self.gaps.chance(self.swarm.relay_resets) {
            self.disconnect_soon(conn, RESET_US_MAX);
        }
        let late = fate.late;
        let [first, again] = fate.arrives_us;
        if let Some(at_us) = again {
            let frame = Box::new(frame.clone());
            self.queue.push(at_us, Event::Frame { conn, epoch, late, frame });
        }
        if let Some(at_us) = first {
            let frame = Box::new(frame);
            self.queue.push(at_us, Event::Frame { conn, epoch, late, frame });
        }
    }

    pub(super) fn frame(&mut self, conn: ConnId, epoch: u32, late: bool, frame: Frame) -> Checked {
        let (subscriber, feeder) = self.net.ends(conn);
        let here = &self.net.conns[conn];
        let open = here.up && here.epoch == epoch && !self.net.is_cut(feeder, subscriber);
        // A connection to a life replaces those to the lives before; what is lost stays lost.
        let lost = self.sites[feeder].lost.iter().any(|life| speaks_for(&frame, *life));
        if !open && (!late || lost) {
            self.counts.messages_lost += 1;
            return Ok(());
        }
        self.note(subscriber, || format!("receives of r{feeder} {}", describe(&frame)));
        if !late {
            self.hear(subscriber, feeder)?;
        }
        if let Frame::Compared(answer) = frame {
            return self.compared(subscriber, feeder, answer);
        }
        self.deliver(subscriber, node::Event::Received { from: slot(feeder), frame })
    }

    fn count(&mut self, fate: Fate) {
        self.counts.messages += 1;
        self.counts.messages_lost += u64::from(fate.arrives_us[0].is_none());
        self.counts.messages_repeated += u64::from(fate.arrives_us[1].is_some());
    }
}

/// Whether the frame may be of a process that lived so: only rows say whose they are.
fn speaks_for(frame: &Frame, life: Origin) -> bool {
    match frame {
        Frame::Rows(rows) => rows.origin == life,
        Frame::Copied(_) | Frame::Relayed(_) | Frame::Compared(_) => true,
    }
}

fn describe(frame: &Frame) -> String {
    let stamps = |rows: &[pangea_core::replica::Row]| {
        let stamps = rows.iter().map(|row| row.version.stamp.to_string());
        stamps.collect::<Vec<_>>().join(" ")
    };
    match frame {
        Frame::Rows(frame) => {
            let (after, through, end) = (frame.after, frame.through, frame.end);
            format!("({after}, {through}] of {end} rows [{}]", stamps(&frame.rows))
        }
        Frame::Copied(frame) => {
            let (table, ready) = (frame.table, frame.ready);
            format!("a copy of {table}, ready {ready}, rows [{}]", stamps(&frame.rows))
        }
        Frame::Compared(answer) => format!("what it has: {answer:?}"),
        Frame::Relayed(frame) => {
            let (origin, after, through) = (frame.origin, frame.after, frame.through);
            format!("({after}, {through}] of {origin}, rows [{}]", stamps(&frame.rows))
        }
    }
}
