//! `instar check`.

use crate::args::{CheckArgs, Output};
use crate::engine;
use crate::error::CliError;
use crate::image::{Access, Image};
use crate::info::only_file;
use crate::message::{to_stderr, to_stdout};
use crate::resize::refuse_unsupported;
use crate::show::{check_json, check_text, finding_text, stats_text};
use instar_ops::{CheckReport, CheckRequest};
use std::process::ExitCode;

/// Exit code for an image with corruptions.
const CORRUPTIONS: u8 = 2;
/// Exit code for an image that only leaks clusters.
const LEAKS: u8 = 3;
/// Exit code for a format that cannot be checked ([`CliError::ChecksUnsupported`]).
pub const UNSUPPORTED: u8 = 63;

/// Runs the command and says with which code to exit.
///
/// # Errors
/// [`CliError`]: the check could not be completed.
pub fn run(args: &CheckArgs) -> Result<ExitCode, CliError> {
    let file = only_file(args.file.as_ref(), &args.extra)?;
    refuse_unsupported(&args.source)?;
    refuse_more(args)?;
    let access = if args.force_share { Access::Shared } else { Access::Check };
    let image = Image::open(file, args.source.format.as_deref(), access)?;
    let request = CheckRequest { format: image.format };
    let engine = engine::open(args.engine.engine)?;
    let mut show = |finding| to_stderr(&finding_text(&finding));
    let finished = engine.check(&image.file, &request, &mut show)?;
    let report = finished.result.map_err(|e| CliError::from_op(e, &image.name.given()))?;
    if !args.quiet {
        to_stdout(&match args.output {
            Output::Human => check_text(&report),
            Output::Json => check_json(&image.name, &report),
        })?;
    }
    if args.engine.stats {
        to_stderr(&stats_text(args.engine.engine, &finished.stats));
    }
    verdict(&report)
}

fn verdict(report: &CheckReport) -> Result<ExitCode, CliError> {
    match report {
        CheckReport { check_errors: 1.., .. } => Err(CliError::Refused("Check failed".to_owned())),
        CheckReport { corruptions: 1.., .. } => Ok(ExitCode::from(CORRUPTIONS)),
        CheckReport { leaks: 1.., .. } => Ok(ExitCode::from(LEAKS)),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn refuse_more(args: &CheckArgs) -> Result<(), CliError> {
    let option = match (&args.repair, &args.cache) {
        (Some(_), _) => "--repair",
        (_, Some(_)) => "--cache",
        _ => return Ok(()),
    };
    Err(CliError::Refused(format!("{option} is not supported")))
}
