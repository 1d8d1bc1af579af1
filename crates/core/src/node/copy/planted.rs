//! Copying and leaving as they must not be: each bug with the twin that ships.

use super::super::Node;

impl Node {
    #[cfg(feature = "planted-bugs")]
    pub(in crate::node) fn planted_impatience(&self) -> bool {
        self.has_bug(super::super::Bug::CopiedWhileOthersLeave)
    }

    #[cfg(not(feature = "planted-bugs"))]
    #[expect(clippy::unused_self, reason = "the twin with planted bugs reads the configuration")]
    pub(in crate::node) fn planted_impatience(&self) -> bool {
        false
    }

    #[cfg(feature = "planted-bugs")]
    pub(in crate::node) fn planted_afterlife(&self) -> bool {
        self.has_bug(super::super::Bug::ServedWhenOver)
    }

    #[cfg(not(feature = "planted-bugs"))]
    #[expect(clippy::unused_self, reason = "the twin with planted bugs reads the configuration")]
    pub(in crate::node) fn planted_afterlife(&self) -> bool {
        false
    }

    #[cfg(feature = "planted-bugs")]
    pub(in crate::node) fn planted_belief(&self) -> bool {
        self.has_bug(super::super::Bug::LevelWithLostLog)
    }

    #[cfg(not(feature = "planted-bugs"))]
    #[expect(clippy::unused_self, reason = "the twin with planted bugs reads the configuration")]
    pub(in crate::node) fn planted_belief(&self) -> bool {
        false
    }

    #[cfg(feature = "planted-bugs")]
    pub(in crate::node) fn planted_unasked_return(&self) -> bool {
        self.has_bug(super::super::Bug::ReturnedUnasked)
    }

    #[cfg(not(feature = "planted-bugs"))]
    #[expect(clippy::unused_self, reason = "the twin with planted bugs reads the configuration")]
    pub(in crate::node) const fn planted_unasked_return(&self) -> bool {
        false
    }
}
