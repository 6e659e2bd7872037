//! Candidates from a CSV file, with the types that a model gives to its features.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::Path,
};

use crate::{
    repository::read_table,
    transport::pb::{self, column::Values},
};

/// The type of each feature by name: `float`, `int`, `string` or `vector`.
pub(super) type Types = BTreeMap<String, String>;

/// Reads candidates from CSV, plain or `.gz`; a column has the type that the model gives to it, else the narrowest that fits.
pub(super) fn read_candidates(path: &Path, types: &Types) -> Result<pb::Candidates, String> {
    let told = |wrong: String| format!("--candidates {}: {wrong}", path.display());
    let unreadable = |cause: String| {
        told(format!("cannot be read: {cause}. Name a CSV file with a header, UTF-8, plain or .gz"))
    };
    let mut reader = read_table(path).map_err(|cause| unreadable(cause.to_string()))?;
    let header = reader.headers().map_err(|cause| unreadable(cause.to_string()))?.clone();
    let key = key_column(&header, types).map_err(told)?;
    let mut lines: BTreeMap<String, u64> = BTreeMap::new();
    let mut cells: Vec<Vec<String>> = vec![Vec::new(); header.len()];
    for record in reader.records() {
        let record = record.map_err(|cause| unreadable(cause.to_string()))?;
        let line = record.position().map_or(0, csv::Position::line);
        let id = record.get(key).unwrap_or_default();
        if id.is_empty() {
            let wrong = format!("line {line}: the column `{}` is empty; give an id", &header[key]);
            return Err(told(wrong));
        }
        match lines.entry(id.to_owned()) {
            Entry::Vacant(free) => free.insert(line),
            Entry::Occupied(first) => {
                let wrong = format!(
                    "line {line}: the id `{id}` stands on line {} too; keep one of them",
                    first.get()
                );
                return Err(told(wrong));
            }
        };
        cells.iter_mut().zip(&record).for_each(|(column, cell)| column.push(cell.to_owned()));
    }
    if lines.is_empty() {
        return Err(told("has no candidate; write one line for each below the header".to_owned()));
    }
    let ids = cells.get_mut(key).map(std::mem::take).unwrap_or_default();
    let mut columns = Vec::new();
    for (place, (name, cells)) in header.iter().zip(cells).enumerate() {
        if place == key {
            continue;
        }
        let kind = types.get(name).map(String::as_str);
        let values = values_of(&cells, kind).ok_or_else(|| {
            told(format!("the column `{name}` must hold {}s", kind.unwrap_or_default()))
        })?;
        columns.push(pb::Column { name: name.to_owned(), values: Some(values) });
    }
    Ok(pb::Candidates { ids: ids.iter().collect(), columns, ..pb::Candidates::default() })
}

/// Where the ids are: `id`, else `item`, else the first column, if that is no feature of the model.
fn key_column(header: &csv::StringRecord, types: &Types) -> Result<usize, String> {
    let place = |name: &str| header.iter().position(|column| column == name);
    match place("id").or_else(|| place("item")) {
        Some(place) => Ok(place),
        None if header
            .get(0)
            .is_some_and(|first| !first.is_empty() && !types.contains_key(first)) =>
        {
            Ok(0)
        }
        None => {
            let given = header.iter().collect::<Vec<_>>().join(", ");
            Err(format!("has no column `id` or `item`; it has: {given}. Add one with an id a line"))
        }
    }
}

/// Cells as values of a type; where none is said, of the narrowest that fits all of them.
pub(super) fn values_of(cells: &[String], kind: Option<&str>) -> Option<Values> {
    let ints = || {
        let values = cells.iter().map(|cell| cell.parse().ok()).collect::<Option<_>>()?;
        Some(Values::Ints(pb::IntColumn { values }))
    };
    let floats = || {
        let values = cells.iter().map(|cell| cell.parse().ok()).collect::<Option<_>>()?;
        Some(Values::Floats(pb::FloatColumn { values }))
    };
    let strings = || Values::Strings(pb::StringColumn { values: cells.iter().collect() });
    match kind {
        Some("int") => ints(),
        Some("float") => floats(),
        Some("string") => Some(strings()),
        Some(_) => None,
        None => ints().or_else(floats).or_else(|| Some(strings())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &str) -> Result<pb::Candidates, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("products.csv");
        std::fs::write(&file, content).unwrap();
        let types = [("title", "string"), ("price", "float"), ("stock", "int")];
        let types = types.map(|(name, kind)| (name.to_owned(), kind.to_owned()));
        read_candidates(&file, &Types::from(types))
    }

    #[track_caller]
    fn check_refused(content: &str, want: &[&str]) {
        let wrong = read(content).unwrap_err();
        for word in want.iter().chain(&["products.csv"]) {
            assert!(wrong.contains(word), "{wrong}");
        }
    }

    #[test]
    fn ids_and_texts_stay_text() {
        let read = read("title,id,other,price\n007,1228,5,1\n\"a, b\",0x1,6,2.5\n").unwrap();
        assert_eq!(read.ids, ["1228", "0x1"].into_iter().collect());
        let values: Vec<Option<Values>> = read.columns.into_iter().map(|c| c.values).collect();
        let titles = ["007", "a, b"].into_iter().collect();
        assert_eq!(
            values,
            [
                Some(Values::Strings(pb::StringColumn { values: titles })),
                Some(Values::Ints(pb::IntColumn { values: vec![5, 6] })),
                Some(Values::Floats(pb::FloatColumn { values: vec![1.0, 2.5] })),
            ]
        );
    }

    #[test]
    fn the_first_column_holds_ids_unless_it_is_a_feature() {
        assert_eq!(read("sku,title\na,x\n").unwrap().ids.get(0), Some("a"));
        check_refused("title,brand\nx,y\n", &["`id`", "`item`", "title, brand"]);
        check_refused("", &["`id`"]);
    }

    #[test]
    fn what_is_wrong_with_a_line_names_it() {
        check_refused("id,title\na,x\nb,y\na,z\n", &["line 4", "`a`", "line 2"]);
        check_refused("id,title\n,x\n", &["line 2", "`id`", "empty"]);
        check_refused("id,title\n", &["no candidate"]);
        check_refused("id,title\na\n", &["cannot be read"]);
        check_refused("id,stock\na,many\n", &["`stock`", "ints"]);
    }
}
