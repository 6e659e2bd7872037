//! What a graph may not be, whatever ONNX Runtime would make of it.

/// What is wrong with a graph, found before ONNX Runtime sees it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{wrong}. Fix: {fix}")]
pub struct GraphFault {
    /// What is wrong.
    pub wrong: String,
    /// What to do.
    pub fix: &'static str,
}

impl GraphFault {
    /// Makes a fault.
    pub(super) fn new(wrong: impl Into<String>, fix: &'static str) -> Self {
        Self { wrong: wrong.into(), fix }
    }

    /// A message that is not in the format that ONNX's messages are in.
    pub(super) fn malformed(what: &str) -> Self {
        let wrong = format!("is no ONNX model: a {what} in it is not in protobuf's format");
        Self::new(wrong, "export it again, or copy it again")
    }
}
