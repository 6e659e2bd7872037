//! What a collector gets of metrics: the same figures as `/metrics` has, cumulative, with examples.

use std::time::Duration;

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::any_value::Value,
    metrics::v1::{HistogramDataPoint, metric::Data},
};
use podium::transport::pb::User;

use crate::{
    collector::Collector,
    patience::eventually,
    replica::{DEADLINE, Replica, rank_over},
    shoppers::request,
};

const RANKS: u64 = 7;

/// The series of a histogram in a message, with the label `code`.
fn durations(
    message: &ExportMetricsServiceRequest,
    name: &str,
    code: &str,
) -> Vec<HistogramDataPoint> {
    let scopes = message.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
    let metrics = scopes.flat_map(|scope| &scope.metrics).filter(|metric| metric.name == name);
    let points = metrics.flat_map(|metric| match &metric.data {
        Some(Data::Histogram(histogram)) => histogram.data_points.clone(),
        other => panic!("{other:?}"),
    });
    let has_code = |point: &HistogramDataPoint| {
        point.attributes.iter().any(|attribute| {
            let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
            matches!(value, Some(Value::StringValue(own)) if own == code)
        })
    };
    points.filter(has_code).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_what_a_scrape_gets() {
    let collector = Collector::by_grpc().await;
    let settings = [
        ("TELEMETRY__OTLP_ENDPOINT", collector.url.as_str()),
        ("TELEMETRY__METRICS__OTLP_INTERVAL", "1s"),
        ("TELEMETRY__TRACES__SAMPLER", "always_on"),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let server = Replica::configured(&settings).await;
    let channel = server.connect().await;
    let nobody = || request(User { id: "nobody".to_owned(), ..User::default() });
    for _ in 0..RANKS {
        rank_over(channel.clone(), DEADLINE, nobody()).await.unwrap();
    }
    let scraped = server.metric("podium_request_duration_seconds_count").await;
    let scraped: f64 = scraped.iter().map(|(_, count)| count).sum();
    assert_eq!(scraped, RANKS as f64);
    let point = eventually("all requests in one message", Duration::from_secs(30), async || {
        let last = collector.metrics().pop()?;
        let name = "podium_request_duration_seconds";
        durations(&last, name, "OK").into_iter().find(|point| point.count == RANKS)
    })
    .await;
    assert_eq!(point.bucket_counts.iter().sum::<u64>(), RANKS);
    assert!(!point.exemplars.is_empty(), "every request's trace is told");
    let calls = eventually("the calls", Duration::from_secs(30), async || {
        let last = collector.metrics().pop()?;
        let calls = durations(&last, "rpc.server.call.duration", "podium.v1.RankService/Rank");
        calls.into_iter().find(|point| point.count == RANKS)
    })
    .await;
    let messages = collector.metrics();
    let starts =
        messages.iter().flat_map(|message| durations(message, "rpc.server.call.duration", "OK"));
    for other in starts {
        assert_eq!(
            other.start_time_unix_nano, calls.start_time_unix_nano,
            "counted from one start"
        );
    }
    let resource = messages[0].resource_metrics[0].resource.as_ref().unwrap();
    assert!(resource.attributes.iter().any(|attribute| attribute.key == "service.name"));
}
