//! Where pairs of frames come from.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use deq_datasets::Split;
use deq_datasets::flow::{FlowDataset, RenderPass, SyntheticFlow, Things};
use deq_flow::{Convention, Padding};
use serde::{Deserialize, Serialize};

use super::augmentation::Augmentation;
use super::pairs::{FlowData, MeasuredPairs, Pairs, Part};
use super::recipe::FlowTest;

/// The data of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum FlowSource {
    /// Built-in moving shapes with exact flow, made when they are asked for.
    Shapes {
        /// How many pairs, up to ten million.
        pairs: usize,
        #[serde(default)]
        scenes: SyntheticFlow,
    },
    /// `FlyingChairs_release`.
    Chairs {},
    /// `FlyingThings3D`: the left camera, in both directions of time.
    Things {
        #[serde(default = "both_passes")]
        passes: Vec<RenderPass>,
    },
    /// `Sintel`, its training part.
    Sintel {
        #[serde(default = "both_passes")]
        passes: Vec<RenderPass>,
    },
    /// KITTI 2015's training part: `KITTI`.
    Kitti {},
    /// `HD1k`.
    Hd1k {},
    /// What RAFT is tuned on for Sintel: Sintel's passes 100 times over, KITTI 200 times, HD1K five
    /// times, FlyingThings3D's clean pass once.
    Mixture {},
}

/// Built-in pairs that are no training pairs: those from these numbers on.
const VALIDATION: u64 = 1 << 40;
const TEST: u64 = 1 << 41;

/// The order of an epoch is kept in memory.
const MOST_PAIRS: usize = 10_000_000;

pub(super) fn both_passes() -> Vec<RenderPass> {
    vec![RenderPass::Clean, RenderPass::Final]
}

impl FlowSource {
    /// Its name in folders and messages.
    pub(super) fn short_name(&self) -> &'static str {
        match self {
            Self::Shapes { .. } => "shapes",
            Self::Chairs {} => "chairs",
            Self::Things { .. } => "things",
            Self::Sintel { .. } => "sintel",
            Self::Kitti {} => "kitti",
            Self::Hd1k {} => "hd1k",
            Self::Mixture {} => "mixture",
        }
    }

    /// Its name in sentences, in the plural.
    pub(super) fn title(&self) -> &'static str {
        match self {
            Self::Shapes { .. } => "built-in moving shapes",
            Self::Chairs {} => "the pairs of FlyingChairs",
            Self::Things { .. } => "the pairs of FlyingThings3D",
            Self::Sintel { .. } => "the pairs of Sintel",
            Self::Kitti {} => "the pairs of KITTI 2015",
            Self::Hd1k {} => "the pairs of HD1K",
            Self::Mixture {} => "the pairs of Sintel, KITTI 2015, HD1K and FlyingThings3D",
        }
    }

    /// Whether it is made and not read.
    pub(super) fn is_built_in(&self) -> bool {
        matches!(self, Self::Shapes { .. })
    }

    /// Whether true flow is published for a part that is meant for measurements.
    fn has_test_part(&self) -> bool {
        matches!(
            self,
            Self::Shapes { .. } | Self::Chairs {} | Self::Things { .. }
        )
    }

    /// Checks what needs no data.
    pub(super) fn check(&self) -> Result<()> {
        match self {
            Self::Shapes { pairs, scenes } => {
                ensure!(
                    (1..=MOST_PAIRS).contains(pairs),
                    "data.pairs is {pairs}, but must be from 1 to {MOST_PAIRS}"
                );
                // A scene of these options can be made, or the reason why not.
                scenes.generate(0, TEST)?;
            }
            Self::Things { passes } | Self::Sintel { passes } => ensure!(
                !passes.is_empty(),
                "data.passes is empty: name clean, final or both"
            ),
            Self::Chairs {} | Self::Kitti {} | Self::Hd1k {} | Self::Mixture {} => {}
        }
        Ok(())
    }

    /// Checks that a model which learns from this can be tested on that.
    pub(super) fn check_test(&self, test: &FlowTest) -> Result<()> {
        ensure!(
            !matches!(test.data, Self::Mixture {}),
            "test `{}`: a mixture is for training, so test on its parts",
            test.name
        );
        let trained = self.members();
        let mut names = trained.iter().map(|(source, _)| source.short_name());
        let is_trained = names.any(|name| name == test.data.short_name());
        ensure!(
            test.data.has_test_part() || !is_trained,
            "test `{}`: {} are trained on, and have no test part with true flow: leave `tests` empty, and what `validation` holds out is the test",
            test.name,
            test.data.title()
        );
        Ok(())
    }

    /// How errors on this become one number, and where odd frames are padded.
    fn conventions(&self) -> (Convention, Padding) {
        match self {
            Self::Kitti {} | Self::Hd1k {} => (Convention::Kitti, Padding::Kitti),
            _ => (Convention::Sintel, Padding::Sintel),
        }
    }

    /// The single sources it is made of, and how often each counts.
    fn members(&self) -> Vec<(Self, usize)> {
        match self {
            Self::Mixture {} => vec![
                (
                    Self::Sintel {
                        passes: both_passes(),
                    },
                    100,
                ),
                (Self::Kitti {}, 200),
                (Self::Hd1k {}, 5),
                (
                    Self::Things {
                        passes: vec![RenderPass::Clean],
                    },
                    1,
                ),
            ],
            single => vec![(single.clone(), 1)],
        }
    }

    /// What is trained on, and the pairs held out of it: the last `validation` of each data set.
    pub(super) fn training(
        &self,
        folder: &Path,
        augmentation: &Augmentation,
        validation: usize,
    ) -> Result<FlowData> {
        let members = self.members();
        let in_mixture = members.len() > 1;
        let (mut parts, mut held_out) = (Vec::new(), Vec::new());
        for (source, repeat) in members {
            let augmentor = augmentation.of(&source, in_mixture);
            for pairs in source.read(folder, Split::Train, 0)? {
                let pairs = match pairs {
                    Pairs::Read(dataset) => {
                        let (kept, held) = hold_out(&dataset, validation, source.title())?;
                        held_out.extend(held.map(Pairs::Read));
                        Pairs::Read(kept)
                    }
                    Pairs::Made {
                        scenes,
                        first,
                        count,
                    } => {
                        if validation > 0 {
                            held_out.push(Pairs::Made {
                                scenes: scenes.clone(),
                                first: VALIDATION,
                                count: validation,
                            });
                        }
                        Pairs::Made {
                            scenes,
                            first,
                            count,
                        }
                    }
                };
                parts.push(Part {
                    pairs,
                    repeat,
                    augmentor: augmentor.clone(),
                });
            }
        }
        let (convention, padding) = self.conventions();
        Ok(FlowData {
            parts,
            validation: MeasuredPairs {
                name: "validation".to_owned(),
                sets: held_out,
                convention,
                padding,
            },
            tests: Vec::new(),
        })
    }

    /// What is measured in the test of that name.
    pub(super) fn test(&self, folder: &Path, name: &str) -> Result<MeasuredPairs> {
        let split = if self.has_test_part() {
            Split::Test
        } else {
            // Published with true flow, and as a test good for whoever has not trained on it.
            Split::Train
        };
        let (convention, padding) = self.conventions();
        Ok(MeasuredPairs {
            name: name.to_owned(),
            sets: self.read(folder, split, TEST)?,
            convention,
            padding,
        })
    }

    /// The pairs of a single source; built-in ones from the number `first` on.
    fn read(&self, folder: &Path, split: Split, first: u64) -> Result<Vec<Pairs>> {
        let sub = |name: &str| -> Result<PathBuf> {
            let path = folder.join(name);
            ensure!(
                path.is_dir(),
                "{} holds no {name}: put it there, or give another --data-dir",
                folder.display()
            );
            Ok(path)
        };
        Ok(match self {
            Self::Shapes { pairs, scenes } => vec![Pairs::Made {
                scenes: scenes.clone(),
                first,
                count: *pairs,
            }],
            Self::Chairs {} => {
                let folder = sub("FlyingChairs_release")?;
                vec![Pairs::Read(FlowDataset::flying_chairs(&folder, split)?)]
            }
            Self::Things { passes } => {
                let folder = sub("FlyingThings3D")?;
                let open = |&pass: &RenderPass| -> Result<Pairs> {
                    let things = Things {
                        pass,
                        ..Things::default()
                    };
                    let dataset = FlowDataset::flying_things(&folder, split, &things)?;
                    Ok(Pairs::Read(dataset))
                };
                passes.iter().map(open).collect::<Result<_>>()?
            }
            Self::Sintel { passes } => {
                let folder = sub("Sintel")?;
                let open = |&pass: &RenderPass| -> Result<Pairs> {
                    Ok(Pairs::Read(FlowDataset::sintel(&folder, split, pass)?))
                };
                passes.iter().map(open).collect::<Result<_>>()?
            }
            Self::Kitti {} => vec![Pairs::Read(FlowDataset::kitti(&sub("KITTI")?, split)?)],
            Self::Hd1k {} => vec![Pairs::Read(FlowDataset::hd1k(&sub("HD1k")?)?)],
            Self::Mixture {} => {
                let mut all = Vec::new();
                for (member, _) in self.members() {
                    all.extend(member.read(folder, split, first)?);
                }
                all
            }
        })
    }
}

/// All pairs but the last ones, and these.
fn hold_out(
    dataset: &FlowDataset,
    held: usize,
    title: &str,
) -> Result<(FlowDataset, Option<FlowDataset>)> {
    let files = dataset.files();
    ensure!(
        held < files.len(),
        "validation is {held}, but there are {} in {title}, and some must be left to train on",
        files.len()
    );
    let (kept, last) = files.split_at(files.len() - held);
    let last = match held {
        0 => None,
        _ => Some(FlowDataset::new(last.to_vec())?),
    };
    Ok((FlowDataset::new(kept.to_vec())?, last))
}
