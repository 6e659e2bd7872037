//! What is measured: a model, its requests, and each way in which they are sent.

use std::{path::Path, rc::Rc};

use crate::{
    cli::bench::{
        against::Against,
        args::{BenchArgs, Way},
        calls::Calls,
        fit::Fit,
        input_data,
        local::LocalModel,
        peer::{Peer, takes},
        raw::Raw,
        requests::{Ingredients, Pool},
        rows::Rows,
        server::{ServerFacts, example, facts},
    },
    repository::InputSpec,
    tensor::Tensor,
    transport::{
        infer_message,
        pb::{self, inference::ModelInferRequest},
    },
};

/// What is measured.
pub(super) struct Subject {
    pub(super) facts: ServerFacts,
    /// Users that the requests were drawn from; 0 means the unknown shopper. None where a file has the tensors.
    pub(super) users: Option<usize>,
    /// Different requests.
    pub(super) requests: usize,
    /// Candidates or rows of each.
    pub(super) candidates: usize,
    /// The requests to the server that is measured.
    pub(super) calls: Rc<Calls>,
    /// The same rows without a server.
    pub(super) raw: Option<Raw>,
    /// Other servers, with the requests to each.
    pub(super) peers: Vec<(Peer, Rc<Calls>)>,
}

impl Subject {
    /// Makes the requests: of the model's example, or of the file that the command line names.
    pub(super) async fn prepare(args: &BenchArgs, target: &str) -> Result<Self, String> {
        match &args.input_data {
            Some(path) => Self::of_data(args, target, path).await,
            None => Self::of_example(args, target).await,
        }
    }

    async fn of_example(args: &BenchArgs, target: &str) -> Result<Self, String> {
        let example = example(target, &args.model).await?;
        let selector = example.model.clone().unwrap_or_default();
        let facts = facts(target, &selector.name).await?;
        let local = match args.is_local() {
            true => Some(LocalModel::read(&args.config()?.place_options(), &selector).await?),
            false => None,
        };
        let (pool, users) = draw(args, example, local.as_ref())?;
        let rows = match local {
            Some(local) if args.needs_tensors() => {
                Some(Rows::of_requests(args.config()?, local.bundle, &pool.requests).await?)
            }
            _ => None,
        };
        let calls = match (args.by, &rows) {
            (Way::Rank, _) => Calls::rank(&pool.requests, pool.items),
            (Way::Tensors, Some(rows)) => Calls::infer(&own(&facts, rows), Some(pool.candidates)),
            (Way::Tensors, None) => return Err(no_tensors("--by tensors")),
        };
        let peers = peers(args, (&facts, Some(pool.candidates)), rows.as_ref()).await?;
        let instances = facts.instances.max(1) as usize;
        Ok(Self {
            facts,
            users: Some(users),
            requests: pool.requests.len(),
            candidates: pool.candidates,
            calls: Rc::new(calls),
            raw: raw(args, rows, (pool.candidates, instances))?,
            peers,
        })
    }

    async fn of_data(args: &BenchArgs, target: &str, path: &Path) -> Result<Self, String> {
        let told = |wrong: String| format!("--input-data {}: {wrong}", path.display());
        if args.model.is_empty() {
            return Err(told("say with --model which model the tensors are for".to_owned()));
        }
        let facts = facts(target, &args.model).await?;
        let takes = takes(target, &args.model).await?;
        let text = std::fs::read_to_string(path).map_err(|e| told(e.to_string()))?;
        let inputs = input_data::read(&text, &takes).map_err(told)?;
        let names: Vec<&str> = takes.inputs.iter().map(|input| input.name.as_str()).collect();
        let messages = inputs
            .iter()
            .map(|tensors| infer_message(&args.model, "", names.iter().copied().zip(tensors)));
        let calls = Calls::infer(&messages.collect::<Vec<_>>(), None);
        let (requests, candidates) = (inputs.len(), rows_of(&inputs));
        let rows = match args.is_local() && args.needs_tensors() {
            true => {
                let selector = pb::ModelSelector { name: args.model.clone(), ..Default::default() };
                let local = LocalModel::read(&args.config()?.place_options(), &selector).await?;
                Some(Rows::of_tensors(args.config()?, local.bundle, inputs).await?)
            }
            false => None,
        };
        let peers = peers(args, (&facts, None), rows.as_ref()).await?;
        let instances = facts.instances.max(1) as usize;
        let raw = raw(args, rows, (candidates, instances))?;
        let calls = Rc::new(calls);
        Ok(Self { facts, users: None, requests, candidates, calls, raw, peers })
    }
}

/// The rows of a request: the first dim of its first tensor.
fn rows_of(inputs: &[Vec<Tensor>]) -> usize {
    let first = inputs.first().and_then(|tensors| tensors.first());
    first.and_then(|tensor| tensor.shape.first()).copied().unwrap_or(1).max(1)
}

fn raw(
    args: &BenchArgs,
    rows: Option<Rows>,
    (candidates, instances): (usize, usize),
) -> Result<Option<Raw>, String> {
    let rows = rows.filter(|_| !args.no_raw);
    rows.map(|rows| Raw::load(rows, (candidates, instances), &args.raw_batch)).transpose()
}

/// The requests by tensors to the server that is measured.
fn own(facts: &ServerFacts, rows: &Rows) -> Vec<ModelInferRequest> {
    let names = rows.bundle.manifest.inputs.iter().map(|input| input.name.as_str());
    let each = rows.inputs.iter();
    each.map(|tensors| infer_message(&facts.model, "", names.clone().zip(tensors))).collect()
}

/// The other servers, with the same rows as each takes them.
async fn peers(
    args: &BenchArgs,
    (facts, candidates): (&ServerFacts, Option<usize>),
    rows: Option<&Rows>,
) -> Result<Vec<(Peer, Rc<Calls>)>, String> {
    let mut peers = Vec::new();
    for against in Against::all(&args.against)? {
        let rows = rows.ok_or_else(|| no_tensors("--against"))?;
        let inputs = &rows.bundle.manifest.inputs;
        let peer = Peer::connect(&against, &facts.model).await?;
        let fit = Fit::new(inputs, &peer.inputs);
        let fit = fit.map_err(|wrong| format!("--against {against}: {wrong}"))?;
        let requests = rows.inputs.iter().map(|tensors| request_to(&peer, &fit, (inputs, tensors)));
        let calls = Calls::infer(&requests.collect::<Vec<_>>(), candidates);
        peers.push((peer, Rc::new(calls)));
    }
    Ok(peers)
}

fn request_to(
    peer: &Peer,
    fit: &Fit,
    (inputs, tensors): (&[InputSpec], &[Tensor]),
) -> ModelInferRequest {
    let sent = fit.of(inputs, tensors);
    infer_message(&peer.model, "", sent.iter().map(|(name, tensor)| (name.as_str(), tensor)))
}

fn no_tensors(flag: &str) -> String {
    format!(
        "{flag}: the requests' tensors are made from the model's directory; say with --models where it is"
    )
}

/// The requests, and how many users they are drawn from.
fn draw(
    args: &BenchArgs,
    example: pb::RankRequest,
    local: Option<&LocalModel>,
) -> Result<(Pool, usize), String> {
    let users: Vec<String> = match &args.users {
        Some(path) => {
            let told = |e| format!("--users {}: {e}", path.display());
            let text = std::fs::read_to_string(path).map_err(told)?;
            text.split_whitespace().map(str::to_owned).collect()
        }
        None => local.map(|local| local.users.clone()).unwrap_or_default(),
    };
    let count = users.len();
    let embedding = local.map(|local| local.embedding.clone()).filter(|shape| !shape.is_empty());
    if args.inline_embedding && embedding.is_none() {
        let wrong =
            "--inline-embedding: the ranker reads none, or --models does not say where it is";
        return Err(wrong.to_owned());
    }
    let pool = Pool::draw(&Ingredients {
        embedding: embedding.filter(|_| args.inline_embedding),
        example,
        users,
        items: local.map(|local| local.items.clone()).unwrap_or_default(),
        candidates: args.candidates,
        top: args.top,
        seed: args.seed,
    })?;
    Ok((pool, count))
}
