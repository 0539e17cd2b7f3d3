//! VHD, VHDX and VMDK: their fields, and what instar must make of them. qemu-img resizes none of these, so that its answer to
//! a resize is what it reads before and afterwards.

use crate::code::Code;
use crate::court::{Court, Question, Sentence, Verdict, answer, disagree, ended_oddly, excused, run};
use crate::field::Field;
use crate::{HostileError, Recipe, Spoil, other};
use oracle_case::child::Ending;
use oracle_case::size::{self, Asked};
use oracle_judge::disk::Disk;
use oracle_judge::subject::{IMAGE, Ran};
use serde_json::json;
use std::io::Read;
use std::path::Path;

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
            fields.extend(vhdx());
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

/// What instar must make of a spoiled image: it ends by itself, refuses in one line with exit code 1 and leaves the file as
/// it was; what it resizes, qemu-img has opened before, opens afterwards at the same size as instar, and reads as before.
pub fn judge(
    court: &Court,
    (recipe, spoil): (&Recipe, &Spoil),
    bytes: &[u8],
    dir: &Path,
) -> Result<Vec<Sentence>, HostileError> {
    let bench = Bench { court, recipe, bytes, dir };
    let before = bench.seen()?;
    let mut sentences = Vec::new();
    for question in Question::ALL {
        let verdict = match question {
            Question::Info => bench.info()?,
            Question::Check => bench.check(spoil, before.is_some())?,
            Question::Grow => bench.resize(recipe.resizes[0], before.as_ref())?,
            Question::Shrink => bench.resize(recipe.resizes[1], before.as_ref())?,
        };
        sentences.push(Sentence { question, verdict: excused(spoil, verdict) });
        bench.restore()?;
    }
    Ok(sentences)
}

/// Bytes of the good image's disk.
const DISK: u64 = 8 << 20;
/// Bytes by which a disk may be larger than asked for: it grows to the next geometry.
const ROUNDING: u64 = 4 << 20;

/// A disk as qemu-img sees it.
struct Seen {
    /// Its size in bytes.
    size: u64,
    /// Its first bytes, unless it is too large to be read.
    content: Option<Vec<u8>>,
}

/// One image.
struct Bench<'a> {
    court: &'a Court<'a>,
    recipe: &'a Recipe,
    bytes: &'a [u8],
    dir: &'a Path,
}

impl Bench<'_> {
    fn words(&self, options: &[&str], last: &[&str]) -> Vec<String> {
        ["-f", self.recipe.format]
            .iter()
            .chain(options)
            .chain(&[IMAGE])
            .chain(last)
            .map(ToString::to_string)
            .collect()
    }

    fn restore(&self) -> Result<(), HostileError> {
        let image = self.dir.join(IMAGE);
        std::fs::write(&image, self.bytes).map_err(HostileError::io(&image))
    }

    /// What qemu-img reads, as far as the good image's disk goes; none if it cannot.
    fn seen(&self) -> Result<Option<Seen>, HostileError> {
        let raw = self.dir.join("seen.raw");
        let Some(size) = self.size()? else { return Ok(None) };
        if size > 64 * DISK {
            return Ok(Some(Seen { size, content: None }));
        }
        let words = self.words(&["-O", "raw"], &["seen.raw"]);
        if !run(self.court.qemu, self.dir, "convert", &words)?.success() {
            return Ok(None);
        }
        let mut content = Vec::new();
        let file = std::fs::File::open(&raw).map_err(HostileError::io(&raw))?;
        file.take(DISK).read_to_end(&mut content).map_err(HostileError::io(&raw))?;
        std::fs::remove_file(&raw).map_err(HostileError::io(&raw))?;
        Ok(Some(Seen { size, content: Some(content) }))
    }

    /// The virtual size that qemu-img sees.
    fn size(&self) -> Result<Option<u64>, HostileError> {
        let ran = run(self.court.qemu, self.dir, "info", &self.words(&["--output=json"], &[]))?;
        Ok(answer(&ran).filter(|_| ran.success()).and_then(|json| json["virtual-size"].as_u64()))
    }

    fn info(&self) -> Result<Verdict, HostileError> {
        let words = self.words(&["--output=json"], &[]);
        let (l, r) = (
            run(self.court.instar, self.dir, "info", &words)?,
            run(self.court.qemu, self.dir, "info", &words)?,
        );
        if let Some(verdict) = ended_oddly(&l, &r) {
            return Ok(verdict);
        }
        if !l.success() {
            return self.refused(&l, r.success());
        }
        let size = |ran: &Ran| answer(ran).map(|json| json["virtual-size"].clone());
        if r.success() && size(&l) != size(&r) {
            return disagree("size", format!("{:?} here, {:?} there", size(&l), size(&r)));
        }
        Ok(Verdict::Agree)
    }

    fn check(&self, spoil: &Spoil, readable: bool) -> Result<Verdict, HostileError> {
        let words = self.words(&["--output=json"], &[]);
        let l = run(self.court.instar, self.dir, "check", &words)?;
        let r = run(self.court.qemu, self.dir, "check", &words)?;
        if let Some(verdict) = ended_oddly(&l, &r) {
            return Ok(verdict);
        }
        let both = format!("{} here, {} there", l.summary(), r.summary());
        let broken = matches!(r.ending, Ending::Exit(1 | 2)) && readable;
        match l.ending {
            Ending::Exit(1) if answer(&l).is_none() => self.refused(&l, r.success()),
            Ending::Exit(0) if broken => disagree("missed", both),
            Ending::Exit(0) if self.overlaps(spoil)? => {
                disagree("missed", "entries name the same place".into())
            }
            Ending::Exit(0..=3) => Ok(Verdict::Agree),
            same if same == r.ending => Ok(Verdict::Agree),
            _ => disagree("exit-code", both),
        }
    }

    /// Whether an entry of a table was spoiled so that two of them lie on each other, by the oracle's own reader; qemu-img
    /// finds nothing wrong with that.
    fn overlaps(&self, spoil: &Spoil) -> Result<bool, HostileError> {
        // The reader needs little more than the format's name: all else is in the image.
        let format = serde_json::from_value(json!({ self.recipe.format: { "block_bits": 20 } }));
        let (true, Ok(format)) = (spoil.field.name.ends_with("-entry"), format) else {
            return Ok(false);
        };
        let disk = Disk::read_in(&format, self.dir)?;
        Ok(disk.is_some_and(|disk| disk.problems.iter().any(|problem| problem.field == "overlap")))
    }

    /// Of a refusal: exit code 1, one line, nothing changed.
    fn refused(&self, ran: &Ran, accepted: bool) -> Result<Verdict, HostileError> {
        let image = self.dir.join(IMAGE);
        let after = std::fs::read(&image).map_err(HostileError::io(&image))?;
        match () {
            () if ran.ending != Ending::Exit(1) => disagree("exit-code", ran.summary()),
            () if after != self.bytes => disagree("touched", ran.summary()),
            () if ran.stderr.trim().lines().count() != 1 => disagree("lines", ran.stderr.clone()),
            () if accepted => Ok(Verdict::Stricter),
            () => Ok(Verdict::Agree),
        }
    }

    fn resize(&self, size: &str, before: Option<&Seen>) -> Result<Verdict, HostileError> {
        let ran = run(self.court.instar, self.dir, "resize", &self.words(&["--shrink"], &[size]))?;
        if let Some(verdict) = ended_oddly(&ran, &ran) {
            return Ok(verdict);
        }
        if !ran.success() {
            return self.refused(&ran, before.is_some());
        }
        let Some(before) = before else {
            return disagree("accepted", "qemu-img does not read the image".into());
        };
        let Some(after) = self.seen()? else {
            return disagree("unreadable", "qemu-img does not read the image any more".into());
        };
        let wanted = match size::parse(size) {
            Some(Asked::Absolute(wanted)) => wanted,
            _ => 0,
        };
        if !(wanted..wanted + ROUNDING).contains(&after.size) {
            return disagree("size", format!("{} bytes, {size} asked for", after.size));
        }
        let (was, is) = (before.content.iter().flatten(), after.content.iter().flatten());
        match was.zip(is).position(|(one, other)| one != other) {
            Some(at) => disagree("content", format!("byte {at} of what is preserved")),
            None => Ok(Verdict::Agree),
        }
    }
}
