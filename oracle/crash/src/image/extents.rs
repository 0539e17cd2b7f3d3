//! The files that a disk is in besides the image's own: a VMDK descriptor's extents.

use std::io;
use std::path::Path;

use oracle_case::parts::DATA_FILE;
use xxhash_rust::xxh3::xxh3_128;

use super::Image;
use crate::blocks::extent_names;

/// One of them.
#[derive(Debug, Clone)]
pub(super) struct Extent {
    name: String,
    there: bool,
    image: Image,
    /// Whether it was there at the mark.
    was_there: bool,
}

impl Extent {
    pub(super) fn allocated(&self) -> u64 {
        self.image.allocated()
    }

    pub(super) fn mark(&mut self) {
        self.was_there = self.there;
        self.image.mark();
    }

    pub(super) fn rewind(&mut self) {
        self.there = self.was_there;
        self.image.rewind();
    }

    /// Of a file that is not there, nothing.
    pub(super) fn hash(&self) -> u128 {
        let name = xxh3_128(self.name.as_bytes());
        if self.there {
            super::share(1, name).wrapping_add(self.image.hash().rotate_left(1) ^ name)
        } else {
            0
        }
    }
}

/// Files are numbered: 0 is the image's own, the others follow in the order in which they came.
impl Image {
    /// As [`Image::load`], with the files that the image says its disk is in.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn load_disk(path: &Path) -> io::Result<Self> {
        let mut image = Self::load(path)?;
        for name in extent_names(&image) {
            let file = Self::load(&path.with_file_name(&name))?;
            image.extents.push(Extent { name, there: true, image: file, was_there: true });
        }
        image.mark();
        Ok(image)
    }

    pub(super) fn store_extents(&self, path: &Path) -> io::Result<()> {
        let mut there = self.extents.iter().filter(|extent| extent.there);
        there.try_for_each(|extent| extent.image.store(&path.with_file_name(&extent.name)))
    }

    /// Whether the disk is in other files that the image has made itself.
    #[must_use]
    pub fn has_extents(&self) -> bool {
        !self.extents.is_empty() && self.data_file().is_none()
    }

    /// Adds the file at `path` to those of the image.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn add_file(&mut self, path: &Path) -> io::Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.extents.push(Extent { name, there: true, image: Self::load(path)?, was_there: true });
        self.mark();
        Ok(())
    }

    /// The external data file.
    #[must_use]
    pub fn data_file(&self) -> Option<&Self> {
        self.file(self.file_named(DATA_FILE)?)
    }

    /// The number of the file of this name, if it is there.
    #[must_use]
    pub fn file_named(&self, name: &str) -> Option<usize> {
        self.extents.iter().position(|extent| extent.there && extent.name == name).map(|at| at + 1)
    }

    /// The file of this number.
    #[must_use]
    pub fn file(&self, number: usize) -> Option<&Self> {
        match number.checked_sub(1) {
            None => Some(self),
            Some(at) => self.extents.get(at).filter(|extent| extent.there).map(|extent| &extent.image),
        }
    }

    /// The same, to be changed. What is done to a file that is not there is nobody's to see.
    pub fn file_mut(&mut self, number: usize) -> Option<&mut Self> {
        match number.checked_sub(1) {
            None => Some(self),
            Some(at) => self.extents.get_mut(at).map(|extent| &mut extent.image),
        }
    }

    /// Makes an empty file, or makes the one of this name empty, and returns its number.
    pub fn make(&mut self, name: &str) -> usize {
        let at = self.extents.iter().position(|extent| extent.name == name).unwrap_or_else(|| {
            let name = name.to_owned();
            self.extents.push(Extent { name, there: false, image: Self::default(), was_there: false });
            self.extents.len() - 1
        });
        if let Some(extent) = self.extents.get_mut(at) {
            extent.image.set_len(0);
            extent.there = true;
        }
        at + 1
    }

    /// Removes the file of this number, which is not the image's own.
    pub fn remove(&mut self, number: usize) {
        if let Some(extent) = number.checked_sub(1).and_then(|at| self.extents.get_mut(at)) {
            extent.there = false;
        }
    }

    /// Removes every file that `names` does not have.
    pub fn keep_only(&mut self, names: &[String]) {
        self.extents.iter_mut().filter(|extent| !names.contains(&extent.name)).for_each(|b| b.there = false);
    }

    /// Makes every file as long as the longer one of the two images is, with zeros.
    pub fn level(&mut self, other: &mut Self) {
        for number in 0..=self.extents.len() {
            if let (Some(one), Some(two)) = (self.file_mut(number), other.file_mut(number)) {
                let len = one.len.max(two.len);
                one.set_len(len);
                two.set_len(len);
            }
        }
    }

    /// The name of the file of this number, which is not the image's own.
    #[must_use]
    pub fn name(&self, number: usize) -> Option<&str> {
        Some(self.extents.get(number.checked_sub(1)?)?.name.as_str())
    }

    /// Takes over length and bytes of a file, and keeps its other files.
    pub fn take_over(&mut self, file: Self) {
        let Self { pages, len, marked_len, before, marked_sum, .. } = file;
        (self.pages, self.len, self.marked_len) = (pages, len, marked_len);
        (self.before, self.marked_sum) = (before, marked_sum);
    }

    /// Puts other bytes in place of all of the image's own file.
    pub fn replace(&mut self, data: &[u8]) {
        self.set_len(0);
        self.write(0, data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_and_go_and_come_back() {
        let mut image = Image::default();
        image.replace(b"a text");
        let one = image.make("one");
        image.file_mut(one).expect("there").write(0, b"1");
        image.mark();
        let hash = image.hash();
        let two = image.make("two");
        assert_ne!(image.hash(), hash, "an empty file is a file");
        image.remove(one);
        image.replace(b"text");
        image.file_mut(two).expect("there").write(5, b"2");
        assert_eq!((image.file_named("one"), image.file_named("two")), (None, Some(2)));
        image.rewind();
        assert_eq!((image.hash(), image.file_named("two")), (hash, None));
        assert_eq!(image.make("two"), two, "it keeps its number");
        let mut byte = [9];
        image.file(two).expect("there").read(5, &mut byte);
        assert_eq!(byte, [0]);
    }
}
