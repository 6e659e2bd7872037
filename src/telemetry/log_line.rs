//! One line of the log, as JSON or as text, with the ids of the request that is being handled.

use std::fmt::{self, Debug};

use serde_json::{Map, Value};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

use crate::telemetry::{
    current::current_trace, masked::without_values, trace_context::TraceContext,
};

/// What a line says of itself; a field of an event by one of these names is written as `fields.NAME`.
const OWN: [&str; 6] = ["timestamp", "level", "target", "service", "trace_id", "span_id"];

/// ONNX Runtime's own messages come from here.
const ONNX_RUNTIME: &str = "ort";

/// Writes lines.
pub(super) struct LogLine {
    /// Whether they are JSON.
    pub(super) json: bool,
    /// The service that they are of.
    pub(super) service: String,
}

impl<S, N> FormatEvent<S, N> for LogLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut said = Said { target: event.metadata().target().to_owned(), ..Said::default() };
        event.record(&mut said);
        if said.target.starts_with(ONNX_RUNTIME) {
            said.message = without_values(&said.message);
        }
        let level = event.metadata().level();
        match self.json {
            true => self.json_line(&mut writer, (level, said, current_trace())),
            false => text_line(&mut writer, (level, said, current_trace())),
        }
    }
}

impl LogLine {
    fn json_line(
        &self,
        writer: &mut Writer<'_>,
        (level, said, trace): (&Level, Said, Option<TraceContext>),
    ) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut line = Map::new();
        let mut put = |name: &str, value: Value| drop(line.insert(name.to_owned(), value));
        put("timestamp", time.into());
        put("level", level.as_str().into());
        put("target", said.target.into());
        put("service", self.service.as_str().into());
        put("message", said.message.into());
        if let Some(trace) = trace {
            put("trace_id", format!("{:032x}", trace.trace_id).into());
            put("span_id", format!("{:016x}", trace.span_id).into());
        }
        for (name, value) in said.fields {
            match OWN.contains(&name) {
                true => put(&format!("fields.{name}"), value),
                false => put(name, value),
            }
        }
        writeln!(writer, "{}", Value::Object(line))
    }
}

fn text_line(
    writer: &mut Writer<'_>,
    (level, said, trace): (&Level, Said, Option<TraceContext>),
) -> fmt::Result {
    SystemTime.format_time(writer)?;
    match (writer.has_ansi_escapes(), *level) {
        (false, level) => write!(writer, " {level:>5} ")?,
        (true, Level::ERROR) => write!(writer, " \x1b[31m{level:>5}\x1b[0m ")?,
        (true, Level::WARN) => write!(writer, " \x1b[33m{level:>5}\x1b[0m ")?,
        (true, Level::INFO) => write!(writer, " \x1b[32m{level:>5}\x1b[0m ")?,
        (true, level) => write!(writer, " \x1b[34m{level:>5}\x1b[0m ")?,
    }
    writer.write_str(&said.message)?;
    for (name, value) in said.fields {
        match value {
            // A text that could be taken for more than one field, or for more than one line, is written in quotes.
            Value::String(text)
                if text.chars().all(|c| !c.is_control() && c != '"' && c != ' ') =>
            {
                write!(writer, " {name}={text}")?;
            }
            other => write!(writer, " {name}={other}")?,
        }
    }
    if let Some(trace) = trace {
        write!(writer, " trace_id={:032x} span_id={:016x}", trace.trace_id, trace.span_id)?;
    }
    writeln!(writer)
}

/// What an event says.
#[derive(Default)]
struct Said {
    target: String,
    message: String,
    fields: Vec<(&'static str, Value)>,
}

impl Said {
    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            // Lines of the crate `log` come as events of one target that tell their own.
            ("log.target", Value::String(text)) => self.target = text,
            (name, _) if name.starts_with("log.") => {}
            (name, value) => self.fields.push((name.strip_prefix("r#").unwrap_or(name), value)),
        }
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing_subscriber::{Layer, layer::SubscriberExt};

    use crate::telemetry::current::within_sync;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(json: bool, work: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = tracing_subscriber::fmt::layer()
            .event_format(LogLine { json, service: "shop".to_owned() })
            .with_ansi(false)
            .with_writer(move || writer.clone());
        let filtered = layer.with_filter(crate::telemetry::log_filter::parse("trace").unwrap());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(filtered), work);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    const TRACE: TraceContext =
        TraceContext { trace_id: 0xab, span_id: 0xcd, parent_id: 0, is_sampled: false };

    #[test]
    fn a_line_of_a_request_carries_its_ids() {
        let text = logged(true, || {
            within_sync(TRACE, || tracing::warn!(rows = 3, why = %"a \"b\"", level = 1, "hm"));
            tracing::info!(ok = true, share = 0.5, "bare");
        });
        let lines: Vec<Map<String, Value>> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let [of_request, bare] = &lines[..] else { panic!("{text}") };
        assert_eq!(of_request["trace_id"], "000000000000000000000000000000ab");
        assert_eq!(of_request["span_id"], "00000000000000cd");
        assert_eq!((&of_request["message"], &of_request["level"]), (&"hm".into(), &"WARN".into()));
        assert_eq!((&of_request["rows"], &of_request["why"]), (&3.into(), &"a \"b\"".into()));
        assert_eq!(
            (&of_request["fields.level"], &of_request["service"]),
            (&1.into(), &"shop".into())
        );
        assert!(!bare.contains_key("trace_id") && bare["ok"] == true && bare["share"] == 0.5);
    }

    #[test]
    fn a_text_cannot_be_taken_for_another_line_or_field() {
        let text = logged(false, || {
            within_sync(TRACE, || tracing::info!(why = "one\ntwo x=1", rows = 3, "hm"));
        });
        assert!(text.contains(r#" INFO hm why="one\ntwo x=1" rows=3 trace_id=0000"#), "{text}");
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn values_that_onnx_runtime_quotes_are_masked() {
        let text = logged(true, || {
            tracing::error!(target: "ort::logging", "Status Message: idx=31337 is out");
        });
        assert!(text.contains("idx=# is out"), "{text}");
    }
}
