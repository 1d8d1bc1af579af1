//! The binary form of CRDT states.
//!
//! Dots are spelled once. The version's own stamp has index 0 and is spelled nowhere: the row has
//! it. Any other stamp is spelled where it comes first, and is the next index from there on. So an
//! item that one write made costs a byte for each attribute beside its plain form.
//!
//! ```text
//! state     flags, [attributes of the key, dots of existence] if 1, [dot of removal] if 2, places,
//!           [places of groups] if 4
//! places    count, (name, place)...
//! place     index << 1 (stamp), value        one write of one value
//!           1, parts, ...                    anything else: which parts there are, then those
//! parts     tallies 1, registers 2, elements 4, appended 8, map 16, members 32, removal 64
//! dots      index << 1 (stamp)               one
//!           count << 1 | 1, dot...           none or several
//! dot       index (stamp)
//! tally     dot of the newest, newest - start, cut, sum, [sum at the cut]
//! cut       0 none, 1 all, n newest - (n - 1) at the cut
//! register  dot, value, [bases] if a number
//! base      place among the tallies, newest - at, [sum] unless at the newest
//! element   key value, dots << 1 | has removal, [dot of removal]
//! sum       0 number | 1 or 2 (negative), magnitude behind its length
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use pangea_core::crdt::{
    Appended, Base, Cut, Dots, Element, Mixed, Parts, Place, Places, Register, State, Sum, Tally,
};
use pangea_core::item::{AttributeValue, KeyValue};
use pangea_core::time::{Hlc, Stamp};

use super::{DEPTH_MAX, DecodeError, Reader, Writer, tag};

type Result<T> = std::result::Result<T, DecodeError>;

const EXISTS: u8 = 1;
const REMOVED: u8 = 2;
const GROUPED: u8 = 4;

/// The header of a place that is not plain; plain ones are even.
const MIXED: u64 = 1;

const TALLIES: u8 = 1;
const REGISTERS: u8 = 2;
const ELEMENTS: u8 = 4;
const APPENDED: u8 = 8;
const MAP: u8 = 16;
const MEMBERS: u8 = 32;
const REMOVAL: u8 = 64;

const NARROW: u8 = 0;
const POSITIVE: u8 = 1;
const NEGATIVE: u8 = 2;

const UNCUT: u64 = 0;
const CUT_WHOLE: u64 = 1;

/// How many stamps are looked through one by one before a map is worth its keep.
const SCANNED_MAX: usize = 16;

/// The stamps that were spelled, by index.
#[derive(Debug)]
struct Known {
    /// Index 0.
    own: Stamp,
    /// From index 1 on.
    spelled: Vec<Stamp>,
    /// Those by stamp, once there are many.
    indexes: BTreeMap<Stamp, usize>,
}

impl Known {
    fn new(own: Stamp) -> Self {
        Self { own, spelled: Vec::new(), indexes: BTreeMap::new() }
    }

    /// The first index that no stamp has.
    fn count(&self) -> usize {
        self.spelled.len() + 1
    }

    fn stamp(&self, index: usize) -> Option<Stamp> {
        match index.checked_sub(1) {
            None => Some(self.own),
            Some(at) => self.spelled.get(at).copied(),
        }
    }

    fn index(&self, stamp: Stamp) -> Option<usize> {
        if stamp == self.own {
            return Some(0);
        }
        if self.indexes.is_empty() {
            return self.spelled.iter().position(|known| *known == stamp).map(|at| at + 1);
        }
        self.indexes.get(&stamp).copied()
    }

    fn push(&mut self, stamp: Stamp) {
        self.spelled.push(stamp);
        if !self.indexes.is_empty() {
            self.indexes.insert(stamp, self.spelled.len());
        } else if self.spelled.len() > SCANNED_MAX {
            self.indexes = self.spelled.iter().copied().zip(1..).collect();
        }
    }
}

impl Writer {
    /// A CRDT state of a version whose stamp, `own`, the reader knows.
    pub fn crdt_state(&mut self, state: &State, own: Stamp) {
        let Parts { key, exists, removed, places, groups } = state.parts();
        let flag = |is: bool, flag: u8| if is { flag } else { 0 };
        self.u8(flag(!exists.is_empty(), EXISTS)
            | flag(removed.is_some(), REMOVED)
            | flag(!groups.is_empty(), GROUPED));
        if !exists.is_empty() {
            self.attributes(key);
        }
        let mut writer = StateWriter { out: self, known: Known::new(own) };
        if !exists.is_empty() {
            writer.dots(exists, None);
        }
        if let Some(removed) = removed {
            writer.dot(*removed);
        }
        writer.places(places);
        if !groups.is_empty() {
            writer.places(groups);
        }
    }
}

struct StateWriter<'a> {
    out: &'a mut Writer,
    known: Known,
}

impl StateWriter<'_> {
    /// A number whose lower bits are `flags` and whose upper ones are the stamp's index.
    fn indexed(&mut self, stamp: Stamp, bits: u32, flags: u64) {
        let index = self.known.index(stamp);
        let at = index.unwrap_or_else(|| self.known.count());
        self.out.varint((at as u64) << bits | flags);
        if index.is_none() {
            self.out.stamp(stamp);
            self.known.push(stamp);
        }
    }

    fn dot(&mut self, stamp: Stamp) {
        self.indexed(stamp, 0, 0);
    }

    /// Dots, with a flag in the lowest bit where there is one.
    fn dots(&mut self, dots: &Dots, flag: Option<bool>) {
        let (bits, flag) = flag.map_or((0, 0), |flag| (1, u64::from(flag)));
        match dots.as_slice() {
            [dot] => self.indexed(*dot, bits + 1, flag),
            dots => {
                self.out.varint((dots.len() as u64) << (bits + 1) | 1 << bits | flag);
                dots.iter().for_each(|dot| self.dot(*dot));
            }
        }
    }

    fn places(&mut self, places: &Places) {
        self.out.length(places.len());
        for (name, place) in places {
            self.out.text(name);
            match place {
                Place::Plain(dot, value) => {
                    self.indexed(*dot, 1, 0);
                    self.out.value(value);
                }
                Place::Mixed(mixed) => {
                    self.out.varint(MIXED);
                    self.mixed(mixed);
                }
            }
        }
    }

    fn mixed(&mut self, mixed: &Mixed) {
        let flag = |is: bool, flag: u8| if is { flag } else { 0 };
        self.out.u8(flag(!mixed.tallies.is_empty(), TALLIES)
            | flag(!mixed.registers.is_empty(), REGISTERS)
            | flag(!mixed.elements.is_empty(), ELEMENTS)
            | flag(!mixed.appended.is_empty(), APPENDED)
            | flag(!mixed.map.is_empty(), MAP)
            | flag(!mixed.members.is_empty(), MEMBERS)
            | flag(mixed.removed.is_some(), REMOVAL));
        self.many(&mixed.tallies, Self::tally);
        self.many(&mixed.registers, |out, it| out.register(it, &mixed.tallies));
        if !mixed.elements.is_empty() {
            self.out.length(mixed.elements.len());
            mixed.elements.iter().for_each(|(key, element)| self.element(key, element));
        }
        self.many(&mixed.appended, |out, it| {
            out.dot(it.dot);
            out.out.varint(it.position.into());
            out.out.value(&it.value);
        });
        if !mixed.map.is_empty() {
            self.dots(&mixed.map, None);
        }
        if !mixed.members.is_empty() {
            self.places(&mixed.members);
        }
        if let Some(removed) = mixed.removed {
            self.dot(removed);
        }
    }

    /// Things behind their count, or nothing for none.
    fn many<T>(&mut self, things: &[T], mut one: impl FnMut(&mut Self, &T)) {
        if !things.is_empty() {
            self.out.length(things.len());
            things.iter().for_each(|it| one(self, it));
        }
    }

    fn tally(&mut self, tally: &Tally) {
        self.dot(Stamp { hlc: tally.newest, origin: tally.origin });
        self.since(tally.newest, tally.start);
        match &tally.cut {
            Cut::None => self.out.varint(UNCUT),
            Cut::All => self.out.varint(CUT_WHOLE),
            Cut::Part(at, _) => {
                self.out.varint(tally.newest.to_bits() - at.to_bits() + CUT_WHOLE);
            }
        }
        self.sum(&tally.sum);
        if let Cut::Part(_, sum) = &tally.cut {
            self.sum(sum);
        }
    }

    fn register(&mut self, register: &Register, tallies: &[Tally]) {
        self.dot(register.dot);
        self.out.value(&register.value);
        if !matches!(register.value, AttributeValue::N(_)) {
            return;
        }
        self.out.length(register.bases.len());
        for base in &register.bases {
            let at = tallies.binary_search_by_key(&base.origin, |it| it.origin);
            let at = at.expect("a base is of a tally that is there");
            self.out.length(at);
            self.since(tallies[at].newest, base.at);
            if tallies[at].newest != base.at {
                self.sum(&base.sum);
            }
        }
    }

    fn element(&mut self, key: &KeyValue, element: &Element) {
        self.out.key_value(key);
        self.dots(&element.dots, Some(element.removed.is_some()));
        if let Some(removed) = element.removed {
            self.dot(removed);
        }
    }

    /// How long `earlier` is before `later`.
    fn since(&mut self, later: Hlc, earlier: Hlc) {
        self.out.varint(later.to_bits() - earlier.to_bits());
    }

    fn sum(&mut self, sum: &Sum) {
        if let Some(number) = sum.number() {
            self.out.u8(NARROW);
            self.out.number(number);
        } else if let Some((negative, magnitude)) = sum.wide() {
            self.out.u8(if negative { NEGATIVE } else { POSITIVE });
            self.out.bytes(&magnitude);
        }
    }
}

impl Reader<'_> {
    /// A CRDT state of a version whose stamp is `own`.
    pub fn crdt_state(&mut self, own: Stamp) -> Result<State> {
        let flags = self.u8()?;
        if flags & !(EXISTS | REMOVED | GROUPED) != 0 {
            return Err(DecodeError::Tag { what: "state", tag: flags });
        }
        let mut parts = Parts::default();
        if flags & EXISTS != 0 {
            parts.key = Arc::new(self.attributes()?);
        }
        let mut reader = StateReader { from: self, known: Known::new(own) };
        if flags & EXISTS != 0 {
            parts.exists = reader.dots()?;
        }
        if flags & REMOVED != 0 {
            parts.removed = Some(reader.dot()?);
        }
        parts.places = reader.places(DEPTH_MAX)?;
        if flags & GROUPED != 0 {
            parts.groups = reader.places(DEPTH_MAX)?;
            if parts.groups.is_empty() {
                return Err(DecodeError::State);
            }
        }
        State::from_parts(parts).ok_or(DecodeError::State)
    }
}

struct StateReader<'a, 'b> {
    from: &'a mut Reader<'b>,
    known: Known,
}

impl StateReader<'_, '_> {
    /// The stamp of an index; the next one is spelled here, and is none that was spelled before.
    fn stamp(&mut self, index: u64) -> Result<Stamp> {
        let index = usize::try_from(index).map_err(|_| DecodeError::State)?;
        if index == self.known.count() {
            let stamp = self.from.stamp()?;
            if self.known.index(stamp).is_some() {
                return Err(DecodeError::State);
            }
            self.known.push(stamp);
        }
        self.known.stamp(index).ok_or(DecodeError::State)
    }

    fn dot(&mut self) -> Result<Stamp> {
        let index = self.from.varint()?;
        self.stamp(index)
    }

    fn dots(&mut self) -> Result<Dots> {
        let header = self.from.varint()?;
        self.dots_behind(header)
    }

    fn dots_behind(&mut self, header: u64) -> Result<Dots> {
        if header & 1 == 0 {
            return Ok(Dots::from(self.stamp(header >> 1)?));
        }
        let count = header >> 1;
        if count == 1 || count > self.from.remaining() as u64 {
            return Err(DecodeError::State);
        }
        let mut dots = Vec::new();
        for _ in 0..count {
            dots.push(self.dot()?);
        }
        Dots::from_ascending(dots).ok_or(DecodeError::Order)
    }

    fn places(&mut self, depth: usize) -> Result<Places> {
        let mut places = Places::new();
        for _ in 0..self.from.length()? {
            let name = self.from.text()?;
            if places.last_key_value().is_some_and(|(before, _)| before.as_str() >= name) {
                return Err(DecodeError::Order);
            }
            let name = name.to_owned();
            let place = match self.from.varint()? {
                MIXED => Place::Mixed(Box::new(self.mixed(depth)?)),
                header if header & 1 == 0 => {
                    let dot = self.stamp(header >> 1)?;
                    Place::Plain(dot, self.from.value_below(depth)?)
                }
                _ => return Err(DecodeError::State),
            };
            places.insert(name, place);
        }
        Ok(places)
    }

    fn mixed(&mut self, depth: usize) -> Result<Mixed> {
        let parts = self.from.u8()?;
        if parts & 128 != 0 {
            return Err(DecodeError::Tag { what: "place", tag: parts });
        }
        let mut mixed = Mixed::default();
        for _ in 0..self.count(parts & TALLIES)? {
            mixed.tallies.push(self.tally()?);
        }
        for _ in 0..self.count(parts & REGISTERS)? {
            let register = self.register(depth, &mixed.tallies)?;
            mixed.registers.push(register);
        }
        for _ in 0..self.count(parts & ELEMENTS)? {
            let (key, element) = self.element()?;
            if mixed.elements.last_key_value().is_some_and(|(before, _)| *before >= key) {
                return Err(DecodeError::Order);
            }
            mixed.elements.insert(key, element);
        }
        for _ in 0..self.count(parts & APPENDED)? {
            let dot = self.dot()?;
            let position = self.from.varint()?;
            let position = u32::try_from(position).map_err(|_| DecodeError::Integer)?;
            let value = self.from.value_below(depth)?;
            mixed.appended.push(Appended { dot, position, value });
        }
        if parts & MAP != 0 {
            mixed.map = self.dots()?;
            if mixed.map.is_empty() {
                return Err(DecodeError::State);
            }
        }
        if parts & MEMBERS != 0 {
            let depth = depth.checked_sub(1).ok_or(DecodeError::Depth)?;
            mixed.members = self.places(depth)?;
            if mixed.members.is_empty() {
                return Err(DecodeError::State);
            }
        }
        if parts & REMOVAL != 0 {
            mixed.removed = Some(self.dot()?);
        }
        Ok(mixed)
    }

    /// How many things there are; never none where there are to be some.
    fn count(&mut self, is: u8) -> Result<usize> {
        if is == 0 {
            return Ok(0);
        }
        match self.from.length()? {
            0 => Err(DecodeError::State),
            count => Ok(count),
        }
    }

    fn tally(&mut self) -> Result<Tally> {
        let Stamp { hlc: newest, origin } = self.dot()?;
        let start = self.since(newest)?;
        let cut = self.from.varint()?;
        let sum = self.sum()?;
        let cut = match cut {
            UNCUT => Cut::None,
            CUT_WHOLE => Cut::All,
            since => Cut::Part(before(newest, since - CUT_WHOLE)?, self.sum()?),
        };
        Ok(Tally { origin, start, newest, sum, cut })
    }

    fn register(&mut self, depth: usize, tallies: &[Tally]) -> Result<Register> {
        let dot = self.dot()?;
        let value = self.from.value_below(depth)?;
        let mut bases = Vec::new();
        if matches!(value, AttributeValue::N(_)) {
            for _ in 0..self.from.length()? {
                bases.push(self.base(tallies)?);
            }
        }
        Ok(Register { dot, value, bases })
    }

    fn base(&mut self, tallies: &[Tally]) -> Result<Base> {
        let at = usize::try_from(self.from.varint()?).ok();
        let tally = at.and_then(|at| tallies.get(at)).ok_or(DecodeError::State)?;
        let at = self.since(tally.newest)?;
        let sum = if at == tally.newest { tally.sum.clone() } else { self.sum()? };
        Ok(Base { origin: tally.origin, at, sum })
    }

    fn element(&mut self) -> Result<(KeyValue, Element)> {
        let key = self.from.key_value()?;
        let key = key.ok_or(DecodeError::Tag { what: "element", tag: tag::NONE })?;
        let header = self.from.varint()?;
        let dots = self.dots_behind(header >> 1)?;
        let removed = if header & 1 == 0 { None } else { Some(self.dot()?) };
        Ok((key, Element { dots, removed }))
    }

    fn since(&mut self, later: Hlc) -> Result<Hlc> {
        let since = self.from.varint()?;
        before(later, since)
    }

    fn sum(&mut self) -> Result<Sum> {
        let negative = match self.from.u8()? {
            NARROW => return self.from.number().map(Sum::from),
            tag @ (POSITIVE | NEGATIVE) => tag == NEGATIVE,
            tag => return Err(DecodeError::Tag { what: "sum", tag }),
        };
        Sum::from_wide(negative, self.from.bytes()?).ok_or(DecodeError::Number)
    }
}

fn before(later: Hlc, since: u64) -> Result<Hlc> {
    let bits = later.to_bits().checked_sub(since).ok_or(DecodeError::Integer)?;
    Ok(Hlc::from_bits(bits))
}
