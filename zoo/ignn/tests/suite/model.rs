//! The networks: sizes, symmetries, hyper-parameters, and what is refused.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use deq::prelude::*;
use ignn::{
    Activation, Architecture, DeepNet, Graph, GraphBatch, GraphNet, IgnnConfig, IgnnError, Network,
    NodeNet, Preset,
};

fn small(architecture: Architecture) -> IgnnConfig {
    let mut deq = DeqConfig::default()
        .with_max_iter(300)
        .with_tolerance(1e-5)
        .with_gradient(Gradient::phantom(5, 0.5));
    deq.forward.termination.finish = Finish::Best;
    IgnnConfig {
        architecture,
        inputs: 3,
        hidden: 4,
        classes: 2,
        kappa: Some(0.9),
        activation: Activation::Relu,
        norm: None,
        deq,
    }
}

fn node() -> IgnnConfig {
    small(Architecture::Node {
        normalise: false,
        dropout: 0.0,
    })
}

fn graph_config() -> IgnnConfig {
    small(Architecture::Graph { dropout: 0.0 })
}

fn ring(nodes: u32) -> Graph {
    let edges: Vec<(u32, u32)> = (0..nodes).map(|i| (i, (i + 1) % nodes)).collect();
    Graph::undirected(nodes as usize, &edges).expect("a valid graph")
}

/// An undirected graph without symmetries.
fn tangle() -> Graph {
    let edges = [(0, 1), (1, 2), (2, 3), (3, 4), (1, 3), (0, 5)];
    let graph = Graph::undirected(6, &edges).expect("a valid graph");
    graph.normalised().expect("degrees are positive")
}

fn features(nodes: usize, device: &Device) -> Tensor<2> {
    let values: Vec<f32> = (0..nodes * 3)
        .map(|i| ((i * 29 % 17) as f32 - 8.0) / 6.0)
        .collect();
    Tensor::from_data(TensorData::new(values, [nodes, 3]), device)
}

fn values(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

fn close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let within = tolerance * (1.0 + expected.abs());
        assert!((found - expected).abs() < within, "{found} {expected}");
    }
}

fn output<N: Network>(config: &IgnnConfig, graph: &Graph, device: &Device, seed: u64) -> Vec<f32> {
    let network: N = config.init(device, seed).expect("a valid network");
    let batch = GraphBatch::single(graph.clone(), device);
    let x = features(graph.nodes(), device);
    values(network.forward(&batch, x).expect("a valid call").output)
}

#[test]
fn presets_have_the_published_sizes() {
    // Counts of the reference implementation; own counts in the facts, without gains.
    let device = &deq::devices::all()[0];
    let plain = |preset: Preset| IgnnConfig {
        norm: None,
        ..preset.config()
    };
    let ppi: DeepNet = plain(Preset::Ppi).init(device, 0).expect("a valid preset");
    assert_eq!(ppi.num_params(), 4_656_931);
    let mutag: GraphNet = Preset::Mutag
        .config()
        .init(device, 0)
        .expect("a valid preset");
    assert_eq!(mutag.num_params(), 34_050);
    // One gain for each row of the three matrices.
    let normed = IgnnConfig {
        norm: Some(NormConfig::WeightNorm(WeightNormConfig::default())),
        ..node()
    };
    let normed: NodeNet = normed.init(device, 0).expect("a valid network");
    let bare: NodeNet = node().init(device, 0).expect("a valid network");
    assert_eq!(normed.num_params(), bare.num_params() + 3 * 4);
    for preset in Preset::ALL {
        assert_eq!(Preset::from_name(preset.name()), Some(preset));
    }
    assert_eq!(Preset::from_name("pubmed"), None);
}

#[test]
fn nodes_may_be_renamed() {
    let graph = tangle();
    let order: [u32; 6] = [3, 0, 5, 1, 4, 2];
    let renamed: Vec<(u32, u32)> = graph
        .edges()
        .iter()
        .map(|&(from, to)| (order[from as usize], order[to as usize]))
        .collect();
    let renamed = Graph::weighted(6, &renamed, graph.weights()).expect("a valid graph");
    for device in deq::devices::all() {
        let network: NodeNet = node().init(&device, 3).expect("a valid network");
        let run = |graph: &Graph, x: Vec<f32>| {
            let batch = GraphBatch::single(graph.clone(), &device);
            let x = Tensor::from_data(TensorData::new(x, [6, 3]), &device);
            values(network.forward(&batch, x).expect("a valid call").output)
        };
        let x = values(features(6, &device));
        let mut moved = vec![0.0; x.len()];
        for (node, &place) in order.iter().enumerate() {
            let place = place as usize;
            moved[place * 3..place * 3 + 3].copy_from_slice(&x[node * 3..node * 3 + 3]);
        }
        let (before, after) = (run(&graph, x), run(&renamed, moved));
        for (node, &place) in order.iter().enumerate() {
            let place = place as usize;
            close(
                &after[place * 2..place * 2 + 2],
                &before[node * 2..node * 2 + 2],
                1e-4,
            );
        }
        assert!((before[0] - before[2]).abs() > 1e-4, "nodes differ");
    }
}

#[test]
fn a_batch_of_graphs_is_graphs_one_by_one() {
    for device in deq::devices::all() {
        let graphs = [
            tangle(),
            ring(4).normalised().expect("degrees are positive"),
        ];
        let network: GraphNet = graph_config().init(&device, 1).expect("a valid network");
        let x = features(10, &device);
        let batch = GraphBatch::new(&graphs, &device).expect("a batch");
        let together = network.forward(&batch, x.clone()).expect("a valid call");
        assert_eq!(together.output.dims(), [2, 2]);
        assert_eq!(together.layers.len(), 3);
        let mut alone = Vec::new();
        for (graph, (start, nodes)) in graphs.into_iter().zip([(0, 6), (6, 4)]) {
            let batch = GraphBatch::single(graph, &device);
            let x = x.clone().narrow(0, start, nodes);
            alone.extend(values(
                network.forward(&batch, x).expect("a valid call").output,
            ));
        }
        // Both solves end within the tolerance, not at the same step.
        close(&values(together.output), &alone, 1e-3);
        let sums: Vec<f32> = alone.chunks(2).map(|p| p[0].exp() + p[1].exp()).collect();
        close(&sums, &[1.0, 1.0], 1e-5);
    }
}

#[test]
fn weights_are_projected_and_the_solves_converge() {
    for device in deq::devices::all() {
        let graph = ring(5);
        let mut config = IgnnConfig {
            architecture: Architecture::Deep {},
            ..node()
        };
        config.deq.forward.termination.max_iter = 200; // the projection bounds the rate by 0.9
        // The states grow from layer to layer, and a unit may be zero at all nodes.
        config.deq.forward.termination.mode = StopMode::AbsoluteRelative;
        let device_ad = device.clone().autodiff();
        let network: DeepNet = config.init(&device_ad, 2).expect("a valid network");
        let batch = GraphBatch::single(graph, &device);
        let widths: Vec<usize> = network.layers().iter().map(|l| l.W.dims()[0]).collect();
        assert_eq!(widths, [16, 8, 8, 4, 2]);
        let bound = 0.9 / (2.0 + 1e-5);
        let rows = |weight: Tensor<2>| -> Vec<f32> {
            values(weight.abs().sum_dim(1)).into_iter().collect()
        };
        let first = rows(network.layers()[0].W.val());
        assert!(first.iter().any(|&sum| f64::from(sum) > bound));
        let x = features(5, &device);
        let solved = network.forward(&batch, x.clone()).expect("a valid call");
        for layer in &solved.layers {
            assert!(layer.stats.all_converged(), "{:?}", layer.stats);
            let sums = rows(layer.weight.clone());
            assert!(sums.iter().all(|&sum| f64::from(sum) < bound + 1e-5));
        }
        // Prepared for training, the weights themselves are within the bound, and the output is
        // the same.
        let before = values(solved.output);
        let prepared = network.clone().prepare(&batch.adjacency);
        for layer in prepared.layers() {
            let sums = rows(layer.W.val());
            assert!(sums.iter().all(|&sum| f64::from(sum) < bound + 1e-5));
            assert!(layer.W.is_require_grad());
        }
        let after = prepared.forward(&batch, x).expect("a valid call");
        close(&values(after.output), &before, 1e-3);
        // In evaluation nothing is written.
        let valid = network.valid();
        let kept = rows(valid.clone().prepare(&batch.adjacency).layers()[0].W.val());
        assert_eq!(kept, rows(valid.layers()[0].W.val()));
    }
}

#[test]
fn a_spectral_norm_moves_only_in_training() {
    for device in deq::devices::all() {
        let config = IgnnConfig {
            norm: Some(NormConfig::SpectralNorm(SpectralNormConfig::default())),
            ..node()
        };
        let batch = GraphBatch::single(ring(5), &device);
        let u = |network: &NodeNet| -> Vec<f32> {
            let norm = network.ig1.Omega_1.reparameterization();
            let norm: &deq::regularizers::SpectralNorm = norm.expect("it is normed");
            norm.u.val().into_data().iter::<f32>().collect()
        };
        let network: NodeNet = config
            .init(&device.clone().autodiff(), 0)
            .expect("a valid network");
        let plain = network.valid();
        assert_eq!(u(&plain.clone().prepare(&batch.adjacency)), u(&plain));
        let moved = u(&network.clone().prepare(&batch.adjacency));
        let length: f32 = moved.iter().map(|v| v * v).sum();
        assert!((length - 1.0).abs() < 1e-5);
        // W itself is left alone: its projection is part of the forward pass.
        let base = |network: &NodeNet| values(network.ig1.W.base());
        let prepared = network.clone().prepare(&batch.adjacency);
        assert_eq!(base(&prepared), base(&network));
    }
}

#[test]
fn a_seed_gives_the_same_network_on_every_device() {
    let devices = deq::devices::all();
    let first = output::<NodeNet>(&node(), &tangle(), &devices[0], 7);
    assert_ne!(first, output::<NodeNet>(&node(), &tangle(), &devices[0], 8));
    for device in &devices {
        let other = output::<NodeNet>(&node(), &tangle(), device, 7);
        close(&other, &first, 1e-4);
    }
}

#[test]
fn every_hyper_parameter_changes_the_output() {
    for device in deq::devices::all() {
        let run = |config: &IgnnConfig| output::<NodeNet>(config, &tangle(), &device, 0);
        let base = run(&node());
        let changed = [
            IgnnConfig {
                architecture: Architecture::Node {
                    normalise: true,
                    dropout: 0.0,
                },
                ..node()
            },
            IgnnConfig {
                hidden: 5,
                ..node()
            },
            IgnnConfig {
                kappa: Some(0.3),
                ..node()
            },
            IgnnConfig {
                activation: Activation::Identity,
                ..node()
            },
            IgnnConfig {
                norm: Some(NormConfig::WeightNorm(WeightNormConfig {
                    learn_scale: false,
                    target_norm: 0.5,
                    clip: None,
                })),
                ..node()
            },
            IgnnConfig {
                deq: node().deq.with_max_iter(2),
                ..node()
            },
        ];
        for config in changed {
            assert_ne!(base, run(&config), "{config:?}");
        }
        let wide = IgnnConfig {
            classes: 3,
            ..node()
        };
        assert_eq!(run(&wide).len(), 18);
        // Dropout acts in training alone.
        let dropped = IgnnConfig {
            architecture: Architecture::Node {
                normalise: false,
                dropout: 0.9,
            },
            ..node()
        };
        assert_eq!(run(&dropped), base);
        let device = device.clone().autodiff();
        let train = |config: &IgnnConfig| output::<NodeNet>(config, &tangle(), &device, 0);
        assert_ne!(train(&dropped), train(&node()));
    }
}

#[test]
fn the_gradient_reaches_every_parameter_that_is_used() {
    for device in deq::devices::all() {
        let device_ad = device.clone().autodiff();
        let network: NodeNet = node().init(&device_ad, 0).expect("a valid network");
        let batch = GraphBatch::single(tangle(), &device);
        let solved = network
            .forward(&batch, features(6, &device))
            .expect("a valid call");
        let gradients = solved.output.square().sum().backward();
        let layer = &network.ig1;
        for weight in [&layer.W, &layer.Omega_1, &layer.Omega_2, &network.V.weight] {
            let gradient = weight.grad(&gradients).expect("a gradient");
            assert!(values(gradient).iter().any(|&value| value != 0.0));
        }
        assert!(layer.bias.grad(&gradients).is_none());

        let network: GraphNet = graph_config().init(&device_ad, 0).expect("a valid network");
        let solved = network
            .forward(&batch, features(6, &device))
            .expect("a valid call");
        let gradients = solved.output.square().sum().backward();
        assert!(network.ig1.W.grad(&gradients).is_some());
        assert!(network.ig1.Omega_2.grad(&gradients).is_none());
    }
}

#[test]
fn nodes_without_a_state_have_a_finite_gradient() {
    for device in deq::devices::all() {
        let config = small(Architecture::Node {
            normalise: true,
            dropout: 0.0,
        });
        let network: NodeNet = config
            .init(&device.clone().autodiff(), 0)
            .expect("a valid network");
        let batch = GraphBatch::single(ring(4), &device);
        // Features of zero give states of zero, whose direction is undefined.
        let x = Tensor::zeros([4, 3], &device);
        let solved = network.forward(&batch, x).expect("a valid call");
        let gradients = (solved.output + 1.0).sum().backward();
        let gradient = network.ig1.W.grad(&gradients).expect("a gradient");
        assert!(values(gradient).iter().all(|value| value.is_finite()));
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    for device in deq::devices::all() {
        let network: NodeNet = node().init(&device, 0).expect("a valid network");
        let batch = GraphBatch::single(ring(5), &device);
        let wide = network.forward(&batch, Tensor::zeros([5, 4], &device));
        assert!(matches!(
            wide.err(),
            Some(IgnnError::Mismatch {
                expected: 3,
                found: 4,
                ..
            })
        ));
        let short = network.forward(&batch, features(4, &device));
        assert!(matches!(
            short.err(),
            Some(IgnnError::Mismatch {
                expected: 5,
                found: 4,
                ..
            })
        ));
    }
    let device = &deq::devices::all()[0];
    let field = |config: IgnnConfig| match config.init::<NodeNet>(device, 0) {
        Err(IgnnError::InvalidConfig { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        field(IgnnConfig {
            inputs: 0,
            ..node()
        }),
        "inputs"
    );
    assert_eq!(
        field(IgnnConfig {
            hidden: 0,
            ..node()
        }),
        "hidden"
    );
    assert_eq!(
        field(IgnnConfig {
            classes: 0,
            ..node()
        }),
        "classes"
    );
    for kappa in [0.0, 1.0, f64::NAN] {
        let config = IgnnConfig {
            kappa: Some(kappa),
            ..node()
        };
        assert_eq!(field(config), "kappa");
    }
    let dropout = Architecture::Node {
        normalise: true,
        dropout: 1.0,
    };
    assert_eq!(field(small(dropout)), "dropout");
    assert_eq!(field(graph_config()), "architecture");
    let deep = small(Architecture::Deep {});
    assert!(deep.init::<GraphNet>(device, 0).is_err());
    assert!(node().init::<DeepNet>(device, 0).is_err());
}

#[test]
fn configurations_survive_toml_and_refuse_unknown_options() {
    for preset in Preset::ALL {
        let config = preset.config();
        let text = toml::to_string(&config).expect("serialises");
        let again: IgnnConfig = toml::from_str(&text).expect("reads back");
        assert_eq!(again, config);
        assert!(toml::from_str::<IgnnConfig>(&format!("depth = 3\n{text}")).is_err());
    }
    let graph: Architecture =
        serde_json::from_str(r#"{"kind": "graph", "dropout": 0.5}"#).expect("reads");
    assert_eq!(graph, Architecture::Graph { dropout: 0.5 });
    assert!(serde_json::from_str::<Architecture>(r#"{"kind": "deep", "dropout": 0.5}"#).is_err());
}
