//! `KEY=VALUE,...`, with `,,` for a comma in a value, and the same as JSON.

use crate::message::printable;

/// A key and its value, which need not be text.
pub struct Pair {
    /// The key; levels are joined by dots.
    pub key: String,
    /// The value.
    pub value: Vec<u8>,
}

/// Takes `words` apart. The first may lack its key, which is `implied` then.
///
/// # Errors
/// `qemu-img`'s words for another one that has no `=`.
pub fn parse(words: &[u8], implied: &str) -> Result<Vec<Pair>, String> {
    let mut pairs = Vec::new();
    let mut rest = words;
    while !rest.is_empty() {
        let end = rest.iter().position(|b| matches!(b, b'=' | b',')).unwrap_or(rest.len());
        let key = String::from_utf8_lossy(&rest[..end]).into_owned();
        if rest.get(end) == Some(&b'=') {
            let (value, after) = value(&rest[end + 1..]);
            pairs.push(Pair { key, value });
            rest = after;
        } else if pairs.is_empty() {
            let (value, after) = value(rest);
            pairs.push(Pair { key: implied.to_owned(), value });
            rest = after;
        } else {
            return Err(format!("Expected '=' after parameter '{}'", printable(&key)));
        }
    }
    Ok(pairs)
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
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(text).map_err(|_| "JSON parse error".to_owned())?;
    let pairs = object.into_iter().map(|(key, value)| match value {
        serde_json::Value::String(value) => Ok(Pair { key, value: value.into_bytes() }),
        _ => Err(format!("Invalid parameter type for '{}', expected: string", printable(&key))),
    });
    pairs.collect()
}

/// Whether `id` is letters, digits, `-`, `.` and `_`, and begins with a letter.
pub fn is_identifier(id: &str) -> bool {
    let rest = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    id.starts_with(|c: char| c.is_ascii_alphabetic()) && id.chars().all(rest)
}
