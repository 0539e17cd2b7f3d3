//! `instar check`.

use crate::args::{CheckArgs, Output};
use crate::engine;
use crate::error::CliError;
use crate::extents::ExtentFiles;
use crate::gate::Gate;
use crate::identity;
use crate::image::{Access, Image};
use crate::info::only_file;
use crate::lock::Claim;
use crate::message::{Program, shown, to_stderr, to_stdout};
use crate::parts::wants_extents;
use crate::resize::warn_of_guess;
use crate::secret::Secrets;
use crate::show::{check_json, check_text, show_finding, stats_text};
use crate::source::Source;
use instar_ops::{CheckReport, CheckRequest, Repair};
use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

/// Exit code for an image with corruptions.
const CORRUPTIONS: u8 = 2;
/// Exit code for an image that only leaks clusters.
const LEAKS: u8 = 3;
/// Exit code for a format that cannot be checked ([`CliError::ChecksUnsupported`]).
pub const UNSUPPORTED: u8 = 63;

/// Cache modes of QEMU.
const CACHE_MODES: [&str; 6] = ["none", "off", "writeback", "writethrough", "directsync", "unsafe"];

/// Runs the command and says with which code to exit.
///
/// # Errors
/// [`CliError`]: the check could not be completed.
pub fn run(program: &Program, args: &CheckArgs) -> Result<ExitCode, CliError> {
    let repair = args.repair.as_ref().map_or(Ok(Repair::Nothing), parse_repair)?;
    let secrets = Secrets::parse(&args.source.object)?;
    let file = only_file(args.file.as_ref(), &args.extra)?;
    let source = Source::new(secrets, &args.source, file)?;
    refuse_cache(args)?;
    let image = open(program, args, (&source, file), repair)?;
    let mut request =
        CheckRequest { format: image.format, repair, unlocked: false, identity: identity::fresh()? };
    let engine = engine::open(args.engine.engine)?;
    source.check_encryption(engine.as_ref(), &image)?;
    let mut finished = engine.check(image.window(), &[], &request, &mut show_finding)?;
    if source.unlock(engine.as_ref(), &image, &finished.result)? {
        request.unlocked = true;
        finished = engine.check(image.window(), &[], &request, &mut show_finding)?;
    }
    let mut extents = ExtentFiles::default();
    if finished.result.as_ref().is_err_and(wants_extents) {
        let claim = if args.force_share { Claim::Nothing } else { Claim::Read };
        extents = ExtentFiles::open(engine.as_ref(), &image, &Gate::Allow, claim)?;
        finished = engine.check(image.window(), &extents.files(), &request, &mut show_finding)?;
    }
    drop(extents);
    let report = finished.result.map_err(|e| CliError::from_check(e, &image.name.given()))?;
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

/// Whatever the mode, what is read comes from the file, and what is written is made durable.
fn refuse_cache(args: &CheckArgs) -> Result<(), CliError> {
    let Some(mode) = &args.cache else { return Ok(()) };
    match mode.to_str() {
        Some(mode) if CACHE_MODES.contains(&mode) => Ok(()),
        _ => Err(CliError::Refused(format!("Invalid source cache option: {}", shown(mode)))),
    }
}

fn parse_repair(word: &OsString) -> Result<Repair, CliError> {
    match word.to_str() {
        Some("leaks") => Ok(Repair::Leaks),
        Some("all") => Ok(Repair::All),
        _ => {
            let word = shown(word);
            Err(CliError::Usage { text: format!("--repair (-r) expects 'leaks' or 'all' not '{word}'") })
        }
    }
}

fn open(
    program: &Program,
    args: &CheckArgs,
    (source, file): (&Source, &OsStr),
    repair: Repair,
) -> Result<Image, CliError> {
    let access = match (repair, args.force_share) {
        (Repair::Nothing, false) => Access::Check,
        (Repair::Nothing, true) => Access::Shared,
        (Repair::Leaks | Repair::All, false) => Access::Repair,
        (Repair::Leaks | Repair::All, true) => {
            let reason = "force-share=on can only be used with read-only images".to_owned();
            return Err(CliError::Open { name: shown(file), reason });
        }
    };
    let image = source.open(program, (&args.source, file), access)?;
    if access == Access::Repair {
        warn_of_guess(&image)?;
    }
    Ok(image)
}
