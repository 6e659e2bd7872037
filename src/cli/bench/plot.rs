//! The report as a picture.

use std::path::Path;

use plotters::{
    backend::SVGBackend,
    chart::{ChartBuilder, SeriesLabelPosition},
    coord::Shift,
    drawing::{DrawingArea, IntoDrawingArea},
    element::{PathElement, Rectangle, Text},
    prelude::IntoLogRange,
    series::LineSeries,
    style::{Color, IntoFont, RGBColor, ShapeStyle, WHITE},
};

use crate::cli::{
    bench::report::{Point, Report},
    colours::{COLOURS, GREY},
};

/// The quantiles named on the axis; the last one is the highest drawn.
const TICKS: [f64; 5] = [0.0, 0.5, 0.9, 0.99, 0.999];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Writes the picture: latency by quantile on the left, rates beside raw ONNX Runtime on the right.
pub(super) fn draw(report: &Report, path: &Path) -> Result<(), String> {
    let failed = |cause: String| format!("--plot {}: {cause}", path.display());
    let points: Vec<&Point> =
        report.points.iter().filter(|point| point.total(|one| one.answers) > 0).collect();
    if points.is_empty() {
        return Err(failed("no request was answered, so there is nothing to draw".to_owned()));
    }
    let root = SVGBackend::new(path, (1080, 460)).into_drawing_area();
    root.fill(&WHITE).map_err(|e| failed(e.to_string()))?;
    let (left, right) = root.split_horizontally(600);
    latency(&left, report, &points).map_err(failed)?;
    rates(&right, &points).map_err(failed)?;
    root.present().map_err(|e| failed(e.to_string()))
}

/// Where a quantile stands on the axis: each further nine is as wide as the one before.
fn nines(quantile: f64) -> f64 {
    -(1.0 - quantile.min(TICKS[TICKS.len() - 1])).log10()
}

fn latency(area: &Area<'_>, report: &Report, points: &[&Point]) -> Result<(), String> {
    let told = |e: &dyn std::fmt::Display| e.to_string();
    let curves: Vec<Vec<(f64, f64)>> = points.iter().map(|point| point.curve()).collect();
    let all = || curves.iter().flatten().filter(|(q, _)| *q <= 0.999).map(|(_, ms)| *ms);
    let (least, most) = (all().fold(f64::MAX, f64::min), all().fold(0.0, f64::max));
    let highest = nines(1.0);
    let model = format!("{}/{}", report.server.model, report.server.model_version);
    let mut chart = ChartBuilder::on(area)
        .caption(
            format!("Latency of {model}, {} candidates", report.candidates),
            ("sans-serif", 16),
        )
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(58)
        .build_cartesian_2d(
            0.0..highest,
            (least * 0.8..above(least, most, points.len())).log_scale(),
        )
        .map_err(|e| told(&e))?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(0)
        .light_line_style(WHITE)
        .bold_line_style(GREY.mix(0.5))
        .y_desc("milliseconds (log)")
        .y_label_formatter(&|ms| if *ms < 10.0 { format!("{ms:.1}") } else { format!("{ms:.0}") })
        .label_style(("sans-serif", 12))
        .draw()
        .map_err(|e| told(&e))?;
    for (place, (point, curve)) in points.iter().zip(&curves).enumerate() {
        let style = ShapeStyle::from(&COLOURS[place % COLOURS.len()]).stroke_width(2);
        let line = curve.iter().filter(|(q, _)| *q <= 0.999).map(|&(q, ms)| (nines(q), ms));
        chart
            .draw_series(LineSeries::new(line, style))
            .map_err(|e| told(&e))?
            .label(point.load.clone())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .border_style(GREY)
        .background_style(WHITE.mix(0.9))
        .label_font(("sans-serif", 12))
        .draw()
        .map_err(|e| told(&e))?;
    quantile_ticks(area, &chart)
}

/// The top of the latency axis, which leaves the legend's lines room above all curves.
fn above(least: f64, most: f64, lines: usize) -> f64 {
    let room = ((lines as f64 * 15.0 + 24.0) / 370.0).min(0.7);
    most * 1.1 * (most / least).max(2.0).powf(room / (1.0 - room))
}

/// Names the quantiles below the axis, where plotters would write their logarithms.
fn quantile_ticks<Y: plotters::coord::ranged1d::Ranged<ValueType = f64>>(
    area: &Area<'_>,
    chart: &plotters::chart::ChartContext<
        '_,
        SVGBackend<'_>,
        plotters::coord::cartesian::Cartesian2d<plotters::coord::types::RangedCoordf64, Y>,
    >,
) -> Result<(), String> {
    let (base_x, base_y) = area.get_base_pixel();
    let (columns, rows) = chart.plotting_area().get_pixel_range();
    let (left, width, bottom) = (columns.start, f64::from(columns.end - columns.start), rows.end);
    for quantile in TICKS {
        let at = left + (nines(quantile) / nines(1.0) * width) as i32 - base_x;
        let name =
            if quantile == 0.0 { "least".to_owned() } else { format!("p{}", percent(quantile)) };
        let label = Text::new(name, (at - 14, bottom - base_y + 8), ("sans-serif", 12).into_font());
        area.draw(&label).map_err(|e| e.to_string())?;
        let tick = [(at, bottom - base_y), (at, bottom - base_y + 5)];
        area.draw(&PathElement::new(tick, GREY)).map_err(|e| e.to_string())?;
    }
    Ok(())
}

fn percent(quantile: f64) -> String {
    let text = format!("{:.1}", quantile * 100.0);
    text.trim_end_matches(".0").to_owned()
}

/// Bars drawn by hand: answers a second with their range, and raw ONNX Runtime's behind them.
fn rates(area: &Area<'_>, points: &[&Point]) -> Result<(), String> {
    let told = |e: &dyn std::fmt::Display| e.to_string();
    let figure = |point: &Point, name| point.figure(name).map(|spread| (spread.median, spread));
    // A lone caller can keep one session busy, so it is drawn before one session.
    let raw = |point: &Point| {
        let single = point.figure("raw_single_per_s");
        single.or(point.figure("raw_best_per_s")).map(|spread| spread.median)
    };
    let reach = |point: &&Point| {
        let answers = figure(point, "answers_per_s").map_or(0.0, |(_, spread)| spread.max);
        answers.max(raw(point).unwrap_or(0.0))
    };
    let most = points.iter().map(reach).fold(1.0, f64::max) * 1.12;
    let (width, height) = area.dim_in_pixel();
    let (left, top, bottom) = (12_i32, 44_i32, height as i32 - 54);
    let y_of = |rate: f64| bottom - ((bottom - top) as f64 * rate / most) as i32;
    let text = |words: String, at: (i32, i32), size: i32| {
        area.draw(&Text::new(words, at, ("sans-serif", size).into_font())).map_err(|e| told(&e))
    };
    text("Answers a second (grey: the best raw ONNX Runtime)".to_owned(), (left + 20, 12), 16)?;
    area.draw(&PathElement::new([(left, bottom), (width as i32 - 12, bottom)], GREY))
        .map_err(|e| told(&e))?;
    let slot = (width as i32 - 24 - left) / points.len() as i32;
    for (place, point) in points.iter().enumerate() {
        let x = left + place as i32 * slot;
        let bar = |from: i32, to: i32, rate: f64, colour: RGBColor| {
            let corners = [(x + from, y_of(rate)), (x + to, bottom)];
            area.draw(&Rectangle::new(corners, colour.filled())).map_err(|e| told(&e))
        };
        if let Some(raw) = raw(point) {
            bar(slot / 8, slot * 7 / 8, raw, GREY)?;
        }
        if let Some((median, spread)) = figure(point, "answers_per_s") {
            bar(slot / 4, slot * 3 / 4, median, COLOURS[place % COLOURS.len()])?;
            let middle = x + slot / 2;
            let range = [(middle, y_of(spread.min)), (middle, y_of(spread.max))];
            area.draw(&PathElement::new(range, COLOURS[7])).map_err(|e| told(&e))?;
            let share = raw(point)
                .map_or_else(String::new, |raw| format!(" = {:.0}%", median / raw * 100.0));
            let at = (x + slot / 8, y_of(reach(point)) - 16);
            text(format!("{median:.0}{share}"), at, 12)?;
        }
        let mut words = point.load.splitn(2, ' ');
        for line in 0..2 {
            let word = words.next().unwrap_or_default().to_owned();
            text(word, (x + slot / 8, bottom + 8 + 15 * line), 12)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_named_and_stand_a_nine_apart() {
        assert_eq!([0.5, 0.9, 0.999].map(percent), ["50", "90", "99.9"]);
        assert!((nines(0.99) - nines(0.9) - 1.0).abs() < 1e-9);
        assert!(nines(1.0).is_finite());
    }
}
