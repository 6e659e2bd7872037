//! Podium beside other servers as a picture: ratios of each load, with their range over the repetitions.

use std::path::Path;

use plotters::{
    backend::SVGBackend,
    coord::Shift,
    drawing::{DrawingArea, IntoDrawingArea},
    element::{Circle, PathElement, Text},
    style::{Color, IntoFont, RGBColor, WHITE},
};

use crate::cli::{
    bench::report::{Point, Report, Spread},
    colours::{COLOURS, GREY},
};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Pixels of the picture and of its parts.
const WIDTH: i32 = 1080;
const LEFT: i32 = 130;
const GAP: i32 = 40;
const ROW: i32 = 20;
const BETWEEN_LOADS: i32 = 12;
const LEGEND_LINE: i32 = 18;

/// Ratios that the axis has a line for.
const TICKS: [f64; 9] = [0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0, 10.0];

/// A mark: where it stands, and whose it is.
struct Mark {
    row: i32,
    server: usize,
    ratio: Spread,
}

/// One of the two panels.
struct Panel {
    title: &'static str,
    marks: Vec<Mark>,
    /// The least and the largest ratio of the axis.
    range: (f64, f64),
    left: i32,
    width: i32,
}

/// The servers in the order of the report, the loads, and the height of all rows.
struct Rows<'a> {
    servers: Vec<&'a str>,
    loads: Vec<(&'a str, i32)>,
    height: i32,
}

/// Writes the picture: on the left answers a second, on the right the 99th percentile; right of the line at 1, Podium is ahead.
pub(super) fn draw(report: &Report, path: &Path) -> Result<(), String> {
    let failed = |cause: String| format!("--plot {}: {cause}", path.display());
    let rows = rows(report);
    let rates = marks(report, &rows, |point| match point.peer {
        Some(_) => point.figure("podium_over"),
        // A lone caller keeps one session busy.
        None if point.is_open() => None,
        None => point.figure("ratio_single").or(point.figure("ratio_best")),
    });
    let tails = marks(report, &rows, |point| point.figure("p99_over_podium"));
    if rates.is_empty() {
        return Err(failed("nothing was answered by both, so there is nothing to draw".to_owned()));
    }
    let top = 44 + LEGEND_LINE * (rows.servers.len() as i32 + 1);
    let size = (WIDTH as u32, (top + rows.height + 60) as u32);
    let root = SVGBackend::new(path, size).into_drawing_area();
    root.fill(&WHITE).map_err(|e| failed(e.to_string()))?;
    let width = (WIDTH - LEFT - GAP - 24) / 2;
    let panel = |title, marks: Vec<Mark>, left| {
        let range = range(&marks);
        Panel { title, marks, range, left, width }
    };
    let panels = [
        panel("answers a second: Podium's over theirs", rates, LEFT),
        panel("99th percentile: theirs over Podium's", tails, LEFT + width + GAP),
    ];
    legend(&root, report, &rows).map_err(failed)?;
    for panel in panels.iter().filter(|panel| !panel.marks.is_empty()) {
        panel.draw(&root, top, rows.height).map_err(failed)?;
    }
    for (load, row) in &rows.loads {
        text(&root, load, (12, top + row - 8), 13).map_err(failed)?;
    }
    root.present().map_err(|e| failed(e.to_string()))
}

fn rows(report: &Report) -> Rows<'_> {
    let raw = report.points.iter().any(|point| point.figure("ratio_best").is_some());
    let mut servers: Vec<&str> = if raw { vec!["raw ONNX Runtime"] } else { Vec::new() };
    for peer in report.points.iter().filter_map(|point| point.peer.as_deref()) {
        if !servers.contains(&peer) {
            servers.push(peer);
        }
    }
    let (mut loads, mut at): (Vec<(&str, i32)>, i32) = (Vec::new(), ROW / 2);
    for point in &report.points {
        if loads.last().is_none_or(|(load, _)| *load != point.load) {
            loads.push((&point.load, at));
            at += ROW * servers.len() as i32 + BETWEEN_LOADS;
        }
    }
    Rows { servers, loads, height: at }
}

/// The marks of a figure: a server's row is its place within its load.
fn marks(report: &Report, rows: &Rows<'_>, figure: impl Fn(&Point) -> Option<Spread>) -> Vec<Mark> {
    let mark = |point: &Point| {
        let name = point.peer.as_deref().unwrap_or("raw ONNX Runtime");
        let server = rows.servers.iter().position(|server| *server == name)?;
        let (_, first) = rows.loads.iter().find(|(load, _)| *load == point.load)?;
        Some(Mark { row: first + ROW * server as i32, server, ratio: figure(point)? })
    };
    report.points.iter().filter_map(mark).collect()
}

/// What the axis covers: all ranges, and 1 with some room.
fn range(marks: &[Mark]) -> (f64, f64) {
    let least = marks.iter().map(|mark| mark.ratio.min).fold(0.8, f64::min);
    let most = marks.iter().map(|mark| mark.ratio.max).fold(1.25, f64::max);
    (least * 0.9, most * 1.2)
}

impl Panel {
    fn x_of(&self, ratio: f64) -> i32 {
        let (least, most) = self.range;
        let share = (ratio.clamp(least, most) / least).ln() / (most / least).ln();
        self.left + (share * f64::from(self.width)) as i32
    }

    fn draw(&self, root: &Area<'_>, top: i32, height: i32) -> Result<(), String> {
        text(root, self.title, (self.left, top - 24), 14)?;
        let (least, most) = self.range;
        for tick in TICKS.into_iter().filter(|tick| (least..=most).contains(tick)) {
            let colour = if tick == 1.0 { COLOURS[7] } else { GREY };
            line(root, [(self.x_of(tick), top - 4), (self.x_of(tick), top + height)], colour, 1)?;
            text(root, &format!("{tick}"), (self.x_of(tick) - 8, top + height + 6), 12)?;
        }
        text(root, "Podium is ahead right of 1", (self.left, top + height + 28), 12)?;
        self.marks.iter().try_for_each(|mark| self.mark(root, mark, top))
    }

    fn mark(&self, root: &Area<'_>, mark: &Mark, top: i32) -> Result<(), String> {
        let Mark { row, server, ratio } = mark;
        let (y, colour) = (top + row, COLOURS[server % COLOURS.len()]);
        line(root, [(self.x_of(ratio.min), y), (self.x_of(ratio.max), y)], colour, 2)?;
        let dot = Circle::new((self.x_of(ratio.median), y), 4, colour.filled());
        root.draw(&dot).map_err(|e| e.to_string())?;
        text(root, &format!("{:.2}", ratio.median), (self.x_of(ratio.max) + 8, y - 6), 12)
    }
}

fn legend(root: &Area<'_>, report: &Report, rows: &Rows<'_>) -> Result<(), String> {
    let model = format!("{}/{}", report.server.model, report.server.model_version);
    let repeated = report.points.iter().map(|point| point.repetitions.len()).max().unwrap_or(0);
    let title = format!(
        "{model}, {} candidates a request: medians and ranges of {repeated} start(s)",
        report.candidates
    );
    text(root, &title, (12, 10), 16)?;
    for (at, server) in rows.servers.iter().enumerate() {
        let y = 40 + LEGEND_LINE * at as i32;
        let dot = Circle::new((20, y), 4, COLOURS[at % COLOURS.len()].filled());
        root.draw(&dot).map_err(|e| e.to_string())?;
        text(root, server, (32, y - 7), 12)?;
    }
    Ok(())
}

fn line(
    root: &Area<'_>,
    ends: [(i32, i32); 2],
    colour: RGBColor,
    width: u32,
) -> Result<(), String> {
    root.draw(&PathElement::new(ends, colour.stroke_width(width))).map_err(|e| e.to_string())
}

fn text(root: &Area<'_>, words: &str, at: (i32, i32), size: i32) -> Result<(), String> {
    let text = Text::new(words.to_owned(), at, ("sans-serif", size).into_font());
    root.draw(&text).map_err(|e| e.to_string())
}
