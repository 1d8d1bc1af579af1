//! The region's single writer: drives the node, groups its batches, syncs, and only then answers.
//!
//! Here is what it is asked, and by what handle; [`task`] is its thread.

mod careful;
mod task;

use std::sync::Arc;

use pangea_core::clock::Sample;
use pangea_core::id::{RegionSlot, TableId};
use pangea_core::node::{Change, Config, Directive, Expire, Heal, Outcome, Resolution};
use pangea_core::replica::{Acked, Durable, Frame, Progress, Request};
use pangea_core::table::WriteOp;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};

use self::task::{Seen, Task};
use super::observe::Observed;
use super::repair::Suspicion;
use crate::clock::Clock;
use crate::peer::link::Room;
use crate::storage::Store;

pub(super) use task::skewed;

/// Commands waiting for the writer before callers have to wait themselves.
const QUEUE_COMMANDS_MAX: usize = 4096;

/// What the writer is asked to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Write one item.
    Write { table: TableId, op: Box<WriteOp>, reply: oneshot::Sender<Answer> },
    /// Write several items, all or none.
    Transact { ops: Vec<(TableId, WriteOp)>, reply: oneshot::Sender<Answer> },
    /// Decide about a conflict.
    Resolve { resolution: Box<Resolution>, reply: oneshot::Sender<Answer> },
    /// Put right what anti-entropy found.
    Heal { heal: Box<Heal>, reply: oneshot::Sender<Answer> },
    /// Delete what has expired.
    Expire { expire: Box<Expire>, reply: oneshot::Sender<Answer> },
    /// Change the catalog.
    Define { change: Box<Change>, reply: oneshot::Sender<Answer> },
    /// Change the membership.
    Govern { directive: Directive, reply: oneshot::Sender<Answer> },
    /// A peer's stream opened or closed.
    Link { peer: RegionSlot, up: bool },
    /// What a heartbeat showed of a peer's clock.
    Heartbeat { peer: RegionSlot, sample: Sample },
    /// A peer's frame.
    Frame { from: RegionSlot, frame: Frame, _room: Room },
    /// End in order.
    Close { done: oneshot::Sender<()> },
}

/// What a caller is told.
pub(crate) type Answer = Result<Outcome, WriteFault>;

/// Why a write has no outcome.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum WriteFault {
    /// The store refuses writes; nothing was written.
    #[error("this region refuses writes: {0}")]
    Refusing(String),
    /// The store failed while it wrote: the write may or may not be durable.
    #[error("the region's store failed; the outcome of the write is unknown: {0}")]
    Unknown(String),
    /// The writer is gone.
    #[error("the region is stopping")]
    Stopping,
}

/// Sends requests to peers whose streams are open.
pub(crate) trait Peers: Send + 'static {
    /// Asks `to`; a request to a closed stream is dropped, because the node asks again.
    fn ask(&self, to: RegionSlot, request: Request);
}

/// A handle on the writer.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    commands: mpsc::Sender<Command>,
    progress: watch::Receiver<Progress>,
    acked: watch::Receiver<Acked>,
    observed: watch::Receiver<Arc<Observed>>,
}

impl Writer {
    /// Starts the writer thread on `store`, beginning from what is durable.
    pub(crate) fn start(
        config: Config,
        store: Arc<Store>,
        durable: Durable,
        clock: Clock,
        peers: impl Peers,
        suspicion: Suspicion,
    ) -> std::io::Result<Self> {
        let (commands, inbox) = mpsc::channel(QUEUE_COMMANDS_MAX);
        let (task, seen) = Task::new(config, store, durable, clock, peers, suspicion);
        let Seen { progress, acked, observed } = seen;
        std::thread::Builder::new().name("writer".to_string()).spawn(move || task.run(inbox))?;
        Ok(Self { commands, progress, acked, observed })
    }

    /// Writes one item; returns once the write is durable here or refused.
    pub(crate) async fn write(&self, table: TableId, op: Box<WriteOp>) -> Answer {
        let (reply, answer) = oneshot::channel();
        self.ask(Command::Write { table, op, reply }, answer).await
    }

    /// Writes several items, all or none; returns once they are durable here or refused.
    pub(crate) async fn transact(&self, ops: Vec<(TableId, WriteOp)>) -> Answer {
        let (reply, answer) = oneshot::channel();
        self.ask(Command::Transact { ops, reply }, answer).await
    }

    /// Deletes those of some items that have expired; returns once that is durable here.
    pub(crate) async fn expire(&self, expire: Expire) -> Answer {
        let (reply, answer) = oneshot::channel();
        self.ask(Command::Expire { expire: Box::new(expire), reply }, answer).await
    }

    /// Changes the catalog; returns once the change is durable here or refused.
    pub(crate) async fn define(&self, change: Change) -> Answer {
        let (reply, answer) = oneshot::channel();
        self.ask(Command::Define { change: Box::new(change), reply }, answer).await
    }

    /// Decides about a conflict; returns once the decision is durable here or refused.
    pub(crate) async fn resolve(&self, resolution: Resolution) -> Answer {
        let (reply, answer) = oneshot::channel();
        self.ask(Command::Resolve { resolution: Box::new(resolution), reply }, answer).await
    }

    /// Puts right what anti-entropy found; returns once that is durable here or refused.
    pub(crate) async fn heal(&self, heal: Heal) -> Answer {
        let (reply, answer) = oneshot::channel();
        self.ask(Command::Heal { heal: Box::new(heal), reply }, answer).await
    }

    /// Changes the membership; returns once it is decided and durable here, or refused.
    pub(crate) async fn govern(&self, directive: Directive) -> Answer {
        let (reply, answer) = oneshot::channel();
        self.ask(Command::Govern { directive, reply }, answer).await
    }

    /// Hands over what a link has to say; waits while the writer is behind.
    pub(crate) async fn tell(&self, command: Command) -> Result<(), WriteFault> {
        self.commands.send(command).await.map_err(|_| WriteFault::Stopping)
    }

    /// Ends in order: closes the store once what came before is durable. Nothing is written after.
    pub(crate) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.tell(Command::Close { done }).await.is_ok() {
            // A writer that is gone has nothing to close.
            let _ = closed.await;
        }
    }

    /// What is durable here.
    pub(crate) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// What other regions have of what was written here, and which of them are reached. At least as
    /// new is the catalog of a [`Writer::progress`] that is read after it.
    pub(crate) fn acked(&self) -> watch::Receiver<Acked> {
        self.acked.clone()
    }

    /// What an operator may want to know.
    pub(crate) fn observed(&self) -> Arc<Observed> {
        Arc::clone(&self.observed.borrow())
    }

    /// There mostly is room, and the command need not be kept beside the future that waits.
    fn ask(
        &self,
        command: Command,
        answer: oneshot::Receiver<Answer>,
    ) -> impl Future<Output = Answer> {
        let told = self.commands.try_send(command).map_err(|error| match error {
            TrySendError::Full(command) => Some(Box::pin(self.tell(command))),
            TrySendError::Closed(_) => None,
        });
        async move {
            match told {
                Ok(()) => {}
                Err(Some(told)) => told.await?,
                Err(None) => return Err(WriteFault::Stopping),
            }
            answer.await.unwrap_or(Err(WriteFault::Stopping))
        }
    }
}

#[cfg(test)]
mod tests;
