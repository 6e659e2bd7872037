//! The life of a version: its states, and which follows which.

use std::{fmt, sync::Arc};

/// Where in its life a version is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// It is in the repository.
    Found,
    /// Its files are held against their sums.
    Verifying,
    /// Its graph is held against the manifest, its sessions are made.
    Loading,
    /// Runs of all sizes warm it up.
    Warming,
    /// It scores live requests off the answer's path; no route leads to it.
    Shadow,
    /// It answers who asks for it.
    Ready,
    /// Nobody finds it any more; requests that began with it end with it.
    Draining,
    /// Nothing of it is held.
    Freed,
    /// It cannot be used.
    Failed,
}

/// Every step that a life can take; there is no other.
const STEPS: [(State, State); 17] = [
    (State::Found, State::Verifying),
    (State::Verifying, State::Loading),
    (State::Loading, State::Warming),
    (State::Warming, State::Ready),
    (State::Warming, State::Shadow),
    (State::Shadow, State::Ready),
    (State::Ready, State::Shadow),
    (State::Ready, State::Draining),
    (State::Shadow, State::Draining),
    (State::Draining, State::Freed),
    // Still being copied: it is tried again.
    (State::Verifying, State::Found),
    (State::Verifying, State::Failed),
    (State::Loading, State::Failed),
    (State::Warming, State::Failed),
    // The copy stopped half-way.
    (State::Found, State::Failed),
    // It was mended, or is wanted again.
    (State::Failed, State::Found),
    (State::Freed, State::Verifying),
];

impl State {
    /// Whether `next` may follow.
    pub fn may_become(self, next: Self) -> bool {
        STEPS.contains(&(self, next))
    }

    /// Whether something of the version is held.
    pub fn is_held(self) -> bool {
        matches!(
            self,
            Self::Verifying
                | Self::Loading
                | Self::Warming
                | Self::Shadow
                | Self::Ready
                | Self::Draining
        )
    }

    /// Whether it can answer.
    pub fn is_loaded(self) -> bool {
        matches!(self, Self::Shadow | Self::Ready)
    }

    /// Its name, as the log and people have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Verifying => "verifying",
            Self::Loading => "loading",
            Self::Warming => "warming",
            Self::Shadow => "shadow",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Freed => "freed",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A version's state, and why it is that, where there is something to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// The state.
    pub state: State,
    /// Why it failed, what it waits for, or how far it is.
    pub reason: Option<Arc<str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [State; 9] = [
        State::Found,
        State::Verifying,
        State::Loading,
        State::Warming,
        State::Shadow,
        State::Ready,
        State::Draining,
        State::Freed,
        State::Failed,
    ];

    #[track_caller]
    fn check(state: State, next: &[State]) {
        let got: Vec<State> = ALL.into_iter().filter(|next| state.may_become(*next)).collect();
        assert_eq!(got, next, "{state}");
    }

    #[test]
    fn a_life_takes_only_these_steps() {
        use State::{Draining, Failed, Found, Freed, Loading, Ready, Shadow, Verifying, Warming};
        check(Found, &[Verifying, Failed]);
        check(Verifying, &[Found, Loading, Failed]);
        check(Loading, &[Warming, Failed]);
        check(Warming, &[Shadow, Ready, Failed]);
        check(Shadow, &[Ready, Draining]);
        check(Ready, &[Shadow, Draining]);
        check(Draining, &[Freed]);
        check(Freed, &[Verifying]);
        check(Failed, &[Found]);
    }

    #[test]
    fn only_draining_leads_from_what_answers_to_what_is_gone() {
        for state in ALL {
            let skips = state.may_become(State::Freed) && state != State::Draining;
            assert!(!skips, "{state} is freed without draining");
        }
    }
}
