//! qemu-img on images whose disk lies in blocks: size, check and content as they are.

use std::path::Path;

use instar_ops::Format;
use oracle_case::Content;
use oracle_case::child::Tool;
use oracle_judge::subject::IMAGE;

use super::{Asked, Expected, checked, json};
use crate::judge::Bad;

/// As [`super::second_opinion`]. A log is replayed first, for which it takes a repair; it checks no VHD. QED is all that it resizes, and
/// only once it was looked at.
pub(super) fn second_opinion(
    qemu_img: &Tool,
    dir: &Path,
    expected: &Expected,
    content: Option<&Content>,
) -> Result<(), Bad> {
    let asked = Asked { qemu_img, dir, format: expected.format, encrypted: false, own: 0 };
    if expected.format == Format::Vhdx {
        asked.accepted("check", &["-r", "all", IMAGE])?;
    }
    let info = json(&asked.accepted("info", &["--output=json", IMAGE])?)?;
    let seen = info["virtual-size"].as_u64();
    if seen != Some(expected.size) {
        return Err(Bad::new(
            "qemu-size",
            format!("qemu-img info says {seen:?} bytes, not {}", expected.size),
        ));
    }
    if expected.format != Format::Vhd {
        checked(&asked.ask("check", &["--output=json", IMAGE])?, 0..=0)?;
    }
    asked.compared(content)?;
    if expected.format == Format::Qed {
        asked.accepted("resize", &[IMAGE, &expected.new.to_string()])?;
        checked(&asked.ask("check", &["--output=json", IMAGE])?, 0..=0)?;
    }
    Ok(())
}
