//! One layer: what it is, and where its bytes are.

use super::mapping::{Found, Mapping, Source};
use super::qed::QedMapping;
use super::sealed::{self, Unseal};
use super::vhd::VhdMapping;
use super::vhdx::VhdxMapping;
use crate::open::{Opened, open};
use crate::{Layer, LayerError, OpError, ReadAt, Refusal};
use instar_formats::qcow2::header::SECTOR;
use instar_formats::qcow2::{Geometry, Header, Incompatible};

/// A layer that is open.
pub struct Reader<'c, K> {
    size: u64,
    kind: Kind<'c>,
    lock: Lock<'c, K>,
}

/// Whether what a layer holds is encrypted.
enum Lock<'c, K> {
    None,
    /// Whoever has opened it has unlocked it, too, and kept the key.
    Shut,
    Open(&'c K),
}

enum Kind<'c> {
    Raw,
    Qcow2(Mapping<'c>),
    Qed(QedMapping<'c>),
    Vhd(VhdMapping<'c>),
    Vhdx(VhdxMapping<'c>),
    /// LUKS, whose disk begins at this byte.
    Luks(u64),
}

/// How the clusters of a layer are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clusters {
    /// Bytes of one.
    pub size: u64,
    /// Whether with Zstandard instead of deflate.
    pub zstd: bool,
}

impl<'c, K: Unseal> Reader<'c, K> {
    /// Opens `layer`, as the format that it is said to be, with its `key` if it is encrypted and that is known; `table`
    /// is what it keeps of its tables.
    ///
    /// # Errors
    /// It is not what it is said to be, or its device failed.
    pub fn open(layer: &mut Layer<'_>, key: Option<&'c K>, table: &'c mut [u8]) -> Result<Self, LayerError> {
        let opened = open(&mut layer.file, Some(layer.format)).map_err(|error| match error {
            OpError::Image(e) => LayerError::Image(e),
            OpError::Io(e) => LayerError::Io(e),
            OpError::Refused(e) => LayerError::Refused(e),
            // Neither a request nor another layer is looked at.
            OpError::Resize(_) | OpError::Layer { .. } => LayerError::Refused(Refusal::BackingClosed),
        })?;
        let encrypted = match &opened {
            Opened::Luks(_) => true,
            Opened::Qcow2(header) => header.crypt_method != 0,
            _ => false,
        };
        let lock = match key {
            _ if !encrypted => Lock::None,
            Some(key) => Lock::Open(key),
            None => Lock::Shut,
        };
        let (size, kind) = match opened {
            Opened::Raw => {
                let len = layer.file.len();
                (len.checked_next_multiple_of(SECTOR).unwrap_or(len), Kind::Raw)
            }
            Opened::Qcow2(header) => {
                admit(&header, layer)?;
                (header.virtual_size(), Kind::Qcow2(Mapping::new(&header, table)))
            }
            Opened::Vhdx => {
                let (mapping, size) = VhdxMapping::open(layer.file, table)?;
                (size, Kind::Vhdx(mapping))
            }
            Opened::Vhd(image) => (image.virtual_size(), Kind::Vhd(VhdMapping::open(&image, table)?)),
            Opened::Luks(header) => {
                (header.virtual_size(layer.file.len())?, Kind::Luks(header.payload_offset))
            }
            Opened::Vmdk(_) => return Err(Refusal::LayerFormat.into()),
            Opened::Qed(header) => (header.image_size, Kind::Qed(QedMapping::new(header, table))),
        };
        Ok(Self { size, kind, lock })
    }

    /// Its virtual size in bytes.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Whether what it has a place for cannot be read.
    pub const fn is_sealed(&self) -> bool {
        matches!(self.lock, Lock::Shut)
    }

    /// How its clusters are packed.
    pub const fn clusters(&self) -> Clusters {
        match &self.kind {
            // Nothing there is compressed.
            Kind::Raw | Kind::Qed(_) | Kind::Vhd(_) | Kind::Vhdx(_) | Kind::Luks(_) => {
                Clusters { size: SECTOR, zstd: false }
            }
            Kind::Qcow2(mapping) => mapping.clusters(),
        }
    }

    /// Where up to `len` bytes from `offset` on come from; both lie within its size.
    ///
    /// # Errors
    /// Its tables make no sense, or its device failed.
    pub fn find(&mut self, layer: &mut Layer<'_>, offset: u64, len: u64) -> Result<Found, LayerError> {
        match &mut self.kind {
            Kind::Raw => Ok(Found { source: Source::At(offset), len }),
            Kind::Qcow2(mapping) => mapping.find(layer.file, offset, len),
            Kind::Qed(mapping) => mapping.find(layer.file, offset, len),
            Kind::Vhd(mapping) => mapping.find(layer.file, offset, len),
            Kind::Vhdx(mapping) => mapping.find(layer.file, offset, len),
            Kind::Luks(first) => Ok(Found { source: Source::At(first.saturating_add(offset)), len }),
        }
    }

    /// Reads what the disk has at byte `guest` from byte `host`, where [`Self::find`] has found it.
    ///
    /// # Errors
    /// It is encrypted, and its key is not here; or the device's.
    pub fn read(
        &self,
        layer: &mut Layer<'_>,
        (guest, host): (u64, u64),
        buf: &mut [u8],
    ) -> Result<(), LayerError> {
        let file = match (&self.kind, &mut layer.data_file) {
            (Kind::Qcow2(mapping), Some(file)) if mapping.is_beside() => &mut **file,
            _ => &mut *layer.file,
        };
        match &self.lock {
            Lock::None => Ok(file.read_at(host, buf)?),
            Lock::Shut => Err(Refusal::EncryptedLayer { offset: guest, len: buf.len() as u64 }.into()),
            Lock::Open(key) => sealed::read(file, *key, (guest, host), buf),
        }
    }
}

/// Refuses what cannot be read, before anything is.
fn admit(header: &Header, layer: &Layer<'_>) -> Result<(), LayerError> {
    header.check_against_file(layer.file.len())?;
    if header.has(Incompatible::DATA_FILE) && layer.data_file.is_none() {
        return Err(Refusal::DataFileClosed.into());
    }
    Ok(())
}

/// Bytes of a subcluster: the part of a cluster that has a place, or none, of its own.
pub const fn subcluster(geometry: Geometry) -> u64 {
    use instar_formats::qcow2::geometry::SUBCLUSTERS;
    if geometry.extended_l2() { geometry.cluster_size() / SUBCLUSTERS } else { geometry.cluster_size() }
}
