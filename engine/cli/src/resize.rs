//! `instar resize`.

use crate::args::{EngineKind, GateArgs, Output, PreallocationMode, ResizeArgs};
use crate::bitmap::resize_error;
use crate::engine;
use crate::error::CliError;
use crate::finish::{finish, finish_data_file};
use crate::gate::Gate;
use crate::identity;
use crate::image::{Access, Image};
use crate::message::{Program, to_stderr, to_stdout};
use crate::others::{OtherFiles, Sealed};
use crate::parts::{self, wants_extents};
use crate::progress;
use crate::secret::Secrets;
use crate::show::{resize_json, show_finding, stats_text};
use crate::size::parse_request;
use crate::source::Source;
use crate::space;
use instar_ops::{Format, OpError, Preallocation, Refusal, ResizeOutcome, ResizeRequest};
use instar_vmm::{Others, Stats};
use std::ffi::OsString;

/// Runs the command. The checks come in `qemu-img`'s order: usage, size, image, then the rest.
///
/// # Errors
/// [`CliError`]: nothing was changed, or what the message says.
pub fn run(program: &Program, args: &ResizeArgs, decrement: Option<OsString>) -> Result<(), CliError> {
    let secrets = Secrets::parse(&args.source.object)?;
    let (file, size) = operands(args, decrement)?;
    let size = parse_request(&size)?;
    let source = Source::new(secrets, &args.source, &file)?;
    let gate = gate(&args.gate)?;
    let image = source.open(program, (&args.source, &file), Access::Write)?;
    warn_of_guess(&image)?;
    let request = ResizeRequest {
        format: image.format,
        size,
        shrink: args.shrink,
        preallocation: preallocation(args.preallocation),
        identity: identity::fresh()?,
    };
    let (outcome, stats) = resize(program, &image, (&source, args.engine.engine, &gate), &request)?;
    report(args, &image, &outcome, &stats)
}

/// The gate that the options describe.
///
/// # Errors
/// [`CliError::Refused`] names the directory that is none.
pub fn gate(args: &GateArgs) -> Result<Gate, CliError> {
    Gate::parse(&args.backing).map_err(CliError::Refused)
}

/// Whether an image has files that the engine was not given.
const fn wants_others(error: &OpError) -> bool {
    matches!(error, OpError::Refused(Refusal::BackingClosed | Refusal::DataFileClosed))
}

fn resize(
    program: &Program,
    image: &Image,
    (source, engine, gate): (&Source, EngineKind, &Gate),
    request: &ResizeRequest,
) -> Result<(ResizeOutcome, Stats), CliError> {
    let engine = match request.preallocation {
        Preallocation::Full => engine::open_watched(engine, progress::of_filling())?,
        _ => engine::open(engine)?,
    };
    source.check_encryption(engine.as_ref(), image)?;
    let detached = *gate == Gate::Deny || source.detached();
    let mut alone = Others { detached, ..Others::default() };
    let mut finished = engine.resize(image.window(), &alone, request, &mut show_finding)?;
    if source.unlock(engine.as_ref(), image, &finished.result)? {
        alone.unlocked = true;
        finished = engine.resize(image.window(), &alone, request, &mut show_finding)?;
    }
    // Most images have no other files, so that it is not asked beforehand.
    let mut others = OtherFiles::default();
    if finished.result.as_ref().is_err_and(wants_others) {
        others = OtherFiles::open(engine.as_ref(), (image, source), gate)?;
        let with = |others: &OtherFiles| {
            let all = Others { detached, unlocked: alone.unlocked, ..others.as_others() };
            engine.resize(image.window(), &all, request, &mut show_finding)
        };
        finished = with(&others)?;
        while let Some(sealed) = Sealed::of(&finished.result) {
            others.reveal(engine.as_ref(), source, &sealed)?;
            finished = with(&others)?;
        }
    }
    if finished.result.as_ref().is_err_and(wants_extents) {
        return parts::resize(program, engine.as_ref(), (image, gate), request);
    }
    if matches!(finished.result, Err(OpError::Io(_))) {
        space::give_back(engine.as_ref(), image, alone.unlocked);
    }
    let outcome = finished.result.map_err(|e| match e {
        e if let Some(text) = space::text(&e, request.preallocation, others.data_file.is_some()) => {
            CliError::Refused(text)
        }
        OpError::Layer { layer, error } => others.error(layer, error),
        e => resize_error(e, &*engine, image),
    })?;
    if outcome.format == Format::Raw && image.part.size.is_some() {
        return Err(CliError::Refused("Cannot resize fixed-size raw disks".to_owned()));
    }
    finish(program, &image.window(), &outcome, request.preallocation)?;
    if let Some(file) = &others.data_file {
        finish_data_file(program, file, &outcome)?;
    }
    Ok((outcome, finished.stats))
}

fn operands(args: &ResizeArgs, decrement: Option<OsString>) -> Result<(OsString, OsString), CliError> {
    let mut words = args.file.iter().chain(&args.size).chain(&args.extra).cloned();
    let file = words.next();
    let size = decrement.or_else(|| words.next());
    let usage = |text: &str| CliError::Usage { text: text.to_owned() };
    match (file, size, words.next()) {
        (Some(file), Some(size), None) => Ok((file, size)),
        (_, _, Some(_)) => Err(usage("Extra argument(s) in command line")),
        _ => Err(usage("Expecting image file name and size")),
    }
}

/// Warns as `qemu-img` does that a raw image may only look like one.
///
/// # Errors
/// [`CliError::Open`] if the image cannot be read.
pub fn warn_of_guess(image: &Image) -> Result<(), CliError> {
    let name = image.name.guessed();
    let open = |reason| CliError::Open { name: image.name.given(), reason };
    let told = image.format.is_some() && !image.guessed;
    if told || !image.is_raw().map_err(open)? {
        return Ok(());
    }
    to_stderr(&format!(
        "WARNING: Image format was not specified for '{name}' and probing guessed raw.\n         \
         Automatically detecting the format is dangerous for raw images, write operations on \
         block 0 will be restricted.\n         Specify the 'raw' format explicitly to remove the \
         restrictions."
    ));
    Ok(())
}

const fn preallocation(mode: PreallocationMode) -> Preallocation {
    match mode {
        PreallocationMode::Off => Preallocation::Off,
        PreallocationMode::Metadata => Preallocation::Metadata,
        PreallocationMode::Falloc => Preallocation::Falloc,
        PreallocationMode::Full => Preallocation::Full,
    }
}

fn report(args: &ResizeArgs, image: &Image, outcome: &ResizeOutcome, stats: &Stats) -> Result<(), CliError> {
    let (engine, shown) = (args.engine.engine, args.engine.stats);
    match args.output {
        Output::Json => {
            let stats = shown.then_some((engine, stats));
            return to_stdout(&resize_json(&image.name, outcome, stats));
        }
        Output::Human if args.quiet => {}
        Output::Human => to_stdout("Image resized.\n")?,
    }
    if shown {
        to_stderr(&stats_text(engine, stats));
    }
    Ok(())
}
