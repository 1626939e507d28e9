use anyhow::Result;
use plotters::prelude::*;

use super::axis::{Axis, Scale};
use super::plot::{Frame, PALETTE, Plot, sketch};

/// Curves over a common axis.
pub(crate) struct LinePlot {
    pub(crate) title: String,
    pub(crate) x_label: String,
    pub(crate) y_label: String,
    pub(crate) x_scale: Scale,
    pub(crate) y_scale: Scale,
    pub(crate) series: Vec<Series>,
}

/// A curve. One without a point keeps its colour, and is not in the legend.
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// Curves of up to this many points show them.
const MARKED: usize = 40;
/// Longer curves are drawn through the extremes of half as many pieces.
const DRAWN: usize = 1_200;

impl LinePlot {
    /// Draws it. Points that have no place on their axes are left out.
    ///
    /// # Errors
    /// When the drawing cannot be made.
    pub(crate) fn draw(&self, name: &str) -> Result<Plot> {
        let x_places = |x| self.x_scale.place(x);
        let y_places = |y| self.y_scale.place(y);
        let drawable = |series: &Series| -> Vec<(f64, f64)> {
            let points = series.points.iter();
            let points = points.filter(|(x, y)| x_places(*x).is_some() && y_places(*y).is_some());
            points.copied().collect()
        };
        let curves: Vec<Vec<(f64, f64)>> = self.series.iter().map(drawable).collect();
        let all = || curves.iter().flatten();
        let x = Axis::spanning(self.x_scale, all().map(|(x, _)| *x));
        let y = Axis::around(self.y_scale, all().map(|(_, y)| *y));
        let frame = Frame {
            x: &x,
            y: &y,
            x_label: &self.x_label,
            y_label: &self.y_label,
        };
        let colored = || {
            let curves = self.series.iter().zip(&curves);
            let curves = curves.zip(PALETTE.iter().cycle());
            curves.filter(|((_, curve), _)| !curve.is_empty())
        };
        let legend: Vec<(&str, RGBColor)> = colored()
            .map(|((series, _), color)| (series.name.as_str(), *color))
            .collect();
        sketch(name, &self.title, &legend, None, |area| {
            let mut chart = frame.draw(area)?;
            for ((_, curve), color) in colored() {
                let points: Vec<(f64, f64)> = curve
                    .iter()
                    .filter_map(|(x, y)| Some((x_places(*x)?, y_places(*y)?)))
                    .collect();
                let markers = if points.len() <= MARKED { 3 } else { 0 };
                let style = color.filled().stroke_width(2);
                let line = LineSeries::new(thinned(points), style);
                chart.draw_series(line.point_size(markers))?;
            }
            Ok(())
        })
    }
}

/// At most [`DRAWN`] points that look like all: the lowest and the highest of each piece.
fn thinned(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    if points.len() <= DRAWN {
        return points;
    }
    let length = points.len().div_ceil(DRAWN / 2);
    let extremes = points.chunks(length).flat_map(|piece| {
        let by_height = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let lowest = piece.iter().min_by(by_height).copied();
        let highest = piece.iter().max_by(by_height).copied();
        let mut two: Vec<(f64, f64)> = lowest.into_iter().chain(highest).collect();
        two.sort_by(|a, b| a.0.total_cmp(&b.0));
        two.dedup();
        two
    });
    extremes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, points: &[(f64, f64)]) -> Series {
        Series {
            name: name.to_owned(),
            points: points.to_vec(),
        }
    }

    fn plot(y_scale: Scale, series: Vec<Series>) -> Plot {
        let plot = LinePlot {
            title: "Residual".to_owned(),
            x_label: "step".to_owned(),
            y_label: "residual".to_owned(),
            x_scale: Scale::Linear,
            y_scale,
            series,
        };
        plot.draw("residual").expect("a plot")
    }

    #[test]
    fn what_has_no_place_is_left_out() {
        let points = [
            (1.0, 1e-3),
            (2.0, 0.0),
            (3.0, f64::NAN),
            (f64::INFINITY, 1.0),
            (5.0, 1e-1),
        ];
        let log = plot(Scale::Log, vec![series("a", &points)]);
        assert_eq!(log.svg.matches("<circle").count(), 2);
        let linear = plot(Scale::Linear, vec![series("a", &points)]);
        assert_eq!(linear.svg.matches("<circle").count(), 3);
        for words in ["<svg", "step", "residual", "</svg>"] {
            assert!(log.svg.contains(words), "{words}");
        }
    }

    #[test]
    fn empty_curves_keep_their_color_for_themselves() {
        let full = |name| series(name, &[(0.0, 1.0), (1.0, 2.0)]);
        let three = vec![full("first"), series("second", &[]), full("third")];
        let drawn = plot(Scale::Linear, three);
        assert!(drawn.svg.contains("first") && drawn.svg.contains("third"));
        assert!(!drawn.svg.contains("second"));
        assert!(drawn.svg.contains("#228833") && !drawn.svg.contains("#EE6677"));
        // Without any point there are still axes.
        assert!(plot(Scale::Log, Vec::new()).svg.contains("residual"));
    }

    #[test]
    fn long_curves_keep_their_extremes() {
        let mut points: Vec<(f64, f64)> = (0..100_000).map(|x| (f64::from(x), 0.0)).collect();
        points[4_321].1 = 7.0;
        points[77_777].1 = -7.0;
        let thin = thinned(points.clone());
        assert!(thin.len() <= DRAWN);
        assert!(thin.contains(&(4_321.0, 7.0)) && thin.contains(&(77_777.0, -7.0)));
        assert!(thin.is_sorted_by(|a, b| a.0 <= b.0));
        points.truncate(DRAWN);
        assert_eq!(thinned(points.clone()), points);
    }
}
