//! The writer's thread.
//!
//! It owns the node. It takes whatever is waiting, lets the node decide each event against a view
//! that includes the group so far, commits the group with one sync, and tells the node that it is
//! durable. Waiting to fill a group makes both throughput and latency worse.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use pangea_core::id::{RegionSlot, RequestId};
use pangea_core::node::{Config, Effect, Event, Node, Outcome, Token};
use pangea_core::replica::{Acked, Durable, Progress};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

use super::careful::{self, Careful};
use super::{Answer, Command, Peers, WriteFault};
use crate::clock::Clock;
use crate::process;
use crate::region::members;
use crate::region::observe::{Observed, Observer};
use crate::region::repair::Suspicion;
use crate::storage::{Fault, GroupView, Store};

/// Commands of one group: bounds how long the first of them waits for the last.
const GROUP_COMMANDS_MAX: usize = 1024;
/// After a failed commit the writer refuses for this long before it tries again, microseconds.
const PAUSE_US: u64 = 500_000;
/// The same where it was damage that the node met on business of its own, which it tries again:
/// what is not about the damaged row shall be written meanwhile.
const PAUSE_OF_DAMAGE_US: u64 = 50_000;
/// A writer that refuses has nothing to do but say so.
const IDLE_WAIT: Duration = Duration::from_millis(20);

/// What others see of it.
pub(super) struct Seen {
    pub(super) progress: watch::Receiver<Progress>,
    pub(super) acked: watch::Receiver<Acked>,
    pub(super) observed: watch::Receiver<Arc<Observed>>,
}

/// What the thread has.
pub(super) struct Task<P> {
    config: Config,
    store: Arc<Store>,
    clock: Clock,
    peers: P,
    node: Node,
    publish: watch::Sender<Progress>,
    acknowledge: watch::Sender<Acked>,
    observer: Observer,
    waiting: HashMap<RequestId, oneshot::Sender<Answer>>,
    /// Answers that may be given, to callers that wait on `runtime`'s threads.
    answers: Vec<(oneshot::Sender<Answer>, Outcome)>,
    runtime: Handle,
    next_request: u64,
    /// Peers whose streams are open, so that a node begun anew hears of them.
    linked: Vec<RegionSlot>,
    refusing: Option<String>,
    /// After a fault nothing is tried before this, so that peers do not send in vain.
    pause_until_us: u64,
    /// What the callers of that time are told.
    last_fault: String,
    careful: Careful,
    /// The node was begun anew and has not heard yet which links are open.
    relink: bool,
    /// Where damage is reported that a commit met.
    suspicion: Suspicion,
}

impl<P: Peers> Task<P> {
    /// One that begins from what is durable, on a runtime.
    pub(super) fn new(
        config: Config,
        store: Arc<Store>,
        durable: Durable,
        clock: Clock,
        peers: P,
        suspicion: Suspicion,
    ) -> (Self, Seen) {
        let node = Node::new(config.clone(), durable);
        let (publish, progress) = watch::channel(node.progress());
        let (acknowledge, acked) = watch::channel(node.acked().clone());
        let (observer, observed) = Observer::new(&node);
        // A store that was opened read-only serves reads from the start.
        let refusing = store.health().err().filter(|fault| !fault.is_passing());
        let refusing = refusing.map(|fault| fault.to_string());
        let task = Self {
            config,
            store,
            clock,
            peers,
            node,
            publish,
            acknowledge,
            observer,
            waiting: HashMap::new(),
            answers: Vec::new(),
            runtime: Handle::current(),
            next_request: 0,
            linked: Vec::new(),
            refusing,
            pause_until_us: 0,
            last_fault: String::new(),
            careful: Careful::default(),
            relink: false,
            suspicion,
        };
        (task, Seen { progress, acked, observed })
    }

    /// Runs until there is nobody to ask it, or it is asked to end.
    pub(super) fn run(mut self, mut inbox: mpsc::Receiver<Command>) {
        let mut commands = Vec::with_capacity(GROUP_COMMANDS_MAX);
        loop {
            let now_us = self.clock.now().mono_us;
            let wait_us = self.node.deadline().saturating_sub(now_us).max(1);
            let idle = self.refusing.is_some() || now_us < self.pause_until_us;
            let wait = if idle { IDLE_WAIT } else { Duration::from_micros(wait_us) };
            let received = self.runtime.block_on(async {
                let next = inbox.recv_many(&mut commands, GROUP_COMMANDS_MAX);
                tokio::time::timeout(wait, next).await
            });
            if received == Ok(0) {
                return;
            }
            let is_close = |command: &mut Command| matches!(command, Command::Close { .. });
            let close = commands.extract_if(.., is_close).next();
            self.group(&mut commands);
            if let Some(Command::Close { done }) = close {
                self.store.close();
                let _ = done.send(());
                return;
            }
            self.observer.observe(&self.node, self.clock.now(), self.refusing.as_deref());
        }
    }

    /// Decides one group of commands and makes it durable.
    fn group(&mut self, commands: &mut Vec<Command>) {
        if let Some(why) = self.refusing.clone() {
            return self.refuse(commands, &why);
        }
        if let Err(fault) = self.heal_first(commands) {
            return self.failed(&fault);
        }
        if self.clock.now().mono_us < self.pause_until_us {
            return self.pause(commands);
        }
        if let Err(fault) = self.turn_away(commands) {
            return self.failed(&fault);
        }
        let mut events = Vec::new();
        if std::mem::take(&mut self.relink) {
            events.extend(self.linked.iter().map(|&peer| Event::Linked { peer }));
        }
        events.extend(commands.drain(..).map(|command| self.event(command)));
        if events.is_empty() || self.clock.now().mono_us >= self.node.deadline() {
            events.push(Event::Timer);
        }
        if let Err(fault) = self.commit(events) {
            self.failed(&fault);
        }
    }

    /// What is to be put right may be why everything else fails: it has a group of its own, also
    /// while the writer pauses for a fault.
    fn heal_first(&mut self, commands: &mut Vec<Command>) -> Result<(), Fault> {
        let is_heal = |command: &mut Command| matches!(command, Command::Heal { .. });
        let heals: Vec<Command> = commands.extract_if(.., is_heal).collect();
        let events = heals.into_iter().map(|command| self.event(command)).collect();
        self.commit(events)
    }

    /// Refuses those of the commands whose rows cannot be read, while that is likely. A peer sends
    /// again what of its frames is turned away here.
    fn turn_away(&mut self, commands: &mut Vec<Command>) -> Result<(), Fault> {
        let now_us = self.clock.now().mono_us;
        if !self.careful.is_on(now_us) {
            return Ok(());
        }
        let (view, mut faults) = (self.store.snapshot()?, Vec::new());
        let unsound = |command: &mut Command| {
            let sound = careful::sound(&view, command);
            sound.map_err(|fault| faults.push(fault)).is_err()
        };
        let refused: Vec<Command> = commands.extract_if(.., unsound).collect();
        for (command, fault) in refused.into_iter().zip(faults) {
            self.careful.met(now_us);
            self.suspicion.of(&fault);
            self.refuse_one(command, &fault.for_clients());
        }
        Ok(())
    }

    /// Runs events, makes durable what they come to, and tells the node that it is.
    fn commit(&mut self, mut events: Vec<Event>) -> Result<(), Fault> {
        if events.is_empty() {
            return Ok(());
        }
        let mut snapshot = self.store.snapshot()?;
        loop {
            let mut view = GroupView::new(snapshot);
            let mut effects = Vec::new();
            let mut newest: Option<Token> = None;
            for event in events.drain(..) {
                let now = self.clock.now();
                self.node.handle(now, event, &view, &mut effects);
                for effect in effects.drain(..) {
                    match effect {
                        Effect::Persist { token, batch } => {
                            newest = Some(token);
                            view.push(*batch);
                        }
                        other => self.execute(other),
                    }
                }
            }
            view.check()?;
            self.answer();
            let Some(token) = newest else { return Ok(()) };
            // What follows from being durable is told without a look at the store, and so also if
            // that can be read no more: whoever waits shall not hear that nothing was written.
            snapshot = self.store.snapshot()?;
            self.store.write_group(view)?;
            events.push(Event::Persisted { token });
        }
    }

    fn execute(&mut self, effect: Effect) {
        match effect {
            Effect::Persist { .. } => {}
            Effect::Reply { request, outcome: Outcome::Skewed { ms } } => {
                if let Some(reply) = self.waiting.remove(&request) {
                    let _ = reply.send(Err(WriteFault::Refusing(skewed(ms))));
                }
            }
            Effect::Reply { request, outcome } => {
                self.answers.extend(self.waiting.remove(&request).map(|reply| (reply, outcome)));
            }
            Effect::Send { to, request } => self.peers.ask(to, request),
            Effect::Publish(progress) => {
                self.publish.send_replace(progress);
            }
            Effect::Acknowledged(acked) => {
                self.acknowledge.send_replace(acked);
            }
            Effect::Trace(trace) => self.observer.trace(&trace),
            Effect::Reborn => process::begin_anew(),
        }
    }

    /// Gives the answers of a group from one of the threads where callers wait: waking each caller
    /// from here would cost the writer a trip through the runtime's common queue each time.
    fn answer(&mut self) {
        if self.answers.is_empty() {
            return;
        }
        let answers = std::mem::take(&mut self.answers);
        self.runtime.spawn(async move {
            for (reply, outcome) in answers {
                let answer = match outcome {
                    Outcome::Closed(closed) => Err(WriteFault::Refusing(members::why(closed))),
                    outcome => Ok(outcome),
                };
                // A caller that has gone away has nobody to tell.
                let _ = reply.send(answer);
            }
        });
    }

    fn event(&mut self, command: Command) -> Event {
        match command {
            Command::Write { table, op, reply } => {
                Event::Write { request: self.wait(reply), table, op }
            }
            Command::Transact { ops, reply } => Event::Transact { request: self.wait(reply), ops },
            Command::Resolve { resolution, reply } => {
                Event::Resolve { request: self.wait(reply), resolution }
            }
            Command::Expire { expire, reply } => {
                Event::Expire { request: self.wait(reply), expire }
            }
            Command::Define { change, reply } => {
                Event::Define { request: self.wait(reply), change }
            }
            Command::Heal { heal, reply } => Event::Heal { request: self.wait(reply), heal },
            Command::Govern { directive, reply } => {
                Event::Govern { request: self.wait(reply), directive }
            }
            Command::Link { peer, up } => self.link(peer, up),
            Command::Heartbeat { peer, sample } => Event::Heartbeat { peer, sample },
            Command::Frame { from, frame, .. } => Event::Received { from, frame },
            // It is no event, and is taken out before.
            Command::Close { .. } => Event::Timer,
        }
    }

    fn wait(&mut self, reply: oneshot::Sender<Answer>) -> RequestId {
        let request = RequestId(self.next_request);
        self.next_request += 1;
        self.waiting.insert(request, reply);
        request
    }

    fn link(&mut self, peer: RegionSlot, up: bool) -> Event {
        self.linked.retain(|linked| *linked != peer);
        if up {
            self.linked.push(peer);
            return Event::Linked { peer };
        }
        Event::Unlinked { peer }
    }

    /// The state on disk is what it was before the group, or unknown; the node's is ahead of it.
    /// Either way the node begins anew from what is durable: restart and recovery are one path.
    fn failed(&mut self, fault: &Fault) {
        tracing::error!(error = %fault, "a commit failed");
        self.suspicion.of(fault);
        self.observer.fault(fault);
        let now_us = self.clock.now().mono_us;
        self.pause_until_us = now_us + self.pause_us(fault, now_us);
        self.last_fault = fault.for_clients();
        let answer = if fault.nothing_written() {
            WriteFault::Refusing(fault.for_clients())
        } else {
            WriteFault::Unknown(fault.to_string())
        };
        // Those that were to be answered rest on reads that failed.
        let unanswered = self.answers.drain(..).map(|(reply, _)| reply);
        for reply in unanswered.chain(self.waiting.drain().map(|(_, reply)| reply)) {
            let _ = reply.send(Err(answer.clone()));
        }
        if self.begin_anew(fault) {
            self.relink();
        }
    }

    /// Makes the node again from what is durable, if that can be read; refuses from now on where
    /// it is not known what that is.
    fn begin_anew(&mut self, fault: &Fault) -> bool {
        if !fault.nothing_written() {
            self.refusing = Some(fault.to_string());
        }
        match self.store.recover() {
            Ok(durable) => {
                self.node = Node::new(self.config.clone(), durable);
                self.publish.send_replace(self.node.progress());
                self.acknowledge.send_replace(self.node.acked().clone());
                true
            }
            Err(fault) => {
                self.refusing = Some(fault.to_string());
                false
            }
        }
    }

    /// For how long nothing is tried. Damage that a command has met is met no more: from now on
    /// such commands are turned away.
    fn pause_us(&mut self, fault: &Fault, now_us: u64) -> u64 {
        if !fault.is_damage() {
            return PAUSE_US;
        }
        let was_careful = self.careful.is_on(now_us);
        self.careful.met(now_us);
        if was_careful { PAUSE_OF_DAMAGE_US } else { 0 }
    }

    /// Tells a node that was begun anew which links are open: at once and alone, because what comes
    /// next may fail as well, and a damaged row is healed by peers that are known to be linked.
    ///
    /// It may fail itself, for what the node did on the occasion. One that could not write that is
    /// ahead of the store, and the next one is told later. One that has met damage stays: it knows
    /// who heals that, and does not look there again before others have had their turn.
    fn relink(&mut self) {
        let events = self.linked.iter().map(|&peer| Event::Linked { peer }).collect();
        if let Err(fault) = self.commit(events) {
            self.relink = fault.is_damage() || self.begin_anew(&fault);
        }
    }

    /// Refuses for a while. The node hears of links that come and go when that is over.
    fn pause(&mut self, commands: &mut Vec<Command>) {
        let is_link = |command: &mut Command| matches!(command, Command::Link { .. });
        let links: Vec<Command> = commands.extract_if(.., is_link).collect();
        let why = self.last_fault.clone();
        self.refuse(commands, &why);
        commands.extend(links);
    }

    /// Reads go on; whoever writes is told why not. Peers' frames wait at their feeders.
    fn refuse(&mut self, commands: &mut Vec<Command>, why: &str) {
        for command in commands.drain(..) {
            self.refuse_one(command, why);
        }
    }

    fn refuse_one(&mut self, command: Command, why: &str) {
        match command {
            Command::Write { reply, .. }
            | Command::Transact { reply, .. }
            | Command::Resolve { reply, .. }
            | Command::Expire { reply, .. }
            | Command::Heal { reply, .. }
            | Command::Govern { reply, .. }
            | Command::Define { reply, .. } => {
                let _ = reply.send(Err(WriteFault::Refusing(why.to_string())));
            }
            Command::Link { peer, up } => {
                self.link(peer, up);
            }
            Command::Frame { .. } | Command::Heartbeat { .. } | Command::Close { .. } => {}
        }
    }
}

/// Why a region whose clock is far ahead takes no writes.
pub(in crate::region) fn skewed(ms: i64) -> String {
    format!(
        "its wall clock is {ms} ms ahead of most regions', and its writes would win against theirs \
         for that long. Set the clock right (NTP), or allow it with `refuse_ms = 0` in [clock] of \
         the topology; until then write in another region"
    )
}
