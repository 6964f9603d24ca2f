//! Lines over two plain axes.

use plotters::coord::Shift;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Drawn, FONT, GRID, INK, LEGEND, OTHERS, WIDTH, svg};
use crate::failure::Result;

/// A chart of lines, at most six.
pub(crate) struct Lines {
    pub(crate) title: String,
    pub(crate) x: &'static str,
    pub(crate) y: &'static str,
    /// Ranges of both axes.
    pub(crate) ranges: [(f64, f64); 2],
    pub(crate) lines: Vec<(String, Vec<(f64, f64)>)>,
    /// A line that shows where nothing is.
    pub(crate) nothing: [(f64, f64); 2],
    /// Whether the points of the lines are measurements, to be seen one by one.
    pub(crate) dots: bool,
}

impl Lines {
    pub(crate) fn to_svg(&self) -> Result<String> {
        svg(|root| self.draw(root))
    }

    fn draw(&self, root: &DrawingArea<SVGBackend<'_>, Shift>) -> Drawn {
        let text = |size: i32| (FONT, size).into_font().color(&INK);
        root.draw(&Text::new(self.title.clone(), (24, 18), text(20)))?;
        let (panel, legend) = root
            .margin(50, 10, 10, 0)
            .split_horizontally(WIDTH - LEGEND);
        let [x, y] = self.ranges;
        let mut chart = ChartBuilder::on(&panel)
            .x_label_area_size(56)
            .y_label_area_size(64)
            .margin_right(20)
            .build_cartesian_2d(x.0..x.1, y.0..y.1)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(INK)
            .label_style(text(15))
            .axis_desc_style(text(16))
            .x_desc(self.x)
            .y_desc(self.y)
            .draw()?;
        let thin = ShapeStyle::from(&INK).stroke_width(1);
        chart.draw_series(DashedLineSeries::new(self.nothing, 6, 4, thin))?;
        for (row, ((label, points), (color, dash, gap))) in
            (0..).zip(self.lines.iter().zip(OTHERS.iter().cycle()))
        {
            let style = ShapeStyle::from(color).stroke_width(3);
            let line = [(0, 12 + 26 * row), (40, 12 + 26 * row)];
            if *dash == 0 {
                chart.draw_series(LineSeries::new(points.iter().copied(), style))?;
                legend.draw(&PathElement::new(line, style))?;
            } else {
                chart.draw_series(DashedLineSeries::new(
                    points.iter().copied(),
                    *dash,
                    *gap,
                    style,
                ))?;
                legend.draw(&DashedPathElement::new(line, *dash, *gap, style))?;
            }
            if self.dots {
                let dot =
                    |point: &(f64, f64)| Circle::new(*point, 5, ShapeStyle::from(color).filled());
                chart.draw_series(points.iter().map(dot))?;
            }
            let place = text(15).pos(Pos::new(HPos::Left, VPos::Center));
            legend.draw(&Text::new(label.clone(), (50, 12 + 26 * row), place))?;
        }
        root.present()?;
        Ok(())
    }
}
