//! Resizing an image whose disk is in other files.
//!
//! Growing: extents, then the descriptor. Shrinking: the descriptor, then extents. A descriptor takes its place whole
//! ([`crate::shadow`]).

use crate::engine::{Engine, Job};
use crate::error::CliError;
use crate::extents::ExtentFiles;
use crate::finish::finish;
use crate::gate::Gate;
use crate::image::Image;
use crate::lock::Claim;
use crate::message::{Program, errno_text};
use crate::shadow::{Shadow, sync_directory};
use crate::show::show_finding;
use crate::space;
use instar_ops::{OpError, Refusal, ResizeOutcome, ResizeRequest, SizeRequest};
use instar_vmm::{Others, Stats};

/// Whether an image's disk is in files that the engine was not given.
#[must_use]
pub const fn wants_extents(error: &OpError) -> bool {
    matches!(error, OpError::Refused(Refusal::ExtentsClosed))
}

/// Resizes it, files and all.
///
/// # Errors
/// [`CliError`]; files that were made are removed again, unless the descriptor names them.
pub fn resize(
    program: &Program,
    engine: &dyn Engine,
    (image, gate): (&Image, &Gate),
    request: &ResizeRequest,
) -> Result<(ResizeOutcome, Stats), CliError> {
    let mut extents = ExtentFiles::open(engine, image, gate, Claim::Exclusive)?;
    let mut shadow = Shadow::of(&image.file, image.name.path()).map_err(CliError::Refused)?;
    let done = grow_or_shrink(program, engine, (image, &mut shadow), (&mut extents, request));
    // A descriptor that is in its place names the new files, even if nobody knows whether that is durable.
    if done.is_err() && !shadow.is_in_place() {
        extents.discard_new();
    }
    done
}

fn grow_or_shrink(
    program: &Program,
    engine: &dyn Engine,
    (image, shadow): (&Image, &mut Shadow),
    (extents, request): (&mut ExtentFiles, &ResizeRequest),
) -> Result<(ResizeOutcome, Stats), CliError> {
    let mut finished = run(engine, shadow, extents, request)?;
    if let Err(OpError::Refused(Refusal::ExtentsWanted { count })) = finished.result {
        extents.add(&image.name, count).map_err(CliError::Refused)?;
        finished = run(engine, shadow, extents, request)?;
    }
    let outcome = finished.result.map_err(|e| failed(e, image, request))?;
    let kept = |what: &str, e: std::io::Error| CliError::Refused(format!("{what}: {}", errno_text(&e)));
    if shadow.is_same(&image.file).is_ok_and(|same| same) && outcome.extents_after.is_none() {
        return Ok((outcome, finished.stats));
    }
    finish(program, shadow.file(), &outcome, request.preallocation)?;
    // New files have their names before anything names them.
    sync_directory(image.name.path()).map_err(|e| kept("Could not flush the directory", e))?;
    shadow.commit().map_err(|e| kept("Could not replace the descriptor", e))?;
    let Some(after) = outcome.extents_after else { return Ok((outcome, finished.stats)) };
    let removed = extents.keep(&after);
    let mut last_len = after.last_len;
    if after.again {
        let size = SizeRequest::Absolute(outcome.new_virtual_size);
        let again = run(engine, shadow, extents, &ResizeRequest { size, ..*request })?;
        let cut = again.result.map_err(|e| failed(e, image, request))?;
        last_len = cut.extents_after.and_then(|after| after.last_len);
    }
    if let Some(Err(e)) = last_len.map(|len| extents.set_last_len(len)) {
        let why = errno_text(&e);
        program.warning(&format!("Failed to truncate the last extent: {why}"));
    }
    for dropped in removed {
        if let Err(why) = dropped.remove() {
            program.warning(&why);
        }
    }
    Ok((outcome, finished.stats))
}

fn run(
    engine: &dyn Engine,
    shadow: &Shadow,
    extents: &ExtentFiles,
    request: &ResizeRequest,
) -> Job<ResizeOutcome> {
    let others = Others { extents: extents.files(), ..Others::default() };
    engine.resize(shadow.file().into(), &others, request, &mut show_finding)
}

fn failed(error: OpError, image: &Image, request: &ResizeRequest) -> CliError {
    match space::text(&error, request.preallocation, false) {
        Some(text) => CliError::Refused(text),
        None => CliError::from_op(error, &image.name.given()),
    }
}
