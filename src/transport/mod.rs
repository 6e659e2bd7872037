//! The gRPC services: from the wire to the pipeline and back.

mod admin;
mod call;
mod call_end;
pub mod codec;
mod connection;
mod conversation;
mod convert;
mod flow;
mod health;
mod inference;
mod info_service;
mod json;
mod limits;
mod metrics;
mod model_service;
mod origin;
mod page;
pub mod pb;
mod rank_service;
mod refusing;
mod report;
mod reporting;
mod server;
mod status;
mod storing;
mod telemetry_service;
mod trace_headers;
mod trying;
mod user_service;
mod warming;
mod watched;

pub use convert::{dtype_of, infer_message, rank_request};
pub use json::{JsonError, from_json, to_json};
pub use limits::Limits;
pub use report::{
    ChangeReport, ComparisonReport, QueueReport, Report, UserStoreReport, VersionReport,
};
pub use server::{Listeners, Server, ServerOptions, ServerParts};
