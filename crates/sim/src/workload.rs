//! Clients: puts and deletes on few hot keys, and changes of the catalog.
//!
//! State: the tables that clients know of, and how many operations are left. Values are unique, so
//! that no two versions can be taken for each other.

use pangea_core::catalog::{GROUP, MERGE, Tags};
use pangea_core::expr::{Condition, Kind, Placeholders};
use pangea_core::id::{RegionSlot, TableId};
use pangea_core::index::{Distance, Index, IndexId, Projected, SearchAttribute, Vector};
use pangea_core::item::{AttributeValue, Attributes, ItemKey, KeyValue, Number, PrimaryKey};
use pangea_core::node::{Change, NewTable, TableUpdate};
use pangea_core::table::{Action, KeyAttribute, KeyKind, Schema, WriteOp};

use crate::deed::Deed;
use crate::function::module;
use crate::invariants::residency::MARK;
use crate::options::Swarm;
use crate::rng::Rng;
use crate::ttl::{self, ATTRIBUTE};

/// A table that clients have heard of.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) id: TableId,
    pub(crate) name: String,
    pub(crate) home: usize,
}

/// What one client does.
#[derive(Debug)]
pub(crate) enum Operation {
    Write { region: usize, table: TableId, op: WriteOp },
    Transact { region: usize, ops: Vec<(TableId, WriteOp)> },
    Define { region: usize, change: Change },
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) tables: Vec<Known>,
    pub(crate) left: u64,
    regions: usize,
    keys: u64,
    burst: u64,
    churn: u64,
    swarm: Swarm,
    values: u64,
    /// What updates do.
    deeds: Vec<(Action, Deed)>,
    rng: Rng,
    /// Of what expires, which shifts nothing else.
    moments: Rng,
    /// What right clocks show, seconds since 1970.
    now_s: i64,
}

impl Workload {
    pub(crate) fn new(swarm: &Swarm, rng: Rng) -> Self {
        Self {
            tables: Vec::new(),
            left: swarm.operations,
            regions: swarm.regions,
            keys: swarm.keys,
            burst: swarm.burst,
            churn: swarm.churn,
            swarm: swarm.clone(),
            values: 0,
            deeds: Vec::new(),
            moments: rng.fork("ttl"),
            rng,
            now_s: 0,
        }
    }

    /// Another instant begins, at that time by right clocks.
    pub(crate) fn begin(&mut self, now_s: i64) {
        self.now_s = now_s;
        self.deeds.clear();
    }

    /// What clients do at one instant.
    pub(crate) fn draw(&mut self) -> Vec<Operation> {
        self.left = self.left.saturating_sub(1);
        if self.rng.chance(self.churn) {
            return vec![self.define()];
        }
        if self.tables.is_empty() {
            let region = self.rng.index(self.regions);
            return vec![Operation::Define { region, change: self.create("t0".to_string()) }];
        }
        if self.rng.chance(self.swarm.switches) {
            let leaves = self.swarm.grouped && self.rng.chance(50);
            return vec![if leaves { self.leave_group() } else { self.switch() }];
        }
        if self.rng.chance(self.swarm.indexes) {
            return vec![self.reindex()];
        }
        if self.swarm.ttl.as_ref().is_some_and(|ttl| self.moments.chance(ttl.switches)) {
            return vec![self.switch_expiry()];
        }
        if self.rng.chance(self.swarm.transactions) {
            return vec![self.transact()];
        }
        let table = self.tables[self.rng.index(self.tables.len())].id;
        let key = self.key(self.keys);
        if self.rng.chance(self.burst) {
            return (0..self.regions).map(|region| self.write(region, table, key)).collect();
        }
        let region = self.rng.index(self.regions);
        vec![self.write(region, table, key)]
    }

    /// One write; the value is new, and some are deletes.
    pub(crate) fn write(&mut self, region: usize, table: TableId, key: u64) -> Operation {
        Operation::Write { region, table, op: self.op(key) }
    }

    fn key(&mut self, keys: u64) -> u64 {
        let key = self.rng.below(keys);
        if self.rng.chance(self.swarm.restricted) { RESTRICTED + key } else { key }
    }

    fn op(&mut self, key: u64) -> WriteOp {
        let delete = self.rng.chance(self.swarm.deletes);
        let conditional = self.rng.chance(self.swarm.conditions);
        let update = self.rng.chance(self.swarm.updates);
        let mut op = match (delete, update) {
            (true, _) => WriteOp::new(primary_key(key), Action::Delete),
            (false, true) => WriteOp::new(primary_key(key), self.update_item(key)),
            (false, false) => self.put(key),
        };
        op.condition = conditional.then(|| self.condition());
        op
    }

    /// A part of the item; two elements are enough for additions and removals to meet.
    fn update_item(&mut self, key: u64) -> Action {
        self.values += 1;
        let element = marked(key, self.rng.pick(&["x", "y"]).to_string());
        let kind = self.rng.below(7);
        let deed = match self.moment() {
            Some(_) if self.moments.chance(250) => Deed::Last,
            Some(moment) => Deed::Expire(moment),
            None => match kind {
                0 => Deed::Set(marked(key, self.values.to_string())),
                6 => Deed::Reset(self.rng.range(0, 100) as i64),
                1 | 2 => Deed::Add(self.rng.range(0, 8) as i64 - 3),
                3 | 4 => Deed::Join(element),
                _ => Deed::Leave(element),
            },
        };
        let action = deed.update(self.rng.chance(300)).expect("an update");
        self.deeds.push((action.clone(), deed));
        action
    }

    /// What an operation of this instant does to its item.
    pub(crate) fn deed(&self, action: &Action) -> Deed {
        match action {
            Action::Delete => Deed::Delete,
            Action::Check => unreachable!("no operation is only a check"),
            Action::Put(item) => match item.get("v") {
                Some(AttributeValue::S(value)) => Deed::Put(value.clone(), moment_of(item)),
                _ => unreachable!("every item has a value"),
            },
            Action::Update(_) => {
                let known = self.deeds.iter().find(|(known, _)| known == action);
                known.map(|(_, deed)| deed.clone()).expect("an update of this instant")
            }
        }
    }

    /// Holds only of an item that is there, or only of one that is not.
    fn condition(&mut self) -> Condition {
        let text = self.rng.pick(&["attribute_exists(id)", "attribute_not_exists(id)"]);
        let parsed = Condition::parse(Kind::Condition, text, &mut Placeholders::default());
        parsed.expect("a condition without placeholders")
    }

    /// When an item shall expire that is written now, if it shall.
    fn moment(&mut self) -> Option<i64> {
        let ttl = self.swarm.ttl.as_ref()?;
        let writes = self.moments.chance(ttl.moments);
        writes.then(|| ttl::moment(&mut self.moments, self.now_s))
    }

    /// The items of a table expire from now on where it is at home, or do not any more.
    fn switch_expiry(&mut self) -> Operation {
        let table = self.tables[self.moments.index(self.tables.len())].clone();
        let ttl = self.moments.chance(650).then(|| ATTRIBUTE.to_string());
        let update = TableUpdate { name: table.name, ttl: Some(ttl), ..TableUpdate::default() };
        Operation::Define { region: table.home, change: Change::Update(update) }
    }

    /// Two or three items at once, some of them in two tables; several at one instant collide.
    fn transact(&mut self) -> Operation {
        let region = self.rng.index(self.regions);
        let mut ops: Vec<(TableId, WriteOp)> = Vec::new();
        for _ in 0..self.rng.range(2, 3) {
            let table = self.tables[self.rng.index(self.tables.len())].id;
            let key = self.key(self.keys.max(3));
            let op = self.op(key);
            if !ops.iter().any(|(other, it)| *other == table && it.key == op.key) {
                ops.push((table, op));
            }
        }
        Operation::Transact { region, ops }
    }

    /// A table gets an index where it is at home, or loses it.
    fn reindex(&mut self) -> Operation {
        let table = self.tables[self.rng.index(self.tables.len())].clone();
        let mut update = TableUpdate { name: table.name, ..TableUpdate::default() };
        let index = match self.swarm.vectors && self.rng.chance(500) {
            true => by_vector(),
            false => by_value(),
        };
        if self.rng.chance(700) {
            update.add_indexes.push(index);
        } else {
            update.remove_indexes.push(index.name);
        }
        Operation::Define { region: table.home, change: Change::Update(update) }
    }

    /// A table leaves its group where it is at home: it cannot join one again.
    fn leave_group(&mut self) -> Operation {
        let table = self.tables[self.rng.index(self.tables.len())].clone();
        let tags = [(GROUP.to_string(), None)].into();
        let update = TableUpdate { name: table.name, tags, ..TableUpdate::default() };
        Operation::Define { region: table.home, change: Change::Update(update) }
    }

    /// A table's merge policy changes where it is at home; from siblings it does not go back.
    fn switch(&mut self) -> Operation {
        let table = self.tables[self.rng.index(self.tables.len())].clone();
        let policies = ["siblings", "crdt", "crdt list_append", "owner", "lww", "wasm"];
        let policy = self.rng.pick(&policies);
        let tags = [(MERGE.to_string(), Some(policy.to_string()))].into();
        let module = Some(module());
        let update = TableUpdate { name: table.name, tags, module, ..TableUpdate::default() };
        Operation::Define { region: table.home, change: Change::Update(update) }
    }

    fn create(&self, name: String) -> Change {
        create(name, &self.swarm)
    }

    pub(crate) fn put(&mut self, key: u64) -> WriteOp {
        self.values += 1;
        let moment = self.moment();
        self.put_of(key, moment)
    }

    /// A put of an item that expires then.
    pub(crate) fn put_until(&mut self, key: u64, moment: i64) -> WriteOp {
        self.values += 1;
        self.put_of(key, Some(moment))
    }

    fn put_of(&self, key: u64, moment: Option<i64>) -> WriteOp {
        let item = [
            ("id".to_string(), AttributeValue::S(key_text(key))),
            ("v".to_string(), AttributeValue::S(marked(key, self.values.to_string()))),
        ];
        let moment = moment.map(|it| AttributeValue::N(Number::from(it)));
        let moment = moment.map(|moment| (ATTRIBUTE.to_string(), moment));
        let item = item.into_iter().chain(moment).chain(self.vector());
        WriteOp::new(primary_key(key), Action::Put(item.collect()))
    }

    /// The vector of an item that is put now: three items of four have one.
    fn vector(&self) -> Option<(String, AttributeValue)> {
        let value = i64::try_from(self.values).unwrap_or_default();
        let numbers = [value % 7, 1].map(|number| AttributeValue::N(Number::from(number)));
        let is_there = self.swarm.vectors && value % 4 != 0;
        is_there.then(|| ("e".to_string(), AttributeValue::L(numbers.into())))
    }

    /// A put of an item that has no restriction.
    pub(crate) fn put_at(&mut self, key: PrimaryKey) -> WriteOp {
        self.values += 1;
        let item = [
            ("id".to_string(), key.partition.clone().into()),
            ("v".to_string(), AttributeValue::S(self.values.to_string())),
        ];
        WriteOp::new(key, Action::Put(item.into()))
    }

    fn define(&mut self) -> Operation {
        let region = self.rng.index(self.regions);
        let kind = self.rng.below(10);
        if self.tables.is_empty() || kind == 0 {
            // Few names, so that strangers of the same name meet.
            let name = format!("t{}", self.rng.below(3));
            return Operation::Define { region, change: self.create(name) };
        }
        let table = self.tables[self.rng.index(self.tables.len())].clone();
        // Mostly where the table is at home; elsewhere it is refused.
        let region = if self.rng.chance(900) { table.home } else { region };
        let change = match kind {
            1 => Change::Delete { name: table.name },
            _ => self.update(table),
        };
        Operation::Define { region, change }
    }

    fn update(&mut self, table: Known) -> Change {
        let mut update = TableUpdate { name: table.name, ..TableUpdate::default() };
        let other = slot((table.home + 1 + self.rng.index(self.regions - 1)) % self.regions);
        if self.rng.chance(500) {
            update.add.push(other);
        } else {
            update.remove.push(other);
        }
        Change::Update(update)
    }
}

pub(crate) fn slot(region: usize) -> RegionSlot {
    let number = u8::try_from(region).ok();
    number.and_then(RegionSlot::new).expect("a world has at most five regions")
}

pub(crate) fn create(name: String, swarm: &Swarm) -> Change {
    let policy = &swarm.policy;
    let group = swarm.grouped.then(|| (GROUP.to_string(), "all".to_string()));
    // Not the whole mark: the rule itself is everywhere.
    let rule = || ("pangea:placement".to_string(), "restricted=near".to_string());
    let placement = swarm.placed.then(rule);
    let partition = KeyAttribute { name: "id".to_string(), kind: KeyKind::S };
    Change::Create(NewTable {
        indexes: match swarm.vectors {
            true => vec![by_value(), by_vector()],
            false => vec![by_value()],
        },
        options: Default::default(),
        name,
        schema: Schema { partition, sort: None },
        stream: None,
        on_demand: true,
        deletion_protection: false,
        tags: Tags::from([
            (MERGE.to_string(), policy.to_string()),
            ("pangea:owner".to_string(), "k1=r1 k2=r0".to_string()),
        ])
        .into_iter()
        .chain(group)
        .chain(placement)
        .collect(),
        module: Some(module()),
    })
}

/// An index of what clients put.
fn by_value() -> Index {
    Index {
        id: IndexId(0),
        name: "by-value".to_string(),
        local: false,
        partition: vec![KeyAttribute { name: "v".to_string(), kind: KeyKind::S }],
        sort: Vec::new(),
        projected: Projected::Keys,
        options: Default::default(),
        vector: None,
    }
}

/// An index of the vectors of what clients put, each value a partition of it.
fn by_vector() -> Index {
    let by_value = by_value();
    let schema = by_value.partition.iter().cloned();
    let vector = Vector {
        attribute: "e".to_string(),
        dimensions: 2,
        distance: Distance::Euclidean,
        schema: schema.map(|key| SearchAttribute { key, is_hash: true }).collect(),
    };
    Index { name: "by-vector".to_string(), vector: Some(vector), ..by_value }
}

/// When an item that a client puts expires.
fn moment_of(item: &Attributes) -> Option<i64> {
    let AttributeValue::N(number) = item.get(ATTRIBUTE)? else { return None };
    number.to_string().parse().ok()
}

/// Gives a table replicas, so that it has `holders` of them with its home, and lets its items
/// expire.
pub(crate) fn replicate(name: String, home: usize, regions: usize, holders: usize) -> Change {
    let add = (1..holders).map(|nth| slot((home + nth) % regions)).collect();
    let ttl = Some(Some(ATTRIBUTE.to_string()));
    Change::Update(TableUpdate { name, add, ttl, ..TableUpdate::default() })
}

/// The table's items expire from now on.
pub(crate) fn expiring(name: String) -> Change {
    let ttl = Some(Some(ATTRIBUTE.to_string()));
    Change::Update(TableUpdate { name, ttl, ..TableUpdate::default() })
}

/// Keys from here on are restricted.
pub(crate) const RESTRICTED: u64 = 1_000_000;

fn key_text(key: u64) -> String {
    marked(key, format!("k{key}"))
}

/// Marks what belongs to a restricted item.
fn marked(key: u64, text: String) -> String {
    if key >= RESTRICTED { format!("{MARK}{text}") } else { text }
}

pub(crate) fn primary_key(key: u64) -> PrimaryKey {
    PrimaryKey { partition: KeyValue::S(key_text(key)), sort: None }
}

/// The item of this key.
pub(crate) fn item_key(table: TableId, key: &PrimaryKey) -> ItemKey {
    ItemKey { table, primary: key.clone() }
}
