//! `podium check`: a bundle offline.

use std::{path::PathBuf, time::Instant};

use clap::Args;
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};

use crate::{
    app::{load_example, load_warm_up},
    catalogue::{Catalogue, Vocabulary},
    config::{self, Config},
    ranking::check_texts,
    repository::{Bundle, GoldenResult, Role, Sharing, golden_inputs, run_golden},
    runtime::{ModelInstance, Runtime, TensorInfo},
    serving::{Invariance, check_invariance, settled, verified_instance},
    transport::Limits,
    users::load_histories,
};

/// What to check.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The bundle's directory, <models>/<name>/<version>
    path: PathBuf,
    /// The configuration file, for the runtime's settings
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Prints a table of what was checked; fails where anything is wrong.
pub(super) fn run(args: &CheckArgs) -> Result<(), String> {
    let (config, _) = config::load(args.config.as_deref(), &[]).map_err(|e| e.to_string())?;
    if args.path.to_string_lossy().contains("://") {
        return Err(format!(
            "{}: a bundle is checked on this machine; copy it into a directory <name>/<version>, and name that",
            args.path.display()
        ));
    }
    let mut bundle = Bundle::open(&args.path).map_err(|e| e.to_string())?;
    if let Some(catalogue) = config.models.catalogues.get(bundle.id.name.as_str()) {
        bundle.use_catalogue(catalogue);
    }
    let mut report = Report::new();
    check_graph(&bundle, &config, &mut report)?;
    check_data(&bundle, &config.limits, &mut report)?;
    println!("{}", report.table);
    match report.failed {
        0 => {
            println!("{} is fit to serve.", bundle.id);
            Ok(())
        }
        count => Err(format!("{} failed {count} check(s): see the table", bundle.id)),
    }
}

fn check_graph(bundle: &Bundle, config: &Config, report: &mut Report) -> Result<(), String> {
    let runtime = Runtime::load(config.runtime_options()).map_err(|e| e.to_string())?;
    let begun = Instant::now();
    let mut instance = verified_instance(&runtime, bundle).map_err(|e| e.to_string())?;
    let is_plain = bundle.manifest.role == Role::Tensors;
    let files = bundle.manifest.files.len();
    report.row(
        "files",
        match is_plain {
            true => {
                format!("{files} read; without a manifest there are no sums to hold them against")
            }
            false => format!("{files} files have the sums of the manifest"),
        },
    );
    let took = begun.elapsed().as_millis();
    report.row("graph", format!("loads on {} in {took} ms", runtime.device()));
    let signature = instance.signature().clone();
    for input in &bundle.manifest.inputs {
        let info = signature.inputs.iter().find(|info| info.name == input.name);
        let source = format!("{:?}", input.source).to_lowercase();
        report.row(format!("input {}", input.name), format!("{} from {source}", shown(info)));
    }
    for output in &bundle.manifest.outputs {
        let info = signature.outputs.iter().find(|info| info.name == output.name);
        report.row(format!("output {}", output.name), shown(info));
    }
    if is_plain {
        return check_plain(bundle, instance.as_mut(), report);
    }
    let golden = run_golden(bundle, instance.as_mut()).map_err(|fault| fault.to_string())?;
    if golden.is_empty() {
        report.row(
            "golden",
            "none in the bundle: add some, so that a wrong graph is noticed".to_owned(),
        );
    }
    golden.iter().for_each(|result| report.golden(result));
    let cases = golden_inputs(bundle).map_err(|fault| fault.to_string())?;
    let invariance = check_invariance(instance.as_mut(), bundle, &cases);
    let allowed = golden.first().map_or(0.0, |result| result.tolerance);
    match invariance.map_err(|e| format!("the golden cases cannot share a batch: {e}"))? {
        Some(found) => report.invariance(&found, allowed),
        None => report.row("batch", "no two golden cases may share one".to_owned()),
    }
    Ok(())
}

/// Tells of a model without a manifest how its requests are batched, and what stands beside it and is not used.
fn check_plain(
    bundle: &Bundle,
    instance: &mut dyn ModelInstance,
    report: &mut Report,
) -> Result<(), String> {
    let was_tried = bundle.manifest.sharing == Some(Sharing::JoinedIfIndependent);
    let (manifest, _) = settled(instance, bundle);
    let told = match (manifest.sharing, was_tried) {
        (Some(Sharing::Joined), true) => {
            "rows of several requests run together; tried: company moves no answer"
        }
        (Some(Sharing::Whole), true) => {
            "each request runs by itself: company moves answers, or made-up requests do not run"
        }
        (Some(Sharing::Joined), false) => "rows of several requests run together",
        (Some(Sharing::Apart), _) => "each request runs by itself; one with many rows is cut",
        _ => "each request runs by itself",
    };
    report.row("batch", told.to_owned());
    for note in &bundle.notes {
        report.row("config.pbtxt", note.clone());
    }
    Ok(())
}

fn check_data(bundle: &Bundle, limits: &Limits, report: &mut Report) -> Result<(), String> {
    let faulty = |fault| bundle.faulty(vec![fault]).to_string();
    let catalogue = Catalogue::load(bundle).map_err(faulty)?;
    let texts = check_texts(bundle, catalogue.as_ref());
    for name in texts.map_err(|faults| bundle.faulty(faults).to_string())? {
        let tokenizer = &bundle.manifest.texts[&name].tokenizer;
        report.row(format!("text {name}"), format!("{tokenizer} reads"));
    }
    match (&bundle.manifest.catalogue, catalogue) {
        (Some(spec), Some(catalogue)) => report.row(
            "catalogue",
            format!("{} items, {} features", catalogue.len(), spec.columns.len()),
        ),
        (Some(_), None) => {
            let told = "declared without a file: models.catalogues may name one";
            report.row("catalogue", told.to_owned());
        }
        _ => {}
    }
    for (name, spec) in &bundle.manifest.vocabularies {
        Vocabulary::load(bundle, spec).map_err(faulty)?;
        report.row(format!("vocabulary {name}"), format!("{} reads", spec.file));
    }
    let histories = load_histories(bundle).map_err(faulty)?;
    if !histories.is_empty() {
        report.row("histories", format!("{} users", histories.len()));
    }
    if let Some(example) = load_example(bundle, limits).map_err(faulty)? {
        report.row("example", format!("{} candidates", example.candidates.ids.len()));
    }
    let warm_up = load_warm_up(bundle, limits).map_err(faulty)?;
    if !warm_up.is_empty() {
        report.row("warm-up", format!("{} requests", warm_up.len()));
    }
    if let (Role::Ranker, Some(encoder)) = (bundle.manifest.role, &bundle.manifest.encoder) {
        let needed =
            format!("needs {}/{}; checked when served together", encoder.name, encoder.version);
        report.row("encoder", needed);
    }
    Ok(())
}

fn shown(info: Option<&TensorInfo>) -> String {
    info.map(ToString::to_string).unwrap_or_default()
}

struct Report {
    table: Table,
    failed: usize,
}

impl Report {
    fn new() -> Self {
        let mut table = Table::new();
        table.load_preset(UTF8_FULL_CONDENSED).set_header(["check", "result", ""]);
        Self { table, failed: 0 }
    }

    fn row(&mut self, check: impl Into<String>, result: String) {
        self.table.add_row([check.into(), result, "ok".to_owned()]);
    }

    fn invariance(&mut self, found: &Invariance, allowed: f64) {
        let bits = if found.bit_equal { "no bit" } else { "some bits" };
        let told = format!(
            "{} cases in one run and each alone: largest difference {:.1e} of {allowed:.1e} allowed, \
             ten best in another order in {}; other neighbours change {bits}",
            found.cases, found.error, found.reordered
        );
        let passed = found.error <= allowed;
        self.failed += usize::from(!passed);
        self.table.add_row([
            "batch".to_owned(),
            told,
            if passed { "ok" } else { "FAILED" }.to_owned(),
        ]);
    }

    fn golden(&mut self, result: &GoldenResult) {
        let told = format!(
            "{} values, largest error {:.1e} of {:.1e} allowed",
            result.values, result.error, result.tolerance
        );
        let verdict = if result.passed() { "ok" } else { "FAILED" };
        self.failed += usize::from(!result.passed());
        let check = format!("golden {} {}", result.case, result.output);
        self.table.add_row([check, told, verdict.to_owned()]);
    }
}
