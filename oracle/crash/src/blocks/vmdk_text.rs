//! The descriptor of a VMDK image, after VMware's "Virtual Disk Format 5.0".

use super::bytes;
use crate::image::Image;

/// Bytes of a descriptor in a file of its own that are read.
const MOST: u64 = 1 << 20;

/// Digits of a content identifier, which has as many as it needs. When it gets fewer, QEMU writes the shorter text over the longer
/// one, and what stood behind the new end stays there.
const CID_DIGITS: usize = 8;

/// What a descriptor says, as far as it matters here.
#[derive(Debug, Default)]
pub struct Text {
    /// The extents, in the order of the disk.
    pub extents: Vec<Line>,
}

/// The line of an extent.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    /// How many sectors it has.
    pub sectors: u64,
    /// Whether it is the disk's bytes and nothing else.
    pub flat: bool,
    /// The name of its file.
    pub name: String,
    /// The sector of that where a flat one begins.
    pub offset: u64,
}

impl Text {
    /// Reads the text in `len` bytes from `offset` on, which ends where zeros begin: everybody stops there.
    ///
    /// # Errors
    /// What keeps it from being one.
    pub fn read(image: &Image, offset: u64, len: u64) -> Result<Self, String> {
        let mut text = bytes(image, offset, len.min(MOST));
        let end = text.iter().position(|b| *b == 0).unwrap_or(text.len());
        if text[end..].iter().skip(CID_DIGITS).any(|b| *b != 0) {
            return Err("the descriptor goes on behind its end".into());
        }
        text.truncate(end);
        let text = String::from_utf8(text).map_err(|e| format!("the descriptor is no text: {e}"))?;
        let has = |key: &str| text.lines().any(|line| line.starts_with(key));
        if let Some(missing) =
            ["CID=", "parentCID=ffffffff", "createType=", "ddb."].into_iter().find(|k| !has(k))
        {
            return Err(format!("the descriptor has no line {missing}"));
        }
        let lines = text.lines().filter(|line| line.starts_with("RW "));
        let extents = lines.map(Line::read).collect::<Option<Vec<_>>>();
        let extents = extents.filter(|all| !all.is_empty()).ok_or("the descriptor has no extents")?;
        Ok(Self { extents })
    }
}

impl Line {
    /// `RW SECTORS TYPE "NAME" [OFFSET]`.
    fn read(line: &str) -> Option<Self> {
        let (head, rest) = line.split_once('"')?;
        let (name, offset) = rest.split_once('"')?;
        let mut words = head.split_ascii_whitespace().skip(1);
        let (sectors, kind) = (words.next()?.parse().ok()?, words.next()?);
        let flat = match kind {
            "FLAT" | "VMFS" => true,
            "SPARSE" => false,
            _ => return None,
        };
        let offset = if flat { offset.trim().parse().ok()? } else { 0 };
        Some(Self { sectors, flat, name: name.into(), offset })
    }
}
