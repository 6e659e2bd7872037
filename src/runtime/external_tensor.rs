//! A tensor whose values stand in a file beside the model ("external data").

use std::ops::Range;

use crate::{
    runtime::graph_fault::GraphFault,
    wire::{Field, Value, next_field},
};

/// Field numbers of `TensorProto`.
pub(super) mod at {
    pub(in crate::runtime) const DIMS: u64 = 1;
    pub(in crate::runtime) const DATA_TYPE: u64 = 2;
    pub(in crate::runtime) const NAME: u64 = 8;
    pub(in crate::runtime) const RAW_DATA: u64 = 9;
    pub(in crate::runtime) const EXTERNAL_DATA: u64 = 13;
    pub(in crate::runtime) const DATA_LOCATION: u64 = 14;
}

/// A tensor whose values stand in a file beside the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalTensor {
    /// Its name, and what of the model it belongs to, for people.
    pub what: String,
    /// The file, as the model names it.
    pub location: String,
    offset: u64,
    length: u64,
}

impl ExternalTensor {
    /// Where the values are that a tensor has elsewhere; none where it has them itself. `owner` is what it belongs to, for people.
    ///
    /// Whatever says that there is anything elsewhere counts, so that no other reader of the model sees more of it than this one.
    pub(super) fn of(tensor: &[u8], owner: &str) -> Result<Option<Self>, GraphFault> {
        let malformed = || GraphFault::malformed("tensor");
        let (mut name, mut elements, mut dtype) = (&b""[..], 1_u64, 0);
        let (mut entries, mut elsewhere) = (Vec::new(), false);
        let mut rest = tensor;
        while !rest.is_empty() {
            let field = next_field(&mut rest).ok_or_else(malformed)?;
            match (field.number, field.value) {
                (at::NAME, Value::Bytes(bytes)) => name = bytes,
                (at::DATA_TYPE, Value::Number(number)) => dtype = number,
                (at::DIMS, Value::Number(dim)) => elements = elements.saturating_mul(dim),
                (at::DIMS, Value::Bytes(dims)) => {
                    let dims = numbers(dims).ok_or_else(malformed)?;
                    elements = dims.into_iter().fold(elements, u64::saturating_mul);
                }
                (at::EXTERNAL_DATA, Value::Bytes(entry)) => {
                    entries.push(entry_of(entry).ok_or_else(malformed)?);
                }
                (at::DATA_LOCATION, Value::Number(location)) => elsewhere |= location != 0,
                _ => {}
            }
        }
        if entries.is_empty() && !elsewhere {
            return Ok(None);
        }
        let what = format!("the tensor `{}` of {owner}", String::from_utf8_lossy(name));
        Self::read(what, &entries, bytes_of(elements, dtype)).map(Some)
    }

    fn read(what: String, entries: &[(&str, &str)], size: Option<u64>) -> Result<Self, GraphFault> {
        let wrong = |wrong: String| {
            GraphFault::new(format!("{what} has external data {wrong}"), "export it again")
        };
        let (mut location, mut offset, mut length) = (None, None, None);
        for (key, value) in entries {
            let number = || value.parse().map_err(|_| wrong(format!("whose {key} is `{value}`")));
            let again = match *key {
                "location" => location.replace((*value).to_owned()).is_some(),
                "offset" => offset.replace(number()?).is_some(),
                "length" => length.replace(number()?).is_some(),
                // A sum that ONNX lets be told; the manifest has one of the whole file.
                "checksum" => false,
                _ => return Err(wrong(format!("with the unknown key `{key}`"))),
            };
            if again {
                return Err(wrong(format!("with two entries `{key}`")));
            }
        }
        let location = location.ok_or_else(|| wrong("without a location".to_owned()))?;
        let length = length.or(size).ok_or_else(|| wrong("without a length".to_owned()))?;
        Ok(Self { what, location, offset: offset.unwrap_or(0), length })
    }

    /// Where in its file the values stand.
    pub(super) fn range(&self, file_bytes: usize) -> Result<Range<usize>, GraphFault> {
        let Self { what, location, offset, length } = self;
        let start = usize::try_from(*offset).ok();
        let end = usize::try_from(offset.saturating_add(*length)).ok();
        match (start, end) {
            (Some(start), Some(end)) if end <= file_bytes => Ok(start..end),
            _ => Err(GraphFault::new(
                format!(
                    "{what} has {length} bytes from byte {offset} on in `{location}`, which ends at byte {file_bytes}"
                ),
                "copy the whole file into the bundle, or export it again",
            )),
        }
    }

    /// Whether a field of the tensor says that its values stand elsewhere.
    pub(super) fn tells_so(field: &Field<'_>) -> bool {
        matches!(field.number, at::EXTERNAL_DATA | at::DATA_LOCATION)
    }
}

/// The key and the value of an entry.
fn entry_of(entry: &[u8]) -> Option<(&str, &str)> {
    let (mut key, mut value) = ("", "");
    let mut rest = entry;
    while !rest.is_empty() {
        let field = next_field(&mut rest)?;
        match field.number {
            1 => key = std::str::from_utf8(field.bytes(1)?).ok()?,
            2 => value = std::str::from_utf8(field.bytes(2)?).ok()?,
            _ => {}
        }
    }
    Some((key, value))
}

/// Numbers that stand one behind another.
fn numbers(packed: &[u8]) -> Option<Vec<u64>> {
    let mut all = Vec::new();
    let mut number = 0_u64;
    let mut shift = 0;
    for byte in packed {
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        shift += 7;
        if *byte < 0x80 {
            all.push(number);
            (number, shift) = (0, 0);
        }
    }
    (shift == 0).then_some(all)
}

/// How many bytes the elements take; none where that is not known of the type.
fn bytes_of(elements: u64, dtype: u64) -> Option<u64> {
    /// `TensorProto.DataType`, by the bytes of an element.
    const SIZES: [(&[u64], u64); 5] = [
        (&[2, 3, 9, 17, 18, 19, 20, 24], 1),
        (&[4, 5, 10, 16], 2),
        (&[1, 6, 12], 4),
        (&[7, 11, 13, 14], 8),
        (&[15], 16),
    ];
    let size = SIZES.iter().find(|(dtypes, _)| dtypes.contains(&dtype)).map(|(_, size)| *size);
    match dtype {
        // Two numbers of four bits in each byte.
        21..=23 => Some(elements.div_ceil(2)),
        _ => elements.checked_mul(size?),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crate::wire::Message;

    use super::*;

    /// A tensor of three floats with these entries.
    pub(in crate::runtime) fn external(name: &str, entries: &[(&str, &str)]) -> Message {
        let tensor = Message::default().number(at::DIMS, 3).number(at::DATA_TYPE, 1);
        let tensor = tensor.text(at::NAME, name).number(at::DATA_LOCATION, 1);
        entries.iter().fold(tensor, |tensor, (key, value)| {
            tensor.message(at::EXTERNAL_DATA, &Message::named(key).text(2, value))
        })
    }

    #[track_caller]
    fn check(entries: &[(&str, &str)], file_bytes: usize, want: Result<Range<usize>, &str>) {
        let tensor = external("w", entries).finish();
        let found = ExternalTensor::of(&tensor, "the graph `g`").map(Option::unwrap);
        let range = found.and_then(|found| found.range(file_bytes));
        match (range, want) {
            (Ok(range), Ok(want)) => assert_eq!(range, want),
            (Err(fault), Err(words)) => {
                let told = fault.to_string();
                assert!(told.contains(words) && told.contains("`w` of the graph `g`"), "{told}");
            }
            (got, want) => panic!("{got:?} is not {want:?}"),
        }
    }

    #[test]
    fn values_stand_where_the_entries_say_and_nowhere_beyond_the_file() {
        let file = ("location", "w.bin");
        check(&[file], 12, Ok(0..12));
        check(&[file, ("offset", "4")], 16, Ok(4..16));
        check(&[file, ("offset", "4"), ("length", "8")], 12, Ok(4..12));
        check(&[file, ("length", "0"), ("offset", "12")], 12, Ok(12..12));
        check(&[file], 11, Err("ends at byte 11"));
        check(&[file, ("offset", "13"), ("length", "0")], 12, Err("from byte 13 on"));
        check(&[file, ("offset", "18446744073709551615")], 12, Err("ends at byte 12"));
        check(&[file, ("offset", "8"), ("length", "18446744073709551615")], 12, Err("ends"));
    }

    #[test]
    fn entries_that_say_it_in_two_ways_or_in_none_are_refused() {
        check(&[], 12, Err("without a location"));
        check(&[("location", "a"), ("location", "b")], 12, Err("two entries `location`"));
        check(&[("location", "a"), ("offset", "-4")], 12, Err("offset is `-4`"));
        check(&[("location", "a"), ("length", "0x10")], 12, Err("length is `0x10`"));
        check(&[("location", "a"), ("basepath", "/")], 12, Err("unknown key `basepath`"));
    }

    #[test]
    fn whatever_says_that_values_stand_elsewhere_counts() {
        let of = |tensor: Message| ExternalTensor::of(&tensor.finish(), "x");
        let entry = Message::named("location").text(2, "w.bin");
        let typed = || Message::default().number(at::DATA_TYPE, 7);
        assert!(of(typed().bytes(at::RAW_DATA, &[0; 8])).unwrap().is_none());
        let found = of(typed().message(at::EXTERNAL_DATA, &entry)).unwrap().unwrap();
        assert_eq!((found.location.as_str(), found.range(8)), ("w.bin", Ok(0..8)));
        for location in [1, 1 << 32 | 1] {
            assert!(of(typed().number(at::DATA_LOCATION, location)).is_err(), "{location}");
        }
        assert!(of(typed().bytes(at::EXTERNAL_DATA, &[0x0a])).is_err(), "no entry");
    }

    #[test]
    fn bytes_go_by_the_type() {
        let all = [(1, 4), (7, 8), (10, 2), (16, 2), (3, 1), (22, 1), (15, 16)];
        for (dtype, one) in all {
            assert_eq!(bytes_of(1, dtype), Some(one), "{dtype}");
        }
        assert_eq!((bytes_of(3, 21), bytes_of(3, 8)), (Some(2), None));
        assert_eq!(numbers(&[3, 0x80, 1]), Some(vec![3, 128]));
        assert_eq!(numbers(&[0x80]), None);
        assert_eq!(numbers(&[0x80; 12]), None);
    }
}
