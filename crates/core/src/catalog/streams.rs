//! The change streams that a table has and had, and since when its past is kept.
//!
//! What is over is remembered among [`TableEntry::options`]: it decides nothing that a replica
//! does, only what can be read.

use alloc::string::ToString;
use alloc::vec::Vec;

use super::{StreamView, TableEntry};
use crate::item::AttributeValue;
use crate::journal::{self, Stream};

/// The name of the streams that are over, among the options.
const ENDED: &str = "pangea:ended-streams";
/// The name of the moment since when the history is kept.
const HISTORY: &str = "pangea:history-since";

impl TableEntry {
    /// The stream that takes records.
    #[must_use]
    pub fn open_stream(&self) -> Option<Stream> {
        let view = self.stream.filter(|_| !self.deleted)?;
        Some(Stream { view, since_ms: self.stream_since_ms, until_ms: None })
    }

    /// Every stream that may still be read at a moment, the newest last.
    #[must_use]
    pub fn streams(&self, now_ms: u64) -> Vec<Stream> {
        let mut streams = self.ended_streams();
        streams.extend(self.open_stream());
        journal::readable(&mut streams, now_ms);
        streams
    }

    /// Since when the past of the table is kept, ms since 1970.
    #[must_use]
    pub fn history_since_ms(&self) -> Option<u64> {
        let since = self.options.get(HISTORY).filter(|_| self.history)?;
        parse_moment(since)
    }

    fn ended_streams(&self) -> Vec<Stream> {
        let Some(AttributeValue::L(ended)) = self.options.get(ENDED) else { return Vec::new() };
        ended.iter().filter_map(decode).collect()
    }

    /// The stream is over; `stream` itself is left to the caller.
    pub(crate) fn end_stream(&mut self, now_ms: u64) {
        let Some(open) = self.open_stream() else { return };
        let until_ms = now_ms.max(open.since_ms);
        let mut ended = self.ended_streams();
        ended.push(Stream { until_ms: Some(until_ms), ..open });
        journal::readable(&mut ended, now_ms);
        let ended = ended.iter().map(encode).collect();
        self.options.insert(ENDED.to_string(), AttributeValue::L(ended));
    }

    /// A stream begins, behind those before.
    pub(crate) fn begin_stream(&mut self, view: StreamView, now_ms: u64) {
        let ended = self.ended_streams().into_iter().filter_map(|stream| stream.until_ms).max();
        self.stream = Some(view);
        self.stream_since_ms = now_ms.max(ended.map_or(0, |ended| ended + 1));
    }

    /// The past is kept from now on, or not any more.
    pub(crate) fn keep_history(&mut self, keep: bool, now_ms: u64) {
        if keep && !self.history {
            self.options.insert(HISTORY.to_string(), moment(now_ms));
        }
        if !keep {
            self.options.remove(HISTORY);
        }
        self.history = keep;
    }
}

fn encode(stream: &Stream) -> AttributeValue {
    let view = AttributeValue::S(stream.view.as_str().to_string());
    let until = moment(stream.until_ms.unwrap_or_default());
    AttributeValue::L(Vec::from([view, moment(stream.since_ms), until]))
}

fn decode(value: &AttributeValue) -> Option<Stream> {
    let AttributeValue::L(parts) = value else { return None };
    let [AttributeValue::S(view), since, until] = parts.as_slice() else { return None };
    let (view, since_ms) = (StreamView::parse(view)?, parse_moment(since)?);
    Some(Stream { view, since_ms, until_ms: Some(parse_moment(until)?) })
}

fn moment(ms: u64) -> AttributeValue {
    AttributeValue::B(ms.to_be_bytes().into())
}

fn parse_moment(value: &AttributeValue) -> Option<u64> {
    let AttributeValue::B(bytes) = value else { return None };
    Some(u64::from_be_bytes(bytes.as_slice().try_into().ok()?))
}
