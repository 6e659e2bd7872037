//! `podium models list` and `podium models status`.

use std::io::{IsTerminal, Write};

use tokio_util::sync::CancellationToken;

use crate::{
    cli::{
        client::refusal,
        models::{
            args::{ListArgs, StatusArgs},
            news::changes,
            tables,
            watch::Watch,
        },
    },
    transport::{
        pb::{ListModelsRequest, ListModelsResponse},
        to_json,
    },
};

/// Clears a terminal and goes to its first line.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Lists all models.
pub(super) async fn list(args: &ListArgs) -> Result<(), String> {
    let mut client = args.admin.connect().await?;
    let answer = client.list_models(ListModelsRequest::default()).await;
    let state = answer.map_err(|status| refusal(&status))?.into_inner();
    match args.json {
        true => println!("{}", to_json(&state).map_err(|e| e.to_string())?),
        false => print!("{}", tables::list(&state)),
    }
    Ok(())
}

/// Shows one model, once or until it is stopped.
pub(super) async fn status(args: &StatusArgs, stop: &CancellationToken) -> Result<(), String> {
    let mut client = args.admin.connect().await?;
    let request = ListModelsRequest { name: args.name.clone() };
    let answer = client.list_models(request).await;
    let state = answer.map_err(|status| refusal(&status))?.into_inner();
    if !args.watch {
        return show(args, None, &state);
    }
    let mut watch = Watch::open(&mut client, &args.name).await?;
    let mut shown: Option<ListModelsResponse> = None;
    loop {
        let state = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            state = watch.next() => state?,
        };
        show(args, shown.as_ref(), &state)?;
        shown = Some(state);
    }
}

/// Shows a state: on a terminal in place of the one before, else what has changed since.
fn show(
    args: &StatusArgs,
    before: Option<&ListModelsResponse>,
    state: &ListModelsResponse,
) -> Result<(), String> {
    let text = if args.json {
        to_json(state).map_err(|e| e.to_string())? + "\n"
    } else if args.watch && std::io::stdout().is_terminal() {
        format!("{CLEAR}{}Ctrl-C ends this.\n", tables::status(state))
    } else if let Some(before) = before {
        changes(before, state).iter().map(|line| format!("{line}\n")).collect()
    } else {
        tables::status(state)
    };
    let mut out = std::io::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|e| e.to_string())
}
