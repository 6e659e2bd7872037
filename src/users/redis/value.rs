//! An embedding as bytes.
//!
//! All numbers are little-endian:
//!
//! | offset | bytes | what |
//! |---:|---:|---|
//! | 0 | 2 | `PE` |
//! | 2 | 1 | the format, 1 |
//! | 3 | 1 | dtype of the values: 1 float32, 2 float16 |
//! | 4 | 1 | number of dimensions |
//! | 5 | 3 | zero |
//! | 8 | 8 | when it was computed, unix milliseconds |
//! | 16 | 8 | which history it was made of ([`Mark::born`]) |
//! | 24 | 8 | how many recorded events of it ([`Mark::count`]) |
//! | 32 | 8 | XXH3-64 of the key and of everything here but these eight bytes |
//! | 40 | 4 each | the dimensions |
//! | … | 4 or 2 each | the values in row-major order |

use half::f16;
use xxhash_rust::xxh3::Xxh3;

use crate::users::{
    options::Storage,
    record::{Mark, StoredEmbedding},
};

const MAGIC: [u8; 2] = *b"PE";
const FORMAT: u8 = 1;
const FLOAT32: u8 = 1;
const FLOAT16: u8 = 2;
const SUM: std::ops::Range<usize> = 32..40;
const HEADER: usize = 40;

/// Writes an embedding for the key that it will stand under; `shape` is the encoder's.
pub(super) fn encode(
    key: &str,
    embedding: &StoredEmbedding,
    shape: &[usize],
    storage: Storage,
) -> Vec<u8> {
    let dtype = if storage == Storage::F16 { FLOAT16 } else { FLOAT32 };
    let mut bytes = Vec::with_capacity(HEADER + 4 * (shape.len() + embedding.values.len()));
    bytes.extend(MAGIC);
    bytes.extend([FORMAT, dtype, shape.len() as u8, 0, 0, 0]);
    let StoredEmbedding { created_ms, folded: Mark { born, count }, .. } = *embedding;
    for number in [created_ms, born, count, 0] {
        bytes.extend(number.to_le_bytes());
    }
    for &dim in shape {
        bytes.extend((dim as u32).to_le_bytes());
    }
    match storage {
        Storage::F32 => bytes.extend(embedding.values.iter().flat_map(|v| v.to_le_bytes())),
        Storage::F16 => {
            let half = |value: &f32| f16::from_f32(*value).to_le_bytes();
            bytes.extend(embedding.values.iter().flat_map(half));
        }
    }
    let sum = sum_of(key, &bytes);
    bytes.splice(SUM, sum.to_le_bytes());
    bytes
}

/// Reads what stands under a key; none where it is anything else than an embedding of that shape for that key.
pub(super) fn decode(key: &str, bytes: &[u8], shape: &[usize]) -> Option<StoredEmbedding> {
    let dims = bytes.get(HEADER..HEADER + 4 * shape.len())?;
    let data = bytes.get(HEADER + 4 * shape.len()..)?;
    let count = shape.iter().product::<usize>();
    let [b'P', b'E', FORMAT, dtype, rank, 0, 0, 0] = *bytes.first_chunk::<8>()? else {
        return None;
    };
    let width = if dtype == FLOAT16 { 2 } else { 4 };
    let same_shape = usize::from(rank) == shape.len()
        && dims.chunks_exact(4).zip(shape).all(|(dim, want)| dim == (*want as u32).to_le_bytes());
    let fits = matches!(dtype, FLOAT32 | FLOAT16) && same_shape && data.len() == count * width;
    if !fits || sum_of(key, bytes) != number(bytes, SUM.start)? {
        return None;
    }
    let values: Vec<f32> = match dtype {
        FLOAT16 => {
            data.chunks_exact(2).map(|v| f16::from_le_bytes([v[0], v[1]]).to_f32()).collect()
        }
        _ => data.chunks_exact(4).map(|v| f32::from_le_bytes([v[0], v[1], v[2], v[3]])).collect(),
    };
    values.iter().all(|value| value.is_finite()).then_some(())?;
    Some(StoredEmbedding {
        values: values.into(),
        created_ms: number(bytes, 8)?,
        folded: Mark { born: number(bytes, 16)?, count: number(bytes, 24)? },
    })
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn sum_of(key: &str, bytes: &[u8]) -> u64 {
    let mut sum = Xxh3::new();
    sum.update(key.as_bytes());
    sum.update(&bytes[..SUM.start]);
    sum.update(&bytes[SUM.end..]);
    sum.digest()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn embedding() -> StoredEmbedding {
        StoredEmbedding {
            values: vec![0.1, -2.5, 3e-4, 1000.0, 0.0, 7.0].into(),
            created_ms: 1_700_000_000_123,
            folded: Mark { born: u64::MAX - 1, count: 12 },
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = encode("k", &embedding(), &[2, 3], Storage::F32);
        assert_eq!(bytes.len(), 40 + 8 + 24);
        assert_eq!(decode("k", &bytes, &[2, 3]), Some(embedding()));
    }

    #[test]
    fn halves_are_rounded_and_nothing_else() {
        let bytes = encode("k", &embedding(), &[6], Storage::F16);
        assert_eq!(bytes.len(), 40 + 4 + 12);
        let read = decode("k", &bytes, &[6]).unwrap();
        assert_eq!((read.created_ms, read.folded), (embedding().created_ms, embedding().folded));
        for (read, written) in read.values.iter().zip(embedding().values.iter()) {
            assert!((read - written).abs() <= written.abs() * 5e-4 + 1e-7, "{read} {written}");
        }
    }

    #[test]
    fn what_does_not_fit_is_none() {
        let bytes = encode("k", &embedding(), &[2, 3], Storage::F32);
        assert_eq!(decode("other", &bytes, &[2, 3]), None);
        for shape in [&[6][..], &[3, 2], &[2, 3, 1], &[], &[2, 4]] {
            assert_eq!(decode("k", &bytes, shape), None, "{shape:?}");
        }
        let infinite = StoredEmbedding { values: vec![f32::INFINITY].into(), ..embedding() };
        assert_eq!(decode("k", &encode("k", &infinite, &[1], Storage::F32), &[1]), None);
        let large = StoredEmbedding { values: vec![1e9].into(), ..embedding() };
        assert_eq!(decode("k", &encode("k", &large, &[1], Storage::F16), &[1]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_are_read_that_were_not_written(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(decode("k", &bytes, &[2, 3]), None);
        }

        #[test]
        fn one_wrong_byte_is_found(at in 0..72_usize, flip in 1..=255_u8, cut in 0..72_usize) {
            let good = encode("k", &embedding(), &[2, 3], Storage::F32);
            let mut bytes = good.clone();
            bytes[at] ^= flip;
            prop_assert_eq!(decode("k", &bytes, &[2, 3]), None);
            prop_assert_eq!(decode("k", &good[..cut], &[2, 3]), None);
        }
    }
}
