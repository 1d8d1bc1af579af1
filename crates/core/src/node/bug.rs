//! Bugs to plant, for the simulator to find.

/// Bugs that the simulator must catch. They exist in no shipped build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// What a relayed frame rests on is taken for the relaying region's acknowledgement.
    RelayAcknowledges,
    /// What an earlier life of a region has passed on counts for the one that came after.
    RelayOutlivesLife,
    /// Of an answer about what a peer has behind its own place, only the first frame is taken.
    AnswerCutShort,
    /// What was collected of a life that is over is forgotten, and not that it was all.
    AnswerPresumed,
    /// Relayed rows count as applied whatever the relaying region lacks.
    RelayTrusted,
    /// Tombstones are dropped before the regions have levelled what they have of one that is gone.
    CollectedBeforeLevelling,
    /// What rows have seen of a life that is over, and nobody has of it, waits to be stable.
    UnclaimedWaitsForEver,
    /// What a region that is gone wrote is not levelled among those that stay.
    LevellingForgotten,
    /// A region whose life is over merges what peers send before its next life begins.
    OverTakesRows,
    /// A region whose life is over passes on rows before its next life begins.
    OverPassesOn,
    /// A region takes what the old life of an evicted one goes on to send.
    FenceForgotten,
    /// A region that comes back takes a life that it had before.
    LifeReused,
    /// What a region that comes back alone had of another's life that is over goes with its rows.
    BereftDropped,
    /// The newest row that a holder has of a life that is over counts for each of its tables.
    ClaimTrusted,
    /// What a region had counts for a region that comes back, although it may have lost its log.
    SilenceTrusted,
    /// Who wrote a version is taken to have it, whatever became of its table, or its log.
    WriterTrusted,
    /// Who wrote a version, left the table and holds it again, is taken to have it still.
    DropForgotten,
    /// What a region that comes back alone had goes where nobody tells of the table.
    UnheardDropped,
    /// What waits to be shown of a life outlives it.
    StageOutlivesLife,
    /// A frame is merged into rows as they were before what this region said ahead of it.
    FrameOnStale,
    /// What a region that has lost its log has of a life that is over is taken, although it did not
    /// hear of the end.
    LostLogUnfenced,
    /// What a region that comes back sets aside of its ledger stays there under its old stamp.
    ClaimedByLedger,
    /// A region that has lost its log goes on to collect and to shorten.
    LostLogShortens,
    /// What a region that comes back alone had goes to its ledger before all know of the return.
    ReturnUnheard,
    /// A replica is not copied from who has come back and held the table before.
    ReturnedUnasked,
    /// What a region wrote before its last life counts as unheard where nobody had it then.
    EarlierLivesUnheard,
    /// A life of which there are rows, and nothing without gaps, is not told of.
    UnsettledUntold,
    /// The conflicts of a table are withheld from a replica that is leaving it.
    LeavingUntoldOfConflicts,
    /// Of a loser that another region has recorded, and that had overwritten what this one wrote,
    /// this one's feed says nothing.
    LostHeirUntold,
    /// A region that comes back says nothing of a table of which it keeps what others may not have.
    RowsKeptUntold,
    /// A change of a table that is undone when its region comes back leaves no trace.
    ChangeUndone,
    /// A voter forgets what it has promised.
    VotesTwice,
    /// Clients are answered before their write is durable.
    ReplyBeforeDurable,
    /// Concurrent versions of equal readings are not ordered by origin.
    NoRegionTieBreak,
    /// The applied vector is written in a batch of its own, ahead of the rows.
    AppliedAheadOfRows,
    /// The ledger entry is written in a batch of its own, after the merge.
    LedgerNotInBatch,
    /// A version's context lacks what its region had seen.
    ContextForgotten,
    /// The clock's high-water mark does not survive a restart.
    ClockForgotten,
    /// One of the merging of attributes.
    Crdt(crate::crdt::Bug),
    /// Rows of the ledger do not carry the placement of their item.
    LedgerUnplaced,
    /// Conflicts above the rate are not kept.
    FloodDropped,
    /// Versions of settings that are not known yet are merged under the old ones.
    EpochIgnored,
    /// Concurrent losers are dropped without a ledger entry, as common stores do.
    LedgerSkipped,
    /// Tombstones are dropped after a grace period.
    CollectedByAge,
    /// Acknowledgements count as soon as they come, whatever is missing before them.
    AcknowledgedOutOfBand,
    /// What was seen of collected items is forgotten.
    CollectedForgotten,
    /// Tombstones are dropped although a replica is being copied.
    CollectedDuringCopy,
    /// A replica is copied although another is leaving, whose last rows the home may lack.
    CopiedWhileOthersLeave,
    /// A region that has lost its log acknowledges what it does not keep.
    UnkeptAcknowledged,
    /// A region whose life is over acknowledges what it does not keep.
    OverAcknowledges,
    /// A region whose life is over counts on what others have levelled of it, and drops its rows.
    LevelledCounted,
    /// A region does not hear from its peers that it has lost its log.
    LostLogUnheard,
    /// A region that has lost its log takes rows in, and says what it makes of them.
    LostLogTakesRows,
    /// A record of the journal is of a time that readers were told to be over.
    JournalGoesBack,
    /// A region that comes back keeps rows of a table that another told of, which came back too.
    RowsKeptBeside,
    /// A replica that could not be made says that it leaves once it is taken away.
    FailedLeaves,
    /// A region that has come back says that it has all of a table whose home it is by name alone.
    HeldByName,
    /// What a region that has lost its log says that it has of a table is all that it had.
    LostLogCopied,
    /// A replica that is needed again, and has the name of another table, fails with its rows.
    KeptFails,
    /// A leaving replica drops its rows on the word of a region that has lost its log.
    LevelWithLostLog,
    /// What a region that is joining has of a life that is over counts, and is not asked for.
    JoiningUnasked,
    /// A region that is joining need not have said what it has of a life that ended meanwhile.
    JoiningUnheard,
    /// What a region that has lost its log passes on counts for all that it had.
    LostLogPassesOn,
    /// A replica serves without items that its home may not have, and who has them is out of reach.
    PlacedUnawaited,
    /// What a peer rested on of a life that is over is waited for, although nobody has it any more.
    NeededForEver,
    /// A region begins a life anew that it has lived, and lost the log of.
    LifeBegunTwice,
    /// A region that has lost its log says that it has handed over what it shall leave.
    LostLogLeaves,
    /// A region whose life is over begins to serve a table that it was copying.
    ServedWhenOver,
    /// A region leaves out rows of a table from when it hears that it shall leave it.
    LeavesRowsOut,
    /// Replicas that are leaving need not have acknowledged what is collected.
    CollectedWithoutLeaving,
    /// Cold rows are shortened before what they have seen is stable.
    ShortenedEarly,
    /// Rows of a table that is not held, or not heard of yet, are passed as short.
    UnheldPassed,
    /// A wall clock that is ahead of all peers is believed.
    SkewBelieved,
    /// Of two peers the one that is ahead is believed.
    ForemostBelieved,
    /// What a merge function has no result for is not in the ledger.
    TrapUnrecorded,
    /// What was applied is told to peers before it is durable.
    AckBeforeDurable,
    /// Every frame makes a cut, not only the last one of a state.
    CutWithinState,
    /// The feed skips own versions whose place another region's version took.
    DisplacedWithheld,
    /// Any frame of a peer is taken for an acknowledgement of all that was written.
    AckAssumed,
    /// A session's token forgets what was in the request's.
    TokenNotJoined,
    /// Peers' rows do not change fingerprints.
    FingerprintNotOnApply,
    /// Deleted items count in fingerprints until they are collected.
    FingerprintOfTombstones,
    /// A peer's row takes the place of what is here instead of being merged.
    RepairOverwrites,
    /// What is damaged at another holder, too, counts as deleted there.
    DamageTakenForDeletion,
    /// Peers' rows do not come to secondary indexes.
    IndexNotOnApply,
    /// An index that is being emptied still counts as filled.
    EmptyingIndexReady,
    /// Peers' rows are not in the journal.
    JournalNotOnApply,
    /// What a driver takes for expired is deleted without another look.
    ExpiryUnlooked,
    /// Items are deleted as soon as they expire by a clock that may be ahead.
    ExpiryEarly,
    /// Items that another region wrote last are deleted at once.
    ExpiryTakenAtOnce,
    /// Items that another region wrote last are deleted by all others at the same time.
    ExpiryTakenTogether,
    /// Items that a region wrote last which is suspended, or gone, are left to it first.
    ExpiryLeftToSuspended,
    /// Items of which a region that is gone was the only one to write are never deleted.
    ExpiryLeftToGoneOwner,
    /// Items that another region wrote last are never deleted.
    ExpiryNeverTakenOver,
    /// That an item was deleted for its age is told where that was done, and not where it arrives.
    ExpiryUntold,
    /// Whether an item was deleted for its age is read off the greatest of its versions.
    ExpiryOfGreatest,
    /// Rows of tables in groups are shown as they come.
    ExposedEarly,
    /// Cuts are shown without what they rest on.
    NeedsIgnored,
    /// Tables of groups are served before all of them is of one state.
    ServedEarly,
    /// What a place rests on that moved while it named no table in a group is forgotten.
    PlaceTrusted,
    /// What stands for rows of a region that merges as it comes is shown on that region's word.
    StandingTrusted,
}
