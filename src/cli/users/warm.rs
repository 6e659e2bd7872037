//! `podium users warm`: has a running server compute embeddings before they are needed.

use std::time::Instant;

use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::{
    cli::{
        client::{Target, refusal},
        progress::Progress,
    },
    transport::pb,
};

/// Whom to warm.
#[derive(Debug, Args)]
pub(super) struct WarmArgs {
    /// The ranker whose encoder is meant; none: the server's default
    #[arg(long, value_name = "NAME", default_value = "")]
    model: String,
    /// So many users, those with the latest event first
    #[arg(long, value_name = "N", required_unless_present = "user", conflicts_with = "user")]
    top_active: Option<u32>,
    /// A user; may be given more than once
    #[arg(long, value_name = "ID")]
    user: Vec<String>,
    #[command(flatten)]
    target: Target,
}

/// Warms, and tells how far it is; users whose embedding is fresh are passed over.
pub(super) async fn warm(args: &WarmArgs, stop: &CancellationToken) -> Result<(), String> {
    let begun = Instant::now();
    let mut client = args.target.connect().await?;
    let request = pb::WarmUsersRequest {
        model: Some(pb::ModelSelector { name: args.model.clone(), selector: None }),
        top_active: args.top_active.unwrap_or(0),
        user_ids: args.user.clone(),
    };
    let answer = client.users.warm_users(request).await;
    let mut told = answer.map_err(|s| refusal(&s))?.into_inner();
    let mut now = pb::WarmUsersResponse::default();
    let mut progress: Option<Progress> = None;
    let ended = loop {
        let next = tokio::select! {
            () = stop.cancelled() => break Err("stopped".to_owned()),
            next = told.message() => next,
        };
        match next {
            Ok(Some(next)) => {
                let bar = progress.get_or_insert_with(|| Progress::new(next.total as usize));
                bar.advance_to(u64::from(next.done));
                now = next;
            }
            Ok(None) => break Ok(()),
            Err(status) => break Err(refusal(&status)),
        }
    };
    drop(progress);
    let summary = format!(
        "{} of {} users: {} computed, {} fresh, {} without a history, {} failed in {:.1} s",
        now.done,
        now.total,
        now.computed,
        now.fresh,
        now.unknown,
        now.failed,
        begun.elapsed().as_secs_f64()
    );
    let again = "Run the same command again to go on: fresh users are passed over";
    match ended {
        Ok(()) if now.failed == 0 => {
            println!("{summary}");
            Ok(())
        }
        Ok(()) => Err(format!("{summary}\nThe server's log has the causes. {again}")),
        Err(wrong) => Err(format!("{wrong}\n{summary}\n{again}")),
    }
}
