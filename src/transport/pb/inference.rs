//! The messages and the service of the Open Inference Protocol, generated when the crate is built.
#![expect(clippy::all, reason = "generated")]

tonic::include_proto!("inference");
