//! Whose trace something belongs to, as W3C Trace Context says it.

use rand::Rng;

/// The place of one span in a trace: its own id, and that of the span that caused it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TraceContext {
    /// The trace; 0 where nothing is traced.
    pub trace_id: u128,
    /// The span; 0 where nothing is traced.
    pub span_id: u64,
    /// The span that caused it; 0 where it is the first of its trace.
    pub parent_id: u64,
    /// Whether it was drawn when it began, or its caller's was.
    pub is_sampled: bool,
}

impl TraceContext {
    /// The first span of a new trace.
    pub fn root(is_sampled: bool) -> Self {
        let mut random = rand::rng();
        let trace_id = random.random_range(1..=u128::MAX);
        Self { trace_id, span_id: random.random_range(1..=u64::MAX), parent_id: 0, is_sampled }
    }

    /// Reads a `traceparent`; none where it is not one.
    ///
    /// Source: W3C Trace Context, level 1, 3.2: later versions may have more fields behind these.
    pub fn parse(traceparent: &str) -> Option<Self> {
        let mut fields = traceparent.split('-');
        let version = hex(fields.next()?, 2)?;
        let (trace_id, span_id) = (hex(fields.next()?, 32)?, hex(fields.next()?, 16)?);
        let flags = hex(fields.next()?, 2)?;
        let whole = version != 0 || fields.next().is_none();
        let valid = whole && version != 0xff && trace_id != 0 && span_id != 0;
        let is_sampled = flags & 1 == 1;
        valid.then_some(Self { trace_id, span_id: span_id as u64, parent_id: 0, is_sampled })
    }

    /// A new span below this one, in its trace.
    pub fn child(&self) -> Self {
        let span_id = rand::rng().random_range(1..=u64::MAX);
        Self { span_id, parent_id: self.span_id, ..*self }
    }

    /// Whether it names a span.
    pub fn is_valid(&self) -> bool {
        self.trace_id != 0 && self.span_id != 0
    }
}

/// Reads so many lower-case hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let plain = text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
    (text.len() == digits && plain).then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(traceparent: &str, want: Option<(u128, u64, bool)>) {
        let read = TraceContext::parse(traceparent);
        assert_eq!(read.map(|c| (c.trace_id, c.span_id, c.is_sampled)), want, "{traceparent}");
    }

    #[test]
    fn a_traceparent_is_read_as_w3c_writes_it() {
        let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        let ids = (0x4bf92f3577b34da6a3ce929d0e0e4736, 0x00f067aa0ba902b7);
        check(&format!("00-{trace}-{span}-01"), Some((ids.0, ids.1, true)));
        check(&format!("00-{trace}-{span}-00"), Some((ids.0, ids.1, false)));
        check(&format!("00-{trace}-{span}-03"), Some((ids.0, ids.1, true)));
        check(&format!("cc-{trace}-{span}-01-more"), Some((ids.0, ids.1, true)));
        check(&format!("00-{trace}-{span}-01-more"), None);
        check(&format!("ff-{trace}-{span}-01"), None);
        check(&format!("00-{}-{span}-01", trace.to_uppercase()), None);
        check(&format!("00-{}-{span}-01", "0".repeat(32)), None);
        check(&format!("00-{trace}-{}-01", "0".repeat(16)), None);
        check(&format!("00-{trace}-{span}"), None);
        check(&format!("00-{trace}-{span}-+1"), None);
        check("", None);
    }

    #[test]
    fn a_child_stays_in_the_trace() {
        let root = TraceContext::root(true);
        let child = root.child();
        assert_eq!((child.trace_id, child.parent_id), (root.trace_id, root.span_id));
        assert!(child.is_sampled && child.span_id != root.span_id && root.parent_id == 0);
    }
}
