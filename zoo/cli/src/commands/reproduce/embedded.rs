//! The files of `benchmarks`, within the program, so that an installed one has them.

use anyhow::{Context, Result};

macro_rules! files {
    ($folder:literal: $($name:literal),+ $(,)?) => {
        &[$((
            $name,
            include_str!(concat!("../../../../../benchmarks/", $folder, "/", $name, ".toml")),
        )),+]
    };
}

/// All tables with their names.
pub(super) const TABLES: &[(&str, &str)] = files!(
    "tables":
    "deq-flow",
    "deq-inr",
    "deq-lm",
    "efficient-training",
    "fusion",
    "ignn",
    "mdeq",
    "neural-collapse",
    "torchdeq-zoo",
);

/// The recipes that tables use.
const RECIPES: &[(&str, &str)] = files!(
    "recipes":
    "deq-ddim-fashion-16",
    "deq-flow-shapes-tiny",
    "deq-fusion-cmu-mosi",
    "deq-fusion-mm-imdb",
    "deq-lm-shakespeare-small",
    "deq-lm-wikitext2-small",
    "deq-lm-wt103",
    "deq-seq-wt103",
    "ignn-chains-10",
    "ignn-chains-100",
    "ignn-citeseer",
    "ignn-cora",
    "ignn-cornell",
    "ignn-mutag",
    "ignn-ppi",
    "ignn-proteins",
    "ignn-texas",
    "ignn-wisconsin",
    "mdeq-cifar-large",
    "mdeq-cifar10-tiny",
);

/// The text of a recipe.
pub(super) fn recipe(name: &str) -> Result<&'static str> {
    let found = RECIPES.iter().find(|(known, _)| *known == name);
    let (_, text) = found
        .with_context(|| format!("this program holds no recipe benchmarks/recipes/{name}.toml"))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_table_of_the_folder_is_embedded() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benchmarks/tables");
        let entries = std::fs::read_dir(&folder).expect("a folder");
        let mut files: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name())
            .map(|name| name.into_string().expect("UTF-8"))
            .collect();
        files.sort();
        let embedded: Vec<String> = TABLES
            .iter()
            .map(|(name, _)| format!("{name}.toml"))
            .collect();
        assert_eq!(files, embedded);
    }

    #[test]
    fn recipes_are_found_by_name() {
        assert!(
            recipe("ignn-ppi")
                .expect("it is there")
                .contains("ignn-ppi")
        );
        let error = recipe("ignn-pi").expect_err("it is not there");
        assert!(error.to_string().contains("ignn-pi.toml"), "{error}");
    }
}
