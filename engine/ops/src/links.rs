//! The other files that a new image names.

use instar_planner::qcow2::create;

/// The longest name in bytes; that of a backing file may have no more (specification, "Header").
pub const MAX: usize = 1023;

/// A name to be stored in an image: bytes, not necessarily UTF-8.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LinkName {
    len: u16,
    bytes: [u8; MAX],
}

impl Default for LinkName {
    fn default() -> Self {
        Self { len: 0, bytes: [0; MAX] }
    }
}

impl LinkName {
    /// The name of these bytes; `None` if they are too many.
    #[must_use]
    pub fn new(name: &[u8]) -> Option<Self> {
        let mut new = Self { len: u16::try_from(name.len()).ok()?, ..Self::default() };
        new.bytes.get_mut(..name.len())?.copy_from_slice(name);
        Some(new)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl core::fmt::Debug for LinkName {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

/// The files that a new image names. A name of no bytes is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Links {
    /// Backing file.
    pub backing_file: LinkName,
    /// Name of the backing file's format.
    pub backing_format: LinkName,
    /// External data file.
    pub data_file: LinkName,
    /// Whether the data file is to be a raw image of its own.
    pub data_file_raw: bool,
}

impl Links {
    /// As the planner takes them.
    pub(crate) fn as_planned(&self) -> create::Links<'_> {
        create::Links {
            backing_file: self.backing_file.as_bytes(),
            backing_format: self.backing_format.as_bytes(),
            data_file: self.data_file.as_bytes(),
            data_file_raw: self.data_file_raw,
        }
    }

    /// Whether there is a data file.
    #[must_use]
    pub fn has_data_file(&self) -> bool {
        !self.data_file.as_bytes().is_empty()
    }

    /// Whether there is a backing file.
    pub(crate) fn has_backing(&self) -> bool {
        !self.backing_file.as_bytes().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_an_end() {
        for len in [0, 1, MAX] {
            let name = LinkName::new(&[7; MAX][..len]).expect("it fits");
            assert_eq!(name.as_bytes(), &[7; MAX][..len]);
        }
        assert_eq!(LinkName::new(&[7; MAX + 1]), None);
        assert_eq!(LinkName::new(&[7; 1 << 16]), None);
    }
}
