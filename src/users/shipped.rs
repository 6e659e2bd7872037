//! The histories that bundles ship.

use std::{collections::BTreeMap, mem, sync::Arc};

use ahash::{AHashSet, RandomState};
use dashmap::{DashMap, DashSet};

use crate::{
    ids::{ModelId, ModelName, Version},
    repository::{Bundle, Fault, HISTORY_COLUMNS, read_table},
    users::event::{Event, EventKind, History},
};

/// Histories by model and user, as the loaded bundles ship them.
///
/// They belong to the model's name: those of its highest loaded version that ships any are known, whichever version asks.
#[derive(Debug, Default)]
pub struct Shipped {
    by_model: DashMap<ModelName, BTreeMap<Version, Arc<Histories>>>,
    /// Users who had a history and were erased; a version that is loaded later does not bring them back.
    forgotten: DashSet<Arc<str>, RandomState>,
}

type Histories = DashMap<Arc<str>, History, RandomState>;

impl Shipped {
    /// Takes the histories that a version ships.
    pub fn publish(&self, owner: &ModelId, histories: Vec<(Arc<str>, History)>) {
        if histories.is_empty() {
            return;
        }
        let histories: Arc<Histories> = Arc::new(histories.into_iter().collect());
        let mut versions = self.by_model.entry(owner.name.clone()).or_default();
        versions.insert(owner.version, Arc::clone(&histories));
        drop(versions);
        // Afterwards, so that nobody slips through who is erased meanwhile.
        for user in self.forgotten.iter() {
            histories.remove(user.key());
        }
    }

    /// Lets go of the histories that a version ships.
    pub fn retire(&self, owner: &ModelId) {
        if let Some(mut versions) = self.by_model.get_mut(&owner.name) {
            versions.remove(&owner.version);
        }
        self.by_model.remove_if(&owner.name, |_, versions| versions.is_empty());
    }

    /// The history of a user.
    pub(super) fn history(&self, owner: &ModelName, user: &str) -> Option<History> {
        let versions = self.by_model.get(owner)?;
        let (_, highest) = versions.last_key_value()?;
        highest.get(user).map(|history| Arc::clone(&history))
    }

    /// Whether any model has a history of the user.
    pub(super) fn knows(&self, user: &str) -> bool {
        self.known().iter().any(|of_model| of_model.contains_key(user))
    }

    /// Forgets a user until the next start; says whether there was a history.
    pub(super) fn forget(&self, user: &Arc<str>) -> bool {
        let mut removed = false;
        for versions in self.by_model.iter() {
            for histories in versions.values() {
                removed |= histories.remove(user).is_some();
            }
        }
        if removed {
            self.forgotten.insert(Arc::clone(user));
        }
        removed
    }

    /// How many histories there are.
    pub fn len(&self) -> usize {
        self.known().iter().map(|of_model| of_model.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The user `wanted` where the model has a history of it, else the first by id who has one.
    pub fn example_user(&self, owner: &ModelName, wanted: &str) -> Option<Arc<str>> {
        let all = self.by_model.get(owner)?.values().next_back().map(Arc::clone)?;
        let known = all.get(wanted).map(|user| Arc::clone(user.key()));
        known.or_else(|| all.iter().map(|user| Arc::clone(user.key())).min())
    }

    /// The users of all models whose last events are the latest, with the times.
    pub(super) fn last_events(&self) -> Vec<(Arc<str>, i64)> {
        let mut all = Vec::new();
        for of_model in self.known() {
            all.extend(
                of_model.iter().filter_map(|of| Some((Arc::clone(of.key()), of.last()?.time))),
            );
        }
        all
    }

    /// The histories of each model that are known.
    fn known(&self) -> Vec<Arc<Histories>> {
        let highest = self.by_model.iter().filter_map(|versions| {
            versions.last_key_value().map(|(_, histories)| Arc::clone(histories))
        });
        highest.collect()
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
                return Err("the rows of its user are not together".to_owned());
            }
            self.current = Some(user);
        }
        let time = time.parse().map_err(|_| "the time is no unix time".to_owned())?;
        if self.events.last().is_some_and(|last| last.time > time) {
            return Err("the events of a user are not oldest first".to_owned());
        }
        let kind = EventKind::parse(kind)
            .ok_or_else(|| "the kind is none of view, cart, purchase".to_owned())?;
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

    fn version(number: u64) -> ModelId {
        ModelId { name: ModelName::parse("m").unwrap(), version: Version(number) }
    }

    fn histories(users: &[&str], time: i64) -> Vec<(Arc<str>, History)> {
        let event = || Event { item: "x".into(), kind: EventKind::View, time };
        users.iter().map(|user| ((*user).into(), [event()].into())).collect()
    }

    fn time(shipped: &Shipped, user: &str) -> Option<i64> {
        shipped.history(&version(0).name, user).map(|history| history[0].time)
    }

    #[test]
    fn the_highest_version_that_ships_histories_has_the_word() {
        let shipped = Shipped::default();
        shipped.publish(&version(10), histories(&["a"], 10));
        shipped.publish(&version(9), histories(&["a", "b"], 9));
        shipped.publish(&version(11), Vec::new());
        assert_eq!((time(&shipped, "a"), time(&shipped, "b"), shipped.len()), (Some(10), None, 1));
        shipped.retire(&version(10));
        shipped.retire(&version(11));
        assert_eq!(
            (time(&shipped, "a"), time(&shipped, "b"), shipped.len()),
            (Some(9), Some(9), 2)
        );
        shipped.retire(&version(9));
        assert!(shipped.is_empty() && shipped.by_model.is_empty());
    }

    #[test]
    fn who_was_erased_does_not_come_back_with_another_version() {
        let shipped = Shipped::default();
        shipped.publish(&version(1), histories(&["a", "b"], 1));
        shipped.publish(&version(2), histories(&["a", "b"], 2));
        assert!(shipped.forget(&"a".into()) && !shipped.forget(&"nobody".into()));
        shipped.publish(&version(3), histories(&["a", "b", "nobody"], 3));
        assert_eq!((time(&shipped, "a"), time(&shipped, "b")), (None, Some(3)));
        assert_eq!(time(&shipped, "nobody"), Some(3));
        shipped.retire(&version(3));
        assert_eq!((time(&shipped, "a"), time(&shipped, "b")), (None, Some(2)));
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
