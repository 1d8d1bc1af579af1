//! DynamoDB requests of the benchmarks, over blocking connections where speed is not the subject.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context as _;

use super::process::wait_until;

/// A table, and how it is made. Its partition key is `pk`, a string.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// The merge policy, as a tag; none for a server that has no such thing.
    pub(crate) merge: Option<&'static str>,
    /// Whether it has a stream of both images.
    pub(crate) streamed: bool,
    /// Whether it has a sort key `sk`, a string.
    pub(crate) sorted: bool,
}

/// The table of most benchmarks.
pub(crate) const TABLE: Table =
    Table { name: "bench", merge: None, streamed: false, sorted: false };
/// The one that is queried.
pub(crate) const SORTED: Table = Table { name: "bench-sorted", sorted: true, ..TABLE };

/// Partitions of [`SORTED`] once [`fill_sorted`] has filled it, and items of each, which is what
/// issues call "a Query of 100 items of 200 bytes".
pub(crate) const PARTITIONS: u64 = 100;
pub(crate) const PARTITION_ITEMS: usize = 100;
const PARTITION_ITEM_BYTES: usize = 200;
/// Of one `BatchWriteItem`.
const BATCH_ITEMS: usize = 25;

/// What stands for a signature where none is verified.
const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 \
     Credential=bench/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host;x-amz-date, \
     Signature=0000000000000000000000000000000000000000000000000000000000000000";

/// The head of a request and its body.
pub(crate) fn request(operation: &str, body: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-amz-json-1.0\r\n\
         x-amz-target: DynamoDB_20120810.{operation}\r\nx-amz-date: 20260101T000000Z\r\n\
         authorization: {AUTHORIZATION}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Reads an item by key.
pub(crate) fn get(key: &str) -> String {
    let table = TABLE.name;
    request("GetItem", &format!(r#"{{"TableName":"{table}","Key":{{"pk":{{"S":"{key}"}}}}}}"#))
}

/// Writes an item of about 1 KB: a key, a number, and eight texts, as items are.
pub(crate) fn put(key: &str, sequence: u64) -> String {
    let text = "0123456789abcdef".repeat(7);
    let texts: String = (0..8).map(|at| format!(r#","text-{at}":{{"S":"{text}"}}"#)).collect();
    let item = format!(r#"{{"pk":{{"S":"{key}"}},"seq":{{"N":"{sequence}"}}{texts}}}"#);
    let table = TABLE.name;
    request("PutItem", &format!(r#"{{"TableName":"{table}","Item":{item}}}"#))
}

/// Adds one to the number of an item.
pub(crate) fn add(key: &str) -> String {
    let expression =
        r#""UpdateExpression":"ADD seq :n","ExpressionAttributeValues":{":n":{"N":"1"}}"#;
    let key = format!(r#""Key":{{"pk":{{"S":"{key}"}}}}"#);
    let table = TABLE.name;
    request("UpdateItem", &format!(r#"{{"TableName":"{table}",{key},{expression}}}"#))
}

/// Reads all of a partition of [`SORTED`].
pub(crate) fn query(partition: &str) -> String {
    let table = SORTED.name;
    let values = format!(r#""ExpressionAttributeValues":{{":pk":{{"S":"{partition}"}}}}"#);
    let condition = r#""KeyConditionExpression":"pk = :pk""#;
    request("Query", &format!(r#"{{"TableName":"{table}",{condition},{values}}}"#))
}

/// The name of a partition of [`SORTED`].
pub(crate) fn partition(number: u64) -> String {
    format!("part-{number:08}")
}

/// Fills [`SORTED`].
pub(crate) fn fill_sorted(address: SocketAddr) -> anyhow::Result<()> {
    let mut connection = Connection::open(address)?;
    for number in 0..PARTITIONS {
        let partition = partition(number);
        for begin in (0..PARTITION_ITEMS).step_by(BATCH_ITEMS) {
            let puts = (begin..begin + BATCH_ITEMS).map(|at| {
                let item = format!(r#""pk":{{"S":"{partition}"}},"sk":{{"S":"item-{at:08}"}}"#);
                // Names and keys count, too: 2 + 13, 2 + 13, and the name of the text.
                let text = "t".repeat(PARTITION_ITEM_BYTES - 2 * (2 + 13) - "text".len());
                format!(r#"{{"PutRequest":{{"Item":{{{item},"text":{{"S":"{text}"}}}}}}}}"#)
            });
            let puts = puts.collect::<Vec<_>>().join(",");
            let body = format!(r#"{{"RequestItems":{{"{}":[{puts}]}}}}"#, SORTED.name);
            let answer = connection.ask(&request("BatchWriteItem", &body))?;
            anyhow::ensure!(answer.contains(r#""UnprocessedItems":{}"#), "not all: {answer}");
        }
    }
    Ok(())
}

/// Where a response's body begins and ends; `None` until its head is whole.
pub(crate) fn extent(response: &[u8]) -> anyhow::Result<Option<(usize, usize)>> {
    let Some(head) = response.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&response[..head])?;
    let mut lines = text.split("\r\n");
    let status = lines.next().unwrap_or_default();
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        if name.eq_ignore_ascii_case("content-length") { value.parse().ok() } else { None }
    });
    let body = head + 4;
    let end = body + length.unwrap_or(0_usize);
    if !status.starts_with("HTTP/1.1 200") && response.len() >= end {
        anyhow::bail!("{status}: {}", String::from_utf8_lossy(&response[body..]));
    }
    Ok(Some((body, end)))
}

/// A kept-alive blocking connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    response: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self { stream, response: Vec::new() })
    }

    /// Sends a request and returns the body of its good answer.
    pub(crate) fn ask(&mut self, request: &str) -> anyhow::Result<&str> {
        self.stream.write_all(request.as_bytes())?;
        self.response.clear();
        let mut piece = [0; 16 * 1024];
        loop {
            let count = self.stream.read(&mut piece)?;
            anyhow::ensure!(count > 0, "the connection ended");
            self.response.extend_from_slice(&piece[..count]);
            if let Some((body, end)) = extent(&self.response)?
                && self.response.len() >= end
            {
                return Ok(std::str::from_utf8(&self.response[body..end])?);
            }
        }
    }
}

/// Makes a table, and waits until it serves.
pub(crate) fn make(address: SocketAddr, table: Table) -> anyhow::Result<()> {
    let Table { name, merge, streamed, sorted } = table;
    let mut keys = vec![("pk", "HASH")];
    keys.extend(sorted.then_some(("sk", "RANGE")));
    let attribute =
        |(name, _): &(&str, &str)| format!(r#"{{"AttributeName":"{name}","AttributeType":"S"}}"#);
    let element =
        |(name, kind): &(&str, &str)| format!(r#"{{"AttributeName":"{name}","KeyType":"{kind}"}}"#);
    let list = |each: &dyn Fn(&(&str, &str)) -> String| {
        keys.iter().map(each).collect::<Vec<_>>().join(",")
    };
    let mut create = format!(
        r#"{{"TableName":"{name}","BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{}],
        "KeySchema":[{}]"#,
        list(&attribute),
        list(&element)
    );
    if let Some(policy) = merge {
        create += &format!(r#","Tags":[{{"Key":"pangea:merge","Value":"{policy}"}}]"#);
    }
    if streamed {
        create += r#","StreamSpecification":{"StreamEnabled":true,"StreamViewType":"NEW_AND_OLD_IMAGES"}"#;
    }
    create += "}";
    Connection::open(address)?.ask(&request("CreateTable", &create)).context("CreateTable")?;
    wait_for_table(address, name)
}

/// Gives [`TABLE`] of `home` a replica in another region, and waits until that serves.
pub(crate) fn replicate(home: SocketAddr, region: &str, address: SocketAddr) -> anyhow::Result<()> {
    let table = TABLE.name;
    let update = format!(
        r#"{{"TableName":"{table}","ReplicaUpdates":[{{"Create":{{"RegionName":"{region}"}}}}]}}"#
    );
    let mut connection = Connection::open(home)?;
    // One change at a time: the one before may not have ended.
    wait_until(&format!("{region} gets no replica"), || {
        connection.ask(&request("UpdateTable", &update)).is_ok()
    })?;
    wait_for_table(address, table)
}

fn wait_for_table(address: SocketAddr, table: &str) -> anyhow::Result<()> {
    let look = request("Scan", &format!(r#"{{"TableName":"{table}","Limit":1}}"#));
    wait_until(&format!("no table at {address}"), || {
        Connection::open(address).is_ok_and(|mut connection| connection.ask(&look).is_ok())
    })
}
