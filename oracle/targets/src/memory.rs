//! An image in memory that costs what of it is touched.
//!
//! Pages that are not zeros lie one after the other in memory that is kept from one run to the next, and so do the lists
//! that say where: nothing is allocated for a run, cleared for it or hashed. From a mark on, a page that is changed is copied
//! first. So the image before and the image now are both there to be read, and going back to the mark is cheap.

use crate::input::Canvas;
use crate::watched::Store;
use std::cell::RefCell;

/// Bytes of a page: little enough that copying one costs less than finding it.
const PAGE: usize = 1024;
/// The same as an offset in a file.
const PAGE_LEN: u64 = PAGE as u64;
/// Pages of a stretch: as many as a word has bits.
const PAGES: usize = 64;
/// Bytes of a stretch.
const STRETCH_LEN: u64 = PAGE_LEN * PAGES as u64;
/// Most pages that are kept for the next run.
const MOST_KEPT: usize = 16 << 10;

/// Which of its pages a stretch of the file has, and where they lie.
#[derive(Debug, Clone)]
struct Pages {
    /// A bit for each page that is not a hole.
    there: u64,
    /// Where it lies; means nothing for a hole.
    at: [u32; PAGES],
}

impl Pages {
    const NONE: Self = Self { there: 0, at: [0; PAGES] };

    fn get(&self, page: usize) -> Option<u32> {
        (self.there >> page & 1 != 0).then(|| self.at[page])
    }
}

/// A stretch of the file at the mark, and now.
#[derive(Debug, Clone)]
struct Stretch {
    then: Pages,
    now: Pages,
}

/// A sparse image.
#[derive(Debug, Default)]
pub struct Memory {
    /// Where it ends, in bytes, now and at the mark.
    end: u64,
    end_then: u64,
    /// The stretches with pages, by their place in the file: its number, and where in `stretches` it is.
    order: Vec<(u64, usize)>,
    stretches: Vec<Stretch>,
    /// How many of these are in use.
    held: usize,
    pages: Vec<[u8; PAGE]>,
    /// How many of these are in use.
    used: usize,
    /// How many were at the mark: those are not changed any more.
    used_then: usize,
}

/// The image as it was at the mark.
#[derive(Debug)]
pub struct Then<'m>(pub &'m Memory);

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::default();
}

/// Does `job` with this thread's image, which is empty. Jobs do not nest.
pub fn with<T>(job: impl FnOnce(&mut Memory) -> T) -> T {
    MEMORY.with_borrow_mut(|memory| {
        memory.empty();
        job(memory)
    })
}

impl Memory {
    fn empty(&mut self) {
        if self.pages.len() > MOST_KEPT {
            *self = Self::default();
        }
        self.order.clear();
        (self.end, self.end_then, self.held, self.used, self.used_then) = (0, 0, 0, 0, 0);
    }

    /// From here on, [`Then`] is what the image is now.
    pub fn mark(&mut self) {
        for stretch in &mut self.stretches[..self.held] {
            stretch.then.clone_from(&stretch.now);
        }
        (self.end_then, self.used_then) = (self.end, self.used);
    }

    /// Undoes everything since the mark.
    pub fn rewind(&mut self) {
        for stretch in &mut self.stretches[..self.held] {
            stretch.now.clone_from(&stretch.then);
        }
        (self.end, self.used) = (self.end_then, self.used_then);
    }

    /// Cuts the image, or extends it with zeros.
    pub fn set_len(&mut self, len: u64) {
        self.clear(len, self.end);
        self.end = len;
    }

    /// The pages of stretches from the one that byte `offset` is in.
    fn from(&self, offset: u64) -> impl Iterator<Item = (u64, &Stretch)> {
        let first = self.order.partition_point(|(number, _)| *number < offset / STRETCH_LEN);
        self.order[first..].iter().map(|(number, at)| (number * STRETCH_LEN, &self.stretches[*at]))
    }

    fn copy(&self, offset: u64, end: u64, buf: &mut [u8], of: impl Fn(&Stretch) -> &Pages) {
        let mut done = 0;
        // Where there is nothing to read there is no first byte either.
        let end = end.max(offset);
        for (start, stretch) in self.from(offset).take_while(|(start, _)| *start < end) {
            let (pages, last) = (of(stretch), end.min(start + STRETCH_LEN));
            let mut left = pages.there & bits(offset.max(start) - start, last - start);
            while left != 0 {
                let page = left.trailing_zeros() as usize;
                left &= left - 1;
                let at = start + page as u64 * PAGE_LEN;
                let (from, to) = (offset.max(at), end.min(at + PAGE_LEN));
                let bytes = &self.pages[pages.at[page] as usize][to_usize(from - at)..to_usize(to - at)];
                let (from, to) = (to_usize(from - offset), to_usize(to - offset));
                buf[done..from].fill(0);
                buf[from..to].copy_from_slice(bytes);
                done = to;
            }
        }
        buf[done..].fill(0);
    }

    /// Makes bytes zero that there are.
    fn clear(&mut self, from: u64, to: u64) {
        if from >= to {
            return;
        }
        let first = self.order.partition_point(|(number, _)| *number < from / STRETCH_LEN);
        for i in first..self.order.len() {
            let (number, at) = self.order[i];
            let start = number * STRETCH_LEN;
            if start >= to {
                break;
            }
            let (first, last) = (from.max(start) - start, to.min(start + STRETCH_LEN) - start);
            let mut left = self.stretches[at].now.there & bits(first, last);
            while left != 0 {
                let page = left.trailing_zeros() as usize;
                left &= left - 1;
                let (page_start, page_end) = (page as u64 * PAGE_LEN, (page as u64 + 1) * PAGE_LEN);
                if first <= page_start && page_end <= last {
                    self.stretches[at].now.there &= !(1 << page);
                } else {
                    let (first, last) = (first.max(page_start), last.min(page_end));
                    let range = to_usize(first - page_start)..to_usize(last - page_start);
                    self.page(at, page)[range].fill(0);
                }
            }
        }
    }

    /// Puts the bytes of `piece` to `offset`, page by page, each with what of it is there.
    fn place(
        &mut self,
        offset: u64,
        len: u64,
        piece: impl Fn(&mut [u8], usize),
        zeros: impl Fn(usize, usize) -> bool,
    ) {
        let mut done = 0;
        while done < len {
            let at = offset + done;
            let (within, page) = (to_usize(at % PAGE_LEN), to_usize(at / PAGE_LEN) % PAGES);
            let part = (PAGE - within).min(to_usize(len - done));
            let stretch = self.stretch(at / STRETCH_LEN);
            let hole = self.stretches[stretch].now.get(page).is_none();
            if !hole || !zeros(to_usize(done), part) {
                piece(&mut self.page(stretch, page)[within..within + part], to_usize(done));
            }
            done += part as u64;
        }
    }

    /// Where the stretch of this number is; there is one afterwards.
    fn stretch(&mut self, number: u64) -> usize {
        match self.order.binary_search_by_key(&number, |(number, _)| *number) {
            Ok(i) => self.order[i].1,
            Err(i) => {
                let at = self.held;
                match self.stretches.get_mut(at) {
                    Some(old) => (old.then.there, old.now.there) = (0, 0),
                    None => self.stretches.push(Stretch { then: Pages::NONE, now: Pages::NONE }),
                }
                self.held += 1;
                self.order.insert(i, (number, at));
                at
            }
        }
    }

    /// The bytes of a page, to be changed.
    fn page(&mut self, stretch: usize, page: usize) -> &mut [u8; PAGE] {
        let old = self.stretches[stretch].now.get(page).map(|at| at as usize);
        if let Some(at) = old.filter(|at| *at >= self.used_then) {
            return &mut self.pages[at];
        }
        let new = self.used;
        self.used += 1;
        if new == self.pages.len() {
            self.pages.push([0; PAGE]);
        }
        match old {
            Some(old) => self.pages.copy_within(old..=old, new),
            None => self.pages[new].fill(0),
        }
        let pages = &mut self.stretches[stretch].now;
        pages.there |= 1 << page;
        pages.at[page] = u32::try_from(new).expect("fewer pages than 4 TiB have");
        &mut self.pages[new]
    }
}

/// The bits of the pages of a stretch that its bytes from `first` to `last` touch.
fn bits(first: u64, last: u64) -> u64 {
    let (first, last) = (first / PAGE_LEN, last.div_ceil(PAGE_LEN));
    if first >= last { 0 } else { u64::MAX << first & u64::MAX >> (PAGES as u64 - last) }
}

fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// Whether every byte is zero, in steps that a processor takes at once.
pub fn are_zeros(bytes: &[u8]) -> bool {
    let (steps, rest) = bytes.as_chunks::<64>();
    steps.iter().all(|step| step.iter().fold(0, |any, b| any | b) == 0) && rest.iter().all(|b| *b == 0)
}

impl Canvas for Memory {
    fn put(&mut self, offset: u64, bytes: &[u8]) {
        self.write(offset, bytes);
    }

    fn fill(&mut self, offset: u64, len: u64, byte: u8) {
        if len > 0 {
            self.end = self.end.max(offset + len);
            self.place(offset, len, |page, _| page.fill(byte), |_, _| byte == 0);
        }
    }

    fn cut(&mut self, len: u64) {
        self.set_len(len);
        self.mark();
    }
}

impl Store for Memory {
    fn len(&self) -> u64 {
        self.end
    }

    fn read(&self, offset: u64, buf: &mut [u8]) {
        let end = offset.saturating_add(buf.len() as u64).min(self.end);
        self.copy(offset, end, buf, |stretch| &stretch.now);
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        let len = data.len() as u64;
        self.end = self.end.max(offset + len);
        let piece = |page: &mut [u8], from: usize| page.copy_from_slice(&data[from..from + page.len()]);
        self.place(offset, len, piece, |from, part| are_zeros(&data[from..from + part]));
    }

    fn zero(&mut self, offset: u64, len: u64, unmap: bool) {
        let end = offset.saturating_add(len);
        if !unmap {
            self.end = self.end.max(end);
        }
        self.clear(offset, end);
    }
}

impl Store for Then<'_> {
    fn len(&self) -> u64 {
        self.0.end_then
    }

    fn read(&self, offset: u64, buf: &mut [u8]) {
        let end = offset.saturating_add(buf.len() as u64).min(self.0.end_then);
        self.0.copy(offset, end, buf, |stretch| &stretch.then);
    }

    fn write(&mut self, offset: u64, _: &[u8]) {
        unreachable!("a write at {offset} to what is past");
    }

    fn zero(&mut self, offset: u64, _: u64, _: bool) {
        unreachable!("zeros at {offset} of what is past");
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
