//! The published versions, and which of them answers.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;

use crate::{
    ids::{ModelId, ModelName, Version},
    serving::{
        error::{ServingError, joined},
        traffic::{Asker, Traffic, TrafficRules},
    },
};

/// The label of the highest published version of each model.
pub const LATEST: &str = "latest";

/// Versions by model and label.
pub type Labels = BTreeMap<String, BTreeMap<String, u64>>;

/// Which version of a model is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Selector {
    /// The live one: the highest, unless `serving.toml` says otherwise.
    #[default]
    Live,
    /// This one.
    Version(u64),
    /// The one that has this label.
    Label(String),
}

/// What leads to a version without naming it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// The model.
    pub model: ModelName,
    /// The label; none: requests that name neither version nor label.
    pub label: Option<Arc<str>>,
}

impl Route {
    /// That of requests which name neither version nor label.
    pub fn live(model: &ModelName) -> Self {
        Self { model: model.clone(), label: None }
    }

    /// That of a label.
    pub fn label(model: &ModelName, label: &str) -> Self {
        Self { model: model.clone(), label: Some(label.into()) }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.label {
            None => self.model.fmt(f),
            Some(label) => write!(f, "{}@{label}", self.model),
        }
    }
}

/// The published versions of all models; `T` is whatever the pipeline needs of one.
///
/// A reader takes one pointer and sees either all of a change or nothing of it.
#[derive(Debug)]
pub struct Registry<T> {
    published: ArcSwap<Published<T>>,
    writer: Mutex<()>,
    /// What was taken back, and may still answer those who have it.
    leaving: Mutex<Vec<(ModelId, Weak<T>)>>,
    /// Requests so far that were drawn by number.
    nameless: AtomicU64,
}

/// The version that answers a request.
#[derive(Debug)]
pub struct Chosen<T> {
    /// What is published of it.
    pub model: Arc<T>,
    /// The model's traffic, where the request named no version and some are tried beside the live one.
    pub traffic: Option<Arc<Traffic>>,
}

#[derive(Debug)]
struct Published<T> {
    versions: BTreeMap<ModelName, BTreeMap<Version, Arc<T>>>,
    routes: BTreeMap<Route, Version>,
    traffic: BTreeMap<ModelName, Arc<Traffic>>,
}

impl<T> Clone for Published<T> {
    fn clone(&self) -> Self {
        Self {
            versions: self.versions.clone(),
            routes: self.routes.clone(),
            traffic: self.traffic.clone(),
        }
    }
}

impl<T> Default for Registry<T> {
    fn default() -> Self {
        let nothing = Published {
            versions: BTreeMap::new(),
            routes: BTreeMap::new(),
            traffic: BTreeMap::new(),
        };
        Self {
            published: ArcSwap::from_pointee(nothing),
            writer: Mutex::new(()),
            leaving: Mutex::default(),
            nameless: AtomicU64::new(0),
        }
    }
}

impl<T> Registry<T> {
    /// Publishes a version; from then on it is found.
    pub fn publish(&self, id: ModelId, model: Arc<T>) {
        self.change(|all| {
            all.versions.entry(id.name).or_default().insert(id.version, model);
        });
    }

    /// Takes a version back: nobody finds it any more, who has it keeps it.
    pub fn retire(&self, id: &ModelId) -> Option<Arc<T>> {
        let mut retired = None;
        self.change(|all| {
            if let Some(versions) = all.versions.get_mut(&id.name) {
                retired = versions.remove(&id.version);
                if versions.is_empty() {
                    all.versions.remove(&id.name);
                }
            }
        });
        if let Some(retired) = &retired {
            let mut leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
            leaving.retain(|(_, model)| model.strong_count() > 0);
            leaving.push((id.clone(), Arc::downgrade(retired)));
        }
        retired
    }

    /// All versions that answer somebody: the published ones, and those that were taken back and are still held; each once.
    pub fn held(&self) -> BTreeMap<ModelId, Arc<T>> {
        let leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        let leaving = leaving.iter().filter_map(|(id, model)| Some((id.clone(), model.upgrade()?)));
        leaving.chain(self.all()).collect()
    }

    /// Leads a route to a version, published or not; to none: live requests go to the highest version, the label is unknown.
    pub fn lead(&self, route: Route, to: Option<Version>) {
        self.change(|all| {
            match to {
                Some(version) => all.routes.insert(route, version),
                None => all.routes.remove(&route),
            };
        });
    }

    /// Has the traffic of all models go by these rules; that of a model which they do not name, to its live version.
    pub fn direct(&self, rules: &BTreeMap<ModelName, TrafficRules>) {
        let same = |traffic: &BTreeMap<ModelName, Arc<Traffic>>| {
            let named = |(name, rules): (&ModelName, &TrafficRules)| {
                traffic.get(name).map_or(rules.is_nothing(), |traffic| traffic.rules() == rules)
            };
            rules.iter().all(named) && traffic.keys().all(|name| rules.contains_key(name))
        };
        if same(&self.published.load().traffic) {
            return;
        }
        self.change(|all| {
            let directed = |(name, rules): (&ModelName, &TrafficRules)| {
                let before = all.traffic.get(name).map(Arc::as_ref);
                let traffic = Traffic::new(name, rules.clone(), before)?;
                Some((name.clone(), Arc::new(traffic)))
            };
            all.traffic = rules.iter().filter_map(directed).collect();
        });
    }

    /// Has no more traffic go to a version, unless it is asked for.
    pub fn divert(&self, from: &ModelId) {
        self.change(|all| {
            let Some(traffic) = all.traffic.remove(&from.name) else { return };
            let rest = traffic.without(&from.name, from.version);
            all.traffic.extend(rest.map(|rest| (from.name.clone(), Arc::new(rest))));
        });
    }

    /// The traffic of each model that does not all go to its live version.
    pub fn traffic(&self) -> BTreeMap<ModelName, Arc<Traffic>> {
        self.published.load().traffic.clone()
    }

    fn change(&self, change: impl FnOnce(&mut Published<T>)) {
        let _one_writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = self.published.load().as_ref().clone();
        change(&mut all);
        self.published.store(Arc::new(all));
    }

    /// The version that a selector finds.
    ///
    /// # Errors
    /// [`ServingError`]: unknown model, version or label.
    pub fn resolve(&self, name: &str, selector: &Selector) -> Result<Arc<T>, ServingError> {
        self.published.load().find(name, selector).map(Arc::clone)
    }

    /// The version that answers who asks: the one that the model's traffic leads them to, where they name none and it is ready.
    ///
    /// # Errors
    /// Those of [`Self::resolve`].
    pub fn choose(
        &self,
        name: &str,
        selector: &Selector,
        asker: &Asker<'_>,
    ) -> Result<Chosen<T>, ServingError> {
        let published = self.published.load();
        let traffic = match selector {
            Selector::Live => published.traffic.get(name),
            Selector::Version(_) | Selector::Label(_) => None,
        };
        let number = || self.nameless.fetch_add(1, Ordering::Relaxed);
        let led = traffic.and_then(|traffic| traffic.target(asker, number));
        let led = led.and_then(|version| published.versions.get(name)?.get(&version));
        let model = match led {
            Some(model) => model,
            None => published.find(name, selector)?,
        };
        let traffic = traffic.filter(|traffic| !traffic.tried().is_empty());
        Ok(Chosen { model: Arc::clone(model), traffic: traffic.map(Arc::clone) })
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
        published.versions.iter().flat_map(of_model).collect()
    }

    /// Where every route leads.
    pub fn routes(&self) -> BTreeMap<Route, Version> {
        self.published.load().routes.clone()
    }

    /// The labels that name a published version, [`LATEST`] first.
    pub fn labels(&self, id: &ModelId) -> Vec<String> {
        let published = self.published.load();
        let latest = (published.highest(&id.name) == Some(id.version)).then(|| LATEST.to_owned());
        let named = published
            .routes
            .iter()
            .filter(|(route, version)| route.model == id.name && **version == id.version);
        let labels = named.filter_map(|(route, _)| route.label.as_deref().map(str::to_owned));
        latest.into_iter().chain(labels).collect()
    }

    /// Whether a version answers requests that name neither version nor label.
    pub fn is_live(&self, id: &ModelId) -> bool {
        self.live(&id.name) == Some(id.version)
    }

    /// The version that answers requests which name neither version nor label, and that no other traffic has.
    pub fn live(&self, model: &ModelName) -> Option<Version> {
        let published = self.published.load();
        let led = published.routes.get(&Route::live(model)).copied();
        led.or_else(|| published.highest(model))
    }
}

impl<T> Published<T> {
    fn find(&self, name: &str, selector: &Selector) -> Result<&Arc<T>, ServingError> {
        let found = self.versions.get_key_value(name);
        let (model, versions) = found.ok_or_else(|| ServingError::UnknownModel {
            name: name.to_owned(),
            known: joined(self.versions.keys()),
        })?;
        let version = match selector {
            Selector::Live => self.routes.get(&Route::live(model)).copied(),
            Selector::Version(version) => Some(Version(*version)),
            Selector::Label(label) if label == LATEST => None,
            Selector::Label(label) => Some(self.labelled(model, label)?),
        };
        let found = match version {
            None => versions.last_key_value().map(|(_, model)| model),
            Some(version) => versions.get(&version),
        };
        found.ok_or_else(|| ServingError::UnknownVersion {
            name: name.to_owned(),
            version: version.map_or(0, |version| version.0),
            known: joined(versions.keys()),
        })
    }

    fn highest(&self, name: &ModelName) -> Option<Version> {
        self.versions.get(name)?.last_key_value().map(|(version, _)| *version)
    }

    fn labelled(&self, model: &ModelName, label: &str) -> Result<Version, ServingError> {
        let found = self.routes.get(&Route::label(model, label)).copied();
        found.ok_or_else(|| {
            let own = self.routes.keys().filter(|route| route.model == *model);
            let labels = own.filter_map(|route| route.label.as_deref());
            ServingError::UnknownLabel {
                name: model.to_string(),
                label: label.to_owned(),
                known: joined(labels.chain([LATEST])),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::repository::ServingFile;

    use super::*;

    fn name() -> ModelName {
        ModelName::parse("m").unwrap()
    }

    fn id(version: u64) -> ModelId {
        ModelId { name: name(), version: Version(version) }
    }

    fn registry() -> Registry<u64> {
        let registry = Registry::default();
        for version in [10, 9, 2] {
            registry.publish(id(version), Arc::new(version));
        }
        registry.lead(Route::label(&name(), "stable"), Some(Version(9)));
        registry.lead(Route::label(&name(), "gone"), Some(Version(8)));
        registry
    }

    #[track_caller]
    fn check_in(registry: &Registry<u64>, name: &str, selector: Selector, want: Result<u64, &str>) {
        match (registry.resolve(name, &selector), want) {
            (Ok(got), Ok(want)) => assert_eq!(*got, want),
            (Err(got), Err(want)) => assert!(got.to_string().contains(want), "{got}"),
            (got, want) => panic!("{got:?} is not {want:?}"),
        }
    }

    #[track_caller]
    fn check(name: &str, selector: Selector, want: Result<u64, &str>) {
        check_in(&registry(), name, selector, want);
    }

    #[test]
    fn a_selector_finds_its_version() {
        check("m", Selector::Live, Ok(10));
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
        check("n", Selector::Live, Err("loaded are: m"));
        check("../m", Selector::Live, Err("not loaded"));
    }

    #[test]
    fn live_is_where_its_route_leads() {
        let registry = registry();
        assert!(registry.is_live(&id(10)) && !registry.is_live(&id(9)));
        registry.lead(Route::live(&name()), Some(Version(9)));
        check_in(&registry, "m", Selector::Live, Ok(9));
        check_in(&registry, "m", Selector::Label("latest".into()), Ok(10));
        assert!(registry.is_live(&id(9)) && !registry.is_live(&id(10)));
        assert_eq!(registry.labels(&id(9)), ["stable"]);
        assert_eq!(registry.labels(&id(10)), ["latest"]);
        registry.lead(Route::live(&name()), Some(Version(11)));
        check_in(&registry, "m", Selector::Live, Err("version 11; loaded are: 2, 9, 10"));
        registry.lead(Route::live(&name()), None);
        check_in(&registry, "m", Selector::Live, Ok(10));
    }

    fn directed(registry: &Registry<u64>, said: &str) {
        let file = ServingFile::parse(&format!("[models.m]\n{said}")).unwrap();
        let rules = TrafficRules::of(&file.of(&name()));
        registry.direct(&BTreeMap::from([(name(), rules)]));
    }

    #[track_caller]
    fn check_choice(registry: &Registry<u64>, selector: Selector, want: u64, tried: bool) {
        let asker = Asker { user: "anna", ..Asker::default() };
        let chosen = registry.choose("m", &selector, &asker).unwrap();
        assert_eq!((*chosen.model, chosen.traffic.is_some()), (want, tried));
    }

    #[test]
    fn traffic_leads_who_names_no_version() {
        let registry = registry();
        check_choice(&registry, Selector::Live, 10, false);
        directed(&registry, "split = { 2 = 100 }");
        check_choice(&registry, Selector::Live, 2, true);
        check_choice(&registry, Selector::Version(9), 9, false);
        check_choice(&registry, Selector::Label("stable".into()), 9, false);
        check_in(&registry, "m", Selector::Live, Ok(10));
        directed(&registry, "split = { 3 = 100 }");
        check_choice(&registry, Selector::Live, 10, true);
        directed(&registry, "callers = { a = 2 }");
        check_choice(&registry, Selector::Live, 10, false);
        directed(&registry, "split = { 2 = 50, 9 = 50 }");
        registry.divert(&id(9));
        registry.divert(&id(2));
        check_choice(&registry, Selector::Live, 10, false);
        assert!(registry.traffic().is_empty());
        let unknown = registry.choose("n", &Selector::Live, &Asker::default());
        assert!(unknown.unwrap_err().to_string().contains("loaded are: m"));
    }

    #[test]
    fn the_same_rules_change_nothing() {
        let registry = registry();
        directed(&registry, "split = { 2 = 10 }");
        let first = Arc::clone(&registry.traffic()[&name()]);
        directed(&registry, "split = { 2 = 10 }");
        assert!(Arc::ptr_eq(&first, &registry.traffic()[&name()]));
        registry.direct(&BTreeMap::new());
        assert!(registry.traffic().is_empty());
    }

    #[test]
    fn who_has_a_retired_version_keeps_it() {
        let registry = registry();
        let held = registry.resolve("m", &Selector::Version(10)).unwrap();
        drop(registry.retire(&id(10)));
        check_in(&registry, "m", Selector::Live, Ok(9));
        assert_eq!((*held, Arc::strong_count(&held)), (10, 1));
        registry.retire(&id(9));
        registry.retire(&id(2));
        assert!(registry.retire(&id(2)).is_none());
        check_in(&registry, "m", Selector::Live, Err("loaded are: none"));
    }
}
