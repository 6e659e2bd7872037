//! The way to Redis that requests take: a time limit, a second try where it is cheap, and no try where it is hopeless.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};

use crate::users::{
    counters::{UserCounters, count},
    redis::{
        breaker::Breaker,
        budget::RetryBudget,
        link::{Answers, Link},
        scripts::Named,
        tracking::{Tracking, within},
    },
    store::StoreError,
};

/// What is held while Redis can be reached.
struct Open {
    link: Link,
    tracking: Tracking,
}

/// The way to Redis.
pub(super) struct Line {
    open: RwLock<Option<Open>>,
    /// What was last found out: what kind of Redis it is, or why it cannot be reached.
    state: RwLock<String>,
    pub(super) breaker: Breaker,
    budget: RetryBudget,
    counters: Arc<UserCounters>,
    write_timeout: Duration,
}

impl Line {
    pub(super) fn new(counters: Arc<UserCounters>, write_timeout: Duration) -> Self {
        Self {
            open: RwLock::default(),
            state: RwLock::new("not connected yet".to_owned()),
            breaker: Breaker::default(),
            budget: RetryBudget::default(),
            counters,
            write_timeout,
        }
    }

    /// Lets requests through.
    pub(super) fn connect(&self, link: Link, tracking: Tracking, state: String) {
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = Some(Open { link, tracking });
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
        self.breaker.probed();
    }

    /// Follows other masters from now on.
    pub(super) fn follow(&self, tracking: Tracking) {
        if let Some(open) = self.open.write().unwrap_or_else(PoisonError::into_inner).as_mut() {
            open.tracking = tracking;
        }
    }

    /// Lets none through.
    pub(super) fn disconnect(&self, why: &str) {
        self.give_up(self.breaker.trip(), why);
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = None;
        *self.state.write().unwrap_or_else(PoisonError::into_inner) =
            format!("cannot be reached now: {why}");
    }

    /// What it is, or why it cannot be reached, for people.
    pub(super) fn state(&self) -> String {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether local copies may be used without asking.
    pub(super) fn is_followed(&self) -> bool {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.as_ref().is_some_and(|open| open.tracking.is_trusted())
    }

    /// Whether nothing is asked until a probe succeeds.
    pub(super) fn is_given_up(&self) -> bool {
        self.breaker.is_open()
    }

    /// The connections, whatever the breaker says; for probes.
    pub(super) fn link(&self) -> Option<Link> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.as_ref().map(|open| open.link.clone())
    }

    /// Sends commands that only read, and again where the connection broke and time and budget allow.
    ///
    /// # Errors
    /// [`StoreError::Down`].
    pub(super) async fn read(
        &self,
        pipe: &Pipeline,
        limit: Duration,
    ) -> Result<Answers, StoreError> {
        let until = Instant::now() + limit;
        self.budget.earn();
        let error = match self.attempt(pipe, limit).await? {
            Ok(answers) => return Ok(answers),
            Err(error) => error,
        };
        let left = until.saturating_duration_since(Instant::now());
        let cheap = !error.is_timeout() && !left.is_zero() && !self.breaker.is_open();
        if !(cheap && self.budget.spend()) {
            return Err(down(&error));
        }
        count(&self.counters.retried_reads);
        self.attempt(pipe, left).await?.map_err(|error| down(&error))
    }

    /// Sends commands that only read, once.
    async fn attempt(
        &self,
        pipe: &Pipeline,
        limit: Duration,
    ) -> Result<RedisResult<Answers>, StoreError> {
        let link = self.usable()?;
        let answers = within(limit, link.send(pipe)).await;
        let broken = match &answers {
            Ok(answers) => answers.iter().filter_map(|a| a.as_ref().err()).find(|e| is_trouble(e)),
            Err(error) => Some(error),
        };
        match broken {
            None => self.breaker.succeeded(),
            Some(error) => self.give_up(self.breaker.failed(), &told(error)),
        }
        match broken.cloned() {
            Some(error) => Ok(Err(error)),
            None => Ok(answers),
        }
    }

    /// Sends commands that write, once.
    ///
    /// # Errors
    /// [`StoreError`], also where one of the commands is refused.
    pub(super) async fn write(&self, pipe: &Pipeline) -> Result<Vec<Value>, StoreError> {
        let link = self.usable()?;
        let answers = within(self.write_timeout, link.send(pipe)).await;
        let answers = answers.and_then(|answers| answers.into_iter().collect());
        answers.map_err(|error| refusal(&error))
    }

    /// Sends one command on the terms of writes, once; returns its answer.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn write_one(&self, command: Cmd) -> Result<Value, StoreError> {
        let link = self.usable()?;
        ask(&link, command, self.write_timeout).await.map_err(|error| refusal(&error))
    }

    /// Calls a script; sends its source where Redis does not have it yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn script(
        &self,
        script: &Named,
        keys: &[&str],
        arguments: &[&[u8]],
    ) -> Result<Value, StoreError> {
        let link = self.usable()?;
        let send = |known| ask(&link, script.call(known, keys, arguments), self.write_timeout);
        let answer = match send(true).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                send(false).await
            }
            answer => answer,
        };
        answer.map_err(|error| refusal(&error))
    }

    fn usable(&self) -> Result<Link, StoreError> {
        match self.link() {
            Some(link) if !self.breaker.is_open() => Ok(link),
            _ => Err(StoreError::Down(self.state())),
        }
    }

    /// Counts and tells that the breaker opened, where it did.
    fn give_up(&self, opened: bool, why: &str) {
        if opened {
            count(&self.counters.breaker_opened);
            tracing::warn!(why, "the user store is given up until it answers a probe");
        }
    }
}

/// Sends one command; returns its answer, or an error where it takes longer than `limit`.
pub(super) async fn ask(link: &Link, command: Cmd, limit: Duration) -> RedisResult<Value> {
    let answers = within(limit, link.send(&piped(command))).await?;
    answers.into_iter().next().unwrap_or(Ok(Value::Nil))
}

/// One command as a pipeline whose answer is seen as it is.
pub(super) fn piped(command: Cmd) -> Pipeline {
    let mut pipe = redis::pipe();
    pipe.add_command(command).ignore_errors();
    pipe
}

/// Whether an answer says that this node cannot serve, rather than that a key is not what it should be.
fn is_trouble(error: &RedisError) -> bool {
    error.code() != Some("WRONGTYPE")
}

/// What an error says, without what was asked: Redis quotes the arguments of a command that it does not know, and users' ids are among them.
pub(super) fn told(error: &RedisError) -> String {
    let text = error.to_string();
    match text.find("with args beginning with") {
        Some(at) => text[..at].trim_end_matches([' ', ',']).to_owned(),
        None => text,
    }
}

fn down(error: &RedisError) -> StoreError {
    StoreError::Down(told(error))
}

/// Why a write was not done.
fn refusal(error: &RedisError) -> StoreError {
    match error.code() {
        Some("OOM") => StoreError::Full(told(error)),
        Some("NOPERM" | "WRONGTYPE" | "ERR" | "NOAUTH") => StoreError::Refused(told(error)),
        _ => down(error),
    }
}
