//! The terminal while figures are shown in place, and as it was before, however that ends.

use std::{
    io::{self, Read, Write},
    thread,
};

use crossterm::{
    cursor::{Hide, MoveTo, Show},
    execute, queue,
    style::{Attribute, SetAttribute},
    terminal::{
        Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
        enable_raw_mode, size,
    },
};
use tokio_util::sync::CancellationToken;

use crate::{cli::top::text, transport::Report};

/// Columns and rows where the terminal does not say.
const UNKNOWN: (u16, u16) = (120, 40);

/// The keys that end it, as a terminal in raw mode sends them: `q`, Esc and Ctrl-C.
const ENDING: [u8; 3] = [b'q', 0x1b, 0x03];

/// The terminal in the alternate screen; left when it is dropped.
pub(super) struct Screen(());

impl Screen {
    /// Takes the terminal over; `q`, Esc and Ctrl-C cancel `stop`.
    pub(super) fn open(stop: &CancellationToken) -> io::Result<Self> {
        enable_raw_mode()?;
        let screen = Self(());
        execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        let stop = stop.clone();
        // It waits for a key until the program ends.
        thread::spawn(move || {
            let pressed = io::stdin().lock().bytes().map_while(Result::ok);
            if pressed.into_iter().any(|key| ENDING.contains(&key)) {
                stop.cancel();
            }
        });
        Ok(screen)
    }

    /// Shows a report in place of the one before, as much of it as there is room for.
    pub(super) fn show(&mut self, report: &Report, fault: Option<&str>) -> io::Result<()> {
        // Some terminals do not know how large they are.
        let (width, height) = match size()? {
            (0, _) | (_, 0) => UNKNOWN,
            known => known,
        };
        let mut out = io::stdout().lock();
        let text = text::text(report, width);
        let rows = usize::from(height).saturating_sub(1);
        let head =
            fault.map(|fault| format!("NO ANSWER, the figures are old: {}", text::clean(fault)));
        let lines = head.iter().map(String::as_str).chain(text.lines());
        queue!(out, MoveTo(0, 0))?;
        for line in lines.take(rows) {
            let line: String = line.chars().take(usize::from(width)).collect();
            write!(out, "{line}")?;
            queue!(out, Clear(ClearType::UntilNewLine))?;
            write!(out, "\r\n")?;
        }
        queue!(out, Clear(ClearType::FromCursorDown), MoveTo(0, height.saturating_sub(1)))?;
        queue!(out, SetAttribute(Attribute::Dim))?;
        write!(out, "q ends this")?;
        queue!(out, SetAttribute(Attribute::Reset))?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = execute!(io::stdout(), Show, LeaveAlternateScreen);
        let _ = disable_raw_mode();
    }
}
