//! The course of a tuning: what runs cost, then each choice at each rate.

use std::time::{Duration, Instant};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::{
    app::load_example,
    batching::{BatchOptions, CostPoint, CostTable, Lead, Work},
    cli::{
        progress::Progress,
        tune::{
            args::TuneArgs,
            choices::{Choice, choices},
            demand::Demand,
            drive::{Load, drive},
            point::{Point, pick},
        },
    },
    config::{self, Config},
    deadline::Deadline,
    repository::{BatchingSpec, Bundle, GoldenInputs, Role, golden_inputs},
    runtime::Runtime,
    serving::{LoadOptions, ModelHandle, batch_layout, sample_requests},
    tensor::Tensor,
};

/// Rates that each choice is measured at, over the capacity that the costs predict, or [`MOST_PER_S`] where that is less.
const SHARES: [f64; 6] = [0.2, 0.4, 0.6, 0.8, 0.9, 1.0];

/// How often a rate is measured that misses the slo.
const TRIES: usize = 2;

/// A choice is measured no further once it has missed the slo at so many rates.
const MOST_MISSED: usize = 2;

/// Requests a second that one thread sends without being late itself; models that can do more are measured up to it.
pub(super) const MOST_PER_S: f64 = 10_000.0;

/// Candidates of a request, where neither the command line nor the bundle has a number.
const CANDIDATES: usize = 100;

/// How often each request is run alone; the quickest run counts.
const ALONE_RUNS: usize = 3;

/// How long a request alone may take.
const ALONE: Duration = Duration::from_secs(60);

/// All that was found out.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The model's name.
    pub(super) model: String,
    /// Its version.
    pub(super) version: u64,
    /// Where it ran.
    pub(super) device: String,
    /// Candidates of each request, or users.
    pub(super) rows: usize,
    /// Golden cases that the requests were made of; none where they were made up.
    pub(super) golden_cases: usize,
    /// What was asked of the model.
    pub(super) demand: Demand,
    /// How long a request takes that comes alone.
    pub(super) alone_ms: f64,
    /// The length that rows had where costs were measured.
    pub(super) cost_length: usize,
    /// What runs cost.
    pub(super) costs: Vec<Cost>,
    /// Whether the costs promise more requests a second than can be sent: then 100% stands for those.
    pub(super) capped: bool,
    /// What was measured.
    pub(super) points: Vec<Point>,
    /// The place of the point that is proposed; none where no one meets the slo.
    pub(super) proposed: Option<usize>,
    /// The proposed settings.
    pub(super) settings: Option<BatchingSpec>,
    /// Whether it was stopped before all was measured.
    pub(super) stopped: bool,
}

/// What a run costs.
#[derive(Debug, Serialize)]
pub(super) struct Cost {
    pub(super) rows: usize,
    pub(super) run_ms: f64,
    pub(super) rows_per_s: f64,
}

/// A bundle, and what runs it.
struct Bench {
    runtime: Runtime,
    bundle: Bundle,
    options: LoadOptions,
}

impl Bench {
    fn open(args: &TuneArgs, config: &Config) -> Result<Self, String> {
        let bundle = Bundle::open(&args.path).map_err(|e| e.to_string())?;
        let runtime = Runtime::load(config.runtime_options()).map_err(|e| e.to_string())?;
        let options = config.load_options(runtime.device().gpus());
        Ok(Self { runtime, bundle, options })
    }

    /// Starts a queue with settings of its own; those that are not set stay as they are configured.
    fn load(&self, settings: &BatchingSpec) -> Result<ModelHandle, String> {
        let mut options = self.options.clone();
        let own = options.models.entry(self.bundle.id.name.to_string()).or_default();
        *own = settings.over(own);
        ModelHandle::load(&self.runtime, &self.bundle, &options).map_err(|e| e.to_string())
    }
}

/// What all choices are measured with.
struct Plan {
    requests: Vec<Vec<Tensor>>,
    demand: Demand,
    costs: CostTable,
    choices: Vec<Choice>,
    /// What is configured so far.
    configured: BatchOptions,
}

impl Plan {
    fn capacity(&self, choice: &Choice) -> f64 {
        choice.capacity(&self.costs, &self.demand)
    }
}

/// Measures what runs cost, and each choice at each rate until it is stopped.
pub(super) async fn measure(args: &TuneArgs, stop: &CancellationToken) -> Result<Report, String> {
    let (config, _) = config::load(args.config.as_deref(), &[]).map_err(|e| e.to_string())?;
    let bench = Bench::open(args, &config)?;
    let (rows, cases) = requested(args, &bench.bundle, &config)?;
    let requests = sample_requests(&bench.bundle, &cases, rows);
    let single = bench.load(&BatchingSpec { instances: Some(1), ..BatchingSpec::default() })?;
    let alone = alone(&single, &requests).await?;
    let plan = plan(&bench, (&single, requests), (rows, args.slo))?;
    let typical = plan.costs.usual_weight();
    let cost = |point: &CostPoint| Cost {
        rows: point.size / typical,
        run_ms: point.run_us / 1e3,
        rows_per_s: (point.size / typical) as f64 / point.run_us * 1e6,
    };
    let mut report = Report {
        model: bench.bundle.id.name.to_string(),
        version: bench.bundle.id.version.0,
        device: single.device().to_owned(),
        rows,
        golden_cases: cases.len(),
        demand: plan.demand,
        alone_ms: alone.as_secs_f64() * 1e3,
        cost_length: typical,
        costs: plan.costs.points().iter().map(cost).collect(),
        capped: plan.choices.iter().any(|choice| plan.capacity(choice) > MOST_PER_S),
        points: Vec::new(),
        proposed: None,
        settings: None,
        stopped: false,
    };
    drop(single);
    report.stopped = !measure_choices(&bench, &plan, args, (&mut report.points, stop)).await?;
    report.proposed = pick(&report.points);
    let chosen = report.proposed.map(|place| report.points[place].choice);
    report.settings =
        chosen.map(|choice| choice.settings(&plan.costs, &plan.demand, &plan.configured));
    Ok(report)
}

/// The rows of each request, and the golden cases that they are made of.
fn requested(
    args: &TuneArgs,
    bundle: &Bundle,
    config: &Config,
) -> Result<(usize, Vec<GoldenInputs>), String> {
    let faulty = |fault| bundle.faulty(vec![fault]).to_string();
    let example = load_example(bundle, &config.limits).map_err(faulty)?;
    let example = example.map_or(CANDIDATES, |example| example.candidates.ids.len().max(1));
    let usual = if bundle.manifest.role == Role::UserEncoder { 1 } else { example };
    let rows = args.rows.map_or(usual, |rows| rows as usize);
    Ok((rows, golden_inputs(bundle).map_err(faulty)?))
}

/// The mean of the requests' quickest runs, each alone.
async fn alone(model: &ModelHandle, requests: &[Vec<Tensor>]) -> Result<Duration, String> {
    let mut sum = Duration::ZERO;
    for inputs in requests {
        let mut quickest = Duration::MAX;
        for _ in 0..ALONE_RUNS {
            let begun = Instant::now();
            let work = Work::new(inputs.clone(), Deadline::after(begun, ALONE));
            model.run(work).await.map_err(|e| {
                format!("{} cannot run a request: {e}\n`podium check` tells more", model.id())
            })?;
            quickest = quickest.min(begun.elapsed());
        }
        sum += quickest;
    }
    Ok(sum / u32::try_from(requests.len().max(1)).unwrap_or(u32::MAX))
}

fn plan(
    bench: &Bench,
    (single, requests): (&ModelHandle, Vec<Vec<Tensor>>),
    (rows, slo): (usize, Duration),
) -> Result<Plan, String> {
    let costs = single.cost();
    let by_users = batch_layout(&bench.bundle).unit == Lead::Users;
    let lists = by_users && bench.bundle.manifest.role == Role::Ranker;
    let units = if lists { 1 } else { rows };
    let size: usize = requests.iter().map(|inputs| single.size_of(inputs)).sum();
    let length = size as f64 / (requests.len() * units).max(1) as f64;
    let demand = Demand { units, length: length.max(1.0), slo };
    let configured = bench.options.of(&bench.bundle);
    let choices = choices(&costs, &demand, (bench.options.instances, configured.max_batch_rows));
    match choices.is_empty() {
        true => Err(format!(
            "{} takes no made-up inputs, so its costs cannot be measured: add golden cases to see why with `podium check`, or \
             write [batching] by hand (docs/batching.md)",
            bench.bundle.id
        )),
        false => Ok(Plan { requests, demand, costs, choices, configured }),
    }
}

/// Measures each choice, slow rates first; says whether it came to the end.
async fn measure_choices(
    bench: &Bench,
    plan: &Plan,
    args: &TuneArgs,
    (points, stop): (&mut Vec<Point>, &CancellationToken),
) -> Result<bool, String> {
    let progress = Progress::new(plan.choices.len() * SHARES.len());
    for choice in &plan.choices {
        let settings = choice.settings(&plan.costs, &plan.demand, &plan.configured);
        let model = bench.load(&settings)?;
        let mut missed = 0;
        for (place, share) in SHARES.into_iter().enumerate() {
            if missed < MOST_MISSED {
                progress.begin(format!("{choice}, {:.0}%", share * 100.0));
                let rate = (*choice, place, share);
                let Some(point) = measure_rate((&model, plan), args, rate, stop).await? else {
                    return Ok(false);
                };
                missed += usize::from(!point.meets());
                points.push(point);
            }
            progress.done();
        }
    }
    Ok(true)
}

/// Measures one choice at one rate; where it misses the slo once more, because others may have used the machine, and the better one counts.
async fn measure_rate(
    (model, plan): (&ModelHandle, &Plan),
    args: &TuneArgs,
    (choice, place, share): (Choice, usize, f64),
    stop: &CancellationToken,
) -> Result<Option<Point>, String> {
    let capacity = plan.capacity(&choice).min(MOST_PER_S);
    let load = Load {
        rate: capacity * share,
        lasts: args.duration,
        slo: args.slo,
        // Every choice meets the same requests at the same share.
        seed: args.seed.wrapping_add(place as u64),
    };
    let mut best: Option<Point> = None;
    for _ in 0..TRIES {
        let Some(tally) = drive(model, &plan.requests, &load, stop).await? else {
            return Ok(best);
        };
        if let Some(failure) = &tally.failure {
            return Err(format!("{} failed under load: {failure}", model.id()));
        }
        let point = Point::new(choice, share, &tally, args.duration);
        let better = best.as_ref().is_none_or(|best| point.kept() > best.kept());
        best = if better { Some(point) } else { best };
        if best.as_ref().is_some_and(Point::meets) {
            break;
        }
    }
    Ok(best)
}
