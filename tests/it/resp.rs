//! Just enough of RESP2 and RESP3 to see where a value ends and which commands there are.

/// How a value is built.
enum Kind {
    /// One line: `+ - : _ # , (`.
    Line,
    /// A length, then that many bytes: `$ ! =`.
    Bulk,
    /// A count, then that many values: `* ~ >`.
    List,
    /// A count, then twice as many values: `%`.
    Pairs,
    /// The same, before the value that it speaks of: `|`.
    Attribute,
}

fn kind(byte: u8) -> Option<Kind> {
    match byte {
        b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => Some(Kind::Line),
        b'$' | b'!' | b'=' => Some(Kind::Bulk),
        b'*' | b'~' | b'>' => Some(Kind::List),
        b'%' => Some(Kind::Pairs),
        b'|' => Some(Kind::Attribute),
        _ => None,
    }
}

/// The bytes of a bulk string, by where its header, its content and its end lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BulkAt {
    /// Where `$` stands.
    pub header: usize,
    /// Where the content begins.
    pub from: usize,
    /// Where it ends.
    pub to: usize,
}

/// A whole value at the beginning of some bytes.
#[derive(Debug, Default, PartialEq)]
pub struct Value {
    /// How long it is.
    pub length: usize,
    /// Its bulk strings, at every depth.
    pub bulks: Vec<BulkAt>,
}

/// Reads the first value; none where it is not there whole, or is no RESP.
pub fn first_value(bytes: &[u8]) -> Option<Value> {
    let mut value = Value::default();
    value.length = read(bytes, 0, &mut value.bulks)?;
    Some(value)
}

fn read(bytes: &[u8], at: usize, bulks: &mut Vec<BulkAt>) -> Option<usize> {
    let line = bytes.get(at..)?.windows(2).position(|two| two == b"\r\n")?;
    let after = at + line + 2;
    let number = || std::str::from_utf8(&bytes[at + 1..at + line]).ok()?.parse::<i64>().ok();
    let values = match kind(bytes[at])? {
        Kind::Line => 0,
        Kind::Bulk => {
            let Ok(length) = usize::try_from(number()?) else { return Some(after) };
            bulks.push(BulkAt { header: at, from: after, to: after + length });
            let end = after + length + 2;
            return (end <= bytes.len()).then_some(end);
        }
        Kind::List => number()?.max(0),
        Kind::Pairs => number()?.max(0) * 2,
        Kind::Attribute => number()?.max(0) * 2 + 1,
    };
    (0..values).try_fold(after, |at, _| read(bytes, at, bulks))
}

/// The words of a command.
pub fn words<'a>(bytes: &'a [u8], value: &Value) -> Vec<&'a [u8]> {
    value.bulks.iter().filter_map(|bulk| bytes.get(bulk.from..bulk.to)).collect()
}

#[test]
fn values_end_where_they_end() {
    let length = |bytes: &[u8]| first_value(bytes).map(|value| value.length);
    for whole in [
        "+OK\r\n",
        "$-1\r\n",
        "*2\r\n$1\r\na\r\n:5\r\n",
        "%1\r\n+a\r\n*0\r\n",
        "_\r\n",
        ">1\r\n+x\r\n",
    ] {
        assert_eq!(length(format!("{whole}+more").as_bytes()), Some(whole.len()), "{whole}");
        for cut in 0..whole.len() {
            assert_eq!(length(&whole.as_bytes()[..cut]), None, "{whole} cut at {cut}");
        }
    }
    assert_eq!(length(b"nonsense\r\n"), None);
}

#[test]
fn a_commands_words_are_found() {
    let bytes = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n";
    let value = first_value(bytes).unwrap();
    assert_eq!(words(bytes, &value), [&b"GET"[..], b"k"]);
}
