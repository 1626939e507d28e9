use rand::Rng;

use crate::flow::random::between;

pub(super) type Point = [f64; 2];

/// An affine motion: the material point p is at p + τ (B (p − c) + d) at time τ.
pub(super) struct Motion {
    centre: Point,
    /// B, row by row.
    linear: [Point; 2],
    /// d.
    shift: Point,
}

/// Takes a place at one time back to the material point that is there.
pub(super) struct Origin {
    centre: Point,
    /// Where the centre is.
    moved: Point,
    /// (I + τ B)⁻¹, row by row.
    inverse: [Point; 2],
}

impl Motion {
    /// A random motion: no point within `radius` of the centre is faster than `speed`, and
    /// I + τ B stays invertible for |τ| ≤ `reach`.
    pub(super) fn draw<R: Rng + ?Sized>(
        rng: &mut R,
        centre: Point,
        [radius, speed, reach]: [f64; 3],
    ) -> Self {
        let disc = |rng: &mut R, radius: f64| {
            let length = between(rng, 0.0, radius);
            let (sin, cos) = between(rng, 0.0, std::f64::consts::TAU).sin_cos();
            [length * cos, length * sin]
        };
        let shift = disc(rng, 0.75 * speed);
        // B's norm is |(scaling, turn)| + |(stretch, shear)|.
        let norm = (0.25 * speed / radius).min(0.5 / reach);
        let [scaling, turn] = disc(rng, norm / 2.0);
        let [stretch, shear] = disc(rng, norm / 2.0);
        Self {
            centre,
            linear: [
                [scaling + stretch, shear - turn],
                [shear + turn, scaling - stretch],
            ],
            shift,
        }
    }

    pub(super) fn velocity(&self, p: Point) -> Point {
        let [x, y] = [p[0] - self.centre[0], p[1] - self.centre[1]];
        [0, 1].map(|i| self.linear[i][0] * x + self.linear[i][1] * y + self.shift[i])
    }

    pub(super) fn origin(&self, time: f64) -> Origin {
        let [[a, b], [c, d]] = self.linear.map(|row| row.map(|value| time * value));
        let (a, d) = (1.0 + a, 1.0 + d);
        let determinant = a * d - b * c;
        Origin {
            centre: self.centre,
            moved: [0, 1].map(|i| self.centre[i] + time * self.shift[i]),
            inverse: [
                [d / determinant, -b / determinant],
                [-c / determinant, a / determinant],
            ],
        }
    }
}

impl Origin {
    pub(super) fn of(&self, place: Point) -> Point {
        let [x, y] = [place[0] - self.moved[0], place[1] - self.moved[1]];
        [0, 1].map(|i| self.centre[i] + self.inverse[i][0] * x + self.inverse[i][1] * y)
    }
}
