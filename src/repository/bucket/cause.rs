//! Says in a few words why an object store did not do what it was asked, the same each time that the reason is the same.

use std::error::Error;

/// Longest text of a store's own.
const MOST_CHARS: usize = 200;

/// The innermost cause, without times, counts of tries, and addresses that may hold a signature.
pub(super) fn cause_of(error: &object_store::Error) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    words_of(&innermost.to_string())
}

/// The text before a body of XML, and the code that this names.
fn words_of(text: &str) -> String {
    let (words, body) = text.split_once('<').unwrap_or((text, ""));
    let words = words.trim().trim_end_matches(':').replace(['\n', '\r'], " ");
    let words: String = words.chars().take(MOST_CHARS).collect();
    let code = body.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    match code {
        Some((code, _)) if code.len() <= MOST_CHARS => format!("{words} ({code})"),
        _ => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: &str) {
        assert_eq!(words_of(text), want);
    }

    #[test]
    fn what_differs_from_time_to_time_is_left_out() {
        check("Connection refused (os error 111)", "Connection refused (os error 111)");
        check(
            "Server returned non-2xx status code: 403 Forbidden: <?xml version=\"1.0\"?>\n<Error><Code>AccessDenied</Code><RequestId>7</RequestId></Error>",
            "Server returned non-2xx status code: 403 Forbidden (AccessDenied)",
        );
        check("status code: 500 Internal Server Error: ", "status code: 500 Internal Server Error");
        check(&"a\n".repeat(300), &"a ".repeat(100));
    }
}
