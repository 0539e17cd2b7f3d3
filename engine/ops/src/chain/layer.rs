//! One layer: what it is, and where its bytes are.

use super::mapping::{Found, Mapping, Source};
use super::qed::QedMapping;
use super::vhd::VhdMapping;
use super::vhdx::VhdxMapping;
use crate::open::{Opened, open};
use crate::{Layer, LayerError, OpError, ReadAt, Refusal};
use instar_formats::qcow2::header::SECTOR;
use instar_formats::qcow2::{Geometry, Header, Incompatible};

/// A layer that is open.
pub struct Reader<'c> {
    size: u64,
    kind: Kind<'c>,
}

enum Kind<'c> {
    Raw,
    Qcow2(Mapping<'c>),
    Qed(QedMapping<'c>),
    Vhd(VhdMapping<'c>),
    Vhdx(VhdxMapping<'c>),
    /// Whoever has opened it has unlocked it, too, and kept the key. Its size is all that is known of it.
    Encrypted,
}

/// How the clusters of a layer are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clusters {
    /// Bytes of one.
    pub size: u64,
    /// Whether with Zstandard instead of deflate.
    pub zstd: bool,
}

impl<'c> Reader<'c> {
    /// Opens `layer`, as the format that it is said to be; `table` is what it keeps of its tables.
    ///
    /// # Errors
    /// It is not what it is said to be, or its device failed.
    pub fn open(layer: &mut Layer<'_>, table: &'c mut [u8]) -> Result<Self, LayerError> {
        let opened = open(&mut layer.file, Some(layer.format)).map_err(|error| match error {
            OpError::Image(e) => LayerError::Image(e),
            OpError::Io(e) => LayerError::Io(e),
            OpError::Refused(e) => LayerError::Refused(e),
            // Neither a request nor another layer is looked at.
            OpError::Resize(_) | OpError::Layer { .. } => LayerError::Refused(Refusal::BackingClosed),
        })?;
        match opened {
            Opened::Raw => {
                let len = layer.file.len();
                let size = len.checked_next_multiple_of(SECTOR).unwrap_or(len);
                Ok(Self { size, kind: Kind::Raw })
            }
            Opened::Qcow2(header) => {
                admit(&header, layer)?;
                if header.crypt_method != 0 {
                    return Ok(Self { size: header.virtual_size(), kind: Kind::Encrypted });
                }
                let mapping = Mapping::new(&header, table);
                Ok(Self { size: header.virtual_size(), kind: Kind::Qcow2(mapping) })
            }
            Opened::Vhdx => {
                let (mapping, size) = VhdxMapping::open(layer.file, table)?;
                Ok(Self { size, kind: Kind::Vhdx(mapping) })
            }
            Opened::Vhd(image) => {
                Ok(Self { size: image.virtual_size(), kind: Kind::Vhd(VhdMapping::open(&image, table)?) })
            }
            Opened::Luks(header) => {
                let size = header.virtual_size(layer.file.len())?;
                Ok(Self { size, kind: Kind::Encrypted })
            }
            Opened::Vmdk(_) => Err(Refusal::LayerFormat.into()),
            Opened::Qed(header) => {
                Ok(Self { size: header.image_size, kind: Kind::Qed(QedMapping::new(header, table)) })
            }
        }
    }

    /// Its virtual size in bytes.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Whether what it holds cannot be read.
    pub const fn is_encrypted(&self) -> bool {
        matches!(self.kind, Kind::Encrypted)
    }

    /// How its clusters are packed.
    pub const fn clusters(&self) -> Clusters {
        match &self.kind {
            // Nothing there is compressed.
            Kind::Raw | Kind::Qed(_) | Kind::Vhd(_) | Kind::Vhdx(_) | Kind::Encrypted => {
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
            Kind::Encrypted => Err(Refusal::EncryptedLayer.into()),
        }
    }

    /// Reads guest data from where [`Self::find`] has found it.
    ///
    /// # Errors
    /// The device's.
    pub fn read(&self, layer: &mut Layer<'_>, host: u64, buf: &mut [u8]) -> Result<(), LayerError> {
        match (&self.kind, &mut layer.data_file) {
            (Kind::Qcow2(mapping), Some(file)) if mapping.is_beside() => Ok(file.read_at(host, buf)?),
            _ => Ok(layer.file.read_at(host, buf)?),
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
