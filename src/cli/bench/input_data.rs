//! Requests by tensors out of a file, in the form that Triton's `perf_analyzer` reads (`--input-data`).
//!
//! Source of the form: <https://github.com/triton-inference-server/perf_analyzer/blob/main/docs/input_data.md>. Sequences and base64
//! are not read.

use half::f16;
use serde_json::{Map, Value};

use crate::{
    tensor::{DType, Tensor, TensorData},
    transport::{dtype_of, pb::inference::model_metadata_response::TensorMetadata},
};

/// What a model takes, as the server tells it.
#[derive(Debug)]
pub(super) struct Takes {
    pub(super) inputs: Vec<TensorMetadata>,
    /// Whether the first dim of every tensor is the batch's, which the file leaves out.
    pub(super) leads_with_batch: bool,
}

/// The tensors of each request, in the order of the model's inputs.
///
/// # Errors
/// What is wrong, with its place in the file.
pub(super) fn read(text: &str, takes: &Takes) -> Result<Vec<Vec<Tensor>>, String> {
    let whole: Value = serde_json::from_str(text).map_err(|e| format!("is no JSON: {e}"))?;
    let entries = whole.get("data").and_then(Value::as_array).filter(|all| !all.is_empty());
    let entries = entries.ok_or(
        "has no list `data` with an entry for each request: {\"data\": [{\"INPUT\": [1, 2]}]}",
    )?;
    let read = |(at, entry): (usize, &Value)| {
        let entry = entry.as_object().ok_or(" is no object of inputs; sequences are not read");
        let tensors = entry.map_err(str::to_owned).and_then(|entry| tensors(entry, takes));
        tensors.map_err(|wrong| format!("data[{at}]{wrong}"))
    };
    entries.iter().enumerate().map(read).collect()
}

fn tensors(entry: &Map<String, Value>, takes: &Takes) -> Result<Vec<Tensor>, String> {
    let names: Vec<&str> = takes.inputs.iter().map(|input| input.name.as_str()).collect();
    if let Some(name) = entry.keys().find(|name| !names.contains(&name.as_str())) {
        let names = names.join(", ");
        return Err(format!(".{name} is no input of the model; they are: {names}"));
    }
    let read = |input: &TensorMetadata| {
        let name = &input.name;
        let value = entry.get(name).ok_or_else(|| format!(" has no `{name}`"))?;
        tensor(value, input, takes.leads_with_batch).map_err(|wrong| format!(".{name} {wrong}"))
    };
    takes.inputs.iter().map(read).collect()
}

fn tensor(value: &Value, input: &TensorMetadata, leads_with_batch: bool) -> Result<Tensor, String> {
    let (content, own) = match value {
        Value::Object(entry) if entry.contains_key("b64") => {
            return Err("is base64, which is not read; write its elements".to_owned());
        }
        Value::Object(entry) => {
            (entry.get("content").ok_or("has no `content`")?, entry.get("shape").map(lengths))
        }
        content => (content, None),
    };
    let shape = match own {
        Some(own) => own.ok_or("has a `shape` that is no list of lengths")?,
        None => declared(&input.shape[usize::from(leads_with_batch).min(input.shape.len())..])?,
    };
    let shape: Vec<usize> = leads_with_batch.then_some(1).into_iter().chain(shape).collect();
    let mut flat = Vec::new();
    flatten(content, &mut flat);
    let wants: usize = shape.iter().product();
    if flat.len() != wants {
        return Err(format!("has {} elements, and its shape {shape:?} needs {wants}", flat.len()));
    }
    let data = elements(dtype_of(&input.datatype)?, &flat);
    let data = data.ok_or_else(|| format!("has an element that is no {}", input.datatype))?;
    Ok(Tensor { shape, data })
}

fn lengths(shape: &Value) -> Option<Vec<usize>> {
    let length = |dim: &Value| dim.as_u64().and_then(|dim| usize::try_from(dim).ok());
    shape.as_array()?.iter().map(length).collect()
}

fn declared(dims: &[i64]) -> Result<Vec<usize>, String> {
    let fixed: Result<Vec<usize>, _> = dims.iter().map(|dim| usize::try_from(*dim)).collect();
    fixed.map_err(|_| {
        format!("has dims that vary ({dims:?}); say which: {{\"content\": [1, 2], \"shape\": [2]}}")
    })
}

fn flatten<'a>(value: &'a Value, flat: &mut Vec<&'a Value>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| flatten(value, flat)),
        value => flat.push(value),
    }
}

/// The elements, where all are of that type.
fn elements(dtype: DType, flat: &[&Value]) -> Option<TensorData> {
    fn all<T>(flat: &[&Value], one: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
        flat.iter().map(|value| one(value)).collect()
    }
    let float = |value: &Value| value.as_f64();
    let truth =
        |value: &Value| value.as_bool().or_else(|| value.as_i64().map(|number| number != 0));
    Some(match dtype {
        DType::Float32 => TensorData::Float32(all(flat, |v| float(v).map(|x| x as f32))?),
        DType::Float16 => TensorData::Float16(all(flat, |v| float(v).map(f16::from_f64))?),
        DType::Int64 => TensorData::Int64(all(flat, Value::as_i64)?),
        DType::Int32 => {
            TensorData::Int32(all(flat, |v| v.as_i64().and_then(|x| x.try_into().ok()))?)
        }
        DType::Bool => TensorData::Bool(all(flat, truth)?),
        DType::String => TensorData::String(all(flat, |v| v.as_str().map(str::to_owned))?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(leads_with_batch: bool) -> Takes {
        let input = |name: &str, datatype: &str, shape: &[i64]| TensorMetadata {
            name: name.to_owned(),
            datatype: datatype.to_owned(),
            shape: shape.to_vec(),
        };
        Takes {
            inputs: vec![input("ids", "INT64", &[-1, -1]), input("price", "FP32", &[-1, 2])],
            leads_with_batch,
        }
    }

    #[track_caller]
    fn check(text: &str, want: &str) {
        let told = read(text, &takes(true)).unwrap_err();
        assert!(told.contains(want), "{told}");
    }

    #[test]
    fn the_batch_leads_where_the_model_has_one() {
        let price = r#""price": [[0.5, 1]]"#;
        let text =
            format!(r#"{{"data": [{{"ids": {{"content": [7, 8, 9], "shape": [3]}}, {price}}}]}}"#);
        let got = read(&text, &takes(true)).unwrap();
        let ids = Tensor { shape: vec![1, 3], data: TensorData::Int64(vec![7, 8, 9]) };
        assert_eq!(got, [[ids, Tensor::floats(vec![1, 2], vec![0.5, 1.0])]]);
        let text = r#"{"data": [{"ids": {"content": [7, 8], "shape": [2, 1]},
            "price": {"content": [1, 2, 3, 4], "shape": [2, 2]}}]}"#;
        assert_eq!(read(text, &takes(false)).unwrap()[0][0].shape, [2, 1]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        check("{", "is no JSON");
        check("{}", "has no list `data`");
        check(r#"{"data": [[]]}"#, "data[0] is no object");
        check(r#"{"data": [{"price": [1, 2]}]}"#, "data[0] has no `ids`");
        check(
            r#"{"data": [{"colour": []}]}"#,
            "data[0].colour is no input of the model; they are: ids, price",
        );
        check(
            r#"{"data": [{"ids": [1], "price": [1, 2]}]}"#,
            "data[0].ids has dims that vary ([-1])",
        );
        let ids = r#""ids": {"content": [1], "shape": [1]}"#;
        check(&format!(r#"{{"data": [{{{ids}, "price": [1]}}]}}"#), "data[0].price has 1 elements");
        check(&format!(r#"{{"data": [{{{ids}, "price": [1, "x"]}}]}}"#), "is no FP32");
        check(r#"{"data": [{"ids": {"b64": "AA=="}, "price": [1, 2]}]}"#, "base64");
    }
}
