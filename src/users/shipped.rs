//! The histories that bundles ship.

use std::{mem, sync::Arc};

use ahash::{AHashSet, RandomState};
use dashmap::DashMap;

use crate::{
    ids::ModelName,
    repository::{Bundle, Fault, HISTORY_COLUMNS, read_table},
    users::event::{Event, EventKind, History},
};

/// Histories by model and user, as the loaded bundles ship them.
#[derive(Debug, Default)]
pub struct Shipped {
    by_model: DashMap<ModelName, DashMap<Arc<str>, History, RandomState>>,
}

impl Shipped {
    /// Replaces the histories of a model.
    pub fn replace(&self, owner: &ModelName, histories: Vec<(Arc<str>, History)>) {
        self.by_model.insert(owner.clone(), histories.into_iter().collect());
    }

    /// The history of a user.
    pub(super) fn history(&self, owner: &ModelName, user: &str) -> Option<History> {
        self.by_model.get(owner)?.get(user).map(|history| Arc::clone(&history))
    }

    /// Whether any model has a history of the user.
    pub(super) fn knows(&self, user: &str) -> bool {
        self.by_model.iter().any(|of_model| of_model.contains_key(user))
    }

    /// Forgets a user until the next start; says whether there was a history.
    pub(super) fn forget(&self, user: &str) -> bool {
        let removed: Vec<bool> =
            self.by_model.iter().map(|of_model| of_model.remove(user).is_some()).collect();
        removed.contains(&true)
    }

    /// How many histories there are.
    pub fn len(&self) -> usize {
        self.by_model.iter().map(|of_model| of_model.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The user `wanted` where the model has a history of it, else the first by id who has one.
    pub fn example_user(&self, owner: &ModelName, wanted: &str) -> Option<Arc<str>> {
        let all = self.by_model.get(owner)?;
        let known = all.get(wanted).map(|user| Arc::clone(user.key()));
        known.or_else(|| all.iter().map(|user| Arc::clone(user.key())).min())
    }

    /// The users of all models whose last events are the latest, with the times.
    pub(super) fn last_events(&self) -> Vec<(Arc<str>, i64)> {
        let last = |of_model: dashmap::mapref::multiple::RefMulti<
            '_,
            _,
            DashMap<Arc<str>, History, RandomState>,
        >| {
            let of_user = |user: dashmap::mapref::multiple::RefMulti<'_, Arc<str>, History>| {
                Some((Arc::clone(user.key()), user.last()?.time))
            };
            of_model.iter().filter_map(of_user).collect::<Vec<_>>()
        };
        self.by_model.iter().flat_map(last).collect()
    }
}

/// Reads the histories that a bundle ships; none where it ships none.
///
/// # Errors
/// A [`Fault`] naming the line when the file is not what `docs/bundle.md` says.
pub fn load_histories(bundle: &Bundle) -> Result<Vec<(Arc<str>, History)>, Fault> {
    let Some(file) = bundle.manifest.history.as_ref().and_then(|h| h.file.as_ref()) else {
        return Ok(Vec::new());
    };
    let fault = |wrong: String| {
        Fault::new(
            file,
            wrong,
            "write the columns user,item,time, a user's rows together, oldest first",
        )
    };
    let mut table = read_table(&bundle.file(file)).map_err(|e| fault(e.to_string()))?;
    let header = table.headers().map_err(|e| fault(e.to_string()))?.clone();
    let place = |name: &str| header.iter().position(|column| column == name);
    let mut places = [0; 3];
    for (place_of, name) in places.iter_mut().zip(HISTORY_COLUMNS) {
        *place_of = place(name).ok_or_else(|| fault(format!("has no column `{name}`")))?;
    }
    let kind_place = place("kind");
    let mut reader = HistoryReader::default();
    let mut record = csv::StringRecord::new();
    while table.read_record(&mut record).map_err(|e| fault(e.to_string()))? {
        let line = record.position().map_or(0, csv::Position::line);
        let [user, item, time] = places.map(|place| record.get(place).unwrap_or_default());
        let kind = kind_place.map_or("purchase", |place| record.get(place).unwrap_or_default());
        reader
            .push(user, item, time, kind)
            .map_err(|wrong| fault(format!("line {line}: {wrong}")))?;
    }
    Ok(reader.finish())
}

/// Cuts rows into histories, with one allocation for each different item.
#[derive(Default)]
struct HistoryReader {
    items: AHashSet<Arc<str>>,
    users: AHashSet<Arc<str>>,
    current: Option<Arc<str>>,
    events: Vec<Event>,
    done: Vec<(Arc<str>, History)>,
}

impl HistoryReader {
    fn push(&mut self, user: &str, item: &str, time: &str, kind: &str) -> Result<(), String> {
        if user.is_empty() || item.is_empty() {
            return Err("the user or the item is empty".to_owned());
        }
        if self.current.as_deref() != Some(user) {
            self.close();
            let user: Arc<str> = user.into();
            if !self.users.insert(Arc::clone(&user)) {
                return Err(format!("the rows of user `{user}` are not together"));
            }
            self.current = Some(user);
        }
        let time = time.parse().map_err(|_| format!("`{time}` is no unix time"))?;
        if self.events.last().is_some_and(|last| last.time > time) {
            return Err("the events of a user are not oldest first".to_owned());
        }
        let kind = EventKind::parse(kind)
            .ok_or_else(|| format!("`{kind}` is none of view, cart, purchase"))?;
        let item = match self.items.get(item) {
            Some(known) => Arc::clone(known),
            None => {
                let item: Arc<str> = item.into();
                self.items.insert(Arc::clone(&item));
                item
            }
        };
        self.events.push(Event { item, kind, time });
        Ok(())
    }

    fn close(&mut self) {
        if let Some(user) = self.current.take() {
            self.done.push((user, mem::take(&mut self.events).into()));
        }
    }

    fn finish(mut self) -> Vec<(Arc<str>, History)> {
        self.close();
        self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_rows(rows: &[[&str; 4]], want: Result<&[usize], &str>) {
        let mut reader = HistoryReader::default();
        let pushed = rows.iter().try_for_each(|[u, i, t, k]| reader.push(u, i, t, k));
        match (pushed, want) {
            (Ok(()), Ok(want)) => {
                let lengths: Vec<usize> = reader.finish().iter().map(|(_, h)| h.len()).collect();
                assert_eq!(lengths, want);
            }
            (Err(got), Err(want)) => assert!(got.contains(want), "{got}"),
            (got, want) => panic!("{got:?} is not {want:?}"),
        }
    }

    #[test]
    fn rows_become_histories() {
        let p = "purchase";
        check_rows(&[["a", "x", "1", p], ["a", "y", "1", p], ["b", "x", "0", p]], Ok(&[2, 1]));
        check_rows(&[["a", "x", "1", p], ["b", "x", "1", p], ["a", "x", "2", p]], Err("together"));
        check_rows(&[["a", "x", "2", p], ["a", "x", "1", p]], Err("oldest first"));
        check_rows(&[["a", "x", "1", "sold"]], Err("none of view"));
        check_rows(&[["a", "x", "noon", p]], Err("unix time"));
        check_rows(&[["a", "", "1", p]], Err("empty"));
    }
}
