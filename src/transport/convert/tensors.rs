//! Between the wire's tensors and the pipeline's: element types, dims, and elements as raw bytes or typed.

use half::f16;
use prost::bytes::Bytes;

use crate::{
    tensor::{DType, Tensor, TensorData},
    transport::pb::inference::InferTensorContents,
};

/// The bytes of a length ahead of each text of raw contents.
const PREFIX: usize = size_of::<u32>();

/// The element types, as the protocol names them.
const DATATYPES: [(&str, DType); 6] = [
    ("FP32", DType::Float32),
    ("FP16", DType::Float16),
    ("INT64", DType::Int64),
    ("INT32", DType::Int32),
    ("BOOL", DType::Bool),
    ("BYTES", DType::String),
];

/// The protocol's name of an element type.
pub(in crate::transport) fn datatype(dtype: DType) -> &'static str {
    DATATYPES.iter().find(|(_, known)| *known == dtype).map_or("", |(name, _)| name)
}

/// The element type of a name.
///
/// # Errors
/// What is wrong, with the names that there are.
pub fn dtype_of(name: &str) -> Result<DType, String> {
    let found = DATATYPES.iter().find(|(known, _)| *known == name);
    found.map(|(_, dtype)| *dtype).ok_or_else(|| {
        let known = DATATYPES.map(|(name, _)| name).join(", ");
        format!("is none that a model takes; they are: {known}")
    })
}

/// The dims of a tensor, and how many elements they make.
///
/// # Errors
/// What is wrong: a dim is negative, or there are more elements than can be counted.
pub(super) fn dims_of(shape: &[i64]) -> Result<(Vec<usize>, usize), String> {
    let dims: Option<Vec<usize>> = shape.iter().map(|dim| usize::try_from(*dim).ok()).collect();
    let dims = dims.ok_or("has a negative dim; send the dims of these very elements")?;
    let elements = dims.iter().try_fold(1_usize, |all, dim| all.checked_mul(*dim));
    let elements = elements.filter(|elements| isize::try_from(*elements).is_ok());
    Ok((dims, elements.ok_or("has more elements than there can be")?))
}

/// So many elements out of raw bytes: little-endian, row-major; each text with its length ahead, each boolean one byte.
///
/// # Errors
/// What is wrong: the bytes are not as many as the elements need, or a text is not UTF-8.
pub(super) fn from_raw(dtype: DType, elements: usize, raw: &[u8]) -> Result<TensorData, String> {
    Ok(match dtype {
        DType::Float32 => TensorData::Float32(numbers(elements, raw, f32::from_le_bytes)?),
        DType::Float16 => TensorData::Float16(numbers(elements, raw, f16::from_le_bytes)?),
        DType::Int64 => TensorData::Int64(numbers(elements, raw, i64::from_le_bytes)?),
        DType::Int32 => TensorData::Int32(numbers(elements, raw, i32::from_le_bytes)?),
        DType::Bool => TensorData::Bool(numbers(elements, raw, |[byte]: [u8; 1]| byte != 0)?),
        DType::String => TensorData::String(texts(elements, raw)?),
    })
}

fn numbers<const N: usize, T>(
    elements: usize,
    raw: &[u8],
    number: impl Fn([u8; N]) -> T,
) -> Result<Vec<T>, String> {
    let (each, rest) = raw.as_chunks::<N>();
    if !rest.is_empty() || each.len() != elements {
        let has = raw.len();
        return Err(match elements.checked_mul(N) {
            Some(wants) => format!("has {has} bytes, and its shape needs {wants}"),
            None => format!("has {has} bytes, which is less than its shape needs"),
        });
    }
    Ok(each.iter().map(|bytes| number(*bytes)).collect())
}

fn texts(elements: usize, raw: &[u8]) -> Result<Vec<String>, String> {
    if raw.len() / PREFIX < elements {
        return Err(format!("has {} bytes, which is less than its shape needs", raw.len()));
    }
    let mut texts = Vec::with_capacity(elements);
    let mut rest = raw;
    while let Some((prefix, behind)) = rest.split_first_chunk::<PREFIX>() {
        let length = usize::try_from(u32::from_le_bytes(*prefix)).unwrap_or(usize::MAX);
        let cut = behind.split_at_checked(length).filter(|_| texts.len() < elements);
        let Some((text, behind)) = cut else { break };
        texts.push(text_of(texts.len(), text)?);
        rest = behind;
    }
    match rest.is_empty() && texts.len() == elements {
        true => Ok(texts),
        false => Err(format!("does not end with the last of the {elements} texts of its shape")),
    }
}

fn text_of(at: usize, bytes: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(bytes);
    text.map(str::to_owned).map_err(|_| format!("has a text that is not UTF-8 at place {at}"))
}

/// So many elements out of the field of their type; no other field has any.
///
/// # Errors
/// What is wrong: elements stand in another type's field, are too few or too many, or a text is not UTF-8.
pub(super) fn from_typed(
    dtype: DType,
    elements: usize,
    contents: InferTensorContents,
) -> Result<TensorData, String> {
    let InferTensorContents { bool_contents, int_contents, int64_contents, .. } = &contents;
    let InferTensorContents { fp32_contents, bytes_contents, .. } = &contents;
    let fields = [
        (DType::Bool, bool_contents.len()),
        (DType::Int32, int_contents.len()),
        (DType::Int64, int64_contents.len()),
        (DType::Float32, fp32_contents.len()),
        (DType::String, bytes_contents.len()),
    ];
    let unread = contents.uint_contents.len()
        + contents.uint64_contents.len()
        + contents.fp64_contents.len();
    let strays = fields.iter().filter(|(own, _)| *own != dtype).map(|(_, length)| length);
    if strays.sum::<usize>() + unread > 0 {
        return Err(format!("has elements in a field that is not of {}", datatype(dtype)));
    }
    let has = fields.iter().find(|(own, _)| *own == dtype).map(|(_, length)| *length);
    let has = has.ok_or("has no field for FP16; send raw_input_contents")?;
    if has != elements {
        return Err(format!("has {has} elements, and its shape needs {elements}"));
    }
    Ok(match dtype {
        DType::Float32 => TensorData::Float32(contents.fp32_contents),
        DType::Int64 => TensorData::Int64(contents.int64_contents),
        DType::Int32 => TensorData::Int32(contents.int_contents),
        DType::Bool => TensorData::Bool(contents.bool_contents),
        DType::String => {
            let each = contents.bytes_contents.iter().enumerate();
            TensorData::String(each.map(|(at, text)| text_of(at, text)).collect::<Result<_, _>>()?)
        }
        DType::Float16 => TensorData::Float16(Vec::new()),
    })
}

/// The elements of a tensor as raw bytes.
pub(super) fn to_raw(tensor: &Tensor) -> Bytes {
    match &tensor.data {
        TensorData::Float32(values) => bytes_of(values, |value| value.to_le_bytes()),
        TensorData::Float16(values) => bytes_of(values, |value| value.to_le_bytes()),
        TensorData::Int64(values) => bytes_of(values, |value| value.to_le_bytes()),
        TensorData::Int32(values) => bytes_of(values, |value| value.to_le_bytes()),
        TensorData::Bool(values) => bytes_of(values, |value| [u8::from(value)]),
        TensorData::String(texts) => {
            let size = texts.iter().map(|text| PREFIX + text.len()).sum();
            let mut raw = Vec::with_capacity(size);
            for text in texts {
                let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
                raw.extend_from_slice(&length.to_le_bytes());
                raw.extend_from_slice(text.as_bytes());
            }
            raw.into()
        }
    }
}

fn bytes_of<const N: usize, T: Copy>(values: &[T], bytes: impl Fn(T) -> [u8; N]) -> Bytes {
    let all: Vec<[u8; N]> = values.iter().map(|value| bytes(*value)).collect();
    all.into_flattened().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn typed() -> InferTensorContents {
        InferTensorContents::default()
    }

    #[track_caller]
    fn check_raw(dtype: DType, elements: usize, raw: &[u8], want: Result<TensorData, &str>) {
        let got = from_raw(dtype, elements, raw);
        assert_eq!(got.as_ref().map_err(String::as_str), want.as_ref().map_err(|wrong| *wrong));
    }

    #[test]
    fn raw_bytes_are_little_endian() {
        check_raw(DType::Float32, 1, &[0, 0, 0x80, 0xbf], Ok(TensorData::Float32(vec![-1.0])));
        check_raw(DType::Float16, 1, &[0, 0x3c], Ok(TensorData::Float16(vec![f16::ONE])));
        check_raw(DType::Int64, 1, &[2, 1, 0, 0, 0, 0, 0, 0], Ok(TensorData::Int64(vec![258])));
        check_raw(
            DType::Int32,
            2,
            &[1, 0, 0, 0, 255, 255, 255, 255],
            Ok(TensorData::Int32(vec![1, -1])),
        );
        check_raw(DType::Bool, 3, &[0, 1, 2], Ok(TensorData::Bool(vec![false, true, true])));
        let texts = vec![String::new(), "ü".to_owned()];
        let raw = [0, 0, 0, 0, 2, 0, 0, 0, 0xc3, 0xbc];
        check_raw(DType::String, 2, &raw, Ok(TensorData::String(texts)));
    }

    #[test]
    fn raw_bytes_are_held_against_the_shape() {
        check_raw(DType::Float32, 2, &[0; 4], Err("has 4 bytes, and its shape needs 8"));
        check_raw(DType::Int64, 1, &[0; 9], Err("has 9 bytes, and its shape needs 8"));
        check_raw(DType::Bool, 0, &[0], Err("has 1 bytes, and its shape needs 0"));
        let least = "has 4 bytes, which is less than its shape needs";
        check_raw(DType::Int64, usize::MAX, &[0; 4], Err(least));
        check_raw(DType::String, usize::MAX, &[0; 4], Err(least));
        check_raw(DType::String, 2, &[0; 4], Err(least));
        let uneven = |n: usize| format!("does not end with the last of the {n} texts of its shape");
        check_raw(DType::String, 1, &[0; 8], Err(&uneven(1)));
        check_raw(DType::String, 1, &[9, 0, 0, 0, b'a'], Err(&uneven(1)));
        check_raw(DType::String, 1, &[255, 255, 255, 255], Err(&uneven(1)));
        check_raw(DType::String, 1, &[0, 0, 0, 0, 1, 2], Err(&uneven(1)));
        check_raw(
            DType::String,
            1,
            &[1, 0, 0, 0, 0xff],
            Err("has a text that is not UTF-8 at place 0"),
        );
    }

    #[track_caller]
    fn check_typed(dtype: DType, contents: InferTensorContents, want: Result<TensorData, &str>) {
        let got = from_typed(dtype, 2, contents);
        assert_eq!(got.as_ref().map_err(String::as_str), want.as_ref().map_err(|wrong| *wrong));
    }

    #[test]
    fn typed_elements_stand_in_the_field_of_their_type() {
        let floats = InferTensorContents { fp32_contents: vec![1.0, 2.0], ..typed() };
        check_typed(DType::Float32, floats.clone(), Ok(TensorData::Float32(vec![1.0, 2.0])));
        check_typed(
            DType::Int64,
            floats.clone(),
            Err("has elements in a field that is not of INT64"),
        );
        check_typed(DType::Float16, floats, Err("has elements in a field that is not of FP16"));
        check_typed(DType::Float16, typed(), Err("has no field for FP16; send raw_input_contents"));
        let ints = InferTensorContents { int_contents: vec![1, 2], ..typed() };
        check_typed(DType::Int32, ints, Ok(TensorData::Int32(vec![1, 2])));
        let ints = InferTensorContents { int64_contents: vec![1, 2], ..typed() };
        check_typed(DType::Int64, ints, Ok(TensorData::Int64(vec![1, 2])));
        let bools = InferTensorContents { bool_contents: vec![true, false], ..typed() };
        check_typed(DType::Bool, bools, Ok(TensorData::Bool(vec![true, false])));
        let texts = InferTensorContents { bytes_contents: vec![b"a".to_vec(), vec![]], ..typed() };
        check_typed(
            DType::String,
            texts,
            Ok(TensorData::String(vec!["a".to_owned(), String::new()])),
        );
        let texts = InferTensorContents { bytes_contents: vec![vec![], vec![0xff]], ..typed() };
        check_typed(DType::String, texts, Err("has a text that is not UTF-8 at place 1"));
        let few = InferTensorContents { int64_contents: vec![1], ..typed() };
        check_typed(DType::Int64, few, Err("has 1 elements, and its shape needs 2"));
        let unread = InferTensorContents { fp64_contents: vec![1.0], ..typed() };
        check_typed(DType::Float32, unread, Err("has elements in a field that is not of FP32"));
    }

    #[test]
    fn dims_are_counted_before_anything_is_made_of_them() {
        assert_eq!(dims_of(&[2, 3]), Ok((vec![2, 3], 6)));
        assert_eq!(dims_of(&[]), Ok((vec![], 1)));
        assert_eq!(
            dims_of(&[0, i64::MAX, i64::MAX]),
            Ok((vec![0, i64::MAX as usize, i64::MAX as usize], 0))
        );
        for shape in [&[-1][..], &[2, i64::MIN], &[i64::MAX, 2], &[i64::MAX, i64::MAX]] {
            assert!(dims_of(shape).is_err(), "{shape:?}");
        }
    }

    fn data() -> impl Strategy<Value = TensorData> {
        prop_oneof![
            prop::collection::vec(any::<i64>(), 0..9).prop_map(TensorData::Int64),
            prop::collection::vec(any::<i32>(), 0..9).prop_map(TensorData::Int32),
            prop::collection::vec(-1e9_f32..1e9, 0..9).prop_map(TensorData::Float32),
            prop::collection::vec((-9.0_f32..9.0).prop_map(f16::from_f32), 0..9)
                .prop_map(TensorData::Float16),
            prop::collection::vec(any::<bool>(), 0..9).prop_map(TensorData::Bool),
            prop::collection::vec(".{0,5}", 0..9).prop_map(TensorData::String),
        ]
    }

    proptest! {
        /// What is written is read again as it was.
        #[test]
        fn raw_bytes_come_back(data in data()) {
            let tensor = Tensor { shape: vec![data.len()], data };
            let raw = to_raw(&tensor);
            let back = from_raw(tensor.data.dtype(), tensor.data.len(), &raw);
            prop_assert_eq!(back, Ok(tensor.data));
        }

        /// No bytes do worse than being refused, and what is taken has as many elements as were said.
        #[test]
        fn any_bytes_are_read_or_refused(raw in prop::collection::vec(any::<u8>(), 0..64), elements in 0_usize..20) {
            for (_, dtype) in DATATYPES {
                if let Ok(data) = from_raw(dtype, elements, &raw) {
                    prop_assert_eq!(data.len(), elements);
                }
            }
        }
    }
}
