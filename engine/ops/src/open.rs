//! Finding out what an image is: the start of every operation on one that exists.

use crate::encryption::luks_header;
use crate::{Format, ImageError, OpError, ReadAt};
use instar_formats::probe::{HEAD_LEN, Probed, VHD_FOOTER_LEN, probe};
use instar_formats::qcow2::Header;
use instar_formats::qcow2::header::PARSE_LEN;
use instar_formats::{luks, qed, vhd};

/// What an image turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "there is no heap to box the larger one on")]
pub(crate) enum Opened {
    /// The file is the disk.
    Raw,
    /// qcow2 with a header that makes sense on its own; nothing else was read.
    Qcow2(Header),
    /// The same of QED.
    Qed(qed::Header),
    /// The same of LUKS.
    Luks(luks::Header),
    /// The same of VHD.
    Vhd(vhd::Image),
    /// VHDX: its log comes before everything else in it, and nothing was read.
    Vhdx,
    /// VMDK, whose descriptor was not read yet.
    Vmdk(crate::vmdk::Vmdk),
}

impl Opened {
    /// Whether it is qcow2.
    pub(crate) const fn is_qcow2(&self) -> bool {
        matches!(self, Self::Qcow2(_))
    }
}

/// Opens the image on `disk` as the format `named`, or as what it seems to be.
///
/// # Errors
/// A format that nobody here handles, a header that makes no sense, or the device's.
pub(crate) fn open<R: ReadAt>(disk: &mut R, named: Option<Format>) -> Result<Opened, OpError> {
    let format = match named {
        Some(format) => format,
        None => probed(disk)?,
    };
    match format {
        Format::Raw => Ok(Opened::Raw),
        Format::Qcow2 => header(disk).map(Opened::Qcow2),
        Format::Qed => qed_header(disk).map(Opened::Qed),
        Format::Luks => luks_header(disk, 0).map(Opened::Luks),
        Format::Vhd => crate::vhd::open(disk).map(Opened::Vhd),
        Format::Vhdx => Ok(Opened::Vhdx),
        Format::Vmdk => crate::vmdk::open(disk).map(Opened::Vmdk),
    }
}

/// As [`open`], for a repair: a qcow2 header may count more snapshots than there can be.
///
/// # Errors
/// As [`open`].
pub(crate) fn open_repairable<R: ReadAt>(disk: &mut R, named: Option<Format>) -> Result<Opened, OpError> {
    match open(disk, named) {
        Err(OpError::Image(ImageError::SnapshotsTooMany { .. })) => {
            let mut head = [0; PARSE_LEN];
            disk.read_at(0, &mut head)?;
            Ok(Opened::Qcow2(Header::parse_repairable(&head, disk.len())?))
        }
        opened => opened,
    }
}

fn probed<R: ReadAt>(disk: &mut R) -> Result<Format, OpError> {
    let mut head = [0; HEAD_LEN];
    let mut footer = [0; VHD_FOOTER_LEN];
    disk.read_at(0, &mut head)?;
    let tail: &[u8] = match disk.len().checked_sub(VHD_FOOTER_LEN as u64) {
        Some(offset) => {
            disk.read_at(offset, &mut footer)?;
            &footer
        }
        None => &[],
    };
    let found = probe(&head, tail);
    match OpError::unsupported(found) {
        Some(refusal) => Err(refusal),
        None if found == Probed::Qcow2 => Ok(Format::Qcow2),
        None if found == Probed::Qed => Ok(Format::Qed),
        None if found == Probed::Luks => Ok(Format::Luks),
        None if matches!(found, Probed::Vhd | Probed::VhdFixed) => Ok(Format::Vhd),
        None if found == Probed::Vhdx => Ok(Format::Vhdx),
        None if found == Probed::Vmdk => Ok(Format::Vmdk),
        None => Ok(Format::Raw),
    }
}

fn header<R: ReadAt>(disk: &mut R) -> Result<Header, OpError> {
    let mut head = [0; PARSE_LEN];
    disk.read_at(0, &mut head)?;
    Ok(Header::parse(&head, disk.len())?)
}

fn qed_header<R: ReadAt>(disk: &mut R) -> Result<qed::Header, OpError> {
    let mut head = [0; qed::PARSE_LEN];
    disk.read_at(0, &mut head)?;
    Ok(qed::Header::parse(&head, disk.len())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Refusal;
    use crate::testing::{MemDisk, fresh_qcow2};

    #[test]
    fn an_image_is_what_it_seems_unless_named() {
        let mut disk = fresh_qcow2();
        assert!(matches!(open(&mut disk, None), Ok(Opened::Qcow2(h)) if h.virtual_size() == 1 << 20));
        assert_eq!(open(&mut disk, Some(Format::Raw)), Ok(Opened::Raw));
        let mut zeros = MemDisk::new(4096);
        assert_eq!(open(&mut zeros, None), Ok(Opened::Raw));
        assert_eq!(open(&mut zeros, Some(Format::Qcow2)), Err(ImageError::NotQcow2.into()));
    }

    #[test]
    fn an_empty_file_is_raw() {
        assert_eq!(open(&mut MemDisk::new(0), None), Ok(Opened::Raw));
    }

    #[test]
    fn formats_that_nobody_handles_are_refused() {
        let mut disk = MemDisk::new(4096);
        disk.put(64, &[0x7f, 0x10, 0xda, 0xbe]);
        assert_eq!(open(&mut disk, None), Err(Refusal::Vdi.into()));
        let mut disk = MemDisk::new(4096);
        disk.put(4096 - 512, b"conectix");
        assert_eq!(open(&mut disk, None), Err(ImageError::VhdNone.into()));
        assert_eq!(open(&mut disk, Some(Format::Raw)), Ok(Opened::Raw));
    }

    #[test]
    fn a_short_file_still_gets_probed() {
        let mut disk = MemDisk::new(100);
        disk.put(0, b"QFI\xfb\0\0\0\x03");
        assert!(matches!(open(&mut disk, None), Err(OpError::Image(_))));
    }
}
