//! Whose fault an error is, where two versions are compared.

use crate::{
    batching::BatchError,
    ranking::error::{RankError, Stage},
};

/// Whose fault an error is, as far as it says something of the version that was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// The version's: it could not do it.
    Version,
    /// The version's where another one can do it; else the request's.
    VersionOrRequest,
    /// It had no time: the version's where somebody waited, and nobody's where it was asked for a comparison alone.
    Time,
    /// Nobody's who is compared.
    Nobody,
}

/// Whose fault an error is.
pub(super) fn blame(error: &RankError) -> Blame {
    match error {
        RankError::Invalid(_) | RankError::NotARanker(_) | RankError::OnlyTensors(_) => {
            Blame::VersionOrRequest
        }
        RankError::BadOutput { .. } | RankError::Features(_) => Blame::Version,
        RankError::Expired(stage) => match stage {
            Stage::Arrival | Stage::Receiving | Stage::Store => Blame::Nobody,
            Stage::User | Stage::Features | Stage::Queue | Stage::Run => Blame::Time,
        },
        RankError::Batch(error) => match error {
            BatchError::QueueFull { .. }
            | BatchError::TooLate { .. }
            | BatchError::ExpiredInQueue
            | BatchError::ExpiredInRun => Blame::Time,
            BatchError::Stopped => Blame::Nobody,
            BatchError::Runtime(_) | BatchError::WrongLead { .. } | BatchError::Panicked(_) => {
                Blame::Version
            }
        },
        RankError::Shared(error) => blame(error),
        RankError::TooManyInFlight { .. }
        | RankError::Draining
        | RankError::Serving(_)
        | RankError::Store(_)
        | RankError::UserUnknown
        | RankError::UserUnavailable => Blame::Nobody,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[track_caller]
    fn check(error: RankError, want: Blame) {
        assert_eq!(blame(&error), want, "{error}");
    }

    #[test]
    fn a_version_is_blamed_for_what_it_did() {
        check(RankError::field("candidates", "is wrong"), Blame::VersionOrRequest);
        check(RankError::Expired(Stage::Arrival), Blame::Nobody);
        check(RankError::Expired(Stage::Run), Blame::Time);
        check(BatchError::ExpiredInQueue.into(), Blame::Time);
        check(BatchError::Panicked("why".into()).into(), Blame::Version);
        check(BatchError::Stopped.into(), Blame::Nobody);
        check(RankError::UserUnknown, Blame::Nobody);
        check(RankError::Features("why".into()), Blame::Version);
        check(RankError::Shared(Arc::new(RankError::Features("why".into()))), Blame::Version);
    }
}
