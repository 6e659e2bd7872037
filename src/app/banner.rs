//! What the server prints once it serves.

use std::{fmt::Write, io, net::SocketAddr};

use crate::{
    ranking::{Engine, ModelChoice},
    repository::Role,
    runtime::Runtime,
    serving::{Lives, State},
    transport::Listeners,
    users::{Shipped, UserStore},
};

/// The user that the documentation takes for an example.
const EXAMPLE_USER: &str = "1228";

/// What is told.
pub(super) struct Banner<'a> {
    pub(super) engine: &'a Engine,
    pub(super) runtime: &'a Runtime,
    pub(super) shipped: &'a Shipped,
    pub(super) users: &'a dyn UserStore,
    pub(super) lives: &'a Lives,
    /// Where the model repository is.
    pub(super) repository: &'a str,
    /// Instances of a model on the CPU.
    pub(super) instances: usize,
}

impl Banner<'_> {
    /// What is served, where, on which device, and what to type next.
    pub(super) fn text(&self, listeners: &Listeners) -> String {
        let mut text = String::new();
        let address = |bound: io::Result<SocketAddr>| {
            bound.map_or_else(|e| e.to_string(), |address| address.to_string())
        };
        let grpc = address(listeners.address());
        let _ = writeln!(text, "Podium {} is serving", env!("CARGO_PKG_VERSION"));
        let _ = writeln!(text, "  gRPC    http://{grpc}  (reflection and health are on)");
        let _ = writeln!(
            text,
            "  admin   http://{}  (/livez /readyz /statusz)",
            address(listeners.admin_address())
        );
        let _ = writeln!(text, "  device  {}", self.device());
        let _ = writeln!(text, "  from    {}", self.repository);
        if let Some(fault) = self.lives.fault() {
            let _ = writeln!(text, "  FAULT   {fault}");
        }
        for (id, model) in self.engine.registry().all() {
            let answers = id.name.as_str() == self.engine.default_model();
            let default =
                if answers && model.role() == Role::Ranker { ", the default" } else { "" };
            let kind = match model.role() {
                Role::Ranker => "ranker",
                Role::UserEncoder => "user encoder",
                Role::Tensors => "tensors",
            };
            let _ = writeln!(text, "  model   {id}  ({kind}{default})");
        }
        for (id, life) in self.lives.all() {
            match (life.state, life.reason) {
                (State::Failed, Some(why)) => drop(writeln!(text, "  FAILED  {id}: {why}")),
                (State::Found, Some(why)) => drop(writeln!(text, "  WAITS   {id}: {why}")),
                _ => {}
            }
        }
        let _ = writeln!(text, "  users   {}", self.users.describe());
        let _ = writeln!(text, "          {} histories come with the models", self.shipped.len());
        text.push_str(&self.example(&grpc));
        text.push_str("Ctrl-C drains and stops.\n");
        text
    }

    fn device(&self) -> String {
        let device = self.runtime.device();
        if device.is_gpu() {
            return device.to_string();
        }
        let (instances, threads) = (self.instances, self.runtime.intra_op_threads());
        format!("{device}, {instances} instance(s) a model, {threads} thread(s) each")
    }

    /// What to type next: a question that the default model answers.
    fn example(&self, grpc: &str) -> String {
        let Ok(ranker) = self.engine.ranker(&ModelChoice::default()) else {
            return "No model ranks by default; docs/open-inference.md asks models by their tensors.\n".to_owned();
        };
        let target = match grpc {
            "127.0.0.1:50051" => String::new(),
            other => format!(" --target http://{other}"),
        };
        let user = self.shipped.example_user(&ranker.history_owner().name, EXAMPLE_USER);
        let user = user.map_or_else(String::new, |user| format!("--user {user} "));
        let what = match ranker.example() {
            Some(_) => format!("{user}--top 10"),
            None => format!("{user}--candidates FILE.csv"),
        };
        format!("Try it in another terminal:\n  target/release/podium rank {what}{target}\n")
    }
}
