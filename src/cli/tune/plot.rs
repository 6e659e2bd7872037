//! Throughput against p99 as a picture: one line a choice.

use std::{fmt::Display, path::Path};

use plotters::{
    backend::SVGBackend,
    chart::ChartBuilder,
    coord::Shift,
    drawing::{DrawingArea, IntoDrawingArea},
    element::{Circle, PathElement, Text},
    prelude::IntoLogRange,
    series::{DashedLineSeries, LineSeries},
    style::{Color, IntoFont, RGBColor, ShapeStyle, WHITE},
};

use crate::cli::{
    colours::{COLOURS, GREY},
    span,
    tune::{measure::Report, point::Point},
};

const DARK: RGBColor = RGBColor(60, 60, 60);
const SIZE: (u32, u32) = (980, 460);

/// The width of the chart; the legend stands beside it, so that it covers no line.
const CHART: u32 = 730;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Writes the picture of points some of which had answers.
pub(super) fn draw(report: &Report, path: &Path) -> Result<(), String> {
    let failed = |cause: String| format!("--plot {}: {cause}", path.display());
    let lines = lines(&report.points);
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE).map_err(|e| failed(told(&e)))?;
    let (left, right) = root.split_horizontally(CHART);
    chart(&left, report, &lines).map_err(failed)?;
    legend(&right, report, &lines).map_err(failed)?;
    root.present().map_err(|e| failed(told(&e)))
}

fn told(error: &dyn Display) -> String {
    error.to_string()
}

/// The points of each choice that had answers.
fn lines(points: &[Point]) -> Vec<Vec<&Point>> {
    let mut lines: Vec<Vec<&Point>> = Vec::new();
    for point in points.iter().filter(|point| point.sent > point.lost()) {
        match lines.last_mut().filter(|line| line[0].choice == point.choice) {
            Some(line) => line.push(point),
            None => lines.push(vec![point]),
        }
    }
    lines
}

fn chart(area: &Area<'_>, report: &Report, lines: &[Vec<&Point>]) -> Result<(), String> {
    let slo = report.demand.slo.as_secs_f64() * 1e3;
    let all = || lines.iter().flatten();
    let fastest = all().map(|point| point.in_time_per_s).fold(1.0, f64::max) * 1.08;
    let low = all().map(|point| point.p99_ms).fold(slo, f64::min) / 1.4;
    let high = all().map(|point| point.p99_ms).fold(slo, f64::max) * 1.4;
    let title = format!("{}/{}: throughput against p99", report.model, report.version);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 16))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(58)
        .build_cartesian_2d(0.0..fastest, (low..high).log_scale())
        .map_err(|e| told(&e))?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(GREY.mix(0.5))
        .x_desc("answers a second within the slo")
        .y_desc("p99 of the answers, ms (log)")
        .x_label_formatter(&|rate| format!("{rate:.0}"))
        .y_label_formatter(&|ms| if *ms < 10.0 { format!("{ms:.1}") } else { format!("{ms:.0}") })
        .label_style(("sans-serif", 12))
        .draw()
        .map_err(|e| told(&e))?;
    let dashes = DashedLineSeries::new([(0.0, slo), (fastest, slo)], 7, 5, DARK.into());
    chart.draw_series(dashes).map_err(|e| told(&e))?;
    for (line, colour) in lines.iter().zip(COLOURS.into_iter().cycle()) {
        let at = |point: &&Point| (point.in_time_per_s, point.p99_ms);
        let style = ShapeStyle::from(&colour).stroke_width(2);
        let faint = ShapeStyle::from(&colour.mix(0.3));
        // Beyond the first rate that misses the slo a line is faint: there it says little, and all lines lie over each other.
        let missed = line.iter().position(|point| !point.meets()).unwrap_or(line.len() - 1);
        for (part, style) in [(&line[missed..], faint), (&line[..=missed], style)] {
            let part = LineSeries::new(part.iter().map(at), style);
            chart.draw_series(part).map_err(|e| told(&e))?;
        }
        let fill = |point: &Point| if point.meets() { colour } else { WHITE };
        let discs = line.iter().map(|point| Circle::new(at(point), 4, fill(point).filled()));
        chart.draw_series(discs).map_err(|e| told(&e))?;
        let rings = line.iter().map(|point| Circle::new(at(point), 4, style));
        chart.draw_series(rings).map_err(|e| told(&e))?;
    }
    if let Some(point) = report.proposed.and_then(|place| report.points.get(place)) {
        let ring = ShapeStyle::from(&DARK).stroke_width(2);
        let at = (point.in_time_per_s, point.p99_ms);
        chart.draw_series([Circle::new(at, 9, ring)]).map_err(|e| told(&e))?;
    }
    Ok(())
}

/// What lines and marks mean, drawn by hand beside the chart.
fn legend(area: &Area<'_>, report: &Report, lines: &[Vec<&Point>]) -> Result<(), String> {
    let text = |words: String, at: (i32, i32)| {
        area.draw(&Text::new(words, at, ("sans-serif", 13).into_font())).map_err(|e| told(&e))
    };
    let dark = ShapeStyle::from(&DARK).stroke_width(2);
    let (left, words, step) = (8, 44, 20);
    let mut y = 52;
    text("instances × rows of a full batch".to_owned(), (left, y))?;
    for (line, colour) in lines.iter().zip(COLOURS.into_iter().cycle()) {
        y += step;
        let style = ShapeStyle::from(&colour).stroke_width(2);
        let dash = PathElement::new([(left, y + 6), (left + 26, y + 6)], style);
        area.draw(&dash).map_err(|e| told(&e))?;
        let choice = line[0].choice;
        text(format!("{} × {}", choice.instances, choice.batch_rows), (words, y))?;
    }
    y += step + 12;
    for part in 0..3 {
        let from = left + part * 10;
        let dash = PathElement::new([(from, y + 6), (from + 6, y + 6)], DARK);
        area.draw(&dash).map_err(|e| told(&e))?;
    }
    let slo = span::told(report.demand.slo);
    text(format!("the slo, {slo}"), (words, y))?;
    let marks = [
        (4, Some(DARK), "99% were answered within it"),
        (4, None, "fewer were"),
        (9, None, "proposed"),
    ];
    for (radius, fill, told_of_it) in marks {
        y += step;
        let at = (left + 13, y + 6);
        if let Some(fill) = fill {
            area.draw(&Circle::new(at, radius, fill.filled())).map_err(|e| told(&e))?;
        }
        area.draw(&Circle::new(at, radius, dark)).map_err(|e| told(&e))?;
        text(told_of_it.to_owned(), (words, y))?;
    }
    let rows = format!("requests of {} row(s), on {}", report.rows, report.device);
    text(rows, (left, y + step + 12))
}
