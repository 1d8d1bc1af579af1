//! The control APIs: what is configured, in AWS's words. Read-only until the quorum arrives.
//!
//! Route 53 (REST XML): ListHostedZones, GetHostedZone, ListResourceRecordSets, TestDNSAnswer.
//! Global Accelerator (JSON 1.1): ListAccelerators, ListListeners, ListEndpointGroups. Anything
//! else is refused with a typed error that says so.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use pangea_core::routing::{Client, Data, Name, Question, Rcode, RecordData, RecordType, Subnet};
use serde_json::{Value, json};

use super::Edge;
use crate::config::{Record, Zone};
use crate::http::{self, Reply, reply};
use crate::query::Query;

const NAMESPACE: &str = "https://route53.amazonaws.com/doc/2013-04-01/";
const ACCOUNT: &str = "000000000000";

pub(super) async fn answer(edge: Arc<Edge>, request: Request<Incoming>) -> Reply {
    if let Some(refusal) = http::refusal(&request) {
        return refusal;
    }
    let target = request.headers().get("x-amz-target").and_then(|value| value.to_str().ok());
    if let Some(target) = target {
        return accelerator(&edge, target);
    }
    let query = Query::of(request.uri());
    let path = request.uri().path().trim_end_matches('/').to_string();
    if request.method() != Method::GET {
        return denied();
    }
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match parts.as_slice() {
        ["2013-04-01", "hostedzone"] => list_zones(&edge),
        ["2013-04-01", "hostedzone", id] => with_zone(&edge, id, get_zone),
        ["2013-04-01", "hostedzone", id, "rrset"] => with_zone(&edge, id, list_records),
        ["2013-04-01", "testdnsanswer"] => test_answer(&edge, &query),
        _ => problem(StatusCode::NOT_FOUND, "InvalidAction", &format!("no operation at {path}")),
    }
}

fn denied() -> Reply {
    let text = "this edge takes its configuration from the topology file: change it there";
    problem(StatusCode::FORBIDDEN, "AccessDenied", text)
}

fn xml(root: &str, body: &str) -> Reply {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root} xmlns=\"{NAMESPACE}\">{body}</{root}>"
    );
    reply(StatusCode::OK, "text/xml", text)
}

fn problem(status: StatusCode, code: &str, message: &str) -> Reply {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ErrorResponse xmlns=\"{NAMESPACE}\"><Error>\
         <Type>Sender</Type>{}{}</Error><RequestId>-</RequestId></ErrorResponse>",
        element("Code", code),
        element("Message", message)
    );
    reply(status, "text/xml", text)
}

fn element(name: &str, text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!("<{name}>{text}</{name}>")
}

/// Route 53's ids are opaque: ours is the zone's name in their alphabet.
fn zone_id(zone: &Zone) -> String {
    let letters = zone.name.bytes().filter(u8::is_ascii_alphanumeric);
    let letters: String = letters.map(|byte| char::from(byte).to_ascii_uppercase()).collect();
    format!("Z{letters}")
}

fn zone_element(edge: &Edge, zone: &Zone) -> String {
    let count = records(edge, zone).count() + 3;
    format!(
        "<HostedZone>{}{}{}<Config><PrivateZone>false</PrivateZone></Config>{}</HostedZone>",
        element("Id", &format!("/hostedzone/{}", zone_id(zone))),
        element("Name", &format!("{}.", zone.name)),
        element("CallerReference", "topology"),
        element("ResourceRecordSetCount", &count.to_string()),
    )
}

fn list_zones(edge: &Edge) -> Reply {
    let zones: String = edge.topology.zones.iter().map(|zone| zone_element(edge, zone)).collect();
    let body = format!(
        "<HostedZones>{zones}</HostedZones><IsTruncated>false</IsTruncated>\
         <MaxItems>100</MaxItems>"
    );
    xml("ListHostedZonesResponse", &body)
}

fn with_zone(edge: &Edge, id: &str, show: fn(&Edge, &Zone) -> Reply) -> Reply {
    match edge.topology.zones.iter().find(|zone| zone_id(zone) == id) {
        Some(zone) => show(edge, zone),
        None => {
            let text = format!("No hosted zone found with ID: {id}");
            problem(StatusCode::NOT_FOUND, "NoSuchHostedZone", &text)
        }
    }
}

fn name_server(zone: &Zone) -> String {
    format!("ns.{}.", zone.name)
}

fn get_zone(edge: &Edge, zone: &Zone) -> Reply {
    let servers = element("NameServer", &name_server(zone));
    let body = format!(
        "{}<DelegationSet><NameServers>{servers}</NameServers></DelegationSet>",
        zone_element(edge, zone)
    );
    xml("GetHostedZoneResponse", &body)
}

fn records<'a>(edge: &'a Edge, zone: &'a Zone) -> impl Iterator<Item = &'a Record> {
    let below = format!(".{}", zone.name);
    let inside = move |record: &&Record| record.name == zone.name || record.name.ends_with(&below);
    edge.topology.records.iter().filter(inside)
}

fn list_records(edge: &Edge, zone: &Zone) -> Reply {
    let mut sets = set(&zone.name, "NS", "", zone.ttl_s, &name_server(zone));
    for record in records(edge, zone) {
        let Some(service) = edge.topology.service(&record.service) else { continue };
        for (region, endpoint) in &service.endpoint {
            let kind = if endpoint.is_ipv4() { "A" } else { "AAAA" };
            let policy =
                format!("{}{}", element("SetIdentifier", region), element("Region", region));
            sets += &set(&record.name, kind, &policy, record.ttl_s, &endpoint.ip().to_string());
        }
    }
    let body = format!(
        "<ResourceRecordSets>{sets}</ResourceRecordSets><IsTruncated>false</IsTruncated>\
         <MaxItems>300</MaxItems>"
    );
    xml("ListResourceRecordSetsResponse", &body)
}

fn set(name: &str, kind: &str, policy: &str, ttl_s: u32, value: &str) -> String {
    format!(
        "<ResourceRecordSet>{}{}{policy}{}<ResourceRecords><ResourceRecord>{}</ResourceRecord>\
         </ResourceRecords></ResourceRecordSet>",
        element("Name", &format!("{name}.")),
        element("Type", kind),
        element("TTL", &ttl_s.to_string()),
        element("Value", value),
    )
}

/// What the DNS server would answer, from the snapshot that it answers from.
fn test_answer(edge: &Edge, query: &Query) -> Reply {
    let name = query.get("recordname").unwrap_or_default();
    let resolver = query.get("resolverip").unwrap_or("127.0.0.1").parse::<IpAddr>();
    let (Ok(key), Ok(addr)) = (Name::parse(name.trim_end_matches('.')), resolver) else {
        let text = "recordname must be a domain name and resolverip an IP address";
        return problem(StatusCode::BAD_REQUEST, "InvalidInput", text);
    };
    let kind = match query.get("recordtype") {
        Some("AAAA") => RecordType::Aaaa,
        _ => RecordType::A,
    };
    let subnet = query.get("edns0clientsubnetip").and_then(|ip| ip.parse().ok());
    let len = query.get("edns0clientsubnetmask").and_then(|mask| mask.parse().ok());
    let subnet = subnet.map(|addr: IpAddr| Subnet { addr, len: len.unwrap_or(24) });
    let client = Client { addr, subnet };
    let question = Question { name: key.as_bytes(), kind, client, dice: 0 };
    let snapshot = edge.traffic.snapshot();
    let answer = snapshot.answer(&question);
    let data: String = answer
        .records
        .iter()
        .filter_map(|record| match record.data {
            RecordData::Value(Data::A(address)) => Some(address.to_string()),
            RecordData::Value(Data::Aaaa(address)) => Some(address.to_string()),
            _ => None,
        })
        .map(|address| element("RecordDataEntry", &address))
        .collect();
    let code = match answer.rcode {
        Rcode::NoError => "NOERROR",
        Rcode::NxDomain => "NXDOMAIN",
        Rcode::Refused => "REFUSED",
    };
    let body = format!(
        "{}{}{}<RecordData>{data}</RecordData>{}{}",
        element("Nameserver", &edge.topology.edge.dns.to_string()),
        element("RecordName", name),
        element("RecordType", &kind.to_string()),
        element("ResponseCode", code),
        element("Protocol", "UDP"),
    );
    xml("TestDNSAnswerResponse", &body)
}

fn accelerator(edge: &Edge, target: &str) -> Reply {
    let operation = target.strip_prefix("GlobalAccelerator_V20180706.").unwrap_or_default();
    let Some(service) = edge.topology.accelerated() else {
        return json_reply(StatusCode::OK, &json!({"Accelerators": []}));
    };
    let arn = format!("arn:aws:globalaccelerator::{ACCOUNT}:accelerator/{}", service.name);
    let address = edge.topology.edge.accelerator;
    let listener = format!("{arn}/listener/00000001");
    match operation {
        "ListAccelerators" => {
            let sets = json!([{"IpAddressFamily": "IPv4", "IpAddresses": [address.ip()]}]);
            let accelerator = json!({
                "AcceleratorArn": arn, "Name": service.name, "IpAddressType": "IPV4",
                "Enabled": true, "IpSets": sets, "Status": "DEPLOYED",
            });
            json_reply(StatusCode::OK, &json!({"Accelerators": [accelerator]}))
        }
        "ListListeners" => {
            let ports = json!([{"FromPort": address.port(), "ToPort": address.port()}]);
            let listener = json!({
                "ListenerArn": listener, "PortRanges": ports, "Protocol": "TCP",
                "ClientAffinity": "NONE",
            });
            json_reply(StatusCode::OK, &json!({"Listeners": [listener]}))
        }
        "ListEndpointGroups" => {
            let groups: Vec<Value> =
                edge.topology.regions.iter().map(|region| group(edge, &listener, region)).collect();
            json_reply(StatusCode::OK, &json!({"EndpointGroups": groups}))
        }
        _ => {
            let text =
                format!("{target}: this edge takes its configuration from the topology file");
            let body = json!({"__type": "AccessDeniedException", "Message": text});
            json_reply(StatusCode::BAD_REQUEST, &body)
        }
    }
}

fn group(edge: &Edge, listener: &str, region: &crate::config::Region) -> Value {
    let healthy = edge.traffic.health().state(region.id) == pangea_core::health::State::Healthy;
    let endpoint = edge.topology.accelerated().and_then(|it| it.endpoint.get(&region.name));
    let state = if healthy { "HEALTHY" } else { "UNHEALTHY" };
    let described: Vec<Value> = endpoint
        .map(|endpoint| {
            json!({"EndpointId": endpoint.to_string(), "Weight": 128, "HealthState": state})
        })
        .into_iter()
        .collect();
    json!({
        "EndpointGroupArn": format!("{listener}/endpoint-group/{:012x}", region.id.get()),
        "EndpointGroupRegion": region.name,
        "EndpointDescriptions": described,
        "TrafficDialPercentage": 100.0,
    })
}

fn json_reply(status: StatusCode, value: &Value) -> Reply {
    reply(status, "application/x-amz-json-1.1", value.to_string())
}
