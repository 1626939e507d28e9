//! Layers, networks and data small enough for every test.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use deq::prelude::*;
use deq_datasets::multimodal::GeneratedViews;
use deq_fusion::{
    Batch, BatchMode, BatchStop, BatchWideConfig, Branch, Call, DeqFusion, Equilibrium,
    EquilibriumConfig, Fused, FusionMethod, LayerConfig, MmDynamicsConfig, NetworkConfig,
    SolveMethod, WeightTiedConfig,
};
use deq_parity::without_gradient;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Features of the layers.
pub(crate) const WIDTH: usize = 8;

pub(crate) fn layer_config() -> LayerConfig {
    LayerConfig {
        groups: 2,
        fusion_groups: 2,
        ..LayerConfig::default()
    }
}

/// Plain iteration to nearly the accuracy of `f32`.
fn solve() -> SolveConfig {
    let mut solve = SolveConfig::default()
        .with_tolerance(1e-6)
        .with_max_iter(200);
    solve.termination.mode = StopMode::Relative;
    solve
}

/// Sample by sample, with the exact gradient.
pub(crate) fn exact() -> EquilibriumConfig {
    let deq = DeqConfig {
        forward: solve(),
        gradient: Gradient::implicit_with(solve()),
        ..DeqConfig::default()
    };
    with_solve(SolveMethod::PerSample(deq))
}

/// The same by norms over the batch.
pub(crate) fn batch_wide() -> BatchWideConfig {
    let stop = |tolerance, mode| BatchStop {
        threshold: 200,
        tolerance,
        mode,
    };
    BatchWideConfig {
        solver: SolverConfig::picard(),
        forward: stop(1e-5, BatchMode::Absolute),
        backward: stop(1e-6, BatchMode::Relative),
    }
}

pub(crate) fn with_solve(solve: SolveMethod) -> EquilibriumConfig {
    EquilibriumConfig {
        layer: layer_config(),
        solve,
        ..EquilibriumConfig::default()
    }
}

/// The same layer with small gains behind its blocks, so that its map contracts: one with its
/// first weights usually does not.
pub(crate) fn calm(mut layer: DeqFusion, device: &Device) -> DeqFusion {
    for branch in &mut layer.func_.branches {
        let norm = match branch {
            Branch::Modality(block) => &mut block.gn3,
            Branch::Fusion(block) => &mut block.gn3,
        };
        let gains = TensorData::new(vec![0.3f32; WIDTH], [WIDTH]);
        norm.gamma = Some(Param::from_data(gains, device));
    }
    layer
}

/// A layer of two modalities.
pub(crate) fn solved_layer(config: &EquilibriumConfig, device: &Device) -> DeqFusion {
    let layer = DeqFusion::equilibrium(2, WIDTH, config, device, 0);
    calm(layer.expect("a valid layer"), device)
}

/// The same with tied weights.
pub(crate) fn tied_layer(steps: usize, device: &Device) -> DeqFusion {
    let config = WeightTiedConfig {
        layer: layer_config(),
        steps,
    };
    let layer = DeqFusion::weight_tied(2, WIDTH, &config, device, 0);
    calm(layer.expect("a valid layer"), device)
}

/// Features without a pattern, up to 6 in size.
pub(crate) fn features(seed: u64, shape: [usize; 3], device: &Device) -> Tensor<3> {
    let mut rng = StdRng::seed_from_u64(seed);
    let count: usize = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| rng.random_range(-6.0f32..6.0)).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Three samples in two modalities.
pub(crate) fn views(device: &Device) -> Vec<Tensor<3>> {
    let shape = [3, 1, WIDTH];
    vec![features(1, shape, device), features(2, shape, device)]
}

pub(crate) fn fused(layer: &DeqFusion, features: Vec<Tensor<3>>) -> Fused {
    let fused = layer.forward(features, Call::default());
    fused.expect("a valid call")
}

pub(crate) fn state_of(fused: &Fused) -> &Equilibrium {
    fused.equilibrium.as_ref().expect("a state")
}

pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

/// The Euclidean norm of the difference, relative to that of what is expected.
pub(crate) fn difference(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let of_difference = norm(&mut found.iter().zip(expected).map(|(a, b)| a - b));
    of_difference / norm(&mut expected.iter().copied())
}

/// The gradients of all trained parameters, one after the other.
///
/// # Panics
/// When a parameter has none, or one that is not finite.
pub(crate) fn gradients_of<M: Module>(module: &M, gradients: &Gradients) -> Vec<f64> {
    assert_eq!(without_gradient(module, gradients), Vec::<String>::new());
    let mut collect = Collect {
        gradients,
        found: Vec::new(),
    };
    module.visit(&mut collect);
    collect.found
}

struct Collect<'a> {
    gradients: &'a Gradients,
    found: Vec<f64>,
}

impl ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        // Running statistics have none.
        if let Some(gradient) = param.base().grad(self.gradients) {
            self.found.extend(values(gradient));
        }
    }
}

/// An equilibrium of a few steps, for networks whose layers need not converge.
pub(crate) fn short() -> EquilibriumConfig {
    let few = SolveConfig::new(SolverConfig::anderson()).with_max_iter(5);
    let deq = DeqConfig {
        forward: few.clone(),
        gradient: Gradient::implicit_with(few),
        ..DeqConfig::default()
    };
    EquilibriumConfig {
        jacobian_weight: 0.5,
        probes: 1,
        ..with_solve(SolveMethod::PerSample(deq))
    }
}

/// Every way to join modalities.
pub(crate) fn methods() -> Vec<FusionMethod> {
    vec![
        FusionMethod::Equilibrium(short()),
        FusionMethod::WeightTied(WeightTiedConfig {
            layer: layer_config(),
            steps: 3,
        }),
        FusionMethod::Concatenation {},
        FusionMethod::WeightedSum {},
        FusionMethod::Tensor { size: 2 },
        FusionMethod::LowRank { rank: 2 },
    ]
}

/// A classifier of two views of 5 and 4 features.
pub(crate) fn classifier(fusion: FusionMethod) -> MmDynamicsConfig {
    MmDynamicsConfig {
        views: vec![5, 4],
        hidden: WIDTH,
        head_layers: 0,
        classes: 3,
        dropout: 0.0,
        fusion,
    }
}

pub(crate) fn network(fusion: FusionMethod) -> NetworkConfig {
    NetworkConfig::MmDynamics(classifier(fusion))
}

/// So many samples for [`classifier`], some of whose views are missing.
pub(crate) fn batch(samples: usize, missing: f64, device: &Device) -> Batch {
    let data = GeneratedViews {
        train: samples,
        test: 1,
        widths: vec![5, 4],
        missing,
        ..GeneratedViews::default()
    };
    let data = data.generate(3).expect("data").train;
    let indices: Vec<usize> = (0..samples).collect();
    let batch = data.batch(&indices).expect("a batch");
    Batch::new(batch, device).expect("fits")
}
