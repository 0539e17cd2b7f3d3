//! `instar info`.

use crate::args::{InfoArgs, Output};
use crate::engine::{self, Engine};
use crate::error::CliError;
use crate::extents::ExtentFiles;
use crate::gate::Gate;
use crate::image::{Access, Image};
use crate::image_opts::ImageOpts;
use crate::lock::Claim;
use crate::message::{Program, errno_text, shown, to_stderr, to_stdout};
use crate::resize::gate;
use crate::secret::Secrets;
use crate::show::{Described, info_json, info_json_chain, info_text, stats_text};
use crate::source::Source;
use crate::stored::Stored;
use crate::version::QemuVersion;
use instar_ops::{ImageInfo, InfoItem, InfoRequest};
use instar_vmm::Stats;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// An image and everything that is to be shown of it.
struct Looked {
    image: Image,
    info: ImageInfo,
    items: Vec<InfoItem>,
    sizes: (u64, u64),
    /// Path, length and space of each file that the disk is in, if it is in others.
    parts: Vec<(PathBuf, u64, u64)>,
}

/// Runs the command.
///
/// # Errors
/// [`CliError`]: nothing was printed on standard output.
pub fn run(program: &Program, args: &InfoArgs) -> Result<(), CliError> {
    let secrets = Secrets::parse(&args.source.object)?;
    let file = only_file(args.file.as_ref(), &args.extra)?;
    let source = Source::new(secrets, &args.source, file)?;
    source.refuse_behind(file)?;
    let version = version(args.qemu_version.as_deref())?;
    let gate = gate(&args.gate)?;
    let access = if args.force_share { Access::Shared } else { Access::Info };
    let image = source.open(program, (&args.source, file), access)?;
    let engine = engine::open(args.engine.engine)?;
    source.check_encryption(engine.as_ref(), &image)?;
    let mut stats = Vec::new();
    let mut chain = vec![look(engine.as_ref(), image, (&gate, access), &mut stats)?];
    while let Some(stored) = args.backing_chain.then(|| behind(&chain)).transpose()?.flatten() {
        let image = Image::open_named(&stored, &gate, access)?;
        if chain.iter().any(|above| is_same(&above.image, &image)) {
            let name = image.name.shown_path();
            return Err(CliError::Refused(format!("Backing file '{name}' creates an infinite loop.")));
        }
        chain.push(look(engine.as_ref(), image, (&gate, access), &mut stats)?);
    }
    let described: Vec<_> = chain.iter().map(|looked| looked.described(version)).collect();
    to_stdout(&match args.output {
        Output::Human => described.iter().map(info_text).collect::<Vec<_>>().join("\n"),
        Output::Json if args.backing_chain => info_json_chain(&described),
        Output::Json => described.iter().map(info_json).collect(),
    })?;
    for stats in stats.iter().filter(|_| args.engine.stats) {
        to_stderr(&stats_text(args.engine.engine, stats));
    }
    Ok(())
}

fn look(
    engine: &dyn Engine,
    image: Image,
    (gate, access): (&Gate, Access),
    stats: &mut Vec<Stats>,
) -> Result<Looked, CliError> {
    let request = InfoRequest { format: image.format };
    let refused = |e| CliError::from_op(e, &image.name.given());
    let mut finished = engine.info(image.window(), &[], &request)?;
    let (mut info, mut items) = finished.result.map_err(refused)?;
    let mut parts = Vec::new();
    if items.iter().any(|item| matches!(item, InfoItem::Extent(extent) if !extent.name.is_empty())) {
        let claim = if access == Access::Shared { Claim::Nothing } else { Claim::Glance };
        let extents = ExtentFiles::named(&image, &items, gate, claim)?;
        finished = engine.info(image.window(), &extents.files(), &request)?;
        (info, items) = finished.result.map_err(refused)?;
        let not_read = |e: std::io::Error| CliError::Refused(errno_text(&e));
        parts = extents.sizes().map_err(not_read)?;
    }
    stats.push(finished.stats);
    let sizes = image.host_sizes()?;
    Ok(Looked { image, info, items, sizes, parts })
}

/// What the last image of a chain names as its backing file.
fn behind(chain: &[Looked]) -> Result<Option<Stored>, CliError> {
    let Some(last) = chain.last().filter(|last| !last.info.backing_file.is_empty()) else {
        return Ok(None);
    };
    let ImageInfo { backing_file, backing_format, .. } = &last.info;
    let name = shown(OsStr::from_bytes(&last.image.name.resolve(backing_file)));
    let refused = |reason| CliError::Open { name: name.clone(), reason };
    let stored = Stored::parse(&last.image.name, backing_file, backing_format, &[]).map_err(refused)?;
    match stored.opts.as_ref().and_then(ImageOpts::behind_unopened) {
        Some(reason) => Err(refused(reason)),
        None => Ok(Some(stored)),
    }
}

fn is_same(one: &Image, other: &Image) -> bool {
    let identity = |image: &Image| image.file.metadata().map(|m| (m.dev(), m.ino(), image.part)).ok();
    identity(one) == identity(other)
}

impl Looked {
    fn described(&self, version: QemuVersion) -> Described<'_> {
        let (file_len, disk_size) = self.sizes;
        Described {
            name: &self.image.name,
            info: &self.info,
            items: &self.items,
            file_len,
            disk_size,
            parts: &self.parts,
            layers: &self.image.lengths,
            is_file: self.image.is_file,
            version,
        }
    }
}

/// The one operand of a command that takes a file.
///
/// # Errors
/// [`CliError::Usage`] for none and for more.
pub fn only_file<'a>(file: Option<&'a OsString>, extra: &[OsString]) -> Result<&'a OsString, CliError> {
    file.filter(|_| extra.is_empty())
        .ok_or_else(|| CliError::Usage { text: "Expecting one image file name".to_owned() })
}

fn version(text: Option<&str>) -> Result<QemuVersion, CliError> {
    match text {
        None => Ok(QemuVersion::NEWEST),
        Some(text) => QemuVersion::parse(text).map_err(|text| CliError::Usage { text }),
    }
}
