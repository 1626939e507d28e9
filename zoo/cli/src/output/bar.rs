use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::{Axis, Scale, short};
use super::plot::{Frame, PALETTE, Plot, sketch};

/// Horizontal bars, from top to bottom.
pub(crate) struct BarPlot {
    pub(crate) title: String,
    pub(crate) value_label: String,
    pub(crate) scale: Scale,
    pub(crate) bars: Vec<Bar>,
}

/// A value with its name at the left.
pub(crate) struct Bar {
    pub(crate) label: String,
    pub(crate) value: f64,
    /// Drawn as a whisker.
    pub(crate) range: Option<(f64, f64)>,
}

/// Letters of a label; what is longer is cut.
const LETTERS: usize = 24;
const ROW: u32 = 30;
/// For the axis, its labels and the margins.
const REST: u32 = 76;

impl BarPlot {
    /// Draws it, with each value beside its bar. A value that has no place on the axis has no bar.
    ///
    /// # Errors
    /// When the drawing cannot be made.
    pub(crate) fn draw(&self, name: &str) -> Result<Plot> {
        let ends = self.bars.iter().flat_map(|bar| {
            let (low, high) = bar.range.unwrap_or((bar.value, bar.value));
            [bar.value, low, high]
        });
        let values = Axis::from_base(self.scale, ends);
        let rows = Axis::rows(self.bars.len());
        let names: Vec<String> = self.bars.iter().map(|bar| cut(&bar.label)).collect();
        let frame = Frame {
            x: &values,
            y: &rows,
            x_label: &self.value_label,
            y_label: "",
        };
        let base = match self.scale {
            Scale::Linear => 0.0,
            Scale::Log => values.low(),
        };
        // So much of the width is left free for a number beside a bar that ends there.
        let reach = values.low() + 0.86 * (values.high() - values.low());
        let beside = TextStyle::from(("sans-serif", 16.0));
        let height = REST + ROW * self.bars.len().max(2) as u32;
        sketch(name, &self.title, &[], Some(height), |area| {
            let mut chart = frame.draw_named(area, &names)?;
            for (index, bar) in self.bars.iter().enumerate() {
                let Some(value) = self.scale.place(bar.value) else {
                    continue;
                };
                let middle = (self.bars.len() - index) as f64 - 0.5;
                let corners = [(base, middle - 0.3), (value, middle + 0.3)];
                let style = PALETTE[0].filled();
                chart.draw_series([Rectangle::new(corners, style)])?;
                let (mut start, mut end) = (value, value.max(base));
                let ends = bar.range.and_then(|(low, high)| {
                    Some((self.scale.place(low)?, self.scale.place(high)?))
                });
                if let Some((low, high)) = ends {
                    let tip = |place| vec![(place, middle - 0.15), (place, middle + 0.15)];
                    let lines = [vec![(low, middle), (high, middle)], tip(low), tip(high)];
                    let style = BLACK.stroke_width(2);
                    chart.draw_series(lines.map(|line| PathElement::new(line, style)))?;
                    (start, end) = (start.min(low), end.max(high));
                }
                // Beyond, or on the bar where the page would cut it off.
                let (place, side, shift, color) = match end > reach {
                    true => (start, HPos::Right, -6, &WHITE),
                    false => (end, HPos::Left, 6, &BLACK),
                };
                let style = beside.color(color).pos(Pos::new(side, VPos::Center));
                let text = Text::new(short(bar.value), (shift, 0), style);
                chart.draw_series([EmptyElement::at((place, middle)) + text])?;
            }
            Ok(())
        })
    }
}

fn cut(label: &str) -> String {
    match label.chars().count() > LETTERS {
        true => label.chars().take(LETTERS - 1).chain(['…']).collect(),
        false => label.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(scale: Scale, values: &[f64]) -> String {
        let bar = |(index, &value): (usize, &f64)| Bar {
            label: format!("bar {index}"),
            value,
            range: (index == 0).then_some((0.5 * value, 2.0 * value)),
        };
        let plot = BarPlot {
            title: "Time".to_owned(),
            value_label: "seconds".to_owned(),
            scale,
            bars: values.iter().enumerate().map(bar).collect(),
        };
        plot.draw("time").expect("a plot").svg
    }

    #[test]
    fn every_value_has_a_bar_and_a_number() {
        let svg = draw(Scale::Linear, &[2.0, 0.0, 3.5]);
        let bars = |svg: &str| svg.matches("fill=\"#4477AA\"").count();
        assert_eq!(bars(&svg), 3);
        for words in ["bar 0", "bar 1", "bar 2", "seconds", "3.5"] {
            assert!(svg.contains(words), "{words}");
        }
        // Neither zero nor NaN has a place on a logarithmic axis, but both have their label.
        let svg = draw(Scale::Log, &[2.0, 0.0, f64::NAN, 300.0]);
        assert_eq!(bars(&svg), 2);
        assert!(svg.contains("bar 1") && svg.contains("bar 2"));
        assert!(draw(Scale::Linear, &[]).contains("seconds"));
    }

    #[test]
    fn the_first_bar_is_at_the_top() {
        let svg = draw(Scale::Linear, &[1.0, 2.0]);
        let height = |label: &str| -> f64 {
            let (before, _) = svg.split_once(label).expect("a label");
            let (_, after) = before.rsplit_once(" y=\"").expect("its place");
            let (number, _) = after.split_once('"').expect("a number");
            number.parse().expect("a number")
        };
        assert!(height("bar 0") < height("bar 1"));
    }

    #[test]
    fn long_labels_are_cut() {
        assert_eq!(cut("short"), "short");
        let cut = cut("a label of many words that goes on and on");
        assert_eq!(cut.chars().count(), LETTERS);
        assert!(cut.ends_with('…'));
    }
}
