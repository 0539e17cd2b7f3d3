//! Where two images differ: pages that they share are the same without a look.

use std::sync::Arc;

use super::{Image, PAGE, PAGE_LEN, Page, to_usize};

impl Image {
    /// The first page from byte `start` to `end` in which another image has something else there, if there is one; its offset.
    #[must_use]
    pub fn difference(&self, other: &Self, (start, end): (u64, u64)) -> Option<u64> {
        let zeros = [0; PAGE];
        let bytes = |image: &'_ Self, index| image.pages.get(&index).map(Arc::clone);
        let differs = |index: u64| {
            let (one, two) = (bytes(self, index), bytes(other, index));
            if let (Some(one), Some(two)) = (&one, &two)
                && Arc::ptr_eq(one, two)
            {
                return false;
            }
            let at = |byte: u64| to_usize(byte.saturating_sub(index * PAGE_LEN).min(PAGE_LEN));
            let part = at(start)..at(end);
            let of = |page: &Option<Arc<Page>>| page.as_ref().map_or(zeros, |page| page.bytes);
            of(&one)[part.clone()] != of(&two)[part]
        };
        let range = start / PAGE_LEN..end.div_ceil(PAGE_LEN).max(start / PAGE_LEN);
        let indices = [self, other].map(|image| image.pages.range(range.clone()).map(|(i, _)| *i));
        let found = indices.into_iter().flatten().filter(|index| differs(*index)).min();
        found.map(|index| index * PAGE_LEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_in_the_range_counts() {
        let mut one = Image::default();
        one.write(4096 * 3 + 100, &[7; 50]);
        let mut two = one.clone();
        assert_eq!(one.difference(&two, (0, 1 << 20)), None);
        two.write(4096 * 3 + 149, &[8]);
        two.write(4096 * 5, &[0; 100]);
        assert_eq!(one.difference(&two, (0, 1 << 20)), Some(4096 * 3));
        assert_eq!(two.difference(&one, (0, 4096 * 3 + 150)), Some(4096 * 3));
        assert_eq!(one.difference(&two, (0, 4096 * 3 + 149)), None);
        assert_eq!(one.difference(&two, (4096 * 3 + 150, 1 << 20)), None, "a page of zeros is none");
        assert_eq!(Image::default().difference(&two, (4096 * 3, 4096 * 3 + 150)), Some(4096 * 3));
    }
}
