//! Repositories that change at random: whatever is wanted comes, and nobody is left without an answer.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::{
    ids::{ModelId, ModelName, Version},
    repository::ServingFile,
    serving::{
        life::State,
        plan::{Action, Now, Standing, next},
        registry::{Labels, Route},
        wanted::{Aim, Said, Wanted},
    },
};

fn id(text: &str) -> ModelId {
    let (name, version) = text.split_once('/').unwrap();
    let version = Version::parse(version).unwrap();
    ModelId { name: ModelName::parse(name).unwrap(), version }
}

fn route(name: &str) -> Route {
    Route::live(&ModelName::parse(name).unwrap())
}

fn of(route: &Route, version: Version) -> ModelId {
    ModelId { name: route.model.clone(), version }
}

/// A repository, a file and what fails, as they are for a while.
#[derive(Debug, Clone)]
struct Scene {
    found: BTreeSet<u8>,
    bad: BTreeSet<u8>,
    live: u64,
    label: u64,
    shadow: u64,
    canary: u64,
    lazy: bool,
}

/// Encoders `e/1..=3` are 0..3, rankers `r/1..=6` 3..9; two rankers need each encoder.
fn version(number: u8) -> (ModelId, Option<ModelId>) {
    match number {
        0..3 => (id(&format!("e/{}", number + 1)), None),
        _ => (id(&format!("r/{}", number - 2)), Some(id(&format!("e/{}", (number - 3) / 2 + 1)))),
    }
}

fn scene() -> impl Strategy<Value = Scene> {
    let some = |most| prop::collection::btree_set(0..9_u8, 0..most);
    let named = (0..8_u64, 0..8_u64, 0..8_u64, 0..8_u64);
    (some(9), some(3), named, any::<bool>()).prop_map(|(found, bad, named, lazy)| {
        let (live, label, shadow, canary) = named;
        Scene { found, bad, live, label, shadow, canary, lazy }
    })
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
    let shadow = match scene.shadow {
        0 => String::new(),
        version => format!("shadow = {{ version = {version} }}"),
    };
    let canary = match scene.canary {
        0 => String::new(),
        version => format!("split = {{ {version} = 5 }}"),
    };
    let load = if scene.lazy { "live" } else { "all" };
    let file = format!(
        "[models.r]\nlive = {live}\nload = \"{load}\"\n{label}\n{shadow}\n{canary}\n[models.e]\nload = \"{load}\""
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
            let shadow = wanted(scene, now).shadows.contains(&id);
            let standing = now.versions.get_mut(&id).unwrap();
            assert!(standing.state.may_become(State::Verifying), "{id} {standing:?}");
            standing.state = match shadow {
                _ if bad || !complete => State::Failed,
                true => State::Shadow,
                false => State::Ready,
            };
        }
        Action::Turn(id, to) => {
            let standing = now.versions.get_mut(&id).unwrap();
            assert!(standing.state.may_become(to), "{id} {standing:?}");
            standing.state = to;
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
        assert!(aims.versions.contains(id) || led || needed, "{id} is held for nothing: {now:?}");
        let shadow = aims.shadows.contains(id) && !led;
        let loaded = standing.state.is_loaded();
        assert!(!loaded || shadow == (standing.state == State::Shadow), "{id}: {now:?}");
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
                let own = own.filter(|id| !aims.trials.contains(*id));
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
