//! One replay from its first line to its report.

use std::time::Duration;

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::{
    cli::{
        progress::Progress,
        replay::{
            answer::{Answered, logged},
            args::ReplayArgs,
            ask::Asked,
            figures::{Collected, Figures},
            lines::LoggedRequests,
            words::words,
        },
    },
    observing::Entry,
};

/// Replays, and tells what came of it.
pub(super) async fn replay(args: &ReplayArgs, stop: &CancellationToken) -> Result<(), String> {
    let mut requests = LoggedRequests::of(&args.logs)?;
    let target = Asked::connect(&args.target, args.timeout).await?;
    let compared = match &args.compare {
        Some(place) => Some(Asked::connect(place, args.timeout).await?),
        None => None,
    };
    let figures = ask_all(args, (&target, compared.as_ref()), &mut requests, stop).await?;
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&figures).map_err(|e| e.to_string())?),
        false => print!("{}", words(args, &figures, &requests.named)),
    }
    let tau = figures.kendall_tau.map(|tau| tau.mean);
    match (args.fail_below_tau, tau) {
        (Some(_), None) => Err("no order could be compared".to_owned()),
        (Some(least), Some(tau)) if tau < least => {
            Err(format!("the mean Kendall tau is {tau:.4}, and --fail-below-tau is {least}"))
        }
        _ => Ok(()),
    }
}

/// Asks one request after the other, so many at once, and no faster than is wished.
async fn ask_all(
    args: &ReplayArgs,
    (target, compared): (&Asked, Option<&Asked>),
    requests: &mut LoggedRequests,
    stop: &CancellationToken,
) -> Result<Figures, String> {
    let mut collected = Collected::default();
    let progress = Progress::of_rows(args.limit.map(|limit| limit as u64), 0);
    let pause = args.rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate));
    let (mut due, mut left) = (Instant::now(), args.limit.unwrap_or(usize::MAX));
    let (mut under_way, mut at_end) = (FuturesUnordered::new(), false);
    let mut number = 0_u64;
    loop {
        at_end = at_end || left == 0 || stop.is_cancelled();
        if at_end && (under_way.is_empty() || stop.is_cancelled()) {
            break;
        }
        let has_room = !at_end && under_way.len() < args.concurrency.into();
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            Some((entry, answer, by)) = under_way.next() => {
                collected.add(&entry, (&answer, &by), args.top);
                progress.advance_to(number - under_way.len() as u64);
            }
            () = sleep_until(due), if has_room => match requests.next()? {
                None => at_end = true,
                Some(entry) => {
                    number += 1;
                    left -= 1;
                    due += pause;
                    under_way.push(ask_both(entry, target.clone(), compared.cloned(), number));
                }
            },
        }
    }
    Ok(collected.figures(args.top, requests.foreign, stop.is_cancelled()))
}

/// Asks the target and, where there is one, the second server, each first every other time.
async fn ask_both(
    entry: Entry,
    mut target: Asked,
    compared: Option<Asked>,
    number: u64,
) -> (Entry, Answered, Answered) {
    let (answer, by) = match compared {
        None => (target.ask(&entry).await, logged(&entry)),
        Some(mut compared) if number.is_multiple_of(2) => {
            let by = compared.ask(&entry).await;
            (target.ask(&entry).await, by)
        }
        Some(mut compared) => (target.ask(&entry).await, compared.ask(&entry).await),
    };
    (entry, answer, by)
}
