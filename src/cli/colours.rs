//! The colours of plots.

use plotters::style::RGBColor;

/// Colours that people with any sight of colour tell apart.
pub(super) const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(120, 120, 120),
    RGBColor(0, 0, 0),
];

/// Lines that stand back.
pub(super) const GREY: RGBColor = RGBColor(190, 190, 190);
