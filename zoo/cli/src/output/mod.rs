//! What commands write besides lines: tables, plots, pages and the files that hold them.

mod axis;
mod bar;
mod file;
mod grid;
mod line;
mod page;
mod plot;

pub(crate) use self::axis::{Axis, Scale};
pub(crate) use self::bar::{Bar, BarPlot};
pub(crate) use self::file::write;
pub(crate) use self::grid::Grid;
pub(crate) use self::line::{LinePlot, Series};
pub(crate) use self::page::Page;
pub(crate) use self::plot::{Area, Drawn, Frame, PALETTE, Plot, sketch};
