//! The published versions, and which of them answers.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;

use crate::{
    ids::{ModelId, ModelName, Version},
    serving::error::ServingError,
};

/// The label of the highest published version of each model.
pub const LATEST: &str = "latest";

/// Which version of a model is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Selector {
    /// The highest.
    #[default]
    Latest,
    /// This one.
    Version(u64),
    /// The one that has this label.
    Label(String),
}

/// The published versions of all models; `T` is whatever the pipeline needs of one.
///
/// A reader takes one pointer and sees either all of a publication or nothing of it.
#[derive(Debug)]
pub struct Registry<T> {
    published: ArcSwap<BTreeMap<ModelName, BTreeMap<Version, Arc<T>>>>,
    labels: BTreeMap<String, BTreeMap<String, u64>>,
    writer: Mutex<()>,
}

impl<T> Registry<T> {
    /// Makes an empty registry; `labels` name versions by model and label.
    pub fn new(labels: BTreeMap<String, BTreeMap<String, u64>>) -> Self {
        Self { published: ArcSwap::default(), labels, writer: Mutex::new(()) }
    }

    /// Publishes a version; from then on it is found.
    pub fn publish(&self, id: ModelId, model: Arc<T>) {
        let _one_writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = self.published.load().as_ref().clone();
        all.entry(id.name).or_default().insert(id.version, model);
        self.published.store(Arc::new(all));
    }

    /// The version that answers.
    ///
    /// # Errors
    /// [`ServingError`]: unknown model, version or label.
    pub fn resolve(&self, name: &str, selector: &Selector) -> Result<Arc<T>, ServingError> {
        let published = self.published.load();
        let versions =
            ModelName::parse(name).and_then(|name| published.get(&name)).ok_or_else(|| {
                ServingError::UnknownModel {
                    name: name.to_owned(),
                    known: joined(published.keys()),
                }
            })?;
        let unknown_version = |version| ServingError::UnknownVersion {
            name: name.to_owned(),
            version,
            known: joined(versions.keys()),
        };
        let version = match selector {
            Selector::Latest => None,
            Selector::Version(version) => Some(*version),
            Selector::Label(label) if label == LATEST => None,
            Selector::Label(label) => Some(self.labelled(name, label)?),
        };
        let found = match version {
            None => versions.last_key_value().map(|(_, model)| model),
            Some(version) => versions.get(&Version(version)),
        };
        found.cloned().ok_or_else(|| unknown_version(version.unwrap_or(0)))
    }

    fn labelled(&self, name: &str, label: &str) -> Result<u64, ServingError> {
        let labels = self.labels.get(name);
        labels.and_then(|labels| labels.get(label)).copied().ok_or_else(|| {
            ServingError::UnknownLabel {
                name: name.to_owned(),
                label: label.to_owned(),
                known: joined(
                    labels.into_iter().flat_map(|l| l.keys().cloned()).chain([LATEST.to_owned()]),
                ),
            }
        })
    }

    /// All published versions, by name and then by version.
    pub fn all(&self) -> Vec<(ModelId, Arc<T>)> {
        let published = self.published.load();
        let of_model = |(name, versions): (&ModelName, &BTreeMap<Version, Arc<T>>)| {
            let name = name.clone();
            versions
                .iter()
                .map(move |(version, model)| {
                    let id = ModelId { name: name.clone(), version: *version };
                    (id, Arc::clone(model))
                })
                .collect::<Vec<_>>()
        };
        published.iter().flat_map(of_model).collect()
    }

    /// The labels that name a published version, [`LATEST`] first.
    pub fn labels(&self, id: &ModelId) -> Vec<String> {
        let published = self.published.load();
        let highest = published.get(&id.name).and_then(|all| all.last_key_value());
        let latest = highest.filter(|(version, _)| **version == id.version);
        let named = self.labels.get(id.name.as_str()).into_iter().flatten();
        latest
            .map(|_| LATEST.to_owned())
            .into_iter()
            .chain(named.filter(|(_, v)| **v == id.version.0).map(|(label, _)| label.clone()))
            .collect()
    }
}

fn joined<T: ToString>(all: impl Iterator<Item = T>) -> String {
    match all.map(|one| one.to_string()).collect::<Vec<_>>() {
        none if none.is_empty() => "none".to_owned(),
        some => some.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry() -> Registry<u64> {
        let labels =
            [("m".to_owned(), BTreeMap::from([("stable".to_owned(), 9), ("gone".to_owned(), 8)]))];
        let registry = Registry::new(labels.into());
        for version in [10, 9, 2] {
            let name = ModelName::parse("m").unwrap();
            let id = ModelId { name, version: Version(version) };
            registry.publish(id, Arc::new(version));
        }
        registry
    }

    #[track_caller]
    fn check(name: &str, selector: Selector, want: Result<u64, &str>) {
        match (registry().resolve(name, &selector), want) {
            (Ok(got), Ok(want)) => assert_eq!(*got, want),
            (Err(got), Err(want)) => assert!(got.to_string().contains(want), "{got}"),
            (got, want) => panic!("{got:?} is not {want:?}"),
        }
    }

    #[test]
    fn a_selector_finds_its_version() {
        check("m", Selector::Latest, Ok(10));
        check("m", Selector::Version(2), Ok(2));
        check("m", Selector::Label("stable".into()), Ok(9));
        check("m", Selector::Label("latest".into()), Ok(10));
    }

    #[test]
    fn what_is_not_there_is_named_with_what_is() {
        check("m", Selector::Version(3), Err("version 3; loaded are: 2, 9, 10"));
        check(
            "m",
            Selector::Label("canary".into()),
            Err("no label `canary`; its labels are: gone, stable, latest"),
        );
        check("m", Selector::Label("gone".into()), Err("version 8"));
        check("n", Selector::Latest, Err("loaded are: m"));
        check("../m", Selector::Latest, Err("not loaded"));
    }
}
