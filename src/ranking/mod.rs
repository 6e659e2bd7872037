//! The path of one request: model, user, features, run, selection.

mod behind;
mod blame;
mod default_model;
mod engine;
mod error;
mod features;
mod in_time;
mod models;
mod parts;
mod request;
mod response;
mod scoring;
mod select;
mod trial;
mod user_side;
mod user_view;
mod warm;

pub use engine::Engine;
pub use error::{FieldFault, RankError, Stage};
pub use features::{FeatureDescription, FeatureScope, check_texts};
pub use models::{Encoder, Model, Ranker};
pub use parts::{EngineOptions, EngineParts};
pub use request::{Candidates, Column, InlineEmbedding, ModelChoice, RankRequest, User, Values};
pub use response::{Degraded, Head, Ranking, Scored, StageTimes, UserState};
pub use select::best;
pub use user_view::{StoredView, UserView};
pub use warm::{WarmProgress, WhomToWarm};
