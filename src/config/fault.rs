//! What can be wrong with a configuration.

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFault {
    /// The key.
    pub key: String,
    /// What is wrong and what to do.
    pub wrong: String,
}

/// A configuration that cannot be used, in all the ways listed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the configuration has {n} fault(s):{list}", n = .0.len(), list = listed(.0))]
pub struct ConfigError(pub Vec<ConfigFault>);

fn listed(faults: &[ConfigFault]) -> String {
    faults.iter().map(|fault| format!("\n  - {}: {}", fault.key, fault.wrong)).collect()
}
