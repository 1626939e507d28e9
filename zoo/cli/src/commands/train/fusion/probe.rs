//! What a trained network does with its test samples: its solve, and what each modality adds.

use anyhow::Result;
use burn::module::Module;
use burn::tensor::Device;
use deq::regularizers::spectral_radius;
use deq_datasets::multimodal::MultimodalData;
use deq_fusion::{
    Arguments, Batch, Call, Contributions, Evaluation, FusionState, Network, contributions,
};

use super::batches::some;
use crate::commands::train::{Layer, POWER_STEPS, Probe, Sample, number};
use crate::output::Grid;

/// Samples whose solve is shown.
const PROBED: usize = 64;

/// Solves for some of the test samples, and measures all of them, `batches`, without each modality.
pub(super) fn probe(
    network: &Network,
    test: &MultimodalData,
    batches: &[Batch],
    max_iter: Option<usize>,
    device: &Device,
) -> Result<Probe> {
    let network = network.valid();
    let batch = some(test, PROBED, device)?;
    let call = Call {
        max_iter,
        ..Call::default()
    };
    let answer = network.forward(&batch, call)?;
    let mut layers = Vec::new();
    if let Some(found) = answer.fused.equilibrium
        && let Some(stats) = found.stats
    {
        let arguments = found.arguments.materialize();
        let map = |arguments: &Arguments, z: FusionState| arguments.evaluate(z);
        let radii = spectral_radius(&arguments, map, &found.point, POWER_STEPS).growth;
        layers.push(Layer { stats, radii });
    }
    let found = contributions(&network, batches, max_iter)?;
    let modalities = test.modalities().iter();
    let names: Vec<&str> = modalities.map(|modality| modality.name.as_str()).collect();
    Ok(Probe {
        batch: format!("{} test samples", batch.samples()),
        layers,
        samples: vec![Sample::Text {
            title: "What each modality adds: the scores of all test samples without it, and how its gate is set. Its share is that of its purified features' length among all.".to_owned(),
            text: table(&found, &names).text(),
        }],
    })
}

/// Scores without each modality, and its gate.
fn table(found: &Contributions, names: &[&str]) -> Grid {
    let mut grid = Grid::new([
        "modalities",
        "loss",
        "score",
        "gate, mean",
        "gate, deviation",
        "share",
    ]);
    let dash = || "–".to_owned();
    let score = |found: &Evaluation| {
        let score = found.accuracy.or(found.f1_micro);
        score.map_or_else(dash, number)
    };
    grid.push([
        "all".to_owned(),
        number(found.all.loss),
        score(&found.all),
        dash(),
        dash(),
        dash(),
    ]);
    for (modality, name) in found.modalities.iter().zip(names) {
        let without = &modality.without;
        let gates = modality.gates.as_ref();
        grid.push([
            format!("without {name}"),
            number(without.loss),
            score(without),
            gates.map_or_else(dash, |gates| number(gates.mean)),
            gates.map_or_else(dash, |gates| number(gates.deviation)),
            gates.map_or_else(dash, |gates| number(gates.share)),
        ]);
    }
    grid
}

#[cfg(test)]
mod tests {
    use super::*;
    use deq_datasets::multimodal::GeneratedViews;
    use deq_fusion::{FusionMethod, Preset};

    use super::super::batches::whole;

    #[test]
    fn a_probe_solves_and_compares_modalities() {
        let data = GeneratedViews::default().generate(0).expect("built-in");
        for backend in deq::devices::compiled() {
            if backend.is_gpu() {
                continue; // minutes of kernel compilation on software
            }
            let device = deq::devices::parse(backend.name()).expect("compiled in");
            let config = Preset::Tiny.config();
            let batches = [whole(&data.test, &device).expect("a batch")];
            let found = |config: &deq_fusion::NetworkConfig| {
                let network = config.init(&device, 0).expect("a network");
                probe(&network, &data.test, &batches, Some(4), &device).expect("a probe")
            };
            let deq = found(&config);
            assert_eq!(deq.batch, "60 test samples");
            assert_eq!(deq.layers.len(), 1);
            assert_eq!(deq.layers[0].radii.len(), 60);
            assert!(deq.layers[0].stats.steps <= 4);
            let text = |probe: &Probe| match &probe.samples[..] {
                [Sample::Text { text, .. }] => text.clone(),
                _ => panic!("one text"),
            };
            let lines = text(&deq).lines().count();
            assert!(lines >= 5, "{}", text(&deq));
            assert!(text(&deq).contains("without 2"));
            let plain = found(&config.with_fusion(FusionMethod::WeightedSum {}));
            assert!(plain.layers.is_empty());
            assert!(text(&plain).contains("–"));
        }
    }
}
