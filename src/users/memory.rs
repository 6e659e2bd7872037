//! The user store within the process.

use std::{mem, sync::Arc};

use ahash::{AHashSet, RandomState};
use dashmap::DashMap;
use futures::future::{BoxFuture, FutureExt, ready};

use crate::{
    ids::{ModelId, ModelName},
    repository::{Bundle, Fault, HISTORY_COLUMNS, read_table},
    users::{
        event::{Event, EventKind, History},
        store::{Embedding, StoreError, UserKey, UserRecord, UserStore, UsersOptions},
    },
};

type ByUser<T> = DashMap<Arc<str>, T, RandomState>;

/// Keeps histories and embeddings in this process only: a restart forgets all but what bundles ship.
#[derive(Debug)]
pub struct MemoryStore {
    histories: DashMap<ModelName, ByUser<History>>,
    embeddings: DashMap<ModelId, ByUser<Embedding>>,
    options: UsersOptions,
}

impl MemoryStore {
    /// Makes an empty store.
    pub fn new(options: UsersOptions) -> Self {
        Self { histories: DashMap::new(), embeddings: DashMap::new(), options }
    }

    /// How many users have a history.
    pub fn users(&self) -> usize {
        self.histories.iter().map(|of_model| of_model.len()).sum()
    }

    /// The user `wanted` where it has a history of that owner, else the first by id who has one.
    pub fn example_user(&self, owner: &ModelId, wanted: &str) -> Option<Arc<str>> {
        let all = self.histories.get(&owner.name)?;
        let known = all.get(wanted).map(|user| Arc::clone(user.key()));
        known.or_else(|| all.iter().map(|user| Arc::clone(user.key())).min())
    }

    fn lookup(&self, key: &UserKey) -> UserRecord {
        let history = self.histories.get(&key.owner.name);
        let embedding = self.embeddings.get(&key.owner);
        UserRecord {
            history: history.and_then(|all| all.get(&key.user).map(|h| Arc::clone(&h))),
            embedding: embedding.and_then(|all| all.get(&key.user).map(|e| Arc::clone(&e))),
        }
    }

    fn keep(&self, key: &UserKey, embedding: Embedding) {
        let all = self.embeddings.entry(key.owner.clone()).or_default().downgrade();
        if all.len() >= self.options.max_embeddings && !all.contains_key(&key.user) {
            let any = all.iter().next().map(|entry| Arc::clone(entry.key()));
            any.map(|user| all.remove(&user));
        }
        all.insert(Arc::clone(&key.user), embedding);
    }
}

impl UserStore for MemoryStore {
    fn read<'a>(&'a self, key: &'a UserKey) -> BoxFuture<'a, Result<UserRecord, StoreError>> {
        ready(Ok(self.lookup(key))).boxed()
    }

    fn write_embedding<'a>(
        &'a self,
        key: &'a UserKey,
        embedding: Embedding,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.keep(key, embedding);
        ready(Ok(())).boxed()
    }

    fn seed(&self, owner: &ModelName, histories: Vec<(Arc<str>, History)>) {
        self.histories.insert(owner.clone(), histories.into_iter().collect());
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

    fn key(user: &str, version: u64) -> UserKey {
        let name = ModelName::parse("enc").unwrap();
        let owner = ModelId { name, version: crate::ids::Version(version) };
        UserKey { owner, user: user.into() }
    }

    #[test]
    fn an_embedding_belongs_to_one_version() {
        let store = MemoryStore::new(UsersOptions::default());
        store.keep(&key("u", 1), vec![1.0].into());
        assert!(store.lookup(&key("u", 1)).embedding.is_some());
        assert!(store.lookup(&key("u", 2)).embedding.is_none());
    }

    #[test]
    fn embeddings_are_bounded() {
        let store = MemoryStore::new(UsersOptions { max_embeddings: 3 });
        for user in 0..10 {
            store.keep(&key(&user.to_string(), 1), vec![0.0].into());
        }
        assert_eq!(store.embeddings.get(&key("", 1).owner).map(|all| all.len()), Some(3));
        assert!(store.lookup(&key("9", 1)).embedding.is_some());
    }

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
