//! What two images that were created alike never have in common: random identities, times, the program's name, and the
//! checksums over them.

use crate::subject::IMAGE;
use crate::{JudgeError, sparse};
use oracle_case::FormatOptions;
use std::fs::{File, OpenOptions};
use std::io::Result;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// First word of a VHD footer (Virtual Hard Disk Image Format Specification, "Hard Disk Footer Format").
const VHD_COOKIE: &[u8] = b"conectix";
/// Length of that footer, at the end of the file and, of disks with a table, at its start.
const VHD_FOOTER: u64 = 512;
/// In it: time stamp; checksum and unique identity.
const VHD_FIELDS: [Range<u64>; 2] = [24..28, 64..84];

/// Creator in the file identifier of a VHDX ([MS-VHDX] 2.2.1).
const VHDX_CREATOR: Range<u64> = 8..520;
/// Both headers (2.2.2): checksum, sequence number, the three GUIDs.
const VHDX_HEADERS: [Range<u64>; 2] = [0x1_0004..0x1_0040, 0x2_0004..0x2_0040];
/// Both region tables (2.2.3).
const VHDX_REGIONS: [u64; 2] = [0x3_0000, 0x4_0000];
/// In a table: its checksum, and where the first entry begins, of how many bytes each.
const REGION_CHECKSUM: Range<u64> = 4..8;
const REGION_ENTRIES: (u64, u64) = (16, 32);
/// In an entry, from its start: where the region is, and whether it is required.
const REGION_PLACE: u64 = 16;
const REGION_REQUIRED: u64 = 28;
/// The GUID of the metadata region as it is in the file, and that of the item with the disk's identity (2.6.2.3).
const METADATA: [u8; 16] =
    [0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b, 0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e];
const DISK_ID: [u8; 16] =
    [0xab, 0x12, 0xca, 0xbe, 0xe6, 0xb2, 0x23, 0x45, 0x93, 0xef, 0xc3, 0x09, 0xe0, 0x00, 0xc7, 0x46];
/// In the metadata table (2.6.1): where the first entry begins, how many bytes each has, and its offset in it.
const METADATA_ENTRIES: (u64, u64) = (32, 32);
const METADATA_PLACE: u64 = 16;
/// Entries of either table that are looked at: a new image has a handful.
const MOST_ENTRIES: u64 = 16;

/// How much of a file is searched for the descriptor of a VMDK.
const VMDK_HEAD: usize = 64 << 10;
/// What its content identity follows.
const VMDK_CID: &[u8] = b"\nCID=";
/// The last line of a descriptor, which QEMU 5.2 does not write yet.
const VMDK_TOOLS: &[u8] = b"ddb.toolsVersion = \"2147483647\"\n";

/// Blanks the identity of the image in `dir`, as a program made it anew, so that images created alike have the same bytes. An
/// image by qemu-img (`theirs`) gets what is meant to differ, too: the regions of a VHDX become required, as the specification
/// has it, and the descriptor of a VMDK ends with the line that newer versions write.
///
/// # Errors
/// [`JudgeError::Io`]: a file could not be read or written.
pub fn blank(dir: &Path, format: &FormatOptions, theirs: bool) -> std::result::Result<(), JudgeError> {
    let path = dir.join(IMAGE);
    let blanked = || -> Result<()> {
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        match format {
            FormatOptions::Vpc(_) => vhd(&file),
            FormatOptions::Vhdx(_) => vhdx(&file, theirs),
            FormatOptions::Vmdk(_) => vmdk(&file, theirs),
            FormatOptions::Raw | FormatOptions::Luks | FormatOptions::Qcow2(_) | FormatOptions::Qed(_) => {
                Ok(())
            }
        }
    };
    blanked().map_err(JudgeError::io(&path))
}

fn vhd(file: &File) -> Result<()> {
    let end = file.metadata()?.len().saturating_sub(VHD_FOOTER);
    for at in [0, end] {
        if bytes::<8>(file, at)? == VHD_COOKIE {
            VHD_FIELDS.iter().try_for_each(|field| zero(file, at + field.start..at + field.end))?;
        }
    }
    Ok(())
}

fn vhdx(file: &File, theirs: bool) -> Result<()> {
    std::iter::once(VHDX_CREATOR).chain(VHDX_HEADERS).try_for_each(|field| zero(file, field))?;
    for table in VHDX_REGIONS {
        zero(file, table + REGION_CHECKSUM.start..table + REGION_CHECKSUM.end)?;
        for (guid, entry) in entries(file, table, REGION_ENTRIES)? {
            if guid == METADATA {
                disk_id(file, u64::from_le_bytes(bytes(file, entry + REGION_PLACE)?))?;
            }
            if theirs {
                file.write_all_at(&1u32.to_le_bytes(), entry + REGION_REQUIRED)?;
            }
        }
    }
    Ok(())
}

/// Blanks the disk's identity in the metadata region at `region`.
fn disk_id(file: &File, region: u64) -> Result<()> {
    for (guid, entry) in entries(file, region, METADATA_ENTRIES)? {
        if guid == DISK_ID {
            let place = region + u64::from(u32::from_le_bytes(bytes(file, entry + METADATA_PLACE)?));
            zero(file, place..place + 16)?;
        }
    }
    Ok(())
}

/// The entries of a table that begin with a GUID: that, and where each is.
fn entries(file: &File, table: u64, (first, width): (u64, u64)) -> Result<Vec<([u8; 16], u64)>> {
    let places = (0..MOST_ENTRIES).map(|i| table + first + i * width);
    let all = places.map(|at| Ok((bytes(file, at)?, at))).collect::<Result<Vec<_>>>()?;
    Ok(all.into_iter().take_while(|(guid, _)| *guid != [0; 16]).collect())
}

/// Puts eight zeros in the place of the identity, which is written without leading ones, and moves the rest of the text.
fn vmdk(file: &File, theirs: bool) -> Result<()> {
    let mut head = vec![0; VMDK_HEAD];
    sparse::read_padded(file, 0, &mut head)?;
    let Some(cid) = find(&head, VMDK_CID).map(|at| at + VMDK_CID.len()) else { return Ok(()) };
    let digits = head[cid..].iter().take_while(|c| c.is_ascii_hexdigit()).count();
    let text = head[cid..].iter().position(|c| *c == 0).map_or(VMDK_HEAD, |len| cid + len);
    let alone = file.metadata()?.len() == text as u64;
    let mut rest = [b"00000000", &head[cid + digits..text]].concat();
    if theirs && find(&rest, VMDK_TOOLS).is_none() {
        rest.extend(VMDK_TOOLS);
    }
    match alone {
        true => file.set_len((cid + rest.len()) as u64)?,
        // Zeros follow an embedded descriptor: those take up what the text loses.
        false => rest.resize(rest.len() + digits, 0),
    }
    file.write_all_at(&rest, cid as u64)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn bytes<const N: usize>(file: &File, at: u64) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    sparse::read_padded(file, at, &mut bytes)?;
    Ok(bytes)
}

fn zero(file: &File, range: Range<u64>) -> Result<()> {
    let len = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0);
    file.write_all_at(&vec![0; len], range.start)
}
