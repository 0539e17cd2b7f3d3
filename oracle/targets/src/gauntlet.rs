//! One hostile image through info, check and resize, one after the other.

use crate::input::Input;
use crate::memory;
use crate::resize::{self, MOST_CHECKED};
use crate::watched::Store as _;
use instar_ops::Format;

/// How far an image came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passed {
    /// Whether it could be described.
    pub info: bool,
    /// Whether its format has a check, and it could be checked.
    pub check: bool,
    /// Whether it was resized.
    pub resize: bool,
}

/// Puts the image that `data` describes to all three. It panics where a target of `resize_` does.
#[must_use]
pub fn run(format: Format, data: &[u8]) -> Passed {
    memory::with(|image| {
        let Some(input) = Input::decode(data, image) else { return Passed::default() };
        let info = resize::said(format, image).is_ok();
        let check = image.len() <= MOST_CHECKED && resize::checked(format, image).is_some();
        let before = resize::resized();
        resize::judged(format, &input, image);
        Passed { info, check, resize: resize::resized() > before }
    })
}
