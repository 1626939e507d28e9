use std::collections::HashMap;

use super::CheckpointCause;
use super::value::{Id, Value, Values};

/// What a pickle builds.
#[derive(Debug)]
pub(super) struct Pickle {
    pub(super) values: Values,
    pub(super) root: Id,
}

impl Pickle {
    /// Runs the pickle's program; an error has the byte of the instruction that failed.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, (usize, CheckpointCause)> {
        let mut machine = Machine {
            bytes,
            next: 0,
            values: Values::default(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        };
        loop {
            let at = machine.next;
            match machine.step() {
                Ok(Some(root)) => {
                    return Ok(Self {
                        values: machine.values,
                        root,
                    });
                }
                Ok(None) => {}
                Err(reason) => return Err((at, CheckpointCause::Damaged(reason))),
            }
        }
    }
}

/// The stack machine that a pickle is a program for. Instructions are those of Python's
/// `pickletools`, protocols 2 to 5; of the first two protocols' text instructions, which
/// `torch.save` never writes, there are none.
struct Machine<'a> {
    bytes: &'a [u8],
    next: usize,
    values: Values,
    stack: Vec<Id>,
    /// The stack's height at each open mark.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

impl Machine<'_> {
    /// One instruction; the result when it was the last.
    fn step(&mut self) -> Result<Option<Id>, String> {
        let code = self.byte()?;
        match code {
            b'.' => return self.pop().map(Some),
            // PROTO
            0x80 => {
                let protocol = self.byte()?;
                if !(2..=5).contains(&protocol) {
                    return Err(format!("pickle protocol {protocol} is not supported"));
                }
            }
            // FRAME
            0x95 => {
                self.take(8)?;
            }
            // BINPUT, LONG_BINPUT, MEMOIZE
            b'q' | b'r' | 0x94 => {
                let slot = match code {
                    b'q' => self.unsigned(1)?,
                    b'r' => self.unsigned(4)?,
                    _ => self.memo.len() as u64,
                };
                let top = self.top()?;
                self.memo.insert(slot, top);
            }
            // BINGET, LONG_BINGET
            b'h' | b'j' => {
                let slot = self.unsigned(if code == b'h' { 1 } else { 4 })?;
                let id = self.memo.get(&slot).copied();
                self.stack
                    .push(id.ok_or_else(|| format!("nothing is remembered as {slot}"))?);
            }
            // MARK, POP, POP_MARK, DUP
            b'(' => self.marks.push(self.stack.len()),
            b'0' => {
                self.pop()?;
            }
            b'1' => {
                self.pop_to_mark()?;
            }
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b'N' => self.push(Value::None),
            // NEWTRUE, NEWFALSE
            0x88 | 0x89 => self.push(Value::Bool),
            // BININT1, BININT2, BININT, LONG1, LONG4, BINFLOAT
            b'K' | b'M' | b'J' | 0x8a | 0x8b | b'G' => self.number(code)?,
            // Texts and bytes of all lengths, with the length in so many bytes.
            b'U' | b'C' | 0x8c => self.text(code, 1)?,
            b'T' | b'B' | b'X' => self.text(code, 4)?,
            0x8d | 0x8e | 0x96 => self.text(code, 8)?,
            // Empty tuple, list, dict, set
            b')' => self.push(Value::Tuple(Vec::new())),
            b']' => self.push(Value::List(Vec::new())),
            b'}' => self.push(Value::Dict(Vec::new())),
            0x8f => self.push(object("set")),
            // TUPLE1, TUPLE2, TUPLE3, TUPLE
            0x85..=0x87 => {
                let members = self.pop_many(usize::from(code - 0x84))?;
                self.push(Value::Tuple(members));
            }
            b't' => {
                let members = self.pop_to_mark()?;
                self.push(Value::Tuple(members));
            }
            // FROZENSET
            0x91 => {
                self.pop_to_mark()?;
                self.push(object("frozenset"));
            }
            // APPEND, APPENDS, ADDITEMS
            b'a' => {
                let entry = self.pop_many(1)?;
                self.extend(&entry)?;
            }
            b'e' | 0x90 => {
                let entries = self.pop_to_mark()?;
                self.extend(&entries)?;
            }
            // SETITEM, SETITEMS
            b's' => {
                let item = self.pop_many(2)?;
                self.set_items(&item)?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set_items(&items)?;
            }
            // GLOBAL, STACK_GLOBAL
            b'c' => {
                let name = format!("{}.{}", self.line()?, self.line()?);
                self.push(Value::Named(name));
            }
            0x93 => {
                let parts = self.pop_many(2)?;
                let name = match (self.values.get(parts[0]), self.values.get(parts[1])) {
                    (Value::Text(module), Value::Text(name)) => format!("{module}.{name}"),
                    _ => return Err("a class has no name".to_owned()),
                };
                self.push(Value::Named(name));
            }
            // REDUCE, NEWOBJ, NEWOBJ_EX
            b'R' | 0x81 | 0x92 => {
                let parts = self.pop_many(if code == 0x92 { 3 } else { 2 })?;
                let result = self.values.call(parts[0], parts[1])?;
                self.stack.push(result);
            }
            // BUILD gives an object its attributes. Those of a state dict are its `_metadata`, the
            // modules' versions.
            b'b' => {
                self.pop()?;
                self.top()?;
            }
            // BINPERSID
            b'Q' => {
                let id = self.pop()?;
                let storage = self.values.storage(id)?;
                self.push(Value::Storage(storage));
            }
            other => return Err(format!("{other:#04x} is no instruction of torch.save")),
        }
        Ok(None)
    }

    fn number(&mut self, code: u8) -> Result<(), String> {
        let length = match code {
            b'K' => 1,
            b'M' => 2,
            b'J' => 4,
            b'G' => 8,
            _ => self.length(if code == 0x8a { 1 } else { 4 })?,
        };
        let bytes = self.take(length)?;
        let value = match code {
            b'G' => Value::Number,
            _ if length > 8 => Value::Number,
            b'K' | b'M' => Value::Int(signed(bytes, false)),
            _ => Value::Int(signed(bytes, true)),
        };
        self.push(value);
        Ok(())
    }

    fn text(&mut self, code: u8, length_bytes: usize) -> Result<(), String> {
        let length = self.length(length_bytes)?;
        let bytes = self.take(length)?;
        let value = match code {
            b'C' | b'B' | 0x8e | 0x96 => object("bytes"),
            _ => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
        };
        self.push(value);
        Ok(())
    }

    fn extend(&mut self, entries: &[Id]) -> Result<(), String> {
        let id = self.top()?;
        match self.values.get_mut(id) {
            Value::List(list) => list.extend(entries),
            Value::Object(_) => {}
            other => return Err(format!("{} cannot be appended to", other.describe())),
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Result<(), String> {
        if !items.len().is_multiple_of(2) {
            return Err("a key has no value".to_owned());
        }
        let id = self.top()?;
        let pairs = items.chunks_exact(2).map(|pair| (pair[0], pair[1]));
        match self.values.get_mut(id) {
            Value::Dict(dict) => dict.extend(pairs),
            Value::Object(_) => {}
            other => return Err(format!("{} has no items", other.describe())),
        }
        Ok(())
    }

    fn push(&mut self, value: Value) {
        let id = self.values.add(value);
        self.stack.push(id);
    }

    /// The height below which the stack belongs to what was there before the last mark.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Id, String> {
        let above = self.stack.get(self.floor()..).unwrap_or_default();
        above.last().copied().ok_or_else(missing)
    }

    fn pop(&mut self) -> Result<Id, String> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    /// The top entries, the deepest first: exactly `count`.
    fn pop_many(&mut self, count: usize) -> Result<Vec<Id>, String> {
        let start = self.stack.len().checked_sub(count);
        let start = start.filter(|&start| start >= self.floor());
        Ok(self.stack.split_off(start.ok_or_else(missing)?))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().filter(|&mark| mark <= self.stack.len());
        Ok(self.stack.split_off(mark.ok_or_else(missing)?))
    }

    fn take(&mut self, count: usize) -> Result<&[u8], String> {
        let end = self.next.saturating_add(count);
        let taken = self.bytes.get(self.next..end);
        let taken = taken.ok_or("the pickle ends in the middle")?;
        self.next = end;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    fn unsigned(&mut self, bytes: usize) -> Result<u64, String> {
        let bytes = self.take(bytes)?;
        let add = |number: u64, &byte: &u8| (number << 8) | u64::from(byte);
        Ok(bytes.iter().rev().fold(0, add))
    }

    fn length(&mut self, bytes: usize) -> Result<usize, String> {
        let length = self.unsigned(bytes)?;
        usize::try_from(length).map_err(|_| format!("{length} bytes are too many"))
    }

    fn line(&mut self) -> Result<String, String> {
        let rest = self.bytes.get(self.next..).unwrap_or_default();
        let length = rest.iter().position(|&byte| byte == b'\n');
        let length = length.ok_or("the pickle ends in the middle of a name")?;
        let line = String::from_utf8_lossy(&rest[..length]).into_owned();
        self.next += length + 1;
        Ok(line)
    }
}

fn missing() -> String {
    "an instruction lacks its operands".to_owned()
}

fn object(class: &str) -> Value {
    Value::Object(class.to_owned())
}

/// Up to eight little-endian bytes, in two's complement where `is_signed`.
fn signed(bytes: &[u8], is_signed: bool) -> i64 {
    let is_negative = is_signed && bytes.last().is_some_and(|&byte| byte >= 0x80);
    let mut full = [if is_negative { 0xff } else { 0 }; 8];
    full[..bytes.len()].copy_from_slice(bytes);
    i64::from_le_bytes(full)
}
