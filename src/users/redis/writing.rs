//! Writes what users did and what encoders made of it.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use redis::{Value, cmd};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    ids::ModelId,
    users::{
        active::latest_first,
        counters::{add, count},
        event::UserEvents,
        record::{Mark, StoredEmbedding},
        redis::{
            keys::{ACTIVE_SHARDS, embedding_field},
            log,
            parts::Parts,
            value,
        },
        store::{Erased, GivenEmbedding, RecordCounts, StoreError, UserKey},
    },
};

/// Users that are written side by side for one call.
const SIDE_BY_SIDE: usize = 64;

/// How often erasing is tried while embeddings are being stored.
const MOST_ERASING: usize = 8;

impl Parts {
    /// Appends the events of some users.
    pub(super) async fn record_events(
        &self,
        events: Vec<UserEvents>,
    ) -> Result<RecordCounts, StoreError> {
        let asked: usize = events.iter().map(|of_user| of_user.events.len()).sum();
        let active: Vec<(Arc<str>, i64)> = events
            .iter()
            .filter_map(|of_user| {
                let last = of_user.events.iter().map(|named| named.event.time).max()?;
                Some((Arc::clone(&of_user.user), last))
            })
            .collect();
        let written = stream::iter(events.into_iter().map(|of_user| self.append(of_user)));
        let recorded: usize = written
            .buffer_unordered(SIDE_BY_SIDE)
            .try_fold(0, |sum, new| async move { Ok(sum + new) })
            .await?;
        add(&self.counters.events_recorded, recorded as u64);
        self.note_active(active).await;
        Ok(RecordCounts { recorded, duplicates: asked - recorded })
    }

    async fn append(&self, of_user: UserEvents) -> Result<usize, StoreError> {
        let key = self.keys.user(&of_user.user);
        let born = rand::random::<u64>().max(1).to_le_bytes();
        let most = self.options.max_events.to_string();
        let records: Vec<Vec<u8>> =
            of_user.events.iter().map(|named| log::encode(&key, named)).collect();
        let mut arguments: Vec<&[u8]> = vec![&born, most.as_bytes()];
        arguments.extend(records.iter().map(Vec::as_slice));
        let answer = self.line.script(&self.scripts.record, &[&key], &arguments).await?;
        self.local.forget(&of_user.user);
        // Anything else is not the script's answer: nobody knows what became of the events.
        let new = redis::from_redis_value::<usize>(answer).ok();
        new.filter(|new| *new <= records.len())
            .ok_or_else(|| StoreError::Down("it answers something else than asked".to_owned()))
    }

    /// Remembers when users did something last; it is of use, but nobody relies on it.
    async fn note_active(&self, active: Vec<(Arc<str>, i64)>) {
        let most = self.options.redis.max_active;
        if most == 0 {
            return;
        }
        let mut shards: Vec<Vec<(i64, Arc<str>)>> = vec![Vec::new(); ACTIVE_SHARDS as usize];
        for (user, time) in active {
            shards[shard_of(&user) as usize].push((time, user));
        }
        let shards = shards.into_iter().enumerate().filter(|(_, users)| !users.is_empty());
        let noted = shards.map(|(shard, users)| async move {
            let key = self.keys.active(shard as u64);
            let mut pipe = redis::pipe();
            pipe.ignore_errors().cmd("ZADD").arg(&key).arg("GT");
            for (time, user) in &users {
                pipe.arg(*time).arg(&user[..]);
            }
            let kept = (most as u64 / ACTIVE_SHARDS).max(1) as i64;
            pipe.cmd("ZREMRANGEBYRANK").arg(&key).arg(0).arg(-kept - 1);
            self.line.write(&pipe).await
        });
        let failed =
            stream::iter(noted).buffer_unordered(SIDE_BY_SIDE).filter_map(|w| async { w.err() });
        if let Some(error) = failed.collect::<Vec<_>>().await.first() {
            tracing::debug!(%error, "active users could not be noted");
        }
    }

    /// Stores an embedding, unless its history is another one by now; says whether it did.
    pub(super) async fn store(
        &self,
        key: &UserKey,
        embedding: &StoredEmbedding,
    ) -> Result<bool, StoreError> {
        let Some(shape) = self.shape(&key.owner) else {
            return Ok(false);
        };
        let name = self.keys.embedding(key);
        let value = value::encode(&name, embedding, &shape, self.options.redis.storage);
        let Mark { born, count } = embedding.folded;
        let born = if born == 0 { Vec::new() } else { born.to_le_bytes().to_vec() };
        let (count, ttl) = (count.to_string(), self.time_to_live_ms().to_string());
        let field = embedding_field(key);
        let keys = [self.keys.user(&key.user), name, self.keys.lease(key)];
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let arguments: [&[u8]; 5] =
            [&born, count.as_bytes(), &value, ttl.as_bytes(), field.as_bytes()];
        let answer = self.line.script(&self.scripts.keep, &keys, &arguments).await?;
        self.local.forget(&key.user);
        Ok(answer == Value::Int(1))
    }

    /// Stores an embedding that was computed here, unless its history is another one by now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn keep_computed(
        &self,
        key: &UserKey,
        embedding: &StoredEmbedding,
    ) -> Result<(), StoreError> {
        match self.store(key, embedding).await {
            Ok(true) => count(&self.counters.embeddings_written),
            Ok(false) => count(&self.counters.embeddings_dropped),
            Err(error) => {
                count(&self.counters.embeddings_dropped);
                tracing::debug!(%error, "an embedding could not be stored");
                return Err(error);
            }
        }
        Ok(())
    }

    /// Stores embeddings that were computed elsewhere.
    pub(super) async fn put_given(
        &self,
        owner: &ModelId,
        embeddings: Vec<GivenEmbedding>,
    ) -> Result<(), StoreError> {
        let stored = embeddings.into_iter().map(|given| self.put_one(owner, given));
        let stored = stream::iter(stored).buffer_unordered(SIDE_BY_SIDE);
        stored.try_for_each(|()| async { Ok(()) }).await
    }

    async fn put_one(&self, owner: &ModelId, given: GivenEmbedding) -> Result<(), StoreError> {
        let GivenEmbedding { user, values, created_ms } = given;
        let told = self.tell(&user).await?;
        let later = told.recorded.iter().flat_map(|history| history.iter());
        let later = later.filter(|event| event.is_after(created_ms)).count() as u64;
        let folded = Mark { count: told.mark.count.saturating_sub(later), ..told.mark };
        let key = UserKey { owner: owner.clone(), user };
        match self.store(&key, &StoredEmbedding { values, created_ms, folded }).await? {
            true => count(&self.counters.embeddings_written),
            // The user was erased since; the embedding was made of what was erased.
            false => count(&self.counters.embeddings_dropped),
        }
        Ok(())
    }

    /// Erases a user.
    pub(super) async fn erase_user(&self, user: &Arc<str>) -> Result<Erased, StoreError> {
        let key = self.keys.user(user);
        let shipped = self.shipped.knows(user);
        let (born, hide) =
            (rand::random::<u64>().max(1).to_le_bytes(), if shipped { "1" } else { "" });
        for _ in 0..MOST_ERASING {
            let fields = self.embedding_fields(&key).await?;
            let names: Vec<String> = fields
                .iter()
                .filter_map(|field| self.keys.embedding_of_field(user, field))
                .collect();
            let mut keys = vec![key.as_str()];
            keys.extend(names.iter().map(String::as_str));
            let mut arguments: Vec<&[u8]> = vec![&born, hide.as_bytes()];
            arguments.extend(fields.iter().map(|field| field.as_bytes()));
            let answer = self.line.script(&self.scripts.erase, &keys, &arguments).await?;
            self.local.forget(user);
            let (events, embeddings): (i64, i64) =
                redis::from_redis_value(answer).map_err(|_| {
                    StoreError::Refused("it answers something else than two numbers".to_owned())
                })?;
            if let (Ok(events), Ok(embeddings)) = (events.try_into(), embeddings.try_into()) {
                self.forget_active(user).await?;
                return Ok(Erased { events, embeddings, shipped });
            }
        }
        Err(StoreError::Down("embeddings of the user are being stored all the time".to_owned()))
    }

    async fn embedding_fields(&self, key: &str) -> Result<Vec<String>, StoreError> {
        let mut list = cmd("HKEYS");
        list.arg(key);
        let fields = self.line.write_one(list).await?;
        let fields: Vec<String> = redis::from_redis_value(fields).unwrap_or_default();
        Ok(fields.into_iter().filter(|field| field.starts_with("e:")).collect())
    }

    async fn forget_active(&self, user: &Arc<str>) -> Result<(), StoreError> {
        let mut remove = cmd("ZREM");
        remove.arg(self.keys.active(shard_of(user))).arg(&user[..]);
        self.line.write_one(remove).await.map(drop)
    }

    /// The users whose last events are the latest.
    pub(super) async fn latest(&self, most: usize) -> Result<Vec<Arc<str>>, StoreError> {
        let asked = (0..ACTIVE_SHARDS).map(|shard| async move {
            let mut range = cmd("ZREVRANGE");
            range.arg(self.keys.active(shard)).arg(0).arg(most as i64 - 1).arg("WITHSCORES");
            let users = self.line.write_one(range).await?;
            let users: Vec<(String, f64)> = redis::from_redis_value(users).unwrap_or_default();
            Ok::<_, StoreError>(users)
        });
        let asked = stream::iter(asked).buffer_unordered(SIDE_BY_SIDE);
        let all: Vec<Vec<(String, f64)>> = asked.try_collect().await?;
        let recorded = all.into_iter().flatten().map(|(user, time)| (user.into(), time as i64));
        let mut users = self.shipped.last_events();
        users.extend(recorded);
        Ok(latest_first(users, most))
    }
}

/// The part of the index of active users that a user is in.
fn shard_of(user: &str) -> u64 {
    xxh3_64(user.as_bytes()) % ACTIVE_SHARDS
}
