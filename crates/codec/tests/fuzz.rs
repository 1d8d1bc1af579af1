//! What clients send, mutated: nothing panics, nothing hangs, every refusal is JSON.
//!
//! Each target takes the files of `fuzz-corpus/TARGET` apart into tokens, changes, drops, repeats
//! and swaps some of them, among files too, and hands the result to the code that reads such input.
//! A failure prints the input; put it into the corpus. By default there are as many executions of
//! each as take a core a minute, always the same; `cargo xtask fuzz` has a seed of its own.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use pangea_codec::cbor::{self, Times};
use pangea_codec::dynamo::request::{Operation, decode};
use pangea_codec::dynamo::shape::Shapes;
use pangea_codec::dynamo::{ApiError, ErrorKind, decode_attributes};
use pangea_codec::sigv4::{Demand, Secret, Signed, presented, unchunked, verify};
use pangea_core::expr::{Condition, KeyCondition, Kind, Placeholders, Projection, Update};
use pangea_core::item::Attributes;
use pangea_core::partiql;
use pangea_core::table::{KeyAttribute, KeyKind, Schema};

/// Executions of each target, where no time is given: a minute each on one core, without
/// optimisation, but for CBOR, of which few inputs get far.
const EXECUTIONS: [(&str, u64); 5] = [
    ("expression", 450_000),
    ("statement", 290_000),
    ("body", 480_000),
    ("signature", 680_000),
    ("cbor", 120_000),
];
/// One execution may not take longer, on a machine that does other things too.
const HANG: Duration = Duration::from_secs(10);
/// Larger inputs find nothing that smaller do not.
const BYTES_MAX: usize = 64 * 1024;

/// A deterministic generator (Knuth's MMIX constants), so that a failure is the same everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % bound.max(1)
    }
}

/// One file of the corpus.
struct Seed {
    name: String,
    tokens: Vec<Vec<u8>>,
}

/// Words, numbers, strings in quotes and single characters, so that a mutation changes a meaning
/// more often than a spelling.
fn tokens(bytes: &[u8]) -> Vec<Vec<u8>> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || b"_#:".contains(&byte) || byte >= 0x80;
    let mut tokens: Vec<Vec<u8>> = Vec::new();
    for &byte in bytes {
        match tokens.last_mut() {
            Some(last) if word(byte) && last.last().is_some_and(|last| word(*last)) => {
                last.push(byte);
            }
            _ => tokens.push(vec![byte]),
        }
    }
    tokens
}

fn corpus(target: &str) -> Vec<Seed> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz-corpus").join(target);
    let files = std::fs::read_dir(directory).expect("the corpus is in the repository");
    let mut seeds: Vec<Seed> = files
        .map(|file| {
            let path = file.expect("a directory can be listed").path();
            let bytes = std::fs::read(&path).expect("a file of the corpus can be read");
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let tokens = match path.extension().is_some_and(|extension| extension == "hex") {
                true => from_hex(&bytes).into_iter().map(|byte| vec![byte]).collect(),
                false => tokens(&bytes),
            };
            Seed { name, tokens }
        })
        .collect();
    seeds.sort_by(|one, other| one.name.cmp(&other.name));
    seeds
}

fn from_hex(digits: &[u8]) -> Vec<u8> {
    let digits: Vec<u32> =
        digits.iter().filter_map(|digit| char::from(*digit).to_digit(16)).collect();
    let byte = |pair: &[u32]| u8::try_from(pair[0] * 16 + pair[1]).expect("two digits");
    digits.chunks_exact(2).map(byte).collect()
}

/// Tokens that no file has.
const STRANGE: [&str; 16] = [
    "",
    "\0",
    "\u{e9}",
    "\u{1f600}",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "1e999",
    "-",
    "null",
    "{}",
    "[]",
    "999999999999999999999999",
    "((((((((",
    "NOT NOT NOT NOT ",
];

fn mutated(dice: &mut Dice, seeds: &[Seed]) -> (String, Vec<u8>) {
    let seed = &seeds[dice.below(seeds.len())];
    let mut tokens = seed.tokens.clone();
    for _ in 0..=dice.below(6) {
        let at = dice.below(tokens.len());
        let end = (at + 1 + dice.below(8)).min(tokens.len());
        let other = &seeds[dice.below(seeds.len())].tokens;
        match dice.below(9) {
            0 => drop(tokens.drain(at..end)),
            1 => {
                let again: Vec<Vec<u8>> = tokens[at..end].to_vec();
                let times = [1, 2, 40, 400][dice.below(4)];
                let copies = std::iter::repeat_n(again, times).flatten();
                drop(tokens.splice(at..at, copies));
            }
            2 | 3 if !other.is_empty() && at < tokens.len() => {
                tokens[at].clone_from(&other[dice.below(other.len())]);
            }
            4 if !other.is_empty() => {
                let from = dice.below(other.len());
                let to = (from + 1 + dice.below(20)).min(other.len());
                drop(tokens.splice(at..at, other[from..to].iter().cloned()));
            }
            5 => tokens.insert(at, STRANGE[dice.below(STRANGE.len())].as_bytes().to_vec()),
            6 => tokens.truncate(at.max(1)),
            7 if end > at + 1 => tokens.swap(at, end - 1),
            _ => {
                let byte = u8::try_from(dice.below(256)).expect("below 256");
                if let Some(token) = tokens.get_mut(at) {
                    let place = dice.below(token.len());
                    if let Some(old) = token.get_mut(place) {
                        *old = byte;
                    }
                }
            }
        }
    }
    let mut bytes = tokens.concat();
    bytes.truncate(BYTES_MAX);
    (seed.name.clone(), bytes)
}

/// Runs `execute` on the corpus as it is, and on mutations of it.
fn fuzz(target: &str, execute: impl Fn(&str, &[u8])) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seconds = number("PANGEA_FUZZ_SECONDS").map(Duration::from_secs);
    let seed = number("PANGEA_FUZZ_SEED").unwrap_or(1);
    let executions = EXECUTIONS.iter().find(|(name, _)| *name == target).expect("it is listed").1;
    let (seeds, began, mut dice) = (corpus(target), Instant::now(), Dice(seed));
    let whole = seeds.iter().map(|seed| (seed.name.clone(), seed.tokens.concat()));
    let mut inputs = whole.collect::<Vec<_>>().into_iter();
    let mut count = 0;
    loop {
        let done = match seconds {
            Some(seconds) => began.elapsed() >= seconds,
            None => count >= executions,
        };
        let Some((name, input)) =
            inputs.next().or_else(|| (!done).then(|| mutated(&mut dice, &seeds)))
        else {
            break;
        };
        let started = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| execute(&name, &input)));
        let told = || format!("{target}, from {name}: {:?}", String::from_utf8_lossy(&input));
        if let Err(panic) = outcome {
            eprintln!("a panic on {}", told());
            resume_unwind(panic);
        }
        assert!(started.elapsed() < HANG, "{:?} on {}", started.elapsed(), told());
        count += 1;
    }
    let elapsed = began.elapsed().as_secs_f64();
    eprintln!("fuzz {target}: {count} executions in {elapsed:.1} s, seed {seed}");
}

/// A refusal as it goes out is JSON with a type, and no defect of ours.
fn is_answered(error: &ApiError) {
    assert_ne!(error.kind, ErrorKind::InternalServer, "{error}");
    let body: serde_json::Value = serde_json::from_slice(&error.body()).expect("an answer is JSON");
    assert!(body["__type"].is_string());
}

fn attributes(json: &str) -> Attributes {
    decode_attributes(json.as_bytes()).expect("a right item")
}

fn schema() -> Schema {
    let key = |name: &str, kind| KeyAttribute { name: name.to_owned(), kind };
    Schema { partition: key("id", KeyKind::S), sort: Some(key("n5", KeyKind::N)) }
}

#[test]
fn expressions() {
    let item = attributes(
        r#"{"id":{"S":"k"},"n5":{"N":"5"},"text":{"S":"hello"},"tags":{"SS":["a","b"]},
            "arr":{"L":[{"N":"1"},{"M":{"deep":{"N":"9"}}}]},
            "doc":{"M":{"a":{"N":"1"},"b":{"M":{"c":{"N":"2"}}}}}}"#,
    );
    let values = attributes(
        r#"{":n1":{"N":"1"},":n5":{"N":"5"},":n9":{"N":"9"},":he":{"S":"he"},":ss":{"SS":["a"]},
            ":list":{"L":[{"N":"1"}]}}"#,
    );
    let names: BTreeMap<String, String> =
        [("#t", "text"), ("#dot", "a.b")].map(|(key, name)| (key.into(), name.into())).into();
    fuzz("expression", |_, input| {
        let text = String::from_utf8_lossy(input);
        let placeholders = || {
            Placeholders::new(Some(names.clone()), Some(values.clone())).expect("they are right")
        };
        if let Ok(condition) = Condition::parse(Kind::Condition, &text, &mut placeholders()) {
            let _ = (condition.matches(Some(&item)), condition.matches(None));
        }
        if let Ok(update) = Update::parse(&text, &mut placeholders()) {
            let _ = update.apply(&item).map(|after| update.updated_parts(&after));
        }
        if let Ok(projection) = Projection::parse(&text, &mut placeholders()) {
            let _ = projection.apply(&item);
        }
        if let Ok(key) = KeyCondition::parse(&text, &mut placeholders()) {
            let _ = key.resolve(&schema());
        }
    });
}

#[test]
fn statements() {
    let parameters: Vec<_> = attributes(r#"{"a":{"S":"x"},"b":{"N":"5"}}"#).into_values().collect();
    fuzz("statement", |_, input| {
        let text = String::from_utf8_lossy(input);
        for parameters in [Vec::new(), parameters[..1].to_vec(), parameters.clone()] {
            let Ok(statement) = partiql::parse(text.trim_end(), parameters) else { continue };
            let _ = statement.write(&schema());
            if let partiql::Statement::Select(select) = &statement {
                let _ = (select.resolve(&schema()), select.key(&schema()));
            }
        }
    });
}

#[test]
fn bodies_of_every_operation() {
    fuzz("body", |name, input| {
        let target =
            [format!("DynamoDB_20120810.{name}"), format!("DynamoDBStreams_20120810.{name}")];
        let operation = target.iter().find_map(|target| Operation::from_target(target).ok());
        let operation = operation.expect("each file is named after an operation");
        match decode(operation, input) {
            Ok(request) => drop(request.tables()),
            Err(error) => is_answered(&error),
        }
        let _ = decode_attributes(input).map_err(|error| is_answered(&error));
    });
}

#[test]
fn every_operation_is_in_the_corpus() {
    let names: Vec<String> = corpus("body").into_iter().map(|seed| seed.name).collect();
    for operation in Operation::ALL {
        assert!(names.iter().any(|name| name == operation.name()), "{}", operation.name());
    }
}

#[test]
fn signatures() {
    /// 2015-08-30T12:36:00Z.
    const THEN: u64 = 1_440_938_160;
    fuzz("signature", |_, input| {
        let text = String::from_utf8_lossy(input);
        let (line, headers) = text.split_once('\n').unwrap_or((&text, ""));
        let mut words = line.splitn(3, ' ');
        let [method, path, query] = [(); 3].map(|()| words.next().unwrap_or_default());
        let headers: BTreeMap<&str, &str> =
            headers.lines().filter_map(|line| line.split_once(": ")).collect();
        let header = |name: &str| Some(Cow::Borrowed(*headers.get(name)?));
        let body = text.split_once("\n\n").map_or(input, |(_, body)| body.as_bytes());
        let request = Signed { method, path, query, header: &header, body };
        let _ = unchunked(&header, body).map_err(|error| is_answered(&error));
        let demand = Demand { service: "dynamodb", regions: &["us-east-1".to_owned()] };
        let secret = Secret { key: "secret", token: None, expires: None };
        let judged = presented(&request, THEN)
            .and_then(|presented| verify(&request, &presented, &demand, THEN, |_| Some(secret)));
        is_answered(&judged.expect_err("the secret is another"));
    });
}

#[test]
fn cbor_documents() {
    fuzz("cbor", |_, input| {
        let Ok(json) = cbor::to_json(input, Times::Seconds) else { return };
        let shape = Shapes::get().response("GetItem");
        // Numbers that JSON cannot hold are the only ones that do not come back.
        let Ok(again) = cbor::from_json(&json, shape, Times::Seconds) else { return };
        cbor::to_json(&again, Times::Seconds).expect("what is written can be read");
    });
}
