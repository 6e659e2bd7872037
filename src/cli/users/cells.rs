//! The cells of a row, and the event that they tell of.

use prost_types::Timestamp;
use sha2::{Digest, Sha256};

use crate::transport::pb;

/// The names that each field of an event may have in a file, in the order of [`Cells`].
pub(super) const FIELDS: [&[&str]; 5] =
    [&["user", "user_id"], &["item", "item_id"], &["time"], &["kind"], &["event_id"]];

/// Years 1 to 9999 in unix seconds.
const TIMES: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// One cell of a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    /// There is none, or it is empty.
    Missing,
    /// Text that is not empty.
    Text(String),
    /// A whole number.
    Whole(i64),
    /// A number with a fraction.
    Fraction(f64),
    /// A moment in unix seconds, as the file's own type has it.
    Moment(i64),
    /// Something that no field takes, in words.
    Odd(String),
}

impl Cell {
    /// A cell of a text file.
    pub(super) fn text(text: &str) -> Self {
        match text {
            "" => Self::Missing,
            text => Self::Text(text.to_owned()),
        }
    }
}

/// The cells of a row: user, item, time, kind, event id.
pub(super) type Cells = [Cell; 5];

/// What the server takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Longest id in bytes.
    pub(super) id_bytes: usize,
}

/// The field of a row that is wrong, and what is wrong with it.
type Wrong = (&'static str, String);

/// The event that a row tells of.
pub(super) fn event_of(cells: Cells, bounds: Bounds) -> Result<pb::UserEvent, Wrong> {
    let [user, item, time, kind, event_id] = cells;
    let user_id = id("user", user, bounds)?;
    let item_id = id("item", item, bounds)?;
    let seconds = seconds(time).map_err(|wrong| ("time", wrong))?;
    let kind = kind_of(kind).map_err(|wrong| ("kind", wrong))?;
    let event_id = match event_id {
        Cell::Missing => event_name(&user_id, &item_id, kind, seconds),
        given => id("event_id", given, bounds)?,
    };
    let time = Some(Timestamp { seconds, nanos: 0 });
    Ok(pb::UserEvent { event_id, user_id, item_id, kind: kind.into(), time })
}

fn id(field: &'static str, cell: Cell, bounds: Bounds) -> Result<String, Wrong> {
    let text = match cell {
        Cell::Text(text) => text,
        Cell::Whole(number) => number.to_string(),
        Cell::Missing => return Err((field, "is missing".to_owned())),
        Cell::Fraction(_) => return Err((field, "is a fraction, which is no id".to_owned())),
        Cell::Moment(_) => return Err((field, "is a moment, which is no id".to_owned())),
        Cell::Odd(what) => return Err((field, format!("is {what}, which is no id"))),
    };
    match text.len() <= bounds.id_bytes {
        true => Ok(text),
        false => {
            let (got, most) = (text.len(), bounds.id_bytes);
            Err((field, format!("has {got} bytes, and the server's max_id_bytes is {most}")))
        }
    }
}

fn seconds(cell: Cell) -> Result<i64, String> {
    let seconds = match &cell {
        Cell::Missing => return Err("is missing".to_owned()),
        Cell::Whole(seconds) | Cell::Moment(seconds) => Some(*seconds),
        Cell::Fraction(seconds) => whole(*seconds),
        Cell::Text(text) => {
            let number = || text.parse().ok().and_then(whole);
            let moment = || text.parse::<Timestamp>().ok().map(|time| time.seconds);
            text.parse().ok().or_else(number).or_else(moment)
        }
        Cell::Odd(_) => None,
    };
    match seconds {
        None => Err("is no time; write unix seconds or RFC 3339".to_owned()),
        Some(seconds) if TIMES.contains(&seconds) => Ok(seconds),
        Some(_) => Err("lies outside of the years 1 to 9999; write seconds, not less".to_owned()),
    }
}

/// The second that a number lies in.
fn whole(seconds: f64) -> Option<i64> {
    seconds.is_finite().then(|| seconds.floor() as i64)
}

fn kind_of(cell: Cell) -> Result<pb::EventKind, String> {
    match cell {
        Cell::Missing => Ok(pb::EventKind::Purchase),
        Cell::Text(text) => match text.as_str() {
            "view" => Ok(pb::EventKind::View),
            "cart" => Ok(pb::EventKind::Cart),
            "purchase" => Ok(pb::EventKind::Purchase),
            _ => Err("is none of view, cart, purchase".to_owned()),
        },
        _ => Err("is none of view, cart, purchase".to_owned()),
    }
}

/// A name for an event that has none: the same row has the same one, however often it is sent.
fn event_name(user: &str, item: &str, kind: pb::EventKind, seconds: i64) -> String {
    let text = format!("{user}\0{item}\0{}\0{seconds}", kind as i32);
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Cell {
        Cell::text(text)
    }

    fn row(time: Cell) -> Cells {
        [text("u"), Cell::Whole(7), time, Cell::Missing, Cell::Missing]
    }

    fn read(cells: Cells) -> Result<pb::UserEvent, Wrong> {
        event_of(cells, Bounds { id_bytes: 64 })
    }

    #[track_caller]
    fn check_time(cell: Cell, want: Option<i64>) {
        let got = read(row(cell)).ok().and_then(|event| event.time).map(|time| time.seconds);
        assert_eq!(got, want);
    }

    #[test]
    fn times_are_read_in_many_ways() {
        check_time(Cell::Whole(1_700_000_000), Some(1_700_000_000));
        check_time(Cell::Fraction(1.9), Some(1));
        check_time(Cell::Fraction(-0.5), Some(-1));
        check_time(Cell::Moment(3), Some(3));
        check_time(text("1700000000"), Some(1_700_000_000));
        check_time(text("1700000000.25"), Some(1_700_000_000));
        check_time(text("2023-11-14T22:13:20Z"), Some(1_700_000_000));
        check_time(text("2023-11-15T00:13:20.5+02:00"), Some(1_700_000_000));
        check_time(text("noon"), None);
        check_time(text("NaN"), None);
        check_time(Cell::Whole(1_700_000_000_000), None);
        check_time(Cell::Missing, None);
        check_time(Cell::Odd("a list".to_owned()), None);
    }

    #[test]
    fn what_is_wrong_names_its_field() {
        let wrong = |at: usize, cell: Cell| {
            let mut cells = row(Cell::Whole(1));
            cells[at] = cell;
            read(cells).unwrap_err()
        };
        assert_eq!(wrong(0, Cell::Missing).0, "user");
        assert_eq!(wrong(1, Cell::Fraction(1.5)).0, "item");
        assert_eq!(wrong(2, Cell::Missing).0, "time");
        assert_eq!(wrong(3, text("sold")).0, "kind");
        assert_eq!(wrong(4, text(&"x".repeat(65))).0, "event_id");
    }

    #[test]
    fn the_same_row_has_the_same_name() {
        let name = |user: &str, item: &str| {
            let mut cells = row(Cell::Whole(1));
            (cells[0], cells[1]) = (text(user), text(item));
            read(cells).unwrap().event_id
        };
        assert_eq!(name("a", "bc"), name("a", "bc"));
        assert_ne!(name("a", "bc"), name("ab", "c"));
        assert_eq!(name("a", "b").len(), 64);
    }
}
