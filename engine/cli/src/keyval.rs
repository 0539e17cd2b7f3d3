//! `KEY=VALUE,...`, with `,,` for a comma in a value, and the same as JSON.

use crate::json;
use crate::message::printable;
use serde_json::Value;

/// A key and its value, which need not be text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The key; levels are joined by dots.
    pub key: String,
    /// The value.
    pub value: Vec<u8>,
    /// The value as a number, where it was spelled as one in JSON.
    pub number: Option<i64>,
    /// Whether it is `null` in JSON, which stands for nothing at all.
    pub is_null: bool,
}

impl Pair {
    /// A key and a value of text.
    pub fn text(key: &str, value: &str) -> Self {
        Self { key: key.to_owned(), value: value.as_bytes().to_vec(), number: None, is_null: false }
    }
}

/// `first`, but for what `then` says of the same keys, and that.
pub fn joined(mut first: Vec<Pair>, then: Vec<Pair>) -> Vec<Pair> {
    first.retain(|pair| then.iter().all(|other| other.key != pair.key));
    first.extend(then);
    first
}

/// Takes `words` apart. The first may lack its key, which is `implied` then.
///
/// # Errors
/// `qemu-img`'s words for another one that has no `=`.
pub fn parse(words: &[u8], implied: &str) -> Result<Vec<Pair>, String> {
    let mut pairs = Vec::new();
    for (name, value) in pieces(words, true) {
        let key = String::from_utf8_lossy(&name).into_owned();
        match value {
            Some(value) => pairs.push(Pair { value, ..Pair::text(&key, "") }),
            None if pairs.is_empty() => pairs.push(Pair { value: name, ..Pair::text(implied, "") }),
            None => return Err(format!("Expected '=' after parameter '{}'", printable(&key))),
        }
    }
    Ok(pairs)
}

/// The pieces of a list, each a name and what follows its `=`, if one does. The first may be a value without its name if
/// there is one `implied`.
pub fn pieces(words: &[u8], implied: bool) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let mut pieces = Vec::new();
    let mut rest = words;
    while !rest.is_empty() {
        let end = rest.iter().position(|b| matches!(b, b'=' | b',')).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        if let Some(after) = after.strip_prefix(b"=") {
            let (value, after) = value(after);
            pieces.push((name.to_vec(), Some(value)));
            rest = after;
        } else if implied && pieces.is_empty() {
            let (value, after) = value(rest);
            pieces.push((value, None));
            rest = after;
        } else {
            pieces.push((name.to_vec(), None));
            rest = after.get(1..).unwrap_or_default();
        }
    }
    pieces
}

/// The value at the start of `text`, and what follows its comma.
fn value(text: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut value = Vec::new();
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b',' {
            let Some(after) = rest.strip_prefix(b",") else { break };
            rest = after;
        }
        value.push(byte);
    }
    (value, rest)
}

/// The same from a JSON object of strings.
///
/// # Errors
/// It is no such thing.
pub fn from_json(text: &[u8]) -> Result<Vec<Pair>, String> {
    let Value::Object(object) = json::parse(text)? else {
        return Err("Invalid JSON object given".to_owned());
    };
    let pairs = object.into_iter().map(|(key, value)| match value {
        Value::String(value) => Ok(Pair { key, value: value.into_bytes(), number: None, is_null: false }),
        _ => Err(format!("Invalid parameter type for '{}', expected: string", printable(&key))),
    });
    pairs.collect()
}

/// The same from a JSON object of any depth, as it stands in the name of an image.
///
/// # Errors
/// `qemu-img`'s words for what is no object.
pub fn from_json_tree(text: &[u8]) -> Result<Vec<Pair>, String> {
    let tree = json::parse(text).map_err(|e| format!("Could not parse the JSON options: {e}"))?;
    if !tree.is_object() {
        return Err("Invalid JSON object given".to_owned());
    }
    let mut pairs = Vec::new();
    flatten(String::new(), &tree, &mut pairs);
    Ok(pairs)
}

/// Adds what is in `value`, whose key is `key`. The parser bounds the depth.
fn flatten(key: String, value: &Value, pairs: &mut Vec<Pair>) {
    let below = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
    let leaf = match value {
        Value::Object(map) => {
            return map.iter().for_each(|(name, value)| flatten(below(name), value, pairs));
        }
        Value::Array(list) => {
            let numbered = list.iter().enumerate();
            return numbered.for_each(|(i, value)| flatten(below(&i.to_string()), value, pairs));
        }
        Value::Null => String::new(),
        Value::Bool(value) => if *value { "on" } else { "off" }.to_owned(),
        Value::Number(value) => match value.as_f64().filter(|_| value.is_f64()) {
            Some(value) => value.to_string(),
            None => value.to_string(),
        },
        Value::String(value) => value.clone(),
    };
    pairs.push(Pair { key, value: leaf.into_bytes(), number: value.as_i64(), is_null: value.is_null() });
}

/// Whether `id` is letters, digits, `-`, `.` and `_`, and begins with a letter.
pub fn is_identifier(id: &str) -> bool {
    let rest = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    id.starts_with(|c: char| c.is_ascii_alphabetic()) && id.chars().all(rest)
}
