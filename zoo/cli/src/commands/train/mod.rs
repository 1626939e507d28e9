//! `train`: a model with its data, in a folder that the same command goes on with.
//!
//! [`Recipe`] is what a model's settings must offer; [`options::Common::train`] does the rest for
//! every model.

pub(crate) mod collapse;
pub(crate) mod ddim;
pub(crate) mod flow;
pub(crate) mod fusion;
pub(crate) mod ignn;
pub(crate) mod lm;
pub(crate) mod mdeq;

mod classes;
mod data_folder;
pub(crate) mod duration;
mod host;
mod images;
mod metrics;
mod model;
mod options;
mod probe;
mod recipe;
mod run;
pub(crate) mod settings;
mod solves;
mod spread;
mod weights;

use std::process::ExitCode;

use anyhow::Result;

pub(crate) use self::data_folder::{data_folder, given};
pub(crate) use self::host::on_host;
pub(crate) use self::images::picture_of;
pub(crate) use self::metrics::{as_json, as_text, number};
pub(crate) use self::model::{ModelName, Visitor};
pub(crate) use self::probe::{Layer, POWER_STEPS, Probe, Sample};
pub(crate) use self::recipe::{Experiment, Recipe};
pub(crate) use self::run::{
    Session, boxed, checkpoint, go_on, newest_checkpoint, open_folder, plain, read_run,
};
pub(crate) use self::spread::Spread;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    model: Model,
}

#[derive(clap::Subcommand)]
enum Model {
    /// Implicit graph networks: built-in chains, Cora, CiteSeer, WebKB, TU's sets, PPI.
    Ignn(Box<self::ignn::Options>),
    /// Image classifiers: built-in shapes, Fashion-MNIST, MNIST, CIFAR, folders of pictures.
    Mdeq(Box<self::mdeq::Options>),
    /// Language models: built-in text, Tiny Shakespeare, WikiText.
    DeqLm(Box<self::lm::Options>),
    /// Optical flow: built-in moving shapes, FlyingChairs, FlyingThings3D, Sintel, KITTI, HD1K.
    DeqFlow(Box<self::flow::Options>),
    /// Diffusion models: built-in shapes, Fashion-MNIST, MNIST, CIFAR, folders of pictures.
    DeqDdim(Box<self::ddim::Options>),
    /// Fused modalities: built-in correlated ones, ROSMAP, BRCA, files of features.
    DeqFusion(Box<self::fusion::Options>),
    /// Networks whose features collapse: built-in shapes, Fashion-MNIST, MNIST, CIFAR, folders of
    /// pictures; all images, or classes of unlike sizes.
    DeqCollapse(Box<self::collapse::Options>),
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    match &arguments.model {
        Model::Ignn(options) => self::ignn::run(options),
        Model::Mdeq(options) => self::mdeq::run(options),
        Model::DeqLm(options) => self::lm::run(options),
        Model::DeqFlow(options) => self::flow::run(options),
        Model::DeqDdim(options) => self::ddim::run(options),
        Model::DeqFusion(options) => self::fusion::run(options),
        Model::DeqCollapse(options) => self::collapse::run(options),
    }
}
