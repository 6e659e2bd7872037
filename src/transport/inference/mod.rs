//! `inference.GRPCInferenceService`: the Open Inference Protocol, by which every model is reached by its tensors.

mod described;
mod repository;
mod service;
mod statistics;

pub(super) use repository::Repository;
pub(super) use service::InferenceApi;
