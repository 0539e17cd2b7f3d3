//! The operation's side of the call table.

use crate::sectors::{SectorDisk, SectorError, Sectors};
use crate::shared::SharedDisk;
use crate::text::Text;
use core::cell::Cell;
use core::fmt::Display;
use core::slice;
use instar_abi::config::Config;
use instar_abi::layout::{self, Area, MAX_EXTENTS};
use instar_abi::message::{GuestMessage, GuestMessage_::Payload};
use instar_abi::micropb::{MessageEncode, PbEncoder};
use instar_abi::table::{CallTable, Send};
use instar_abi::{MESSAGE_LEN, micropb::PbWrite};

/// What an operation has: its request, its image, its memory and its host. There is one.
#[derive(Debug)]
pub struct Guest {
    table: &'static CallTable,
}

/// `area`, to be read and written.
///
/// # Safety
/// `area` is mapped so in the guest, and nothing else refers to it.
unsafe fn memory(area: Area) -> &'static mut [u8] {
    // SAFETY: the caller vouches for the range; any byte is a u8.
    unsafe { slice::from_raw_parts_mut(core::ptr::with_exposed_provenance_mut(area.address()), area.size()) }
}

impl Guest {
    /// The guest that this code runs in.
    ///
    /// # Safety
    /// To be called once, by an operation's entry point, after core has filled the call table.
    ///
    /// # Panics
    /// If the call table is not of a version that this code knows.
    #[must_use]
    pub unsafe fn enter() -> Self {
        // SAFETY: core has filled the table, and nothing changes it.
        let table = unsafe { Self::table() };
        assert!(table.is_usable(), "call table of another version");
        Self { table }
    }

    /// # Safety
    /// As [`Self::enter`].
    unsafe fn table() -> &'static CallTable {
        let table = core::ptr::with_exposed_provenance::<CallTable>(layout::CALL_TABLE.address());
        // SAFETY: the page is mapped and aligned; the caller vouches for its content.
        unsafe { &*table }
    }

    /// What the host asks for.
    ///
    /// # Panics
    /// If the configuration is not that of a `T`, or means nothing.
    #[must_use]
    pub fn request<C: Config, T>(&self, parse: impl Fn(&C) -> Option<T>) -> T {
        let at = core::ptr::with_exposed_provenance(layout::CONFIG.address());
        // SAFETY: the page is mapped for reading, and nothing changes it.
        let page: &[u8] = unsafe { slice::from_raw_parts(at, layout::CONFIG.size()) };
        let request = C::parse(page).as_ref().and_then(parse);
        request.expect("the configuration is not one of this operation")
    }

    /// The image and the working memory, of which there is one each.
    #[must_use]
    pub fn into_parts(self) -> (Host, SectorDisk<'static, Device>, &'static mut [u8]) {
        let (host, files, scratch) = self.into_files();
        let device = files.device(0);
        (host, SectorDisk::new(device, files.buffer.into_inner()), scratch)
    }

    /// All files of the job, of which the image is the first, and the working memory.
    #[must_use]
    pub fn into_files(self) -> (Host, Files, &'static mut [u8]) {
        let Self { table } = self;
        // SAFETY: both areas are mapped, and a guest has only one `self` to take them from.
        let (buffer, scratch) = unsafe { (memory(layout::SECTORS), memory(layout::SCRATCH)) };
        (Host { table }, Files { table, buffer: Cell::new(buffer) }, scratch)
    }

    /// Tells the host and ends the job.
    pub fn panic(why: impl Display) -> ! {
        let text = Text::of(why);
        // SAFETY: a panic comes after the entry point.
        let table = unsafe { Self::table() };
        // SAFETY: the text is readable for its length.
        unsafe { (table.panic)(text.as_bytes().as_ptr(), text.as_bytes().len()) }
    }
}

/// Who an operation reports to.
#[derive(Debug, Clone, Copy)]
pub struct Host {
    table: &'static CallTable,
}

/// A message being encoded.
struct Encoded {
    bytes: [u8; MESSAGE_LEN],
    len: usize,
}

impl PbWrite for Encoded {
    type Error = ();

    fn pb_write(&mut self, data: &[u8]) -> Result<(), ()> {
        let end = self.len.checked_add(data.len()).ok_or(())?;
        self.bytes.get_mut(self.len..end).ok_or(())?.copy_from_slice(data);
        self.len = end;
        Ok(())
    }
}

impl Host {
    /// Hands over a snapshot, a bitmap or a finding.
    pub fn send_item(&self, payload: Payload) {
        self.send(self.table.send_item, payload);
    }

    /// Hands over the result, which is the last message. It knows its own way from its kind.
    pub fn send_result(&self, payload: Payload) {
        let send = match payload {
            Payload::InfoResult(_) => self.table.send_info_result,
            Payload::CheckResult(_) => self.table.send_check_result,
            Payload::ResizeResult(_) => self.table.send_resize_result,
            Payload::CreateResult(_) => self.table.send_create_result,
            Payload::UnlockResult(_) => self.table.send_unlock_result,
            _ => self.table.send_item,
        };
        self.send(send, payload);
    }

    fn send(&self, send: Send, payload: Payload) {
        let mut encoder = PbEncoder::new(Encoded { bytes: [0; MESSAGE_LEN], len: 0 });
        let message = GuestMessage { payload: Some(payload) };
        message.encode(&mut encoder).expect("every message fits: MESSAGE_LEN is their maximum");
        let encoded = encoder.into_writer();
        self.send_bytes(send, encoded.bytes.get(..encoded.len).unwrap_or_default());
    }

    /// Hands over bytes that claim to be a result of a resize.
    pub fn send_raw(&self, bytes: &[u8]) {
        self.send_bytes(self.table.send_resize_result, bytes);
    }

    fn send_bytes(&self, send: Send, bytes: &[u8]) {
        // SAFETY: the bytes are readable for their length.
        unsafe { send(bytes.as_ptr(), bytes.len()) }
    }

    /// Writes a line to the host's log.
    pub fn debug(&self, what: impl Display) {
        self.send_bytes(self.table.debug, Text::of(what).as_bytes());
    }
}

/// The files of a job. They share one buffer, which whoever makes a request takes for as long as that
/// takes.
#[allow(missing_debug_implementations, reason = "a buffer that is lent out has nothing to show")]
pub struct Files {
    table: &'static CallTable,
    buffer: Cell<&'static mut [u8]>,
}

impl Files {
    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.table.files
    }

    /// File `file`; all that is asked of one that is not there fails.
    #[must_use]
    pub const fn disk(&self, file: u64) -> SharedDisk<'_, Device> {
        SharedDisk::new(self.device(file), &self.buffer)
    }

    /// The files from `first` on, as many of them as extents can have.
    #[must_use]
    pub fn from(&self, first: u64) -> heapless::Vec<SharedDisk<'_, Device>, MAX_EXTENTS> {
        (first..self.count()).take(MAX_EXTENTS).map(|file| self.disk(file)).collect()
    }

    const fn device(&self, file: u64) -> Device {
        Device { table: self.table, file }
    }
}

/// Files as an operation takes those of extents.
pub fn as_disks<'d>(
    files: &'d mut [SharedDisk<'_, Device>],
) -> heapless::Vec<&'d mut dyn instar_ops::Disk, MAX_EXTENTS> {
    files.iter_mut().map(|file| file as &mut dyn instar_ops::Disk).collect()
}

/// A file on the block device behind the call table.
#[derive(Debug, Clone, Copy)]
pub struct Device {
    table: &'static CallTable,
    file: u64,
}

impl Device {
    /// Where `count` sectors from `sector` of this file are on the device, if it has so many: no
    /// request reaches into the next file.
    fn at(&self, sector: u64, count: u64) -> Result<u64, SectorError> {
        let windows = layout::Windows::of(self.table.files);
        let end = sector.checked_add(count).filter(|end| *end <= windows.sectors());
        end.filter(|_| self.file < layout::MAX_FILES as u64)
            .map(|_| windows.first(self.file) + sector)
            .ok_or(SectorError)
    }
}

/// Sectors that `len` bytes are.
const fn sectors(len: usize) -> u64 {
    (len / layout::SECTOR_LEN) as u64
}

/// What a function of the call table returned.
const fn done(status: u32) -> Result<(), SectorError> {
    if status == 0 { Ok(()) } else { Err(SectorError) }
}

impl Sectors for Device {
    fn image_len(&self) -> u64 {
        (self.table.file_len)(self.file)
    }

    fn read(&mut self, sector: u64, buffer: &mut [u8]) -> Result<(), SectorError> {
        let sector = self.at(sector, sectors(buffer.len()))?;
        let (at, len) = (buffer.as_mut_ptr(), buffer.len());
        // SAFETY: the buffer is writable for its length.
        done(unsafe { (self.table.read_output_sector)(sector, at, len) })
    }

    fn write(&mut self, sector: u64, data: &[u8]) -> Result<(), SectorError> {
        let sector = self.at(sector, sectors(data.len()))?;
        // SAFETY: the data is readable for its length.
        done(unsafe { (self.table.write_output_sector)(sector, data.as_ptr(), data.len()) })
    }

    fn zero(&mut self, sector: u64, count: u64, unmap: bool) -> Result<(), SectorError> {
        let sector = self.at(sector, count)?;
        done((self.table.zero_output_sector)(sector, count, u32::from(unmap)))
    }

    fn flush(&mut self) -> Result<(), SectorError> {
        done((self.table.flush_output)())
    }
}
