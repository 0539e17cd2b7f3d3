//! Checking what is about to lose a reference, before anything is written: each entry makes sense, and
//! each cluster that it names has a refcount to lose.

use super::batch::Batch;
use super::leftover::{each_cluster, overlaps_fixed};
use super::refcounts::{Blocks, block_at, block_of, covered_by, table_of};
use super::table::TableWindow;
use crate::PlanError;
use instar_formats::ImageError;
use instar_formats::io::ReadAt;
use instar_formats::qcow2::bitmap::Bitmaps;
use instar_formats::qcow2::{Header, refcount};
use zerocopy::native_endian::U64;

/// Checks what would be released.
pub struct Check<'h, 's> {
    header: &'h Header,
    window: TableWindow<'s>,
    block: &'s mut [u8],
    batch: Batch<'s>,
    /// First byte and length of what no cluster that goes may lie on.
    kept: (u64, u64),
}

impl<'h, 's> Check<'h, 's> {
    /// A check that has seen nothing yet. The buffers are those of the scratch of these names.
    pub fn new(header: &'h Header, table: &'s mut [u8], block: &'s mut [u8], batch: &'s mut [u8]) -> Self {
        let window = TableWindow::new(table_of(header), table);
        Self { header, window, block, batch: Batch::new(batch), kept: (0, 0) }
    }

    /// The same, which finds fault with clusters that lie on the directory of the bitmaps: it is read again when they
    /// are gone.
    pub const fn keeping(self, directory: &Bitmaps) -> Self {
        Self { kept: (directory.start, directory.len), ..self }
    }

    /// The image's header.
    pub const fn header(&self) -> &'h Header {
        self.header
    }

    /// The refcount of a cluster as it stands.
    pub fn refcount<R: ReadAt>(&mut self, image: &mut R, cluster: u64) -> Result<u64, PlanError> {
        let g = self.header.geometry;
        let entry = block_of(g, cluster);
        let mut blocks = Blocks { header: self.header, window: &mut self.window, buf: self.block };
        let at = cluster.saturating_sub(covered_by(g, entry).first);
        Ok(blocks.load(image, entry)?.map_or(0, |(_, block)| refcount::get(block, g.refcount_order(), at)))
    }

    /// Checks the L2 entries in `table`, which starts at byte `offset` of the file.
    pub fn entries<R: ReadAt>(&mut self, image: &mut R, table: &[u8], offset: u64) -> Result<(), PlanError> {
        let (header, g) = (self.header, self.header.geometry);
        each_cluster(header, table, |at, entry| {
            let invalid = ImageError::L2Entry { entry: entry.value, offset: offset.saturating_add(at) };
            let (start, len) = entry.bytes.ok_or(invalid)?;
            if start >= image.len() || overlaps_fixed(header, start, len) {
                return Err(invalid.into());
            }
            entry.clusters(g).try_for_each(|cluster| self.cluster(image, cluster))
        })
    }

    /// Has a cluster checked with the next ones.
    pub fn cluster<R: ReadAt>(&mut self, image: &mut R, cluster: u64) -> Result<(), PlanError> {
        if self.batch.is_full() {
            self.flush(image)?;
        }
        let (offset, (start, len)) = (self.header.geometry.offset(cluster), self.kept);
        if offset < start.saturating_add(len)
            && start < offset.saturating_add(self.header.geometry.cluster_size())
        {
            return Err(ImageError::Overlap { offset: start }.into());
        }
        self.batch.push(cluster);
        Ok(())
    }

    /// Checks the clusters collected.
    pub fn flush<R: ReadAt>(&mut self, image: &mut R) -> Result<(), PlanError> {
        let header = self.header;
        let mut blocks = Blocks { header, window: &mut self.window, buf: self.block };
        self.batch.drain(header.geometry, |entry, clusters| {
            let block = blocks.load(image, entry)?.map(|(_, block)| block);
            check_group(header, block.unwrap_or_default(), clusters)
        })
    }
}

/// Checks that every entry of the refcount table names a block in the file: what cuts the file later reads an unknown
/// number of them.
pub fn refcount_table<R: ReadAt>(image: &mut R, header: &Header, buf: &mut [u8]) -> Result<(), PlanError> {
    let mut window = TableWindow::new(table_of(header), buf);
    let mut next = 0;
    while let Some((entry, value)) = window.next_used(image, next)? {
        block_at(value, entry, header, image.len())?;
        next = entry.saturating_add(1);
    }
    Ok(())
}

/// Each cluster must have at least as many references counted as are about to go.
fn check_group(header: &Header, block: &[u8], clusters: &[U64]) -> Result<(), PlanError> {
    let g = header.geometry;
    let low = g.refcounts_per_block().saturating_sub(1);
    for same in clusters.chunk_by(|a, b| a == b) {
        let cluster = same.first().map_or(0, |c| c.get());
        let refcount = refcount::get(block, g.refcount_order(), cluster & low);
        if refcount < same.len() as u64 {
            return Err(ImageError::RefcountTooSmall { cluster, refcount }.into());
        }
    }
    Ok(())
}
