//! What format a file is in, by its magic bytes.

/// How many bytes from the start of a file a probe wants. A shorter file is padded with zeros.
pub const HEAD_LEN: usize = 512;

/// Length in bytes of the footer that ends a VHD file (Virtual Hard Disk Image Format
/// Specification, "Hard Disk Footer Format").
pub const VHD_FOOTER_LEN: usize = 512;

/// What a file seems to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probed {
    /// No magic known here: the file is the disk, or nothing at all.
    Raw,
    /// qcow2, version 2 or later.
    Qcow2,
    /// qcow, version 1.
    Qcow,
    /// QED.
    Qed,
    /// VMDK, a sparse extent or a descriptor.
    Vmdk,
    /// VHDX.
    Vhdx,
    /// VHD with a footer copy at the start (dynamic, differencing).
    Vhd,
    /// VHD with its footer at the end only (fixed).
    VhdFixed,
    /// VDI.
    Vdi,
    /// LUKS.
    Luks,
    /// Parallels.
    Parallels,
}

impl Probed {
    /// The name that `qemu-img` gives the format.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Qcow => "qcow",
            Self::Qed => "qed",
            Self::Vmdk => "vmdk",
            Self::Vhdx => "vhdx",
            Self::Vhd | Self::VhdFixed => "vpc",
            Self::Vdi => "vdi",
            Self::Luks => "luks",
            Self::Parallels => "parallels",
        }
    }
}

/// Magic bytes, where they stand, and what they mean. VMDK: sparse extent, ESX sparse extent and
/// descriptor file; Parallels: both signatures; VDI: the image signature after the text preamble.
const MAGICS: [(usize, &[u8], Probed); 11] = [
    (0, b"QFI\xfb\0\0\0\x01", Probed::Qcow),
    (0, b"QFI\xfb", Probed::Qcow2),
    (0, b"QED\0", Probed::Qed),
    (0, b"KDMV", Probed::Vmdk),
    (0, b"COWD", Probed::Vmdk),
    (0, b"# Disk DescriptorFile", Probed::Vmdk),
    (0, b"vhdxfile", Probed::Vhdx),
    (0, b"conectix", Probed::Vhd),
    (0, b"LUKS\xba\xbe", Probed::Luks),
    (64, &[0x7f, 0x10, 0xda, 0xbe], Probed::Vdi),
    (0, b"WithouFreSpacExt", Probed::Parallels),
];

/// The older Parallels signature.
const PARALLELS_OLD: &[u8] = b"WithoutFreeSpace";

/// Probes a file by its first [`HEAD_LEN`] bytes and its last [`VHD_FOOTER_LEN`] ones (fewer where
/// the file is shorter).
#[must_use]
pub fn probe(head: &[u8], tail: &[u8]) -> Probed {
    for (at, magic, format) in MAGICS {
        if head.get(at..).is_some_and(|h| h.starts_with(magic)) {
            return format;
        }
    }
    if head.starts_with(PARALLELS_OLD) {
        return Probed::Parallels;
    }
    if tail.len() == VHD_FOOTER_LEN && tail.starts_with(b"conectix") {
        return Probed::VhdFixed;
    }
    Probed::Raw
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_magic_is_told_apart() {
        for (at, magic, format) in MAGICS {
            let mut head = [0_u8; HEAD_LEN];
            head[at..at + magic.len()].copy_from_slice(magic);
            assert_eq!(probe(&head, &[]), format);
            head[at] ^= 1;
            assert_eq!(probe(&head, &[]), Probed::Raw);
        }
    }

    #[test]
    fn a_fixed_vhd_is_no_raw_disk() {
        let mut tail = [0_u8; VHD_FOOTER_LEN];
        tail[..8].copy_from_slice(b"conectix");
        assert_eq!(probe(&[0; HEAD_LEN], &tail), Probed::VhdFixed);
        assert_eq!(probe(&[0; HEAD_LEN], &tail[..511]), Probed::Raw);
    }

    #[test]
    fn an_empty_file_is_raw() {
        assert_eq!(probe(&[], &[]), Probed::Raw);
    }
}
