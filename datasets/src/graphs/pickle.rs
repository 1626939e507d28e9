//! A reader for the few pickles that the Planetoid files are: dictionaries of lists, NumPy arrays
//! and SciPy matrices, in protocol 2. It builds data and nothing else: no class is ever looked up
//! or called.

use super::npy::Array;

/// The position of a value in [`Pickle::values`]: pickles refer to values more than once.
type Id = usize;

/// The classes that may be named.
const KNOWN: [&str; 7] = [
    "scipy.sparse.csr csr_matrix",
    "scipy.sparse._csr csr_matrix",
    "numpy.core.multiarray _reconstruct",
    "numpy ndarray",
    "numpy dtype",
    "collections defaultdict",
    "__builtin__ list",
];

#[derive(Debug)]
enum Value {
    None,
    Bool(bool),
    Int(i64),
    Bytes(Vec<u8>),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Class(String),
    Object {
        class: Id,
        arguments: Id,
        items: Vec<(Id, Id)>,
        state: Option<Id>,
    },
}

/// A pickle's values.
pub(super) struct Pickle {
    values: Vec<Value>,
    root: Id,
}

/// A sparse matrix, row by row.
pub(super) struct Csr {
    pub(super) rows: usize,
    pub(super) width: usize,
    pub(super) offsets: Vec<usize>,
    pub(super) columns: Vec<u32>,
    pub(super) values: Vec<f32>,
}

impl Pickle {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut machine = Machine {
            bytes,
            next: 0,
            values: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: Vec::new(),
        };
        loop {
            let at = machine.next;
            let done = machine
                .step()
                .map_err(|reason| format!("at byte {at}: {reason}"))?;
            if let Some(root) = done {
                return Ok(Self {
                    values: machine.values,
                    root,
                });
            }
        }
    }

    /// The root as a dictionary from numbers to lists of numbers.
    pub(super) fn lists(&self) -> Result<Vec<(i64, Vec<i64>)>, String> {
        let items = match &self.values[self.root] {
            Value::Dict(items) | Value::Object { items, .. } => items,
            other => return Err(unexpected("a dictionary", other)),
        };
        items
            .iter()
            .map(|&(key, list)| match &self.values[list] {
                Value::List(entries) => {
                    let entries = entries.iter().map(|&entry| self.int(entry));
                    Ok((self.int(key)?, entries.collect::<Result<_, _>>()?))
                }
                other => Err(unexpected("a list", other)),
            })
            .collect()
    }

    /// The root as a NumPy array.
    pub(super) fn array(&self) -> Result<Array, String> {
        self.array_at(self.root)
    }

    /// The root as a SciPy matrix of compressed rows.
    pub(super) fn csr(&self) -> Result<Csr, String> {
        let state = match self.object(self.root, "csr_matrix")? {
            Some(state) => match &self.values[state] {
                Value::Dict(items) => items,
                other => return Err(unexpected("a dictionary", other)),
            },
            None => return Err("the matrix has no content".to_owned()),
        };
        let field = |names: &[&str]| {
            state
                .iter()
                .find_map(|&(key, value)| match &self.values[key] {
                    Value::Bytes(name) => {
                        let found = names.iter().any(|n| n.as_bytes() == name.as_slice());
                        found.then_some(value)
                    }
                    _ => None,
                })
                .ok_or_else(|| format!("the matrix has no `{}`", names[0]))
        };
        let shape = self.shape(field(&["_shape", "shape"])?)?;
        let &[rows, width] = shape.as_slice() else {
            return Err(format!("the matrix has {} axes instead of 2", shape.len()));
        };
        let offsets = self.array_at(field(&["indptr"])?)?.indices()?;
        let columns = self.array_at(field(&["indices"])?)?.indices()?;
        let values = self.array_at(field(&["data"])?)?.values;
        let offsets: Vec<usize> = offsets.into_iter().map(|offset| offset as usize).collect();
        let rising = offsets.windows(2).all(|pair| pair[0] <= pair[1]);
        let ends = offsets.first() == Some(&0) && offsets.last() == Some(&columns.len());
        if !rising || !ends || offsets.len() != rows + 1 || values.len() != columns.len() {
            return Err("the matrix's parts do not fit together".to_owned());
        }
        if let Some(column) = columns.iter().find(|&&column| column as usize >= width) {
            return Err(format!("column {column} is beyond the matrix's {width}"));
        }
        Ok(Csr {
            rows,
            width,
            offsets,
            columns,
            values: values.into_iter().map(|value| value as f32).collect(),
        })
    }

    fn array_at(&self, id: Id) -> Result<Array, String> {
        let state = self
            .object(id, "_reconstruct")?
            .ok_or("the array has no content")?;
        let &[_, shape, dtype, fortran, data] = self.tuple(state)? else {
            return Err("an array's content has five parts".to_owned());
        };
        let Value::Bytes(data) = &self.values[data] else {
            return Err(unexpected("an array's bytes", &self.values[data]));
        };
        let Value::Bool(fortran) = self.values[fortran] else {
            return Err(unexpected("an array's order", &self.values[fortran]));
        };
        let descr = self.dtype(dtype)?;
        Array::from_raw(&descr, self.shape(shape)?, fortran, data)
    }

    /// NumPy's name of a type, with its byte order.
    fn dtype(&self, id: Id) -> Result<String, String> {
        let Value::Object {
            arguments, state, ..
        } = &self.values[id]
        else {
            return Err(unexpected("a type of numbers", &self.values[id]));
        };
        let text = |id: Option<&Id>| match id.map(|&id| &self.values[id]) {
            Some(Value::Bytes(text)) => Ok(String::from_utf8_lossy(text).into_owned()),
            _ => Err("a type of numbers is damaged".to_owned()),
        };
        let name = text(self.tuple(*arguments)?.first())?;
        let order = match state {
            Some(state) => text(self.tuple(*state)?.get(1))?,
            None => String::new(),
        };
        Ok(order + &name)
    }

    /// The state of an object whose class ends in `class`.
    fn object(&self, id: Id, class: &str) -> Result<Option<Id>, String> {
        match &self.values[id] {
            Value::Object {
                class: of, state, ..
            } => match &self.values[*of] {
                Value::Class(name) if name.ends_with(class) => Ok(*state),
                other => Err(unexpected(class, other)),
            },
            other => Err(unexpected(class, other)),
        }
    }

    fn shape(&self, id: Id) -> Result<Vec<usize>, String> {
        self.tuple(id)?
            .iter()
            .map(|&length| {
                usize::try_from(self.int(length)?).map_err(|_| "a length is negative".to_owned())
            })
            .collect()
    }

    fn tuple(&self, id: Id) -> Result<&[Id], String> {
        match &self.values[id] {
            Value::Tuple(members) => Ok(members),
            other => Err(unexpected("a tuple", other)),
        }
    }

    fn int(&self, id: Id) -> Result<i64, String> {
        match &self.values[id] {
            Value::Int(value) => Ok(*value),
            other => Err(unexpected("a whole number", other)),
        }
    }
}

fn unexpected(wanted: &str, found: &Value) -> String {
    let found = match found {
        Value::None => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Int(_) => "a number",
        Value::Bytes(_) => "text",
        Value::Tuple(_) => "a tuple",
        Value::List(_) => "a list",
        Value::Dict(_) => "a dictionary",
        Value::Class(_) => "a class",
        Value::Object { .. } => "an object",
    };
    format!("{wanted} is needed, but {found} was found")
}

/// The stack machine that a pickle is a program for.
struct Machine<'a> {
    bytes: &'a [u8],
    next: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    /// The stack's height at each open mark.
    marks: Vec<usize>,
    memo: Vec<Option<Id>>,
}

impl Machine<'_> {
    /// One instruction; the result when it was the last.
    fn step(&mut self) -> Result<Option<Id>, String> {
        let code = self.take(1)?[0];
        match code {
            // PROTO
            0x80 => {
                let version = self.take(1)?[0];
                if version != 2 {
                    return Err(format!(
                        "pickle protocol {version} is not supported: the official files have protocol 2"
                    ));
                }
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                let class = format!("{module} {name}");
                if !KNOWN.contains(&class.as_str()) {
                    return Err(format!(
                        "the class `{class}` is not one of Planetoid's files"
                    ));
                }
                self.push(Value::Class(class));
            }
            // BINPUT, LONG_BINPUT, BINGET, LONG_BINGET
            b'q' | b'r' => {
                let slot = self.slot(code == b'r')?;
                let top = *self.stack.last().ok_or("the stack is empty")?;
                // A slot further out than there can be values is damage, not data.
                if slot > self.bytes.len() {
                    return Err(format!("memo {slot} is out of range"));
                }
                if self.memo.len() <= slot {
                    self.memo.resize(slot + 1, None);
                }
                self.memo[slot] = Some(top);
            }
            b'h' | b'j' => {
                let slot = self.slot(code == b'j')?;
                let id = self.memo.get(slot).copied().flatten();
                self.stack
                    .push(id.ok_or_else(|| format!("memo {slot} is not set"))?);
            }
            b'(' => self.marks.push(self.stack.len()),
            b'N' => self.push(Value::None),
            // NEWTRUE, NEWFALSE
            0x88 | 0x89 => self.push(Value::Bool(code == 0x88)),
            b'K' => {
                let value = i64::from(self.take(1)?[0]);
                self.push(Value::Int(value));
            }
            b'M' => {
                let b = self.take(2)?;
                let value = i64::from(u16::from_le_bytes([b[0], b[1]]));
                self.push(Value::Int(value));
            }
            b'J' => {
                let value = self.int()?;
                self.push(Value::Int(i64::from(value)));
            }
            // SHORT_BINSTRING, BINSTRING, BINUNICODE
            b'U' => {
                let length = usize::from(self.take(1)?[0]);
                let bytes = self.take(length)?.to_vec();
                self.push(Value::Bytes(bytes));
            }
            b'T' | b'X' => {
                let length = usize::try_from(self.int()?).map_err(|e| e.to_string())?;
                let bytes = self.take(length)?.to_vec();
                self.push(Value::Bytes(bytes));
            }
            b')' => self.push(Value::Tuple(Vec::new())),
            b']' => self.push(Value::List(Vec::new())),
            b'}' => self.push(Value::Dict(Vec::new())),
            // TUPLE1, TUPLE2, TUPLE3
            0x85..=0x87 => {
                let count = usize::from(code - 0x84);
                let members = self.pop(count)?;
                self.push(Value::Tuple(members));
            }
            b't' => {
                let members = self.pop_to_mark()?;
                self.push(Value::Tuple(members));
            }
            b'a' => {
                let entry = self.pop(1)?;
                self.extend_list(entry)?;
            }
            b'e' => {
                let entries = self.pop_to_mark()?;
                self.extend_list(entries)?;
            }
            b's' => {
                let pair = self.pop(2)?;
                self.extend_dict(&pair)?;
            }
            b'u' => {
                let pairs = self.pop_to_mark()?;
                self.extend_dict(&pairs)?;
            }
            // REDUCE, NEWOBJ
            b'R' | 0x81 => {
                let parts = self.pop(2)?;
                if !matches!(self.values[parts[0]], Value::Class(_)) {
                    return Err(unexpected("a class", &self.values[parts[0]]));
                }
                self.push(Value::Object {
                    class: parts[0],
                    arguments: parts[1],
                    items: Vec::new(),
                    state: None,
                });
            }
            b'b' => {
                let new = self.pop(1)?[0];
                match self.top()? {
                    Value::Object { state, .. } => *state = Some(new),
                    other => return Err(unexpected("an object", other)),
                }
            }
            b'.' => return Ok(Some(self.pop(1)?[0])),
            other => {
                return Err(format!(
                    "instruction {other:#04x} is not one of Planetoid's files"
                ));
            }
        }
        Ok(None)
    }

    fn take(&mut self, count: usize) -> Result<&[u8], String> {
        let end = self.next.saturating_add(count);
        let taken = self
            .bytes
            .get(self.next..end)
            .ok_or("the file ends in the middle")?;
        self.next = end;
        Ok(taken)
    }

    fn int(&mut self) -> Result<i32, String> {
        let b = self.take(4)?;
        Ok(i32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }

    fn slot(&mut self, long: bool) -> Result<usize, String> {
        if long {
            return usize::try_from(self.int()?).map_err(|e| e.to_string());
        }
        Ok(usize::from(self.take(1)?[0]))
    }

    fn line(&mut self) -> Result<String, String> {
        let rest = &self.bytes[self.next..];
        let length = rest
            .iter()
            .position(|&byte| byte == b'\n')
            .ok_or("the file ends in the middle")?;
        let line = String::from_utf8_lossy(&rest[..length]).into_owned();
        self.next += length + 1;
        Ok(line)
    }

    fn push(&mut self, value: Value) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    /// The top `count` entries of the stack, the deepest first.
    fn pop(&mut self, count: usize) -> Result<Vec<Id>, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let rest = self
            .stack
            .len()
            .checked_sub(count)
            .filter(|&rest| rest >= floor)
            .ok_or("the stack is too short")?;
        Ok(self.stack.split_off(rest))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().ok_or("a mark is missing")?;
        Ok(self.stack.split_off(mark))
    }

    fn top(&mut self) -> Result<&mut Value, String> {
        let id = *self.stack.last().ok_or("the stack is empty")?;
        Ok(&mut self.values[id])
    }

    fn extend_list(&mut self, entries: Vec<Id>) -> Result<(), String> {
        match self.top()? {
            Value::List(list) => list.extend(entries),
            other => return Err(unexpected("a list", other)),
        }
        Ok(())
    }

    fn extend_dict(&mut self, entries: &[Id]) -> Result<(), String> {
        if !entries.len().is_multiple_of(2) {
            return Err("a key has no value".to_owned());
        }
        let pairs = entries.chunks_exact(2).map(|pair| (pair[0], pair[1]));
        match self.top()? {
            Value::Dict(items) | Value::Object { items, .. } => items.extend(pairs),
            other => return Err(unexpected("a dictionary", other)),
        }
        Ok(())
    }
}
