//! Between the wire's messages and the pipeline's types.

mod items;
mod request;
mod response;

pub(super) use request::model_choice;
pub use request::rank_request;
pub(super) use response::{rank_response, request_message};
