//! The memory of a correlation at 384×512, against the formula of `FlowConfig::correlation_bytes`.
//!
//! Alone in its binary: the allocator counts everything the process does. It sees the CPU backends
//! alone.

#![allow(
    clippy::print_stdout,
    reason = "the measured bytes, for `cargo test --workspace --test memory -- --nocapture`"
)]

use burn::tensor::{Tensor, TensorData};
use deq_flow::{Correlation, Lookup, Preset};
use peak_alloc::PeakAlloc;

#[global_allocator]
static HOST: PeakAlloc = PeakAlloc;

#[test]
fn a_correlation_keeps_what_the_formula_says() {
    let [height, width] = [384, 512];
    let devices = deq::devices::all().into_iter();
    for device in devices.filter(|device| device.memory_pool_usage().is_none()) {
        for lookup in [Lookup::AllPairs, Lookup::OnDemand] {
            let mut config = Preset::B.config();
            config.lookup = lookup;
            let shape = [1, config.feature_dim, height / 8, width / 8];
            let count: usize = shape.iter().product();
            let [first, second] = [1.0, 2.0].map(|frame| {
                let values = (0..count).map(|index| (frame * index as f32).sin());
                let data = TensorData::new(values.collect::<Vec<f32>>(), shape);
                Tensor::<4>::from_data(data, &device)
            });
            let features = (4 * count) as f64;
            let make = || {
                let (first, second) = (first.clone(), second.clone());
                Correlation::new(first, second, config.corr_levels, 4, lookup)
                    .expect("maps that fit")
            };
            drop(make()); // Threads keep memory to lay matrices out in.
            let before = HOST.current_usage();
            HOST.reset_peak_usage();
            let kept = make();
            let held = (HOST.current_usage() - before) as f64;
            let peak = (HOST.peak_usage() - before) as f64;
            let formula = config.correlation_bytes(1, [height, width]) as f64;
            println!("{device:?} {lookup:?}: kept {held} bytes, at most {peak}; formula {formula}");
            assert!((held / formula - 1.0).abs() < 0.01, "{held}, not {formula}");
            // While it is made: the features laid out anew, scaled, packed and pooled.
            assert!(peak < formula + 5.0 * features, "{peak}");
            drop(kept);
        }
    }
}
