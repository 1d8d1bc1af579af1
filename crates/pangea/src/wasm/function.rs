//! A compiled merge function: bounded, without imports, a pure function of its inputs.
//!
//! Every call gets an instance of its own. An instance that lived on would carry memory and globals
//! from one merge into the next, and the result would depend on the history of a process.

use pangea_core::item::Attributes;
use pangea_core::time::Stamp;
use wasmi::errors::{ErrorKind, InstantiationError};
use wasmi::{
    CompilationMode, Config, CustomFuelCosts, EnforcedLimits, Engine, ExternType, FuncType,
    Instance, Memory, Module, OperatorCost, Store, StoreLimits, StoreLimitsBuilder, TrapCode,
    ValType,
};

use super::declared::Declaration;
use super::document;
use super::error::{Fault, ModuleError, Trap};
use super::limits::{
    BYTES_COPIED_PER_FUEL, CALL_DEPTH_MAX, FUEL_PER_CALL, MEMORY_BYTES_MAX, STACK_BYTES_MAX,
    TABLE_ENTRIES_MAX, VERSION_JSON_BYTES_MAX, fuel_limit,
};
use super::scan::scan;

const PAGE_BYTES: u64 = 64 * 1024;
/// Frames begin with this much stack and grow from there.
const STACK_BYTES_MIN: usize = 16 * 1024;

const MEMORY: &str = "memory";
const ALLOC: &str = "alloc";
const MERGE: &str = "merge";
const MEMORY_EXPECTED: &str = "a memory, in which inputs and output are";
const ALLOC_EXPECTED: &str = "a function `(length: i32) -> pointer: i32`";
const MERGE_EXPECTED: &str = "a function `(pointer, length, pointer, length: i32) -> i64`";

/// A version as it goes into a merge: when it was written, and its attributes unless deleted.
pub(super) type Input<'a> = (Stamp, Option<&'a Attributes>);

/// A compiled module. It owns its engine, so that nothing of it outlives it.
pub(super) struct Function {
    engine: Engine,
    module: Module,
    /// Attributes that it treats in its own way.
    pub(super) declared: Vec<Declaration>,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Function").field("declared", &self.declared).finish_non_exhaustive()
    }
}

/// What became of a merge, and what it took.
pub(super) struct Spent<T> {
    pub(super) result: Result<T, Trap>,
    pub(super) fuel: u64,
    pub(super) limit: u64,
}

impl Function {
    /// Compiles a module and tries whether it comes to life; no law is checked.
    pub(super) fn compile(bytes: &[u8]) -> Result<Self, ModuleError> {
        let declared = scan(bytes)?;
        let engine = Engine::new(&config(false));
        let module = Module::new(&engine, bytes).map_err(|error| refusal(&error, bytes))?;
        check_exports(&module)?;
        let function = Self { engine, module, declared };
        let mut store = function.store(fuel_limit(0));
        Instance::new(&mut store, &function.module, &[])
            .map_err(|error| ModuleError::Instantiation(trap(&error, fuel_limit(0))))?;
        Ok(function)
    }

    /// Merges two versions of the item with these key attributes.
    pub(super) fn merge(
        &self,
        key: &Attributes,
        a: Input<'_>,
        b: Input<'_>,
    ) -> Spent<Option<Attributes>> {
        let inputs = [document::write(a.0, a.1), document::write(b.0, b.1)];
        let limit = fuel_limit(inputs[0].len() + inputs[1].len());
        if let Some(input) = inputs.iter().find(|input| input.len() > VERSION_JSON_BYTES_MAX) {
            let result = Err(Trap::InputTooLarge { bytes: input.len() });
            return Spent { result, fuel: 0, limit };
        }
        let mut store = self.store(limit);
        let result = self.call(&mut store, limit, &inputs).and_then(|output| {
            let item = document::read(&output)?;
            document::accept(key, item.as_ref())?;
            Ok(item)
        });
        let left = store.get_fuel().unwrap_or_default();
        Spent { result, fuel: limit.saturating_sub(left), limit }
    }

    /// One call in an instance of its own: the bytes that the function returned.
    fn call(
        &self,
        store: &mut Store<StoreLimits>,
        limit: u64,
        inputs: &[Vec<u8>; 2],
    ) -> Result<Vec<u8>, Trap> {
        let trap = |error: wasmi::Error| trap(&error, limit);
        let instance = Instance::new(&mut *store, &self.module, &[]).map_err(trap)?;
        let unknown = || Trap::Fault(Fault::Other);
        let memory = instance.get_memory(&*store, MEMORY).ok_or_else(unknown)?;
        let alloc = instance.get_typed_func::<u32, u32>(&*store, ALLOC).map_err(trap)?;
        let merge = instance.get_typed_func::<(u32, u32, u32, u32), u64>(&*store, MERGE);
        let merge = merge.map_err(trap)?;
        let mut places = [(0, 0); 2];
        for (place, input) in places.iter_mut().zip(inputs) {
            let bytes = u32::try_from(input.len()).map_err(|_| unknown())?;
            let pointer = alloc.call(&mut *store, bytes).map_err(trap)?;
            memory
                .write(&mut *store, pointer as usize, input)
                .map_err(|_| Trap::BadAllocation { pointer, bytes })?;
            *place = (pointer, bytes);
        }
        let [(a, a_bytes), (b, b_bytes)] = places;
        let packed = merge.call(&mut *store, (a, a_bytes, b, b_bytes)).map_err(trap)?;
        output(store, memory, packed)
    }

    fn store(&self, fuel: u64) -> Store<StoreLimits> {
        // Growing beyond a limit traps instead of returning -1: whoever allocates without end is
        // named for it, and a host without memory cannot make a function take another path.
        let limits = StoreLimitsBuilder::new()
            .memory_size(MEMORY_BYTES_MAX)
            .table_elements(TABLE_ENTRIES_MAX)
            .instances(1)
            .trap_on_grow_failure(true)
            .build();
        let mut store = Store::new(&self.engine, limits);
        store.limiter(|limits| limits);
        store.set_fuel(fuel).expect("the engine is configured to consume fuel");
        store
    }
}

/// The bytes at `pointer << 32 | length`.
fn output(store: &Store<StoreLimits>, memory: Memory, packed: u64) -> Result<Vec<u8>, Trap> {
    let pointer = u32::try_from(packed >> 32).expect("the upper half has 32 bits");
    let bytes = u32::try_from(packed & u64::from(u32::MAX)).expect("the lower half has 32 bits");
    let data = memory.data(store);
    let end = (pointer as usize).saturating_add(bytes as usize);
    let output = data.get(pointer as usize..end).ok_or(Trap::BadPointer { pointer, bytes })?;
    if output.len() > VERSION_JSON_BYTES_MAX {
        return Err(Trap::OutputTooLarge { bytes: output.len() });
    }
    Ok(output.to_vec())
}

/// What modules may be made of. Floats are on only to find out whether they are what is wrong.
fn config(floats: bool) -> Config {
    let mut config = Config::default();
    config
        .floats(floats)
        .wasm_multi_memory(false)
        .wasm_tail_call(false)
        .wasm_extended_const(false)
        .ignore_custom_sections(true)
        .allow_start_fn(false)
        // Nothing is left to be compiled, and paid for, by the first call.
        .compilation_mode(CompilationMode::Eager)
        .enforced_limits(EnforcedLimits::strict())
        .consume_fuel(true)
        .operator_cost(OperatorCost {
            call: FUEL_PER_CALL,
            call_indirect: FUEL_PER_CALL,
            ..OperatorCost::default()
        })
        .fuel_cost(CustomFuelCosts {
            bytes_copied_per_fuel: BYTES_COPIED_PER_FUEL,
            fuel_per_bytes_translated: 0,
            fuel_per_bytes_validated: 0,
        })
        .set_max_stack_height(STACK_BYTES_MAX)
        .set_min_stack_height(STACK_BYTES_MIN)
        .set_max_recursion_depth(CALL_DEPTH_MAX);
    config
}

fn refusal(error: &wasmi::Error, bytes: &[u8]) -> ModuleError {
    if Module::validate(&Engine::new(&config(true)), bytes).is_ok()
        && Module::validate(&Engine::new(&config(false)), bytes).is_err()
    {
        return ModuleError::Floats(error.to_string());
    }
    ModuleError::Malformed(error.to_string())
}

fn check_exports(module: &Module) -> Result<(), ModuleError> {
    let find = |name, expected| {
        module.get_export(name).ok_or(ModuleError::MissingExport { name, expected })
    };
    match find(MEMORY, MEMORY_EXPECTED)? {
        ExternType::Memory(memory) => {
            let (count, max) = (memory.minimum(), MEMORY_BYTES_MAX as u64 / PAGE_BYTES);
            if count > max {
                return Err(ModuleError::TooMany { what: "pages of memory", count, max });
            }
        }
        other => return Err(wrong_export(MEMORY, MEMORY_EXPECTED, &other)),
    }
    let pointers = |count| vec![ValType::I32; count];
    let wanted = [
        (ALLOC, ALLOC_EXPECTED, FuncType::new(pointers(1), [ValType::I32])),
        (MERGE, MERGE_EXPECTED, FuncType::new(pointers(4), [ValType::I64])),
    ];
    for (name, expected, signature) in wanted {
        match find(name, expected)? {
            ExternType::Func(found) if found == signature => {}
            other => return Err(wrong_export(name, expected, &other)),
        }
    }
    Ok(())
}

fn wrong_export(name: &'static str, expected: &'static str, found: &ExternType) -> ModuleError {
    let found = match found {
        ExternType::Func(signature) => {
            let words = |types: &[ValType]| {
                let words: Vec<String> =
                    types.iter().map(|word| format!("{word:?}").to_lowercase()).collect();
                words.join(", ")
            };
            let (params, results) = (words(signature.params()), words(signature.results()));
            format!("a function `({params}) -> ({results})`")
        }
        ExternType::Memory(_) => "a memory".to_owned(),
        ExternType::Table(_) => "a table".to_owned(),
        ExternType::Global(_) => "a global".to_owned(),
    };
    ModuleError::WrongExport { name, expected, found }
}

fn trap(error: &wasmi::Error, limit: u64) -> Trap {
    let fault = match error.as_trap_code() {
        Some(TrapCode::OutOfFuel) => return Trap::OutOfFuel { limit },
        Some(TrapCode::GrowthOperationLimited | TrapCode::OutOfSystemMemory) => {
            return Trap::OutOfMemory;
        }
        Some(TrapCode::StackOverflow) => return Trap::StackOverflow,
        Some(TrapCode::UnreachableCodeReached) => return Trap::Unreachable,
        Some(TrapCode::MemoryOutOfBounds) => Fault::Memory,
        Some(TrapCode::TableOutOfBounds) => Fault::Table,
        Some(TrapCode::IndirectCallToNull) => Fault::CallToNull,
        Some(TrapCode::BadSignature) => Fault::CallSignature,
        Some(TrapCode::IntegerDivisionByZero) => Fault::DivisionByZero,
        Some(TrapCode::IntegerOverflow) => Fault::Overflow,
        Some(TrapCode::BadConversionToInteger) => Fault::Other,
        None => match error.kind() {
            // What `as_trap_code` does not map: limits met while the instance is made.
            ErrorKind::Memory(_) | ErrorKind::Table(_) => return Trap::OutOfMemory,
            ErrorKind::Instantiation(error) => match error {
                InstantiationError::FailedToInstantiateMemory(_)
                | InstantiationError::FailedToInstantiateTable(_) => return Trap::OutOfMemory,
                InstantiationError::ElementSegmentDoesNotFit { .. } => Fault::Table,
                _ => Fault::Other,
            },
            _ => Fault::Other,
        },
    };
    Trap::Fault(fault)
}
