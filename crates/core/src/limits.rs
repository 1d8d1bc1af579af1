//! Every limit of the product, in one place, with its derivation.

/// Greatest size of an item, names and values together, in bytes (DynamoDB: 400 KB).
pub const ITEM_BYTES_MAX: usize = 400 * 1024;
/// Greatest size of a partition key value, in bytes (DynamoDB).
pub const PARTITION_KEY_BYTES_MAX: usize = 2048;
/// Greatest size of a sort key value, in bytes (DynamoDB).
pub const SORT_KEY_BYTES_MAX: usize = 1024;
/// Deepest nesting of lists and maps (DynamoDB).
pub const NESTING_DEPTH_MAX: usize = 32;
/// Bytes of items that one Query or Scan page evaluates (DynamoDB: 1 MB).
pub const PAGE_BYTES_MAX: usize = 1024 * 1024;
/// Bytes that one read unit pays for (DynamoDB: 4 KB).
pub const READ_UNIT_BYTES: usize = 4096;
/// Keys of one BatchGetItem (DynamoDB).
pub const BATCH_GET_KEYS_MAX: usize = 100;
/// Bytes of items that one BatchGetItem returns at most; the rest is unprocessed (DynamoDB: 16 MB,
/// of which its documentation says that 52 items of 300 KB fit).
pub const BATCH_GET_BYTES_MAX: usize = 16_000_000;
/// Writes of one BatchWriteItem (DynamoDB).
pub const BATCH_WRITE_ITEMS_MAX: usize = 25;
/// Statements of one BatchExecuteStatement (DynamoDB).
pub const BATCH_STATEMENTS_MAX: usize = 25;
/// Bytes of one expression string (DynamoDB: 4 KB).
pub const EXPRESSION_BYTES_MAX: usize = 4096;
/// Bytes of all values of one request's expressions together (DynamoDB: 2 MB).
pub const EXPRESSION_VALUES_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Bytes of a placeholder in `ExpressionAttributeNames` or `Values`, with its sign (DynamoDB).
pub const PLACEHOLDER_BYTES_MAX: usize = 255;
/// Bytes of the name of an attribute, at any depth (DynamoDB).
pub const ATTRIBUTE_NAME_BYTES_MAX: usize = 65_535;
/// Bytes of one request body: 16 MB of BatchWriteItem (25 items of 400 KB) plus JSON and base64.
pub const REQUEST_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How far ahead of local time a received stamp may be before its origin's stream is held, ms.
///
/// The bound of the field: CockroachDB's maximum offset and uhlc's default are both 500 ms.
pub const CLOCK_SKEW_MS_MAX: u64 = 500;
/// Rows that one batch of a table's removal deletes: bounds how long it holds up client writes.
pub const DROP_ROWS_MAX: usize = 256;
/// Rounds of collecting tombstones and shortening rows come this often, ms: ten thousand deletes a
/// second, of which each region collects those of all.
pub const COLLECT_INTERVAL_MS: u64 = 100;
/// Tombstones that one round of collecting looks at, about: bounds how long it holds up client
/// writes. While there are more, rounds come with every tick of 20 ms.
pub const COLLECT_ROWS_MAX: usize = 256;
/// Bytes of items that one round of shortening rows reads, about.
pub const COLLECT_BYTES_MAX: usize = 256 * 1024;
/// Items that nobody has written for this long are cold, ms: their rows are shortened. Those who
/// audit a run read contexts within minutes of it.
pub const COLD_AFTER_MS: u64 = 10 * 60 * 1000;
/// Items of one transaction (DynamoDB).
pub const TRANSACTION_ITEMS_MAX: usize = 100;
/// Bytes of all items of one transaction together (DynamoDB: 4 MB).
pub const TRANSACTION_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Rows of one replication frame: bounds the receiver's write batch.
pub const FEED_ROWS_MAX: usize = 512;
/// Bytes of one replication frame, before the row that crosses it: one item may be 400 KB.
pub const FEED_BYTES_MAX: usize = 256 * 1024;
/// An idle stream sends its watermark this often, ms; the resolution of idle replication lag.
pub const HEARTBEAT_INTERVAL_MS: u64 = 100;
/// Acknowledgements of a peer's writes follow each other at this distance at least, microseconds:
/// few beside the round trip that whoever waits for them pays, and at most 500 frames a second.
pub const ACK_INTERVAL_US: u64 = 2_000;
/// A stream without a frame for this long is dead, ms: ten heartbeats.
pub const LINK_TIMEOUT_MS: u64 = 10 * HEARTBEAT_INTERVAL_MS;
/// A receiver that saw a gap, or a held stream, asks again this often, ms.
pub const RESUBSCRIBE_INTERVAL_MS: u64 = 200;
/// Conflicts of one item in a minute that have a ledger row each; above, they share rows. A person
/// may read that many; ten an hour over 30 days of retention are 7,200 rows an item at most.
pub const LEDGER_ROWS_PER_MINUTE_MAX: u32 = 60;
/// Conflicts that share one ledger row, which is written anew for each: 64 of 20 bytes.
pub const LEDGER_PAIRS_MAX: usize = 64;
/// Items whose conflicts are counted at a time: a few hundred bytes each.
pub const LEDGER_HOT_ITEMS_MAX: usize = 4096;
/// Bytes of rows of tables in groups that wait to be shown whole: 256 frames, of a region that was
/// away for a minute while a few MB a second were written. Above, the tables are not served until
/// the region has caught up.
pub const STAGE_BYTES_MAX: usize = 256 * FEED_BYTES_MAX;
/// A region that is out of reach for so long has its rows asked for elsewhere, ms: the time after
/// which a link is dead, so that a stream that is merely opened again costs nothing.
pub const RELAY_AFTER_MS: u64 = LINK_TIMEOUT_MS;
/// Another region's rows that were asked for and did not come are asked for again, ms.
pub const RELAY_TIMEOUT_MS: u64 = LINK_TIMEOUT_MS;
/// A change of the membership is wanted for so long, ms; then whoever ordered it is told that it is
/// undecided, and it is not proposed any more: five attempts.
pub const PROPOSAL_PATIENCE_MS: u64 = 10_000;
/// A change that is not decided is proposed anew after this, ms: two round trips of 300 ms, the
/// syncs of four rows, and as much again.
pub const PROPOSAL_RETRY_MS: u64 = 1_500;
/// Regions that propose at once do so anew one after the other, so far apart, ms.
pub const PROPOSAL_TURN_MS: u64 = 400;
/// Bytes of the winning image kept in a ledger entry; the losing image is always kept whole,
/// because the entry is its only copy.
pub const LEDGER_WINNER_BYTES_MAX: usize = 64 * 1024;

/// Lives of regions that a session's token names: every region that there may be.
pub const SESSION_ORIGINS_MAX: usize = 64;
/// How long a request may ask to wait for what its session has seen, ms: less than clients' read
/// timeouts, which are 30 s and more.
pub const SESSION_WAIT_MS_MAX: u32 = 20_000;
/// How long a write may ask to wait for other regions, ms: as for sessions.
pub const DURABILITY_WAIT_MS_MAX: u32 = 20_000;

// Rows of one stamp are never parted, so a frame must have room for more than one transaction.
const _: () = assert!(TRANSACTION_ITEMS_MAX < FEED_ROWS_MAX);
const _: () = assert!(PARTITION_KEY_BYTES_MAX + SORT_KEY_BYTES_MAX < ITEM_BYTES_MAX);
