//! What `check` finds that a number and two details tell. Where `qemu-img` finds it, too, the words are its own.

use instar_formats::numbered_errors;

numbered_errors! {
    /// One thing that is wrong with an image. Offsets are bytes in the file, unless said otherwise.
    pub enum Damage {
        /// The footer at the start says something else than the one at the end.
        1000 VhdFootersDiffer => "the footers at the start and at the end differ",
        /// The last 512 bytes of the file are none.
        1001 VhdNoTrailer => "there is no footer at the end of the file",
        /// The footer at the end is damaged.
        1002 VhdTrailerChecksum => "the checksum of the footer at the end is wrong",
        /// The footer at the start is damaged.
        1003 VhdHeadDamaged => "the footer at the start is damaged",
        /// The header is damaged, or somebody has forgotten to compute it.
        1004 VhdHeaderChecksum => "the checksum of the header is wrong",
        /// Some readers want exactly as many entries as blocks.
        1005 VhdEntries { entries, needed } => "the block allocation table has {entries} entries, the disk {needed} blocks",
        /// A block ends past the end of the file.
        1006 VhdPastEnd { block, sector } => "block {block} at sector {sector} ends past the end of the file",
        /// A block on top of footer, header or table.
        1007 VhdOverMetadata { block, sector } => "block {block} at sector {sector} lies over metadata",
        /// A block on top of a block.
        1008 VhdOverlap { sector } => "a block at sector {sector} lies over another one",
        /// Readers that go by bitmaps do not see all data.
        1009 VhdBitmap { block } => "the bitmap of block {block} hides data",
        /// A new block would contain this.
        1010 VhdLeftover { offset } => "data behind the last block, from offset {offset} on",
        /// Neither fixed, dynamic nor differencing.
        1012 VhdDiskType { kind } => "disk type {kind} is none that is known",
        /// A fixed disk that is not as long as its file, without the footer.
        1011 VhdFixedLength { size, room } => "the disk has {size} bytes, but its file room for {room}",
        /// The log holds what is not in its place yet.
        1200 VhdxLog => "log that was not replayed",
        /// The header says that there is something to be replayed, and there is nothing.
        1201 VhdxLogLost => "the log has no valid entry, but the header says that it must be replayed",
        /// A header is not valid.
        1202 VhdxHeader { number } => "header {number} is not valid",
        /// The region tables are not copies of each other.
        1203 VhdxRegionTables => "the region tables differ",
        /// The log or a region lies where it must not.
        1204 VhdxRegion { offset, len } => "the region of {len} bytes at {offset} is not whole MiB in the file",
        /// The disk ends within a sector.
        1205 VhdxDiskSize { bytes } => "the disk size {bytes} is no multiple of the sector size",
        /// Sectors of a size that is not defined.
        1206 VhdxPhysicalSector { bytes } => "physical sector size {bytes} is not defined",
        /// An entry has a state that it cannot have.
        1207 VhdxState { entry } => "BAT entry {entry} has an invalid state",
        /// An entry has bits that must be zero.
        1208 VhdxReserved { entry } => "BAT entry {entry} has reserved bits set",
        /// A block ends past the end of the file.
        1209 VhdxPastEnd { entry, offset } => "BAT entry {entry}: the block at {offset} ends past the end of the file",
        /// A block on top of the headers, the log or a region.
        1210 VhdxOverRegion { entry, offset } => "BAT entry {entry}: the block at {offset} overlaps with the header, the log or a region",
        /// A block on top of a block.
        1211 VhdxOverBlock { entry, offset } => "BAT entry {entry}: the block at {offset} overlaps with another one",
        /// Of a sparse extent.
        1300 VmdkNoTable { index } => "grain directory entry {index} names no table: a write to its area would destroy the image",
        /// As above.
        1301 VmdkNoRedundantTable { index } => "redundant grain directory entry {index} names no table: a write to its area would destroy the image",
        /// As above.
        1302 VmdkTable { index, sector } => "grain directory entry {index} names sector {sector}, where no table can be",
        /// As above.
        1303 VmdkRedundantTable { index, sector } => "redundant grain directory entry {index} names sector {sector}, where no table can be",
        /// As above.
        1304 VmdkGrain { grain, sector } => "grain {grain} cannot be at sector {sector}",
        /// As above.
        1305 VmdkShared { grain, sector } => "grain {grain} is at sector {sector}, where something else is too",
        /// As above.
        1306 VmdkDiffers { grain, sector } => "the redundant table has grain {grain} at sector {sector}, the table somewhere else",
        /// Of a descriptor.
        1307 VmdkDescriptorSize { said, has } => "the descriptor says {said} sectors, the extent has {has}",
        /// Of a sparse extent.
        1308 VmdkUnclean => "the extent was not closed properly",
        /// As above.
        1309 VmdkDirectory { sector } => "a grain directory cannot be at sector {sector}",
        /// As above.
        1310 VmdkOverlap { sector } => "two tables or directories are at sector {sector}",
        /// Snapshots beyond the most that there may be.
        1400 SnapshotsOverhanging { count } => "{count} overhanging snapshots",
        /// Snapshots whose entries lie behind the most that a table may have.
        1401 SnapshotsTooBig { count } => "{count} overhanging snapshots (snapshot table is too big)",
        /// Extra data of a snapshot that nobody reads to its end, in bytes.
        1402 SnapshotExtra { entry, len } => "too much extra metadata in snapshot table entry {entry} ({len} > 1024)",
        /// A snapshot lacks what version 3 demands.
        1403 SnapshotIncomplete { entry } => "snapshot table entry {entry} is incomplete",
        /// The L1 table of a snapshot lies where it cannot.
        1404 SnapshotL1Offset { entry, offset } => "snapshot table entry {entry} l1_offset={offset:#x}: L1 table is not cluster aligned; snapshot table entry corrupted",
        /// The L1 table of a snapshot has more entries than it can.
        1405 SnapshotL1Size { entry, entries } => "snapshot table entry {entry} l1_size={entries:#x}: L1 table is too large; snapshot table entry corrupted",
        /// Of a flat extent.
        1311 VmdkFlatShort { extent, bytes } => "extent {extent} needs {bytes} bytes, which its file does not have",
    }
}

impl Damage {
    /// Whether it costs space, or may, but no data.
    #[must_use]
    pub const fn is_leak(&self) -> bool {
        matches!(self, Self::VhdLeftover { .. })
    }

    /// Whether its repair takes something away.
    #[must_use]
    pub const fn is_discarded(&self) -> bool {
        matches!(
            self,
            Self::SnapshotsOverhanging { .. } | Self::SnapshotsTooBig { .. } | Self::SnapshotExtra { .. }
        )
    }
}
