//! Sequences: an equilibrium as the start of the next solve.

use crate::common::{close, frames, small, tensor, values};
use burn::module::Param;
use burn::nn::conv::Conv2d;
use burn::tensor::{Device, Tensor, TensorData};
use deq::prelude::*;
use deq_flow::{DeqFlow, FlowConfig, FlowError, FlowState, WarmStart, forward_interpolate};

/// Where the matcher below settles, in coarse pixels.
const GOAL: [f32; 2] = [1.5, -0.75];

/// All weights zero but these.
fn set(conv: &mut Conv2d, weights: &[([usize; 4], f32)], bias: &[f32], device: &Device) {
    let shape = conv.weight.dims();
    let [_, inputs, height, width] = shape;
    let mut values = vec![0.0f32; shape.iter().product()];
    for &([o, i, y, x], value) in weights {
        values[((o * inputs + i) * height + y) * width + x] = value;
    }
    conv.weight = Param::from_data(TensorData::new(values, shape), device);
    let bias = TensorData::new(bias.to_vec(), [bias.len()]);
    conv.bias = Some(Param::from_data(bias, device));
}

/// A matcher that pulls the flow towards [`GOAL`]: its hidden state is tanh((flow − goal) / 2), and
/// it corrects the flow by minus that. The map contracts by a half near its fixed point.
fn matcher(device: &Device) -> DeqFlow {
    matcher_of(device, 0.0)
}

/// The same with the goal moved by the context of the first frame, times `gain`.
fn matcher_of(device: &Device, gain: f32) -> DeqFlow {
    let config = FlowConfig {
        hidden_dim: 2,
        context_dim: 2,
        flow_head_dim: 4,
        weight_norm: None,
        deq: DeqConfig::default(),
        ..small()
    };
    let mut model = config.init(device, 0).expect("a valid model");
    // The unit reads [hidden (2); context (2); motion features (6), the last two the flow].
    let (x, y) = (8, 9);
    let gru = &mut model.update_block.gru;
    set(&mut gru.convz1, &[], &[20.0; 2], device);
    set(&mut gru.convr1, &[], &[0.0; 2], device);
    let bias = GOAL.map(|goal| -0.5 * goal);
    let weights = [
        ([0, x, 0, 2], 0.5),
        ([1, y, 0, 2], 0.5),
        ([0, 2, 0, 2], -0.5 * gain),
        ([1, 3, 0, 2], -0.5 * gain),
    ];
    set(&mut gru.convq1, &weights, &bias, device);
    set(&mut gru.convz2, &[], &[-20.0; 2], device);
    let head = &mut model.update_block.flow_head;
    let signs = [
        ([0, 0, 1, 1], 1.0),
        ([1, 0, 1, 1], -1.0),
        ([2, 1, 1, 1], 1.0),
        ([3, 1, 1, 1], -1.0),
    ];
    set(&mut head.conv1, &signs, &[0.0; 4], device);
    let signs = [
        ([0, 0, 1, 1], -1.0),
        ([0, 1, 1, 1], 1.0),
        ([1, 2, 1, 1], -1.0),
        ([1, 3, 1, 1], 1.0),
    ];
    set(&mut head.conv2, &signs, &[0.0; 2], device);
    model
}

#[test]
fn a_warm_start_takes_fewer_steps_on_a_static_pair() {
    for device in deq::devices::all() {
        let model = matcher(&device);
        let [first, _] = frames(2, [24, 32], 0.0, &device);
        let solve = |start: Option<&FlowState>| {
            let output = model.forward(first.clone(), first.clone(), start);
            let output = output.expect("a valid call");
            assert!(output.stats.all_converged(), "{:?}", output.stats);
            output
        };
        let cold = solve(None);
        assert!(cold.stats.steps >= 8, "{:?}", cold.stats);
        // Inside, where no neighbour is beyond the border, upsampling keeps what is constant.
        let inside = cold.last().clone().narrow(2, 8, 8).narrow(3, 8, 16);
        let [x, y] = [0, 1].map(|axis| values(inside.clone().narrow(1, axis, 1)));
        close(&x, &[8.0 * GOAL[0]; 256], 0.02);
        close(&y, &[8.0 * GOAL[1]; 256], 0.02);
        for how in [WarmStart::Reuse, WarmStart::Forward, WarmStart::FlowOnly] {
            let start = how.next(&cold.equilibrium());
            let warm = solve(Some(&start));
            let (warm, cold) = (warm.stats.steps, cold.stats.steps);
            assert!(2 * warm <= cold, "{how:?}: {warm} and {cold}");
        }
    }
}

#[test]
fn a_warm_start_saves_a_third_of_the_steps_on_a_sequence() {
    for device in deq::devices::all() {
        let model = matcher_of(&device, 1.0);
        let film: Vec<Tensor<4>> = (0..24)
            .map(|frame| {
                let [_, moved] = frames(1, [24, 32], 0.02 * f64::from(frame), &device);
                moved
            })
            .collect();
        // All pairs from no motion in one batch: each sample ends as it would alone.
        let [first, second] = [0, 1].map(|from| Tensor::cat(film[from..from + 23].to_vec(), 0));
        let cold = model.forward(first, second, None).expect("a valid call");
        assert!(cold.stats.all_converged(), "{:?}", cold.stats);
        let cold_steps: usize = cold.stats.best_steps.iter().sum();
        let cold_flow = cold.equilibrium().flow;
        let flow_of = |pair: usize| values(cold_flow.clone().narrow(0, pair, 1));

        let (mut start, mut warm_steps) = (None, 0);
        for (index, pair) in film.windows(2).enumerate() {
            let warm = model.forward(pair[0].clone(), pair[1].clone(), start.as_ref());
            let warm = warm.expect("a valid call");
            assert!(warm.stats.all_converged(), "{:?}", warm.stats);
            warm_steps += warm.stats.steps;
            let state = warm.equilibrium();
            close(&values(state.flow.clone()), &flow_of(index), 0.01);
            start = Some(WarmStart::Reuse.next(&state));
        }
        // What is solved for moves with the frames.
        let ends = flow_of(0).into_iter().zip(flow_of(22));
        let moved = ends.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(moved > 0.02, "{moved}");
        assert!(
            3 * warm_steps <= 2 * cold_steps,
            "{warm_steps} and {cold_steps}"
        );
    }
}

#[test]
fn each_way_moves_what_it_says() {
    for device in deq::devices::all() {
        // One pixel of four in a row moves two to the right; the others are at rest.
        let flow = vec![2.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.5, 0.5];
        let state = FlowState {
            hidden: tensor(vec![1.0, 2.0, 3.0, 4.0], [1, 1, 1, 4], &device),
            flow: tensor(flow.clone(), [1, 2, 1, 4], &device),
        };
        let parts = |how: WarmStart| {
            let next = how.next(&state);
            (values(next.hidden), values(next.flow))
        };
        let (hidden, reused) = parts(WarmStart::Reuse);
        assert_eq!((hidden, reused), (vec![1.0, 2.0, 3.0, 4.0], flow));
        let (hidden, carried) = parts(WarmStart::Forward);
        assert_eq!(hidden, [1.0, 2.0, 3.0, 4.0]);
        // Ends at x = 2, 1, 2 and 3; of the two at 2 the first counts.
        assert_eq!(carried, [0.0, 0.0, 2.0, 0.0, 0.5, 0.5, 0.5, 0.5]);
        let (hidden, again) = parts(WarmStart::FlowOnly);
        assert_eq!((hidden, again), (vec![0.0; 4], carried));
    }
}

/// The nearest end by trying all.
fn brute_force(flow: &[f32], [height, width]: [usize; 2]) -> Vec<f32> {
    let pixels = height * width;
    let mut carried = vec![0.0; 2 * pixels];
    for pixel in 0..pixels {
        let mut best = f64::INFINITY;
        for source in 0..pixels {
            let x = (source % width) as f64 + f64::from(flow[source]);
            let y = (source / width) as f64 + f64::from(flow[pixels + source]);
            if x <= 0.0 || x >= width as f64 || y <= 0.0 || y >= height as f64 {
                continue;
            }
            let distance = (x - (pixel % width) as f64).hypot(y - (pixel / width) as f64);
            if distance < best {
                best = distance;
                carried[pixel] = flow[source];
                carried[pixels + pixel] = flow[pixels + source];
            }
        }
    }
    carried
}

#[test]
fn forward_interpolation_finds_the_nearest_end() {
    let size = [9, 13];
    for (seed, scale) in [(1, 0.4f32), (2, 3.0), (3, 9.0), (4, 40.0)] {
        let flow: Vec<f32> = crate::common::noise(2 * 9 * 13, seed)
            .into_iter()
            .map(|value| scale * value)
            .collect();
        assert_eq!(forward_interpolate(&flow, size), brute_force(&flow, size));
    }
    // All vectors leave the frame, or lead nowhere.
    assert_eq!(forward_interpolate(&[99.0; 8], [2, 2]), [0.0; 8]);
    assert_eq!(forward_interpolate(&[f32::NAN; 8], [2, 2]), [0.0; 8]);
}

#[test]
fn a_start_of_another_size_is_refused() {
    for device in deq::devices::all() {
        let model = matcher(&device);
        let [first, second] = frames(1, [24, 32], 1.0, &device);
        let state = |shape: [usize; 4], hidden: usize| {
            FlowState::from_flow(Tensor::zeros(shape, &device), hidden)
        };
        // Another size, as after a change of sequence; another batch; another model.
        for start in [
            state([1, 2, 3, 3], 2),
            state([2, 2, 3, 4], 2),
            state([1, 2, 3, 4], 5),
        ] {
            let refused = model.forward(first.clone(), second.clone(), Some(&start));
            assert!(matches!(refused, Err(FlowError::Shape { .. })));
        }
        let fits = state([1, 2, 3, 4], 2);
        assert!(model.forward(first, second, Some(&fits)).is_ok());
    }
}
