//! A DNS query from its bytes, without trust.
//!
//! hickory's `Message::from_vec` would do, but it drops surplus bytes of a client subnet (which
//! RFC 7871 wants refused), logs once per malformed option, and sizes vectors by the counts in the
//! header. So the header, the question and the OPT record are read here with hickory's decoder.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::op::{Header, MessageType, Metadata, OpCode, Query};
use hickory_proto::rr::Name;
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, DecodeError};
use pangea_core::routing::Subnet;

/// Bytes of a header (RFC 1035, 4.1.1).
pub(super) const HEADER_BYTES: usize = 12;
/// Least and, without EDNS, greatest UDP payload, bytes (RFC 1035, 4.2.1).
pub(super) const PAYLOAD_BYTES_MIN: u16 = 512;
/// Records of an additional section: OPT and a signature are all that a query has.
const ADDITIONALS_MAX: u16 = 4;
const TYPE_OPT: u16 = 41;
const OPTION_SUBNET: u16 = 8;
const FAMILY_NONE: u16 = 0;
const FAMILY_V4: u16 = 1;
const FAMILY_V6: u16 = 2;

/// What arrived.
#[derive(Debug)]
pub(super) enum Incoming {
    /// Not answered: fewer bytes than a header.
    Short,
    /// Not answered: itself a response; answering those makes loops.
    Response,
    /// An opcode other than QUERY.
    OtherOpcode(Metadata),
    /// The header could be read, the rest could not.
    Malformed(Metadata),
    /// A query.
    Query(Request),
}

/// A query: one question, perhaps EDNS.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) metadata: Metadata,
    pub(super) query: Query,
    pub(super) edns: Option<Edns>,
}

/// The OPT record of a query (RFC 6891).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edns {
    /// Greatest UDP payload that the client takes, bytes; at least [`PAYLOAD_BYTES_MIN`].
    pub(super) payload: u16,
    pub(super) version: u8,
    pub(super) dnssec_ok: bool,
    pub(super) subnet: Option<Subnet>,
}

/// Reads a message.
pub(super) fn read(bytes: &[u8]) -> Incoming {
    let mut decoder = BinDecoder::new(bytes);
    let Ok(header) = Header::read(&mut decoder) else { return Incoming::Short };
    if header.metadata.message_type == MessageType::Response {
        return Incoming::Response;
    }
    if header.metadata.op_code != OpCode::Query {
        return Incoming::OtherOpcode(header.metadata);
    }
    match read_body(&header, &mut decoder) {
        Ok((query, edns)) => Incoming::Query(Request { metadata: header.metadata, query, edns }),
        Err(Malformed) => Incoming::Malformed(header.metadata),
    }
}

/// The message breaks a rule; which one does not matter to the reply.
#[derive(Debug)]
struct Malformed;

impl From<DecodeError> for Malformed {
    fn from(_: DecodeError) -> Self {
        Self
    }
}

fn read_body(
    header: &Header,
    decoder: &mut BinDecoder<'_>,
) -> Result<(Query, Option<Edns>), Malformed> {
    let counts = header.counts;
    // One question (RFC 9619), no answers; IXFR's authority record is refused with the rest.
    if counts.queries != 1 || counts.answers != 0 || counts.authorities != 0 {
        return Err(Malformed);
    }
    if counts.additionals > ADDITIONALS_MAX {
        return Err(Malformed);
    }
    let query = Query::read(decoder)?;
    let mut edns = None;
    for _ in 0..counts.additionals {
        if let Some(found) = read_additional(decoder)?
            && edns.replace(found).is_some()
        {
            // More than one OPT (RFC 6891, 6.1.1).
            return Err(Malformed);
        }
    }
    Ok((query, edns))
}

/// One additional record; only OPT says anything.
fn read_additional(decoder: &mut BinDecoder<'_>) -> Result<Option<Edns>, Malformed> {
    let owner = Name::read(decoder)?;
    let kind = decoder.read_u16()?.unverified();
    let payload = decoder.read_u16()?.unverified();
    let [_, version, flags, _] = decoder.read_u32()?.unverified().to_be_bytes();
    let length = decoder.read_u16()?.unverified();
    let data = decoder.read_slice(usize::from(length))?.unverified();
    if kind != TYPE_OPT {
        return Ok(None);
    }
    if !owner.is_root() {
        return Err(Malformed);
    }
    Ok(Some(Edns {
        payload: payload.max(PAYLOAD_BYTES_MIN),
        version,
        dnssec_ok: flags & 0x80 != 0,
        // Options of a later version may look different; the reply is BADVERS anyway.
        subnet: if version == 0 { read_options(data)? } else { None },
    }))
}

fn read_options(mut data: &[u8]) -> Result<Option<Subnet>, Malformed> {
    let mut subnet = None;
    while !data.is_empty() {
        let (code, rest) = split_u16(data)?;
        let (length, rest) = split_u16(rest)?;
        let (value, rest) = rest.split_at_checked(usize::from(length)).ok_or(Malformed)?;
        if code == OPTION_SUBNET {
            subnet = read_subnet(value)?;
        }
        data = rest;
    }
    Ok(subnet)
}

/// A client subnet: scope 0, no surplus octets, no bits beyond the prefix (RFC 7871, 6 and 7.1.1).
fn read_subnet(data: &[u8]) -> Result<Option<Subnet>, Malformed> {
    let (family, rest) = split_u16(data)?;
    let [len, scope, address @ ..] = rest else { return Err(Malformed) };
    if *scope != 0 {
        return Err(Malformed);
    }
    let addr: IpAddr = match family {
        FAMILY_V4 => Ipv4Addr::from(octets::<4>(address, *len)?).into(),
        FAMILY_V6 => Ipv6Addr::from(octets::<16>(address, *len)?).into(),
        // "No address" without a family, as some clients say it.
        FAMILY_NONE if *len == 0 && address.is_empty() => return Ok(None),
        _ => return Err(Malformed),
    };
    Ok(Some(Subnet { addr, len: *len }))
}

fn octets<const N: usize>(address: &[u8], len: u8) -> Result<[u8; N], Malformed> {
    let mut octets = [0; N];
    if usize::from(len) > N * 8 || address.len() != usize::from(len).div_ceil(8) {
        return Err(Malformed);
    }
    octets[..address.len()].copy_from_slice(address);
    let used = len % 8;
    if used != 0 && octets[address.len() - 1] & (0xff >> used) != 0 {
        return Err(Malformed);
    }
    Ok(octets)
}

fn split_u16(data: &[u8]) -> Result<(u16, &[u8]), Malformed> {
    let (bytes, rest) = data.split_first_chunk::<2>().ok_or(Malformed)?;
    Ok((u16::from_be_bytes(*bytes), rest))
}

/// The option of a reply: as asked, with a scope (RFC 7871, 7.2.1).
pub(super) fn subnet_option(subnet: Subnet, scope: u8) -> (u16, Vec<u8>) {
    let (family, octets) = match subnet.addr {
        IpAddr::V4(v4) => (FAMILY_V4, v4.octets().to_vec()),
        IpAddr::V6(v6) => (FAMILY_V6, v6.octets().to_vec()),
    };
    let mut data = family.to_be_bytes().to_vec();
    data.extend_from_slice(&[subnet.len, scope]);
    data.extend_from_slice(&octets[..usize::from(subnet.len).div_ceil(8)]);
    (OPTION_SUBNET, data)
}
