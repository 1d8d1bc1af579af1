//! The batch that an event makes, if it comes to one: most frames and rounds of upkeep change
//! nothing, and neither make nor drop the dozen collections that a batch is.

use alloc::boxed::Box;
use core::ops::{Deref, DerefMut};

use crate::replica::Batch;

/// What no event has written to.
static NOTHING: Batch = Batch::EMPTY;

/// See the module. It reads as a [`Batch`], and is one from the first write on.
#[derive(Default)]
pub(super) struct LazyBatch(Option<Box<Batch>>);

impl LazyBatch {
    /// What is to be written.
    pub(super) fn into_box(self) -> Box<Batch> {
        self.0.unwrap_or_default()
    }
}

impl Deref for LazyBatch {
    type Target = Batch;

    fn deref(&self) -> &Batch {
        self.0.as_deref().unwrap_or(&NOTHING)
    }
}

impl DerefMut for LazyBatch {
    fn deref_mut(&mut self) -> &mut Batch {
        self.0.get_or_insert_default()
    }
}

#[cfg(feature = "planted-bugs")]
impl From<Batch> for LazyBatch {
    fn from(batch: Batch) -> Self {
        Self(Some(Box::new(batch)))
    }
}
