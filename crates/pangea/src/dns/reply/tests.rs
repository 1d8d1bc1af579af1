//! Bytes in, bytes out: one server, many questions, and a great deal of garbage.

use std::str::FromStr;

use hickory_proto::op::{MessageType, Query};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsCode};
use pangea_core::health::View;
use pangea_core::id::RegionSlot;
use pangea_core::routing::{
    Policy, RecordSet, RecordType as Kind, Region, RoutingConfig, RoutingControl, Zone, compile,
};

use super::*;
use crate::traffic::Dice;

fn core_name(text: &str) -> routing::Name {
    routing::Name::parse(text).expect("name")
}

fn snapshot() -> RoutingSnapshot {
    let slot = RegionSlot::new(0).expect("slot");
    let set = |owner: &str, kind, values| RecordSet {
        name: core_name(owner),
        kind,
        ttl_s: 5,
        policy: Policy::Simple(values),
    };
    let text = Data::Txt(vec!["x".repeat(255); 4]);
    let config = RoutingConfig {
        generation: 1,
        regions: vec![Region { slot, name: "one".into(), control: RoutingControl::On }],
        links: vec![],
        networks: vec![],
        near_default: slot,
        zones: vec![Zone {
            name: core_name("example.com"),
            soa: Soa::new(core_name("ns1.example.com"), core_name("mail.example.com")),
            name_servers: vec![core_name("ns1.example.com")],
            name_servers_ttl_s: 60,
            records: vec![
                set("www.example.com", Kind::A, vec![Data::A([192, 0, 2, 1].into())]),
                set("big.example.com", Kind::Txt, vec![text.clone(), text]),
            ],
        }],
        listeners: vec![],
    };
    compile(&config).expect("valid").snapshot(&View::default(), None).expect("first")
}

struct Bench {
    snapshot: RoutingSnapshot,
    counters: Counters,
}

impl Bench {
    fn new() -> Self {
        Self { snapshot: snapshot(), counters: Counters::default() }
    }

    fn bytes(&self, query: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let context = Context {
            snapshot: &self.snapshot,
            counters: &self.counters,
            client: [127, 0, 0, 1].into(),
            transport,
            dice: 0,
        };
        let mut out = Vec::new();
        reply(&context, query, &mut out).is_ok().then_some(out)
    }

    fn udp(&self, query: &[u8]) -> Message {
        let reply = self.bytes(query, Transport::Udp { payload_max: 1232 }).expect("a reply");
        Message::from_vec(&reply).expect("a message")
    }

    fn ask(&self, query: &Message) -> Message {
        self.udp(&query.to_vec().expect("encodes"))
    }
}

fn query(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).expect("name"), kind));
    message
}

fn with_edns(mut message: Message, payload: u16, option: Option<EdnsOption>) -> Message {
    let mut edns = hickory_proto::op::Edns::new();
    edns.set_max_payload(payload);
    if let Some(option) = option {
        edns.options_mut().insert(option);
    }
    message.set_edns(edns);
    message
}

#[test]
fn an_answer_keeps_id_case_and_flags() {
    let reply = Bench::new().ask(&query("wWw.eXample.COM.", RecordType::A));
    assert_eq!((reply.id, reply.message_type), (4711, MessageType::Response));
    assert!(reply.authoritative && reply.recursion_desired && !reply.recursion_available);
    assert_eq!(reply.queries[0].name.to_ascii(), "wWw.eXample.COM.");
    assert_eq!(reply.answers[0].name.to_ascii(), "wWw.eXample.COM.");
    assert_eq!(reply.answers[0].data, RData::A(A::new(192, 0, 2, 1)));
    assert!(reply.edns.is_none(), "no OPT without OPT (RFC 6891, 7)");
}

#[test]
fn names_are_compressed() {
    let query = query("www.example.com.", RecordType::A).to_vec().expect("encodes");
    let reply = Bench::new().bytes(&query, Transport::Tcp).expect("a reply");
    assert_eq!(reply.len(), query.len() + 16, "a pointer, type, class, ttl, length, address");
}

#[test]
fn what_is_refused() {
    let bench = Bench::new();
    let mut chaos = query("version.bind.", RecordType::TXT);
    chaos.queries[0].query_class = DNSClass::CH;
    let mut notify = query("example.com.", RecordType::SOA);
    notify.metadata.op_code = OpCode::Notify;
    let mut two = query("www.example.com.", RecordType::A);
    two.add_query(Query::new());
    for (message, code) in [
        (query("example.net.", RecordType::A), ResponseCode::Refused),
        (query("example.com.", RecordType::AXFR), ResponseCode::Refused),
        (chaos, ResponseCode::Refused),
        (notify, ResponseCode::NotImp),
        (two, ResponseCode::FormErr),
        (query("nope.example.com.", RecordType::A), ResponseCode::NXDomain),
        (query("www.example.com.", RecordType::AAAA), ResponseCode::NoError),
    ] {
        let reply = bench.ask(&message);
        assert_eq!(reply.response_code, code, "{message}");
        assert_eq!(reply.op_code, message.op_code);
        assert!(reply.answers.is_empty());
    }
    let counted = bench.counters.snapshot();
    assert_eq!((counted.refused, counted.not_imp, counted.form_err), (3, 1, 1));
}

#[test]
fn no_is_cacheable_and_any_is_minimal() {
    let bench = Bench::new();
    for kind in [RecordType::AAAA, RecordType::MX] {
        let reply = bench.ask(&query("www.example.com.", kind));
        assert_eq!(reply.authorities.len(), 1);
        assert_eq!(
            (reply.authorities[0].ttl, reply.authorities[0].record_type()),
            (5, RecordType::SOA)
        );
    }
    let any = bench.ask(&query("www.example.com.", RecordType::ANY));
    assert_eq!(any.answers[0].record_type(), RecordType::HINFO);
    assert_eq!(any.answers.len(), 1);
}

#[test]
fn edns_versions_and_payloads() {
    let bench = Bench::new();
    let plain = with_edns(query("www.example.com.", RecordType::A), 4096, None);
    assert_eq!(bench.ask(&plain).edns.expect("OPT").max_payload(), 1232);
    let mut later = plain;
    later.edns.as_mut().expect("OPT").set_version(1);
    let reply = bench.ask(&later);
    assert_eq!(u16::from(reply.response_code), 16, "BADVERS");
    assert_eq!(reply.edns.expect("OPT").version(), 0);
    assert!(reply.answers.is_empty());
}

#[test]
fn what_does_not_fit_is_cut_and_whole_over_tcp() {
    let bench = Bench::new();
    let plain = query("big.example.com.", RecordType::TXT);
    let roomy = with_edns(plain.clone(), 4096, None);
    for message in [&plain, &roomy] {
        let reply = bench.ask(message);
        assert!(reply.truncation && reply.answers.is_empty());
        assert_eq!(reply.edns.is_some(), message.edns.is_some(), "OPT survives the cut");
    }
    let bytes = bench.bytes(&plain.to_vec().expect("encodes"), Transport::Tcp).expect("a reply");
    let whole = Message::from_vec(&bytes).expect("a message");
    assert!(!whole.truncation && whole.answers.len() == 2);
    assert_eq!(bench.counters.snapshot().truncated, 2);
}

#[test]
fn a_client_subnet_comes_back_with_a_scope() {
    let bench = Bench::new();
    for (subnet, scope) in [("10.1.2.0/24", 0), ("2001:db8::/48", 0), ("0.0.0.0/0", 0)] {
        let asked = ClientSubnet::from_str(subnet).expect("subnet");
        let option = EdnsOption::Subnet(asked);
        let message = with_edns(query("www.example.com.", RecordType::A), 1232, Some(option));
        let reply = bench.ask(&message);
        let edns = reply.edns.expect("OPT");
        let Some(EdnsOption::Subnet(found)) = edns.option(EdnsCode::Subnet) else {
            panic!("no subnet in the reply to {subnet}");
        };
        assert_eq!((found.addr(), found.source_prefix()), (asked.addr(), asked.source_prefix()));
        assert_eq!(found.scope_prefix(), scope);
    }
}

#[test]
fn malformed_client_subnets_are_form_err() {
    let bench = Bench::new();
    for (data, what) in [
        (vec![0, 1, 24, 0, 10, 1], "too few octets"),
        (vec![0, 1, 24, 0, 10, 1, 2, 3], "too many octets"),
        (vec![0, 1, 20, 0, 10, 1, 0x1f], "bits beyond the prefix"),
        (vec![0, 1, 33, 0, 10, 1, 2, 3, 0], "a prefix longer than the address"),
        (vec![0, 1, 24, 24, 10, 1, 2], "a scope in a query"),
        (vec![0, 3, 24, 0, 10, 1, 2], "an unknown family"),
        (vec![0, 1], "no prefix"),
    ] {
        let option = EdnsOption::Unknown(8, data);
        let message = with_edns(query("www.example.com.", RecordType::A), 1232, Some(option));
        assert_eq!(bench.ask(&message).response_code, ResponseCode::FormErr, "{what}");
    }
    let option = EdnsOption::Unknown(8, vec![0, 1, 20, 0, 10, 1, 0x10]);
    let message = with_edns(query("www.example.com.", RecordType::A), 1232, Some(option));
    assert_eq!(bench.ask(&message).response_code, ResponseCode::NoError);
}

#[test]
fn responses_and_fragments_are_met_with_silence() {
    let bench = Bench::new();
    let mut response = query("www.example.com.", RecordType::A);
    response.metadata.message_type = MessageType::Response;
    let bytes = response.to_vec().expect("encodes");
    assert!(bench.bytes(&bytes, Transport::Tcp).is_none());
    for length in 0..12 {
        assert!(bench.bytes(&vec![0; length], Transport::Tcp).is_none());
    }
}

#[test]
fn garbage_never_panics_and_never_grows() {
    let bench = Bench::new();
    let subnet = EdnsOption::Subnet(ClientSubnet::from_str("10.1.2.0/24").expect("subnet"));
    let valid = with_edns(query("www.example.com.", RecordType::A), 1232, Some(subnet));
    let valid = valid.to_vec().expect("encodes");
    let mut dice = Dice::new();
    for round in 0..200_000_u32 {
        let mut bytes = if round % 2 == 0 {
            valid.clone()
        } else {
            (0..dice.roll() % 80).map(|_| (dice.roll() & 0xff) as u8).collect()
        };
        for _ in 0..dice.roll() % 4 {
            let len = bytes.len().max(1) as u64;
            if let Some(byte) = bytes.get_mut((dice.roll() % len) as usize) {
                *byte = (dice.roll() & 0xff) as u8;
            }
        }
        bytes.truncate((dice.roll() % 100) as usize);
        if let Some(reply) = bench.bytes(&bytes, Transport::Udp { payload_max: 1232 }) {
            assert!(reply.len() <= 1232, "{bytes:?}");
            assert_eq!(reply[..2], bytes[..2], "the reply is to this query");
        }
    }
}
