//! A qcow2 disk, read by instar's reader of backing files and by a reader that shares nothing with it.

use crate::input::Input;
use crate::scratch;
use crate::watched::Watched;
use imago::file::File;
use imago::qcow2::Qcow2;
use imago::{DenyImplicitOpenGate, FormatAccess, FormatDriverBuilder};
use instar_ops::{Format, InfoRequest, Layer, info, read_layers};
use oracle_crash::Image;
use rustix::fs::{MemfdFlags, memfd_create};

/// The longest file, in bytes, that is looked at.
const MOST_LEN: u64 = 64 << 20;
/// Bytes read at a time.
const PIECE: usize = 4096;
/// Places that are looked at, spread over the disk.
const PLACES: u64 = 32;

/// Where both read, both read the same: that one refuses what the other takes is no finding.
pub fn run(data: &[u8]) {
    let mut image = Image::default();
    if Input::file_len(data).is_none_or(|len| len > MOST_LEN) || Input::decode(data, &mut image).is_none() {
        return;
    }
    let Some(size) = own_size(&mut image) else { return };
    let Some(other) = open(&image).filter(|other| other.size() == size) else { return };
    let last = size.saturating_sub(PIECE as u64);
    for place in 0..PLACES {
        // The first pieces one after the other, then as far apart as there is disk.
        let spread = u128::from(last) * u128::from(place) / u128::from(PLACES - 1);
        let spread = u64::try_from(spread).unwrap_or(last) / 512 * 512;
        for at in [place * PIECE as u64, spread] {
            let len = usize::try_from(size.saturating_sub(at)).unwrap_or(PIECE).min(PIECE);
            let (mut ours, mut theirs) = (vec![0; len], vec![0; len]);
            if read(&mut image, at, &mut ours).is_some() && other.read(&mut theirs[..], at).is_ok() {
                assert!(ours == theirs, "byte {at} and its neighbours");
            }
        }
    }
}

/// The size of a disk that depends on no other file.
fn own_size(image: &mut Image) -> Option<u64> {
    let request = InfoRequest { format: Some(Format::Qcow2) };
    let said =
        scratch::with(|scratch| info(&mut Watched::read_only(image), &request, scratch, &mut |_| ())).ok()?;
    let alone = said.backing_file.is_empty() && said.qcow2.is_some_and(|qcow2| qcow2.data_file.is_none());
    alone.then_some(said.virtual_size)
}

fn read(image: &mut Image, at: u64, buf: &mut [u8]) -> Option<()> {
    let mut file = Watched::read_only(image);
    let mut layers = [Layer { file: &mut file, data_file: None, format: Format::Qcow2 }];
    scratch::with(|scratch| read_layers(&mut layers, at, buf, scratch)).ok().map(drop)
}

/// The image as the other reader opens it, in a file in memory.
fn open(image: &Image) -> Option<FormatAccess<File>> {
    let file = std::fs::File::from(memfd_create("image", MemfdFlags::CLOEXEC).ok()?);
    image.store_to(&file).ok()?;
    let builder = Qcow2::<File>::builder(File::try_from(file).ok()?);
    builder.open(DenyImplicitOpenGate::default()).ok().map(FormatAccess::new)
}
