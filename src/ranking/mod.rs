//! The path of one request: model, user, features, run, selection.

mod behind;
mod blame;
mod default_model;
mod engine;
mod error;
mod features;
mod in_time;
mod models;
mod order;
mod parts;
mod recent;
mod replay;
mod request;
mod response;
mod rewards;
mod scoring;
mod select;
mod signature;
mod user_side;
mod user_view;
mod warm;
mod weighing;

pub use engine::Engine;
pub use error::{FieldFault, RankError, Stage};
pub use features::{FeatureDescription, FeatureScope, check_texts};
pub use models::{Encoder, Model, Ranker};
pub use parts::{EngineOptions, EngineParts};
pub use recent::{RecentByModel, RecentRequests};
pub use replay::{Replayed, replay};
pub use request::{Candidates, Column, InlineEmbedding, ModelChoice, RankRequest, User, Values};
pub use response::{Degraded, Head, Ranking, Scored, StageTimes, UserState};
pub use select::best;
pub use signature::{Misfits, misfits};
pub use user_view::{StoredView, UserView};
pub use warm::{WarmProgress, WhomToWarm};
