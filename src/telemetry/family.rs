//! What was counted, at one moment: plain data that `/metrics` and OTLP are written from.

use std::time::SystemTime;

/// What kind of figure a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Values by size.
    Histogram,
}

impl Kind {
    /// Its name, as Prometheus has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric as it is documented.
#[derive(Debug, PartialEq, Eq)]
pub struct Spec {
    /// Its name; that of a counter without `_total`.
    pub name: &'static str,
    /// What kind of figure it is.
    pub kind: Kind,
    /// Its unit, with which its name ends; empty where it is a number of what the name says.
    pub unit: &'static str,
    /// The names of its labels, in the order of the values of each sample.
    pub labels: &'static [&'static str],
    /// What it says, in one sentence.
    pub help: &'static str,
}

impl Spec {
    /// The name of its series: of a counter, with `_total`.
    pub fn series(&self) -> String {
        match self.kind {
            Kind::Counter => format!("{}_total", self.name),
            Kind::Gauge | Kind::Histogram => self.name.to_owned(),
        }
    }
}

/// A request by which a value was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exemplar {
    /// Its trace.
    pub trace_id: u128,
    /// Its span.
    pub span_id: u64,
    /// The value.
    pub value: f64,
    /// When that was.
    pub at: SystemTime,
}

/// Values by size.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// The bounds, which ascend.
    pub bounds: &'static [f64],
    /// How many values belong to each bound, and how many are larger than all.
    pub counts: Vec<u64>,
    /// The sum of all values.
    pub sum: f64,
    /// An example of each, as far as there are such; or none at all.
    pub exemplars: Vec<Option<Exemplar>>,
}

/// The figure of one sample.
#[derive(Debug, Clone, PartialEq)]
pub enum Figure {
    /// A count, or a measure.
    Number(f64),
    /// Values by size.
    Distribution(Distribution),
}

/// One series of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The values of the labels, in the order of the metric's.
    pub labels: Vec<String>,
    /// The figure.
    pub figure: Figure,
}

/// A metric with all its series.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// Which metric it is.
    pub spec: &'static Spec,
    /// Its series.
    pub samples: Vec<Sample>,
}

/// Metrics at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// The metrics, with and without series.
    pub families: Vec<Family>,
}

impl Snapshot {
    /// Those metrics, in that order, each without series.
    pub fn of(specs: &[&'static Spec]) -> Self {
        let empty = |spec: &&'static Spec| Family { spec, samples: Vec::new() };
        Self { families: specs.iter().map(empty).collect() }
    }

    /// Adds a number.
    pub fn number(&mut self, spec: &'static Spec, labels: &[&str], value: f64) {
        self.add(spec, labels, Figure::Number(value));
    }

    /// Adds a count.
    pub fn count(&mut self, spec: &'static Spec, labels: &[&str], value: u64) {
        self.number(spec, labels, value as f64);
    }

    /// Adds values by size.
    pub fn distribution(&mut self, spec: &'static Spec, labels: &[&str], values: Distribution) {
        self.add(spec, labels, Figure::Distribution(values));
    }

    fn add(&mut self, spec: &'static Spec, labels: &[&str], figure: Figure) {
        debug_assert_eq!(labels.len(), spec.labels.len(), "{}", spec.name);
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        let sample = Sample { labels, figure };
        match self.families.iter_mut().find(|family| family.spec.name == spec.name) {
            Some(family) => family.samples.push(sample),
            None => self.families.push(Family { spec, samples: vec![sample] }),
        }
    }

    /// A metric's series; none where it has none.
    pub fn samples(&self, spec: &Spec) -> &[Sample] {
        let found = self.families.iter().find(|family| family.spec.name == spec.name);
        found.map_or(&[], |family| &family.samples)
    }
}
