//! One step's gradient from several devices.

use std::thread;

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Tensor};

use crate::LearnerError;
use crate::error::require;

/// What several devices found together.
#[derive(Debug)]
pub struct Parallel {
    /// The mean of the shards' losses.
    pub loss: f64,
    /// The mean of their gradients, on the first device: what [`Optimizer::step`] takes.
    ///
    /// [`Optimizer::step`]: crate::Optimizer::step
    pub gradients: GradientsParams,
}

/// A shard's loss and its share of the gradient.
type Found = Result<(f64, GradientsParams), LearnerError>;

/// The loss and the gradient of `module` over shards of a batch, one a device, computed at the same
/// time. With $n$ devices and the loss $\ell_k$ of shard $k$,
///
/// $$\ell = \tfrac1n \sum_k \ell_k, \qquad g = \tfrac1n \sum_k \nabla \ell_k.$$
///
/// When each $\ell_k$ is a mean over as many samples, these are the loss and the gradient that one
/// device computes on all of them.
///
/// `loss` is called once a device, with the shard's number, the module to use and the device to
/// make the shard's tensors on. `module` is on the first of the `devices`, with autodiff, and
/// works there on shard 0; each other device has a copy of it and a thread. A device may be listed
/// twice. Sums are taken in the order of the `devices`, whichever is done first, so that a run stays
/// reproducible. For the same reason random numbers should come from [`rng_for`](crate::rng_for)
/// with the shard in its purpose: threads may share a device's own generator.
///
/// Called on the only thread of a rayon pool, it takes the shards one after the other: kernels on
/// other threads would wait for that thread, which waits for them.
///
/// Running statistics, as of batch norm, follow shard 0. Copies do without gradient checkpointing.
///
/// ```
/// use burn::module::Param;
/// use burn::tensor::{Device, Tensor};
/// use deq_train::{Optimizer, OptimizerConfig, data_parallel};
///
/// // Two threads on one CPU: shard 0 sees the samples 1 and 2, shard 1 the samples 3 and 4.
/// let devices = [Device::flex(), Device::flex()];
/// let weight = Tensor::<1>::ones([1], &devices[0].clone().autodiff());
/// let mut module = Param::from_tensor(weight);
/// let found = data_parallel(&module, &devices, |shard, weight, device| {
///     let first = 2.0 * shard as f32 + 1.0;
///     let x = Tensor::<1>::from_floats([first, first + 1.0], device);
///     Ok((weight.val() * x).mean())
/// })?;
/// assert_eq!(found.loss, 2.5);
/// module = Optimizer::new(OptimizerConfig::default())?.step(0.1, module, found.gradients)?;
/// assert!((module.val().into_scalar::<f32>() - 0.9).abs() < 1e-6);
/// # Ok::<(), deq_train::LearnerError>(())
/// ```
///
/// # Errors
/// When there is no device or `module` is not on the first one, and the first error of `loss`.
///
/// # Panics
/// When `loss` does, on any device.
pub fn data_parallel<M, F>(
    module: &M,
    devices: &[Device],
    loss: F,
) -> Result<Parallel, LearnerError>
where
    M: Module,
    F: Fn(usize, &M, &Device) -> Result<Tensor<1>, LearnerError> + Sync,
{
    require(
        devices.first().is_some_and(|main| {
            let own = module.devices();
            own.iter().all(|device| device == main)
        }),
        "devices",
        format!("{devices:?}"),
        "a list that begins with the module's own device",
    )?;
    let share = 1.0 / devices.len() as f64;
    let shard = |index: usize, module: &M, device: &Device| -> Found {
        let loss = loss(index, module, device)?;
        let value = loss.clone().into_scalar::<f64>();
        let gradients = loss.mul_scalar(share).backward();
        Ok((value, GradientsParams::from_grads(gradients, module)))
    };
    let (shard, main) = (&shard, devices[0].clone().autodiff());
    // `fork` moves running statistics of all clones that share them; those of `valid` are its own.
    let copies = devices[1..].iter().map(|device| {
        let device = device.clone().inner();
        let copy = module.valid().fork(&device).train();
        (device.autodiff(), copy)
    });
    let copies: Vec<(Device, M)> = copies.collect();
    let shards = copies
        .into_iter()
        .enumerate()
        .map(|(index, (device, copy))| move || shard(index + 1, &copy, &device));
    let main_shard = || shard(0, module, &main);
    let found = if is_only_thread() {
        one_by_one(main_shard, shards)
    } else {
        at_once(main_shard, shards)
    };

    let plain = main.inner();
    let (mut mean, mut sum) = (0.0, GradientsAccumulator::new());
    for outcome in found {
        let (loss, gradients) = outcome?;
        mean += share * loss;
        sum.accumulate(module, gradients.to_device(&plain, module));
    }
    Ok(Parallel {
        loss: mean,
        gradients: sum.grads(),
    })
}

/// Whether rayon's work has no other thread than this one to run on.
fn is_only_thread() -> bool {
    rayon::current_thread_index().is_some() && rayon::current_num_threads() == 1
}

fn one_by_one(
    main: impl FnOnce() -> Found,
    others: impl Iterator<Item = impl FnOnce() -> Found>,
) -> Vec<Found> {
    std::iter::once(main())
        .chain(others.map(|shard| shard()))
        .collect()
}

/// The first on this thread, each other on one of its own.
fn at_once(
    main: impl FnOnce() -> Found,
    others: impl Iterator<Item = impl FnOnce() -> Found + Send>,
) -> Vec<Found> {
    thread::scope(|scope| {
        let workers: Vec<_> = others.map(|shard| scope.spawn(shard)).collect();
        let mut found = vec![main()];
        for worker in workers {
            match worker.join() {
                Ok(outcome) => found.push(outcome),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        found
    })
}
