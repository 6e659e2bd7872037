//! Protobuf's text format, as far as a file of it can be read without knowing its messages.

/// A field of a message; one that has a list is as many fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    /// The line that it begins on.
    pub(super) line: usize,
    pub(super) value: Value,
}

/// The value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A number, or a name such as `true`, as it is written.
    Word(String),
    /// What stands in quotes.
    Text(String),
    /// The fields of a message.
    Message(Vec<Field>),
}

/// Messages that may lie in one another.
const MOST_DEPTH: usize = 32;

/// Reads the fields of a file.
///
/// # Errors
/// What is wrong, with its line.
pub(super) fn fields(text: &str) -> Result<Vec<Field>, String> {
    let mut reader = Reader { rest: text, line: 1, depth: 0 };
    let all = reader.message(None)?;
    Ok(all)
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn wrong<T>(&self, wrong: impl std::fmt::Display) -> Result<T, String> {
        Err(format!("line {}: {wrong}", self.line))
    }

    /// Passes over blanks and comments; tells the next character, which is not taken.
    fn peek(&mut self) -> Option<char> {
        loop {
            let next = self.rest.chars().next()?;
            match next {
                '#' => {
                    let end = self.rest.find('\n').unwrap_or(self.rest.len());
                    self.rest = &self.rest[end..];
                }
                blank if blank.is_whitespace() => drop(self.take()),
                other => return Some(other),
            }
        }
    }

    /// Takes the very next character.
    fn take(&mut self) -> Option<char> {
        let next = self.rest.chars().next()?;
        self.rest = &self.rest[next.len_utf8()..];
        self.line += usize::from(next == '\n');
        Some(next)
    }

    /// Takes the next character where it is this one.
    fn takes(&mut self, wanted: char) -> bool {
        let is_next = self.peek() == Some(wanted);
        if is_next {
            self.take();
        }
        is_next
    }

    /// The fields up to the end of the message, or of the file.
    fn message(&mut self, end: Option<char>) -> Result<Vec<Field>, String> {
        let mut fields = Vec::new();
        loop {
            match (self.peek(), end) {
                (None, None) => return Ok(fields),
                (None, Some(end)) => return self.wrong(format!("the file ends before `{end}`")),
                (Some(next), Some(end)) if next == end => {
                    self.take();
                    return Ok(fields);
                }
                _ => self.field(&mut fields)?,
            }
        }
    }

    fn field(&mut self, fields: &mut Vec<Field>) -> Result<(), String> {
        let line = self.line;
        let name = self.word();
        if name.is_empty() {
            let next = self.take().unwrap_or(' ');
            return self.wrong(format!("`{next}` stands where a field's name should"));
        }
        let has_colon = self.takes(':');
        let mut add = |value| fields.push(Field { name: name.to_owned(), line, value });
        if self.takes('[') {
            let mut is_last = self.takes(']');
            while !is_last {
                add(self.value(name, has_colon)?);
                is_last = self.takes(']');
                if !is_last && !self.takes(',') {
                    return self.wrong(format!("`,` or `]` is missing in the list of `{name}`"));
                }
            }
        } else {
            add(self.value(name, has_colon)?);
        }
        let _ = self.takes(',') || self.takes(';');
        Ok(())
    }

    fn value(&mut self, name: &str, has_colon: bool) -> Result<Value, String> {
        let end = match self.peek() {
            Some('{') => '}',
            Some('<') => '>',
            _ if !has_colon => return self.wrong(format!("`:` is missing behind `{name}`")),
            Some('"' | '\'') => return Ok(Value::Text(self.text()?)),
            _ => {
                let word = self.word();
                return match word.is_empty() {
                    true => self.wrong(format!("`{name}` has no value")),
                    false => Ok(Value::Word(word.to_owned())),
                };
            }
        };
        if self.depth == MOST_DEPTH {
            return self.wrong(format!("more than {MOST_DEPTH} messages lie in one another"));
        }
        self.take();
        self.depth += 1;
        let fields = self.message(Some(end))?;
        self.depth -= 1;
        Ok(Value::Message(fields))
    }

    /// The letters, digits and signs that stand next; none where something else does.
    fn word(&mut self) -> &'a str {
        self.peek();
        let is_end = |c: char| !(c.is_ascii_alphanumeric() || "_+-.".contains(c));
        let end = self.rest.find(is_end).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    /// Texts in quotes, one behind another, as one.
    fn text(&mut self) -> Result<String, String> {
        let mut text = String::new();
        while let Some(quote) = self.peek().filter(|next| matches!(next, '"' | '\'')) {
            self.take();
            loop {
                match self.take() {
                    Some(next) if next == quote => break,
                    Some('\\') => match self.take() {
                        Some('n') => text.push('\n'),
                        Some('t') => text.push('\t'),
                        Some(plain @ ('"' | '\'' | '\\')) => text.push(plain),
                        _ => return self.wrong("an escape is used that is not known here"),
                    },
                    Some('\n') | None => return self.wrong("a text has no end"),
                    Some(next) => text.push(next),
                }
            }
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(fields: &[Field]) -> String {
        let told = fields.iter().map(|Field { name, line, value }| match value {
            Value::Word(word) => format!("{line} {name}={word}"),
            Value::Text(text) => format!("{line} {name}={text:?}"),
            Value::Message(fields) => format!("{line} {name}({})", told(fields)),
        });
        told.collect::<Vec<_>>().join(", ")
    }

    #[track_caller]
    fn check(text: &str, want: Result<&str, &str>) {
        match (fields(text), want) {
            (Ok(got), Ok(want)) => assert_eq!(told(&got), want, "{text}"),
            (Err(got), Err(want)) => assert_eq!(got, want, "{text}"),
            (got, want) => panic!("{text}: {got:?} is not {want:?}"),
        }
    }

    #[test]
    fn fields_are_read_as_they_may_be_written() {
        check("", Ok(""));
        check("# nothing", Ok(""));
        check("a: 1\nb: -1 # one less\nc: 'x'", Ok("1 a=1, 2 b=-1, 3 c=\"x\""));
        check("a: \"x\" 'y'\n\"z\"", Ok("1 a=\"xyz\""));
        check(r#"a: "q\"\\\n""#, Ok("1 a=\"q\\\"\\\\\\n\""));
        check("a { b: T c < d: 1.5e3 > }", Ok("1 a(1 b=T, 1 c(1 d=1.5e3))"));
        check("a: { b: 1, c: 2; }", Ok("1 a(1 b=1, 1 c=2)"));
        check("a: [1, 2]\nb [ { c: 1 },\n{} ]", Ok("1 a=1, 1 a=2, 2 b(2 c=1), 2 b()"));
        check("a: [ ]", Ok(""));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        check("a: 1\n\nb", Err("line 3: `:` is missing behind `b`"));
        check("a: 1\n}", Err("line 2: `}` stands where a field's name should"));
        check("a {\n b: 1\n", Err("line 3: the file ends before `}`"));
        check("a:\n:", Err("line 2: `a` has no value"));
        check("a: 'x\n'", Err("line 2: a text has no end"));
        check("a: '\\x41'", Err("line 1: an escape is used that is not known here"));
        check("a: [1 2]", Err("line 1: `,` or `]` is missing in the list of `a`"));
        check("a: [1", Err("line 1: `,` or `]` is missing in the list of `a`"));
        check("[x.y]: 1", Err("line 1: `[` stands where a field's name should"));
        let deep = "a {".repeat(33);
        check(&deep, Err("line 1: more than 32 messages lie in one another"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[a-c:\\[\\]{}<>'\"\\\\,; \n#0-9ä-]{0,60}") {
            let _ = fields(&text);
        }
    }
}
