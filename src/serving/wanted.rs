//! What shall serve: of what is in the repository, by what `serving.toml` and the configuration say.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    ids::{ModelId, ModelName, Version},
    repository::{LoadWhich, SERVING_FILE, ServingFile, ServingSpec, Target},
    serving::registry::{LATEST, Labels, Route},
};

/// Which version a route shall lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// The highest that is wanted and can be had.
    Highest,
    /// This one.
    Version(Version),
}

/// What shall serve.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Versions that shall be loaded.
    pub versions: BTreeSet<ModelId>,
    /// Versions that have a share of the users, or are the shadow: none of them is the highest before it is promoted.
    pub trials: BTreeSet<ModelId>,
    /// Those of them that nothing leads to: they score live requests off the answer's path.
    pub shadows: BTreeSet<ModelId>,
    /// Versions that only stay because they were live until a short while ago: the highest is none of them, for what is live now
    /// may not be wanted any more while its successor is on its way.
    pub warm: BTreeSet<ModelId>,
    /// Where requests shall go that do not name a version.
    pub aims: BTreeMap<Route, Aim>,
}

/// What is in the repository, and what is said of it.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// Every version, with the encoder version that it needs.
    pub found: &'a BTreeMap<ModelId, Option<ModelId>>,
    /// Those among them that cannot be loaded as they are.
    pub unfit: &'a BTreeSet<ModelId>,
    /// Those that are loaded and were live until a short while ago.
    pub warm: &'a BTreeSet<ModelId>,
    /// `serving.toml`.
    pub file: &'a ServingFile,
    /// The labels of the configuration.
    pub labels: &'a Labels,
}

impl Said<'_> {
    /// What is said of a model, with the labels of the configuration where the file does not have them.
    pub fn spec_of(&self, name: &ModelName) -> ServingSpec {
        let mut spec = self.file.of(name);
        for (label, version) in self.labels.get(name.as_str()).into_iter().flatten() {
            spec.labels.entry(label.clone()).or_insert(*version);
        }
        spec.labels.remove(LATEST);
        spec
    }
}

impl Wanted {
    /// Works out what shall serve.
    pub fn of(said: &Said<'_>) -> Self {
        let mut wanted = Self::default();
        let names: BTreeSet<&ModelName> = said.found.keys().map(|id| &id.name).collect();
        for name in names {
            wanted.add_model(name, said);
        }
        let needed: Vec<ModelId> = wanted
            .versions
            .iter()
            .filter_map(|id| said.found.get(id)?.clone())
            .filter(|encoder| said.found.contains_key(encoder) && !said.unfit.contains(encoder))
            .collect();
        wanted.versions.extend(needed);
        wanted
    }

    /// What the file names and the repository does not have; that is not wrong, for it may come yet.
    pub fn missing(said: &Said<'_>) -> Vec<String> {
        let mut missing = Vec::new();
        for (name, spec) in &said.file.models {
            let own = || said.found.keys().filter(|id| id.name.as_str() == name);
            let Some(model) = own().next().map(|id| &id.name) else {
                missing.push(format!("{SERVING_FILE}: models.{name} is not in the repository"));
                continue;
            };
            missing.extend(astray(name, &said.spec_of(model), |version| {
                own().any(|id| id.version == version)
            }));
            let live = spec.live_version().map(|version| ("live".to_owned(), version));
            let labels = spec.labels.iter().map(|(l, v)| (format!("labels.{l}"), Version(*v)));
            for (key, version) in live.into_iter().chain(labels) {
                if !own().any(|id| id.version == version) {
                    missing.push(format!(
                        "{SERVING_FILE}: models.{name}.{key} is {version}, which is not in the repository"
                    ));
                }
            }
        }
        missing
    }

    fn add_model(&mut self, name: &ModelName, said: &Said<'_>) {
        let spec = said.spec_of(name);
        let live = spec.live_version().map_or(Aim::Highest, Aim::Version);
        self.aims.insert(Route::live(name), live);
        let labelled: BTreeSet<Version> = spec.labels.values().copied().map(Version).collect();
        for (label, version) in &spec.labels {
            self.aims.insert(Route::label(name, label), Aim::Version(Version(*version)));
        }
        let fit = said.found.keys().filter(|id| {
            let may = !said.unfit.contains(*id) && spec.rejection(id.version).is_none();
            id.name == *name && may
        });
        let named = |targets: &mut dyn Iterator<Item = &Target>| -> BTreeSet<Version> {
            targets.filter_map(|target| spec.version_of(target)).collect()
        };
        let targets = named(&mut spec.targets());
        let led = named(&mut spec.split.keys().chain(spec.callers.values()));
        let shadow = named(&mut spec.shadow.iter().map(|shadow| &shadow.version));
        let tried: BTreeSet<Version> =
            named(&mut spec.split.keys()).union(&shadow).copied().collect();
        let highest = fit.clone().map(|id| id.version).filter(|id| !tried.contains(id)).max();
        let is_live = |version: Version| match live {
            Aim::Highest => Some(version) == highest,
            Aim::Version(live) => version == live,
        };
        let own = |version: &Version| ModelId { name: name.clone(), version: *version };
        let unled = |version: &&Version| {
            !is_live(**version) && !labelled.contains(version) && !led.contains(version)
        };
        self.trials.extend(tried.iter().map(own));
        self.shadows.extend(shadow.iter().filter(unled).map(own));
        let is_named = |version: Version| {
            is_live(version) || labelled.contains(&version) || targets.contains(&version)
        };
        let wants = |id: &&ModelId| {
            let number = id.version.0;
            let stays = spec.load == LoadWhich::All || spec.loaded.contains(&number);
            is_named(id.version) || (stays && !spec.unloaded.contains(&number))
        };
        let is_warm = |id: &&ModelId| {
            said.warm.contains(*id) && !spec.unloaded.contains(&id.version.0) && !wants(id)
        };
        self.warm.extend(fit.clone().filter(is_warm).cloned());
        self.versions.extend(fit.filter(|id| wants(id) || is_warm(id)).cloned());
    }
}

/// What shares, callers and the shadow name that cannot have it.
fn astray(name: &str, spec: &ServingSpec, is_there: impl Fn(Version) -> bool) -> Vec<String> {
    let shares = spec.split.keys().map(|target| (format!("split.{target}"), target));
    let callers = spec.callers.iter().map(|(caller, to)| (format!("callers.{caller}"), to));
    let shadow = spec.shadow.iter().map(|shadow| ("shadow.version".to_owned(), &shadow.version));
    let wrong = |(key, target): (String, &Target)| {
        let wrong = match spec.version_of(target) {
            None => format!("names the label {target}, which is not there"),
            Some(version) if spec.rejection(version).is_some() => {
                format!("names {version}, which is rejected")
            }
            Some(version) if is_there(version) => return None,
            Some(version) => format!("names {version}, which is not in the repository"),
        };
        Some(format!("{SERVING_FILE}: models.{name}.{key} {wrong}"))
    };
    shares.chain(callers).chain(shadow).filter_map(wrong).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `name/version`, or `name/version>encoder/version`.
    fn found(all: &[&str]) -> BTreeMap<ModelId, Option<ModelId>> {
        let one = |text: &&str| match text.split_once('>') {
            Some((id, needs)) => (parse(id), Some(parse(needs))),
            None => (parse(text), None),
        };
        all.iter().map(one).collect()
    }

    fn parse(text: &str) -> ModelId {
        let (name, version) = text.split_once('/').unwrap();
        ModelId { name: ModelName::parse(name).unwrap(), version: Version::parse(version).unwrap() }
    }

    #[track_caller]
    fn check(all: &[&str], unfit: &[&str], file: &str, versions: &[&str], aims: &[(&str, u64)]) {
        check_warm(&[], (all, unfit), file, versions, aims);
    }

    #[track_caller]
    fn check_warm(
        warm: &[&str],
        (all, unfit): (&[&str], &[&str]),
        file: &str,
        versions: &[&str],
        aims: &[(&str, u64)],
    ) {
        let labels = Labels::from([("r".to_owned(), BTreeMap::from([("old".to_owned(), 1)]))]);
        let said = Said {
            found: &found(all),
            unfit: &unfit.iter().map(|text| parse(text)).collect(),
            warm: &warm.iter().map(|text| parse(text)).collect(),
            file: &ServingFile::parse(file).unwrap(),
            labels: &labels,
        };
        let wanted = Wanted::of(&said);
        let got: Vec<String> = wanted.versions.iter().map(ToString::to_string).collect();
        assert_eq!(got, versions, "{file}");
        let got: Vec<(String, u64)> = wanted
            .aims
            .iter()
            .map(|(route, aim)| match aim {
                Aim::Highest => (route.to_string(), 0),
                Aim::Version(version) => (route.to_string(), version.0),
            })
            .collect();
        let want: Vec<(String, u64)> = aims.iter().map(|(r, v)| ((*r).to_owned(), *v)).collect();
        assert_eq!(got, want, "{file}");
    }

    const ALL: [&str; 5] = ["e/1", "e/2", "r/1>e/1", "r/2>e/1", "r/10>e/2"];
    const AIMS: [(&str, u64); 3] = [("e", 0), ("r", 0), ("r@old", 1)];

    #[test]
    fn without_a_file_everything_is_wanted() {
        check(&[], &[], "", &[], &[]);
        check(&ALL, &[], "", &["e/1", "e/2", "r/1", "r/2", "r/10"], &AIMS);
        check(&ALL, &["r/2", "e/1"], "", &["e/2", "r/1", "r/10"], &AIMS);
    }

    #[test]
    fn versions_are_loaded_and_left_out_by_number() {
        let versions = ["e/2", "r/2", "r/10"];
        let file = "[models.r]\nload = \"live\"\nloaded = [2]\n[models.e]\nunloaded = [1]";
        check(&ALL, &["r/1"], file, &["e/1", "e/2", "r/2", "r/10"], &AIMS);
        check(&["e/1", "e/2", "r/2", "r/10"], &[], file, &versions, &AIMS);
    }

    #[test]
    fn what_was_live_stays_for_a_while() {
        let file = "[models.r]\nload = \"live\"\nlive = 10\n[models.e]\nload = \"live\"";
        let aims = [("e", 0), ("r", 10), ("r@old", 1)];
        let labelled = ["e/1", "e/2", "r/1", "r/10"];
        check(&ALL, &[], file, &labelled, &aims);
        let warm = ["e/1", "e/2", "r/1", "r/2", "r/10"];
        check_warm(&["r/2"], (&ALL, &[]), file, &warm, &aims);
        check_warm(&["r/2"], (&ALL, &["r/2"]), file, &labelled, &aims);
        let gone = ["e/1", "e/2", "r/1>e/1", "r/10>e/2"];
        check_warm(&["r/2"], (&gone, &[]), file, &labelled, &aims);
        for ended in ["unloaded = [2]", "rejected = { 2 = \"x\" }"] {
            let file = file.replace("live = 10", &format!("live = 10\n{ended}"));
            check_warm(&["r/2"], (&ALL, &[]), &file, &labelled, &aims);
        }
    }

    #[test]
    fn what_is_rejected_is_not_the_highest() {
        let file = "[models.r]\nload = \"live\"\nrejected = { 10 = \"it was worse\" }";
        check(&ALL, &[], file, &["e/1", "e/2", "r/1", "r/2"], &AIMS);
    }

    #[test]
    fn what_traffic_names_is_wanted() {
        let file = "[models.r]\nload = \"live\"\nlive = 1\nsplit = { 2 = 5 }\nshadow = { version = \"new\" }\nlabels = { new = 10 }";
        let aims = [("e", 0), ("r", 1), ("r@new", 10), ("r@old", 1)];
        check(&ALL, &[], file, &["e/1", "e/2", "r/1", "r/2", "r/10"], &aims);
    }

    #[test]
    fn the_file_goes_before_the_configuration() {
        let file = "[models.r]\nlive = 2\nlabels = { old = 2, new = 10 }";
        let aims = [("e", 0), ("r", 2), ("r@new", 10), ("r@old", 2)];
        check(&ALL, &[], file, &["e/1", "e/2", "r/1", "r/2", "r/10"], &aims);
    }

    #[test]
    fn live_alone_is_the_live_one_the_labelled_and_their_encoders() {
        let file = "[models.r]\nload = \"live\"\n[models.e]\nload = \"live\"\nlive = 2";
        let aims = [("e", 2), ("r", 0), ("r@old", 1)];
        check(&ALL, &[], file, &["e/1", "e/2", "r/1", "r/10"], &aims);
        let file = "[models.r]\nload = \"live\"\nlive = 2\n[models.e]\nload = \"live\"";
        check(&ALL, &["r/1", "e/2"], file, &["e/1", "r/2"], &[("e", 0), ("r", 2), ("r@old", 1)]);
    }

    #[test]
    fn the_next_best_is_wanted_where_the_latest_is_unfit() {
        let file = "[models.r]\nload = \"live\"";
        check(&ALL, &["r/10"], file, &["e/1", "e/2", "r/1", "r/2"], &AIMS);
    }

    #[test]
    fn what_is_missing_is_told() {
        let file = "[models.r]\nlive = 7\nlabels = { a = 2, b = 3 }\n\
            rejected = { 10 = \"worse\" }\nsplit = { a = 1, gone = 1, 4 = 1, 10 = 1 }\n\
            callers = { old = \"old\", c = 8 }\nshadow = { version = 9 }\n[models.x]\nlive = 1";
        let labels = Labels::from([("r".to_owned(), BTreeMap::from([("old".to_owned(), 1)]))]);
        let missing = Wanted::missing(&Said {
            warm: &BTreeSet::new(),
            found: &found(&ALL),
            unfit: &BTreeSet::new(),
            file: &ServingFile::parse(file).unwrap(),
            labels: &labels,
        });
        let told = |words: &str| missing.iter().filter(|line| line.contains(words)).count();
        let words = [
            "r.live is 7",
            "labels.b is 3",
            "x is not",
            "split.gone names the label gone",
            "split.4 names 4, which is not in",
            "split.10 names 10, which is rejected",
            "callers.c names 8",
            "shadow.version names 9",
        ];
        assert_eq!(words.map(told), [1; 8], "{missing:?}");
        assert_eq!(missing.len(), words.len(), "{missing:?}");
    }

    #[track_caller]
    fn check_trials(file: &str, versions: &[&str], trials: &[&str], shadows: &[&str]) {
        let labels = Labels::from([("r".to_owned(), BTreeMap::from([("old".to_owned(), 1)]))]);
        let wanted = Wanted::of(&Said {
            found: &found(&["r/1", "r/2", "r/10"]),
            unfit: &BTreeSet::new(),
            warm: &BTreeSet::new(),
            file: &ServingFile::parse(&format!("[models.r]\nload = \"live\"\n{file}")).unwrap(),
            labels: &labels,
        });
        let told =
            |ids: &BTreeSet<ModelId>| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(told(&wanted.versions), versions, "{file}");
        assert_eq!(told(&wanted.trials), trials, "{file}");
        assert_eq!(told(&wanted.shadows), shadows, "{file}");
    }

    #[test]
    fn a_shadow_is_what_nothing_leads_to() {
        let shadow = |of: &str| format!("shadow = {{ version = {of} }}");
        check_trials(&shadow("2"), &["r/1", "r/2", "r/10"], &["r/2"], &["r/2"]);
        check_trials(&shadow("1"), &["r/1", "r/10"], &["r/1"], &[]);
        check_trials(&shadow("\"old\""), &["r/1", "r/10"], &["r/1"], &[]);
        let also = |more: &str| format!("{more}\n{}", shadow("2"));
        let all = ["r/1", "r/2", "r/10"];
        check_trials(&also("live = 2"), &["r/1", "r/2"], &["r/2"], &[]);
        check_trials(&also("split = { 2 = 5 }"), &all, &["r/2"], &[]);
        check_trials(&also("callers = { a = 2 }"), &all, &["r/2"], &[]);
        check_trials(&also("labels = { new = 2 }"), &all, &["r/2"], &[]);
    }

    #[test]
    fn what_is_tried_is_not_the_highest() {
        let all = ["r/1", "r/2", "r/10"];
        check_trials("split = { 10 = 5 }", &all, &["r/10"], &[]);
        check_trials("shadow = { version = 10 }", &all, &["r/10"], &["r/10"]);
        check_trials("callers = { a = 10 }", &["r/1", "r/10"], &[], &[]);
        let worse = "split = { 10 = 5 }\nrejected = { 10 = \"worse\" }";
        check_trials(worse, &["r/1", "r/2"], &["r/10"], &[]);
    }

    #[test]
    fn a_version_that_is_not_there_is_aimed_at_and_not_wanted() {
        let file = "[models.r]\nload = \"live\"\nlive = 7\n[models.x]\nlive = 1";
        check(&ALL[..2], &[], file, &["e/1", "e/2"], &[("e", 0)]);
        check(&ALL, &[], file, &["e/1", "e/2", "r/1"], &[("e", 0), ("r", 7), ("r@old", 1)]);
    }
}
