//! The messages and services of `proto/`, generated when the crate is built.
#![expect(clippy::all, reason = "generated")]

tonic::include_proto!("podium.v1");

/// The file descriptors of `proto/`, encoded.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/podium_descriptors.bin"));
