//! What a merge function may use, each limit with its derivation.
//!
//! Regions must agree on every one of these, as they must on the interpreter: a merge that runs out
//! in one region runs out in all. A change here is a change of what modules mean.

/// Bytes of a module. One in Rust that reads and writes JSON has 20 to 40 KB; to compile the worst
/// module of this size was measured at 35 ms.
pub const MODULE_BYTES_MAX: usize = 256 * 1024;
/// Locals of one function, parameters not counted. Each call zeroes them, in 40 ns at this limit.
pub const FUNCTION_LOCALS_MAX: u64 = 512;
/// Exports of a module: each is entered into a map for each call.
pub const EXPORTS_MAX: u32 = 64;
/// Members of all element segments together: each is evaluated for each call.
pub const ELEMENTS_MAX: u64 = 10_000;
/// Tables of a module: compilers make one, for calls through pointers.
pub const TABLES_MAX: u32 = 2;
/// Entries of a table.
pub const TABLE_ENTRIES_MAX: usize = 10_000;
/// Bytes of linear memory: both inputs and the output at their largest, and as much again for
/// what the function makes of them.
pub const MEMORY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Calls inside calls. A reader of JSON nests about three for each of 32 levels of an item.
pub const CALL_DEPTH_MAX: usize = 512;
/// Bytes of all frames together: 64 slots of 8 bytes for each nested call.
pub const STACK_BYTES_MAX: usize = 256 * 1024;
/// Bytes of a version as JSON. An item of 400 KB has 546 KB as base64 and 1.2 MB as a list of small
/// numbers; only escaped control characters and numbers like 1E+125 take more.
pub const VERSION_JSON_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Fuel of a merge, whatever its inputs. A unit is one operator of WebAssembly: 1 ns in compiled
/// code, up to 4.5 ns in what was written to waste time (growing memory page by page).
pub const FUEL_BASE: u64 = 2_000_000;
/// Fuel for each byte of input: six times what the example uses, which is written for clarity and
/// reads each byte three times, at 40 operators.
pub const FUEL_PER_BYTE: u64 = 1_000;
/// Fuel of one merge at most: half a second of ordinary code, 2.3 s of the worst, is the longest
/// that a merge can hold up its caller.
pub const FUEL_MAX: u64 = 500_000_000;
/// Fuel of a call, for the locals that it may zero; other operators take one unit or none.
pub const FUEL_PER_CALL: u8 = 16;
/// Bytes that one unit of fuel copies, fills or adds to the memory: as fast as the operators.
pub const BYTES_COPIED_PER_FUEL: u32 = 16;
/// Fuel of all checks of a module together: ten times what the example takes.
pub const CHECK_FUEL_MAX: u64 = 2_500_000_000;
/// Triples of versions on which the laws are checked.
pub const CHECK_CASES: u32 = 256;
/// Attempts to make a counterexample smaller; most end after some dozens.
pub const SHRINK_ATTEMPTS_MAX: u32 = 2_000;
/// Attribute names that a module may declare.
pub const DECLARED_ATTRIBUTES_MAX: usize = 64;
/// Modules in memory at a time: a table has one, and a compiled one takes up to some MB.
pub const MODULES_MAX: usize = 256;

/// Fuel of one merge of inputs of so many bytes together.
#[must_use]
pub const fn fuel_limit(input_bytes: usize) -> u64 {
    let fuel = FUEL_BASE + FUEL_PER_BYTE * input_bytes as u64;
    if fuel < FUEL_MAX { fuel } else { FUEL_MAX }
}

const _: () = assert!(2 * 3 * VERSION_JSON_BYTES_MAX < MEMORY_BYTES_MAX);
const _: () = assert!(pangea_core::limits::ITEM_BYTES_MAX * 4 / 3 < VERSION_JSON_BYTES_MAX);
// Two items of the greatest size, a quarter larger as JSON, have three times what the example uses.
const _: () = assert!(fuel_limit(2 * pangea_core::limits::ITEM_BYTES_MAX * 5 / 4) > 490_000_000);
