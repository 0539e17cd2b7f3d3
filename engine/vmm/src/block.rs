//! A virtio block device over virtio-mmio (virtio 1.2, sections 4.2 and 5.2), without interrupts: a
//! request is served in the exit that announces it.

mod request;

use crate::error::VmmError;
use crate::files::Files;
use request::Request;
use virtio_bindings::virtio_blk::{VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_RO, VIRTIO_BLK_F_WRITE_ZEROES};
use virtio_bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtio_bindings::virtio_ids::VIRTIO_ID_BLOCK;
use virtio_bindings::virtio_mmio as mmio;
use virtio_queue::{Queue, QueueOwnedT, QueueT};
use vm_memory::GuestMemoryMmap;

/// "virt", little-endian (section 4.2.2).
const MAGIC: u32 = 0x7472_6976;
/// The version that is no legacy (section 4.2.2).
const VERSION: u32 = 2;
/// Most entries of the queue.
const QUEUE_SIZE: u16 = 16;
/// Device status: the driver is ready (section 2.1).
const FEATURES_OK: u32 = 8;
const DRIVER_OK: u32 = 4;

/// The device.
pub struct Block<'a> {
    /// What is behind it.
    pub files: Files<'a>,
    /// Requests served.
    pub requests: u64,
    memory: &'a GuestMemoryMmap,
    queue: Queue,
    status: u32,
    /// Which 32 feature bits are to be read and written.
    device_half: u32,
    driver_half: u32,
    accepted: u64,
}

/// What a driver may not do. The job is over.
pub type Misuse = &'static str;

impl<'a> Block<'a> {
    /// A device with `files` behind it that reaches `memory`.
    pub fn new(files: Files<'a>, memory: &'a GuestMemoryMmap) -> Result<Self, VmmError> {
        let host = |e| VmmError::Host { what: "creating a virtqueue", source: std::io::Error::other(e) };
        let queue = Queue::new(QUEUE_SIZE).map_err(host)?;
        Ok(Self { files, requests: 0, memory, queue, status: 0, device_half: 0, driver_half: 0, accepted: 0 })
    }

    fn features(&self) -> u64 {
        let read_only = u64::from(self.files.read_only()) << VIRTIO_BLK_F_RO;
        1 << VIRTIO_F_VERSION_1 | 1 << VIRTIO_BLK_F_FLUSH | 1 << VIRTIO_BLK_F_WRITE_ZEROES | read_only
    }

    /// What the register at `offset` says; `None` if there is none.
    pub fn read(&self, offset: u64) -> Option<u32> {
        Some(match u32::try_from(offset).ok()? {
            mmio::VIRTIO_MMIO_MAGIC_VALUE => MAGIC,
            mmio::VIRTIO_MMIO_VERSION => VERSION,
            mmio::VIRTIO_MMIO_DEVICE_ID => VIRTIO_ID_BLOCK,
            mmio::VIRTIO_MMIO_VENDOR_ID | mmio::VIRTIO_MMIO_INTERRUPT_STATUS => 0,
            mmio::VIRTIO_MMIO_CONFIG_GENERATION => 0,
            mmio::VIRTIO_MMIO_DEVICE_FEATURES => half(self.features(), self.device_half),
            mmio::VIRTIO_MMIO_QUEUE_NUM_MAX => u32::from(QUEUE_SIZE),
            mmio::VIRTIO_MMIO_QUEUE_READY => u32::from(self.queue.ready()),
            mmio::VIRTIO_MMIO_STATUS => self.status,
            // The configuration begins with the capacity in sectors (section 5.2.4).
            mmio::VIRTIO_MMIO_CONFIG => half(self.capacity(), 0),
            register if register == mmio::VIRTIO_MMIO_CONFIG + 4 => half(self.capacity(), 1),
            _ => return None,
        })
    }

    /// Sectors that the device has, the empty ones between its files included.
    fn capacity(&self) -> u64 {
        self.files.capacity()
    }

    /// Writes `value` to the register at `offset`.
    pub fn write(&mut self, offset: u64, value: u32) -> Result<(), Misuse> {
        let register = u32::try_from(offset).map_err(|_| "no such register")?;
        match register {
            mmio::VIRTIO_MMIO_DEVICE_FEATURES_SEL => self.device_half = value,
            mmio::VIRTIO_MMIO_DRIVER_FEATURES_SEL => self.driver_half = value,
            mmio::VIRTIO_MMIO_DRIVER_FEATURES => self.accept(value)?,
            mmio::VIRTIO_MMIO_STATUS => self.set_status(value)?,
            mmio::VIRTIO_MMIO_QUEUE_NOTIFY => return self.notified(),
            mmio::VIRTIO_MMIO_QUEUE_SEL if value == 0 => {}
            _ if self.queue.ready() => return Err("the queue is changed while it is in use"),
            _ => return self.set_up_queue(register, value),
        }
        Ok(())
    }

    fn set_up_queue(&mut self, register: u32, value: u32) -> Result<(), Misuse> {
        let value_half = Some(value);
        match register {
            mmio::VIRTIO_MMIO_QUEUE_NUM => {
                self.queue.set_size(u16::try_from(value).map_err(|_| "a queue that is too long")?)
            }
            mmio::VIRTIO_MMIO_QUEUE_DESC_LOW => self.queue.set_desc_table_address(value_half, None),
            mmio::VIRTIO_MMIO_QUEUE_DESC_HIGH => self.queue.set_desc_table_address(None, value_half),
            mmio::VIRTIO_MMIO_QUEUE_AVAIL_LOW => self.queue.set_avail_ring_address(value_half, None),
            mmio::VIRTIO_MMIO_QUEUE_AVAIL_HIGH => self.queue.set_avail_ring_address(None, value_half),
            mmio::VIRTIO_MMIO_QUEUE_USED_LOW => self.queue.set_used_ring_address(value_half, None),
            mmio::VIRTIO_MMIO_QUEUE_USED_HIGH => self.queue.set_used_ring_address(None, value_half),
            mmio::VIRTIO_MMIO_QUEUE_READY => {
                self.queue.set_ready(true);
                if !self.queue.is_valid(self.memory) {
                    return Err("the queue does not lie in device memory");
                }
            }
            _ => return Err("no such register"),
        }
        Ok(())
    }

    fn accept(&mut self, value: u32) -> Result<(), Misuse> {
        match self.driver_half {
            0 => self.accepted = self.accepted & !0xffff_ffff | u64::from(value),
            1 => self.accepted = self.accepted & 0xffff_ffff | u64::from(value) << 32,
            _ => return Err("feature bits that there are not"),
        }
        Ok(())
    }

    /// The device is not reset, as a job has no use for it.
    fn set_status(&mut self, value: u32) -> Result<(), Misuse> {
        let unknown = self.accepted & !self.features();
        let modern = self.accepted >> VIRTIO_F_VERSION_1 & 1 == 1;
        if value & self.status != self.status {
            return Err("a status bit is taken back");
        }
        if value & FEATURES_OK != 0 && (unknown != 0 || !modern) {
            return Err("features that the device does not have");
        }
        self.status = value;
        Ok(())
    }

    /// Serves every request in the queue.
    fn notified(&mut self) -> Result<(), Misuse> {
        if self.status & DRIVER_OK == 0 || !self.queue.ready() {
            return Err("a request before the device is set up");
        }
        let memory = self.memory;
        loop {
            let chain = match self.queue.iter(memory) {
                Ok(mut chains) => chains.next(),
                Err(_) => return Err("a broken queue"),
            };
            let Some(chain) = chain else { return Ok(()) };
            let head = chain.head_index();
            let written = Request::parse(chain)?.serve(&mut self.files, memory)?;
            self.requests += 1;
            self.queue.add_used(memory, head, written).map_err(|_| "a broken queue")?;
        }
    }
}

/// The lower (0) or upper (1) 32 bits; none beyond.
const fn half(value: u64, which: u32) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "half of the bits are wanted")]
    match which {
        0 => value as u32,
        1 => (value >> 32) as u32,
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
