use super::CheckpointCause;
use super::pickle::Pickle;
use super::value::{Id, Value, Values};
use super::view::View;

/// Where training programs put the state dict among other things.
const PARTS: [&str; 3] = ["state_dict", "model_state_dict", "model"];

/// How deep dicts may nest.
const DEPTH: usize = 16;

/// The names and tensors of the state dict in a checkpoint.
pub(super) fn weights(pickle: &Pickle) -> Result<Vec<(String, View)>, CheckpointCause> {
    let values = &pickle.values;
    let mut collector = Collector {
        values,
        // Each value of a real state dict has one name.
        visits: values.len(),
        found: Vec::new(),
    };
    collector.collect(state_dict(values, pickle.root)?, "", DEPTH)?;
    if collector.found.is_empty() {
        let reason = "it holds no tensors".to_owned();
        return Err(CheckpointCause::NoWeights(reason));
    }
    Ok(collector.found)
}

/// The dict that holds the tensors: the root, or what stands under one of [`PARTS`].
fn state_dict(values: &Values, root: Id) -> Result<Id, CheckpointCause> {
    let mut id = root;
    for _ in 0..DEPTH {
        let items = match values.get(id) {
            Value::Dict(items) => items,
            other => {
                let reason = format!("it holds {}, not a state dict", other.describe());
                return Err(CheckpointCause::NoWeights(reason));
            }
        };
        let dicts: Vec<(&str, Id)> = items
            .iter()
            .filter_map(|&(key, value)| match (values.get(key), values.get(value)) {
                (Value::Text(key), Value::Dict(_)) if PARTS.contains(&key.as_str()) => {
                    Some((key.as_str(), value))
                }
                _ => None,
            })
            .collect();
        let is_tensor = |&(_, value): &(Id, Id)| matches!(values.get(value), Value::Tensor(_));
        match dicts.as_slice() {
            // Tensors beside it are scores and the like.
            &[(_, dict)] => id = dict,
            // Under a known name a dict may hold dicts alone.
            [] if id != root || items.is_empty() || items.iter().any(is_tensor) => return Ok(id),
            [] => {
                let parts: Vec<String> = items
                    .iter()
                    .map(|&(key, value)| {
                        format!("`{}`, {}", name(values, key), values.get(value).describe())
                    })
                    .collect();
                return Err(CheckpointCause::NoWeights(format!(
                    "none of its parts is known to be the weights: {}",
                    parts.join("; ")
                )));
            }
            several => {
                let keys: Vec<String> = several.iter().map(|(key, _)| format!("`{key}`")).collect();
                return Err(CheckpointCause::NoWeights(format!(
                    "it holds weights under each of {}",
                    keys.join(", ")
                )));
            }
        }
    }
    Err(too_deep())
}

struct Collector<'a> {
    values: &'a Values,
    /// How many more values to look at: dicts that hold themselves would go on for ever.
    visits: usize,
    found: Vec<(String, View)>,
}

impl Collector<'_> {
    fn collect(&mut self, dict: Id, prefix: &str, depth: usize) -> Result<(), CheckpointCause> {
        let Value::Dict(items) = self.values.get(dict) else {
            return Ok(());
        };
        for &(key, value) in items {
            self.visits = self.visits.checked_sub(1).ok_or_else(too_deep)?;
            let name = format!("{prefix}{}", name(self.values, key));
            match self.values.get(value) {
                Value::Tensor(view) => self.found.push((name, view.clone())),
                Value::Dict(_) => {
                    let depth = depth.checked_sub(1).ok_or_else(too_deep)?;
                    self.collect(value, &format!("{name}."), depth)?;
                }
                Value::None | Value::Bool | Value::Int(_) | Value::Number | Value::Text(_) => {}
                other => {
                    return Err(CheckpointCause::NoWeights(format!(
                        "`{name}` is {}, not a tensor",
                        other.describe()
                    )));
                }
            }
        }
        Ok(())
    }
}

fn name(values: &Values, key: Id) -> String {
    match values.get(key) {
        Value::Text(name) => name.clone(),
        Value::Int(index) => index.to_string(),
        other => other.describe(),
    }
}

fn too_deep() -> CheckpointCause {
    CheckpointCause::Damaged("its dicts nest without end".to_owned())
}
