//! The sizes that data ask of a network.

use anyhow::{Result, ensure};
use deq_datasets::multimodal::{MultimodalData, Targets};
use deq_fusion::NetworkConfig;

/// Gives the network the sizes of the data. One that learns other targets stays as it is.
pub(super) fn fit(network: &mut NetworkConfig, data: &MultimodalData) {
    let modalities = data.modalities();
    let widths: Vec<usize> = modalities.iter().map(|modality| modality.width).collect();
    match (network, data.targets()) {
        (NetworkConfig::MmDynamics(config), Targets::Classes { classes, .. }) => {
            config.views = widths;
            config.classes = *classes;
        }
        (NetworkConfig::MultiLabel(config), Targets::Labels { labels, .. }) => {
            let last = config.hidden.last().copied().unwrap_or(config.features);
            config.hidden.resize(widths.len(), last);
            config.views = widths;
            config.labels = *labels;
        }
        (NetworkConfig::Sequence(config), Targets::Values(_)) => {
            if let [text, others @ ..] = widths.as_slice() {
                config.text = *text;
                config.others = others.to_vec();
            }
            let lengths = modalities.iter().map(|modality| modality.length);
            config.positions = lengths.max().unwrap_or(config.positions);
        }
        _ => {}
    }
}

/// Checks that the network learns what the data have, in their sizes. `title` names the data.
pub(crate) fn check(network: &NetworkConfig, data: &MultimodalData, title: &str) -> Result<()> {
    let (learns, name) = match network {
        NetworkConfig::MmDynamics(_) => ("classes", "mm_dynamics"),
        NetworkConfig::MultiLabel(_) => ("labels", "multi_label"),
        NetworkConfig::Sequence(_) => ("numbers", "sequence"),
    };
    let found = match data.targets() {
        Targets::Classes { .. } => "classes",
        Targets::Labels { .. } => "labels",
        Targets::Values(_) => "numbers",
    };
    ensure!(
        learns == found,
        "the network `{name}` learns {learns}, but {title} have {found}: choose another --preset, or other --data"
    );
    let mut fitted = network.clone();
    fit(&mut fitted, data);
    ensure!(
        fitted == *network,
        "the network takes {}, but {title} have {}: change the sizes in [network]",
        sizes(network),
        sizes(&fitted)
    );
    Ok(())
}

/// What a network takes, in words.
fn sizes(network: &NetworkConfig) -> String {
    match network {
        NetworkConfig::MmDynamics(config) => {
            format!(
                "views = {:?} and classes = {}",
                config.views, config.classes
            )
        }
        NetworkConfig::MultiLabel(config) => {
            format!("views = {:?} and labels = {}", config.views, config.labels)
        }
        NetworkConfig::Sequence(config) => format!(
            "text = {}, others = {:?} and positions = {}",
            config.text, config.others, config.positions
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deq_datasets::multimodal::Modality;
    use deq_fusion::Preset;

    fn data(shapes: &[(usize, usize)], targets: Targets) -> MultimodalData {
        let samples = targets.samples();
        let modality = |&(length, width): &(usize, usize)| Modality {
            length,
            ..Modality::vector("x", width)
        };
        let values = |&(length, width): &(usize, usize)| vec![0.5; samples * length * width];
        let modalities = shapes.iter().map(modality).collect();
        let values = shapes.iter().map(values).collect();
        MultimodalData::new(modalities, values, targets).expect("valid data")
    }

    #[test]
    fn every_network_takes_the_sizes_of_its_data() {
        let classes = Targets::Classes {
            classes: 4,
            of_sample: vec![3, 0],
        };
        let labels = Targets::Labels {
            labels: 2,
            of_sample: vec![true, false],
        };
        let numbers = Targets::Values(vec![0.5]);
        for (preset, shapes, targets, word) in [
            (Preset::Tiny, &[(1, 3), (1, 5)][..], classes, "classes = 4"),
            (
                Preset::MmImdb,
                &[(1, 3), (1, 4), (1, 5)],
                labels,
                "[3, 4, 5]",
            ),
            (Preset::CmuMosi, &[(7, 3), (7, 2)], numbers, "positions = 7"),
        ] {
            let data = data(shapes, targets);
            let mut network = preset.config();
            let error = check(&network, &data, "they").expect_err("other sizes");
            assert!(error.to_string().contains(word), "{error}");
            fit(&mut network, &data);
            check(&network, &data, "they").expect("it fits");
            assert!(sizes(&network).contains(word));
        }
    }

    #[test]
    fn other_targets_are_refused() {
        let data = data(&[(1, 3)], Targets::Values(vec![0.5]));
        let mut network = Preset::Tiny.config();
        fit(&mut network, &data);
        assert_eq!(network, Preset::Tiny.config());
        let error = check(&network, &data, "these").expect_err("numbers are no classes");
        let error = error.to_string();
        assert!(error.contains("learns classes, but these have numbers"));
    }
}
