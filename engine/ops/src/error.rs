//! Why an operation was refused or failed, in the words that `qemu-img` uses where it has some.

use instar_formats::io::{Direction, IoError};
use instar_formats::probe::Probed;
use instar_formats::{ImageError, numbered_errors};
use instar_planner::{PlanError, ResizeError};

/// When an error arose: `qemu-img` prefixes those of opening with the file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The image could not be made sense of: `Could not open 'NAME': ...`.
    Open,
    /// The request was refused.
    Request,
    /// A device failed while the job ran.
    Device,
}

/// Why an operation was refused or failed. Its display is one line without the file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpError {
    /// The image makes no sense.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The resize was refused.
    #[error(transparent)]
    Resize(#[from] ResizeError),
    /// The operation was refused for another reason.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The device failed.
    #[error(transparent)]
    Io(#[from] IoError),
    /// A file behind the image cannot be used.
    #[error("backing file {layer}: {error}")]
    Layer {
        /// Which, from 0: the image's own backing file.
        layer: u32,
        /// Why not.
        error: LayerError,
    },
}

/// Why a layer of a backing chain cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LayerError {
    /// It makes no sense.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// It has something that nobody here reads.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Its device failed.
    #[error(transparent)]
    Io(#[from] IoError),
}

/// The number of a [`LayerError`] on the wire is its own and this much for each layer, and once more.
const LAYER_NUMBERS: u32 = 10_000;

numbered_errors! {
    /// Why an operation was refused, apart from what planners and parsers say.
    pub enum Refusal {
        /// A format whose metadata nobody here handles.
        300 Qcow => "the image is in qcow format, which is not supported",
        /// As above.
        302 Vmdk => "the image is in vmdk format, which is not supported",
        /// As above.
        303 Vhdx => "the image is in vhdx format, which is not supported",
        /// As above.
        306 Vdi => "the image is in vdi format, which is not supported",
        /// As above.
        308 Parallels => "the image is in parallels format, which is not supported",
        /// The format has no metadata to check.
        309 NoChecks => "This image format does not support checks",
        /// New images are not made in this format.
        323 CreateLuks => "creating images in luks format is not supported",
        /// A virtual size that no image can have.
        312 SizeTooLarge => "Image size must be less than 8 EiB!",
        /// A virtual size that needs more L1 than there can be.
        313 SizeTooLargeForQcow2 => "The image size is too large for file format 'qcow2' (try using a larger cluster size)",
        /// A cluster size that is no power of two from 512 bytes to 2 MiB.
        314 CreateClusterSize => "Cluster size must be a power of two between 512 and 2048k",
        /// A refcount width that is no power of two up to 64.
        315 CreateRefcountBits => "Refcount width must be a power of two and may not exceed 64 bits",
        /// Version 2 has 16-bit refcounts only.
        316 CreateRefcountBitsV2 => "Different refcount widths than 16 bits require compatibility level 1.1 or above (use version=v3 or greater)",
        /// Version 2 has no lazy refcounts.
        317 CreateLazyV2 => "Lazy refcounts only supported with compatibility level 1.1 and above (use version=v3 or greater)",
        /// Version 2 has no extended L2 entries.
        318 CreateExtendedL2V2 => "Extended L2 entries are only supported with compatibility level 1.1 and above (use version=v3 or greater)",
        /// Subclusters would be smaller than 512 bytes.
        319 CreateExtendedL2Clusters => "Extended L2 entries are only supported with cluster sizes of at least 16384 bytes",
        /// Version 2 has no compression type.
        320 CreateCompressionV2 => "Non-zlib compression type is only supported with compatibility level 1.1 and above (use version=v3 or greater)",
        /// Raw and qcow2 versions 2 and 3 are what there is.
        321 CreateVersion => "Invalid compatibility level",
        /// Clusters of its own would hide the backing file.
        324 CreateBackingPreallocated => "Backing file and preallocation can only be used at the same time if extended_l2 is on",
        /// A raw image of its own, but none is named.
        325 CreateRawDataFile => "data-file-raw requires data-file",
        /// A raw image of its own holds the disk, and a backing file would add to it.
        326 CreateRawDataFileBacking => "Backing file and data-file-raw cannot be used at the same time",
        /// Version 2 has no external data files.
        327 CreateDataFileV2 => "External data files are only supported with compatibility level 1.1 and above (use version=v3 or greater)",
        /// A backing format, but no backing file.
        328 CreateBackingFormat => "Backing format cannot be used without backing file",
        /// The names do not fit in the first cluster.
        329 CreateNames => "the names of backing and data file do not fit in the first cluster",
        /// Whoever holds the files has not opened the backing file.
        330 BackingClosed => "the backing file is not open",
        /// The same of the external data file.
        331 DataFileClosed => "the external data file is not open",
        /// Whether the backing file is longer than the disk decides what the new area must hide.
        332 GrowDetached => "growing an image with a backing file needs that file, which may not be opened",
        /// What the new area must hide, or the old area keeps, would have to be encrypted, and no key is at hand.
        337 EncryptedFill => "growing an encrypted image within a longer backing file is supported in whole clusters of version 3 images only",
        /// More layers than a job can have.
        333 ChainTooLong { most } => "the backing chain is longer than {most} files",
        /// An encrypted layer holds some of these bytes of the disk, and this job was not given its key.
        334 EncryptedLayer { offset, len } => "{len} bytes of an encrypted backing file, from byte {offset} of the disk, cannot be read without its key",
        /// What a compressed cluster holds cannot be unpacked.
        335 CompressedCluster { offset } => "the compressed cluster at offset {offset:#x} cannot be unpacked",
        /// What was to be repaired cannot be, or not as asked.
        340 CheckFailed => "Check failed: Input/output error",
        /// An image that was not closed properly and cannot be repaired, which must come first.
        341 DirtyBeyondRepair => "Could not repair dirty image: Input/output error",
        /// New images are not made in this format.
        360 CreateQed => "creating images in qed format is not supported",
        /// As above.
        361 CreateFormat => "creating images in this format is not supported",
        /// A disk of more than 2040 GiB.
        362 CreateVhdSize => "The image size is too large for file format 'vpc'",
        /// A disk of more than 64 TiB.
        580 CreateVhdxSize => "Image size too large; max of 64TB",
        /// A log whose length a 32-bit word does not hold.
        581 CreateVhdxLogLarge => "Log size must be smaller than 4 GB",
        /// No log at all.
        582 CreateVhdxLog => "Log size must be a multiple of 1 MB",
        /// Blocks are powers of two.
        583 CreateVhdxBlock => "Block size must be a power of two",
        /// A backing file in a format of which no disk is read here.
        584 LayerFormat => "backing files in this format are not supported",
        /// Whoever holds the files has not opened those of the extents.
        670 ExtentsClosed => "the files of the extents are not open",
        /// So many more are needed, new and empty.
        671 ExtentsWanted { count } => "{count} more extents are needed",
    }
}

impl OpError {
    /// The refusal for a format that was probed but that nobody here handles; `None` for those that are.
    #[must_use]
    pub const fn unsupported(probed: Probed) -> Option<Self> {
        Some(Self::Refused(match probed {
            Probed::Raw | Probed::Qcow2 | Probed::Qed | Probed::Luks => return None,
            Probed::Vhd | Probed::VhdFixed | Probed::Vhdx | Probed::Vmdk => return None,
            Probed::Qcow => Refusal::Qcow,
            Probed::Vdi => Refusal::Vdi,
            Probed::Parallels => Refusal::Parallels,
        }))
    }

    /// When this error arose.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        match self {
            Self::Image(_) => Phase::Open,
            Self::Refused(Refusal::DirtyBeyondRepair) => Phase::Open,
            Self::Refused(r) if r.to_wire().0 < Refusal::NoChecks.to_wire().0 => Phase::Open,
            Self::Resize(_) | Self::Refused(_) => Phase::Request,
            Self::Io(_) | Self::Layer { .. } => Phase::Device,
        }
    }

    /// The number of this error on the wire (never 0, never reused) and its details.
    #[must_use]
    pub const fn to_wire(&self) -> (u32, [u64; 3]) {
        let (code, [a, b]) = match self {
            Self::Image(e) => e.to_wire(),
            Self::Resize(e) => e.to_wire(),
            Self::Refused(e) => e.to_wire(),
            Self::Io(e) => return io_to_wire(*e),
            Self::Layer { layer, error } => return layer_to_wire(*layer, error),
        };
        (code, [a, b, 0])
    }

    /// The inverse of [`OpError::to_wire`]; `None` for a number that means nothing.
    #[must_use]
    pub fn from_wire(code: u32, details: [u64; 3]) -> Option<Self> {
        let [a, b, c] = details;
        if let Some(layer) = (code / LAYER_NUMBERS).checked_sub(1) {
            let error = match Self::from_wire(code % LAYER_NUMBERS, details)? {
                Self::Image(e) => LayerError::Image(e),
                Self::Refused(e) => LayerError::Refused(e),
                Self::Io(e) => LayerError::Io(e),
                Self::Resize(_) | Self::Layer { .. } => return None,
            };
            return Some(Self::Layer { layer, error });
        }
        if let Some(direction) = direction_from_wire(code) {
            let errno = u32::try_from(c).ok()?;
            return Some(Self::Io(IoError { direction, offset: a, len: b, errno }));
        }
        None.or_else(|| ImageError::from_wire(code, [a, b]).map(Self::Image))
            .or_else(|| ResizeError::from_wire(code, [a, b]).map(Self::Resize))
            .or_else(|| Refusal::from_wire(code, [a, b]).map(Self::Refused))
    }
}

const fn layer_to_wire(layer: u32, error: &LayerError) -> (u32, [u64; 3]) {
    let (code, details) = match error {
        LayerError::Image(e) => OpError::Image(*e).to_wire(),
        LayerError::Refused(e) => OpError::Refused(*e).to_wire(),
        LayerError::Io(e) => io_to_wire(*e),
    };
    (layer.saturating_add(1).saturating_mul(LAYER_NUMBERS).saturating_add(code), details)
}

const fn io_to_wire(e: IoError) -> (u32, [u64; 3]) {
    let code = match e.direction {
        Direction::Read => 1,
        Direction::Write => 2,
        Direction::Flush => 3,
    };
    (code, [e.offset, e.len, e.errno as u64])
}

const fn direction_from_wire(code: u32) -> Option<Direction> {
    Some(match code {
        1 => Direction::Read,
        2 => Direction::Write,
        3 => Direction::Flush,
        _ => return None,
    })
}

impl From<PlanError> for OpError {
    fn from(e: PlanError) -> Self {
        match e {
            PlanError::Resize(e) => Self::Resize(e),
            PlanError::Image(e) => Self::Image(e),
            PlanError::Io(e) => Self::Io(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_back_as_itself() {
        let mut known = 0;
        for code in 0..1000 {
            if let Some(error) = OpError::from_wire(code, [7, 9, 5]) {
                assert_eq!(error.to_wire().0, code);
                assert_eq!(OpError::from_wire(code, error.to_wire().1), Some(error));
                known += 1;
            }
        }
        assert!(known > 60, "{known} numbers known");
        for layer in [0, 1, 199] {
            for inner in [1, 3, 100, 334] {
                let code = (layer + 1) * LAYER_NUMBERS + inner;
                let error = OpError::from_wire(code, [7, 9, 5]).unwrap();
                assert!(matches!(error, OpError::Layer { layer: l, .. } if l == layer));
                let (again, details) = error.to_wire();
                assert_eq!((again, OpError::from_wire(again, details)), (code, Some(error)));
            }
            let resize = (layer + 1) * LAYER_NUMBERS + 200;
            assert_eq!(OpError::from_wire(resize, [0; 3]), None, "nobody resizes a layer");
        }
        assert_eq!(OpError::from_wire(0, [0; 3]), None);
        assert_eq!(OpError::from_wire(1, [0, 0, u64::MAX]), None, "an errno has 32 bits");
    }

    #[test]
    fn phases_follow_qemu_img() {
        assert_eq!(OpError::from(ImageError::NotQcow2).phase(), Phase::Open);
        assert_eq!(OpError::from(Refusal::Vmdk).phase(), Phase::Open);
        assert_eq!(OpError::from(Refusal::NoChecks).phase(), Phase::Request);
        assert_eq!(OpError::from(ResizeError::L1TooLarge).phase(), Phase::Request);
    }
}
