//! Real `redis-server` processes: started on free ports, killed, stopped, continued, restarted; ended on drop.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use redis::{FromRedisValue, RedisResult};
use tempfile::TempDir;

use crate::{patience::wait_for, ports::free_port};

/// How long a server may take to answer after it was started.
const START: Duration = Duration::from_secs(20);
/// How long one command of a test may take.
const ANSWER: Duration = Duration::from_secs(5);

/// One server process in a folder of its own.
pub struct RedisServer {
    pub port: u16,
    /// User and password of the commands of tests, as `user:password@`; empty: none are needed.
    pub login: String,
    program: PathBuf,
    arguments: Vec<String>,
    folder: TempDir,
    child: Child,
}

impl RedisServer {
    /// Starts `redis-server` that keeps nothing over a restart.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Starts `redis-server` that finds its data again when it is restarted.
    pub fn durable() -> Self {
        Self::with(&["--appendonly", "yes"])
    }

    /// Starts `redis-server` with further arguments.
    pub fn with(arguments: &[&str]) -> Self {
        Self::of("redis-server", arguments)
    }

    /// Starts a program that takes the arguments of `redis-server`.
    pub fn of(program: impl Into<PathBuf>, arguments: &[&str]) -> Self {
        let server = Self::unasked(program, arguments);
        server.wait_until_it_answers();
        server
    }

    /// Starts a program without waiting until it answers.
    pub fn unasked(program: impl Into<PathBuf>, arguments: &[&str]) -> Self {
        let (program, folder, port) = (program.into(), tempfile::tempdir().unwrap(), free_port());
        let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        let child = launch(&program, &arguments, &folder, port);
        Self { port, login: String::new(), program, arguments, folder, child }
    }

    /// `redis://` of this server.
    pub fn url(&self) -> String {
        format!("redis://{}127.0.0.1:{}", self.login, self.port)
    }

    /// `HOST:PORT` of this server.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Runs one command on a connection of its own.
    pub fn try_ask<T: FromRedisValue>(&self, words: &[&str]) -> RedisResult<T> {
        try_ask(&self.url(), words)
    }

    /// Runs one command that works.
    #[track_caller]
    pub fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_ask(words).unwrap_or_else(|error| panic!("{words:?}: {error}\n{}", self.log()))
    }

    /// Runs one command with an argument that is no text.
    #[track_caller]
    pub fn put(&self, words: &[&str], value: &[u8]) {
        let mut connection = redis::Client::open(self.url()).unwrap().get_connection().unwrap();
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.arg(value).query::<()>(&mut connection).unwrap();
    }

    /// All keys of a pattern, sorted.
    #[track_caller]
    pub fn keys(&self, pattern: &str) -> Vec<String> {
        let mut keys: Vec<String> = self.ask(&["KEYS", pattern]);
        keys.sort();
        keys
    }

    /// Whether it answers, and not only that it is still reading its data.
    pub fn answers(&self) -> bool {
        match self.try_ask::<String>(&["PING"]) {
            Ok(_) => true,
            Err(error) => error.code() == Some("NOAUTH"),
        }
    }

    /// Waits until it answers.
    pub fn wait_until_it_answers(&self) {
        wait_for(&format!("redis on {}: {}", self.port, self.log()), START, || {
            self.answers().then_some(())
        });
    }

    /// `SIGKILL`, and waits for the end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on the same port and in the same folder; does not wait until it answers.
    pub fn start_again(&mut self) {
        self.kill();
        self.child = launch(&self.program, &self.arguments, &self.folder, self.port);
    }

    /// `SIGSTOP`: it holds its connections and answers nothing.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// `SIGCONT`.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let line = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success(), "{line}");
    }

    /// What it has printed.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs one command at an address, on a connection of its own.
pub fn try_ask<T: FromRedisValue>(url: &str, words: &[&str]) -> RedisResult<T> {
    let client = redis::Client::open(url)?;
    let mut connection = client.get_connection_with_timeout(ANSWER)?;
    connection.set_read_timeout(Some(ANSWER))?;
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query(&mut connection)
}

fn launch(program: &PathBuf, arguments: &[String], folder: &TempDir, port: u16) -> Child {
    let log =
        fs::OpenOptions::new().create(true).append(true).open(folder.path().join("log")).unwrap();
    let mut command = Command::new(program);
    // A file as the first argument, which Sentinel writes to.
    let (file, options): (Vec<_>, Vec<_>) =
        arguments.iter().partition(|word| word.ends_with(".conf"));
    command.args(file).arg("--port").arg(port.to_string()).arg("--dir").arg(folder.path());
    if !arguments.iter().any(|word| word == "--sentinel") {
        command.args(["--bind", "127.0.0.1", "--save", "", "--repl-diskless-sync-delay", "0"]);
    }
    command.args(options).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    command.spawn().unwrap_or_else(|error| {
        panic!("{}: {error}; `make test` installs redis-server", program.display())
    })
}
