//! Presets and configurations as text.

use deq_fusion::{EquilibriumConfig, FusionMethod, NetworkConfig, Preset};

use crate::common::{methods, network};

#[test]
fn presets_have_the_references_sizes() {
    // BRCA: 2,014,000 in the map and 3,520,035 around it, counted on the reference. The others by
    // the formulas of their layers.
    let counts = [
        (Preset::Brca, 5_534_035),
        (Preset::Rosmap, 1_033_211),
        (Preset::MmImdb, 11_882_610),
        (Preset::CmuMosi, 632_090),
        (Preset::Tiny, 3_621),
    ];
    let device = &deq::devices::all()[0];
    for (preset, expected) in counts {
        let network = preset.config().init(device, 0).expect("a valid preset");
        assert_eq!(deq_nn::parameters(&network), expected, "{preset:?}");
        let layer = network.fusion().layer().expect("a fusion layer");
        if preset == Preset::Brca {
            assert_eq!(deq_nn::parameters(layer), 2_014_000);
        }
    }
    assert_eq!(counts.len(), Preset::ALL.len());
    for preset in Preset::ALL {
        assert_eq!(Preset::from_name(preset.name()), Some(preset));
    }
    assert_eq!(Preset::from_name("mosi"), None);
}

#[test]
fn configurations_survive_toml_and_refuse_unknown_options() {
    let presets = Preset::ALL.into_iter().map(Preset::config);
    let others = methods().into_iter().map(network);
    for config in presets.chain(others) {
        let text = toml::to_string(&config).expect("serialises");
        let again: NetworkConfig = toml::from_str(&text).expect("reads back");
        assert_eq!(again, config);
        let more = format!("depth = 3\n{text}");
        assert!(toml::from_str::<NetworkConfig>(&more).is_err());
    }
    let refused = [
        r#"{"kind": "concatenation", "rank": 2}"#,
        r#"{"kind": "low_rank"}"#,
        r#"{"kind": "low_rank", "rank": 2, "size": 3}"#,
        r#"{"kind": "weight_tied", "tolerance": 1e-3}"#,
        r#"{"kind": "equilibrium", "steps": 3}"#,
        r#"{"kind": "equilibrium", "layer": {"dropout": 0.1}}"#,
        r#"{"kind": "equilibrium", "solve": {"kind": "per_sample", "f_thres": 3}}"#,
        r#"{"kind": "equilibrium", "solve": {"kind": "batch_wide", "gradient": {"kind": "jacobian_free"}}}"#,
        r#"{"kind": "product"}"#,
    ];
    for text in refused {
        assert!(
            serde_json::from_str::<FusionMethod>(text).is_err(),
            "{text}"
        );
    }
    let short = r#"{"kind": "equilibrium", "layer": {"groups": 2}}"#;
    let config: FusionMethod = serde_json::from_str(short).expect("the rest has defaults");
    let mut expected = EquilibriumConfig::default();
    expected.layer.groups = 2;
    assert_eq!(config, FusionMethod::Equilibrium(expected));
}

#[test]
fn what_is_compared_shares_the_map() {
    let equilibrium = EquilibriumConfig::default();
    let compared = FusionMethod::compared(&equilibrium, 7);
    let names: Vec<&str> = compared.iter().map(FusionMethod::name).collect();
    let expected = [
        "equilibrium",
        "weight_tied",
        "concatenation",
        "weighted_sum",
        "tensor",
        "low_rank",
    ];
    assert_eq!(names, expected);
    let FusionMethod::WeightTied(tied) = &compared[1] else {
        panic!("the second one is weight-tied");
    };
    assert_eq!((tied.steps, &tied.layer), (7, &equilibrium.layer));
}
