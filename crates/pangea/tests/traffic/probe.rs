//! The prober against servers that are well, ill, silent, and no HTTP at all.

use std::time::Duration;

use pangea::probe::{Report, Timeouts, Url, probe};
use pangea_core::health::Failure;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::world::LOOPBACK;

const GENEROUS: Timeouts =
    Timeouts { connect: Duration::from_secs(20), total: Duration::from_secs(20) };

/// A server that reads a request, says `reply`, and closes; or says nothing for ever.
async fn probe_server(reply: Option<Vec<u8>>, timeouts: Timeouts) -> Report {
    let socket = TcpListener::bind(LOOPBACK).await.expect("bind");
    let addr = socket.local_addr().expect("address");
    let server = tokio::spawn(async move {
        let (mut stream, _) = socket.accept().await.expect("accept");
        assert!(stream.read(&mut [0; 4096]).await.expect("read") > 0);
        match reply {
            Some(reply) => stream.write_all(&reply).await.expect("write"),
            None => std::future::pending().await,
        }
    });
    let url: Url = format!("http://{addr}/health").parse().expect("url");
    let report = probe(&url, timeouts).await;
    server.abort();
    report
}

#[tokio::test]
async fn statuses_decide_and_json_is_kept() {
    for (status, outcome) in [
        (200, Ok(())),
        (302, Ok(())),
        (404, Err(Failure::Status(404))),
        (503, Err(Failure::Status(503))),
    ] {
        let reply = format!("HTTP/1.1 {status} X\r\ncontent-length: 10\r\n\r\n{{\"lag\": 7}}");
        let report = probe_server(Some(reply.into_bytes()), GENEROUS).await;
        assert_eq!(report.outcome, outcome);
        assert_eq!(report.body.expect("JSON")["lag"], 7);
    }
}

#[tokio::test]
async fn bodies_that_are_no_json_or_too_long_are_left() {
    let text = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nwell".to_vec();
    let report = probe_server(Some(text), GENEROUS).await;
    assert_eq!((report.outcome, report.body), (Ok(()), None));
    let mut long = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n".to_vec();
    long.resize(long.len() + 70_000, b'1');
    let report = probe_server(Some(long), GENEROUS).await;
    assert_eq!((report.outcome, report.body), (Ok(()), None));
}

#[tokio::test]
async fn silence_nonsense_and_refusal_fail_each_in_its_way() {
    let short = Timeouts { total: Duration::from_millis(100), ..GENEROUS };
    assert_eq!(probe_server(None, short).await.outcome, Err(Failure::Timeout));
    for reply in
        [&b"SSH-2.0-OpenSSH\r\n"[..], b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx"]
    {
        let report = probe_server(Some(reply.to_vec()), GENEROUS).await;
        assert_eq!(report.outcome, Err(Failure::Malformed), "{}", reply.escape_ascii());
    }
    let socket = TcpListener::bind("127.99.0.1:0").await.expect("bind");
    let url: Url =
        format!("http://{}/", socket.local_addr().expect("address")).parse().expect("url");
    drop(socket);
    assert_eq!(probe(&url, GENEROUS).await.outcome, Err(Failure::Refused));
}
