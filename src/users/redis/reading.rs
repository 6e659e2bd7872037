//! Reads a user: at hand, else in one round trip, else what is still known.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use redis::{Pipeline, RedisResult, Value, cmd};

use crate::{
    ids::ModelId,
    users::{
        counters::count,
        event::History,
        record::{Mark, Reading, Source, StoredEmbedding, Trouble, UserRecord, joined},
        redis::{line::piped, log, parts::Parts, value},
        store::{Claim, StoreError, UserKey, UserSummary},
    },
};

/// The fields of a user's hash that tell the history.
const FIELDS: [&str; 5] = ["log", "n", "k", "b", "gone"];

/// How long to wait before looking again for what another server computes.
const FIRST_LOOK: Duration = Duration::from_millis(5);

/// What a user's hash says.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) mark: Mark,
    pub(super) recorded: Option<History>,
    /// Whether bundles' histories of the user are hidden.
    gone: bool,
}

impl Parts {
    pub(super) async fn read_record(&self, key: &UserKey, patience: Duration) -> UserRecord {
        if self.line.is_followed()
            && let Some(copy) = self.local.get(key)
        {
            count(&self.counters.local_reads);
            return copy;
        }
        let limit = patience.min(self.options.redis.read_timeout);
        let (begun, was_given_up) = (Instant::now(), self.line.is_given_up());
        match self.ask(key, limit).await {
            Ok(record) => {
                count(&self.counters.store_reads);
                record
            }
            Err(error) => {
                count(&self.counters.failed_reads);
                tracing::debug!(%error, "a user could not be read");
                let trouble = match begun.elapsed() >= limit {
                    _ if was_given_up => Trouble::GivenUp,
                    true => Trouble::TimedOut,
                    false => Trouble::Broken,
                };
                let messages = u8::from(!was_given_up);
                let reading = Reading { messages, trouble: Some(trouble) };
                UserRecord { reading, ..self.still_known(key) }
            }
        }
    }

    /// What there is without Redis: a copy, however old, else what bundles ship.
    fn still_known(&self, key: &UserKey) -> UserRecord {
        self.local.last_known(key).unwrap_or_else(|| UserRecord {
            history: self.shipped.history(&key.owner.name, &key.user),
            source: Source::Fallback,
            ..UserRecord::default()
        })
    }

    /// Asks Redis, in one round trip, and keeps a copy of the answer.
    async fn ask(&self, key: &UserKey, limit: Duration) -> Result<UserRecord, StoreError> {
        let ticket = self.local.ticket(&key.user);
        let (user_key, embedding_key) = (self.keys.user(&key.user), self.keys.embedding(key));
        let shape = self.shape(&key.owner);
        let mut pipe = asking(&user_key);
        if shape.is_some() {
            pipe.cmd("GET").arg(&embedding_key);
        }
        let mut answers = self.line.read(&pipe, limit).await?.into_iter();
        let told = self.told(&user_key, answers.next())?;
        let embedding = match (shape, answers.next()) {
            (Some(shape), answer) => self.embedding(&embedding_key, answer, &shape),
            (None, _) => None,
        };
        let record = self.record_of(key, &told, embedding);
        self.local.put(key, &record, ticket);
        Ok(record)
    }

    fn record_of(
        &self,
        key: &UserKey,
        told: &Told,
        embedding: Option<StoredEmbedding>,
    ) -> UserRecord {
        let shipped = match told.gone {
            true => None,
            false => self.shipped.history(&key.owner.name, &key.user),
        };
        UserRecord {
            history: joined(shipped.as_ref(), told.recorded.as_ref()),
            mark: told.mark,
            embedding: embedding.filter(|embedding| embedding.is_of(told.mark)),
            source: Source::Store,
            reading: Reading { messages: 1, trouble: None },
        }
    }

    /// Reads the answer about a user's hash.
    ///
    /// # Errors
    /// [`StoreError::Down`] where it is not that, or not whole: a part of a history would be taken for all of it.
    fn told(&self, key: &str, answer: Option<RedisResult<Value>>) -> Result<Told, StoreError> {
        let fields = match answer {
            Some(Ok(value)) => redis::from_redis_value::<Vec<Option<Vec<u8>>>>(value).ok(),
            _ => None,
        };
        let told = fields.and_then(|fields| told_by(key, &fields));
        told.ok_or_else(|| {
            count(&self.counters.unfit_histories);
            tracing::debug!(
                "what stands under a user's key is no history, or not the whole of one"
            );
            StoreError::Down("what stands under the user's key cannot be read".to_owned())
        })
    }

    /// Reads the answer about an embedding; what does not fit counts as none, and is counted.
    fn embedding(
        &self,
        key: &str,
        answer: Option<RedisResult<Value>>,
        shape: &[usize],
    ) -> Option<StoredEmbedding> {
        let embedding = match answer {
            Some(Ok(Value::Nil)) => return None,
            Some(Ok(Value::BulkString(bytes))) => value::decode(key, &bytes, shape),
            _ => None,
        };
        if embedding.is_none() {
            count(&self.counters.unfit_embeddings);
        }
        embedding
    }

    /// Says that an embedding is computed here, unless another server has said so; then waits for that one's.
    pub(super) async fn claim_embedding(&self, key: &UserKey, mark: Mark) -> Claim {
        let Some(shape) = self.shape(&key.owner) else {
            return Claim::Ours;
        };
        // It may have been computed here between the reading that lacked it and now.
        let found = self.on_the_way.get(key).map(|found| found.clone());
        if let Some(found) = found.filter(|found| found.folded == mark) {
            return Claim::Theirs(found);
        }
        let (lease, name) = (self.options.redis.lease, self.keys.embedding(key));
        let Some((taken, answer)) = self.take_lease(key).await else {
            return Claim::Ours;
        };
        // Or it was stored since, and the lease of then was given back.
        if let Some(found) = self.embedding(&name, Some(Ok(answer)), &shape)
            && found.folded == mark
        {
            if taken {
                self.give_lease_back(key).await;
            }
            return Claim::Theirs(found);
        }
        if taken {
            return Claim::Ours;
        }
        count(&self.counters.leases_waited_for);
        let until = Instant::now() + lease;
        let mut wait = FIRST_LOOK;
        while Instant::now() + wait < until {
            tokio::time::sleep(wait).await;
            wait *= 2;
            let mut look = cmd("GET");
            look.arg(&name);
            let limit = self.options.redis.read_timeout;
            let Ok(answers) = self.line.read(&piped(look), limit).await else {
                break;
            };
            match self.embedding(&name, answers.into_iter().next(), &shape) {
                Some(found) if found.folded == mark => return Claim::Theirs(found),
                _ => {}
            }
        }
        Claim::Ours
    }

    /// Takes the lease of an embedding and reads it, in one round trip: whether nobody else has the lease, and what stands there; none where Redis
    /// does not answer.
    async fn take_lease(&self, key: &UserKey) -> Option<(bool, Value)> {
        let options = &self.options.redis;
        let mut pipe = redis::pipe();
        pipe.ignore_errors();
        if !options.lease.is_zero() {
            pipe.cmd("SET").arg(self.keys.lease(key)).arg("1").arg("NX");
            pipe.arg("PX").arg(options.lease.as_millis() as u64);
        }
        pipe.cmd("GET").arg(self.keys.embedding(key));
        let answers = tokio::time::timeout(options.read_timeout, self.line.write(&pipe)).await;
        let mut answers = answers.ok()?.ok()?;
        let embedding = answers.pop()?;
        Some((answers.pop() != Some(Value::Nil), embedding))
    }

    async fn give_lease_back(&self, key: &UserKey) {
        let mut delete = cmd("DEL");
        delete.arg(self.keys.lease(key));
        // Where that fails, it expires.
        let _ = self.line.write_one(delete).await;
    }

    /// Reads what a user's hash says, without a copy.
    pub(super) async fn tell(&self, user: &str) -> Result<Told, StoreError> {
        let key = self.keys.user(user);
        let answers = self.line.read(&asking(&key), self.options.redis.write_timeout).await?;
        self.told(&key, answers.into_iter().next())
    }

    /// What is kept of a user, and its record for each of some models.
    pub(super) async fn summary(
        &self,
        user: &Arc<str>,
        owners: &[ModelId],
    ) -> Result<UserSummary, StoreError> {
        let user_key = self.keys.user(user);
        let keys: Vec<UserKey> = owners
            .iter()
            .map(|owner| UserKey { owner: owner.clone(), user: Arc::clone(user) })
            .collect();
        let mut pipe = asking(&user_key);
        for key in &keys {
            pipe.cmd("GET").arg(self.keys.embedding(key));
        }
        let limit = self.options.redis.write_timeout;
        let mut answers = self.line.read(&pipe, limit).await?.into_iter();
        let told = self.told(&user_key, answers.next())?;
        let records = keys.iter().zip(answers).map(|(key, answer)| {
            let name = self.keys.embedding(key);
            let shape = self.shape(&key.owner);
            let embedding = shape.and_then(|shape| self.embedding(&name, Some(answer), &shape));
            self.record_of(key, &told, embedding)
        });
        Ok(UserSummary { records: records.collect(), recorded: told.recorded })
    }
}

/// What the fields of a user's hash say; none where they do not fit together, as no script leaves them.
fn told_by(key: &str, fields: &[Option<Vec<u8>>]) -> Option<Told> {
    let [events, ever, kept, born, gone] = fields else {
        return None;
    };
    let number = |field: &Option<Vec<u8>>| match field {
        None => Some(0),
        Some(digits) => std::str::from_utf8(digits).ok()?.parse::<u64>().ok(),
    };
    let born = match born {
        None => 0,
        Some(bytes) => u64::from_le_bytes(bytes.as_slice().try_into().ok()?),
    };
    let log = log::decode(key, events.as_deref().unwrap_or_default());
    let length = log.history.as_ref().map_or(0, |history| history.len() as u64);
    let whole = log.unfit == 0 && length == number(kept)? && (length == 0 || born != 0);
    let mark = Mark { born, count: number(ever)? };
    whole.then_some(Told { mark, recorded: log.history, gone: gone.is_some() })
}

/// Asks for what a user's hash says.
fn asking(key: &str) -> Pipeline {
    let mut pipe = redis::pipe();
    pipe.ignore_errors().cmd("HMGET").arg(key).arg(&FIELDS);
    pipe
}
