//! From the bytes of a query to the bytes of its reply.

use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;

use hickory_proto::ProtoError;
use hickory_proto::op::{Message, MessageType, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::rdata::{A, AAAA, CNAME, HINFO, NS, SOA, TXT};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};
use pangea_core::routing::{
    self, Answer, Client, Data, Key, Question, Rcode, RecordData, RoutingSnapshot, Soa,
};

use super::counters::Counters;
use super::wire::{self, Edns, Incoming, PAYLOAD_BYTES_MIN, Request};

/// How the query came, and so how large the reply may be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Transport {
    /// Our own greatest datagram, bytes.
    Udp {
        payload_max: u16,
    },
    Tcp,
}

/// What a reply depends on besides the query.
#[derive(Debug)]
pub(super) struct Context<'c> {
    pub(super) snapshot: &'c RoutingSnapshot,
    pub(super) counters: &'c Counters,
    pub(super) client: IpAddr,
    pub(super) transport: Transport,
    pub(super) dice: u64,
}

/// Why nothing is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// Fewer bytes than a header.
    Short,
    /// It was a response.
    Response,
}

impl Silence {
    /// The words in logs.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Short => "shorter than a header",
            Self::Response => "a response",
        }
    }
}

/// Writes the reply to `bytes` into `out`; a reply is never longer than the transport allows.
pub(super) fn reply(
    context: &Context<'_>,
    bytes: &[u8],
    out: &mut Vec<u8>,
) -> Result<ResponseCode, Silence> {
    let (message, edns) = match wire::read(bytes) {
        Incoming::Short => return Err(Silence::Short),
        Incoming::Response => return Err(Silence::Response),
        Incoming::OtherOpcode(asked) => (bare(&asked, ResponseCode::NotImp), None),
        Incoming::Malformed(asked) => (bare(&asked, ResponseCode::FormErr), None),
        Incoming::Query(request) => (answer(context, &request), request.edns),
    };
    let limit = match context.transport {
        Transport::Tcp => u16::MAX,
        Transport::Udp { payload_max } => {
            edns.map_or(PAYLOAD_BYTES_MIN, |e| e.payload.min(payload_max))
        }
    };
    let code = write(context, message, limit, out);
    context.counters.replied(code);
    Ok(code)
}

/// Encodes; what is too long is cut to question and OPT with TC set (RFC 2181, 9).
fn write(
    context: &Context<'_>,
    mut message: Message,
    limit: u16,
    out: &mut Vec<u8>,
) -> ResponseCode {
    let fits = encode(&message, out).is_ok();
    if fits && out.len() <= usize::from(limit) {
        return message.metadata.response_code;
    }
    message.answers.clear();
    message.authorities.clear();
    if matches!(context.transport, Transport::Udp { .. }) {
        message.metadata.truncation = true;
        context.counters.truncated.fetch_add(1, Relaxed);
    } else {
        message.metadata.response_code = ResponseCode::ServFail;
    }
    if encode(&message, out).is_err() {
        // A question that could be read can be written; a bare header always can.
        message = bare(&message.metadata, ResponseCode::ServFail);
        encode(&message, out).expect("a header is 12 bytes");
    }
    message.metadata.response_code
}

fn encode(message: &Message, out: &mut Vec<u8>) -> Result<(), ProtoError> {
    out.clear();
    message.emit(&mut BinEncoder::new(out))
}

/// A reply that is a header only.
fn bare(asked: &Metadata, code: ResponseCode) -> Message {
    let mut message = Message::new(asked.id, MessageType::Response, asked.op_code);
    message.metadata.recursion_desired = asked.recursion_desired;
    message.metadata.response_code = code;
    message
}

fn answer(context: &Context<'_>, request: &Request) -> Message {
    let mut message = bare(&request.metadata, ResponseCode::NoError);
    message.metadata.op_code = OpCode::Query;
    message.metadata.checking_disabled = request.metadata.checking_disabled;
    message.add_query(request.query.clone());
    let scope = match refusal(request) {
        Some(code) => {
            message.metadata.response_code = code;
            0
        }
        None => look_up(context, request, &mut message),
    };
    if let Some(edns) = request.edns {
        message.set_edns(reply_edns(context, edns, scope));
    }
    message
}

/// What is refused before any look-up.
fn refusal(request: &Request) -> Option<ResponseCode> {
    if request.edns.is_some_and(|edns| edns.version > 0) {
        return Some(ResponseCode::BADVERS);
    }
    // No CHAOS (`version.bind`), no other class, no zone transfer.
    let transfer = matches!(request.query.query_type, RecordType::AXFR | RecordType::IXFR);
    (request.query.query_class != DNSClass::IN || transfer).then_some(ResponseCode::Refused)
}

/// Fills in the answer; returns the scope.
fn look_up(context: &Context<'_>, request: &Request, message: &mut Message) -> u8 {
    let mut key = Key::new();
    // A name that hickory read has labels and a length within the same limits.
    if request.query.name.iter().any(|label| key.push(label).is_err()) {
        message.metadata.response_code = ResponseCode::FormErr;
        return 0;
    }
    let subnet = request.edns.and_then(|edns| edns.subnet);
    let question = Question {
        name: key.as_bytes(),
        kind: kind(request.query.query_type),
        client: Client { addr: context.client, subnet },
        dice: context.dice,
    };
    let answer = context.snapshot.answer(&question);
    message.metadata.response_code = match answer.rcode {
        Rcode::NoError => ResponseCode::NoError,
        Rcode::NxDomain => ResponseCode::NXDomain,
        Rcode::Refused => ResponseCode::Refused,
    };
    message.metadata.authoritative = answer.rcode != Rcode::Refused;
    fill(message, &request.query.name, &answer);
    answer.scope
}

fn fill(message: &mut Message, asked: &Name, answer: &Answer<'_>) {
    for record in &answer.records {
        let owner = record.owner.map_or_else(|| asked.clone(), name);
        message.add_answer(Record::from_rdata(owner, record.ttl_s, data(&record.data)));
    }
    if let Some(authority) = &answer.authority {
        let soa = RData::SOA(soa(authority.soa, authority.serial));
        message.add_authority(Record::from_rdata(name(authority.zone), authority.ttl_s, soa));
    }
}

fn reply_edns(context: &Context<'_>, asked: Edns, scope: u8) -> hickory_proto::op::Edns {
    let mut edns = hickory_proto::op::Edns::new();
    let payload_max = match context.transport {
        Transport::Udp { payload_max } => payload_max,
        Transport::Tcp => hickory_proto::op::DEFAULT_MAX_PAYLOAD_LEN,
    };
    edns.set_max_payload(payload_max).set_version(0);
    edns.flags_mut().dnssec_ok = asked.dnssec_ok;
    if let Some(subnet) = asked.subnet {
        let (code, data) = wire::subnet_option(subnet, scope);
        edns.options_mut().insert(EdnsOption::Unknown(code, data));
    }
    edns
}

fn kind(asked: RecordType) -> routing::RecordType {
    match asked {
        RecordType::A => routing::RecordType::A,
        RecordType::AAAA => routing::RecordType::Aaaa,
        RecordType::TXT => routing::RecordType::Txt,
        RecordType::CNAME => routing::RecordType::Cname,
        RecordType::NS => routing::RecordType::Ns,
        RecordType::SOA => routing::RecordType::Soa,
        RecordType::ANY => routing::RecordType::Any,
        _ => routing::RecordType::Other,
    }
}

fn data(data: &RecordData<'_>) -> RData {
    match data {
        RecordData::Value(Data::A(addr)) => RData::A(A(*addr)),
        RecordData::Value(Data::Aaaa(addr)) => RData::AAAA(AAAA(*addr)),
        RecordData::Value(Data::Txt(strings)) => RData::TXT(TXT::new(strings.clone())),
        RecordData::Value(Data::Cname(target)) => RData::CNAME(CNAME(name(target))),
        RecordData::Value(Data::Ns(server)) => RData::NS(NS(name(server))),
        RecordData::Soa(fields, serial) => RData::SOA(soa(fields, *serial)),
        RecordData::Minimal => RData::HINFO(HINFO::new("RFC8482".into(), String::new())),
    }
}

fn soa(soa: &Soa, serial: u32) -> SOA {
    let seconds = |s: u32| i32::try_from(s).unwrap_or(i32::MAX);
    SOA::new(
        name(&soa.mname),
        name(&soa.rname),
        serial,
        seconds(soa.refresh_s),
        seconds(soa.retry_s),
        seconds(soa.expire_s),
        soa.negative_ttl_s,
    )
}

fn name(name: &routing::Name) -> Name {
    let mut wire = Name::from_labels(name.labels()).expect("both sides check the same limits");
    wire.set_fqdn(true);
    wire
}

#[cfg(test)]
mod tests;
