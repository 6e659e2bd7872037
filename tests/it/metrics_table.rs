//! Holds the table of `docs/metrics.md` against the metrics that there are.
//!
//! `PODIUM_WRITE_TABLES=1 cargo test --test it metrics_table` writes it.

use std::{fs, path::Path};

use podium::{observing::METHODS, telemetry::metrics::ALL, transport::pb};
use prost_reflect::DescriptorPool;

const BEGIN: &str = "<!-- metrics: begin -->\n";
const END: &str = "<!-- metrics: end -->\n";

fn table() -> String {
    let code = |name: &&str| format!("`{name}`");
    let row = |spec: &&podium::telemetry::Spec| {
        let labels: Vec<String> = spec.labels.iter().map(code).collect();
        let (series, kind) = (spec.series(), spec.kind.name());
        format!("| `{series}` | {kind} | {} | {} | {} |\n", spec.unit, labels.join(", "), spec.help)
    };
    let rows: String = ALL.iter().map(row).collect();
    format!("| name | type | unit | labels | what it says |\n|---|---|---|---|---|\n{rows}")
}

#[test]
fn every_metric_is_documented() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (documented, after) = rest.split_once(END).unwrap();
    let table = table();
    if std::env::var_os("PODIUM_WRITE_TABLES").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(
        documented, table,
        "write it: PODIUM_WRITE_TABLES=1 cargo test --test it metrics_table"
    );
}

#[test]
fn every_method_is_counted_by_its_name() {
    let pool = DescriptorPool::decode(pb::DESCRIPTORS).unwrap();
    let methods = pool.services().flat_map(|service| service.methods().collect::<Vec<_>>());
    let own: Vec<String> = methods
        .map(|method| format!("{}/{}", method.parent_service().full_name(), method.name()))
        .collect();
    let missing: Vec<_> = own.iter().filter(|name| !METHODS.contains(&name.as_str())).collect();
    assert!(missing.is_empty(), "observing::METHODS lacks {missing:?}");
    let foreign = METHODS.iter().filter(|name| !name.starts_with("grpc."));
    let gone: Vec<_> = foreign.filter(|name| !own.iter().any(|known| known == *name)).collect();
    assert!(gone.is_empty(), "observing::METHODS has what there is no method of: {gone:?}");
}
