//! Messages in proto3's JSON mapping, with the names of the proto files.

use std::sync::LazyLock;

use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};

use crate::transport::pb;

/// JSON that is no such message, or the other way round.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct JsonError(String);

impl JsonError {
    fn of(cause: impl std::fmt::Display) -> Self {
        Self(cause.to_string())
    }
}

static POOL: LazyLock<Result<DescriptorPool, String>> =
    LazyLock::new(|| DescriptorPool::decode(pb::DESCRIPTORS).map_err(|e| e.to_string()));

fn descriptor<M: Name>() -> Result<MessageDescriptor, JsonError> {
    let pool = POOL.as_ref().map_err(JsonError::of)?;
    pool.get_message_by_name(&M::full_name())
        .ok_or_else(|| JsonError(format!("{} is not described", M::full_name())))
}

/// Writes a message as indented JSON.
///
/// # Errors
/// [`JsonError`] when the message holds something that JSON cannot.
pub fn to_json<M: Message + Name>(message: &M) -> Result<String, JsonError> {
    let mut dynamic = DynamicMessage::new(descriptor::<M>()?);
    dynamic.transcode_from(message).map_err(JsonError::of)?;
    let options = SerializeOptions::new().use_proto_field_name(true);
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::pretty(&mut bytes);
    dynamic.serialize_with_options(&mut serializer, &options).map_err(JsonError::of)?;
    String::from_utf8(bytes).map_err(JsonError::of)
}

/// Reads a message from JSON; an unknown field is an error.
///
/// # Errors
/// [`JsonError`] with line and column.
pub fn from_json<M: Message + Name + Default>(json: &str) -> Result<M, JsonError> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let dynamic = DynamicMessage::deserialize(descriptor::<M>()?, &mut deserializer)
        .map_err(JsonError::of)?;
    deserializer.end().map_err(JsonError::of)?;
    dynamic.transcode_to().map_err(JsonError::of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_the_proto_files_names() {
        let message = pb::RankResponse {
            request_id: "r".to_owned(),
            model_version: 3,
            user_state: pb::UserState::Cached.into(),
            ..pb::RankResponse::default()
        };
        let json = to_json(&message).unwrap();
        let want = r#"{"request_id":"r","model_version":"3","user_state":"USER_STATE_CACHED"}"#;
        assert_eq!(json.replace(['\n', ' '], ""), want);
        assert_eq!(from_json::<pb::RankResponse>(&json).unwrap(), message);
    }

    #[test]
    fn an_unknown_field_is_an_error() {
        assert!(from_json::<pb::RankRequest>(r#"{"topk": 3}"#).is_err());
    }
}
