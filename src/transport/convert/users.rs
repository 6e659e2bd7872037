//! Between the wire and what is asked and known of users.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    ranking::{Encoder, ModelChoice, RankError, StoredView, UserView, WarmProgress, WhomToWarm},
    transport::{
        convert::{faults::Faults, response::user_state},
        limits::Limits,
        pb,
    },
    users::GivenEmbedding,
};

/// Users whose embeddings one call may ask for by how active they are.
const MOST_ACTIVE: u32 = 1_000_000;

/// The user that is asked for, and the model whose view counts.
///
/// # Errors
/// [`RankError::Invalid`] with every faulty field.
pub(in crate::transport) fn user_asked_for(
    message: pb::GetUserRequest,
    limits: &Limits,
) -> Result<(Arc<str>, ModelChoice), RankError> {
    let mut faults = Faults::against(limits);
    faults.required_id(&"user_id", &message.user_id);
    let model = faults.model(message.model);
    faults.none()?;
    Ok((message.user_id.into(), model))
}

/// The user that shall be erased.
///
/// # Errors
/// [`RankError::Invalid`].
pub(in crate::transport) fn user_to_erase(
    message: pb::DeleteUserRequest,
    limits: &Limits,
) -> Result<Arc<str>, RankError> {
    let mut faults = Faults::against(limits);
    faults.required_id(&"user_id", &message.user_id);
    faults.none()?;
    Ok(message.user_id.into())
}

/// The users whose embeddings shall be there, and the model that needs them.
///
/// # Errors
/// [`RankError::Invalid`] with every faulty field, up to a number.
pub(in crate::transport) fn whom_to_warm(
    message: pb::WarmUsersRequest,
    limits: &Limits,
) -> Result<(ModelChoice, WhomToWarm), RankError> {
    let mut faults = Faults::against(limits);
    let model = faults.model(message.model);
    let limit = ("max_events", limits.max_events);
    if faults.bound(&"user_ids", message.user_ids.len(), limit, "users") {
        for (at, user) in message.user_ids.iter().enumerate() {
            faults.required_id(&format_args!("user_ids[{at}]"), user);
        }
    }
    let most = message.top_active;
    if most > MOST_ACTIVE {
        faults.add("top_active", format!("is {most}, and must be at most {MOST_ACTIVE}"));
    }
    if (most == 0) == message.user_ids.is_empty() {
        faults.add("top_active", "and user_ids: set exactly one of them");
    }
    faults.none()?;
    let whom = match most {
        0 => WhomToWarm::These(message.user_ids.into_iter().map(Arc::from).collect()),
        most => WhomToWarm::MostActive(most as usize),
    };
    Ok((model, whom))
}

/// Embeddings that were computed elsewhere, held against the limits and their encoder.
///
/// # Errors
/// [`RankError::Invalid`] with every faulty field, up to a number.
pub(in crate::transport) fn given_embeddings(
    embeddings: Vec<pb::UserEmbedding>,
    encoder: &Encoder,
    limits: &Limits,
) -> Result<Vec<GivenEmbedding>, RankError> {
    let mut faults = Faults::against(limits);
    let (want, now_ms) = (encoder.shape().iter().product::<usize>(), unix_ms());
    let limit = ("max_events", limits.max_events);
    let mut done = Vec::with_capacity(embeddings.len().min(limits.max_events));
    if faults.bound(&"embeddings", embeddings.len(), limit, "embeddings") {
        for (at, given) in embeddings.into_iter().enumerate() {
            let place = format_args!("embeddings[{at}]");
            faults.required_id(&format_args!("{place}.user_id"), &given.user_id);
            let got = given.values.len();
            if got != want {
                let wrong = format!("has {got} values, and {} gives {want}", encoder.id());
                faults.add(format_args!("{place}.values"), wrong);
            }
            faults.finite(format_args!("{place}.values"), &given.values);
            let created_ms = given.created_time.map_or(Some(now_ms), millis);
            if created_ms.is_none() {
                let wrong = "is before 1970 or no time";
                faults.add(format_args!("{place}.created_time"), wrong);
            }
            done.push(GivenEmbedding {
                user: given.user_id.into(),
                values: given.values.into(),
                // A clock that is ahead of this one's makes no embedding of tomorrow.
                created_ms: created_ms.unwrap_or(now_ms).min(now_ms),
            });
        }
    }
    faults.none()?;
    Ok(done)
}

/// What is known of a user, on the wire.
pub(in crate::transport) fn user_response(user: &str, view: UserView) -> pb::GetUserResponse {
    pb::GetUserResponse {
        user_id: user.to_owned(),
        history_length: view.history_length as u32,
        recorded_events: view.recorded_events as u32,
        last_event_time: view
            .last_event
            .map(|seconds| prost_types::Timestamp { seconds, nanos: 0 }),
        embeddings: view.embeddings.into_iter().map(stored_embedding).collect(),
        state: user_state(view.state).into(),
    }
}

fn stored_embedding(view: StoredView) -> pb::StoredEmbedding {
    let state = match (&view.embedding, view.fresh) {
        (None, _) => pb::EmbeddingState::Absent,
        (Some(_), true) => pb::EmbeddingState::Fresh,
        (Some(_), false) => pb::EmbeddingState::Stale,
    };
    let created_ms = view.embedding.as_ref().map(|embedding| embedding.created_ms);
    pb::StoredEmbedding {
        encoder_name: view.encoder.name.to_string(),
        encoder_version: view.encoder.version.0,
        state: state.into(),
        created_time: created_ms.map(timestamp),
        age_ms: view.embedding.map_or(0, |embedding| embedding.age().as_millis() as u64),
    }
}

/// How far warming is, on the wire.
pub(in crate::transport) fn warm_response(progress: WarmProgress) -> pb::WarmUsersResponse {
    pb::WarmUsersResponse {
        total: progress.total as u32,
        done: progress.done() as u32,
        computed: progress.computed as u32,
        fresh: progress.fresh as u32,
        unknown: progress.unknown as u32,
        failed: progress.failed as u32,
    }
}

/// A moment in unix milliseconds; none before 1970, and where the nanoseconds are more than a second.
fn millis(time: prost_types::Timestamp) -> Option<u64> {
    let nanos = u32::try_from(time.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    u64::try_from(time.seconds).ok()?.checked_mul(1000)?.checked_add(u64::from(nanos / 1_000_000))
}

fn timestamp(unix_ms: u64) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: (unix_ms / 1000) as i64,
        nanos: (unix_ms % 1000) as i32 * 1_000_000,
    }
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_warm(message: pb::WarmUsersRequest, want: Result<WhomToWarm, &[&str]>) {
        let limits = Limits { max_events: 2, ..Limits::default() };
        match (whom_to_warm(message, &limits), want) {
            (Ok((_, got)), Ok(want)) => assert_eq!(got, want),
            (Err(RankError::Invalid(faults)), Err(want)) => {
                let fields: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
                assert_eq!(fields, want);
            }
            (got, want) => panic!("{got:?} is not {want:?}"),
        }
    }

    #[test]
    fn users_to_warm_are_named_or_counted() {
        let message = |top_active, users: &[&str]| pb::WarmUsersRequest {
            top_active,
            user_ids: users.iter().map(|user| (*user).to_owned()).collect(),
            model: None,
        };
        check_warm(message(3, &[]), Ok(WhomToWarm::MostActive(3)));
        check_warm(message(0, &["a"]), Ok(WhomToWarm::These(vec!["a".into()])));
        check_warm(message(0, &[]), Err(&["top_active"]));
        check_warm(message(3, &["a"]), Err(&["top_active"]));
        check_warm(message(1_000_001, &[]), Err(&["top_active"]));
        check_warm(message(0, &["a", ""]), Err(&["user_ids[1]"]));
        check_warm(message(0, &["a", "b", "c"]), Err(&["user_ids"]));
    }

    #[test]
    fn moments_are_told_in_milliseconds() {
        let time = |seconds, nanos| prost_types::Timestamp { seconds, nanos };
        assert_eq!(millis(time(2, 3_999_999)), Some(2003));
        assert_eq!(timestamp(2003), time(2, 3_000_000));
        assert_eq!(millis(time(-1, 0)), None);
        assert_eq!(millis(time(1, -1)), None);
        assert_eq!(millis(time(i64::MAX, 0)), None);
    }
}
