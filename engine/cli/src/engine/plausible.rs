//! What the host can see for itself of an outcome. A guest that a hostile image has taken over may
//! say anything; what it says decides the file's length.

use crate::error::CliError;
use instar_ops::{
    CreateRequest, Format, Preallocation, ResizeAction, ResizeOutcome, ResizeRequest, SizeRequest,
};
use std::cmp::Ordering;

/// Bytes in a sector: a raw image's size is its file's length rounded up to one.
const SECTOR: u64 = 512;

/// Holds the outcome of a resize against the request and the file's length before it.
///
/// # Errors
/// [`CliError::Implausible`] names the contradiction.
pub fn check_resize(request: &ResizeRequest, file_len: u64, outcome: &ResizeOutcome) -> Result<(), CliError> {
    let old = outcome.old_virtual_size;
    // A raw image's new size is counted in sectors like its old one, its file's length is not.
    let new = match outcome.format {
        Format::Raw => outcome.file_size_after,
        Format::Qcow2 => outcome.new_virtual_size,
    };
    let asked = match request.size {
        SizeRequest::Absolute(size) => Some(size),
        SizeRequest::Grow(by) => old.checked_add(by),
        SizeRequest::Shrink(by) => old.checked_sub(by),
    };
    let action = match new.cmp(&old) {
        Ordering::Less => ResizeAction::Shrink,
        Ordering::Equal => ResizeAction::NoOp,
        Ordering::Greater => ResizeAction::Grow,
    };
    let format = request.format.unwrap_or(outcome.format);
    let rules = [
        (format == outcome.format, "another format than asked for"),
        (asked == Some(new), "another size than asked for"),
        (action == outcome.action, "action and sizes disagree"),
        (action != ResizeAction::Shrink || request.shrink, "shrunk without leave"),
        (outcome.file_size_before == file_len, "another file length before"),
        (raw_sizes_fit(outcome), "sizes that no raw image has"),
        (space_fits(request.preallocation, outcome), "odd space to allocate"),
    ];
    first_broken(&rules)
}

/// Holds the outcome of a creation against the request.
///
/// # Errors
/// [`CliError::Implausible`] names the contradiction.
pub fn check_create(request: &CreateRequest, outcome: &ResizeOutcome) -> Result<(), CliError> {
    let size = request.size.checked_next_multiple_of(SECTOR);
    let rules = [
        (request.format == outcome.format, "another format than asked for"),
        (size == Some(outcome.new_virtual_size), "another size than asked for"),
        (space_fits(Preallocation::Off, outcome), "odd space to allocate"),
    ];
    first_broken(&rules)
}

fn first_broken(rules: &[(bool, &'static str)]) -> Result<(), CliError> {
    match rules.iter().find(|(holds, _)| !holds) {
        Some(&(_, broken)) => Err(CliError::Implausible(broken)),
        None => Ok(()),
    }
}

/// A raw image is its file, its size the file's length rounded up to a sector.
fn raw_sizes_fit(outcome: &ResizeOutcome) -> bool {
    let fits = |len: u64, size| len.checked_next_multiple_of(SECTOR) == Some(size);
    outcome.format != Format::Raw
        || (fits(outcome.file_size_before, outcome.old_virtual_size)
            && fits(outcome.file_size_after, outcome.new_virtual_size))
}

/// Space is only ever asked for if the user did, behind what the file held and within its new end.
fn space_fits(mode: Preallocation, outcome: &ResizeOutcome) -> bool {
    let Some((offset, len)) = outcome.preallocate else {
        return true;
    };
    let end = offset.checked_add(len);
    mode != Preallocation::Off
        && offset >= outcome.file_size_before
        && end.is_some_and(|e| e <= outcome.file_size_after)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: ResizeRequest = ResizeRequest {
        format: Some(Format::Raw),
        size: SizeRequest::Grow(1024),
        shrink: false,
        preallocation: Preallocation::Falloc,
    };
    const OUTCOME: ResizeOutcome = ResizeOutcome {
        format: Format::Raw,
        action: ResizeAction::Grow,
        old_virtual_size: 1024,
        new_virtual_size: 2048,
        file_size_before: 1001,
        file_size_after: 2048,
        preallocate: Some((1001, 1047)),
    };

    #[test]
    fn the_truth_is_believed() {
        assert!(check_resize(&REQUEST, 1001, &OUTCOME).is_ok());
    }

    #[test]
    fn each_lie_is_named() {
        type Lie = fn(&mut ResizeOutcome);
        let lies: [(Lie, &str); 7] = [
            (|o| o.file_size_after = 4096, "another size"),
            (|o| o.new_virtual_size = 4096, "no raw image"),
            (|o| o.action = ResizeAction::NoOp, "action"),
            (|o| o.file_size_before = 1002, "length before"),
            (|o| o.format = Format::Qcow2, "another format"),
            (|o| o.preallocate = Some((0, 1024)), "space"),
            (|o| o.preallocate = Some((1001, u64::MAX)), "space"),
        ];
        for (lie, name) in lies {
            let mut outcome = OUTCOME;
            lie(&mut outcome);
            let error = check_resize(&REQUEST, 1001, &outcome).expect_err(name);
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn raw_sizes_are_rounded_after_the_fact() {
        let request = ResizeRequest {
            size: SizeRequest::Shrink(24),
            shrink: true,
            preallocation: Preallocation::Off,
            ..REQUEST
        };
        let outcome = ResizeOutcome {
            action: ResizeAction::Shrink,
            new_virtual_size: 1024,
            file_size_after: 1000,
            preallocate: None,
            ..OUTCOME
        };
        assert!(check_resize(&request, 1001, &outcome).is_ok());
    }

    #[test]
    fn nothing_is_shrunk_without_leave() {
        let request =
            ResizeRequest { size: SizeRequest::Absolute(512), preallocation: Preallocation::Off, ..REQUEST };
        let outcome = ResizeOutcome {
            action: ResizeAction::Shrink,
            new_virtual_size: 512,
            file_size_after: 512,
            preallocate: None,
            ..OUTCOME
        };
        let error = check_resize(&request, 1001, &outcome).expect_err("no --shrink");
        assert!(error.to_string().contains("leave"), "{error}");
        let allowed = ResizeRequest { shrink: true, ..request };
        assert!(check_resize(&allowed, 1001, &outcome).is_ok());
    }
}
