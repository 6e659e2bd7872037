//! The child: loads one version as the server would, runs it, and tells what came of it.

use std::{
    io::{self, Write},
    path::Path,
    sync::atomic::Ordering,
    thread,
};

use crate::{
    app::{
        example::load_example,
        memory,
        trial::{
            confine::{bound_memory, bound_time, end_with_parent, give_way},
            message::{Message, Report, Request},
            passed::sum_of,
        },
    },
    config::Config,
    ranking::{Encoder, Ranker},
    repository::{Bundle, Fault, Role, VersionLimits},
    runtime::Runtime,
    serving::{ColdModel, probe},
    users::load_histories,
};

/// Words that the parent knows for want of memory.
const NO_MEMORY: &str = "warming up: Failed to allocate memory";

/// Tries the version that standard input names, and tells what comes of it on standard output.
///
/// # Errors
/// Why there is nothing to tell: no request that can be read, no ONNX Runtime, or no limits.
pub fn try_one() -> Result<(), String> {
    give_way().map_err(|cause| format!("its limits cannot be set: {cause}"))?;
    let mut line = String::new();
    io::stdin().read_line(&mut line).map_err(|cause| cause.to_string())?;
    let request: Request = serde_json::from_str(&line)
        .map_err(|cause| format!("`podium serve` alone starts this command: {cause}"))?;
    end_with_parent().map_err(|cause| cause.to_string())?;
    // A thread like those that load versions in the server: what overflows their stacks shall overflow this one.
    let trying = thread::Builder::new().name("trial".to_owned()).spawn(move || try_it(request));
    let tried = trying.map_err(|cause| cause.to_string())?.join();
    tried.map_err(|_| "it panicked".to_owned())?
}

fn try_it(request: Request) -> Result<(), String> {
    let Request { path, config, limits } = request;
    let runtime = Runtime::load(config.runtime_options()).map_err(|error| error.to_string())?;
    let on_gpu = runtime.device().is_gpu();
    bound_time(limits.max_trial_time, config.runtime.intra_op_threads)
        .and_then(|()| match on_gpu {
            // The driver takes addresses for all memory of all devices.
            true => Ok(()),
            false => bound_memory(limits.max_memory_mib),
        })
        .map_err(|cause| format!("its limits cannot be set: {cause}"))?;
    let before = memory::of_process("self", "VmRSS").unwrap_or(0);
    tell(&Message::Began(before));
    let message = match load(&runtime, &path, (&config, &limits)) {
        Ok(report) => {
            let most = memory::of_process("self", "VmHWM").unwrap_or(0);
            Message::Passed(Report { memory: most.saturating_sub(before), ..report })
        }
        Err(refusal) => Message::Refused(refusal),
    };
    tell(&message);
    Ok(())
}

/// Loads and runs the version as far as the server will, with one instance.
fn load(
    runtime: &Runtime,
    path: &Path,
    (config, limits): (&Config, &VersionLimits),
) -> Result<Report, String> {
    stage("its files were read");
    let mut bundle = Bundle::open_within(path, limits).map_err(|error| error.to_string())?;
    let catalogue = config.models.catalogues.get(bundle.id.name.as_str());
    if let Some(path) = catalogue.filter(|_| bundle.manifest.catalogue.is_some()) {
        bundle.use_catalogue(path);
    }
    let sum = sum_of(&bundle);
    if let Some(batching) = &mut bundle.manifest.batching {
        batching.instances = None;
    }
    let faulty = |fault: Fault| bundle.faulty(vec![fault]).to_string();
    let options = config.load_options(runtime.device().gpus());
    stage("a session was made of its graph");
    let mut cold =
        ColdModel::load(runtime, &bundle, &options).map_err(|error| error.to_string())?;
    stage("its graph was run");
    let (most, found_no_memory) = (cold.max_units(), cold.notice_memory());
    if let Some(session) = cold.session() {
        probe(session, &bundle, most).map_err(faulty)?;
    }
    let handle = cold.warm_up().map_err(|error| error.to_string())?;
    // Warming up passes over runs that fail; in the server there would be nothing for them to fail for.
    if found_no_memory.load(Ordering::Relaxed) {
        return Err(NO_MEMORY.to_owned());
    }
    let cost = handle.cost();
    stage("its catalogue, vocabularies and texts were read");
    load_histories(&bundle).map_err(faulty)?;
    let example = load_example(&bundle, &config.limits).map_err(faulty)?;
    let compiled = match bundle.manifest.role {
        Role::UserEncoder => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|cause| cause.to_string())?;
            runtime.block_on(Encoder::compile(&bundle, handle)).map(drop)
        }
        // Its encoder is another version, which was tried itself.
        Role::Ranker => Ranker::compile(&bundle, handle, None, example).map(drop),
        Role::Tensors => Ok(()),
    };
    compiled.map_err(|error| error.to_string())?;
    let cost = cost.points().iter().map(|point| (point.size, point.run_us)).collect();
    Ok(Report { bundle: sum, memory: 0, cost })
}

fn stage(what: &str) {
    tell(&Message::Stage(what.to_owned()));
}

/// Tells the parent; where there is none any more, the process ends by that.
fn tell(message: &Message) {
    if let Ok(line) = serde_json::to_string(message) {
        let mut out = io::stdout().lock();
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }
}
