//! Replays the `deq_ddim` fixtures of the reference implementation.

use burn::tensor::{Device, Tensor, TensorData};
use deq::torchdeq;
use deq_import::{gradients, load};
use deq_parity::{Fixture, FixtureError, Results};
use serde::Deserialize;

use crate::joint::JointArgs;
use crate::{Chain, Diffusion, SamplingConfig, Spacing, UNet, UNetConfig, sequential};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    what: What,
    ch: usize,
    ch_mult: Vec<usize>,
    num_res_blocks: usize,
    attn_resolutions: Vec<usize>,
    in_channels: usize,
    image_size: usize,
    batch: usize,
    /// How the weights of the last convolution were scaled; they are stored.
    #[serde(rename = "out_scale")]
    _out_scale: f64,
    steps: Option<usize>,
    eta: Option<f64>,
    f_max_iter: Option<usize>,
    tau: Option<f64>,
    deq: Option<bool>,
}

/// What of the reference ran.
#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    /// The network alone.
    Eps,
    /// Sampling, the joint map, encoding and the gradients of inversion.
    Sampling,
}

/// Builds the fixture's network from its configuration, and computes its estimates and gradients,
/// or its coefficients, trajectories, joint maps, encoding and inversion losses.
///
/// # Errors
/// [`FixtureError`] when the fixture is of another model or does not fit its own configuration.
pub fn replay(fixture: &Fixture, device: &Device) -> Result<Results, FixtureError> {
    fixture.require_model("deq-ddim")?;
    let config: Config = fixture.config()?;
    match config.what {
        What::Eps => replay_estimate(fixture, &config, device),
        What::Sampling => replay_sampling(fixture, &config, device),
    }
}

fn replay_estimate(
    fixture: &Fixture,
    config: &Config,
    device: &Device,
) -> Result<Results, FixtureError> {
    let is_given = config.steps.is_some() || config.eta.is_some() || config.deq.is_some();
    if is_given || config.f_max_iter.is_some() || config.tau.is_some() {
        return Err(FixtureError::replay(
            "a fixture of the network alone has options of sampling",
        ));
    }
    let device = device.clone().autodiff();
    let network = network(fixture, config, &device)?;
    let x: Tensor<4> = fixture.tensor("input.x", &device)?;
    require_batch(config, x.dims()[0])?;
    let x = x.require_grad();
    let steps = integers(fixture, "t")?;
    let cotangent: Tensor<4> = fixture.tensor("input.cotangent", &device)?;

    let estimate = network.forward(x.clone(), &steps);
    let estimate = estimate.map_err(FixtureError::replay)?;
    let backward = (estimate.clone() * cotangent).sum().backward();
    let mut results = Results::new();
    results.insert("expect.eps", estimate);
    results.insert_gradients(&gradients(&network, &backward, &fixture.weights()));
    if let Some(gradient) = x.grad(&backward) {
        results.insert("grad.input.x", gradient);
    }
    Ok(results)
}

fn replay_sampling(
    fixture: &Fixture,
    config: &Config,
    device: &Device,
) -> Result<Results, FixtureError> {
    if config.batch != 1 {
        return Err(FixtureError::replay(
            "the reference's joint map is that of a single image",
        ));
    }
    let network = network(fixture, config, device)?;
    let latent: Tensor<4> = fixture.tensor("input.x", device)?;
    require_batch(config, latent.dims()[0])?;
    let target: Tensor<4> = fixture.tensor("input.target", device)?;
    let stack: Tensor<4> = fixture.tensor("input.stack", device)?;
    let noise: Tensor<4> = fixture.tensor("input.noise", device)?;
    let diffusion = diffusion(fixture, device)?;
    let chain = chain(&diffusion, config, 0.0)?;
    let stochastic = chain_with_noise(&diffusion, config)?;

    let mut results = Results::new();
    insert_coefficients(&mut results, &chain);
    let passed = sequential::trajectory(&network, &chain, latent.clone(), None);
    let passed = passed.map_err(FixtureError::replay)?;
    let trajectory = Tensor::cat(passed.states, 0);
    results.insert("expect.trajectory", trajectory.clone());
    results.insert("expect.x0_predictions", Tensor::cat(passed.predictions, 0));
    let encoded = sequential::encode(&network, &chain, target.clone());
    let encoded = encoded.map_err(FixtureError::replay)?;
    results.insert("expect.encoded", Tensor::cat(encoded, 0));

    let args = |chain: &Chain, latent: Tensor<4>, noise: Option<Tensor<5>>| {
        let args = JointArgs::new(&network, chain, latent, noise, None);
        args.map_err(FixtureError::replay)
    };
    let top = stack.clone().narrow(0, 0, 1);
    let joint = args(&chain, top.clone(), None)?;
    results.insert("expect.joint", of_stack(&joint, stack.clone()));
    let on_trajectory = args(&chain, latent.clone(), None)?;
    let image = of_stack(&on_trajectory, trajectory);
    results.insert("expect.joint_of_trajectory", image);
    let noise = (stochastic.eta() > 0.0).then(|| noise.unsqueeze_dim::<5>(0));
    let joint = args(&stochastic, top, noise)?;
    results.insert("expect.joint_stochastic", of_stack(&joint, stack));

    // Inversion through the whole chain.
    let tracked = latent.clone().autodiff().require_grad();
    let image = sequential::sample(&network, &chain, tracked.clone(), None);
    let image = image.map_err(FixtureError::replay)?;
    insert_loss(
        &mut results,
        image,
        &target,
        &tracked,
        "inversion_loss",
        "input.x",
    );

    if config.deq.unwrap_or(false) {
        let tracked = latent.autodiff().require_grad();
        let joint = args(&chain, tracked.clone(), None)?;
        let state = solve(fixture, config, &joint, &tracked)?;
        results.insert("expect.deq_state", state.clone());
        let last = state.dims()[0] - 1;
        let image = state.narrow(0, last, 1);
        insert_loss(
            &mut results,
            image,
            &target,
            &tracked,
            "deq_loss",
            "deq_start_row0",
        );
    }
    Ok(results)
}

/// The reference's solve: its rows are the solver's samples, and the latent is the first of them.
/// The network reads the rows, so that a tracked step reaches the latent through the injection
/// alone.
fn solve(
    fixture: &Fixture,
    config: &Config,
    joint: &JointArgs,
    latent: &Tensor<4>,
) -> Result<Tensor<4>, FixtureError> {
    let options: torchdeq::Options = fixture.solver()?;
    if options.f_max_iter != config.f_max_iter || options.tau != config.tau {
        return Err(FixtureError::replay(
            "`f_max_iter` and `tau` differ between the configuration and the solver",
        ));
    }
    let mut deq = options.deq().map_err(FixtureError::replay)?;
    deq.forward.termination.divergence = None;
    let layer = deq.init().map_err(FixtureError::replay)?;
    let start = latent.clone().inner().repeat_dim(0, joint.steps() + 1);
    let solved = layer.solve(joint, start, of_stack);
    Ok(solved.map_err(FixtureError::replay)?.into_last())
}

/// The joint map on the reference's state, `[steps + 1, channels, size, size]`: the latent, then
/// where each step ends.
fn of_stack(joint: &JointArgs, stack: Tensor<4>) -> Tensor<4> {
    let [_, steps, channels, height, width] = joint.shape();
    let first = stack.clone().narrow(0, 0, 1);
    let rest = (steps > 1).then(|| {
        let rest = stack.narrow(0, 1, steps - 1);
        rest.reshape([1, steps - 1, channels, height, width])
    });
    let image = joint.update(first, rest);
    let image = image.reshape([steps, channels, height, width]);
    Tensor::cat(vec![joint.latents(), image], 0)
}

/// The squared error of a sampled image, and its gradient with respect to the latent.
fn insert_loss(
    results: &mut Results,
    image: Tensor<4>,
    target: &Tensor<4>,
    latent: &Tensor<4>,
    loss_name: &str,
    gradient_name: &str,
) {
    let loss = (image - target.clone()).square().sum();
    let backward = loss.backward();
    results.insert(format!("expect.{loss_name}"), loss);
    if let Some(gradient) = latent.grad(&backward) {
        results.insert(format!("grad.{gradient_name}"), gradient);
    }
}

fn insert_coefficients(results: &mut Results, chain: &Chain) {
    let count = chain.steps();
    let rising: Vec<i64> = chain.time_steps().iter().rev().map(|&t| t as i64).collect();
    results.insert_data("expect.timesteps", TensorData::new(rising, [count]));
    let alpha_bar = chain.alpha_bar().iter().rev().copied().collect();
    for (name, values) in [
        ("alpha_bar", alpha_bar),
        ("alpha_ratio", chain.latent_shares()),
        ("et_coeff", chain.estimate_shares()),
        ("et_prevsum_coeff", chain.sum_shares()),
    ] {
        results.insert_data(format!("expect.{name}"), TensorData::new(values, [count]));
    }
}

fn network(fixture: &Fixture, config: &Config, device: &Device) -> Result<UNet, FixtureError> {
    let mut network = UNetConfig {
        channels: config.in_channels,
        image_size: config.image_size,
        width: config.ch,
        multipliers: config.ch_mult.clone(),
        res_blocks: config.num_res_blocks,
        attention_resolutions: config.attn_resolutions.clone(),
        // The reference ran in evaluation mode.
        dropout: 0.0,
    };
    // The reference passes over resolutions that the network does not have; we refuse them.
    let resolutions = network.resolutions();
    let attends = &mut network.attention_resolutions;
    attends.retain(|resolution| resolutions.contains(resolution));
    attends.dedup();
    let network = UNet::new(&network, device, 0).map_err(FixtureError::replay)?;
    load(network, &fixture.weights()).map_err(FixtureError::replay)
}

fn diffusion(fixture: &Fixture, device: &Device) -> Result<Diffusion, FixtureError> {
    let betas: Tensor<1> = fixture.tensor("input.betas", device)?;
    let betas = betas.into_data().iter::<f64>().collect();
    Diffusion::from_betas(betas).map_err(FixtureError::replay)
}

fn chain(diffusion: &Diffusion, config: &Config, eta: f64) -> Result<Chain, FixtureError> {
    let steps = config
        .steps
        .ok_or_else(|| FixtureError::replay("the configuration has no `steps`"))?;
    let sampling = SamplingConfig {
        steps,
        spacing: Spacing::Uniform,
        eta,
    };
    diffusion.chain(&sampling).map_err(FixtureError::replay)
}

fn chain_with_noise(diffusion: &Diffusion, config: &Config) -> Result<Chain, FixtureError> {
    let eta = config
        .eta
        .ok_or_else(|| FixtureError::replay("the configuration has no `eta`"))?;
    chain(diffusion, config, eta)
}

fn integers(fixture: &Fixture, name: &str) -> Result<Vec<usize>, FixtureError> {
    let (_, data) = fixture
        .with_prefix("input.")
        .find(|(found, _)| *found == name)
        .ok_or_else(|| FixtureError::MissingTensor(format!("input.{name}")))?;
    Ok(data.iter::<i64>().map(|value| value as usize).collect())
}

fn require_batch(config: &Config, found: usize) -> Result<(), FixtureError> {
    if config.batch == found {
        return Ok(());
    }
    Err(FixtureError::replay(format!(
        "the configuration has a batch of {}, the input {found} images",
        config.batch
    )))
}
