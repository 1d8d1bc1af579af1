//! Merge groups: attributes that are one register together.
//!
//! A group's place holds the map of those of its attributes that are there. Which attributes are in
//! it is written in the value, so a state needs no options to be shown; only a write asks them. An
//! attribute that was written alone before its group came, or after it went, is moved by the next
//! write to it.

use alloc::borrow::Cow;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use super::local::{self, Change, Pen};
use super::place::{Place, Places};
use super::{Loser, LoserKind, Options, State, lost};
use crate::item::{AttributeValue, Attributes};
use crate::time::Stamp;

/// The group that an attribute belongs to, if any.
pub(super) fn of<'a>(options: &'a Options, name: &str) -> Option<&'a [String]> {
    let group = options.groups.iter().find(|group| group.iter().any(|member| member == name));
    group.map(Vec::as_slice)
}

/// The name of a group's place: its attributes in order.
fn name_of(group: &[String]) -> String {
    let names: BTreeSet<&str> = group.iter().map(String::as_str).collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}

impl State {
    /// Writes groups where nothing is shown.
    pub(super) fn put_groups(
        &mut self,
        attributes: Vec<(&[String], &String, &AttributeValue)>,
        pen: Pen,
    ) {
        let mut maps: BTreeMap<String, Attributes> = BTreeMap::new();
        for (group, name, value) in attributes {
            maps.entry(name_of(group)).or_default().insert(name.clone(), value.clone());
        }
        for (name, map) in maps {
            let pen = Pen { deep: false, ..pen };
            local::put(&mut self.0.groups, name, AttributeValue::M(map), pen);
        }
    }

    /// Replaces a group by those of its attributes that `after` has; whether that adds anything.
    pub(super) fn write_group(&mut self, group: &[String], after: &Attributes, pen: Pen) -> bool {
        let name = name_of(group);
        let floor = self.floor();
        let shallow = Pen { deep: false, ..pen };
        let moved = Pen { remove_wins: false, ..shallow };
        let mut wrote = false;
        for member in group {
            wrote |= self.dissolve(member, Some(&name), pen);
            if self.0.places.contains_key(member) {
                local::edit(&mut self.0.places, member, &[], Change::Remove, floor, moved);
            }
        }
        let present = group.iter().filter_map(|it| Some((it.clone(), after.get(it)?.clone())));
        let map: Attributes = present.collect();
        let change =
            if map.is_empty() { Change::Remove } else { Change::Assign(AttributeValue::M(map)) };
        local::edit(&mut self.0.groups, &name, &[], change, floor, shallow) || wrote
    }

    /// Takes apart the groups that show `name`, but not `kept`: their attributes are written alone.
    /// Whether there was one.
    pub(super) fn dissolve(&mut self, name: &str, kept: Option<&str>, pen: Pen) -> bool {
        let floor = self.floor();
        let shows = |place: &Place| match place.value(floor) {
            Some(AttributeValue::M(map)) => map.contains_key(name),
            _ => false,
        };
        let others = self.0.groups.iter().filter(|(group, _)| Some(group.as_str()) != kept);
        let shown: Vec<String> =
            others.filter(|(_, place)| shows(place)).map(|it| it.0.clone()).collect();
        let moved = Pen { remove_wins: false, ..pen };
        let found = !shown.is_empty();
        for group in shown {
            let members = members(&self.0.groups, &group, self);
            for (member, value) in members {
                let change = Change::Assign(value);
                local::edit(&mut self.0.places, &member, &[], change, floor, pen);
            }
            local::edit(&mut self.0.groups, &group, &[], Change::Remove, floor, moved);
        }
        found
    }

    /// What is shown of an attribute, if anything, whether or not the item exists.
    pub(super) fn attribute(&self, name: &str) -> Option<Cow<'_, AttributeValue>> {
        let floor = self.floor();
        let own = self.0.places.get(name);
        if self.0.groups.is_empty() {
            return own?.shown_value(floor);
        }
        let stamp = own.and_then(|place| place.stamp(floor));
        let grouped = self.grouped().filter_map(|(at, mut map)| Some((at, map.remove(name)?)));
        match grouped.max_by_key(|(at, _)| *at) {
            Some((at, value)) if Some(at) > stamp => Some(Cow::Owned(value)),
            _ => own?.shown_value(floor),
        }
    }

    /// Shows the groups' attributes, where none was written alone since.
    pub(super) fn show_groups(&self, view: &mut Attributes) {
        let mut groups: Vec<(Stamp, Attributes)> = self.grouped().collect();
        groups.sort_by_key(|(stamp, _)| *stamp);
        for (stamp, map) in groups {
            for (name, value) in map {
                let own = self.0.places.get(&name).and_then(|place| place.stamp(self.floor()));
                if own < Some(stamp) {
                    view.insert(name, value);
                }
            }
        }
    }

    /// Attributes that a group and a write to the attribute alone both have.
    pub(super) fn group_losers(&self, losers: &mut Vec<Loser>) {
        let floor = self.floor();
        for (stamp, map) in self.grouped() {
            for (name, grouped) in map {
                let Some(place) = self.0.places.get(&name) else { continue };
                let Some((own, value)) = place.stamp(floor).zip(place.value(floor)) else {
                    continue;
                };
                if own > stamp {
                    losers.push(Loser {
                        path: name,
                        loser: stamp,
                        winner: own,
                        value: grouped,
                        winning: value,
                        kind: LoserKind::Register,
                    });
                    continue;
                }
                losers.extend(lost::all(place, floor).into_iter().map(|(loser, value)| Loser {
                    path: name.clone(),
                    loser,
                    winner: stamp,
                    value,
                    winning: grouped.clone(),
                    kind: LoserKind::HiddenSubtree,
                }));
            }
        }
    }

    /// What the groups show, each with its stamp.
    fn grouped(&self) -> impl Iterator<Item = (Stamp, Attributes)> {
        let floor = self.floor();
        self.0.groups.values().filter_map(move |place| {
            let AttributeValue::M(map) = place.value(floor)? else { return None };
            Some((place.stamp(floor)?, map))
        })
    }
}

/// The attributes that are shown as one group has them.
fn members(groups: &Places, group: &str, state: &State) -> Attributes {
    let shown = groups.get(group).and_then(|place| place.value(state.floor()));
    let Some(AttributeValue::M(map)) = shown else { return Attributes::new() };
    let as_shown = |(name, value): &(String, AttributeValue)| {
        state.attribute(name).is_some_and(|shown| *shown == *value)
    };
    map.into_iter().filter(as_shown).collect()
}
