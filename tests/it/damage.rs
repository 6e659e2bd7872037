//! What the proxy makes of one reply.

use rand::Rng;

use crate::{
    proxy::Mode,
    resp::{BulkAt, first_value},
};

/// Right RESP that answers nothing that is asked of a user store.
const WRONG: [&[u8]; 8] = [
    b":42\r\n",
    b"+PONG\r\n",
    b"$5\r\nhello\r\n",
    b"*0\r\n",
    b"*3\r\n:1\r\n:2\r\n:3\r\n",
    b"-ERR the moon is in the wrong house\r\n",
    b"*2\r\n*1\r\n$1\r\nx\r\n$-1\r\n",
    b"#t\r\n",
];

/// The bytes that are sent in place of a reply; none where it is cut.
pub fn damaged(mode: Mode, reply: &[u8], number: u64) -> Option<Vec<u8>> {
    match mode {
        Mode::Cut { every, .. } if number.is_multiple_of(every) => None,
        Mode::Noise => {
            let mut bytes = vec![0; reply.len().max(8)];
            rand::rng().fill(bytes.as_mut_slice());
            Some(bytes)
        }
        Mode::WrongKind => Some(WRONG[number as usize % WRONG.len()].to_vec()),
        Mode::WrongSize => Some(resized(reply, number)),
        Mode::Repeat { every } if number.is_multiple_of(every) => Some([reply, reply].concat()),
        _ => Some(reply.to_vec()),
    }
}

/// The same reply with every text shorter or longer; the lengths in it are right.
fn resized(reply: &[u8], number: u64) -> Vec<u8> {
    let bulks = first_value(reply).map(|value| value.bulks).unwrap_or_default();
    let (mut out, mut at) = (Vec::with_capacity(reply.len() + 64), 0);
    for BulkAt { header, from, to } in bulks {
        let text = &reply[from..to];
        let text = match number % 4 {
            0 => text[..text.len() / 2].to_vec(),
            1 => text[..text.len().saturating_sub(1)].to_vec(),
            2 => [text, &[0; 4]].concat(),
            _ => [text, text].concat(),
        };
        out.extend_from_slice(&reply[at..header]);
        out.extend_from_slice(format!("${}\r\n", text.len()).as_bytes());
        out.extend_from_slice(&text);
        at = to;
    }
    out.extend_from_slice(&reply[at..]);
    out
}

#[test]
fn texts_change_their_size_and_nothing_else() {
    let reply = b"*3\r\n$4\r\nabcd\r\n:5\r\n$-1\r\n";
    assert_eq!(resized(reply, 0), b"*3\r\n$2\r\nab\r\n:5\r\n$-1\r\n");
    assert_eq!(resized(reply, 1), b"*3\r\n$3\r\nabc\r\n:5\r\n$-1\r\n");
    assert_eq!(resized(reply, 2), b"*3\r\n$8\r\nabcd\0\0\0\0\r\n:5\r\n$-1\r\n");
    assert_eq!(resized(reply, 3), b"*3\r\n$8\r\nabcdabcd\r\n:5\r\n$-1\r\n");
    let other = damaged(Mode::WrongKind, reply, 3).unwrap();
    assert!(first_value(&other).is_some_and(|value| value.length == other.len()));
}
