//! The commands that change what serves: they ask, wait until the server has followed, and say what is true then.

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::{
    cli::{
        client::refusal,
        models::{
            args::{ChangeArgs, PromoteArgs, RollbackArgs, ShadowArgs, SplitArgs, VersionArgs},
            goal::{Goal, Outlook, outlook},
            watch::Watch,
        },
        span,
    },
    transport::pb::{self, ListModelsResponse, model_service_client::ModelServiceClient},
};

/// A change on its way.
struct Change<'a> {
    name: &'a str,
    args: &'a ChangeArgs,
    client: ModelServiceClient<Channel>,
    watch: Watch,
    /// How things were before.
    before: ListModelsResponse,
}

/// What the server has written.
struct Written {
    revision: String,
    goal: Goal,
}

impl<'a> Change<'a> {
    async fn begin(name: &'a str, args: &'a ChangeArgs) -> Result<Self, String> {
        let mut client = args.admin.connect().await?;
        let mut watch = Watch::open(&mut client, name).await?;
        let before = watch.next().await?;
        Ok(Self { name, args, client, watch, before })
    }

    fn revision(&self) -> String {
        self.args.revision.clone().unwrap_or_default()
    }

    /// Waits until the change has come true, and says so.
    async fn end(mut self, written: Written, stop: &CancellationToken) -> Result<(), String> {
        let Written { revision, goal } = written;
        if self.args.no_wait {
            println!("written: serving.toml is at revision {revision}");
            return Ok(());
        }
        let until = Instant::now() + self.args.timeout;
        let mut said = String::new();
        let mut state = self.before.clone();
        loop {
            // What others write meanwhile is taken in with this change.
            let followed = state.revision == revision || state.revision != self.before.revision;
            let model = state.models.iter().find(|model| model.name == self.name);
            let outlook = match model.filter(|_| followed) {
                Some(model) => outlook(&goal, model),
                None => Outlook::Waits(format!("{}: the server has not looked yet", self.name)),
            };
            match outlook {
                Outlook::Done(text) => {
                    println!("{text}");
                    return Ok(());
                }
                Outlook::Fails(text) => return Err(text),
                Outlook::Waits(text) => {
                    if followed && text != said {
                        eprintln!("{text}");
                    }
                    said = text;
                }
            }
            let after = "the change is written, and servers follow it";
            state = tokio::select! {
                () = stop.cancelled() => return Err(format!("stopped waiting; {after}. {said}")),
                next = timeout_at(until, self.watch.next()) => match next {
                    Ok(next) => next.map_err(|wrong| format!("{wrong}; {after}"))?,
                    Err(_) => {
                        let waited = span::told(self.args.timeout);
                        return Err(format!("{said}, after {waited}; {after}"));
                    }
                },
            };
        }
    }
}

/// Has a version loaded.
pub(super) async fn load(args: &VersionArgs, stop: &CancellationToken) -> Result<(), String> {
    let mut change = Change::begin(&args.name, &args.change).await?;
    let request = pb::LoadModelRequest {
        name: args.name.clone(),
        version: args.version,
        revision: change.revision(),
    };
    let answer = change.client.load_model(request).await.map_err(|status| refusal(&status))?;
    let written =
        Written { revision: answer.into_inner().revision, goal: Goal::Loaded(args.version) };
    change.end(written, stop).await
}

/// Has a version unloaded.
pub(super) async fn unload(args: &VersionArgs, stop: &CancellationToken) -> Result<(), String> {
    let mut change = Change::begin(&args.name, &args.change).await?;
    let request = pb::UnloadModelRequest {
        name: args.name.clone(),
        version: args.version,
        revision: change.revision(),
    };
    let answer = change.client.unload_model(request).await.map_err(|status| refusal(&status))?;
    let written =
        Written { revision: answer.into_inner().revision, goal: Goal::Unloaded(args.version) };
    change.end(written, stop).await
}

/// Makes a version the live one.
pub(super) async fn promote(args: &PromoteArgs, stop: &CancellationToken) -> Result<(), String> {
    let mut change = Change::begin(&args.name, &args.change).await?;
    let request = pb::PromoteModelRequest {
        name: args.name.clone(),
        target: args.target.clone(),
        revision: change.revision(),
    };
    let answer = change.client.promote_model(request).await.map_err(|status| refusal(&status))?;
    let answer = answer.into_inner();
    change.end(Written { revision: answer.revision, goal: Goal::Live(answer.live) }, stop).await
}

/// Takes a version back.
pub(super) async fn rollback(args: &RollbackArgs, stop: &CancellationToken) -> Result<(), String> {
    let mut change = Change::begin(&args.name, &args.change).await?;
    let request = pb::RollbackModelRequest {
        name: args.name.clone(),
        version: args.version.unwrap_or(0),
        reason: args.reason.clone().unwrap_or_default(),
        revision: change.revision(),
    };
    let answer = change.client.rollback_model(request).await.map_err(|status| refusal(&status))?;
    let answer = answer.into_inner();
    let goal = Goal::TakenBack(answer.rolled_back, answer.live);
    change.end(Written { revision: answer.revision, goal }, stop).await
}

/// Gives shares of the users, or callers, to versions; of the two, what is not given stays.
pub(super) async fn split(args: &SplitArgs, stop: &CancellationToken) -> Result<(), String> {
    let mut change = Change::begin(&args.name, &args.change).await?;
    let mut revision = change.revision();
    let (mut split, mut callers) = (args.shares.clone(), args.caller.clone());
    let now = change.before.models.iter().find(|model| model.name == args.name);
    if let Some(model) = now.filter(|_| !args.none) {
        let stays = match (split.is_empty(), callers.is_empty()) {
            (true, _) => {
                split.clone_from(&model.split);
                !split.is_empty()
            }
            (_, true) => {
                callers.clone_from(&model.callers);
                !callers.is_empty()
            }
            _ => false,
        };
        if stays && revision.is_empty() {
            revision.clone_from(&change.before.revision);
        }
    }
    let targets = split.iter().map(|share| share.target.clone());
    let targets = targets.chain(callers.iter().map(|caller| caller.target.clone())).collect();
    let request = pb::SplitTrafficRequest { name: args.name.clone(), split, callers, revision };
    let answer = change.client.split_traffic(request).await.map_err(|status| refusal(&status))?;
    let written = Written { revision: answer.into_inner().revision, goal: Goal::Targets(targets) };
    change.end(written, stop).await
}

/// Has a version score live requests off the answer's path.
pub(super) async fn shadow(args: &ShadowArgs, stop: &CancellationToken) -> Result<(), String> {
    let mut change = Change::begin(&args.name, &args.change).await?;
    let target = args.target.clone().unwrap_or_default();
    let targets = args.target.iter().cloned().collect();
    let request = pb::SetShadowRequest {
        name: args.name.clone(),
        target,
        percent: if args.none { 0.0 } else { args.share },
        revision: change.revision(),
    };
    let answer = change.client.set_shadow(request).await.map_err(|status| refusal(&status))?;
    let written = Written { revision: answer.into_inner().revision, goal: Goal::Targets(targets) };
    change.end(written, stop).await
}
