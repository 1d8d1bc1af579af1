use pangea_core::id::{Origin, RegionSlot};
use pangea_core::time::{Hlc, Stamp};

use super::{item, stamp};
use crate::wasm::document;

/// The interface of modules that exist: a byte that changes here breaks them.
#[test]
fn versions_have_one_spelling() {
    let slot = RegionSlot::new(2).expect("there is a third region");
    let hlc = Hlc::from_parts(1_757_000_000_000, 65_535);
    let newest = Stamp { hlc, origin: Origin::new(slot, 3) };
    let all = item(
        r#" { "z" : {"BOOL":true}, "s":{"S":"\u0061\u0001\t\/é\"\\"}, "n":{"N":"+01.500e1"},
        "tiny":{"N":"-1e-3"}, "b":{"B":"AP8="}, "nothing":{"NULL":true}, "ss":{"SS":["b","a"]},
        "ns":{"NS":["10","9.0"]}, "bs":{"BS":["/w==","AA=="]},
        "l":{"L":[{"M":{"b":{"S":""},"a":{"L":[]}}}]}, "Z":{"M":{}} } "#,
    );
    let expected = concat!(
        r#"{"deleted":false,"item":{"Z":{"M":{}},"b":{"B":"AP8="},"bs":{"BS":["AA==","/w=="]},"#,
        r#""l":{"L":[{"M":{"a":{"L":[]},"b":{"S":""}}}]},"n":{"N":"15"},"nothing":{"NULL":true},"#,
        r#""ns":{"NS":["9","10"]},"s":{"S":"a\u0001\t/é\"\\"},"ss":{"SS":["a","b"]},"#,
        r#""tiny":{"N":"-0.001"},"z":{"BOOL":true}},"#,
        r#""stamp":{"counter":65535,"incarnation":3,"ms":1757000000000,"region":2}}"#,
    );
    let written = document::write(newest, Some(&all));
    assert_eq!(String::from_utf8_lossy(&written), expected);
    let deleted =
        r#"{"deleted":true,"item":{},"stamp":{"counter":0,"incarnation":0,"ms":1,"region":1}}"#;
    assert_eq!(String::from_utf8_lossy(&document::write(stamp(1), None)), deleted);
    assert_eq!(document::read(&written), Ok(Some(all)));
    assert_eq!(document::read(deleted.as_bytes()), Ok(None));
}
