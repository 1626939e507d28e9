//! What the runs say about the paper's claims, in plain sentences.

use super::record::Kind;
use super::setup::DataSet;
use super::summary::{Group, measure};
use crate::commands::train::Spread;
use crate::commands::train::fusion::Method;

/// A mean relative residual at which the state has settled: the default tolerance of the reference's
/// solvers.
const SETTLED: f64 = 1e-3;

/// A sentence for each claim on a data set that its runs can tell something about.
pub(super) fn sentences(groups: &[Group<'_>], data: DataSet) -> Vec<String> {
    let found = [accuracy(groups, data), convergence(groups, data)];
    found.into_iter().flatten().collect()
}

/// DEQ fusion is better than other ways to join modalities.
fn accuracy(groups: &[Group<'_>], data: DataSet) -> Option<String> {
    let others = groups
        .iter()
        .filter(|group| group.kind.data == data && group.kind.method != Method::Equilibrium);
    let (mut better, mut worse, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for group in others {
        let values = group.values(measure("accuracy_over_deq_points"));
        // The other way round.
        let values: Vec<f64> = values.iter().map(|value| -value).collect();
        let Some(gain) = Spread::of(&values) else {
            continue;
        };
        let title = group.kind.method.title();
        all.push(format!("{title}: {}", gain.text(2)));
        // A single seed has no error.
        let error = gain
            .deviation
            .map(|spread| spread / (values.len() as f64).sqrt());
        if error.is_some_and(|error| gain.mean.abs() > 2.0 * error) {
            match gain.mean > 0.0 {
                true => better.push(title),
                false => worse.push(title),
            }
        }
    }
    if all.is_empty() {
        return None;
    }
    let list = |names: &[&str]| match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    };
    Some(format!(
        "DEQ fusion minus the others in points of test accuracy, of the same seed: {}. By more than two standard errors it is better than {} of them and worse than {}; of the rest nothing can be said.",
        all.join("; "),
        list(&better),
        list(&worse)
    ))
}

/// The solver's residual falls below that of the weight-tied layer's iteration.
fn convergence(groups: &[Group<'_>], data: DataSet) -> Option<String> {
    let last = |method: Method| {
        let kind = Kind { data, method };
        let group = groups.iter().find(|group| group.kind == kind)?;
        let curve = group.convergence(|point| point.relative);
        let lowest = curve
            .iter()
            .map(|point| point.1)
            .fold(f64::INFINITY, f64::min);
        let (step, _) = *curve.last()?;
        Some((lowest, step))
    };
    let (deq, deq_steps) = last(Method::Equilibrium)?;
    let (tied, tied_steps) = last(Method::WeightTied)?;
    let whether = if deq <= SETTLED && tied > SETTLED {
        "it shows".to_owned()
    } else if deq < tied {
        format!("it shows in part (the solver's residual falls lower, but not to {SETTLED:e})")
    } else {
        "it does not show".to_owned()
    };
    Some(format!(
        "The layer of DEQ fusion settles where the weight-tied one does not (the figure of residual against step): at this scale {whether}, in that the lowest mean relative residual is {deq:.1e} in {deq_steps} evaluations of the solver and {tied:.1e} in {tied_steps} plain steps of the weight-tied layer. Each network is its own, and only that of DEQ fusion is trained with the penalty on its Jacobian."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::study::fusion::record::Record;
    use crate::commands::study::fusion::summary::groups;

    fn verdict(records: &[Record]) -> Vec<String> {
        sentences(&groups(records), DataSet::Generated)
    }

    #[test]
    fn differences_beyond_the_error_count() {
        let mut records = Vec::new();
        for seed in 0..3 {
            let noise = 0.01 * seed as f64;
            records.push(Record::example(Method::Equilibrium, seed, 0.75));
            records.push(Record::example(Method::Tensor, seed, 0.5 + noise));
            records.push(Record::example(Method::LowRank, seed, 0.875 + noise));
            let both_ways = if seed == 0 { 0.85 } else { 0.7 };
            records.push(Record::example(Method::Concatenation, seed, both_ways));
        }
        let found = verdict(&records);
        assert_eq!(found.len(), 1);
        for words in [
            "tensor: 24.00 ± 1.00",
            "better than tensor of them and worse than low rank;",
        ] {
            assert!(found[0].contains(words), "{words}: {}", found[0]);
        }
        // Nothing is beyond the error of a single seed.
        let single = verdict(&records[..3]);
        assert!(single[0].contains("better than none"), "{}", single[0]);
        assert!(verdict(&records[..1]).is_empty());
    }

    #[test]
    fn residuals_are_compared() {
        let pair = [
            Record::example(Method::Equilibrium, 0, 0.5),
            Record::example(Method::WeightTied, 0, 0.5),
        ];
        let found = verdict(&pair);
        assert_eq!(found.len(), 2);
        for words in ["it shows", "1.0e-3 in 3 evaluations", "e-1 in 3 plain"] {
            assert!(found[1].contains(words), "{words}: {}", found[1]);
        }
        let mut slow = pair;
        for (relative, words) in [(0.05, "it shows in part"), (0.9, "it does not show")] {
            for point in &mut slow[0].measured.convergence {
                point.relative = Some(relative);
            }
            let found = verdict(&slow);
            assert!(found[1].contains(words), "{}", found[1]);
        }
    }
}
