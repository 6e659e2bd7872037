//! Holds messages that are written by hand against the proto file.

use std::fmt::Debug;

use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage};

use crate::transport::pb::generated::DESCRIPTORS;

/// Writes a message, reads it as the proto file says and as itself, and writes it again: all must agree.
#[track_caller]
pub(super) fn check<M: Message + Name + Default + PartialEq + Debug>(message: &M) {
    let bytes = message.encode_to_vec();
    assert_eq!(bytes.len(), message.encoded_len());
    assert_eq!(&M::decode(bytes.as_slice()).unwrap(), message);
    let pool = DescriptorPool::decode(DESCRIPTORS).unwrap();
    let described = pool.get_message_by_name(&M::full_name()).unwrap();
    let read = DynamicMessage::decode(described.clone(), bytes.as_slice()).unwrap();
    assert_eq!(read.unknown_fields().count(), 0);
    assert_eq!(read.encode_to_vec(), bytes);
    // What is unknown is passed over.
    let mut longer = bytes.clone();
    longer.extend([0xfa, 0x3f, 1, 0]);
    assert_eq!(&M::decode(longer.as_slice()).unwrap(), message);
}
