//! From the pipeline's types to the wire.

use std::time::Duration;

use crate::{
    batching::{BatchFacts, Closed},
    ranking::{Column, Degraded, Notes, RankRequest, Ranking, UserState, Values},
    serving::Selector,
    transport::{convert::items::ItemWriter, pb},
};

/// The answer to `request`; `validate` and `total` are the times that the pipeline does not know.
pub(in crate::transport) fn rank_response(
    request: &RankRequest,
    (ranking, notes): (&Ranking, &Notes),
    validate: Duration,
    total: Duration,
) -> pb::RankResponse {
    let ids = &request.candidates.ids;
    let missing = ranking.missing.iter().map(|&at| ids[at as usize].to_owned());
    pb::RankResponse {
        request_id: request.request_id.clone(),
        items: ItemWriter::new(ids, &ranking.further_heads).write(&ranking.items),
        model_name: ranking.model.name.to_string(),
        model_version: ranking.model.version.0,
        encoder_version: ranking.encoder_version,
        user_state: user_state(ranking.user_state).into(),
        degraded: ranking.degraded.iter().map(|d| degraded(*d).into()).collect(),
        missing_items: missing.collect(),
        timings: Some(pb::Timings {
            total_us: micros(total),
            validate_us: micros(validate),
            user_us: micros(notes.user.step.took()),
            features_us: micros(notes.features.took()),
            queue_us: micros(notes.trip.queued),
            assemble_us: micros(notes.trip.assembled),
            run_us: micros(notes.trip.ran),
            scatter_us: micros(notes.trip.scattered),
            select_us: micros(notes.select.took()),
            batches: notes.trip.batches as u32,
            batch: notes.trip.batch.map(batch_of),
        }),
        error: None,
        user_state_age_ms: ranking.user_age.as_millis() as u64,
    }
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

fn batch_of(batch: BatchFacts) -> pb::Batch {
    pb::Batch {
        rows: batch.units as u32,
        requests: batch.jobs as u32,
        fill: batch.fill,
        padding_share: batch.padding,
        closed: match batch.closed {
            Closed::Full => pb::Closed::Full,
            Closed::Share => pb::Closed::Share,
            Closed::Slack => pb::Closed::Slack,
            Closed::NoCompany => pb::Closed::NoCompany,
            Closed::Delay => pb::Closed::Delay,
        }
        .into(),
    }
}

pub(in crate::transport) fn user_state(state: UserState) -> pb::UserState {
    match state {
        UserState::None => pb::UserState::Unspecified,
        UserState::Cached => pb::UserState::Cached,
        UserState::Local => pb::UserState::Local,
        UserState::Stale => pb::UserState::Stale,
        UserState::Computed => pb::UserState::Computed,
        UserState::Inline => pb::UserState::Inline,
        UserState::Default => pb::UserState::Default,
    }
}

fn degraded(reason: Degraded) -> pb::DegradedReason {
    match reason {
        Degraded::ItemsMissing => pb::DegradedReason::ItemsMissing,
        Degraded::EncoderUnavailable => pb::DegradedReason::EncoderUnavailable,
        Degraded::PartlyScored => pb::DegradedReason::PartlyScored,
        Degraded::UserStoreUnavailable => pb::DegradedReason::UserStoreUnavailable,
    }
}

/// A request as a message, without its user.
pub(in crate::transport) fn request_message(request: &RankRequest) -> pb::RankRequest {
    pb::RankRequest {
        request_id: request.request_id.clone(),
        model: Some(pb::ModelSelector {
            name: request.model.name.clone(),
            selector: match &request.model.selector {
                Selector::Live => None,
                Selector::Version(version) => Some(pb::model_selector::Selector::Version(*version)),
                Selector::Label(label) => Some(pb::model_selector::Selector::Label(label.clone())),
            },
        }),
        user: None,
        query: request.query.clone(),
        priority: request.priority.map_or(0, |priority| priority.0.into()),
        context: request.context.iter().map(column_of).collect(),
        candidates: Some(pb::Candidates {
            ids: request.candidates.ids.clone(),
            prior_scores: request.candidates.prior_scores.clone(),
            columns: request.candidates.columns.iter().map(column_of).collect(),
        }),
        top_k: request.top_k as u32,
        explain: false,
        allow_partial: request.allow_partial,
        require_user_state: request.require_user_state,
    }
}

/// A column as a message.
fn column_of(column: &Column) -> pb::Column {
    let values = match column.values.clone() {
        Values::Floats(values) => pb::column::Values::Floats(pb::FloatColumn { values }),
        Values::Ints(values) => pb::column::Values::Ints(pb::IntColumn { values }),
        Values::Strings(values) => pb::column::Values::Strings(pb::StringColumn { values }),
        Values::Vectors { dim, values } => {
            pb::column::Values::Vectors(pb::VectorColumn { dim: dim as u32, values })
        }
    };
    pb::Column { name: column.name.clone(), values: Some(values) }
}
