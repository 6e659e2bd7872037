//! A model as ONNX Runtime gets it: looked through, and whole, with the values of other files put in.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::runtime::{
    declared::declared,
    external_tensor::ExternalTensor,
    graph_fault::GraphFault,
    graph_scan::{Found, scan},
    inline::inlined,
    signature::Signature,
    summed::{Sum, Summed},
};

/// A model that was looked through, whose values may stand in other files.
#[derive(Debug)]
pub struct ScannedGraph {
    model: Summed,
    found: Found,
}

/// A model that was looked through and has all of its values, in ONNX's wire format; an empty one where there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Graph {
    bytes: Vec<u8>,
    /// What tells it from other models: a sum of all that it was made of.
    sum: Sum,
    nodes: u64,
}

impl ScannedGraph {
    /// Looks through a model, at the cost of one pass over it.
    ///
    /// # Errors
    /// A [`GraphFault`] where it is no model, lies too deep, or has functions that grow without end.
    pub fn of(model: Summed) -> Result<Self, GraphFault> {
        let found = scan(&model.bytes)?;
        Ok(Self { model, found })
    }

    /// Nodes, those of inner graphs included, and those of a function once for each call.
    pub fn nodes(&self) -> u64 {
        self.found.nodes
    }

    /// Tensors whose values stand in other files.
    pub fn external(&self) -> &[ExternalTensor] {
        &self.found.external
    }

    /// The sum of the model's own file.
    pub fn sum(&self) -> &Sum {
        &self.model.sum
    }

    /// The inputs and outputs that the model declares; a session of it may know more of the outputs' dimensions.
    ///
    /// # Errors
    /// A [`GraphFault`] where it says of one of them not even how many dimensions it has.
    pub fn declared(&self) -> Result<Signature, GraphFault> {
        declared(&self.model.bytes)
    }

    /// Puts the values of other files, by their names in the model, in their places; without any it is what it was.
    ///
    /// # Errors
    /// A [`GraphFault`] where one of them is not there, ends too early, or all together are too much.
    pub fn with(self, files: &BTreeMap<String, Summed>) -> Result<Graph, GraphFault> {
        let Self { model, found } = self;
        if found.external.is_empty() {
            return Ok(Graph { bytes: model.bytes, sum: model.sum, nodes: found.nodes });
        }
        let mut sum = Sha256::new().chain_update(model.sum);
        for (name, file) in files {
            sum.update((name.len() as u64).to_le_bytes());
            sum.update(name);
            sum.update(file.sum);
        }
        let bytes = inlined(&model.bytes, files)?;
        Ok(Graph { bytes, sum: sum.finalize().into(), nodes: found.nodes })
    }
}

impl Graph {
    /// Takes a model that stands in one file.
    ///
    /// # Errors
    /// A [`GraphFault`] as those of [`ScannedGraph::of`], or where values stand in other files.
    pub fn of(model: Vec<u8>) -> Result<Self, GraphFault> {
        ScannedGraph::of(Summed::of(model))?.with(&BTreeMap::new())
    }

    /// The same model written otherwise, by a rule of that name.
    pub(super) fn rewritten(&self, bytes: Vec<u8>, rule: &str) -> Self {
        let sum = Sha256::new().chain_update(self.sum).chain_update(rule).finalize().into();
        Self { bytes, sum, nodes: self.nodes }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The model.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What tells it from other models.
    pub(super) fn sum(&self) -> &Sum {
        &self.sum
    }

    /// Nodes, those of inner graphs and called functions included.
    pub fn nodes(&self) -> u64 {
        self.nodes
    }
}
