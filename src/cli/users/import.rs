//! `podium users import`: records the events of a file with a running server.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Args;
use futures::{StreamExt, stream};
use tokio_util::sync::CancellationToken;

use crate::{
    cli::{
        client::{Client, Target, refusal},
        progress::Progress,
        users::{
            batches::Batches,
            cells::Bounds,
            checkpoint::{Begin, Checkpoint},
            deliver::{Delivered, deliver},
            open::open,
        },
    },
    transport::pb,
};

/// Batches in flight.
const IN_FLIGHT: usize = 4;

/// Faulty rows that are told one by one; the others are counted.
const MOST_TOLD: u64 = 10;

/// What to import.
#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// .csv, .jsonl (either also as .gz) or .parquet, with the columns user, item, time and, if wanted, kind and event_id
    ///
    /// `user` may be called `user_id`, and `item` `item_id`. `time` is in unix seconds or RFC 3339, or a Parquet timestamp. `kind` is view,
    /// cart or purchase; without one it is a purchase. Where `event_id` is missing, it is made of user, item, kind and time (in hex, the
    /// SHA-256 over them), so that the same row counts once, however often it is imported; two events that agree in all four are one.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Events a call
    #[arg(long, value_name = "N", default_value_t = 1000)]
    batch: usize,
    /// Count rows that are at fault and go on, rather than stop at the first
    #[arg(long)]
    skip_faulty: bool,
    #[command(flatten)]
    target: Target,
}

/// What came of the rows of this run.
#[derive(Debug, Default)]
struct Tally {
    rows: u64,
    recorded: u64,
    duplicates: u64,
    skipped: u64,
}

/// Imports, goes on where an earlier run was cut off, and notes how far it is.
pub(super) async fn import(args: &ImportArgs, stop: &CancellationToken) -> Result<(), String> {
    let begun = Instant::now();
    let (checkpoint, begin) = Checkpoint::of(&args.file)?;
    let opened = open(&args.file)?;
    let mut client = args.target.connect().await?;
    let mut batches = Batches {
        file: args.file.clone(),
        rows: opened.rows,
        read: 0,
        size: args.batch,
        bounds: bounds(&mut client, args.batch).await?,
        skip_faulty: args.skip_faulty,
        ended: false,
    };
    let file = args.file.display();
    match begin {
        Begin::First => {}
        Begin::After(rows) => {
            eprintln!("{file}: goes on after row {rows}, as {} says", checkpoint.path().display());
            batches.pass_over(rows)?;
        }
        Begin::Changed => eprintln!(
            "{file}: has changed since {} was written: starts over at the first row",
            checkpoint.path().display()
        ),
    }
    let progress = Progress::of_rows(opened.total, batches.read);
    let mut tally = Tally::default();
    let sent = send(client, batches, (&checkpoint, &progress, stop), &mut tally).await;
    drop(progress);
    let told = tally.told(begun.elapsed());
    let wrong = match sent {
        Ok(()) if !stop.is_cancelled() => {
            checkpoint.remove();
            println!("{file}: {told}");
            return Ok(());
        }
        Ok(()) => "stopped".to_owned(),
        Err(wrong) => wrong,
    };
    Err(format!("{wrong}\n{file}: {told}\nRun the same command again to go on from there"))
}

/// What the server takes; refuses a batch that is too large for it.
async fn bounds(client: &mut Client, batch: usize) -> Result<Bounds, String> {
    let info = client.info.get_server_info(pb::GetServerInfoRequest {}).await;
    let limits = info.map_err(|s| refusal(&s))?.into_inner().limits.unwrap_or_default();
    match (1..=limits.max_events as usize).contains(&batch) {
        true => Ok(Bounds { id_bytes: limits.max_id_bytes as usize }),
        false => {
            let most = limits.max_events;
            Err(format!("--batch {batch}: must lie between 1 and the server's max_events, {most}"))
        }
    }
}

/// Sends batch after batch, some at once, and counts them in their order.
async fn send(
    client: Client,
    mut batches: Batches,
    (checkpoint, progress, stop): (&Checkpoint, &Progress, &CancellationToken),
    tally: &mut Tally,
) -> Result<(), String> {
    let mut acknowledged = batches.read;
    let wanted = std::iter::from_fn(|| match stop.is_cancelled() {
        true => None,
        false => batches.next(),
    });
    let mut delivered = stream::iter(wanted)
        .map(|batch| deliver(client.users.clone(), batch, stop.clone()))
        .buffered(IN_FLIGHT);
    while let Some(batch) = delivered.next().await {
        let batch = batch?;
        acknowledged += batch.batch.rows;
        checkpoint.note(acknowledged)?;
        tally.add(&batch, progress);
        progress.advance(batch.batch.rows, tally.duplicates);
    }
    Ok(())
}

impl Tally {
    fn add(&mut self, delivered: &Delivered, progress: &Progress) {
        for wrong in &delivered.batch.faults {
            self.skipped += 1;
            if self.skipped <= MOST_TOLD {
                progress.say(&format!("skipped: {wrong}"));
            }
        }
        self.rows += delivered.batch.rows;
        self.recorded += delivered.recorded;
        self.duplicates += delivered.duplicates;
    }

    fn told(&self, took: Duration) -> String {
        format!(
            "{} rows, {} recorded, {} duplicates, {} skipped in {:.1} s",
            self.rows,
            self.recorded,
            self.duplicates,
            self.skipped,
            took.as_secs_f64()
        )
    }
}
