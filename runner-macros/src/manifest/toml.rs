//! As much of TOML as it takes to find a table's texts: strings, tables of every spelling, and the way over all the rest.
//!
//! The rule it keeps: cargo has accepted the file before, so nothing is judged here, and what makes no sense ends the reading.
//! Escapes stay as they are written.

use std::collections::BTreeMap as Map;

/// Deeper nesting is nobody's manifest.
const MAX_DEPTH: usize = 64;

/// A table, however it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table(Map<String, Value>);

/// What a key stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A string.
    Text(String),
    /// A table.
    Table(Table),
    /// A number, a date, a list or the like.
    Other,
}

impl Table {
    /// The entry of that name, with the name.
    pub(super) fn entry(&self, name: &str) -> Option<(&str, &Value)> {
        let (name, value) = self.0.get_key_value(name)?;
        Some((name, value))
    }

    /// All entries, by name.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The string of that name.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.0.get(name)? {
            Value::Text(text) => Some(text),
            Value::Table(_) | Value::Other => None,
        }
    }

    /// The table of that name.
    pub(super) fn table(&self, name: &str) -> Option<&Table> {
        match self.0.get(name)? {
            Value::Table(table) => Some(table),
            Value::Text(_) | Value::Other => None,
        }
    }

    /// The table of that name, to keep.
    pub(super) fn take_table(mut self, name: &str) -> Option<Table> {
        match self.0.remove(name)? {
            Value::Table(table) => Some(table),
            Value::Text(_) | Value::Other => None,
        }
    }

    /// All tables in this one.
    pub(super) fn tables(&self) -> impl Iterator<Item = &Table> {
        self.0.values().filter_map(|value| match value {
            Value::Table(table) => Some(table),
            Value::Text(_) | Value::Other => None,
        })
    }

    /// The table at the end of `path`, made if it is missing.
    fn below(&mut self, path: &[String]) -> Option<&mut Table> {
        let Some((name, rest)) = path.split_first() else {
            return Some(self);
        };
        let empty = || Value::Table(Table::default());
        match self.0.entry(name.clone()).or_insert_with(empty) {
            Value::Table(table) => table.below(rest),
            Value::Text(_) | Value::Other => None,
        }
    }

    fn insert(&mut self, path: &[String], value: Value) -> Option<()> {
        let (name, tables) = path.split_last()?;
        self.below(tables)?.0.insert(name.clone(), value);
        Some(())
    }
}

/// Reads a whole file, or gives up.
pub(super) fn parse(text: &str) -> Option<Table> {
    let mut reader = Reader {
        rest: text.trim_start_matches('\u{feff}'),
    };
    let mut root = Table::default();
    // What stands below the head of a list's table is read into nowhere.
    let (mut head, mut nowhere) = (Some(Vec::new()), Table::default());
    loop {
        reader.skip_blank();
        if reader.rest.is_empty() {
            return Some(root);
        }
        if reader.eat("[[") {
            reader.keys()?;
            reader.expect("]]")?;
            head = None;
        } else if reader.eat("[") {
            let path = reader.keys()?;
            reader.expect("]")?;
            root.below(&path)?;
            head = Some(path);
        } else {
            let table = match &head {
                Some(path) => root.below(path)?,
                None => &mut nowhere,
            };
            reader.pair(table, MAX_DEPTH)?;
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn eat(&mut self, token: &str) -> bool {
        let after = self.rest.strip_prefix(token);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn expect(&mut self, token: &str) -> Option<()> {
        self.skip_blank();
        self.eat(token).then_some(())
    }

    /// Goes over white space, line ends and comments.
    fn skip_blank(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            if !self.rest.starts_with('#') {
                return;
            }
            self.take_until(|c| c == '\n');
        }
    }

    fn take_until(&mut self, is_end: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(is_end).unwrap_or(self.rest.len());
        self.take(end)
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    /// `key.'other key' = value`, into `table`.
    fn pair(&mut self, table: &mut Table, depth: usize) -> Option<()> {
        let path = self.keys()?;
        self.expect("=")?;
        let value = self.value(depth)?;
        table.insert(&path, value)
    }

    fn keys(&mut self) -> Option<Vec<String>> {
        let mut keys = Vec::new();
        loop {
            self.skip_blank();
            keys.push(self.key()?);
            self.skip_blank();
            if !self.eat(".") {
                return (keys.len() <= MAX_DEPTH).then_some(keys);
            }
        }
    }

    fn key(&mut self) -> Option<String> {
        if self.rest.starts_with(['"', '\'']) {
            return self.string();
        }
        let key = self.take_until(|c| !(c.is_alphanumeric() || c == '-' || c == '_'));
        (!key.is_empty()).then(|| key.to_owned())
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        let depth = depth.checked_sub(1)?;
        self.skip_blank();
        if self.rest.starts_with(['"', '\'']) {
            return self.string().map(Value::Text);
        }
        if self.eat("{") {
            let mut table = Table::default();
            self.list("}", |reader| reader.pair(&mut table, depth))?;
            return Some(Value::Table(table));
        }
        if self.eat("[") {
            self.list("]", |reader| reader.value(depth).map(drop))?;
            return Some(Value::Other);
        }
        let word = self.take_until(|c| matches!(c, ',' | ']' | '}' | '#' | '\n'));
        (!word.trim().is_empty()).then_some(Value::Other)
    }

    /// What stands between commas, up to and with the bracket `end`.
    fn list(&mut self, end: &str, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        loop {
            self.skip_blank();
            if self.eat(end) {
                return Some(());
            }
            item(self)?;
            self.skip_blank();
            if !self.eat(",") {
                return self.expect(end);
            }
        }
    }

    /// One of the four kinds of strings.
    fn string(&mut self) -> Option<String> {
        let quote = self.rest.chars().next()?;
        let long = [quote; 3].iter().collect::<String>();
        let is_long = self.eat(&long);
        let end = if is_long { &long[..] } else { &long[..1] };
        if !is_long {
            self.take(1);
        }
        let length = string_length(self.rest, end)?;
        let text = self.take(length).to_owned();
        self.take(end.len());
        // Up to two quotes at the end of a long string belong to it.
        let _ = is_long && self.eat(end.get(..1)?) && self.eat(end.get(..1)?);
        Some(text)
    }
}

/// How far it is to `end`; only between double quotes does a backslash protect what comes next.
fn string_length(text: &str, end: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let rest = &text[from..];
        let stop = rest.find(['\\', '"', '\''])?;
        if end.starts_with('"') && rest[stop..].starts_with('\\') {
            let protected = rest[stop + 1..].chars().next()?;
            from += stop + 1 + protected.len_utf8();
        } else if rest[stop..].starts_with(end) {
            return Some(from + stop);
        } else {
            from += stop + 1;
        }
    }
}
