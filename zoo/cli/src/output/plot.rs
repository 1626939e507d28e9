//! What all plots share: their size, colours, legend and frame.

use std::error::Error;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::prelude::*;

use super::axis::{Axis, Places};
use super::grid::escape;

/// A drawn plot. The page shows its title beside it, so that the drawing has none.
#[derive(Clone, Debug)]
pub(crate) struct Plot {
    /// Its file, without the ending.
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) svg: String,
}

impl Plot {
    /// The plot with its title above it, for a file of its own.
    pub(crate) fn standalone(&self) -> String {
        let lines = wrap(&self.title, LETTERS);
        let above = 14 + LINE * lines.len() as i32;
        let height = self.height() + above as u32;
        let lines = lines.iter().enumerate().map(|(index, line)| {
            format!(
                "<text x=\"{MARGIN}\" y=\"{}\" font-family=\"sans-serif\" font-size=\"16\" fill=\"#000000\">{}</text>\n",
                LINE * (index as i32 + 1),
                escape(line)
            )
        });
        format!(
            "<svg width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" xmlns=\"http://www.w3.org/2000/svg\">\n\
             <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#FFFFFF\"/>\n\
             {}<svg y=\"{above}\" {}</svg>\n",
            lines.collect::<String>(),
            self.svg.strip_prefix("<svg ").unwrap_or(&self.svg),
        )
    }

    /// As the drawing says itself.
    fn height(&self) -> u32 {
        let after = self.svg.split_once("height=\"").map(|(_, after)| after);
        let number = after.and_then(|after| after.split_once('"'));
        number
            .and_then(|(number, _)| number.parse().ok())
            .unwrap_or(HEIGHT)
    }
}

pub(crate) type Drawn = Result<(), Box<dyn Error>>;

/// Where plots are drawn.
pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Places, Places>>;

/// Paul Tol's "bright" colours and two of his "vibrant" and "muted" ones, which colour-blind readers
/// can tell apart on light and on dark ground. Black comes last and follows the colour of the text
/// on a page.
pub(crate) const PALETTE: [RGBColor; 9] = [
    RGBColor(68, 119, 170),
    RGBColor(238, 102, 119),
    RGBColor(34, 136, 51),
    RGBColor(204, 187, 68),
    RGBColor(170, 51, 119),
    RGBColor(102, 204, 238),
    RGBColor(238, 119, 51),
    RGBColor(153, 153, 51),
    BLACK,
];

/// Small, so that text is still of a fair size where a phone shrinks the plot to its width.
const WIDTH: u32 = 560;
const HEIGHT: u32 = 350;
const MARGIN: i32 = 12;
/// Letters of a title that fit into the width.
const LETTERS: usize = 66;

/// plotters divides the size of a font by 1.24.
const FONT: (&str, f64) = ("sans-serif", 18.0);
/// About the width of a letter, in pixels.
const LETTER: f64 = 8.0;
const LINE: i32 = 22;
const KEY: i32 = 18;

/// Draws a plot: a legend of names and colours, and below it what `paint` draws. A legend of one
/// name says nothing that the title does not, and is left out.
pub(crate) fn sketch(
    name: &str,
    title: &str,
    legend: &[(&str, RGBColor)],
    height: Option<u32>,
    paint: impl FnOnce(&Area<'_>) -> Drawn,
) -> Result<Plot> {
    let legend = if legend.len() > 1 { legend } else { &[] };
    let places = places(legend);
    let above = places.last().map_or(0, |(_, y)| (y + LINE) as u32);
    let size = (WIDTH, height.unwrap_or(HEIGHT) + above);
    let mut svg = String::new();
    let drawn = || -> Drawn {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.fill(&WHITE)?;
        for ((name, color), (x, y)) in legend.iter().zip(places) {
            let middle = y + LINE / 2;
            let style = color.stroke_width(3);
            root.draw(&PathElement::new(
                vec![(x, middle), (x + KEY, middle)],
                style,
            ))?;
            root.draw(&Text::new((*name).to_owned(), (x + KEY + 6, y + 2), FONT))?;
        }
        let area = match above {
            0 => root.clone(),
            above => root.split_vertically(above).1,
        };
        paint(&area)?;
        root.present()?;
        Ok(())
    };
    let drawn = drawn();
    drawn.map_err(|error| anyhow!("cannot draw {name}: {error}"))?;
    Ok(Plot {
        name: name.to_owned(),
        title: title.to_owned(),
        svg,
    })
}

/// Where the entries of a legend stand, in as many lines as they need.
fn places(legend: &[(&str, RGBColor)]) -> Vec<(i32, i32)> {
    let (mut x, mut y) = (MARGIN, MARGIN / 2);
    let mut places = Vec::new();
    for (name, _) in legend {
        let width = KEY + 6 + (LETTER * name.chars().count() as f64) as i32 + 14;
        if x > MARGIN && x + width > WIDTH as i32 {
            (x, y) = (MARGIN, y + LINE);
        }
        places.push((x, y));
        x += width;
    }
    places
}

/// The axes of a chart.
pub(crate) struct Frame<'a> {
    pub(crate) x: &'a Axis,
    pub(crate) y: &'a Axis,
    pub(crate) x_label: &'a str,
    pub(crate) y_label: &'a str,
}

impl Frame<'_> {
    /// Draws the axes and hands out the chart between them, whose coordinates are places on them.
    pub(crate) fn draw<'b, 'c>(&self, area: &Area<'b>) -> Result<Chart<'c, 'b>, Box<dyn Error>> {
        let labels = self.y.labels();
        let longest = labels.iter().map(|label| label.chars().count()).max();
        let left = 40 + (LETTER * longest.unwrap_or(0) as f64) as u32;
        self.draw_with(area, left, None)
    }

    /// Like [`draw`](Self::draw) with names in place of the labels of the y axis: the first at the
    /// top, and so many places below it as there are others.
    pub(crate) fn draw_named<'b, 'c>(
        &self,
        area: &Area<'b>,
        names: &[String],
    ) -> Result<Chart<'c, 'b>, Box<dyn Error>> {
        let longest = names.iter().map(|name| name.chars().count()).max();
        let left = 22 + (LETTER * longest.unwrap_or(0) as f64) as u32;
        self.draw_with(area, left, Some(names))
    }

    fn draw_with<'b, 'c>(
        &self,
        area: &Area<'b>,
        left: u32,
        names: Option<&[String]>,
    ) -> Result<Chart<'c, 'b>, Box<dyn Error>> {
        let mut chart = ChartBuilder::on(area)
            .margin(MARGIN)
            .margin_right(2 * MARGIN)
            .x_label_area_size(48)
            .y_label_area_size(left)
            .build_cartesian_2d(self.x.range(), self.y.range())?;
        let x_label = |place: &f64| self.x.label(*place);
        let y_label = |place: &f64| match names {
            Some(names) => {
                let index = names.len() as f64 - 0.5 - *place;
                let name = names.get(index.round() as usize);
                name.cloned().unwrap_or_default()
            }
            None => self.y.label(*place),
        };
        {
            let mut mesh = chart.configure_mesh();
            mesh.x_desc(self.x_label)
                .label_style(FONT)
                .axis_desc_style(FONT)
                .light_line_style(TRANSPARENT)
                .bold_line_style(BLACK.mix(0.12))
                .set_all_tick_mark_size(4)
                .x_label_formatter(&x_label)
                .y_label_formatter(&y_label);
            if names.is_some() {
                mesh.disable_y_mesh();
            } else {
                mesh.y_desc(self.y_label);
            }
            mesh.draw()?;
        }
        Ok(chart)
    }
}

/// Text in lines of so many letters, broken between words; a longer word has a line of its own.
fn wrap(text: &str, letters: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= letters => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Scale;

    fn plot(legend: &[(&str, RGBColor)]) -> Plot {
        let axis = Axis::around(Scale::Linear, [0.0, 1.0]);
        let frame = Frame {
            x: &axis,
            y: &axis,
            x_label: "step",
            y_label: "loss",
        };
        let drawn = sketch("loss", "Loss & more", legend, None, |area| {
            frame.draw(area)?;
            Ok(())
        });
        drawn.expect("a plot")
    }

    #[test]
    fn a_legend_of_several_names_makes_room_for_itself() {
        let one = plot(&[("only", PALETTE[0])]);
        assert_eq!(one.height(), HEIGHT);
        assert!(!one.svg.contains("only"));
        let two = plot(&[("first", PALETTE[0]), ("second", PALETTE[1])]);
        assert!(two.svg.contains("first") && two.svg.contains("second"));
        assert!(two.height() > HEIGHT && two.height() < HEIGHT + 40);
        let long = "a name that takes more than half of the width of a plot";
        let rows = plot(&[(long, PALETTE[0]), (long, PALETTE[1])]);
        assert_eq!(rows.height(), two.height() + LINE as u32);
    }

    #[test]
    fn a_plot_for_itself_has_its_title() {
        let plot = plot(&[]);
        assert!(!plot.svg.contains("Loss &amp; more"));
        let alone = plot.standalone();
        assert!(alone.contains("Loss &amp; more"));
        assert_eq!(alone.matches("<svg").count(), 2);
        assert_eq!(alone.matches("</svg>").count(), 2);
        let above = Plot { svg: alone, ..plot };
        assert_eq!(above.height(), HEIGHT + 36);
    }

    #[test]
    fn long_titles_are_wrapped() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("immeasurable", 3), ["immeasurable"]);
        assert!(wrap("", 3).is_empty());
    }
}
