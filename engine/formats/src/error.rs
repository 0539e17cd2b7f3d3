//! Why an image cannot be made sense of.

/// Builds an error enum whose variants carry at most two numbers and a code for the wire, so that
/// the same error reaches the user whether it arose in the guest or in process.
///
/// Each line reads `code Name { first, second } => "display text"`.
#[macro_export]
macro_rules! numbered_errors {
    ($(#[$outer:meta])* $vis:vis enum $Enum:ident {
        $($(#[$doc:meta])* $code:literal $name:ident $({ $a:ident $(, $b:ident)? })? => $text:literal),* $(,)?
    }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
        $vis enum $Enum {
            $(
                $(#[$doc])*
                #[error($text)]
                $name $({
                    #[doc = concat!("`", stringify!($a), "` of the text.")]
                    $a: u64,
                    $(
                    #[doc = concat!("`", stringify!($b), "` of the text.")]
                    $b: u64,
                    )?
                })?,
            )*
        }

        impl $Enum {
            /// The number of this error on the wire (never reused) and its details.
            #[must_use]
            pub const fn to_wire(&self) -> (u32, [u64; 2]) {
                match *self {
                    $(Self::$name $({ $a $(, $b)? })? => ($code, $crate::numbered_errors!(@args $($a $(, $b)?)?)),)*
                }
            }

            /// The inverse of `to_wire`; `None` for a number that means nothing here.
            #[must_use]
            pub const fn from_wire(code: u32, details: [u64; 2]) -> Option<Self> {
                #[allow(unused_variables)]
                let [a, b] = details;
                match code {
                    $($code => Some($crate::numbered_errors!(@make $name a b $($a $(, $b)?)?)),)*
                    _ => None,
                }
            }
        }
    };
    (@args) => { [0; 2] };
    (@args $a:ident) => { [$a, 0] };
    (@args $a:ident, $b:ident) => { [$a, $b] };
    (@make $name:ident $x:ident $y:ident) => { Self::$name };
    (@make $name:ident $x:ident $y:ident $a:ident) => { Self::$name { $a: $x } };
    (@make $name:ident $x:ident $y:ident $a:ident, $b:ident) => { Self::$name { $a: $x, $b: $y } };
}

numbered_errors! {
    /// Why an image cannot be made sense of, in `qemu-img`'s words where it has some. Offsets are
    /// bytes in the file.
    pub enum ImageError {
        /// No qcow2 magic.
        100 NotQcow2 => "Image is not in qcow2 format",
        /// A version other than 2 and 3.
        101 Version { version } => "Unsupported qcow2 version {version}",
        /// Cluster size outside 512 B to 2 MiB.
        102 ClusterSize { bits } => "Unsupported cluster size: 2^{bits}",
        /// The file or the header's own length field ends before the header does.
        103 HeaderTooShort => "qcow2 header too short",
        /// The header claims to be longer than a cluster.
        104 HeaderTooLong => "qcow2 header exceeds cluster size",
        /// Incompatible feature bits that nobody here knows.
        105 IncompatibleFeature { bits } => "Unsupported qcow2 feature(s): Unknown incompatible feature: {bits:x}",
        /// The corrupt bit is set.
        106 Corrupt => "qcow2: Image is corrupt; cannot be opened read/write",
        /// Compression type zlib, but the feature bit is set.
        107 CompressionBitSet => "qcow2: Compression type incompatible feature bit must not be set",
        /// Compression type other than zlib, but the feature bit is not set.
        108 CompressionBitClear => "qcow2: Compression type incompatible feature bit must be set",
        /// A compression type that nobody here knows.
        109 CompressionType { kind } => "qcow2: unknown compression type: {kind}",
        /// Extended L2 entries need subclusters of at least 512 bytes.
        110 SubclusterSize { bytes } => "Unsupported subcluster size: {bytes}",
        /// Refcounts wider than 64 bits.
        111 RefcountWidth => "Reference count entry width too large; may not exceed 64 bits",
        /// An encryption method that nobody here knows.
        112 Encryption { method } => "Unsupported encryption method {method}",
        /// No refcount table at all.
        113 NoRefcountTable => "Image does not contain a reference count table",
        /// More than 8 MiB of refcount table.
        114 RefcountTableTooLarge => "Reference count table too large",
        /// The refcount table lies where it cannot.
        115 RefcountTableOffset { offset } => "Reference count table offset invalid ({offset:#x})",
        /// More than 32 MiB of L1 table.
        116 L1TooLarge => "Active L1 table too large",
        /// The L1 table lies where it cannot.
        117 L1Offset { offset } => "Active L1 table offset invalid ({offset:#x})",
        /// The L1 table does not cover the disk.
        118 L1TooSmall => "L1 table is too small",
        /// The virtual size needs more L1 than there can be.
        119 TooBig => "Image is too big",
        /// A backing file name outside the header cluster.
        120 BackingOffset => "Invalid backing file offset",
        /// A backing file name longer than 1023 bytes or than the cluster.
        121 BackingTooLong => "Backing file name too long",
        /// More than 65536 snapshots, by so many.
        122 SnapshotsTooMany { overhanging } => "Snapshot table too large",
        /// The snapshot table lies where it cannot.
        123 SnapshotOffset => "Snapshot table offset invalid",
        /// A header extension that runs out of its cluster.
        124 ExtensionTooLarge => "Header extension too large",
        /// A table starts past the end of the file.
        125 TablePastEnd { offset } => "Image is corrupt: the table at offset {offset:#x} is past the end of the file",
        /// An entry of the refcount table cannot be right.
        126 RefcountTableEntry { entry, index } => "Image is corrupt: refcount table entry {index} ({entry:#x}) is invalid",
        /// An entry of the L1 table cannot be right.
        127 L1Entry { entry, index } => "Image is corrupt: L1 table entry {index} ({entry:#x}) is invalid",
        /// An entry of an L2 table cannot be right.
        128 L2Entry { entry, offset } => "Image is corrupt: the L2 entry at offset {offset:#x} ({entry:#x}) is invalid",
        /// A cluster in use whose refcount says that it is free.
        129 RefcountTooSmall { cluster, refcount } => "Image is corrupt: cluster {cluster} is in use but its refcount is {refcount}",
        /// Metadata lies on top of metadata.
        130 Overlap { offset } => "Image is corrupt: metadata overlaps at offset {offset:#x}",
        /// An encrypted image without its key header.
        131 NoCryptoHeader => "Missing CRYPTO header for crypt method 2",
        /// A bitmap directory that cannot be right.
        132 BitmapDirectory { offset } => "Image is corrupt: the bitmap directory at offset {offset:#x} is invalid",
        /// An entry of the snapshot table whose extra data nobody reads to its end.
        134 SnapshotExtra { entry } => "Too much extra metadata in snapshot table entry {entry}\nYou can force-remove this extra metadata with qemu-img check -r all",
        /// More than 64 MiB of snapshot table: so many entries lie behind that.
        135 SnapshotTableTooBig { overhanging } => "Snapshot table is too big\nYou can force-remove all {overhanging} overhanging snapshots with qemu-img check -r all",
        /// No QED magic.
        150 NotQed => "Image not in QED format",
        /// QED features that nobody here knows.
        151 QedFeatures { bits } => "Unsupported QED features: {bits:x}",
        /// No power of two from 4 KiB to 64 MiB.
        152 QedClusterSize => "QED cluster size is invalid",
        /// No power of two of clusters up to 16.
        153 QedTableSize => "QED table size is invalid",
        /// No whole number of sectors, or more than the tables map.
        154 QedImageSize => "QED image size is invalid",
        /// The L1 table lies where it cannot.
        155 QedTableOffset => "QED table offset is invalid",
        /// The name of the backing file reaches beyond the header.
        156 QedBackingOffset => "QED backing filename offset is invalid",
        /// No LUKS magic.
        170 NotLuks => "Volume is not in LUKS format",
        /// A LUKS version other than 1.
        171 LuksVersion { version } => "LUKS version {version} is not supported",
        /// A name that does not end.
        172 LuksCipherName => "LUKS header cipher name is not NUL terminated",
        /// As above.
        173 LuksModeName => "LUKS header cipher mode is not NUL terminated",
        /// As above.
        174 LuksHashName => "LUKS header hash spec is not NUL terminated",
        /// The disk would begin within the header.
        175 LuksPayload => "LUKS payload is overlapping with the header",
        /// No rounds for the digest of the master key.
        176 LuksRounds => "LUKS key iteration count is zero",
        /// A key that is split in another number of pieces than 4000.
        177 LuksStripes { slot, stripes } => "Keyslot {slot} is corrupted (stripes {stripes} != 4000)",
        /// Key material within the header.
        178 LuksSlotOverHeader { slot } => "Keyslot {slot} is overlapping with the LUKS header",
        /// A slot neither free nor in use.
        179 LuksSlotState { slot } => "Keyslot {slot} state (active/disable) is corrupted",
        /// No rounds for a passphrase.
        180 LuksSlotRounds { slot } => "Keyslot {slot} iteration count is zero",
        /// Key material within the disk.
        181 LuksSlotOverPayload { slot } => "Keyslot {slot} is overlapping with the encrypted payload",
        /// Key material on top of key material.
        182 LuksSlotsOverlap { first, second } => "Keyslots {first} and {second} are overlapping in the header",
        /// An algorithm that nobody here knows; up to 16 bytes of its name, big-endian.
        183 LuksAlgorithm { name, more } => "Algorithm not supported ({name:x} {more:x})",
        /// A cipher mode of another form than MODE-GENERATOR.
        184 LuksMode => "Unexpected cipher mode string format",
        /// A key that the cipher does not take.
        185 LuksKeyLen { bytes } => "Algorithm with key size {bytes} bytes not supported",
        /// XTS halves its key.
        186 LuksOddKey => "XTS cipher key length should be a multiple of 2",
        /// XTS is for blocks of 16 bytes.
        187 LuksXts => "Unsupported cipher mode xts",
        /// A file that ends before its disk begins.
        188 LuksTooShort => "Could not refresh total sector count: Input/output error",
        /// ESSIV encrypts with a key as long as its hash.
        189 LuksEssiv { bytes } => "No cipher with key size {bytes} available",
        /// A passphrase is needed, and none was named.
        190 KeySecret => "Parameter 'key-secret' is required for cipher",
        /// As above, within qcow2.
        191 EncryptKeySecret => "Parameter 'encrypt.key-secret' is required for cipher",
        /// The passphrase opens no slot.
        192 Password => "Invalid password, cannot unlock any keyslot",
        /// Another encryption than the one that was named.
        193 ReportsLuks => "Header reported 'luks' encryption format but options specify another",
        /// As above.
        194 ReportsAes => "Header reported 'aes' encryption format but options specify another",
        /// No encryption where one was named.
        195 NotEncrypted => "No encryption in image header, but options specified a format",
        /// The data file is to be the disk itself, and there is none.
        196 RawWithoutDataFile => "data-file-raw requires a data file",
        /// The name of the backing file's format is longer than any.
        197 BackingFormatTooLong { len } => "ERROR: ext_backing_format: len={len} too large (>=16)",
        /// No VHDX signature.
        520 NotVhdx => "Image is not in VHDX format",
        /// Neither header of a VHDX image is valid, or they contradict each other.
        521 VhdxHeaders => "No valid VHDX header found",
        /// The log lies where none can, or is of a version that nobody here knows.
        522 VhdxLogPlace => "VHDX log is invalid",
        /// A log that takes too long to be searched.
        523 VhdxLogTooLarge => "VHDX log is too large to be replayed here",
        /// The log needs to be replayed, and nobody may write.
        524 VhdxLogDirty => "VHDX image opened read-only, but contains a log that needs to be replayed",
        /// The file ends before what its log says was there.
        525 VhdxLogCut { bytes } => "VHDX image has been truncated: its log was written when it had {bytes} bytes",
        /// The header says that there is something to be replayed, and no entry of the log is valid.
        526 VhdxLogLost => "VHDX log has no valid entry, but the header says that it must be replayed",
        /// The region table makes no sense.
        527 VhdxRegionTable => "VHDX region table is invalid",
        /// More regions than anybody has seen.
        528 VhdxRegionsMany => "VHDX image has too many regions",
        /// A region that must be known, and is not.
        529 VhdxRegionUnknown => "VHDX image has a required region that is not supported",
        /// BAT or metadata are not named, or twice.
        530 VhdxRegionMissing => "VHDX region table must name one BAT and one metadata region",
        /// A region lies where it cannot.
        531 VhdxRegion { offset } => "VHDX region at {offset} is invalid",
        /// Two regions share bytes of the file.
        532 VhdxRegionsOverlap { first, second } => "VHDX regions at {first} and {second} overlap",
        /// The metadata table makes no sense.
        533 VhdxMetadataTable => "VHDX metadata table is invalid",
        /// An item that must be known, and is not.
        534 VhdxItemUnknown => "VHDX image has a required metadata item that is not supported",
        /// An item, by its place in the specification, is missing.
        535 VhdxItemMissing { item } => "VHDX metadata item {item} is missing",
        /// The same: it lies where it cannot, is as long as it cannot be, or is there twice.
        536 VhdxItem { item } => "VHDX metadata item {item} is invalid",
        /// No power of two from 1 MiB to 256 MiB.
        537 VhdxBlockSize { bytes } => "VHDX block size {bytes} is invalid",
        /// Neither 512 nor 4096.
        538 VhdxSectorSize { bytes } => "VHDX logical sector size {bytes} is not supported",
        /// Nothing, or more than 64 TiB.
        539 VhdxDiskSize { bytes } => "VHDX disk size {bytes} is invalid",
        /// The BAT has fewer entries than the disk has blocks.
        540 VhdxBatTooShort => "VHDX block allocation table is too short for the disk",
        /// A differencing image.
        541 VhdxParent => "VHDX image has a parent, and differencing images are not supported",
        /// Sequence numbers have an end.
        542 VhdxSequence => "VHDX header cannot be updated: its sequence number is too large",
        /// Neither a sparse extent nor a descriptor.
        600 NotVmdk => "invalid VMDK image descriptor",
        /// A version of sparse extents that nobody here knows.
        601 VmdkVersion { version } => "Unsupported VMDK version {version}",
        /// More than 512 entries in a grain table.
        602 VmdkTableSize => "L2 table size too big",
        /// A grain table that maps nothing.
        603 VmdkDirectoryEntry => "L1 entry size is invalid",
        /// The file ends before its grains may begin.
        604 VmdkTruncated { bytes } => "File truncated, expecting at least {bytes} bytes",
        /// A grain of more than 1 GiB.
        605 VmdkGrain => "Invalid granularity, image may be corrupt",
        /// More than 32 Mi grain tables.
        606 VmdkDirectorySize => "L1 size too big",
        /// No `CID`, or one that is no number.
        607 VmdkCid => "Invalid argument",
        /// A kind of image that nobody here reads.
        608 VmdkType => "Unsupported image type",
        /// A line of the extent description that cannot be right.
        609 VmdkExtentLine => "Invalid extent line",
        /// An extent that must not be written, that has no file, or of ESX's own kind.
        610 VmdkExtentKind => "an extent is read-only, without a file, or of a kind that is not supported",
        /// No extent at all.
        611 VmdkNoExtents => "the descriptor names no extents",
        /// The footer is not there, or says what it must not.
        612 VmdkFooter => "Invalid footer",
        /// A directory lies where it cannot.
        613 VmdkDirectoryOffset { sector } => "Image is corrupt: the grain directory at sector {sector} is not in the file",
        /// A directory entry cannot be right.
        614 VmdkDirectoryTable { index, sector } => "Image is corrupt: grain directory entry {index} ({sector}) is invalid",
        /// A table entry cannot be right.
        615 VmdkGrainEntry { grain, sector } => "Image is corrupt: grain {grain} cannot be at sector {sector}",
        /// Two grains in one place, or a grain on top of metadata.
        616 VmdkOverlap { sector } => "Image is corrupt: two things are at sector {sector}",
        /// A sparse extent that is one of several cannot have grains compressed.
        617 VmdkSplitStream => "a compressed extent of a split image is not supported",
        /// Not what the descriptor names.
        618 VmdkNotSparse => "Image not in VMDK format",
        /// The sizes of all extents come to more than a disk may have.
        619 VmdkTooLarge => "Could not refresh total sector count: File too large",
        /// No footer where one could be.
        400 VhdNone => "invalid VPC image",
        /// The footer's checksum is wrong.
        401 VhdChecksum => "Incorrect header checksum",
        /// More than 2040 GiB.
        402 VhdTooLarge => "File too large",
        /// The header lies where it cannot.
        403 VhdNoHeader => "Error reading dynamic VHD header",
        /// No header where one should be.
        404 VhdHeaderMagic => "Invalid header magic",
        /// No power of two from 512 bytes on.
        405 VhdBlockSize { bytes } => "Invalid block size {bytes}",
        /// More entries than QEMU counts.
        406 VhdEntries { count } => "Max Table Entries too large ({count})",
        /// Fewer entries than the disk has blocks.
        407 VhdTableTooSmall => "Page table too small",
        /// The block allocation table lies where it cannot.
        408 VhdTable => "Error reading pagetable",
        /// The table or a block reaches beyond the end of the file.
        409 VhdPastEnd => "block-vpc: free_data_block_offset points after the end of file. The image has been truncated.",
        /// A block lies on top of metadata.
        410 VhdBlockOverMetadata { block, sector } => "Image is corrupt: block {block} lies over metadata, at sector {sector}",
        /// A block lies on top of another one.
        411 VhdBlocksOverlap { sector } => "Image is corrupt: two blocks lie over each other, at sector {sector}",
    }
}
