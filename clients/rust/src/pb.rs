#![allow(missing_docs, clippy::all, reason = "generated, with the comments of the proto files")]

tonic::include_proto!("podium.v1");
