//! What the repository has, and what of it is loaded: changes are those of `podium.v1.ModelService`.

use std::collections::HashMap;

use tonic::Status;

use crate::{
    ids::{ModelId, ModelName, Version},
    ranking::RankError,
    serving::{Command, CommandError, Conflict, Life, State},
    transport::{
        convert::Asked,
        model_service::ModelApi,
        pb::inference::{
            ModelRepositoryParameter, RepositoryIndexRequest, RepositoryIndexResponse,
            RepositoryModelLoadRequest, RepositoryModelUnloadRequest,
            model_repository_parameter::ParameterChoice, repository_index_response::ModelIndex,
        },
        status::{command_status_of, status_of},
    },
};

/// Who answers the calls about the repository.
#[derive(Clone)]
pub(in crate::transport) enum Repository {
    /// This listener, which is the admin one.
    Here(ModelApi),
    /// The admin listener at that address.
    At(String),
}

impl Repository {
    /// Who changes what is loaded.
    ///
    /// # Errors
    /// FAILED_PRECONDITION, which tells where to ask, on the listener for everybody.
    pub(super) fn here(&self) -> Result<&ModelApi, Status> {
        match self {
            Self::Here(models) => Ok(models),
            Self::At(address) => {
                let wrong = format!(
                    "the repository is told of, and changed, on the admin listener only; ask it at {address}"
                );
                let subject = "inference.GRPCInferenceService".to_owned();
                let conflict = Conflict { kind: "LISTENER", subject, wrong };
                Err(command_status_of(&CommandError::Conflicts(vec![conflict])))
            }
        }
    }
}

/// The versions of the repository.
pub(super) fn index(
    models: &ModelApi,
    message: &RepositoryIndexRequest,
) -> Result<RepositoryIndexResponse, Status> {
    nameless(&message.repository_name)?;
    let all = models.parts.lives.all();
    let indexed = all.iter().map(|(id, life)| entry(id, life));
    let models = indexed.filter(|entry| !message.ready || entry.state == READY);
    Ok(RepositoryIndexResponse { models: models.collect() })
}

/// What clients call a version that answers.
const READY: &str = "READY";

fn entry(id: &ModelId, life: &Life) -> ModelIndex {
    let (state, reason) = match life.state {
        State::Ready | State::Shadow => (READY, ""),
        State::Verifying | State::Loading | State::Warming => ("LOADING", life.state.name()),
        State::Draining => ("UNLOADING", ""),
        State::Found => ("UNAVAILABLE", "not loaded"),
        State::Freed => ("UNAVAILABLE", "unloaded"),
        State::Failed => ("UNAVAILABLE", "failed"),
    };
    ModelIndex {
        name: id.name.to_string(),
        version: id.version.to_string(),
        state: state.to_owned(),
        reason: life.reason.as_deref().unwrap_or(reason).to_owned(),
    }
}

/// Has a version loaded, and waits until it answers.
pub(super) async fn load(
    models: &ModelApi,
    message: RepositoryModelLoadRequest,
) -> Result<(), Status> {
    nameless(&message.repository_name)?;
    let is_file = |name: &str| name == "config" || name.starts_with("file:");
    refuse(&message.parameters, is_file, "a bundle is loaded as its directory holds it")?;
    let (model, version) = named(&message.model_name)?;
    let all = models.parts.lives.all();
    let highest = all.keys().filter(|id| id.name == model).map(|id| id.version).max();
    let version = version.or(highest).unwrap_or(Version(1));
    let id = ModelId { name: model.clone(), version };
    let command = Command::Load(version);
    models.change(Ok(Asked { model, command, revision: None })).await?;
    settled(models, &id, State::is_loaded).await
}

/// Has a version unloaded, and waits until it answers no more.
pub(super) async fn unload(
    models: &ModelApi,
    message: RepositoryModelUnloadRequest,
) -> Result<(), Status> {
    nameless(&message.repository_name)?;
    let wrong = "an encoder that a ranker needs stays; unload the ranker first";
    refuse(&message.parameters, |name| name == "unload_dependents", wrong)?;
    let (model, version) = named(&message.model_name)?;
    let live = models.parts.engine.registry().live(&model);
    let version = version.or(live).unwrap_or(Version(1));
    let id = ModelId { name: model.clone(), version };
    let command = Command::Unload(version);
    models.change(Ok(Asked { model, command, revision: None })).await?;
    settled(models, &id, |state| !state.is_loaded()).await
}

/// Waits until a version is as it was asked for; the call's deadline ends the wait, and not what goes on.
async fn settled(
    models: &ModelApi,
    id: &ModelId,
    is_so: impl Fn(State) -> bool,
) -> Result<(), Status> {
    let mut news = models.parts.lives.news();
    loop {
        news.mark_unchanged();
        let all = models.parts.lives.all();
        match all.get(id) {
            Some(life) if is_so(life.state) => return Ok(()),
            Some(Life { state: State::Failed, reason }) => {
                let why = reason.as_deref().unwrap_or("the log has the reason");
                let subject = id.to_string();
                let wrong = format!("{subject} has failed: {why}");
                let conflict = Conflict { kind: "FAILED", subject, wrong };
                return Err(command_status_of(&CommandError::Conflicts(vec![conflict])));
            }
            _ => {}
        }
        if news.changed().await.is_err() {
            return Err(status_of(&RankError::Draining, ""));
        }
    }
}

/// The model of `model`, or the model and version of `model/version`.
fn named(name: &str) -> Result<(ModelName, Option<Version>), Status> {
    let (model, version) = match name.split_once('/') {
        None => (name, None),
        Some((model, version)) => (model, Some(version)),
    };
    let parsed = version.map(Version::parse);
    match (ModelName::parse(model), parsed) {
        (Some(model), None) => Ok((model, None)),
        (Some(model), Some(Some(version))) => Ok((model, Some(version))),
        _ => Err(wrong(
            "model_name",
            "is no model; write `model`, or `model/version` with a whole number",
        )),
    }
}

fn nameless(repository: &str) -> Result<(), Status> {
    match repository.is_empty() {
        true => Ok(()),
        false => Err(wrong(
            "repository_name",
            "is not there: the one repository has no name; leave it out",
        )),
    }
}

/// Refuses parameters of these names, unless they are false.
fn refuse(
    parameters: &HashMap<String, ModelRepositoryParameter>,
    is_refused: impl Fn(&str) -> bool,
    why: &str,
) -> Result<(), Status> {
    let is_false = |value: &ModelRepositoryParameter| {
        matches!(value.parameter_choice, Some(ParameterChoice::BoolParam(false)))
    };
    let refused = parameters.iter().any(|(name, value)| is_refused(name) && !is_false(value));
    if refused { Err(wrong("parameters", why)) } else { Ok(()) }
}

fn wrong(field: &str, wrong: &str) -> Status {
    status_of(&RankError::field(field, wrong), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, want: Option<(&str, Option<u64>)>) {
        let got = named(name).ok();
        let want =
            want.map(|(model, version)| (ModelName::parse(model).unwrap(), version.map(Version)));
        assert_eq!(got, want, "{name}");
    }

    #[test]
    fn a_version_may_stand_behind_the_model() {
        check("m", Some(("m", None)));
        check("m/3", Some(("m", Some(3))));
        for name in ["", "M", "m/", "m/x", "m/0", "m/1/2", "/1"] {
            check(name, None);
        }
    }

    #[track_caller]
    fn check_state(state: State, reason: Option<&str>, want: (&str, &str)) {
        let id = ModelId { name: ModelName::parse("m").unwrap(), version: Version(2) };
        let life = Life { state, reason: reason.map(Into::into) };
        let told = entry(&id, &life);
        assert_eq!((told.state.as_str(), told.reason.as_str()), want);
    }

    #[test]
    fn every_state_has_a_name_of_the_protocols() {
        check_state(State::Ready, None, ("READY", ""));
        check_state(State::Shadow, None, ("READY", ""));
        check_state(State::Warming, None, ("LOADING", "warming"));
        check_state(State::Draining, Some("taken away"), ("UNLOADING", "taken away"));
        check_state(State::Freed, None, ("UNAVAILABLE", "unloaded"));
        check_state(State::Failed, Some("why"), ("UNAVAILABLE", "why"));
    }
}
