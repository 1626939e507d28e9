//! Ways to join modalities, by their names on the command line.

use clap::ValueEnum;
use deq_fusion::{EquilibriumConfig, FusionMethod};
use serde::{Deserialize, Serialize};

/// A way to join modalities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Method {
    /// The fixed point of the fusion layer.
    Equilibrium,
    /// The same layer applied a number of times.
    WeightTied,
    /// A linear map of all features.
    Concatenation,
    /// A weighted sum.
    WeightedSum,
    /// The outer product.
    Tensor,
    /// The outer product with a weight tensor of low rank.
    LowRank,
}

impl Method {
    pub(crate) const ALL: [Self; 6] = [
        Self::Equilibrium,
        Self::WeightTied,
        Self::Concatenation,
        Self::WeightedSum,
        Self::Tensor,
        Self::LowRank,
    ];

    /// Its name on the command line and in files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Equilibrium => "equilibrium",
            Self::WeightTied => "weight-tied",
            Self::Concatenation => "concatenation",
            Self::WeightedSum => "weighted-sum",
            Self::Tensor => "tensor",
            Self::LowRank => "low-rank",
        }
    }

    /// Its name in tables.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Equilibrium => "DEQ fusion",
            Self::WeightTied => "weight-tied",
            Self::Concatenation => "concatenation",
            Self::WeightedSum => "weighted sum",
            Self::Tensor => "tensor",
            Self::LowRank => "low rank",
        }
    }

    /// Whether it has the fusion layer, with its gates and steps.
    pub(crate) fn has_layer(self) -> bool {
        matches!(self, Self::Equilibrium | Self::WeightTied)
    }

    /// Its options, around the same layer; the weight-tied one applies it so many times.
    pub(crate) fn config(self, equilibrium: &EquilibriumConfig, steps: usize) -> FusionMethod {
        let name = self.name().replace('-', "_");
        let mut compared = FusionMethod::compared(equilibrium, steps).into_iter();
        let found = compared.find(|method| method.name() == name);
        found.expect("every method is among those that are compared")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_its_options() {
        let equilibrium = EquilibriumConfig {
            jacobian_weight: 0.5,
            ..EquilibriumConfig::default()
        };
        for method in Method::ALL {
            let config = method.config(&equilibrium, 3);
            let text = serde_json::to_string(&method).expect("plain data");
            assert_eq!(text, format!("\"{}\"", method.name()));
            assert_eq!(Method::from_str(method.name(), false), Ok(method));
            match config {
                FusionMethod::Equilibrium(found) => assert_eq!(found, equilibrium),
                FusionMethod::WeightTied(found) => assert_eq!(found.steps, 3),
                _ => assert!(!method.has_layer()),
            }
        }
        let all = FusionMethod::compared(&equilibrium, 3);
        assert_eq!(all.len(), Method::ALL.len());
    }
}
