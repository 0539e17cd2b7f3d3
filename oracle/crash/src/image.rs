//! An image in memory as pages that are not zero: thousands of variants of it share what they have in common.

mod difference;
mod extents;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::beside::Beside;
use extents::Extent;
use oracle_judge::sparse;
use xxhash_rust::xxh3::xxh3_128;

/// Bytes of a page.
const PAGE: usize = 4096;
/// The same as an offset in a file.
const PAGE_LEN: u64 = PAGE as u64;

/// One page, with what was found out about it.
#[derive(Debug, Clone)]
struct Page {
    bytes: [u8; PAGE],
    hash: OnceLock<u128>,
    uniform: OnceLock<Option<u8>>,
}

impl Page {
    const fn zeros() -> Self {
        Self { bytes: [0; PAGE], hash: OnceLock::new(), uniform: OnceLock::new() }
    }

    fn uniform(&self) -> Option<u8> {
        let first = self.bytes[0];
        *self.uniform.get_or_init(|| all_are(&self.bytes, first).then_some(first))
    }

    /// A hash of the bytes; of zeros it is 0, so that no page and a page of zeros are the same.
    fn hash(&self) -> u128 {
        *self.hash.get_or_init(|| if self.uniform() == Some(0) { 0 } else { xxh3_128(&self.bytes) })
    }
}

/// Whether every byte is `byte`, in steps that a processor takes at once.
fn all_are(bytes: &[u8], byte: u8) -> bool {
    bytes.chunks(64).all(|step| step.iter().fold(0, |wrong, b| wrong | (b ^ byte)) == 0)
}

/// Odd constants with well spread bits (the fractional parts of the golden ratio and of the square root of 2).
const SPREAD: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0x6a09_e667_f3bc_c909];

/// The share that a page with this hash has in its image's.
fn share(index: u64, hash: u128) -> u128 {
    let spread = u128::from(SPREAD[0]) << 64 | u128::from(SPREAD[1]);
    if hash == 0 { 0 } else { (hash ^ u128::from(index)).wrapping_mul(spread) ^ hash.rotate_left(41) }
}

/// A sparse image in memory, with the other files that its disk is in, if there are any. It remembers how it was at a mark,
/// and can go back there.
#[derive(Debug, Clone, Default)]
pub struct Image {
    pages: BTreeMap<u64, Arc<Page>>,
    len: u64,
    marked_len: u64,
    /// Pages that changed since the mark, as they were then.
    before: HashMap<u64, Option<Arc<Page>>>,
    /// The sum of the pages' shares at the mark.
    marked_sum: u128,
    beside: Arc<Beside>,
    extents: Vec<Extent>,
}

impl Image {
    /// Reads a file; its holes cost nothing.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn load(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let mut image = Self { len: file.metadata()?.len(), ..Self::default() };
        let mut buf = vec![0; 64 << 10];
        for range in sparse::segments(&file)? {
            for piece in range.pieces(64 << 10) {
                let part = &mut buf[..to_usize(piece.len())];
                file.read_exact_at(part, piece.start)?;
                image.put(piece.start, part);
            }
        }
        image.mark();
        Ok(image)
    }

    /// Writes the image to a new sparse file, and its other files beside that.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn store(&self, path: &Path) -> io::Result<()> {
        self.store_extents(path)?;
        self.store_to(&File::create(path)?)
    }

    /// Writes the image to an empty file, without its other files.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn store_to(&self, file: &File) -> io::Result<()> {
        file.set_len(self.len)?;
        for (index, page) in &self.pages {
            let start = index * PAGE_LEN;
            let part = to_usize(self.len.saturating_sub(start).min(PAGE_LEN));
            file.write_all_at(&page.bytes[..part], start)?;
        }
        Ok(())
    }

    /// The files that belong to it.
    #[must_use]
    pub fn beside(&self) -> Arc<Beside> {
        Arc::clone(&self.beside)
    }

    /// The same with files that belong to it.
    #[must_use]
    pub fn with_beside(self, beside: Beside) -> Self {
        Self { beside: Arc::new(beside), ..self }
    }

    /// Length in bytes.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that are in memory: the pages that are not holes.
    #[must_use]
    pub fn allocated(&self) -> u64 {
        let extents: u64 = self.extents.iter().map(Extent::allocated).sum();
        self.pages.len() as u64 * PAGE_LEN + extents
    }

    /// From here on, [`Self::rewind`] comes back to what the image is now.
    pub fn mark(&mut self) {
        self.before.clear();
        self.marked_len = self.len;
        let shares = self.pages.iter().map(|(index, page)| share(*index, page.hash()));
        self.marked_sum = shares.fold(0, u128::wrapping_add);
        self.extents.iter_mut().for_each(Extent::mark);
    }

    /// Undoes everything since the mark.
    pub fn rewind(&mut self) {
        self.len = self.marked_len;
        for (index, page) in self.before.drain() {
            match page {
                Some(page) => self.pages.insert(index, page),
                None => self.pages.remove(&index),
            };
        }
        self.extents.iter_mut().for_each(Extent::rewind);
    }

    /// A hash of the length and all bytes, whichever way the image came to have them.
    #[must_use]
    pub fn hash(&self) -> u128 {
        let mut sum = self.marked_sum;
        for (index, before) in &self.before {
            let hash = |page: Option<&Arc<Page>>| page.map_or(0, |p| share(*index, p.hash()));
            sum = sum.wrapping_sub(hash(before.as_ref())).wrapping_add(hash(self.pages.get(index)));
        }
        let extents = self.extents.iter().map(Extent::hash).fold(0, u128::wrapping_add);
        share(self.len, sum | 1 << 127).wrapping_add(sum).wrapping_add(extents)
    }

    /// Fills `buf` from `offset`, with zeros for holes and for what is past the end.
    pub fn read(&self, offset: u64, buf: &mut [u8]) {
        let end = offset.saturating_add(buf.len() as u64).min(self.len);
        let mut done = 0;
        for (index, page) in self.pages_in(offset, end) {
            let start = index * PAGE_LEN;
            let (from, to) = (offset.max(start), end.min(start + PAGE_LEN));
            let part = &page.bytes[to_usize(from - start)..to_usize(to - start)];
            buf[done..to_usize(from - offset)].fill(0);
            done = to_usize(to - offset);
            buf[to_usize(from - offset)..done].copy_from_slice(part);
        }
        buf[done..].fill(0);
    }

    /// Calls `each` with the number and the value of every 64-bit big-endian word from `offset`, a multiple of 8, that
    /// is not zero.
    pub fn words(&self, offset: u64, len: u64, mut each: impl FnMut(u64, u64)) {
        let end = offset.saturating_add(len).min(self.len);
        for (index, page) in self.pages_in(offset, end) {
            let start = index * PAGE_LEN;
            let (from, to) = (offset.max(start), end.min(start + PAGE_LEN));
            let part = &page.bytes[to_usize(from - start)..to_usize(to - start)];
            for (i, word) in ((from - offset) / 8..).zip(part.chunks_exact(8)) {
                let word: [u8; 8] = word.try_into().unwrap_or_default();
                if word != [0; 8] {
                    each(i, u64::from_be_bytes(word));
                }
            }
        }
    }

    /// Whether every byte of a range is `byte`.
    #[must_use]
    pub fn is_filled(&self, offset: u64, len: u64, byte: u8) -> bool {
        let end = offset.saturating_add(len);
        let mut covered = offset;
        for (index, page) in self.pages_in(offset, end.min(self.len)) {
            let start = index * PAGE_LEN;
            if byte != 0 && start > covered {
                return false;
            }
            let (from, to) = (offset.max(start), end.min(self.len).min(start + PAGE_LEN));
            let part = &page.bytes[to_usize(from - start)..to_usize(to - start)];
            let filled = match part.len() {
                PAGE => page.uniform() == Some(byte),
                _ => all_are(part, byte),
            };
            if !filled {
                return false;
            }
            covered = to;
        }
        byte == 0 || covered >= end
    }

    /// Writes; past the end, the image grows.
    pub fn write(&mut self, offset: u64, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        self.len = self.len.max(offset + data.len() as u64);
        self.put(offset, data);
    }

    /// Makes a range zero; the image grows to hold it unless the space is given back.
    pub fn zero(&mut self, offset: u64, len: u64, unmap: bool) {
        let end = offset.saturating_add(len);
        if !unmap {
            self.len = self.len.max(end);
        }
        self.clear(offset, end);
    }

    /// Cuts the image, or extends it with zeros.
    pub fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.clear(len, self.len);
        }
        self.len = len;
    }

    fn clear(&mut self, from: u64, to: u64) {
        let touched: Vec<u64> = self.pages_in(from, to).map(|(index, _)| index).collect();
        for index in touched {
            let start = index * PAGE_LEN;
            if from <= start && start + PAGE_LEN <= to {
                let old = self.pages.remove(&index);
                self.before.entry(index).or_insert(old);
            } else {
                let (first, last) = (from.max(start) - start, to.min(start + PAGE_LEN) - start);
                self.page(index)[to_usize(first)..to_usize(last)].fill(0);
            }
        }
    }

    fn put(&mut self, offset: u64, data: &[u8]) {
        let (mut at, mut rest) = (offset, data);
        while !rest.is_empty() {
            let (index, within) = (at / PAGE_LEN, to_usize(at % PAGE_LEN));
            let (now, later) = rest.split_at(rest.len().min(PAGE - within));
            let hole = !self.pages.contains_key(&index);
            if !hole || now.iter().any(|b| *b != 0) {
                self.page(index)[within..within + now.len()].copy_from_slice(now);
            }
            at += now.len() as u64;
            rest = later;
        }
    }

    /// The bytes of a page, to be changed.
    fn page(&mut self, index: u64) -> &mut [u8; PAGE] {
        let page = self.pages.get(&index);
        self.before.entry(index).or_insert_with(|| page.cloned());
        let page = self.pages.entry(index).or_insert_with(|| Arc::new(Page::zeros()));
        let page = Arc::make_mut(page);
        (page.hash, page.uniform) = (OnceLock::new(), OnceLock::new());
        &mut page.bytes
    }

    fn pages_in(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, &Page)> {
        let last = to.div_ceil(PAGE_LEN).max(from / PAGE_LEN);
        let range = if from < to { from / PAGE_LEN..last } else { 0..0 };
        self.pages.range(range).map(|(index, page)| (*index, page.as_ref()))
    }
}

/// A length of something that is in memory.
pub(crate) fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use oracle_case::seed::SplitMix64;

    fn bytes(image: &Image) -> Vec<u8> {
        let mut buf = vec![9; to_usize(image.len())];
        image.read(0, &mut buf);
        buf
    }

    /// One random change, made to an image and to plain bytes.
    fn change(rng: &mut SplitMix64, image: &mut Image, plain: &mut Vec<u8>) {
        let (offset, len) = (rng.below(20_000), rng.below(9_000));
        let end = to_usize(offset + len);
        let grow = |plain: &mut Vec<u8>| plain.resize(plain.len().max(end), 0);
        match rng.below(4) {
            0 => {
                let data = vec![u8::try_from(rng.below(3)).expect("small"); to_usize(len)];
                grow(plain);
                plain[to_usize(offset)..end].copy_from_slice(&data);
                image.write(offset, &data);
            }
            1 => {
                grow(plain);
                plain[to_usize(offset)..end].fill(0);
                image.zero(offset, len, false);
            }
            2 => {
                let (from, to) = (to_usize(offset).min(plain.len()), end.min(plain.len()));
                plain[from..to].fill(0);
                image.zero(offset, len, true);
            }
            _ => {
                plain.resize(to_usize(offset), 0);
                image.set_len(offset);
            }
        }
    }

    #[test]
    fn agrees_with_plain_bytes_and_comes_back() {
        let mut rng = SplitMix64::new(7);
        let (mut image, mut plain) = (Image::default(), Vec::new());
        for round in 0..300 {
            (0..3).for_each(|_| change(&mut rng, &mut image, &mut plain));
            assert_eq!(bytes(&image), plain, "round {round}");
            let (mut other, hash) = (image.clone(), image.hash());
            other.mark();
            assert_eq!(other.hash(), hash, "a mark changes nothing");
            let mut scrap = plain.clone();
            (0..5).for_each(|_| change(&mut rng, &mut other, &mut scrap));
            assert_eq!(bytes(&other), scrap, "round {round}");
            assert_eq!(other.hash() == hash, scrap == plain, "round {round}");
            other.rewind();
            assert_eq!((bytes(&other), other.hash()), (plain.clone(), hash), "round {round}");
        }
    }

    #[test]
    fn a_file_comes_back_as_it_was() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut image = Image::default();
        image.write(70_001, b"data");
        image.set_len(1 << 40);
        image.store(&dir.path().join("image")).expect("stored");
        let again = Image::load(&dir.path().join("image")).expect("loaded");
        assert_eq!((again.len(), again.hash()), (1 << 40, image.hash()));
        assert!(again.allocated() <= 64 << 10);
    }

    #[test]
    fn filled_ranges_and_words_are_found() {
        let mut image = Image::default();
        image.write(4096, &[5; 8192]);
        assert!(image.is_filled(4096, 8192, 5) && image.is_filled(5000, 100, 5));
        assert!(!image.is_filled(4095, 8192, 5) && !image.is_filled(4096, 8193, 5));
        assert!(image.is_filled(0, 4096, 0) && image.is_filled(1 << 30, 512, 0));
        let mut found = Vec::new();
        image.write(1 << 20, &7_u64.to_be_bytes());
        image.words((1 << 20) - 16, 64, |i, word| found.push((i, word)));
        assert_eq!(found, [(2, 7)]);
    }
}
