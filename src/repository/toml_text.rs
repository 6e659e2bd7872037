//! Changes single keys of a TOML text and leaves the rest as a person wrote it, comments of what is taken away included.

use toml_edit::{Array, InlineTable, Item, Table, TableLike, Value};

/// A table of the text, with the comments that found no other place yet.
pub(super) struct Keys<'a> {
    table: &'a mut dyn TableLike,
    /// Whether tables in it can have a header of their own.
    has_headers: bool,
    orphans: &'a mut String,
}

impl<'a> Keys<'a> {
    /// Takes a table, where it is one; comments that have no neighbour in it are added to `orphans`.
    pub(super) fn of(item: &'a mut Item, orphans: &'a mut String) -> Option<Self> {
        let has_headers = item.as_table().is_some_and(|table| !table.is_dotted());
        Some(Self { table: item.as_table_like_mut()?, has_headers, orphans })
    }

    /// Gives a key a value; one that it has already stays as it is written.
    pub(super) fn set(&mut self, key: &str, new: impl Into<Value>) {
        let mut new = new.into();
        match self.table.get_mut(key) {
            Some(Item::Value(old)) if is_same(old, &new) => {}
            Some(Item::Value(old)) => {
                *new.decor_mut() = old.decor().clone();
                *old = new;
            }
            _ => self.append(key, new),
        }
    }

    /// Adds a key behind the others; what stood between the last value of an inline table and its brace goes along.
    fn append(&mut self, key: &str, mut new: Value) {
        if let Some(suffix) = self.take_last_suffix() {
            new.decor_mut().set_prefix(" ");
            new.decor_mut().set_suffix(suffix);
        }
        self.table.insert(key, Item::Value(new));
    }

    /// The suffix of the last value, which it loses; none where a value ends with its line.
    fn take_last_suffix(&mut self) -> Option<String> {
        let (_, last) = self.table.iter_mut().last()?;
        let suffix = last.as_value()?.decor().suffix()?.as_str()?.to_owned();
        let within_braces = !suffix.is_empty() && !suffix.contains('#');
        if within_braces {
            last.as_value_mut()?.decor_mut().set_suffix("");
        }
        within_braces.then_some(suffix)
    }

    /// Takes a key away; its comments go to its neighbour.
    pub(super) fn remove(&mut self, key: &str) {
        let keys: Vec<String> = self.table.iter().map(|(key, _)| key.to_owned()).collect();
        let Some(at) = keys.iter().position(|own| own == key) else {
            return;
        };
        let is_last = at + 1 == keys.len();
        let suffix = if is_last { self.take_last_suffix() } else { None };
        let comments = self.comments(key);
        self.table.remove(key);
        if let (Some(suffix), Some((_, last))) = (suffix, self.table.iter_mut().last())
            && let Some(value) = last.as_value_mut()
        {
            value.decor_mut().set_suffix(suffix);
        }
        let neighbour = keys.get(at + 1).or_else(|| keys.get(at.checked_sub(1)?));
        match neighbour {
            _ if comments.is_empty() => {}
            Some(neighbour) => self.put_before(neighbour, &comments),
            None => self.orphans.push_str(&comments),
        }
    }

    /// The comments before a key and behind its value, each on a line.
    fn comments(&self, key: &str) -> String {
        let Some((name, item)) = self.table.get_key_value(key) else {
            return String::new();
        };
        let before = name.leaf_decor().prefix().and_then(|text| text.as_str());
        let around = match item {
            Item::Table(table) => table.decor().prefix(),
            Item::Value(value) => value.decor().suffix(),
            _ => None,
        };
        let around = around.and_then(|text| text.as_str());
        let lines = before.into_iter().chain(around).flat_map(str::lines);
        let comments = lines.map(str::trim).filter(|line| line.starts_with('#'));
        comments.map(|line| format!("{line}\n")).collect()
    }

    fn put_before(&mut self, key: &str, comments: &str) {
        let Some((mut name, item)) = self.table.get_key_value_mut(key) else {
            return;
        };
        let decor = match item {
            Item::Table(table) if !table.is_dotted() => table.decor_mut(),
            _ => name.leaf_decor_mut(),
        };
        let old = decor.prefix().and_then(|text| text.as_str()).unwrap_or_default();
        let (blank, rest) = old.split_at(old.len() - old.trim_start_matches('\n').len());
        decor.set_prefix(format!("{blank}{comments}{rest}"));
    }

    /// A table below a key, made where there is none: with a header of its own if wanted and possible.
    pub(super) fn below(&mut self, key: &str, with_header: bool) -> Option<Keys<'_>> {
        if !self.table.contains_key(key) {
            match with_header && self.has_headers {
                true => drop(self.table.insert(key, Item::Table(Table::new()))),
                false => self.append(key, Value::InlineTable(InlineTable::new())),
            }
        }
        Keys::of(self.table.get_mut(key)?, self.orphans)
    }

    /// The keys.
    pub(super) fn names(&self) -> Vec<String> {
        self.table.iter().map(|(key, _)| key.to_owned()).collect()
    }

    /// Has a map below a key hold exactly these entries; one without entries goes.
    pub(super) fn set_map(&mut self, key: &str, entries: &[(String, Value)]) {
        if entries.is_empty() {
            return self.remove(key);
        }
        let Some(mut map) = self.below(key, false) else {
            return;
        };
        for (name, value) in entries {
            map.set(name, value.clone());
        }
        for gone in map.names().iter().filter(|name| !entries.iter().any(|(own, _)| own == *name)) {
            map.remove(gone);
        }
    }

    /// Takes entries out of a map below a key, and the map with its last one.
    pub(super) fn remove_from_map(&mut self, key: &str, gone: &[String]) {
        let map = self.table.get_mut(key).and_then(|item| Keys::of(item, self.orphans));
        let Some(mut map) = map else {
            return;
        };
        for name in gone {
            map.remove(name);
        }
        if map.table.is_empty() {
            self.remove(key);
        }
    }

    /// Puts a number into the list of a key.
    pub(super) fn add_to_list(&mut self, key: &str, number: i64) {
        if !self.table.contains_key(key) {
            return self.append(key, Value::Array(Array::from_iter([number])));
        }
        if let Some(list) = self.list(key)
            && !list.iter().any(|own| own.as_integer() == Some(number))
        {
            list.push(number);
        }
    }

    /// Takes a number out of the list of a key, and the list with its last one.
    pub(super) fn remove_from_list(&mut self, key: &str, number: i64) {
        let Some(list) = self.list(key) else {
            return;
        };
        let is_it = |own: &Value| own.as_integer() == Some(number);
        let places: Vec<usize> =
            list.iter().enumerate().filter(|(_, own)| is_it(own)).map(|(at, _)| at).collect();
        for at in places.into_iter().rev() {
            let gone = list.remove(at);
            let (was_first, was_last) = (at == 0, at == list.len());
            let text = |raw: Option<&toml_edit::RawString>| {
                raw.and_then(|text| text.as_str()).unwrap_or_default().to_owned()
            };
            if let Some(first) = list.get_mut(0).filter(|_| was_first) {
                first.decor_mut().set_prefix(text(gone.decor().prefix()));
            }
            if let Some(last) = list.iter_mut().last().filter(|_| was_last) {
                last.decor_mut().set_suffix(text(gone.decor().suffix()));
            }
        }
        if list.is_empty() {
            self.remove(key);
        }
    }

    fn list(&mut self, key: &str) -> Option<&mut Array> {
        self.table.get_mut(key)?.as_array_mut()
    }
}

fn is_same(old: &Value, new: &Value) -> bool {
    let number =
        |value: &Value| value.as_float().or_else(|| value.as_integer().map(|number| number as f64));
    match (old.as_integer(), new.as_integer()) {
        (Some(old), Some(new)) => old == new,
        _ => match (number(old), number(new)) {
            (Some(old), Some(new)) => old == new,
            _ => old.as_str().is_some() && old.as_str() == new.as_str(),
        },
    }
}
