//! The values of a context's variables: a map that is never changed while somebody else can see it.
//!
//! Copying it is counting a reference. Nothing of the user's is cloned or dropped in here.

use std::any::Any;
use std::cell::Cell;
use std::mem;
use std::sync::Arc;

/// A variable's value; shared, so that copying the map copies no values.
pub(super) type Value = Arc<dyn Any + Send + Sync>;

/// The variables that are set, by ascending key; `None` if there are none.
pub(super) type Root = Option<Arc<Vec<Entry>>>;

/// One variable that is set.
#[derive(Clone)]
pub(super) struct Entry {
    /// The variable's number.
    key: u64,
    /// What it was set to.
    value: Value,
}

pub(super) fn position(root: &Root, key: u64) -> Result<usize, usize> {
    match root {
        Some(entries) => entries.binary_search_by_key(&key, |entry| entry.key),
        None => Err(0),
    }
}

pub(super) fn find(root: &Root, key: u64) -> Option<Value> {
    let index = position(root, key).ok()?;
    let entries = root.as_ref()?;
    Some(Arc::clone(&entries[index].value))
}

/// Sets or removes a variable and returns what it was before. Nothing of the user's is cloned or dropped.
pub(super) fn replace(root: &mut Root, key: u64, value: Option<Value>) -> Option<Value> {
    match (position(root, key), value) {
        (Ok(index), Some(value)) => {
            let entry = &mut entries_mut(root)[index];
            Some(mem::replace(&mut entry.value, value))
        }
        (Ok(index), None) => {
            let old = entries_mut(root).remove(index);
            // An empty context is a null pointer again.
            root.take_if(|entries| entries.is_empty());
            Some(old.value)
        }
        (Err(index), Some(value)) => {
            entries_mut(root).insert(index, Entry { key, value });
            None
        }
        (Err(_), None) => None,
    }
}

/// Returns the entries to be changed: the same ones if nobody else sees them, else a copy.
fn entries_mut(root: &mut Root) -> &mut Vec<Entry> {
    Arc::make_mut(root.get_or_insert_default())
}

/// Copies a root that lies in a cell.
pub(super) fn peek(cell: &Cell<Root>) -> Root {
    let root = cell.take();
    cell.set(root.clone());
    root
}
