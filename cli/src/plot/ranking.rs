//! All accounts in the order of their p-values, as SVG.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::{ASKED, Axis, Drawn, FONT, GRID, INK, OTHERS, short, svg, ticks};
use crate::failure::Result;

/// What is drawn.
pub(crate) struct Ranking {
    pub(crate) title: String,
    /// In any order.
    pub(crate) points: Vec<Ranked>,
    /// Accounts that share alpha.
    pub(crate) family: f64,
    pub(crate) alpha: f64,
}

/// An account.
#[derive(Clone, Copy)]
pub(crate) struct Ranked {
    /// −log10 of its p-value.
    pub(crate) height: f64,
    pub(crate) shade: Shade,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shade {
    Named,
    Control,
    Other,
}

/// Every point of the first ranks is drawn; of later ones as many as can be told apart on a logarithmic axis.
const ALL: usize = 300;
const LATER: f64 = 150.0;

impl Ranking {
    pub(crate) fn to_svg(&self) -> Result<String> {
        svg(|root| self.draw(root))
    }

    /// Rank, the number of accounts in question up to it, and the point, smallest p-value first.
    fn ranked(&self) -> Vec<(f64, f64, Ranked)> {
        let mut points = self.points.clone();
        points.sort_by(|a, b| b.height.total_cmp(&a.height));
        let (mut rank, mut suspects) = (0.0, 0.0);
        points
            .into_iter()
            .map(|point| {
                rank += 1.0;
                if point.shade != Shade::Control {
                    suspects += 1.0;
                }
                (rank, suspects, point)
            })
            .collect()
    }

    fn draw(&self, root: &DrawingArea<SVGBackend<'_>, Shift>) -> Drawn {
        let text = |size: i32| (FONT, size).into_font().color(&INK);
        root.draw(&Text::new(self.title.clone(), (24, 18), text(20)))?;
        let panel = root.margin(50, 10, 10, 0);

        let ranked = self.ranked();
        let last = ranked.last().map_or(1.0, |(rank, ..)| *rank);
        let line = |suspects: f64| {
            let left = (self.family - suspects.max(1.0) + 1.0).max(1.0);
            (left / self.alpha).log10()
        };
        let most = ranked
            .first()
            .map_or(0.0, |(.., point)| point.height)
            .max(line(1.0))
            * 1.06;
        let (low, high) = (-0.02, last.max(10.0).log10() + 0.02);
        let step = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0]
            .into_iter()
            .find(|step| most / step <= 8.0)
            .unwrap_or(500.0);
        let heights = (0..=16)
            .map(|tick| f64::from(tick) * step)
            .filter(|tick| *tick <= most)
            .collect();
        let mut chart = ChartBuilder::on(&panel)
            .x_label_area_size(56)
            .y_label_area_size(64)
            .margin_right(24)
            .build_cartesian_2d(
                Axis::new(low, high, ticks(low, high)),
                Axis::new(-0.02 * most, most, heights),
            )?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(INK)
            .label_style(text(15))
            .axis_desc_style(text(16))
            .x_desc("accounts, smallest p-value first (logarithmic scale)")
            .y_desc("−log10 p")
            .x_label_formatter(&|decade| short(10_f64.powf(*decade)))
            .y_label_formatter(&|height| format!("{height}"))
            .draw()?;

        // Where uniform p-values would lie, and what it takes to be named.
        let thin = ShapeStyle::from(&INK).stroke_width(1);
        let steps = || (0..=200).map(|step| high * f64::from(step) / 200.0);
        let uniform = steps().map(|decade| (decade, (last.log10() - decade).max(0.0)));
        chart
            .draw_series(DashedLineSeries::new(
                uniform.collect::<Vec<_>>(),
                2,
                4,
                thin,
            ))?
            .label("uniform p-values")
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], thin));
        let asked = ShapeStyle::from(&ASKED).stroke_width(2);
        let holm = ranked
            .iter()
            .map(|(rank, suspects, _)| (rank.log10(), line(*suspects)));
        chart
            .draw_series(LineSeries::new(thinned(holm, |_| false), asked))?
            .label("named above this line (Holm)")
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], asked));

        for (shade, color, size, label) in [
            (Shade::Other, OTHERS[0].0, 3, "not named"),
            (Shade::Control, OTHERS[1].0, 4, "control"),
            (Shade::Named, ASKED, 5, "named"),
        ] {
            let points: Vec<(f64, f64)> = ranked
                .iter()
                .filter(|(.., point)| point.shade == shade)
                .map(|(rank, _, point)| (rank.log10(), point.height))
                .collect();
            if points.is_empty() {
                continue;
            }
            let style = match shade {
                Shade::Control => ShapeStyle::from(&color).stroke_width(2),
                _ => ShapeStyle::from(&color).filled(),
            };
            chart
                .draw_series(
                    thinned(points.into_iter(), |_| shade == Shade::Named)
                        .into_iter()
                        .map(|point| Circle::new(point, size, style)),
                )?
                .label(label)
                .legend(move |(x, y)| Circle::new((x + 10, y), size, style));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE)
            .border_style(GRID)
            .label_font(text(15))
            .draw()?;
        root.present()?;
        Ok(())
    }
}

/// As many points as an eye can tell apart, in their order.
fn thinned(
    points: impl Iterator<Item = (f64, f64)>,
    keep: impl Fn(&(f64, f64)) -> bool,
) -> Vec<(f64, f64)> {
    let mut kept: Vec<(f64, f64)> = Vec::new();
    for point in points {
        let apart = kept
            .last()
            .is_none_or(|before| (point.0 - before.0) * LATER >= 1.0);
        if kept.len() < ALL || apart || keep(&point) {
            kept.push(point);
        }
    }
    kept
}
