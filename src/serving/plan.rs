//! What to do next so that what shall serve does: a pure function, asked again after each step.
//!
//! Make before break: what a route leads to stays until the route leads elsewhere, and a route moves only to what is ready. An encoder comes
//! before the rankers that need it and goes after them. One version is loaded at a time.
//!
//! Source: the idea of a policy that sees states and answers with one action is that of TensorFlow Serving's aspired versions.

use std::collections::BTreeMap;

use crate::{
    ids::{ModelId, Version},
    serving::{
        life::State,
        registry::Route,
        wanted::{Aim, Wanted},
    },
};

/// What there is.
#[derive(Debug, Clone, Default)]
pub struct Now {
    /// Every version that has a life.
    pub versions: BTreeMap<ModelId, Standing>,
    /// Where routes lead.
    pub routes: BTreeMap<Route, Version>,
}

/// Where a version stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its state.
    pub state: State,
    /// The encoder version that it needs.
    pub needs: Option<ModelId>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Lead a route to a version; to none: take the route away.
    Lead(Route, Option<Version>),
    /// Take a version back and let its requests end.
    Drain(ModelId),
    /// Verify, load and warm a version, and publish it.
    Load(ModelId),
}

/// The next step towards what is wanted; none where there is nothing to do.
pub fn next(wanted: &Wanted, now: &Now) -> Option<Action> {
    route_to_drop(wanted, now)
        .or_else(|| route_to_move(wanted, now))
        .or_else(|| version_to_drain(wanted, now).map(Action::Drain))
        .or_else(|| version_to_load(wanted, now).map(Action::Load))
}

fn route_to_drop(wanted: &Wanted, now: &Now) -> Option<Action> {
    let dropped = now.routes.keys().find(|route| !wanted.aims.contains_key(*route))?;
    Some(Action::Lead(dropped.clone(), None))
}

fn route_to_move(wanted: &Wanted, now: &Now) -> Option<Action> {
    wanted.aims.iter().find_map(|(route, aim)| {
        let leads = now.routes.get(route).copied();
        let to = match aim {
            Aim::Highest => {
                let own = wanted.versions.iter().filter(|id| id.name == route.model);
                own.filter(|id| now.is_ready(id)).map(|id| id.version).max()?
            }
            Aim::Version(version) => {
                let leads_well = leads.is_some_and(|leads| now.is_ready(&of(route, leads)));
                if leads_well && !now.is_ready(&of(route, *version)) {
                    return None;
                }
                *version
            }
        };
        (leads != Some(to)).then(|| Action::Lead(route.clone(), Some(to)))
    })
}

fn of(route: &Route, version: Version) -> ModelId {
    ModelId { name: route.model.clone(), version }
}

fn version_to_drain(wanted: &Wanted, now: &Now) -> Option<ModelId> {
    let is_led_to = |id: &ModelId| {
        now.routes.iter().any(|(route, version)| route.model == id.name && *version == id.version)
    };
    let is_needed = |id: &ModelId| {
        now.versions.iter().any(|(other, standing)| {
            standing.needs.as_ref() == Some(id)
                && (standing.state.is_held() || wanted.versions.contains(other))
        })
    };
    let mut ready = now.versions.keys().filter(|id| now.is_ready(id));
    ready.find(|id| !wanted.versions.contains(*id) && !is_led_to(id) && !is_needed(id)).cloned()
}

fn version_to_load(wanted: &Wanted, now: &Now) -> Option<ModelId> {
    let at_it = |state: State| matches!(state, State::Verifying | State::Loading | State::Warming);
    if now.versions.values().any(|standing| at_it(standing.state)) {
        return None;
    }
    let named = |id: &ModelId| {
        let aim = Aim::Version(id.version);
        wanted.aims.iter().any(|(route, to)| route.model == id.name && *to == aim)
    };
    let found = wanted.versions.iter().filter_map(|id| {
        let standing = now.versions.get(id)?;
        let waits = matches!(standing.state, State::Found | State::Freed);
        (waits && now.has_what_it_needs(standing))
            .then(|| ((standing.needs.is_some(), !named(id)), id))
    });
    found.min().map(|(_, id)| id.clone())
}

impl Now {
    fn is_ready(&self, id: &ModelId) -> bool {
        self.versions.get(id).is_some_and(|standing| standing.state.is_loaded())
    }

    /// Whether a version may be tried: its encoder is ready, or will not come, which the attempt then tells.
    fn has_what_it_needs(&self, standing: &Standing) -> bool {
        let encoder = standing.needs.as_ref().and_then(|needs| self.versions.get(needs));
        encoder.is_none_or(|encoder| encoder.state.is_loaded() || encoder.state == State::Failed)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use crate::{
        ids::ModelName,
        repository::ServingFile,
        serving::{registry::Labels, wanted::Said},
    };

    use super::*;

    fn id(text: &str) -> ModelId {
        let (name, version) = text.split_once('/').unwrap();
        let version = Version::parse(version).unwrap();
        ModelId { name: ModelName::parse(name).unwrap(), version }
    }

    fn route(text: &str) -> Route {
        match text.split_once('@') {
            Some((name, label)) => Route::label(&ModelName::parse(name).unwrap(), label),
            None => Route::live(&ModelName::parse(text).unwrap()),
        }
    }

    /// `r/1>e/1 ready, …`.
    fn standings(text: &str) -> BTreeMap<ModelId, Standing> {
        let one = |part: &str| {
            let (version, state) = part.trim().split_once(' ').unwrap();
            let (own, needs) = match version.split_once('>') {
                Some((own, needs)) => (own, Some(id(needs))),
                None => (version, None),
            };
            let state = match state {
                "found" => State::Found,
                "warming" => State::Warming,
                "ready" => State::Ready,
                "draining" => State::Draining,
                "freed" => State::Freed,
                "failed" => State::Failed,
                other => panic!("no state {other}"),
            };
            (id(own), Standing { state, needs })
        };
        text.split(',').filter(|part| !part.is_empty()).map(one).collect()
    }

    /// `r 1, r@stable 2, r latest`.
    fn routes(text: &str) -> BTreeMap<Route, Option<Version>> {
        let one = |part: &str| {
            let (at, to) = part.trim().split_once(' ').unwrap();
            (route(at), Version::parse(to))
        };
        text.split(',').filter(|part| !part.is_empty()).map(one).collect()
    }

    fn told(action: Option<Action>) -> String {
        match action {
            None => "nothing".to_owned(),
            Some(Action::Load(id)) => format!("load {id}"),
            Some(Action::Drain(id)) => format!("drain {id}"),
            Some(Action::Lead(route, Some(to))) => format!("lead {route} to {to}"),
            Some(Action::Lead(route, None)) => format!("drop {route}"),
        }
    }

    /// Wanted versions, wanted aims; what there is, where routes lead; the step.
    #[track_caller]
    fn check(versions: &str, aims: &str, now: &str, led: &str, want: &str) {
        let aim = |to: Option<Version>| to.map_or(Aim::Highest, Aim::Version);
        let wanted = Wanted {
            versions: versions.split_whitespace().map(id).collect(),
            aims: routes(aims).into_iter().map(|(route, to)| (route, aim(to))).collect(),
        };
        let led = routes(led).into_iter().filter_map(|(route, to)| Some((route, to?)));
        let now = Now { versions: standings(now), routes: led.collect() };
        assert_eq!(told(next(&wanted, &now)), want);
    }

    #[test]
    fn a_new_version_is_loaded_then_led_to_then_the_old_one_goes() {
        let only_2 = ("r/2", "r latest");
        let step = |now, led, want| check(only_2.0, only_2.1, now, led, want);
        step("r/1 ready, r/2 found", "r 1", "load r/2");
        step("r/1 ready, r/2 warming", "r 1", "nothing");
        step("r/1 ready, r/2 failed", "r 1", "nothing");
        step("r/1 ready, r/2 ready", "r 1", "lead r to 2");
        step("r/1 ready, r/2 ready", "r 2", "drain r/1");
        step("r/1 draining, r/2 ready", "r 2", "nothing");
        step("r/1 freed, r/2 ready", "r 2", "nothing");
    }

    #[test]
    fn an_encoder_comes_before_its_rankers_and_goes_after_them() {
        let both = ("a/2 e/2", "a latest, e latest");
        let step = |now, led, want| check(both.0, both.1, now, led, want);
        step("a/2>e/2 found, e/2 found", "", "load e/2");
        step("a/2>e/2 found, e/2 warming", "e 2", "nothing");
        step("a/2>e/2 found, e/2 ready", "e 2", "load a/2");
        step("a/2>e/2 found, e/2 failed", "", "load a/2");
        check("a/2", "a latest", "a/2>e/2 found", "", "load a/2");
        let old = "a/1>e/1 ready, a/2>e/2 ready, e/1 ready, e/2 ready";
        step(old, "a 2, e 2", "drain a/1");
        step("a/1>e/1 draining, a/2>e/2 ready, e/1 ready, e/2 ready", "a 2, e 2", "nothing");
        step("a/1>e/1 freed, a/2>e/2 ready, e/1 ready, e/2 ready", "a 2, e 2", "drain e/1");
    }

    #[test]
    fn a_route_moves_to_what_is_ready() {
        let two = "r/1 r/2";
        check(two, "r 1", "r/1 ready, r/2 ready", "r 2", "lead r to 1");
        check(two, "r 3", "r/1 ready, r/2 ready", "r 2", "nothing");
        check(two, "r 3", "r/1 found, r/2 ready", "", "lead r to 3");
        check(two, "r latest", "r/1 found, r/2 found", "", "load r/1");
        check(two, "r 2", "r/1 found, r/2 found", "r 2", "load r/2");
        check(two, "r latest, r@a 2", "r/1 ready, r/2 found", "r 1, r@a 1", "load r/2");
        check(two, "r latest, r@a 2", "r/1 ready, r/2 ready", "r 2, r@a 1", "lead r@a to 2");
        check(two, "r latest", "r/1 ready, r/2 ready", "r 2, r@a 1", "drop r@a");
    }

    #[test]
    fn what_a_route_leads_to_stays() {
        check("", "r latest", "r/1 ready", "r 1", "nothing");
        check("", "r 2, r@a 2", "r/1 ready, r/2 ready", "r 2, r@a 2", "drain r/1");
        check("", "", "r/1 ready", "r 1", "drop r");
        check("", "", "r/1 ready", "", "drain r/1");
        check("r/1", "r latest", "r/1 ready, r/2 ready", "r 2", "lead r to 1");
    }

    /// A repository, a file and what fails, as they are for a while.
    #[derive(Debug, Clone)]
    struct Scene {
        found: BTreeSet<u8>,
        bad: BTreeSet<u8>,
        live: u64,
        label: u64,
        lazy: bool,
    }

    /// Encoders `e/1..=3` are 0..3, rankers `r/1..=6` 3..9; two rankers need each encoder.
    fn version(number: u8) -> (ModelId, Option<ModelId>) {
        match number {
            0..3 => (id(&format!("e/{}", number + 1)), None),
            _ => {
                (id(&format!("r/{}", number - 2)), Some(id(&format!("e/{}", (number - 3) / 2 + 1))))
            }
        }
    }

    fn scene() -> impl Strategy<Value = Scene> {
        let some = |most| prop::collection::btree_set(0..9_u8, 0..most);
        (some(9), some(3), 0..8_u64, 0..8_u64, any::<bool>())
            .prop_map(|(found, bad, live, label, lazy)| Scene { found, bad, live, label, lazy })
    }

    fn wanted(scene: &Scene, now: &Now) -> Wanted {
        let live = match scene.live {
            0 => "\"latest\"".to_owned(),
            version => version.to_string(),
        };
        let label = match scene.label {
            0 => String::new(),
            version => format!("labels = {{ a = {version} }}"),
        };
        let load = if scene.lazy { "live" } else { "all" };
        let file = format!(
            "[models.r]\nlive = {live}\nload = \"{load}\"\n{label}\n[models.e]\nload = \"{load}\""
        );
        let failed = |id: &ModelId| now.versions[id].state == State::Failed;
        let found: BTreeMap<_, _> = scene.found.iter().map(|n| version(*n)).collect();
        Wanted::of(&Said {
            warm: &BTreeSet::new(),
            unfit: &found.keys().filter(|id| failed(id)).cloned().collect(),
            found: &found,
            file: &ServingFile::parse(&file).unwrap(),
            labels: &Labels::default(),
        })
    }

    /// Draws the scene's versions into the world, as the repository's follower does.
    fn look(scene: &Scene, now: &mut Now) {
        let found: BTreeMap<_, _> = scene.found.iter().map(|n| version(*n)).collect();
        now.versions.retain(|id, standing| found.contains_key(id) || standing.state.is_held());
        for (id, needs) in found {
            let life = now.versions.entry(id).or_insert(Standing { state: State::Found, needs });
            if life.state == State::Failed {
                life.state = State::Found;
            }
        }
    }

    fn obey(scene: &Scene, now: &mut Now, action: Action) {
        match action {
            Action::Lead(route, Some(to)) => drop(now.routes.insert(route, to)),
            Action::Lead(route, None) => drop(now.routes.remove(&route)),
            Action::Drain(id) => now.versions.get_mut(&id).unwrap().state = State::Draining,
            Action::Load(id) => {
                let bad = scene.bad.iter().any(|number| version(*number).0 == id);
                let needs = now.versions[&id].needs.clone();
                let complete = needs.is_none_or(|needs| now.is_ready(&needs));
                let standing = now.versions.get_mut(&id).unwrap();
                assert!(standing.state.may_become(State::Verifying), "{id} {standing:?}");
                standing.state = if bad || !complete { State::Failed } else { State::Ready };
            }
        }
    }

    /// The last request of every draining version ends.
    fn free(scene: &Scene, now: &mut Now) -> bool {
        let draining = |s: &Standing| s.state == State::Draining;
        let before = now.clone();
        let free = |id: &ModelId| {
            !before.versions.values().any(|s| s.state.is_held() && s.needs.as_ref() == Some(id))
        };
        let freed = now.versions.iter_mut().filter(|(id, s)| draining(s) && free(id));
        let freed = freed.map(|(_, s)| s.state = State::Freed).count();
        look_for_gone(scene, now);
        freed > 0
    }

    fn look_for_gone(scene: &Scene, now: &mut Now) {
        let found: BTreeSet<_> = scene.found.iter().map(|n| version(*n).0).collect();
        now.versions.retain(|id, standing| found.contains(id) || standing.state.is_held());
    }

    /// The live version of a model, where it answers.
    fn answers(now: &Now, name: &str) -> Option<ModelId> {
        let live = route(name);
        let led = now.routes.get(&live).map(|version| of(&live, *version))?;
        now.is_ready(&led).then_some(led)
    }

    fn settle(scene: &Scene, now: &mut Now) {
        look(scene, now);
        for _ in 0..200 {
            let aims = wanted(scene, now);
            let Some(action) = next(&aims, now) else {
                if free(scene, now) {
                    continue;
                }
                return check_settled(scene, now);
            };
            let before = ["e", "r"].map(|name| (name, answers(now, name)));
            obey(scene, now, action.clone());
            for (name, was) in before {
                let stays = wanted(scene, now).aims.contains_key(&route(name));
                let lost = was.is_some() && answers(now, name).is_none();
                assert!(!(stays && lost), "{action:?} left {name} without an answer: {now:?}");
            }
        }
        panic!("it never settles: {scene:?} {now:?}");
    }

    fn check_settled(scene: &Scene, now: &Now) {
        let aims = wanted(scene, now);
        for id in &aims.versions {
            assert!(now.is_ready(id), "{id} is wanted and not ready: {now:?}");
        }
        for (id, standing) in now.versions.iter().filter(|(_, s)| s.state.is_held()) {
            let led = now.routes.iter().any(|(r, v)| r.model == id.name && *v == id.version);
            let needed =
                now.versions.values().any(|s| s.state.is_held() && s.needs.as_ref() == Some(id));
            assert!(
                aims.versions.contains(id) || led || needed,
                "{id} is held for nothing: {now:?}"
            );
            let encoder = standing.needs.as_ref();
            assert!(encoder.is_none_or(|e| now.is_ready(e)), "{id} has lost its encoder: {now:?}");
        }
        for (route, aim) in &aims.aims {
            let leads = now.routes.get(route).copied();
            match aim {
                Aim::Version(version) if now.is_ready(&of(route, *version)) => {
                    assert_eq!(leads, Some(*version), "{route}");
                }
                Aim::Highest => {
                    let own = aims.versions.iter().filter(|id| id.name == route.model);
                    let highest = own.map(|id| id.version).max();
                    assert!(highest.is_none() || leads == highest, "{route}: {now:?}");
                }
                Aim::Version(_) => {}
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn whatever_is_wanted_comes_and_nobody_is_left_without_an_answer(
            scenes in prop::collection::vec(scene(), 1..6),
        ) {
            let mut now = Now::default();
            for scene in &scenes {
                settle(scene, &mut now);
                settle(scene, &mut now);
            }
        }
    }
}
