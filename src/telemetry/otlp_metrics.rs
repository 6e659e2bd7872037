//! Writes metrics as OTLP has them: cumulative, since the server started.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    metrics::v1::{
        AggregationTemporality, Exemplar as OtlpExemplar, Gauge, Histogram, HistogramDataPoint,
        Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, exemplar, metric::Data,
        number_data_point,
    },
};

use crate::telemetry::family::{
    Distribution, Exemplar, Family, Figure, Kind, Sample, Snapshot, Spec,
};

/// Metrics and labels that OpenTelemetry's conventions name otherwise than Prometheus can.
const CONVENTIONS: [(&str, &str); 4] = [
    ("rpc_server_call_duration_seconds", "rpc.server.call.duration"),
    ("rpc_system_name", "rpc.system.name"),
    ("rpc_method", "rpc.method"),
    ("rpc_response_status_code", "rpc.response.status_code"),
];

/// From when to when was counted.
#[derive(Debug, Clone, Copy)]
struct Span {
    started: u64,
    now: u64,
}

/// The message that tells a collector all metrics that were counted since `started`; who counted them is for the sender to add.
pub fn otlp_metrics(
    snapshot: &Snapshot,
    (started, now): (SystemTime, SystemTime),
) -> ExportMetricsServiceRequest {
    let span = Span { started: nanos(started), now: nanos(now) };
    let scope = InstrumentationScope {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let told = snapshot.families.iter().filter(|family| !family.samples.is_empty());
    let metrics = told.map(|family| metric(family, span)).collect();
    let scope_metrics =
        vec![ScopeMetrics { scope: Some(scope), metrics, schema_url: String::new() }];
    let of_resource = ResourceMetrics { resource: None, scope_metrics, schema_url: String::new() };
    ExportMetricsServiceRequest { resource_metrics: vec![of_resource] }
}

fn metric(Family { spec, samples }: &Family, span: Span) -> Metric {
    let temporality = AggregationTemporality::Cumulative.into();
    let numbers = || samples.iter().filter_map(|sample| number(spec, sample, span)).collect();
    let data = match spec.kind {
        Kind::Counter => Data::Sum(Sum {
            data_points: numbers(),
            aggregation_temporality: temporality,
            is_monotonic: true,
        }),
        Kind::Gauge => Data::Gauge(Gauge { data_points: numbers() }),
        Kind::Histogram => Data::Histogram(Histogram {
            data_points: samples.iter().filter_map(|sample| values(spec, sample, span)).collect(),
            aggregation_temporality: temporality,
        }),
    };
    Metric {
        name: by_convention(spec.name).to_owned(),
        description: spec.help.to_owned(),
        unit: unit(spec).to_owned(),
        metadata: Vec::new(),
        data: Some(data),
    }
}

fn number(spec: &Spec, sample: &Sample, span: Span) -> Option<NumberDataPoint> {
    let Figure::Number(value) = sample.figure else { return None };
    Some(NumberDataPoint {
        attributes: attributes(spec, sample),
        start_time_unix_nano: if spec.kind == Kind::Counter { span.started } else { 0 },
        time_unix_nano: span.now,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    })
}

fn values(spec: &Spec, sample: &Sample, span: Span) -> Option<HistogramDataPoint> {
    let Figure::Distribution(Distribution { bounds, counts, sum, exemplars }) = &sample.figure
    else {
        return None;
    };
    Some(HistogramDataPoint {
        attributes: attributes(spec, sample),
        start_time_unix_nano: span.started,
        time_unix_nano: span.now,
        count: counts.iter().sum(),
        sum: Some(*sum),
        bucket_counts: counts.clone(),
        explicit_bounds: bounds.to_vec(),
        exemplars: exemplars.iter().flatten().map(example).collect(),
        ..HistogramDataPoint::default()
    })
}

fn example(exemplar: &Exemplar) -> OtlpExemplar {
    OtlpExemplar {
        filtered_attributes: Vec::new(),
        time_unix_nano: nanos(exemplar.at),
        span_id: exemplar.span_id.to_be_bytes().to_vec(),
        trace_id: exemplar.trace_id.to_be_bytes().to_vec(),
        value: Some(exemplar::Value::AsDouble(exemplar.value)),
    }
}

/// The labels that say something.
fn attributes(spec: &Spec, sample: &Sample) -> Vec<KeyValue> {
    let said = spec.labels.iter().zip(&sample.labels).filter(|(_, value)| !value.is_empty());
    said.map(|(label, value)| KeyValue {
        key: by_convention(label).to_owned(),
        value: Some(AnyValue { value: Some(any_value::Value::StringValue(value.clone())) }),
        ..KeyValue::default()
    })
    .collect()
}

fn by_convention(name: &'static str) -> &'static str {
    CONVENTIONS.iter().find(|(own, _)| *own == name).map_or(name, |(_, theirs)| theirs)
}

/// The unit as UCUM writes it.
fn unit(spec: &Spec) -> &'static str {
    match spec.unit {
        "seconds" => "s",
        "bytes" => "By",
        _ => "1",
    }
}

fn nanos(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::telemetry::{
        histogram::{Histogram as Counting, REQUEST_SECONDS},
        metrics::{QUEUE_ROWS, REQUEST_ERRORS, RPC_DURATION},
        trace_context::TraceContext,
    };

    use super::*;

    const STARTED: Duration = Duration::from_secs(1_500_000_000);
    const NOW: Duration = Duration::from_secs(1_500_000_060);

    fn told(snapshot: &Snapshot) -> Vec<Metric> {
        let times = (UNIX_EPOCH + STARTED, UNIX_EPOCH + NOW);
        let mut message = otlp_metrics(snapshot, times);
        message.resource_metrics.remove(0).scope_metrics.remove(0).metrics
    }

    fn keys(attributes: &[KeyValue]) -> Vec<&str> {
        attributes.iter().map(|attribute| attribute.key.as_str()).collect()
    }

    #[test]
    fn counts_are_cumulative_and_gauges_are_not() {
        let mut snapshot = Snapshot::default();
        snapshot.count(&REQUEST_ERRORS, &["", "", "INTERNAL", "RUN_FAILED"], 3);
        snapshot.count(&QUEUE_ROWS, &["m", "1"], 9);
        let metrics = told(&snapshot);
        let [Some(Data::Sum(sum)), Some(Data::Gauge(gauge))] = [&metrics[0].data, &metrics[1].data]
        else {
            panic!("{metrics:?}");
        };
        let (counted, measured) = (&sum.data_points[0], &gauge.data_points[0]);
        assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
        assert_eq!(u128::from(counted.start_time_unix_nano), STARTED.as_nanos());
        assert_eq!(u128::from(counted.time_unix_nano), NOW.as_nanos());
        assert_eq!(keys(&counted.attributes), ["code", "reason"], "empty labels are not told");
        assert_eq!(
            (measured.start_time_unix_nano, measured.value),
            (0, Some(number_data_point::Value::AsDouble(9.0)))
        );
    }

    #[test]
    fn a_histogram_is_told_with_its_examples_and_by_the_conventions() {
        let histogram = Counting::new(&REQUEST_SECONDS);
        let trace = TraceContext::root(true);
        histogram.record_traced(0.004, &trace);
        histogram.record(99.0);
        let mut snapshot = Snapshot::default();
        snapshot.distribution(&RPC_DURATION, &["grpc", "a/b", "OK"], histogram.read());
        let metrics = told(&snapshot);
        let Some(Data::Histogram(told)) = &metrics[0].data else { panic!("{metrics:?}") };
        let point = &told.data_points[0];
        assert_eq!(
            (metrics[0].name.as_str(), metrics[0].unit.as_str()),
            ("rpc.server.call.duration", "s")
        );
        assert_eq!(
            keys(&point.attributes),
            ["rpc.system.name", "rpc.method", "rpc.response.status_code"]
        );
        assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
        assert_eq!((point.count, point.bucket_counts.last()), (2, Some(&1)));
        assert_eq!(point.exemplars[0].trace_id, trace.trace_id.to_be_bytes());
        assert_eq!(point.exemplars[0].span_id, trace.span_id.to_be_bytes());
    }
}
