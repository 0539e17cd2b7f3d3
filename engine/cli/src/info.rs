//! `instar info`.

use crate::args::{InfoArgs, Output};
use crate::engine;
use crate::error::CliError;
use crate::image::{Access, Image};
use crate::message::{to_stderr, to_stdout};
use crate::resize::refuse_unsupported;
use crate::show::{Described, info_json, info_text, stats_text};
use crate::version::QemuVersion;
use instar_ops::InfoRequest;
use std::ffi::OsString;

/// Runs the command.
///
/// # Errors
/// [`CliError`]: nothing was printed on standard output.
pub fn run(args: &InfoArgs) -> Result<(), CliError> {
    let file = only_file(args.file.as_ref(), &args.extra)?;
    refuse_unsupported(&args.source)?;
    if args.backing_chain {
        return Err(CliError::Refused("--backing-chain is not supported".to_owned()));
    }
    let version = version(args.qemu_version.as_deref())?;
    let access = if args.force_share { Access::Shared } else { Access::Info };
    let image = Image::open(file, args.source.format.as_deref(), access)?;
    let request = InfoRequest { format: image.format };
    let finished = engine::open(args.engine.engine)?.info(&image.file, &request)?;
    let (info, items) = finished.result.map_err(|e| CliError::from_op(e, &image.name.given()))?;
    let (file_len, disk_size) = image.host_sizes()?;
    let described = Described { name: &image.name, info: &info, items: &items, file_len, disk_size, version };
    to_stdout(&match args.output {
        Output::Human => info_text(&described),
        Output::Json => info_json(&described),
    })?;
    if args.engine.stats {
        to_stderr(&stats_text(args.engine.engine, &finished.stats));
    }
    Ok(())
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
