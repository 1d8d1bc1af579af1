use std::fmt::Write as _;
use std::path::Path;

use super::*;
use crate::storage::EngineOptions;

/// Transcript of documents and what is said of them: `=== title`, document, `---`, answer.
///
/// `UPDATE_GOLDEN=1 cargo test -p pangea config` rewrites the answers.
#[test]
fn every_problem_names_file_line_and_remedy() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/topology_errors.txt");
    let golden = std::fs::read_to_string(&path).expect("the golden file is in the repository");
    let mut replayed = String::new();
    for case in golden.split("=== ").skip(1) {
        let (title, rest) = case.split_once('\n').expect("a title");
        let document = rest.split_once("---\n").map_or(rest, |(document, _)| document);
        let answer = match parse("topology.toml", document, &["/srv".into()]) {
            Ok(_) => "ok".to_owned(),
            Err(error) => format!("error: {error}"),
        };
        write!(replayed, "=== {title}\n{document}---\n{answer}\n\n").expect("writes to memory");
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &replayed).expect("the golden file is writable");
    }
    assert_eq!(replayed, golden, "run with UPDATE_GOLDEN=1 and review the difference");
}

#[test]
fn the_builtin_topology_has_the_addresses_of_the_readme() {
    let topology = builtin().expect("the embedded document is valid");
    let ports = |of: fn(&Region) -> std::net::SocketAddr| -> Vec<String> {
        topology.regions.iter().map(|region| of(region).to_string()).collect()
    };
    assert_eq!(ports(|r| r.dynamodb), ["127.0.0.1:8101", "127.0.0.1:8102", "127.0.0.1:8103"]);
    assert_eq!(ports(|r| r.admin), ["127.0.0.1:8111", "127.0.0.1:8112", "127.0.0.1:8113"]);
    assert_eq!(ports(|r| r.peer), ["127.0.0.1:8121", "127.0.0.1:8122", "127.0.0.1:8123"]);
    let edge = &topology.edge;
    let edge = [edge.control, edge.dns, edge.accelerator, edge.operator].map(|a| a.to_string());
    assert_eq!(edge, ["127.0.0.1:8100", "127.0.0.1:5300", "127.0.0.1:8080", "127.0.0.1:8090"]);
    let shop = topology.accelerated().expect("the shop is behind the accelerator");
    let endpoints: Vec<String> = shop.endpoint.values().map(ToString::to_string).collect();
    assert_eq!(endpoints, ["127.0.3.1:8000", "127.0.2.1:8000", "127.0.1.1:8000"]);
    assert_eq!(topology.rtt_ms("ap-northeast-1", "us-east-1"), 167);
    assert_eq!(topology.rtt_ms("us-east-1", "us-east-1"), 0);
}

#[test]
fn the_effective_document_means_the_same() {
    let topology = builtin().expect("the embedded document is valid");
    let written = topology.to_toml();
    let again = parse("effective", &written, &[]).expect("it is a valid document");
    assert_eq!(topology, again, "{written}");
}

#[test]
fn a_region_needs_only_a_name() {
    let topology = parse("t", "[[region]]\nname = 'a'\n[[service]]\nname = 's'", &["/srv".into()])
        .expect("everything else has a default");
    assert_eq!(topology.cluster, "pangea");
    assert_eq!(topology.edge.near, "a");
    assert_eq!(topology.services[0].endpoint["a"].to_string(), "127.0.1.1:8000");
    assert_eq!(topology.services[0].directory, Path::new("/srv"));
    assert!(topology.links.is_empty());
}

/// What a document does not say, whoever runs it decides: `up` allows faults, a lone region none.
#[test]
fn faults_are_allowed_where_the_document_says_so() {
    let of = |keys: &str| {
        let text = format!("[[region]]\nname = 'a'\n{keys}");
        let topology = parse("t", &text, &["/srv".into()]).expect("it is a valid document");
        let again = parse("effective", &topology.to_toml(), &[]).expect("it is a valid document");
        assert_eq!(topology, again);
        topology.faults.allow
    };
    assert_eq!(of(""), None);
    assert_eq!(of("[faults]\nallow = true"), Some(true));
    assert_eq!(of("[faults]\nallow = false"), Some(false));
    assert!(parse("t", "[[region]]\nname = 'a'\n[faults]\nalow = true", &[]).is_err());
}

#[test]
fn home_arguments_and_placeholders_reach_the_command() {
    let topology = builtin().expect("the embedded document is valid");
    let shop = topology.service("shop").expect("it is built in");
    let argv = |name: &str| shop.argv(&topology, topology.region(name).expect("it is built in"));
    assert!(argv("us-east-1")[0].ends_with("examples/shop/target/release/pangea-shop"));
    assert_eq!(
        argv("us-east-1")[1..],
        [
            "--listen",
            "127.0.1.1:8000",
            "--region",
            "us-east-1",
            "--create-tables",
            "--replicate-to",
            "eu-west-1,ap-northeast-1"
        ]
    );
    assert_eq!(argv("eu-west-1")[1..], ["--listen", "127.0.2.1:8000", "--region", "eu-west-1"]);
}

#[test]
fn a_region_keeps_rows_as_the_topology_says_or_otherwise() {
    assert_eq!(EngineOptions::from(Storage::default()), EngineOptions::default());
    let text = "[storage]\ncache_mb = 64\nlog_mb = 7\nverify = false\n[[region]]\nname = 'a'\n\
                [[region]]\nname = 'b'\nstorage.cache_mb = 32\n[[region]]\nname = 'c'\n\
                [region.storage]\nengine = 'redb'\nverify = true";
    let topology = parse("t", text, &["/srv".into()]).expect("a valid document");
    let of = |cache_mb, verify| Storage { cache_mb, verify, log_mb: 7, ..Storage::default() };
    let found: Vec<Storage> = topology.regions.iter().map(|region| region.storage).collect();
    assert_eq!(found, [of(64, false), of(32, false), of(64, true)]);
    assert_eq!(EngineOptions::from(found[0]).log_bytes, 7 << 20);
    let again = parse("effective", &topology.to_toml(), &[]).expect("it is a valid document");
    assert_eq!(topology, again);
}

#[test]
fn limits_are_as_the_topology_says() {
    let limits = |text: &str| {
        let text = format!("{text}\n[[region]]\nname = 'a'");
        let topology = parse("t", &text, &[]).map_err(|error| error.to_string())?;
        let again = parse("effective", &topology.to_toml(), &[]).expect("it is a valid document");
        assert_eq!(topology, again);
        Ok::<_, String>(topology.limits)
    };
    assert_eq!(limits(""), Ok(Limits::default()));
    let found = limits("[limits]\nrequests = 3\nbody_mb = 16\nconnections = 5").expect("valid");
    assert_eq!(found, Limits { requests: 3, body_mb: 16, connections: 5 });
    assert_eq!(found.body_bytes(), 16 << 20);
    for wrong in ["requests = 0", "body_mb = 15", "connections = 1000001", "conections = 5"] {
        let error = limits(&format!("[limits]\n{wrong}")).expect_err("out of range, or unknown");
        assert!(error.contains("t:2:"), "{error}");
    }
}

#[test]
fn links_are_as_the_topology_says_or_otherwise() {
    use crate::peer::link::Options;
    let options = |text: &str| {
        let text = format!("{text}\n[[region]]\nname = 'a'");
        let topology = parse("t", &text, &["/srv".into()]).expect("a valid document");
        let again = parse("effective", &topology.to_toml(), &[]).expect("it is a valid document");
        assert_eq!(topology, again);
        Options::from(topology.replication)
    };
    assert_eq!(options(""), Options::default());
    let off = options("[replication]\nstreams = 1\ncompression = 'off'");
    assert_eq!(off, Options { streams: 1, compression: None });
    let high = options("replication.compression_level = 19");
    assert_eq!(high, Options { streams: 4, compression: Some(19) });
}

#[test]
fn streams_are_kept_as_the_topology_says() {
    let keep = |text: &str| {
        let text = format!("{text}\n[[region]]\nname = 'a'");
        let topology = parse("t", &text, &["/srv".into()]).expect("a valid document");
        let again = parse("effective", &topology.to_toml(), &[]).expect("it is a valid document");
        assert_eq!(topology, again);
        topology.streams.keep()
    };
    let usual = pangea_core::journal::Keep::default();
    assert_eq!(keep(""), usual);
    assert_eq!(keep("[streams]\nkept_s = 20").streamed_ms, 20_000);
    assert_eq!(keep("[streams]\nkept_s = 20").history_ms, usual.history_ms);
}

#[test]
fn an_engine_that_is_not_built_in_is_refused_with_what_builds_it() {
    let text = "[[region]]\nname = 'a'\nstorage.engine = 'rocksdb'";
    let parsed = parse("t", text, &["/srv".into()]);
    if cfg!(feature = "rocksdb") {
        let kind = parsed.expect("a valid document").regions[0].storage.engine;
        assert_eq!(kind, crate::storage::EngineKind::RocksDb);
    } else {
        let error = parsed.expect_err("it is not built in").to_string();
        assert!(error.contains("t:3:") && error.contains("--features rocksdb"), "{error}");
    }
}
