#![expect(clippy::all, reason = "generated")]

tonic::include_proto!("podium.v1");
