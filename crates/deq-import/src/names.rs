/// Follows a visitor or mapper through a module, and knows the current parameter's PyTorch name.
#[derive(Debug, Default)]
pub(crate) struct Path {
    /// Field name and container type of each level, as burn reports them.
    levels: Vec<(String, String)>,
}

/// How burn announces what hangs below a reparameterised parameter.
const REPARAMETERIZATION: &str = "Reparameterization";

impl Path {
    pub(crate) fn enter(&mut self, name: &str, container: &str) {
        self.levels.push((name.to_owned(), container.to_owned()));
    }

    pub(crate) fn exit(&mut self) {
        self.levels.pop();
    }

    /// The names PyTorch may use for the current parameter, the most usual first.
    pub(crate) fn candidates(&self) -> Vec<String> {
        // An enum's variant says what a part is, not where: PyTorch has no such level.
        let levels: Vec<&(String, String)> = self
            .levels
            .iter()
            .filter(|(_, container)| !container.starts_with("Enum:"))
            .collect();
        let names: Vec<&str> = levels.iter().map(|(name, _)| name.as_str()).collect();
        if let [.., (_, container), (leaf, _)] = levels.as_slice()
            && container == REPARAMETERIZATION
        {
            let owner = names[..names.len() - 2].join(".");
            let suffix = if leaf == "gain" { "g" } else { leaf };
            return vec![format!("{owner}_{suffix}")];
        }
        let (Some((leaf, owner)), Some((_, container))) = (names.split_last(), levels.last())
        else {
            return Vec::new();
        };
        let is_norm = container.starts_with("Struct:") && container.ends_with("Norm");
        let leaf = match *leaf {
            "gamma" if is_norm => "weight",
            "beta" if is_norm => "bias",
            other => other,
        };
        let mut name = owner.to_vec();
        name.push(leaf);
        let name = name.join(".");
        // Under spectral norm `_v` is a vector beside `_orig`, so that comes last.
        vec![name.clone(), format!("{name}_orig"), format!("{name}_v")]
    }

    /// Whether the current parameter is a `Linear` weight, which burn stores transposed.
    pub(crate) fn is_linear_weight(&self) -> bool {
        matches!(self.levels.last(), Some((name, container))
            if name == "weight" && container == "Struct:Linear")
    }
}
