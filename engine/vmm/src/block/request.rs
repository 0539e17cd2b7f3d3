//! One request to the block device (virtio 1.2, section 5.2.6).
//!
//! The one driver there is puts the header, the data and the status in a descriptor each; any other
//! shape is misuse.

use super::Misuse;
use crate::files::Files;
use crate::image::Buffer;
use instar_abi::layout::SECTOR;
use virtio_bindings::virtio_blk as blk;
use virtio_queue::DescriptorChain;
use virtio_queue::desc::split::Descriptor;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// What a request begins with.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Header {
    kind: U32,
    reserved: U32,
    sector: U64,
}

/// What a request to zero is about.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Zeroes {
    sector: U64,
    count: U32,
    flags: U32,
}

/// Bytes of either.
const PREFIX: u32 = 16;
const _: () = assert!(size_of::<Header>() == PREFIX as usize && size_of::<Zeroes>() == PREFIX as usize);

/// A range of device memory.
#[derive(Debug, Clone, Copy)]
struct Part {
    at: GuestAddress,
    len: u32,
    /// Whether the device may write there.
    writable: bool,
}

/// A request as the driver laid it out.
#[derive(Debug)]
pub struct Request {
    header: Part,
    data: Option<Part>,
    status: Part,
}

impl Request {
    /// Takes a chain of descriptors apart.
    pub fn parse(chain: DescriptorChain<&GuestMemoryMmap>) -> Result<Self, Misuse> {
        let parts: Vec<Part> = chain.map(Part::from).collect();
        let (header, data, status) = match parts[..] {
            [header, status] => (header, None, status),
            [header, data, status] => (header, Some(data), status),
            _ => return Err("a request of another shape"),
        };
        if header.len != PREFIX || header.writable || status.len != 1 || !status.writable {
            return Err("a request of another shape");
        }
        Ok(Self { header, data, status })
    }

    /// Does what is asked and says so; returns how many bytes of memory were written.
    pub fn serve(self, files: &mut Files<'_>, memory: &GuestMemoryMmap) -> Result<u32, Misuse> {
        let header: Header = read(memory, self.header.at)?;
        let sector = header.sector.get();
        let (status, written) = match (header.kind.get(), self.data) {
            (blk::VIRTIO_BLK_T_IN, Some(data)) if data.writable => {
                (data.read(files, memory, sector)?, data.len)
            }
            (blk::VIRTIO_BLK_T_OUT, Some(data)) => (data.write(files, memory, sector)?, 0),
            (blk::VIRTIO_BLK_T_WRITE_ZEROES, Some(data)) => (data.zero(files, memory)?, 0),
            (blk::VIRTIO_BLK_T_FLUSH, None) => (files.flush(), 0),
            _ => return Err("a request that there is not"),
        };
        let status = if status { blk::VIRTIO_BLK_S_OK } else { blk::VIRTIO_BLK_S_IOERR };
        let status = u8::try_from(status).unwrap_or(u8::MAX);
        memory.write_obj(status, self.status.at).map_err(|_| OUTSIDE)?;
        Ok(written + 1)
    }
}

/// What is said of an address below or beyond device memory.
const OUTSIDE: Misuse = "a request outside device memory";

fn read<T: FromBytes + FromZeros + IntoBytes>(
    memory: &GuestMemoryMmap,
    at: GuestAddress,
) -> Result<T, Misuse> {
    let mut value = T::new_zeroed();
    memory.read_slice(value.as_mut_bytes(), at).map_err(|_| OUTSIDE)?;
    Ok(value)
}

impl From<Descriptor> for Part {
    fn from(descriptor: Descriptor) -> Self {
        Self { at: descriptor.addr(), len: descriptor.len(), writable: descriptor.is_write_only() }
    }
}

impl Part {
    /// Lets `act` have the memory, whole sectors of it.
    fn with<T>(self, memory: &GuestMemoryMmap, act: impl FnOnce(Buffer) -> T) -> Result<T, Misuse> {
        let len = usize::try_from(self.len).map_err(|_| OUTSIDE)?;
        if !u64::from(self.len).is_multiple_of(SECTOR) {
            return Err("a part of a sector");
        }
        let slice = memory.get_slice(self.at, len).map_err(|_| OUTSIDE)?;
        let guard = slice.ptr_guard_mut();
        Ok(act(Buffer { at: guard.as_ptr(), len: guard.len() }))
    }

    fn read(self, files: &mut Files<'_>, memory: &GuestMemoryMmap, sector: u64) -> Result<bool, Misuse> {
        // SAFETY: the buffer is guest memory, mapped for as long as `memory` is. The guest does not
        // run meanwhile.
        self.with(memory, |buffer| unsafe { files.read(sector, buffer) })
    }

    fn write(self, files: &mut Files<'_>, memory: &GuestMemoryMmap, sector: u64) -> Result<bool, Misuse> {
        if self.writable {
            return Err("a request of another shape");
        }
        // SAFETY: as above.
        self.with(memory, |buffer| unsafe { files.write(sector, buffer) })
    }

    fn zero(self, files: &mut Files<'_>, memory: &GuestMemoryMmap) -> Result<bool, Misuse> {
        if self.writable || self.len != PREFIX {
            return Err("a request of another shape");
        }
        let range: Zeroes = read(memory, self.at)?;
        let len = u64::from(range.count.get()) * SECTOR;
        let unmap = range.flags.get() & blk::VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP != 0;
        Ok(files.zero(range.sector.get(), len, unmap))
    }
}
