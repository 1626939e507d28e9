use super::view::{Storage, View};

/// The position of a value among the pickle's: pickles refer to values more than once.
pub(super) type Id = usize;

/// What a checkpoint's pickle builds.
#[derive(Debug)]
pub(super) enum Value {
    None,
    Bool,
    /// A whole number; shapes, offsets and sizes are of these.
    Int(i64),
    /// A number of another kind.
    Number,
    Text(String),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or function, by its full name.
    Named(String),
    Storage(Storage),
    Tensor(View),
    /// What a class or function of this name would return, which is not made.
    Object(String),
}

impl Value {
    /// The value in words.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::None => "nothing".to_owned(),
            Self::Bool => "a truth value".to_owned(),
            Self::Int(_) | Self::Number => "a number".to_owned(),
            Self::Text(_) => "a text".to_owned(),
            Self::List(_) => "a list".to_owned(),
            Self::Tuple(_) => "a tuple".to_owned(),
            Self::Dict(_) => "a dict".to_owned(),
            Self::Named(name) => format!("the class or function {name}"),
            Self::Storage(_) => "a storage".to_owned(),
            Self::Tensor(_) => "a tensor".to_owned(),
            Self::Object(class) => format!("an object of {class}"),
        }
    }
}

/// A pickle's values.
#[derive(Debug, Default)]
pub(super) struct Values(Vec<Value>);

impl Values {
    pub(super) fn add(&mut self, value: Value) -> Id {
        self.0.push(value);
        self.0.len() - 1
    }

    pub(super) fn get(&self, id: Id) -> &Value {
        &self.0[id]
    }

    pub(super) fn get_mut(&mut self, id: Id) -> &mut Value {
        &mut self.0[id]
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// What a call would return: dicts and tensors are made here, all else is an [`Object`] of that
    /// name.
    ///
    /// [`Object`]: Value::Object
    pub(super) fn call(&mut self, function: Id, arguments: Id) -> Result<Id, String> {
        let name = match self.get(function) {
            Value::Named(name) | Value::Object(name) => name.clone(),
            other => return Err(format!("{} is called", other.describe())),
        };
        let arguments = match self.get(arguments) {
            Value::Tuple(arguments) => arguments.clone(),
            other => return Err(format!("a call has {} as arguments", other.describe())),
        };
        let result = match name.as_str() {
            "collections.OrderedDict" => Value::Dict(self.pairs(&arguments)?),
            "torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor" => {
                Value::Tensor(self.tensor(&arguments)?)
            }
            // The tensor of a parameter, the tuple of a size.
            "torch._utils._rebuild_parameter"
            | "torch._utils._rebuild_parameter_with_state"
            | "torch.Size" => {
                let first = arguments.first().copied();
                return first.ok_or_else(|| format!("{name} is called without arguments"));
            }
            _ => Value::Object(name),
        };
        Ok(self.add(result))
    }

    /// The items that an ordered dict is called with: none, or one list of pairs.
    fn pairs(&self, arguments: &[Id]) -> Result<Vec<(Id, Id)>, String> {
        let Some(&list) = arguments.first() else {
            return Ok(Vec::new());
        };
        let members = |id: Id| match self.get(id) {
            Value::List(members) | Value::Tuple(members) => Ok(members.as_slice()),
            other => Err(format!("{} stands for items", other.describe())),
        };
        members(list)?
            .iter()
            .map(|&pair| match members(pair)? {
                &[key, value] => Ok((key, value)),
                _ => Err("an item is no pair".to_owned()),
            })
            .collect()
    }

    fn tensor(&self, arguments: &[Id]) -> Result<View, String> {
        let &[storage, offset, shape, strides, ..] = arguments else {
            return Err("a tensor lacks arguments".to_owned());
        };
        let Value::Storage(storage) = self.get(storage) else {
            let found = self.get(storage).describe();
            return Err(format!("a tensor's storage is {found}"));
        };
        Ok(View {
            storage: storage.clone(),
            offset: self.size(offset)?,
            shape: self.sizes(shape)?,
            strides: self.sizes(strides)?,
        })
    }

    /// The storage that `("storage", class, key, device, count, …)` refers to.
    pub(super) fn storage(&self, id: Id) -> Result<Storage, String> {
        if let Value::Tuple(parts) = self.get(id)
            && let &[tag, class, key, _, count, ..] = parts.as_slice()
            && let Value::Text(tag) = self.get(tag)
            && let Value::Named(class) = self.get(class)
            && let Value::Text(key) = self.get(key)
            && tag == "storage"
        {
            return Ok(Storage {
                class: class.clone(),
                key: key.clone(),
                count: self.size(count)?,
            });
        }
        Err("it refers to something that is no storage".to_owned())
    }

    fn sizes(&self, id: Id) -> Result<Vec<usize>, String> {
        match self.get(id) {
            Value::Tuple(sizes) | Value::List(sizes) => {
                sizes.iter().map(|&size| self.size(size)).collect()
            }
            other => Err(format!("{} stands for a shape", other.describe())),
        }
    }

    fn size(&self, id: Id) -> Result<usize, String> {
        match self.get(id) {
            Value::Int(size) => {
                usize::try_from(*size).map_err(|_| format!("a size or stride is {size}"))
            }
            other => Err(format!("{} stands for a size", other.describe())),
        }
    }
}
