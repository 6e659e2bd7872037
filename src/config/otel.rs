//! The environment variables of OpenTelemetry: each stands for a key of `[telemetry]`, above the file and below `PODIUM_…`.
//!
//! Source: OpenTelemetry's specification of environment variables, 1.50.

use std::collections::BTreeMap;

use figment::{
    Metadata, Profile, Provider,
    value::{Dict, Map, Value},
};

use crate::{config::fault::ConfigFault, telemetry::key_values};

/// Where a collector is expected that no variable names, though one says that there is one.
const USUAL_ENDPOINT: &str = "http://localhost:4317";

/// A key that a variable gives a value.
#[derive(Debug, Clone)]
pub(super) struct OtelVariable {
    /// The variable's name.
    name: String,
    /// The key, dotted.
    key: String,
    value: Value,
}

impl Provider for OtelVariable {
    fn metadata(&self) -> Metadata {
        Metadata::named(format!("variable {}", self.name))
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        let nested = figment::util::nest(&self.key, self.value.clone());
        Ok(Profile::Default.collect(nested.into_dict().unwrap_or_default()))
    }
}

/// How a variable's text is read.
#[derive(Clone, Copy)]
enum Reads {
    Text,
    Millis,
    Number,
    Pairs,
    /// Comma-separated words.
    Words,
    /// One of some words.
    OneOf(&'static [&'static str]),
}

const PROTOCOLS: [&str; 2] = ["grpc", "http/protobuf"];
const COMPRESSIONS: [&str; 2] = ["none", "gzip"];
const SAMPLERS: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

/// The variables that stand for one key each.
const KEYS: [(&str, &str, Reads); 18] = [
    ("OTEL_SERVICE_NAME", "service_name", Reads::Text),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "otlp_endpoint", Reads::Text),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "otlp_protocol", Reads::OneOf(&PROTOCOLS)),
    ("OTEL_EXPORTER_OTLP_HEADERS", "otlp_headers", Reads::Pairs),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "otlp_timeout", Reads::Millis),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", "otlp_compression", Reads::OneOf(&COMPRESSIONS)),
    ("OTEL_EXPORTER_OTLP_CERTIFICATE", "otlp_certificate", Reads::Text),
    ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "otlp_client_certificate", Reads::Text),
    ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "otlp_client_key", Reads::Text),
    ("OTEL_TRACES_SAMPLER", "traces.sampler", Reads::OneOf(&SAMPLERS)),
    ("OTEL_TRACES_SAMPLER_ARG", "traces.ratio", Reads::Number),
    ("OTEL_BSP_SCHEDULE_DELAY", "traces.schedule_delay", Reads::Millis),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "traces.max_queue_size", Reads::Number),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "traces.max_export_batch", Reads::Number),
    ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "traces.max_attributes", Reads::Number),
    ("OTEL_SPAN_EVENT_COUNT_LIMIT", "traces.max_events", Reads::Number),
    ("OTEL_SPAN_LINK_COUNT_LIMIT", "traces.max_links", Reads::Number),
    ("OTEL_METRIC_EXPORT_INTERVAL", "metrics.otlp_interval", Reads::Millis),
];

/// What stands in the name of a variable for one kind of message alone, and under which key.
const SIGNALS: [(&str, &str); 2] = [("TRACES", "traces"), ("METRICS", "metrics")];

/// What such a variable may say.
const OF_A_SIGNAL: [(&str, &str, Reads); 8] = [
    ("ENDPOINT", "endpoint", Reads::Text),
    ("PROTOCOL", "protocol", Reads::OneOf(&PROTOCOLS)),
    ("HEADERS", "headers", Reads::Text),
    ("TIMEOUT", "timeout", Reads::Millis),
    ("COMPRESSION", "compression", Reads::OneOf(&COMPRESSIONS)),
    ("CERTIFICATE", "certificate", Reads::Text),
    ("CLIENT_CERTIFICATE", "client_certificate", Reads::Text),
    ("CLIENT_KEY", "client_key", Reads::Text),
];

/// Reads the variables that are set; empty ones count as not set, as the specification says.
///
/// # Errors
/// What cannot be read, by the variable's name.
pub(super) fn otel_variables(
    set: &BTreeMap<String, String>,
) -> Result<Vec<OtelVariable>, Vec<ConfigFault>> {
    let set: BTreeMap<&str, &str> = set
        .iter()
        .map(|(name, value)| (name.as_str(), value.trim()))
        .filter(|(name, value)| name.starts_with("OTEL_") && !value.is_empty())
        .collect();
    let mut reading = Readings::default();
    // Limits and resources that a more special variable goes before stand first.
    if let Some(text) = set.get("OTEL_ATTRIBUTE_COUNT_LIMIT") {
        reading.take("OTEL_ATTRIBUTE_COUNT_LIMIT", "traces.max_attributes", text, Reads::Number);
    }
    for name in ["OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT"] {
        if let Some(text) = set.get(name) {
            reading.take(name, "traces.max_attribute_length", text, Reads::Number);
        }
    }
    if let Some(text) = set.get("OTEL_RESOURCE_ATTRIBUTES") {
        reading.resource(text);
    }
    for (name, key, reads) in KEYS {
        if let Some(text) = set.get(name) {
            reading.take(name, key, text, reads);
        }
    }
    for (signal, section) in SIGNALS {
        for (what, key, reads) in OF_A_SIGNAL {
            let name = format!("OTEL_EXPORTER_OTLP_{signal}_{what}");
            if let Some(text) = set.get(name.as_str()) {
                reading.take(&name, &format!("{section}.otlp.{key}"), text, reads);
            }
        }
    }
    if let Some(text) = set.get("OTEL_PROPAGATORS") {
        let text = if *text == "none" { "" } else { text };
        reading.take("OTEL_PROPAGATORS", "traces.propagators", text, Reads::Words);
    }
    reading.exporters(&set);
    if set.get("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true")) {
        reading.put("OTEL_SDK_DISABLED", "traces.enabled", false.into());
        reading.put("OTEL_SDK_DISABLED", "metrics.otlp_enabled", false.into());
    }
    match reading.faults.is_empty() {
        true => Ok(reading.variables),
        false => Err(reading.faults),
    }
}

#[derive(Default)]
struct Readings {
    variables: Vec<OtelVariable>,
    faults: Vec<ConfigFault>,
}

impl Readings {
    fn put(&mut self, name: &str, key: &str, value: Value) {
        let (name, key) = (name.to_owned(), format!("telemetry.{key}"));
        self.variables.push(OtelVariable { name, key, value });
    }

    fn fault(&mut self, name: &str, wrong: String) {
        self.faults.push(ConfigFault { key: name.to_owned(), wrong });
    }

    fn take(&mut self, name: &str, key: &str, text: &str, reads: Reads) {
        match value_of(text, reads) {
            Ok(value) => self.put(name, key, value),
            Err(wrong) => self.fault(name, wrong),
        }
    }

    /// The attributes of the resource, of which `service.name` is a key of its own.
    fn resource(&mut self, text: &str) {
        let name = "OTEL_RESOURCE_ATTRIBUTES";
        match key_values(text) {
            Err(wrong) => self.fault(name, wrong),
            Ok(mut pairs) => {
                if let Some(service) = pairs.remove("service.name") {
                    self.put(name, "service_name", service.into());
                }
                let pairs = pairs.into_iter().map(|(key, value)| (key, value.into()));
                self.put(name, "resource_attributes", Value::from(pairs.collect::<Dict>()));
            }
        }
    }

    /// Which exporters there shall be, of spans and metrics; logs go to standard error alone.
    fn exporters(&mut self, set: &BTreeMap<&str, &str>) {
        let asked = [
            ("OTEL_TRACES_EXPORTER", "traces.enabled", "TRACES"),
            ("OTEL_METRICS_EXPORTER", "metrics.otlp_enabled", "METRICS"),
        ];
        for (name, key, signal) in asked {
            let Some(text) = set.get(name) else { continue };
            let words: Vec<&str> = text.split(',').map(str::trim).collect();
            let known = ["otlp", "none", "prometheus"];
            if words.iter().any(|word| !known.contains(word)) {
                self.fault(name, "must be otlp or none; /metrics is served in any case".to_owned());
                continue;
            }
            let wanted = words.contains(&"otlp");
            self.put(name, key, wanted.into());
            let own = format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT");
            let named = ["OTEL_EXPORTER_OTLP_ENDPOINT", own.as_str()];
            if wanted && !named.iter().any(|name| set.contains_key(name)) {
                self.put(name, "otlp_endpoint", USUAL_ENDPOINT.into());
            }
        }
        if set.get("OTEL_LOGS_EXPORTER").is_some_and(|text| !["none", "console"].contains(text)) {
            let wrong =
                "must be none or console: the log goes to standard error, where collectors read it";
            self.fault("OTEL_LOGS_EXPORTER", wrong.to_owned());
        }
    }
}

fn value_of(text: &str, reads: Reads) -> Result<Value, String> {
    match reads {
        Reads::Text => Ok(text.into()),
        Reads::Millis => match text.parse::<u64>() {
            Ok(millis) => Ok(format!("{millis}ms").into()),
            Err(_) => Err("must be a whole number of milliseconds".to_owned()),
        },
        Reads::Number => {
            let whole = text.parse::<u64>().map(Value::from).ok();
            let number = whole.or_else(|| text.parse::<f64>().map(Value::from).ok());
            number.ok_or_else(|| "must be a number".to_owned())
        }
        Reads::Pairs => {
            let pairs = key_values(text)?.into_iter().map(|(key, value)| (key, value.into()));
            Ok(Value::from(pairs.collect::<Dict>()))
        }
        Reads::Words => {
            let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
            Ok(Value::from(words.map(str::to_owned).collect::<Vec<_>>()))
        }
        Reads::OneOf(words) if words.contains(&text) => Ok(text.into()),
        Reads::OneOf(words) => Err(format!("must be one of {}", words.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use figment::{Figment, providers::Serialized};

    use crate::{
        config::Config,
        telemetry::{OtlpProtocol, SamplerKind, TelemetryOptions},
    };

    use super::*;

    fn read(set: &[(&str, &str)]) -> Result<TelemetryOptions, Vec<String>> {
        let set = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let variables = otel_variables(&set.collect())
            .map_err(|faults| faults.into_iter().map(|fault| fault.key).collect::<Vec<_>>())?;
        let figment = Figment::from(Serialized::defaults(Config::default()));
        let figment = variables.into_iter().fold(figment, Figment::merge);
        Ok(figment.extract::<Config>().unwrap().telemetry)
    }

    #[test]
    fn variables_stand_for_keys() {
        let options = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b,x=1"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://d/own"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=given,deployment.environment.name=prod"),
            ("OTEL_SERVICE_NAME", "shop"),
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "7"),
            ("OTEL_ATTRIBUTE_COUNT_LIMIT", "5"),
            ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "6"),
            ("OTEL_PROPAGATORS", "tracecontext"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "5000"),
            ("OTEL_BSP_SCHEDULE_DELAY", ""),
            ("PATH", "/bin"),
        ]);
        let options = options.unwrap();
        assert_eq!(options.otlp_endpoint, "http://c:4318");
        assert_eq!(options.otlp_protocol, OtlpProtocol::HttpProtobuf);
        assert_eq!(options.otlp_headers["api-key"], "a b");
        assert_eq!(options.otlp_timeout.as_millis(), 1500);
        assert_eq!(options.for_traces().unwrap().unwrap().endpoint, "http://d/own");
        assert_eq!(options.service_name, "shop");
        assert_eq!(options.resource_attributes["deployment.environment.name"], "prod");
        assert_eq!((options.traces.sampler, options.traces.ratio), (SamplerKind::Ratio, 0.25));
        assert_eq!((options.traces.max_queue_size, options.traces.max_attributes), (7, 6));
        assert_eq!(options.traces.propagators, ["tracecontext"]);
        assert_eq!(options.metrics.otlp_interval.as_secs(), 5);
    }

    #[test]
    fn exporters_are_switched_by_name() {
        let options = read(&[("OTEL_TRACES_EXPORTER", "otlp")]).unwrap();
        assert_eq!(options.otlp_endpoint, USUAL_ENDPOINT);
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317");
        let options = read(&[endpoint, ("OTEL_METRICS_EXPORTER", "none")]).unwrap();
        assert!(options.for_traces().unwrap().is_some());
        assert!(options.for_metrics().unwrap().is_none());
        let options = read(&[endpoint, ("OTEL_SDK_DISABLED", "True")]).unwrap();
        assert!(
            options.for_traces().unwrap().is_none() && options.for_metrics().unwrap().is_none()
        );
    }

    #[test]
    fn what_cannot_be_read_is_told_by_the_variables_name() {
        let wrong = [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("OTEL_LOGS_EXPORTER", "otlp"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
        ];
        let mut faults = read(&wrong).unwrap_err();
        faults.sort();
        assert_eq!(faults, wrong.map(|(name, _)| name));
    }
}
