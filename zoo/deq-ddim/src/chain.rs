//! The steps that sampling visits, with their coefficients.

use crate::Diffusion;

/// A chain of DDIM steps from the latent $x_T$ down to the image $x_0$.
///
/// With $\bar\alpha_t$ where a step starts, $\bar\alpha_{t'}$ where it ends (1 for the last), and
///
/// $$\sigma_t = \eta \sqrt{\Bigl(1 - \frac{\bar\alpha_t}{\bar\alpha_{t'}}\Bigr)
///   \frac{1 - \bar\alpha_{t'}}{1 - \bar\alpha_t}}$$
///
/// one step is (Song, Meng and Ermon, ICLR 2021, equation 12)
///
/// $$\hat x_0 = \frac{x_t - \sqrt{1 - \bar\alpha_t}\, \epsilon_\theta(x_t, t)}{\sqrt{\bar\alpha_t}},
///   \qquad x_{t'} = \sqrt{\bar\alpha_{t'}}\, \hat x_0 +
///   \sqrt{1 - \bar\alpha_{t'} - \sigma_t^2}\, \epsilon_\theta(x_t, t) + \sigma_t n_t.$$
///
/// All lists are in the order of the steps, the one that starts at $x_T$ first.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    time_steps: Vec<usize>,
    alpha_bar: Vec<f64>,
    alpha_bar_next: Vec<f64>,
    sigma: Vec<f64>,
    eta: f64,
}

impl Chain {
    /// `rising` are valid steps of the diffusion, at least one.
    pub(crate) fn new(diffusion: &Diffusion, rising: &[usize], eta: f64) -> Self {
        let time_steps: Vec<usize> = rising.iter().rev().copied().collect();
        let at = |&step: &usize| diffusion.alpha_bar()[step];
        let alpha_bar: Vec<f64> = time_steps.iter().map(at).collect();
        let mut alpha_bar_next = alpha_bar[1..].to_vec();
        alpha_bar_next.push(1.0);
        let pairs = alpha_bar.iter().zip(&alpha_bar_next);
        let sigma = pairs
            .map(|(now, next)| eta * ((1.0 - now / next) * (1.0 - next) / (1.0 - now)).sqrt())
            .collect();
        Self {
            time_steps,
            alpha_bar,
            alpha_bar_next,
            sigma,
            eta,
        }
    }

    /// $T$, the number of steps, at least 1.
    pub fn steps(&self) -> usize {
        self.time_steps.len()
    }

    /// $\eta$.
    pub fn eta(&self) -> f64 {
        self.eta
    }

    /// $t$, falling.
    pub fn time_steps(&self) -> &[usize] {
        &self.time_steps
    }

    /// $\bar\alpha_t$ where each step starts.
    pub fn alpha_bar(&self) -> &[f64] {
        &self.alpha_bar
    }

    /// $\bar\alpha_{t'}$ where each step ends; 1 for the last.
    pub fn alpha_bar_next(&self) -> &[f64] {
        &self.alpha_bar_next
    }

    /// $\sigma_t$.
    pub fn sigma(&self) -> &[f64] {
        &self.sigma
    }

    /// $r_t = \sqrt{\bar\alpha_{t'} / \bar\alpha_T}$: the latent's share of where each step ends.
    pub fn latent_shares(&self) -> Vec<f64> {
        let first = self.alpha_bar[0];
        let next = self.alpha_bar_next.iter();
        next.map(|next| (next / first).sqrt()).collect()
    }

    /// $c_t = \bigl(\sqrt{1 - \bar\alpha_{t'} - \sigma_t^2} -
    /// \sqrt{(1 - \bar\alpha_t)\, \bar\alpha_{t'} / \bar\alpha_t}\bigr) / \sqrt{\bar\alpha_{t'}}$:
    /// what each estimate adds to the running sum.
    pub fn estimate_shares(&self) -> Vec<f64> {
        let direct = self.direction();
        let steps = self.alpha_bar.iter().zip(&self.alpha_bar_next).zip(direct);
        steps
            .map(|((now, next), direct)| (direct - ((1.0 - now) * next / now).sqrt()) / next.sqrt())
            .collect()
    }

    /// $\sigma_t / \sqrt{\bar\alpha_{t'}}$: what each step's noise adds to the running sum.
    pub fn noise_shares(&self) -> Vec<f64> {
        let steps = self.sigma.iter().zip(&self.alpha_bar_next);
        steps.map(|(sigma, next)| sigma / next.sqrt()).collect()
    }

    /// $s_t = \sqrt{\bar\alpha_{t'}}$: the running sum's share of where each step ends.
    pub fn sum_shares(&self) -> Vec<f64> {
        self.alpha_bar_next.iter().map(|next| next.sqrt()).collect()
    }

    /// $\sqrt{1 - \bar\alpha_{t'} - \sigma_t^2}$.
    pub(crate) fn direction(&self) -> Vec<f64> {
        let steps = self.alpha_bar_next.iter().zip(&self.sigma);
        steps
            // At eta 1 rounding can leave it below 0.
            .map(|(next, sigma)| (1.0 - next - sigma * sigma).max(0.0).sqrt())
            .collect()
    }
}
