//! Messages of ONNX Runtime without the values that they quote.

/// Behind this, ONNX Runtime says of a failed run what was wrong with the values.
const VALUES_FOLLOW: &str = "Status Message:";

/// The message of a run that failed, without values: behind `Status Message:`, or everywhere where that is not there, each number is `#`
/// and each text in quotes is `'…'`.
///
/// A `Gather` that is given an index beyond its table quotes the index, which is a feature of a request.
pub fn without_values(message: &str) -> String {
    let at = message.find(VALUES_FOLLOW).map_or(0, |at| at + VALUES_FOLLOW.len());
    let (kept, rest) = message.split_at(at);
    let mut masked = kept.to_owned();
    let mut chars = rest.chars().peekable();
    let mut before = ' ';
    while let Some(c) = chars.next() {
        match c {
            '\'' | '"' | '`' if !before.is_alphanumeric() => {
                masked.push('\'');
                masked.push('…');
                if chars.by_ref().any(|next| next == c) {
                    masked.push('\'');
                }
            }
            '0'..='9' if !before.is_alphabetic() && before != '_' => {
                let of_number = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+');
                while chars.next_if(of_number).is_some() {}
                masked.push('#');
            }
            other => masked.push(other),
        }
        before = c;
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &str, want: &str) {
        assert_eq!(without_values(message), want);
    }

    #[test]
    fn values_are_masked_and_names_are_not() {
        check(
            "Non-zero status code returned while running Gather node. Name:'Gather_12' Status Message: indices element out of data bounds, idx=31337 must be within the inclusive range [-5,4]",
            "Non-zero status code returned while running Gather node. Name:'Gather_12' Status Message: indices element out of data bounds, idx=# must be within the inclusive range [-#,#]",
        );
        check("Status Message: 1.5e+07 and 'a b' in node_3", "Status Message: # and '…' in node_3");
        check("an open 'quote", "an open '…");
        check("it's 3", "it's #");
        check("", "");
    }
}
