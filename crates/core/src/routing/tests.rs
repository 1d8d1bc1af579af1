//! Tables: a three-region topology, and what it answers under each health.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::health::{State, TargetView, View};
use crate::id::RegionSlot;

fn slot(n: u8) -> RegionSlot {
    RegionSlot::new(n).expect("small slot")
}

fn name(text: &str) -> Name {
    Name::parse(text).expect("name")
}

fn a(last: u8) -> Data {
    Data::A([192, 0, 2, last].into())
}

fn set(owner: &str, kind: RecordType, policy: Policy) -> RecordSet {
    RecordSet { name: name(owner), kind, ttl_s: 5, policy }
}

fn branch(region: Option<u8>, last: u8) -> Branch {
    Branch { region: region.map(slot), values: vec![a(last)] }
}

fn weighted(weight: u8, region: u8) -> WeightedRecords {
    WeightedRecords { weight, branch: branch(Some(region), region + 1) }
}

/// Regions 0, 1, 2 (virginia, ireland, tokyo); 0–1 80 ms, 1–2 200 ms, 0–2 150 ms.
fn config() -> RoutingConfig {
    let region = |n: u8, text: &str| Region {
        slot: slot(n),
        name: text.to_string(),
        control: RoutingControl::On,
    };
    let link = |a, b, rtt_ms| Link { a: slot(a), b: slot(b), rtt_ms };
    let network =
        |cidr: &str, near| Network { cidr: cidr.parse().expect("cidr"), near: slot(near) };
    let endpoint = |n: u8| Endpoint { region: slot(n), addr: ([192, 0, 2, n + 1], 80).into() };
    RoutingConfig {
        generation: 7,
        regions: vec![region(0, "virginia"), region(1, "ireland"), region(2, "tokyo")],
        links: vec![link(0, 1, 80), link(1, 2, 200), link(0, 2, 150)],
        networks: vec![
            network("10.1.0.0/16", 1),
            network("10.2.0.0/16", 2),
            network("2001:db8::/32", 2),
        ],
        near_default: slot(0),
        zones: vec![zone()],
        listeners: vec![Listener {
            id: "web".to_string(),
            endpoints: (0..3).map(endpoint).collect(),
        }],
    }
}

fn zone() -> Zone {
    let latency = (0..3).map(|n| RegionRecords { region: slot(n), values: vec![a(n + 1)] });
    Zone {
        name: name("example.com"),
        soa: Soa::new(name("ns1.example.com"), name("hostmaster.example.com")),
        name_servers: vec![name("ns1.example.com")],
        name_servers_ttl_s: 3600,
        records: vec![
            set("example.com", RecordType::A, Policy::Simple(vec![a(100)])),
            set("www.example.com", RecordType::A, Policy::Latency(latency.collect())),
            set("two.example.com", RecordType::A, Policy::Simple(vec![a(1), a(2)])),
            set(
                "alias.example.com",
                RecordType::Cname,
                Policy::Simple(vec![Data::Cname(name("www.example.com"))]),
            ),
            set(
                "out.example.com",
                RecordType::Cname,
                Policy::Simple(vec![Data::Cname(name("example.net"))]),
            ),
            set(
                "gone.example.com",
                RecordType::Cname,
                Policy::Simple(vec![Data::Cname(name("nope.example.com"))]),
            ),
            set(
                "loop.example.com",
                RecordType::Cname,
                Policy::Simple(vec![Data::Cname(name("loop.example.com"))]),
            ),
            set(
                "deep.below.example.com",
                RecordType::Txt,
                Policy::Simple(vec![Data::Txt(vec!["hi".to_string()])]),
            ),
            set("*.wild.example.com", RecordType::A, Policy::Simple(vec![a(77)])),
            set(
                "share.example.com",
                RecordType::A,
                Policy::Weighted(vec![weighted(3, 0), weighted(1, 1), weighted(0, 2)]),
            ),
            set(
                "fail.example.com",
                RecordType::A,
                Policy::Failover { primary: branch(Some(0), 1), secondary: branch(Some(1), 2) },
            ),
        ],
    }
}

/// Health from letters: one per region: h(ealthy), ?(unknown), u(nhealthy), e(jected).
fn view(letters: &str) -> View {
    let mut view = View { generation: 1, ..View::default() };
    for (n, letter) in letters.chars().enumerate() {
        let (state, falls) = match letter {
            'h' => (State::Healthy, 0),
            '?' => (State::Unknown, 0),
            'u' => (State::Unhealthy, 1),
            _ => (State::Ejected, 1),
        };
        let target =
            TargetView { state, since_wall_ms: 0, falls, failures: 0, oks: 0, last_failure: None };
        view.targets.insert(slot(u8::try_from(n).expect("few")), target);
    }
    view
}

fn snapshot(health: &str) -> RoutingSnapshot {
    compile(&config()).expect("valid").snapshot(&view(health), None).expect("first")
}

fn ask(
    snapshot: &RoutingSnapshot,
    qname: &str,
    kind: RecordType,
    client: Client,
    dice: u64,
) -> String {
    let key = name(qname);
    let question = Question { name: key.as_bytes(), kind, client, dice };
    let answer = snapshot.answer(&question);
    let mut text = format!("{:?}", answer.rcode);
    for record in &answer.records {
        let owner = record.owner.map_or_else(String::new, |o| format!("{o} "));
        text += &match record.data {
            RecordData::Value(Data::A(ip)) => format!(" {owner}{ip}"),
            RecordData::Value(Data::Cname(target)) => format!(" {owner}={target}"),
            RecordData::Value(other) => format!(" {owner}{other:?}"),
            RecordData::Soa(_, serial) => format!(" SOA {serial}"),
            RecordData::Minimal => " HINFO".to_string(),
        };
    }
    if let Some(authority) = &answer.authority {
        text += &format!(" [{} {} {}]", authority.zone, authority.ttl_s, authority.serial);
    }
    if answer.scope > 0 {
        text += &format!(" /{}", answer.scope);
    }
    text
}

fn from(addr: &str) -> Client {
    Client { addr: addr.parse().expect("address"), subnet: None }
}

fn ecs(addr: &str, len: u8) -> Client {
    let subnet = Subnet { addr: addr.parse().expect("address"), len };
    Client { subnet: Some(subnet), ..from("203.0.113.1") }
}

#[test]
fn names_and_types() {
    let snapshot = snapshot("hhh");
    for (qname, kind, expected) in [
        ("example.com", RecordType::A, "NoError 192.0.2.100"),
        ("EXAMPLE.com.", RecordType::A, "NoError 192.0.2.100"),
        ("example.com", RecordType::Soa, "NoError SOA 7"),
        ("example.com", RecordType::Ns, "NoError Ns(ns1.example.com.)"),
        ("example.com", RecordType::Aaaa, "NoError [example.com. 5 7]"),
        ("www.example.com", RecordType::Soa, "NoError [example.com. 5 7]"),
        ("www.example.com", RecordType::Any, "NoError HINFO"),
        ("nope.example.com", RecordType::Any, "NxDomain [example.com. 5 7]"),
        ("nope.example.com", RecordType::A, "NxDomain [example.com. 5 7]"),
        ("below.example.com", RecordType::A, "NoError [example.com. 5 7]"),
        ("deep.below.example.com", RecordType::Txt, "NoError Txt([\"hi\"])"),
        ("x.deep.below.example.com", RecordType::Txt, "NxDomain [example.com. 5 7]"),
        ("any.wild.example.com", RecordType::A, "NoError 192.0.2.77"),
        ("a.b.wild.example.com", RecordType::A, "NoError 192.0.2.77"),
        ("wild.example.com", RecordType::A, "NoError [example.com. 5 7]"),
        ("any.wild.example.com", RecordType::Txt, "NoError [example.com. 5 7]"),
        ("example.net", RecordType::A, "Refused"),
        ("com", RecordType::A, "Refused"),
        ("", RecordType::Ns, "Refused"),
        ("notexample.com", RecordType::A, "Refused"),
        (
            "alias.example.com",
            RecordType::A,
            "NoError =www.example.com. www.example.com. 192.0.2.1",
        ),
        ("alias.example.com", RecordType::Cname, "NoError =www.example.com."),
        ("alias.example.com", RecordType::Txt, "NoError =www.example.com. [example.com. 5 7]"),
        ("out.example.com", RecordType::A, "NoError =example.net."),
        ("gone.example.com", RecordType::A, "NxDomain =nope.example.com. [example.com. 5 7]"),
    ] {
        assert_eq!(ask(&snapshot, qname, kind, from("1.2.3.4"), 0), expected, "{qname} {kind}");
    }
    let turns = ask(&snapshot, "loop.example.com", RecordType::A, from("1.2.3.4"), 0);
    assert_eq!(turns.matches('=').count(), 8, "a loop is cut: {turns}");
}

#[test]
fn latency_answers_by_distance_and_health() {
    // From virginia: ireland 80, tokyo 150. From ireland: virginia 80, tokyo 200. From tokyo:
    // virginia 150.
    for (health, from_default, from_ireland, from_tokyo) in [
        ("hhh", 1, 2, 3),
        ("uhh", 2, 2, 3),
        ("heh", 1, 1, 3),
        ("hhu", 1, 2, 1),
        ("uuh", 3, 3, 3),
        ("uee", 1, 2, 3),
        ("???", 1, 2, 3),
        ("h??", 1, 1, 1),
        ("u??", 2, 2, 3),
    ] {
        let snapshot = snapshot(health);
        for (addr, expected) in
            [("1.2.3.4", from_default), ("10.1.9.9", from_ireland), ("2001:db8::1", from_tokyo)]
        {
            let text = ask(&snapshot, "www.example.com", RecordType::A, from(addr), 0);
            assert_eq!(text, format!("NoError 192.0.2.{expected}"), "{health} {addr}");
        }
    }
}

#[test]
fn client_subnets_decide_and_answers_say_how_far_they_hold() {
    let snapshot = snapshot("hhh");
    for (client, expected) in [
        (ecs("10.1.2.0", 24), "NoError 192.0.2.2 /16"),
        (ecs("10.2.0.0", 16), "NoError 192.0.2.3 /16"),
        (ecs("198.51.100.0", 24), "NoError 192.0.2.1 /1"),
        (ecs("2001:db8:1::", 48), "NoError 192.0.2.3 /32"),
        (ecs("0.0.0.0", 0), "NoError 192.0.2.1"),
        (from("10.1.0.1"), "NoError 192.0.2.2"),
    ] {
        let text = ask(&snapshot, "www.example.com", RecordType::A, client, 0);
        assert_eq!(text, expected, "{client:?}");
    }
    let simple = ask(&snapshot, "example.com", RecordType::A, ecs("10.1.2.0", 24), 0);
    assert_eq!(simple, "NoError 192.0.2.100", "an answer for everyone has scope 0");
}

#[test]
fn weights_share_and_zero_is_a_last_resort() {
    for (health, expected) in
        [("hhh", [1, 1, 1, 2]), ("uhh", [2, 2, 2, 2]), ("uuh", [3, 3, 3, 3]), ("uuu", [1, 1, 1, 2])]
    {
        let snapshot = snapshot(health);
        for (dice, last) in (0..).zip(expected) {
            let text = ask(&snapshot, "share.example.com", RecordType::A, from("1.2.3.4"), dice);
            assert_eq!(text, format!("NoError 192.0.2.{last}"), "{health} {dice}");
        }
    }
}

#[test]
fn failover_follows_the_truth_table() {
    for (health, last) in
        [("hh", 1), ("hu", 1), ("uh", 2), ("uu", 1), ("?h", 2), ("??", 1), ("u?", 2), ("?u", 1)]
    {
        let text = ask(&snapshot(health), "fail.example.com", RecordType::A, from("1.2.3.4"), 0);
        assert_eq!(text, format!("NoError 192.0.2.{last}"), "{health}");
    }
}

#[test]
fn equal_values_turn_with_the_dice() {
    let snapshot = snapshot("hhh");
    let turn = |dice| ask(&snapshot, "two.example.com", RecordType::A, from("1.2.3.4"), dice);
    assert_eq!(turn(0), "NoError 192.0.2.1 192.0.2.2");
    assert_eq!(turn(1), "NoError 192.0.2.2 192.0.2.1");
}

#[test]
fn picks_try_each_region_once_nearest_first_and_fail_open_last() {
    let order = |health: &str| -> Vec<u8> {
        let snapshot = snapshot(health);
        let mut tried = Vec::new();
        let client = [10, 1, 0, 1].into();
        while let Some(pick) = snapshot.pick("web", client, &tried, 0) {
            tried.push(pick.region);
        }
        assert!(snapshot.pick("nope", client, &[], 0).is_none());
        tried.iter().map(|region| region.get()).collect()
    };
    assert_eq!(order("hhh"), [1, 0, 2]);
    assert_eq!(order("heh"), [0, 2, 1]);
    assert_eq!(order("?eh"), [2, 0, 1]);
    assert_eq!(order("uuu"), [1, 0, 2]);
}

#[test]
fn endpoints_at_equal_distance_share_by_dice() {
    let mut config = config();
    config.links = vec![];
    config.near_default = slot(2);
    config.listeners[0].endpoints.retain(|e| e.region != slot(2));
    let tables = compile(&config).expect("valid");
    let snapshot = tables.snapshot(&view("hhh"), None).expect("first");
    let pick = |dice| snapshot.pick("web", [1, 2, 3, 4].into(), &[], dice).expect("a pick").region;
    assert_eq!([pick(0), pick(1), pick(2)], [slot(0), slot(1), slot(0)]);
}

#[test]
fn live_connections_leave_a_fallen_region_only_for_a_better_one() {
    let client = [10, 1, 0, 1].into();
    let pick = snapshot("hhh").pick("web", client, &[], 0).expect("a pick");
    assert!(!snapshot("hhh").should_leave("web", &pick));
    assert!(snapshot("huh").should_leave("web", &pick));
    assert!(!snapshot("heh").should_leave("web", &pick), "not confirmed by probes");
    assert!(!snapshot("uuu").should_leave("web", &pick), "nowhere better to go");
    let failed_open = snapshot("uuu").pick("web", client, &[], 0).expect("a pick");
    assert!(!snapshot("huh").should_leave("web", &failed_open), "it was down when picked");
}

#[test]
fn a_region_switched_off_serves_nobody_else_is_left() {
    let mut config = config();
    config.regions[1].control = RoutingControl::Off;
    let tables = compile(&config).expect("valid");
    for (health, last) in [("hhh", 1), ("uhu", 1), ("uhh", 3)] {
        let snapshot = tables.snapshot(&view(health), None).expect("first");
        let text = ask(&snapshot, "www.example.com", RecordType::A, from("10.1.0.1"), 0);
        assert_eq!(text, format!("NoError 192.0.2.{last}"), "{health}");
    }
}

#[test]
fn generations_never_go_backwards() {
    let tables = compile(&config()).expect("valid");
    let first = tables.snapshot(&view("hhh"), None).expect("first");
    assert!(tables.snapshot(&view("hhh"), Some(first.generation())).is_ok());
    let newer = View { generation: 2, ..view("hhu") };
    let second = tables.snapshot(&newer, Some(first.generation())).expect("newer");
    let from = second.generation();
    assert!(tables.snapshot(&view("hhh"), Some(from)).is_err(), "older health");
    let old = compile(&RoutingConfig { generation: 6, ..config() }).expect("valid");
    let refusal = old.snapshot(&newer, Some(from)).expect_err("older configuration");
    assert_eq!(refusal.to_string(), "generation 6.2 is older than the published 7.2");
}

#[test]
fn explanations_name_the_rule_and_the_candidates() {
    let snapshot = snapshot("heh");
    let key = name("www.example.com");
    let question = Question {
        name: key.as_bytes(),
        kind: RecordType::A,
        client: ecs("10.1.2.0", 24),
        dice: 0,
    };
    let answer = snapshot.answer(&question);
    let order = "\n  virginia: healthy, 80 ms away\n  tokyo: healthy, 200 ms away\n  ireland: ejected, 0 ms away";
    assert_eq!(
        snapshot.explain(&question, &answer),
        format!(
            "latency: 10.1.2.0 is near ireland by its network; virginia is healthy, 80 ms away; generation 7.1{order}"
        )
    );
    let client = [10, 1, 2, 3].into();
    let pick = snapshot.pick("web", client, &[], 0);
    assert_eq!(
        snapshot.explain_pick("web", client, pick.as_ref()),
        format!(
            "web: 10.1.2.3 is near ireland by its network; virginia is healthy, 80 ms away; generation 7.1{order}"
        )
    );
}

#[track_caller]
fn refused(change: impl FnOnce(&mut RoutingConfig), expected: &str) {
    let mut config = config();
    change(&mut config);
    let refusal: Result<Arc<Tables>, Refusal> = compile(&config);
    assert_eq!(refusal.expect_err("refused").to_string(), expected);
}

#[test]
fn refused_configurations() {
    let simple = |owner: &str, kind, values| set(owner, kind, Policy::Simple(values));
    refused(|c| c.near_default = slot(9), "near_default names region r9, which is not configured");
    refused(
        |c| c.networks[0].near = slot(9),
        "network 10.1.0.0/16 names region r9, which is not configured",
    );
    refused(|c| c.networks.push(c.networks[0]), "network 10.1.0.0/16 is near two regions");
    refused(|c| c.regions.push(c.regions[0].clone()), "region r0 is configured twice");
    refused(|c| c.zones.push(c.zones[0].clone()), "zone example.com. is configured twice");
    refused(|c| c.zones[0].name_servers.clear(), "zone example.com. has no name servers");
    refused(|c| c.listeners.push(c.listeners[0].clone()), "listener web: it is configured twice");
    refused(|c| c.listeners[0].endpoints.clear(), "listener web: it has no endpoints");
    for (record, expected) in [
        (
            simple("example.net", RecordType::A, vec![a(1)]),
            "record set example.net. is not within zone example.com.",
        ),
        (
            simple("www.example.com", RecordType::A, vec![a(1)]),
            "record set www.example.com. A is configured twice",
        ),
        (
            simple("www.example.com", RecordType::Cname, vec![Data::Cname(name("x"))]),
            "www.example.com. has a CNAME beside other records",
        ),
        (
            simple("alias.example.com", RecordType::A, vec![a(1)]),
            "alias.example.com. has a CNAME beside other records",
        ),
        (
            simple("example.com", RecordType::Cname, vec![Data::Cname(name("x"))]),
            "example.com. has a CNAME beside other records",
        ),
        (
            simple("x.example.com", RecordType::A, vec![]),
            "record set x.example.com. A: it has no values",
        ),
        (
            simple("x.example.com", RecordType::Txt, vec![a(1)]),
            "record set x.example.com. TXT: a value is of another type",
        ),
        (
            simple("x.example.com", RecordType::Soa, vec![a(1)]),
            "record set x.example.com. SOA: records of this type cannot be configured",
        ),
        (
            simple("x.example.com", RecordType::Txt, vec![Data::Txt(vec!["x".repeat(256)])]),
            "record set x.example.com. TXT: a string is longer than 255 bytes",
        ),
        (
            set("x.example.com", RecordType::A, Policy::Latency(vec![])),
            "record set x.example.com. A: it has no members",
        ),
        (
            set(
                "x.example.com",
                RecordType::A,
                Policy::Failover { primary: branch(Some(9), 1), secondary: branch(None, 2) },
            ),
            "record set x.example.com. names region r9, which is not configured",
        ),
    ] {
        refused(|c| c.zones[0].records.push(record), expected);
    }
}

#[test]
fn names_parse_and_print() {
    let long = "a".repeat(64);
    for (text, expected) in [
        ("Example.COM", Ok("example.com.")),
        ("example.com.", Ok("example.com.")),
        ("_x._tcp.example.com", Ok("_x._tcp.example.com.")),
        (".", Ok(".")),
        ("", Ok(".")),
        ("a..b", Err(NameError::EmptyLabel)),
        (".a", Err(NameError::EmptyLabel)),
        (long.as_str(), Err(NameError::LabelTooLong)),
        ("a b", Err(NameError::BadCharacter(' '))),
        ("é.com", Err(NameError::BadCharacter('é'))),
    ] {
        assert_eq!(
            Name::parse(text).map(|n| n.to_string()),
            expected.map(str::to_string),
            "{text}"
        );
    }
    let longest = vec!["a".repeat(63); 4].join(".");
    assert_eq!(Name::parse(&longest), Err(NameError::NameTooLong));
    assert!(Name::parse(&longest[..longest.len() - 2]).is_ok());
}
