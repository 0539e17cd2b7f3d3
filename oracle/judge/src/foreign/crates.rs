//! The crates vhd, vhdx-core and vmdk-core, in this process.

use super::{Foreign, Wrong, windows};
use crate::{Desk, JudgeError, State};
use oracle_case::{Content, FormatOptions};
use std::error::Error;
use std::io::{self, Read, Seek, SeekFrom};

/// See the module.
pub struct Crates;

/// The longest VHD file in bytes that is read: the crate takes all of it into memory.
const VHD_FILE: u64 = 64 << 20;
/// The largest disk in bytes that is read to its end.
const WHOLE: u64 = 32 << 20;

/// A disk as one of the crates gives it.
trait Stream: Read + Seek {}
impl<T: Read + Seek> Stream for T {}

impl Foreign for Crates {
    fn unable(&self, format: &FormatOptions, image: &State, _: u64) -> Option<String> {
        (format.vpc().is_some() && image.len > VHD_FILE).then(|| "the crate vhd reads the whole file".into())
    }

    fn look(
        &self,
        _: &Desk,
        format: &FormatOptions,
        image: &State,
        content: &Content,
    ) -> Result<Option<Wrong>, JudgeError> {
        let (size, mut disk) = match open(format, image) {
            Ok(opened) => opened,
            Err(error) => return Ok(Some(Wrong::failed(error.to_string()))),
        };
        if let Some(wrong) = Wrong::size(Some(size), content) {
            return Ok(Some(wrong));
        }
        let ranges = if size <= WHOLE { vec![(0, size)] } else { windows(content) };
        let read = |at, buffer: &mut [u8]| {
            disk.seek(SeekFrom::Start(at))?;
            disk.read_exact(buffer)
        };
        Ok(Wrong::content(content, &ranges, read).unwrap_or_else(unread))
    }
}

fn unread(error: io::Error) -> Option<Wrong> {
    Some(Wrong { field: "read", ..Wrong::failed(error.to_string()) })
}

/// The size in bytes that the crate tells, and the disk.
fn open(format: &FormatOptions, image: &State) -> Result<(u64, Box<dyn Stream>), Box<dyn Error>> {
    let path = image.path();
    Ok(match format {
        FormatOptions::Vpc(_) => {
            let disk = vhd::VhdReader::open(&path)?;
            (disk.virtual_disk_size(), Box::new(disk))
        }
        FormatOptions::Vhdx(_) => {
            let disk = vhdx::VhdxReader::open(&path)?;
            (disk.virtual_disk_size(), Box::new(disk))
        }
        _ => {
            let disk = vmdk::VmdkReader::open_path(&path)?;
            (disk.virtual_disk_size(), Box::new(disk))
        }
    })
}
