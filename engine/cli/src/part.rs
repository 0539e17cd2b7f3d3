//! Parts of a file as images: the `offset` and `size` of raw layers.

use crate::keyval::Pair;
use crate::message::printable;
use crate::size;
use instar_vmm::Window;
use serde_json::Value;
use std::fs::File;

/// Bytes in a sector.
const SECTOR: u64 = 512;

/// A part of a file, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Part {
    /// Where it begins.
    pub offset: u64,
    /// Its length, if the file may go on behind it.
    pub size: Option<u64>,
}

impl Part {
    /// That part of `file`, as engines take it.
    #[must_use]
    pub const fn of(self, file: &File) -> Window<'_> {
        Window { file, offset: self.offset, size: self.size }
    }
}

/// A raw layer as the user has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawLayer {
    offset: Option<Value>,
    size: Option<Value>,
}

impl RawLayer {
    /// All of what is below it.
    pub const fn whole() -> Self {
        Self { offset: None, size: None }
    }

    /// Takes the option called `key`, if it is one of this layer.
    pub fn take(&mut self, key: &str, pair: &Pair) -> bool {
        let value = match pair.number {
            Some(number) => Value::from(number),
            None => Value::from(String::from_utf8_lossy(&pair.value).into_owned()),
        };
        match key {
            "offset" => self.offset = Some(value),
            "size" => self.size = Some(value),
            _ => return false,
        }
        true
    }

    /// Whether it is anything else than what is below it.
    pub const fn is_part(&self) -> bool {
        self.offset.is_some() || self.size.is_some()
    }

    /// The layer as `qemu-img` spells it out, above `file`.
    pub fn shown(&self, file: &str) -> String {
        let offset = self.offset.as_ref().map(|value| format!("\"offset\": {value}, ")).unwrap_or_default();
        let size = self.size.as_ref().map(|value| format!(", \"size\": {value}")).unwrap_or_default();
        format!("{{{offset}\"driver\": \"raw\"{size}, \"file\": {file}}}")
    }

    /// The part that this layer is of `whole`, which has `len` bytes; and its own length.
    ///
    /// # Errors
    /// `qemu-img`'s words for what is not within it.
    pub fn within(&self, whole: Part, len: u64) -> Result<(Part, u64), String> {
        let offset = number("offset", self.offset.as_ref())?.unwrap_or(0);
        let size = number("size", self.size.as_ref())?;
        let sectors = len.checked_next_multiple_of(SECTOR).unwrap_or(len);
        if size.is_some_and(|size| !size.is_multiple_of(SECTOR)) {
            return Err(format!("Specified size is not multiple of {SECTOR}"));
        }
        if offset > sectors {
            return Err(format!(
                "Offset ({offset}) cannot be greater than size of the containing file ({sectors})"
            ));
        }
        if let Some(size) = size.filter(|size| *size > sectors - offset) {
            return Err(format!(
                "The sum of offset ({offset}) and size ({size}) has to be smaller or equal to the  actual size \
                 of the containing file ({sectors})"
            ));
        }
        let rest = whole.size.map(|size| size.saturating_sub(offset));
        let part = Part { offset: whole.offset.saturating_add(offset), size: size.or(rest) };
        Ok((part, size.unwrap_or_else(|| len.saturating_sub(offset))))
    }
}

fn number(parameter: &'static str, value: Option<&Value>) -> Result<Option<u64>, String> {
    let Some(value) = value else { return Ok(None) };
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    size::count(parameter, &text).map(Some).map_err(|e| printable_lines(&e.to_string()))
}

/// A text of ours, in which a line end is one.
fn printable_lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(offset: Option<&str>, size: Option<&str>) -> RawLayer {
        RawLayer { offset: offset.map(Value::from), size: size.map(Value::from) }
    }

    #[test]
    fn parts_of_parts() {
        let (part, len) = layer(Some("1M"), None).within(Part::default(), 3 << 20).expect("inside");
        assert_eq!((part, len), (Part { offset: 1 << 20, size: None }, 2 << 20));
        let (part, len) = layer(None, Some("1M")).within(part, len).expect("inside");
        assert_eq!((part, len), (Part { offset: 1 << 20, size: Some(1 << 20) }, 1 << 20));
        let (part, len) = layer(Some("1k"), None).within(part, len).expect("inside");
        assert_eq!(
            (part.offset, part.size, len),
            ((1 << 20) + 1024, Some((1 << 20) - 1024), (1 << 20) - 1024)
        );
    }

    #[test]
    fn what_is_not_inside_is_refused() {
        let words = |offset, size| layer(offset, size).within(Part::default(), 1001).expect_err("outside");
        assert_eq!(words(None, Some("1000")), "Specified size is not multiple of 512");
        let too_far = "Offset (1025) cannot be greater than size of the containing file (1024)";
        assert_eq!(words(Some("1025"), None), too_far);
        assert!(words(Some("1"), Some("1k")).starts_with("The sum of offset (1) and size (1024) has"));
        assert!(words(Some("x"), None).starts_with("Parameter 'offset' expects"));
        assert_eq!(words(None, Some("-1")), "Value '-1' is out of range for parameter 'size'");
    }
}
