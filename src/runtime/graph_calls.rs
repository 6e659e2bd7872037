//! How many nodes a model has once its functions stand in the place of their calls, as ONNX Runtime puts them.

use std::{collections::BTreeMap, fmt};

use crate::runtime::graph_fault::GraphFault;

/// Functions that may call one another in a chain. ONNX Runtime's stack overflows at some thousands.
const MOST_CALLS: usize = 32;

/// What a node calls: an operator, or a function of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Callee<'a> {
    domain: &'a [u8],
    name: &'a [u8],
}

impl<'a> Callee<'a> {
    pub(super) fn new(domain: &'a [u8], name: &'a [u8]) -> Self {
        Self { domain: if domain == b"ai.onnx" { b"" } else { domain }, name }
    }
}

impl fmt::Display for Callee<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [domain, name] = [self.domain, self.name].map(String::from_utf8_lossy);
        write!(f, "`{domain}.{name}`")
    }
}

/// What stands in a graph or in a function: how many nodes call what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Body<'a>(BTreeMap<Callee<'a>, u64>);

impl<'a> Body<'a> {
    /// Adds a node.
    pub(super) fn call(&mut self, callee: Callee<'a>) {
        *self.0.entry(callee).or_default() += 1;
    }

    /// Adds all nodes of another body.
    pub(super) fn add(&mut self, other: Self) {
        for (callee, count) in other.0 {
            *self.0.entry(callee).or_default() += count;
        }
    }
}

/// How many nodes a body has once functions stand in the place of their calls; functions that it never calls count once.
///
/// # Errors
/// A [`GraphFault`] where a function calls itself, or too many call one another.
pub(super) fn expanded<'a>(
    main: &Body<'a>,
    functions: &BTreeMap<Callee<'a>, Body<'a>>,
) -> Result<u64, GraphFault> {
    let mut expansion = Expansion { functions, known: BTreeMap::new() };
    let mut nodes = expansion.of(main, 0)?.nodes;
    for (callee, function) in functions {
        if !expansion.known.contains_key(callee) {
            let own = expansion.of(function, 1)?;
            expansion.known.insert(*callee, own);
            nodes = nodes.saturating_add(own.nodes);
        }
    }
    Ok(nodes)
}

#[derive(Clone, Copy, Default)]
struct Size {
    nodes: u64,
    /// Calls in the longest chain.
    calls: usize,
}

struct Expansion<'a, 'f> {
    functions: &'f BTreeMap<Callee<'a>, Body<'a>>,
    known: BTreeMap<Callee<'a>, Size>,
}

impl<'a> Expansion<'a, '_> {
    /// The size of a body that so many calls lead to.
    fn of(&mut self, body: &Body<'a>, calls: usize) -> Result<Size, GraphFault> {
        let mut size = Size::default();
        for (callee, &count) in &body.0 {
            let mut nodes = count;
            if let Some(function) = self.functions.get(callee) {
                let own = match self.known.get(callee) {
                    Some(own) => *own,
                    None if calls == MOST_CALLS => return Err(too_many(callee)),
                    None => self.of(function, calls + 1)?,
                };
                if calls + 1 + own.calls > MOST_CALLS {
                    return Err(too_many(callee));
                }
                self.known.insert(*callee, own);
                size.calls = size.calls.max(own.calls + 1);
                nodes = nodes.saturating_add(count.saturating_mul(own.nodes));
            }
            size.nodes = size.nodes.saturating_add(nodes);
        }
        Ok(size)
    }
}

fn too_many(callee: &Callee<'_>) -> GraphFault {
    let wrong = format!(
        "has functions that call one another in a chain of more than {MOST_CALLS}, {callee} among them, and that is the most; or one calls itself"
    );
    GraphFault::new(wrong, "inline the functions when the model is exported")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Functions by name, each with what it calls.
    #[track_caller]
    fn check(main: &str, functions: &[(&str, &str)], want: Result<u64, &str>) {
        fn body(calls: &str) -> Body<'_> {
            let mut body = Body::default();
            for name in calls.split_whitespace() {
                body.call(Callee::new(b"my", name.as_bytes()));
            }
            body
        }
        let functions = functions
            .iter()
            .map(|(name, calls)| (Callee::new(b"my", name.as_bytes()), body(calls)));
        match (expanded(&body(main), &functions.collect()), want) {
            (Ok(got), Ok(want)) => assert_eq!(got, want),
            (Err(fault), Err(words)) => assert!(fault.wrong.contains(words), "{fault}"),
            (got, want) => panic!("{got:?} is not {want:?}"),
        }
    }

    #[test]
    fn a_function_counts_for_each_call() {
        check("", &[], Ok(0));
        check("Add Add Mul", &[("f", "Add")], Ok(3 + 1));
        check("f Add", &[("f", "Add Add Mul")], Ok(1 + 3 + 1));
        check("f f", &[("f", "g g"), ("g", "Add Add")], Ok(2 * (1 + 2 * (1 + 2))));
    }

    #[test]
    fn functions_that_grow_without_end_are_counted_quickly() {
        let names: Vec<String> = (0..31).map(|at| format!("f{at}")).collect();
        let bodies: Vec<String> = (0..31).map(|at| format!("f{0} f{0}", at + 1)).collect();
        let doubling: Vec<(&str, &str)> =
            names.iter().map(String::as_str).zip(bodies.iter().map(String::as_str)).collect();
        check("f0", &doubling, Ok((1 << 32) - 1));
        let tenfold: Vec<String> = (0..31).map(|at| format!("f{} ", at + 1).repeat(10)).collect();
        let tenfold: Vec<(&str, &str)> =
            names.iter().map(String::as_str).zip(tenfold.iter().map(String::as_str)).collect();
        check("f0", &tenfold, Ok(u64::MAX));
    }

    #[test]
    fn a_chain_is_bounded_and_none_is_a_ring() {
        check("f", &[("f", "f")], Err("itself"));
        check("f", &[("f", "g"), ("g", "f")], Err("itself"));
        let names: Vec<String> = (0..5000).map(|at| format!("f{at}")).collect();
        let chain = |length: usize| -> Vec<(&str, &str)> {
            (0..length).map(|at| (names[at].as_str(), names[at + 1].as_str())).collect()
        };
        check("f0", &chain(32), Ok(33));
        check("f0", &chain(33), Err("more than 32"));
        check("f0", &chain(4999), Err("more than 32"));
        // What was counted from its middle on is still too long from its start on.
        check("f20 f0", &chain(40), Err("more than 32"));
        check("Add", &chain(4999), Err("more than 32"));
        check("Add", &[("f", "Mul Mul")], Ok(1 + 2));
    }
}
