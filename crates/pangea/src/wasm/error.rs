//! Why a module is not taken, and why a merge has no result.

use std::fmt;

use pangea_core::item::ItemError;

use super::ModuleId;
use super::laws::{Counterexample, Law};
use super::limits::{
    CALL_DEPTH_MAX, MEMORY_BYTES_MAX, MODULE_BYTES_MAX, STACK_BYTES_MAX, VERSION_JSON_BYTES_MAX,
};

/// Why a module is refused. Nothing of it is kept; the same bytes are always refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModuleError {
    /// More than [`MODULE_BYTES_MAX`].
    #[error(
        "the module has {bytes} bytes, {MODULE_BYTES_MAX} at most: build it for size, without \
         debugging information"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Not a WebAssembly module, or one with features that merge functions do without.
    #[error("not a WebAssembly module that can be run here: {0}")]
    Malformed(String),
    /// Floating-point numbers anywhere in the module.
    #[error(
        "the module uses floating-point numbers: {0}; their results may differ between machines, \
         so compute with integers or with decimal digits"
    )]
    Floats(String),
    /// An import.
    #[error(
        "the module imports `{module}` `{name}`: a merge function may import nothing, so that its \
         result is a function of its inputs alone"
    )]
    Import {
        /// The module that it imports from.
        module: String,
        /// What it imports.
        name: String,
    },
    /// A start function.
    #[error("the module has a start function: initialise in `alloc` or `merge`")]
    StartFunction,
    /// More of something than is allowed.
    #[error("the module has {count} {what}, {max} at most")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        count: u64,
        /// How many there may be.
        max: u64,
    },
    /// An export is missing.
    #[error("the module does not export `{name}`: {expected}")]
    MissingExport {
        /// Its name.
        name: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// An export is something else.
    #[error("the module exports `{name}` as {found}, which should be {expected}")]
    WrongExport {
        /// Its name.
        name: &'static str,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// The section that declares attributes cannot be read.
    #[error("the section `pangea.attributes` is wrong: {0}")]
    Declaration(String),
    /// The module cannot be brought to life: a segment outside of its memory or table, say.
    #[error("the module cannot be instantiated: {0}")]
    Instantiation(Trap),
    /// It trapped on inputs that may occur.
    #[error("the merge function fails on legal input: {}", trap_and(.0))]
    Traps(Box<Counterexample>),
    /// It breaks a law of merging.
    #[error("the merge function breaks {}: {}", .0.law, .0)]
    Law(Box<Counterexample>),
    /// The laws could not be checked with the fuel there is for it.
    #[error(
        "the merge function is too slow to be checked: {calls} merges used {fuel} units of fuel"
    )]
    TooSlow {
        /// Fuel until then.
        fuel: u64,
        /// Merges until then.
        calls: u64,
    },
    /// The bytes are not those that the identity names.
    #[error(
        "the bytes are module {found}, not {expected}: they were damaged or mixed up on the way"
    )]
    OtherModule {
        /// The identity they should have.
        expected: ModuleId,
        /// The one they have.
        found: ModuleId,
    },
    /// There are too many modules in memory.
    #[error("{max} merge functions are in use: give tables one that is there already")]
    Full {
        /// How many there may be.
        max: usize,
    },
}

fn trap_and(example: &Counterexample) -> String {
    match &example.trap {
        Some(trap) => format!("{trap}; {example}"),
        None => example.to_string(),
    }
}

impl ModuleError {
    /// A word for logs, metrics and scripts; one of a closed set.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too_large",
            Self::Malformed(_) => "malformed",
            Self::Floats(_) => "floats",
            Self::Import { .. } => "import",
            Self::StartFunction => "start_function",
            Self::TooMany { .. } => "too_many",
            Self::MissingExport { .. } => "missing_export",
            Self::WrongExport { .. } => "wrong_export",
            Self::Declaration(_) => "declaration",
            Self::Instantiation(_) => "instantiation",
            Self::Traps(_) => "traps",
            Self::Law(example) => match example.law {
                Law::Totality => "totality",
                Law::Idempotence => "idempotence",
                Law::Commutativity => "commutativity",
                Law::Associativity => "associativity",
            },
            Self::TooSlow { .. } => "too_slow",
            Self::OtherModule { .. } => "other_module",
            Self::Full { .. } => "full",
        }
    }

    /// What shows the fault, where inputs do.
    #[must_use]
    pub fn counterexample(&self) -> Option<&Counterexample> {
        match self {
            Self::Traps(example) | Self::Law(example) => Some(example),
            _ => None,
        }
    }
}

/// Why a merge has no result. Every trap but [`Trap::NotLoaded`] is a function of module and
/// inputs: it happens in every region, and the caller falls back to the last writer and the ledger.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trap {
    /// This region has not got the module yet: see [`Trap::is_final`].
    #[error("module {0} is not loaded in this region: hold the merge until it is")]
    NotLoaded(ModuleId),
    /// A version is larger than a merge function is given.
    #[error("a version has {bytes} bytes as JSON, {VERSION_JSON_BYTES_MAX} at most")]
    InputTooLarge {
        /// Its size.
        bytes: usize,
    },
    /// A loop without end, or too much work.
    #[error("the {limit} units of fuel for these inputs were used up")]
    OutOfFuel {
        /// How much there was.
        limit: u64,
    },
    /// More memory or more table entries than there may be.
    #[error("more memory was asked for than {MEMORY_BYTES_MAX} bytes or the module's own maximum")]
    OutOfMemory,
    /// Recursion without end, or frames that are too large.
    #[error("calls nested deeper than {CALL_DEPTH_MAX}, or used {STACK_BYTES_MAX} bytes of stack")]
    StackOverflow,
    /// `unreachable`: what a panic or a failed assertion compiles to.
    #[error("the function gave up (`unreachable`: a panic or a failed assertion)")]
    Unreachable,
    /// Any other trap of WebAssembly.
    #[error("{0}")]
    Fault(Fault),
    /// `alloc` returned a place that does not exist.
    #[error("`alloc({bytes})` returned {pointer}, and {bytes} bytes from there are not in memory")]
    BadAllocation {
        /// What it returned.
        pointer: u32,
        /// What it was asked for.
        bytes: u32,
    },
    /// `merge` returned a place that does not exist.
    #[error("`merge` returned {bytes} bytes at {pointer}, which are not in memory")]
    BadPointer {
        /// Where the output should be.
        pointer: u32,
        /// How long it should be.
        bytes: u32,
    },
    /// The output is larger than any item can be.
    #[error("the output has {bytes} bytes, {VERSION_JSON_BYTES_MAX} at most")]
    OutputTooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The output is not what the interface asks for.
    #[error("the output is not a version: {0}")]
    Output(String),
    /// The output's key is not that of the item.
    #[error("the output changes the key attribute `{0}`")]
    KeyChanged(String),
    /// The output may not be stored as an item.
    #[error("the output may not be stored: {0}")]
    Illegal(ItemError),
}

impl Trap {
    /// A word for logs, metrics and scripts; one of a closed set.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotLoaded(_) => "not_loaded",
            Self::InputTooLarge { .. } => "input_too_large",
            Self::OutOfFuel { .. } => "out_of_fuel",
            Self::OutOfMemory => "out_of_memory",
            Self::StackOverflow => "stack_overflow",
            Self::Unreachable => "unreachable",
            Self::Fault(_) => "fault",
            Self::BadAllocation { .. } => "bad_allocation",
            Self::BadPointer { .. } => "bad_pointer",
            Self::OutputTooLarge { .. } => "output_too_large",
            Self::Output(_) => "output",
            Self::KeyChanged(_) => "key_changed",
            Self::Illegal(_) => "illegal",
        }
    }

    /// Whether the same versions will never have a result with this module, in any region.
    ///
    /// If not, falling back to the last writer would let regions differ: hold the merge instead.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        !matches!(self, Self::NotLoaded(_))
    }
}

/// A trap that the WebAssembly specification knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An access outside of memory.
    Memory,
    /// An access outside of a table.
    Table,
    /// A call through an empty table entry.
    CallToNull,
    /// A call through an entry of another type.
    CallSignature,
    /// A division by zero.
    DivisionByZero,
    /// A quotient that does not fit.
    Overflow,
    /// Anything else that the interpreter may say.
    Other,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "access outside of memory",
            Self::Table => "access outside of a table",
            Self::CallToNull => "call through an empty table entry",
            Self::CallSignature => "call through a table entry of another type",
            Self::DivisionByZero => "division by zero",
            Self::Overflow => "integer overflow in a division",
            Self::Other => "the interpreter refused to go on",
        })
    }
}
