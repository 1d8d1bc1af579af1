//! Updates: what an expression does to which places.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::dots::Dots;
use super::local::{self, Change, Pen};
use super::{Options, State, groups};
use crate::expr::{self, Effect, Item, Path, Step, Target, Update, UpdateError};
use crate::item::{AttributeValue, Attributes, Number};
use crate::time::Stamp;

/// The item as an update reads it.
struct Shown<'a> {
    state: &'a State,
    key: &'a Attributes,
    exists: bool,
}

impl Item for Shown<'_> {
    fn read(&self, path: &Path) -> Option<Cow<'_, AttributeValue>> {
        self.read_at(&path.root, &path.steps)
    }
}

impl Shown<'_> {
    fn read_at(&self, root: &str, steps: &[Step]) -> Option<Cow<'_, AttributeValue>> {
        let shown = match self.key.get(root) {
            Some(value) => Cow::Borrowed(value),
            None if self.exists => self.state.attribute(root)?,
            None => return None,
        };
        match shown {
            Cow::Borrowed(value) => expr::descend(value, steps).map(Cow::Borrowed),
            Cow::Owned(value) if steps.is_empty() => Some(Cow::Owned(value)),
            Cow::Owned(value) => expr::descend(&value, steps).cloned().map(Cow::Owned),
        }
    }
}

/// A place that gets what the item has there afterwards, because something inside it changes.
type Inside<'a> = (&'a str, &'a [Step]);

/// What is written as it is afterwards; and whether it is only taken away there.
#[derive(Default)]
struct Rewritten<'a> {
    places: BTreeMap<Inside<'a>, bool>,
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
        let pen = Pen::new(stamp, options);
        let effects = update.effects(&Shown { state: self, key, exists })?;
        let is_flat = |target: &Target<'_>| {
            target.path.steps.is_empty() && groups::of(options, &target.path.root).is_none()
        };
        let mut added = false;
        if effects.iter().all(|(target, _)| is_flat(target)) {
            for (target, effect) in effects {
                added |= self.carry_out(target, effect, key, exists, options, pen);
            }
        } else {
            let before = self.concerned(key, update, options);
            // Refuses targets whose parents are not there.
            let after = update.apply(&before)?;
            let mut rewritten = Rewritten::default();
            for (target, effect) in effects {
                if !rewritten.takes(target, options) {
                    added |= self.carry_out(target, effect, key, exists, options, pen);
                }
            }
            rewritten.drop_idle(&before, &after);
            added |= self.rewrite(rewritten, &after, pen);
        }
        if added || !update.only_removes() {
            self.0.exists = Dots::from(stamp);
            if self.0.key.is_empty() {
                self.0.key = Arc::new(key.clone());
            }
        }
        Ok(())
    }

    /// Changes one place. Whether anything was added.
    fn carry_out(
        &mut self,
        target: Target<'_>,
        effect: Effect,
        key: &Attributes,
        exists: bool,
        options: &Options,
        pen: Pen,
    ) -> bool {
        let Path { root, steps } = target.path;
        let change = change_of(target, effect, &Shown { state: self, key, exists }, options);
        match change {
            Some(change) if !key.contains_key(root) => self.edit(root, steps, change, pen),
            _ => false,
        }
    }

    fn edit(&mut self, root: &str, names: &[Step], change: Change<'_>, pen: Pen) -> bool {
        let dissolved = !self.0.groups.is_empty() && self.dissolve(root, None, pen);
        let floor = self.floor();
        local::edit(&mut self.0.places, root, names, change, floor, pen) || dissolved
    }

    /// The part of the item before the update that the update reads or changes.
    fn concerned(&self, key: &Attributes, update: &Update, options: &Options) -> Attributes {
        let shown = Shown { state: self, key, exists: self.exists() };
        let mut before = Attributes::new();
        for root in update.roots() {
            let group = groups::of(options, root).unwrap_or_default();
            for name in group.iter().map(String::as_str).chain([root]) {
                if let Some(value) = shown.read_at(name, &[]) {
                    before.insert(name.into(), value.into_owned());
                }
            }
        }
        before
    }

    /// Whether anything was added.
    fn rewrite(&mut self, rewritten: Rewritten<'_>, after: &Attributes, pen: Pen) -> bool {
        let mut added = false;
        for (group, _) in rewritten.groups {
            added |= self.write_group(group, after, pen);
        }
        for ((root, names), _) in rewritten.places {
            let value = lookup(after, root, names).cloned();
            let change = value.map_or(Change::Remove, Change::Assign);
            added |= self.edit(root, names, change, pen);
        }
        added
    }
}

impl<'a> Rewritten<'a> {
    /// Notes the target if it is inside a place.
    fn takes(&mut self, target: Target<'a>, options: &'a Options) -> bool {
        let Path { root, steps } = target.path;
        let removal = matches!(target.change, expr::Change::Remove | expr::Change::Delete(_));
        let names = steps.iter().take_while(|step| matches!(step, Step::Name(_))).count();
        let names = if options.deep_maps { &steps[..names] } else { &[] };
        let only_removed = if let Some(group) = groups::of(options, root) {
            self.groups.entry(group).or_insert(true)
        } else if names.len() < steps.len() {
            self.places.entry((root, names)).or_insert(true)
        } else {
            return false;
        };
        *only_removed &= removal;
        true
    }

    /// Takes out what would only be written as it was: removals of what is not there.
    fn drop_idle(&mut self, before: &Attributes, after: &Attributes) {
        self.places.retain(|(root, names), only_removed| {
            !*only_removed || lookup(before, root, names) != lookup(after, root, names)
        });
        self.groups.retain(|group, only_removed| {
            !*only_removed || group.iter().any(|name| before.get(name) != after.get(name))
        });
    }
}

fn lookup<'a>(item: &'a Attributes, root: &str, names: &[Step]) -> Option<&'a AttributeValue> {
    expr::descend(item.get(root)?, names)
}

/// What happens at the place that a target is, if anything does.
fn change_of<'a>(
    target: Target<'a>,
    effect: Effect,
    shown: &Shown<'_>,
    options: &Options,
) -> Option<Change<'a>> {
    let value = match effect {
        Effect::Put(value) => Some(value),
        Effect::Remove => None,
        Effect::Nothing if !options.remove_wins || !has_parent(shown, target.path) => return None,
        Effect::Nothing => None,
    };
    match (target.change, value) {
        (expr::Change::Delete(set), _) => Some(Change::DeleteElements(set)),
        (expr::Change::Remove, _) => Some(Change::Remove),
        (expr::Change::Add(AttributeValue::N(_)), Some(AttributeValue::N(after))) => {
            Some(Change::Count { after, initial: None })
        }
        (expr::Change::Add(set), _) => Some(Change::AddElements(set)),
        (expr::Change::Count { initial }, Some(AttributeValue::N(after)))
            if options.recognise_add =>
        {
            let initial = initial.and_then(|initial| initial_of(initial, target.path, shown));
            Some(Change::Count { after, initial })
        }
        (expr::Change::Append, Some(AttributeValue::L(list))) if options.list_append => {
            Some(appended(list, target.path, shown))
        }
        (_, Some(value)) => Some(Change::Assign(value)),
        (_, None) => None,
    }
}

/// What a counter begins at, if it begins now, and not at zero.
fn initial_of(initial: &AttributeValue, path: &Path, shown: &Shown<'_>) -> Option<Number> {
    match initial {
        AttributeValue::N(Number::ZERO) => None,
        AttributeValue::N(initial) => shown.read(path).is_none().then_some(*initial),
        _ => None,
    }
}

fn appended(mut list: Vec<AttributeValue>, path: &Path, shown: &Shown<'_>) -> Change<'static> {
    let count = match shown.read(path).as_deref() {
        Some(AttributeValue::L(before)) => before.len(),
        _ => 0,
    };
    // An empty list is a value, of which nothing that is appended could tell.
    if list.is_empty() {
        return Change::Assign(AttributeValue::L(list));
    }
    Change::Append(list.split_off(count.min(list.len())))
}

/// Whether a member could stand at the path: what deletes elements need not have a parent.
fn has_parent(shown: &Shown<'_>, path: &Path) -> bool {
    match path.steps.split_last() {
        None => true,
        Some((_, parents)) => {
            let parent = shown.read_at(&path.root, parents);
            matches!(parent.as_deref(), Some(AttributeValue::M(_)))
        }
    }
}
