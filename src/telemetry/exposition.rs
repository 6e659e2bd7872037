//! Writes metrics as Prometheus reads them: its text format 0.0.4, or OpenMetrics 1.0 with exemplars.

use std::{fmt::Write, time::UNIX_EPOCH};

use crate::telemetry::family::{Distribution, Exemplar, Family, Figure, Kind, Sample, Snapshot};

/// The two ways to write metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposition {
    /// Prometheus' own text.
    Prometheus,
    /// OpenMetrics, which has exemplars and units.
    OpenMetrics,
}

impl Exposition {
    /// The one that a client prefers by its `Accept`; Prometheus' own where it says nothing.
    pub fn accepted(accept: &str) -> Self {
        let weight = |wanted: &str| {
            let ranges = accept.split(',').map(|range| {
                let mut parts = range.split(';').map(str::trim);
                let kind = parts.next().unwrap_or_default();
                let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f64>().ok());
                (kind, weight.unwrap_or(1.0))
            });
            ranges
                .filter(|(kind, _)| kind.eq_ignore_ascii_case(wanted))
                .map(|(_, q)| q)
                .fold(0.0, f64::max)
        };
        let open = weight("application/openmetrics-text");
        match open > 0.0 && open >= weight("text/plain") {
            true => Self::OpenMetrics,
            false => Self::Prometheus,
        }
    }

    /// What it is called in `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Writes all metrics.
    pub fn text(self, snapshot: &Snapshot) -> String {
        let mut text = String::with_capacity(64 << 10);
        for family in &snapshot.families {
            self.family(&mut text, family);
        }
        if self == Self::OpenMetrics {
            text.push_str("# EOF\n");
        }
        text
    }

    fn family(self, text: &mut String, Family { spec, samples }: &Family) {
        let series = spec.series();
        let name = match self {
            Self::Prometheus => series.as_str(),
            Self::OpenMetrics => spec.name,
        };
        let _ = writeln!(text, "# HELP {name} {}", escaped(spec.help, self == Self::OpenMetrics));
        let _ = writeln!(text, "# TYPE {name} {}", spec.kind.name());
        if self == Self::OpenMetrics && !spec.unit.is_empty() {
            let _ = writeln!(text, "# UNIT {name} {}", spec.unit);
        }
        for sample in samples {
            match &sample.figure {
                Figure::Number(value) => {
                    line(text, &series, (spec.labels, sample, None), number(*value).as_str());
                    text.push('\n');
                }
                Figure::Distribution(values) if spec.kind == Kind::Histogram => {
                    self.distribution(text, (spec.name, spec.labels), (sample, values));
                }
                Figure::Distribution(_) => {}
            }
        }
    }

    fn distribution(
        self,
        text: &mut String,
        (name, labels): (&str, &[&str]),
        (sample, values): (&Sample, &Distribution),
    ) {
        let (bucket, mut total) = (format!("{name}_bucket"), 0);
        let bounds = values.bounds.iter().copied().chain([f64::INFINITY]);
        for (at, (bound, count)) in bounds.zip(&values.counts).enumerate() {
            total += count;
            let bound = self.bound(bound);
            line(text, &bucket, (labels, sample, Some(&bound)), &total.to_string());
            let exemplar = values.exemplars.get(at).copied().flatten();
            if let Some(exemplar) = exemplar.filter(|_| self == Self::OpenMetrics) {
                example(text, &exemplar);
            }
            text.push('\n');
        }
        line(text, &format!("{name}_sum"), (labels, sample, None), &number(values.sum));
        text.push('\n');
        line(text, &format!("{name}_count"), (labels, sample, None), &total.to_string());
        text.push('\n');
    }

    /// A bound; OpenMetrics wants them as floats.
    fn bound(self, bound: f64) -> String {
        let plain = number(bound);
        match self == Self::OpenMetrics && plain.bytes().all(|c| c.is_ascii_digit()) {
            true => format!("{plain}.0"),
            false => plain,
        }
    }
}

fn line(
    text: &mut String,
    name: &str,
    (labels, sample, bound): (&[&str], &Sample, Option<&str>),
    value: &str,
) {
    text.push_str(name);
    let pairs = labels.iter().copied().zip(sample.labels.iter().map(String::as_str));
    let mut separator = '{';
    for (label, value) in pairs.chain(bound.map(|bound| ("le", bound))) {
        let _ = write!(text, "{separator}{label}=\"{}\"", escaped(value, true));
        separator = ',';
    }
    if separator == ',' {
        text.push('}');
    }
    text.push(' ');
    text.push_str(value);
}

fn example(text: &mut String, exemplar: &Exemplar) {
    let Exemplar { trace_id, span_id, value, at } = exemplar;
    let at = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, millis) = (at.as_secs(), at.subsec_millis());
    let value = number(*value);
    let _ = write!(
        text,
        " # {{trace_id=\"{trace_id:032x}\",span_id=\"{span_id:016x}\"}} {value} {seconds}.{millis:03}"
    );
}

fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(),
    }
}

/// A text in which nothing ends the line, and where asked for no quotation either.
fn escaped(text: &str, quotes: bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => safe.push_str("\\\\"),
            '\n' => safe.push_str("\\n"),
            '"' if quotes => safe.push_str("\\\""),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::telemetry::{family::Spec, histogram::Histogram, trace_context::TraceContext};

    use super::*;

    static BOUNDS: [f64; 2] = [0.5, 1.0];
    static TIMES: Spec = Spec {
        name: "a_seconds",
        kind: Kind::Histogram,
        unit: "seconds",
        labels: &["x"],
        help: "Says \\ \"so\".",
    };
    static COUNT: Spec =
        Spec { name: "b", kind: Kind::Counter, unit: "", labels: &[], help: "Counts." };

    fn snapshot() -> Snapshot {
        let histogram = Histogram::new(&BOUNDS);
        let trace = TraceContext { trace_id: 10, span_id: 11, parent_id: 0, is_sampled: true };
        histogram.record_traced(0.75, &trace);
        histogram.record(4.0);
        let mut values = histogram.read();
        let at = UNIX_EPOCH + Duration::from_millis(1_500_000_000_250);
        values.exemplars.iter_mut().flatten().for_each(|exemplar| exemplar.at = at);
        let mut snapshot = Snapshot::default();
        snapshot.distribution(&TIMES, &["q\"\\\n"], values);
        snapshot.count(&COUNT, &[], 3);
        snapshot
    }

    #[test]
    fn prometheus_text_is_written_as_it_is_read() {
        let want = "# HELP a_seconds Says \\\\ \"so\".\n\
             # TYPE a_seconds histogram\n\
             a_seconds_bucket{x=\"q\\\"\\\\\\n\",le=\"0.5\"} 0\n\
             a_seconds_bucket{x=\"q\\\"\\\\\\n\",le=\"1\"} 1\n\
             a_seconds_bucket{x=\"q\\\"\\\\\\n\",le=\"+Inf\"} 2\n\
             a_seconds_sum{x=\"q\\\"\\\\\\n\"} 4.75\n\
             a_seconds_count{x=\"q\\\"\\\\\\n\"} 2\n\
             # HELP b_total Counts.\n\
             # TYPE b_total counter\n\
             b_total 3\n";
        assert_eq!(Exposition::Prometheus.text(&snapshot()), want);
    }

    #[test]
    fn open_metrics_have_units_examples_and_an_end() {
        let want = format!(
            "# HELP a_seconds Says \\\\ \\\"so\\\".\n\
             # TYPE a_seconds histogram\n\
             # UNIT a_seconds seconds\n\
             a_seconds_bucket{{x=\"q\\\"\\\\\\n\",le=\"0.5\"}} 0\n\
             a_seconds_bucket{{x=\"q\\\"\\\\\\n\",le=\"1.0\"}} 1 # {{trace_id=\"{:032x}\",span_id=\"{:016x}\"}} 0.75 1500000000.250\n\
             a_seconds_bucket{{x=\"q\\\"\\\\\\n\",le=\"+Inf\"}} 2\n\
             a_seconds_sum{{x=\"q\\\"\\\\\\n\"}} 4.75\n\
             a_seconds_count{{x=\"q\\\"\\\\\\n\"}} 2\n\
             # HELP b Counts.\n\
             # TYPE b counter\n\
             b_total 3\n\
             # EOF\n",
            10, 11
        );
        assert_eq!(Exposition::OpenMetrics.text(&snapshot()), want);
    }

    #[track_caller]
    fn check_accept(accept: &str, want: Exposition) {
        assert_eq!(Exposition::accepted(accept), want, "{accept}");
    }

    #[test]
    fn the_client_chooses() {
        check_accept("", Exposition::Prometheus);
        check_accept("*/*", Exposition::Prometheus);
        check_accept("text/plain", Exposition::Prometheus);
        check_accept("application/openmetrics-text", Exposition::OpenMetrics);
        check_accept("application/openmetrics-text;q=0", Exposition::Prometheus);
        check_accept(
            "application/openmetrics-text; version=1.0.0, text/plain",
            Exposition::OpenMetrics,
        );
        check_accept("application/openmetrics-text;q=0.2,text/plain;q=0.3", Exposition::Prometheus);
        check_accept(
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            Exposition::OpenMetrics,
        );
    }
}
