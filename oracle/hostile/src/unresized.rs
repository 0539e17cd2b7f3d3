//! The fields of VHD, VHDX and VMDK images.

use crate::code::{Code, ENTRY_LEN};
use crate::field::Field;
use crate::{log, other};

/// Fields of a VHD's footer: name, first byte, bytes.
const FOOTER: &[(&str, usize, usize)] = &[
    ("vhd-features", 8, 4),
    ("vhd-version", 12, 4),
    ("vhd-data-offset", 16, 8),
    ("vhd-creator", 28, 4),
    ("vhd-original-size", 40, 8),
    ("vhd-current-size", 48, 8),
    ("vhd-cylinders", 56, 2),
    ("vhd-heads", 58, 1),
    ("vhd-sectors", 59, 1),
    ("vhd-type", 60, 4),
    ("vhd-saved-state", 84, 1),
];
/// Of its header.
const HEADER: &[(&str, usize, usize)] = &[
    ("vhd-table-offset", 16, 8),
    ("vhd-header-version", 24, 4),
    ("vhd-table-entries", 28, 4),
    ("vhd-block-size", 32, 4),
    ("vhd-parent", 40, 8),
];
/// Of a VHDX's headers.
const VHDX_HEADERS: &[(&str, usize, usize)] = &[
    ("vhdx-sequence", 8, 8),
    ("vhdx-log-guid", 48, 8),
    ("vhdx-log-version", 64, 2),
    ("vhdx-version", 66, 2),
    ("vhdx-log-length", 68, 4),
    ("vhdx-log-offset", 72, 8),
];
/// Of its region tables: two entries.
const VHDX_TABLES: &[(&str, usize, usize)] = &[
    ("vhdx-region-count", 8, 4),
    ("vhdx-region-guid", 16, 4),
    ("vhdx-region-offset", 32, 8),
    ("vhdx-region-length", 40, 4),
    ("vhdx-region-required", 44, 4),
    ("vhdx-region-offset", 64, 8),
    ("vhdx-region-length", 72, 4),
];
/// Of a VMDK's header.
const VMDK: &[(&str, usize, usize)] = &[
    ("vmdk-version", 4, 4),
    ("vmdk-flags", 8, 4),
    ("vmdk-capacity", 12, 8),
    ("vmdk-grain", 20, 8),
    ("vmdk-descriptor", 28, 8),
    ("vmdk-descriptor-length", 36, 8),
    ("vmdk-entries", 44, 4),
    ("vmdk-second-directory", 48, 8),
    ("vmdk-directory", 56, 8),
    ("vmdk-overhead", 64, 8),
    ("vmdk-unclean", 72, 1),
    ("vmdk-compression", 77, 2),
];
/// Checksums of a VHDX's headers and region tables, each for itself.
const VHDX_CHECKSUMS: [usize; 4] = [(64 << 10) + 4, (128 << 10) + 4, (192 << 10) + 4, (256 << 10) + 4];
/// Of an entry of its log: the header, the first descriptor, and the sector of data behind it.
const VHDX_LOG: &[(&str, usize, usize)] = &[
    ("vhdx-logged-signature", 0, 4),
    ("vhdx-logged-entry-length", ENTRY_LEN, 4),
    ("vhdx-logged-tail", 12, 4),
    ("vhdx-logged-sequence", 16, 8),
    ("vhdx-logged-descriptors", 24, 4),
    ("vhdx-logged-entry-guid", 32, 8),
    ("vhdx-logged-flushed", 48, 8),
    ("vhdx-logged-last", 56, 8),
    ("vhdx-logged-descriptor-signature", 64, 4),
    ("vhdx-logged-descriptor-leading", 72, 8),
    ("vhdx-logged-descriptor-offset", 80, 8),
    ("vhdx-logged-descriptor-sequence", 88, 8),
    ("vhdx-logged-data-signature", 4096, 4),
    ("vhdx-logged-data-sequence-high", 4100, 4),
    ("vhdx-logged-data-sequence-low", 8188, 4),
];
/// Where qemu-img puts the tables of images as small as these: a VHD's, a VHDX's and its metadata.
const VHD_TABLE: usize = 1536;
const VHDX_TABLE: usize = 2 << 20;
const VHDX_METADATA: usize = 3 << 20;
/// Where metadata items are described, how many there are, and where they begin.
const ITEM: usize = 32;
const ITEMS: usize = 5;
const VALUES: usize = 64 << 10;
/// Bytes of a sector.
const SECTOR: usize = 512;

/// The fields of an image of one of these formats.
#[must_use]
pub fn fields_of(format: &str, bytes: &[u8]) -> Option<Vec<Field>> {
    let all = |list: &[(&str, usize, usize)], code: Code| -> Vec<Field> {
        list.iter().map(|(name, at, width)| field(name, *at, *width, code)).collect()
    };
    let mut fields = match format {
        "vpc" => all(FOOTER, Code::VhdFooter),
        "vhdx" => all(VHDX_HEADERS, Code::VhdxHeaders),
        "vmdk" => all(VMDK, Code::Little),
        "qed" => return Some(other::qed(bytes)),
        "luks" => return Some(other::luks()),
        _ => return None,
    };
    match format {
        "vpc" if bytes.starts_with(b"conectix") => {
            fields.extend(all(HEADER, Code::VhdHeader));
            fields.push(field("vhd-checksum", 64, 4, Code::BigSectors));
            fields.push(field("vhd-header-checksum", SECTOR + 36, 4, Code::BigSectors));
            fields.extend((0..5).map(|i| field("vhd-entry", VHD_TABLE + 4 * i, 4, Code::BigSectors)));
        }
        "vpc" => {}
        "vhdx" => {
            fields.extend(all(VHDX_TABLES, Code::VhdxTables));
            fields.extend(VHDX_CHECKSUMS.map(|at| field("vhdx-checksum", at, 4, Code::BigSectors)));
            fields.extend(vhdx());
            let used = log::ENTRIES
                .into_iter()
                .filter(|at| bytes.get(log::LOG + at..).is_some_and(|entry| entry.starts_with(b"loge")));
            fields.extend(used.flat_map(|at| all(VHDX_LOG, Code::VhdxEntry(at))));
        }
        _ => fields.extend(vmdk(bytes)),
    }
    fields.retain(|field| field.at + field.width <= bytes.len());
    Some(fields)
}

fn field(name: &str, at: usize, width: usize, code: Code) -> Field {
    Field { name: name.into(), at, width, code }
}

/// Metadata and table of a VHDX.
fn vhdx() -> Vec<Field> {
    let little = |name: &str, at, width| field(name, at, width, Code::Little);
    let mut fields = vec![
        little("vhdx-item-count", VHDX_METADATA + 10, 2),
        little("vhdx-block-size", VHDX_METADATA + VALUES, 4),
        little("vhdx-block-flags", VHDX_METADATA + VALUES + 4, 4),
        little("vhdx-disk-size", VHDX_METADATA + VALUES + 8, 8),
        little("vhdx-logical-sector", VHDX_METADATA + VALUES + 32, 4),
        little("vhdx-physical-sector", VHDX_METADATA + VALUES + 36, 4),
    ];
    for item in (0..ITEMS).map(|number| VHDX_METADATA + ITEM + 32 * number) {
        fields.push(little("vhdx-item-guid", item, 4));
        fields.push(little("vhdx-item-offset", item + 16, 4));
        fields.push(little("vhdx-item-length", item + 20, 4));
        fields.push(little("vhdx-item-flags", item + 24, 4));
    }
    fields.extend((0..9).map(|number| little("vhdx-entry", VHDX_TABLE + 8 * number, 8)));
    fields
}

/// Directories, tables and descriptor of a VMDK.
fn vmdk(bytes: &[u8]) -> Vec<Field> {
    let place =
        |at, width| Code::Little.get(bytes, (at, width)).and_then(|sector| usize::try_from(sector).ok());
    let mut fields = Vec::new();
    for (directory, name) in [(56, "first"), (48, "second")] {
        let at = place(directory, 8).unwrap_or(0) * SECTOR;
        fields.push(field(&format!("vmdk-{name}-directory-entry"), at, 4, Code::Little));
        let table = place(at, 4).unwrap_or(0) * SECTOR;
        let entries = (0..128).map(|number| table + 4 * number);
        let used = entries.filter(|at| place(*at, 4).is_some_and(|sector| sector != 0));
        fields.extend(used.take(3).map(|at| field(&format!("vmdk-{name}-entry"), at, 4, Code::Little)));
    }
    let text = bytes.get(SECTOR..SECTOR + 20 * SECTOR).unwrap_or_default();
    for word in ["CID=", "parentCID=", "createType=\"", "RW ", "SPARSE \"", "cylinders = \""] {
        let found = text.windows(word.len()).position(|part| part == word.as_bytes());
        let at = found.map(|at| SECTOR + at + word.len());
        fields.extend(
            at.into_iter()
                .flat_map(|at| [at - 2, at].map(|at| field("vmdk-descriptor-text", at, 1, Code::Little))),
        );
    }
    fields
}
