//! The engine that runs a job in this process. A hostile image has only the code's own care between
//! itself and the user here; it is for machines without KVM, for tests and for comparison.

use super::file_disk::FileDisk;
use super::{Engine, Job};
use crate::error::CliError;
use instar_ops::disk::{Direction, IoError, ReadAt};
use instar_ops::{
    CheckFinding, CheckReport, CheckRequest, Companions, CreateRequest, Disk, Encryption, Format, ImageInfo,
    InfoItem, InfoRequest, Layer, OpError, Refusal, ResizeOutcome, ResizeRequest, SCRATCH_LEN, UnlockRequest,
};
use instar_vmm::{Finished, LayerFiles, Observer, Others, Window};
use std::fs::File;
use std::ops::Range;
use std::time::Instant;

/// The engine that needs nothing.
#[derive(Debug, Clone)]
pub struct InProcess {
    /// What is told of every change of an image.
    pub observer: Observer,
}

impl Engine for InProcess {
    fn resize(
        &self,
        image: Window<'_>,
        others: &Others<'_>,
        request: &ResizeRequest,
        findings: &mut dyn FnMut(CheckFinding),
    ) -> Job<ResizeOutcome> {
        let mut own = disks_of(&others.extents)?;
        let mut data_file = others.data_file.map(disk).transpose()?;
        let mut disks = layer_disks(&others.layers)?;
        let mut layers = as_layers(&mut disks);
        let mut extents = as_disks(&mut own);
        let mut companions = Companions {
            data_file: data_file.as_mut().map(|file| file as &mut dyn Disk),
            backing: &mut layers,
            detached: others.detached,
            unlocked: others.unlocked,
            extents: &mut extents,
        };
        self.run(image, |disk, scratch| {
            instar_ops::resize_mended(disk, &mut companions, request, scratch, findings)
        })
    }

    fn info(
        &self,
        image: Window<'_>,
        extents: &[&File],
        request: &InfoRequest,
    ) -> Job<(ImageInfo, Vec<InfoItem>)> {
        let mut extents = disks_of(extents)?;
        self.run(image, |disk, scratch| {
            let mut items = Vec::new();
            let info =
                instar_ops::info_with(disk, &mut as_disks(&mut extents), request, scratch, &mut |item| {
                    items.push(item)
                })?;
            Ok((info, items))
        })
    }

    fn check(
        &self,
        image: Window<'_>,
        extents: &[&File],
        request: &CheckRequest,
        findings: &mut dyn FnMut(CheckFinding),
    ) -> Job<CheckReport> {
        let mut extents = disks_of(extents)?;
        self.run(image, |disk, scratch| {
            instar_ops::check_with(disk, &mut as_disks(&mut extents), request, scratch, findings)
        })
    }

    fn unlock(
        &self,
        image: Window<'_>,
        request: &UnlockRequest,
        passphrase: Option<&[u8]>,
    ) -> Job<Encryption> {
        self.run(image, |disk, scratch| instar_ops::unlock(disk, request, passphrase, scratch))
    }

    fn reveal(
        &self,
        layers: &[LayerFiles<'_>],
        bytes: &Range<u64>,
        plain: &File,
        passphrase: &[u8],
    ) -> Job<Encryption> {
        let mut disks = layer_disks(layers)?;
        let mut layers = as_layers(&mut disks);
        self.run(plain.into(), |plain, scratch| {
            instar_ops::reveal(&mut layers, bytes, plain, passphrase, scratch)
        })
    }

    fn create(&self, image: &File, extents: &[&File], request: &CreateRequest) -> Job<ResizeOutcome> {
        let mut extents = disks_of(extents)?;
        self.run(image.into(), |disk, scratch| {
            instar_ops::create_with(disk, &mut as_disks(&mut extents), request, scratch)
        })
    }
}

fn disk(file: &File) -> Result<FileDisk<'_>, CliError> {
    window(file.into())
}

fn window(window: Window<'_>) -> Result<FileDisk<'_>, CliError> {
    FileDisk::new(window).map_err(|e| CliError::Refused(e.to_string()))
}

/// The file of a layer, the layer's data file, and its format.
type LayerDisk<'f> = (FileDisk<'f>, Option<FileDisk<'f>>, Format);

fn layer_disks<'f>(layers: &[LayerFiles<'f>]) -> Result<Vec<LayerDisk<'f>>, CliError> {
    let disks = |layer: &LayerFiles<'f>| {
        let data_file = layer.data_file.map(disk).transpose()?;
        Ok((window(layer.file)?, data_file, layer.format))
    };
    layers.iter().map(disks).collect()
}

/// Files as an operation takes those of layers.
fn as_layers<'d>(disks: &'d mut [LayerDisk<'_>]) -> Vec<Layer<'d>> {
    let layers = disks.iter_mut().map(|(file, data_file, format)| Layer {
        file,
        data_file: data_file.as_mut().map(|file| file as &mut dyn ReadAt),
        format: *format,
    });
    layers.collect()
}

fn disks_of<'f>(files: &[&'f File]) -> Result<Vec<FileDisk<'f>>, CliError> {
    files.iter().map(|file| disk(file)).collect()
}

/// Files as an operation takes those of extents.
fn as_disks<'d>(files: &'d mut [FileDisk<'_>]) -> Vec<&'d mut dyn Disk> {
    files.iter_mut().map(|file| file as &mut dyn Disk).collect()
}

impl InProcess {
    fn run<T>(
        &self,
        image: Window<'_>,
        job: impl FnOnce(&mut FileDisk<'_>, &mut [u8]) -> Result<T, OpError>,
    ) -> Job<T> {
        let begun = Instant::now();
        let mut disk = window(image)?.watched(self.observer.clone());
        let mut scratch = vec![0; SCRATCH_LEN];
        let result = job(&mut disk, &mut scratch);
        let mut stats = disk.stats();
        stats.total_time = begun.elapsed();
        Ok(Finished { result, stats })
    }
}

/// Why `create` would refuse `request`, if it would. Every refusal is decided before the first
/// write, so a disk that takes none tells, and an existing file need not be emptied to find out.
pub fn refusal_of_create(request: &CreateRequest) -> Option<OpError> {
    let mut scratch = vec![0; SCRATCH_LEN];
    match instar_ops::create(&mut NoDisk, request, &mut scratch) {
        // Whoever holds the files makes those of extents after this.
        Ok(_) | Err(OpError::Io(_) | OpError::Refused(Refusal::ExtentsWanted { .. })) => None,
        Err(refusal) => Some(refusal),
    }
}

/// An empty disk that takes nothing.
struct NoDisk;

impl NoDisk {
    const fn refuse(offset: u64, len: u64) -> Result<(), IoError> {
        Err(IoError { direction: Direction::Write, offset, len, errno: 0 })
    }
}

impl ReadAt for NoDisk {
    fn len(&self) -> u64 {
        0
    }

    fn read_at(&mut self, _offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        buf.fill(0);
        Ok(())
    }
}

impl Disk for NoDisk {
    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        Self::refuse(offset, data.len() as u64)
    }

    fn zero_at(&mut self, offset: u64, len: u64, _unmap: bool) -> Result<(), IoError> {
        Self::refuse(offset, len)
    }

    fn flush(&mut self) -> Result<(), IoError> {
        Self::refuse(0, 0)
    }
}
