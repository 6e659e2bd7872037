//! The server that is measured: a child process of the bench, or one that runs already.

use std::{
    ffi::OsString,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    cli::{
        bench::cpu::{ProcessCpu, resident_bytes},
        client::{Client, Target, refusal},
    },
    transport::pb,
};

/// How long a drain may take before the child is killed.
const DRAIN: Duration = Duration::from_secs(15);

/// Characters of a thread's name that Linux keeps.
const THREAD_NAME: usize = 15;

/// A `podium serve` that does not outlive this value.
pub(super) struct ChildServer {
    child: Child,
    target: String,
}

impl ChildServer {
    /// Starts this very program on free ports and waits until it serves.
    pub(super) fn start(flags: &[OsString]) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|e| e.to_string())?;
        let mut command = Command::new(program);
        command.arg("serve").args(flags);
        command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        command.env("PODIUM_LOG__LEVEL", "warn");
        // Ctrl-C is for the bench, which stops the server once it has counted what came.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child =
            command.spawn().map_err(|e| format!("the server cannot be started: {e}"))?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("the server has no output")?);
        let mut server = Self { child, target: String::new() };
        let mut line = String::new();
        while lines.read_line(&mut line).map_err(|e| e.to_string())? > 0 {
            if let Some(url) = line.split_whitespace().find(|word| word.starts_with("http://")) {
                server.target = url.to_owned();
                // What else it prints is of no interest, but must not fill the pipe.
                thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
                return Ok(server);
            }
            line.clear();
        }
        Err("the server did not start; its log says why".to_owned())
    }

    /// Where it serves.
    pub(super) fn target(&self) -> &str {
        &self.target
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl ChildServer {
    /// Fails where the process has ended.
    pub(super) fn check(&mut self) -> Result<(), String> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(format!("the server ended while it was measured ({status})")),
            Err(error) => Err(format!("the server cannot be watched: {error}")),
        }
    }

    /// Lets it drain; what drops this value kills it where that takes too long.
    ///
    /// Waiting must not block the thread: the connections to the server close on the same one.
    pub(super) async fn stop(mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status();
        let latest = Instant::now() + DRAIN;
        while Instant::now() < latest && matches!(self.child.try_wait(), Ok(None)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for ChildServer {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the server is watched.
pub(super) struct ServerWatch {
    /// The process, where it is one of this machine, with what the names of the threads of the measured model begin with.
    process: Option<(u32, String)>,
    client: Client,
    model: (String, u64),
}

/// The server at one moment.
#[derive(Debug)]
pub(super) struct ServerReading {
    threads: Option<ProcessCpu>,
    cpu_us: u64,
    memory_bytes: u64,
}

/// What the server did between two readings.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServerSpent {
    /// Processor time in microseconds.
    pub(super) all_us: f64,
    /// That on threads other than those that run the model, where threads can be told apart.
    pub(super) besides_us: Option<f64>,
    /// Resident memory at both readings, in bytes; of a server elsewhere, the most that it has had.
    pub(super) memory_bytes: (u64, u64),
}

/// What of the model was run, where the server counts that.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct RunCounts {
    pub(super) batches: u64,
    pub(super) rows: u64,
    pub(super) abandoned_rows: u64,
    pub(super) elements: u64,
    pub(super) padding: u64,
}

impl RunCounts {
    /// What was run since `before`.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            batches: self.batches.saturating_sub(before.batches),
            rows: self.rows.saturating_sub(before.rows),
            abandoned_rows: self.abandoned_rows.saturating_sub(before.abandoned_rows),
            elements: self.elements.saturating_sub(before.elements),
            padding: self.padding.saturating_sub(before.padding),
        }
    }
}

impl ServerWatch {
    /// Watches a server, by its process where it is a child of this one.
    pub(super) async fn new(
        child: Option<&ChildServer>,
        target: &str,
        model: &ServerFacts,
    ) -> Result<Self, String> {
        let threads = format!("{}/", model.model).chars().take(THREAD_NAME).collect();
        Ok(Self {
            process: child.map(|child| (child.pid(), threads)),
            client: Target { target: target.to_owned() }.connect().await?,
            model: (model.model.clone(), model.model_version),
        })
    }

    /// Reads it now.
    pub(super) async fn read(&self) -> Result<ServerReading, String> {
        if let Some((pid, _)) = self.process {
            let (threads, memory_bytes) = (Some(ProcessCpu::of(pid)), resident_bytes(pid));
            return Ok(ServerReading { threads, cpu_us: 0, memory_bytes });
        }
        let info = self.info().await?;
        let (cpu_us, memory_bytes) = (info.process_cpu_us, info.process_peak_rss_bytes);
        Ok(ServerReading { threads: None, cpu_us, memory_bytes })
    }

    /// What of the model was run so far.
    pub(super) async fn run_counts(&self) -> Result<Option<RunCounts>, String> {
        let info = self.info().await?;
        let own = |model: &pb::ModelInfo| {
            (model.name.as_str(), model.version) == (&self.model.0, self.model.1)
        };
        let counters = info.models.into_iter().find(own).and_then(|model| model.run_counters);
        Ok(counters.map(|told| RunCounts {
            batches: told.batches,
            rows: told.rows,
            abandoned_rows: told.abandoned_rows,
            elements: told.elements,
            padding: told.padding,
        }))
    }

    async fn info(&self) -> Result<pb::GetServerInfoResponse, String> {
        let mut info = self.client.info.clone();
        let answer = info.get_server_info(pb::GetServerInfoRequest {}).await;
        Ok(answer.map_err(|s| refusal(&s))?.into_inner())
    }

    /// What was spent between two readings.
    pub(super) fn spent(&self, before: &ServerReading, after: &ServerReading) -> ServerSpent {
        let memory_bytes = (before.memory_bytes, after.memory_bytes);
        match (&self.process, &before.threads, &after.threads) {
            (Some((_, model)), Some(before), Some(after)) => {
                let besides = |name: &str| !name.starts_with(model.as_str());
                ServerSpent {
                    all_us: after.us_since(before),
                    besides_us: Some(after.us_of_threads(before, besides)),
                    memory_bytes,
                }
            }
            _ => {
                let all_us = after.cpu_us.saturating_sub(before.cpu_us) as f64;
                ServerSpent { all_us, besides_us: None, memory_bytes }
            }
        }
    }
}

/// What a server says of itself and of the model that is measured.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct ServerFacts {
    pub(super) server_version: String,
    pub(super) onnxruntime_build: String,
    pub(super) model: String,
    pub(super) model_version: u64,
    pub(super) device: String,
    pub(super) instances: u32,
}

/// Asks a server for the model's example.
pub(super) async fn example(target: &str, model: &str) -> Result<pb::RankRequest, String> {
    let mut client = Target { target: target.to_owned() }.connect().await?;
    let selector = pb::ModelSelector { name: model.to_owned(), selector: None };
    let asked = pb::GetExampleRequest { model: Some(selector) };
    let example = client.info.get_example(asked).await.map_err(|s| refusal(&s))?;
    Ok(example.into_inner().request.unwrap_or_default())
}

/// Asks a server for what it says of itself and of a model's live version.
pub(super) async fn facts(target: &str, name: &str) -> Result<ServerFacts, String> {
    let mut client = Target { target: target.to_owned() }.connect().await?;
    let info = client.info.get_server_info(pb::GetServerInfoRequest {}).await;
    let info = info.map_err(|s| refusal(&s))?.into_inner();
    let live = info.models.into_iter().find(|model| model.name == name && model.live);
    let live = live.unwrap_or_default();
    Ok(ServerFacts {
        server_version: info.server_version,
        onnxruntime_build: info.onnxruntime_build,
        model: name.to_owned(),
        model_version: live.version,
        device: live.device,
        instances: live.instances,
    })
}
