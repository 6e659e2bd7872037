//! The events of a file in batches, each with its place in the file.

use std::path::{Path, PathBuf};

use crate::{
    cli::users::{
        cells::{Bounds, event_of},
        rows::{Row, RowIter},
    },
    transport::pb,
};

/// Events that are sent together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// The events.
    pub(super) events: Vec<pb::UserEvent>,
    /// Rows that it was made of.
    pub(super) rows: u64,
    /// What is wrong with the rows among them that were passed over.
    pub(super) faults: Vec<String>,
}

/// Reads batch after batch; the first error is the last item.
pub(super) struct Batches {
    pub(super) file: PathBuf,
    pub(super) rows: RowIter,
    /// Rows that were read so far.
    pub(super) read: u64,
    /// Events of a batch at most.
    pub(super) size: usize,
    pub(super) bounds: Bounds,
    pub(super) skip_faulty: bool,
    pub(super) ended: bool,
}

impl Batches {
    /// Passes over rows that were sent before.
    ///
    /// # Errors
    /// What keeps the file from being read.
    pub(super) fn pass_over(&mut self, rows: u64) -> Result<(), String> {
        while self.read < rows
            && let Some(row) = self.rows.next()
        {
            row.map_err(|wrong| self.unreadable(&wrong))?;
            self.read += 1;
        }
        Ok(())
    }

    fn fill(&mut self) -> Result<Batch, String> {
        let mut batch = Batch::default();
        // Rows that are passed over count too, so that a file of faults is told in steps.
        while batch.rows < self.size as u64 {
            let Some(row) = self.rows.next() else { break };
            let row = row.map_err(|wrong| self.unreadable(&wrong))?;
            self.read += 1;
            batch.rows += 1;
            match read(row, self.bounds) {
                Ok(event) => batch.events.push(event),
                Err((line, wrong)) => {
                    let wrong = told(&self.file, self.read, line, &wrong);
                    if !self.skip_faulty {
                        return Err(format!(
                            "{wrong}\nMend it, or go on without it by --skip-faulty"
                        ));
                    }
                    batch.faults.push(wrong);
                }
            }
        }
        Ok(batch)
    }

    fn unreadable(&self, wrong: &str) -> String {
        format!("{}: cannot be read after row {}: {wrong}", self.file.display(), self.read)
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let batch = self.fill();
        self.ended = batch.as_ref().map_or(true, |batch| batch.rows < self.size as u64);
        match batch {
            Ok(batch) if batch.rows == 0 => None,
            batch => Some(batch),
        }
    }
}

fn read(row: Row, bounds: Bounds) -> Result<pb::UserEvent, (Option<u64>, String)> {
    let Row { line, cells } = row;
    let event = cells.and_then(|cells| {
        event_of(cells, bounds).map_err(|(field, wrong)| format!("{field}: {wrong}"))
    });
    event.map_err(|wrong| (line, wrong))
}

fn told(file: &Path, row: u64, line: Option<u64>, wrong: &str) -> String {
    let line = line.map_or_else(String::new, |line| format!(" (line {line})"));
    format!("{}, row {row}{line}: {wrong}", file.display())
}

#[cfg(test)]
mod tests {
    use crate::cli::users::cells::Cell;

    use super::*;

    fn row(time: i64) -> Result<Row, String> {
        let text = |text: &str| Cell::Text(text.to_owned());
        let cells = [text("u"), text("x"), Cell::Whole(time), Cell::Missing, Cell::Missing];
        Ok(Row { line: Some(9), cells: Ok(cells) })
    }

    fn faulty() -> Result<Row, String> {
        Ok(Row { line: None, cells: Err("is odd".to_owned()) })
    }

    fn batches(rows: Vec<Result<Row, String>>, skip_faulty: bool) -> Batches {
        Batches {
            file: "shop.csv".into(),
            rows: Box::new(rows.into_iter()),
            read: 0,
            size: 2,
            bounds: Bounds { id_bytes: 64 },
            skip_faulty,
            ended: false,
        }
    }

    fn sizes(batches: Batches) -> Vec<Result<(usize, u64), String>> {
        batches.map(|batch| batch.map(|batch| (batch.events.len(), batch.rows))).collect()
    }

    #[test]
    fn rows_become_batches() {
        let all = sizes(batches(vec![row(1), row(2), row(3)], false));
        assert_eq!(all, [Ok((2, 2)), Ok((1, 1))]);
        assert_eq!(sizes(batches(vec![row(1), row(2)], false)), [Ok((2, 2))]);
        assert_eq!(sizes(batches(vec![], false)), []);
    }

    #[test]
    fn rows_that_were_sent_are_passed_over() {
        let mut rest = batches(vec![row(1), row(2), row(3)], false);
        rest.pass_over(2).unwrap();
        assert_eq!(sizes(rest), [Ok((1, 1))]);
        let mut rest = batches(vec![row(1)], false);
        rest.pass_over(5).unwrap();
        assert_eq!(sizes(rest), []);
    }

    #[test]
    fn a_faulty_row_ends_it_or_is_passed_over() {
        let rows = || vec![row(1), faulty(), row(3)];
        let mut all = sizes(batches(rows(), false));
        let wrong = all.pop().unwrap().unwrap_err();
        assert!(wrong.contains("shop.csv, row 2: is odd"), "{wrong}");
        assert_eq!(all, []);
        assert_eq!(sizes(batches(rows(), true)), [Ok((1, 2)), Ok((1, 1))]);
        let late = sizes(batches(vec![row(1), row(2), row(i64::MAX)], false));
        let wrong = late[1].clone().unwrap_err();
        assert!(wrong.contains("row 3 (line 9): time"), "{wrong}");
    }
}
