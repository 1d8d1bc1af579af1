//! DynamoDB requests of the benchmarks, over blocking connections where speed is not the subject.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context as _;

use super::process::wait_until;

/// The table of every benchmark; its partition key is `pk`, a string.
pub(crate) const TABLE: &str = "bench";

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
    request("GetItem", &format!(r#"{{"TableName":"{TABLE}","Key":{{"pk":{{"S":"{key}"}}}}}}"#))
}

/// Writes an item of about 1 KB: a key, a number, and eight texts, as items are.
pub(crate) fn put(key: &str, sequence: u64) -> String {
    let text = "0123456789abcdef".repeat(7);
    let texts: String = (0..8).map(|at| format!(r#","text-{at}":{{"S":"{text}"}}"#)).collect();
    let item = format!(r#"{{"pk":{{"S":"{key}"}},"seq":{{"N":"{sequence}"}}{texts}}}"#);
    request("PutItem", &format!(r#"{{"TableName":"{TABLE}","Item":{item}}}"#))
}

/// Adds one to the number of an item.
pub(crate) fn add(key: &str) -> String {
    let expression =
        r#""UpdateExpression":"ADD seq :n","ExpressionAttributeValues":{":n":{"N":"1"}}"#;
    let key = format!(r#""Key":{{"pk":{{"S":"{key}"}}}}"#);
    request("UpdateItem", &format!(r#"{{"TableName":"{TABLE}",{key},{expression}}}"#))
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

/// Makes the table at `home`, with a replica in each of `others`, and waits until all serve.
pub(crate) fn make_table(home: SocketAddr, others: &[(&str, SocketAddr)]) -> anyhow::Result<()> {
    make_merging_table(home, others, "lww")
}

/// The same, with a merge policy.
pub(crate) fn make_merging_table(
    home: SocketAddr,
    others: &[(&str, SocketAddr)],
    policy: &str,
) -> anyhow::Result<()> {
    let mut connection = Connection::open(home)?;
    let create = format!(
        r#"{{"TableName":"{TABLE}","BillingMode":"PAY_PER_REQUEST",
        "AttributeDefinitions":[{{"AttributeName":"pk","AttributeType":"S"}}],
        "KeySchema":[{{"AttributeName":"pk","KeyType":"HASH"}}],
        "Tags":[{{"Key":"pangea:merge","Value":"{policy}"}}],
        "StreamSpecification":{{"StreamEnabled":true,"StreamViewType":"NEW_AND_OLD_IMAGES"}}}}"#
    );
    connection.ask(&request("CreateTable", &create)).context("CreateTable")?;
    wait_for_table(home)?;
    for (region, address) in others {
        let update = format!(
            r#"{{"TableName":"{TABLE}","ReplicaUpdates":[{{"Create":{{"RegionName":"{region}"}}}}]}}"#
        );
        connection.ask(&request("UpdateTable", &update)).context("UpdateTable")?;
        wait_for_table(*address)?;
    }
    Ok(())
}

fn wait_for_table(address: SocketAddr) -> anyhow::Result<()> {
    wait_until(&format!("no table at {address}"), || {
        Connection::open(address).is_ok_and(|mut connection| connection.ask(&get("none")).is_ok())
    })
}
