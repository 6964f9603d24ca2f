//! Curves of power against size, as SVG.

mod lines;
mod ranking;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint};
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::failure::{Failure, Result};

pub(crate) use lines::Lines;
pub(crate) use ranking::{Ranked, Ranking, Shade};

/// What is drawn.
pub(crate) struct Plot {
    pub(crate) title: String,
    /// What the sizes count, such as `scored units`.
    pub(crate) unit: &'static str,
    /// In the order of the legend, at most six.
    pub(crate) curves: Vec<Curve>,
    /// Title of the legend.
    pub(crate) legend: &'static str,
    /// The power that is asked for.
    pub(crate) target: f64,
    /// The size at which it is reached.
    pub(crate) answer: f64,
    /// The answer in words.
    pub(crate) label: String,
    /// The sizes shown.
    pub(crate) range: (f64, f64),
}

/// Power at growing sizes.
pub(crate) struct Curve {
    pub(crate) label: String,
    pub(crate) points: Vec<(f64, f64)>,
    /// Whether it is the one that was asked for.
    pub(crate) asked: bool,
}

const WIDTH: u32 = 1000;
const HEIGHT: u32 = 620;
/// Room at the right for the legend.
const LEGEND: u32 = 250;
const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(40, 40, 40);
const GRID: RGBColor = RGBColor(228, 228, 228);
/// Okabe and Ito's vermilion, for what was asked.
const ASKED: RGBColor = RGBColor(213, 94, 0);
/// Their other colours that are dark enough for a line; dashes tell them apart where colours do not. Dash and gap in pixels, 0 for none.
const OTHERS: [(RGBColor, u32, u32); 5] = [
    (RGBColor(0, 114, 178), 0, 0),
    (RGBColor(0, 158, 115), 12, 5),
    (RGBColor(204, 121, 167), 4, 4),
    (RGBColor(86, 180, 233), 20, 6),
    (RGBColor(120, 120, 120), 8, 3),
];

type Drawn = std::result::Result<(), Box<dyn std::error::Error>>;

/// What `draw` puts on a white page, as SVG.
fn svg(draw: impl FnOnce(&DrawingArea<SVGBackend<'_>, Shift>) -> Drawn) -> Result<String> {
    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
    root.fill(&WHITE)
        .map_err(Into::into)
        .and_then(|()| draw(&root))
        .map_err(|error: Box<dyn std::error::Error>| {
            Failure::new(format!("the plot could not be drawn: {error}"))
        })?;
    drop(root);
    Ok(svg)
}

impl Plot {
    /// Sizes for a curve: whole numbers, evenly spread on the logarithmic axis.
    pub(crate) fn sizes(range: (f64, f64)) -> Vec<f64> {
        const STEPS: u32 = 240;
        let (low, high) = (range.0.log10(), range.1.log10());
        let mut sizes: Vec<f64> = (0..=STEPS)
            .map(|step| low + (high - low) * f64::from(step) / f64::from(STEPS))
            .map(|decade| 10_f64.powf(decade).round())
            .collect();
        sizes.dedup();
        sizes
    }

    pub(crate) fn to_svg(&self) -> Result<String> {
        svg(|root| self.draw(root))
    }

    fn draw(&self, root: &DrawingArea<SVGBackend<'_>, Shift>) -> Drawn {
        let text = |size: i32| (FONT, size).into_font().color(&INK);
        root.draw(&Text::new(self.title.clone(), (24, 18), text(20)))?;
        let (panel, legend) = root
            .margin(50, 10, 10, 0)
            .split_horizontally(WIDTH - LEGEND);

        let (low, high) = (self.range.0.log10(), self.range.1.log10());
        let mut chart = ChartBuilder::on(&panel)
            .x_label_area_size(56)
            .y_label_area_size(64)
            .margin_right(20)
            .build_cartesian_2d(
                Axis::new(low, high, ticks(low, high)),
                Axis::new(0.0, 1.02, vec![0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
            )?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(INK)
            .label_style(text(15))
            .axis_desc_style(text(16))
            .x_desc(format!("{} (logarithmic scale)", self.unit))
            .y_desc("power: probability of success")
            .x_label_formatter(&|decade| short(10_f64.powf(*decade)))
            .y_label_formatter(&|power| format!("{power:.1}"))
            .draw()?;

        // The target and the answer, below the curves.
        let thin = ShapeStyle::from(&INK).stroke_width(1);
        let target = [(low, self.target), (high, self.target)];
        chart.draw_series(DashedLineSeries::new(target, 6, 4, thin))?;
        let answer = self.answer.log10();
        if answer > low && answer < high {
            let drop = [(answer, self.target), (answer, 0.0)];
            chart.draw_series(DashedLineSeries::new(drop, 6, 4, thin))?;
        }

        let mut others = OTHERS.iter().cycle();
        let mut styles = Vec::new();
        for curve in &self.curves {
            let style = match curve.asked {
                true => (ShapeStyle::from(&ASKED).stroke_width(4), 0, 0),
                false => {
                    let (color, dash, gap) = others.next().copied().unwrap_or(OTHERS[0]);
                    (ShapeStyle::from(&color).stroke_width(2), dash, gap)
                }
            };
            styles.push(style);
        }
        // What was asked for goes on top.
        let layers = [false, true];
        for layer in layers {
            for (curve, (style, dash, gap)) in self.curves.iter().zip(&styles) {
                if curve.asked != layer {
                    continue;
                }
                let points = curve
                    .points
                    .iter()
                    .map(|&(size, power)| (size.log10(), power));
                if *dash == 0 {
                    chart.draw_series(LineSeries::new(points, *style))?;
                } else {
                    chart.draw_series(DashedLineSeries::new(points, *dash, *gap, *style))?;
                }
            }
        }
        let above = Pos::new(HPos::Left, VPos::Bottom);
        chart.draw_series(std::iter::once(
            EmptyElement::at((low, self.target))
                + Text::new(
                    format!("power {}", self.target),
                    (8, -4),
                    text(15).pos(above),
                ),
        ))?;
        if answer > low && answer < high {
            let dot = ShapeStyle::from(&ASKED).filled();
            chart.draw_series(std::iter::once(Circle::new((answer, self.target), 6, dot)))?;
        }

        legend.draw(&Text::new(self.legend, (0, 4), text(15)))?;
        for (row, (curve, (style, dash, gap))) in (0..).zip(self.curves.iter().zip(&styles)) {
            let y = 38 + 26 * row;
            let line = [(0, y), (40, y)];
            if *dash == 0 {
                legend.draw(&PathElement::new(line, *style))?;
            } else {
                legend.draw(&DashedPathElement::new(line, *dash, *gap, *style))?;
            }
            let label = text(15).pos(Pos::new(HPos::Left, VPos::Center));
            legend.draw(&Text::new(curve.label.clone(), (50, y), label))?;
        }
        // The answer in words stands here, where no curve crosses it.
        let y = (44..)
            .step_by(26)
            .nth(self.curves.len() + 1)
            .unwrap_or_default();
        let dot = ShapeStyle::from(&ASKED).filled();
        legend.draw(&Circle::new((20, y), 6, dot))?;
        let label = text(15).pos(Pos::new(HPos::Left, VPos::Center));
        legend.draw(&Text::new(self.label.clone(), (50, y), label))?;
        root.present()?;
        Ok(())
    }
}

/// Decades, or decades with 2 and 5 between where fewer than three are shown.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let steps: &[f64] = if high - low < 2.5 {
        &[1.0, 2.0, 5.0]
    } else {
        &[1.0]
    };
    (0..30)
        .flat_map(|decade| {
            steps
                .iter()
                .map(move |step| f64::from(decade) + step.log10())
        })
        .filter(|tick| (low..=high).contains(tick))
        .collect()
}

/// A round number in few characters.
fn short(size: f64) -> String {
    let size = size.round();
    if size < 1e3 {
        format!("{size}")
    } else if size < 1e6 {
        format!("{},{:03}", (size / 1e3).floor(), size % 1e3)
    } else {
        format!("{size:.0e}")
    }
}

/// A linear axis whose labels stand exactly where they are wanted.
struct Axis {
    low: f64,
    high: f64,
    ticks: Vec<f64>,
}

impl Axis {
    fn new(low: f64, high: f64, ticks: Vec<f64>) -> Self {
        Self { low, high, ticks }
    }
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (start, end): (i32, i32)) -> i32 {
        let share = (value - self.low) / (self.high - self.low);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a pixel, and a cast saturates"
        )]
        {
            (f64::from(start) + share * f64::from(end - start)).round() as i32
        }
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.low..self.high
    }
}
