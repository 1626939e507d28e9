//! Accuracy and collapse of a network as it is.

use anyhow::Result;
use burn::module::Module;
use burn::tensor::Device;
use deq_collapse::{
    Center, ClassStatistics, Evaluation, Evaluator, FeatureSample, Loss, Measures, Moments,
    Network, measures,
};

use super::data::Data;
use super::picture;
use super::record::{Collapse, Epoch, Part, Pictures};
use super::setup::{CLASSES, Setup};
use crate::commands::study::folder::finite;

/// No class weighs more than another, whatever its size.
const CENTER: Center = Center::ClassMeans;

/// Measures after so many epochs, and draws pictures if asked to.
pub(super) fn measure(
    network: &Network,
    data: &Data,
    setup: &Setup,
    device: &Device,
    epoch: usize,
    draw: bool,
) -> Result<(Epoch, Option<Pictures>)> {
    let network = network.valid();
    let majority = setup.imbalance.majority(CLASSES);
    let features = network.config().features;
    let mut moments = Moments::new(CLASSES, features)?;
    let mut sample = FeatureSample::new(CLASSES, features, setup.pictured)?;
    let mut train = Evaluator::new(CLASSES, Loss::CrossEntropy)?;
    for batch in data.batches(&data.train, setup.batch, device) {
        let batch = batch?;
        let features = train.add_batch(&network, &batch)?;
        if draw {
            sample.add_batch(features.clone(), batch.labels())?;
        }
        moments.add_batch(features, batch.labels())?;
    }
    let mut test = Evaluator::new(CLASSES, Loss::CrossEntropy)?;
    for batch in data.batches(&data.test, setup.batch, device) {
        test.add_batch(&network, &batch?)?;
    }
    let statistics = moments.statistics()?;
    let found = measures(&statistics, &network.head(), CENTER)?;
    let pictures = match draw {
        true => picture::draw(&sample, &statistics, CENTER)?,
        false => None,
    };
    let epoch = Epoch {
        epoch,
        train: part(train.finish(majority)?),
        test: part(test.finish(majority)?),
        collapse: collapse(&found, &statistics, majority),
    };
    Ok((epoch, pictures))
}

fn collapse(found: &Measures, statistics: &ClassStatistics, majority: usize) -> Collapse {
    Collapse {
        nc1: finite(found.nc1),
        nc2: finite(found.nc2),
        nc3: finite(found.nc3),
        bias: finite(found.bias),
        equinorm_weight: finite(found.equinorm_weight),
        equinorm_means: finite(found.equinorm_means),
        minority_cosine: minority_cosine(statistics, majority),
    }
}

/// The mean cosine between the means of two classes from `majority` on.
fn minority_cosine(statistics: &ClassStatistics, majority: usize) -> Option<f64> {
    let cosines = statistics.cosines(CENTER);
    let classes = majority..cosines.rows();
    let pairs = classes.flat_map(|i| (majority..i).map(move |j| (i, j)));
    let values: Vec<f64> = pairs.map(|pair| cosines[pair]).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    finite(mean)
}

fn part(found: Evaluation) -> Part {
    Part {
        loss: finite(found.loss),
        accuracy: found.accuracy,
        residual: found.residual.and_then(finite),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::study::collapse::data::Pools;
    use crate::commands::study::collapse::record::{Kind, Settings};
    use crate::commands::study::collapse::setup::{DataSet, Model};
    use crate::commands::study::settings::Head;

    #[test]
    fn a_measurement_is_that_of_the_library() {
        let kind = Kind {
            data: DataSet::Shapes,
            classes: "k3-r10".parse().expect("a setting"),
            model: Model::Deq,
        };
        let settings = Settings::new(&Head::example(), kind, 0);
        let setup = &settings.setup;
        let data = Pools::new(None).data(&settings).expect("built-in shapes");
        for backend in deq::devices::compiled() {
            if backend.is_gpu() {
                continue; // minutes of kernel compilation on software
            }
            let device = deq::devices::parse(backend.name()).expect("compiled in");
            let network = setup.network.init(&device, 0).expect("a network");
            let batches = || {
                let batches = data.batches(&data.train, setup.batch, &device);
                batches.map(|batch| batch.expect("a batch"))
            };
            let (epoch, pictures) =
                measure(&network, &data, setup, &device, 7, true).expect("measures");
            let found = deq_collapse::collapse(&network, batches(), CENTER).expect("measures");
            let near = |a: Option<f64>, b: f64| {
                let a = a.expect("finite");
                assert!((a - b).abs() <= 1e-3 * b.abs(), "{a} {b}");
            };
            near(epoch.collapse.nc1, found.measures.nc1);
            near(epoch.collapse.nc3, found.measures.nc3);
            let loss = Loss::CrossEntropy;
            let all = deq_collapse::evaluate(&network, batches(), loss, 3).expect("evaluates");
            near(epoch.train.loss, all.loss);
            assert_eq!(epoch.train.accuracy, all.accuracy);
            assert!(epoch.train.residual.is_some() && epoch.epoch == 7);
            assert!(epoch.test.accuracy.minority.is_some());
            let cosine = epoch.collapse.minority_cosine.expect("seven classes");
            assert!((-1.0..=1.0).contains(&cosine));
            // Three of each majority class, and the only one of each other.
            let pictures = pictures.expect("finite features");
            assert_eq!(pictures.plane.len(), 3 * 3 + 7);
            let (_, none) = measure(&network, &data, setup, &device, 7, false).expect("measures");
            assert_eq!(none, None);
        }
    }
}
