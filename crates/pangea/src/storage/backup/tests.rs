use pangea_codec::disk::meta::Identity;
use pangea_core::item::AttributeValue;

use super::*;
use crate::storage::memory::Memory;

fn store() -> Store {
    let identity =
        Identity { cluster: "c".to_owned(), region: "eu".to_owned(), slot: 0, incarnation: 1 };
    Store::with_engine(Memory::new(), identity).expect("an empty engine").0
}

fn item(text: &str) -> Attributes {
    Attributes::from([("v".to_owned(), AttributeValue::S(text.to_owned()))])
}

#[test]
fn backups_are_kept_apart_and_go_whole() {
    let store = store();
    for id in ["1-a", "1-ab", "2-a"] {
        store.put_backup(id, item("half")).expect("room");
        store.put_backup(id, item(id)).expect("room");
        for number in 0..150 {
            let items = [item(&format!("{id}/{number}")), item("other")];
            store.put_backup_items(id, number, &items).expect("room");
        }
    }
    let known = |store: &Store| store.snapshot().expect("a view").backups().expect("readable");
    let heads: Vec<(String, Attributes)> =
        ["1-a", "1-ab", "2-a"].map(|id| (id.to_owned(), item(id))).to_vec();
    assert_eq!(known(&store), heads);
    let items = |id: &str, number| {
        let view = store.snapshot().expect("a view");
        view.backup_items(id, number).expect("readable")
    };
    assert_eq!(items("1-a", 149), Some(vec![item("1-a/149"), item("other")]));
    assert_eq!(items("1-a", 150), None);
    store.remove_backup("1-a").expect("room");
    store.remove_backup("1-a").expect("nothing to do");
    assert_eq!(known(&store), heads[1..]);
    assert!((0..150).all(|number| items("1-a", number).is_none()));
    assert!((0..150).all(|number| items("1-ab", number).is_some()));
}
