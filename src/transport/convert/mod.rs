//! Between the wire's messages and the pipeline's types.

mod commands;
mod events;
mod faults;
mod infer;
mod items;
mod models;
mod request;
mod response;
mod tensors;
mod users;

pub(super) use commands::{Asked, load, promote, rollback, shadow, split, unload};
pub(super) use events::user_events;
pub(super) use faults::model_choice;
pub use infer::infer_message;
pub(super) use infer::{Infer, infer_request, infer_response, selector};
pub(super) use models::{Served, served_models};
pub use request::rank_request;
pub(super) use response::{rank_response, request_message};
pub(super) use tensors::datatype;
pub use tensors::dtype_of;
pub(super) use users::{
    given_embeddings, user_asked_for, user_response, user_to_erase, warm_response, whom_to_warm,
};
