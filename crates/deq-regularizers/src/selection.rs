use serde::{Deserialize, Serialize};

/// Which weights of a module a norm is attached to, by patterns on the dotted path of each
/// parameter, such as `blocks.0.conv1.weight`.
///
/// In a pattern `*` stands for any characters, dots included, and everything else for itself. A
/// pattern must match the whole path.
///
/// - Without `include`, all weights of linear layers and convolutions are taken.
/// - With it, those of them that match at least one of its patterns.
/// - Any other parameter (a bare one) is taken only if `include` names it: when the last component
///   of a pattern that matches has no `*`. So `cell.*` never takes a bias, and `cell.*.kernel`
///   takes every `kernel`. The output channels of a bare parameter are its first axis.
/// - What matches a pattern of `exclude` is left out.
///
/// A pattern without effect is an error.
///
/// ```
/// use deq_regularizers::{NormConfig, Selection, WeightNormConfig};
/// use burn::nn::LinearConfig;
///
/// let device = burn::tensor::Device::flex();
/// let layers = vec![LinearConfig::new(3, 3).init(&device), LinearConfig::new(3, 3).init(&device)];
/// let norm = NormConfig::WeightNorm(WeightNormConfig::default());
/// let normed = norm.apply_to(layers, &Selection::all_but(["1.*"]))?;
/// assert!(normed[0].weight.reparameterization::<deq_regularizers::WeightNorm>().is_some());
/// assert!(normed[1].weight.reparameterization::<deq_regularizers::WeightNorm>().is_none());
/// # Ok::<(), deq_regularizers::NormError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Selection {
    /// What is taken; empty for every weight of a linear layer or a convolution.
    pub include: Vec<String>,
    /// What is left out of it.
    pub exclude: Vec<String>,
}

impl Selection {
    /// Every weight of a linear layer or a convolution.
    pub fn all() -> Self {
        Self::default()
    }

    /// Only what matches one of these patterns.
    pub fn only<P: Into<String>>(patterns: impl IntoIterator<Item = P>) -> Self {
        Self {
            include: patterns.into_iter().map(Into::into).collect(),
            exclude: Vec::new(),
        }
    }

    /// Every weight of a linear layer or a convolution but what matches one of these patterns.
    pub fn all_but<P: Into<String>>(patterns: impl IntoIterator<Item = P>) -> Self {
        Self {
            include: Vec::new(),
            exclude: patterns.into_iter().map(Into::into).collect(),
        }
    }
}

/// A selection at work: it remembers which of its patterns had an effect.
pub(crate) struct Selector<'a> {
    selection: &'a Selection,
    included: Vec<bool>,
    excluded: Vec<bool>,
}

impl<'a> Selector<'a> {
    pub(crate) fn new(selection: &'a Selection) -> Self {
        Self {
            selection,
            included: vec![false; selection.include.len()],
            excluded: vec![false; selection.exclude.len()],
        }
    }

    /// Whether the parameter at `path` is taken; `of_layer` says that it is the weight of a linear
    /// layer or a convolution.
    pub(crate) fn takes(&mut self, path: &str, of_layer: bool) -> bool {
        let mut taken = of_layer && self.selection.include.is_empty();
        for (pattern, used) in self.selection.include.iter().zip(&mut self.included) {
            if (of_layer || names_last(pattern)) && matches(pattern, path) {
                *used = true;
                taken = true;
            }
        }
        if !taken {
            return false;
        }
        for (pattern, used) in self.selection.exclude.iter().zip(&mut self.excluded) {
            if matches(pattern, path) {
                *used = true;
                taken = false;
            }
        }
        taken
    }

    /// A pattern that had no effect on any parameter.
    pub(crate) fn unused(&self) -> Option<&'a str> {
        let patterns = self.selection.include.iter().chain(&self.selection.exclude);
        let used = self.included.iter().chain(&self.excluded);
        patterns
            .zip(used)
            .find_map(|(pattern, used)| (!used).then_some(pattern.as_str()))
    }
}

/// Whether the pattern spells out the parameter's own name.
fn names_last(pattern: &str) -> bool {
    pattern
        .rsplit('.')
        .next()
        .is_some_and(|last| !last.contains('*'))
}

/// Whether `path` as a whole matches `pattern`, in which `*` stands for any characters.
fn matches(pattern: &str, path: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == path;
    };
    let Some(mut path) = path.strip_prefix(start) else {
        return false;
    };
    let (middle, end) = match rest.rsplit_once('*') {
        Some((middle, end)) => (middle, end),
        None => ("", rest),
    };
    // The leftmost place of each part leaves the most room to those after it.
    for part in middle.split('*') {
        let Some(at) = path.find(part) else {
            return false;
        };
        path = &path[at + part.len()..];
    }
    path.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        let path = "blocks.0.conv1.weight";
        for pattern in [
            path,
            "*",
            "**",
            "blocks.*",
            "*.weight",
            "*.conv*.weight",
            "*0*1*",
            "b*s.0*t",
        ] {
            assert!(matches(pattern, path), "{pattern}");
        }
        for pattern in [
            "",
            "blocks",
            "conv1.weight",
            "*.bias",
            "*.conv2.*",
            "blocks.*.weight.*",
            "*1*0*",
            "blocks.0.conv1.weight*t",
        ] {
            assert!(!matches(pattern, path), "{pattern}");
        }
        assert!(matches("", ""));
        assert!(matches("*", ""));
    }

    #[test]
    fn bare_parameters_are_taken_by_name_only() {
        let selection = Selection::only(["cell.*", "*.kernel"]);
        let mut selector = Selector::new(&selection);
        assert!(selector.takes("cell.linear.weight", true));
        assert!(!selector.takes("cell.linear.bias", false));
        assert_eq!(selector.unused(), Some("*.kernel"));
        assert!(selector.takes("cell.kernel", false));
        assert_eq!(selector.unused(), None);
        assert!(!selector.takes("head.weight", true));
    }
}
