//! The name under which the user's package knows the `asyncio` crate, as its manifest tells.
//!
//! A rename is all that is looked for: `aio = { package = "asyncio", .. }` in any dependency table, also one that is inherited
//! from the workspace. A full TOML parser would more than double what is compiled before the first attribute can expand, so
//! `toml.rs` reads the little that is needed. The rule it keeps: what cannot be read is no rename, and never an error.

mod toml;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use toml::{Table, Value};

/// The package's name, and the crate's unless it is renamed.
pub(crate) const ASYNCIO: &str = "asyncio";

/// The tables that list dependencies, at the top and below each `target`. The last two are old spellings.
const DEPENDENCIES: [&str; 5] = [
    "dependencies",
    "dev-dependencies",
    "build-dependencies",
    "dev_dependencies",
    "build_dependencies",
];

/// Returns the crate's name in the package that is being compiled.
pub(crate) fn crate_name() -> String {
    // Cargo sets it. Without cargo whoever renames a crate has to use `crate = ..`.
    match env::var_os("CARGO_MANIFEST_DIR") {
        Some(folder) => remembered(Path::new(&folder)),
        None => ASYNCIO.to_owned(),
    }
}

/// What was found last. A compiler asks for one package a thousand times; an editor's server asks for several in turn, and lives
/// on when a manifest is changed.
static LAST: Mutex<Option<Found>> = Mutex::new(None);

struct Found {
    folder: PathBuf,
    /// What was read, and how old it was.
    files: Vec<(PathBuf, SystemTime)>,
    name: String,
}

impl Found {
    fn is_still_true(&self, folder: &Path) -> bool {
        let is_unchanged = |(path, time): &(PathBuf, SystemTime)| modified(path) == Some(*time);
        self.folder == folder && self.files.iter().all(is_unchanged)
    }
}

fn remembered(folder: &Path) -> String {
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    match &*last {
        Some(found) if found.is_still_true(folder) => found.name.clone(),
        _ => last.insert(look_up(folder)).name.clone(),
    }
}

fn look_up(folder: &Path) -> Found {
    let mut files = Vec::new();
    let own = read(&folder.join("Cargo.toml"), &mut files);
    let name = own.and_then(|own| renamed(&own, || workspace(folder, &own, &mut files)));
    Found {
        folder: folder.to_owned(),
        files,
        name: name.unwrap_or_else(|| ASYNCIO.to_owned()),
    }
}

fn read(path: &Path, files: &mut Vec<(PathBuf, SystemTime)>) -> Option<Table> {
    let time = modified(path)?;
    let table = toml::parse(&fs::read_to_string(path).ok()?);
    files.push((path.to_owned(), time));
    table
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}

/// The table `workspace` of the manifest that the package belongs to, found as cargo finds it.
fn workspace(folder: &Path, own: &Table, files: &mut Vec<(PathBuf, SystemTime)>) -> Option<Table> {
    if let Some(workspace) = own.table("workspace") {
        return Some(workspace.clone());
    }
    let named = own.table("package").and_then(|it| it.text("workspace"));
    let candidates: Vec<PathBuf> = match named {
        Some(path) => vec![folder.join(path)],
        None => folder.ancestors().skip(1).map(Path::to_owned).collect(),
    };
    candidates
        .iter()
        .find_map(|folder| read(&folder.join("Cargo.toml"), files)?.take_table("workspace"))
}

/// The crate's name if it is another one than the package's.
///
/// A package that has both names, for two versions, gets the plain one: nothing says which of the two is expanding.
fn renamed(manifest: &Table, workspace: impl FnOnce() -> Option<Table>) -> Option<String> {
    let dependencies = all_dependencies(manifest);
    let (inherited, own): (Vec<_>, Vec<_>) = dependencies
        .into_iter()
        .partition(|(_, dependency)| is_inherited(dependency));
    let mut names: Vec<&str> = own.into_iter().filter_map(name_of_ours).collect();
    let workspace = (names.is_empty() && !inherited.is_empty())
        .then(workspace)
        .flatten();
    if let Some(shared) = workspace.as_ref().and_then(|it| it.table("dependencies")) {
        let inherited = inherited.iter().filter_map(|(name, _)| shared.entry(name));
        names.extend(inherited.filter_map(name_of_ours));
    }
    let is_plain = names.contains(&ASYNCIO);
    names.first().filter(|_| !is_plain).map(crate_of)
}

fn all_dependencies(manifest: &Table) -> Vec<(&str, &Value)> {
    let targets = manifest.table("target").into_iter().flat_map(Table::tables);
    std::iter::once(manifest)
        .chain(targets)
        .flat_map(|table| DEPENDENCIES.iter().filter_map(|name| table.table(name)))
        .flat_map(Table::entries)
        .collect()
}

fn is_inherited(dependency: &Value) -> bool {
    matches!(dependency, Value::Table(dependency) if dependency.entry("workspace").is_some())
}

/// The dependency's name, if the package behind it is ours.
fn name_of_ours<'a>((name, dependency): (&'a str, &Value)) -> Option<&'a str> {
    let package = match dependency {
        Value::Table(dependency) => dependency.text("package"),
        Value::Text(_) | Value::Other => None,
    };
    (package.unwrap_or(name) == ASYNCIO).then_some(name)
}

fn crate_of(name: &&str) -> String {
    name.replace('-', "_")
}

#[cfg(test)]
mod tests;
