//! Images with blocks here and there, and what a guest must find in them.

extern crate std;

use super::super::create::{Options, run as create};
use super::super::{Guids, Log, Parts, entry_of, log, plan_resize, survey};
use super::disk::Disk;
use super::{SCRATCH, request};
use crate::{Preallocation, ReadAt};
use instar_formats::vhdx::{Entry, Image, MIB, State};
use std::collections::BTreeMap;
use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

/// Where in a block a byte is looked at.
const PLACES: [u64; 4] = [0, 5000, MIB / 2 - 1, MIB - 1];

/// An image and what is in it.
#[derive(Clone)]
pub struct Subject {
    pub disk: Disk,
    pub size: u64,
    /// What the guest wrote, by the offset of the byte on the disk.
    pub data: BTreeMap<u64, u8>,
}

impl Subject {
    pub fn new(size: u64, options: &Options) -> Self {
        let mut disk = Disk::new();
        let len = SCRATCH.with_borrow_mut(|scratch| create(&mut disk, options, (size, &[9; 64]), scratch));
        disk.set_len(len.unwrap());
        Self { disk: disk.forgetful(), size, data: BTreeMap::new() }
    }

    pub fn image(&mut self) -> Image {
        Image::open(&mut self.disk).unwrap()
    }

    /// Writes to a block. One that has no place gets one at the end of the file, after `gap` MiB.
    pub fn write(&mut self, block: u64, gap: u64) {
        let image = self.image();
        let entry = entry_of(&mut self.disk, &image, block).unwrap();
        let mut place = entry.offset();
        if entry.state() != State::Present {
            place = self.disk.end.next_multiple_of(MIB) + gap * MIB;
            let at = image.entry_at(image.geometry().entry_of(block));
            self.disk.put(at, &Entry::present(place).0.to_le_bytes());
            self.disk.set_len(place + image.metadata.block_size);
        }
        let start = block * image.metadata.block_size;
        for within in PLACES.into_iter().chain([image.metadata.block_size - 1]) {
            if start + within < self.size {
                let byte = u8::try_from((start + within) % 251).unwrap() | 1;
                self.disk.put(place + within, &[byte]);
                self.data.insert(start + within, byte);
            }
        }
    }

    /// Bytes past the end of the disk, as an earlier program may have left them.
    pub fn litter(&mut self) {
        let image = self.image();
        let last = image.blocks() - 1;
        let place = entry_of(&mut self.disk, &image, last).unwrap().offset();
        let used = self.size - last * image.metadata.block_size;
        self.disk.put(place + used, &[0xee; 512]);
        let entries = image.geometry().entries(self.size);
        self.disk.put(image.entry_at(entries), &[0xee; 800]);
    }

    /// Resizes the disk, and cuts the file.
    pub fn resize(&mut self, size: u64, preallocation: Preallocation) -> Result<(), String> {
        let guids = Guids::random(&core::array::from_fn(|i| u8::try_from(i).unwrap()));
        let image = Image::open(&mut self.disk).map_err(|e| e.to_string())?;
        let len = SCRATCH.with_borrow_mut(|scratch| {
            let len = self.disk.len();
            let plan = plan_resize(&mut self.disk, (&image, len), &request(size, preallocation), scratch)?;
            plan.run(&mut self.disk, &guids, scratch)
        });
        self.disk.set_len(len.map_err(|e| e.to_string())?);
        Ok(())
    }

    /// Replays the log, if there is something to be replayed.
    pub fn recover(&mut self) -> Result<(), String> {
        match log(&mut self.disk).map_err(|e| e.to_string())? {
            Log::Empty => Ok(()),
            Log::Lost => Err("the log has no valid entry".into()),
            Log::Dirty(replay) => {
                replay.check(&mut self.disk).map_err(|e| e.to_string())?;
                let len = replay.run(&mut self.disk).map_err(|e| e.to_string())?;
                self.disk.set_len(len);
                Ok(())
            }
        }
    }

    /// What the guest reads.
    fn guest_byte(&mut self, image: &Image, offset: u64) -> u8 {
        let size = image.metadata.block_size;
        let entry = entry_of(&mut self.disk, image, offset / size).unwrap();
        match entry.state() {
            State::Present => self.disk.byte(entry.offset() + offset % size),
            _ => 0,
        }
    }

    /// That the image is sound, of one of these sizes, with everything in it that was in it. Returns the size.
    pub fn judge(&mut self, sizes: &[u64]) -> Result<u64, String> {
        self.recover()?;
        let image = Image::open(&mut self.disk).map_err(|e| e.to_string())?;
        let size = image.virtual_size();
        if !sizes.contains(&size) {
            return Err(format!("opens with {size} bytes"));
        }
        let (len, mut wrong) = (self.disk.len(), None);
        SCRATCH.with_borrow_mut(|scratch| {
            let mut parts = Parts::carve(scratch).unwrap();
            let mut report = |number, entry, why| {
                wrong.get_or_insert(format!("entry {number} {entry:x?}: {why:?}"));
            };
            survey(&mut self.disk, &image, len, &mut parts, &mut report).unwrap();
        });
        if let Some(wrong) = wrong {
            return Err(wrong);
        }
        let least = sizes.iter().copied().min().unwrap().min(self.size);
        let wanted: Vec<(u64, u8)> = self.data.iter().map(|(offset, byte)| (*offset, *byte)).collect();
        let end = size.min(self.size);
        for (offset, byte) in wanted.into_iter().filter(|(offset, _)| *offset < end) {
            let found = self.guest_byte(&image, offset);
            // Between the two sizes what is cut off may be gone already.
            if found != byte && (offset < least || size == self.size) {
                return Err(format!("byte {offset} is {found:#x} and not {byte:#x}"));
            }
        }
        let beyond = (self.size..size).step_by(usize::try_from(MIB / 2).unwrap()).take(400);
        for offset in beyond.chain((size > self.size).then(|| size - 1)) {
            if self.guest_byte(&image, offset) != 0 {
                return Err(format!("byte {offset} is not zero"));
            }
        }
        Ok(size)
    }
}
