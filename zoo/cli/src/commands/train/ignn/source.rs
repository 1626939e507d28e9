//! Where graphs come from.

use std::path::Path;

use anyhow::{Result, bail};
use deq_datasets::graphs::chains::ChainsConfig;
use deq_datasets::graphs::ppi::Ppi;
use deq_datasets::graphs::{GraphData, GraphSet, Labels, geom_gcn, planetoid, ppi, tu};
use ignn::Preset;
use serde::{Deserialize, Serialize};

use super::splits::Splits;

/// The data of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum GraphSource {
    /// Built-in chains, whose split is drawn by the run's seed.
    Chains(ChainsConfig),
    /// A citation network in `planetoid`, with its public split.
    Planetoid {
        /// `cora` or `citeseer`.
        name: String,
        /// Divides each node's features by their sum.
        #[serde(default = "yes")]
        row_normalised: bool,
    },
    /// Pages or actors in `geom-gcn`, with ten splits.
    GeomGcn {
        /// `cornell`, `texas`, `wisconsin` or `film`.
        name: String,
        /// Makes every edge go both ways.
        #[serde(default = "yes")]
        undirected: bool,
        #[serde(default)]
        split: Splits,
    },
    /// A set of whole graphs in `tudataset`.
    Tu {
        /// `MUTAG`, `PROTEINS` and so on.
        name: String,
        /// Graphs a step.
        batch: usize,
        /// How many folds the cross-validation has.
        #[serde(default = "ten")]
        folds: usize,
        /// Draws the folds.
        #[serde(default)]
        folds_seed: u64,
        /// The fold to test on.
        #[serde(default)]
        split: Splits,
    },
    /// Protein interactions in `ppi`.
    Ppi {},
}

/// What a source holds.
pub(crate) enum Graphs {
    /// One graph with splits of its nodes.
    Nodes(GraphData),
    /// Whole graphs with a class each.
    Whole(GraphSet),
    /// Graphs for each part.
    Ppi(Ppi),
}

fn yes() -> bool {
    true
}

fn ten() -> usize {
    10
}

/// The reference's graphs a step, for whole graphs.
const BATCH: usize = 128;

/// TU's sets, by their names on the command line.
const TU: [(&str, &str); 8] = [
    ("mutag", "MUTAG"),
    ("proteins", "PROTEINS"),
    ("nci1", "NCI1"),
    ("nci109", "NCI109"),
    ("enzymes", "ENZYMES"),
    ("bzr", "BZR"),
    ("cox2", "COX2"),
    ("ptc_mr", "PTC_MR"),
];

impl GraphSource {
    /// The built-in chains.
    pub(super) fn chains() -> Self {
        Self::Chains(ChainsConfig::default())
    }

    /// The source of this name on the command line.
    pub(super) fn from_name(name: &str) -> Result<Self, String> {
        if let Some((_, set)) = TU.into_iter().find(|(known, _)| *known == name) {
            return Ok(Self::tu(set));
        }
        match name {
            "chains" => Ok(Self::chains()),
            "cora" | "citeseer" => Ok(Self::Planetoid {
                name: name.to_owned(),
                row_normalised: true,
            }),
            "cornell" | "texas" | "wisconsin" | "film" => Ok(Self::GeomGcn {
                name: name.to_owned(),
                undirected: true,
                split: Splits::default(),
            }),
            "ppi" => Ok(Self::Ppi {}),
            _ => {
                let sets: Vec<&str> = TU.into_iter().map(|(name, _)| name).collect();
                Err(format!(
                    "choose one of chains, cora, citeseer, cornell, texas, wisconsin, film, {}, ppi",
                    sets.join(", ")
                ))
            }
        }
    }

    fn tu(name: &str) -> Self {
        Self::Tu {
            name: name.to_owned(),
            batch: BATCH,
            folds: ten(),
            folds_seed: 0,
            split: Splits::default(),
        }
    }

    /// The data that a preset is made for.
    pub(super) fn of_preset(preset: Preset) -> Result<Self> {
        match preset {
            Preset::Webkb => {
                bail!(
                    "preset `webkb` is for several data sets: choose one by --data cornell, texas or wisconsin"
                )
            }
            preset => Self::from_name(preset.name()).map_err(anyhow::Error::msg),
        }
    }

    /// The preset that is made for the data, or for data like them.
    pub(super) fn preset(&self) -> Preset {
        match self {
            Self::Chains(_) => Preset::Chains,
            Self::Planetoid { name, .. } if name == "citeseer" => Preset::Citeseer,
            Self::Planetoid { .. } => Preset::Cora,
            Self::GeomGcn { .. } => Preset::Webkb,
            Self::Tu { name, .. } if name == "MUTAG" => Preset::Mutag,
            Self::Tu { .. } => Preset::Proteins,
            Self::Ppi {} => Preset::Ppi,
        }
    }

    /// Whether whole graphs are classified.
    pub(super) fn is_of_graphs(&self) -> bool {
        matches!(self, Self::Tu { .. })
    }

    /// Its name in folders.
    pub(super) fn short_name(&self) -> String {
        match self {
            Self::Chains(chains) => format!("chains-{}", chains.length),
            Self::Planetoid { name, .. } | Self::GeomGcn { name, .. } => name.clone(),
            Self::Tu { name, .. } => name.to_lowercase(),
            Self::Ppi {} => "ppi".to_owned(),
        }
    }

    /// Its name in sentences, in the plural.
    pub(super) fn title(&self) -> String {
        match self {
            Self::Chains(chains) => format!("built-in chains of {} nodes", chains.length),
            Self::Planetoid { name, .. } => format!("the documents of {name}"),
            Self::GeomGcn { name, split, .. } => {
                format!("the nodes of {name}{}", numbered(*split))
            }
            Self::Tu { name, split, .. } => format!("the graphs of {name}{}", numbered(*split)),
            Self::Ppi {} => "the proteins of PPI".to_owned(),
        }
    }

    /// The split to test on; `None` for all.
    pub(super) fn split(&self) -> Option<usize> {
        match self {
            Self::GeomGcn { split, .. } | Self::Tu { split, .. } => match split {
                Splits::One(split) => Some(*split),
                Splits::All => None,
            },
            Self::Chains(_) | Self::Planetoid { .. } | Self::Ppi {} => Some(0),
        }
    }

    pub(super) fn set_split(&mut self, new: Splits) -> Result<()> {
        match self {
            Self::GeomGcn { split, .. } | Self::Tu { split, .. } => *split = new,
            other => bail!("{} have one split: leave --split out", other.title()),
        }
        Ok(())
    }

    /// Reads or makes the data. Chains are drawn by `seed`.
    pub(super) fn load(&self, folder: &Path, seed: u64) -> Result<Graphs> {
        Ok(match self {
            Self::Chains(chains) => Graphs::Nodes(chains.generate(seed)?),
            Self::Planetoid {
                name,
                row_normalised,
            } => {
                let mut graph = planetoid::open(&folder.join("planetoid"), name)?;
                if *row_normalised {
                    graph.features = graph.features.row_normalised();
                }
                Graphs::Nodes(graph)
            }
            Self::GeomGcn {
                name, undirected, ..
            } => {
                let mut graph = geom_gcn::open(&folder.join("geom-gcn"), name)?;
                if *undirected {
                    graph.edges = both_ways(&graph.edges);
                }
                Graphs::Nodes(graph)
            }
            Self::Tu { name, .. } => {
                let folder = folder.join("tudataset");
                // PROTEINS is also given out under this name.
                let full = format!("{name}_full");
                let is_full = !folder.join(name).exists() && folder.join(&full).exists();
                let name = if is_full { &full } else { name };
                Graphs::Whole(tu::open(&folder, name, false)?)
            }
            Self::Ppi {} => Graphs::Ppi(ppi::open(&folder.join("ppi"))?),
        })
    }
}

impl Graphs {
    /// Features of a node.
    pub(super) fn features(&self) -> usize {
        let graph = match self {
            Self::Nodes(graph) => Some(graph),
            Self::Whole(set) => set.graphs.first(),
            Self::Ppi(ppi) => ppi.train.first(),
        };
        graph.map_or(0, |graph| graph.features.width())
    }

    /// Classes, or labels of a node.
    pub(super) fn classes(&self) -> usize {
        let of = |graph: &GraphData| match graph.labels {
            Labels::None => 0,
            Labels::Classes { classes, .. } => classes,
            Labels::Multi { labels, .. } => labels,
        };
        match self {
            Self::Nodes(graph) => of(graph),
            Self::Whole(set) => set.classes,
            Self::Ppi(ppi) => ppi.train.first().map_or(0, of),
        }
    }
}

fn numbered(split: Splits) -> String {
    match split {
        Splits::One(split) => format!(" in split {split}"),
        Splits::All => String::new(),
    }
}

/// Every edge in both directions, once.
fn both_ways(edges: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let both = edges
        .iter()
        .flat_map(|&(from, to)| [(from, to), (to, from)]);
    let mut both: Vec<(u32, u32)> = both.collect();
    both.sort_unstable();
    both.dedup();
    both
}
