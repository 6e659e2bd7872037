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
    /// Have a loaded version answer, or score behind answers alone.
    Turn(ModelId, State),
    /// Verify, load and warm a version, and publish it.
    Load(ModelId),
}

/// The next step towards what is wanted; none where there is nothing to do.
pub fn next(wanted: &Wanted, now: &Now) -> Option<Action> {
    route_to_drop(wanted, now)
        .or_else(|| version_to_turn(wanted, now))
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
                let stays = |id: &ModelId| wanted.trials.contains(id) || wanted.warm.contains(id);
                let own = own.filter(|id| now.is_ready(id) && !stays(id));
                own.map(|id| id.version).max()?
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

/// A version stands in the shadow while it is the shadow and no route leads to it.
fn version_to_turn(wanted: &Wanted, now: &Now) -> Option<Action> {
    now.versions.iter().find_map(|(id, standing)| {
        let led = now.is_led_to(id);
        let shadow = wanted.shadows.contains(id) && !led;
        let stays = wanted.versions.contains(id) || led;
        let to = match standing.state {
            State::Ready if shadow => State::Shadow,
            State::Shadow if !shadow && stays => State::Ready,
            _ => return None,
        };
        Some(Action::Turn(id.clone(), to))
    })
}

fn version_to_drain(wanted: &Wanted, now: &Now) -> Option<ModelId> {
    let is_needed = |id: &ModelId| {
        now.versions.iter().any(|(other, standing)| {
            standing.needs.as_ref() == Some(id)
                && (standing.state.is_held() || wanted.versions.contains(other))
        })
    };
    let mut ready = now.versions.keys().filter(|id| now.is_ready(id));
    ready.find(|id| !wanted.versions.contains(*id) && !now.is_led_to(id) && !is_needed(id)).cloned()
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
    /// Whether a version can answer.
    pub(super) fn is_ready(&self, id: &ModelId) -> bool {
        self.versions.get(id).is_some_and(|standing| standing.state.is_loaded())
    }

    /// Whether a route leads to a version.
    pub(super) fn is_led_to(&self, id: &ModelId) -> bool {
        self.routes.iter().any(|(route, version)| route.model == id.name && *version == id.version)
    }

    /// Whether a version may be tried: its encoder is ready, or will not come, which the attempt then tells.
    fn has_what_it_needs(&self, standing: &Standing) -> bool {
        let encoder = standing.needs.as_ref().and_then(|needs| self.versions.get(needs));
        encoder.is_none_or(|encoder| encoder.state.is_loaded() || encoder.state == State::Failed)
    }
}

#[cfg(test)]
mod tests {
    use crate::ids::ModelName;

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
                "shadow" => State::Shadow,
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
            Some(Action::Turn(id, to)) => format!("turn {id} to {to}"),
            Some(Action::Lead(route, Some(to))) => format!("lead {route} to {to}"),
            Some(Action::Lead(route, None)) => format!("drop {route}"),
        }
    }

    /// Wanted versions, wanted aims; what there is, where routes lead; the step.
    #[track_caller]
    fn check(versions: &str, aims: &str, now: &str, led: &str, want: &str) {
        check_with((versions, "", "", ""), aims, now, led, want);
    }

    /// Wanted versions, those of them that are tried, those that are shadows, and those that are warm.
    #[track_caller]
    fn check_with(wanted: (&str, &str, &str, &str), aims: &str, now: &str, led: &str, want: &str) {
        let aim = |to: Option<Version>| to.map_or(Aim::Highest, Aim::Version);
        let ids = |text: &str| text.split_whitespace().map(id).collect();
        let wanted = Wanted {
            versions: ids(wanted.0),
            trials: ids(wanted.1),
            shadows: ids(wanted.2),
            warm: ids(wanted.3),
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
    fn what_is_warm_does_not_take_the_route_back_while_the_next_one_comes() {
        let with_1_warm = ("r/1 r/3", "", "", "r/1");
        let step = |now, led, want| check_with(with_1_warm, "r latest", now, led, want);
        step("r/1 ready, r/2 ready, r/3 found", "r 2", "load r/3");
        step("r/1 ready, r/2 ready, r/3 warming", "r 2", "nothing");
        step("r/1 ready, r/2 ready, r/3 ready", "r 2", "lead r to 3");
        step("r/1 ready, r/2 ready, r/3 ready", "r 3", "drain r/2");
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

    #[test]
    fn a_shadow_stands_where_no_route_leads() {
        let step = |now, led, want| {
            check_with(("r/1 r/2", "r/2", "r/2", ""), "r latest", now, led, want);
        };
        step("r/1 found, r/2 ready", "", "turn r/2 to shadow");
        step("r/1 found, r/2 shadow", "", "load r/1");
        step("r/1 ready, r/2 ready", "r 2", "lead r to 1");
        step("r/1 ready, r/2 ready", "r 1", "turn r/2 to shadow");
        step("r/1 ready, r/2 shadow", "r 1", "nothing");
        check("r/1 r/2", "r 2", "r/1 ready, r/2 shadow", "r 1", "turn r/2 to ready");
        check("r/1 r/2", "r 2", "r/1 ready, r/2 ready", "r 1", "lead r to 2");
        check("r/1", "r 1", "r/1 ready, r/2 shadow", "r 1", "drain r/2");
        let canary = ("r/1 r/2", "r/2", "", "");
        check_with(canary, "r latest", "r/1 ready, r/2 ready", "r 1", "nothing");
        check_with(canary, "r latest", "r/1 ready, r/2 shadow", "r 1", "turn r/2 to ready");
    }
}
