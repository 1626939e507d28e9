use rand::Rng;

use super::SyntheticFlow;
use super::motion::{Motion, Origin, Point};
use super::shape::Shape;
use super::texture::Texture;
use crate::flow::FlowField;
use crate::flow::random::between;
use crate::{DataError, Image};

/// Textured layers in motion.
pub(super) struct Scene {
    width: usize,
    height: usize,
    /// From front to back; the last one is the background.
    layers: Vec<Layer>,
}

struct Layer {
    /// None covers the whole plane.
    shape: Option<Shape>,
    texture: Texture,
    motion: Motion,
}

impl Layer {
    /// The distance of a material point to the outline, negative inside.
    fn distance(&self, p: Point) -> f64 {
        let shape = self.shape.as_ref();
        shape.map_or(f64::NEG_INFINITY, |shape| shape.distance(p))
    }
}

impl Scene {
    /// A random scene, to be seen at times within ± `reach`.
    pub(super) fn draw<R: Rng + ?Sized>(config: &SyntheticFlow, rng: &mut R, reach: f64) -> Self {
        let sides = [config.width as f64, config.height as f64];
        let speed = config.max_displacement;
        let mut layers: Vec<Layer> = (0..config.shapes)
            .map(|_| {
                let radius = between(rng, 0.1, 0.3) * sides[0].min(sides[1]);
                let centre = sides.map(|side| between(rng, 0.0, side));
                Layer {
                    shape: Some(Shape::draw(rng, centre, radius)),
                    texture: Texture::draw(rng, config.grain),
                    motion: Motion::draw(rng, centre, [radius, speed, reach]),
                }
            })
            .collect();
        let centre = sides.map(|side| side / 2.0);
        layers.push(Layer {
            shape: None,
            texture: Texture::draw(rng, config.grain),
            motion: Motion::draw(rng, centre, [centre[0].hypot(centre[1]), speed, reach]),
        });
        Self {
            width: config.width,
            height: config.height,
            layers,
        }
    }

    /// The frame at a time. Outlines are soft over a pixel.
    pub(super) fn render(&self, time: f64) -> Result<Image, DataError> {
        let origins = self.origins(time);
        let mut pixels = Vec::with_capacity(self.width * self.height * 3);
        for place in self.places() {
            let mut color = [0.0; 3];
            // How much of the pixel no layer in front covers.
            let mut open = 1.0;
            for (layer, origin) in self.layers.iter().zip(&origins) {
                let p = origin.of(place);
                let part = open * (0.5 - layer.distance(p)).clamp(0.0, 1.0);
                if part > 0.0 {
                    for (sum, value) in color.iter_mut().zip(layer.texture.at(p)) {
                        *sum += part * value;
                    }
                    open -= part;
                }
                if open <= 0.0 {
                    break;
                }
            }
            pixels.extend(color.map(|value| value as f32));
        }
        Image::new(self.width, self.height, 3, pixels)
    }

    /// The flow of every pixel from one time to another, and which pixels are not seen then.
    pub(super) fn flow(&self, from: f64, to: f64) -> Result<(FlowField, Vec<bool>), DataError> {
        let (origins, targets) = (self.origins(from), self.origins(to));
        let [right, bottom] = [self.width - 1, self.height - 1].map(|side| side as f64);
        let mut data = Vec::with_capacity(self.width * self.height * 2);
        let mut occluded = Vec::with_capacity(self.width * self.height);
        for place in self.places() {
            let (index, p) = self.front(&origins, place);
            let velocity = self.layers[index].motion.velocity(p);
            let flow = velocity.map(|component| (to - from) * component);
            let target = [place[0] + flow[0], place[1] + flow[1]];
            let is_inside =
                (0.0..=right).contains(&target[0]) && (0.0..=bottom).contains(&target[1]);
            let is_covered = self.layers[..index]
                .iter()
                .zip(&targets)
                .any(|(layer, origin)| layer.distance(origin.of(target)) <= 0.0);
            data.extend(flow.map(|component| component as f32));
            occluded.push(is_covered || !is_inside);
        }
        Ok((
            FlowField::new(self.width, self.height, data, None)?,
            occluded,
        ))
    }

    /// The layer that is seen at a place, and its material point there.
    fn front(&self, origins: &[Origin], place: Point) -> (usize, Point) {
        let last = self.layers.len() - 1;
        for (index, layer) in self.layers[..last].iter().enumerate() {
            let p = origins[index].of(place);
            if layer.distance(p) <= 0.0 {
                return (index, p);
            }
        }
        (last, origins[last].of(place))
    }

    fn origins(&self, time: f64) -> Vec<Origin> {
        let layers = self.layers.iter();
        layers.map(|layer| layer.motion.origin(time)).collect()
    }

    /// The middle of every pixel, row by row.
    fn places(&self) -> impl Iterator<Item = Point> {
        let width = self.width;
        (0..self.height)
            .flat_map(move |row| (0..width).map(move |column| [column as f64, row as f64]))
    }
}
