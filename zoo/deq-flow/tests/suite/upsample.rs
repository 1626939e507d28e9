//! Convex upsampling.

use crate::common::{close, noise, tensor, values};
use deq_flow::convex_upsample;

const SIZE: [usize; 2] = [3, 4];
const PIXELS: usize = 12;

#[test]
fn constant_flow_stays_constant_and_grows_eightfold() {
    for device in deq::devices::all() {
        let mut flow = vec![1.5; PIXELS];
        flow.extend(vec![-0.25; PIXELS]);
        let flow = tensor(flow, [1, 2, 3, 4], &device);
        let mask = tensor(noise(576 * PIXELS, 1), [1, 576, 3, 4], &device);
        let fine = convex_upsample(flow, mask);
        assert_eq!(fine.dims(), [1, 2, 24, 32]);
        // At the border neighbours beyond it are zero, as in the reference.
        let inside = fine.clone().narrow(2, 8, 8).narrow(3, 8, 16);
        let inside = values(inside);
        close(&inside[..128], &[12.0; 128], 1e-4);
        close(&inside[128..], &[-2.0; 128], 1e-4);
        let corner = values(fine)[0];
        assert!(corner > 0.0 && corner < 12.0, "{corner}");
    }
}

#[test]
fn each_fine_pixel_takes_the_neighbour_its_weights_choose() {
    let [height, width] = SIZE;
    for device in deq::devices::all() {
        let coarse: Vec<f32> = (0..2 * 2 * PIXELS).map(|i| i as f32).collect();
        let flow = tensor(coarse.clone(), [2, 2, 3, 4], &device);
        // Fine pixel (i, j) of every coarse one chooses neighbour (i + 2 j) % 9.
        let mut mask = vec![0.0; 2 * 576 * PIXELS];
        for (index, value) in mask.iter_mut().enumerate() {
            let channel = index / PIXELS % 576;
            let (neighbour, i, j) = (channel / 64, channel / 8 % 8, channel % 8);
            *value = if neighbour == (i + 2 * j) % 9 {
                100.0
            } else {
                0.0
            };
        }
        let fine = values(convex_upsample(flow, tensor(mask, [2, 576, 3, 4], &device)));
        for (index, found) in fine.into_iter().enumerate() {
            let (plane, y, x) = (index / (64 * PIXELS), index / 32 % 24, index % 32);
            let chosen = (y % 8 + 2 * (x % 8)) % 9;
            let row = (y / 8 + chosen / 3) as i64 - 1;
            let column = (x / 8 + chosen % 3) as i64 - 1;
            let inside = (0..height as i64).contains(&row) && (0..width as i64).contains(&column);
            let expected = if inside {
                8.0 * coarse[plane * PIXELS + row as usize * width + column as usize]
            } else {
                0.0
            };
            assert!(
                (found - expected).abs() < 1e-3,
                "{index}: {found} {expected}"
            );
        }
    }
}
