//! What regions say to each other on a link: length-prefixed messages inside TLS.
//!
//! A message is a big-endian `u32` length and a payload of that many bytes: the format marker, the
//! kind, the fields. [`Message::Hello`] and [`Message::Refused`] keep their form under every
//! marker, so that regions of different releases can still tell each other why they part. There is
//! no checksum: TLS has a better one.
//!
//! A link is one connection for what is urgent and several that carry frames. Every connection
//! begins with a hello; the first opens a link with [`Message::Open`], the others take part in it
//! with [`Message::Join`]. What the others then carry is in [`envelope`]s.

mod compare;
pub mod envelope;

use pangea_core::id::{Origin, RegionSlot, TableId};
use pangea_core::item::PrimaryKey;
use pangea_core::limits::{
    FEED_BYTES_MAX, FEED_ROWS_MAX, ITEM_BYTES_MAX, LEDGER_WINNER_BYTES_MAX,
    PARTITION_KEY_BYTES_MAX, SORT_KEY_BYTES_MAX, TRANSACTION_BYTES_MAX,
};
use pangea_core::replica::{Copied, Frame, Relayed, Request, Row, Rows};
use pangea_core::time::Hlc;

use crate::binary::{DecodeError, Reader, Writer};

/// The protocol that this build speaks, and the marker of its messages.
///
/// 2: sets of versions. 3: links of several connections, frames in envelopes, compression. 4: what
/// a feeder has collected of a table. 5: wall clocks in pongs. 6: frames say which state they are
/// of. 7: anti-entropy. 8: rows of regions that are out of reach, relayed. 10: what is damaged at
/// the feeder, too.
pub const PROTOCOL: u8 = 10;
/// Bytes of the length prefix.
pub const PREFIX_BYTES: usize = 4;
/// Greatest payload before a region has introduced itself: a hello with its names.
pub const HELLO_BYTES_MAX: usize = 1024;
/// Greatest payload, in bytes.
///
/// A frame holds items of `FEED_BYTES_MAX` and what crosses it, which may be a ledger entry with a
/// whole loser and a capped winner, or the items of a transaction, which are not parted. An empty
/// text under a name of one byte is one byte of an item and four bytes here, which is the worst
/// ratio. Every row has its key beside it, and a context of ten bytes for every life of every
/// region that wrote the item: 1 KB has room for 100.
pub const FRAME_BYTES_MAX: usize = 4 * (FEED_BYTES_MAX + TRANSACTION_BYTES_MAX)
    + FEED_ROWS_MAX * (PARTITION_KEY_BYTES_MAX + SORT_KEY_BYTES_MAX + 1024);

const _: () = assert!(ITEM_BYTES_MAX + LEDGER_WINNER_BYTES_MAX < TRANSACTION_BYTES_MAX);

const HELLO: u8 = 1;
const HELLO_REPLY: u8 = 2;
const REFUSED: u8 = 3;
const SUBSCRIBE: u8 = 4;
const COPY: u8 = 5;
const ROWS: u8 = 6;
const COPIED: u8 = 7;
const PING: u8 = 8;
const PONG: u8 = 9;
const OPEN: u8 = 10;
const JOIN: u8 = 11;
const ALIVE: u8 = 12;
/// See [`envelope`].
const SEALED: u8 = 13;
const COMPARE: u8 = 14;
const COMPARED: u8 = 15;
const RELAY: u8 = 20;
const RELAYED: u8 = 21;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The subscriber introduces itself, on every connection.
    Hello(Hello),
    /// Behind a hello: this connection opens a link and carries what is urgent.
    Open(Terms),
    /// Behind a hello: this connection carries frames of a link that was opened.
    Join {
        /// Which link: [`HelloReply::link`] of the connection that opened it.
        link: u64,
        /// Which of its streams, from 0.
        stream: u8,
    },
    /// The feeder takes the connection in.
    HelloReply(HelloReply),
    /// The feeder does not; the end of the connection.
    Refused {
        /// For the operator of the other region.
        reason: String,
    },
    /// From subscriber to feeder.
    Request(Request),
    /// From feeder to subscriber.
    Frame(Frame),
    /// Asks for a [`Message::Pong`].
    Ping {
        /// Echoed; the sender's monotonic clock, microseconds.
        t_us: u64,
    },
    /// Answers a [`Message::Ping`].
    Pong {
        /// As it came.
        t_us: u64,
        /// Wall clock of who answers, ms since 1970.
        wall_ms: u64,
    },
    /// A stream without frames is not dead.
    Alive,
}

/// How the frames of a link travel: as the subscriber wishes in an [`Message::Open`], as it will
/// be in a [`HelloReply`], which has no more of anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Connections that carry frames, beside the one that opens the link; at least 1.
    pub streams: u8,
    /// How frames are compressed.
    pub compression: Compression,
}

/// How frames are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    Off,
    /// Zstandard frames (RFC 8878) of any level, where they make a message shorter.
    Zstd,
}

/// Who dials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// What it speaks: [`PROTOCOL`] of its build.
    pub protocol: u8,
    /// Its cluster.
    pub cluster: [u8; 16],
    /// Its place in the topology.
    pub slot: RegionSlot,
    /// Which of its lives it is in.
    pub incarnation: u16,
    /// Its name in the topology.
    pub region: String,
}

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HelloReply {
    /// Its place in the topology.
    pub slot: RegionSlot,
    /// Which of its lives it is in.
    pub incarnation: u16,
    /// The link, for those that join it; drawn by the feeder.
    pub link: u64,
    /// How its frames travel.
    pub terms: Terms,
}

/// Why a payload is not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The length prefix exceeds what is allowed.
    #[error("message of {length} bytes exceeds {max}")]
    TooLong {
        /// What the prefix says.
        length: usize,
        /// What is allowed.
        max: usize,
    },
    /// A message of another protocol.
    #[error("message of protocol {0}, this is {PROTOCOL}")]
    Protocol(u8),
    /// Not a message.
    #[error("malformed message: {0}")]
    Malformed(#[from] DecodeError),
}

/// The length that a prefix announces, unless it exceeds `max`.
pub fn payload_length(prefix: [u8; PREFIX_BYTES], max: usize) -> Result<usize, MessageError> {
    let length = usize::try_from(u32::from_be_bytes(prefix)).unwrap_or(usize::MAX);
    if length > max { Err(MessageError::TooLong { length, max }) } else { Ok(length) }
}

/// The prefix and the payload of a message.
///
/// # Errors
/// [`MessageError::TooLong`], which [`FRAME_BYTES_MAX`] rules out for what a feed makes.
pub fn encode(message: &Message) -> Result<Vec<u8>, MessageError> {
    let mut out = Writer::from(vec![0; PREFIX_BYTES]);
    out.u8(PROTOCOL);
    match message {
        Message::Hello(hello) => write_hello(&mut out, hello),
        Message::Open(terms) => {
            out.u8(OPEN);
            write_terms(&mut out, *terms);
        }
        Message::Join { link, stream } => {
            out.u8(JOIN);
            out.u64(*link);
            out.u8(*stream);
        }
        Message::HelloReply(reply) => {
            out.u8(HELLO_REPLY);
            out.u8(reply.slot.get());
            out.u16(reply.incarnation);
            out.u64(reply.link);
            write_terms(&mut out, reply.terms);
        }
        Message::Refused { reason } => {
            out.u8(REFUSED);
            out.text(reason);
        }
        Message::Request(request) => write_request(&mut out, request),
        Message::Frame(Frame::Rows(rows)) => write_rows(&mut out, rows),
        Message::Frame(Frame::Copied(copied)) => write_copied(&mut out, copied),
        Message::Frame(Frame::Compared(answer)) => {
            out.u8(COMPARED);
            compare::write_answer(&mut out, answer);
        }
        Message::Frame(Frame::Relayed(relayed)) => write_relayed(&mut out, relayed),
        Message::Ping { t_us } => {
            out.u8(PING);
            out.u64(*t_us);
        }
        Message::Pong { t_us, wall_ms } => {
            out.u8(PONG);
            out.u64(*t_us);
            out.u64(*wall_ms);
        }
        Message::Alive => out.u8(ALIVE),
    }
    let mut bytes = out.into_bytes();
    let length = bytes.len() - PREFIX_BYTES;
    let prefix = u32::try_from(length).ok().filter(|_| length <= FRAME_BYTES_MAX);
    let prefix = prefix.ok_or(MessageError::TooLong { length, max: FRAME_BYTES_MAX })?;
    bytes[..PREFIX_BYTES].copy_from_slice(&prefix.to_be_bytes());
    Ok(bytes)
}

/// The message of a payload, without its prefix.
///
/// # Errors
/// Whatever the bytes are, an error and no panic; allocates a multiple of the payload at most.
pub fn decode(payload: &[u8]) -> Result<Message, MessageError> {
    let mut reader = Reader::new(payload);
    let protocol = reader.u8()?;
    let kind = reader.u8()?;
    if protocol != PROTOCOL && kind != HELLO && kind != REFUSED {
        return Err(MessageError::Protocol(protocol));
    }
    let message = read_fields(kind, &mut reader)?;
    reader.finish()?;
    Ok(message)
}

fn read_fields(kind: u8, reader: &mut Reader<'_>) -> Result<Message, DecodeError> {
    Ok(match kind {
        HELLO => Message::Hello(read_hello(reader)?),
        HELLO_REPLY => {
            let (slot, incarnation) = (read_slot(reader)?, reader.u16()?);
            let (link, terms) = (reader.u64()?, read_terms(reader)?);
            Message::HelloReply(HelloReply { slot, incarnation, link, terms })
        }
        OPEN => Message::Open(read_terms(reader)?),
        JOIN => Message::Join { link: reader.u64()?, stream: reader.u8()? },
        REFUSED => Message::Refused { reason: reader.text()?.to_owned() },
        SUBSCRIBE => Message::Request(Request::Subscribe { after: reader.hlc()? }),
        COPY => Message::Request(read_copy(reader)?),
        ROWS => Message::Frame(Frame::Rows(read_rows_frame(reader)?)),
        COPIED => Message::Frame(Frame::Copied(read_copied(reader)?)),
        COMPARE => Message::Request(Request::Compare(compare::read_ask(reader)?)),
        COMPARED => Message::Frame(Frame::Compared(compare::read_answer(reader)?)),
        RELAY => {
            let (origin, after, ask) = (reader.origin()?, reader.hlc()?, reader.u32()?);
            Message::Request(Request::Relay { origin, after, ask })
        }
        RELAYED => Message::Frame(Frame::Relayed(read_relayed(reader)?)),
        PING => Message::Ping { t_us: reader.u64()? },
        PONG => Message::Pong { t_us: reader.u64()?, wall_ms: reader.u64()? },
        ALIVE => Message::Alive,
        tag => return Err(DecodeError::Tag { what: "message", tag }),
    })
}

fn write_hello(out: &mut Writer, hello: &Hello) {
    out.u8(HELLO);
    out.u8(hello.protocol);
    out.raw(&hello.cluster);
    out.u8(hello.slot.get());
    out.u16(hello.incarnation);
    out.text(&hello.region);
}

fn read_hello(reader: &mut Reader<'_>) -> Result<Hello, DecodeError> {
    let protocol = reader.u8()?;
    let mut cluster = [0; 16];
    cluster.copy_from_slice(reader.raw(16)?);
    let (slot, incarnation) = (read_slot(reader)?, reader.u16()?);
    Ok(Hello { protocol, cluster, slot, incarnation, region: reader.text()?.to_owned() })
}

fn write_terms(out: &mut Writer, terms: Terms) {
    out.u8(terms.streams);
    out.u8(match terms.compression {
        Compression::Off => 0,
        Compression::Zstd => 1,
    });
}

fn read_terms(reader: &mut Reader<'_>) -> Result<Terms, DecodeError> {
    let streams = reader.u8()?;
    if streams == 0 {
        return Err(DecodeError::Tag { what: "streams", tag: streams });
    }
    let compression = match reader.u8()? {
        0 => Compression::Off,
        1 => Compression::Zstd,
        tag => return Err(DecodeError::Tag { what: "compression", tag }),
    };
    Ok(Terms { streams, compression })
}

fn read_slot(reader: &mut Reader<'_>) -> Result<RegionSlot, DecodeError> {
    let tag = reader.u8()?;
    RegionSlot::new(tag).ok_or(DecodeError::Tag { what: "region", tag })
}

fn write_request(out: &mut Writer, request: &Request) {
    match request {
        Request::Subscribe { after } => {
            out.u8(SUBSCRIBE);
            out.hlc(*after);
        }
        Request::Copy { table, after } => {
            out.u8(COPY);
            out.stamp(table.0);
            write_place(out, after.as_ref());
        }
        Request::Compare(ask) => {
            out.u8(COMPARE);
            compare::write_ask(out, ask);
        }
        Request::Relay { origin, after, ask } => {
            out.u8(RELAY);
            out.origin(*origin);
            out.hlc(*after);
            out.u32(*ask);
        }
    }
}

fn read_copy(reader: &mut Reader<'_>) -> Result<Request, DecodeError> {
    let table = TableId(reader.stamp()?);
    Ok(Request::Copy { table, after: read_place(reader)? })
}

fn write_rows(out: &mut Writer, frame: &Rows) {
    out.u8(ROWS);
    out.origin(frame.origin);
    out.hlc(frame.after);
    out.hlc(frame.through);
    out.hlc(frame.end);
    out.u64(frame.sent_wall_ms);
    write_vector(out, &frame.applied);
    write_many_rows(out, &frame.rows);
}

fn read_rows_frame(reader: &mut Reader<'_>) -> Result<Rows, DecodeError> {
    let origin = reader.origin()?;
    let (after, through, end) = (reader.hlc()?, reader.hlc()?, reader.hlc()?);
    let sent_wall_ms = reader.u64()?;
    let applied = read_vector(reader)?;
    let rows = read_many_rows(reader)?;
    Ok(Rows { origin, after, through, end, rows, applied, sent_wall_ms })
}

fn write_copied(out: &mut Writer, frame: &Copied) {
    out.u8(COPIED);
    out.stamp(frame.table.0);
    out.flag(frame.ready);
    out.u32(frame.generation);
    write_place(out, frame.after.as_ref());
    write_place(out, frame.next.as_ref());
    out.version_vector(&frame.collected);
    write_many_rows(out, &frame.rows);
}

fn read_copied(reader: &mut Reader<'_>) -> Result<Copied, DecodeError> {
    let (table, ready) = (TableId(reader.stamp()?), reader.flag()?);
    let generation = reader.u32()?;
    let (after, next) = (read_place(reader)?, read_place(reader)?);
    let collected = reader.version_vector()?;
    let rows = read_many_rows(reader)?;
    Ok(Copied { table, after, ready, generation, rows, next, collected })
}

fn write_relayed(out: &mut Writer, frame: &Relayed) {
    out.u8(RELAYED);
    out.origin(frame.origin);
    out.hlc(frame.after);
    out.hlc(frame.through);
    out.length(frame.covers.len());
    frame.covers.iter().for_each(|table| out.stamp(table.0));
    write_vector(out, &frame.needs);
    out.flag(frame.settled);
    out.u32(frame.ask);
    out.flag(frame.revision.is_some());
    out.u32(frame.revision.unwrap_or_default());
    write_many_rows(out, &frame.rows);
}

fn read_relayed(reader: &mut Reader<'_>) -> Result<Relayed, DecodeError> {
    let (origin, after, through) = (reader.origin()?, reader.hlc()?, reader.hlc()?);
    let mut covers = Vec::new();
    for _ in 0..reader.length()? {
        covers.push(TableId(reader.stamp()?));
    }
    let needs = read_vector(reader)?;
    let (settled, ask) = (reader.flag()?, reader.u32()?);
    let (said, revision) = (reader.flag()?, reader.u32()?);
    if !said && revision > 0 {
        return Err(DecodeError::Integer);
    }
    let revision = said.then_some(revision);
    let rows = read_many_rows(reader)?;
    Ok(Relayed { origin, after, through, rows, covers, needs, settled, ask, revision })
}

fn write_vector(out: &mut Writer, vector: &[(Origin, Hlc)]) {
    out.length(vector.len());
    for &(origin, hlc) in vector {
        out.origin(origin);
        out.hlc(hlc);
    }
}

fn read_vector(reader: &mut Reader<'_>) -> Result<Vec<(Origin, Hlc)>, DecodeError> {
    let mut vector = Vec::new();
    for _ in 0..reader.length()? {
        vector.push((reader.origin()?, reader.hlc()?));
    }
    Ok(vector)
}

fn write_place(out: &mut Writer, place: Option<&PrimaryKey>) {
    out.flag(place.is_some());
    if let Some(key) = place {
        out.primary_key(key);
    }
}

fn read_place(reader: &mut Reader<'_>) -> Result<Option<PrimaryKey>, DecodeError> {
    if reader.flag()? { reader.primary_key().map(Some) } else { Ok(None) }
}

fn write_many_rows(out: &mut Writer, rows: &[Row]) {
    out.length(rows.len());
    for row in rows {
        out.item_key(&row.key);
        out.version(&row.version);
    }
}

fn read_many_rows(reader: &mut Reader<'_>) -> Result<Vec<Row>, DecodeError> {
    let mut rows = Vec::new();
    for _ in 0..reader.length()? {
        rows.push(Row { key: reader.item_key()?, version: reader.version()? });
    }
    Ok(rows)
}

/// The identity of the cluster of this name; certificates tell clusters of one name apart.
#[must_use]
pub fn cluster_id(name: &str) -> [u8; 16] {
    let mut id = [0; 16];
    id.copy_from_slice(&blake3::hash(name.as_bytes()).as_bytes()[..16]);
    id
}
