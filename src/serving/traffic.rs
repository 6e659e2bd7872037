//! Which version answers a request that names none, and which versions are tried beside the live one.

use std::{collections::BTreeMap, sync::Arc};

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::{
    ids::{ModelName, Version},
    repository::{GuardRails, ServingSpec},
    serving::{comparison::Beside, tally::Tally},
};

/// Who asks, where neither version nor label is named.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asker<'a> {
    /// The user's id; empty where there is none.
    pub user: &'a str,
    /// The caller's name for the request; empty where there is none.
    pub request_id: &'a str,
    /// The service that asks; empty where it did not say.
    pub caller: &'a str,
}

/// What `serving.toml` says of a model's traffic, with versions in the place of labels.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrafficRules {
    /// Callers that have a version of their own.
    pub callers: BTreeMap<String, Version>,
    /// The share of the users, in percent, that a version has.
    pub shares: BTreeMap<Version, f64>,
    /// Versions that are compared with the live one: what for, and on which share of requests, in percent.
    pub trials: BTreeMap<Version, (Beside, f64)>,
    /// What promotes or takes back the versions that are tried.
    pub rails: Option<GuardRails>,
}

impl TrafficRules {
    /// Reads the rules; what is rejected, or names no version, has no traffic.
    pub fn of(spec: &ServingSpec) -> Self {
        let version_of = |target| {
            let version = spec.version_of(target)?;
            let may = spec.rejection(version).is_none() && spec.live_version() != Some(version);
            may.then_some(version)
        };
        let mut rules = Self { rails: spec.guard_rails.clone(), ..Self::default() };
        for (caller, target) in &spec.callers {
            // Of callers the live version is one like others.
            let version = spec.version_of(target);
            let version = version.filter(|version| spec.rejection(*version).is_none());
            rules.callers.extend(version.map(|version| (caller.clone(), version)));
        }
        for (target, share) in spec.split.iter().filter(|(_, share)| **share > 0.0) {
            if let Some(version) = version_of(target) {
                *rules.shares.entry(version).or_default() += share;
            }
        }
        let compared = spec.guard_rails.clone().unwrap_or_default().compare_share;
        let canaries = rules.shares.keys().map(|version| (*version, (Beside::Canary, compared)));
        rules.trials = canaries.collect();
        if let Some(shadow) = &spec.shadow
            && let Some(version) = version_of(&shadow.version)
        {
            let (_, share) = rules.trials.entry(version).or_insert((Beside::Shadow, 0.0));
            *share = share.max(shadow.share);
        }
        rules
    }

    /// Whether all requests go to the live version, and nothing is tried.
    pub(super) fn is_nothing(&self) -> bool {
        self.callers.is_empty() && self.shares.is_empty() && self.trials.is_empty()
    }

    /// Without a version.
    fn without(mut self, version: Version) -> Self {
        self.callers.retain(|_, of| *of != version);
        self.shares.remove(&version);
        self.trials.remove(&version);
        self
    }
}

/// A version that is compared with the live one.
#[derive(Debug, Clone)]
pub struct Tried {
    /// The version.
    pub version: Version,
    /// What for.
    pub beside: Beside,
    /// The share of requests that both score, in percent.
    pub percent: f64,
    /// What is known of it.
    pub tally: Arc<Tally>,
}

/// A model's traffic: who is answered by which version, and what is known of the versions that are tried.
#[derive(Debug)]
pub struct Traffic {
    rules: TrafficRules,
    draws: Vec<Draw>,
    tried: Vec<Tried>,
}

/// One version's draw among the users whom no version before it has drawn.
#[derive(Debug, Clone, Copy)]
struct Draw {
    version: Version,
    seed: u64,
    /// The share of those users, from 0 to 1.
    share: f64,
}

impl Traffic {
    /// Makes a model's traffic; what is known of versions that were tried before as they are now is kept.
    ///
    /// None where all requests go to the live version and nothing is tried.
    pub fn new(model: &ModelName, rules: TrafficRules, before: Option<&Self>) -> Option<Self> {
        if rules.is_nothing() {
            return None;
        }
        let mut left = 100.0;
        let draw = |(version, percent): (&Version, &f64)| {
            let share = if left > 0.0 { percent / left } else { 0.0 };
            left -= percent;
            Draw { version: *version, seed: seed(model, *version), share }
        };
        let draws = rules.shares.iter().map(draw).collect();
        let top_k = rules.rails.clone().unwrap_or_default().top_k;
        let tried = rules.trials.iter().map(|(version, (beside, percent))| {
            let same = |tried: &&Tried| {
                (tried.version, tried.beside, tried.tally.top_k()) == (*version, *beside, top_k)
            };
            let known = before.and_then(|before| before.tried.iter().find(same));
            let tally = known.map(|tried| Arc::clone(&tried.tally));
            Tried {
                version: *version,
                beside: *beside,
                percent: *percent,
                tally: tally.unwrap_or_else(|| Arc::new(Tally::new(top_k))),
            }
        });
        let tried = tried.collect();
        Some(Self { rules, draws, tried })
    }

    /// This traffic without a version; none where nothing is left.
    pub fn without(&self, model: &ModelName, version: Version) -> Option<Self> {
        Self::new(model, self.rules.clone().without(version), Some(self))
    }

    /// The rules.
    pub fn rules(&self) -> &TrafficRules {
        &self.rules
    }

    /// The versions that are compared with the live one.
    pub fn tried(&self) -> &[Tried] {
        &self.tried
    }

    /// The version that answers; none: the live one. `number` draws for requests that have no name.
    ///
    /// A user always has the same answer from every server, until the shares change: whom a version has drawn it keeps when its share
    /// grows, unless a version with a lower number draws them.
    pub fn target(&self, asker: &Asker<'_>, number: impl FnOnce() -> u64) -> Option<Version> {
        if let Some(version) = self.rules.callers.get(asker.caller) {
            return Some(*version);
        }
        if self.draws.is_empty() {
            return None;
        }
        let counted;
        let key = match (asker.user, asker.request_id) {
            ("", "") => {
                counted = number().to_le_bytes();
                counted.as_slice()
            }
            ("", id) => id.as_bytes(),
            (user, _) => user.as_bytes(),
        };
        let drawn = self.draws.iter().find(|draw| position(draw.seed, key) < draw.share);
        drawn.map(|draw| draw.version)
    }
}

/// Has each version of each model draw for itself.
fn seed(model: &ModelName, version: Version) -> u64 {
    let mut key = model.as_str().as_bytes().to_vec();
    key.push(0);
    key.extend(version.0.to_le_bytes());
    xxh3_64(&key)
}

/// Where a user lies, from 0 to below 1, evenly and for ever.
fn position(seed: u64, key: &[u8]) -> f64 {
    (xxh3_64_with_seed(key, seed) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use crate::repository::ServingFile;

    use super::*;

    const USERS: usize = 100_000;

    fn model() -> ModelName {
        ModelName::parse("shop").unwrap()
    }

    fn rules(said: &str) -> TrafficRules {
        let file = ServingFile::parse(&format!("[models.shop]\n{said}")).unwrap();
        TrafficRules::of(&file.of(&model()))
    }

    fn traffic(said: &str) -> Traffic {
        Traffic::new(&model(), rules(said), None).unwrap()
    }

    /// The version of each user; 0 is the live one.
    fn versions(traffic: &Traffic) -> Vec<u64> {
        let version = |user: usize| {
            let user = format!("user-{user}");
            let asker = Asker { user: &user, ..Asker::default() };
            traffic.target(&asker, || panic!("it has a name")).map_or(0, |version| version.0)
        };
        (0..USERS).map(version).collect()
    }

    fn drawn(traffic: &Traffic, version: u64) -> Vec<bool> {
        versions(traffic).into_iter().map(|got| got == version).collect()
    }

    fn share(drawn: &[bool]) -> f64 {
        drawn.iter().filter(|drawn| **drawn).count() as f64 / drawn.len() as f64
    }

    /// Whether a share is within four standard deviations of what was drawn for.
    #[track_caller]
    fn check_share(drawn: &[bool], percent: f64) {
        let (got, want) = (share(drawn), percent / 100.0);
        let deviation = (want * (1.0 - want) / drawn.len() as f64).sqrt();
        assert!((got - want).abs() <= 4.0 * deviation, "{got} is not {want}");
    }

    #[test]
    fn every_version_has_its_share_of_the_users() {
        for percent in [0.5, 1.0, 10.0, 50.0, 99.5] {
            check_share(&drawn(&traffic(&format!("split = {{ 2 = {percent} }}")), 2), percent);
        }
        let three = traffic("split = { 2 = 10, 3 = 20, 4 = 30 }");
        for (version, percent) in [(2, 10.0), (3, 20.0), (4, 30.0), (0, 40.0)] {
            check_share(&drawn(&three, version), percent);
        }
        assert_eq!(share(&drawn(&traffic("split = { 2 = 100 }"), 2)), 1.0);
        let all = traffic("split = { 2 = 40, 3 = 60 }");
        assert_eq!(share(&drawn(&all, 0)), 0.0);
        check_share(&drawn(&all, 3), 60.0);
    }

    #[test]
    fn a_share_that_grows_keeps_those_whom_it_had() {
        let all =
            [1, 5, 10, 20, 60, 100].map(|n| drawn(&traffic(&format!("split = {{ 2 = {n} }}")), 2));
        for (small, large) in all.iter().zip(&all[1..]) {
            assert!(small.iter().zip(large).all(|(small, large)| *large || !small));
        }
        // Of two, the second loses those alone whom the first draws.
        let (before, after) =
            (traffic("split = { 2 = 10, 3 = 10 }"), traffic("split = { 2 = 20, 3 = 10 }"));
        for (before, after) in versions(&before).into_iter().zip(versions(&after)) {
            assert!(before == after || after == 2 || (before, after) == (0, 3));
        }
    }

    #[test]
    fn another_version_and_another_model_draw_others() {
        let of = |model: &str, version: u64| {
            let rules = rules(&format!("split = {{ {version} = 50 }}"));
            let traffic = Traffic::new(&ModelName::parse(model).unwrap(), rules, None);
            drawn(&traffic.unwrap(), version)
        };
        let first = of("shop", 2);
        for other in [of("shop", 3), of("other", 2)] {
            let both: Vec<bool> = first.iter().zip(&other).map(|(a, b)| *a && *b).collect();
            check_share(&both, 25.0);
        }
        assert_eq!(first, of("shop", 2));
    }

    #[test]
    fn positions_are_the_same_on_every_machine() {
        let near = |key: &str, want: f64| {
            let got = position(seed(&model(), Version(2)), key.as_bytes());
            assert!((got - want).abs() < 1e-9, "{key} lies at {got}");
        };
        // As the package `xxhash` for Python has them.
        near("anna", 0.132_050_997_942);
        near("berta", 0.356_465_983_343);
    }

    #[test]
    fn who_has_no_name_is_drawn_by_the_request_or_by_number() {
        let half = traffic("split = { 2 = 50 }");
        let of = |id: &str| {
            half.target(&Asker { request_id: id, ..Asker::default() }, || panic!("it has a name"))
        };
        let ids: Vec<bool> = (0..USERS).map(|n| of(&format!("r-{n}")).is_some()).collect();
        check_share(&ids, 50.0);
        assert_eq!(of("r-1"), of("r-1"));
        let number = |n: u64| half.target(&Asker::default(), || n).is_some();
        check_share(&(0..USERS as u64).map(number).collect::<Vec<_>>(), 50.0);
    }

    #[test]
    fn a_caller_goes_before_shares() {
        let traffic = traffic(
            "live = 1\nlabels = { new = 3 }\nsplit = { 2 = 100 }\ncallers = { tests = \"new\", old = 1 }",
        );
        let of = |caller: &str| {
            let asker = Asker { user: "anna", caller, ..Asker::default() };
            traffic.target(&asker, || 0).map(|version| version.0)
        };
        assert_eq!(
            [of("tests"), of("old"), of("else"), of("")],
            [Some(3), Some(1), Some(2), Some(2)]
        );
    }

    #[track_caller]
    fn check_rules(said: &str, shares: &[(u64, f64)], trials: &[(u64, Beside, f64)]) {
        let rules = rules(said);
        let got: Vec<_> = rules.shares.iter().map(|(version, share)| (version.0, *share)).collect();
        assert_eq!(got, shares, "{said}");
        let trial =
            |(version, (trial, percent)): (&Version, &(Beside, f64))| (version.0, *trial, *percent);
        assert_eq!(rules.trials.iter().map(trial).collect::<Vec<_>>(), trials, "{said}");
    }

    #[test]
    fn rules_name_versions_that_may_serve() {
        use Beside::{Canary, Shadow};
        check_rules("", &[], &[]);
        check_rules("split = { 2 = 5 }", &[(2, 5.0)], &[(2, Canary, 10.0)]);
        check_rules(
            "labels = { c = 2 }\nsplit = { c = 5, 2 = 5 }\nguard_rails = { compare_share = 30 }",
            &[(2, 10.0)],
            &[(2, Canary, 30.0)],
        );
        check_rules("split = { 2 = 5 }\nrejected = { 2 = \"worse\" }", &[], &[]);
        check_rules("split = { 2 = 5, 3 = 0, gone = 5 }\nlive = 2", &[], &[]);
        check_rules("shadow = { version = 4, share = 20 }", &[], &[(4, Shadow, 20.0)]);
        check_rules(
            "shadow = { version = 2 }\nsplit = { 2 = 5 }",
            &[(2, 5.0)],
            &[(2, Canary, 100.0)],
        );
    }

    #[test]
    fn what_is_known_stays_while_a_version_is_tried_alike() {
        let first = traffic("split = { 2 = 5, 3 = 5 }\nshadow = { version = 4 }");
        let stays = |said: &str, version: u64| {
            let next = Traffic::new(&model(), rules(said), Some(&first)).unwrap();
            let tally = |traffic: &Traffic| {
                let found = traffic.tried.iter().find(|tried| tried.version.0 == version);
                Arc::clone(&found.unwrap().tally)
            };
            Arc::ptr_eq(&tally(&next), &tally(&first))
        };
        assert!(stays("split = { 2 = 50 }\nguard_rails = { compare_share = 1 }", 2));
        assert!(!stays("split = { 2 = 50 }\nguard_rails = { top_k = 3 }", 2));
        assert!(!stays("split = { 4 = 5 }", 4));
        assert!(stays("shadow = { version = 4, share = 1 }", 4));
        let rest = first.without(&model(), Version(2)).unwrap();
        assert_eq!(rest.rules.shares.len(), 1);
        assert!(Arc::ptr_eq(&rest.tried[0].tally, &first.tried[1].tally));
        assert!(traffic("split = { 2 = 5 }").without(&model(), Version(2)).is_none());
    }
}
