//! What a version takes and gives, and how it is run.

use crate::{
    batching::{BatchOptions, Priority},
    ids::Version,
    repository::{DimSpec, Manifest, Sharing},
    serving::ModelHandle,
    tensor::DType,
    transport::{
        convert::datatype,
        pb::inference::{
            DataType, ModelConfig, ModelDynamicBatching, ModelInput, ModelInstanceGroup,
            ModelMetadataResponse, ModelOutput, ModelVersionPolicy,
            model_instance_group::Kind,
            model_metadata_response::TensorMetadata,
            model_version_policy::{PolicyChoice, Specific},
        },
    },
};

/// What clients call an ONNX graph that ONNX Runtime runs.
const PLATFORM: &str = "onnxruntime_onnx";

/// The name of a dim that varies.
const VARIES: i64 = -1;

/// A version's inputs and outputs, and the versions of its model that answer.
pub(super) fn metadata(handle: &ModelHandle, versions: &[Version]) -> ModelMetadataResponse {
    let manifest = handle.manifest();
    let tensor = |name: &String, dtype: DType, shape: &[DimSpec]| TensorMetadata {
        name: name.clone(),
        datatype: datatype(dtype).to_owned(),
        shape: dims(shape),
    };
    let inputs = manifest.inputs.iter();
    let outputs = manifest.outputs.iter().zip(handle.output_dtypes());
    ModelMetadataResponse {
        name: handle.id().name.to_string(),
        versions: versions.iter().map(ToString::to_string).collect(),
        platform: PLATFORM.to_owned(),
        inputs: inputs.map(|input| tensor(&input.name, input.dtype, &input.shape)).collect(),
        outputs: outputs
            .map(|(output, dtype)| tensor(&output.name, *dtype, &output.shape))
            .collect(),
    }
}

/// How a version is run.
pub(super) fn config(handle: &ModelHandle, versions: &[Version]) -> ModelConfig {
    let manifest = handle.manifest();
    let batching = handle.batching();
    let max_batch_size = max_batch_size(manifest, batching);
    let own =
        |shape: &[DimSpec]| dims(shape.get(usize::from(max_batch_size > 0)..).unwrap_or_default());
    let inputs = manifest.inputs.iter().map(|input| ModelInput {
        name: input.name.clone(),
        data_type: data_type(input.dtype).into(),
        dims: own(&input.shape),
    });
    let outputs = manifest.outputs.iter().zip(handle.output_dtypes());
    let outputs = outputs.map(|(output, dtype)| ModelOutput {
        name: output.name.clone(),
        data_type: data_type(*dtype).into(),
        dims: own(&output.shape),
    });
    let versions = versions.iter().map(|version| i64::try_from(version.0).unwrap_or(i64::MAX));
    let specific = Specific { versions: versions.collect() };
    let on_cpu = handle.device().starts_with("cpu");
    ModelConfig {
        name: handle.id().name.to_string(),
        platform: PLATFORM.to_owned(),
        backend: "onnxruntime".to_owned(),
        version_policy: Some(ModelVersionPolicy {
            policy_choice: Some(PolicyChoice::Specific(specific)),
        }),
        max_batch_size,
        input: inputs.collect(),
        output: outputs.collect(),
        instance_group: vec![ModelInstanceGroup {
            name: handle.device().to_owned(),
            kind: if on_cpu { Kind::Cpu } else { Kind::Gpu }.into(),
            count: small(handle.instances()),
        }],
        dynamic_batching: joins(manifest).then(|| dynamic_batching(batching)),
        default_model_filename: "model.onnx".to_owned(),
    }
}

/// Whether several requests may share a run.
fn joins(manifest: &Manifest) -> bool {
    !matches!(manifest.sharing, Some(Sharing::Apart | Sharing::Whole))
}

fn dynamic_batching(batching: &BatchOptions) -> ModelDynamicBatching {
    let preferred = Some(batching.preferred_batch_rows).filter(|rows| *rows > 0);
    let delay = batching.max_queue_delay.as_micros();
    ModelDynamicBatching {
        preferred_batch_size: preferred.into_iter().map(small).collect(),
        max_queue_delay_microseconds: u64::try_from(delay).unwrap_or(u64::MAX),
        priority_levels: Priority::LOWEST.into(),
        default_priority_level: batching.default_priority.0.into(),
    }
}

/// The most rows of a batch where one dynamic dim leads all tensors, which clients then leave to the batch; else 0.
fn max_batch_size(manifest: &Manifest, batching: &BatchOptions) -> i32 {
    let inputs = manifest.inputs.iter().map(|input| input.shape.first());
    let mut leads = inputs.chain(manifest.outputs.iter().map(|output| output.shape.first()));
    let first = leads.next().flatten();
    let is_one = matches!(first, Some(DimSpec::Named(_))) && leads.all(|lead| lead == first);
    let is_cut = manifest.sharing != Some(Sharing::Whole);
    if is_one && is_cut { small(batching.max_batch_rows) } else { 0 }
}

fn dims(shape: &[DimSpec]) -> Vec<i64> {
    let dim = |dim: &DimSpec| match dim {
        DimSpec::Fixed(length) => i64::try_from(*length).unwrap_or(i64::MAX),
        DimSpec::Named(_) => VARIES,
    };
    shape.iter().map(dim).collect()
}

fn data_type(dtype: DType) -> DataType {
    match dtype {
        DType::Float32 => DataType::TypeFp32,
        DType::Float16 => DataType::TypeFp16,
        DType::Int64 => DataType::TypeInt64,
        DType::Int32 => DataType::TypeInt32,
        DType::Bool => DataType::TypeBool,
        DType::String => DataType::TypeString,
    }
}

fn small(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(inputs: &[&str], output: &str, want: i32) {
        let input = |(at, shape): (usize, &&str)| {
            format!(
                "[[inputs]]\nname = \"i{at}\"\nsource = \"candidate\"\ndtype = \"float32\"\nshape = {shape}\n"
            )
        };
        let inputs: String = inputs.iter().enumerate().map(input).collect();
        let outputs = format!("[[outputs]]\nname = \"o\"\nshape = {output}\n");
        let manifest = toml::from_str(&format!("format = 1\nrole = \"ranker\"\n{inputs}{outputs}"));
        let batching = BatchOptions { max_batch_rows: 7, ..BatchOptions::default() };
        assert_eq!(max_batch_size(&manifest.unwrap(), &batching), want);
    }

    #[test]
    fn a_batch_has_a_size_where_one_dim_leads_all_tensors() {
        check(&["[\"rows\"]", "[\"rows\", 4]"], "[\"rows\"]", 7);
        check(&["[\"users\", \"candidates\"]", "[\"users\"]"], "[\"users\", \"candidates\"]", 7);
        check(&["[\"rows\"]", "[\"users\", 4]"], "[\"rows\"]", 0);
        check(&["[\"rows\"]"], "[\"users\"]", 0);
        check(&["[2]"], "[2]", 0);
    }
}
