//! Compiles `proto/` with a compiler written in Rust, so that no `protoc` need be installed.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

const PROTO_FILES: [&str; 7] = [
    "podium/v1/rank.proto",
    "podium/v1/info.proto",
    "podium/v1/user.proto",
    "podium/v1/model.proto",
    "podium/v1/telemetry.proto",
    "inference/grpc_service.proto",
    "inference/model_config.proto",
];

/// Fields whose bytes stay where they were received.
const RAW_TENSORS: [&str; 2] = [
    ".inference.ModelInferRequest.raw_input_contents",
    ".inference.ModelInferResponse.raw_output_contents",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(PROTO_FILES, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("podium_descriptors.bin"), descriptors.encode_to_vec())?;
    let mut messages = prost_build::Config::new();
    messages.enable_type_names();
    messages.bytes(RAW_TENSORS);
    for written_by_hand in
        ["Candidates", "FloatColumn", "RankResponse", "StringColumn", "VectorColumn"]
    {
        messages.extern_path(
            format!(".podium.v1.{written_by_hand}"),
            format!("crate::transport::pb::{written_by_hand}"),
        );
    }
    tonic_prost_build::configure()
        .codec_path("crate::transport::codec::StrictCodec")
        .compile_fds_with_config(descriptors, messages)?;
    Ok(())
}
