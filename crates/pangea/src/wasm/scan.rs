//! What the interpreter does not bound, read from a module before the interpreter sees it.
//!
//! Bytes that are not a module at all pass, or fail with the parser's words: validation is the
//! interpreter's, and comes after.

use wasmparser::{
    BinaryReaderError, ElementItems, ElementSectionReader, Encoding, FunctionBody,
    ImportSectionReader, Parser, Payload,
};

use super::declared::{self, Declaration};
use super::error::ModuleError;
use super::limits::{ELEMENTS_MAX, EXPORTS_MAX, FUNCTION_LOCALS_MAX, MODULE_BYTES_MAX, TABLES_MAX};

/// What every module begins with.
const MAGIC: &[u8] = b"\0asm";

/// Refuses what costs time that no fuel pays for, and finds the declared attributes.
pub(super) fn scan(bytes: &[u8]) -> Result<Vec<Declaration>, ModuleError> {
    if bytes.len() > MODULE_BYTES_MAX {
        return Err(ModuleError::TooLarge { bytes: bytes.len() });
    }
    if !bytes.starts_with(MAGIC) {
        let text = "it does not begin with \\0asm: give the compiled module, a .wasm file";
        return Err(ModuleError::Malformed(text.to_owned()));
    }
    let mut declared = Vec::new();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(malformed)? {
            Payload::Version { encoding: Encoding::Component, .. } => {
                let text = "it is a component; a core module is needed".to_owned();
                return Err(ModuleError::Malformed(text));
            }
            Payload::ImportSection(imports) => no_imports(imports)?,
            Payload::StartSection { .. } => return Err(ModuleError::StartFunction),
            Payload::ExportSection(exports) => {
                at_most("exports", u64::from(exports.count()), u64::from(EXPORTS_MAX))?;
            }
            Payload::TableSection(tables) => {
                at_most("tables", u64::from(tables.count()), u64::from(TABLES_MAX))?;
            }
            Payload::ElementSection(segments) => few_elements(segments)?,
            Payload::CodeSectionEntry(body) => few_locals(&body)?,
            Payload::CustomSection(section) if section.name() == declared::SECTION => {
                declared::read(section.data(), &mut declared)?;
            }
            _ => {}
        }
    }
    Ok(declared)
}

fn malformed(error: BinaryReaderError) -> ModuleError {
    ModuleError::Malformed(error.to_string())
}

fn at_most(what: &'static str, count: u64, max: u64) -> Result<(), ModuleError> {
    if count > max { Err(ModuleError::TooMany { what, count, max }) } else { Ok(()) }
}

fn no_imports(imports: ImportSectionReader<'_>) -> Result<(), ModuleError> {
    match imports.into_iter().next() {
        None => Ok(()),
        Some(import) => {
            let import = import.map_err(malformed)?;
            let (module, name) = (import.module.to_owned(), import.name.to_owned());
            Err(ModuleError::Import { module, name })
        }
    }
}

fn few_elements(segments: ElementSectionReader<'_>) -> Result<(), ModuleError> {
    let mut count = 0;
    for segment in segments {
        count += u64::from(match segment.map_err(malformed)?.items {
            ElementItems::Functions(items) => items.count(),
            ElementItems::Expressions(_, items) => items.count(),
        });
    }
    at_most("members of element segments", count, ELEMENTS_MAX)
}

fn few_locals(body: &FunctionBody<'_>) -> Result<(), ModuleError> {
    let mut count = 0;
    for group in body.get_locals_reader().map_err(malformed)? {
        count += u64::from(group.map_err(malformed)?.0);
    }
    at_most("locals in one function", count, FUNCTION_LOCALS_MAX)
}
