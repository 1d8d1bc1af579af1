//! Updates: what an expression does to which places.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::dots::Dots;
use super::local::{self, Change, Pen};
use super::{Options, State, groups};
use crate::expr::{self, Path, Step, Update, UpdateError};
use crate::item::{AttributeValue, Attributes, Number};
use crate::time::Stamp;

/// The item before and after an update, as far as the update is concerned.
struct Images {
    before: Attributes,
    after: Attributes,
}

/// What an update does, sorted by what is written.
#[derive(Default)]
struct Plan<'a> {
    /// What happens at which places, none of them inside another.
    changes: Vec<(Vec<&'a str>, Change<'a>)>,
    /// Places that get what the item has there afterwards, because something inside them changes;
    /// and whether it is only taken away.
    rewritten: BTreeMap<Vec<&'a str>, bool>,
    /// Groups, likewise.
    groups: BTreeMap<&'a [String], bool>,
}

impl State {
    /// Updates the item that is shown, or makes one with the key attributes `key`.
    ///
    /// The view afterwards is what [`Update::apply`] makes of the view before, or of `key` where no
    /// item is shown, except that empty sets are absent; an update that only removes does nothing
    /// where no item is shown. `stamp` exceeds everything seen. Key attributes are not changed.
    ///
    /// # Errors
    ///
    /// As [`Update::apply`]; the state is then unchanged.
    pub fn update(
        &mut self,
        stamp: Stamp,
        key: &Attributes,
        update: &Update,
        options: &Options,
    ) -> Result<(), UpdateError> {
        let exists = self.exists();
        if !exists && update.only_removes() {
            return Ok(());
        }
        let before = self.concerned(key, update, options);
        let after = update.apply(&before)?;
        let mut images = Images { before, after };
        let mut plan = Plan::default();
        for target in update.targets() {
            if !key.contains_key(&target.path.root) {
                plan.add(target, &mut images, options);
            }
        }
        plan.drop_idle(&images);
        let added = self.perform(plan, images.after, Pen::new(stamp, options));
        if added || !update.only_removes() {
            self.0.exists = Dots::from(stamp);
            if self.0.key.is_empty() {
                self.0.key = key.clone();
            }
        }
        Ok(())
    }

    /// The part of the item before the update that the update reads or changes.
    fn concerned(&self, key: &Attributes, update: &Update, options: &Options) -> Attributes {
        let exists = self.exists();
        let shown = |name: &str| match key.get(name) {
            Some(value) => Some(value.clone()),
            None if exists => self.attribute(name),
            None => None,
        };
        let mut before = Attributes::new();
        for root in update.roots() {
            let group = groups::of(options, root).unwrap_or_default();
            for name in group.iter().map(|name| name.as_str()).chain([root]) {
                if let Some(value) = shown(name) {
                    before.insert(name.into(), value);
                }
            }
        }
        before
    }

    /// Whether anything was added.
    fn perform(&mut self, plan: Plan<'_>, after: Attributes, pen: Pen) -> bool {
        let mut added = false;
        for (group, _) in plan.groups {
            added |= self.write_group(group, &after, pen);
        }
        let rewritten = plan.rewritten.into_keys().map(|path| {
            let value = lookup(&after, &path).cloned();
            (path, value.map_or(Change::Remove, Change::Assign))
        });
        for (path, change) in plan.changes.into_iter().chain(rewritten) {
            if !self.0.groups.is_empty() {
                added |= self.dissolve(path[0], None, pen);
            }
            let floor = self.floor();
            added |= local::edit(&mut self.0.places, &path, change, floor, pen);
        }
        added
    }
}

impl<'a> Plan<'a> {
    fn add(&mut self, target: expr::Target<'a>, images: &mut Images, options: &'a Options) {
        let removal = matches!(target.change, expr::Change::Remove | expr::Change::Delete(_));
        if let Some(group) = groups::of(options, &target.path.root) {
            let only_removed = self.groups.entry(group).or_insert(true);
            *only_removed &= removal;
            return;
        }
        let path = place_of(target.path, options.deep_maps);
        if path.len() <= target.path.steps.len() {
            let only_removed = self.rewritten.entry(path).or_insert(true);
            *only_removed &= removal;
            return;
        }
        let remove_wins = options.remove_wins;
        let there = lookup(&images.before, &path);
        let change = match target.change {
            expr::Change::Remove if there.is_none() && !remove_wins => return,
            expr::Change::Remove => Change::Remove,
            expr::Change::Delete(_) if there.is_none() && !remove_wins => return,
            // Unlike the other targets, this one's parent need not be there.
            expr::Change::Delete(_) if !has_parent(&images.before, &path) => return,
            expr::Change::Delete(set) => Change::DeleteElements(set),
            expr::Change::Add(AttributeValue::N(_)) => images.count(&path, None),
            expr::Change::Add(set) => Change::AddElements(set),
            expr::Change::Count { initial } if options.recognise_add => {
                images.count(&path, initial.filter(|_| there.is_none()))
            }
            expr::Change::Append if options.list_append => images.append(&path),
            expr::Change::Assign | expr::Change::Count { .. } | expr::Change::Append => {
                images.assign(&path)
            }
        };
        self.changes.push((path, change));
    }

    /// Takes out what would only be written as it was: removals of what is not there.
    fn drop_idle(&mut self, images: &Images) {
        let Images { before, after } = images;
        self.rewritten.retain(|path, only_removed| {
            !*only_removed || lookup(before, path) != lookup(after, path)
        });
        self.groups.retain(|group, only_removed| {
            !*only_removed || group.iter().any(|name| before.get(name) != after.get(name))
        });
    }
}

impl Images {
    fn assign(&mut self, path: &[&str]) -> Change<'static> {
        let value = match path {
            [root] => self.after.remove(*root),
            _ => lookup(&self.after, path).cloned(),
        };
        value.map_or(Change::Remove, Change::Assign)
    }

    /// A number was added; what was counted from, if nothing was there and it is not zero.
    fn count(&mut self, path: &[&str], initial: Option<&AttributeValue>) -> Change<'static> {
        let Some(AttributeValue::N(after)) = lookup(&self.after, path) else {
            return self.assign(path);
        };
        let initial = match initial {
            Some(AttributeValue::N(initial)) if *initial != Number::ZERO => Some(*initial),
            _ => None,
        };
        Change::Count { after: *after, initial }
    }

    fn append(&mut self, path: &[&str]) -> Change<'static> {
        let count = match lookup(&self.before, path) {
            Some(AttributeValue::L(list)) => list.len(),
            _ => 0,
        };
        match lookup(&self.after, path) {
            Some(AttributeValue::L(list)) if !list.is_empty() => {
                Change::Append(list.get(count..).unwrap_or_default().to_vec())
            }
            _ => self.assign(path),
        }
    }
}

/// The place that a path leads to: the attribute, or a member of maps that merge deeply, as far as
/// no list comes in between.
fn place_of(path: &Path, deep: bool) -> Vec<&str> {
    let names = path.steps.iter().map_while(|step| match step {
        Step::Name(name) if deep => Some(name.as_str()),
        Step::Name(_) | Step::Index(_) => None,
    });
    core::iter::once(path.root.as_str()).chain(names).collect()
}

fn lookup<'a>(item: &'a Attributes, path: &[&str]) -> Option<&'a AttributeValue> {
    let (root, names) = path.split_first()?;
    names.iter().try_fold(item.get(*root)?, |value, name| match value {
        AttributeValue::M(map) => map.get(*name),
        _ => None,
    })
}

/// Whether a member could stand at the path.
fn has_parent(item: &Attributes, path: &[&str]) -> bool {
    match path.split_last() {
        Some((_, [])) => true,
        Some((_, parents)) => matches!(lookup(item, parents), Some(AttributeValue::M(_))),
        None => false,
    }
}
