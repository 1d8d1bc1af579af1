//! The bugs that the simulator is tested with.

use pangea_core::crdt;
use pangea_core::node::Bug;

use crate::options::{Focus, Options};

/// What shows the bug often; without the bug itself.
#[must_use]
pub fn fitting(bug: Bug) -> Options {
    let focus = match bug {
        Bug::CollectedByAge
        | Bug::AcknowledgedOutOfBand
        | Bug::CollectedForgotten
        | Bug::ShortenedEarly => Some(Focus::Collection),
        bug if shows_in_lifecycle(bug) => Some(Focus::Lifecycle),
        Bug::CollectedDuringCopy | Bug::CollectedWithoutLeaving => Some(Focus::Joining),
        Bug::RepairOverwrites | Bug::DamageTakenForDeletion => Some(Focus::Repair),
        Bug::ExpiryUnlooked
        | Bug::ExpiryEarly
        | Bug::ExpiryTakenAtOnce
        | Bug::ExpiryTakenTogether
        | Bug::ExpiryNeverTakenOver
        | Bug::ExpiryLeftToSuspended
        | Bug::ExpiryOfGreatest
        | Bug::ExpiryUntold => Some(Focus::Expiry),
        Bug::ServedWhenOver | Bug::StageOutlivesLife | Bug::LostLogUnheard => {
            Some(Focus::Evictions)
        }
        Bug::EarlierLivesUnheard
        | Bug::UnheardDropped
        | Bug::ReturnUnheard
        | Bug::LostLogUnfenced
        | Bug::LostLogShortens
        | Bug::ClaimedByLedger
        | Bug::RowsKeptUntold
        | Bug::RowsKeptBeside
        | Bug::FailedLeaves
        | Bug::HeldByName
        | Bug::KeptFails
        | Bug::LostLogCopied
        | Bug::ChangeUndone
        | Bug::PlacedUnawaited
        | Bug::LostLogLeaves
        | Bug::LifeBegunTwice
        | Bug::NeededForEver
        | Bug::DropForgotten
        | Bug::LevelledCounted
        | Bug::WriterTrusted => Some(Focus::Returns),
        Bug::LostHeirUntold => Some(Focus::Vectors),
        Bug::ExposedEarly
        | Bug::NeedsIgnored
        | Bug::ServedEarly
        | Bug::PlaceTrusted
        | Bug::StandingTrusted => Some(Focus::Groups),
        _ => None,
    };
    Options { focus, ..Options::default() }
}

const fn shows_in_lifecycle(bug: Bug) -> bool {
    matches!(
        bug,
        Bug::FenceForgotten
            | Bug::LifeReused
            | Bug::VotesTwice
            | Bug::LevellingForgotten
            | Bug::UnclaimedWaitsForEver
            | Bug::RelayOutlivesLife
            | Bug::CopiedWhileOthersLeave
            | Bug::LevelWithLostLog
            | Bug::LostLogTakesRows
            | Bug::UnkeptAcknowledged
            | Bug::OverAcknowledges
            | Bug::OverPassesOn
            | Bug::LeavesRowsOut
            | Bug::UnheldPassed
            | Bug::JoiningUnasked
            | Bug::JoiningUnheard
            | Bug::LostLogPassesOn
            | Bug::EmptyingIndexReady
            | Bug::OverTakesRows
            | Bug::LeavingUntoldOfConflicts
            | Bug::UnsettledUntold
            | Bug::BereftDropped
            | Bug::ClaimTrusted
            | Bug::ReturnedUnasked
            | Bug::ExpiryLeftToGoneOwner
            | Bug::SilenceTrusted
            | Bug::CollectedBeforeLevelling
    )
}

/// The bugs of a survey of all, such as the example `detect`.
pub const PLANTED: &[Bug] = &[
    Bug::ReplyBeforeDurable,
    Bug::NoRegionTieBreak,
    Bug::AppliedAheadOfRows,
    Bug::LedgerNotInBatch,
    Bug::ContextForgotten,
    Bug::ClockForgotten,
    Bug::LedgerSkipped,
    Bug::LostHeirUntold,
    Bug::EpochIgnored,
    Bug::FloodDropped,
    Bug::LedgerUnplaced,
    Bug::Crdt(crdt::Bug::TallyDroppedOnRemove),
    Bug::Crdt(crdt::Bug::SetWithoutBase),
    Bug::Crdt(crdt::Bug::AdditiveMerge),
    Bug::Crdt(crdt::Bug::ReAddWithoutDot),
    Bug::CollectedByAge,
    Bug::AcknowledgedOutOfBand,
    Bug::CollectedForgotten,
    Bug::CollectedDuringCopy,
    Bug::CollectedWithoutLeaving,
    Bug::ShortenedEarly,
    Bug::SkewBelieved,
    Bug::ForemostBelieved,
    Bug::TrapUnrecorded,
    Bug::AckBeforeDurable,
    Bug::CutWithinState,
    Bug::DisplacedWithheld,
    Bug::TokenNotJoined,
    Bug::AckAssumed,
    Bug::FingerprintNotOnApply,
    Bug::FingerprintOfTombstones,
    Bug::RepairOverwrites,
    Bug::DamageTakenForDeletion,
    Bug::IndexNotOnApply,
    Bug::RelayAcknowledges,
    Bug::RelayTrusted,
    Bug::FenceForgotten,
    Bug::VotesTwice,
    Bug::LifeReused,
    Bug::LevellingForgotten,
    Bug::CollectedBeforeLevelling,
    Bug::UnclaimedWaitsForEver,
    Bug::RelayOutlivesLife,
    Bug::CopiedWhileOthersLeave,
    Bug::LevelWithLostLog,
    Bug::LostLogTakesRows,
    Bug::LostLogUnheard,
    Bug::UnkeptAcknowledged,
    Bug::OverAcknowledges,
    Bug::LevelledCounted,
    Bug::JournalGoesBack,
    Bug::OverPassesOn,
    Bug::LeavesRowsOut,
    Bug::UnheldPassed,
    Bug::JoiningUnasked,
    Bug::JoiningUnheard,
    Bug::AnswerCutShort,
    Bug::AnswerPresumed,
    Bug::LostLogPassesOn,
    Bug::ServedWhenOver,
    Bug::EmptyingIndexReady,
    Bug::OverTakesRows,
    Bug::LeavingUntoldOfConflicts,
    Bug::EarlierLivesUnheard,
    Bug::UnsettledUntold,
    Bug::BereftDropped,
    Bug::ClaimTrusted,
    Bug::ReturnedUnasked,
    Bug::ReturnUnheard,
    Bug::LostLogUnfenced,
    Bug::LostLogShortens,
    Bug::ClaimedByLedger,
    Bug::RowsKeptUntold,
    Bug::RowsKeptBeside,
    Bug::FailedLeaves,
    Bug::HeldByName,
    Bug::KeptFails,
    Bug::LostLogCopied,
    Bug::ChangeUndone,
    Bug::PlacedUnawaited,
    Bug::LostLogLeaves,
    Bug::LifeBegunTwice,
    Bug::NeededForEver,
    Bug::SilenceTrusted,
    Bug::UnheardDropped,
    Bug::WriterTrusted,
    Bug::DropForgotten,
    Bug::FrameOnStale,
    Bug::StageOutlivesLife,
    Bug::JournalNotOnApply,
    Bug::ExposedEarly,
    Bug::NeedsIgnored,
    Bug::ServedEarly,
    Bug::PlaceTrusted,
    Bug::StandingTrusted,
    Bug::ExpiryUnlooked,
    Bug::ExpiryEarly,
    Bug::ExpiryTakenAtOnce,
    Bug::ExpiryTakenTogether,
    Bug::ExpiryNeverTakenOver,
    Bug::ExpiryLeftToSuspended,
    Bug::ExpiryLeftToGoneOwner,
    Bug::ExpiryUntold,
    Bug::ExpiryOfGreatest,
];
