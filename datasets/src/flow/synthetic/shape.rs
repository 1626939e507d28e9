use rand::Rng;

use super::motion::Point;
use crate::flow::random::{between, chance, whole};

/// The outline of a layer.
pub(super) struct Shape {
    centre: Point,
    /// Every point of the shape is that near to the centre.
    radius: f64,
    outline: Outline,
}

enum Outline {
    Ellipse {
        /// Half axes.
        axes: Point,
        /// Sine and cosine of the first axis' angle.
        turn: (f64, f64),
    },
    /// Corners around the centre.
    Polygon(Vec<Point>),
}

impl Shape {
    /// An ellipse or a polygon of 3 to 8 corners, which need not be convex.
    pub(super) fn draw<R: Rng + ?Sized>(rng: &mut R, centre: Point, radius: f64) -> Self {
        let angle = between(rng, 0.0, std::f64::consts::TAU);
        let outline = if chance(rng, 0.5) {
            Outline::Ellipse {
                axes: [radius, radius * between(rng, 0.4, 1.0)],
                turn: angle.sin_cos(),
            }
        } else {
            let corners = whole(rng, 3, 8);
            let corner = |index: usize| {
                let part = index as f64 + between(rng, -0.3, 0.3);
                let angle = angle + std::f64::consts::TAU * part / corners as f64;
                let distance = radius * between(rng, 0.5, 1.0);
                [distance * angle.cos(), distance * angle.sin()]
            };
            Outline::Polygon((0..corners).map(corner).collect())
        };
        Self {
            centre,
            radius,
            outline,
        }
    }

    /// The distance of a point to the outline in pixels, negative inside; exact for polygons, to
    /// first order for ellipses.
    pub(super) fn distance(&self, point: Point) -> f64 {
        let p = [point[0] - self.centre[0], point[1] - self.centre[1]];
        let beyond = p[0].hypot(p[1]) - self.radius;
        if beyond > 2.0 {
            return beyond;
        }
        match &self.outline {
            Outline::Ellipse { axes, turn } => ellipse(p, *axes, *turn),
            Outline::Polygon(corners) => polygon(p, corners),
        }
    }
}

fn ellipse(p: Point, axes: Point, (sin, cos): (f64, f64)) -> f64 {
    let q = [cos * p[0] + sin * p[1], cos * p[1] - sin * p[0]];
    let level = (q[0] / axes[0]).hypot(q[1] / axes[1]);
    let slope = (q[0] / axes[0].powi(2)).hypot(q[1] / axes[1].powi(2));
    if slope > 0.0 {
        level * (level - 1.0) / slope
    } else {
        -axes[1]
    }
}

fn polygon(p: Point, corners: &[Point]) -> f64 {
    let mut nearest = f64::INFINITY;
    let mut inside = false;
    for (index, from) in corners.iter().enumerate() {
        let to = corners[(index + 1) % corners.len()];
        let edge = [to[0] - from[0], to[1] - from[1]];
        let away = [p[0] - from[0], p[1] - from[1]];
        let along = (away[0] * edge[0] + away[1] * edge[1]) / (edge[0].powi(2) + edge[1].powi(2));
        let along = along.clamp(0.0, 1.0);
        nearest = nearest.min((away[0] - along * edge[0]).hypot(away[1] - along * edge[1]));
        // A ray to the right crosses the outline an odd number of times from inside.
        if (from[1] > p[1]) != (to[1] > p[1]) {
            let crossing = from[0] + (p[1] - from[1]) * edge[0] / edge[1];
            inside ^= p[0] < crossing;
        }
    }
    if inside { -nearest } else { nearest }
}
